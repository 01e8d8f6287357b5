"""Which learning rates a search tries: what a user may write for it, and what it means for a model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from keras_acts.errors import SearchError, shown

# what `learning_rates=` takes: "auto", None, or a list of rates (0.004) and factors ("x2")
LearningRatesLike: TypeAlias = "str | Iterable[float | str] | LearningRates | None"

# each is twice the one before: closer, they could hardly be told apart, and the best may be far
_STEP = 2.0
_AUTOMATIC = (0.25, 0.5, 1.0, 2.0, 4.0)
_FACTOR = re.compile(r"x\s*(.+)$")
# two numbers that stand for one rate: closer, they would have one name, with six digits of the
# factor, and callbacks would write the files of both trainings into one
_SAME = 1e-5


@dataclass(frozen=True)
class LearningRates:
    """The learning rates that a search tries; the model's own is always among them.

    Attributes:
        factors: multiples of the model's own rate.
        values: rates.
        automatic: whether the range is widened where its best rate is at an end.
    """

    factors: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    automatic: bool = False

    @classmethod
    def of(cls, given: LearningRatesLike) -> LearningRates | None:
        """Return what a user means; None for the model's own rate alone.

        Raises:
            SearchError: if it is neither ``"auto"``, None nor a list of positive rates and factors.
        """
        if given is None or isinstance(given, LearningRates):
            return given
        if isinstance(given, str):
            if given != "auto":
                raise _neither(given)
            return cls(factors=_AUTOMATIC, automatic=True)
        try:
            rates = list(given)
        except TypeError:  # an array without axes says that it is iterable
            raise _neither(given) from None
        factors = []
        values = []
        for rate in rates:
            match = None
            if isinstance(rate, str):
                match = _FACTOR.match(rate)
            if match is not None:
                factors.append(_positive(match[1], given))
            else:
                values.append(_positive(rate, given))
        if not factors and not values:
            raise _neither(given)
        return cls(tuple(sorted(factors)), tuple(sorted(values)))

    def for_model(self, own: float | None) -> tuple[float, ...]:
        """Return the factors for a model, rising, 1 among them.

        Args:
            own: the model's own rate; None if it changes in the training.

        Raises:
            SearchError: if a rate is given, and the model's own is no number.
        """
        if self.values and not own:
            raise SearchError(
                "Where the model's own learning rate is no single number above 0, as it changes in the training or "
                "from one model of a function to another, multiples of it are searched: "
                f"learning_rates=['x0.5', 'x2']. Received: {list(self.values)}"
            )
        wanted = [1.0, *self.factors]
        for value in self.values:
            assert own is not None
            wanted.append(value / own)
        distinct: list[float] = []
        for factor in sorted(wanted):
            if not distinct or factor / distinct[-1] > 1 + _SAME:
                distinct.append(factor)
        own_rate = min(distinct, key=lambda factor: abs(math.log(factor)))
        # exactly 1, also where a value is the model's own rate but for rounding
        distinct[distinct.index(own_rate)] = 1.0
        return tuple(distinct)

    def written(self) -> str | list[str]:
        """Return all as text that `of` reads again."""
        if self.automatic:
            return "auto"
        return [f"x{factor!r}" for factor in self.factors] + [repr(value) for value in self.values]


def wider(factors: Iterable[float], best: float) -> float | None:
    """Return the factor beyond the end of a range where its best one is; None if it is inside."""
    rising = sorted(factors)
    if best == rising[-1]:
        return best * _STEP
    if best == rising[0]:
        return best / _STEP
    return None


def next_of(factors: Iterable[float], best: float, end: str) -> float | None:
    """Return the next of a list beyond a factor, at its ``"highest"`` or ``"lowest"`` end.

    None if there is none.
    """
    higher = sorted(factor for factor in factors if factor > best)
    lower = sorted(factor for factor in factors if factor < best)
    if end == "highest" and higher:
        return higher[0]
    if end == "lowest" and lower:
        return lower[-1]
    return None


def around(factors: Iterable[float], best: float) -> tuple[float, ...]:
    """Return a factor and its neighbours in a range; beyond its ends, those that would follow."""
    rising = sorted(factors)
    index = rising.index(best)
    below = best / _STEP
    if index > 0:
        below = rising[index - 1]
    above = best * _STEP
    if index + 1 < len(rising):
        above = rising[index + 1]
    return below, best, above


def _positive(written: float | str, given: object) -> float:
    try:
        number = float(written)
    except (TypeError, ValueError, OverflowError):
        raise _neither(given) from None
    if isinstance(written, bool) or not (0 < number < math.inf):
        raise _neither(given)
    return number


def _neither(given: object) -> SearchError:
    return SearchError(
        "learning_rates must be 'auto', None, or a list of rates > 0 (0.004) and multiples of the "
        f"model's own ('x2'). Received: learning_rates={shown(given)}"
    )
