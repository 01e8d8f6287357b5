"""What a race tells those who follow it: its epochs, its rounds, and who left and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ..population.members import Member
from ..space.rated import Rated
from ..strategy.base import TrialResult
from ..strategy.curves import Curve
from ..strategy.rounds import DIVERGED, ENDED, FINISHED, Entrant
from ..tracking.callback import Followers
from ..tracking.records import FAILED, EpochRecord, RoundRecord, TrialRecord
from .history import told_round
from .race import Race, RungTask
from .record import MemberRecord

Runs = Mapping[Member, MemberRecord]
# of a candidate whose round did not end, by how the results have it
_OUTCOMES = {"completed": FINISHED, "stopped": ENDED, "diverged": DIVERGED, "failed": FAILED}


class Telling:
    """Tells of a race, each round once.

    Args:
        followers: that are told.
        race: that runs.
        direction: of the objective.
        stage: of a search layer by layer; empty for the race itself.
        factor: the multiple of the model's own learning rate for candidates that have none.
    """

    def __init__(
        self,
        followers: Followers,
        race: Race,
        direction: str,
        stage: str = "",
        factor: float = 1.0,
    ):
        self._followers = followers
        self._race = race
        self._direction = direction
        self._stage = stage
        self._factor = factor
        self._told = 0
        self._over: set[Rated] = set()

    def epoch(self, member: Member, epoch: int, metrics: Mapping[str, float]) -> None:
        """Tell of an epoch of a member, the first one being 1."""
        if self._followers:
            record = EpochRecord(member.candidate, member.factor, member.seed, epoch, metrics)
            self._followers.epoch(record)

    def rounds(
        self, next_task: RungTask | None, runs: Runs, seeds_of: Callable[[int], list[int]]
    ) -> None:
        """Tell of the rounds that are over and were not told of.

        Args:
            next_task: what trains after the last of them; None if nothing does.
            runs: what is known of each member.
            seeds_of: returns the seeds of a round that has so many.
        """
        last = len(self._race.rounds) - 1
        while self._told <= last:
            number = self._told
            self._told += 1
            following = next_task
            if number < last:
                following = self._race.rounds[number + 1].task
            self._tell(number, following, runs, seeds_of)

    def end(
        self,
        runs: Runs,
        seeds_of: Callable[[int], list[int]],
        results: Callable[[], Sequence[TrialResult]],
    ) -> None:
        """Tell that the race is over, whatever ended it.

        Args:
            runs: what is known of each member.
            seeds_of: as of `rounds`.
            results: returns how the race ends for each candidate. Who trained in a round that did
                not end is told of as these have it.
        """
        self.rounds(None, runs, seeds_of)
        if not self._followers:
            return
        for row in results():
            if row.rated not in self._over:
                self._over.add(row.rated)
                self._followers.trial_over(_cut_off(row, runs))

    def _tell(
        self,
        number: int,
        next_task: RungTask | None,
        runs: Runs,
        seeds_of: Callable[[int], list[int]],
    ) -> None:
        if not self._followers:
            return
        a_round = told_round(self._race, number, next_task, self._direction, self._factor)
        seeds = tuple(seeds_of(a_round.seeds))
        means = [entrant.mean for entrant in a_round.entrants]
        trials = []
        for entrant in a_round.entrants:
            rank = None
            if not math.isnan(entrant.mean):
                rank = 1 + means.index(entrant.mean)
            trials.append(_record(entrant, seeds, a_round.epochs, rank, runs))
        for trial in trials:
            # who left may come back, as a proposal
            self._over.discard(trial.rated)
            if not trial.trains_on:
                self._over.add(trial.rated)
        self._followers.round_over(
            RoundRecord(
                number + 1,
                len(self._race.rungs),
                a_round.epochs,
                a_round.seeds,
                tuple(trials),
                self._stage,
            )
        )


def _record(
    entrant: Entrant, seeds: tuple[int, ...], epochs: int, rank: int | None, runs: Runs
) -> TrialRecord:
    rated = entrant.rated
    outcome = entrant.fate
    message = ""
    for seed in seeds:
        run = runs.get(Member(rated.choice, seed, rated.factor))
        if outcome == DIVERGED and run is not None and run.error:
            outcome = FAILED
            message = run.error
    return TrialRecord(
        rated.choice, rated.factor, seeds, epochs, entrant.scores, rank, outcome, message
    )


def _cut_off(row: TrialResult, runs: Runs) -> TrialRecord:
    """A candidate that no round tells of, as the results have it."""
    of_candidate = {member: run for member, run in runs.items() if member.rated == row.rated}
    furthest = {m.seed: run.best for m, run in of_candidate.items() if run.epochs == row.epochs}
    scores = tuple(map(float, furthest.values()))
    if row.score is None:
        scores = (math.nan,) * len(furthest)
    return TrialRecord(
        row.candidate,
        row.factor,
        tuple(furthest),
        row.epochs,
        scores,
        row.rank,
        _OUTCOMES[row.status],
        row.message,
    )


def curves_of(runs: Runs) -> tuple[Curve, ...]:
    """Return the learning curves of members that have one."""
    curves = [Curve.of(member.rated, member.seed, run.curve) for member, run in runs.items()]
    return tuple(curve for curve in curves if curve.metrics)
