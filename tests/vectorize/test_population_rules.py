"""Each layer that has a rule, in a population, is what it is in an ordinary model."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_acts as ka
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime.device import gpus
from keras_acts.search.vectorize.convolutions import grouped_convolution
from tests.helpers.populations import check, data, settings


def model_of(shape, *tested):
    """The layers, behind and before ones that are searched; the last one makes classes."""
    found = [layer() for layer in tested]
    return keras.Sequential(
        [keras.Input(shape), *found, layers.Flatten(), layers.Dense(3, activation="softmax")]
    )


def relu():
    return layers.Activation("relu")


CONVOLUTIONS = {
    "1D": (
        (9, 2),
        lambda: layers.Conv1D(4, 3, activation="relu"),
        lambda: layers.Conv1D(3, 2, use_bias=False),
    ),
    "1D causal": (
        (9, 2),
        lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
    ),
    "1D strides": (
        (11, 2),
        lambda: layers.Conv1D(4, 3, strides=2, padding="same", activation="relu"),
        lambda: layers.Conv1D(4, 3, strides=2, activation="relu"),
    ),
    "1D groups": (
        (9, 4),
        lambda: layers.Conv1D(6, 3, groups=2, activation="relu"),
        lambda: layers.Conv1D(9, 3, groups=3, activation="relu"),
    ),
    "2D dilated": (
        (9, 8, 2),
        lambda: layers.Conv2D(4, (3, 2), dilation_rate=2, activation="relu"),
        lambda: layers.Conv2D(4, (3, 2), dilation_rate=(1, 2), padding="same", activation="relu"),
    ),
    "2D strides": (
        (9, 8, 2),
        lambda: layers.Conv2D(4, 3, strides=(1, 2), padding="same", activation="relu"),
        lambda: layers.Conv2D(4, 3, strides=2, activation="relu"),
    ),
    "3D": (
        (5, 4, 4, 2),
        lambda: layers.Conv3D(3, 2, padding="same", dilation_rate=(1, 2, 1), activation="relu"),
        lambda: layers.Conv3D(2, (3, 2, 1), strides=(1, 2, 1), activation="relu"),
    ),
    "depthwise 1D": (
        (9, 2),
        lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, activation="relu"),
        lambda: layers.DepthwiseConv1D(
            2, strides=2, padding="same", use_bias=False, activation="relu"
        ),
    ),
    "depthwise dilated": (
        (9, 8, 2),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2, activation="relu"),
        lambda: layers.DepthwiseConv2D(3, dilation_rate=(2, 1), padding="same", activation="relu"),
    ),
    "separable 1D": (
        (9, 2),
        lambda: layers.SeparableConv1D(4, 3, depth_multiplier=2, padding="same", activation="relu"),
        lambda: layers.SeparableConv1D(3, 3, strides=2, use_bias=False, activation="relu"),
    ),
    "separable 2D": (
        (8, 8, 2),
        lambda: layers.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, activation="relu"),
        lambda: layers.SeparableConv2D(3, 2, dilation_rate=2, padding="same", activation="relu"),
    ),
}
if keras.backend.backend() == "tensorflow":
    CONVOLUTIONS["transposed 1D"] = (
        (6, 2),
        lambda: layers.Conv1DTranspose(4, 3, strides=2, activation="relu"),
        lambda: layers.Conv1DTranspose(3, 2, padding="same", use_bias=False, activation="relu"),
    )
    CONVOLUTIONS["transposed 2D"] = (
        (4, 5, 2),
        lambda: layers.Conv2DTranspose(4, 3, strides=(2, 1), padding="same", activation="relu"),
        lambda: layers.Conv2DTranspose(3, (2, 3), strides=2, output_padding=1, activation="relu"),
    )
# what runs always; the others with the slow tests
FAST = {"1D causal", "transposed 2D", "separable 1D", "folded groups"}


def cases(found):
    return [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in found]


def rules_of(population):
    return {layer.plan.path: layer.plan.rule for layer in population.stacked}


@pytest.mark.parametrize("name", cases(CONVOLUTIONS))
def test_convolutions(name):
    shape, *tested = CONVOLUTIONS[name]
    x, y = data(shape, samples=40)
    candidates = ["relu", "prelu", "tanh", "prelu(alpha=0.1)"]
    model = model_of(shape, *tested)
    population = check(
        model, candidates, settings("sgd"), {"x": x, "y": y}, members=(3,), rtol=2e-4
    )
    assert all(rules_of(population).values()) == all(has_rule(layer) for layer in model.layers)


def has_rule(layer):
    """Whether a convolution has one, here; other layers have."""
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D) or not hasattr(
        layer, "dilation_rate"
    ):
        return True
    if keras.backend.backend() == "tensorflow":
        return grouped_convolution() and layer.rank < 3
    return getattr(layer, "groups", 1) == 1 or bool(gpus())


OTHERS = {
    "einsum": (
        (4, 3),
        lambda: layers.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="de", activation="relu"),
        lambda: layers.EinsumDense("abde,def->abf", (4, 5), activation="relu"),
        lambda: layers.EinsumDense("abc,bd->adc", (6, 5)),
        lambda: layers.EinsumDense("...d,df->...f", 5, bias_axes="f", activation="relu"),
        lambda: layers.EinsumDense("ab...,bc->ac...", 3, activation="relu"),
    ),
    "groups": (
        (5, 4),
        lambda: layers.GroupNormalization(2),
        relu,
        lambda: layers.GroupNormalization(-1, scale=False),
    ),
    "folded groups": (
        (5, 4, 2),
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=2),
        lambda: layers.GroupNormalization(2),
        relu,
        lambda: layers.GroupNormalization(1, center=False),
    ),
    "resizing": (
        (6, 6, 2),
        lambda: layers.Dense(3, activation="relu"),
        lambda: layers.Resizing(4, 5),
        lambda: layers.CenterCrop(3, 3),
    ),
    "rms": ((5, 4), layers.RMSNormalization, relu, layers.RMSNormalization),
    "unit": ((5, 4), relu, layers.UnitNormalization, lambda: layers.UnitNormalization((1, 2))),
}


@pytest.mark.parametrize("name", cases(OTHERS))
def test_other_layers(name, float64):
    shape, *tested = OTHERS[name]
    model = model_of(shape, *tested)
    x, y = data(shape, samples=40)
    population = check(
        model, ["relu", "prelu", "tanh"], settings(), {"x": x, "y": y}, members=(0, 1)
    )
    assert all(rules_of(population).values())


@pytest.mark.slow
def test_trained_activations_that_are_not_searched(float64):
    """As outputs: a search leaves those alone."""
    x = keras.Input((4, 3, 2))
    stacked = layers.Dense(4, activation="relu", name="searched")(x)
    folded = layers.DepthwiseConv2D(2, depth_multiplier=2, activation="relu", name="folded")(
        stacked
    )
    outputs = {
        "prelu": ka.layers.PReLU(name="prelu")(stacked),
        "prelu_folded": ka.layers.PReLU(name="prelu_folded")(folded),
        "trelu": ka.layers.TReLU(name="trelu", theta=0.2, trained=["theta"], bandwidth=0.5)(folded),
        "elu": ka.layers.ELU(name="elu", per="scalar")(folded),
        "leaky": ka.layers.LeakyReLU(name="leaky")(stacked),
        "each": layers.PReLU(name="each")(folded),
        "shared": layers.PReLU(name="shared", shared_axes=[1, 2])(stacked),
        "one": layers.PReLU(name="one", shared_axes=[1, 2, 3])(folded),
        "holds": layers.Dense(3, activation=ka.layers.PReLU(num_parameters=3), name="holds")(
            folded
        ),
    }
    model = keras.Model(x, outputs)
    rng = np.random.default_rng(0)
    targets = {name: rng.normal(size=(40, *y.shape[1:])) for name, y in outputs.items()}
    fitted = {"x": data((4, 3, 2), samples=40)[0] * 2 - 0.5, "y": targets}

    def compiled():
        return {"optimizer": keras.optimizers.SGD(0.1), "loss": "mse"}

    population = check(model, ["tanh", "elu", "elu(alpha=0.5)"], compiled, fitted, members=(0, 2))
    rules = rules_of(population)
    assert all(rules[name] for name in outputs)
    trained = population.model(2)
    for name, parameter, start in (
        ("prelu_folded", "alpha", 0.25),
        ("trelu", "theta", 0.2),
        ("elu", "alpha", 1.0),
    ):
        value = keras.ops.convert_to_numpy(getattr(trained.get_layer(name), parameter))
        assert np.abs(value - start).max() > 1e-4, name


def noise_of(layer, shape=(40, 6)):
    """What each of two members makes of ones, with and without training; (2, 500, ...).

    Behind a searched activation, which leaves them as they are: at the beginning of a model members
    of one seed have the same numbers.
    """
    x = keras.Input(shape)
    ones = layers.Activation("relu", name="searched")(x)
    model = keras.Model(x, [layer(ones), layers.Dense(1)(ones)])
    population = PopulationModel(model, ["relu", "leaky_relu"], slots=["searched"])
    assert all(rules_of(population).values())
    ones = np.ones((500, *shape), "float32")
    np.testing.assert_array_equal(
        population(ones, training=False)[0], np.ones((2, *ones.shape), "float32")
    )
    noise, again = (
        keras.ops.convert_to_numpy(population(ones, training=True)[0]) for _ in range(2)
    )
    assert np.mean(noise[0] != noise[1]) > 0.2
    assert np.mean(noise != again) > 0.2
    return noise


COPIES = {"kernel_initializer": "identity", "return_sequences": True}


@pytest.mark.parametrize(
    ("layer", "shape", "constant"),
    [
        (lambda: layers.Dropout(0.3), (40, 6), ()),
        (lambda: layers.Dropout(0.3, noise_shape=(None, 1, 6)), (40, 6), (2,)),
        (lambda: layers.SpatialDropout1D(0.3), (40, 6), (2,)),
        (lambda: layers.SpatialDropout2D(0.3, data_format="channels_first"), (6, 4, 5), (3, 4)),
        (lambda: layers.SpatialDropout3D(0.3), (4, 5, 2, 6), (2, 3, 4)),
        (
            lambda: layers.SimpleRNN(6, None, **COPIES, recurrent_initializer="zeros", dropout=0.3),
            (40, 6),
            (2,),
        ),
    ],
)
def test_dropout_drops_its_share_in_one_piece(layer, shape, constant):
    noise = noise_of(layer(), shape)
    assert set(np.unique(noise)) == {0, np.float32(1 / np.float32(0.7))}
    apart = noise.mean(axis=constant, keepdims=True) if constant else noise
    np.testing.assert_allclose(np.broadcast_to(apart, noise.shape), noise, atol=1e-5)
    assert 0.27 < np.mean(apart == 0) < 0.33
    assert 0.36 < np.mean((apart[0] == 0) != (apart[1] == 0)) < 0.48  # 2 * 0.3 * 0.7


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.GaussianNoise(0.5),
        lambda: layers.GaussianDropout(0.2),
        lambda: layers.AlphaDropout(0.2),
    ],
)
def test_noise_is_what_one_layer_makes_in_distribution(layer):
    noise = noise_of(layer())
    keras.utils.set_random_seed(0)
    alone = keras.ops.convert_to_numpy(layer()(np.ones((1000, 40, 6), "float32"), training=True))
    for member in noise:
        np.testing.assert_allclose(member.mean(), alone.mean(), atol=0.01)
        np.testing.assert_allclose(member.std(), alone.std(), atol=0.01)
        np.testing.assert_allclose(
            *(np.quantile(n, [0.05, 0.3, 0.7, 0.95]) for n in (member, alone)), atol=0.02
        )
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.02


def test_noise_on_folded_channels():
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.DepthwiseConv1D(1, depthwise_initializer="ones", activation="relu"),
            layers.SpatialDropout1D(0.5),
            layers.AveragePooling1D(1),
        ]
    )
    y = keras.ops.convert_to_numpy(
        PopulationModel(model, ["relu"], seeds=3)(np.ones((300, 4, 3), "float32"), training=True)
    )
    assert y.shape == (3, 300, 4, 3)
    np.testing.assert_array_equal(y, y[:, :, :1] * np.ones((4, 1)))
    for i in range(3):
        assert 0.45 < np.mean(y[i] == 0) < 0.55
        assert 0.4 < np.mean(y[i] == y[i - 1]) < 0.6
