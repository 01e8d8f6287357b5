"""The hypermodel in KerasTuner's own tuners, with the user's own hyperparameters, and with groups of slots."""

import json

import keras
import keras_tuner
import pytest

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import (
    ActivationHyperModel,
    ActivationSpace,
    ActivationTuner,
    Assignment,
    Candidate,
    activation_choice,
    search_activations,
    slots,
)
from keras_acts.search.rewrite.groups import block, groups
from tests.helpers.models import blobs, eager, mlp
from tests.helpers.zoo import ZOO

X, Y = blobs()
SPLIT = int(len(X) * 0.7)
ACTIVATIONS = ["relu", "leaky_relu", "prelu"]


def build(hp):
    """A function as KerasTuner's users have it.

    It knows nothing of activations that are searched.
    """
    model = keras.Sequential([keras.Input((4,))])
    for number in range(2):
        model.add(
            keras.layers.Dense(
                hp.Int("units", 4, 8, step=4), activation="tanh", name=f"hidden{number}"
            )
        )
    model.add(keras.layers.Dense(3, activation="softmax", name="out"))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def run(tuner, **options):
    tuner.search(
        X[:SPLIT], Y[:SPLIT], epochs=1, validation_data=(X[SPLIT:], Y[SPLIT:]), verbose=0, **options
    )
    return tuner


def hyperparameters(hypermodel, **values):
    """The hyperparameters of a build, with some values set."""
    hp = keras_tuner.HyperParameters()
    hypermodel.build(hp)
    hp.values.update({name.replace("__", "."): value for name, value in values.items()})
    return hp


TUNERS = {
    "RandomSearch": {"max_trials": 3, "seed": 1},
    "GridSearch": {"max_trials": 3, "seed": 1},
    "BayesianOptimization": {"max_trials": 4, "seed": 1, "num_initial_points": 2},
    "Hyperband": {"max_epochs": 3, "factor": 3, "seed": 1},
}


LATER = ["BayesianOptimization", "Hyperband"]


def slowly(values):
    return [pytest.param(*value, marks=pytest.mark.slow) for value in values]


def assert_the_best_model_scores_what_was_reported(tuner, searched):
    """All trials are completed, with these hyperparameters, and the best models are those of their trials."""
    trials = tuner.oracle.get_best_trials(100)
    assert len(trials) >= 3
    assert {trial.status for trial in trials} == {"COMPLETED"}
    for trial in trials:
        chosen = trial.hyperparameters.values
        own = {key for key in chosen if not key.startswith("tuner/")}
        assert own - {"act.leaky_relu.alpha"} == searched
        assert ("act.leaky_relu.alpha" in own) == (chosen["act"] == "leaky_relu")
    models = tuner.get_best_models(2)
    assert len(models) == 2
    for trial, model in zip(trials, models, strict=False):
        assert slots(model)[0].current == str(tuner.hypermodel.candidate(trial.hyperparameters))
        found = model.evaluate(X[SPLIT:], Y[SPLIT:], verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(trial.score, abs=1e-6)


# the others train those of a model in the test that resumes them
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "made_of"), [("GridSearch", "model"), *((name, "function") for name in TUNERS)]
)
def test_keras_tuners_tuners_finish_and_report_what_the_best_model_scores(tmp_path, name, made_of):
    hypermodel = ActivationHyperModel(
        eager(mlp()) if made_of == "model" else lambda hp: eager(build(hp)), ACTIVATIONS
    )
    tuner = run(
        getattr(keras_tuner, name)(hypermodel, "val_accuracy", directory=tmp_path, **TUNERS[name])
    )
    assert_the_best_model_scores_what_was_reported(
        tuner, {"act"} if made_of == "model" else {"act", "units", "rate"}
    )


# GridSearch is not here: KerasTuner 1.4 cannot resume it, with any hypermodel
@pytest.mark.parametrize("name", ["RandomSearch", *slowly((name,) for name in LATER)])
def test_keras_tuners_tuners_finish_resume_and_report_what_the_best_model_scores(tmp_path, name):
    begun = []

    class Interrupt(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            begun.append(1)
            if len(begun) == 3:
                raise KeyboardInterrupt

    def tuner():
        hypermodel = ActivationHyperModel(eager(mlp()), ACTIVATIONS)
        return getattr(keras_tuner, name)(
            hypermodel, "val_accuracy", directory=tmp_path, **TUNERS[name]
        )

    first = tuner()
    with pytest.raises(KeyboardInterrupt):
        run(first, callbacks=[Interrupt()])
    scores = {i: trial.score for i, trial in first.oracle.trials.items() if trial.score is not None}
    resumed = run(tuner())
    trials = resumed.oracle.trials
    assert len(scores) == 2
    assert {i: trials[i].score for i in scores} == scores
    assert len(trials) >= 3
    assert {trial.status for trial in trials.values()} == {"COMPLETED"}
    assert_the_best_model_scores_what_was_reported(resumed, {"act"})


def test_the_users_function_is_rewritten():
    hypermodel = ActivationHyperModel(build, ACTIVATIONS)
    model = hypermodel.build(hyperparameters(hypermodel, act="prelu", units=8))
    assert [(slot.current, slot.channels) for slot in slots(model)] == [
        ("prelu", 8),
        ("prelu", 8),
        ("softmax", 3),
    ]
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)


def test_one_activation_for_each_layer():
    hypermodel = ActivationHyperModel(mlp(), ActivationSpace(["relu", "leaky_relu"], per="layer"))
    hp = hyperparameters(hypermodel)
    assert list(hp.values) == ["act.first", "act.second"]
    hp.values |= {"act.second": "leaky_relu", "act.second.leaky_relu.alpha": 0.25}
    assert str(hypermodel.candidate(hp)) == "first: relu, second: leaky_relu(alpha=0.25)"
    assert [slot.current for slot in slots(hypermodel.build(hp))] == [
        "relu",
        "leaky_relu(alpha=0.25)",
        "softmax",
    ]
    # where all groups agree, the candidate is one: the baseline is found again
    hp.values |= {"act.second": "relu"}
    assert hypermodel.candidate(hp) == Candidate.of("relu")


def test_sizes():
    assert ActivationHyperModel(mlp(), ["relu", "mish", "tanh"]).size == 3
    assert (
        ActivationHyperModel(mlp(), ActivationSpace(["relu", "mish", "tanh"], per="layer")).size
        == 9
    )


def test_groups_by_block():
    assert [
        block(n)
        for n in ("conv2_block1_1_relu", "block1a_expand_activation", "encoder/dense", "dense_1")
    ] == [*("conv2", "block1a", "encoder", "dense_1")]
    assert block("base/expanded_conv_3_expand") == "base/expanded_conv_3"
    found = groups(slots(ZOO["nested"].build()), "block")
    assert [(group.name, group.slots) for group in found] == [
        ("encoder", ("encoder/first",)),
        ("encoder/core", ("encoder/core/second", "encoder/core/third")),
        ("decoder", ("decoder/fourth",)),
    ]


def test_groups_by_regular_expression_and_by_name():
    table = slots(ZOO["recurrent"].build())
    per = {"dense": "dense", "gates": ["lstm.recurrent_activation"], "rest": ".*"}
    found = {group.name: group.slots for group in groups(table, per)}
    assert found == {
        "dense": ("dense",),
        "gates": ("lstm.recurrent_activation",),
        "rest": (
            "lstm",
            "both/forward_gru",
            "both/backward_gru",
        ),  # no gate, no output: those are asked for by name
    }


def test_slots_in_no_group_keep_their_activation():
    space = ActivationSpace(["mish"], per={"some": "second"})
    hypermodel = ActivationHyperModel(mlp(), space)
    model = hypermodel.build(keras_tuner.HyperParameters())
    assert [slot.current for slot in slots(model)] == ["relu", "mish", "softmax"]


def test_groups_of_a_function():
    space = ActivationSpace(["relu", "mish"], per={"early": "hidden0", "late": "hidden[1-9]"})
    hypermodel = ActivationHyperModel(build, space)
    hp = hyperparameters(hypermodel, act__late="mish", units=8)
    assert str(hypermodel.candidate(hp)) == "early: relu, late: mish"
    assert [slot.current for slot in slots(hypermodel.build(hp))] == ["relu", "mish", "softmax"]


def test_an_assignment_is_a_mapping_of_slots():
    hypermodel = ActivationHyperModel(mlp(), ActivationSpace(["relu", "mish"], per="layer"))
    assignment = hypermodel.candidate(hyperparameters(hypermodel, act__first="mish"))
    assert isinstance(assignment, Assignment)
    assert {name: str(candidate) for name, candidate in assignment.items()} == {
        "first": "mish",
        "second": "relu",
    }
    assert len(assignment) == 2
    assert (
        len({assignment, hypermodel.candidate(hyperparameters(hypermodel, act__first="mish"))}) == 1
    )


@pytest.mark.slow
def test_our_tuner_begins_with_the_same_activation_everywhere(tmp_path):
    space = ActivationSpace(["relu", "leaky_relu", "mish"], per="layer")
    tuner = run(ActivationTuner(mlp(), "val_accuracy", 6, activations=space, directory=tmp_path))
    values = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert [(v["act.first"], v["act.second"]) for v in values[:3]] == [
        *(("relu", "relu"), ("leaky_relu", "leaky_relu"), ("mish", "mish"))
    ]
    assert any(v["act.first"] != v["act.second"] for v in values[3:])
    found = tuner.get_best_models()[0].evaluate(X[SPLIT:], Y[SPLIT:], verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(tuner.oracle.get_best_trials()[0].score, abs=1e-6)


@pytest.mark.slow
def test_a_whole_search_by_layer_finds_its_baseline_again():
    space = ActivationSpace(["mish", "tanh"], per="layer")
    data = {"validation_data": (X[SPLIT:], Y[SPLIT:]), "test_data": (X[SPLIT:], Y[SPLIT:])}
    budget = {"trials": 14, "epochs": 1, "verdict": 0, "verbose": 0}
    result = search_activations(
        mlp(), X[:SPLIT], Y[:SPLIT], activations=space, **budget, **data, learning_rates=None
    )
    named = [str(trial.candidate) for trial in result.trials]
    assert {"relu", "mish", "tanh"} < set(named)
    assert [name for name in named if "first: " in name and ", second: " in name]
    assert result.baseline_test is not None
    assert json.loads(json.dumps(result.to_dict()))["best"] == str(result.best)


def test_rescaled_initializers_reach_the_model():
    hypermodel = ActivationHyperModel(mlp(), ["selu"], rescale_init=True)
    model = hypermodel.build(keras_tuner.HyperParameters())
    assert model.get_layer("first").kernel_initializer.get_config()["scale"] == pytest.approx(
        1, rel=1e-4
    )


def two(hp, activation):
    return mlp(activation)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": 3}, SearchError, "must be a Keras model, a function"),
        ({"model": lambda: None}, SearchError, "must be a Keras model, a function"),
        (
            {"model": two, "activations": ActivationSpace(["relu"], per="layer")},
            SearchError,
            "activation_choice",
        ),
        ({"model": two, "rescale_init": True}, SearchError, "rescale_init=True"),
        (
            {"model": build, "activations": ActivationSpace(["relu"], per="block")},
            SearchError,
            "name the groups",
        ),
        (
            {"per": {"a": "conv.*"}},
            ModelError,
            r"hidden slot.*\['first', 'second'\]\. Received: 'conv\.\*'",
        ),
        ({"per": {"a": "fir"}}, ModelError, "'a' must match the whole name"),
        ({"per": {"a": "output"}}, ModelError, "'a' must match"),  # by its name only
        ({"per": {"a": ".*", "b": "first"}}, ModelError, r"'b' must match.*\[\]"),
        (
            {"per": {"a": ["first"], "b": ["first"]}},
            ModelError,
            r"'b' must name slots.*Received: \['first'\]",
        ),
        ({"per": {"a": ["third"]}}, ModelError, r"Received: \['third'\]"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    if "per" in arguments:
        arguments = {"activations": ActivationSpace(["relu"], per=arguments["per"])}
    with pytest.raises(error, match=message):
        ActivationHyperModel(**{"model": mlp(), **arguments})


def test_a_function_must_return_a_compiled_model_with_slots():
    def uncompiled(hp):
        return keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(2, "relu"), keras.layers.Dense(1)]
        )

    with pytest.raises(ModelError, match="must be compiled"):
        ActivationHyperModel(uncompiled).build(keras_tuner.HyperParameters())


def test_a_choice_in_a_subclassed_model():
    class Small(keras.Model):
        def __init__(self, activation):
            super().__init__()
            self.hidden, self.out = (
                keras.layers.Dense(4, activation),
                keras.layers.Dense(3, "softmax"),
            )

        def call(self, x):
            return self.out(self.hidden(x))

    def subclassed(hp):
        model = Small(activation_choice(hp, "act", ["prelu"]))
        model.compile(loss="sparse_categorical_crossentropy")
        return model

    model = subclassed(keras_tuner.HyperParameters())
    model.fit(X, Y, verbose=0)
    assert [w.name for w in model.hidden.weights] == ["kernel", "bias", "alpha"]
    with pytest.raises(ModelError, match="Received: Small"):
        ActivationHyperModel(model)
