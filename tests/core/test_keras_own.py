"""Keras' own tests of the activations that we share, from the installed Keras, run against ours.

Keras ships `keras/src/activations/activations_test.py` (Apache 2.0); it runs here with
`activations` replaced.
"""

import importlib
import unittest

import keras
import pytest

import keras_acts as ka


class Shim:
    """Our functions under Keras' names and argument names."""

    mish = staticmethod(ka.functions.mish)
    sigmoid = staticmethod(ka.functions.sigmoid)
    softmax = staticmethod(ka.functions.softmax)
    tanh = staticmethod(ka.functions.tanh)
    elu = staticmethod(ka.functions.elu)

    @staticmethod
    def leaky_relu(x, negative_slope=0.2):
        return ka.functions.leaky_relu(x, alpha=negative_slope)

    @staticmethod
    def relu(x, negative_slope=0.0, threshold=0.0):
        if negative_slope == 0 and threshold == 0:
            return ka.functions.relu(x)
        return ka.functions.trelu(x, alpha=negative_slope, theta=threshold, mode="keras")


SHARED = ("mish", "sigmoid", "softmax", "tanh", "elu", "relu", "leaky_relu")
EXCLUDED = {
    "test_relu_max_value": "max_value: ours has none",
    "test_relu_combined_threshold_and_max_value": "max_value: ours has none",
    "test_relu_combined_all_parameters": "max_value: ours has none",
    "test_relu_to_trigger_relu6": "max_value: ours has none",
}


def _module():
    try:
        return importlib.import_module("keras.src.activations.activations_test")
    except ModuleNotFoundError:
        pytest.skip(f"Keras {keras.__version__} does not ship its tests")


def _names():
    try:
        tests = dir(
            importlib.import_module("keras.src.activations.activations_test").ActivationsTest
        )
    except ModuleNotFoundError:
        return []
    shared = tuple(f"test_{name}" for name in (*SHARED, "temporal_softmax"))
    others = ("test_relu6", "test_tanh_shrink")  # functions of other names
    return [name for name in tests if name.startswith(shared) and not name.startswith(others)]


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # in Keras' own reference of Mish
@pytest.mark.parametrize("name", _names())
def test_keras_own(name, monkeypatch):
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    module = _module()
    monkeypatch.setattr(module, "activations", Shim)
    result = unittest.TestResult()
    module.ActivationsTest(name).run(result)
    assert result.testsRun == 1
    assert not result.errors + result.failures, (result.errors + result.failures)[0][1]


def test_enough_of_keras_own_was_found():
    _module()
    names = _names()
    assert set(EXCLUDED) <= set(names)
    assert len(names) - len(EXCLUDED) >= 17
