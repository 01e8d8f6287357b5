"""What `keras-acts export` and `keras-acts predict` do, once their options are parsed."""

from __future__ import annotations

import csv
import io
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import ModelError
from keras_acts.search import export as export_model
from keras_acts.search import load, slots
from keras_acts.search.exporting import page
from keras_acts.search.report.numbers import agreement

from . import files
from .data.image_format import IN_CARD
from .jobs import ExportJob, PredictJob


def export(
    job: ExportJob,
    *,
    classes: tuple[str, ...],
    formats: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Load a ``.keras`` file and export it."""
    for note in job.notes:
        print(f"Note: {note}.", file=sys.stderr)
    loaded = _loaded(job.model)
    card: dict[str, Any] = {}
    if job.images_as is not None:
        card[IN_CARD] = job.images_as.card()
    samples = job.samples
    if samples is not None:
        samples = _with_axis(samples, loaded)
    normalization = job.normalization
    if normalization is not None:
        options["preprocessing"] = keras.layers.Normalization(
            mean=_with_axis(normalization.mean[None], loaded)[0],
            variance=_with_axis(normalization.variance[None], loaded)[0],
            name="normalization",
        )
        if normalization.columns:
            card["features"] = list(normalization.columns)
    exported = export_model(
        loaded,
        job.out,
        class_names=classes,
        formats=formats,
        samples=samples,
        card=card,
        **options,
    )
    if not as_json:
        print(
            f"Exported to {exported.path}. Another process loaded it: "
            f"it predicts {agreement(exported.difference)}."
        )
        return
    result = {
        "path": str(exported.path),
        "max_difference": exported.difference,
        "card": exported.card,
    }
    print(json.dumps(result))


def _with_axis(x: np.ndarray, model: keras.Model) -> np.ndarray:
    """Samples as a model of one input takes them: with an axis for one channel, where it has one."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple):
        return x
    return files.in_axes(x, shape)


def _loaded(model: str) -> keras.Model:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.models.load_model(model, safe_mode=True)  # no code in it is run
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"MODEL must be a .keras file that Keras can load. Received: {model!r} ({reason})"
        ) from error


def report(folder: Path, card: Mapping[str, Any], out: Path) -> None:
    """Write the page of an export."""
    files.write_text(out, page.page(card, str(folder)).to_html(), "--out")
    print(f"Report of the export: {out}")
    of_search = folder / "report.html"
    if of_search.is_file():
        print(f"What was written with it is {of_search}")


def print_slots(model: str, *, as_json: bool) -> None:
    """Print the places of a ``.keras`` file where an activation sits."""
    table = slots(_loaded(model))
    if as_json:
        plain = [asdict(slot) for slot in table]
        print(json.dumps({"slots": plain, "left_alone": list(table.left_alone)}, indent=2))
        return
    print(table)
    print(f"{len(table.hidden)} of {len(table)} are hidden: a search changes these.")


def predict(job: PredictJob) -> None:
    """Write the predictions of an export for each sample, as CSV."""
    outputs = load(job.path).predict(job.x, allow_nan=job.allow_nan)
    table = _table(outputs, job.card.get("class_names") or [], _target(job.card))
    if job.files:
        # a layer of the model may be called so too, and is a column all the same
        table = {"file": list(job.files), **{_beside(name): table[name] for name in table}}
    _write(_as_csv(table), job.out)


def _beside(name: str) -> str:
    """The name of a column beside the one of files."""
    if name == "file":
        return "output.file"
    return name


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
