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
from typing import Any

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
from keras_acts.serving import serving

from ..rewrite.clone import dtype_policy
from ..runtime.reasons import reason_of

_SIDES = ("inputs", "outputs")
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
    own = isinstance(preprocessing, keras.Model)

    def raw(spec: Any) -> Any:
        named = None if _UNNAMED.fullmatch(spec.name or "input") else spec.name
        return keras.Input(
            spec.shape[1:], dtype=spec.dtype if own else "float32", name=named or "input"
        )

    try:
        struct = get_input_signature(preprocessing if own else model)
        inputs = keras.tree.map_structure(raw, struct[0] if len(struct) == 1 else struct)
        return keras.Model(inputs, model(preprocessing(inputs)), name=model.name)
    except Exception as error:  # each backend and layer has its own for shapes that do not fit
        raise ExportError(
            "preprocessing must make the model's inputs from raw ones. "
            f"Received: {preprocessing.name!r} ({reason_of(error)})"
        ) from error


def in_float32(model: keras.Model) -> keras.Model:
    """Return the model in float32: most clients of a SavedModel cannot run half precision."""
    if not any(_other_floats(layer.compute_dtype) for layer in all_layers(model)):
        return model
    if not isinstance(model, keras.Sequential | Functional):
        raise ExportError(
            f"A subclassed model must be built in float32 to be exported. Received: {type(model).__name__} "
            f"with the dtype policy {model.dtype_policy.name}"
        )
    known = {type(layer).__name__: type(layer) for layer in all_layers(model)}
    # by way of a file, which holds all of a model's state: weights and vocabularies
    with (
        tempfile.TemporaryDirectory(prefix="keras-acts-") as folder,
        keras.saving.custom_object_scope(known),
    ):
        saved, changed = Path(folder, "model.keras"), Path(folder, "float32.keras")
        try:
            model.save(saved)
            _change_policy(saved, changed, "float32")
            with dtype_policy(
                "float32"
            ):  # layers whose config holds no policy take Keras' global one
                copy = keras.models.load_model(changed, compile=False, safe_mode=False)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ExportError(
                f"A model that is not in float32 must be one that Keras can save and load. Received: {model.name!r} "
                f"with the dtype policy {model.dtype_policy.name} ({reason_of(error)})"
            ) from error
    left = {
        layer.name: layer.compute_dtype
        for layer in all_layers(copy)
        if _other_floats(layer.compute_dtype)
    }
    if left:
        raise ExportError(
            "Every layer of a model that is exported must take the dtype policy of its config, or the global one. "
            f"Received: layers that stay as they are: {left}"
        )
    return copy


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


def input_specs(model: keras.Model) -> dict[str, Any]:
    """Return the specs of the inputs by name.

    The keys of a dict, the names given to `keras.Input`, else ``input``.
    """
    leaves = keras.tree.flatten_with_path(get_input_signature(model))
    names = _unique([_key(path) or _given(spec.name, _UNNAMED) for path, spec in leaves], "input")
    return dict(zip(names, (spec for _, spec in leaves), strict=True))


def given_names(model: keras.Model) -> dict[str, str]:
    """Return the names of the inputs as the user gave them, by the names that they have in the export."""
    leaves = keras.tree.flatten_with_path(get_input_signature(model))
    given = [_key(path) or _given(spec.name, _UNNAMED) for path, spec in leaves]
    return {name: own or name for name, own in zip(input_specs(model), given, strict=True)}


def by_export_names(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return inputs that are given by either kind of name by those of the export, or None if they are others.

    Args:
        given: inputs by name.
        names: what `given_names` returned.
    """
    if given.keys() == names.keys():
        return {name: given[name] for name in names}
    if given.keys() == set(names.values()):
        return {name: given[own] for name, own in names.items()}
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


def _names_of(outputs: Any) -> list[str]:
    leaves = keras.tree.flatten_with_path(outputs)
    return _unique([_key(path) or _layer_name(tensor) for path, tensor in leaves], "output")


def _key(path: tuple[Any, ...]) -> str | None:
    return path[-1] if path and isinstance(path[-1], str) else None


def _layer_name(tensor: Any) -> str | None:
    operation = operation_behind(tensor)
    if operation is None:
        return None
    # without a name Keras counts: dense, dense_1, …, which would differ from process to process
    automatic = rf"{re.escape(to_snake_case(type(operation).__name__))}(_\d+)?"
    return _given(operation.name, re.compile(automatic))


def _given(name: str | None, automatic: re.Pattern[str]) -> str | None:
    return None if name is None or automatic.fullmatch(name) else name


def _unique(names: Sequence[str | None], default: str) -> list[str]:
    """Return names that programs in any language, and TensorFlow's graphs, can write.

    One that is missing, or has no letter or digit of ASCII, is the default, with a number if there
    are several; one that begins otherwise than with a letter, or is a word of Python's, comes
    behind the default: ``0`` is ``input_0``.
    """
    found: list[str] = []
    for index, name in enumerate(names):
        plain = re.sub(r"\W", "_", name or "", flags=re.ASCII)
        if not plain.strip("_"):
            plain = default if len(names) == 1 else f"{default}_{index}"
        elif not plain[0].isalpha() or keyword.iskeyword(plain):
            plain = f"{default}_{plain.lstrip('_')}"
        unique, number = plain, index
        while unique in found:
            unique, number = f"{plain}_{number}", number + 1
        found.append(unique)
    return found


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

    struct = get_input_signature(model)
    specs = {
        name: tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in input_specs(model).items()
    }
    outputs = list(names or output_names(model) or ())

    def serve(*args: Any) -> Any:
        return infer(model, *args)

    def named(given: dict[str, Any]) -> dict[str, Any]:
        found = infer(model, *keras.tree.pack_sequence_as(struct, [given[name] for name in specs]))
        if not outputs:
            outputs.extend(_names_of(found))
        return dict(zip(outputs, (tf.identity(y) for y in keras.tree.flatten(found)), strict=True))

    def classify(given: dict[str, Any]) -> dict[str, Any]:
        found = named(given)
        scores = found[outputs[0]]
        index = (
            tf.argmax(scores, axis=-1)
            if scores.shape[-1] != 1
            else tf.cast(scores[..., 0] > cut, "int64")
        )
        label = tf.gather(tf.constant(list(classes)), index)
        # no class is the likeliest of what is not a number
        unknown = tf.reduce_any(tf.math.is_nan(scores), axis=-1)
        return {**found, "label": tf.where(unknown, "", label)}

    archive = keras.export.ExportArchive()  # finds variables and lookup tables
    archive.track(model)
    archive.add_endpoint(
        "serve", serving()(serve), keras.tree.pack_sequence_as(struct, list(specs.values()))
    )
    track_resources(archive)
    call = tf.function(serving()(named), input_signature=[specs], autograph=False)
    signatures = {"serving_default": call, "serve": call}
    if classes:
        signatures["classify"] = tf.function(
            serving()(classify), input_signature=[specs], autograph=False
        )
    # not write_out: it would call the outputs output_0, output_1, …
    tf.saved_model.save(trackable_of(archive), str(folder), signatures=signatures)
    return outputs


def infer(model: keras.Model, *args: Any) -> Any:
    """Call the model as `predict` does.

    `Resizing` and its like take themselves to be in training unless told otherwise, and Keras hands
    that on to the layers behind them.
    """
    if "training" in inspect.signature(model.call).parameters:
        return model(*args, training=False)
    return model(*args)


def predict(
    model: keras.Model,
    x: dict[str, Any],
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
    args = keras.tree.pack_sequence_as(
        get_input_signature(model), [x[name] for name in input_specs(model)]
    )
    count = len(next(iter(x.values())))
    with _on_the_cpu():
        if len(args) == 1 and type(model).predict_step is keras.Model.predict_step:
            # TensorFlow takes words, Keras takes no arrays of them
            inputs = keras.tree.map_structure(_as_tensor, args[0])
            found = model.predict(inputs, batch_size=batch_size or count, verbose=0)
        else:  # `predict` knows one argument only, or is the user's own
            found = _called(model, args, count, batch_size or count)
    values = [np.asarray(y) for y in keras.tree.flatten(found)]
    # words come as objects, which no file of plain arrays can hold
    plain = (value.astype("S") if value.dtype == object else value for value in values)
    return dict(zip(names or _names_of(found), plain, strict=True))


def _called(model: keras.Model, args: Any, count: int, batch_size: int) -> Any:
    """Return the outputs for so many samples at a time, as arrays."""

    def one(start: int) -> Any:
        batch = keras.tree.map_structure(
            lambda a: keras.ops.convert_to_tensor(a[start : start + batch_size]), args
        )
        return keras.tree.map_structure(keras.ops.convert_to_numpy, run(*batch))

    def run(*batch: Any) -> Any:
        return infer(model, *batch)

    if keras.backend.backend() == "tensorflow":  # in a graph, as the export is
        import tensorflow as tf

        run = tf.function(run, autograph=False)
    parts = [one(start) for start in range(0, count, batch_size)]
    return keras.tree.map_structure(lambda *pieces: np.concatenate(pieces), *parts)


def _as_tensor(x: Any) -> Any:
    return keras.ops.convert_to_tensor(x) if np.asarray(x).dtype.kind in "US" else x


def _on_the_cpu() -> contextlib.AbstractContextManager[Any]:
    """Where the process that compares is; on TensorFlow, whose numbers the export has."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.device("CPU:0")


def signatures(
    folder: Path, given: Mapping[str, str] | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return signature -> ``"inputs"`` or ``"outputs"`` -> name -> ``shape``, ``dtype`` and ``tensor``.

    The last is the name in the graph, which the C API needs. An input whose name had to change has
    ``given`` too.

    Args:
        folder: the SavedModel.
        given: what `given_names` returned.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    file = saved_model_pb2.SavedModel()
    file.ParseFromString((folder / "saved_model.pb").read_bytes())

    def described(info: Any) -> dict[str, Any]:
        shape = tf.TensorShape(info.tensor_shape)
        sizes = None if shape.rank is None else shape.as_list()
        return {"shape": sizes, "dtype": tf.as_dtype(info.dtype).name, "tensor": info.name}

    def side_of(found: Any, side: str) -> dict[str, Any]:
        tensors = {name: described(info) for name, info in sorted(getattr(found, side).items())}
        for name, own in (given or {}).items():
            if side == "inputs" and name in tensors and own != name:
                tensors[name]["given"] = own
        return tensors

    return {
        key: {side: side_of(found, side) for side in _SIDES}
        for key, found in sorted(file.meta_graphs[0].signature_def.items())
        if not key.startswith("__")
    }
