"""Seeded processes for all tests: two side by side, each with whole files of them."""

import contextlib
import gc
import importlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


@pytest.fixture(autouse=True)
def _seeded():
    import keras  # not above: pytest's first process runs no test and need not wait for TensorFlow

    keras.utils.set_random_seed(7)


@pytest.fixture(autouse=True, scope="module")
def _short_collections():
    """KerasTuner has the garbage collected in every trial: not what earlier tests and imports left, again and again."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _checker():
    with importlib.import_module("keras_acts.search.checking").Checker() as checker:
        yield checker


@pytest.fixture
def one_process(_checker, monkeypatch):
    """The other process of an export, kept for many exports: each would load TensorFlow anew."""
    module = importlib.import_module("keras_acts.search.export")
    monkeypatch.setattr(module, "Checker", lambda: contextlib.nullcontext(_checker))
