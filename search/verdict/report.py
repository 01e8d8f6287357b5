"""A verdict in words: a table for the terminal, Markdown for a file, plain data for programs.

No TensorFlow.
"""

from __future__ import annotations

import dataclasses
import io
import math
from typing import TYPE_CHECKING, Any

import rich.box
from rich.console import Console
from rich.table import Table

from ..runtime.as_json import finite

if TYPE_CHECKING:
    from .paired import Comparison
    from .verdict import Verdict

_WHY = {
    "clear": "the leader was clear",
    "worse": "the baseline was clearly better than all",
    "nothing": "there was nothing to compare",
    "last": "all planned seeds were trained",
}


def table(verdict: Verdict) -> Table:
    """Return the table for the terminal."""
    made = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in _header(verdict):
        made.add_column(column, justify="left" if column == "activation" else "right")
    for row in _rows(verdict):
        made.add_row(
            *row, style="bold" if row[0] == verdict.suggested and not verdict.withheld else None
        )
    return made


def summary(verdict: Verdict) -> list[str]:
    """Return what to say below the table, a sentence a line; the verdict's own comes first."""
    lines = [f"Verdict: {verdict.sentence}."]
    unit = "points" if verdict.in_points else verdict.metric
    if verdict.against_baseline and not verdict.withheld:
        lines.append(
            f"Paired differences on the {verdict.part} data in {unit}, after the last epoch. ± is half of a 95 % "
            "interval (all cover together), p is adjusted alike: below 0.05 where the interval does not hold 0. Both "
            "are about new seeds, conditional on this split of the data."
        )
        lines.append(
            "In parentheses the deviation from seed to seed; effect: the difference in its standard deviations; corr.: "
            "within pairs; detects: the difference that as many seeds find with 80 % power; ms: inference of one batch."
        )
    if any(c.same for c in verdict.against_baseline):
        lines.append(
            '"every seed": the difference is the same on all of them; p is that of a sign test.'
        )
    if verdict.guess is not None and not verdict.withheld:
        guess = verdict.guess
        lines.append(f"Guessing, {guess.what}, has {verdict.score(guess.score)} there.")
    if verdict.improving:
        gains = verdict.improving.values()
        low, high = verdict.amount(min(gains)), verdict.amount(max(gains))
        lines.append(
            f"All candidates were still improving in the last quarter of their epochs, by {low} to {high} on the "
            "validation data: more epochs may change the answer."
        )
    if verdict.part == "validation":
        lines.append(
            "There were no test data: what was chosen on the validation data looks better there."
        )
    told = [c for c in verdict.among if c.significant]
    if told:
        lines.append(f"Among the candidates: {'; '.join(_told(verdict, c) for c in told)}.")
    if verdict.looks:
        last = verdict.looks[-1]
        seen = ", ".join(str(look.seeds) for look in verdict.looks)
        lines.append(
            f"Looked at the validation scores after {seen} seeds; {_WHY.get(last.decision, 'interrupted')}."
        )
    diverged = [
        f"{s.activation} on {s.diverged} of {verdict.seeds}"
        for s in verdict.candidates
        if s.diverged
    ]
    if diverged and not verdict.withheld:
        lines.append(
            f"Not compared, because its loss was not finite on some seeds: {', '.join(diverged)}."
        )
    lines += [f"What failed besides: {what}: {reason}." for what, reason in verdict.errors.items()]
    return lines


def text(verdict: Verdict) -> str:
    """Return the table and the summary as plain text."""
    console = Console(width=120, file=io.StringIO())
    with console.capture() as captured:
        console.print(table(verdict))
    return captured.get() + "\n".join(summary(verdict))


def markdown(verdict: Verdict) -> list[str]:
    """Return the lines of the report."""
    head = _header(verdict)
    rows = [head, ["---"] * len(head), *_rows(verdict)]
    return [
        *(f"- {line}" for line in summary(verdict)),
        "",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def data(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as plain data for JSON; what is not known is None."""
    plain = {
        "sentence": verdict.sentence,
        "significant": verdict.significant,
        "winner": verdict.winner,
        "undecided": verdict.undecided,
        "suggested": verdict.suggested,
        "baseline": verdict.baseline,
        "metric": verdict.metric,
        "part": verdict.part,
        "seeds": verdict.seeds,
        "guess": None if verdict.guess is None else dataclasses.asdict(verdict.guess),
        "improving": dict(verdict.improving),
        "candidates": verdict.rows(),
        "among": [dataclasses.asdict(c) for c in verdict.among],
        "looks": [dataclasses.asdict(look) for look in verdict.looks],
        "errors": dict(verdict.errors),
    }
    return dict(finite(plain))


def _header(verdict: Verdict) -> list[str]:
    score = verdict.metric + (" %" if verdict.in_points else "")
    return ["activation", score, f"- {verdict.baseline}", "p", "effect", "corr.", "detects", "ms"]


def _rows(verdict: Verdict) -> list[list[str]]:
    scale, digits = (100, 2) if verdict.in_points else (1, 4)
    against = {c.first: c for c in verdict.against_baseline}

    def number(value: float, digits: int = digits, scale: float = scale, sign: str = "") -> str:
        return "" if math.isnan(value) else f"{value * scale:{sign}.{digits}f}"

    rows = []
    for scored in verdict.candidates:
        mean = number(scored.mean) or ("diverged" if scored.diverged else "")
        sd = "" if math.isnan(scored.sd) else f" ({number(scored.sd)})"
        c = against.get(scored.activation)
        if c is None:
            compared = [""] * 5
        else:
            margin = "" if math.isnan(c.margin) else f" ± {number(c.margin)}"
            if c.same:
                margin = " every seed"
            compared = [
                f"{number(c.difference, sign='+')}{margin}",
                _p(c.p),
                number(c.effect, 1, 1),
            ]
            compared += [number(c.correlation, 2, 1), number(c.detectable)]
        rows.append([scored.activation, mean + sd, *compared, number(scored.seconds, 2, 1000)])
    return rows


def _p(p: float) -> str:
    return "" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _told(verdict: Verdict, comparison: Comparison) -> str:
    first, second = comparison.first, comparison.second
    better = (comparison.difference > 0) == verdict.maximize
    by = verdict.gain(comparison)
    every = " on every seed" if comparison.same else ""
    return f"{first if better else second} beats {second if better else first} by {by}{every}"
