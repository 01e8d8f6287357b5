"""A trial goes on from the weights of an earlier one only if these are as they were."""

import logging
from pathlib import Path

import keras_tuner
import pytest

from keras_acts.search import ActivationTuner
from keras_acts.search.tuner.racing_oracle import RacingOracle
from tests.helpers.models import blobs, mlp

# what is done about a damaged file; tests/tuner/test_checkpoints.py writes and reads them at any
# version
pytestmark = pytest.mark.once

X, Y = blobs(60)
EARLIER = "tuner/trial_id"


def hyperband():
    return keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("val_loss", "min"), max_epochs=2, factor=2, seed=5
    )


def racing():
    return RacingOracle("val_loss", trials=3, max_epochs=4)


class Searched:
    """A search whose checkpoints are damaged as soon as a trial is to go on from them."""

    def __init__(self, folder, make_oracle, population, damage):
        self.tuner = ActivationTuner(
            mlp(),
            activations=["relu", "elu", "mish"],
            oracle=make_oracle(),
            directory=folder,
            project_name="p",
            population=population,
        )
        self.tuner.oracle.verbose = 0
        self.damage = damage
        self.damaged: set[str] = set()
        self.first_epochs: dict[str, int] = {}
        self.create = self.tuner.oracle.create_trial
        self.tuner.oracle.create_trial = self.created
        begin = self.tuner.on_epoch_begin

        def noting(trial, model, epoch, logs=None):
            self.first_epochs.setdefault(trial.trial_id, epoch)
            begin(trial, model, epoch, logs)

        self.tuner.on_epoch_begin = noting
        self.tuner.search(X, Y, validation_split=0.3, verbose=0)

    def created(self, name):
        trial = self.create(name)
        earlier = trial.hyperparameters.values.get(EARLIER)
        if earlier is not None and earlier not in self.damaged:
            self.damaged.add(earlier)
            folder = Path(self.tuner.project_dir, f"trial_{earlier}")
            self.damage(folder / "checkpoint.weights.h5")
        return trial


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("make_oracle", "population", "damage"),
    [
        (racing, "auto", flip),
        pytest.param(hyperband, 1, flip, marks=pytest.mark.slow),
        pytest.param(racing, 1, Path.unlink, marks=pytest.mark.slow),
        pytest.param(hyperband, "auto", Path.unlink, marks=pytest.mark.slow),
    ],
)
def test_a_trial_with_damaged_weights_before_it_trains_from_its_beginning(
    tmp_path, caplog, make_oracle, population, damage
):
    with caplog.at_level(logging.WARNING):
        search = Searched(tmp_path, make_oracle, population, damage)
    assert search.damaged
    trials = search.tuner.oracle.trials
    later = [name for name, trial in trials.items() if EARLIER in trial.hyperparameters.values]
    for name in later:
        assert search.first_epochs[name] == 0
        assert trials[name].status == "COMPLETED"
        assert f"Trial {name} trains from its beginning, not from epoch" in caplog.text
    # its own weights are whole: those before it are none of its concern
    search.tuner.load_model(trials[later[-1]])


@pytest.mark.slow
def test_a_trial_with_whole_weights_before_it_goes_on(tmp_path, caplog):
    search = Searched(tmp_path, hyperband, 1, lambda file: None)
    later = [
        name
        for name, trial in search.tuner.oracle.trials.items()
        if EARLIER in trial.hyperparameters.values
    ]
    assert later
    assert all(search.first_epochs[name] == 1 for name in later)
    assert "from its beginning" not in caplog.text
