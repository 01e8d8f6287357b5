"""The same model with other activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import keras

from keras_acts.compat import layers_held_by, output_shape_argument, own_variables
from keras_acts.errors import ModelError

from ..runtime.seeding import isolated_seed
from ..space.candidate import Activation, ActivationLike, Candidate
from .compiling import compile_arguments
from .graph import MODELS, parts_of
from .initializers import rescaled_initializers
from .own_training import own_methods
from .proof import check_copy, is_of_users, is_proved, note_proved
from .remaking import (
    check_methods,
    check_same_methods,
    copy_assets,
    functional_again,
    made_again,
    sequential_again,
)
from .slots import Slot, SlotSite, SlotTable, is_activation, slot_sites, slots
from .walk import layers_of

__all__ = ["Slot", "SlotTable", "slots", "with_activations"]

# where Keras' layers keep the functions that they apply
_FUNCTIONS = ("activation", "recurrent_activation")

# one activation for all hidden slots, or one for each of the slots that are named
Activations: TypeAlias = ActivationLike | Mapping[str, ActivationLike]
# the new arguments of a layer's constructor, by name
_Arguments: TypeAlias = dict[str, Any]
# those of each layer that changes, by its identity
_Changes: TypeAlias = dict[int, _Arguments]
# a layer and its copy
_Pair: TypeAlias = tuple[keras.Operation, keras.Operation]


def with_activations(
    model: keras.Model,
    activation: Activations,
    *,
    weights: bool = False,
    rescale_init: bool = False,
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
    activation: Activations,
    *,
    weights: bool = False,
    rescale_init: bool = False,
    compiled: bool = True,
) -> keras.Model:
    """Return what `with_activations` does.

    Not compiled, if so asked: that takes Keras as long as all the rest.
    """
    cloner = ModelCloner(_changes(slot_sites(model), activation, rescale_init))
    with dtype_policy(model.dtype_policy):
        _check_copies(model)
        copy = cloner.model(model)
        cloner.restore(model, copy, weights)
        if compiled:
            cloner.compile()
    return copy


def _check_copies(model: keras.Model) -> None:
    """Check that copies of layers that a user wrote are copies.

    Raises:
        ModelError: if one is not.
    """
    for _, layer in layers_of(model):
        if not is_of_users(layer) or is_proved(layer):
            continue
        with isolated_seed(0):  # the copy has initializers
            cloner = ModelCloner({})
            copy = cloner.layer(layer)
            restore = partial(cloner.restore, layer, copy, weights=True)
            check_copy(layer, copy, restore, guessed=bool(cloner.guessed))
        note_proved(layer)


def rewritten_layer(
    model: keras.Model,
    sites: Sequence[SlotSite],
    activation: Activations,
    layer: keras.Operation,
) -> keras.Operation:
    """Return one layer as `rewritten` would make it, connected to no others.

    In a large model that is much faster.

    Args:
        model: that the layer belongs to.
        sites: the slots that are rewritten, the layer's.
        activation: as of `with_activations`.
        layer: of the model or of one inside; or an operation.

    Raises:
        ModelError: as `with_activations`.
    """
    cloner = ModelCloner(_changes(sites, activation, rescale_init=False))
    with dtype_policy(model.dtype_policy):
        copy = cloner.layer(layer)
        if isinstance(layer, keras.layers.Layer):
            copy.build_from_config(layer.get_build_config())
            cloner.restore(layer, copy, weights=False)
    return copy


def _changes(sites: Sequence[SlotSite], activation: Activations, rescale_init: bool) -> _Changes:
    """The new arguments of constructors, for the identities of layers."""
    chosen = _chosen(sites, activation)
    changes: _Changes = {}
    for site, candidate in chosen.items():
        new = candidate.activation(site.slot.channels, site.axis)
        changes.setdefault(id(site.layer), {})[site.argument] = new
    if rescale_init:
        for layer, initializer in rescaled_initializers(chosen):
            changes.setdefault(id(layer), {})["kernel_initializer"] = initializer
    return changes


@contextmanager
def dtype_policy(policy: str | keras.DTypePolicy) -> Iterator[None]:
    """Keras' global policy is a model's own, and with it compile decides on loss scaling.

    KerasTuner resets it.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _chosen(sites: Sequence[SlotSite], activation: Activations) -> dict[SlotSite, Candidate]:
    """The candidate for each slot that changes."""
    table = SlotTable(site.slot for site in sites)
    wanted = _wanted(table, activation)
    candidates = {name: Candidate.of(value) for name, value in wanted.items()}
    chosen = {}
    for site in sites:
        slot = site.slot
        if slot.name not in candidates:
            continue
        candidate = candidates[slot.name]
        if slot.role == "hidden" and not candidate.elementwise:
            raise ModelError(
                "A hidden slot needs an activation of each element by itself. "
                f"Received: {candidate} for the slot {slot.name!r}"
            )
        chosen[site] = candidate
    return chosen


def _wanted(table: SlotTable, activation: Activations) -> Mapping[str, ActivationLike]:
    """What was asked for, by the names of the slots that change."""
    if isinstance(activation, Mapping):
        current = {slot.name: slot.current for slot in table}
        for name in activation:
            if name not in current:
                raise ModelError(
                    f"The mapping must name slots of the model: {sorted(current)}. Received: "
                    f"{name!r}"
                )
        return {name: value for name, value in activation.items() if value != current[name]}
    if not table.hidden:
        roles = [(slot.name, slot.role) for slot in table]
        raise ModelError(
            "The model must have a hidden activation slot, such as Dense(..., activation='relu') "
            f"inside. Received: a model with the slots {roles}"
        )
    return {slot.name: activation for slot in table.hidden}


class ModelCloner:
    """Makes a model again, layer by layer, each once.

    Shared layers stay shared, also between nested models.

    Args:
        changes: for the identity of a layer, the arguments of its constructor that are new.
    """

    def __init__(self, changes: _Changes):
        self._changes = changes
        # by the identity of the original
        self._copies: dict[int, keras.Operation] = {}
        # the given model and those in it, each with its copy
        self._models: list[tuple[keras.Model, keras.Model]] = []
        # the identities of activations that are layers, and of what takes their place
        self._replaced: set[int] = set()
        # by the identity of a recurrent layer's cell, the layer's arguments that are new
        self._changed_of_cells: dict[int, set[str]] = {}
        # layers whose constructor got the values of attributes: only their output shows a copy
        self.guessed: list[keras.Operation] = []

    def model(self, model: keras.Model) -> keras.Model:
        """Return the copy of a model, not compiled."""
        check_methods(model)
        if isinstance(model, keras.Sequential):
            copy = sequential_again(model, list(map(self.layer, model.layers)))
        else:
            # clone_model's own way into nested models differs between versions, and leads into no
            # wrapper
            clone = keras.models.clone_model(
                _uncompiled(model), clone_function=self.layer, call_function=_call
            )
            copy = functional_again(model, clone)
        self._models.append((model, copy))
        return copy

    def layer(self, layer: keras.Operation) -> keras.Operation:
        """Return the copy of a layer or operation, with its new arguments."""
        if id(layer) not in self._copies:
            try:
                self._copies[id(layer)] = self._make(layer)
            except (TypeError, NotImplementedError) as error:
                raise ModelError(
                    "Every layer must be made again from its config: give it a get_config() that "
                    f"returns the arguments of its constructor. Received: {layer.name!r} of class "
                    f"{type(layer).__name__} ({error})"
                ) from error
        return self._copies[id(layer)]

    def _make(self, layer: keras.Operation) -> keras.Operation:
        if isinstance(layer, MODELS):
            return self.model(layer)
        new = self._changes.get(id(layer), {})
        if new and is_activation(layer):
            return _activation_layer(layer, new["activation"])
        if isinstance(layer, keras.layers.Lambda):
            return _lambda_again(layer)
        copies: _Arguments = {}
        for argument, part in parts_of(layer).items():
            if isinstance(part, list):
                copies[argument] = list(map(self.layer, part))
            else:
                copies[argument] = self.layer(part)
        copy, guessed = made_again(layer, new, copies, self.layer)
        if guessed:
            self.guessed.append(layer)
        return copy

    def restore(self, old: keras.Operation, new: keras.Operation, weights: bool) -> None:
        """Give a copy its `trainable`, and the weights of what is not trained, or of all."""
        check_same_methods(old, new)
        if new.trainable != old.trainable:
            new.trainable = old.trainable
        if isinstance(old, MODELS):
            pairs = self._layers_of_models(old, new)
        else:
            self._note_replaced(old, new)
            self._keep_functions(old, new)
            if weights or not old.trainable or isinstance(old, keras.layers.Normalization):
                self._copy_own_weights(old, new)
            copy_assets(old, new)
            pairs = _pairs(old, self._kept_layers(old), self._kept_layers(new))
        for old_layer, new_layer in pairs:
            self.restore(old_layer, new_layer, weights)

    def compile(self) -> None:
        """Compile the copies of what is compiled, alike."""
        for old, new in self._models:
            if old.compiled:
                _compile(old, new)

    def _layers_of_models(self, old: keras.Model, new: keras.Model) -> list[_Pair]:
        """The layers of a model, each with its copy."""
        copied = [layer for layer in old.layers if id(layer) in self._copies]
        if not copied:
            # what a layer's constructor made, it made for the copy too: then they are alike one by
            # one
            return _pairs(old, old.layers, new.layers)
        return [(layer, self._copies[id(layer)]) for layer in copied]

    def _note_replaced(self, old: keras.Operation, new: keras.Operation) -> None:
        """Remember the activations of a layer and its copy, where they are others.

        A recurrent layer's activation belongs to its cell, one level down.
        """
        changed = self._changes.get(id(old), {})
        self._changed_of_cells[id(getattr(old, "cell", None))] = set(changed)
        for argument in changed:
            for layer in (old, new):
                self._replaced.add(id(getattr(layer, argument, None)))

    def _keep_functions(self, old: keras.Operation, new: keras.Operation) -> None:
        """Give a copy the very activations of a layer, which a config tells by their names only.

        `keras.ops.gelu` approximates; by its name a layer gets `keras.activations.gelu`, which does
        not.
        """
        changed = {*self._changes.get(id(old), {}), *self._changed_of_cells.get(id(old), ())}
        for argument in _FUNCTIONS:
            function = vars(old).get(argument)
            is_function = callable(function) and not isinstance(function, keras.Operation)
            if is_function and argument not in changed:
                setattr(new, argument, function)

    def _kept_layers(self, layer: keras.Operation) -> list[keras.layers.Layer]:
        """The layers that a layer holds, without an activation that is another in the copy."""
        return [part for part in layers_held_by(layer) if id(part) not in self._replaced]

    def _copy_own_weights(self, old: keras.layers.Layer, new: keras.layers.Layer) -> None:
        """Copy the weights of a layer itself, not of layers inside.

        Another activation has none to copy.
        """
        values = own_variables(old)
        variables = own_variables(new)
        if _shapes(values) == _shapes(variables):
            for value, variable in zip(values, variables, strict=True):
                variable.assign(value)
        elif id(old) not in self._changes:
            raise ModelError(
                "A layer that is made again from its config must have weights of the same shapes. "
                f"Received: {old.name!r} of class {type(old).__name__} with {_shapes(values)}, and "
                f"then {_shapes(variables)}"
            )
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()


def _activation_layer(layer: keras.Operation, activation: Activation) -> keras.layers.Activation:
    """A layer with another activation, in place of one that is nothing but an activation."""
    # an operation has no policy of its own: it computes in what it is given
    policy = layer.output.dtype
    if isinstance(layer, keras.layers.Layer):
        policy = layer.dtype_policy
    return keras.layers.Activation(activation, name=layer.name, dtype=policy)


def _lambda_again(layer: keras.layers.Lambda) -> keras.layers.Lambda:
    # its own config is made for files: it loses a lambda's globals, and cannot be read back
    config = keras.layers.Layer.get_config(layer)
    return type(layer)(
        layer.function, output_shape_argument(layer), layer.mask, layer.arguments, **config
    )


def _pairs(
    owner: keras.Operation,
    old: Sequence[keras.layers.Layer],
    new: Sequence[keras.layers.Layer],
) -> list[_Pair]:
    """The layers that a layer holds, each with that of the copy in its place."""
    if list(map(type, old)) != list(map(type, new)):
        raise ModelError(
            "A layer that is made again from its config must hold layers of the same classes in "
            f"the same order. Received: {owner.name!r} of class {type(owner).__name__}, which "
            f"holds {_kinds(old)}, and then {_kinds(new)}"
        )
    return list(zip(old, new, strict=True))


def _kinds(layers: Sequence[keras.layers.Layer]) -> list[str]:
    return [type(layer).__name__ for layer in layers]


def _shapes(variables: Sequence[keras.Variable]) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in variables]


def _uncompiled(model: keras.Model) -> keras.Model:
    """The same model under another identity, which says that it is not compiled.

    Keras compiles what it clones.
    """
    same = object.__new__(type(model))
    same.__dict__.update(model.__dict__, compiled=False)
    return same


def _compile(old: keras.Model, new: keras.Model) -> None:
    if "compile" in own_methods(old):
        raise ModelError(
            "A model with a compile() of its own cannot be compiled again: give a function "
            f"build(hp, activation) instead. Received: {old.name!r} of class {type(old).__name__}"
        )
    new.compile(**compile_arguments(old))
    if new.built and new.optimizer is not None:
        new.optimizer.build(new.trainable_variables)


def _call(layer: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    """Call a copy as its original was called.

    Only Keras' Softmax, of the layers that are activations, takes a mask.
    """
    if type(layer) is keras.layers.Activation and kwargs.pop("mask", None) is not None:
        raise ModelError(
            "A softmax that is called with a mask cannot be replaced: leave its slot as it is. "
            f"Received: another activation for {layer.name!r}"
        )
    return layer(*args, **kwargs)
