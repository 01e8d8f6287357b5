"""What `keras-acts search` and `keras-acts compare` do, once their options are parsed."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.search import (
    ActivationSpace,
    SearchResult,
    Verdict,
    compare_activations,
    search_activations,
)
from keras_acts.search.report.numbers import agreement
from keras_acts.search.report.tables import print_table, print_text
from keras_acts.search.rewrite.threshold import threshold_of

from . import columns, files, models
from . import data as datasets
from .checks import Task, rates
from .data.image_format import IN_CARD
from .encoded import encoded
from .following import followers
from .options import split_list
from .running import InterruptedWithResult


@dataclass(frozen=True)
class Searched:
    """A search that is over.

    Attributes:
        facts: what its export is told besides.
    """

    result: SearchResult
    facts: Mapping[str, Any]


def search(
    *,
    task: Task,
    place: Path,
    overwrite: bool,
    restart: bool,
    as_json: bool,
    quiet: bool,
    call: str,
    formats: tuple[str, ...] = (),
    versioned: bool = False,
    **options: Any,
) -> None:
    """Search, print, export.

    All that can be refused is refused before the training: most of it by `checks.search_task`.
    """
    searched = _searched(task, restart=restart, quiet=quiet, call=call, **options)
    with _shown_if_interrupted():
        result = searched.result
        difference = _exported(
            result,
            place,
            task.dataset.name,
            as_json,
            overwrite=overwrite,
            versioned=versioned,
            formats=formats,
            **searched.facts,
        )
        try:
            _show_exported(result, difference, place, task.dataset.name, as_json)
        except KeyboardInterrupt:
            _to_stderr(f"Interrupted: the search is over, and exported to {place}.")
            raise


def report(*, task: Task, out: Path, call: str, **options: Any) -> None:
    """Write the report of a search that is over."""
    searched = _searched(task, restart=False, quiet=True, call=call, **options)
    with _shown_if_interrupted():
        searched.result.save_report(out)
        _to_stdout(f"Report with pictures: {out}")


def _searched(
    task: Task,
    *,
    model: str | None,
    activations: str | None,
    per: str,
    unit: str | None,
    directory: Path | None,
    project_name: str = "activations",
    learning_rates: str,
    seed: int,
    restart: bool,
    quiet: bool,
    call: str,
    tensorboard: Path | None = None,
    mlflow: str | None = None,
    wandb: str | None = None,
    **budget: Any,
) -> Searched:
    """Train, or go through what is kept."""
    candidates = None
    if activations is not None:
        candidates = split_list(activations)
    space = ActivationSpace(candidates, per=per)
    told = followers(tensorboard, mlflow, wandb)
    dataset = task.dataset
    made = encoded(task.parts)
    parts = made.parts
    built = models.build(model, dataset, parts, seed)
    _tell(dataset, parts, quiet, models.notes(built, dataset))
    facts = {
        "class_names": _class_names(built, dataset),
        "card": _facts(task, unit),
        "preprocessing": made.preprocessing,
        "samples": made.samples,
    }
    result = search_activations(
        built,
        *parts.train,
        validation_data=parts.validation,
        test_data=parts.test,
        activations=space,
        learning_rates=rates(learning_rates),
        seed=seed,
        directory=directory,
        project_name=project_name,
        overwrite=restart,
        verbose=int(not quiet),
        search_callbacks=told,
        **budget,
    )
    with _shown_if_interrupted():
        verdict = result.verdict
        if verdict is not None:
            verdict = replace(verdict, call=call)
        described = replace(
            result,
            call=call,
            verdict=verdict,
            target=_predicted(dataset, unit),
            columns=columns.rows(dataset, parts),
        )
        return Searched(described, facts)


@contextlib.contextmanager
def _shown_if_interrupted() -> Iterator[None]:
    """Tell an interrupt that comes once there is a result, which is shown by then, from others."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        for note in getattr(interrupt, "__notes__", []):
            _to_stderr(note)
        raise InterruptedWithResult from interrupt


def _exported(result: SearchResult, place: Path, data: str, as_json: bool, **options: Any) -> float:
    """Export the model of a search, and return how far its predictions are from the model's.

    If that fails or is interrupted, show and keep what there is.
    """
    try:
        return result.export(place, **options).difference
    except (Exception, KeyboardInterrupt) as error:
        why = "failed"
        if isinstance(error, KeyboardInterrupt):
            why = "was interrupted"
        kept = _Kept(result, place, options.get("preprocessing"), f"The export {why}")
        _show_without_export(kept, data, as_json)
        raise


def _show_exported(
    result: SearchResult, difference: float, place: Path, data: str, as_json: bool
) -> None:
    if as_json:
        written = {"path": str(place), "max_difference": difference}
        _print_json(result.to_dict(), data=data, export=written)
        return
    _print_result(result)
    _to_stdout(
        f"Exported to {place} with its model card, report.html and report.md. Another process loaded it: "
        f"it predicts {agreement(difference)}."
    )


@dataclass(frozen=True)
class _Kept:
    """What is kept of a search where its export is not there, and why it is not."""

    result: SearchResult
    place: Path
    preprocessing: keras.Model | None
    why: str


def _show_without_export(kept: _Kept, data: str, as_json: bool) -> None:
    """Show a search, and keep its model, also where no export can be made of it: it was the work."""
    result = kept.result
    try:
        if as_json:
            _print_json(result.to_dict(), data=data, export=None)
        else:
            print(result)
    finally:
        # also where nobody reads what is printed
        if result.model is not None:
            _keep_aside(kept, result.model)


def _to_stdout(text: str) -> None:
    print_text(text)


def _to_stderr(text: str) -> None:
    print_text(text, stderr=True)


def _print_json(plain: Mapping[str, Any], **more: Any) -> None:
    print(json.dumps({**plain, **more}, indent=2))


def _print_result(result: SearchResult) -> None:
    _to_stdout("\n".join(result.first_lines()))
    print_table(result.drawn_table)
    _to_stdout("\n".join(result.summary()))
    if result.verdict is not None:
        _to_stdout(f"\n{result.verdict.caption}")
        print_table(result.verdict.drawn_table)
    _to_stdout("\n".join(result.last_lines()))


def _keep_aside(kept: _Kept, model: keras.Model) -> None:
    """Save a model that could not be exported beside its place, or among the temporary files.

    What made its numbers of a table, and its report, too. Say where they are.
    """
    place = kept.place
    why = kept.why
    for parent in (place.parent, Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=parent))
            file = folder / "model.keras"
            model.save(file)
            # at once: another interrupt may come while the report is made
            _to_stderr(
                f"{why}. The trained model is kept in {file}; load it after `import keras_acts`."
            )
            if kept.preprocessing is not None:
                beside = folder / "preprocessing.keras"
                kept.preprocessing.save(beside)
                _to_stderr(f"It takes what {beside} makes of the table's columns.")
            _to_stderr(_report_beside(kept.result, folder))
            return
    _to_stderr(f"{why}, and there is no folder to keep the trained model in.")


def _report_beside(result: SearchResult, folder: Path) -> str:
    """Write the report of a search into a folder, and return what to say of it."""
    file = folder / "report.html"
    try:
        result.save_report(file)
    except Exception as error:
        # the model is kept already, and that is what matters
        return f"Its report could not be written: {error}"
    return f"The report of the search is {file}."


def _tell(
    dataset: datasets.Dataset, parts: datasets.Parts, quiet: bool, more: Iterable[str] = ()
) -> None:
    """Say what the data are and what is done with them; what is odd about them in any case."""
    if not quiet:
        _to_stderr(dataset.describe(parts))
        table = columns.table(dataset, parts)
        if table is not None:
            print_table(table.drawn, stderr=True)
    for warning in [*dataset.warnings(parts), *more]:
        _to_stderr(f"Note: {warning}.")


def _facts(task: Task, unit: str | None) -> dict[str, Any]:
    """What only the data know, for the model card.

    The columns, and what is predicted in which unit.
    """
    facts: dict[str, Any] = {}
    dataset = task.dataset
    if dataset.images_as is not None:
        facts[IN_CARD] = dataset.images_as.card()
    if dataset.features:
        facts |= columns.facts(dataset, task.parts, task.reading)
    target = _predicted(dataset, unit)
    # the export has their names already
    target.pop("classes", None)
    if target:
        facts["target"] = target
    return facts


def _predicted(dataset: datasets.Dataset, unit: str | None) -> dict[str, Any]:
    """What is predicted: its name and unit, the classes and their shares."""
    target: dict[str, Any] = {}
    if dataset.target:
        target["name"] = dataset.target
    how = dataset.how.get(dataset.target)
    if unit:
        target["unit"] = unit
    elif how is not None and how.sign and not dataset.classes:
        # the sign that its numbers had in the file
        target["unit"] = how.sign
    if dataset.classes:
        counts = np.bincount(dataset.y, minlength=len(dataset.classes))
        target["classes"] = list(dataset.classes)
        target["shares"] = [float(share) for share in counts / len(dataset.y)]
    return target


def _class_names(model: keras.Model, dataset: datasets.Dataset) -> tuple[str, ...]:
    """The classes of the data, if the model's output has one unit for each (two for one)."""
    if len(model.outputs) != 1:
        return ()
    units = model.outputs[0].shape[-1]
    if units == 1 and threshold_of(model) is None:  # its predictions are numbers
        return ()
    if units is None or len(dataset.classes) != max(units, 2):
        return ()
    return dataset.classes


def compare(
    *,
    task: Task,
    model: str | None,
    activations: str,
    csv: Path | None,
    report: Path | None,
    learning_rates: str,
    seed: int,
    restart: bool,
    as_json: bool,
    quiet: bool,
    call: str,
    tensorboard: Path | None,
    mlflow: str | None,
    wandb: str | None,
    **options: Any,
) -> None:
    """Train on many seeds, print the verdict, and write its runs and its report."""
    candidates = split_list(activations)
    told = followers(tensorboard, mlflow, wandb)
    dataset = task.dataset
    parts = encoded(task.parts).parts
    built = models.build(model, dataset, parts, seed)
    _tell(dataset, parts, quiet, models.notes(built, dataset))
    verdict = compare_activations(
        built,
        *parts.train,
        candidates,
        validation_data=parts.validation,
        test_data=parts.test,
        learning_rates=rates(learning_rates),
        seed=seed,
        overwrite=restart,
        verbose=int(not quiet),
        search_callbacks=told,
        **options,
    )
    with _shown_if_interrupted():
        verdict = replace(verdict, call=call)
        if as_json:
            _print_json(verdict.to_dict(), data=dataset.name)
        else:
            _print_verdict(verdict)
        _write_files(verdict, csv, report, as_json)


def _write_files(verdict: Verdict, csv: Path | None, report: Path | None, as_json: bool) -> None:
    """Write the runs and the report of a verdict, where they are asked for."""
    left = [file for file in (csv, report) if file is not None]
    try:
        if csv is not None:
            files.write_text(csv, verdict.to_pandas().to_csv(index=False), "--csv")
            left.remove(csv)
            if not as_json:
                _to_stdout(f"Every epoch x seed x activation: {csv}")
        if report is not None:
            verdict.save_report(report)
            left.remove(report)
            if not as_json:
                _to_stdout(f"Report with pictures: {report}")
    except KeyboardInterrupt:
        if left:
            _to_stderr(f"Interrupted: not written is {', '.join(map(str, left))}.")
        raise


def _print_verdict(verdict: Verdict) -> None:
    _to_stdout("\n".join([*verdict.first_lines(), "", verdict.caption]))
    print_table(verdict.drawn_table)
    _to_stdout("\n".join(verdict.last_lines()))
