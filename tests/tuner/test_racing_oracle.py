"""The race as an oracle of KerasTuner.

Trials that go on, divergence, resumes, and other tuners than ours.
"""

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.src.engine import metrics_tracking

from keras_acts.errors import SearchError
from keras_acts.search import ActivationSpace, ActivationTuner, RacingOracle, activation_choice
from tests.helpers.models import blobs, mlp

X, Y = blobs(160)
NAMES = ["mish", "relu", "leaky_relu"]
FIT = {"validation_split": 0.25, "batch_size": 16, "verbose": 0}


def declared(**arguments):
    """An oracle that knows its space, as a tuner would have told it."""
    oracle = RacingOracle(**{"objective": "val_loss", "trials": 8, "max_epochs": 4, **arguments})
    oracle.verbose = 0
    hp = keras_tuner.HyperParameters()
    activation_choice(hp, space=NAMES)
    hp.Float("rate", 1e-3, 1e-1, sampling="log", default=1e-2)
    oracle.update_space(hp)
    return oracle


def loss(values):
    return abs(values.get("act.leaky_relu.alpha", 0.5) - 0.2) + 1 / values["tuner/epochs"]


def play(oracle, score=loss, most=1000):
    """Ask, and tell the scores, so many times at most; return the values of the trials."""
    for _ in range(most):
        trial = oracle.create_trial("tuner0")
        if trial.status != "RUNNING":
            assert trial.status == "STOPPED"
            break
        value = score(trial.hyperparameters.values)
        oracle.update_trial(trial.trial_id, {"val_loss": value})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return [trial.hyperparameters.values for trial in oracle.trials.values()]


@pytest.fixture
def oracle(tmp_path):
    def make(folder="one", **arguments):
        made = declared(**arguments)
        made._set_project_dir(tmp_path, folder)
        return made

    return make


def test_which_values_of_a_metric_are_better_is_found_out_once(oracle, monkeypatch):
    ours = oracle()
    infer, asked = metrics_tracking.infer_metric_direction, []
    monkeypatch.setattr(
        metrics_tracking, "infer_metric_direction", lambda name: asked.append(name) or infer(name)
    )
    trials = [ours.create_trial("tuner0") for _ in range(3)]
    for trial in trials:
        ours.update_trial(trial.trial_id, {"val_loss": 1.0, "val_accuracy": 0.5, "mae": 2.0})
        found = [
            (name, h.direction) for name, h in ours.trials[trial.trial_id].metrics.metrics.items()
        ]
        assert found == [("val_loss", "min"), ("val_accuracy", "max"), ("mae", "min")]
    assert sorted(asked) == ["mae", "val_accuracy"]


def test_the_better_half_goes_on_and_relu_always(oracle):
    values = play(oracle())
    rungs = {epochs: [v for v in values if v["tuner/epochs"] == epochs] for epochs in (1, 2, 4)}
    assert [len(rung) for rung in rungs.values()] == [8, 4, 2]
    assert [v["act"] for v in rungs[1][:3]] == ["relu", "mish", "leaky_relu"]
    assert {v["rate"] for v in rungs[1][:3]} == {1e-2}
    assert len({v["rate"] for v in rungs[1]}) > 1
    assert all(rung[0]["act"] == "relu" for rung in rungs.values())
    best = min(rungs[1], key=loss)
    assert rungs[4][1]["act.leaky_relu.alpha"] == best["act.leaky_relu.alpha"]
    for rung, before in ((rungs[2], 1), (rungs[4], 2)):
        for trial in rung:
            old = values[int(trial["tuner/trial_id"])]
            assert (trial["tuner/initial_epoch"], old["tuner/epochs"]) == (before, before)
            assert {k: v for k, v in old.items() if "tuner/" not in k} == {
                k: v for k, v in trial.items() if "tuner/" not in k
            }


def test_the_same_seed_proposes_the_same_trials(oracle):
    first = play(oracle(seed=5))
    assert play(oracle("two", seed=5)) == first
    assert play(oracle("three", seed=6)) != first


@pytest.mark.parametrize("after", [2, 5, 9, 13])
def test_a_resume_goes_on_as_if_nothing_had_happened(oracle, after):
    whole = play(oracle())
    begun = oracle("two")
    play(begun, most=after)
    begun.create_trial("tuner0")  # in flight when the process ended
    resumed = RacingOracle("val_loss", trials=3, max_epochs=2)  # the state says what the race is
    resumed._set_project_dir(begun._directory, "two")
    resumed.verbose = 0
    resumed.reload()
    assert play(resumed) == whole


def test_it_waits_for_a_rung(oracle):
    racing = oracle()
    trials = [racing.create_trial(f"tuner{k}") for k in range(5)]
    assert [t.status for t in trials] == ["RUNNING"] * 4 + ["IDLE"]


def is_baseline(hp):
    return hp["act"] == "relu" and hp["rate"] == 1e-2


# KerasTuner takes the best of values that are all nan
@pytest.mark.filterwarnings("ignore:All-NaN axis encountered")
@pytest.mark.parametrize("share", [0.35, 0.6])
def test_diverged_trials_never_go_on_and_leave_no_gap(oracle, share):
    def score(values):
        rng = np.random.default_rng(int(values["rate"] * 1e9))
        return np.nan if values["act"] == "mish" or rng.random() < share else loss(values)

    racing = oracle(trials=12)
    values = play(racing, score)
    failed = {trial_id for trial_id, trial in racing.trials.items() if trial.status == "FAILED"}
    assert failed
    assert not failed & {v.get("tuner/trial_id") for v in values}
    # variants of relu with another rate race as all others do
    others = [
        t.hyperparameters for t in racing.trials.values() if not is_baseline(t.hyperparameters)
    ]
    assert len([hp for hp in others if hp["tuner/epochs"] == 2]) == 5
    healthy = [
        t
        for t in racing.trials.values()
        if t.status == "COMPLETED" and not is_baseline(t.hyperparameters)
    ]
    # at 60 % few of the first rung are left, and of those that take their places as many diverge
    assert len([t for t in healthy if t.hyperparameters["tuner/epochs"] == 2]) >= (
        5 if share < 0.5 else 1
    )
    assert any(t.hyperparameters["tuner/epochs"] == 4 for t in healthy)


@pytest.mark.filterwarnings("ignore:All-NaN axis encountered")
def test_a_diverged_baseline_ends_there(oracle):
    values = play(
        oracle(), lambda v: np.nan if v["act"] == "relu" and v["rate"] == 1e-2 else loss(v)
    )
    assert [v["tuner/epochs"] for v in values if v["act"] == "relu" and v["rate"] == 1e-2] == [1]
    assert max(v["tuner/epochs"] for v in values) == 4


def test_max_objectives_and_one_epoch(oracle):
    racing = oracle(objective=keras_tuner.Objective("val_loss", "max"), max_epochs=1)
    assert [v["tuner/epochs"] for v in play(racing)] == [1] * 8
    racing = oracle("two", objective=keras_tuner.Objective("val_loss", "max"))
    values = play(racing, lambda v: -loss(v))
    assert [v["act"] for v in values[-2:]] == ["relu", "leaky_relu"]


def test_bad_arguments_are_refused(tmp_path):
    for arguments in (
        {"trials": 1},
        {"max_epochs": 0},
        {"seed": -1},
        {"objective": ["val_loss", "loss"]},
    ):
        with pytest.raises(SearchError, match="must"):
            RacingOracle(**arguments)
    with pytest.raises(SearchError, match="relu"):
        ActivationTuner(
            mlp(), activations=["mish", "elu"], oracle=RacingOracle(), directory=tmp_path
        )
    space = ActivationSpace(NAMES, per="layer")
    with pytest.raises(SearchError, match="one activation"):
        ActivationTuner(mlp(), activations=space, oracle=RacingOracle(), directory=tmp_path)


@keras.saving.register_keras_serializable(package="test_racing_oracle")
def exploding(x):
    return x * 1e38


@pytest.mark.slow
def test_an_activation_tuner_races_in_populations(tmp_path):
    made = []
    for population in ("auto", 1):
        tuner = ActivationTuner(
            mlp(),
            activations=[*NAMES, exploding],
            oracle=RacingOracle("val_loss", trials=6, max_epochs=4),
            directory=tmp_path / str(population),
            population=population,
        )
        tuner.say = made.append
        tuner.search(X, Y, **FIT)
        made.append(tuner)
    together, alone = made  # and nothing was said
    for a, b in zip(together.oracle.trials.values(), alone.oracle.trials.values(), strict=True):
        assert (a.hyperparameters.values, a.status) == (b.hyperparameters.values, b.status)
        assert a.score == (b.score and pytest.approx(b.score, rel=2e-4))
    assert [t.status for t in together.oracle.trials.values()].count("FAILED") == 1
    best = together.get_best_models(1)[0]
    measured = best.evaluate(X[120:], Y[120:], verbose=0, return_dict=True)["loss"]
    assert measured == pytest.approx(together.oracle.get_best_trials(1)[0].score, rel=1e-4)


class Racing(keras_tuner.Hyperband):
    """KerasTuner's own loop of Hyperband, with another oracle."""

    def __init__(self, oracle, hypermodel, **arguments):
        keras_tuner.Tuner.__init__(self, oracle=oracle, hypermodel=hypermodel, **arguments)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:Skipping variable loading for optimizer"
)  # Hyperband's optimizer starts afresh
def test_the_loop_of_keras_tuners_hyperband_races(tmp_path):
    def build(hp):
        return mlp(activation_choice(hp, space=NAMES))

    tuner = Racing(RacingOracle("val_loss", trials=4, max_epochs=2), build, directory=tmp_path)
    tuner.search(X, Y, **FIT)
    trials = list(tuner.oracle.trials.values())
    assert {t.status for t in trials} == {"COMPLETED"}
    assert [t.hyperparameters["tuner/epochs"] for t in trials] == [1, 1, 1, 1, 2, 2]
