"""Models as people write them, after the kinds of keras.io's examples and guides: what a search makes of each.

    python -m benchmarks.real_models            # the table of docs/real_models.md
    python -m benchmarks.real_models mlp_mixer  # one of them, with all that is checked

Written anew, and small: shapes and samples are as few as the idea of a model allows.
"""

from . import own_training, tables, text, vision
from .example import Example

EXAMPLES: dict[str, Example] = {}
for _part in (vision, text, tables, own_training):
    for _example in _part.EXAMPLES:
        EXAMPLES[_example.name] = _example
