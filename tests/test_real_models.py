"""Models as people write them: each is searched, trained, kept and exported as `benchmarks.real_models` says."""

import pytest

from benchmarks.real_models import EXAMPLES
from benchmarks.real_models.checks import examine

# the others take minutes together
FAST = ("mnist_convnet", "text_from_scratch", "recommender")


def _cases():
    for name in EXAMPLES:
        marks = []
        if name not in FAST:
            marks = [pytest.mark.slow]
        yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", _cases())
def test_a_real_model(name):
    found = examine(EXAMPLES[name])
    assert not found.failures
    assert found.way is found.example.way, found.reason
    assert found.example.why in found.reason
