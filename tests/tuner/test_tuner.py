"""The tuner: KerasTuner's habits, paired seeds, divergence, and a process left alone."""

import keras
import numpy as np
import pytest

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import ActivationHyperModel, ActivationTuner, activation_choice, slots
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs()


def tuner(tmp_path, model=None, **arguments):
    arguments = {"max_trials": 3, "objective": "val_accuracy", "directory": tmp_path, **arguments}
    return ActivationTuner(mlp() if model is None else model, **arguments)


def run(searched, **arguments):
    searched.search(X, Y, epochs=2, validation_split=0.3, verbose=0, **arguments)
    return searched


def played(searched, most=100):
    """Have the oracle of a tuner propose so many trials at most, all with the same score.

    Return their values.
    """
    oracle = searched.oracle
    oracle.verbose = 0
    for _ in range(most):
        trial = oracle.create_trial("tuner0")
        if trial.status != "RUNNING":
            break
        oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return [trial.hyperparameters.values for trial in oracle.trials.values()]


SOME = ["relu", "leaky_relu", "prelu", "mish"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One search, with the seed 0, which KerasTuner ignores."""
    return run(tuner(tmp_path_factory.mktemp("whole"), activations=SOME, max_trials=6, seed=0))


def test_every_activation_comes_once_and_then_random_parameters(whole):
    values = [trial.hyperparameters.values for trial in whole.oracle.trials.values()]
    assert [v["act"] for v in values[:4]] == SOME
    assert values[1]["act.leaky_relu.alpha"] == 0.01
    assert [v["act"] for v in values[4:]] == ["leaky_relu"] * 2  # all that is left to vary
    assert len({v["act.leaky_relu.alpha"] for v in values if v["act"] == "leaky_relu"}) == 3


def test_the_choice_may_have_another_name(tmp_path):
    def build(hp):
        return mlp(activation_choice(hp, "inner", ["relu", "leaky_relu", "mish"]))

    values = played(tuner(tmp_path, build, choice="inner"))
    assert [v["inner"] for v in values] == ["relu", "leaky_relu", "mish"]
    assert values[1]["inner.leaky_relu.alpha"] == 0.01


def test_the_search_ends_when_the_space_does(tmp_path):
    assert [
        v["act"] for v in played(tuner(tmp_path, activations=["relu", "mish"], max_trials=9))
    ] == ["relu", "mish"]


def test_a_searched_alpha_reaches_the_model(whole):
    trials = [
        t for t in whole.oracle.trials.values() if t.hyperparameters.values["act"] == "leaky_relu"
    ]
    models = [whole.load_model(trial) for trial in trials]
    assert len({model.get_layer("first").activation for model in models}) == 3
    for trial, model in zip(trials, models, strict=True):
        alpha = trial.hyperparameters.values["act.leaky_relu.alpha"]
        assert float(model.get_layer("first").activation(np.float32([-1.0]))[0]) == pytest.approx(
            -alpha
        )


def test_the_best_models_score_what_was_reported(whole):
    split = int(len(X) * 0.7)
    trials = whole.oracle.get_best_trials(6)
    assert len(trials) == 6
    for trial, model in zip(trials, whole.get_best_models(6), strict=True):
        found = model.evaluate(X[split:], Y[split:], verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(trial.score, abs=1e-6)


def test_all_trials_share_their_initialization(tmp_path):
    starts = []

    class Recorded(ActivationHyperModel):
        def fit(self, hp, model, *args, **kwargs):
            starts.append(model.get_layer("first").get_weights()[0])
            return super().fit(hp, model, *args, **kwargs)

    run(
        tuner(
            tmp_path, Recorded(eager(mlp()), ["relu", "mish"]), max_trials=2, executions_per_trial=2
        )
    )
    np.testing.assert_array_equal(starts[0], starts[2])  # the first execution of either trial
    np.testing.assert_array_equal(starts[1], starts[3])
    assert np.abs(starts[0] - starts[1]).max() > 0.01  # the second has a seed of its own


@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_proposes_the_same(tmp_path, seed):
    def proposed(folder, seed=seed):
        return played(
            tuner(tmp_path / folder, activations=["relu", "elu"], max_trials=4, seed=seed)
        )

    assert proposed("a") == proposed("b")
    assert proposed("another", seed + 1) != proposed("a again")


@pytest.mark.slow
def test_an_interrupted_search_goes_on_and_the_same_seed_gives_the_same_scores(tmp_path, whole):
    def search(trials):
        return run(tuner(tmp_path, activations=SOME, max_trials=trials, seed=0)).oracle.trials

    def rows(trials):
        return [(t.trial_id, t.hyperparameters.values, t.score) for t in trials.values()]

    first = search(2)
    begun = rows(first)
    assert [trial_id for trial_id, *_ in begun] == ["0", "1"]
    parts = search(6)
    assert rows(parts)[:2] == begun
    assert [t.trial_id for t in parts.values()] == ["0", "1", "2", "3", "4", "5"]
    assert rows(parts) == rows(whole.oracle.trials)


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
        run(tuner(tmp_path, eager(mlp()), activations=["relu", "mish"], max_trials=2))
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
    build = (
        model if style == "argument" else lambda hp: model(hp, activation_choice(hp, space=space))
    )
    searched = run(
        tuner(tmp_path, build, **({"activations": space} if style == "argument" else {}))
    )
    names = {
        name for trial in searched.oracle.trials.values() for name in trial.hyperparameters.values
    }
    assert names == {"act", "act.leaky_relu.alpha", "units"}
    for trial in searched.oracle.trials.values():
        loaded = searched.load_model(trial)
        assert slots(loaded)[0].current.startswith(trial.hyperparameters.values["act"])
        path = tmp_path / f"{trial.trial_id}.keras"
        loaded.save(path)  # two layers, each with a trained activation of its own
        np.testing.assert_array_equal(keras.models.load_model(path)(X), loaded(X))


def test_bad_arguments_are_refused(tmp_path):
    uncompiled = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, "relu"), keras.layers.Dense(1)]
    )
    with pytest.raises(ModelError, match="compiled"):
        tuner(tmp_path, uncompiled)
    with pytest.raises(ModelError, match="hidden activation slot"):
        tuner(tmp_path, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    with pytest.raises(SearchError, match=r"an integer >= 1\. Received: max_trials=0"):
        tuner(tmp_path, max_trials=0)
    with pytest.raises(SearchError, match=r"seed must be an integer >= 0\. Received: seed=-1"):
        tuner(tmp_path, seed=-1)
    # it would end with failed trials, and no word of why
    with pytest.raises(SearchError, match="'val_accuracy' needs validation_data or a"):
        tuner(tmp_path).search(X, Y, epochs=1, verbose=0)
    with pytest.raises(SearchError, match="activations goes with a model"):
        tuner(tmp_path, lambda hp: mlp(activation_choice(hp)), activations=["relu"])


def test_metrics_of_the_tuner_leave_the_users_model_as_it_was_compiled(tmp_path):
    model = mlp()
    optimizer = keras.optimizers.SGD(0.03)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="two")
    searched = tuner(tmp_path, model, objective="val_two", metrics=[metric], activations=SOME)
    assert searched.oracle.objective.direction == "max"
    assert model.optimizer is optimizer
    trained = searched.fresh_model(searched.oracle.get_space())
    assert isinstance(trained.optimizer, keras.optimizers.SGD)
    assert float(trained.optimizer.learning_rate) == pytest.approx(0.03)
    assert [m.name for m in model.metrics] == [m.name for m in mlp().metrics]
