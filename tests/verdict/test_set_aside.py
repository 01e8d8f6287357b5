"""A candidate that cannot be trained costs itself only: the others are judged."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search import compare_activations, search_activations
from keras_acts.search.population.members import Member
from keras_acts.search.race.cohorts import Cohorts
from keras_acts.search.space.candidate import Candidate
from tests.helpers.models import blobs, eager, mlp

# who is set aside; tests/verdict/test_compare.py trains at any version
pytestmark = pytest.mark.once

X, Y = blobs(150)
FAST = {"epochs": 1, "seeds": 2, "looks": 1, "batch_size": 30, "verbose": 0, "learning_rates": None}


@keras.saving.register_keras_serializable(package="test_set_aside")
def broken(x):
    # the model is built and rehearsed on other batches than it trains on
    if 30 in x.shape:
        raise OSError("no such kernel")
    return x


@keras.saving.register_keras_serializable(package="test_set_aside")
def huge(x):
    if 30 in x.shape:
        raise MemoryError
    return x


def compared(activations, **options):
    # run eagerly, an activation sees how large a batch is
    return compare_activations(
        eager(mlp()),
        X[:120],
        Y[:120],
        activations,
        validation_data=(X[120:140], Y[120:140]),
        **{**FAST, **options},
    )


def test_a_comparison_goes_on_without_candidates_that_raise(capsys):
    verdict = compared(["mish", broken, "relu", huge], verbose=1)
    assert verdict.runs.activations == ("mish", "relu")
    assert dict(verdict.errors) == {
        "test_set_aside.broken is set aside": "OSError: no such kernel",
        "test_set_aside.huge is set aside": "it does not fit into memory",
    }
    assert "test_set_aside.broken is set aside: OSError: no such kernel." in str(verdict)
    said = capsys.readouterr().err.replace("\n", "")
    assert "test_set_aside.huge is set aside: it does not fit into memory" in said
    # who was set aside changes nothing for the others
    others = compared(["mish", "relu"])
    assert np.array_equal(others.runs.history["val_loss"], verdict.runs.history["val_loss"])


def test_a_baseline_that_raises_ends_a_comparison():
    with pytest.raises(OSError, match="no such kernel"):
        compared(["mish", "relu"], baseline=broken)


def test_what_no_candidate_is_at_fault_for_is_raised():
    def fails(epoch):
        raise OSError("no such schedule")

    with pytest.raises(OSError, match="no such schedule"):
        compared(["mish", "relu"], callbacks=[keras.callbacks.LearningRateScheduler(fails)])


class FailsLater(keras.callbacks.Callback):
    """Raises in the second epoch where a candidate trains that it is told of."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and any(m.candidate.name == "elu" for m in self.model.members):
            raise RuntimeError("only now")


@pytest.mark.slow
def test_a_race_goes_on_without_a_candidate_that_raises_in_a_later_rung():
    objective = keras_tuner.Objective("val_loss", "min")
    fit = {"x": X, "y": Y, "validation_split": 0.2, "callbacks": [FailsLater()]}
    members = [Member(Candidate.of(name), 1) for name in ("relu", "elu", "mish")]
    said: list[str] = []
    cohorts = Cohorts(mlp(), objective, fit, [1, 2], 0, lambda count: None, say=said.append)
    cohorts.train(members, 1)
    cohorts.train(members, 2)
    assert [cohorts.runs[member].error for member in members] == ["", "RuntimeError: only now", ""]
    assert [cohorts.runs[member].epochs for member in members] == [2, 0, 2]
    assert said == [
        "3 models begin again: RuntimeError: only now",
        f"{members[1].candidate} is set aside: RuntimeError: only now",
    ]


@keras.saving.register_keras_serializable(package="test_set_aside")
def undefined(x):
    return keras.ops.log(-keras.ops.abs(x) - 1)


@pytest.mark.parametrize("strategy", ["race", "random"])
def test_nan_is_told_in_the_table(strategy):
    found = search_activations(
        mlp(),
        X,
        Y,
        activations=["mish", undefined],
        strategy=strategy,
        trials=3,
        epochs=1,
        verdict=0,
        verbose=0,
        learning_rates=None,
    )
    status = {str(trial.candidate): trial.status for trial in found.trials}
    assert sorted(status.values()) == ["completed", "completed", "diverged"]
