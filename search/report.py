"""The result in words: a table for the terminal, Markdown for a file, plain data for programs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import keras
import rich.box
from rich.console import Console
from rich.table import Table

import keras_acts

from .runtime.as_json import finite
from .runtime.reasons import headline

if TYPE_CHECKING:
    from .result import SearchResult
    from .strategy.base import TrialResult

CAUTION = (
    "{seeds} a trial: the best of many equal candidates looks better by luck alone. This ranking suggests; it does "
    "not prove."
)
RACED = (
    "A race: who went further ranks first, and scores of other epochs or seeds are not comparable. This ranking "
    "suggests; it does not prove."
)

CHOSEN = (
    "Layer by layer: first is what the search chose, trained again on fresh seeds. A change of a choice is taken if it "
    "is surely better on the same seeds, so a better mean may stand below it."
)


def table(result: SearchResult) -> Table:
    """Return the ranked table for the terminal."""
    made = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in _header(result):
        made.add_column(column, justify="left" if column == "activation" else "right")
    for trial in result.trials:
        made.add_row(*_row(trial), style="bold" if trial is result.kept else None)
    return made


def summary(result: SearchResult) -> list[str]:
    """Return what to say below the table, a sentence a line."""
    chosen = f"{result.objective} {result.score:.4f} (on the data that ranked it{_mean_of(result)})"
    lines = [f"Best: {result.best}, {chosen}."]
    if _chose(result):
        first = result.trials[0].candidate
        instead = "" if first == result.kept.candidate else f", although {first} ranked first"
        lines = [f"Best: {result.best}, as the verdict suggests{instead}; {chosen}."]
    if result.test is not None:
        once = (
            "on which the verdict chose the activation"
            if _chose(result, "test")
            else "looked at once"
        )
        lines.append(f"Held-out test, {once}: {result.best} {_metrics(result.test)}.")
        if result.baseline_test is not None and result.kept.candidate != result.baseline:
            lines.append(f"The same test with {result.baseline}: {_metrics(result.baseline_test)}.")
    lines.append(RACED if _raced(result) else CAUTION.format(seeds=_seeds(result)))
    if result.groups:
        lines.append(CHOSEN)
    lines += [
        f"Failed: {t.candidate}: {headline(t.message)}."
        for t in result.trials
        if t.status == "failed"
    ]
    lines += [f"What failed besides: {what}: {reason}." for what, reason in result.errors.items()]
    suggested = (
        result.best
        if result.verdict is None or result.verdict.withheld
        else result.verdict.suggested
    )
    if str(suggested) != str(result.best):
        lines.append(
            f"Kept is {result.best}: the search ended before {suggested}, which is suggested, was as far."
        )
    if result.interrupted:
        lines.append(f"Interrupted after {len(result.trials)} trials: the best so far.")
    return lines


def text(result: SearchResult) -> str:
    """Return the table and the summary as plain text."""
    console = Console(width=100, file=io.StringIO())
    with console.capture() as captured:
        console.print(table(result))
    words = captured.get() + "\n".join(summary(result))
    return words if result.verdict is None else f"{words}\n{result.verdict}"


def markdown(result: SearchResult, difference: float | None = None) -> str:
    """Return the report as Markdown."""
    head = _header(result)
    rows = [head, ["---"] * len(head), *(_row(trial) for trial in result.trials)]
    lines = [
        f"# Activation search: {result.best}",
        "",
        *(f"- {line}" for line in summary(result)),
        "",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    if result.verdict is not None:
        again = "The leaders and the baseline, trained again on fresh seeds"
        lines += ["", "## Verdict", "", f"{again}.", "", result.verdict.to_markdown()]
    if difference is not None:
        lines += [
            "",
            f"Export checked: predictions differ from the Keras model's by at most {difference:.1e}.",
        ]
    lines += ["", f"Trained on {result.device} with {versions()}."]
    return "\n".join(lines) + "\n"


def data(result: SearchResult) -> dict[str, Any]:
    """Return the result as plain data for JSON; what is not known, or not finite, is None."""
    plain = {
        "objective": result.objective,
        "direction": result.direction,
        "best": str(result.best),
        "score": result.score,
        "baseline": str(result.baseline),
        "test": result.test,
        "baseline_test": result.baseline_test,
        "executions_per_trial": result.executions_per_trial,
        "device": result.device,
        "interrupted": result.interrupted,
        "verdict": None if result.verdict is None else result.verdict.to_dict(),
        "errors": dict(result.errors),
        "trials": [
            {
                "rank": trial.rank,
                "activation": str(trial.candidate),
                "score": trial.score,
                "status": trial.status,
                "message": headline(trial.message) if trial.message else "",
                "seconds": trial.seconds,
                "epochs": trial.epochs,
                "seeds": trial.seeds,
                "hyperparameters": dict(trial.hyperparameters),
            }
            for trial in result.trials
        ],
    }
    return dict(finite(plain))


def card(result: SearchResult) -> dict[str, Any]:
    """Return what the search knows for the model card of its best model."""
    seen = (
        "the verdict on fresh seeds chose the activation on it"
        if _chose(result, "test")
        else "looked at once"
    )
    ranked = "it ranked the trials" if _chose(result) else "it chose the model"
    metrics: dict[str, Any] = {
        f"validation ({ranked})": {result.objective: {"value": result.score}}
    }
    if result.intervals:
        metrics[f"test ({seen})"] = dict(result.intervals)
    found = {
        "best": str(result.best),
        "baseline": str(result.baseline),
        "trials": len(result.trials),
        "executions_per_trial": result.executions_per_trial,
        "device": result.device,
    }
    return {"metrics": metrics, "data": dict(result.data), "seed": result.seed, "search": found}


def _mean_of(result: SearchResult) -> str:
    """The score in the row of what is kept, where the model has another."""
    row = result.kept
    if row.score is None or row.score == result.score:
        return ""
    seeds = row.seeds or result.executions_per_trial
    return (
        f"; {row.score:.4f} is the mean over its {seeds} seeds"
        if seeds > 1
        else f"; {row.score:.4f} in the search"
    )


def _chose(result: SearchResult, part: str = "") -> bool:
    """Whether the verdict, on this part of the data if one is said, decided what is kept."""
    verdict = result.verdict
    if verdict is None or verdict.withheld or str(result.best) != verdict.suggested:
        return False
    return part in ("", verdict.part)


def versions() -> str:
    """Return the versions that a result depends on."""
    import tensorflow as tf

    return f"keras_acts {keras_acts.__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}"


def _header(result: SearchResult) -> list[str]:
    raced = ["epochs", "seeds"] if _raced(result) else []
    return ["rank", "activation", result.objective, *raced, "seconds"]


def _row(trial: TrialResult) -> list[str]:
    score = trial.status if trial.score is None else f"{trial.score:.4f}"
    return [
        "" if trial.rank is None else str(trial.rank),
        str(trial.candidate),
        score,
        *([] if trial.epochs is None else [str(trial.epochs), str(trial.seeds)]),
        "" if trial.seconds is None else f"{trial.seconds:.1f}",
    ]


def _raced(result: SearchResult) -> bool:
    return any(trial.epochs is not None for trial in result.trials)


def _seeds(result: SearchResult) -> str:
    return (
        "One seed" if result.executions_per_trial == 1 else f"{result.executions_per_trial} seeds"
    )


def _metrics(values: Any) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
