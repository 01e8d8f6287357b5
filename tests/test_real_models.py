"""Models as people write them: each is searched, trained, kept and exported as `benchmarks.real_models` says."""

import pytest

from benchmarks.real_models import EXAMPLES
from benchmarks.real_models.checks import examine

# the others take minutes together
FAST = ("mnist_convnet", "recommender")


CASES = []
for _name in EXAMPLES:
    _marks = []
    if _name not in FAST:
        _marks = [pytest.mark.slow]
    CASES.append(pytest.param(_name, marks=_marks))


@pytest.mark.parametrize("name", CASES)
def test_a_real_model(name):
    found = examine(EXAMPLES[name])
    assert not found.failures
    assert found.way is found.example.way, found.reason
    assert found.example.why in found.reason
