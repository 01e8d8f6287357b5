"""How many trials an oracle can propose before it should see the results of the first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras_tuner
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle

from .kerastuner import Trial, TrialStatus, brackets_of, size_of_round, waiting_retries

if TYPE_CHECKING:
    from .tuner import ActivationTuner

# as in KerasTuner: this many random trials for each hyperparameter come first, and so many at least
_RANDOM_PER_HYPERPARAMETER = 3
_LEAST_RANDOM = 3


def next_trials(tuner: ActivationTuner, most: int) -> list[Trial]:
    """Return up to so many trials to train next; none when the oracle has stopped.

    Trials that an interrupted search left behind come first: in the same process each is found
    under the name that it was asked for with, in a later one KerasTuner has them wait for a retry.
    """
    oracle = tuner.oracle
    trials: list[Trial] = []
    for name in _names(tuner):
        tuner.pre_create_trial()
        trial = oracle.create_trial(name)
        if trial.status != TrialStatus.RUNNING:
            # IDLE: it waits for what is in flight
            break
        trials.append(trial)
        if len(trials) >= most:
            break
        left_behind = waiting_retries(oracle) or len(oracle.ongoing_trials) > len(trials)
        if not left_behind and _independent(oracle, trial) < 1:
            break
    # KerasTuner retries the last one first
    return sorted(trials, key=lambda trial: trial.trial_id)


def _names(tuner: ActivationTuner) -> Iterator[str]:
    """The names to ask under: those in flight, then new ones. One name has one trial at a time."""
    in_flight = list(tuner.oracle.ongoing_trials)
    yield from in_flight
    if tuner.tuner_id not in in_flight:
        yield tuner.tuner_id
    for number in itertools.count(1):
        name = f"{tuner.tuner_id}-member{number}"
        if name not in in_flight:
            yield name


def _independent(oracle: keras_tuner.Oracle, last: Trial) -> float:
    """How many more trials would be the same if each were asked for after the others' results."""
    if isinstance(oracle, BayesianOptimizationOracle):
        random = oracle.num_initial_points or max(
            _RANDOM_PER_HYPERPARAMETER * len(oracle.hyperparameters.space), _LEAST_RANDOM
        )
        return random - len(oracle.trials)
    if isinstance(oracle, HyperbandOracle):
        return _left_in_round(oracle, last)
    return float("inf")


def _left_in_round(oracle: HyperbandOracle, last: Trial) -> int:
    """How many trials are still to come in the round of a bracket that a trial is of."""
    for bracket in brackets_of(oracle):
        if _holds(bracket, last.trial_id):
            number = last.hyperparameters.values["tuner/round"]
            size = size_of_round(oracle, bracket["bracket_num"], number)
            return size - len(bracket["rounds"][number])
    return 0


def _holds(bracket: dict[str, Any], trial_id: str) -> bool:
    infos = itertools.chain.from_iterable(bracket["rounds"])
    return any(info["id"] == trial_id for info in infos)
