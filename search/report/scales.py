"""From numbers to places in a picture, and the round numbers on its axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A straight scale from numbers to places.

    Attributes:
        low: the number at `start`.
        high: the number at `end`.
        start: a place.
        end: a place.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def inside(self, value: float) -> float:
        """Return the place of a number, or the nearest end of the scale."""
        return self(min(max(value, self.low), self.high))


def limits(values: Iterable[float], margin: float = 0.06) -> tuple[float, float]:
    """Return where a scale begins and ends that holds these numbers, with a margin on both sides."""
    finite = [float(value) for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low = min(finite)
    high = max(finite)
    size = high - low
    if not size > 1e-9 * max(abs(low), abs(high)):
        # one number only: it stands in the middle
        size = 0.1 * abs(high) or 1.0
        return low - size, high + size
    return low - margin * size, high + margin * size


def robust_limits(
    values: Iterable[float], *, better_up: bool, reach: float = 3
) -> tuple[float, float]:
    """Return limits that show the good half of scores well: the very bad ones lie outside.

    Args:
        values: the scores.
        better_up: whether more is better.
        reach: how far below the median is still inside, in ways from the best to the median.
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    if len(finite) == 0:
        return 0.0, 1.0
    sign = -1.0
    if better_up:
        sign = 1.0
    up = sign * finite
    best = float(up.max())
    for share in (0.5, 0.25, 0.0):
        # where half of them, or more, are as good as the best, those below tell how far to look
        typical = float(np.quantile(up, share))
        if typical < best:
            break
    floor = typical - reach * (best - typical)
    return limits(finite[up >= floor])


def ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Return about so many round numbers between two.

    Example:
        >>> ticks(0.0, 10.0)
        (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _STEPS if power * each >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(index * step, 12) + 0.0 for index in range(first, last + 1))


def whole_ticks(low: int, high: int, count: int = 7) -> tuple[float, ...]:
    """Return about so many whole numbers between two: all, or the multiples of a round number.

    Example:
        >>> whole_ticks(1, 12)
        (2.0, 4.0, 6.0, 8.0, 10.0, 12.0)
    """
    if high - low < count:
        return tuple(float(value) for value in range(low, high + 1))
    return tuple(tick for tick in ticks(0, high, count) if tick >= low and tick == round(tick))


def tick_text(value: float, all_ticks: Sequence[float]) -> str:
    """Return a tick as text, with as many decimals as tell all of them apart."""
    step = 1.0
    if len(all_ticks) > 1:
        step = all_ticks[1] - all_ticks[0]
    decimals = 0
    while decimals < 10 and abs(round(step, decimals) - step) > 1e-6 * abs(step):
        decimals += 1
    return f"{value:,.{decimals}f}".replace("-", "−")


def apart(places: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Return the middles of labels moved so that none overlap, and all lie within two ends if they can.

    Args:
        places: where each should be.
        sizes: how tall each is.
        low: where the first may be.
        high: where the last may be.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [min(max(places[index], low), high) for index in order]
    tall = [sizes[index] for index in order]
    for _ in range(500):
        worst = 0.0
        for index in range(len(moved) - 1):
            needed = (tall[index] + tall[index + 1]) / 2
            missing = needed - (moved[index + 1] - moved[index])
            if missing > 0:
                moved[index] -= missing / 2
                moved[index + 1] += missing / 2
                worst = max(worst, missing)
        # one that is pushed out comes back in, and the next turn moves the others
        moved[0] = max(moved[0], low)
        moved[-1] = min(moved[-1], high)
        if worst < 0.01:
            break
    result = [0.0] * len(places)
    for index, place in zip(order, moved, strict=True):
        result[index] = place
    return result
