"""What a verdict shows as pictures: computed as values here, drawn by the room `report`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import SearchError

from ..report.axes import on_axes
from ..report.numbers import decimals_for, signed
from ..report.values import Curve, Curves, Difference, Differences, LearningRates, RateLine
from ..space.rated import written
from .caveats import better_seeds
from .paired import Comparison
from .rates import RateStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .verdict import Verdict

# of the seeds: the band of a curve holds the middle half
_QUARTERS = (0.25, 0.5, 0.75)


def scale(verdict: Verdict) -> float:
    """Return what scores are multiplied by to be shown: shares are shown in per cent."""
    if verdict.in_points:
        return 100.0
    return 1.0


def outcome(verdict: Verdict, comparison: Comparison) -> str:
    """Return ``"better"``, ``"worse"`` or ``"open"``: what the test says of a candidate."""
    if not comparison.significant:
        return "open"
    if gain(verdict, comparison.difference) > 0:
        return "better"
    return "worse"


def gain(verdict: Verdict, difference: float) -> float:
    """Return a difference so that more is better, for losses too."""
    if verdict.maximize:
        return difference
    return -difference


def differences(verdict: Verdict) -> Differences:
    """Return each candidate against the baseline, the best mean first.

    Raises:
        SearchError: if nothing was compared.
    """
    order = [scored.activation for scored in verdict.candidates]
    compared = sorted(verdict.against_baseline, key=lambda each: order.index(each.first))
    if not compared:
        raise SearchError(
            f"Differences need a verdict that compared something. Received: {verdict.sentence!r}"
        )
    unit = f"{verdict.metric} (+ is better)"
    if verdict.in_points:
        unit = f"points of {verdict.metric}"
    rows = tuple(_difference(verdict, comparison) for comparison in compared)
    return Differences(verdict.baseline, rows, unit)


def _difference(verdict: Verdict, comparison: Comparison) -> Difference:
    low, high = interval_of(verdict, comparison)
    return Difference(
        name=comparison.first,
        gain=gain(verdict, comparison.difference) * scale(verdict),
        low=low,
        high=high,
        text=difference_text(verdict, comparison),
        outcome=outcome(verdict, comparison),
    )


def interval_of(verdict: Verdict, comparison: Comparison) -> tuple[float, float]:
    """Return the interval of how much better a candidate is, in the unit that is shown.

    No two shares differ by more than 100 points, wherever Student's t ends.
    """
    factor = scale(verdict)
    ends = (gain(verdict, comparison.low) * factor, gain(verdict, comparison.high) * factor)
    low, high = min(ends), max(ends)
    if verdict.in_points and not math.isnan(low):
        low = max(low, -factor)
        high = min(high, factor)
    return low, high


def difference_text(verdict: Verdict, comparison: Comparison) -> str:
    """Return how much better a candidate is: ``"+0.98 (+0.83 to +1.13)"``; less than 0 is worse."""
    value = gain(verdict, comparison.difference) * scale(verdict)
    low, high = interval_of(verdict, comparison)
    decimals = decimals_of(verdict)
    if comparison.same:
        return f"{signed(value, decimals)} on every seed"
    if comparison.counted:
        firsts, _ = better_seeds(comparison, verdict.maximize)
        return f"better on {firsts} of {comparison.n} seeds"
    if math.isnan(low):
        return signed(value, decimals)
    ends = f"{signed(low, decimals)} to {signed(high, decimals)}"
    return f"{signed(value, decimals)} ({ends})"


def decimals_of(verdict: Verdict) -> int:
    """Return how many decimals differences have, so that digits stand below each other.

    As many as show two digits of the narrowest margin, at least of the smallest difference without one.
    """
    sizes = []
    for comparison in verdict.against_baseline:
        size = comparison.margin
        if math.isnan(size):
            size = abs(comparison.difference)
        if size > 0:
            sizes.append(scale(verdict) * size)
    return decimals_for(min(sizes, default=0.0), least=None)


def curves(verdict: Verdict) -> Curves:
    """Return the validation scores after each epoch: the median of the seeds, and their middle half.

    Raises:
        SearchError: if the verdict has no such scores.
    """
    logged = f"val_{verdict.metric}"
    if verdict.runs is None or logged not in verdict.runs.history:
        raise SearchError(
            "Curves need a verdict with the scores of each epoch on validation data. Received: "
            f"a verdict without {logged}"
        )
    history = scale(verdict) * np.asarray(verdict.runs.history[logged], float)
    epochs = tuple(float(epoch) for epoch in range(1, history.shape[1] + 1))
    lines = []
    for column, name in _columns(verdict):
        healthy = history[~verdict.runs.diverged[:, column], :, column]
        if not np.isfinite(healthy).any():
            continue
        low, middle, high = np.nanquantile(healthy, _QUARTERS, axis=0)
        lines.append(
            Curve(
                name,
                epochs,
                _numbers(middle),
                _numbers(low),
                _numbers(high),
                name == verdict.baseline,
            )
        )
    if not lines:
        raise SearchError("Curves need a training that did not diverge. Received: none")
    return Curves(tuple(lines), "epoch", score_label(verdict, "validation"), verdict.maximize)


def _columns(verdict: Verdict) -> list[tuple[int, str]]:
    """The columns of the runs in the order of the candidates."""
    assert verdict.runs is not None
    found = []
    for scored in verdict.candidates:
        if scored.activation in verdict.runs.activations:
            found.append((verdict.runs.activations.index(scored.activation), scored.activation))
    return found


def learning_rates(verdict: Verdict) -> LearningRates:
    """Return the validation scores of each candidate at the learning rates that were tried.

    Raises:
        SearchError: if the verdict did not choose rates.
    """
    study = verdict.rates
    if study is None:
        raise SearchError(
            "Learning rates need a verdict that tried several. Received: learning_rates=None"
        )
    means = scale(verdict) * study.means()
    lines = []
    for scored in verdict.candidates:
        if scored.activation in study.names:
            k = study.names.index(scored.activation)
            is_baseline = scored.activation == verdict.baseline
            lines.append(
                RateLine(scored.activation, _numbers(means[k]), study.chosen[k], is_baseline)
            )
    label = score_label(verdict, "validation")
    return LearningRates(study.factors, _ticks(study), tuple(lines), label, verdict.maximize)


def _ticks(study: RateStudy) -> tuple[str, ...]:
    return tuple(written(factor, study.own) for factor in study.factors)


def score_label(verdict: Verdict, part: str) -> str:
    """Return what an axis of scores is called: ``"validation accuracy, %"``."""
    if verdict.in_points:
        return f"{part} {verdict.metric}, %"
    return f"{part} {verdict.metric}"


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


class VerdictPlot:
    """The pictures of a verdict as matplotlib's Axes: ``verdict.plot.differences()``.

    Each takes the Axes to draw on; by default a new figure's. What is drawn can be had as values:
    `keras_acts.search.verdict.pictures` computes them.
    """

    def __init__(self, verdict: Verdict):
        self._verdict = verdict

    def differences(self, ax: Axes | None = None) -> Axes:
        """Draw each candidate against the baseline with its interval, better to the right.

        Raises:
            SearchError: if nothing was compared.
        """
        return on_axes(differences(self._verdict), ax)

    def curves(self, ax: Axes | None = None) -> Axes:
        """Draw the validation scores after each epoch, the median and the middle half of the seeds.

        Raises:
            SearchError: if there are no such scores.
        """
        return on_axes(curves(self._verdict), ax)

    def learning_rates(self, ax: Axes | None = None) -> Axes:
        """Draw the validation scores at the learning rates that were tried; a ring is what was chosen.

        Raises:
            SearchError: if only the model's own was.
        """
        return on_axes(learning_rates(self._verdict), ax)
