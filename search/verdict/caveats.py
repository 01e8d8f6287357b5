"""What a verdict says of scores that are not kind.

Failed trainings, skewness, one seed that decides, validation data that say the opposite.

Nothing but text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..report.names import quoted
from .failures import most_failures
from .paired import ALPHA, Comparison, compare
from .words import Unit, all_seeds, listed, named

if TYPE_CHECKING:
    from .verdict import Scored, Verdict


def on_seeds(count: int, of: int) -> str:
    """Return ``"on 15 of 16 seeds"`` or ``"on all 16 seeds"``."""
    if count == of:
        return f"on {all_seeds(of)}"
    return f"on {count} of {of} seeds"


def failures_in_short(candidates: Sequence[Scored]) -> str:
    """Return ``"; failed trainings: tanh 1 of 16"`` for the end of a sentence; empty without any."""
    counts = []
    for scored in candidates:
        failures = scored.failed + scored.diverged
        if failures:
            counts.append(f"{scored.activation} {failures} of {scored.n + scored.diverged}")
    if not counts:
        return ""
    return f"; failed trainings: {listed(counts)}"


def about_failures(
    candidates: Sequence[Scored], comparisons: Sequence[Comparison], maximize: bool
) -> Iterator[str]:
    """Yield what failed, what that means for the comparison, and what may not have shown."""
    yield from why_seeds_failed(candidates)
    never = [scored.activation for scored in candidates if not scored.n]
    if never:
        yield f"Not compared, because no training has a score: {named(never)}."
    counted = [c for c in comparisons if c.counted]
    if counted:
        told = "; ".join(_counts(c, maximize) for c in counted)
        yield (
            "Where a training failed, no mean of so few seeds holds: seeds are counted, p is that of a sign test, "
            f"and who fails more often, or has the worse mean, beats nothing. Better seeds: {told}."
        )
    spared = [scored for scored in candidates if scored.n and not scored.failed + scored.diverged]
    if spared and spared[0].n > 1:
        trainings = spared[0].n
        most = most_failures(trainings, ALPHA)
        yield (
            f"None of {trainings} trainings of {named([s.activation for s in spared])} failed, which leaves room "
            f"for failures in up to {100 * most:.0f} % of them (95 %); differences are of trainings that do not fail."
        )


def why_seeds_failed(candidates: Sequence[Scored]) -> Iterator[str]:
    """Yield how many trainings of each candidate failed, and why, if any did."""
    reasons = []
    for scored in candidates:
        of = scored.n + scored.diverged
        if scored.diverged:
            reasons.append(
                f"{scored.activation} {scored.diverged} of {of} (its loss was not finite)"
            )
        if scored.failed:
            reasons.append(
                f"{scored.activation} {scored.failed} of {of} (no more than guessing, or far worse than its others)"
            )
    if reasons:
        yield f"Failed trainings: {', '.join(reasons)}."


def better_seeds(comparison: Comparison, maximize: bool) -> tuple[int, int]:
    """Return on how many seeds the first of two is better, and on how many the second."""
    if maximize:
        return comparison.above, comparison.below
    return comparison.below, comparison.above


def _counts(comparison: Comparison, maximize: bool) -> str:
    firsts, seconds = better_seeds(comparison, maximize)
    return f"{comparison.first} {firsts}, {comparison.second} {seconds}"


def about_spread(comparisons: Iterable[Comparison], unit: Unit) -> Iterator[str]:
    """Yield where differences are skewed, or one seed decides, or tests do not agree."""
    comparisons = list(comparisons)
    stretched = [f"{c.first} against {c.second}" for c in comparisons if c.stretched]
    if stretched:
        yield (
            f"Skewed: {listed(stretched)}. The intervals reach farther to the side where seeds lie far off, and p "
            "follows them."
        )
    for comparison in comparisons:
        if comparison.farthest:
            yield _about_one_seed(comparison, unit)
        yield from _about_signs(comparison)


def _about_one_seed(comparison: Comparison, unit: Unit) -> str:
    share = f"{100 * comparison.share:.0f} %"
    with_it = unit.amount(comparison.difference)
    without_it = unit.amount(comparison.without)
    return (
        f"One seed, number {comparison.farthest} of {comparison.n}, carries {share} of the spread between "
        f"{comparison.first} and {comparison.second}: without it the difference is {without_it}, with it {with_it}."
    )


def _about_signs(comparison: Comparison) -> Iterator[str]:
    """Where most seeds and the mean do not say the same."""
    if comparison.counted or comparison.same or math.isnan(comparison.difference):
        return
    majority = comparison.above - comparison.below
    ahead = max(comparison.above, comparison.below)
    name = comparison.first
    if majority < 0:
        name = comparison.second
    if comparison.significant and majority * comparison.difference <= 0:
        yield (
            f"The mean difference of {comparison.first} and {comparison.second} is significant, but most seeds do not "
            f"agree: {comparison.first} has the higher score on {comparison.above} of {comparison.n}, "
            f"{comparison.second} on {comparison.below}."
        )
    elif not comparison.significant and comparison.sign_p < ALPHA:
        yield (
            f"{name} has the higher score {on_seeds(ahead, comparison.n)} (sign test), but not significantly on "
            f"average, compared with {_other(comparison, name)}."
        )


def _other(comparison: Comparison, name: str) -> str:
    if name == comparison.first:
        return comparison.second
    return comparison.first


def contradicted(verdict: Verdict) -> tuple[Comparison, ...]:
    """Return the differences of the validation data that are significant the other way round.

    Each is a candidate minus the baseline. A verdict holds for new seeds on its own test data; where
    two parts of the same data disagree beyond what seeds explain, it hangs on the split.
    """
    runs = verdict.runs
    logged = f"val_{verdict.metric}"
    if verdict.part != "test" or runs is None or logged not in runs.history or not runs.seeds:
        return ()
    healthy = {}
    scores = runs.scores(verdict.metric, "validation")
    for name, values in zip(runs.activations, scores.T, strict=True):
        if np.isfinite(values).all():
            healthy[name] = values
    found = {}
    for comparison in verdict.against_baseline:
        if comparison.first in healthy and comparison.significant:
            found[comparison.first] = comparison.difference
    if verdict.baseline not in healthy or not found or len(runs.seeds) < 2:
        return ()
    # the same family as on the test data
    pairs = [(name, verdict.baseline) for name in healthy if name != verdict.baseline]
    turned = []
    for comparison in compare(healthy, pairs, maximize=verdict.maximize):
        on_test = found.get(comparison.first)
        if on_test is not None and comparison.significant and comparison.difference * on_test < 0:
            turned.append(comparison)
    return tuple(turned)


def about_other_data(verdict: Verdict) -> Iterator[str]:
    """Yield that the answer hangs on which samples the test data hold, if it does."""
    better = []
    worse = []
    for comparison in contradicted(verdict):
        is_higher = comparison.difference > 0
        if is_higher == verdict.maximize:
            better.append(comparison.first)
        else:
            worse.append(comparison.first)
    told = []
    if better:
        told.append(f"{named(better)} {_are(better)} better")
    if worse:
        told.append(f"{named(worse)} {_are(worse)} worse")
    if told:
        yield (
            "The validation data say the opposite, on the same seeds: there "
            f"{' and '.join(told)} than {quoted(verdict.baseline)}. So the answer hangs on which samples "
            "are test data."
        )


def _are(names: Sequence[str]) -> str:
    if len(names) == 1:
        return "is"
    return "are"
