"""Seeded processes for all tests: two side by side, each with whole files of them."""

import contextlib
import functools
import gc
import importlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


class _Seed:
    """A seed for each test, without TensorFlow's kernels made anew for each.

    As TensorFlow takes a seed it lets go of all its kernels, so that random ones begin again. Where
    no test has drawn from its stream of seeds there are none.
    """

    def __init__(self, seed):
        # not above: pytest's first process runs no test and need not wait for TensorFlow
        import keras
        import tensorflow as tf
        from tensorflow.python.eager import context

        self._seed = seed
        self._seeding = keras.utils.set_random_seed
        self._random = tf.random
        self._context = context.context()
        self._seeding(seed)
        self._first = self._position()

    def _position(self):
        return self._context._seed, self._context._rng.getstate()

    def begin(self):
        """Let all random numbers begin."""
        if self._position() != self._first:
            self._seeding(self._seed)
            return
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(self._random, "set_seed", lambda seed: None)
            self._seeding(self._seed)


@pytest.fixture(autouse=True, scope="module")
def _seed():
    return _Seed(7)


@pytest.fixture(autouse=True)
def _seeded(_seed):
    _seed.begin()


@pytest.fixture
def float64():
    """Keras computes in float64 for a test."""
    import keras

    # Keras keeps the first default policy that was asked for
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def pytest_collection_finish():
    """What the imports made stays: no collection of garbage looks at it again, half a second each."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _short_collections():
    """KerasTuner has the garbage collected in every trial.

    Not what earlier tests left, again and again.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_process():
    """The other process of all exports, from the first one on: each would load TensorFlow anew."""
    module = importlib.import_module("keras_acts.search.exporting.export")
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patched:
        begin = module.Checker

        @functools.cache
        def begun():
            return stack.enter_context(begin())

        patched.setattr(module, "Checker", lambda: contextlib.nullcontext(begun()))
        # nor is one needed ahead of it
        verify = importlib.import_module("keras_acts.search.exporting.verify")
        patched.setattr(verify, "started_ahead", contextlib.nullcontext)
        yield


@pytest.fixture
def own_process(monkeypatch):
    """For an export whose other process is its own, as users have it."""
    checking = importlib.import_module("keras_acts.search.exporting.verify")
    monkeypatch.setattr(
        importlib.import_module("keras_acts.search.exporting.export"), "Checker", checking.Checker
    )
