"""The model card of an export.

What the model is, as JSON for programs and as Markdown for people.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_acts
from keras_acts.errors import ExportError, shown
from keras_acts.layers import TrainedActivation

from ..report.numbers import number
from ..report.tables import COLUMNS
from ..rewrite.slots import SlotSite, slot_sites
from ..runtime.as_json import finite
from .card_rules import BrokenRule, check_extra_entries
from .folder import FILE, FORMAT, TEXT

# what the export itself writes, and `card=` cannot replace
_OWN = {
    "format",
    "created",
    "parameters",
    "signatures",
    "class_names",
    "preprocessing",
    "files",
    "activations",
    "verification",
    "versions",
}
_FEW = 64  # trained values that are listed one by one

# an entry of the card, as JSON holds it
Entry = Mapping[str, Any]
# of a table
Row = tuple[str, ...]


def activations(model: keras.Model) -> list[dict[str, Any]]:
    """Return the activation of each slot with its parameters.

    Trained ones with the values they have now.
    """
    try:
        places = slot_sites(model)
    except keras_acts.KerasActsError:  # a subclassed model keeps its slots to itself
        return []
    return list(map(_activation_at, places))


def _activation_at(place: SlotSite) -> dict[str, Any]:
    slot = place.slot
    where = {"slot": slot.name, "layer": slot.layer, "role": slot.role}
    return {**where, **_activation(slot.current, place.activation())}


def _activation(current: str, activation: object) -> dict[str, Any]:
    if isinstance(activation, keras_acts.Activation):
        return {"activation": activation.spec.name, "parameters": dict(activation.parameters)}
    if isinstance(activation, TrainedActivation):
        return _trained_activation(activation)
    if isinstance(activation, keras.layers.PReLU):
        trained = {"alpha": _values(activation.alpha)}
        return {"activation": "prelu", "parameters": {}, "trained": trained}
    return {"activation": current, "parameters": {}}


def _trained_activation(layer: TrainedActivation) -> dict[str, Any]:
    trained = {name: _values(getattr(layer, name)) for name in layer.trained}
    config = layer.get_config()
    names = [parameter.name for parameter in layer.spec.parameters]
    fixed = {name: config[name] for name in names if name not in trained}
    return {"activation": layer.spec.name, "parameters": fixed, "trained": trained}


def _values(variable: keras.Variable) -> dict[str, Any]:
    values = np.asarray(keras.ops.convert_to_numpy(variable), "float64")
    described: dict[str, Any] = {
        "shape": list(values.shape),
        "min": float(values.min()),
        "mean": float(values.mean()),
        "max": float(values.max()),
    }
    if values.size <= _FEW:
        described["values"] = values.tolist()
    return described


def card(
    model: keras.Model,
    *,
    signature: Mapping[str, Any],
    verification: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the card as plain data, with None for what is not finite.

    Args:
        model: what was given to export, before preprocessing.
        signature: ``signatures``, ``class_names``, ``preprocessing``, ``files``.
        verification: how the export was compared with the model.
        extra: what the exporter knows more: ``data``, ``metrics``, ``seed``, …; see `check_extra`.
    """
    data = {
        "format": FORMAT,
        "name": model.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": int(model.count_params()),
        **signature,
        "activations": activations(model),
        **extra,
        "verification": dict(verification),
        "versions": {
            "keras_acts": keras_acts.__version__,
            "keras": keras.__version__,
            "tensorflow": verification["tensorflow"],
            "backend": keras.backend.backend(),
        },
    }
    return dict(finite(data))


def check_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts for a card as plain data.

    Raises:
        ExportError: if they are none, or would replace what the export itself writes.
    """
    if not isinstance(extra, Mapping):
        raise ExportError(f"card must be a mapping of facts. Received: card={shown(extra)}")
    taken = sorted(_OWN & extra.keys())
    if taken:
        raise ExportError(
            f"card must add to what the export writes itself. Received: card with {taken}"
        )
    try:
        text = json.dumps(extra, default=_plain)
        data = json.loads(text)
        # what is written must be what is read again
        check_extra_entries(data, len(text))
    except BrokenRule as rule:
        raise ExportError(f"card must be one that can be read again: {rule}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ExportError(
            f"card must be of plain data that JSON can hold. Received: {error}"
        ) from error
    return data


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Write both files into the export in `folder`."""
    (folder / FILE).parent.mkdir(exist_ok=True)
    text = json.dumps(data, indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")
    (folder / TEXT).write_text(markdown(data), encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def markdown(data: Mapping[str, Any]) -> str:
    """Return the card to read."""
    return "\n".join(_lines(data)) + "\n"


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _title(data)
    yield ""
    yield from _signature(data)
    yield from _target(data)
    if data["activations"]:
        header = ("slot", "layer", "activation", "parameters", "role")
        yield from _table("Activations", header, map(_slot, data["activations"]))
    if data.get("metrics"):
        header = ("data", "metric", "value", "interval", "samples")
        yield from _table("Metrics", header, _metrics(data["metrics"]))
    described = _described_columns(data)
    if described:
        yield from _table("Columns", COLUMNS, described)
    for key, value in data.items():
        # what was added by `card=`, and, as people want them too, the versions
        if key == "versions" or key not in _OWN | {"name", "metrics", "target", "columns"}:
            yield ""
            yield f"## {key.replace('_', ' ').capitalize()}"
            yield ""
            yield from _list(value)
    yield ""
    yield from _verification(data["verification"])


def _described_columns(data: Mapping[str, Any]) -> list[Row]:
    """What is done with each column of a table, if anything is."""
    found: list[Row] = []
    for column in data.get("columns") or ():
        if column.get("done"):
            numbers = str(column.get("numbers", ""))
            found.append((column["name"], column["kind"], numbers, column["done"]))
    return found


def _title(data: Mapping[str, Any]) -> Iterator[str]:
    """What it is, and the lines of Python that load it."""
    signature = data["signatures"]["serving_default"]
    inputs = [f"{name}: {_tensor(spec)}" for name, spec in signature["inputs"].items()]
    if len(inputs) > 1:
        inputs[1:] = ["…"]
    arguments = ", ".join(f"{name}={name}" for name in signature["inputs"])
    outputs = ", ".join(signature["outputs"])
    yield f"# Model card: {data['name']}"
    yield ""
    yield f"A TensorFlow SavedModel in float32 with {data['parameters']:,} parameters, made on {data['created'][:10]}."
    yield "It loads with TensorFlow alone:"
    yield ""
    yield "```python"
    yield "import tensorflow as tf"
    yield ""
    yield f"model = tf.saved_model.load(FOLDER)  # {', '.join(inputs)}"
    yield f'outputs = model.signatures["serving_default"]({arguments})  # a dict: {outputs}'
    yield "```"


def _signature(data: Mapping[str, Any]) -> Iterator[str]:
    """What goes in and comes out."""
    signature = data["signatures"]["serving_default"]
    yield "| | name | shape | dtype |"
    yield "| --- | --- | --- | --- |"
    for name, spec in signature["inputs"].items():
        yield f"| input | {name} | {_shape(spec)} | {spec['dtype']} |"
    for name, spec in signature["outputs"].items():
        yield f"| output | {name} | {_shape(spec)} | {spec['dtype']} |"
    if data.get("preprocessing") or data.get("class_names"):
        yield ""
    if data.get("preprocessing"):
        yield f"The inputs are raw; inside the graph come first: {', '.join(data['preprocessing'])}."
    if data.get("class_names"):
        yield f"Classes, in order: {', '.join(data['class_names'])}. The signature `classify` returns `label` too."


def _target(data: Mapping[str, Any]) -> Iterator[str]:
    """What is predicted: its name and unit, and how frequent each class is."""
    target = data.get("target")
    if not isinstance(target, Mapping):
        if target is not None:
            yield from ("", "## Target", "", _inline(target))
        return
    yield from ("", "## Target", "")
    rest = dict(target)
    name = rest.pop("name", None)
    unit = rest.pop("unit", None)
    shares = rest.pop("shares", None)
    if name is not None:
        yield f"- What is predicted: {_inline(name)}"
    if unit is not None:
        yield f"- In: {_inline(unit)}"
    if shares is not None:
        yield f"- Classes, with their shares of the data: {_classes(data, shares)}"
    yield from _entries(rest)


def _classes(data: Mapping[str, Any], shares: object) -> str:
    names = data.get("class_names") or []
    if not isinstance(shares, list) or len(shares) != len(names):
        return _inline(shares)
    both = zip(names, shares, strict=True)
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in both)


def _verification(checked: Entry) -> Iterator[str]:
    yield "## Verification"
    yield ""
    yield f"Loaded by TensorFlow {checked['tensorflow']} in a process without Keras and keras_acts, its predictions for"
    yield f"{checked['samples']} samples differ from the model's, relative to max(1, |prediction|), by at most:"
    yield ""
    for kind, difference in checked["differences"].items():
        yield f"- {kind}: {number(difference, 2)} (the limit is {number(checked['limits'][kind], 2)})"
    if checked["noise"] is not None:
        yield ""
        noise = number(checked["noise"], 2)
        yield f"The limit follows from the model's own predictions, which differ by {noise} between batch sizes."


def _table(title: str, header: Row, rows: Iterable[Row]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield _row(header)
    yield _row(("---",) * len(header))
    for row in rows:
        yield _row(row)


def _row(cells: Row) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return "| " + " | ".join(escaped) + " |"


def _slot(entry: Entry) -> Row:
    parameters: list[str] = []
    for name, value in entry["parameters"].items():
        # numbers in few digits; `mode` of a threshold ReLU is a word
        text = str(value)
        if isinstance(value, float):
            text = f"{value:g}"
        parameters.append(f"{name} = {text}")
    for name, trained in entry.get("trained", {}).items():
        parameters.append(f"{name} trained: {_trained(trained)}")
    return entry["slot"], entry["layer"], entry["activation"], "; ".join(parameters), entry["role"]


def _trained(values: Entry) -> str:
    """What became of a trained parameter, in words."""
    mean = _number(values["mean"])
    if not values["shape"]:
        return mean
    shape = "×".join(map(str, values["shape"]))
    return f"{_number(values['min'])} … {_number(values['max'])}, mean {mean}, {shape} values"


def _metrics(by_part: Mapping[str, Mapping[str, Entry]]) -> Iterator[Row]:
    for part, metrics in by_part.items():
        for name, metric in metrics.items():
            samples = str(metric.get("samples", ""))
            yield part, name, _number(metric["value"]), _interval(metric), samples


def _interval(metric: Entry) -> str:
    if not metric.get("interval"):
        return ""
    low, high = metric["interval"]
    return f"{number(low)} to {number(high)} ({metric['level']:.0%}, {metric['method']})"


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    return number(value)


def _list(value: object) -> Iterator[str]:
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        for entry in value:
            yield f"- {entry}"
        return
    if not isinstance(value, Mapping):
        yield _inline(value)
        return
    yield from _entries(value)


def _entries(value: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in value.items():
        yield f"- {name.replace('_', ' ')}: {_inline(entry)}"


def _inline(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return {True: "yes", False: "no"}[value]
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        return ", ".join(value)
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False)


def _tensor(spec: Entry) -> str:
    return f"{spec['dtype']}, shape {_shape(spec)}"


def _shape(spec: Entry) -> str:
    if spec["shape"] is None:
        return "any"
    return f"({', '.join(map(_size, spec['shape']))})"


def _size(size: int | None) -> str:
    if size is None:
        return "n"
    return str(size)
