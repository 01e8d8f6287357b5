"""The private names of KerasTuner that this package needs, each under a name of ours.

No other file imports `keras_tuner.src` or reads a private name of its classes. All were read in
KerasTuner 1.4.7 and 1.4.8; ``tests/test_private_api.py`` asks each for its existence and signature.
What subclasses of ours override, or call on themselves, stands in `OVERRIDDEN`.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from typing import Any

import keras
import keras_tuner
from keras_tuner.src.backend import io
from keras_tuner.src.distribute.utils import has_chief_oracle
from keras_tuner.src.engine.hyperparameters import Choice, HyperParameter
from keras_tuner.src.engine.trial import Trial, TrialStatus
from keras_tuner.src.utils import save_json

__all__ = [
    "OVERRIDDEN",
    "Choice",
    "HyperParameter",
    "Trial",
    "TrialStatus",
    "has_chief_oracle",
    "save_json",
]

# by a class of KerasTuner's: its private methods that subclasses of ours override or call on
# themselves
OVERRIDDEN: dict[type, tuple[str, ...]] = {
    keras_tuner.Oracle: ("_check_consecutive_failures", "_duplicate"),
    keras_tuner.Tuner: (
        "_build_and_fit_model",
        "_build_hypermodel",
        "_populate_initial_space",
        "_run_and_update_trial",
        "_try_build",
        "_try_run_and_update_trial",
    ),
}


def checkpoint_file(tuner: keras_tuner.Tuner, trial_id: str) -> str:
    """Return where a trial's weights are kept."""
    return str(tuner._get_checkpoint_fname(trial_id))


def build_config_file(tuner: keras_tuner.Tuner, trial_id: str) -> str:
    """Return where the shapes are kept that a trial's model was built for."""
    return str(tuner._get_build_config_fname(trial_id))


def copies_of_callbacks(
    tuner: keras_tuner.Tuner, callbacks: list[keras.callbacks.Callback]
) -> list[keras.callbacks.Callback]:
    """Return copies of callbacks for one trial."""
    return list(tuner._deepcopy_callbacks(callbacks))


def set_tensorboard_folder(
    tuner: keras_tuner.Tuner,
    callbacks: list[keras.callbacks.Callback],
    trial: Trial,
    execution: int,
) -> None:
    """Have the TensorBoard callbacks among these write into the trial's own folder."""
    tuner._configure_tensorboard_dir(callbacks, trial, execution)


@contextlib.contextmanager
def folders_as_written() -> Iterator[None]:
    """Have an oracle read the trials of its own folder, whatever the folder is called.

    It finds them by a pattern that begins with the folder's name: where that holds ``[``, ``?`` or
    a backslash, it finds none, or those of another search.
    """
    found_by_pattern = io.glob

    def found(pattern: str) -> list[str]:
        # .../trial_*/trial.json
        folders, name = os.path.split(pattern)
        project, trials = os.path.split(folders)
        if "://" in project:
            return list(found_by_pattern(pattern))
        return sorted(glob.glob(os.path.join(glob.escape(project), trials, name)))

    io.glob = found
    try:
        yield
    finally:
        io.glob = found_by_pattern


def waiting_retries(oracle: keras_tuner.Oracle) -> list[str]:
    """Return the trials that failed and will be handed out again."""
    return list(oracle._retry_queue)


def brackets_of(oracle: keras_tuner.oracles.HyperbandOracle) -> list[dict[str, Any]]:
    """Return the brackets of a `HyperbandOracle`, each with its rounds."""
    return list(oracle._brackets)


def size_of_round(oracle: keras_tuner.oracles.HyperbandOracle, bracket: int, number: int) -> int:
    """Return how many trials a round of a bracket of a `HyperbandOracle` has."""
    return int(oracle._get_size(bracket, number))
