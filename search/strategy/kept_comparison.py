"""Where a comparison keeps its seeds, so that the same call goes on after its process has ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from ..rewrite.building import Model
from ..runtime.kept_command import keep_command
from ..runtime.ownership import (
    check_clearable,
    check_directory,
    check_project_name,
    clear_project,
)
from ..runtime.project_lock import locked
from ..space.candidate import Candidate
from . import checks
from .description import (
    fingerprint_data,
    fingerprint_model,
    fingerprint_training,
    fingerprint_value,
)
from .fingerprints import Plain
from .resume import check_resume

_FOLDER = "verdict"
_DATA = ("x", "y", "validation_data")


@dataclass(frozen=True)
class Place:
    """Where a comparison is kept.

    Attributes:
        directory: the folder of projects; None keeps nothing.
        project_name: its own folder in it.
        overwrite: whether what an earlier comparison, or search, has kept there is deleted.

    Raises:
        SearchError: if these make no sense.
    """

    directory: str | os.PathLike[str] | None
    project_name: str
    overwrite: bool

    def __post_init__(self) -> None:
        if self.directory is not None:
            checks.check_directory(self.directory)
        check_project_name(self.project_name)
        checks.check_flag("overwrite", self.overwrite)

    @contextlib.contextmanager
    def held(self, settings: Callable[[], dict[str, Plain]]) -> Iterator[Path | None]:
        """Hold the project, in which no other process works meanwhile, and give the folder of seeds.

        Args:
            settings: returns what must be the same for the comparison to go on.

        Raises:
            SearchError: if another one is kept there, or works there now, or something that is none
                lies there.
        """
        if self.directory is None:
            yield None
            return
        directory = Path(self.directory)
        project = directory / self.project_name
        check_directory(directory, project)
        if self.overwrite:
            # before the lock, whose file must not come into a folder that is no search's
            check_clearable(project)
        with locked(project):
            if self.overwrite:
                clear_project(project)
            check_resume(project, settings())
            keep_command(project)
            yield project / _FOLDER


def settings_of(
    model: Model,
    example: keras.Model,
    candidates: list[Candidate],
    baseline: Candidate,
    objective: keras_tuner.Objective,
    fit: Mapping[str, Any],
    **others: Plain,
) -> dict[str, Plain]:
    """Return all that must be the same for a comparison to go on, as plain data.

    Not the test data: nothing that is kept knows them.

    Args:
        model: that is compared.
        example: one of its models, compiled.
        candidates: the activations, the baseline among them.
        baseline: what they have to beat.
        objective: what ranks.
        fit: the arguments of `fit`, data included.
        **others: further ones, by name.
    """
    described = fingerprint_model(model)
    if not isinstance(model, keras.Model):
        described = [described, fingerprint_model(example)]
    validation = fit.get("validation_data")
    if validation is not None:
        validation = list(fingerprint_data(validation, hashed=True))
    options: dict[str, Plain] = {}
    for name, value in fit.items():
        if name not in _DATA:
            options[name] = fingerprint_value(value)
    return {
        "comparison": list(map(str, candidates)),
        "baseline": str(baseline),
        "model": described,
        **fingerprint_training(example),
        "data": list(fingerprint_data(fit["x"], fit["y"], hashed=True)),
        "validation": validation,
        "objective": [f"{objective.name} ({objective.direction})"],
        **options,
        **others,
    }
