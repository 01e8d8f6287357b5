"""Export: a SavedModel that loads without keras_acts, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import ExportError, shown

from ..rewrite.threshold import threshold_of
from ..runtime.reasons import reason_of
from . import agreement, other_backends, savedmodel
from . import card as model_card
from . import page as report
from .atomic import Staging, check_target, staged
from .formats import FORMATS, check_formats
from .names import given_names, output_names
from .precision import in_float32
from .samples import named
from .verify import Checker
from .verify_process import CONVERSIONS, compare

__all__ = ["Exported", "check_target", "export"]

# of a search where it is from one, else of the export alone
_REPORT = "report.html"
# of TensorFlow's error codes: UNKNOWN, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED, DATA_LOSS
_OF_DISKS = {2, 5, 7, 8, 15}


@dataclass(frozen=True)
class Exported:
    """A SavedModel on disk.

    Attributes:
        path: its folder.
        difference: the largest difference between its predictions and the model's, relative to
            max(1, |prediction|).
        card: its model card, as in ``assets/model_card.json``.
    """

    path: Path
    difference: float
    card: Mapping[str, Any] = field(repr=False)


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    versioned: bool = False,
    samples: Any = None,
    preprocessing: keras.layers.Layer | None = None,
    class_names: Sequence[str] = (),
    threshold: float | None = None,
    formats: Sequence[str] = (),
    card: Mapping[str, Any] | None = None,
    notes: Callable[[float], Mapping[str, str]] | None = None,
) -> Exported:
    """Write `model` as a TensorFlow SavedModel in float32 that loads without this package.

    It is written into a temporary folder beside `path`, loaded by another process that has neither
    Keras nor keras_acts, compared with the model, and only then renamed: a failure leaves nothing
    behind and does not touch what was there. The signatures are ``serving_default`` and ``serve``,
    from inputs by name to outputs by name, for any batch size; ``assets/`` holds a model card for
    programs (``model_card.json``) and for people (``MODEL_CARD.md``), and ``report.html`` is a page
    to begin with. A model of the JAX or PyTorch
    backend goes through a ``.keras`` file and a process where Keras runs on TensorFlow.

    Args:
        model: a built Keras model.
        path: the folder to make. Its parents are made too.
        overwrite: whether to replace an export that is there. Only the files that it wrote are:
            with others among them, and if it is anything else, it is refused.
        versioned: whether to write ``path/1``, or the next number, as TensorFlow Serving wants it.
        samples: inputs to compare with, in the structure of the model's input (or by the names of
            the inputs); the first 256 are used. Random numbers by default, and words that the
            model's lookups know.
        preprocessing: a Keras layer or model that comes first inside the graph, so that it takes
            raw input: an adapted `keras.layers.Normalization`, say. `samples` are raw then.
        class_names: of the classes in the order of the model's one output. They add the signature
            ``classify``, which returns the name of the likeliest class, ``label``, beside the
            outputs.
        threshold: of two classes and one unit, the output above which it is the second class. By
            default what the loss that the model is compiled with says (0.5 for probabilities, 0 for
            logits), else its last activation.
        formats: what to write into the folder too: ``"keras"`` (model.keras), ``"litert"``
            (model.tflite, of built-in operations only), ``"onnx"`` (model.onnx); the last needs
            ``pip install "keras-acts[onnx]"``.
        card: facts for the model card that only you know, as plain data: ``{"license":
            "CC-BY-4.0"}``.
        notes: files to write beside the model: a function of the measured difference that returns
            {name: text}.

    Returns:
        The path, the measured difference and the card.

    Raises:
        ExportError: if `path` is taken or cannot be written, if a trained weight is NaN or infinite,
            if the model cannot be exported so, or
            if the export differs from `model.predict` by more than 1e-6 (LiteRT and ONNX: 1e-5),
            relative to max(1, |prediction|); where the model's own predictions differ by more
            between batch sizes, four times that, up to 1e-4. The export of a model in another
            precision is compared with a float32 copy so, and the copy with the model, to 2e-2 of
            its largest prediction (bfloat16: 8e-2).

    Example:
        >>> exported = export(model, "saved_models/mine", samples=x_test)
        >>> tf.saved_model.load("saved_models/mine").serve(x)
    """
    target = check_target(path, overwrite=overwrite, versioned=versioned)
    check_formats(formats)
    if not isinstance(model, keras.Model) or not model.built:
        raise ExportError(f"The model must be a built Keras model. Received: {model!r}")
    _check_finite(model)
    facts_given: Mapping[str, Any] = {}
    if card is not None:
        facts_given = card
    extra = model_card.check_extra(facts_given)
    names = output_names(model)
    _check_classes(model, class_names, names)
    options: savedmodel.Options = {
        "names": names,
        "classes": list(map(str, class_names)),
        "cut": _cut(model, class_names, threshold),
    }
    whole, x, y = _in_float32(savedmodel.with_preprocessing(model, preprocessing), samples, names)
    with (
        _clear_errors(path),
        Checker() as checker,
        staged(target, versioned=versioned, overwrite=overwrite) as stage,
    ):
        verification = _write_and_check(whole, stage, checker, x, y, formats, options)
        difference = verification["differences"]["SavedModel"]
        facts = {
            "class_names": options["classes"],
            "preprocessing": _layers(preprocessing),
            "files": [FORMATS[name] for name in formats],
        }
        written_card = _card(model, stage, given_names(whole), verification, facts, extra)
        files: dict[str, str] = {}
        if notes is not None:
            files.update(notes(difference))
        if _REPORT not in files:
            files.update(_page(written_card, os.fspath(path)))
        for name, text in files.items():
            # a path may hold bytes that are no text, which Python keeps as lone surrogates
            encoded = text.encode("utf-8", errors="backslashreplace")
            (stage.folder / name).write_bytes(encoded)
        return Exported(stage.publish(), difference, written_card)


def _check_finite(model: keras.Model) -> None:
    """Refuse a model that has diverged: it predicts NaN, and so does its export, which are alike then."""
    for variable in model.trainable_variables:
        if "float" not in variable.dtype:
            continue
        unlike_numbers = int(keras.ops.sum(~keras.ops.isfinite(variable)))
        if unlike_numbers:
            raise ExportError(
                "The trained weights of an export must be finite. "
                f"Received: {variable.path!r} with {unlike_numbers} that are NaN or infinite"
            )


def _in_float32(
    model: keras.Model, samples: Any, names: list[str] | None
) -> tuple[keras.Model, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the model in float32, the samples by name, and its predictions for them."""
    random = samples is None
    whole = in_float32(model)
    x = named(whole, samples)
    y = _predicted(whole, x, names, random=random)
    if whole is not model:  # what follows compares with the copy only
        agreement.check_copy(model, _predicted(model, x, names, random=random), y)
    return whole, x, y


def _predicted(
    model: keras.Model, x: dict[str, np.ndarray], names: list[str] | None, *, random: bool
) -> dict[str, np.ndarray]:
    """Return the model's predictions by name, in this process and on its backend.

    What the export is compared with.
    """
    try:
        return savedmodel.predict(model, x, names)
    except Exception as error:  # each backend and layer has its own for what it does not take
        what = "the samples"
        if random:
            what = "random samples; give samples=, some of your data"
        raise ExportError(
            f"The model must predict {what}. Received: {model.name!r} ({reason_of(error)})"
        ) from error


def _write_and_check(
    model: keras.Model,
    stage: Staging,
    checker: Checker,
    x: dict[str, np.ndarray],
    y: dict[str, np.ndarray],
    formats: Sequence[str],
    options: savedmodel.Options,
) -> dict[str, Any]:
    """Write the SavedModel and the other formats, and compare each with the model.

    Return what the model card says of it.
    """
    on_tensorflow, of_backend = _write(model, stage, x, y, options)
    converted = [name for name in formats if name in CONVERSIONS]
    checked = checker.check(
        stage.folder, stage.scratch / "samples.npz", x, on_tensorflow, converted
    )
    differences = checked.pop("differences")
    if "keras" in formats:
        differences["keras"] = _write_keras(model, stage.folder / FORMATS["keras"], x, y)
    agreed = agreement.judge(differences | of_backend, lambda: agreement.noise(model, x, y))
    samples = len(next(iter(x.values())))
    return {"samples": samples, **checked, **asdict(agreed)}


def _write(
    model: keras.Model,
    stage: Staging,
    x: dict[str, np.ndarray],
    y: dict[str, np.ndarray],
    options: savedmodel.Options,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Write the SavedModel.

    Return the model's predictions on TensorFlow, and how far those of its own backend are.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        savedmodel.write(model, stage.folder, **options)
        return y, {}
    on_tensorflow = other_backends.write(model, stage.folder, stage.scratch, x, **options)
    return on_tensorflow, {f"{backend}'s predictions": compare(y, on_tensorflow)}


def _write_keras(
    model: keras.Model, file: Path, x: dict[str, np.ndarray], y: dict[str, np.ndarray]
) -> float:
    try:
        model.save(file)
        loaded = keras.models.load_model(file, compile=False, safe_mode=False)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ExportError(
            f"A .keras file needs a model that Keras can load again. Received: {reason_of(error)}"
        ) from error
    return compare(y, savedmodel.predict(loaded, x, list(y)))


def _card(
    model: keras.Model,
    stage: Staging,
    names: Mapping[str, str],
    verification: Mapping[str, Any],
    options: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    signature = {"signatures": savedmodel.signatures(stage.folder, names), **options}
    card = model_card.card(model, signature=signature, verification=verification, extra=extra)
    model_card.write(stage.folder, card)
    return card


def _page(card: Mapping[str, Any], path: str) -> dict[str, str]:
    """The page of an export by the name of its file; why there is none, if it cannot be made."""
    try:
        return {_REPORT: report.page(card, path).to_html()}
    except Exception as error:
        # a page that fails must not cost the export, and not fail in silence either
        return {"report.txt": f"report.html could not be made: {reason_of(error)}.\n"}


def _layers(model: keras.layers.Layer | None) -> list[str]:
    """The layers that are run, in order, as their classes are called."""
    if model is None:
        return []
    layers = [model]
    if isinstance(model, keras.Model):
        layers = model.layers
    inputs = keras.layers.InputLayer
    return [type(layer).__name__ for layer in layers if not isinstance(layer, inputs)]


def _check_classes(
    model: keras.Model, class_names: Sequence[str], outputs: Sequence[str] | None
) -> None:
    try:
        # what stands for a class may be a number; the card has its text
        words = list(map(str, class_names))
    except Exception:  # no list, or of what cannot be written
        words = [""] * 2
    if isinstance(class_names, str) or len(set(words)) < len(words):
        raise ExportError(
            "class_names must be a list of different names. Received: "
            f"class_names={shown(class_names)}"
        )
    if not len(class_names):
        return
    # a subclassed model does not know its outputs
    known = getattr(model, "outputs", None) or ()
    shapes = [tuple(output.shape) for output in known]
    units = None
    if len(shapes) == 1 and len(shapes[0]) > 1:
        units = shapes[0][-1]
    if units is None or len(class_names) != max(units, 2):
        raise ExportError(
            "class_names must be one for each unit of the model's one output (two for one unit). "
            f"Received: {len(class_names)} names for outputs of shape {shapes}"
        )
    if "label" in (outputs or ()):
        raise ExportError(
            "With class_names no output may be called 'label', as the names of the likeliest "
            "classes are; rename the "
            f"last layer. Received: outputs={list(outputs or ())!r}"
        )


def _cut(model: keras.Model, class_names: Sequence[str], threshold: float | None) -> float:
    """Return the output of one unit above which it is the second class."""
    if not len(class_names) or model.outputs[0].shape[-1] != 1:
        if threshold is not None:
            raise ExportError(
                "threshold is for two class_names and a model of one unit. Received: "
                f"threshold={shown(threshold)}"
            )
        return 0.0
    if threshold is None:
        threshold = threshold_of(model)
    if threshold is None:
        raise ExportError(
            "threshold must be given, the output above which it is the second class, where neither "
            "the loss nor the "
            "last activation says it: 0.5 for probabilities, 0 for logits. "
            f"Received: class_names={list(class_names)!r}, loss={getattr(model, 'loss', None)!r}"
        )
    if not _is_number(threshold):
        raise ExportError(
            f"threshold must be a finite number. Received: threshold={shown(threshold)}"
        )
    return float(threshold)


def _is_number(value: object) -> bool:
    # a truth value is an int too, and always a slip
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(np.isfinite(value))


@contextlib.contextmanager
def _clear_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what a full or vanished disk makes Python and TensorFlow raise into one error."""
    try:
        yield
    except Exception as error:
        if not _is_of_disk(error):
            raise
        # TensorFlow says where in its graph, and where on the disk, before it says what
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]|\[Errno \d+\]", "", str(error).partition("\n")[0])
        reason = reason.rpartition("; ")[2].strip()
        raise ExportError(
            f"The export must be writable: {reason}. Received: path={str(path)!r}"
        ) from error


def _is_of_disk(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True
    # told by its module, so that other backends need not import TensorFlow
    of_tensorflow = type(error).__module__.startswith("tensorflow.")
    return of_tensorflow and getattr(error, "error_code", 0) in _OF_DISKS
