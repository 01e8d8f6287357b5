"""The functions of candidates as they are drawn."""

import keras
import numpy as np
import pytest

from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.shapes import shape_of, shapes_of


@pytest.mark.parametrize(
    "name", ["relu", "mish", "elu(alpha=1.5)", "prelu", "trelu(alpha=trained, theta=0.0)", "gelu"]
)
def test_the_function_is_drawn_with_its_derivative(name):
    drawn = shape_of(Candidate.of(name))
    x = np.array(drawn.x)
    assert (x[0], x[-1]) == (-4, 4)
    steep = np.gradient(np.array(drawn.y), x)
    smooth = np.abs(x) > 0.1
    np.testing.assert_allclose(np.array(drawn.slope)[smooth], steep[smooth], atol=0.01)


def test_values_are_those_of_the_function():
    drawn = shape_of(Candidate.of("silu"))
    expected = np.array(keras.activations.silu(np.array(drawn.x, "float32")))
    np.testing.assert_allclose(drawn.y, expected, atol=1e-5)


def test_a_jump_has_no_slope():
    drawn = shape_of(Candidate.of("trelu(alpha=0.0, theta=0.5)"))
    slope = np.array(drawn.slope)
    assert np.isnan(slope).sum() in (0, 1)
    assert np.nanmax(np.abs(slope)) < 2
    at_a_point = shape_of(Candidate.of("trelu(alpha=0.0, theta=1.0)"))
    assert np.isnan(at_a_point.slope).any()


def test_what_is_no_function_of_a_number_is_left_out():
    names = ["relu", "softmax", "relu but first: mish", "mish"]
    assert [shape.name for shape in shapes_of(names)] == ["relu", "mish"]
