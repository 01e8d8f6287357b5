"""The places of a Keras model where an activation sits, and the same model with other activations there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.models.functional import Functional  # Keras exports no name for it

from keras_acts import Activation
from keras_acts.errors import ModelError
from keras_acts.layers import TrainedActivation

from .space import Candidate

# layers that are nothing but an activation, and how it is called; Activation tells its own
_ACTIVATION_LAYERS = {
    keras.layers.Activation: "",
    keras.layers.ReLU: "relu",
    keras.layers.LeakyReLU: "leaky_relu",
    keras.layers.ELU: "elu",
    keras.layers.PReLU: "prelu",
    keras.layers.Softmax: "softmax",
}
_SLOT_LAYERS: tuple[type, ...] = (TrainedActivation, *_ACTIVATION_LAYERS)
# in the middle of a model these are gates: another function there would change the architecture
_GATES = {"sigmoid", "softmax", "hard_sigmoid", "log_softmax"}


@dataclass(frozen=True)
class Slot:
    """A place of a model where an activation sits.

    Attributes:
        name: the name of the layer.
        layer: the class of the layer.
        current: the activation that is there now.
        role: ``"hidden"``, or ``"output"`` or ``"gate"``, which are left alone.
        channels: the size of the last axis (or of the channel axis) of its output.
    """

    name: str
    layer: str
    current: str
    role: str
    channels: int | None


def slots(model: keras.Model) -> tuple[Slot, ...]:
    """Return the slots of a Sequential or Functional model, in the order of its layers.

    Raises:
        ModelError: if the model is subclassed, or not built.
    """
    _check(model)
    outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
    found = []
    for layer in model.layers:
        current = _current(layer)
        if current is None:
            continue
        produced = keras.tree.flatten([node.output_tensors for node in layer._inbound_nodes])
        role = "hidden"
        if any(id(tensor) in outputs for tensor in produced):
            role = "output"
        elif current.partition("(")[0] in _GATES:
            role = "gate"
        found.append(Slot(layer.name, type(layer).__name__, current, role, _channels(layer)))
    return tuple(found)


def with_activations(model: keras.Model, activation: Any) -> keras.Model:
    """Return a new model, freshly initialized and not compiled, with other activations in its hidden slots.

    Args:
        model: a Sequential or Functional model. It is not changed.
        activation: a candidate, name, object or registered function for all hidden slots; or a mapping from slot
            names to such, which may name slots of any role. A trained activation (``"prelu"``) has one alpha a channel.

    Raises:
        ModelError: if the model has no hidden slot, or none of a name in the mapping.
        ActivationError: if there is no such activation.
    """
    available = {slot.name: slot for slot in slots(model)}
    if isinstance(activation, Mapping):
        for name in activation:
            if name not in available:
                raise ModelError(f"The mapping must name slots of the model: {sorted(available)}. Received: {name!r}")
        chosen = {name: Candidate.of(value) for name, value in activation.items()}
    else:
        candidate = Candidate.of(activation)
        chosen = {name: candidate for name, slot in available.items() if slot.role == "hidden"}
        if not chosen:
            raise ModelError(
                "The model must have a hidden activation slot, such as Dense(..., activation='relu') inside. "
                f"Received: a model with the slots {[(s.name, s.role) for s in available.values()]}"
            )

    def replace(layer: Any) -> Any:
        if layer.name not in chosen:
            return type(layer).from_config(layer.get_config())
        new = chosen[layer.name].activation(available[layer.name].channels)
        if isinstance(layer, _SLOT_LAYERS):
            return keras.layers.Activation(new, name=layer.name, dtype=layer.dtype_policy)
        return type(layer).from_config({**layer.get_config(), "activation": new})

    return keras.models.clone_model(model, clone_function=replace)


def _check(model: Any) -> None:
    if not isinstance(model, keras.Sequential | Functional):
        raise ModelError(
            "Only Sequential and Functional models can be rewritten; for a subclassed model give a function "
            f"build(hp, activation) instead. Received: {type(model).__name__}"
        )
    if not model.built:
        raise ModelError(f"The model must know its input shape: start it with keras.Input. Received: {model.name!r}")


def _current(layer: keras.layers.Layer) -> str | None:
    """The activation of a layer, as it prints; None if it has none, or the identity."""
    if isinstance(layer, TrainedActivation):
        return layer.spec.name
    if _ACTIVATION_LAYERS.get(type(layer)):
        return _ACTIVATION_LAYERS[type(layer)]
    activation = getattr(layer, "activation", None)
    if not callable(activation) or activation is keras.activations.linear:
        return None
    if isinstance(activation, TrainedActivation):
        return activation.spec.name
    if isinstance(activation, Activation):
        return str(Candidate.of(activation))
    return getattr(activation, "__name__", type(activation).__name__)


def _channels(layer: keras.layers.Layer) -> int | None:
    shape = keras.tree.flatten(layer.output)[0].shape
    axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
    return shape[axis] if len(shape) > 1 else None
