"""What a search of trials keeps in files, whatever its oracle, and how it goes on from them.

KerasTuner truncates its files before it writes them: a process that is killed then, or a full disk,
leaves a torn one, with which nothing can be opened any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras_tuner

from keras_acts.errors import SearchError

from ..runtime.kept_files import (
    checksum_of_file,
    damaged,
    read_kept,
    telling_full_disk,
    write_kept,
)
from ..runtime.reasons import reason_of
from . import kerastuner
from .kerastuner import Trial, TrialStatus

TRIAL_FILE = "trial.json"
CHECKPOINT_FILE = "checkpoint.weights.h5"

# in the file of an oracle: what KerasTuner's own need to go on, and do not keep
_FORGOTTEN = "keras_acts"
# in the file of a trial: of its checkpoint
_CHECKPOINT = "checkpoint_checksum"
_ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)


def is_remote(path: object) -> bool:
    """Return whether something is in a cloud, such as gs://bucket: no local file, and no locks."""
    return "://" in str(path)


def keep_whole(oracle: keras_tuner.Oracle) -> None:
    """Have any oracle write its files in one step each, and tell what is wrong when it reads them."""
    kerastuner.replace_saving(
        oracle,
        partial(save_oracle, oracle),
        partial(save_trial, oracle),
        partial(reload_oracle, oracle),
    )


def save_oracle(oracle: keras_tuner.Oracle) -> None:
    """Keep the state of an oracle."""
    path = kerastuner.oracle_file(oracle)
    if is_remote(path):
        keras_tuner.Oracle.save(oracle)
        return
    state = oracle.get_state()
    state[_FORGOTTEN] = kerastuner.forgotten_state(oracle)
    write_kept(Path(path), state)


@contextlib.contextmanager
def saved_once(oracle: keras_tuner.Oracle) -> Iterator[None]:
    """Save an oracle once at the end of what would save it again and again.

    Should the process be killed before, the trials tell the same: see `reload_oracle`.
    """
    own = vars(oracle).get("save")
    oracle.save = _save_nothing
    try:
        yield
    finally:
        if own is None:
            del oracle.save
        else:
            oracle.save = own
        oracle.save()


def _save_nothing() -> None:
    """Stand for a `save` that comes later."""


def save_trial(oracle: keras_tuner.Oracle, trial: Trial) -> None:
    """Keep a trial, and the checksum of its checkpoint once it has ended."""
    folder = kerastuner.trial_folder(oracle, trial.trial_id)
    if is_remote(folder):
        trial.save(f"{folder}/{TRIAL_FILE}")
        return
    state = trial.get_state()
    checkpoint = Path(folder, CHECKPOINT_FILE)
    has_ended = trial.status in _ENDED
    if has_ended and checkpoint.is_file():
        state[_CHECKPOINT] = checksum_of_file(checkpoint)
    # a trial that runs would be trained again in any case
    write_kept(Path(folder, TRIAL_FILE), state, durable=has_ended)


def reload_oracle(oracle: keras_tuner.Oracle) -> None:
    """Go on from the files of an earlier process, with its trials in the order in which they began.

    Whichever of its writes was the last: a trial that it had ended is not trained again, one that
    it was in the middle of is, and one of which the oracle had not written yet is proposed again.

    Raises:
        SearchError: naming the file that is missing or damaged.
    """
    path = kerastuner.oracle_file(oracle)
    if is_remote(path):
        keras_tuner.Oracle.reload(oracle)
        return
    state = read_kept(Path(path))
    forgotten = state.pop(_FORGOTTEN, None)
    with _naming(path):
        started = list(map(str, state["start_order"]))
    oracle.trials = {trial_id: _read_trial(oracle, trial_id) for trial_id in started}
    with _naming(path):
        oracle.set_state(state)
        kerastuner.note_unfinished(oracle)
        if forgotten is not None:
            kerastuner.restore_forgotten_state(oracle, forgotten)


def _read_trial(oracle: keras_tuner.Oracle, trial_id: str) -> Trial:
    path = Path(kerastuner.project_folder(oracle), f"trial_{trial_id}", TRIAL_FILE)
    state = read_kept(path)
    state.pop(_CHECKPOINT, None)
    with _naming(path):
        return Trial.from_state(state)


@contextlib.contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Say of which file it is that something cannot be read."""
    try:
        yield
    except SearchError:
        raise
    except Exception as error:
        raise damaged(Path(path), f"it cannot be understood, {reason_of(error)}") from error


def check_checkpoint(oracle: keras_tuner.Oracle, trial_id: str) -> None:
    """Check that a trial's weights are those that it had.

    Raises:
        SearchError: naming the file, if they are not.
    """
    folder = kerastuner.trial_folder(oracle, trial_id)
    if is_remote(folder):
        return
    checkpoint = Path(folder, CHECKPOINT_FILE)
    if not checkpoint.is_file():
        raise _no_weights(checkpoint, "it is missing")
    known = read_kept(Path(folder, TRIAL_FILE)).get(_CHECKPOINT)
    if known is not None and known != checksum_of_file(checkpoint):
        raise _no_weights(checkpoint, "it does not agree with its checksum")


def _no_weights(checkpoint: Path, what: str) -> SearchError:
    return SearchError(
        "The weights of a trial must be as the search wrote them: put a copy of the file back, or "
        f"train the candidate again. Received: {checkpoint}: {what}"
    )


def check_tuner_file(path: Path, oracle: Path) -> None:
    """Write a tuner's file again, if it is gone: without it KerasTuner would begin the search again.

    It holds nothing that a search needs; the oracle and the trials hold all.
    """
    if path.is_file():
        return
    has_trials = any(oracle.parent.glob(f"trial_*/{TRIAL_FILE}"))
    if oracle.is_file() or has_trials:
        write_kept(path, {})


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Keep the state of a tuner, if it has changed: it hardly ever does."""
    with contextlib.suppress(SearchError):
        if path.is_file() and read_kept(path) == state:
            return
    with telling_full_disk(path):
        write_kept(path, state)
