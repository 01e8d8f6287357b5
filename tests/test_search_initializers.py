"""Searches, comparisons and populations whose kernels are initialized for the activation that they feed."""

import json
import math

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import (
    ActivationSpace,
    PopulationModel,
    compare_activations,
    search_activations,
    with_activations,
)
from keras_acts.search.population.trainers import OneByOneTrainer
from keras_acts.search.race.runner import RaceSearch, race_in
from keras_acts.search.rewrite.slots import slots
from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed
from keras_acts.search.space.assignment import Assignment, SlotGroup
from keras_acts.search.space.candidate import Candidate
from keras_acts_cli import main
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(120)
TRAIN = (X[:90], Y[:90])
TEST = (X[90:], Y[90:])
NAMES = ["relu", "mish", "prelu", "tanh"]
SHORT = {"epochs": 2, "batch_size": 15, "objective": "val_loss", "verbose": 0}


def cnn():
    """A CNN whose kernels have another distribution each, one with a seed of its own, and one no gain."""
    he = keras.initializers.HeNormal(seed=3)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(3, 2, activation="relu", kernel_initializer=he),
            keras.layers.Conv2D(4, 2, kernel_initializer="lecun_normal"),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(5, "relu", kernel_initializer="orthogonal"),
            keras.layers.Dense(5, "relu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def orthogonal():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", kernel_initializer="orthogonal"),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def frozen():
    """A model whose activation sees a kernel that is not trained."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, trainable=False),
            keras.layers.Activation("relu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def mixed(model):
    """An activation of its own in each slot."""
    names = [slot.name for slot in slots(model).hidden]
    pairs = zip(names, NAMES[1:] + NAMES[:1], strict=False)
    return Assignment(tuple((SlotGroup(name, (name,)), Candidate.of(each)) for name, each in pairs))


def alone(model, candidate, seed):
    with isolated_seed(seed):
        return with_activations(model, candidate, rescale_init=True)


def assert_same(model, other):
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    for value, expected in pairs:
        np.testing.assert_array_equal(value, expected)


def scales(model):
    """The scale of each initializer that has one."""
    found = []
    for layer in model.layers:
        config = getattr(layer, "kernel_initializer", None)
        found.append(config and config.get_config().get("scale"))
    return found


@pytest.mark.parametrize("make", [mlp, cnn])
def test_a_member_starts_as_the_ordinary_model_with_these_initializers(make):
    model = make()
    population = PopulationModel(model, NAMES, seeds=[0, 7], rescale_init=True)
    for index, member in enumerate(population.members):
        expected = alone(model, member.candidate, member.seed)
        one = population.model(index)
        assert_same(one, expected)
        assert scales(one) == scales(expected)
    # also as another seed, and as a part of another population
    population.restart([type(m)(m.candidate, m.seed + 1) for m in population.members])
    population = population.select([3, 2])
    assert_same(population.model(0), alone(model, "mish", 8))
    assert_same(population.model(1), alone(model, "mish", 1))


def test_members_with_an_activation_for_each_slot_do_too():
    model = cnn()
    choice = mixed(model)
    others = choice
    for group, _ in choice.groups:
        others = others.with_choice(group, Candidate.of("tanh"))
    population = PopulationModel(model, [choice, others], rescale_init=True)
    assert_same(population.model(0), alone(model, choice, 0))
    assert_same(population.model(1), alone(model, "tanh", 0))


def test_activations_have_other_kernels_only_if_asked():
    model = mlp()
    for rescaled in (False, True):
        population = PopulationModel(model, ["relu", "tanh"], rescale_init=rescaled)
        relu, tanh = (population.model(index).get_weights()[0] for index in range(2))
        ratio = np.abs(tanh / relu)
        expected = 1.0
        if rescaled:
            expected = 1.5925374 / math.sqrt(2)
        np.testing.assert_allclose(ratio, expected, rtol=1e-4)


def test_populations_of_different_initializers_do_not_join():
    model = mlp()
    parts = [PopulationModel(model, ["relu"], rescale_init=each) for each in (False, True)]
    with pytest.raises(ModelError, match="of one model"):
        PopulationModel.join([(part, [0]) for part in parts])


@pytest.fixture(scope="module")
def verdict():
    return compare_activations(
        mlp(),
        *TRAIN,
        ["relu", "mish", "tanh"],
        test_data=TEST,
        seeds=2,
        looks=1,
        learning_rates=None,
        rescale_init=True,
        **SHORT,
    )


@pytest.mark.slow
def test_a_comparison_trains_ordinary_models_with_these_initializers(verdict):
    model = mlp()
    fit = {"x": TRAIN[0], "y": TRAIN[1], "validation_split": 0.2, "batch_size": 15, "epochs": 2}
    names = ["relu", "mish", "tanh"]

    def build(name):
        model_of_name = with_activations(model, name, rescale_init=True)
        return eager(model_of_name)

    builds = [lambda name=name: build(name) for name in names]
    seed = derive(0, Stream.VERDICT, 0)
    (trained,) = OneByOneTrainer(builds).train([seed], fit)
    frame = verdict.to_pandas()
    first = frame[frame["seed"] == frame["seed"].iloc[0]]
    for index, name in enumerate(names):
        losses = first[first["activation"] == name]["val_loss"]
        np.testing.assert_allclose(losses, trained.history["val_loss"][:, index], rtol=1e-5)


@pytest.mark.once
def test_a_verdict_says_so(verdict):
    assert "has kernels initialized for it" in str(verdict)
    assert verdict.to_dict()["rescale_init"] is True


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    options = {
        "activations": ["mish", "tanh"],
        "trials": 3,
        "verdict": 0,
        "learning_rates": None,
        "directory": folder,
        **SHORT,
    }
    model = mlp()
    return model, options, search_activations(model, *TRAIN, rescale_init=True, **options)


@pytest.mark.once
def test_the_kept_model_of_a_race_has_them_and_the_report_says_so(found):
    model, _, result = found
    assert scales(result.model) == scales(alone(model, result.best, 0))
    assert str(result).count("has kernels initialized for it") == 1
    assert result.card()["search"]["rescale_init"] is True
    assert result.to_dict()["rescale_init"] is True


@pytest.mark.once
def test_a_kept_search_goes_on_with_the_initializers_it_began_with(found):
    model, options, _ = found
    with pytest.raises(SearchError, match=r"Expected: rescale_init=True. Received: .*nothing"):
        search_activations(model, *TRAIN, **options)


def test_a_race_scores_ordinary_trainings_with_them():
    model = mlp()
    fit = {"x": TRAIN[0], "y": TRAIN[1], "validation_split": 0.2, "batch_size": 15}
    space = ActivationSpace(["mish"]).with_baseline("relu")
    race = RaceSearch(
        model,
        race_in(space, 2, 1, 2, 0),
        "val_loss",
        fit,
        hyperparameters=space.hyperparameters,
        rescale_init=True,
    )
    race.run()
    for row in race.results():
        build = race.builder(row.rated)
        assert scales(build()) == scales(alone(model, row.candidate, 0))
    first = race.results()[0]
    seed = derive(0, Stream.INITIAL, 0)
    with isolated_seed(seed):
        ordinary = eager(race.builder(first.rated)())
    with isolated_seed(derive(0, Stream.BATCHES, 0)):
        losses = ordinary.fit(**fit, epochs=1, verbose=0).history["val_loss"]
    (best,) = [
        run.best
        for member, run in race._cohorts.runs.items()
        if member.seed == seed and member.rated == first.rated
    ]
    assert best == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "random", "verdict": 2},
        {"activations": ActivationSpace(["mish", "tanh"], per="layer"), "verdict": 2},
        {"strategy": "random", "population": 1, "verdict": 0},
    ],
    ids=["trials", "layers", "one by one"],
)
def test_the_kept_model_of_any_search_has_them(options):
    model = mlp()
    few = {"activations": ["mish", "tanh"], "trials": 3, "learning_rates": None, **SHORT}
    result = search_activations(
        model, *TRAIN, test_data=TEST, rescale_init=True, **{**few, **options}
    )
    assert scales(result.model) == scales(alone(model, result.best, 0))
    # three trials are too few to try changes of single layers, and the search says so
    assert set(result.errors) <= {"no changes"}
    assert str(result).count("has kernels initialized for it") == 1


def two(hp, activation):
    return mlp(activation)


def own(hp):
    return mlp()


@pytest.mark.parametrize(
    ("model", "rescale_init", "message"),
    [
        (two, True, "its own initializers"),
        (orthogonal, True, "would change nothing"),
        (frozen, True, "would change nothing"),
        (mlp, "both", "must be True or False"),
        (mlp, 1, "must be True or False"),
    ],
)
def test_where_it_is_impossible_it_is_refused(model, rescale_init, message):
    if model is not two:
        model = model()
    with pytest.raises(SearchError, match=message):
        search_activations(
            model, *TRAIN, trials=2, rescale_init=rescale_init, learning_rates=None, **SHORT
        )
    if model is not two:
        with pytest.raises(SearchError, match=message):
            compare_activations(
                model, *TRAIN, ["relu", "mish"], rescale_init=rescale_init, seeds=2, **SHORT
            )


@pytest.mark.slow
def test_a_function_that_builds_a_model_may_have_them():
    result = search_activations(
        own,
        *TRAIN,
        activations=["mish"],
        trials=2,
        verdict=2,
        rescale_init=True,
        learning_rates=None,
        **SHORT,
    )
    assert scales(result.model) == scales(alone(mlp(), result.best, 0))


@pytest.mark.slow
@pytest.mark.once
def test_the_command_line_has_them(tmp_path):
    data = tmp_path / "data.npz"
    np.savez(data, x=X, y=Y)
    options = "--activations relu,mish --seeds 2 --looks 1 --epochs 1 --learning-rates none"
    arguments = ["compare", "--data", str(data), *options.split(), "--rescale-init", "--json"]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["rescale_init"] is True
