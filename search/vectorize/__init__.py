"""How one layer runs for many members at once: a rule for each kind of layer.

A rule is a function of a `RuleCall` and the layer's inputs, each a `Batch`. Whoever imports this
room has the rules for Keras' own layers. Open `batch.py` first, then `dense.py`.
"""

from . import builtin  # noqa: F401  (it registers the rules)
from .batch import Batch
from .registry import RuleCall, vectorizes

__all__ = ["Batch", "RuleCall", "vectorizes"]
