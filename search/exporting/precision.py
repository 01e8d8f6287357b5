"""A model of half precision as one in float32, which every client of an export can run."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from keras_acts.compat import (
    Functional,
    all_layers,
)
from keras_acts.errors import ExportError

from ..rewrite.clone import dtype_policy
from ..runtime.reasons import reason_of


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
    unchanged: dict[str, str] = {}
    for layer in all_layers(copy):
        if _other_floats(layer.compute_dtype):
            unchanged[layer.name] = layer.compute_dtype
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
