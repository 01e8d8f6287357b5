"""The model card of an export.

What the model is, as JSON for programs and as Markdown for people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_acts
from keras_acts.errors import ExportError
from keras_acts.layers import TrainedActivation

from ..rewrite.slots import is_activation, slot_sites
from ..runtime.as_json import finite

FILE, TEXT = Path("assets", "model_card.json"), Path("assets", "MODEL_CARD.md")
FORMAT = 1
_OWN = {
    *(
        "format",
        "created",
        "parameters",
        "signatures",
        "class_names",
        "preprocessing",
        "files",
        "activations",
    ),
    *("verification", "versions"),
}
_FEW = 64  # trained values that are listed one by one


def activations(model: Any) -> list[dict[str, Any]]:
    """Return the activation of each slot with its parameters.

    Trained ones with the values they have now.
    """
    try:
        found = slot_sites(model)
    except keras_acts.KerasActsError:  # a subclassed model keeps its slots to itself
        return []
    return [
        {
            "slot": p.slot.name,
            "layer": p.slot.layer,
            "role": p.slot.role,
            **_activation(p.slot.current, _object(p)),
        }
        for p in found
    ]


def _object(place: Any) -> Any:
    return place.layer if is_activation(place.layer) else getattr(place.layer, place.argument)


def _activation(current: str, found: Any) -> dict[str, Any]:
    found = found.activation if isinstance(found, keras.layers.Activation) else found
    if isinstance(found, keras_acts.Activation):
        return {"activation": found.spec.name, "parameters": dict(found.parameters)}
    if isinstance(found, TrainedActivation):
        trained = {name: _values(getattr(found, name)) for name in found.trained}
        fixed = {
            p.name: found.get_config()[p.name]
            for p in found.spec.parameters
            if p.name not in trained
        }
        return {"activation": found.spec.name, "parameters": fixed, "trained": trained}
    if isinstance(found, keras.layers.PReLU):
        return {"activation": "prelu", "parameters": {}, "trained": {"alpha": _values(found.alpha)}}
    return {"activation": current, "parameters": {}}


def _values(variable: Any) -> dict[str, Any]:
    values = np.asarray(keras.ops.convert_to_numpy(variable), "float64")
    few = {"values": values.tolist()} if values.size <= _FEW else {}
    return {
        "shape": list(values.shape),
        **{name: float(getattr(values, name)()) for name in ("min", "mean", "max")},
        **few,
    }


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
    made = {
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
    return dict(finite(made))


def check_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts for a card as plain data.

    Raises:
        ExportError: if they are none, or would replace what the export itself writes.
    """
    if taken := sorted(_OWN & extra.keys()):
        raise ExportError(
            f"card must add to what the export writes itself. Received: card with {taken}"
        )
    try:
        return json.loads(json.dumps(extra, default=_plain))
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"card must be of plain data that JSON can hold. Received: {error}"
        ) from error


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Write both files into the export in `folder`."""
    (folder / FILE).parent.mkdir(exist_ok=True)
    (folder / FILE).write_text(
        json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / TEXT).write_text(markdown(data), encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def read(folder: Path) -> dict[str, Any]:
    """Return the card of an export.

    Raises:
        ExportError: if the folder has none, or it cannot be read.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if (
            isinstance(data, dict)
            and isinstance(data.get("format"), int)
            and data["format"] <= FORMAT
        ):
            return data
    except FileNotFoundError:
        raise ExportError(
            f"An export of keras_acts has a model card. Received: {str(folder)!r} without {FILE}"
        ) from None
    except (OSError, ValueError) as error:
        raise ExportError(
            f"The model card must be readable. Received: {str(path)!r} ({error})"
        ) from error
    raise ExportError(
        f"The model card must be of format {FORMAT} or older. Received: {str(path)!r}"
    )


def markdown(data: Mapping[str, Any]) -> str:
    """Return the card to read."""
    return "\n".join(_lines(data)) + "\n"


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    inputs, outputs = (
        data["signatures"]["serving_default"][side] for side in ("inputs", "outputs")
    )
    (first, spec), *others = inputs.items()
    yield f"# Model card: {data['name']}"
    yield ""
    yield f"A TensorFlow SavedModel in float32 with {data['parameters']:,} parameters, made on {data['created'][:10]}."
    yield "It loads with TensorFlow alone:"
    yield ""
    yield "```python"
    yield "import tensorflow as tf"
    yield ""
    yield f"model = tf.saved_model.load(FOLDER)  # {_tensor(first, spec)}{', …' if others else ''}"
    arguments = ", ".join(f"{name}={name}" for name in inputs)
    yield f'outputs = model.signatures["serving_default"]({arguments})  # a dict: {", ".join(outputs)}'
    yield "```"
    yield ""
    yield "| | name | shape | dtype |"
    yield "| --- | --- | --- | --- |"
    for side, tensors in {"input": inputs, "output": outputs}.items():
        for name, tensor in tensors.items():
            yield f"| {side} | {name} | {_shape(tensor)} | {tensor['dtype']} |"
    if data.get("preprocessing") or data.get("class_names"):
        yield ""
    if data.get("preprocessing"):
        yield f"The inputs are raw; inside the graph come first: {', '.join(data['preprocessing'])}."
    if data.get("class_names"):
        yield f"Classes, in order: {', '.join(data['class_names'])}. The signature `classify` returns `label` too."
    if data["activations"]:
        yield from _table(
            "Activations",
            ("slot", "layer", "activation", "parameters", "role"),
            map(_slot, data["activations"]),
        )
    if data.get("metrics"):
        rows = [
            (part, *_metric(name, m))
            for part, metrics in data["metrics"].items()
            for name, m in metrics.items()
        ]
        yield from _table("Metrics", ("data", "metric", "value", "interval", "samples"), rows)
    for key, value in data.items():
        if key == "versions" or key not in _OWN | {"name", "metrics"}:
            yield from ("", f"## {key.replace('_', ' ').capitalize()}", "", *_list(value))
    yield ""
    checked = data["verification"]
    yield "## Verification"
    yield ""
    yield f"Loaded by TensorFlow {checked['tensorflow']} in a process without Keras and keras_acts, its predictions for"
    yield f"{checked['samples']} samples differ from the model's, relative to max(1, |prediction|), by at most:"
    yield ""
    for kind, difference in checked["differences"].items():
        yield f"- {kind}: {difference:.1e} (the limit is {checked['limits'][kind]:.1e})"
    if checked["noise"] is not None:
        yield ""
        yield f"The limit follows from the model's own predictions, which differ by {checked['noise']:.1e} between"
        yield "batch sizes."


def _table(title: str, header: tuple[str, ...], rows: Any) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    for row in (header, ("---",) * len(header), *rows):
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"


def _slot(entry: Mapping[str, Any]) -> tuple[str, ...]:
    parameters = [
        f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in entry["parameters"].items()
    ]
    for name, t in entry.get("trained", {}).items():
        low, high, mean = (_number(t[key]) for key in ("min", "max", "mean"))
        many = f"{low} … {high}, mean {mean}, {'×'.join(map(str, t['shape']))} values"
        parameters.append(f"{name} trained: {many}" if t["shape"] else f"{name} trained: {mean}")
    return entry["slot"], entry["layer"], entry["activation"], "; ".join(parameters), entry["role"]


def _metric(name: str, metric: Mapping[str, Any]) -> tuple[str, ...]:
    interval = ""
    if metric.get("interval"):
        low, high = metric["interval"]
        interval = f"{low:.4g} to {high:.4g} ({metric['level']:.0%}, {metric['method']})"
    return name, _number(metric["value"]), interval, str(metric.get("samples", ""))


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _list(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (f"- {name}: {_inline(entry)}" for name, entry in value.items())
    else:
        yield _inline(value)


def _inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tensor(name: str, spec: Mapping[str, Any]) -> str:
    return f"{name}: {spec['dtype']}, shape {_shape(spec)}"


def _shape(spec: Mapping[str, Any]) -> str:
    if spec["shape"] is None:
        return "any"
    return "(" + ", ".join("n" if size is None else str(size) for size in spec["shape"]) + ")"
