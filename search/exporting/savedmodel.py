"""A Keras model as a TensorFlow SavedModel.

float32, any batch size, inputs and outputs called by their names.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import keyword
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_acts.compat import (
    Functional,
    all_layers,
    functional_of,
    get_input_signature,
    operation_behind,
    outputs_struct,
    to_snake_case,
    track_resources,
    trackable_of,
)
from keras_acts.errors import ExportError
from keras_acts.target import serving

from ..rewrite.clone import dtype_policy
from ..runtime.reasons import reason_of

if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo

Tensor = Any
# a tensor, or lists, tuples and dicts of them
Structure = Any
# of one side of a signature, by name: shape, dtype, …
Tensors = dict[str, dict[str, Any]]

# the names that Keras gives to inputs without one
_UNNAMED = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?")


def with_preprocessing(model: keras.Model, preprocessing: Any) -> keras.Model:
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


def _raw_inputs(model: keras.Model, preprocessing: keras.layers.Layer) -> Any:
    """Symbolic inputs for what comes first in the graph, in its structure."""
    if isinstance(preprocessing, keras.Model):
        signature = get_input_signature(preprocessing)
        dtype = None
    else:
        # a layer does not say what it takes: as many numbers as the model
        signature = get_input_signature(model)
        dtype = "float32"

    def symbolic(spec: keras.InputSpec) -> keras.KerasTensor:
        name = _given(spec.name, _UNNAMED) or "input"
        return keras.Input(spec.shape[1:], dtype=dtype or spec.dtype, name=name)

    struct = signature[0] if len(signature) == 1 else signature
    return keras.tree.map_structure(symbolic, struct)


def in_float32(model: keras.Model) -> keras.Model:
    """Return the model in float32: most clients of a SavedModel cannot run half precision."""
    if not any(_other_floats(layer.compute_dtype) for layer in all_layers(model)):
        return model
    if not isinstance(model, keras.Sequential | Functional):
        raise ExportError(
            "A subclassed model must be built in float32 to be exported. Received: "
            f"{type(model).__name__} "
            f"with the dtype policy {model.dtype_policy.name}"
        )
    copy = _float32_copy(model)
    unchanged = {
        layer.name: layer.compute_dtype
        for layer in all_layers(copy)
        if _other_floats(layer.compute_dtype)
    }
    if unchanged:
        raise ExportError(
            "Every layer of a model that is exported must take the dtype policy of its config, or "
            "the global one. "
            f"Received: layers that stay as they are: {unchanged}"
        )
    return copy


def _float32_copy(model: keras.Model) -> keras.Model:
    """The model by way of a file, which holds all of its state: weights and vocabularies."""
    known = {type(layer).__name__: type(layer) for layer in all_layers(model)}
    with (
        tempfile.TemporaryDirectory(prefix="keras-acts-") as folder,
        keras.saving.custom_object_scope(known),
    ):
        saved = Path(folder, "model.keras")
        changed = Path(folder, "float32.keras")
        try:
            model.save(saved)
            _change_policy(saved, changed, "float32")
            # layers whose config holds no policy take Keras' global one
            with dtype_policy("float32"):
                return keras.models.load_model(changed, compile=False, safe_mode=False)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ExportError(
                "A model that is not in float32 must be one that Keras can save and load. "
                f"Received: {model.name!r} "
                f"with the dtype policy {model.dtype_policy.name} ({reason_of(error)})"
            ) from error


def _change_policy(saved: Path, changed: Path, policy: str) -> None:
    """Write a ``.keras`` file anew, with another dtype policy in its config."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                content = json.dumps(_with_policy(json.loads(content), policy)).encode()
            target.writestr(name, content)


def _other_floats(dtype: str) -> bool:
    """Whether a dtype, or a policy by its name, is of floats that are not float32.

    Lookups compute in integers.
    """
    return "float" in dtype and dtype != "float32"


def _with_policy(config: Any, policy: str) -> Any:
    """Return the config of a model with another dtype policy wherever it holds one of floats."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and _other_floats(config["config"]["name"]):
            return {**config, "config": {"name": policy}}
        return {key: _with_policy(value, policy) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_with_policy(value, policy) for value in config)
    return config


def input_specs(model: keras.Model) -> dict[str, keras.InputSpec]:
    """Return the specs of the inputs by name.

    The keys of a dict, the names given to `keras.Input`, else ``input``.
    """
    named_specs = _named_specs(model)
    names = _unique([name for name, _ in named_specs], "input")
    return {name: spec for name, (_, spec) in zip(names, named_specs, strict=True)}


def given_names(model: keras.Model) -> dict[str, str]:
    """Return the names of the inputs that the user gave, by those that they have in the export."""
    given = [name for name, _ in _named_specs(model)]
    names = _unique(given, "input")
    return {name: original or name for name, original in zip(names, given, strict=True)}


def _named_specs(model: keras.Model) -> list[tuple[str | None, keras.InputSpec]]:
    """The specs of the inputs, in order, each with the name that the user gave it."""
    leaves = keras.tree.flatten_with_path(get_input_signature(model))
    return [(_key(path) or _given(spec.name, _UNNAMED), spec) for path, spec in leaves]


def by_export_names(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return inputs, given by either kind of name, by the names of the export.

    None if they have other names.

    Args:
        given: inputs by name.
        names: what `given_names` returned.
    """
    if given.keys() == names.keys():
        return {name: given[name] for name in names}
    if given.keys() == set(names.values()):
        return {name: given[original] for name, original in names.items()}
    return None


def output_names(model: keras.Model) -> list[str] | None:
    """Return the names of the outputs.

    The keys of a dict, the names given to the last layers, else ``output``.

    None for a subclassed model, whose outputs are known only when it is called.
    """
    if not isinstance(model, keras.Sequential | Functional):
        return None
    outputs = outputs_struct(functional_of(model))
    return _names_of(outputs)


def _names_of(outputs: Structure) -> list[str]:
    leaves = keras.tree.flatten_with_path(outputs)
    return _unique([_key(path) or _layer_name(tensor) for path, tensor in leaves], "output")


def _key(path: tuple[Any, ...]) -> str | None:
    if path and isinstance(path[-1], str):
        return path[-1]
    return None


def _layer_name(tensor: Tensor) -> str | None:
    operation = operation_behind(tensor)
    if operation is None:
        return None
    # without a name Keras counts: dense, dense_1, …, which would differ from process to process
    automatic = rf"{re.escape(to_snake_case(type(operation).__name__))}(_\d+)?"
    return _given(operation.name, re.compile(automatic))


def _given(name: str | None, automatic: re.Pattern[str]) -> str | None:
    """The name, unless Keras made it."""
    if name is None or automatic.fullmatch(name):
        return None
    return name


def _unique(names: Sequence[str | None], default: str) -> list[str]:
    """Return names that programs in any language, and TensorFlow's graphs, can write.

    One that is missing, or has no letter or digit of ASCII, is the default, with a number if there
    are several; one that begins otherwise than with a letter, or is a word of Python's, comes
    behind the default: ``0`` is ``input_0``.
    """
    taken: list[str] = []
    for index, name in enumerate(names):
        plain = re.sub(r"\W", "_", name or "", flags=re.ASCII)
        if not plain.strip("_"):
            plain = default if len(names) == 1 else f"{default}_{index}"
        elif not plain[0].isalpha() or keyword.iskeyword(plain):
            plain = f"{default}_{plain.lstrip('_')}"
        unique = plain
        number = index
        while unique in taken:
            unique = f"{plain}_{number}"
            number += 1
        taken.append(unique)
    return taken


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
        self.specs: dict[str, tf.TensorSpec] = {
            name: tf.TensorSpec(spec.shape, spec.dtype, name=name)
            for name, spec in input_specs(model).items()
        }
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
            self.outputs.extend(_names_of(result))
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
    return dict(zip(names or _names_of(outputs), arrays, strict=True))


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
    return array.astype("S") if array.dtype == object else array


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
        sizes = None if shape.rank is None else shape.as_list()
        described[name] = {
            "shape": sizes,
            "dtype": tf.as_dtype(info.dtype).name,
            "tensor": info.name,
        }
    return described
