"""How a search with populations goes: all train to the end together, or they race. Plain arithmetic.

A race trains fewer epochs for what it finds out; but each of its populations is a program that is
traced, and on a small model a program takes as long as the training of several candidates. So what
costs less is a matter of the model: of its multiplications, its steps and the number of candidates.

A race may be short, in which most candidates train half of their epochs; or whole, in which those
that leave make room for more seeds of the others. A whole one trains as many epochs as all to the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..runtime import costs as measured
from ..strategy.rounds import Kind
from .schedule import Rung, in_two_rounds, schedule, short_race

# the baseline takes one
_LEAST_TRIALS = 2


@dataclass(frozen=True)
class Job:
    """What is to be searched.

    Attributes:
        trials: how many candidates may start, the baseline among them.
        epochs: of a whole training.
        total: how many epochs all runs together may take.
        starts: how many candidates there are before any can be proposed, the baseline among them.
        rates: at how many other learning rates the baseline starts in a round of its own, so that
            the others start at the best; 0 for no such round.
        limited: whether the user has said how many epochs or seconds there are: else more seeds may
            take more epochs.
    """

    trials: int
    epochs: int
    total: int
    starts: int
    rates: int = 0
    limited: bool = False


@dataclass(frozen=True)
class PopulationCosts:
    """What populations of a model take, in seconds.

    Attributes:
        program: to make, trace and begin one.
        start: of that, for each member more.
        step: of a step, whoever trains.
        member: of a step, for each member more.
        steps: of an epoch.
    """

    program: float
    start: float
    step: float
    member: float
    steps: int

    def epochs(self, members: int, epochs: int) -> float:
        """Return what a population takes for so many epochs once it has begun."""
        return epochs * self.steps * (self.step + members * self.member)


@dataclass(frozen=True)
class Stretch:
    """Members that train together for some epochs.

    Attributes:
        members: how many.
        epochs: how many.
        is_new: whether it takes a program of its own.
    """

    members: int
    epochs: int
    is_new: bool


def stretches(rungs: Sequence[Rung]) -> Iterator[Stretch]:
    """Return what populations train in a race, as `Cohorts` makes them, if every rung is full."""
    going_on = 0  # runs that are as far as the rung before
    before = Rung(epochs=0, seeds=0, keep=0, enter=0)
    for number, rung in enumerate(rungs):
        candidates = rung.keep + rung.enter + 1
        # the baseline goes on too, but from the first rung on
        staying = 0
        if number:
            staying = (rung.keep + 1) * before.seeds
        if staying and rung.epochs > before.epochs:
            yield Stretch(staying, rung.epochs - before.epochs, staying != going_on)
        new = candidates * rung.seeds - staying
        if new:
            yield Stretch(new, rung.epochs, is_new=True)
        going_on = new
        if staying:
            # two populations: who leaves makes one program of both
            going_on = 0
        before = rung


def seconds(rungs: Sequence[Rung], costs: PopulationCosts) -> float:
    """Return what a search takes, if every rung is full."""
    total = 0.0
    for stretch in stretches(rungs):
        if stretch.is_new:
            total += costs.program + stretch.members * costs.start
        total += costs.epochs(stretch.members, stretch.epochs)
    return total


def programs(rungs: Sequence[Rung]) -> int:
    """Return how many programs a search traces."""
    return sum(stretch.is_new for stretch in stretches(rungs))


def kind_of(rungs: Sequence[Rung]) -> Kind:
    """Return how a search with these rounds goes."""
    lengths = {(rung.epochs, rung.seeds) for rung in rungs}
    if len(lengths) == 1:
        return Kind.TOGETHER
    return Kind.RACE


def race(job: Job) -> tuple[Rung, ...]:
    """Return the rungs of a whole race."""
    rungs = schedule(job.trials, job.epochs, job.total, job.starts)
    return in_two_rounds(rungs, job.rates)


def short(job: Job) -> tuple[Rung, ...]:
    """Return the rungs of a short race; none where the search is too small for one."""
    seeds = job.total // (job.trials * job.epochs)
    if not seeds:
        return ()
    return in_two_rounds(short_race(job.trials, job.epochs, seeds), job.rates)


def together(job: Job, seeds: int, *, proposes: bool) -> tuple[Rung, ...]:
    """Return the rounds of a search in which all train to the end.

    Args:
        job: what is searched.
        seeds: of each candidate.
        proposes: whether those that are not known before are proposed from what the others have
            shown, in a round of their own.
    """
    others = job.trials - 1  # the baseline comes besides
    first = others
    if job.rates:
        first = min(others, job.rates)
    elif proposes:
        first = min(others, job.starts - 1)
    rungs = [Rung(job.epochs, seeds, keep=0, enter=first)]
    if others > first:
        rungs.append(Rung(job.epochs, seeds, keep=first, enter=others - first))
    return tuple(rungs)


@dataclass(frozen=True)
class Planned:
    """A way to search, with what is expected of it.

    Attributes:
        kind: which one.
        rungs: its rounds.
        seconds: that it takes, by the costs.
        regret: what it is expected to miss of the best candidate, as a share of what the median
            candidate misses.
    """

    kind: Kind
    rungs: tuple[Rung, ...]
    seconds: float
    regret: float


def options(job: Job, costs: PopulationCosts) -> tuple[Planned, ...]:
    """Return the ways to search that come into question, the fastest that trains all first.

    Where the epochs are not enough for whole trainings of all, only a whole race keeps to them. And
    where only the baseline may start, only a race has another activation beside it.
    """
    racing = _expected(Kind.RACE, race(job), costs, measured.RACE_REGRET)
    seeds = job.total // (job.trials * job.epochs)
    if not seeds or job.trials < _LEAST_TRIALS:
        return (racing,)
    found = []
    for times, (unseen, proposed) in enumerate(measured.TOGETHER_REGRET, start=1):
        if job.limited and times * seeds * job.trials * job.epochs > job.total:
            break
        rungs = together(job, times * seeds, proposes=True)
        if job.rates or len(rungs) == 1:
            # all that is proposed comes after the rates, or there is nothing to propose
            found.append(_expected(Kind.TOGETHER, rungs, costs, unseen))
            continue
        at_once = together(job, times * seeds, proposes=False)
        found.append(_expected(Kind.TOGETHER, at_once, costs, unseen))
        found.append(_expected(Kind.TOGETHER, rungs, costs, proposed))
    shorter = short(job)
    if shorter:
        found.append(_expected(Kind.RACE, shorter, costs, measured.SHORT_RACE_REGRET))
    return (*found, racing)


def _expected(
    kind: Kind, rungs: tuple[Rung, ...], costs: PopulationCosts, regret: float
) -> Planned:
    return Planned(kind, rungs, seconds(rungs, costs), regret)


def plan(job: Job, costs: PopulationCosts, limit: float = math.inf) -> Planned:
    """Return the way to search from which most is expected, of those that take no longer.

    No longer than to train all candidates to their end as one population, or than the limit. More
    seeds for all, which surely tell more, may take a little longer; a race must take less. Of ways
    that promise nearly the same it is the fastest. Where none fits, and only there, it is the whole
    race, which ends where the time does: its first round ends too early to know who learns slowly.

    Args:
        job: what is searched.
        costs: of its model's populations.
        limit: the seconds that the search may take.
    """
    *possible, whole_race = options(job, costs)
    if not possible:
        return whole_race
    plain = possible[0].seconds
    longest = {
        Kind.TOGETHER: measured.LONGER_THAN_TOGETHER * plain,
        Kind.RACE: measured.RACE_OF_TOGETHER * plain,
    }
    fitting = [each for each in possible if each.seconds <= min(limit, longest[each.kind])]
    if not fitting:
        return whole_race
    least = min(each.regret for each in fitting)
    alike = [each for each in fitting if each.regret - least <= measured.REGRET_ERROR]
    return min(alike, key=lambda each: (each.seconds, each.regret))
