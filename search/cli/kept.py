"""Going through a kept search once more: nothing is searched again, and the result is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import written
from .running import loading, one_line_errors
from .tables import command_options

# what the data and the place of the export follow from, before TensorFlow is loaded
READ = (*command_options.READ, "out")


def _options(folder: Path) -> dict[str, Any]:
    """The options of the search that a folder keeps."""
    from . import resuming
    from .commands.search import search

    defaults = {}
    for parameter in search.params:
        if parameter.name not in ("resume", "quiet"):
            defaults[str(parameter.name)] = parameter.default
    return resuming.over(folder, defaults)


def _call(options: Mapping[str, Any]) -> str:
    from .commands.search import search

    return written.search_with(search, options)


def export(folder: Path, out: Path, wanted: Mapping[str, Any]) -> None:
    """Export the model of a kept search.

    Args:
        folder: that keeps it.
        out: where the export goes.
        wanted: `overwrite`, `versioned`, `formats` and `as_json` of the export.
    """
    from keras_acts.search.exporting.atomic import check_target
    from keras_acts.search.exporting.formats import check_formats

    from . import checks

    check_target(out, overwrite=wanted["overwrite"], versioned=wanted["versioned"])
    check_formats(wanted["formats"])
    options = _options(folder)
    task = checks.task(options)
    with loading(announced=True):
        from . import resuming, run
    left = {name: value for name, value in options.items() if name not in (*READ, *wanted)}
    left |= {"restart": False, "quiet": True}
    with one_line_errors(), resuming.keeping(options):
        run.search(task=task, place=out, call=_call(options), **left, **wanted)


def report(folder: Path, out: Path) -> None:
    """Write the report of a kept search.

    Args:
        folder: that keeps it.
        out: the file.
    """
    from . import checks

    options = _options(folder)
    task = checks.task(options)
    with loading(announced=True):
        from . import resuming, run
    shown = ("as_json", "overwrite", "restart", "quiet")
    left = {name: value for name, value in options.items() if name not in (*READ, *shown)}
    with one_line_errors(), resuming.keeping(options):
        run.report(task=task, out=out, call=_call(options), **left)
