"""What a verdict says of learning rates: what they bring by themselves, and what they explain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..report.names import quoted
from ..space.rated import written
from .paired import Comparison
from .rates import RateStudy
from .words import all_seeds

if TYPE_CHECKING:
    from .verdict import Verdict


def about_rates(verdict: Verdict) -> Iterator[str]:
    """Yield what is to be said, a sentence each; nothing if all have the model's own rate."""
    rates = verdict.rates
    if rates is None:
        return
    # after the sentence what matters most: what one rate for all would have made believe
    yield from about_both_answers(verdict)
    yield from what_rates_bring(verdict)
    yield _how_chosen(rates)
    yield from tried_twice(verdict)
    if rates.best_at_end:
        yield (
            f"The {rates.best_at_end} learning rate that was tried is the best of one candidate at least: "
            "rates beyond it may be better still."
        )


def tried_twice(verdict: Verdict) -> Iterator[str]:
    """Yield that the baseline was judged at two rates, if it was."""
    rates = verdict.rates
    if rates is None or rates.twice is None:
        return
    baseline = verdict.baseline
    yield (
        f"Two rates may suit {quoted(baseline)}: it was trained at {rates.rate(baseline)}, which "
        f"was better and counts, and at {written(rates.twice, rates.own)}."
    )


def about_both_answers(verdict: Verdict) -> Iterator[str]:
    """Yield where the answer at the model's own rate is another one than at the best rates."""
    rates = verdict.rates
    if rates is None or verdict.withheld:
        return
    best = {comparison.first: comparison for comparison in verdict.against_baseline}
    for own in rates.at_own_rate(verdict.baseline):
        at_best = best.get(own.first)
        is_same_rate = rates.factor(own.first) == 1 and rates.factor(verdict.baseline) == 1
        if at_best is None or is_same_rate or not own.significant:
            continue
        agrees = at_best.significant and _sign(verdict, at_best) == _sign(verdict, own)
        if agrees:
            continue
        about = "whether that is about the rate cannot be told"
        if rates.explains(own.first, verdict.baseline):
            about = "the difference at one rate is about the rate"
        yield (
            f"At {written(1.0, rates.own)} for all, {quoted(own.first)} is {verdict.gain(own)} "
            f"{_better_or_worse(verdict, own)} than {quoted(verdict.baseline)} (validation data, "
            f"{own.n} seeds); each at its best rate, {_at_best(verdict, at_best)}: {about}."
        )


def _at_best(verdict: Verdict, at_best: Comparison) -> str:
    if not at_best.significant:
        return "no difference is shown"
    return f"it is {verdict.gain(at_best)} {_better_or_worse(verdict, at_best)}"


def _better_or_worse(verdict: Verdict, comparison: Comparison) -> str:
    if _sign(verdict, comparison) > 0:
        return "better"
    return "worse"


def _sign(verdict: Verdict, comparison: Comparison) -> int:
    """1 if the first of two is better, -1 if the second is."""
    difference = comparison.difference
    if not verdict.maximize:
        difference = -difference
    if difference > 0:
        return 1
    return -1


def what_rates_bring(verdict: Verdict) -> Iterator[str]:
    """Yield what the baseline, and what is suggested, gain by their rates alone, in a sentence."""
    rates = verdict.rates
    if rates is None:
        return
    gains = []
    for name in dict.fromkeys([verdict.suggested, verdict.baseline]):
        gain = rates.gain(name)
        if gain is None:
            continue
        gains.append(_gained(verdict, name, gain))
    if gains:
        # of the seeds that chose the rates: a little too good
        yield (
            f"The learning rate alone: {'; '.join(gains)} (validation data, the {rates.seeds} seeds that chose "
            "the rates)."
        )


def _gained(verdict: Verdict, name: str, gain: Comparison) -> str:
    """What a rate brings: ``"relu at 0.004 is 3.4 ± 0.3 points better than at 0.001"``."""
    rates = verdict.rates
    assert rates is not None
    at_best = f"{quoted(name)} at {rates.rate(name)}"
    own = written(1.0, rates.own)
    if gain.difference == 0:
        return f"{at_best} is as good as at {own}"
    compared = f"{_better_or_worse(verdict, gain)} than at {own}"
    if gain.same:
        size = verdict.amount(abs(gain.difference))
        return f"{at_best} is {size} {compared} on {all_seeds(gain.n)}"
    if not gain.significant:
        size = verdict.gain(gain, margin=False)
        return f"{at_best} is {size} {compared}, which may be chance"
    return f"{at_best} is {verdict.gain(gain)} {compared}"


def _how_chosen(rates: RateStudy) -> str:
    tried = ", ".join(written(factor, rates.own) for factor in rates.factors)
    further = ""
    if rates.widened:
        further = ", further than planned, as the best was at an end"
    chosen = {rates.factor(name) for name in rates.names}
    own = "where candidates differ in that by more than noise, each has its own"
    if len(chosen) == 1:
        own = "all have the same"
    return (
        f"Learning rates: {tried} were tried on {rates.seeds} other seeds{further}, and the best taken by the "
        f"validation data; {own}."
    )
