"""Trials one by one: each writes files of its own, and reads data that no other one has moved on."""

import keras
import numpy as np

from keras_acts.search import ActivationTuner, search_activations
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(60)


class Rolling(keras.utils.PyDataset):
    """Batches that are others in each epoch, and that write down what is read of them."""

    def __init__(self):
        super().__init__()
        self.order = np.arange(40)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = self.order[20 * index : 20 * (index + 1)]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.order = np.roll(self.order, 7)


def test_each_trial_has_files_and_data_of_its_own(tmp_path):
    data = Rolling()
    tuner = ActivationTuner(
        eager(mlp()),
        "val_loss",
        max_trials=2,
        executions_per_trial=2,
        activations=["relu", "mish"],
        population=1,
        directory=tmp_path / "project",
    )
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.ModelCheckpoint(tmp_path / "last.weights.h5", save_weights_only=True),
    ]
    validation = (X[40:], Y[40:])
    options = {"epochs": 2, "validation_data": validation, "shuffle": False, "verbose": 0}
    tuner.search(data, callbacks=callbacks, **options)
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    trials = [
        f"trial{trial}-execution{number}"
        for trial in sorted(tuner.oracle.trials)
        for number in (0, 1)
    ]
    assert names == sorted(
        [*(f"log-{name}.csv" for name in trials), *(f"last-{name}.weights.h5" for name in trials)]
    )
    np.testing.assert_array_equal(data.order, np.arange(40))


def test_a_search_of_trials_too(tmp_path):
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    search_activations(
        eager(mlp()),
        X,
        Y,
        activations=["mish"],
        strategy="random",
        trials=2,
        epochs=1,
        verdict=0,
        verbose=0,
        callbacks=[log, keras.callbacks.Callback()],
    )
    assert len(list(tmp_path.glob("log-trial*.csv"))) == 2
    assert not (tmp_path / "log.csv").exists()
