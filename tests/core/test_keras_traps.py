"""What Keras itself gets wrong around activations, a test for each trap that no other test file holds: ours works.

Elsewhere: one alpha a pixel, None dimensions, negative axes, weights inside `activation=`
(test_layers.py); NaN swallowed, thresholds below 0, names of registered objects
(test_activations.py); lambdas (test_lookup.py).
"""

import keras
import numpy as np
import pytest

import keras_acts as ka
from keras_acts.search import slots, with_activations


def _input(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", [name for name in ka.names() if ka.spec(name).value])
def test_a_registered_name_as_activation_of_a_layer(name):
    # Dense(activation="keras_acts>Mish") reads a table that Keras fills with its own
    registered = f"keras_acts>{ka.spec(name).class_name}"
    with pytest.raises(ValueError, match="Could not interpret"):
        keras.layers.Dense(2, activation=registered)
    for activation in (ka.get(name), keras.saving.serialize_keras_object(ka.get(name))):
        assert keras.layers.Dense(2, activation=activation).activation == ka.get(name)


@pytest.mark.parametrize("name", ka.names())
def test_a_functional_model_of_symbolic_tensors(name):
    # keras.activations.mish(KerasTensor) raises
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, ka.spec(name).function(inputs))
    np.testing.assert_allclose(
        model(_input(2, 3, 4)), ka.spec(name).function(_input(2, 3, 4)), rtol=1e-6
    )


def test_activations_are_replaced_inside_wrappers_and_nested_models():
    # clone_model(clone_function=...) reaches neither
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, activation="relu", name="nested")]
    )
    inputs = keras.Input((3, 4))
    x = keras.layers.TimeDistributed(
        keras.layers.Dense(4, activation="relu", name="wrapped"), name="each"
    )(inputs)
    x = keras.layers.TimeDistributed(inner)(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    assert len(slots(model)) == 2
    changed = with_activations(model, "mish")
    assert str(slots(changed)).count("mish") == 2


def test_best_weights_of_an_activation_with_weights_come_back(tmp_path):
    # the activation's weights do not exist before the first call, and load_weights misses them
    def build():
        layers = [
            keras.layers.Dense(3, activation=ka.PReLU(3)),
            keras.layers.Dense(1, activation=ka.get("prelu")),
        ]
        return keras.Sequential([keras.Input((4,)), *layers])

    trained, fresh = build(), build()
    assert len(fresh.weights) == len(trained.weights) == 6
    trained.compile("sgd", "mse")
    trained.fit(_input(32, 4), np.ones((32, 1)), verbose=0)
    trained.save_weights(tmp_path / "best.weights.h5")
    fresh.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_array_equal(fresh(_input(2, 4)), trained(_input(2, 4)))


def test_trained_activations_fit_however_keras_compiles():
    losses = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(3)
        stack = [
            keras.layers.Dense(5, activation=ka.Mish()),
            ka.layers.TReLU(theta=0.2),
            ka.layers.ELU(),
        ]
        model = keras.Sequential(
            [keras.Input((4,)), *stack, ka.layers.PReLU(), keras.layers.Dense(1)]
        )
        model.compile("sgd", "mse", jit_compile=jit_compile)
        fitted = model.fit(_input(64, 4), _input(64, 1), epochs=2, verbose=0, shuffle=False)
        losses.append(fitted.history["loss"])
    model.compile("sgd", "mse", jit_compile="auto")
    assert model.jit_compile in (False, True)  # off on a CPU, on with a GPU: one of the two above
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
