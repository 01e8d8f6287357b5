"""A Keras model as a TensorFlow SavedModel.

float32, any batch size, inputs and outputs called by their names.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import keras
import numpy as np

from keras_acts.compat import (
    get_input_signature,
    track_resources,
    trackable_of,
)
from keras_acts.errors import ExportError
from keras_acts.target import serving

from ..runtime.reasons import reason_of
from ..runtime.tracing import without_notes
from .names import UNNAMED_INPUT, given_by_user, input_specs, names_of, output_names

if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo

Tensor = Any
# a tensor, or lists, tuples and dicts of them
Structure = Any
# of one side of a signature, by name: shape, dtype, …
Tensors = dict[str, dict[str, Any]]


class Options(TypedDict):
    """How a model is exported."""

    # of the outputs, flat; None where only a call tells them
    names: list[str] | None
    # in the order of the last axis of the one output; empty without
    classes: list[str]
    # the output of one unit above which it is the second class
    cut: float


def with_preprocessing(model: keras.Model, preprocessing: keras.layers.Layer | None) -> keras.Model:
    """Return a model that takes what `preprocessing`, a Keras layer or model, takes.

    Raises:
        ExportError: if it is no layer, or does not fit.
    """
    if preprocessing is None:
        return model
    if not isinstance(preprocessing, keras.layers.Layer):
        raise ExportError(
            f"preprocessing must be a Keras layer or model. Received: {preprocessing!r}"
        )
    try:
        inputs = _raw_inputs(model, preprocessing)
        return keras.Model(inputs, model(preprocessing(inputs)), name=model.name)
    except Exception as error:  # each backend and layer has its own for shapes that do not fit
        raise ExportError(
            "preprocessing must make the model's inputs from raw ones. "
            f"Received: {preprocessing.name!r} ({reason_of(error)})"
        ) from error


def _raw_inputs(model: keras.Model, preprocessing: keras.layers.Layer) -> Structure:
    """Symbolic inputs for what comes first in the graph, in its structure."""
    if isinstance(preprocessing, keras.Model):
        signature = get_input_signature(preprocessing)
        dtype = None
    else:
        # a layer does not say what it takes: as many numbers as the model
        signature = get_input_signature(model)
        dtype = "float32"

    def symbolic(spec: keras.InputSpec) -> keras.KerasTensor:
        name = given_by_user(spec.name, UNNAMED_INPUT) or "input"
        return keras.Input(spec.shape[1:], dtype=dtype or spec.dtype, name=name)

    struct = signature
    if len(signature) == 1:
        struct = signature[0]
    if isinstance(struct, dict):
        # keys are names that were given, such as input_3
        return {
            key: keras.Input(spec.shape[1:], dtype=dtype or spec.dtype, name=key)
            for key, spec in struct.items()
        }
    return keras.tree.map_structure(symbolic, struct)


def write(
    model: keras.Model,
    folder: Path,
    names: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    cut: float = 0.5,
) -> list[str]:
    """Write the model, which must be in float32, on the TensorFlow backend.

    The signatures are

    - ``serving_default`` and ``serve``: inputs by name -> outputs by name;
    - ``classify``, if there are class names: inputs by name -> the outputs and ``label``, the name
      of the class, or nothing where an output is NaN.

    The attribute `serve` of the loaded object takes and returns what the model does.

    Args:
        model: a built model.
        folder: where.
        names: of the outputs, flat; those of `output_names` by default.
        classes: names of the classes, in the order of the last axis of the model's one output; two
            for one unit.
        cut: the output of one unit above which it is the second class.

    Returns:
        The names of the outputs.
    """
    import tensorflow as tf

    endpoints = _Endpoints(model, names, classes, cut)
    archive = keras.export.ExportArchive()  # finds variables and lookup tables
    archive.track(model)
    archive.add_endpoint("serve", serving()(endpoints.serve), endpoints.structured_signature())
    track_resources(archive)
    signature = [endpoints.specs]
    call = tf.function(serving()(endpoints.named), input_signature=signature, autograph=False)
    signatures = {"serving_default": call, "serve": call}
    if classes:
        signatures["classify"] = tf.function(
            serving()(endpoints.classify), input_signature=signature, autograph=False
        )
    # not write_out: it would call the outputs output_0, output_1, …
    with without_notes():
        tf.saved_model.save(trackable_of(archive), str(folder), signatures=signatures)
    return endpoints.outputs


class _Endpoints:
    """The functions that a SavedModel offers, as TensorFlow traces them.

    Attributes:
        specs: of the inputs, by name.
        outputs: the names of the outputs; of a subclassed model known once one of the functions
            has been traced.
    """

    def __init__(
        self,
        model: keras.Model,
        names: Sequence[str] | None,
        classes: Sequence[str],
        cut: float,
    ):
        import tensorflow as tf

        self._model = model
        self._classes = list(classes)
        self._cut = cut
        self._struct = get_input_signature(model)
        self.specs: dict[str, tf.TensorSpec] = {}
        for name, spec in input_specs(model).items():
            self.specs[name] = tf.TensorSpec(spec.shape, spec.dtype, name=name)
        self.outputs = list(names or output_names(model) or ())

    def structured_signature(self) -> Structure:
        """The specs in the structure of the model's inputs."""
        return keras.tree.pack_sequence_as(self._struct, list(self.specs.values()))

    def serve(self, *args: Structure) -> Structure:
        """What the model does."""
        return infer(self._model, *args)

    def named(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """From inputs by name to outputs by name."""
        import tensorflow as tf

        flat = [given[name] for name in self.specs]
        result = infer(self._model, *keras.tree.pack_sequence_as(self._struct, flat))
        if not self.outputs:
            self.outputs.extend(names_of(result))
        # identity: a model may return one tensor twice, or its input as it is
        tensors = [tf.identity(tensor) for tensor in keras.tree.flatten(result)]
        return dict(zip(self.outputs, tensors, strict=True))

    def classify(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """From inputs by name to outputs by name, and the names of the likeliest classes."""
        import tensorflow as tf

        outputs = self.named(given)
        scores = outputs[self.outputs[0]]
        label = tf.gather(tf.constant(self._classes), self._likeliest(scores))
        # no class is the likeliest of what is not a number
        unknown = tf.reduce_any(tf.math.is_nan(scores), axis=-1)
        return {**outputs, "label": tf.where(unknown, "", label)}

    def _likeliest(self, scores: Tensor) -> Tensor:
        import tensorflow as tf

        if scores.shape[-1] == 1:
            return tf.cast(scores[..., 0] > self._cut, "int64")
        return tf.argmax(scores, axis=-1)


def infer(model: keras.Model, *args: Structure) -> Structure:
    """Call the model as `predict` does.

    `Resizing` and its like take themselves to be in training unless told otherwise, and Keras hands
    that on to the layers behind them.
    """
    if "training" in inspect.signature(model.call).parameters:
        return model(*args, training=False)
    return model(*args)


def predict(
    model: keras.Model,
    x: Mapping[str, np.ndarray],
    names: Sequence[str] | None,
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """Return the predictions of `model.predict` by name.

    Args:
        model: on any backend.
        x: samples by the names of `input_specs`.
        names: of the outputs, flat; found out by default.
        batch_size: all samples by default: other batches round differently.
    """
    flat = [x[name] for name in input_specs(model)]
    args = keras.tree.pack_sequence_as(get_input_signature(model), flat)
    count = len(next(iter(x.values())))
    if batch_size is None:
        batch_size = count
    with _on_the_cpu():
        if len(args) == 1 and type(model).predict_step is keras.Model.predict_step:
            # TensorFlow takes words, Keras takes no arrays of them
            inputs = keras.tree.map_structure(_as_tensor, args[0])
            outputs = model.predict(inputs, batch_size=batch_size, verbose=0)
        else:  # `predict` knows one argument only, or is the user's own
            outputs = _called(model, args, count, batch_size)
    arrays = [_plain_array(leaf) for leaf in keras.tree.flatten(outputs)]
    return dict(zip(names or names_of(outputs), arrays, strict=True))


def _called(model: keras.Model, args: Structure, count: int, batch_size: int) -> Structure:
    """Return the outputs for so many samples at a time, as arrays."""

    def run(*batch: Structure) -> Structure:
        return infer(model, *batch)

    if keras.backend.backend() == "tensorflow":  # in a graph, as the export is
        import tensorflow as tf

        run = tf.function(run, autograph=False)

    def outputs_from(start: int) -> Structure:
        batch = keras.tree.map_structure(
            lambda array: keras.ops.convert_to_tensor(array[start : start + batch_size]), args
        )
        return keras.tree.map_structure(keras.ops.convert_to_numpy, run(*batch))

    batches = [outputs_from(start) for start in range(0, count, batch_size)]
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *batches)


def _as_tensor(x: Tensor) -> Tensor:
    if np.asarray(x).dtype.kind in "US":
        return keras.ops.convert_to_tensor(x)
    return x


def _plain_array(x: Tensor) -> np.ndarray:
    array = np.asarray(x)
    # words come as objects, which no file of plain arrays can hold
    if array.dtype == object:
        return array.astype("S")
    return array


def _on_the_cpu() -> contextlib.AbstractContextManager[Any]:
    """Where the process that compares is; on TensorFlow, whose numbers the export has."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.device("CPU:0")


def signatures(
    folder: Path, given: Mapping[str, str] | None = None
) -> dict[str, dict[str, Tensors]]:
    """Return signature -> ``"inputs"`` or ``"outputs"`` -> name -> ``shape``, ``dtype`` and ``tensor``.

    The last is the name in the graph, which the C API needs. An input whose name had to change has
    ``given`` too.

    Args:
        folder: the SavedModel.
        given: what `given_names` returned.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    file = saved_model_pb2.SavedModel()
    file.ParseFromString((folder / "saved_model.pb").read_bytes())
    described: dict[str, dict[str, Tensors]] = {}
    for key, signature in sorted(file.meta_graphs[0].signature_def.items()):
        if key.startswith("__"):  # TensorFlow's own, for what initializes the graph
            continue
        inputs = _described(signature.inputs)
        for name, original in (given or {}).items():
            if name in inputs and original != name:
                inputs[name]["given"] = original
        described[key] = {"inputs": inputs, "outputs": _described(signature.outputs)}
    return described


def _described(tensors: Mapping[str, TensorInfo]) -> Tensors:
    """The tensors of one side of a signature, by name."""
    import tensorflow as tf

    described: Tensors = {}
    for name, info in sorted(tensors.items()):
        shape = tf.TensorShape(info.tensor_shape)
        sizes = None
        if shape.rank is not None:
            sizes = shape.as_list()
        described[name] = {
            "shape": sizes,
            "dtype": tf.as_dtype(info.dtype).name,
            "tensor": info.name,
        }
    return described
