"""How many trials an oracle can propose before it should see the results of the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle

from .kerastuner import Trial, TrialStatus, brackets_of, size_of_round, waiting_retries


def next_trials(tuner: Any, most: int) -> list[Trial]:
    """Return up to so many trials to train next; none when the oracle has stopped.

    Trials that an interrupted search left behind come first: in the same process each is found
    under the name that it was asked for with, in a later one KerasTuner has them wait for a retry.
    """
    oracle, found = tuner.oracle, []
    for name in _names(tuner, most):
        tuner.pre_create_trial()
        trial = oracle.create_trial(name)
        if trial.status != TrialStatus.RUNNING:
            # IDLE: it waits for what is in flight
            break
        found.append(trial)
        behind = waiting_retries(oracle) or len(oracle.ongoing_trials) > len(found)
        if len(found) >= most or (not behind and _independent(oracle, trial) < 1):
            break
    return sorted(found, key=lambda trial: trial.trial_id)  # KerasTuner retries the last one first


def _names(tuner: Any, most: int) -> Iterator[str]:
    """The names to ask under: those in flight, then new ones. One name has one trial at a time."""
    known = list(tuner.oracle.ongoing_trials)
    yield from known
    fresh = (
        tuner.tuner_id if k == 0 else f"{tuner.tuner_id}-slot{k}" for k in range(most + len(known))
    )
    yield from (name for name in fresh if name not in known)


def _independent(oracle: Any, last: Trial) -> float:
    """How many more trials would be the same ones if they were asked for one after the other, each after its result."""
    if isinstance(oracle, BayesianOptimizationOracle):
        random = oracle.num_initial_points or max(3 * len(oracle.hyperparameters.space), 3)
        return random - len(oracle.trials)
    if isinstance(oracle, HyperbandOracle):
        values = last.hyperparameters.values
        bracket = next((b for b in brackets_of(oracle) if _holds(b, last.trial_id)), None)
        if bracket is None:
            return 0
        number = values["tuner/round"]
        return size_of_round(oracle, bracket["bracket_num"], number) - len(
            bracket["rounds"][number]
        )
    return float("inf")


def _holds(bracket: dict[str, Any], trial_id: str) -> bool:
    return any(info["id"] == trial_id for infos in bracket["rounds"] for info in infos)
