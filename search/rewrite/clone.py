"""The same model with other activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from keras_acts.compat import layers_held_by, output_shape_argument, own_variables
from keras_acts.errors import ModelError

from ..space.candidate import Candidate
from .compiling import compile_arguments
from .graph import MODELS, parts_of
from .initializers import rescaled_initializers
from .own_training import own_methods
from .remaking import (
    check_methods,
    check_same_methods,
    copy_assets,
    functional_again,
    made_again,
    sequential_again,
)
from .slots import Slot, SlotSite, SlotTable, is_activation, slot_sites, slots

__all__ = ["Slot", "SlotTable", "slots", "with_activations"]


def with_activations(
    model: keras.Model, activation: Any, *, weights: bool = False, rescale_init: bool = False
) -> keras.Model:
    """Return a new model with other activations in its hidden slots.

    Same names, shapes, dtype policies, `trainable`.

    It is freshly initialized, but for the weights of layers that are not trained (a frozen
    pretrained part, an adapted `Normalization`): they are part of the model. If `model` is
    compiled, the new one is too, with its own optimizer.

    Args:
        model: a Sequential or Functional model. It is not changed.
        activation: a candidate, name, object or registered function for all hidden slots; or a
            mapping from slot names to such, which may name slots of any role. A trained activation
            (``"prelu"``) has one alpha a channel. What is written as the slot's `current` changes
            nothing there.
        weights: whether to copy all weights; a new trained activation starts afresh.
        rescale_init: whether a kernel that feeds a slot is initialized as the slot's activation
            needs it, with variance ``gain**2 / fan_in``; see
            `keras_acts.search.rewrite.initializers`.

    Raises:
        ModelError: if the model has no hidden slot, or none of a name in the mapping; if an
            activation that mixes the elements of a sample is meant for a hidden slot; or if a layer
            cannot be made again from its config.
        ActivationError: if there is no such activation.

    Example:
        >>> with_activations(model, "mish")
        >>> with_activations(model, {"encoder/conv1": "trelu(theta=0.5)", "lstm.recurrent_activation": "hard_sigmoid"})
    """
    return rewritten(model, activation, weights=weights, rescale_init=rescale_init)


def rewritten(
    model: keras.Model,
    activation: Any,
    *,
    weights: bool = False,
    rescale_init: bool = False,
    compiled: bool = True,
) -> keras.Model:
    """Return what `with_activations` does.

    Not compiled, if so asked: that takes Keras as long as all the rest.
    """
    copy = ModelCloner(_changes(slot_sites(model), activation, rescale_init))
    with dtype_policy(model.dtype_policy):
        result = copy.model(model)
        copy.restore(model, result, weights)
        if compiled:
            copy.compile()
    return result


def rewritten_layer(
    model: keras.Model, found: Sequence[SlotSite], activation: Any, layer: Any
) -> Any:
    """Return one layer as `rewritten` would make it, connected to no others.

    In a large model that is much faster.

    Args:
        model: that the layer belongs to.
        found: the sites that are rewritten, the layer's.
        activation: as of `with_activations`.
        layer: of the model or of one inside; or an operation.

    Raises:
        ModelError: as `with_activations`.
    """
    copy = ModelCloner(_changes(found, activation, rescale_init=False))
    with dtype_policy(model.dtype_policy):
        result = copy.layer(layer)
        if isinstance(layer, keras.layers.Layer):
            result.build_from_config(layer.get_build_config())
            copy.restore(layer, result, weights=False)
    return result


def _changes(
    found: Sequence[SlotSite], activation: Any, rescale_init: bool
) -> dict[int, dict[str, Any]]:
    """The new arguments of constructors, for the identities of layers."""
    new = {
        place: candidate
        for place, candidate in zip(found, _chosen(found, activation), strict=True)
        if candidate
    }
    changed: dict[int, dict[str, Any]] = {}
    for place, candidate in new.items():
        made = candidate.activation(place.slot.channels, place.axis)
        changed.setdefault(id(place.layer), {})[place.argument] = made
    if rescale_init:
        for layer, initializer in rescaled_initializers(new):
            changed.setdefault(id(layer), {})["kernel_initializer"] = initializer
    return changed


@contextmanager
def dtype_policy(policy: Any) -> Iterator[None]:
    """Keras' global policy is a model's own, and with it compile decides on loss scaling.

    KerasTuner resets it.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _chosen(found: Sequence[SlotSite], activation: Any) -> list[Candidate | None]:
    """The candidate for each place; None where nothing changes."""
    table = SlotTable(place.slot for place in found)
    if isinstance(activation, Mapping):
        names = {slot.name: slot for slot in table}
        for name in activation:
            if name not in names:
                raise ModelError(
                    f"The mapping must name slots of the model: {sorted(names)}. Received: {name!r}"
                )
        wanted = {name: value for name, value in activation.items() if value != names[name].current}
    else:
        wanted = {slot.name: activation for slot in table.hidden}
        if not wanted:
            raise ModelError(
                "The model must have a hidden activation slot, such as Dense(..., activation='relu') inside. "
                f"Received: a model with the slots {[(slot.name, slot.role) for slot in table]}"
            )
    candidates = {name: Candidate.of(value) for name, value in wanted.items()}
    for slot in table:
        if (
            slot.role == "hidden"
            and slot.name in candidates
            and not candidates[slot.name].elementwise
        ):
            raise ModelError(
                "A hidden slot needs an activation of each element by itself. "
                f"Received: {candidates[slot.name]} for the slot {slot.name!r}"
            )
    return [candidates.get(slot.name) for slot in table]


class ModelCloner:
    """Makes a model again, layer by layer, each once.

    Shared layers stay shared, also between nested models.

    Args:
        changed: for the identity of a layer, the arguments of its constructor that are new.
    """

    def __init__(self, changed: dict[int, dict[str, Any]]):
        self._changed = changed
        self._made: dict[int, Any] = {}
        self._models: list[
            tuple[Any, Any]
        ] = []  # of the given model and those in it, each with its copy
        self._replaced: set[int] = set()

    def model(self, model: Any) -> Any:
        """Return the copy of a model, not compiled."""
        check_methods(model)
        if isinstance(model, keras.Sequential):
            made = sequential_again(model, [self.layer(layer) for layer in model.layers])
        else:
            # clone_model's own way into nested models differs between versions, and leads into no
            # wrapper
            made = keras.models.clone_model(
                _uncompiled(model), clone_function=self.layer, call_function=_call
            )
            made = functional_again(model, made)
        self._models.append((model, made))
        return made

    def layer(self, layer: Any) -> Any:
        """Return the copy of a layer or operation, with its new arguments."""
        if id(layer) not in self._made:
            try:
                self._made[id(layer)] = self._make(layer)
            except (TypeError, NotImplementedError) as error:
                raise ModelError(
                    "Every layer must be made again from its config: give it a get_config() that returns the arguments "
                    f"of its constructor. Received: {layer.name!r} of class {type(layer).__name__} ({error})"
                ) from error
        return self._made[id(layer)]

    def _make(self, layer: Any) -> Any:
        if isinstance(layer, MODELS):
            return self.model(layer)
        new = self._changed.get(id(layer), {})
        if new and is_activation(layer):
            # an operation has no policy of its own: it computes in what it is given
            policy = (
                layer.dtype_policy if isinstance(layer, keras.layers.Layer) else layer.output.dtype
            )
            return keras.layers.Activation(new["activation"], name=layer.name, dtype=policy)
        if isinstance(layer, keras.layers.Lambda):
            # its config is made for files: it loses a lambda's globals, and cannot be read back
            config = keras.layers.Layer.get_config(layer)
            return type(layer)(
                layer.function, output_shape_argument(layer), layer.mask, layer.arguments, **config
            )
        parts = parts_of(layer)
        copies = {
            argument: [self.layer(one) for one in part]
            if isinstance(part, list)
            else self.layer(part)
            for argument, part in parts.items()
        }
        return made_again(layer, {**layer.get_config(), **new, **copies}, whole=not parts)

    def restore(self, old: Any, new: Any, weights: bool) -> None:
        """Give a copy its `trainable`, and the weights of what is not trained, or of all."""
        check_same_methods(old, new)
        if new.trainable != old.trainable:
            new.trainable = old.trainable
        if isinstance(old, MODELS):
            # what a layer's constructor made, it made for the copy too: then they are alike one by
            # one
            by_constructor = not any(id(layer) in self._made for layer in old.layers)
            pairs = self._pairs(old, old.layers, new.layers) if by_constructor else []
            pairs += [
                (layer, self._made[id(layer)]) for layer in old.layers if id(layer) in self._made
            ]
        else:
            # a recurrent layer's activation belongs to its cell, one level down
            self._replaced |= {
                id(getattr(layer, argument, None))
                for layer in (old, new)
                for argument in self._changed.get(id(old), {})
            }
            if weights or not old.trainable or isinstance(old, keras.layers.Normalization):
                self._copy_own_weights(old, new)
            copy_assets(old, new)
            kept = [
                [part for part in layers_held_by(layer) if id(part) not in self._replaced]
                for layer in (old, new)
            ]
            pairs = self._pairs(old, *kept)
        for pair in pairs:
            self.restore(*pair, weights)

    def compile(self) -> None:
        """Compile the copies of what is compiled, alike."""
        for old, new in self._models:
            if old.compiled:
                _compile(old, new)

    def _pairs(self, old: Any, theirs: Sequence[Any], ours: Sequence[Any]) -> list[tuple[Any, Any]]:
        if [type(layer) for layer in theirs] != [type(layer) for layer in ours]:
            raise ModelError(
                "A layer that is made again from its config must hold layers of the same classes in the same order. "
                f"Received: {old.name!r} of class {type(old).__name__}, which holds {_kinds(theirs)}, "
                f"and then {_kinds(ours)}"
            )
        return list(zip(theirs, ours, strict=True))

    def _copy_own_weights(self, old: Any, new: Any) -> None:
        """Copy the weights of a layer itself, not of layers inside.

        Another activation has none to copy.
        """
        values, places = map(own_variables, (old, new))
        if [v.shape for v in values] == [v.shape for v in places]:
            for value, place in zip(values, places, strict=True):
                place.assign(value)
        elif id(old) not in self._changed:
            raise ModelError(
                "A layer that is made again from its config must have weights of the same shapes. Received: "
                f"{old.name!r} of class {type(old).__name__} with {[tuple(v.shape) for v in values]}, "
                f"and then {[tuple(v.shape) for v in places]}"
            )
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()


def _kinds(layers: Sequence[Any]) -> list[str]:
    return [type(layer).__name__ for layer in layers]


def _uncompiled(model: Any) -> Any:
    """The same model under another identity, which says that it is not compiled.

    Keras compiles what it clones.
    """
    same = object.__new__(type(model))
    same.__dict__.update(model.__dict__, compiled=False)
    return same


def _compile(old: Any, new: Any) -> None:
    if "compile" in own_methods(old):
        raise ModelError(
            "A model with a compile() of its own cannot be compiled again: give a function build(hp, activation) "
            f"instead. Received: {old.name!r} of class {type(old).__name__}"
        )
    new.compile(**compile_arguments(old))
    if new.built and new.optimizer is not None:
        new.optimizer.build(new.trainable_variables)


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a copy as its original was called.

    Only Keras' Softmax, of the layers that are activations, takes a mask.
    """
    if type(layer) is keras.layers.Activation and kwargs.pop("mask", None) is not None:
        raise ModelError(
            "A softmax that is called with a mask cannot be replaced: leave its slot as it is. "
            f"Received: another activation for {layer.name!r}"
        )
    return layer(*args, **kwargs)
