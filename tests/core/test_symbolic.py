"""Functions as nodes of functional models: what they take, say and keep in a file."""

import keras
import numpy as np
import pytest

import keras_acts as ka
from keras_acts.errors import ActivationError
from keras_acts.search import slots

X = np.array([[-1.0, 0.5, 2.0]], "float32")
SLOPES = np.array([0.1, 0.2, 0.3], "float32")


def test_the_output_of_integers_is_said_to_be_floating():
    inputs = keras.Input((3,), dtype="int32")
    model = keras.Model(inputs, ka.functions.mish(inputs))
    made = model(X.astype("int32"))
    assert model.outputs[0].dtype == keras.backend.standardize_dtype(made.dtype) == "float32"


@pytest.mark.parametrize("given", [SLOPES, keras.ops.convert_to_tensor(SLOPES), SLOPES.tolist()])
def test_arrays_of_parameters_are_read_back(tmp_path, given):
    """A file that nobody could load was all that was left of such a model."""
    inputs = keras.Input((3,))
    hidden = ka.functions.leaky_relu(inputs, alpha=given)
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    # no candidate has an array: it has its name alone
    assert [(slot.current, slot.role) for slot in slots(model)] == [("leaky_relu", "hidden")]
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(X), model(X))


def test_parameters_that_a_file_would_not_have_are_refused():
    inputs = keras.Input((3,))
    for alpha in (keras.Input((3,)), keras.Variable(0.5)):
        with pytest.raises(ActivationError, match=r"a number or an array.*Received: alpha="):
            ka.functions.leaky_relu(inputs, alpha=alpha)


@pytest.mark.parametrize(
    "parameters", [{"mode": "other"}, {"beta": 1}, {"alpha": [0.1, 0.2]}], ids=str
)
def test_bad_parameters_fail_where_they_are_written(parameters):
    with pytest.raises(Exception, match=r"mode must be|unexpected keyword|\[2\]"):
        ka.functions.trelu(keras.Input((3,)), **parameters)


def test_complex_inputs_are_refused():
    """Their imaginary parts would be lost."""
    with pytest.raises(ActivationError, match="the input must be real"):
        ka.functions.relu(np.ones(2, "complex64"))
