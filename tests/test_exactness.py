"""All that Keras' namespaces hold, in a population: exact as alone, or refused with a reason.

Nothing in between.
"""

import keras
import pytest

from benchmarks.exactness import EXACT, NEEDS, REFUSED, TRIALS, WRONG, optimizer_row


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:Gradients do not exist"
)  # behind layers that make whole numbers
@pytest.mark.parametrize("kind", TRIALS)
def test_everything_of_keras_is_exact_or_refused(kind):
    """A layer that `keras.layers` has, and the enumeration no arguments for, is a KeyError here."""
    rows = TRIALS[kind]()
    assert [row for row in rows if row.outcome == WRONG] == []
    assert all(row.reason for row in rows if row.outcome in (REFUSED, NEEDS))
    assert sum(row.outcome not in (REFUSED, NEEDS) for row in rows) > 40


def test_a_scaled_loss_trains_as_alone():
    row = optimizer_row(
        "SGD(loss_scale_factor=8.0)", lambda: keras.optimizers.SGD(0.01, loss_scale_factor=8.0)
    )
    assert row.outcome == EXACT, row
