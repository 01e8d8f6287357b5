"""The race as an oracle of KerasTuner.

A rung's candidates are its trials, and who goes on is a trial that goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import keras_tuner
import numpy as np

import keras_acts
from keras_acts.errors import SearchError, shown

from ..race.race import Race, RungTask
from ..race.schedule import Rung, schedule
from ..race.surrogate import SurrogateProposer
from ..runtime.seeding import Stream, derive
from ..space.candidate import Candidate
from ..space.embedding import embed
from ..space.entry import read_activation
from ..strategy.direction import more_is_better
from ..strategy.objective import checked_objective
from .kerastuner import HyperParameter, Trial, TrialStatus
from .oracle import ActivationOracle

_BASELINE = Candidate.of("relu")
_POOL = 256  # points at random, to propose from
# how far apart the ends of a hyperparameter are, where activations are root mean squares apart
_OWN = 0.5
# in the middle of its range: where a point has no such hyperparameter
_MIDDLE = 0.5
_ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)

# all hyperparameters of a candidate, the user's own too
Point = tuple[tuple[str, Any], ...]


class RacingOracle(ActivationOracle):
    """Proposes trials as a race does.

    Many for a few epochs, half of them further, the best to the end.

    Every activation starts with its default parameters, relu among them, which always goes on. As
    many others are proposed by what the first showed (see `SurrogateProposer`), the user's own
    hyperparameters among what varies. Rungs end at a quarter, a half and all of the epochs; half of
    a rung goes on, the best of each activation before the second best of any. Diverged and failed
    trials never do.

    As with KerasTuner's `HyperbandOracle`, who goes on is a *new* trial that loads the checkpoint
    of the old one, and the tuner must read three hyperparameters: ``tuner/epochs`` and
    ``tuner/initial_epoch``, always set, and ``tuner/trial_id``, the trial to go on from.
    `ActivationTuner` and the loop of `keras_tuner.Hyperband` do. The score is the best of a
    candidate's trials: one seed, or the mean of the tuner's `executions_per_trial`; so unlike the
    race of `search_activations`, this one has no rungs over seeds, and tests nobody out of the
    race.

    Args:
        objective: one metric, as in KerasTuner.
        trials: how many candidates start, replaced ones not counted; KerasTuner counts more trials
            than that.
        max_epochs: of a whole training.
        seed: of the proposals; the same seed and scores propose the same trials, also after a
            resume.
        choice: the name of the `Choice` hyperparameter that holds the activation; relu must be in
            it.
        **kwargs: KerasTuner's arguments of an oracle, without `max_trials`.

    Raises:
        SearchError: on an invalid argument; when the tuner is made, on a choice without relu, or
            one for each group.

    Example:
        >>> oracle = RacingOracle("val_accuracy", trials=20, max_epochs=10, seed=0)
        >>> tuner = ActivationTuner(model, oracle=oracle, directory="runs")
        >>> tuner.search(x, y, validation_split=0.2)
    """

    def __init__(
        self,
        objective: str | keras_tuner.Objective = "val_loss",
        trials: int = 20,
        *,
        max_epochs: int = 10,
        seed: int = 0,
        choice: str = "act",
        **kwargs: Any,
    ):
        _check_integer("trials", trials, 2)
        _check_integer("max_epochs", max_epochs, 1)
        _check_integer("seed", seed, 0)
        # how many KerasTuner trials there are depends on who diverges
        super().__init__(checked_objective(objective), None, seed=seed, choice=choice, **kwargs)  # type: ignore[arg-type]
        self.candidates = trials
        self.max_epochs = max_epochs
        self._declared: int | None = None  # hyperparameters that were known when the race began

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the hyperparameters of the next trial.

        IDLE while a rung is not finished, STOPPED at the end.
        """
        while True:
            task = self._race.ask()
            if task is None:
                return {"status": TrialStatus.STOPPED}
            trials_of = self._trials_by_point(task.epochs)
            waiting = False
            for point in task.candidates:
                trials = trials_of.get(point, [])
                if not trials or self._goes_on(trials[-1], task):
                    return {"status": TrialStatus.RUNNING, "values": _values(point, task, trials)}
                if trials[-1].status not in _ENDED:
                    waiting = True
            if waiting:
                return {"status": TrialStatus.IDLE}
            scores = [self._score(trials_of[point]) for point in task.candidates]
            self._race.tell(np.reshape(scores, (-1, 1)))

    def update_space(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """Add new hyperparameters.

        Those that come when the race has begun stay at their defaults.
        """
        super().update_space(hyperparameters)
        choices = [hp for hp in self.hyperparameters.space if self._is_choice(hp)]
        names = [hp.name for hp in choices]
        if set(names) - {self.choice}:
            raise SearchError(f"A race has one activation for all slots. Received: {names}")
        if not choices:
            return
        labels = list(choices[0].values)
        if all(self._candidate({self.choice: label}) != _BASELINE for label in labels):
            raise SearchError(f"The activations must have relu among them. Received: {labels}")

    def get_state(self) -> dict[str, Any]:
        """Return the state; the race itself is in its trials."""
        race = {
            "trials": self.candidates,
            "max_epochs": self.max_epochs,
            "declared": self._declared,
        }
        return {**super().get_state(), "race": race}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state; the scores of the trials decide again what they decided."""
        super().set_state(state)
        race = state["race"]
        self.candidates = race["trials"]
        self.max_epochs = race["max_epochs"]
        self._declared = race["declared"]
        # the race of another state, if there is one
        self.__dict__.pop("_race", None)

    @cached_property
    def _race(self) -> Race:
        labels = self._labels()
        if not labels:
            raise SearchError(
                f"The model must have a Choice called {self.choice!r}. Received: none"
            )
        if self._declared is None:
            self._declared = len(self.hyperparameters.space)
        starts = [self._point(self._values(0, label)) for label in labels]
        # the baseline first, the others as they are
        starts.sort(key=lambda point: self._candidate(dict(point)) != _BASELINE)
        pool = []
        for number in range(_POOL):
            seed = derive(self.seed, Stream.POOL, number)
            pool.append(self._point(self._values(seed, None)))
        rungs = schedule(self.candidates, self.max_epochs, starts=len(starts))
        proposer = SurrogateProposer([*starts, *pool], self._shapes)
        return Race(starts, tuple(_halving(rungs, self.candidates)), proposer, self._kind)

    def _kind(self, point: Point) -> str:
        """The activation of a point, without its parameters."""
        name, _ = read_activation(dict(point)[self.choice])
        return name

    def _point(self, values: dict[str, Any]) -> Point:
        names = {hp.name for hp in self.hyperparameters.space[: self._declared]}
        pairs = [(name, value) for name, value in values.items() if name in names]
        return tuple(sorted(pairs))

    def _candidate(self, values: dict[str, Any]) -> Candidate:
        name, fixed = read_activation(values[self.choice])
        prefix = f"{self.choice}.{name}."
        if name not in keras_acts.names():
            return Candidate(name)
        searched = {}
        for key, value in values.items():
            if key.startswith(prefix):
                searched[key.removeprefix(prefix)] = value
        return Candidate.of(name, **dict(fixed), **searched)

    def _shapes(self, points: Sequence[Point]) -> np.ndarray:
        """What the surrogate sees of points.

        The shape of the activation, then where in its range each of the user's own hyperparameters
        is.
        """
        users = []
        for hp in self.hyperparameters.space[: self._declared]:
            if hp.name != self.choice and not hp.name.startswith(f"{self.choice}."):
                users.append(hp)
        shapes = []
        for values in map(dict, points):
            places = [_place(hp, values) for hp in users]
            shape = embed(self._candidate(values))
            shapes.append(np.append(shape, _OWN * np.array(places)))
        return np.stack(shapes)

    def _trials_by_point(self, epochs: int) -> dict[Point, list[Trial]]:
        """The trials of each candidate until an epoch, in the order in which they began."""
        trials: dict[Point, list[Trial]] = {}
        for trial_id in self.start_order:
            trial = self.trials[trial_id]
            values = trial.hyperparameters.values
            # after a resume, a rung must not see what came of it later
            if values["tuner/epochs"] <= epochs:
                trials.setdefault(self._point(values), []).append(trial)
        return trials

    def _goes_on(self, trial: Trial, task: RungTask) -> bool:
        further = trial.hyperparameters.values["tuner/epochs"] < task.epochs
        return further and trial.status == TrialStatus.COMPLETED and bool(np.isfinite(trial.score))

    def _score(self, trials: list[Trial]) -> float:
        if any(trial.status == TrialStatus.FAILED for trial in trials):
            return float("nan")
        return max(more_is_better(trial.score, self.objective.direction) for trial in trials)


def _check_integer(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SearchError(f"{name} must be an integer >= {least}. Received: {name}={shown(value)}")


def _place(hp: HyperParameter, values: Mapping[str, Any]) -> float:
    """Where in its range a hyperparameter is, from 0 to 1."""
    if hp.name not in values:
        return _MIDDLE
    return hp.value_to_prob(values[hp.name])


def _values(point: Point, task: RungTask, trials: list[Trial]) -> dict[str, Any]:
    values = {**dict(point), "tuner/epochs": task.epochs, "tuner/initial_epoch": 0}
    if trials:
        last = trials[-1]
        values["tuner/initial_epoch"] = last.hyperparameters.values["tuner/epochs"]
        values["tuner/trial_id"] = last.trial_id
    return values


def _halving(rungs: Sequence[Rung], trials: int) -> Iterator[Rung]:
    """The rungs of a race with one seed: where nobody enters, the better half goes on, further."""
    alive = trials - 1
    epochs = 0
    for rung in rungs:
        if rung.enter:
            yield Rung(rung.epochs, 1, rung.keep, rung.enter)
        elif rung.epochs > epochs:
            alive = max(1, alive // 2)
            yield Rung(rung.epochs, 1, alive, 0)
        epochs = rung.epochs
