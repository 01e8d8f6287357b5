"""Ctrl-C ends a search of trials also where a library makes another error of it, or none."""

import contextlib
import signal

import pytest

from keras_acts.search import ActivationTuner, Candidate
from keras_acts.search.runtime.interrupts import Interrupts
from keras_acts.search.tuner.populations import PopulationRunner
from keras_acts.search.verdict.rate_trials import RatedModels, who_fails
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(30)
FIT = {"x": X, "y": Y, "validation_data": (X, Y), "batch_size": 30, "epochs": 1}
ENDED_BADLY = {"FAILED", "INVALID"}


def fails_otherwise():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise TypeError("Failed to convert elements of (None,) to Tensor") from None


def goes_on():
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


class Interrupted(ActivationTuner):
    """A search whose first trial is interrupted in its epoch."""

    library = staticmethod(goes_on)

    @property
    def announced(self):
        """Why trials trained one by one."""
        return self._announced

    def on_epoch_end(self, trial, model, epoch, logs=None):
        if int(trial.trial_id) == 0:
            self.library()


def tuner(folder, model=None, **options):
    made = Interrupted(
        model or eager(mlp()),
        activations=["relu", "tanh"],
        max_trials=2,
        directory=folder,
        project_name="p",
        **options,
    )
    made.oracle.verbose = 0
    return made


def search(of):
    with pytest.raises(KeyboardInterrupt):
        of.search(**FIT, verbose=0)
    return {trial_id: trial.status for trial_id, trial in of.oracle.trials.items()}


def test_an_interrupt_is_no_failure_of_a_trial(tmp_path):
    one_by_one = tuner(tmp_path, population=1)
    one_by_one.library = fails_otherwise
    before = signal.getsignal(signal.SIGINT)
    assert search(one_by_one) == {"0": "RUNNING"}
    assert signal.getsignal(signal.SIGINT) is before


def test_a_trial_that_went_on_to_its_end_is_kept_and_none_begins(tmp_path):
    statuses = search(tuner(tmp_path, population=1))
    assert statuses.pop("0") == "COMPLETED"
    assert set(statuses.values()) == {"RUNNING"}
    again = ActivationTuner(
        eager(mlp()), activations=["relu", "tanh"], directory=tmp_path, project_name="p"
    )
    assert again.oracle.trials["0"].status == "COMPLETED"


def test_an_interrupt_is_no_reason_to_train_one_by_one(tmp_path, monkeypatch):
    def interrupted(*args):
        fails_otherwise()

    monkeypatch.setattr(PopulationRunner, "_train_population", interrupted)
    together = tuner(tmp_path, mlp())
    assert not ENDED_BADLY & set(search(together).values())
    assert not together.announced


def test_an_interrupt_sets_no_candidate_of_a_verdict_aside():
    def builder(rated):
        return fails_otherwise

    choices = (Candidate.of("relu"), Candidate.of("tanh"))
    models = RatedModels(None, choices, builder)
    with pytest.raises(KeyboardInterrupt):
        who_fails(models, FIT, 0)


def test_a_signal_that_a_program_takes_for_something_else_is_none():
    taken = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: taken.append(number))
    try:
        interrupts = Interrupts()
        with interrupts.noted():
            signal.raise_signal(signal.SIGTERM)
            interrupts.raise_if_lost()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert taken == [signal.SIGTERM]
