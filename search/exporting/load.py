"""An export again in Keras: callable, with its model card."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.compat import reloaded_object
from keras_acts.errors import DataError, ExportError, shown

from ..runtime.ownership import changed_files
from ..runtime.reasons import first_line
from .folder import FILE, TEXT, export_at, read_card
from .names import by_export_names
from .values import Arrays, Specs, cast, check_shapes, misfit, unlike


class LoadedModel(keras.layers.TFSMLayer):
    """An export as a Keras layer.

    Call it, or use it inside a model, with what the exported model took.

    Make one with `load`.
    """

    def __init__(self, filepath: str, call_endpoint: str = "serve", **kwargs: Any):
        card = read_card(Path(filepath))
        _check_unchanged(Path(filepath))
        # as text: Keras would track a dict
        self._card = json.dumps(card)
        try:
            super().__init__(filepath, call_endpoint=call_endpoint, **kwargs)
        except Exception as error:  # whatever a file that is torn makes TensorFlow raise
            raise ExportError(
                f"The SavedModel must be one that TensorFlow can load. Received: {filepath!r} "
                f"({first_line(error)})"
            ) from error
        _check_signatures(filepath, card["signatures"], reloaded_object(self))

    @property
    def card(self) -> dict[str, Any]:
        """The model card: activations, data, metrics, versions."""
        return json.loads(self._card)

    def predict(self, x: Any, batch_size: int = 256, *, allow_nan: bool = False) -> Arrays:
        """Return the outputs by name, and ``label`` if the export knows its classes.

        Args:
            x: one array, or a dict by the names of the inputs: those of the export, or the model's
                own.
            batch_size: how many samples at a time.
            allow_nan: whether samples may hold NaN. Refused by default: what computes with it often
                makes a number of it, ReLU for one, and then the prediction looks like any other. A
                column of a table that had gaps in the training may have them in any case.

        Raises:
            DataError: if `x` is not what the model takes: NaN or a fraction for an input of whole
                numbers, for one.
            ExportError: if the export does not run.
        """
        is_count = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
        if not is_count or batch_size < 1:
            raise DataError(
                f"batch_size must be an integer >= 1. Received: batch_size={shown(batch_size)}"
            )
        signatures = self.card["signatures"]
        name = "serving_default"
        if "classify" in signatures:
            name = "classify"
        specs = signatures[name]["inputs"]
        inputs = _prepared(x, specs, allow_nan=allow_nan, with_gaps=_with_gaps(self.card, specs))
        count = len(next(iter(inputs.values())))
        batches: list[Arrays] = []
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            batches.append(self._outputs_of(name, inputs, rows))
        outputs: Arrays = {}
        for key in batches[0]:
            values = np.concatenate([batch[key] for batch in batches])
            if values.dtype == object:
                values = _words(values)
            outputs[key] = values
        return outputs

    def _outputs_of(self, signature: str, inputs: Arrays, rows: slice) -> Arrays:
        """What a signature returns for some of the samples."""
        run = reloaded_object(self).signatures[signature]
        tensors = {key: keras.ops.convert_to_tensor(value[rows]) for key, value in inputs.items()}
        try:
            return {key: tensor.numpy() for key, tensor in run(**tensors).items()}
        except Exception as error:  # whatever an operation of the graph says
            raise ExportError(
                f"The export must run. Received: {self.filepath!r} ({first_line(error)})"
            ) from error


def load(path: str | os.PathLike[str]) -> LoadedModel:
    """Return the export at `path` as a Keras layer with its card.

    Of a folder of versions, the newest.

    Raises:
        ExportError: if there is no export of keras_acts, it is not whole, its files are not those
            that were written, or Keras does not run on TensorFlow.

    Example:
        >>> model = load("saved_models/best")
        >>> model.card["activations"], model(x), model.predict(x)
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "An export loads where Keras runs on TensorFlow (KERAS_BACKEND=tensorflow). "
            f"Received: the backend {keras.backend.backend()}"
        )
    folder = export_at(path)
    return LoadedModel(str(folder))


def _check_unchanged(folder: Path) -> None:
    """Check that the model is the one that was written.

    TensorFlow would not notice another number in its graph. The card, a report and other notes may
    have been edited.

    Raises:
        ExportError: naming the files that are others, or gone.
    """
    notes = {FILE.as_posix(), TEXT.as_posix()}
    of_model = re.compile(r"saved_model\.pb|(variables|assets)/.+")
    changed = [
        name for name in changed_files(folder) if of_model.fullmatch(name) and name not in notes
    ]
    if changed:
        raise ExportError(
            "The files of an export must be as it wrote them: export the model again, or copy it "
            f"again. Received: {str(folder)!r} with another or no {shown(changed)}"
        )


def _check_signatures(path: str, told: Mapping[str, Any], loaded: Any) -> None:
    """Check that the card tells the signatures that the SavedModel has.

    Raises:
        ExportError: naming the first that differs.
    """
    for name, signature in told.items():
        function = loaded.signatures.get(name)
        if function is None:
            raise _other_signature(path, name, "none")
        _, inputs = function.structured_input_signature
        for side, tensors in (("inputs", inputs), ("outputs", function.structured_outputs)):
            found = {key: _kind_of(spec) for key, spec in sorted(tensors.items())}
            expected = {
                key: (spec["dtype"], spec["shape"]) for key, spec in sorted(signature[side].items())
            }
            if found != expected:
                raise _other_signature(path, name, f"{side} {found}, in the card {expected}")


def _kind_of(spec: Any) -> tuple[str, list[int | None] | None]:
    """The dtype and the shape of a tensor of a signature, as a card has them."""
    if spec.shape.rank is None:
        return spec.dtype.name, None
    return spec.dtype.name, spec.shape.as_list()


def _other_signature(path: str, name: str, received: str) -> ExportError:
    return ExportError(
        f"The SavedModel must have the signature {shown(name)} that its model card tells. "
        f"Received: {path!r} with {received}"
    )


def _check_fits(name: str, values: np.ndarray, dtype: str) -> None:
    kind = unlike(values, dtype)
    if kind:
        raise DataError(f"The input {name!r} must be of {dtype}. Received: {kind}")
    try:
        place = misfit(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"The input {name!r} must be numbers, {dtype}. Received: {error}") from None
    if place is not None:
        raise DataError(
            f"The input {name!r} must be of values that {dtype} can hold. Received: "
            f"{values[place]} at {list(place)}"
        )


def _with_gaps(card: Mapping[str, Any], specs: Specs) -> set[str]:
    """The inputs that are columns with gaps in the training: the graph knows what to do with them."""
    names = {entry.get("input") for entry in card.get("columns") or () if entry.get("gaps")}
    return {name for name, spec in specs.items() if spec.get("given", name) in names}


def _check_no_gaps(given: Arrays, with_gaps: Collection[str] = ()) -> None:
    for name, value in given.items():
        if value.dtype.kind != "f" or name in with_gaps:
            continue
        gaps = np.argwhere(np.isnan(value))
        if len(gaps):
            raise DataError(
                "Every value must be there; allow_nan=True is for models that know what to do with "
                "NaN. "
                f"Received: NaN in the input {name!r} at {gaps[0].tolist()}, and {len(gaps) - 1} "
                "more"
            )


def _words(values: np.ndarray) -> np.ndarray:
    """TensorFlow's bytes as text."""
    words = [word.decode(errors="backslashreplace") for word in values.ravel()]
    return np.array(words).reshape(values.shape)


def _prepared(x: Any, specs: Specs, *, allow_nan: bool, with_gaps: Collection[str] = ()) -> Arrays:
    """The inputs as the signature takes them, or an error that says why they are none."""
    given = _by_name(x, specs)
    check_shapes(given, specs)
    if not allow_nan:
        # before the cast: to integers, it would make a number of NaN
        _check_no_gaps(given, with_gaps)
    for name, values in given.items():
        _check_fits(name, values, specs[name]["dtype"])
    inputs = {name: cast(values, specs[name]["dtype"]) for name, values in given.items()}
    if not allow_nan:
        # and after it: arrays of objects show theirs only as numbers
        _check_no_gaps(inputs, with_gaps)
    return inputs


def _by_name(x: Any, specs: Specs) -> Arrays:
    if not isinstance(x, Mapping):
        if len(specs) > 1:
            raise _unnamed(specs, type(x).__name__)
        return {name: _array(name, x) for name in specs}
    given_names = {name: spec.get("given", name) for name, spec in specs.items()}
    by_name = by_export_names(x, given_names)
    if by_name is None:
        raise _unnamed(specs, sorted(x))
    return {name: _array(name, by_name[name]) for name in specs}


def _array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # rows of several lengths
        raise DataError(f"The input {name!r} must be an array. Received: {shown(values)}") from None


def _unnamed(specs: Specs, received: str | list[str]) -> DataError:
    return DataError(f"The inputs must be given by name: {sorted(specs)}. Received: {received}")
