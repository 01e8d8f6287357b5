"""One seeded process for all tests."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(7)


@pytest.fixture(autouse=True, scope="module")
def _short_collections():
    """KerasTuner has the garbage collected in every trial: not what earlier tests and imports left, again and again."""
    yield
    gc.collect()
    gc.freeze()
