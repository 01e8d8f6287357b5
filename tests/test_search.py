"""`search_activations`: the whole search in one call, what it refuses, and what it returns."""

import dataclasses
import json
import random

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.errors import DataError, ExportError, KerasActsError, ModelError, SearchError
from keras_acts.search import (
    ActivationHyperModel,
    ActivationSpace,
    ActivationTuner,
    Candidate,
    SearchCallback,
    SearchResult,
    compare_activations,
    outcome,
    request,
    search_activations,
    slots,
)
from keras_acts.search.exporting import card
from keras_acts.search.exporting.atomic import check_target
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.base import JudgedRun
from keras_acts.search.strategy.checks import check_data
from keras_acts.search.strategy.description import (
    fingerprint_data,
    fingerprint_model,
    fingerprint_training,
    fingerprint_value,
)
from keras_acts.search.strategy.objective import default_objective
from keras_acts.search.strategy.progress import Progress, SearchProgress
from keras_acts.search.tuner.trials import TrialSearch
from keras_acts.search.verdict import retrain
from keras_acts.search.verdict.judge import judge
from tests.helpers.followers import Notes
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(120)
FAST = {"strategy": "random", "trials": 3, "epochs": 2, "verdict": 0, "verbose": 0}


def draws():
    return random.random(), float(tf.random.uniform(()))


HEARD = Notes()


class Failing(SearchCallback):
    def on_trial_end(self, trial):
        raise ValueError("no such place")


@pytest.fixture(scope="module")
def searched():
    """A search, and the user's own random numbers.

    Those that would be drawn without it, and those drawn after it.
    """
    model = mlp()
    keras.utils.set_random_seed(11)
    undisturbed = draws()
    keras.utils.set_random_seed(11)
    activations = ["mish", "leaky_relu(alpha=1e38)"]
    found = search_activations(
        model,
        X[:90],
        Y[:90],
        test_data=(X[90:], Y[90:]),
        activations=activations,
        **FAST,
        learning_rates=None,
        search_callbacks=[Failing(), HEARD],
    )
    return found, undisturbed, draws()


@pytest.fixture(scope="module")
def result(searched):
    return searched[0]


def told(folder, scores, direction="max"):
    """A search of relu, mish and tanh whose trials are told their scores.

    None and a message fail, nan diverges.
    """
    goal = keras_tuner.Objective("val_own", direction)
    hypermodel = ActivationHyperModel(mlp(), ["relu", "mish", "tanh"])
    found = TrialSearch(hypermodel, goal, len(scores), fit={}, directory=folder)
    found.oracle.verbose = 0
    found.progress = SearchProgress(len(scores), 1, goal.name, verbose=0)
    for score in scores:
        trial = found.oracle.create_trial("tuner0")
        found.on_trial_begin(trial)
        if score is None:
            trial.status, trial.message = "INVALID", "OSError: no such kernel\nTraceback: ..."
        elif isinstance(score, str):
            trial.status, trial.message = "FAILED", score
        elif np.isnan(score):
            trial.status, trial.message = "FAILED", "diverged: loss is nan after epoch 1"
        else:
            found.oracle.update_trial(trial.trial_id, {"val_own": score})
            trial.status = "COMPLETED"
        found.on_trial_end(trial)
    return found


def test_trials_take_a_training_of_the_verdict_at_a_rate_that_none_had(tmp_path):
    search = told(tmp_path, [0.5, 0.7, 0.6])
    best, second, _ = search.results()
    rated = Rated(second.candidate, 4.0)
    assert not search.has_finished(rated)
    metrics = {"val_own": (0.5, 0.8)}
    run = JudgedRun(rated, 7, 0.8, 0.65, 4, 1.5, metrics, mlp())
    search.adopt(run)
    assert search.has_finished(rated)
    search.finish(rated)
    assert search.model(rated) is run.model
    row = search.results()[1]
    assert (row.rated, row.rank, row.score, row.seconds) == (rated, 2, 0.65, 1.5)
    assert row.judged
    # where a trial has one, its row stays, and its model if it is the better one
    better = dataclasses.replace(run, rated=best.rated)
    search.adopt(better)
    assert [row.rated for row in search.results()].count(best.rated) == 1
    assert search.results()[0] == best
    assert search.model(best.rated) is better.model
    search.adopt(dataclasses.replace(better, score=0.6))
    with pytest.raises(SearchError, match="checkpoint"):  # it is read, and was not written here
        search.model(best.rated)


def test_a_training_of_the_verdict_is_measured_against_the_best_execution_of_a_trial(tmp_path):
    search = told(tmp_path, [0.5])
    (row,) = search.results()
    (trial_id,) = search.oracle.trials
    # its model is that of the better one, its score the mean
    search._curves[trial_id] = {0: {"val_own": [0.1, 0.3]}, 1: {"val_own": [0.7, 0.2]}}
    run = JudgedRun(row.rated, 7, 0.6, 0.55, 4, 1.5, {"val_own": (0.5, 0.6)}, mlp())
    search.adopt(run)
    with pytest.raises(SearchError, match="checkpoint"):
        search.model(row.rated)
    search.adopt(dataclasses.replace(run, score=0.75))
    assert search.model(row.rated) is run.model


def test_who_follows_trials_hears_of_each(result):
    assert result.errors == {"search callback Failing": "ValueError: no such place"}
    told = HEARD.of("trial")
    assert {trial.rated: trial.outcome for trial in told} == {
        trial.rated: trial.status for trial in result.trials
    }
    best = min((trial for trial in told if trial.rank == 1), key=lambda trial: -trial.score)
    assert best.score == result.trials[0].score
    (seed,) = {epoch.seed for epoch in HEARD.of("epoch")}
    assert {trial.seeds for trial in told} == {(seed,)}
    # without a verdict the epochs are the search's
    table = result.to_pandas(epochs=True)
    assert table.equals(result.to_pandas(epochs="search"))
    of_best = table[table.activation == str(result.trials[0].candidate)]
    assert list(of_best.epoch) == [1, 2]
    assert of_best[result.objective].max() == pytest.approx(result.trials[0].score)


def test_the_result_ranks_the_trials(result):
    assert [t.status for t in result.trials] == ["completed", "completed", "diverged"]
    assert {str(t.candidate) for t in result.trials[:2]} == {"relu", "mish"}
    assert result.trials[0].score >= result.trials[1].score
    assert result.trials[2].rank is result.trials[2].score is None
    assert (result.best, result.score) == (result.trials[0].candidate, result.trials[0].score)
    assert (result.objective, result.direction, result.baseline) == (
        "val_accuracy",
        "max",
        Candidate.of("relu"),
    )


def test_the_model_has_the_best_weights(result):
    found = result.model.evaluate(X[72:90], Y[72:90], verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(result.score, abs=1e-6)
    found = result.model.evaluate(X[90:], Y[90:], verbose=0, return_dict=True)
    assert dict(result.test) == pytest.approx(found, abs=1e-6)


def test_the_result_as_a_table(result):
    table = result.to_pandas()
    assert list(table["activation"]) == [str(t.candidate) for t in result.trials]
    assert table["val_accuracy"].iloc[0] == result.score
    text = str(result)
    assert "mish" in text
    assert "diverged" in text
    markdown = result.to_markdown(1e-7)
    assert all(str(t.candidate) in markdown for t in result.trials)
    assert "One seed a candidate" in markdown
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["best"] == str(result.best)
    assert plain["trials"][2] == {**plain["trials"][2], "status": "diverged", "score": None}


@pytest.mark.once
def test_scores_rank_and_equal_ones_share_a_rank(tmp_path):
    def ranked(folder, *arguments):
        return [
            (t.rank, str(t.candidate), t.status)
            for t in told(tmp_path / folder, *arguments).results()
        ]

    equal = [(1, name, "completed") for name in ("relu", "mish", "tanh")]
    assert ranked("equal", [0.5, 0.5, 0.5]) == equal
    tie = [(1, "mish", "completed"), (1, "tanh", "completed"), (3, "relu", "completed")]
    assert ranked("max", [0.25, 0.5, 0.5]) == tie
    assert ranked("min", [0.5, 0.25, 0.25], "min") == tie
    assert ranked("failed", [None, 0.5, 0.75]) == [
        *((1, "tanh", "completed"), (2, "mish", "completed")),
        (None, "relu", "failed"),
    ]
    # a failure that speaks of divergence is none
    assert (
        told(tmp_path / "word", ["ValueError: the paths diverged", 0.5]).results()[1].status
        == "failed"
    )
    diverged = told(tmp_path / "diverged", [float("nan"), 0.5])
    assert [(t.rank, t.status) for t in diverged.results()] == [
        (1, "completed"),
        (None, "diverged"),
    ]
    assert diverged.builder(Rated(Candidate.of("relu"))) is None  # so that no verdict is made of it
    assert diverged.builder(Rated(Candidate.of("mish"))) is not None


def test_the_users_seed_and_settings_are_left_alone(searched):
    _, undisturbed, drawn = searched
    assert drawn == undisturbed


@pytest.mark.once
def test_an_interrupt_keeps_what_was_found():
    class Interrupt(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            if "Mish" in repr(self.model.get_layer("first").activation):
                raise KeyboardInterrupt

    model = eager(mlp())  # such callbacks have trials train one by one
    found = search_activations(
        model, X, Y, activations=["mish"], callbacks=[Interrupt()], **FAST, learning_rates=None
    )
    assert found.interrupted
    assert [str(t.candidate) for t in found.trials] == ["relu"]
    # nothing was found before the first trial ended
    with pytest.raises(SearchError, match="interrupted before its first trial"):
        search_activations(
            model,
            X,
            Y,
            activations=["mish"],
            baseline="mish",
            callbacks=[Interrupt()],
            **FAST,
            learning_rates=None,
        )


@pytest.mark.once
def test_a_kept_search_goes_on_after_an_interrupt_and_only_as_what_it_was(
    tmp_path, monkeypatch, capsys
):
    def search(**changed):
        arguments = {
            "activations": ["mish", "tanh"],
            **FAST,
            "epochs": 3,
            "directory": tmp_path,
            **changed,
        }
        return search_activations(
            arguments.pop("model", mlp()),
            arguments.pop("x", X),
            Y,
            **arguments,
            learning_rates=None,
        )

    def interrupting(self, trial, model, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

    # what a population had learnt is kept
    with monkeypatch.context() as patched:
        patched.setattr(ActivationTuner, "on_epoch_begin", interrupting)
        notes = Notes()
        found = search(trials=2, search_callbacks=[notes])
    assert found.interrupted
    assert {(t.rated, t.score, t.outcome) for t in notes.of("trial")} == {
        (t.rated, t.score, "stopped") for t in found.trials
    }
    assert [t.status for t in found.trials] == ["stopped"] * 2
    assert {t.message for t in found.trials} == {"interrupted after 2 epochs"}
    # without this file, KerasTuner would begin again and forget the trials in flight
    assert (tmp_path / "activations" / "tuner0.json").is_file()
    assert found.trials[0].score == max(t.score for t in found.trials)
    assert (
        found.model.evaluate(X[96:], Y[96:], verbose=0, return_dict=True)["accuracy"] == found.score
    )

    # what was begun ends, and trials may be more
    capsys.readouterr()
    again = search(trials=3)
    assert [t.status for t in again.trials] == ["completed"] * 3
    assert capsys.readouterr() == ("", "")  # with verbose=0 not even KerasTuner prints

    slower, other = mlp(), mlp("tanh")
    slower.compile(
        keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    for changed, name in (
        ({"epochs": 2}, "epochs"),
        ({"seed": 5}, "seed"),
        ({"activations": ["mish", "elu"]}, "activations"),
        ({"x": X + 1}, "data"),
        ({"batch_size": 7}, "batch_size"),
        ({"validation_split": 0.3}, "validation"),
        ({"strategy": "race"}, "strategy='race', trials"),
        ({"baseline": "tanh"}, r"activations='\w+', baseline"),
        ({"shuffle": False}, "shuffle"),
        ({"callbacks": keras.callbacks.EarlyStopping(patience=3)}, "callbacks"),
        ({"class_weight": {0: 1.0, 1: 2.0, 2: 1.0}}, "class_weight.0"),
        ({"model": slower}, "optimizer.learning_rate"),
        ({"model": other}, "model"),
    ):
        with pytest.raises(
            SearchError, match=f"goes on with the settings it began with.*Received: {name}="
        ):
            search(**changed)
    anew = search(epochs=1, overwrite=True, trials=1)
    assert [str(t.candidate) for t in anew.trials] == ["relu"]
    (tmp_path / "activations" / "oracle.json").write_text("")
    with pytest.raises(
        SearchError, match=r"begin again with overwrite=True.*oracle\.json: it is empty"
    ):
        search(epochs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"directory": "here", "project_name": "../there", "overwrite": True},
            r"plain name.*'\.\./there'",
        ),
        ({"trials": 0}, r"trials must be an integer >= 1\. Received: trials=0"),
        ({"epochs": 1.5}, r"epochs must be an integer >= 1\. Received: epochs=1.5"),
        ({"executions_per_trial": True}, "executions_per_trial must be"),
        ({"verdict": 1}, r"0 or an integer >= 2.*one says nothing.*Received: verdict=1"),
        ({"initial_epoch": 1}, r"initial_epoch must be 0.*Received: initial_epoch=1"),
        ({"validation_split": 1.0}, r"in \(0, 1\)\. Received: validation_split=1.0"),
        ({"activations": ["misch"]}, "Did you mean mish"),
        ({"y": Y[:5]}, "120 inputs and 5 labels"),
        ({"y": Y + 1}, r"whole numbers from 0 to 2.*from 1 to 3"),
        ({"y": Y + 0.5}, "whole numbers"),
        ({"x": X[:, :3]}, r"shape \(4,\)\. Received: \(3,\)"),
        ({"x": X[:0], "y": Y[:0]}, "at least one sample"),
        ({"x": np.where(X > 2, np.nan, X)}, "inputs must be finite"),
        ({"y": np.where(Y > 1, np.nan, Y)}, "labels must be finite"),
        ({"y": np.array(["a", "b", "c"])[Y]}, "labels must be numbers"),
        ({"sample_weight": np.where(Y > 1, np.nan, 1.0)}, "The sample_weight must be finite"),
        ({"class_weight": {0: 1.0, 1: np.inf}}, "The class_weight must be finite"),
        ({"test_data": (X, Y, np.where(Y > 1, np.nan, 1.0))}, "weights of test_data must be"),
        ({"test_data": (X, Y[:3])}, "120 inputs and 3 labels"),
        ({"validation_data": (X, Y + 7)}, "whole numbers"),
        ({"x": tf.data.Dataset.from_tensors((X, Y)), "y": None}, "validation_data is needed"),
        ({"y": None}, "y must be given where x is of arrays.*an autoencoder's is x itself"),
        (
            {"x": tf.ragged.constant([[1.0], [1.0, 2.0]]), "y": Y[:2]},
            "arrays of one length.*x of type RaggedTensor",
        ),
        (
            {"validation_data": iter([(X, Y)])},
            "validation_data must be data that each candidate can read",
        ),
        (
            {"x": iter([(X, Y)]), "y": None, "validation_data": (X, Y)},
            "x must be data that each.*steps_per_epoch",
        ),
    ],
)
def test_bad_input_is_refused_before_training(arguments, message):
    arguments = {"x": X, "y": Y, **FAST, **arguments}
    with pytest.raises(KerasActsError, match=message):
        search_activations(mlp(), **arguments, learning_rates=None)


def test_a_search_waits_for_no_other_process(monkeypatch):
    for name, value in (("ORACLE_IP", "127.0.0.1"), ("ORACLE_PORT", "8000"), ("TUNER_ID", "chief")):
        monkeypatch.setenv(f"KERASTUNER_{name}", value)
    with pytest.raises(SearchError, match=r"in one process.*KERASTUNER_ORACLE_IP='127\.0\.0\.1'"):
        search_activations(mlp(), X, Y, **{**FAST, "strategy": "random"}, learning_rates=None)


@keras.saving.register_keras_serializable(package="test_search")
def broken(x):
    raise OSError("no such kernel")


@pytest.mark.once
def test_failures_leave_the_others_their_result():
    activations = ["mish", broken]
    # one callback need not be in a list
    options = {**FAST, "trials": 3, "callbacks": keras.callbacks.EarlyStopping()}
    found = search_activations(mlp(), X, Y, activations=activations, **options, learning_rates=None)
    assert [t.status for t in found.trials] == ["completed", "completed", "failed"]
    assert "Failed: test_search.broken: OSError: no such kernel" in str(found)


@pytest.mark.slow
def test_an_infinite_objective_is_divergence():
    class Infinite(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if "ReLU" in repr(self.model.get_layer("first").activation):
                logs["val_loss"] = float("inf")

    arguments = {"objective": "val_loss", "test_data": (X, Y), "callbacks": [Infinite()], **FAST}
    found = search_activations(
        eager(mlp()), X, Y, activations=["mish"], **arguments, learning_rates=None
    )
    assert [(str(t.candidate), t.status) for t in found.trials] == [
        ("mish", "completed"),
        ("relu", "diverged"),
    ]
    assert found.trials[1].message.startswith("diverged: val_loss is inf after epoch 1")
    assert found.baseline_test is None


@pytest.mark.slow
def test_the_baselines_score_is_the_baselines(result):
    alone = search_activations(
        mlp(),
        X[:90],
        Y[:90],
        test_data=(X[90:], Y[90:]),
        activations=["relu"],
        **FAST,
        learning_rates=None,
    )
    assert {str(t.candidate): t.score for t in result.trials}["relu"] == alone.score
    assert result.baseline_test == pytest.approx(alone.test)


def test_datasets_validate_and_test():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(32)
    found = search_activations(
        mlp(),
        data,
        validation_data=data,
        test_data=data,
        activations=["mish"],
        shuffle=False,
        **FAST,
        learning_rates=None,
    )
    assert found.test["accuracy"] == pytest.approx(found.score, abs=1e-6)


@pytest.mark.once
def test_a_loss_is_minimized_over_several_seeds():
    plain = mlp()
    plain.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    assert default_objective(plain) == "val_loss"
    x = keras.Input((4,))
    h = keras.layers.Dense(4, activation="relu")(x)
    outputs = [keras.layers.Dense(3, activation="softmax", name=name)(h) for name in "ab"]
    model = keras.Model(x, outputs)
    model.compile(
        optimizer="sgd",
        loss=["sparse_categorical_crossentropy"] * 2,
        metrics=[["accuracy"], ["accuracy"]],
    )
    # of several outputs no accuracy is the model's
    found = search_activations(
        model, X, [Y, Y], activations=["mish"], executions_per_trial=2, **FAST, learning_rates=None
    )
    assert "2 seeds a candidate" in str(found)
    assert (found.objective, found.direction) == ("val_loss", "min")
    assert found.trials[0].score <= found.trials[1].score


def test_settings_are_the_same_in_another_process_and_after_a_training():
    schedule = keras.callbacks.LearningRateScheduler(draws)
    model = mlp()
    before = fingerprint_model(model), fingerprint_training(model), fingerprint_value([schedule])
    schedule.set_params({"epochs": 3})
    schedule.set_model(model)
    again = mlp()  # whose layers without a name are numbered on
    assert [layer.name for layer in again.layers] != [
        layer.name for layer in model.layers
    ] or again.name != model.name
    after = fingerprint_model(again), fingerprint_training(again), fingerprint_value([schedule])
    assert json.loads(json.dumps(after)) == json.loads(json.dumps(before))
    part = X[::2, ::-1]  # values that do not lie next to each other
    assert (
        fingerprint_data(part, hashed=True)
        == fingerprint_data(part.copy(), hashed=True)
        != fingerprint_data(X, hashed=True)
    )
    assert fingerprint_data(X, [Y], hashed=False) == [
        f"float32{list(X.shape)}",
        f"int64{list(Y.shape)}",
    ]


@pytest.mark.once
def test_no_candidate_trained_says_why():
    options = {
        **FAST,
        "activations": ["leaky_relu(alpha=1e38)"],
        "baseline": "leaky_relu(alpha=1e38)",
        "epochs": 1,
    }
    with pytest.raises(SearchError, match=r"leaky_relu.*diverged: loss is nan"):
        search_activations(mlp(), X, Y, **options, learning_rates=None)


@pytest.mark.once
def test_errors_of_the_training_are_shown():
    class Broken(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise OSError("the disk is gone")

    with pytest.raises(SearchError, match="the disk is gone"):
        search_activations(
            mlp(), X, Y, callbacks=[Broken()], **{**FAST, "trials": 1}, learning_rates=None
        )


@keras.saving.register_keras_serializable(package="test_search")
def masked(y, outputs):
    """The mean squared error of the targets that are known."""
    known = keras.ops.isfinite(y)
    return keras.ops.mean(
        keras.ops.where(known, keras.ops.square(keras.ops.where(known, y, 0.0) - outputs), 0.0)
    )


def test_a_loss_of_ones_own_may_leave_targets_out():
    y = np.where(X[:, :1] > 1, np.nan, X[:, :1])
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    )
    model.compile("sgd", masked)
    found = search_activations(
        model, X, y, activations=["mish"], **{**FAST, "epochs": 1}, learning_rates=None
    )
    assert [t.status for t in found.trials] == ["completed"] * 2
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match="labels must be finite"):
        search_activations(model, X, y, activations=["mish"], **FAST, learning_rates=None)


def injected(*arguments, **options):
    raise OSError("the disk is gone")


@pytest.mark.once
@pytest.mark.parametrize("what", ["scoring", "finishing", "model"])
def test_what_fails_after_the_training_costs_no_more_than_itself(what, monkeypatch):
    told = "OSError: the disk is gone"
    # the baseline is the kept model here: what fails of that is not told a second time
    expected = {
        "scoring": {"verdict": told, "validation": told, "test": told},
        "finishing": {"finish": told, "intervals": told},
        "model": {"model": told},
    }[what]
    if what == "scoring":
        monkeypatch.setattr(retrain, "retrain_leaders", injected)
        monkeypatch.setattr(outcome, "validated", injected)
        monkeypatch.setattr(outcome, "scores", injected)
    elif what == "finishing":
        ahead = judge({"relu": [0.9, 0.9, 0.8, 0.8], "mish": [0.5, 0.6, 0.5, 0.6]})
        monkeypatch.setattr(retrain, "retrain_leaders", lambda *arguments, **options: ahead)
        monkeypatch.setattr(TrialSearch, "finish", injected)
        monkeypatch.setattr(outcome, "with_intervals", injected)
    else:
        monkeypatch.setattr(TrialSearch, "load_model", injected)
    run = TrialSearch.run

    def described_before(search):
        monkeypatch.setattr(request, "fingerprint_data", injected)
        run(search)

    monkeypatch.setattr(TrialSearch, "run", described_before)
    options = {**FAST, "trials": 1, "epochs": 1, "verdict": 0 if what == "model" else 2}
    test_data = (X, Y) if what == "finishing" else (X, Y, np.ones(len(X)))
    found = search_activations(
        eager(mlp()),
        X,
        Y,
        test_data=test_data,
        activations=["relu"],
        **options,
        learning_rates=None,
    )
    assert found.errors == expected
    assert [(t.rank, str(t.candidate)) for t in found.trials] == [(1, "relu")]
    assert str(found.best) == "relu"
    assert all(
        f"What failed besides: {phase}: {reason}." in str(found)
        for phase, reason in expected.items()
    )
    assert json.loads(json.dumps(found.to_dict()))["errors"] == expected
    if what == "model":
        with pytest.raises(SearchError, match="must have a model to export"):
            found.export("anywhere")
    else:
        assert found.model.predict(X[:2], verbose=0).shape == (2, 3)
        assert (found.test is None) == (what == "scoring")


def test_a_hyperparameter_replaces_no_column(result):
    own = {"rank": 7, "epochs": 9, result.objective: 0.5, "units": 3}
    trials = [dataclasses.replace(trial, hyperparameters=own) for trial in result.trials]
    table, before = dataclasses.replace(result, trials=trials).to_pandas(), result.to_pandas()
    for name in ("rank", result.objective, "status"):
        assert table[name].equals(before[name])
    assert {"hp.rank", "hp.epochs", f"hp.{result.objective}", "units"} <= set(table.columns)


def test_what_is_not_finite_is_none_in_json(result):
    lost = dataclasses.replace(result, test={"loss": np.inf}, intervals={"loss": {"value": np.nan}})
    plain = json.loads(json.dumps(lost.to_dict(), allow_nan=False))
    assert plain["test"] == {"loss": None}
    signature = {
        "signatures": {
            "serving_default": {"inputs": {"x": {"shape": None, "dtype": "float32"}}, "outputs": {}}
        }
    }
    verification = {"tensorflow": "2", "samples": 1, "differences": {}, "noise": None}
    made = card.card(mlp(), signature=signature, verification=verification, extra=lost.card())
    json.dumps(made, allow_nan=False)
    assert "| loss | not finite |" in card.markdown(made)


@pytest.mark.once
def test_a_report_that_fails_leaves_no_export_and_the_result(result, tmp_path, monkeypatch):
    before = str(result)
    with monkeypatch.context() as patched:
        patched.setattr(SearchResult, "to_markdown", injected)
        with pytest.raises(ExportError, match="the disk is gone"):
            result.export(tmp_path / "best")
    assert list(tmp_path.iterdir()) == []
    assert str(result) == before
    assert result.export(tmp_path / "best").difference <= 1e-6


@keras.saving.register_keras_serializable(package="test_search")
class Small(keras.Model):
    """A subclassed model, which has no weights before its first call."""

    def __init__(self, activation, **options):
        super().__init__(**options)
        self.hidden = keras.layers.Dense(4, activation)
        self.out = keras.layers.Dense(3, "softmax")

    def call(self, x):
        return self.out(self.hidden(x))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["subclassed", "unbuilt"])
def test_models_of_a_function_need_not_know_their_inputs(kind):
    def build(hp, activation):
        model = Small(activation)
        if kind == "unbuilt":
            model = keras.Sequential(
                [keras.layers.Dense(4, activation), keras.layers.Dense(3, "softmax")]
            )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return eager(model)

    weights = np.linspace(0, 1, 30)
    options = {**FAST, "trials": 2, "verdict": 2, "test_data": (X[90:], Y[90:], weights)}
    found = search_activations(
        build, X[:90], Y[:90], activations=["mish"], **options, learning_rates=None
    )
    assert found.errors == {}
    assert (
        found.model.evaluate(X[72:90], Y[72:90], verbose=0, return_dict=True)["accuracy"]
        == found.score
    )
    tested = found.model.evaluate(
        X[90:], Y[90:], sample_weight=weights, verbose=0, return_dict=True
    )
    assert found.test == pytest.approx(tested)
    # what the verdict scores are the weights that it trained
    scores = found.verdict.runs.test["loss"]
    assert len(np.unique(scores)) == scores.size


def test_labels_that_a_loss_ignores_are_no_classes():
    model = mlp()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(ignore_class=-1))
    check_data(model, X, np.where(Y == 2, -1, Y))
    with pytest.raises(DataError, match="whole numbers from 0 to 2"):
        check_data(model, X, np.where(Y == 2, -2, Y))


def test_other_backends_are_told_so_at_once(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    for search in (
        lambda: search_activations(None, X, Y, learning_rates=None),
        lambda: compare_activations(None, X, Y, ["mish", "relu"], learning_rates=None),
        lambda: ActivationTuner(None),
    ):
        with pytest.raises(
            SearchError, match=r"needs Keras on TensorFlow or JAX.*Received: backend='torch'"
        ):
            search()


def test_a_function_must_return_a_compiled_model():
    def build(hp, activation):
        return keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(4, activation), keras.layers.Dense(3)]
        )

    with pytest.raises(ModelError, match="must return a compiled Keras model"):
        search_activations(build, X, Y, activations=["mish"], **FAST, learning_rates=None)


@pytest.mark.once
def test_a_failure_without_a_message_is_told(result):
    failed = dataclasses.replace(result.trials[2], status="failed", message="")
    found = dataclasses.replace(result, trials=(*result.trials[:2], failed))
    assert f"Failed: {failed.candidate}: no message." in str(found)


@pytest.mark.once
def test_data_errors_are_value_errors():
    assert issubclass(DataError, ValueError)


@pytest.fixture(scope="module")
def judged():
    model = mlp()
    # in an epoch it learns more than to guess, without which there is no verdict
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    options = {
        **FAST,
        "trials": 5,
        "epochs": 1,
        "batch_size": 10,
        "verdict": 2,
        "test_data": (X[90:], Y[90:]),
    }
    return search_activations(
        model,
        X[:90],
        Y[:90],
        activations=["elu", "elu(alpha=1.1)", "tanh", "silu"],
        **options,
        learning_rates=None,
    )


def test_the_leaders_and_the_baseline_are_judged_on_fresh_seeds(judged):
    found = judged.verdict
    ranked = [str(t.candidate) for t in judged.trials if str(t.candidate) != "relu"]
    worse_elu = [name for name in ranked if name.startswith("elu")][
        1
    ]  # two alphas of one activation are one answer
    assert {s.activation for s in found.candidates} == {*ranked, "relu"} - {worse_elu}
    assert (found.baseline, found.metric, found.part, found.seeds) == (
        "relu",
        "accuracy",
        "test",
        2,
    )
    assert found.significant == (found.winner is not None or bool(found.beat))
    table = judged.to_pandas(epochs=True)
    assert len(table) == 4 * 2
    assert set(table.seed) == set(found.runs.seeds)


def test_the_verdict_is_in_every_report(judged, tmp_path):
    assert str(judged).splitlines()[: len(judged.verdict.first_lines())] == (
        judged.verdict.first_lines()
    )
    plain = json.loads(json.dumps(judged.to_dict(), allow_nan=False))["verdict"]
    assert plain["sentence"] == judged.verdict.sentence
    assert len(plain["candidates"]) == 4
    exported = judged.export(tmp_path / "best")
    assert exported.difference <= 1e-6
    written = (tmp_path / "best" / "report.md").read_text()
    assert "# Activation search" in written
    assert "## Verdict\n\nThe leaders and the baseline" in written
    kept = (tmp_path / "best" / "verdict.csv").read_text().splitlines()
    assert kept[0].startswith("activation,seed,epoch,")
    assert len(kept) == 1 + 4 * 2
    loaded = tf.saved_model.load(str(tmp_path / "best"))
    np.testing.assert_allclose(loaded.serve(X[:5]), judged.model(X[:5]), atol=1e-6)
    # with its notes it is an export that may be replaced
    assert check_target(tmp_path / "best", overwrite=True) == exported.path


def test_what_is_kept_is_what_the_verdict_suggests(judged):
    kept = judged.verdict.suggested
    assert str(judged.best) == str(judged.kept.candidate) == judged.to_dict()["best"] == kept
    assert judged.score == judged.kept.score == judged.to_dict()["score"]
    assert judged.model.evaluate(X[90:], Y[90:], verbose=0, return_dict=True) == pytest.approx(
        dict(judged.test)
    )
    assert {str(slot.current) for slot in slots(judged.model).hidden} == {kept}
    other = next(trial for trial in judged.trials if str(trial.candidate) != kept)
    rest = [trial for trial in judged.trials if trial is not other]
    first = dataclasses.replace(judged, trials=(other, *rest))
    assert str(first.best) == kept
    assert (
        f"Kept: {kept}, as the verdict suggests, although {other.candidate} ranked first; "
        in str(first)
    )
    withheld = dataclasses.replace(judged.verdict, withheld="no verdict: for a test")
    assert dataclasses.replace(first, verdict=withheld).best == other.candidate
    assert dataclasses.replace(first, verdict=None).best == other.candidate


def test_a_search_without_a_verdict_has_none(result):
    assert result.verdict is None
    assert result.to_dict()["verdict"] is None
    with pytest.raises(SearchError, match="needs a verdict"):
        result.to_pandas(epochs="verdict")
    with pytest.raises(SearchError, match="must be known"):
        dataclasses.replace(result, curves=()).to_pandas(epochs=True)
    with pytest.raises(SearchError, match="epochs must be"):
        result.to_pandas(epochs="trials")
    # nor has one that found the baseline only
    options = {"seeds": 2, "seed": 0, "test_data": None, "progress": Progress(1, verbose=0)}
    relu = Rated(Candidate.of("relu"))
    assert (
        retrain.retrain_leaders(
            mlp(), [relu], lambda _: mlp, "relu", {"x": X, "y": Y}, "val_accuracy", **options
        )
        is None
    )


@pytest.mark.slow
def test_models_of_a_function_are_judged_one_by_one():
    def build(hp, activation):
        units = hp.Int("units", 4, 8, 4)
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(units, activation=activation)]
        )
        model.add(keras.layers.Dense(3, activation="softmax"))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return eager(model)

    options = {**FAST, "trials": 2, "epochs": 1, "verdict": 2}
    found = search_activations(build, X, Y, activations=["mish"], **options, learning_rates=None)
    assert {s.activation for s in found.verdict.candidates} == {"relu", "mish"}
    assert found.verdict.part == "validation"


@pytest.mark.slow
def test_choices_for_each_layer_are_judged_too():
    space = ActivationSpace(["mish", "tanh"], per="layer")
    found = search_activations(
        mlp(),
        X,
        Y,
        activations=space,
        **{**FAST, "trials": 4, "epochs": 1, "verdict": 2},
        learning_rates=None,
    )
    assert {s.activation for s in found.verdict.candidates} == {
        str(trial.candidate) for trial in found.trials
    }
    assert any("first: " in s.activation for s in found.verdict.candidates)


@pytest.mark.once
def test_why_there_is_no_verdict_is_said():
    def sentence(found, test_data=None):
        goal = keras_tuner.Objective("val_accuracy", "max")
        options = {
            "seeds": 2,
            "seed": 0,
            "test_data": test_data,
            "progress": Progress(1, verbose=0),
        }
        leaders = [Rated(Candidate.of(name)) for name in found]
        return retrain.retrain_leaders(
            mlp(), leaders, lambda _: mlp, "relu", {"x": X, "y": Y}, goal, **options
        ).sentence

    few = sentence(["mish", "relu"], test_data=(X[:2], Y[:2]))
    assert few == "no verdict: the test data are fewer than the classes, 2 samples for 3 classes"
    diverged = sentence(["mish"])
    assert diverged == "no verdict: relu was not trained to its end in the search"


@pytest.mark.slow
def test_the_verdict_of_a_search_ends_trainings_as_the_search_does(capsys, tmp_path):
    class Watching(keras.callbacks.Callback):
        pass

    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, mode="max")  # as soon as it learns
    options = {
        **FAST,
        "trials": 2,
        "epochs": 3,
        "verdict": 2,
        "activations": ["mish"],
        "callbacks": [stop, Watching(), keras.callbacks.CSVLogger(tmp_path / "log.csv")],
    }
    found = search_activations(eager(mlp()), X, Y, **{**options, "verbose": 1}, learning_rates=None)
    assert found.verdict.runs.history["loss"].shape == (2, 2, 2)
    said = capsys.readouterr().err
    assert "The verdict trains one by one: the callback Watching belongs to a single model" in said
    assert "The verdict is without the callbacks CSVLogger" in said


@pytest.mark.slow
def test_a_search_is_kept_where_its_verdict_fails():
    trained = []

    class Score(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            trained.append(self.model)

        def on_epoch_end(self, epoch, logs=None):
            if len(trained) <= 2:  # the trials of the search, none of the verdict
                logs["val_own"] = 1.0

    options = {
        **FAST,
        "trials": 2,
        "epochs": 1,
        "verdict": 2,
        "activations": ["mish"],
        "callbacks": [Score()],
    }
    found = search_activations(
        eager(mlp()),
        X,
        Y,
        objective=keras_tuner.Objective("val_own", "max"),
        **options,
        learning_rates=None,
    )
    assert found.trials[0].rank == 1
    assert found.verdict.sentence.startswith(
        "no verdict: training again failed, SearchError: The objective must be"
    )
