"""Whether more of a score is better, or less: every comparison of scores goes through here. NumPy only."""

from __future__ import annotations

from typing import TypeVar

from keras_acts.errors import SearchError

Scores = TypeVar("Scores")  # a number, or an array of them


def more_is_better(scores: Scores, direction: str) -> Scores:
    """Return scores of which more is better: as they are, or their negatives.

    Done twice, it changes nothing.

    Args:
        scores: a number or an array.
        direction: ``"max"`` or ``"min"``.

    Raises:
        SearchError: on another direction.
    """
    if direction not in ("max", "min"):
        raise SearchError(f"A direction must be 'max' or 'min'. Received: direction={direction!r}")
    if direction == "max":
        return scores
    return -scores  # type: ignore[operator]  # numbers have a negative
