"""Seeds: a scope whose randomness follows one seed, and after which the user's is as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_acts.compat import get_global, set_global, tensorflow_random_state

# Keras and TensorFlow have no public way to read their random state; these are the names under
# which Keras keeps it
_GENERATOR = "global_seed_generator"
_KERAS_STATE = ("global_random_seed", _GENERATOR)
# below 2**31: TensorFlow takes seeds of 32 bits with a sign
_LARGEST_SEED = 2**31 - 1


class Stream(IntEnum):
    """What a seed is derived for: each purpose has a number of its own, which no other may have."""

    CANDIDATES = 1
    """Random candidates that a race may propose."""
    PROPOSALS = 2
    """A trial's hyperparameters, by its number and the attempt."""
    VALUES = 3
    """One hyperparameter, by its index."""
    POOL = 4
    """Random points that a `RacingOracle` may propose, by number."""
    BUILDS = 5
    """Models that are built to be looked at, or to take weights."""
    EXECUTIONS = 6
    """Initialization and batch order of trials, by execution."""
    VERDICT = 8
    """Initialization and batch order of a verdict, by seed."""
    INITIAL = 12
    """Initialization of the runs of a race, by seed."""
    BATCHES = 13
    """Batch orders of a race, by stretch of its epochs."""
    STAGES = 14
    """The races of a search for groups, by stage."""
    BENCHMARKS = 15
    """What benchmarks train."""
    RATES = 16
    """Initialization and batch order of what learning rates are chosen by, by seed."""


def derive(seed: int, stream: Stream, *path: int) -> int:
    """Return a seed for one purpose.

    Different streams and paths are independent of each other (NumPy's SeedSequence).

    The path is a spawn key, whose length counts too. As part of the entropy it would not: ``(7,
    8)`` and ``(7, 8, 0)`` are one sequence to NumPy, which fills up with zeros.
    """
    word = sequence(seed, stream, *path).generate_state(1)[0]
    return int(word % _LARGEST_SEED)


def sequence(seed: int, stream: Stream, *path: int) -> np.random.SeedSequence:
    """Return the random numbers that the seed for one purpose comes from."""
    return np.random.SeedSequence(seed, spawn_key=(int(stream), *path))


class RandomState(NamedTuple):
    """Where the random numbers of Python and NumPy are."""

    python: Any
    numpy: Any

    @classmethod
    def now(cls) -> RandomState:
        """Return where they are."""
        return cls(random.getstate(), np.random.get_state())

    def restore(self) -> None:
        """Go on from there."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)


@contextmanager
def isolated_seed(seed: int) -> Iterator[None]:
    """Seed Python, NumPy, Keras and TensorFlow inside the scope, and restore them afterwards."""
    before = RandomState.now()
    keras_state = {name: get_global(name) for name in _KERAS_STATE}
    # set_random_seed seeds TensorFlow under every backend, because tf.data shuffles
    restore_tensorflow = tensorflow_random_state()
    keras.utils.set_random_seed(seed)
    set_global(_GENERATOR, None)  # older versions of Keras keep the generator
    try:
        yield
    finally:
        before.restore()
        for name, value in keras_state.items():
            set_global(name, value)
        restore_tensorflow()
