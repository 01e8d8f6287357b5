"""What `keras-acts list` and `keras-acts show` print."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import rich.box
from rich.console import Console
from rich.table import Table

from keras_acts import names, spec
from keras_acts.errors import ActivationError
from keras_acts.lookup import builtins
from keras_acts.search import Candidate
from keras_acts.search.report import axes, charts, svg
from keras_acts.search.report.values import Shape, Shapes
from keras_acts.search.space.shapes import shapes_of
from keras_acts.specs import ActivationSpec, Parameter

from . import files
from .checks import SVG

_WIDTH = 700.0
# columns of what is no terminal: wider than any table
_NO_LIMIT = 10_000
# where the values of a function are told
_POINTS = (-3, -2, -1, 0, 1, 2, 3)


def print_all(*, as_json: bool) -> None:
    """Print our activations with their facts, and the names of Keras' own."""
    ours = [spec(name) for name in names()]
    if as_json:
        plain = {"activations": [_plain(one) for one in ours], "of_keras": list(builtins())}
        print(json.dumps(plain, indent=2))
        return
    rows = []
    for one in ours:
        parameters = "\n".join(map(_parameter, one.parameters))
        rows.append((one.name, one.formula, _range(one), parameters or "none"))
    _print_table(("activation", "formula", "values", "parameters"), rows)
    print(f"Of Keras: {', '.join(builtins())}.")
    print(
        'One with parameters is written "trelu(theta=0.5, alpha=trained)". More: keras-acts show NAME'
    )


def _range(one: ActivationSpec) -> str:
    low, high = one.output_range
    return f"{low:g} to {high:g}"


def _parameter(parameter: Parameter) -> str:
    text = f"{parameter.name} = {parameter.default} ({parameter.valid})"
    if parameter.search is not None:
        text += f", a search tries {parameter.search.low:g} to {parameter.search.high:g}"
    if parameter.trained:
        text += ", can be trained"
    return text


def _plain(one: ActivationSpec) -> dict[str, Any]:
    parameters = []
    for parameter in one.parameters:
        tried = None
        if parameter.search is not None:
            tried = [parameter.search.low, parameter.search.high]
        parameters.append(
            {
                "name": parameter.name,
                "default": parameter.default,
                "valid": str(parameter.valid),
                "search": tried,
                "trained": parameter.trained,
            }
        )
    return {
        "name": one.name,
        "formula": one.formula,
        "latex": one.latex,
        # JSON has no infinity
        "range": list(map(_finite, one.output_range)),
        "parameters": parameters,
        "hidden": one.hidden,
        "paper": one.paper,
    }


def _finite(value: float) -> float | None:
    if math.isfinite(value):
        return value
    return None


def show(written: Sequence[str], out: Path | None, *, as_json: bool) -> None:
    """Print what is known of some activations, and draw them into a file if there is one."""
    candidates = [Candidate.of(text) for text in written]
    shapes = {shape.name: shape for shape in shapes_of(map(str, candidates))}
    if out is not None:
        _draw(tuple(shapes.values()), out)
    if as_json:
        print(json.dumps([_known(one, shapes.get(str(one))) for one in candidates], indent=2))
        return
    for candidate in candidates:
        _print_facts(str(candidate), list(_facts(candidate)))
        shape = shapes.get(str(candidate))
        if shape is not None:
            _print_table(("x", *map(str, _POINTS)), _table(shape))
    if out is not None:
        print(f"Drawn in {out}: solid is the function, dashed its derivative.")


def _facts(candidate: Candidate) -> Iterator[tuple[str, str]]:
    if candidate.name not in names():
        yield "of Keras", f"keras.activations.{candidate.name}"
        documentation = getattr(keras.activations, candidate.name).__doc__ or ""
        yield "says", documentation.strip().partition("\n")[0]
        return
    one = spec(candidate.name)
    yield "formula", one.formula
    defaults = ""
    if one.parameters:
        defaults = " at the default parameters"
    yield "values", _range(one) + defaults
    for parameter in one.parameters:
        yield "parameter", _parameter(parameter)
    if not one.hidden:
        yield "use", "at the end of a model; a search does not try it in hidden layers"
    if one.paper:
        yield "source", one.paper


def _table(shape: Shape) -> list[tuple[str, ...]]:
    places = [min(range(len(shape.x)), key=lambda i: abs(shape.x[i] - x)) for x in _POINTS]
    rows: list[tuple[str, ...]] = []
    for name, values in (("f(x)", shape.y), ("f'(x)", shape.slope)):
        cells = []
        for place in places:
            cells.append(_number(values[place]))
        rows.append((name, *cells))
    return rows


def _number(value: float) -> str:
    if math.isnan(value):
        return "a jump"
    return f"{value:.4g}"


def _known(candidate: Candidate, shape: Shape | None) -> dict[str, Any]:
    known: dict[str, Any] = {"activation": str(candidate)}
    if candidate.name in names():
        known |= _plain(spec(candidate.name))
    if shape is not None:
        known["x"] = list(shape.x)
        known["y"] = list(shape.y)
        known["derivative"] = list(map(_finite, shape.slope))
    return known


def _draw(shapes: tuple[Shape, ...], out: Path) -> None:
    if not shapes:
        raise ActivationError("Only functions of one number can be drawn. Received: none of them")
    picture = Shapes(shapes)
    if out.suffix.lower() == SVG:
        title = ", ".join(shape.name for shape in shapes)
        drawn = charts.drawn(picture, _WIDTH, title, "shapes")
        files.write_text(out, svg.file_of(drawn), "--out")
        return
    image = io.BytesIO()
    canvas = axes.on_panels(picture)[0].figure.canvas
    canvas.print_figure(image, format=out.suffix.lower().removeprefix("."))
    files.write_bytes(out, image.getvalue(), "--out")


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose columns begin on the left."""
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=_NO_LIMIT)
    console.print(table)


def _print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print a title, and below it names with what they are."""
    print(title)
    width = max((len(name) for name, _ in facts), default=0)
    for name, text in facts:
        print(f"  {name.ljust(width)}  {text}".rstrip())
