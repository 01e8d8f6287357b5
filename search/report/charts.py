"""The pictures of a report as SVG, each for a width in pixels: one for screens, one for phones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from . import svg
from .numbers import number as as_text
from .scales import Scale, apart, limits, robust_limits, tick_text, ticks, whole_ticks
from .values import (
    Curve,
    Curves,
    Difference,
    Differences,
    LayerSizes,
    LearningRates,
    Panel,
    Parameters,
    Picture,
    RaceRounds,
    Runner,
    Shapes,
)

WIDE = 760.0
NARROW = 336.0
_TEXT = 4.5  # from the middle of a line of text down to its baseline
_GAP = 10.0
_ROWS = 6  # of a grid, about
# of small pictures: their height, and what stands left of and below them
_PANEL = 184.0
_LEFT_OF_PANEL = 46.0
_BELOW_PANEL = 44.0

Box: TypeAlias = tuple[float, float, float, float]  # x, y, width, height
_WIDEST_LABEL = 200.0  # a longer one is broken into lines
_MOST_ROWS = 20  # of candidates; those behind them are in the table


def drawn(picture: Picture, width: float, title: str, key: str) -> str:
    """Return a picture as SVG.

    Args:
        picture: what is drawn.
        width: in pixels.
        title: what is read out for it.
        key: a name that no other picture of the page has.
    """
    if isinstance(picture, Differences):
        return _differences(picture, width, title)
    if isinstance(picture, Curves):
        return _curves(picture, width, title, key)
    if isinstance(picture, LearningRates):
        return _rates(picture, width, title)
    if isinstance(picture, RaceRounds):
        return _race(picture, width, title)
    if isinstance(picture, Parameters):
        return _parameters(picture, width, title)
    if isinstance(picture, LayerSizes):
        return _layer_sizes(picture, width, title)
    return _shapes(picture, width, title, key)


def is_wide(width: float) -> bool:
    """Whether there is room for labels beside a picture."""
    return width > 500


# the differences


def _differences(picture: Differences, width: float, title: str) -> str:
    if is_wide(width):
        return _differences_wide(picture, width, title)
    return _differences_narrow(picture, width, title)


def _differences_wide(picture: Differences, width: float, title: str) -> str:
    """A row each: the name, the interval, the numbers."""
    names = [svg.wrapped(row.name, _WIDEST_LABEL) for row in picture.rows]
    left = max(_widest(lines) for lines in names) + 30
    right = width - _widest([row.text for row in picture.rows]) - 30
    scale = Scale(*_limits_of_differences(picture), left, right)
    y = 30.0
    rows = []
    for row, lines in zip(picture.rows, names, strict=True):
        height = 20.0 + svg.LINE * len(lines)
        middle = y + height / 2
        rows.append(svg.block(12, middle, lines, "strong"))
        rows.append(svg.block(width - 12, middle, [row.text], "", "end"))
        rows.append(_whisker(row, scale, middle, picture))
        y += height
    return _with_axis(picture, rows, scale, width, y, title)


def _differences_narrow(picture: Differences, width: float, title: str) -> str:
    """The name and the numbers above each interval."""
    scale = Scale(*_limits_of_differences(picture), 12, width - 12)
    y = 30.0
    rows = []
    for row in picture.rows:
        lines = svg.wrapped(row.name, width - 24)
        has_room = svg.text_width(row.name) + svg.text_width(row.text) + 34 < width
        height = svg.LINE * len(lines)
        rows.append(svg.block(12, y + height / 2, lines, "strong"))
        if not has_room:
            height += svg.LINE
        middle = y + height - svg.LINE / 2
        # no line of the axis shows between its digits
        behind = svg.text_width(row.text)
        place = (width - 12 - behind, middle - svg.LINE / 2, behind, svg.LINE)
        rows.append(svg.rectangle(*place, "paper"))
        rows.append(svg.block(width - 12, middle, [row.text], "", "end"))
        rows.append(_whisker(row, scale, y + height + 14, picture))
        y += height + 36
    return _with_axis(picture, rows, scale, width, y, title)


def _with_axis(
    picture: Differences, rows: Sequence[str], scale: Scale, width: float, bottom: float, title: str
) -> str:
    parts = _horizontal_axis(scale, 26, bottom, picture.unit)
    parts.append(svg.line(scale(0), 24, scale(0), bottom, "zero"))
    parts.append(_direction(scale, width))
    parts += rows
    return svg.picture("".join(parts), width, bottom + 44, title)


def _limits_of_differences(picture: Differences) -> tuple[float, float]:
    """Limits that show what is close well: what is far off to the left is an arrow at the edge."""
    close = [0.0]
    worse = []
    for row in picture.rows:
        if row.outcome == "worse":
            worse.append(row)
        else:
            close += [row.gain, row.low, row.high]
    size = max((abs(end) for end in close if math.isfinite(end)), default=0.0)
    for row in worse:
        if size == 0 or -row.gain < 4 * size:
            close += [row.gain, row.low, row.high]
    if size:
        close.append(-size)
    return limits(close, 0.08)


def _direction(scale: Scale, width: float) -> str:
    """What left and right of the baseline mean, where there is room for it: above all rows."""
    zero = scale(0)
    parts = []
    better = "better →"
    worse = "← worse"
    if width - zero > svg.text_width(better) + 12:
        parts.append(svg.text(zero + 8, 18, better, "quiet"))
    if zero > svg.text_width(worse) + 12:
        parts.append(svg.text(zero - 8, 18, worse, "quiet", "end"))
    return "".join(parts)


def _whisker(row: Difference, scale: Scale, y: float, picture: Differences) -> str:
    role = {"better": "good", "worse": "bad"}.get(row.outcome, "open")
    parts = []
    if row.gain < scale.low:
        x = scale.start
        arrow = [(x + 4, y), (x + 14, y - 6), (x + 14, y + 6)]
        parts.append(svg.area(arrow, f"f-{role}"))
        parts.append(svg.line(x + 14, y, x + 40, y, f"whisker l-{role}"))
        return svg.titled("".join(parts), f"{row.name} against {picture.baseline}: {row.text}")
    if math.isfinite(row.low) and math.isfinite(row.high):
        start = scale.inside(row.low)
        parts.append(svg.line(start, y, scale(row.high), y, f"whisker l-{role}"))
    dot = f"f-{role}"
    if row.outcome == "open":
        # hollow, so that colour is not all that tells it apart
        dot = f"hollow l-{role}"
    if math.isfinite(row.gain):
        parts.append(svg.circle(scale(row.gain), y, 5.5, dot))
    return svg.titled("".join(parts), f"{row.name} against {picture.baseline}: {row.text}")


# lines over epochs


def _curves(picture: Curves, width: float, title: str, key: str) -> str:
    wide = is_wide(width)
    names = [line.name for line in picture.lines]
    right = width - 14.0
    top = 16.0
    if wide:
        right = width - _label_room(names) - 24
    legend = ""
    if not wide:
        legend, top = _legend(names, width)
    label, top = _y_label(picture.y_label, top)
    bottom = top + 230
    if wide:
        bottom = top + 300
    epochs = [value for line in picture.lines for value in line.x]
    low, high = _limits_of_curves(picture)
    vertical = Scale(low, high, bottom, top)
    left = _left_of(vertical)
    first = int(min(epochs))
    last = int(max(epochs))
    horizontal = Scale(first, max(last, first + 1), left, right)
    parts = [legend, label, *_vertical_axis(vertical, left, right)]
    parts += _epoch_axis(horizontal, bottom, picture.x_label, first, last)
    inside = []
    for index, line in enumerate(picture.lines):
        inside.append(_curve(line, index, horizontal, vertical))
    box = (left, top - 3, right - left + 6, bottom - top + 6)
    parts.append(svg.clipped("".join(inside), key, box))
    if wide:
        parts.append(_end_labels(picture.lines, vertical, right, _label_room(names)))
    return svg.picture("".join(parts), width, bottom + 42, title)


def _limits_of_curves(picture: Curves) -> tuple[float, float]:
    """Limits that show where lines differ: how bad all are in the first epochs is not the point."""
    shown: list[float] = []
    for line in picture.lines:
        begin = len(line.x) // 5
        for values in (line.y, line.low, line.high):
            shown += values[begin:]
    return robust_limits(shown, better_up=picture.better_up)


def _curve(line: Curve, index: int, horizontal: Scale, vertical: Scale) -> str:
    number = index % len(svg.COLOURS)
    places = [horizontal(x) for x in line.x]
    parts = []
    if line.low:
        upper = [(x, vertical(y)) for x, y in zip(places, line.high, strict=True)]
        lower = [(x, vertical(y)) for x, y in zip(places, line.low, strict=True)]
        finite = [point for point in [*upper, *reversed(lower)] if math.isfinite(point[1])]
        parts.append(svg.area(finite, f"band f{number}"))
    points = [(x, vertical(y)) for x, y in zip(places, line.y, strict=True)]
    healthy = [point for point in points if math.isfinite(point[1])]
    parts.append(svg.path(healthy, f"line l{number}", _dash(index)))
    if healthy:
        parts.append(svg.circle(*healthy[-1], 3.5, f"f{number}"))
    last = next((y for y in reversed(line.y) if math.isfinite(y)), math.nan)
    return svg.titled("".join(parts), f"{line.name}: {last:.4g} at the end")


def _end_labels(
    lines: Sequence[Curve],
    vertical: Scale,
    right: float,
    room: float,
    colours: Sequence[int] | None = None,
) -> str:
    """The names at the ends of the lines, moved apart where they would overlap."""
    if not lines:
        return ""
    ends = []
    labels = []
    for line in lines:
        last = next((y for y in reversed(line.y) if math.isfinite(y)), vertical.low)
        ends.append(vertical.inside(last))
        words = line.name
        if last < vertical.low:
            words += " ↓"
        if last > vertical.high:
            words += " ↑"
        labels.append(svg.wrapped(words, room))
    sizes = [svg.LINE * len(label) + 2.0 for label in labels]
    places = apart(ends, sizes, vertical.end, vertical.start)
    numbers = _numbers([line.name for line in lines], colours)
    parts = []
    for number, label, place in zip(numbers, labels, places, strict=True):
        css = f"strong f{number}"
        parts.append(svg.block(right + 12, place, label, css))
    return "".join(parts)


def _label_room(names: Sequence[str]) -> float:
    """How wide the names at the ends of lines are, with an arrow behind each."""
    return min(_widest([f"{name} ↓" for name in names]), _WIDEST_LABEL)


# learning rates


def _rates(picture: LearningRates, width: float, title: str) -> str:
    wide = is_wide(width)
    names = [line.name for line in picture.lines]
    right = width - 26.0
    top = 16.0
    legend = ""
    if wide:
        right = width - _label_room(names) - 40
    else:
        legend, top = _legend(names, width)
    label, top = _y_label(picture.y_label, top)
    bottom = top + 220
    if wide:
        bottom = top + 260
    scores = [value for line in picture.lines for value in line.y]
    vertical = Scale(*robust_limits(scores, better_up=picture.better_up), bottom, top)
    left = _left_of(vertical) + 14
    logs = [math.log2(factor) for factor in picture.factors]
    horizontal = Scale(logs[0], max(logs[-1], logs[0] + 1), left, right)
    parts = [legend, label, *_vertical_axis(vertical, left - 14, right + 14)]
    for log, tick in zip(logs, picture.ticks, strict=True):
        parts.append(svg.text(horizontal(log), bottom + 20, tick, "quiet", "middle"))
    parts.append(svg.text((left + right) / 2, bottom + 40, "learning rate", "quiet", "middle"))
    for index, line in enumerate(picture.lines):
        points = _rate_points(line.y, logs, horizontal, vertical)
        number = index % len(svg.COLOURS)
        pieces = [svg.path(points, f"line l{number}", _dash(index))]
        pieces += [svg.circle(x, y, 3.5, f"f{number}") for x, y in points]
        if 0 <= line.chosen < len(line.y) and math.isfinite(line.y[line.chosen]):
            place = horizontal(logs[line.chosen]), vertical.inside(line.y[line.chosen])
            pieces.append(svg.circle(*place, 7, f"hollow l{number}"))
        parts.append(svg.titled("".join(pieces), f"{line.name}{_at_chosen(line.chosen, picture)}"))
    if wide:
        curves = [Curve(line.name, picture.factors, line.y) for line in picture.lines]
        parts.append(_end_labels(curves, vertical, right + 14, _label_room(names)))
    return svg.picture("".join(parts), width, bottom + 50, title)


def _at_chosen(chosen: int, picture: LearningRates) -> str:
    if not 0 <= chosen < len(picture.ticks):
        return ""
    return f": judged at {picture.ticks[chosen]}"


def _rate_points(
    scores: Sequence[float], logs: Sequence[float], horizontal: Scale, vertical: Scale
) -> list[tuple[float, float]]:
    """The places of the scores that there are; very bad ones at the edge."""
    points = []
    for log, score in zip(logs, scores, strict=True):
        if math.isfinite(score):
            points.append((horizontal(log), vertical.inside(score)))
    return points


# the race


def _race(picture: RaceRounds, width: float, title: str) -> str:
    if len(picture.rounds) == 1:
        return _one_round(picture, width, title)
    wide = is_wide(width)
    labelled = [runner for runner in picture.runners if runner.colour >= 0]
    names = [runner.name for runner in labelled]
    colours = [runner.colour for runner in labelled]
    top = 16.0
    right = width - 46.0
    legend = ""
    if wide:
        right = width - _label_room(names) - 30
    elif names:
        legend, top = _legend(names, width, colours)
    label, top = _y_label(picture.y_label, top)
    bottom = top + 250
    if wide:
        bottom = top + 320
    scores = [score for runner in picture.runners for score in runner.scores]
    ends = robust_limits(scores, better_up=picture.better_up, reach=1)
    vertical = Scale(*ends, bottom, top)
    left = _left_of(vertical)
    last = max(len(picture.rounds) - 1, 1)
    begin = left + 24
    if wide:
        begin = left + 40
    horizontal = Scale(0, last, begin, right)
    parts = [legend, label, *_vertical_axis(vertical, left, right)]
    for index, words in enumerate(picture.rounds):
        x = horizontal(index)
        parts.append(svg.line(x, top, x, bottom, "grid"))
        parts.append(_round_label(x, bottom, picture.names[index], words, wide=wide))
    for runner in reversed(picture.runners):
        parts.append(_runner(runner, horizontal, vertical))
    if wide:
        indices = tuple(float(index) for index in range(len(picture.rounds)))
        curves = [Curve(runner.name, indices, runner.scores) for runner in labelled]
        parts.append(_end_labels(curves, vertical, right, _label_room(names), colours))
    return svg.picture("".join(parts), width, bottom + 62, title)


def _one_round(picture: RaceRounds, width: float, title: str) -> str:
    """A row each, the best first: nobody left, so that there are no lines to follow."""
    scored = [runner for runner in picture.runners if math.isfinite(runner.scores[0])]
    left_out = scored[_MOST_ROWS:]
    scored = scored[:_MOST_ROWS]
    scores = [runner.scores[0] for runner in scored]
    room = _WIDEST_LABEL
    if not is_wide(width):
        room = 0.4 * width
    names = [svg.wrapped(runner.name, room) for runner in scored]
    left = max((_widest(lines) for lines in names), default=0.0) + 30
    ends = robust_limits(scores, better_up=picture.better_up, reach=1)
    scale = Scale(*ends, left, width - 24)
    y = 16.0
    rows = []
    for runner, lines in zip(scored, names, strict=True):
        height = _ROW + svg.LINE * (len(lines) - 1)
        middle = y + height / 2
        rows.append(svg.block(12, middle, lines, "strong"))
        rows.append(svg.line(scale.start, middle, scale.end, middle, "grid"))
        rows.append(_score_dot(runner, scale, middle))
        y += height
    label = f"{picture.y_label}, after {picture.rounds[0]}"
    if left_out:
        label += f"; {len(left_out)} with lower places are in the table"
    all_ticks = _fitting_ticks(scale)
    parts = []
    for tick in all_ticks:
        parts.append(svg.line(scale(tick), 12, scale(tick), y, "grid"))
        parts.append(svg.text(scale(tick), y + 18, tick_text(tick, all_ticks), "quiet", "middle"))
    parts += rows
    lines = svg.wrapped(label, scale.end - scale.start)
    below = y + 29 + svg.LINE * len(lines) / 2
    parts.append(svg.block((scale.start + scale.end) / 2, below, lines, "quiet", "middle"))
    return svg.picture("".join(parts), width, y + 36 + svg.LINE * len(lines), title)


def _score_dot(runner: Runner, scale: Scale, y: float) -> str:
    """Where the score of a candidate is; an arrow at the edge where it is far off."""
    score = runner.scores[0]
    role = "f-open"
    if runner.colour >= 0:
        role = f"f{runner.colour}"
    mark = svg.circle(scale.inside(score), y, 5.5, role)
    if score < scale.low:
        x = scale.start
        mark = svg.area([(x, y), (x + 10, y - 6), (x + 10, y + 6)], role)
    elif score > scale.high:
        x = scale.end
        mark = svg.area([(x, y), (x - 10, y - 6), (x - 10, y + 6)], role)
    return svg.titled(mark, f"{runner.name}: {as_text(score)}")


def _round_label(x: float, bottom: float, name: str, words: str, *, wide: bool) -> str:
    """The number of a round, and how far and on how many seeds it trains."""
    lines = words.split(", ")
    if not wide and len(name) > len("Round 1"):
        name = name.replace("Rounds ", "R")
    parts = [svg.text(x, bottom + 20, name, "strong", "middle")]
    for number, line in enumerate(lines):
        parts.append(svg.text(x, bottom + 37 + svg.LINE * number, line, "quiet", "middle"))
    return "".join(parts)


def _runner(runner: Runner, horizontal: Scale, vertical: Scale) -> str:
    """The line of a candidate: in its own colour to the end, grey where it left."""
    number = runner.colour
    points = []
    for index, score in enumerate(runner.scores):
        if math.isfinite(score):
            points.append((horizontal(index), vertical.inside(score)))
    if not points:
        return ""
    line = "line thin l-open"
    dot = "f-open"
    dash = ""
    if number >= 0:
        line = f"line l{number}"
        dot = f"f{number}"
        dash = _dash(number)
    parts = [svg.path(points, line, dash)]
    for x, y in points[:-1]:
        parts.append(svg.circle(x, y, 3, dot))
    if runner.finished:
        parts.append(svg.circle(*points[-1], 4.5, dot))
    else:
        parts.append(svg.circle(*points[-1], 4, "hollow l-open"))
    return svg.titled("".join(parts), f"{runner.name}: round {runner.last}, {runner.fate}")


# parameters


def _parameters(picture: Parameters, width: float, title: str) -> str:
    scores = [picture.reference]
    for panel in picture.panels:
        scores += panel.y
    low, high = robust_limits(scores, better_up=picture.better_up)
    heads = [(panel.title, "") for panel in picture.panels]

    def draw(index: int, box: Box) -> str:
        return _parameter_panel(picture.panels[index], picture, (low, high), box)

    return _in_panels(heads, width, title, draw)


def _parameter_panel(
    panel: Panel,
    picture: Parameters,
    ends: tuple[float, float],
    box: Box,
) -> str:
    x, y, width, height = box
    vertical = Scale(*ends, y + height, y)
    horizontal = Scale(*limits(panel.x), x, x + width)
    parts = _vertical_axis(vertical, x, x + width)
    parts += _panel_axis(horizontal, y + height)
    if math.isfinite(picture.reference):
        place = vertical.inside(picture.reference)
        parts.append(svg.line(x, place, x + width, place, "zero"))
    for value, score, on, label in zip(panel.x, panel.y, panel.went_on, panel.labels, strict=True):
        css = "hollow l0"
        if on:
            css = "f0"
        dot = svg.circle(horizontal(value), vertical.inside(score), 4.5, css)
        parts.append(svg.titled(dot, f"{label}: {score:.4g}"))
    return "".join(parts)


# shapes


def _shapes(picture: Shapes, width: float, title: str, key: str) -> str:
    heads = []
    for index, shape in enumerate(picture.shapes):
        heads.append((shape.name, f"f{index % len(svg.COLOURS)}"))

    def draw(index: int, box: Box) -> str:
        return _shape_panel(index, picture, box, key)

    return _in_panels(heads, width, title, draw)


def _shape_panel(index: int, picture: Shapes, box: Box, key: str) -> str:
    x, y, width, height = box
    shape = picture.shapes[index]
    number = index % len(svg.COLOURS)
    horizontal = Scale(shape.x[0], shape.x[-1], x, x + width)
    values = [value for other in picture.shapes for value in (*other.y, *other.slope)]
    low, high = limits(values)
    vertical = Scale(max(low, -2.5), min(high, 3.5), y + height, y)
    parts = []
    if picture.inputs is not None:
        parts.append(_bars(picture, horizontal, vertical))
    parts += _vertical_axis(vertical, x, x + width)
    parts += _panel_axis(horizontal, y + height)
    inside = [
        _broken_line(shape.x, shape.y, horizontal, vertical, f"line l{number}", ""),
        _broken_line(shape.x, shape.slope, horizontal, vertical, f"line l{number} thin", "4 3"),
    ]
    parts.append(svg.clipped("".join(inside), f"{key}-{index}", box))
    words = f"{shape.name}: solid is the function, dashed its derivative"
    return svg.titled("".join(parts), words)


def _bars(picture: Shapes, horizontal: Scale, vertical: Scale) -> str:
    """The inputs of the activations, up to half as high as the picture."""
    histogram = picture.inputs
    if histogram is None:
        return ""
    parts = []
    full = 0.5 * (vertical.start - vertical.end)
    for index, share in enumerate(histogram.heights):
        left = horizontal.inside(histogram.edges[index])
        right = horizontal.inside(histogram.edges[index + 1])
        tall = full * share
        if right > left and tall > 0:
            parts.append(
                svg.rectangle(left, vertical.start - tall, right - left - 0.5, tall, "bar")
            )
    return "".join(parts)


def _broken_line(
    xs: Sequence[float],
    ys: Sequence[float],
    horizontal: Scale,
    vertical: Scale,
    css: str,
    dash: str,
) -> str:
    """A line that has a gap where there is no number."""
    parts = []
    points: list[tuple[float, float]] = []
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(y):
            points.append((horizontal(x), vertical(y)))
            continue
        if len(points) > 1:
            parts.append(svg.path(points, css, dash))
        points = []
    if len(points) > 1:
        parts.append(svg.path(points, css, dash))
    return "".join(parts)


# what all have in common


# a size for each layer

_ROW = 26.0
_POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def _layer_sizes(picture: LayerSizes, width: float, title: str) -> str:
    wide = is_wide(width)
    legend, top = _dot_legend(picture.models, width, picture.colours)
    room = _WIDEST_LABEL
    if not wide:
        room = 0.34 * width
    names = [svg.wrapped(layer, room) for layer in picture.layers]
    left = max(_widest(lines) for lines in names) + 30
    scale = Scale(*_powers(picture), left, width - 24)
    y = top + 8
    rows = []
    for index, lines in enumerate(names):
        height = _ROW + svg.LINE * (len(lines) - 1)
        middle = y + height / 2
        rows.append(svg.block(left - 16, middle, lines, "", "end"))
        rows.append(svg.line(scale.start, middle, scale.end, middle, "grid"))
        rows.append(_sizes_of_layer(picture, index, scale, middle))
        y += height
    parts = [legend]
    for power in _whole_powers(scale):
        parts.append(svg.line(scale(power), top + 8, scale(power), y, "grid"))
        parts.append(svg.text(scale(power), y + 18, _power_text(power), "quiet", "middle"))
    parts += rows
    middle = (scale.start + scale.end) / 2
    label = svg.wrapped(picture.x_label, scale.end - scale.start)
    parts.append(svg.block(middle, y + 29 + svg.LINE * len(label) / 2, label, "quiet", "middle"))
    return svg.picture("".join(parts), width, y + 36 + svg.LINE * len(label), title)


def _dot_legend(names: Sequence[str], width: float, colours: Sequence[int]) -> tuple[str, float]:
    """Names with their dots, a line each where they do not fit into one."""
    parts = []
    x = 12.0
    y = 14.0
    for number, name in enumerate(names):
        lines = svg.wrapped(name, width - 40)
        needed = 30 + _widest(lines)
        if number and x + needed > width:
            x = 12.0
            y += svg.LINE + 4
        parts.append(_size_dot(x, y, colours[number], hollow=number > 0))
        parts.append(svg.block(x + 12, y + (len(lines) - 1) * svg.LINE / 2, lines, "strong"))
        y += (len(lines) - 1) * svg.LINE
        x += needed
    return "".join(parts), y + 14


def _size_dot(x: float, y: float, colour: int, *, hollow: bool) -> str:
    """The dot of a model, the second one hollow, so that colour is not all that tells it apart."""
    if hollow:
        return svg.circle(x, y, 5, f"hollow l{colour}")
    return svg.circle(x, y, 5.5, f"f{colour}")


def _powers(picture: LayerSizes) -> tuple[float, float]:
    """Where the axis begins and ends, as powers of ten: at least from one to the next but one."""
    logs = []
    for sizes in picture.sizes:
        logs += [math.log10(size) for size in sizes if math.isfinite(size) and size > 0]
    if not logs:
        return -1.0, 1.0
    low = math.floor(min(logs) - 0.1)
    high = math.ceil(max(logs) + 0.1)
    return float(low), float(max(high, low + 2))


def _whole_powers(scale: Scale) -> list[int]:
    """The powers of ten that are marked: not so many that they touch."""
    low = round(scale.low)
    high = round(scale.high)
    most = max(1, int((scale.end - scale.start) / 56))
    step = max(1, math.ceil((high - low) / most))
    return list(range(low, high + 1, step))


def _power_text(power: int) -> str:
    digits = "".join(_POWERS[int(digit)] for digit in str(abs(power)))
    if power < 0:
        digits = f"⁻{digits}"
    return f"10{digits}"


def _sizes_of_layer(picture: LayerSizes, index: int, scale: Scale, y: float) -> str:
    """The dots of a layer, one a model; an arrow at the edge where nothing is left."""
    parts = []
    for number, (model, sizes) in enumerate(zip(picture.models, picture.sizes, strict=True)):
        size = sizes[index]
        if not math.isfinite(size):
            continue
        if size > 0:
            x = scale.inside(math.log10(size))
            mark = _size_dot(x, y, picture.colours[number], hollow=number > 0)
        else:
            x = scale.start
            arrow = [(x, y), (x + 10, y - 6), (x + 10, y + 6)]
            mark = svg.area(arrow, f"f{picture.colours[number]}")
        parts.append(svg.titled(mark, f"{picture.layers[index]}, {model}: {size:.2g}"))
    return "".join(parts)


def _in_panels(
    heads: Sequence[tuple[str, str]],
    width: float,
    title: str,
    draw: Callable[[int, Box], str],
) -> str:
    """Small pictures beside and below each other.

    Args:
        heads: of each the title, and the class of its colour.
        width: of all together.
        title: of all together.
        draw: draws one in a box.
    """
    columns = 1
    if is_wide(width):
        columns = min(3, len(heads))
        if len(heads) == 4:
            columns = 2
    cell = width / columns
    titles = [svg.wrapped(words, cell - _LEFT_OF_PANEL - 4) for words, _ in heads]
    head = svg.LINE * max(len(lines) for lines in titles) + 12
    tall = head + _PANEL + _BELOW_PANEL
    parts = []
    for index, (_, css) in enumerate(heads):
        row, column = divmod(index, columns)
        left = column * cell + _LEFT_OF_PANEL
        top = row * tall
        # the last line of a title stands just above its picture
        lines = titles[index]
        middle = top + head - 8 - len(lines) * svg.LINE / 2
        parts.append(svg.block(left, middle, lines, f"strong {css}".strip()))
        box = (left, top + head, min(cell - _LEFT_OF_PANEL - 16, 420.0), _PANEL)
        parts.append(draw(index, box))
    rows = math.ceil(len(heads) / columns)
    # nothing stands below the numbers of the last row
    height = rows * tall - _BELOW_PANEL + 26
    return svg.picture("".join(parts), width, height, title)


def _vertical_axis(scale: Scale, left: float, right: float) -> list[str]:
    all_ticks = ticks(scale.low, scale.high, _ROWS)
    parts = []
    for tick in all_ticks:
        place = scale(tick)
        parts.append(svg.line(left, place, right, place, "grid"))
        parts.append(svg.text(left - 8, place + _TEXT, tick_text(tick, all_ticks), "quiet", "end"))
    return parts


def _left_of(scale: Scale) -> float:
    """Where a picture begins, right of the numbers of its vertical axis."""
    all_ticks = ticks(scale.low, scale.high, _ROWS)
    return _widest([tick_text(tick, all_ticks) for tick in all_ticks]) + 14


def _horizontal_axis(scale: Scale, top: float, bottom: float, label: str) -> list[str]:
    all_ticks = _fitting_ticks(scale)
    parts = []
    for tick in all_ticks:
        parts.append(svg.line(scale(tick), top, scale(tick), bottom, "grid"))
        words = tick_text(tick, all_ticks)
        if tick > 0:
            words = f"+{words}"
        parts.append(svg.text(scale(tick), bottom + 18, words, "quiet", "middle"))
    middle = (scale.start + scale.end) / 2
    parts.append(svg.text(middle, bottom + 37, label, "quiet", "middle"))
    return parts


def _panel_axis(scale: Scale, bottom: float) -> list[str]:
    all_ticks = _fitting_ticks(scale, 4)
    parts = []
    for tick in all_ticks:
        words = tick_text(tick, all_ticks)
        parts.append(svg.text(scale(tick), bottom + 18, words, "quiet", "middle"))
    return parts


def _fitting_ticks(scale: Scale, most: int = 6) -> tuple[float, ...]:
    """Round numbers whose texts do not touch."""
    found = ticks(scale.low, scale.high, most)
    for count in range(most, 0, -1):
        found = ticks(scale.low, scale.high, count)
        widest = _widest([tick_text(tick, found) for tick in found]) + _GAP
        if len(found) * widest < abs(scale.end - scale.start):
            break
    return found


def _epoch_axis(scale: Scale, bottom: float, label: str, first: int, last: int) -> list[str]:
    parts = []
    for tick in whole_ticks(first, last):
        parts.append(svg.text(scale(tick), bottom + 20, f"{tick:.0f}", "quiet", "middle"))
    middle = (scale.start + scale.end) / 2
    parts.append(svg.text(middle, bottom + 38, label, "quiet", "middle"))
    return parts


def _y_label(label: str, top: float) -> tuple[str, float]:
    """What the vertical axis is, above it, and where the picture begins below."""
    return svg.text(2, top - 2, label, "quiet"), top + 16


def _legend(
    names: Sequence[str], width: float, colours: Sequence[int] | None = None
) -> tuple[str, float]:
    """Names with their lines above a narrow picture, and where the picture begins."""
    numbers = _numbers(names, colours)
    parts = []
    x = 10.0
    y = 14.0
    lines_before = 1
    for index, name in enumerate(names):
        lines = svg.wrapped(name, width - 50)
        needed = 34 + _widest(lines)
        if index and (x + needed > width or len(lines) > 1):
            x = 10.0
            y += 5 + svg.LINE * lines_before
            lines_before = 1
        lines_before = max(lines_before, len(lines))
        number = numbers[index]
        parts.append(svg.path([(x, y), (x + 22, y)], f"line l{number}", _dash(number)))
        middle = y + (len(lines) - 1) * svg.LINE / 2
        parts.append(svg.block(x + 28, middle, lines, f"strong f{number}"))
        x += needed + 12
    return "".join(parts), y + svg.LINE * (lines_before - 1) + 28


def _numbers(names: Sequence[str], colours: Sequence[int] | None) -> list[int]:
    """The numbers of the colours of names: in their order, where none are given."""
    if colours is not None:
        return list(colours)
    return [index % len(svg.COLOURS) for index in range(len(names))]


def _dash(index: int) -> str:
    return svg.DASHES[index % len(svg.DASHES)]


def _widest(texts: Sequence[str]) -> float:
    return max((svg.text_width(each) for each in texts), default=0.0)
