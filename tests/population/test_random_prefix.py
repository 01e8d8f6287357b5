"""Augmentation and other random layers that a model begins with run once for each seed.

As in ordinary models: those of one seed draw the same numbers.
"""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.search import BestWeights, PopulationModel
from keras_acts.search.population.frozen_prefix import frozen_prefix
from tests.helpers.populations import check, data

SHAPE = (8, 8, 3)


def augmented(*random, base=True):
    """Augmentation, a frozen base with random numbers of its own, and a head."""
    x = h = keras.Input(SHAPE)
    for layer in random:
        h = layer(h)
    if base:
        inner = keras.Input(h.shape[1:])
        inside = layers.Conv2D(4, 3, activation="relu", name="convolution")(inner)
        inside = layers.BatchNormalization()(layers.Dropout(0.2)(inside))
        frozen = keras.Model(inner, inside, name="base")
        frozen.trainable = False
        h = frozen(h)
    h = layers.Dense(4, activation="relu", name="head")(layers.GlobalAveragePooling2D()(h))
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


def compiled():
    return {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"}


def shared(population):
    return {layer.plan.path for layer in population.stacked if layer.plan.shared}


LAYERS = {
    "flip": lambda: layers.RandomFlip(),
    "rotation": lambda: layers.RandomRotation(0.2),
    "zoom": lambda: layers.RandomZoom(0.2),
    "translation": lambda: layers.RandomTranslation(0.2, 0.1),
    "crop": lambda: layers.RandomCrop(6, 6),
    "contrast": lambda: layers.RandomContrast(0.3),
    "brightness": lambda: layers.RandomBrightness(0.2, value_range=(0, 1)),
    "noise": lambda: layers.GaussianNoise(0.1),
    "dropout": lambda: layers.Dropout(0.3),
    "resizing": lambda: layers.Resizing(6, 6),
    "center": lambda: layers.CenterCrop(6, 6),
    "rescaling": lambda: layers.Rescaling(0.5, 0.1),
}
FAST = ("flip",)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in LAYERS]
)
def test_members_are_their_ordinary_models(name):
    x, y = data(SHAPE, samples=24)
    model = augmented(LAYERS[name]())
    fitted = {"x": x, "y": y, "validation_data": (x, y)}
    if name == "crop":  # Keras' own does not crop in validation
        del fitted["validation_data"]
    population = check(model, ["relu", "prelu"], compiled, fitted, seeds=2, rtol=2e-4)
    assert len(shared(population)) == len(model.layers) - 4 + 3


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", ["seed", False])
def test_several_random_layers_and_branches(shuffle):
    """With a seed of its own, which is the same in all members; and members that see other orders."""
    x = keras.Input(SHAPE)
    common = layers.RandomFlip(seed=3)(x)
    own = layers.RandomRotation(0.1)(layers.RandomContrast(0.2)(common))
    h = layers.Concatenate()([common, own, layers.GaussianNoise(0.1)(x)])
    h = layers.Conv2D(3, 3, trainable=False)(h)
    h = layers.Dense(4, activation="relu")(layers.Flatten()(h))
    model = keras.Model(x, layers.Dense(3, activation="softmax")(h))
    values, y = data(SHAPE, samples=24)
    population = PopulationModel(model, ["relu", "tanh"], seeds=3)
    population.compile(**compiled())
    population.fit(values, y, batch_size=8, epochs=2, shuffle=shuffle, verbose=0)
    for member in (1, 5):
        alone = PopulationModel(model, ["relu", "tanh"], seeds=3).model(member)
        alone.compile(**compiled())
        if shuffle == "seed":
            keras.utils.set_random_seed(population.members[member].seed)
        alone.fit(values, y, batch_size=8, epochs=2, shuffle=shuffle == "seed", verbose=0)
        pairs = zip(alone.get_weights(), population.model(member).get_weights(), strict=True)
        for expected, value in pairs:
            np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-5)


def test_in_inference_all_members_see_the_same_once():
    model = augmented(layers.RandomFlip(), layers.RandomRotation(0.3))
    population = PopulationModel(model, ["relu"], seeds=2)
    x, _ = data(SHAPE, samples=4)
    outputs = keras.ops.convert_to_numpy(population(x, training=False))
    for member in (0, 1):
        expected = population.model(member)(x, training=False)
        np.testing.assert_allclose(outputs[member], expected, rtol=1e-4, atol=1e-6)


def test_a_diverged_member_stops_no_neighbours_random_numbers():
    """The first of a seed's members, whose state would be the one that is read."""
    x, y = data(SHAPE, samples=16)
    model = augmented(layers.GaussianNoise(0.5))

    def trained(diverged):
        population = PopulationModel(model, ["relu", "relu"])
        population.compile(**compiled())
        if diverged:
            population.healthy.assign([0, 1])
        population.fit(x, y, batch_size=4, shuffle=False, verbose=0)
        return population.model(1).get_weights()

    for value, expected in zip(trained(True), trained(False), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_members_that_leave_join_and_are_restored_draw_on():
    x, y = data(SHAPE, samples=16)
    fitted = {"x": x, "y": y, "batch_size": 8, "shuffle": False, "verbose": 0}

    def made():
        population = PopulationModel(augmented(layers.GaussianNoise(0.5)), ["relu", "tanh"], 2)
        population.compile(**compiled())
        return population

    whole = made()
    whole.fit(**fitted, epochs=3, callbacks=[BestWeights("loss", restore=False)])
    some_left = PopulationModel.join([(whole, [3]), (whole, [0])])
    whole.fit(**fitted)
    some_left.fit(**fitted)
    for member, of_whole in ((0, 3), (1, 0)):
        pairs = zip(
            some_left.model(member).get_weights(), whole.model(of_whole).get_weights(), strict=True
        )
        for value, expected in pairs:
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


def test_what_a_user_wrote_or_trains_is_no_part_of_it():
    class Mine(layers.RandomFlip):
        pass

    model = augmented(layers.RandomFlip(), layers.Pipeline([Mine()]))
    assert frozen_prefix(model, ["head"]) == {model.layers[1].name}
    trained = augmented(layers.GaussianNoise(0.1), base=False)
    names = [layer.name for layer in trained.layers]
    assert frozen_prefix(trained, ["head"]) == set(names[1:3])


def test_what_a_layer_feeds_that_is_called_again_later_is_no_part_of_it():
    """The second call shows that the layer does not run once for all, nor then what it fed first."""
    inputs = keras.Input((4,))
    twice = layers.Dense(4, trainable=False, name="twice")
    after = layers.Dense(3, trainable=False, name="after")(twice(inputs))
    trained = twice(layers.Dense(4, activation="relu", name="head")(inputs))
    model = keras.Model(inputs, layers.Concatenate()([after, trained]))
    assert frozen_prefix(model, ["head"]) == set()
    population = PopulationModel(model, ["relu", "tanh"])
    x = np.ones((3, 4), "float32")
    np.testing.assert_allclose(population(x)[1], population.model(1)(x), rtol=1e-5)
