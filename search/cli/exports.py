"""What `keras-acts export` and `keras-acts predict` do, once their options are parsed."""

from __future__ import annotations

import csv
import io
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import DataError, ModelError
from keras_acts.search import export as export_model
from keras_acts.search import load
from keras_acts.search.exporting.load import misfit

from . import files


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
    if not model.endswith(".keras") or not Path(model).is_file():
        raise ModelError(f"MODEL must be a .keras file that exists. Received: {model!r}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            loaded = keras.models.load_model(model)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"MODEL must be a .keras file that Keras can load. Received: {model!r} ({reason})"
        ) from error
    card: dict[str, Any] = {}
    given = None if samples is None else files.read_inputs(samples)[0]
    if normalize is not None:
        values, names = files.read_inputs(normalize)
        options["preprocessing"] = _normalization(values, normalize)
        card = {"features": list(names)} if names else {}
        given = values if given is None else given
    exported = export_model(
        loaded, out, class_names=classes, formats=formats, samples=given, card=card, **options
    )
    if as_json:
        print(
            json.dumps(
                {
                    "path": str(exported.path),
                    "max_difference": exported.difference,
                    "card": exported.card,
                }
            )
        )
        return
    print(
        f"Exported to {exported.path} (max difference to the Keras model {exported.difference:.1e})."
    )


def _normalization(values: np.ndarray, path: Path) -> keras.layers.Layer:
    if not np.isfinite(values).all():
        raise DataError(
            f"The data to normalize by must be finite. Received: NaN or infinite values in {str(path)!r}"
        )
    mean, variance = values.mean(axis=0), np.maximum(values.var(axis=0), 1e-6)
    return keras.layers.Normalization(mean=mean, variance=variance, name="normalization")


def predict(path: Path, data: Path, *, out: Path | None, allow_nan: bool) -> None:
    """Write the predictions of an export for each row of a file, as CSV."""
    if out is not None:
        files.check_writable(out, "--out")
    model = load(path)
    card = model.card
    inputs = card["signatures"]["serving_default"]["inputs"]
    if len(inputs) != 1:
        raise DataError(
            f"predict reads one table; this model takes {sorted(inputs)}. Received: {str(data)!r}"
        )
    ((_, spec),) = inputs.items()
    x, names = files.read_inputs(data, card.get("features"))
    if not allow_nan:
        files.check_no_gaps(x, names, data)
    files.check_place(misfit(x, spec["dtype"]), spec["dtype"], x, names, data)
    if (
        x.ndim == 2 and len(spec["shape"]) > 2 and None not in spec["shape"][1:]
    ):  # a row of a table is a flat sample
        if x.shape[1] != int(np.prod(spec["shape"][1:])):
            raise DataError(
                f"A row must have {np.prod(spec['shape'][1:])} values. Received: {x.shape[1]} in {str(data)!r}"
            )
        x = x.reshape(-1, *spec["shape"][1:])
    table = _table(
        model.predict(x, allow_nan=allow_nan), card.get("class_names") or [], _target(card)
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    if out is None:
        sys.stdout.write(text.getvalue())
        return
    try:
        partial = out.with_name(f".{out.name}.partial")
        partial.write_text(text.getvalue(), encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        raise DataError(
            f"--out must be a file that can be written. Received: {str(out)!r} ({error})"
        ) from error


def _target(card: Mapping[str, Any]) -> str:
    """What heads the column of a predicted number.

    The target's name with its unit, as far as the card knows them.
    """
    target = card.get("target")
    if card.get("class_names") or not isinstance(target, Mapping) or not target.get("name"):
        return ""
    unit = target.get("unit")
    return f"{target['name']} [{unit}]" if unit else str(target["name"])


def _table(
    found: dict[str, np.ndarray], classes: list[str], target: str = ""
) -> dict[str, list[Any]]:
    """Columns by name: the label first.

    An output of several values is as many columns; a single one is `target`.
    """
    if target and len(found) == 1:
        found = {target: next(iter(found.values()))}
    table: dict[str, list[Any]] = {}
    # a column or layer of numbers may be called so too
    if "label" in found and found["label"].dtype.kind in "USO":
        table["label"] = found.pop("label").tolist()
    for name, values in found.items():
        flat = values.reshape(len(values), -1)
        if flat.shape[1] == 1:
            table[name] = flat[:, 0].tolist()
            continue
        ends = classes if len(classes) == flat.shape[1] else range(flat.shape[1])
        table |= {
            f"{name}.{end}": column.tolist() for end, column in zip(ends, flat.T, strict=True)
        }
    return table
