"""Checkpoints: byte for byte the files that Keras writes."""

import keras
import numpy as np

from keras_acts.search import with_activations
from keras_acts.search.tuner import checkpoints as checkpoints_module
from keras_acts.search.tuner.checkpoints import Checkpoints, save_weights


def everything():
    """A model with trained activations, statistics, random numbers, whole numbers and an optimizer's state."""
    layers = [
        keras.layers.Dense(6, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5, seed=1),
        keras.layers.Dense(3),
    ]
    model = with_activations(keras.Sequential([keras.Input((4,)), *layers]), "prelu")
    model.compile("adam", "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def variables(model):
    return list({id(v): v for v in (*model.variables, *model.optimizer.variables)}.values())


def contents(model, seed):
    rng = np.random.default_rng(seed)
    return [(v, np.asarray(rng.integers(0, 9, v.shape), v.dtype)) for v in variables(model)]


def assert_files(model, folder, count=4):
    """The files are those that Keras writes of the model with those values."""
    checkpoints = Checkpoints(model)
    for index in range(count):
        checkpoints.write(str(folder / f"{index}.weights.h5"), contents(model, index))
    for index in range(count):
        for variable, value in contents(model, index):
            variable.assign(value)
        model.save_weights(folder / "keras.weights.h5")
        assert (folder / f"{index}.weights.h5").read_bytes() == (
            folder / "keras.weights.h5"
        ).read_bytes()


def test_many_files_of_a_model_are_copies_with_other_values(tmp_path, monkeypatch):
    model, saved = everything(), []
    save = keras.Model.save_weights
    monkeypatch.setattr(
        keras.Model,
        "save_weights",
        lambda self, path, *rest: (saved.append(path), save(self, path)),
    )
    checkpoints = Checkpoints(model)
    for index in range(6):
        checkpoints.write(str(tmp_path / f"{index}.weights.h5"), contents(model, index))
    assert len(saved) == 2
    monkeypatch.undo()
    assert_files(model, tmp_path)


def test_the_pattern_leaves_the_model_as_it_is(tmp_path):
    model = everything()
    checkpoints = Checkpoints(model)
    for index in range(3):
        checkpoints.write(str(tmp_path / f"{index}.weights.h5"), contents(model, index))
        for variable, value in contents(model, 0):
            np.testing.assert_array_equal(variable, value)


def test_what_is_not_among_the_contents_keeps_its_value(tmp_path):
    model = everything()
    first, *others = variables(model)
    checkpoints = Checkpoints(model)
    for index in range(3):
        checkpoints.write(
            str(tmp_path / f"{index}.weights.h5"),
            [(v, value) for v, value in contents(model, index) if v is not first],
        )
    expected = np.array(first)
    model.load_weights(tmp_path / "2.weights.h5")
    np.testing.assert_array_equal(first, expected)
    saved = {id(v) for v in others if "seed_generator" not in v.path}  # those Keras does not save
    for variable, value in contents(model, 2):
        if id(variable) in saved:
            np.testing.assert_array_equal(variable, value)


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Dense):
    """A layer that keeps something else than its weights."""

    def save_own_variables(self, store):
        """Save twice the weights."""
        for index, variable in enumerate(self.weights):
            store[str(index)] = 2 * np.asarray(variable)


def test_a_layer_that_saves_in_its_own_way_is_saved_by_keras(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Doubled(3), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    assert_files(model, tmp_path)


class Switched(keras.layers.Layer):
    """A layer with a switch and a small number, whose values are hardly alone in a file."""

    def build(self, shape):
        """Make them."""
        self.switch = self.add_weight(shape=(), dtype="bool", initializer="zeros", trainable=False)
        self.switches = self.add_weight(
            shape=(3,), dtype="bool", initializer="zeros", trainable=False
        )
        self.small = self.add_weight(shape=(), dtype="int8", initializer="zeros", trainable=False)

    def call(self, x):
        """Nothing."""
        return x


def test_values_that_are_not_alone_in_a_file(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Switched(), keras.layers.Dense(2), Switched()])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    assert_files(model, tmp_path, count=6)


def test_no_place_for_another_file_costs_nothing(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoints_module.tempfile, "TemporaryDirectory", full)
    assert_files(everything(), tmp_path)


def test_one_file_is_that_of_keras(tmp_path):
    model = everything()
    save_weights(model, str(tmp_path / "ours.weights.h5"))
    model.save_weights(tmp_path / "keras.weights.h5")
    assert (tmp_path / "ours.weights.h5").read_bytes() == (
        tmp_path / "keras.weights.h5"
    ).read_bytes()
