"""What `keras-acts search` does, once its options are parsed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_acts.errors import ExportError
from keras_acts.search import report, search_activations
from keras_acts.search.export import check_target
from keras_acts.search.space import ActivationSpace

from . import data as datasets
from . import models


def search(
    *,
    data: str,
    target: str | None,
    task: str,
    model: str | None,
    activations: str | None,
    out: Path | None,
    directory: Path | None,
    seed: int,
    as_json: bool,
    quiet: bool,
    **budget: Any,
) -> None:
    """Load, split, search, print, export. All that can be refused is refused before the training."""
    space = ActivationSpace(split_list(activations) if activations is not None else None)
    dataset = datasets.load(data, target, task)
    parts = dataset.split(seed)
    built = models.build(model, dataset, parts, seed)
    place = out or Path("saved_models") / f"{dataset.name}-{models.title(model, dataset)}"
    check_target(place, overwrite=True)
    if not quiet:
        Console(stderr=True, highlight=False).print(dataset.describe(parts), soft_wrap=True)
    result = search_activations(
        built,
        *parts.train,
        validation_data=parts.validation,
        test_data=parts.test,
        activations=space,
        seed=seed,
        directory=directory,
        verbose=0 if quiet else 1,
        **budget,
    )
    plain = {**report.data(result), "data": dataset.name}
    try:
        exported = result.export(
            place,
            overwrite=True,
            samples=parts.test[0],
            class_names=_class_names(built, dataset),
            card={"features": list(dataset.features)} if dataset.features else None,
        )
    except ExportError:
        # the search was the work: it is shown also where its model cannot be kept
        print(json.dumps({**plain, "export": None}, indent=2) if as_json else str(result))
        raise
    if as_json:
        written = {"path": str(place), "max_difference": exported.difference}
        print(json.dumps({**plain, "export": written}, indent=2))
        return
    console = Console(highlight=False)
    console.print(report.table(result))
    console.print("\n".join(report.summary(result)), soft_wrap=True)
    difference = f"max difference to the Keras model {exported.difference:.1e}"
    console.print(f"Exported to {place} with its model card and report.md ({difference}).", soft_wrap=True)


def _class_names(model: Any, dataset: datasets.Dataset) -> tuple[str, ...]:
    """The classes of the data, if the model's output has one unit for each (two for one)."""
    units = model.outputs[0].shape[-1] if len(model.outputs) == 1 else None
    return dataset.classes if units is not None and len(dataset.classes) == max(units, 2) else ()


def split_list(text: str) -> list[str]:
    """Split at the commas that are not inside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]
