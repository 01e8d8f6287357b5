"""The page of an export that comes from no search: what the model is, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..report.numbers import number
from ..report.page import Answer, Code, DataTable, Page, Part, Section, Terms, Text

# an entry of the card, as JSON holds it
Entry = Mapping[str, Any]


def page(card: Entry, folder: str) -> Page:
    """Return the page of an export.

    Args:
        card: its model card.
        folder: where it lies.
    """
    checked = card["verification"]
    worst = max(checked["differences"].values())
    agreed = "exactly as the model does"
    if worst > 0:
        agreed = f"at most {number(worst, 2)} from the model's own predictions, relative to max(1, |prediction|)"
    answer = Answer(
        "Ready to use.",
        (
            f"A TensorFlow SavedModel in float32 with {card['parameters']:,} parameters. It loads with TensorFlow "
            "alone.",
            f"Another process, without Keras, loaded it and predicted {checked['samples']} samples: {agreed}.",
        ),
        "sure",
        "Checked in another process",
    )
    return Page(
        title=f"The model {card['name']!r}",
        subtitle="keras_acts · export",
        answer=answer,
        figures=(),
        sections=tuple(_sections(card, folder)),
        footer=(
            f"Written by keras_acts {card['versions']['keras_acts']}. This file is whole: it needs no other file and "
            "no network."
        ),
    )


def _sections(card: Entry, folder: str) -> Iterator[Section]:
    yield _use(card, folder)
    yield _in_and_out(card)
    if card["activations"]:
        yield _activations(card)
    yield _checked(card["verification"])
    yield _origin(card)


def use(folder: str, inputs: str = "**inputs") -> tuple[Part, ...]:
    """Return how an export is loaded.

    Args:
        folder: where it was to lie; a report tells where it lies itself, wherever that is.
        inputs: of its signature, as Python.
    """
    place = f"folder = {folder!r}  # the folder that this report lies in"
    ours = (
        f"from keras_acts.search import load\n\n{place}\nmodel = load(folder)\ny = model.predict(x)"
    )
    alone = (
        f"import tensorflow as tf\n\n{place}\nmodel = tf.saved_model.load(folder)\n"
        f'outputs = model.signatures["serving_default"]({inputs})  # by name'
    )
    return (
        Code(ours, "the code for keras_acts"),
        Text("Or with TensorFlow alone:"),
        Code(alone, "the code for TensorFlow"),
    )


def _use(card: Entry, folder: str) -> Section:
    names = card["signatures"]["serving_default"]["inputs"]
    inputs = ", ".join(f"{name}={name}" for name in names)
    return Section("Use the model", use(folder, inputs))


def _in_and_out(card: Entry) -> Section:
    signature = card["signatures"]["serving_default"]
    rows = []
    for kind, specs in (("input", signature["inputs"]), ("output", signature["outputs"])):
        for name, spec in specs.items():
            rows.append((name, kind, _shape(spec["shape"]), spec["dtype"]))
    table = DataTable(
        ("name", "what", "shape", "type"), tuple(rows), "What the model takes and gives; n is any."
    )
    parts: list[DataTable | Text] = [table]
    if card.get("preprocessing"):
        layers = ", ".join(card["preprocessing"])
        parts.append(Text(f"The inputs are raw; inside the graph come first: {layers}."))
    files = card.get("image_files")
    # written by the command line, and by a user perhaps as something else
    if isinstance(files, Mapping) and "read" in files:
        size = f"{files.get('height')} x {files.get('width')} pixels"
        parts.append(Text(f"Image files become {size}, read {files['read']}."))
    if card.get("class_names"):
        classes = ", ".join(card["class_names"])
        parts.append(Text(f"Classes, in order: {classes}. The signature classify names them."))
    return Section("In and out", tuple(parts))


def _shape(shape: list[int | None] | None) -> str:
    if shape is None:
        return "any"
    return f"({', '.join(map(_size, shape))})"


def _size(size: int | None) -> str:
    if size is None:
        return "n"
    return str(size)


def _activations(card: Entry) -> Section:
    rows = []
    for entry in card["activations"]:
        values = [f"{name} = {_short(value)}" for name, value in entry["parameters"].items()]
        values += [f"{name} trained" for name in entry.get("trained", {})]
        rows.append((entry["slot"], entry["activation"], "; ".join(values), entry["role"]))
    header = ("layer", "activation", "parameters", "role")
    return Section(
        "Activations",
        (DataTable(header, tuple(rows), "Where which activation sits.", wide_only=frozenset({3})),),
    )


def _short(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return str(value)


def _checked(checked: Entry) -> Section:
    rows = []
    for kind, difference in checked["differences"].items():
        rows.append((kind, number(difference, 2), number(checked["limits"][kind], 2)))
    caption = "The largest differences between predictions, and how large they may be."
    table = DataTable(
        ("what", "difference", "limit"), tuple(rows), caption, numeric=frozenset({1, 2})
    )
    return Section("How it was checked", (table,))


def _origin(card: Entry) -> Section:
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    facts = (("Made", str(card["created"])), ("Versions", versions))
    text = Text("All that is known of the model is in assets/MODEL_CARD.md.")
    return Section("Where this comes from", (Terms(facts), text))
