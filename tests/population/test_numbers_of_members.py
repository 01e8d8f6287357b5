"""Members with noise and label smoothing of their own train as ordinary models with these do."""

import keras
import numpy as np
import pytest

from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel
from keras_acts.search.population.frozen_prefix import frozen_prefix
from keras_acts.search.runtime.seeding import isolated_seed
from tests.helpers.models import blobs

X, Y = blobs(64)
ONE_HOT = np.eye(3, dtype="float32")[Y]
FIT = {"batch_size": 16, "epochs": 2, "verbose": 0}
NAMES = ["relu", "mish", "relu", "tanh"]
SMOOTHINGS = (0.0, 0.1, 0.4)
SAMPLES = 2000


def classifier(loss, units=3, activation="softmax"):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(units, activation=activation),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def assert_same(single, member, atol=2e-6):
    for expected, found in zip(single.get_weights(), member.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=atol)


BINARY = keras.losses.BinaryCrossentropy(label_smoothing=0.3)
LOGITS = keras.losses.CategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (classifier(keras.losses.CategoricalCrossentropy()), ONE_HOT),
        pytest.param(classifier(BINARY, 1, "sigmoid"), Y % 2, marks=pytest.mark.slow),
        pytest.param(classifier(LOGITS, activation="linear"), ONE_HOT, marks=pytest.mark.slow),
    ],
    ids=["categorical", "binary", "logits"],
)
def test_a_member_equals_a_training_with_its_label_smoothing(model, y):
    population = PopulationModel(model, NAMES[:3], seeds=[5])
    # programs that were traced before must not stay
    population.evaluate(X, y, verbose=0)
    population.set_label_smoothing(SMOOTHINGS)
    singles = [population.model(index) for index in range(len(SMOOTHINGS))]
    with isolated_seed(7):
        history = population.fit(X, y, validation_data=(X, y), **FIT).history
    joined = PopulationModel.join([(population, [2, 0])])
    for index, (single, smoothing) in enumerate(zip(singles, SMOOTHINGS, strict=True)):
        assert single.loss.label_smoothing == smoothing
        assert single.loss.get_config() == {**model.loss.get_config(), "label_smoothing": smoothing}
        single.run_eagerly = True  # nothing is traced for it
        with isolated_seed(7):
            own = single.fit(X, y, validation_data=(X, y), **FIT).history
        assert_same(single, population.model(index))
        for name in ("loss", "val_loss"):
            found = [values[index] for values in history[name.replace("loss", "members/loss")]]
            np.testing.assert_allclose(found, own[name], rtol=1e-5)
    assert joined.model(0).loss.label_smoothing == SMOOTHINGS[2]
    # nobody else's loss is changed
    assert model.loss.label_smoothing in (0.0, 0.3)


def test_label_smoothings_must_be_one_number_a_member_of_a_loss_that_smooths():
    population = PopulationModel(classifier(keras.losses.CategoricalCrossentropy()), NAMES[:2])
    for smoothings in ([0.1], [0.1, 1.5], [0.1, np.nan]):
        with pytest.raises(ModelError, match=r"from 0 to 1 for each of its 2 members\. Received"):
            population.set_label_smoothing(smoothings)
    for loss in (
        "categorical_crossentropy",
        keras.losses.CategoricalFocalCrossentropy(label_smoothing=0.1),
    ):
        population.compile("sgd", loss)
        with pytest.raises(ModelError, match=r"with one loss: an object of Keras'.*Received: loss"):
            population.set_label_smoothing([0.1, 0.2])


def noisy(layer, shape=(6,)):
    """A model that hands on what a layer of noise makes of its inputs, and then trains a little."""
    layers = [keras.Input(shape), layer, keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    return model


def made_by(strengths, layer, x):
    """What a layer of noise makes of ones in each member, in training."""
    inside = keras.Sequential([keras.Input(x.shape[1:]), layer])
    ones = PopulationModel(with_slot(inside), NAMES, noise={layer.name: strengths})
    return np.asarray(ones(x, training=True))


def with_slot(model):
    """A model with a hidden slot, as every population has, after which nothing changes."""
    x = keras.layers.Activation("relu", name="slot")(model.outputs[0] * 0)
    return keras.Model(model.inputs, model.outputs[0] + x * 0)


RATES = (0.0, 0.5, 0.2, 0.8)
CASES = {
    "dropout": (keras.layers.Dropout, (50,)),
    "shape": (lambda rate, **options: keras.layers.Dropout(rate, (None, 1, 5), **options), (10, 5)),
    "channels": (keras.layers.SpatialDropout2D, (2, 3, 25)),
    "steps": (keras.layers.SpatialDropout1D, (4, 25)),
    "alpha": (keras.layers.AlphaDropout, (50,)),
    "gaussian": (keras.layers.GaussianDropout, (50,)),
    "noise": (keras.layers.GaussianNoise, (50,)),
}


@pytest.mark.parametrize("case", CASES)
def test_each_member_has_noise_of_its_own_strength(case):
    make, shape = CASES[case]
    layer = make(0.3, name="noise")
    x = np.ones((SAMPLES, *shape), "float32")
    y = made_by(RATES, layer, x)
    # the member without noise hands on what it gets
    np.testing.assert_array_equal(y[0], x)
    for rate, values in zip(RATES[1:], y[1:], strict=True):
        if case in ("gaussian", "noise"):
            spread = {"gaussian": np.sqrt(rate / (1 - rate)), "noise": rate}[case]
            assert values.mean() == pytest.approx(1, abs=0.05)
            assert values.std() == pytest.approx(spread, rel=0.05)
            continue
        # what Keras' own layer makes has two values, and how often each
        own = np.asarray(make(rate)(x, training=True))
        lowest, highest = np.unique(own.round(4))
        np.testing.assert_allclose(np.unique(values.round(4)), [lowest, highest], atol=2e-4)
        assert np.mean(values > (lowest + highest) / 2) == pytest.approx(1 - rate, abs=0.02)
        if case == "channels":  # a channel of a sample as a whole
            assert (values == values[:, :1, :1]).all()
        if case in ("steps", "shape"):
            assert (values == values[:, :1]).all()
    # and nobody shares what is dropped
    assert not ((y[1] > 0.5) == (y[3] > 0.5)).all()


def test_a_convolution_before_and_after_has_each_member_drop_its_share():
    """Where the members lie side by side in the channels."""
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="slot")(inputs)
    x = keras.layers.SpatialDropout2D(0.3, name="channels")(x)
    x = keras.layers.Dropout(0.3, name="values")(x)
    x = keras.layers.Conv2D(3, 3, kernel_initializer="ones")(x)
    model = keras.Model(inputs, x)
    noise = {"channels": (0.0, 0.0, 0.9), "values": (0.0, 0.5, 0.0)}
    population = PopulationModel(model, NAMES[:3], noise=noise)
    images = np.random.default_rng(0).normal(size=(512, 8, 8, 2)).astype("float32")
    plain = np.asarray(population(images))
    trained = np.asarray(population(images, training=True))
    np.testing.assert_array_equal(trained[0], plain[0])
    # what is dropped is made up for: the mean over many samples stays
    for member in (1, 2):
        assert np.abs(trained[member] - plain[member]).max() > 0.1
        assert trained[member].mean() == pytest.approx(plain[member].mean(), rel=0.2)


def dropping(rate=0.3, frozen=False):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, name="base", trainable=not frozen)(inputs)
    x = keras.layers.Dropout(rate, name="drop")(x)
    x = keras.layers.Dense(8, activation="relu", name="slot")(x)
    outputs = keras.layers.Dense(3, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("frozen", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_member_without_dropout_equals_a_training_without_it(frozen):
    """Beside one that drops, and also where the layer follows frozen ones that run once for all."""
    model = dropping(frozen=frozen)
    assert ("drop" in frozen_prefix(model, ["slot"])) == frozen
    population = PopulationModel(model, NAMES[:2], seeds=[5], noise={"drop": (0.5, 0.0)})
    single = population.model(1)
    single.run_eagerly = True  # nothing is traced for it
    with isolated_seed(7):
        population.fit(X, Y, **FIT)
    with isolated_seed(7):
        single.fit(X, Y, **FIT)
    assert_same(single, population.model(1))
    kept = PopulationModel.join([(population, [1]), (population, [0])])
    for member, rate in ((population.model(0), 0.5), (kept.model(0), 0.0), (kept.model(1), 0.5)):
        assert member.get_layer("drop").rate == rate
        assert keras.Model.from_config(member.get_config()).get_layer("drop").rate == rate
    trained = np.asarray(kept(X, training=True))
    np.testing.assert_array_equal(trained[0], np.asarray(kept(X))[0])
    assert np.abs(trained[1] - np.asarray(kept(X))[1]).max() > 1e-3
    population.restart(population.members)
    assert population.model(0).get_layer("drop").rate == 0.5
    # the user's model is as it was
    assert model.get_layer("drop").rate == 0.3


def test_noise_of_members_is_refused_where_it_cannot_be():
    with pytest.raises(ModelError, match=r"for each of 2 members\. Received: \[0\.5\] for 'drop'"):
        PopulationModel(dropping(), NAMES[:2], noise={"drop": [0.5]})
    for wrong in (1.0, -0.1, np.nan):
        with pytest.raises(ModelError, match=r"one number from 0 on, and below 1"):
            PopulationModel(dropping(), NAMES[:2], noise={"drop": [0.5, wrong]})
    for path in ("slot", "elsewhere"):
        with pytest.raises(ModelError, match=rf"\['drop'\]\. Received: '{path}'"):
            PopulationModel(dropping(), NAMES[:2], noise={path: [0.5, 0.1]})
    with pytest.raises(ModelError, match=r"Received: 'drop' with rate=0"):
        PopulationModel(dropping(0.0), NAMES[:2], noise={"drop": [0.5, 0.0]})


def test_no_noise_in_a_layer_without_any_is_not_refused():
    population = PopulationModel(dropping(0.0), NAMES[:2], noise={"drop": [0.0, 0.0]})
    np.testing.assert_array_equal(population(X, training=True), population(X))
