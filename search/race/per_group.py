"""A search for each layer or group.

From the best uniform choice on, changes of it race, in populations.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..rewrite.clone import with_activations
from ..rewrite.groups import chosen_slots, groups
from ..rewrite.slots import slots
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive
from ..space.assignment import Assignment, Choice
from ..space.candidate import Candidate
from ..space.embedding import embeddings
from ..space.space import ActivationSpace
from ..strategy.base import TrialResult
from ..strategy.direction import more_is_better
from ..strategy.progress import RaceProgress
from . import neighbourhood
from .race import Race
from .runner import RaceSearch, race_in
from .schedule import Rung, cost, schedule


class PerGroupSearch:
    """Races for the best uniform choice, then among changes of it.

    `run` does it; the rest tells what was found.

    Args:
        model: that `hindrance` has nothing against.
        space: what is searched, the baseline first, with its groups.
        objective: what ranks, one metric.
        fit: the arguments of `fit`, data included, without epochs.
        trials: how many candidates start in the race for the uniform choice, at most.
        epochs: of a whole training.
        total: how many epochs all runs together may take.
        seconds: after which the search ends with what it has.
        seed: of candidates, initialization and batch order.
        project: a folder that keeps the scores of finished rungs.
        verbose: 0 shows nothing.

    Attributes:
        errors: what ended the search before its end, once there was a choice.
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
        total: int,
        seconds: float | None = None,
        seed: int = 0,
        project: Path | None = None,
        verbose: int = 1,
    ):
        self._model, self._space, self._objective, self._fit = model, space, objective, fit
        self._epochs, self._total, self._seconds, self._seed, self._project = (
            epochs,
            total,
            seconds,
            seed,
            project,
        )
        self._groups = groups(slots(model), space.per)
        self._alone = len(self._groups) < 2 or len(space.grid(1)) < 2
        self._budget = None if self._alone else neighbourhood.budget(total, epochs)
        self.progress, self.interrupted = RaceProgress(total, verbose), False
        self.errors: dict[str, str] = {}
        share = self._budget.race if self._budget else total
        if self._budget:
            fitting = (
                n
                for n in range(2, trials + 1)
                if cost(schedule(n, epochs, share, len(space.grid(1)))) <= share
            )
            trials = max(fitting, default=trials)
        self._race = self._stage("race", race_in(space, trials, epochs, share, seed), seed)
        self.objective = self._race.objective
        self._screening: RaceSearch | None = None
        self._final: RaceSearch | None = None
        self._uniform: Assignment | None = None
        self._chosen: Assignment | None = None

    def _stage(
        self,
        name: str,
        race: Race,
        seed: int,
        choices: Sequence[Choice] = (),
        *,
        models: bool = True,
    ) -> RaceSearch:
        # the time may end another race in another choice, of which nothing is known
        known = zlib.crc32(" | ".join(map(str, choices)).encode())
        file = f"{name}-{known:08x}" if choices else name
        return RaceSearch(
            self._model,
            race,
            self._objective,
            self._fit,
            hyperparameters=self._hyperparameters,
            seed=seed,
            journal=None if self._project is None else self._project / f"{file}.json",
            progress=self.progress,
            slots=chosen_slots(slots(self._model), self._space.per),
            models=models,
            label="" if self._budget is None else f"{name}, ",
        )

    def run(self) -> None:
        """Race, screen changes, and decide, until the budget is spent, or the user ends it."""
        self._begun = time.monotonic()
        try:
            self._run()
        except KeyboardInterrupt:  # between the stages, which have an end of their own for it
            self.interrupted = True

    def _run(self) -> None:
        if not self._train(self._race, 0.5 if self._budget else 1):
            return
        first = next(iter(self._race.results()), None)
        if first is None or first.rank is None:
            return
        self._uniform = self._chosen = self._assignment(first.candidate)
        if self._alone:
            return
        if self._budget is None:
            enough = neighbourhood.least_budget(self._epochs)
            self.progress.say(
                f"{self._total} epochs are too few to improve {len(self._groups)} groups: that takes {enough} at least"
            )
            return
        self.progress.say(
            f"Best for all {len(self._groups)} groups: {first.candidate}. Now its changes"
        )
        try:
            if best := self._screened(self._budget):
                self._decide(best)
        except Exception as error:
            # the uniform choice is found
            self.errors["changes"] = first_line(error)
            self.progress.say(f"The search ended early: {self.errors['changes']}")

    def _train(self, stage: RaceSearch, share: float) -> bool:
        """Run a stage, in a share of the seconds that are left.

        Return whether the user lets the search go on.
        """
        if self._seconds is not None:
            stage.seconds = share * max(self._begun + self._seconds - time.monotonic(), 0.0)
        stage.run()
        self.interrupted |= stage.interrupted
        self.errors |= stage.errors
        return not stage.interrupted and "race" not in stage.errors

    def _screened(self, budget: neighbourhood.Budget) -> list[Assignment]:
        """Train changes of the uniform choice for a short while; return them, the best first."""
        assert self._uniform is not None  # there is one when the race is over
        # by the first two rungs: the baseline was in the others in any case
        scores = {
            c: float(m)
            for done in self._race.rounds[:2]
            for c, m in zip(done.task.candidates, done.means, strict=True)
            if np.isfinite(m) and c != self._uniform.only
        }
        best: dict[str, Candidate] = {}
        for candidate in sorted(scores, key=lambda c: -scores[c]):
            # two alphas of one activation are hardly ever told apart
            best.setdefault(candidate.name, candidate)
        own = first.name if (first := self._uniform.only) else ""
        others = [candidate for candidate in best.values() if candidate.name != own]
        if set(others) <= {self._space.grid(1)[0]}:  # it searches alphas only
            others = list(best.values())
        seed = derive(self._seed, Stream.STAGES, 0)
        left = self._left() * budget.screening // (budget.screening + budget.final)
        made = (
            neighbourhood.screening(self._uniform, others, self._epochs, left, embeddings, seed)
            if others
            else None
        )
        if made is None:
            self.progress.say("Nothing is left to improve single groups with")
            return []
        race, proposer = made
        self._screening = self._stage("changes", race, seed, [self._uniform, *others], models=False)
        if not self._train(self._screening, 0.4):
            return []
        believed = proposer.believed(self._screening.rounds)
        believed.pop(self._uniform, None)
        return sorted(believed, key=lambda choice: -believed[choice])

    def _decide(self, best: Sequence[Assignment]) -> None:
        """Train the best changes and the uniform choice to the end on fresh seeds.

        Take one if there is a reason.
        """
        assert self._uniform is not None
        plan = neighbourhood.plan_final(self._left(), self._epochs)
        if plan is None:
            self.progress.say("Nothing is left to train a change to the end")
            return
        starts = [self._uniform, *best[: plan[0]]]
        race = Race(
            starts,
            [Rung(self._epochs, plan[1], 0, len(starts) - 1)],
            lambda rounds, known, count: [],
        )
        self._final = self._stage("final", race, derive(self._seed, Stream.STAGES, 1), starts)
        if not self._train(self._final, 1) or not self._final.rounds:
            return
        index = neighbourhood.best_if_significant(self._final.rounds[0].scores)
        self._chosen = starts[index]
        self.progress.say(
            f"{starts[index]} is better: it is kept"
            if index
            else f"No change is surely better: {self._uniform} is kept for all"
        )

    def _left(self) -> int:
        """How many epochs there are left, and time for."""
        left = self._total - self._spent
        trained = sum(stage.trained for stage in self._stages)
        if self._seconds is None or not trained:
            return left
        gone = time.monotonic() - self._begun
        return min(left, int(trained * max(self._seconds - gone, 0.0) / gone))

    @property
    def _stages(self) -> list[RaceSearch]:
        return [stage for stage in (self._race, self._screening, self._final) if stage is not None]

    @property
    def _spent(self) -> int:
        return sum(stage.spent for stage in self._stages)

    def results(self) -> tuple[TrialResult, ...]:
        """All choices: the one that is kept first, then who went further, the diverged last."""
        rows: dict[Assignment, TrialResult] = {}
        for row in (row for stage in self._stages for row in stage.results()):
            choice = self._assignment(row.candidate)
            before = rows.get(choice, row)
            # what several stages trained has the score of the one that went furthest, the latest of
            # such
            further = row if (row.epochs or 0) >= (before.epochs or 0) else before
            seconds = sum(r.seconds or 0.0 for r in ([row] if before is row else [before, row]))
            whole = further.status != "completed" or further.epochs == self._epochs
            status = further.status if whole else "stopped"
            rows[choice] = replace(
                further, candidate=choice.only or choice, status=status, seconds=seconds
            )
        order = {
            choice: self._order(choice, row)
            for choice, row in rows.items()
            if row.score is not None
        }
        places = sorted(order.values())
        ranked = sorted(order, key=order.__getitem__)
        return (
            *(replace(rows[choice], rank=1 + places.index(order[choice])) for choice in ranked),
            *(replace(row, rank=None) for row in rows.values() if row.score is None),
        )

    def leaders(self) -> tuple[Choice, ...]:
        """What the verdict judges: the best change and the best uniform choice.

        If no change is ahead, the race's.
        """
        if self._final is not None and self._final.rounds and self._uniform is not None:
            done = self._final.rounds[0]
            best = done.task.candidates[int(np.argmax(np.nan_to_num(done.means, nan=-np.inf)))]
            if best != self._uniform:
                return (best.only or best, self._uniform.only or self._uniform)
        return self._race.leaders()

    def model(self, candidate: Choice) -> keras.Model | None:
        """Return the best model of a choice; None if it is not kept."""
        choice = self._assignment(candidate)
        ended = self._final is not None and self._final.rounds
        model = self._final.model(choice) if self._final is not None and ended else None
        return self._race.model(choice.only) if model is None and choice.only else model

    def finish(self, candidate: Choice) -> None:
        """Train a uniform choice that left the race as far as the others, if that is one and it has not."""
        choice = self._assignment(candidate)
        finals = self._final.rounds if self._final is not None else []
        if finals and choice in finals[0].task.candidates:
            return
        uniform = choice.only
        if uniform is not None and any(row.candidate == uniform for row in self._race.results()):
            self._race.finish(uniform)

    def builder(self, candidate: Choice) -> Callable[[], keras.Model] | None:
        """Return what builds the model of a choice."""
        return partial(with_activations, self._model, self._assignment(candidate))

    def _assignment(self, candidate: Choice) -> Assignment:
        if isinstance(candidate, Assignment):
            return candidate
        return Assignment(tuple((group, candidate) for group in self._groups))

    def _order(self, choice: Assignment, row: TrialResult) -> tuple[float, ...]:
        score = more_is_better(row.score or 0.0, self.objective.direction)
        return (choice != self._chosen, -(row.epochs or 0), row.status != "completed", -score)

    def _hyperparameters(self, candidate: Choice) -> dict[str, Any]:
        return {
            name: value
            for group, own in self._assignment(candidate).groups
            for name, value in self._space.hyperparameters(own, f"act.{group.name}").items()
        }
