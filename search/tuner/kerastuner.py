"""The private names of KerasTuner that this package needs, each under a name of ours.

No other file imports `keras_tuner.src` or reads a private name of its classes. All were read in
KerasTuner 1.4.7 and 1.4.8; ``tests/test_private_api.py`` asks each for its existence and signature.
What subclasses of ours override, or call on themselves, stands in `OVERRIDDEN`.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
import keras_tuner
from keras_tuner.src.backend import io
from keras_tuner.src.distribute.utils import has_chief_oracle, is_chief_oracle
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
    keras_tuner.Oracle: ("_check_consecutive_failures", "_duplicate", "_save_trial"),
    keras_tuner.Tuner: (
        "_build_and_fit_model",
        "_build_hypermodel",
        "_get_checkpoint_fname",
        "_populate_initial_space",
        "_run_and_update_trial",
        "_try_build",
        "_try_run_and_update_trial",
    ),
}


def is_worker() -> bool:
    """Return whether this process trains the trials that another one, the chief, gives out."""
    return has_chief_oracle() and not is_chief_oracle()


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


def oracle_file(oracle: keras_tuner.Oracle) -> str:
    """Return where the state of an oracle is kept."""
    return str(oracle._get_oracle_fname())


def trial_folder(oracle: keras_tuner.Oracle, trial_id: str) -> str:
    """Return the folder of a trial, which the processes of a distributed search share."""
    # a worker has a client of the chief's oracle, around one of its own
    own = getattr(oracle, "_oracle", oracle)
    return str(own._get_trial_dir(trial_id))


def project_folder(oracle: keras_tuner.Oracle) -> str:
    """Return the folder of the search that an oracle belongs to."""
    return str(oracle._project_dir)


def tuner_file(tuner: keras_tuner.Tuner) -> str:
    """Return where the state of a tuner is kept."""
    return str(tuner._get_tuner_fname())


def replace_saving(
    oracle: keras_tuner.Oracle,
    save: Callable[[], None],
    save_trial: Callable[[Trial], None],
    reload: Callable[[], None],
) -> None:
    """Have an oracle keep itself and its trials by other means, but for what its class does itself."""
    kind = type(oracle)
    if kind.save is keras_tuner.Oracle.save:
        oracle.save = save
    if kind._save_trial is keras_tuner.Oracle._save_trial:
        oracle._save_trial = save_trial
    if kind.reload is keras_tuner.Oracle.reload:
        oracle.reload = reload


def note_unfinished(oracle: keras_tuner.Oracle) -> None:
    """Have what an earlier process was in the middle of be handed out again, in its order.

    What that process had ended is not, whether it came to write that down or not.
    """
    waiting = {trial.trial_id for trial in oracle.ongoing_trials.values()}
    waiting |= set(oracle._retry_queue)
    oracle.ongoing_trials = {}
    oracle._retry_queue = []
    ended = (TrialStatus.COMPLETED, TrialStatus.FAILED)
    for trial_id in oracle.start_order:
        trial = oracle.trials[trial_id]
        if trial.status in ended and trial_id not in oracle.end_order:
            oracle.update_space(trial.hyperparameters)
            oracle._record_values(trial)
            oracle.end_order.append(trial_id)
            oracle._run_times[trial_id] += 1
        elif trial.status not in ended and trial_id in waiting:
            oracle._retry_queue.append(trial_id)
            if trial.status == TrialStatus.RUNNING:
                # what it has reported would be averaged with what it reports then
                trial.metrics = type(trial.metrics)()
    # the last one of the queue is handed out first
    oracle._retry_queue.reverse()


def forgotten_state(oracle: keras_tuner.Oracle) -> dict[str, Any]:
    """Return what KerasTuner's own oracles need to go on, or to tell what is left, and do not keep."""
    state: dict[str, Any] = {"max_trials": oracle.max_trials}
    if isinstance(oracle, keras_tuner.oracles.GridSearchOracle):
        order = oracle._ordered_ids
        ids = []
        index = order._next_index[None]
        while index is not None:
            ids.append(order._memory[index])
            index = order._next_index[index]
        state |= {"order": ids, "next": list(oracle._populate_next)}
    if isinstance(oracle, keras_tuner.oracles.BayesianOptimizationOracle):
        kind, words, *rest = oracle._random_state.get_state()
        state["random"] = [kind, [int(word) for word in words], *rest]
    return state


def restore_forgotten_state(oracle: keras_tuner.Oracle, state: dict[str, Any]) -> None:
    """Go on from what `forgotten_state` returned."""
    if isinstance(oracle, keras_tuner.oracles.GridSearchOracle):
        order = type(oracle._ordered_ids)()
        before = None
        for trial_id in state["order"]:
            order.insert(trial_id, before)
            before = trial_id
        oracle._ordered_ids = order
        # a trial may have ended just before the process did: which have a successor it sees itself
        oracle._populate_next = [*state["next"], *oracle.end_order]
    if isinstance(oracle, keras_tuner.oracles.BayesianOptimizationOracle):
        oracle._random_state.set_state(tuple(state["random"]))


def end_if_trained(oracle: keras_tuner.Oracle, trial: Trial) -> None:
    """End a trial in flight that has trained; one that was ended, but for its file, is written.

    A full disk, or Ctrl-C, may come between any two of these steps.
    """
    trial_id = trial.trial_id
    has_ended = trial_id in oracle.end_order or trial_id in oracle._retry_queue
    if has_ended or trial.status == TrialStatus.RUNNING:
        oracle._save_trial(trial)
    else:
        oracle.end_trial(trial)


def waiting_retries(oracle: keras_tuner.Oracle) -> list[str]:
    """Return the trials that failed and will be handed out again."""
    return list(oracle._retry_queue)


def brackets_of(oracle: keras_tuner.oracles.HyperbandOracle) -> list[dict[str, Any]]:
    """Return the brackets of a `HyperbandOracle`, each with its rounds."""
    return list(oracle._brackets)


def size_of_round(oracle: keras_tuner.oracles.HyperbandOracle, bracket: int, number: int) -> int:
    """Return how many trials a round of a bracket of a `HyperbandOracle` has."""
    return int(oracle._get_size(bracket, number))
