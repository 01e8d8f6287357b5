"""The pictures as matplotlib's Axes. matplotlib is imported when one is drawn, not before."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import SearchError

from . import svg
from .scales import limits, robust_limits
from .values import (
    Curves,
    Differences,
    LayerSizes,
    LearningRates,
    Panel,
    Parameters,
    RaceRounds,
    Shape,
    Shapes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = [light for light, _ in svg.COLOURS]
_ROLES = {
    "better": svg.ROLES["good"][0],
    "worse": svg.ROLES["bad"][0],
    "open": svg.ROLES["open"][0],
}
_MARKERS = "osD^vP"
_GREY = "#b6bec7"
# inches: of one picture, and of a small one among several
_SIZE = (7.5, 4.0)
_SMALL = (3.6, 3.0)


def on_axes(
    picture: Differences | Curves | LearningRates | RaceRounds | LayerSizes, ax: Axes | None
) -> Axes:
    """Draw a picture, on a new figure's Axes if none are given."""
    if ax is None:
        ax = _new_axes()
    if isinstance(picture, Differences):
        _differences(picture, ax)
    elif isinstance(picture, Curves):
        _curves(picture, ax)
    elif isinstance(picture, LearningRates):
        _rates(picture, ax)
    elif isinstance(picture, LayerSizes):
        _layer_sizes(picture, ax)
    else:
        _race(picture, ax)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def on_panels(picture: Parameters | Shapes) -> tuple[Axes, ...]:
    """Draw the small pictures of one, each on Axes of a new figure."""
    if isinstance(picture, Parameters):
        return _panels(picture.panels, lambda panel, ax: _parameter(panel, picture, ax))
    return _panels(picture.shapes, lambda shape, ax: _shape(shape, picture, ax))


def _check_matplotlib() -> None:
    """Say what is missing, in time: Keras itself takes a second more to load where it is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise SearchError(
            'Pictures on Axes need matplotlib: pip install "keras-acts[plots]"; report.html does not. '
            "Received: no matplotlib"
        )


def _new_axes() -> Axes:
    _check_matplotlib()
    from matplotlib import pyplot

    _, axes = pyplot.subplots(figsize=_SIZE, layout="constrained")
    return axes


def _panels(
    panels: Sequence[Panel] | Sequence[Shape], draw: Callable[..., None]
) -> tuple[Axes, ...]:
    _check_matplotlib()
    from matplotlib import pyplot

    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (columns * _SMALL[0], rows * _SMALL[1])
    _, grid = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    axes = tuple(grid.flat)
    for panel, ax in zip(panels, axes, strict=False):
        draw(panel, ax)
    for unused in axes[len(panels) :]:
        unused.remove()
    return axes[: len(panels)]


def _differences(picture: Differences, ax: Axes) -> None:
    ax.axvline(0, color=_GREY, zorder=0)
    places = range(len(picture.rows))
    for place, row in zip(places, picture.rows, strict=True):
        colour = _ROLES[row.outcome]
        if math.isfinite(row.low):
            ax.plot([row.low, row.high], [place, place], color=colour, linewidth=2.5)
        face = colour
        if row.outcome == "open":
            face = "white"
        ax.plot(row.gain, place, "o", color=colour, markerfacecolor=face, markersize=8)
    ax.set_yticks(list(places), [row.name for row in picture.rows])
    ax.set_ylim(len(picture.rows) - 0.5, -0.5)
    ax.set_xlabel(f"against {picture.baseline}, {picture.unit}; better to the right")


def _curves(picture: Curves, ax: Axes) -> None:
    shown: list[float] = []
    for index, line in enumerate(picture.lines):
        colour = _COLOURS[index % len(_COLOURS)]
        style = "-"
        if line.is_baseline:
            style = "--"
        if line.low:
            ax.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(line.x, line.y, style, color=colour, label=line.name, linewidth=2)
        begin = len(line.x) // 5
        shown += [*line.y[begin:], *line.low[begin:], *line.high[begin:]]
    ax.set_ylim(*robust_limits(shown, better_up=picture.better_up))
    ax.set_xlabel(picture.x_label)
    ax.set_ylabel(picture.y_label)
    _whole_numbers(ax)
    ax.legend(frameon=False)


def _whole_numbers(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _rates(picture: LearningRates, ax: Axes) -> None:
    logs = np.log2(picture.factors)
    scores = [value for line in picture.lines for value in line.y]
    for index, line in enumerate(picture.lines):
        colour = _COLOURS[index % len(_COLOURS)]
        marker = _MARKERS[index % len(_MARKERS)]
        ax.plot(logs, line.y, color=colour, marker=marker, label=line.name, markersize=5)
        if 0 <= line.chosen < len(line.y):
            ax.plot(
                logs[line.chosen],
                line.y[line.chosen],
                "o",
                color=colour,
                markerfacecolor="none",
                markersize=13,
            )
    ax.set_xticks(logs, picture.ticks)
    ax.set_ylim(*robust_limits(scores, better_up=picture.better_up))
    ax.set_xlabel("learning rate (a ring: where it was judged)")
    ax.set_ylabel(picture.y_label)
    ax.legend(frameon=False)


def _race(picture: RaceRounds, ax: Axes) -> None:
    if len(picture.rounds) == 1:
        _one_round(picture, ax)
        return
    finalists = [runner for runner in picture.runners if runner.colour >= 0]
    scores = [value for runner in picture.runners for value in runner.scores]
    places = range(len(picture.rounds))
    for runner in reversed(picture.runners):
        if runner not in finalists:
            ax.plot(places, runner.scores, color=_GREY, marker="o", markersize=4, linewidth=1)
    for runner in finalists:
        marker = _MARKERS[runner.colour % len(_MARKERS)]
        colour = _COLOURS[runner.colour % len(_COLOURS)]
        ax.plot(places, runner.scores, color=colour, marker=marker, label=runner.name)
    labels = []
    for name, words in zip(picture.names, picture.rounds, strict=True):
        labels.append(f"{name}\n{words}")
    ax.set_xticks(list(places), labels)
    ax.set_ylim(*robust_limits(scores, better_up=picture.better_up, reach=1))
    ax.set_ylabel(picture.y_label)
    if finalists:
        ax.legend(frameon=False)


def _one_round(picture: RaceRounds, ax: Axes) -> None:
    """A row each, the best first: nobody left, so that there are no lines to follow."""
    scores = [runner.scores[0] for runner in picture.runners]
    low, high = robust_limits(scores, better_up=picture.better_up, reach=1)
    for place, runner in enumerate(picture.runners):
        colour = _GREY
        if runner.colour >= 0:
            colour = _COLOURS[runner.colour % len(_COLOURS)]
        score = runner.scores[0]
        marker = "o"
        # at the edge where it is far off
        if score < low:
            marker = "<"
        elif score > high:
            marker = ">"
        shown = min(max(score, low), high)
        ax.plot([shown], [place], marker, color=colour, clip_on=False)
    ax.set_yticks(range(len(picture.runners)), [runner.name for runner in picture.runners])
    ax.invert_yaxis()
    ax.set_xlim(low, high)
    ax.set_xlabel(f"{picture.y_label}, after {picture.rounds[0]}")
    ax.grid(axis="y", color="#e4e8ec", zorder=0)


def _layer_sizes(picture: LayerSizes, ax: Axes) -> None:
    places = range(len(picture.layers))
    for index, (model, sizes) in enumerate(zip(picture.models, picture.sizes, strict=True)):
        colour = _COLOURS[picture.colours[index] % len(_COLOURS)]
        face = colour
        if index:
            face = "white"
        # a logarithmic axis has no place for 0
        shown = [size if size > 0 else math.nan for size in sizes]
        ax.plot(shown, places, "o", color=colour, markerfacecolor=face, label=model)
    ax.set_xscale("log")
    ax.set_yticks(list(places), list(picture.layers))
    ax.invert_yaxis()
    ax.set_xlabel(picture.x_label)
    ax.grid(axis="y", color="#e4e8ec", zorder=0)
    ax.legend(frameon=False)


def _parameter(panel: Panel, picture: Parameters, ax: Axes) -> None:
    for on, face in ((True, _COLOURS[0]), (False, "white")):
        chosen = [index for index, went_on in enumerate(panel.went_on) if went_on == on]
        xs = [panel.x[index] for index in chosen]
        ys = [panel.y[index] for index in chosen]
        ax.plot(xs, ys, "o", color=_COLOURS[0], markerfacecolor=face)
    if math.isfinite(picture.reference):
        ax.axhline(picture.reference, color=_GREY, zorder=0)
    ax.set_title(panel.title, loc="left", fontsize="medium")
    ax.set_ylabel(picture.y_label)


def _shape(shape: Shape, picture: Shapes, ax: Axes) -> None:
    colour = _COLOURS[picture.shapes.index(shape) % len(_COLOURS)]
    if picture.inputs is not None:
        behind = ax.twinx()
        behind.stairs(picture.inputs.heights, picture.inputs.edges, fill=True, color="#e4e8ec")
        behind.set_ylim(0, 2)
        behind.set_axis_off()
        ax.set_zorder(behind.get_zorder() + 1)
        ax.patch.set_visible(False)
    ax.plot(shape.x, shape.y, color=colour, label="function")
    ax.plot(shape.x, shape.slope, color=colour, linestyle="--", linewidth=1, label="derivative")
    low, high = limits([*shape.y, *shape.slope])
    ax.set_xlim(shape.x[0], shape.x[-1])
    ax.set_ylim(max(low, -2.5), min(high, 3.5))
    ax.set_title(shape.name, loc="left", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
