"""Candidates inside layers that a user wrote: members are the ordinary models, and searches use the slots."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.search import (
    ActivationSpace,
    ActivationTuner,
    PopulationModel,
    compare_activations,
    export,
    load,
    search_activations,
    slots,
    with_activations,
)
from keras_acts.search.space.assignment import Assignment
from keras_acts.search.tuner.compatibility import inspect_model
from keras_acts.search.vectorize.batch import Batch
from keras_acts.search.vectorize.registry import forget, vectorizes
from tests.helpers.custom_layers import MODELS, ForgetsName, Stack, flat, register
from tests.helpers.populations import check, settings

CANDIDATES = ["relu", "prelu", "prelu(alpha=0.1)", "trelu(theta=0.2)"]


def batches(model, samples=24):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, *model.inputs[0].shape[1:])).astype("float32")
    return {"x": x, "y": rng.integers(0, 3, samples)}


# one that is quick, and more that take their time
NAMES = ("stack", "builds_inside", "mixer", "residual", "squeeze_excite", "forgets_argument")
MEMBERS = [pytest.param("head", "adam"), pytest.param("head", "sgd", marks=pytest.mark.slow)]
for each in NAMES:
    MEMBERS += [pytest.param(each, kind, marks=pytest.mark.slow) for kind in ("sgd", "adam")]


@pytest.mark.parametrize(("name", "optimizer"), MEMBERS)
def test_a_member_is_its_ordinary_model(name, optimizer, float64):
    model = MODELS[name]()
    population = check(model, CANDIDATES, settings(optimizer), batches(model))
    trained = population.model(1)
    alphas = [w for w in trained.trainable_variables if w.name == "alpha"]
    assert len(alphas) == len(slots(model).hidden)
    assert all(np.abs(np.asarray(alpha) - 0.25).max() > 0 for alpha in alphas)


@pytest.mark.slow
def test_members_with_others_in_each_slot(float64):
    model = MODELS["stack"]()
    first, second = "block/blocks/0/dense", "block/blocks/1/dense"
    candidates = [
        Assignment.of({first: "relu", second: "prelu"}),
        Assignment.of({first: "prelu", second: "relu"}),
        Assignment.of({first: "mish", second: "mish"}),
    ]
    check(model, candidates, settings("adam"), batches(model))


@pytest.mark.parametrize("kind", ["wrapper", pytest.param("both", marks=pytest.mark.slow)])
def test_trained_activations_inside_keras_own_layers_have_starts_of_their_own(kind, float64):
    made = {
        "wrapper": lambda: layers.TimeDistributed(layers.Dense(3, "tanh", name="dense")),
        "both": lambda: layers.Bidirectional(layers.SimpleRNN(3, name="simple")),
    }[kind]()
    model = flat(made, (3, 4))
    # where one is not trained, each is built for itself
    check(model, ["prelu", "prelu(alpha=0.1)"], settings("sgd"), batches(model))


def test_a_rule_of_a_users_does_not_run_what_it_does_not_know(float64):
    """It knows nothing of the activation inside, which is another in each member."""

    @vectorizes(Doubles)
    def doubles(call, x):
        return Batch(x.stacked() * 2, "stacked", x.members)

    try:
        model = flat(Doubles(4, name="block"))
        check(model, ["relu", "tanh"], settings("sgd"), batches(model))
    finally:
        forget(Doubles)


@register
class Doubles(ForgetsName):
    def call(self, x):
        return super().call(x) * 2


@pytest.fixture(scope="module")
def compiled():
    model = MODELS["builds_inside"]()
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


QUICK = {"validation_split": 0.25, "epochs": 2, "batch_size": 8, "verbose": 0, "seed": 0}


def test_a_search_tries_them_and_its_model_is_exported(compiled, tmp_path):
    given = batches(compiled, 40)
    result = search_activations(
        compiled, **given, activations=["relu", "prelu", "mish"], trials=3, verdict=0, **QUICK
    )
    assert set(result.to_pandas()["activation"]) == {"mish", "prelu", "relu"}
    for candidate in ("prelu", result.best):
        model = with_activations(compiled, candidate)
        exported = export(model, tmp_path / "model", samples=given["x"], overwrite=True)
        assert exported.difference <= 1e-6
        loaded = load(tmp_path / "model")
        np.testing.assert_allclose(
            loaded(given["x"]), model.predict(given["x"], verbose=0), rtol=1e-5, atol=1e-6
        )
        where = {row["slot"]: row["activation"] for row in loaded.card["activations"]}
        assert where["block/wide"] == where["block/act"] == str(candidate).partition("(")[0]


@pytest.mark.slow
def test_a_search_for_each_layer_names_them(compiled):
    result = search_activations(
        compiled,
        **batches(compiled, 40),
        activations=ActivationSpace(["relu", "mish"], per="layer"),
        trials=4,
        verdict=0,
        **QUICK,
    )
    assert set(result.best) == {"block/wide", "block/act", "head"}


SAID = "relu in 'block' of class CallsKeras is left alone"


def calls_keras():
    """A model with a relu that no slot holds, and one that a slot does."""
    x = keras.Input((6,))
    h = MODELS["calls_keras"]().get_layer("block")(x)
    h = ForgetsName(4, name="mine")(h)
    model = keras.Model(x, layers.Dense(3, activation="softmax", name="out")(h))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    options = {"activations": ["relu", "mish"], **QUICK, "epochs": 1, "verbose": 1}
    return model, {**batches(model, 40), **options, "learning_rates": None}


def test_a_comparison_trains_them_and_says_what_is_left_alone(capfd):
    model, options = calls_keras()
    verdict = compare_activations(model, **options, seeds=2)
    assert "mish" in verdict.sentence
    assert SAID in capfd.readouterr().err


@pytest.mark.slow
def test_a_search_says_once_what_is_left_alone(capfd):
    model, options = calls_keras()
    search_activations(model, **options, trials=2, verdict=0)
    printed = capfd.readouterr().err
    assert printed.count(SAID) == 1
    # what is said first, before anything trains
    assert printed.splitlines()[1].startswith(SAID)


@pytest.mark.slow
def test_a_tuner_trains_them_together(compiled, tmp_path, capfd):
    given = batches(compiled, 40)
    scores = {}
    for population in ("auto", 1):
        tuner = ActivationTuner(
            compiled,
            activations=["relu", "prelu", "mish"],
            objective="val_loss",
            max_trials=3,
            population=population,
            directory=tmp_path,
            project_name=f"{population}",
        )
        tuner.search(**given, validation_split=0.25, epochs=2, batch_size=8, verbose=0)
        trials = tuner.oracle.get_best_trials(3)
        scores[population] = {str(trial.hyperparameters.values): trial.score for trial in trials}
        best = tuner.get_best_models(1)[0]
        assert {slot.current for slot in slots(best).hidden} == {str(slots(best).hidden[0].current)}
    assert "Training one by one" not in capfd.readouterr().err
    assert scores["auto"] == pytest.approx(scores[1], rel=1e-4)


def test_what_differs_inside_only_may_share_a_population():
    """As a search sees the models that a user's function builds."""
    keys = set()
    for name in ("relu", "mish", "elu"):
        model = with_activations(MODELS["stack"](), name)
        model.compile("sgd", "sparse_categorical_crossentropy")
        inspected = inspect_model(model)
        assert {candidate.name for candidate in inspected.activations} == {name}
        keys.add(inspected.key)
    assert len(keys) == 1
    other = with_activations(flat(Stack(4, depth=3, name="block")), "relu")
    other.compile("sgd", "sparse_categorical_crossentropy")
    assert inspect_model(other).key not in keys


@pytest.mark.slow
def test_a_population_of_a_rewritten_model(float64):
    """Its slots have been exchanged before."""
    model = with_activations(MODELS["stack"](), "mish")
    population = PopulationModel(model, ["mish", "tanh"])
    assert [slot.current for slot in slots(population.model(1)).hidden] == ["tanh"] * 3
    check(model, ["mish", "prelu"], settings("sgd"), batches(model))
