"""Members at learning rates of their own train as ordinary models at these rates do."""

from functools import partial

import keras
import numpy as np
import pytest

import keras_acts
from keras_acts.errors import ModelError
from keras_acts.search import PopulationModel, with_activations
from keras_acts.search.population.step_tensorflow import TrainingStep
from keras_acts.search.population.trainers import OneByOneTrainer, PopulationTrainer
from keras_acts.search.rewrite.compiling import compile_arguments
from keras_acts.search.rewrite.learning_rate import (
    at_factor,
    own_rate,
    scale_learning_rate,
    why_no_rates,
)
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(64)
FIT = {"batch_size": 16, "epochs": 2, "verbose": 0}
CHOICES = [
    Rated(Candidate.of("relu")),
    Rated(Candidate.of("mish"), 4.0),
    Rated(Candidate.of("relu"), 0.25),
]


def decayed(name):
    return getattr(keras.optimizers, name)(0.01, weight_decay=0.05)


def cosine():
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 6))


def decayed_cosine():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 6)
    return keras.optimizers.AdamW(schedule, weight_decay=0.1)


OPTIMIZERS = {
    "Adam": partial(decayed, "Adam"),
    "SGD": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.05),
    "schedule": cosine,
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "clipped": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.1),
}
for _name in ("AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion"):
    OPTIMIZERS[_name] = partial(decayed, _name)
_FAST = ("Adam", "schedule")


def compiled(optimizer):
    model = mlp()
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def alone(model, rated, **fit):
    """An ordinary model at a rate, trained from seed 5 on the batches of seed 7."""
    with isolated_seed(5):
        single = with_activations(model, rated.choice)
    scale_learning_rate(single.optimizer, rated.factor)
    with isolated_seed(7):
        single.fit(X, Y, **{**FIT, **fit})
    return single


def together(model, choices=CHOICES, **fit):
    population = PopulationModel(model, choices, seeds=[5])
    with isolated_seed(7):
        population.fit(X, Y, **{**FIT, **fit})
    return population


def assert_same(single, member, atol=2e-6):
    for expected, found in zip(single.get_weights(), member.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=atol)


@pytest.mark.parametrize(
    "name", [n if n in _FAST else pytest.param(n, marks=pytest.mark.slow) for n in OPTIMIZERS]
)
def test_a_member_equals_a_training_at_its_rate(name):
    model = compiled(OPTIMIZERS[name]())
    population = together(model)
    for index, rated in enumerate(CHOICES):
        single = alone(model, rated)
        member = population.model(index)
        assert_same(single, member)
        # what is kept goes on at the same rate
        rates = [float(one.optimizer.learning_rate) for one in (single, member)]
        assert rates[0] == rates[1]
    # nobody else's model is changed
    assert own_rate(model) in (None, 0.01, 0.05)


DECAYS = (0.3, 0.0, 0.05)


@pytest.mark.parametrize(
    "name",
    ["AdamW", *(pytest.param(n, marks=pytest.mark.slow) for n in ("SGD", "schedule_decayed"))],
)
def test_a_member_equals_a_training_with_its_weight_decay(name):
    optimizers = {**OPTIMIZERS, "schedule_decayed": decayed_cosine}
    model = compiled(optimizers[name]())
    population = PopulationModel(model, CHOICES, seeds=[5])
    # a program that was traced before the decays are given must not stay
    with isolated_seed(7):
        population.fit(X, Y, **FIT)
    population.restart(population.members)
    population.compile(**compile_arguments(model))
    population.set_weight_decays(DECAYS)
    with isolated_seed(7):
        population.fit(X, Y, **FIT)
    joined = PopulationModel.join([(population, [2, 0])])
    for index, (rated, decay) in enumerate(zip(CHOICES, DECAYS, strict=True)):
        with isolated_seed(5):
            single = with_activations(model, rated.choice)
        scale_learning_rate(single.optimizer, rated.factor)
        single.optimizer.weight_decay = decay
        with isolated_seed(7):
            single.fit(X, Y, **FIT)
        member = population.model(index)
        assert_same(single, member)
        assert member.optimizer.weight_decay == decay
        if index != 1:
            assert_same(single, joined.model((2, 0).index(index)))
    assert joined.model(0).optimizer.weight_decay == 0.05


def test_weight_decays_must_be_one_number_a_member():
    population = PopulationModel(compiled(decayed("Adam")), CHOICES, seeds=[5])
    for decays in ([0.1], [0.1, -0.1, 0.1], [0.1, np.nan, 0.1]):
        with pytest.raises(
            ModelError, match=r"one weight decay >= 0 for each of its 3 members\. Received"
        ):
            population.set_weight_decays(decays)
    without = PopulationModel(compiled("adam"), CHOICES, seeds=[5])
    with pytest.raises(ModelError, match=r"where the optimizer decays weights\. Received: Adam"):
        without.set_weight_decays(DECAYS)


def test_members_that_are_joined_keep_their_rates():
    model = compiled(decayed("Adam"))
    population = together(model)
    joined = PopulationModel.join([(population, [2, 1])])
    assert [member.factor for member in joined.members] == [0.25, 4.0]
    with isolated_seed(8):
        joined.fit(X, Y, **FIT)
    for index, rated in ((0, CHOICES[2]), (1, CHOICES[1])):
        single = alone(model, rated)
        with isolated_seed(8):
            single.fit(X, Y, **FIT)
        assert_same(single, joined.model(index))


def test_other_rates_train_in_the_program_that_is_there(monkeypatch):
    model = compiled(keras.optimizers.Adam(0.01))
    fit = {"x": X, "y": Y, "batch_size": 16, "epochs": 2}
    trainer = PopulationTrainer(model, CHOICES)
    list(trainer.train([5], fit))
    others = [Rated(rated.choice, factor) for rated, factor in zip(CHOICES, (2, 1, 8), strict=True)]
    trainer.become(others, [])
    with monkeypatch.context() as patched:
        # no program is traced for them
        patched.setattr(TrainingStep, "_trace", None)
        (trained,) = trainer.train([6], fit)
    builds = [
        at_factor(lambda: eager(with_activations(model, "relu")), factor) for factor in (2.0, 8.0)
    ]
    (alone,) = OneByOneTrainer(builds).train([6], fit)
    np.testing.assert_allclose(trained.history["loss"][:, [0, 2]], alone.history["loss"], rtol=1e-5)
    assert [member.factor for member in trainer._population.members] == [2, 1, 8]


@pytest.mark.slow
def test_where_all_trained_at_the_models_own_rate_others_are_traced():
    """One kernel updates all of them at one rate."""
    model = compiled(keras.optimizers.Adam(0.01))
    population = PopulationModel(model, [rated.choice for rated in CHOICES], seeds=[5])
    with isolated_seed(7):
        population.fit(X, Y, **FIT)
    initial = [np.zeros(variable.shape) for variable in population.optimizer.variables[2:]]
    population.restart(PopulationModel(model, CHOICES, seeds=[5]).members)
    population.optimizer.iterations.assign(0)
    for variable, value in zip(population.optimizer.variables[2:], initial, strict=True):
        variable.assign(value)
    with isolated_seed(7):
        population.fit(X, Y, **FIT)
    for index in (0, 1):
        assert_same(alone(model, CHOICES[index]), population.model(index))


@pytest.mark.slow
def test_a_callback_sets_rates_that_are_multiplied():
    model = compiled(keras.optimizers.Adam(0.01))
    told = []

    def halved(epoch, rate):
        told.append(rate)
        return rate / 2

    fit = {**FIT, "x": X, "y": Y, "validation_split": 0.25}
    fit["callbacks"] = [keras.callbacks.LearningRateScheduler(halved)]
    del fit["verbose"]
    (shared,) = PopulationTrainer(model, CHOICES).train([5], fit)
    builds = [
        at_factor(lambda rated=rated: with_activations(model, rated.choice), rated.factor)
        for rated in CHOICES
    ]
    told.clear()
    (single,) = OneByOneTrainer(builds, CHOICES).train([5], fit)
    np.testing.assert_allclose(shared.history["loss"], single.history["loss"], rtol=1e-5)
    # the user's function hears of the rate that the model would have by itself
    assert told == pytest.approx([0.01, 0.005] * 3)


def test_a_schedule_times_a_number_is_saved_with_its_model(tmp_path):
    model = compiled(cosine())
    scale_learning_rate(model.optimizer, 4.0)
    model.fit(X, Y, batch_size=64, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    schedule = loaded.get_compile_config()["optimizer"]["config"]["learning_rate"]
    assert schedule["class_name"] == "ScaledSchedule"
    assert float(loaded.optimizer.learning_rate) == float(model.optimizer.learning_rate)
    twice = keras_acts.ScaledSchedule(keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5), 2)
    assert [float(twice(step)) for step in range(3)] == [2.0, 1.0, 0.5]


def test_whose_rate_is_known():
    assert own_rate(compiled(keras.optimizers.Adam(0.001))) == 0.001
    assert own_rate(compiled(cosine())) is None
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    assert own_rate(mlp(), [scheduler]) is None
    assert why_no_rates(mlp()) == ""
    assert "without an optimizer" in why_no_rates(keras.Sequential([keras.layers.Dense(1)]))
    callable_rate = compiled(keras.optimizers.SGD(0.1))
    callable_rate.optimizer.learning_rate = lambda: 0.1
    assert "neither a number nor a schedule" in why_no_rates(callable_rate)
