"""The race as an oracle of KerasTuner.

A task's candidates are its trials, and who goes on is a trial that goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import keras_tuner
import numpy as np

import keras_acts
from keras_acts.errors import SearchError

from ..race.race import Race, RungTask
from ..race.schedule import Rung, schedule
from ..race.surrogate import SurrogateProposer
from ..runtime.seeding import Stream, derive
from ..space.candidate import Candidate
from ..space.embedding import embed
from ..space.entry import read_activation
from ..strategy.direction import more_is_better
from ..strategy.objective import checked_objective
from .kerastuner import Trial, TrialStatus
from .oracle import ActivationOracle

_BASELINE = Candidate.of("relu")
_POOL = 256  # points at random, to propose from
_OWN = 0.5  # how far apart the ends of a hyperparameter are, where activations are root mean squares apart
_ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)

# all hyperparameters of a candidate, the user's own too
Point = tuple[tuple[str, Any], ...]


class RacingOracle(ActivationOracle):
    """Proposes trials as a race does.

    Many for a few epochs, half of them further, the best to the end.

    Every activation starts with its default parameters, relu among them, which always goes on. As
    many others are proposed by what the first showed (see `ShapeProposer`), the user's own
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
        objective: Any = "val_loss",
        trials: int = 20,
        *,
        max_epochs: int = 10,
        seed: int = 0,
        choice: str = "act",
        **kwargs: Any,
    ):
        for name, value, least in (
            ("trials", trials, 2),
            ("max_epochs", max_epochs, 1),
            ("seed", seed, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SearchError(
                    f"{name} must be an integer >= {least}. Received: {name}={value!r}"
                )
        # how many KerasTuner trials there are depends on who diverges
        super().__init__(checked_objective(objective), None, seed=seed, choice=choice, **kwargs)  # type: ignore[arg-type]
        self.candidates, self.max_epochs = trials, max_epochs
        self._declared: int | None = None  # hyperparameters that were known when the race began

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the hyperparameters of the next trial, IDLE while a rung is not finished, or STOPPED at the end."""
        while (task := self._race.ask()) is not None:
            runs = self._runs(task.epochs)
            waiting = False
            for point in task.candidates:
                trials = runs.get(point, [])
                if not trials or self._goes_on(trials[-1], task):
                    return {"status": TrialStatus.RUNNING, "values": _values(point, task, trials)}
                waiting |= trials[-1].status not in _ENDED
            if waiting:
                return {"status": TrialStatus.IDLE}
            self._race.tell(np.array([[self._score(runs[point])] for point in task.candidates]))
        return {"status": TrialStatus.STOPPED}

    def update_space(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """Add new hyperparameters.

        Those that come when the race has begun stay at their defaults.
        """
        super().update_space(hyperparameters)
        found = [hp for hp in self.hyperparameters.space if self._is_choice(hp)]
        if any(hp.name != self.choice for hp in found):
            raise SearchError(
                f"A race has one activation for all slots. Received: {[hp.name for hp in found]}"
            )
        if found and not any(
            self._candidate({self.choice: label}) == _BASELINE for label in found[0].values
        ):
            raise SearchError(
                f"The activations must have relu among them. Received: {list(found[0].values)}"
            )

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
        self.candidates, self.max_epochs, self._declared = (
            race["trials"],
            race["max_epochs"],
            race["declared"],
        )
        self.__dict__.pop("_race", None)

    @cached_property
    def _race(self) -> Race:
        choices = [hp for hp in self.hyperparameters.space if self._is_choice(hp)]
        if not choices:
            raise SearchError(
                f"The model must have a Choice called {self.choice!r}. Received: none"
            )
        if self._declared is None:
            self._declared = len(self.hyperparameters.space)
        starts = [self._point(self._values(0, label)) for label in choices[0].values]
        starts.sort(key=lambda point: self._candidate(dict(point)) != _BASELINE)
        pool = [
            self._point(self._values(derive(self.seed, Stream.POOL, number), None))
            for number in range(_POOL)
        ]
        rungs = tuple(
            _halving(
                schedule(self.candidates, self.max_epochs, starts=len(starts)), self.candidates
            )
        )
        proposer = SurrogateProposer([*starts, *pool], self._shapes)
        return Race(
            starts, rungs, proposer, lambda point: read_activation(dict(point)[self.choice])[0]
        )

    def _point(self, values: dict[str, Any]) -> Point:
        names = {hp.name for hp in self.hyperparameters.space[: self._declared]}
        return tuple(sorted((name, value) for name, value in values.items() if name in names))

    def _candidate(self, values: dict[str, Any]) -> Candidate:
        name, fixed = read_activation(values[self.choice])
        prefix = f"{self.choice}.{name}."
        searched = {
            key.removeprefix(prefix): value
            for key, value in values.items()
            if key.startswith(prefix)
        }
        return (
            Candidate.of(name, **dict(fixed), **searched)
            if name in keras_acts.names()
            else Candidate(name)
        )

    def _shapes(self, points: Sequence[Point]) -> np.ndarray:
        """The shape of the activation, then where in its range each of the user's own hyperparameters is."""
        space = self.hyperparameters.space[: self._declared]
        own = [
            hp
            for hp in space
            if hp.name != self.choice and not hp.name.startswith(f"{self.choice}.")
        ]
        found = []
        for values in map(dict, points):
            places = [hp.value_to_prob(values[hp.name]) if hp.name in values else 0.5 for hp in own]
            found.append(np.append(embed(self._candidate(values)), _OWN * np.array(places)))
        return np.stack(found)

    def _runs(self, epochs: int) -> dict[Point, list[Trial]]:
        """The trials of each candidate until an epoch, in the order in which they began."""
        found: dict[Point, list[Trial]] = {}
        for trial_id in self.start_order:
            trial = self.trials[trial_id]
            # after a resume, a task must not see what came of it later
            if trial.hyperparameters.values["tuner/epochs"] <= epochs:
                found.setdefault(self._point(trial.hyperparameters.values), []).append(trial)
        return found

    def _goes_on(self, trial: Trial, task: RungTask) -> bool:
        further = trial.hyperparameters.values["tuner/epochs"] < task.epochs
        return further and trial.status == TrialStatus.COMPLETED and bool(np.isfinite(trial.score))

    def _score(self, trials: list[Trial]) -> float:
        if any(trial.status == TrialStatus.FAILED for trial in trials):
            return float("nan")
        return max(more_is_better(trial.score, self.objective.direction) for trial in trials)


def _values(point: Point, task: RungTask, trials: list[Trial]) -> dict[str, Any]:
    values = {**dict(point), "tuner/epochs": task.epochs, "tuner/initial_epoch": 0}
    if trials:
        last = trials[-1]
        values["tuner/initial_epoch"] = last.hyperparameters.values["tuner/epochs"]
        values["tuner/trial_id"] = last.trial_id
    return values


def _halving(rungs: Sequence[Rung], trials: int) -> Iterator[Rung]:
    """The rungs of a race with one seed: where nobody enters, the better half goes on, further."""
    alive, epochs = trials - 1, 0
    for rung in rungs:
        if rung.enter:
            yield Rung(rung.epochs, 1, rung.keep, rung.enter)
        elif rung.epochs > epochs:
            alive = max(1, alive // 2)
            yield Rung(rung.epochs, 1, alive, 0)
        epochs = rung.epochs
