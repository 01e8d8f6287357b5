"""What `keras-acts export` and `keras-acts predict` do, once their options are parsed."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import DataError, ExportError, ModelError, shown
from keras_acts.search import export as export_model
from keras_acts.search import load
from keras_acts.search.exporting.values import misfit, unlike

from . import files
from .npz import check_archive


def export(
    model: str,
    out: Path,
    *,
    normalize: Path | None,
    classes: tuple[str, ...],
    formats: tuple[str, ...],
    samples: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Load a ``.keras`` file and export it."""
    loaded = _loaded(model)
    card: dict[str, Any] = {}
    inputs = None
    if samples is not None:
        inputs, _ = files.read_inputs(samples)
    if normalize is not None:
        values, columns = files.read_inputs(normalize)
        options["preprocessing"] = _normalization(values, normalize)
        if columns:
            card["features"] = list(columns)
        if inputs is None:
            inputs = values
    exported = export_model(
        loaded, out, class_names=classes, formats=formats, samples=inputs, card=card, **options
    )
    if not as_json:
        print(
            f"Exported to {exported.path} "
            f"(max difference to the Keras model {exported.difference:.1e})."
        )
        return
    result = {
        "path": str(exported.path),
        "max_difference": exported.difference,
        "card": exported.card,
    }
    print(json.dumps(result))


def _loaded(model: str) -> keras.Model:
    if not model.endswith(".keras") or not Path(model).is_file():
        raise ModelError(f"MODEL must be a .keras file that exists. Received: {model!r}")
    try:
        check_archive(Path(model))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.models.load_model(model, safe_mode=True)  # no code in it is run
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"MODEL must be a .keras file that Keras can load. Received: {model!r} ({reason})"
        ) from error


def _normalization(values: np.ndarray, path: Path) -> keras.layers.Layer:
    kind = unlike(values, "float64")
    if kind:
        raise DataError(
            f"The data to normalize by must be numbers. Received: {str(path)!r} with {kind}"
        )
    # in few bits the sums would be infinite
    wide = values.astype("float64")
    if not np.isfinite(wide).all():
        raise DataError(
            "The data to normalize by must be finite. Received: NaN or infinite values in "
            f"{str(path)!r}"
        )
    with np.errstate(over="ignore"):
        mean = wide.mean(axis=0)
        variance = np.maximum(wide.var(axis=0), 1e-6)  # a constant column is divided by it
    if misfit(mean, "float32") or misfit(variance, "float32") or not np.isfinite(variance).all():
        raise DataError(
            "The mean and the variance of the data to normalize by must be numbers that float32 can "
            f"hold. Received: {str(path)!r} with values up to {np.abs(wide).max():g}"
        )
    return keras.layers.Normalization(mean=mean, variance=variance, name="normalization")


def predict(path: Path, data: Path, *, out: Path | None, allow_nan: bool) -> None:
    """Write the predictions of an export for each row of a file, as CSV."""
    if out is not None:
        files.check_writable(out, "--out", (data,))
    model = load(path)
    card = model.card
    inputs = card["signatures"]["serving_default"]["inputs"]
    if len(inputs) != 1:
        raise DataError(
            f"predict reads one table; this model takes {sorted(inputs)}. Received: {str(data)!r}"
        )
    ((_, spec),) = inputs.items()
    x, columns = files.read_inputs(data, _features(card, path))
    kind = unlike(x, spec["dtype"])
    if kind:
        raise DataError(f"The model takes {spec['dtype']}. Received: {str(data)!r} with {kind}")
    if not allow_nan:
        files.check_no_gaps(x, columns, data)
    files.check_place(misfit(x, spec["dtype"]), spec["dtype"], x, columns, data)
    x = _in_shape(x, spec["shape"], data)
    outputs = model.predict(x, allow_nan=allow_nan)
    table = _table(outputs, card.get("class_names") or [], _target(card))
    _write(_as_csv(table), out)


def _features(card: Mapping[str, Any], path: Path) -> list[str] | None:
    """The columns that the model takes, as the card tells them; None if it does not."""
    features = card.get("features")
    if features is None or features == []:
        return None
    is_list = isinstance(features, list) and all(isinstance(name, str) for name in features)
    if not is_list or len(set(features)) < len(features):
        raise ExportError(
            "The model card's features must be a list of different names of columns. Received: "
            f"{str(path)!r} with {shown(features)}"
        )
    return features


def _in_shape(x: np.ndarray, shape: Sequence[int | None] | None, data: Path) -> np.ndarray:
    """The samples in the shape that the model takes: a row of a table is a flat one."""
    if shape is None:  # any
        return x
    sizes = [size for size in shape[1:] if size is not None]
    if x.ndim != 2 or len(sizes) < 2 or len(sizes) < len(shape) - 1:
        return x
    count = math.prod(sizes)
    if x.shape[1] != count:
        raise DataError(f"A row must have {count} values. Received: {x.shape[1]} in {str(data)!r}")
    return x.reshape(-1, *sizes)


def _as_csv(table: Mapping[str, list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def _write(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    files.write_text(out, text, "--out")


def _target(card: Mapping[str, Any]) -> str:
    """What heads the column of a predicted number.

    The target's name with its unit, as far as the card knows them.
    """
    target = card.get("target")
    if card.get("class_names") or not isinstance(target, Mapping) or not target.get("name"):
        return ""
    unit = target.get("unit")
    if unit:
        return f"{target['name']} [{unit}]"
    return str(target["name"])


def _table(
    outputs: Mapping[str, np.ndarray], classes: list[str], target: str = ""
) -> dict[str, list[Any]]:
    """Columns by name: the label first.

    An output of several values is as many columns; a single one is `target`.
    """
    remaining = dict(outputs)
    if target and len(remaining) == 1:
        (values,) = remaining.values()
        remaining = {target: values}
    table: dict[str, list[Any]] = {}
    # a column or layer of numbers may be called so too
    if "label" in remaining and remaining["label"].dtype.kind in "USO":
        table["label"] = remaining.pop("label").tolist()
    for name, values in remaining.items():
        flat = values.reshape(len(values), -1)
        if flat.shape[1] == 1:
            table[name] = flat[:, 0].tolist()
            continue
        ends: Sequence[str | int] = range(flat.shape[1])
        if len(classes) == flat.shape[1]:
            ends = classes
        for end, column in zip(ends, flat.T, strict=True):
            table[f"{name}.{end}"] = column.tolist()
    return table
