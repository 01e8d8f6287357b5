"""A search for each layer or group: from the best uniform choice on, group by group, in populations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import stats

from .cohorts import Cohorts
from .groups import Assignment, Group, groups
from .members import Member
from .paired import ALPHA
from .progress import RaceProgress
from .race import Over, RaceSearch
from .result import TrialResult
from .rewrite import slots, with_activations
from .seeding import derive
from .space import ActivationSpace, Candidate

_SEEDS = (3, 8)  # of a population: at least, and at most
_STEPS = 14  # a stream of seeds


def better(scores: np.ndarray, level: float = ALPHA) -> int:
    """Return which candidate a group gets: the best, if it is better than the current one (row 0) by a test; else 0.

    The candidates share their seeds. A t test on three differences has hardly any power, so the noise is estimated
    from all candidates, as what their means and the seeds' means do not explain, with (K - 1)(S - 1) degrees of
    freedom. The test is one-sided at ``level / (K - 1)``: where all are equal, a group changes with a probability of
    about `level` at most. To take the best mean in any case would collect luck, group after group.

    Args:
        scores: (K, S), higher is better, not finite where a run diverged. Who diverged is not chosen; if the current
            one did, the best of the others is.
        level: of the test.

    Example:
        >>> better(np.array([[0.90, 0.91, 0.90], [0.95, 0.96, 0.96], [0.80, 0.81, 0.80]]))
        1
    """
    healthy = [int(k) for k in np.flatnonzero(np.isfinite(scores).all(axis=1))]
    means = {k: float(scores[k].mean()) for k in healthy}
    best = max(healthy, key=lambda k: means[k], default=0)
    if best == 0 or 0 not in healthy:
        return best
    kept = scores[healthy]
    rest = kept - kept.mean(axis=1, keepdims=True) - kept.mean(axis=0) + kept.mean()
    freedom = (kept.shape[0] - 1) * (kept.shape[1] - 1)
    spread = math.sqrt(float((rest**2).sum()) / freedom) if freedom else 0.0
    # without a spread there is nothing to measure a difference by
    if spread <= 1e-9 * float(np.abs(kept).max()):
        return 0
    t = (means[best] - means[0]) / (spread * math.sqrt(2 / kept.shape[1]))
    return best if float(stats.t.sf(t, freedom)) < level / (len(healthy) - 1) else 0


@dataclass
class _Tried:
    """All whole trainings of one assignment."""

    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0


class SlotwiseSearch:
    """Races for the best uniform choice, then improves it group by group. `run` does it; the rest tells what was found.

    Args:
        model: that `hindrance` has nothing against.
        space: what is searched, the baseline first, with its groups.
        objective: what ranks, one metric.
        fit: the arguments of `fit`, data included, without epochs.
        trials: how many candidates start in the race.
        epochs: of a whole training.
        share: how many epochs the race takes, and by default each group; of a smaller `total`, the race gets half.
        total: how many epochs all runs together may take; by default `share` for the race and for each group.
        seconds: after which the search ends with what it has; the race gets half of them.
        seed: of candidates, initialization and batch order.
        project: a folder that keeps the scores of the race's finished rungs.
        verbose: 0 shows nothing.
    """

    def __init__(
        self,
        model: keras.Model,
        space: ActivationSpace,
        objective: Any,
        fit: Mapping[str, Any],
        *,
        trials: int,
        epochs: int,
        share: int,
        total: int | None = None,
        seconds: float | None = None,
        seed: int = 0,
        project: Path | None = None,
        verbose: int = 1,
    ):
        self._model, self._space, self._fit = model, space, fit
        self._groups = groups(slots(model), space.per)
        self._epochs, self._seed, self._limit = epochs, seed, seconds
        steps = len(self._groups) if len(self._groups) > 1 else 0  # one group is the uniform choice
        self._total = total or share * (1 + steps)
        self._race = RaceSearch(
            model,
            space,
            objective,
            fit,
            trials=trials,
            epochs=epochs,
            total=min(share, self._total // 2) if steps else self._total,
            seconds=seconds / 2 if seconds is not None and steps else seconds,
            seed=seed,
            project=project,
            verbose=verbose,
            slots=[name for group in self._groups for name in group.slots],
        )
        self.objective, self.interrupted = self._race.objective, False
        self.progress = self._race.progress = RaceProgress(self._total, verbose)
        self._deadline, self._shown = math.inf, ""
        self._tried: dict[Assignment, _Tried] = {}
        self._chosen: list[Assignment] = []  # the uniform choice, then each that was better than the one before
        self._models: dict[Assignment, keras.Model | None] = {}  # of the chosen

    def run(self) -> None:
        """Race, then improve group by group, until nothing changes, the budget is spent, or the user ends it."""
        if self._limit is not None:
            self._deadline = time.monotonic() + self._limit
        self._race.run()
        self.interrupted = self._race.interrupted
        first = next(iter(self._race.results()), None)
        if first is None or first.rank is None:
            return
        self._chosen = [self._assignment(first.candidate)]
        self._models[self._chosen[0]] = self._race.model(first.candidate)
        if self.interrupted or len(self._groups) < 2 or len(self._ranked()) < 2:
            return
        self.progress.say(f"Best for all {len(self._groups)} groups: {first.candidate}. Now group by group")
        self._left = self._total - self._race.spent
        try:
            step, changed = 0, True
            while changed:
                changed = False
                for index, group in enumerate(self._groups):
                    self._check_time()
                    plan = self._plan(group, self._left // (len(self._groups) - index))
                    if plan is None:
                        self.progress.say(f"The budget is spent before {group.name}: max_epochs allows more")
                        return
                    changed |= self._improve(group, *plan, step)
                    step += 1
        except KeyboardInterrupt:
            self.interrupted = True
        except Over:
            self.progress.say("The time is over: the best so far")

    def results(self) -> tuple[TrialResult, ...]:
        """All choices: the one chosen last first, then those before it, then who went further, the diverged last."""
        rows = {self._assignment(row.candidate): row for row in self._race.results()}
        rows |= {choice: self._row(choice, rows.get(choice)) for choice in self._tried}
        ranked = sorted((c for c, row in rows.items() if row.score is not None), key=lambda c: self._order(c, rows[c]))
        orders = [self._order(choice, rows[choice]) for choice in ranked]
        places = {choice: 1 + orders.index(order) for choice, order in zip(ranked, orders, strict=True)}
        return tuple(
            replace(rows[choice], rank=places.get(choice), hyperparameters=self._hyperparameters(choice))
            for choice in (*ranked, *(c for c in rows if c not in places))
        )

    def leaders(self) -> tuple[Candidate | Assignment, ...]:
        """What the verdict judges: the choice and the best uniform one; the race's ranking, if no group changed."""
        if len(self._chosen) > 1:
            return tuple(choice.only or choice for choice in (self._chosen[-1], self._chosen[0]))
        return self._ranked()

    def model(self, candidate: Candidate | Assignment) -> keras.Model | None:
        """Return the best model of the choice, or of a uniform one; None if it is not kept."""
        choice = self._assignment(candidate)
        if choice in self._models:
            return self._models[choice]
        return self._race.model(candidate) if isinstance(candidate, Candidate) else None

    def builder(self, candidate: Candidate | Assignment) -> Callable[[], keras.Model] | None:
        """Return what builds the model of a choice."""
        return partial(with_activations, self._model, self._assignment(candidate))

    def _ranked(self) -> tuple[Candidate | Assignment, ...]:
        return tuple(row.candidate for row in self._race.results() if row.rank is not None)

    @property
    def _sign(self) -> int:
        return 1 if self.objective.direction == "max" else -1

    def _assignment(self, candidate: Candidate | Assignment) -> Assignment:
        if isinstance(candidate, Assignment):
            return candidate
        return Assignment(tuple((group, candidate) for group in self._groups))

    def _plan(self, group: Group, share: int) -> tuple[list[Candidate], int] | None:
        """Return the candidates of a group, the current one first, and how many seeds; None if that is too much."""
        runs = min(max(share // self._epochs, 2 * _SEEDS[0]), self._left // self._epochs)
        if runs < 2 * _SEEDS[0]:
            return None
        ranked = [c for c in self._ranked() if isinstance(c, Candidate)]
        # two alphas of one activation are hardly ever told apart on few seeds
        best = {candidate.name: candidate for candidate in reversed(ranked)}
        own = dict(self._chosen[-1].groups)[group]
        baseline = self._space.grid(1)[0]
        # the baseline keeps a place where there are three
        others = [c for c in ranked if c in best.values() and c not in (own, baseline)]
        places = runs // _SEEDS[0]
        tried = list(dict.fromkeys([own, *others[: max(1, places - 2)], baseline, *others]))[:places]
        return tried, min(runs // len(tried), _SEEDS[1])

    def _improve(self, group: Group, tried: Sequence[Candidate], seeds: int, step: int) -> bool:
        """Train the candidates of one group, and take the best if it is better; return whether it was."""
        self._shown = f"{group.name}, {len(tried)} candidates, {seeds} seeds"
        now = self._chosen[-1]
        seed = derive(self._seed, _STEPS, step)
        model = with_activations(self._model, now)
        cohorts = Cohorts(model, self.objective, self._fit, [self._epochs], seed, self._epoch, slots=group.slots)
        members = [[Member(candidate, derive(seed, index)) for index in range(seeds)] for candidate in tried]
        cohorts.train([member for row in members for member in row], self._epochs)
        runs = [[cohorts.runs[member] for member in row] for row in members]
        scores = np.array([[np.nan if run.diverged else self._sign * run.best for run in row] for row in runs])
        choices = [
            Assignment(tuple((g, candidate if g == group else old) for g, old in now.groups)) for candidate in tried
        ]
        for choice, row, own in zip(choices, runs, scores, strict=True):
            record = self._tried.setdefault(choice, _Tried())
            record.scores += [self._sign * float(score) for score in own]
            record.seconds += sum(run.seconds for run in row)
        self._left -= sum(run.epochs for row in runs for run in row)
        index = better(scores)
        if np.isfinite(scores[index]).all():
            self._models[choices[index]] = cohorts.model(members[index][int(np.argmax(scores[index]))])
        if index:
            self._chosen.append(choices[index])
        self.progress.say(self._line(group, tried, scores, index))
        return index > 0

    def _line(self, group: Group, tried: Sequence[Candidate], scores: np.ndarray, index: int) -> str:
        text = f"{group.name}: {len(tried)} candidates, {self._epochs} epochs, {scores.shape[1]} seeds"
        gain = f"{self._sign * float(scores[index].mean() - scores[0].mean()):+.4f}"
        return f"{text}, {tried[0]} -> {tried[index]} {gain}" if index else f"{text}, keeps {tried[0]}"

    def _epoch(self, runs: int) -> None:
        self.progress.epoch(self._shown, runs)
        self._check_time()

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise Over

    def _order(self, choice: Assignment, row: TrialResult) -> tuple[float, ...]:
        # a later round may come back to what was chosen before
        place = max((i for i, chosen in enumerate(self._chosen) if chosen == choice), default=-1)
        return (-place, -(row.epochs or 0), row.status != "completed", -self._sign * (row.score or 0.0))

    def _row(self, choice: Assignment, raced: TrialResult | None) -> TrialResult:
        """All whole trainings of a choice; those of the race, if it was one of its candidates, were others."""
        record = self._tried[choice]
        healthy = bool(np.isfinite(record.scores).all())
        return TrialResult(
            rank=None,
            candidate=choice.only or choice,
            score=float(np.mean(record.scores)) if healthy else None,
            status="completed" if healthy else "diverged",
            seconds=record.seconds + (raced.seconds or 0.0 if raced else 0.0),
            hyperparameters={},
            message="" if healthy else f"diverged: the loss or {self.objective.name} is not finite",
            epochs=self._epochs,
            seeds=len(record.scores),
        )

    def _hyperparameters(self, choice: Assignment) -> dict[str, Any]:
        return {
            name: value
            for group, candidate in choice.groups
            for name, value in self._space.hyperparameters(candidate, f"act.{group.name}").items()
        }
