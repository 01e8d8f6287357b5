"""The answer of a verdict in plain words, and what to do next. Nothing but text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..report.names import quoted
from ..report.numbers import counted
from ..report.page import Answer
from .caveats import about_other_data, contradicted
from .paired import Comparison
from .pictures import outcome
from .words import Unit, named

if TYPE_CHECKING:
    from .verdict import Verdict


# what to do where there is no verdict, by a part of the reason that `judge` gives
_STEPS_WITHOUT_VERDICT = (
    (
        "can be better than guessing",
        "Score them where one answer is not right for all: on data of all classes (shuffle the rows before they are "
        "split), by a metric that tells these apart.",
    ),
    (
        "no candidate learned",
        "Train longer, or change the model until it learns; then compare activations. As it is there "
        "is nothing to tell them apart by.",
    ),
    (
        "on every seed",
        "If a small difference matters to you, score them on more test data, on which it can show.",
    ),
    ("one seed", "Train on more seeds: 8 or more."),
    (
        "the seeds change nothing",
        "Leave the model's initializers without a seed, and shuffle the batches; then compare again.",
    ),
    (
        "diverged",
        "Lower the learning rate, or scale the inputs to about 1: what diverges cannot be compared.",
    ),
    ("interrupted", "Run it again, to its end."),
    ("no seed was trained", "Run it again, to its end."),
    ("was not trained to its end", "Run it again, with more epochs in all."),
    ("fewer than the classes", "Give more test data."),
    ("needs one metric", "Compare the best few again by one metric, with compare_activations."),
)
# what a call from the shell begins with
COMMAND = "keras-acts "


def answer(verdict: Verdict) -> Answer:
    """Return what a report says first."""
    if verdict.withheld:
        why = "No test was possible"
        if verdict.withheld.startswith("no candidate learned"):
            why = "Nothing was learned"
        return Answer(
            "No answer yet.", (_sentence(verdict.withheld),), "none", why, tuple(_steps(verdict))
        )
    certainty = "open"
    words = "No better one was shown"
    if verdict.significant:
        certainty = "sure"
        words = f"Shown by a test on {counted(verdict.seeds, 'fresh seed')}"
    elif verdict.undecided:
        words = "Undecided: too few seeds"
    elif _all_worse(verdict):
        certainty = "sure"
        words = f"Shown by a test on {counted(verdict.seeds, 'fresh seed')}"
    if contradicted(verdict):
        certainty = "open"
        words = "Shown on the test data, not on the validation data"
    reasons = [*_reasons(verdict), *about_other_data(verdict), *_failures(verdict)]
    return Answer(headline(verdict), tuple(reasons), certainty, words, tuple(_steps(verdict)))


def headline(verdict: Verdict) -> str:
    """Return the answer in a few words: ``"Use relu."``."""
    name = quoted(verdict.suggested)
    if verdict.rates is not None and verdict.rates.factor(verdict.suggested) != 1:
        name = f"{name} at learning rate {verdict.rates.rate(verdict.suggested)}"
    if verdict.undecided:
        return f"Use {name} for now."
    return f"Use {name}."


def _all_worse(verdict: Verdict) -> bool:
    outcomes = [outcome(verdict, each) for each in verdict.against_baseline]
    return bool(outcomes) and set(outcomes) == {"worse"}


def _reasons(verdict: Verdict) -> Iterator[str]:
    baseline = verdict.baseline
    if not verdict.against_baseline:
        yield _sentence(verdict.sentence.removeprefix(f"keep {baseline}: "))
        return
    if verdict.winner is not None:
        yield _won(verdict, verdict.winner)
    elif verdict.leaders:
        leaders = verdict.leaders
        yield (
            f"{named(leaders)} beat {baseline} on {counted(verdict.seeds, 'fresh seed')}; which of "
            "them is best is too close to call. "
            f"{quoted(verdict.suggested)} is {verdict.suggested_because}."
        )
    elif verdict.undecided:
        yield _undecided(verdict)
        return
    yield from _about_the_others(verdict)


def _won(verdict: Verdict, winner: str) -> str:
    comparison = next(each for each in verdict.against_baseline if each.first == winner)
    if comparison.counted or comparison.same:
        return f"{verdict.sentence.partition(';')[0]}."
    seeds = counted(verdict.seeds, "fresh seed")
    unit = Unit(verdict.metric, verdict.in_points)
    size = abs(comparison.difference)
    ends = sorted((abs(comparison.low), abs(comparison.high)))
    between = unit.between(size, *ends)
    amount = unit.amount(size, (ends[1] - ends[0]) / 2).partition(" ± ")[0]
    interval = between[between.index("(") + 1 : -1]
    unit_words = f"of {verdict.metric}"
    if verdict.in_points:
        unit_words = "points"
    return (
        f"It beats {verdict.baseline} by {amount} {unit_words}, on average over {seeds} "
        f"(between {interval.replace(' to ', ' and ')}, as far as a test can tell)."
    )


def _about_the_others(verdict: Verdict) -> Iterator[str]:
    """What the test says of all that are not suggested."""
    suggested = verdict.suggested
    leaders = set(verdict.leaders)
    rest = [each for each in verdict.against_baseline if each.first not in leaders | {suggested}]
    still_open = [each for each in rest if outcome(verdict, each) == "open"]
    worse = [each.first for each in rest if outcome(verdict, each) == "worse"]
    better = [each.first for each in rest if outcome(verdict, each) == "better"]
    if better:
        yield f"{named(better)} {_verb(better, 'beats', 'beat')} {verdict.baseline} too, by less."
    if still_open:
        yield _too_close(verdict, still_open, everyone=len(still_open) == len(rest))
    if worse:
        yield f"{named(worse)} {_verb(worse, 'is', 'are')} clearly worse than {verdict.baseline}."


def _too_close(verdict: Verdict, still_open: Sequence[Comparison], *, everyone: bool) -> str:
    names = [each.first for each in still_open]
    who = named(names)
    if everyone and verdict.suggested == verdict.baseline:
        who = "The others"
        if len(names) == 1:
            who = quoted(names[0])
    verb = "are"
    if len(names) == 1:
        verb = "is"
    against = "to call"
    if verdict.suggested != verdict.baseline:
        against = f"to {verdict.baseline} to call"
    sizes = [each.detectable for each in still_open if math.isfinite(each.detectable)]
    notices = ""
    if sizes:
        notices = f": this test notices differences of about {verdict.amount(max(sizes))} or more"
    return f"{who} {verb} too close {against}{notices}."


def _undecided(verdict: Verdict) -> str:
    """Why nothing can be said yet, and how many seeds could."""
    # it begins with a name, which is written as it is typed; the rates are in the table
    words = (
        replace(verdict, rates=None)
        .sentence.removeprefix("undecided: ")
        .partition("; failed trainings")[0]
    )
    return f"{words}."


def _failures(verdict: Verdict) -> Iterator[str]:
    """That trainings failed: an answer about means does not show it."""
    for scored in verdict.candidates:
        failures = scored.failed + scored.diverged
        if failures:
            of = scored.n + scored.diverged
            yield f"{quoted(scored.activation)} failed in {failures} of {counted(of, 'training')}."


def _steps(verdict: Verdict) -> Iterator[str]:
    """What to do next, the most useful first."""
    if verdict.withheld:
        yield _without_verdict(verdict.withheld)
        return
    name = verdict.suggested
    rate = ""
    if verdict.rates is not None and verdict.rates.factor(name) != 1:
        rate = f", and compile it with learning rate {verdict.rates.rate(name)}"
    if name == verdict.baseline:
        yield f"Keep {quoted(name)} in your model{rate}."
    else:
        yield f"Put {quoted(name)} into your model{rate}."
    if contradicted(verdict):
        yield "Repeat it with more test data, or on another split, before you rely on it."
    if verdict.improving:
        yield (
            "Train longer: all candidates were still improving when they stopped, so more epochs may change the "
            "answer."
        )
    if verdict.rates is not None and verdict.rates.best_at_end:
        yield (
            f"Try learning rates beyond those that were tried: the {verdict.rates.best_at_end} one suited a candidate "
            "best."
        )
    if not verdict.significant and not _all_worse(verdict) and verdict.against_baseline:
        yield (
            "If a smaller difference matters to you, train on more seeds: four times as many notice differences half "
            f"as large ({_compared_on(verdict, 4 * verdict.seeds)})."
        )
    if any(scored.failed + scored.diverged for scored in verdict.candidates):
        yield "Find out why trainings fail before you rely on one: a lower learning rate is the usual cure."
    if verdict.part == "validation":
        yield "Give test data: scores on validation data that also chose something are a little too good."


def _without_verdict(why: str) -> str:
    """What to do where no test was possible, by what stands in the reason."""
    for part, step in _STEPS_WITHOUT_VERDICT:
        if part in why:
            return step
    return "Mend that, then compare activations again."


def _compared_on(verdict: Verdict, seeds: int) -> str:
    """How to compare on so many seeds, in the words of whoever called."""
    if verdict.call.startswith(COMMAND):
        return f"keras-acts compare with --seeds {seeds}"
    return f"compare_activations with seeds={seeds}"


def _verb(names: Sequence[str], one: str, many: str) -> str:
    if len(names) == 1:
        return one
    return many


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
