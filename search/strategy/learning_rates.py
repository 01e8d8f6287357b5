"""Which learning rates are tried for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_acts.errors import SearchError

from ..rewrite.learning_rate import own_rate, why_no_rates
from ..space.learning_rates import LearningRates


@dataclass(frozen=True)
class RatePlan:
    """Which learning rates are tried.

    Attributes:
        factors: multiples of the model's own rate, 1 among them.
        own: that rate; None if it changes in the training.
        widens: whether to try more where the best rate is at an end of the range.
        listed: all that the user has listed, of which `factors` may be a part.
        why_not: why only the model's own is; empty if that is what the user wants, or others are.
    """

    factors: tuple[float, ...] = (1.0,)
    own: float | None = None
    widens: bool = False
    listed: tuple[float, ...] = ()
    why_not: str = ""

    @property
    def searches(self) -> bool:
        """Whether there are others than the model's own."""
        return len(self.factors) > 1


def plan_rates(
    wanted: LearningRates | None, model: keras.Model, callbacks: Sequence[Any], why_alone: str = ""
) -> RatePlan:
    """Return which learning rates are tried for a model.

    Args:
        wanted: by the user.
        model: compiled.
        callbacks: of its training.
        why_alone: why candidates train one by one, where many rates would take many times as long;
            empty if they do not.

    Raises:
        SearchError: if rates are asked for that the model cannot have.
    """
    if wanted is None:
        return RatePlan()
    reason = why_no_rates(model)
    if wanted.automatic and (reason or why_alone):
        return RatePlan(why_not=reason or why_alone)
    if reason:
        raise SearchError(f"The learning rate cannot be searched. Received: {reason}")
    own = own_rate(model, callbacks)
    factors = wanted.for_model(own)
    return RatePlan(factors, own, wanted.automatic, factors)
