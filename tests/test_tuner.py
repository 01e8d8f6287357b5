"""The tuner: KerasTuner's habits, paired seeds, divergence, and a process left alone."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import ActivationHyperModel, ActivationTuner, activation_choice, slots
from tests.models import blobs, mlp

X, Y = blobs()


def tuner(tmp_path, model=None, **arguments):
    arguments = {"max_trials": 3, "objective": "val_accuracy", "directory": tmp_path, **arguments}
    return ActivationTuner(mlp() if model is None else model, **arguments)


def run(searched, **arguments):
    searched.search(X, Y, epochs=2, validation_split=0.3, verbose=0, **arguments)
    return searched


def test_every_activation_comes_once_and_then_random_parameters(tmp_path):
    searched = run(tuner(tmp_path, activations=["relu", "leaky_relu", "mish"], max_trials=5))
    values = [trial.hyperparameters.values for trial in searched.oracle.trials.values()]
    assert [v["act"] for v in values[:3]] == ["relu", "leaky_relu", "mish"]
    assert values[1]["act.leaky_relu.alpha"] == 0.01
    assert [v["act"] for v in values[3:]] == ["leaky_relu"] * 2  # all that is left to vary
    assert len({v["act.leaky_relu.alpha"] for v in values if v["act"] == "leaky_relu"}) == 3


def test_the_choice_may_have_another_name(tmp_path):
    def build(hp):
        return mlp(activation_choice(hp, "inner", ["relu", "leaky_relu", "mish"]))

    searched = run(tuner(tmp_path, build, choice="inner"))
    values = [trial.hyperparameters.values for trial in searched.oracle.trials.values()]
    assert [v["inner"] for v in values] == ["relu", "leaky_relu", "mish"]
    assert values[1]["inner.leaky_relu.alpha"] == 0.01


def test_the_search_ends_when_the_space_does(tmp_path):
    searched = run(tuner(tmp_path, activations=["relu", "mish"], max_trials=9))
    assert len(searched.oracle.trials) == 2


def test_a_searched_alpha_reaches_the_model(tmp_path):
    searched = run(tuner(tmp_path, activations=["leaky_relu"], max_trials=2))
    models = searched.get_best_models(2)
    assert len({model.get_layer("first").activation for model in models}) == 2
    for trial, model in zip(searched.oracle.get_best_trials(2), models, strict=True):
        alpha = trial.hyperparameters.values["act.leaky_relu.alpha"]
        assert float(model.get_layer("first").activation(np.float32([-1.0]))[0]) == pytest.approx(-alpha)


def test_the_best_model_scores_what_was_reported(tmp_path):
    searched = run(tuner(tmp_path, activations=["relu", "prelu", "mish"]))
    split = int(len(X) * 0.7)
    for trial, model in zip(searched.oracle.get_best_trials(3), searched.get_best_models(3), strict=True):
        found = model.evaluate(X[split:], Y[split:], verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(trial.score, abs=1e-6)


def test_all_trials_share_their_initialization(tmp_path):
    starts = []

    class Recorded(ActivationHyperModel):
        def fit(self, hp, model, *args, **kwargs):
            starts.append(model.get_layer("first").get_weights()[0])
            return super().fit(hp, model, *args, **kwargs)

    run(tuner(tmp_path, Recorded(mlp(), ["relu", "mish"]), max_trials=2, executions_per_trial=2))
    np.testing.assert_array_equal(starts[0], starts[2])  # the first execution of either trial
    np.testing.assert_array_equal(starts[1], starts[3])
    assert np.abs(starts[0] - starts[1]).max() > 0.01  # the second has a seed of its own


@pytest.mark.parametrize("seed", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_scores(tmp_path, seed):
    def scores(folder):
        searched = run(tuner(tmp_path / folder, activations=["relu", "elu"], max_trials=4, seed=seed))
        return [(t.hyperparameters.values, t.score) for t in searched.oracle.trials.values()]

    assert scores("a") == scores("b")


@pytest.mark.slow
def test_an_interrupted_search_goes_on(tmp_path):
    whole = run(tuner(tmp_path / "whole", activations=["relu", "elu"], max_trials=4))
    run(tuner(tmp_path / "parts", activations=["relu", "elu"], max_trials=2))
    parts = run(tuner(tmp_path / "parts", activations=["relu", "elu"], max_trials=4))
    assert [t.trial_id for t in parts.oracle.trials.values()] == ["0", "1", "2", "3"]
    assert [t.score for t in parts.oracle.trials.values()] == [t.score for t in whole.oracle.trials.values()]


@keras.saving.register_keras_serializable(package="test_tuner")
def exploding(x):
    return x * 1e38


def test_divergence_is_a_result_and_never_aborts(tmp_path):
    activations = [exploding, *(f"leaky_relu(alpha=1e{n})" for n in (36, 37, 38)), "relu"]
    searched = run(tuner(tmp_path, activations=activations, max_trials=5))
    statuses = [trial.status for trial in searched.oracle.trials.values()]
    assert statuses == ["FAILED"] * 4 + ["COMPLETED"]
    assert "diverged" in searched.oracle.trials["0"].message
    assert [t.trial_id for t in searched.oracle.get_best_trials(1)] == ["4"]


def test_real_failures_abort_as_in_keras_tuner(tmp_path):
    searched = tuner(tmp_path, activations=["relu", "mish", "elu"])
    with pytest.raises(RuntimeError, match="consecutive failures"):
        searched.search(X[:, :2], Y, validation_split=0.3, verbose=0)


def test_global_settings_are_left_alone(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        run(tuner(tmp_path, activations=["relu", "mish"], max_trials=2))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("style", [pytest.param("argument", marks=pytest.mark.slow), "choice"])
def test_model_building_functions_with_their_own_hyperparameters(tmp_path, style):
    def model(hp, activation):
        units = hp.Int("units", 4, 8, step=4)
        made = keras.Sequential([keras.Input((4,))])
        for _ in range(2):
            made.add(keras.layers.Dense(units, activation=activation))
        made.add(keras.layers.Dense(3, activation="softmax"))
        made.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return made

    space = ["prelu", "leaky_relu"]
    build = model if style == "argument" else lambda hp: model(hp, activation_choice(hp, space=space))
    searched = run(tuner(tmp_path, build, **({"activations": space} if style == "argument" else {})))
    names = {name for trial in searched.oracle.trials.values() for name in trial.hyperparameters.values}
    assert names == {"act", "act.leaky_relu.alpha", "units"}
    for trial in searched.oracle.trials.values():
        loaded = searched.load_model(trial)
        assert slots(loaded)[0].current.startswith(trial.hyperparameters.values["act"])
        path = tmp_path / f"{trial.trial_id}.keras"
        loaded.save(path)  # two layers, each with a trained activation of its own
        np.testing.assert_array_equal(keras.models.load_model(path)(X), loaded(X))


def test_keras_tuners_own_tuners_take_the_hypermodel(tmp_path):
    searched = keras_tuner.RandomSearch(
        ActivationHyperModel(mlp(), ["relu", "trelu"]), "val_accuracy", max_trials=2, seed=1, directory=tmp_path
    )
    run(searched)
    assert len(searched.get_best_models(2)) == 2


def test_bad_arguments_are_refused(tmp_path):
    uncompiled = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "relu"), keras.layers.Dense(1)])
    with pytest.raises(ModelError, match="compiled"):
        tuner(tmp_path, uncompiled)
    with pytest.raises(ModelError, match="hidden activation slot"):
        tuner(tmp_path, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    with pytest.raises(SearchError, match=r"an integer >= 1\. Received: max_trials=0"):
        tuner(tmp_path, max_trials=0)
    with pytest.raises(SearchError, match=r"seed must be an integer >= 0\. Received: seed=-1"):
        tuner(tmp_path, seed=-1)
    with pytest.raises(SearchError, match="activations goes with a model"):
        tuner(tmp_path, lambda hp: mlp(activation_choice(hp)), activations=["relu"])
