"""What a search, or a comparison, has found, in a few values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard, cast

if TYPE_CHECKING:
    from ..result import SearchResult
    from ..verdict.verdict import Verdict

# as Keras calls a metric of each part
_PREFIXES = {"validation": "val_", "test": "test_"}


@dataclass(frozen=True)
class Summary:
    """The few values.

    Attributes:
        best: the activation to use.
        scores: its scores, by names such as ``"val_accuracy"``.
    """

    best: str
    scores: Mapping[str, float]


def summary_of(result: SearchResult | Verdict) -> Summary:
    """Return what a search, or a comparison, has found."""
    if _is_of_search(result):
        scores = {result.objective: result.score}
        for name, value in (result.test or {}).items():
            scores[f"test_{name}"] = value
        return Summary(str(result.best), scores)
    return _of_verdict(cast("Verdict", result))


def _of_verdict(result: Verdict) -> Summary:
    best = result.suggested
    metric = f"{_PREFIXES[result.part]}{result.metric}"
    means = {scored.activation: scored.mean for scored in result.candidates}
    if best not in means:  # a verdict that was withheld may have no candidates
        return Summary(best, {})
    return Summary(best, {metric: means[best]})


def _is_of_search(result: SearchResult | Verdict) -> TypeGuard[SearchResult]:
    """Whether it is a search's; the classes themselves lie above this room."""
    return hasattr(result, "trials")
