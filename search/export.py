"""Export: a SavedModel that loads without keras_acts, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional  # Keras exports no name for it

from keras_acts.errors import ExportError

TOLERANCE = 1e-6
# what an export of ours holds; a folder with anything else in it is not only ours
_OURS = {"saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets", "report.md", "verdict.csv"}


@dataclass(frozen=True)
class Exported:
    """A SavedModel on disk.

    Attributes:
        path: its folder.
        difference: the largest difference between its predictions and the model's, relative to max(1, prediction).
    """

    path: Path
    difference: float


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    samples: Any = None,
    notes: Callable[[float], Mapping[str, str]] | None = None,
) -> Exported:
    """Write `model` as a TensorFlow SavedModel in float32 that loads without this package.

    It is written into a temporary folder beside `path`, loaded back, compared with the model, and only then renamed: a
    failure leaves nothing behind and does not touch what was there.

    Args:
        model: a built Keras model.
        path: the folder to make. Its parents are made too.
        overwrite: whether to replace a SavedModel that is there. Anything else that is there is never replaced.
        samples: inputs to compare with, in the structure of the model's input; random numbers by default.
        notes: files to write beside the model: a function of the measured difference that returns {name: text}.

    Returns:
        The path and the measured difference.

    Raises:
        ExportError: if `path` is taken, cannot be written, or the export differs from the model by more than 1e-6.
    """
    target = check_target(path, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise ExportError(f"The export must be writable: {error.strerror}. Received: path={str(path)!r}") from error
    try:
        work = folder / "export"
        model = _float32(model)
        model.export(work, format="tf_saved_model", verbose=False)
        difference = _difference(model, work, _samples(model) if samples is None else samples)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"The export must agree with the model to {TOLERANCE:g}. Received: a difference of {difference:g}"
            )
        for name, text in (notes(difference) if notes else {}).items():
            (work / name).write_text(text, encoding="utf-8")
        _replace(target, work, folder / "previous")
    except OSError as error:
        raise ExportError(f"The export must be writable: {error}. Received: path={str(path)!r}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Exported(target, difference)


def check_target(path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return the path if an export may go there, else raise `ExportError`. Cheap, so it can come before training."""
    target = Path(path).absolute()
    for parent in target.parents:
        if parent.exists():
            if not parent.is_dir() or not os.access(parent, os.W_OK):
                raise ExportError(
                    f"The export needs a writable folder, which {parent} is not. Received: path={str(path)!r}"
                )
            break
    if not os.path.lexists(target):
        return target
    if not (target / "saved_model.pb").is_file():
        raise ExportError(f"The export must not replace anything but a SavedModel. Received: path={str(path)!r}")
    if others := sorted({entry.name for entry in target.iterdir()} - _OURS):
        raise ExportError(f"The export must not replace files of yours. Received: path={str(path)!r} with {others}")
    if not overwrite:
        raise ExportError(f"The export's place is taken; overwrite=True replaces it. Received: path={str(path)!r}")
    return target


def _float32(model: keras.Model) -> keras.Model:
    """Return the model in float32: most clients of a SavedModel cannot run half precision."""
    if all(layer.compute_dtype == "float32" for layer in model._flatten_layers()):
        return model
    if not isinstance(model, keras.Sequential | Functional):
        raise ExportError(
            f"A subclassed model must be built in float32 to be exported. Received: {type(model).__name__} "
            f"with the dtype policy {model.dtype_policy.name}"
        )
    known = {type(layer).__name__: type(layer) for layer in model._flatten_layers()}
    with keras.saving.custom_object_scope(known):
        same = type(model).from_config(_with_policy(model.get_config(), "float32"))
    same.set_weights(model.get_weights())
    return same


def _with_policy(config: Any, policy: str) -> Any:
    """Return the config of a model with another dtype policy wherever it holds one."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": policy}}
        return {key: _with_policy(value, policy) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_with_policy(value, policy) for value in config)
    return config


def _replace(target: Path, new: Path, aside: Path) -> None:
    """Put `new` at `target`; should that fail, put back what was there."""
    if not target.exists():
        os.rename(new, target)
        return
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except OSError:
        os.rename(aside, target)
        raise


def _difference(model: keras.Model, folder: Path, samples: Any) -> float:
    """The largest difference of predictions between the model and its export."""
    import tensorflow as tf

    samples = keras.tree.map_structure(lambda x: np.asarray(x), samples)
    # predict runs in a graph, as the export does: another lowering would round differently
    expected = keras.tree.flatten(model.predict(samples, verbose=0))
    loaded = tf.saved_model.load(str(folder))
    found = keras.tree.flatten(loaded.serve(samples))
    return max(_relative(a, b.numpy()) for a, b in zip(expected, found, strict=True))


def _relative(expected: np.ndarray, found: np.ndarray) -> float:
    difference = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    return float(
        np.where((found == expected) | (np.isnan(found) & np.isnan(expected)), 0.0, difference).max(initial=0.0)
    )


def _samples(model: keras.Model) -> Any:
    rng = np.random.default_rng(0)
    return keras.tree.map_structure(
        lambda x: rng.normal(size=[2 if size is None else size for size in x.shape]).astype(x.dtype),
        model.inputs if len(model.inputs) > 1 else model.inputs[0],
    )
