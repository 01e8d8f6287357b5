"""What a search leaves behind is freed before it is much, and not after each small model."""

import gc
import weakref

import keras
import numpy as np
import pytest

from keras_acts.search.runtime import garbage
from keras_acts.search.runtime.garbage import Garbage

# our own arithmetic, and Python's garbage
pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def only_if_asked():
    """Python looks for garbage by itself whenever enough objects were made."""
    gc.disable()
    yield
    gc.enable()


class Cycle:
    """What only Python's garbage collector frees."""

    def __init__(self, kilobytes=1):
        self.itself = self
        self.array = np.ones(128 * kilobytes)


def waits():
    """A reference to what is garbage already."""
    return weakref.ref(Cycle())


def test_small_models_wait_and_many_do_not(monkeypatch):
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(100)])
    assert model.count_params() == 1100
    monkeypatch.setattr(garbage, "LARGE", 2**60)
    pending = Garbage()
    left = waits()
    pending.add(model)
    pending.add(keras.Sequential([keras.layers.Dense(3)]))  # it has no weights yet
    pending.collect()
    assert left() is not None
    # a value, its gradient, and two moments, in float32
    monkeypatch.setattr(garbage, "LARGE", 2 * 1100 * 16)
    monkeypatch.setattr(garbage, "_resident", lambda: 0)
    pending.collect()
    assert left() is not None
    pending.add(model)
    pending.collect()
    assert left() is None
    # and from then on they count anew
    left = waits()
    pending.collect()
    assert left() is not None


def test_large_arrays_do_not_wait(monkeypatch):
    monkeypatch.setattr(garbage, "LARGE", 2**24)
    pending = Garbage()
    left = weakref.ref(Cycle(kilobytes=2**16))
    pending.collect()
    assert left() is None
