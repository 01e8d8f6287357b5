"""A model that trains, tests or computes in its own way does so wherever it is searched, or is refused."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from keras_acts.errors import DataError, ModelError
from keras_acts.search import (
    ActivationTuner,
    Candidate,
    PopulationModel,
    compare_activations,
    search_activations,
    slots,
    with_activations,
)
from keras_acts.search.population.trainers import OneByOneTrainer, trainer_for
from keras_acts.search.race.runner import why_one_by_one
from keras_acts.search.rewrite.own_training import own_methods
from keras_acts.search.space.space import ActivationSpace
from keras_acts.search.strategy.checks import check_targets
from tests.helpers.models import blobs

X, Y = blobs(48)


def built(kind, **options):
    x = keras.Input((4,), name="in")
    y = layers.Dense(3, "softmax", name="out")(layers.Dense(5, "relu", name="hidden")(x))
    return kind(x, y, **options)


def compiled(model):
    model.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def overriding(name, base=keras.Model):
    """A class with one method of its own, which does what Keras' does."""

    def method(self, *args, **kwargs):
        return getattr(base, name)(self, *args, **kwargs)

    return type("Mine", (base,), {name: method})


METHODS = (
    *(
        "train_step",
        "test_step",
        "predict_step",
        "compute_loss",
        "compute_metrics",
        "call",
        "__call__",
        "fit",
    ),
    *(
        "evaluate",
        "predict",
        "compile",
        "make_train_function",
        "get_metrics_result",
        "reset_metrics",
    ),
)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_seen(name):
    for model in (
        built(overriding(name)),
        overriding(name, keras.Sequential)([keras.Input((4,)), layers.Dense(2)]),
    ):
        assert own_methods(model) == [name]


def test_what_changes_nothing_in_training_is_not():
    class Named(keras.Model):
        """A class with names of its own."""

        factor: float = 2.0

        def describe(self):
            return f"{self.name} {self.factor}"

        def get_config(self):
            return {**super().get_config(), "factor": 2.0}

    for kind in (keras.Model, Named):
        model = compiled(built(kind))
        model.fit(X, Y, verbose=0)
        model.predict(X, verbose=0)
        assert own_methods(model) == []
    sequential = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert own_methods(sequential) == []
    sequential.train_step = lambda data: {}
    assert own_methods(sequential) == ["train_step"]
    assert own_methods(
        built(type("Metrics", (keras.Model,), {"metrics": property(lambda self: [])}))
    ) == ["metrics"]


class Doubled(keras.Model):
    """The loss is twice what it is compiled with."""

    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


@pytest.mark.parametrize(
    "name", ["train_step", "compute_loss", "test_step", "compute_metrics", "call"]
)
def test_no_population_ignores_it(name):
    model = compiled(built(overriding(name)))
    with pytest.raises(
        ModelError, match=f"trains by itself. Received: .* of class Mine with its own {name}$"
    ):
        PopulationModel(model, ["relu", "mish"])
    space = ActivationSpace(["relu", "mish"])
    assert "of class Mine" in why_one_by_one(model, space, {"x": X, "y": Y})
    assert type(with_activations(model, "mish")) is type(model)


def test_nor_that_of_a_model_inside():
    inner = built(overriding("call"), name="inner")
    x = keras.Input((4,))
    middle = keras.Model(x, inner(x), name="middle")
    z = keras.Input((4,))
    model = keras.Model(z, layers.Dense(2)(layers.Dense(3, "relu")(middle(z))))
    with pytest.raises(
        ModelError, match="Received: 'middle/inner' of class Mine with its own call"
    ):
        PopulationModel(model, ["relu", "mish"])
    assert type(with_activations(model, "mish").get_layer("middle").get_layer("inner")) is type(
        inner
    )


def test_it_trains_one_by_one_as_what_it_is():
    model = compiled(built(Doubled))
    trainer = trainer_for(model, [Candidate.of("relu")], [lambda: with_activations(model, "relu")])
    assert isinstance(trainer, OneByOneTrainer)
    fit = {"x": X, "y": Y, "batch_size": 48, "epochs": 2}
    (doubled,) = trainer.train([3], fit)
    plain = compiled(built(keras.Model))
    faster = trainer_for(plain, [Candidate.of("relu")], [lambda: with_activations(plain, "relu")])
    (ordinary,) = faster.train([3], fit)
    np.testing.assert_allclose(
        doubled.history["loss"][0], 2 * ordinary.history["loss"][0], rtol=1e-5
    )
    assert doubled.history["loss"][1] < 2 * ordinary.history["loss"][1]  # of twice the gradient


@pytest.mark.slow
def test_a_verdict_and_a_search_train_it_as_what_it_is(tmp_path):
    class Still(keras.Model):
        def train_step(self, data):
            return {"loss": keras.ops.zeros(())}

    model = built(Still)
    model.compile("sgd", "sparse_categorical_crossentropy")
    runs = compare_activations(
        model, X, Y, ["relu", "mish"], epochs=2, seeds=2, looks=1, verbose=0, learning_rates=None
    ).runs
    np.testing.assert_array_equal(runs.history["loss"], 0)
    np.testing.assert_array_equal(runs.history["val_loss"][:, 0], runs.history["val_loss"][:, 1])
    tuner = ActivationTuner(
        model, objective="loss", max_trials=2, activations=["relu", "mish"], directory=tmp_path
    )
    tuner.search(X, Y, epochs=1, verbose=0)
    assert [trial.score for trial in tuner.oracle.trials.values()] == [0.0, 0.0]


class Chain(keras.Sequential):
    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


class OfSizes(keras.Sequential):
    """Another constructor, and nothing else."""

    def __init__(self, units):
        super().__init__(
            [keras.Input((4,)), layers.Dense(units, "relu", name="hidden"), layers.Dense(3)]
        )
        self.units = units


class OfSizesDoubled(OfSizes):
    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


class FunctionalOfSizes(keras.Model):
    def __init__(self, units):
        x = keras.Input((4,))
        super().__init__(x, layers.Dense(3)(layers.Dense(units, "relu", name="hidden")(x)))


class FunctionalOfSizesDoubled(FunctionalOfSizes):
    def test_step(self, data):
        return {"loss": 0.0}


def test_a_subclass_keeps_its_class_or_is_refused():
    layers_ = [keras.Input((4,)), layers.Dense(5, "relu", name="hidden"), layers.Dense(3)]
    for model in (Chain(layers_, name="chain"), OfSizes(5), FunctionalOfSizes(5)):
        copy = with_activations(model, "tanh", weights=True)
        assert type(copy) is type(model)
        assert copy.name == model.name
        assert [layer.name for layer in copy.layers][-2:] == [layer.name for layer in model.layers][
            -2:
        ]
        assert [slot.current for slot in slots(copy)] == ["tanh"]
        assert copy.get_layer("hidden").output.shape == (None, 5)
    assert own_methods(OfSizes(5)) == []
    PopulationModel(OfSizes(5), ["relu", "tanh"])
    for kind, method in ((OfSizesDoubled, "compute_loss"), (FunctionalOfSizesDoubled, "test_step")):
        with pytest.raises(
            ModelError,
            match=f"by its constructor, .*of class {kind.__name__} with its own {method}",
        ):
            with_activations(kind(5), "tanh")


def test_what_cannot_be_copied_is_refused_before_training():
    model = built(keras.Model)
    model.train_step = lambda data: {}
    with pytest.raises(
        ModelError, match=r"not those that were set on the model itself.*with its own train_step"
    ):
        with_activations(model, "mish")
    own = built(overriding("compile"))
    own.compile("sgd", "mse")
    with pytest.raises(ModelError, match=r"compile\(\) of its own cannot be compiled again"):
        with_activations(own, "mish")


class Compares(keras.Model):
    """An autoencoder of its own: it compares with its inputs, and says so in words of its own."""

    def train_step(self, data):
        before = self.trainable_variables[0][0, 0] + 0
        self.trainable_variables[0].assign(0.9 * self.trainable_variables[0])
        return {"distance": keras.ops.abs(before)}

    def test_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return {"distance": keras.ops.mean(keras.ops.abs(self(x)[:, 0] - x[:, 0]))}


def comparing(kind):
    model = built(kind)
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def test_targets_are_wanted_by_what_trains_and_tests_as_keras_does():
    trains, tests = overriding("train_step"), overriding("test_step")
    for kind in (keras.Model, tests):
        with pytest.raises(DataError, match="y must be given where x is of arrays"):
            check_targets(comparing(kind), X, None)
    for data in (None, X, (X,), (X, None)):
        with pytest.raises(DataError, match=r"validation_data must be \(x, y\).* own train_step$"):
            check_targets(comparing(trains), X, None, data)
        for kind in (Compares, overriding("compute_loss")):
            check_targets(comparing(kind), X, None, data)
    check_targets(comparing(trains), X, None, (X, Y))


def test_a_model_that_logs_no_loss_is_trained_one_by_one():
    def lost():
        model = comparing(Compares)
        model.trainable_variables[0].assign(np.full((4, 5), np.nan))
        return model

    (trained,) = OneByOneTrainer([lost, lambda: comparing(Compares)]).train(
        [0], {"x": X, "epochs": 1}
    )
    assert set(trained.history) == {"distance"}
    assert trained.diverged.tolist() == [True, False]


@pytest.mark.slow
def test_a_model_that_wants_no_targets_is_compared_and_searched():
    options = {"epochs": 2, "verbose": 0, "objective": keras_tuner.Objective("val_distance", "min")}
    runs = compare_activations(
        comparing(Compares),
        X,
        None,
        ["relu", "mish"],
        seeds=2,
        looks=1,
        **options,
        learning_rates=None,
    ).runs
    assert set(runs.history) == {"distance", "val_distance"}
    assert not runs.diverged.any()
    found = search_activations(
        comparing(Compares),
        X,
        activations=["mish"],
        trials=2,
        verdict=2,
        **options,
        learning_rates=None,
    )
    assert {t.status for t in found.trials} == {"completed"}
    assert found.errors == {}
    assert found.verdict.runs is not None
