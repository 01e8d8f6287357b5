"""A model made again, layer by layer, with other arguments and other activations inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras

from keras_acts.compat import layers_held_by, output_shape_argument, own_variables
from keras_acts.errors import ModelError
from keras_acts.inside import ACTIVATION_LAYERS, places
from keras_acts.rewritten import RewrittenLayer, user_class

from ..space.candidate import Activation
from .arguments import Arguments
from .compiling import compile_arguments
from .graph import MODELS, parts_of
from .own_training import own_methods
from .remaking import (
    check_methods,
    check_same_methods,
    copy_assets,
    functional_again,
    made_again,
    sequential_again,
)

# where layers keep the functions that they apply
_FUNCTIONS = ("activation", "recurrent_activation")

# a layer and its copy
_Pair: TypeAlias = tuple[keras.Operation, keras.Operation]


@dataclass
class LayerChanges:
    """What is another in the copy of a layer.

    Attributes:
        arguments: of its constructor.
        inside: the activations in it, by the names of their places.
    """

    arguments: Arguments = field(default_factory=dict)
    inside: dict[str, Activation] = field(default_factory=dict)


# those of each layer that changes, by its identity
Changes: TypeAlias = dict[int, LayerChanges]


def is_activation(layer: keras.Operation) -> bool:
    """Whether a layer or operation of a model with a slot is nothing but an activation."""
    return isinstance(layer, ACTIVATION_LAYERS) or not isinstance(layer, keras.layers.Layer)


class ModelCloner:
    """Makes a model again, layer by layer, each once.

    Shared layers stay shared, also between nested models.

    Args:
        changes: what is new in layers, by their identities.
    """

    def __init__(self, changes: Changes):
        self._changes = changes
        # by the identity of the original
        self._copies: dict[int, keras.Operation] = {}
        # the given model and those in it, each with its copy
        self._models: list[tuple[keras.Model, keras.Model]] = []
        # the identities of activations that are layers, and of what takes their place
        self._replaced: set[int] = set()
        # the identities of layers that were made from a config, and of the cells in them
        self._from_config: set[int] = set()
        # by the identity of a layer, what stands for it in the copy
        self._twins: dict[int, keras.Operation] = {}
        # all layers that may have variables, each with its copy
        self._with_variables: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
        # by the identity of a variable, what stands for it in the copy
        self._twins_of_variables: dict[int, keras.Variable] = {}
        # by the identity of a layer, its arguments that are activations, and others in the copy
        self._changed: dict[int, set[str]] = {}
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
        new = self._changes.get(id(layer), LayerChanges())
        if new.arguments and is_activation(layer):
            other = _activation_layer(layer, new.arguments["activation"])
            # a layer of a user's may hold them too
            self._replaced |= {id(layer), id(other)}
            return other
        if isinstance(layer, keras.layers.Lambda):
            return _lambda_again(layer)
        self._from_config |= {id(layer), id(getattr(layer, "cell", layer))}
        copies: Arguments = {}
        for argument, part in parts_of(layer).items():
            if isinstance(part, list):
                copies[argument] = list(map(self.layer, part))
            else:
                copies[argument] = self.layer(part)
        inside = {**_exchanged(layer), **new.inside}
        copy, guessed = made_again(layer, new.arguments, copies, self.layer, inside)
        if guessed:
            self.guessed.append(layer)
        return copy

    def restore(self, old: keras.Operation, new: keras.Operation, weights: bool) -> None:
        """Give a copy its `trainable`, and the weights of what is not trained, or of all.

        Raises:
            ModelError: if the copy is not what it is a copy of.
        """
        self._restore(old, new, weights)
        # last: a layer of which the copy has two has two variables as well, and says more
        for old_layer, new_layer in self._with_variables:
            self._check_shared_variables(old_layer, new_layer)

    def _restore(self, old: keras.Operation, new: keras.Operation, weights: bool) -> None:
        """Restore a copy, then what it holds."""
        check_same_methods(old, new)
        self._check_shared(old, new)
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
            pairs = self._layers_held(old, new)
        for old_layer, new_layer in pairs:
            self._restore(old_layer, new_layer, weights)

    def compile(self) -> None:
        """Compile the copies of what is compiled, alike."""
        for old, new in self._models:
            if old.compiled:
                _compile(old, new)

    def _check_shared(self, old: keras.Operation, new: keras.Operation) -> None:
        """Check that what several layers hold is one layer in the copy too.

        A `from_config` of a user's gets what a file has, and makes a layer of its own of it.
        """
        twin = self._twins.setdefault(id(old), new)
        has_variables = isinstance(old, keras.layers.Layer) and bool(old.variables)
        if new is old and has_variables:
            raise ModelError(
                "A copy of a model must have layers of its own: have the layer that holds this one "
                "make it, or take it as an argument of its constructor, or give a function "
                f"build(hp, activation) instead. Received: {old.name!r} of class "
                f"{type(old).__name__}, which the copy holds too"
            )
        if twin is not new and (has_variables or id(old) in self._changes):
            raise ModelError(
                "A layer that several layers hold must be one in a copy of the model too: leave "
                "from_config() to Keras in a class whose constructor takes a layer, and have its "
                "get_config() return that layer itself; or give a function build(hp, activation) "
                f"instead. Received: {old.name!r} of class {type(old).__name__}, of which the copy has two"
            )
        if isinstance(old, keras.layers.Layer) and isinstance(new, keras.layers.Layer):
            self._with_variables.append((old, new))

    def _check_shared_variables(self, old: keras.layers.Layer, new: keras.layers.Layer) -> None:
        """Check that a variable that two layers have is one in the copy too: tied weights."""
        for variable, copied in zip(own_variables(old), own_variables(new), strict=False):
            if copied is variable and variable.trainable:
                raise ModelError(
                    "A copy of a model must have weights of its own: have the layer make them, in "
                    "build() with add_weight(), or give a function build(hp, activation) instead. "
                    f"Received: {variable.path!r} of {old.name!r}, which the copy has too"
                )
            if self._twins_of_variables.setdefault(id(variable), copied) is not copied:
                raise ModelError(
                    "Layers that share a variable must do so in a copy of the model too: have the "
                    "one layer hold the other, as an argument of its constructor, or give a function "
                    f"build(hp, activation) instead. Received: {variable.path!r}, which "
                    f"{old.name!r} shares with another layer"
                )

    def _layers_of_models(self, old: keras.Model, new: keras.Model) -> list[_Pair]:
        """The layers of a model, each with its copy."""
        copied = [layer for layer in old.layers if id(layer) in self._copies]
        if not copied:
            # what a layer's constructor made, it made for the copy too: then they are alike one by
            # one
            return _pairs(old, self._not_replaced(old.layers), self._not_replaced(new.layers))
        return [(layer, self._copies[id(layer)]) for layer in copied]

    def _note_replaced(self, old: keras.Operation, new: keras.Operation) -> None:
        """Remember the activations of a layer and its copy, where they are others.

        A recurrent layer's activation belongs to its cell, one level down.
        """
        changes = self._changes.get(id(old), LayerChanges())
        for argument in changes.arguments:
            self._note_changed(old, argument)
            for layer in (old, new):
                self._replaced.add(id(getattr(layer, argument, None)))
        if not changes.inside:
            return
        for layer in (old, new):
            found = places(layer)
            for name in changes.inside:
                place = found[name]
                self._note_changed(place.layer, place.argument)
                self._replaced.add(id(place.activation))
                if isinstance(place.layer, ACTIVATION_LAYERS):
                    self._replaced.add(id(place.layer))

    def _note_changed(self, layer: keras.Operation, argument: str) -> None:
        """Remember that a layer's activation is another in the copy; a recurrent layer's is its cell's."""
        for part in (layer, getattr(layer, "cell", layer)):
            self._changed.setdefault(id(part), set()).add(argument)

    def _keep_functions(self, old: keras.Operation, new: keras.Operation) -> None:
        """Give a copy the very activations of a layer, which a config tells by their names only.

        `keras.ops.gelu` approximates; by its name a layer gets `keras.activations.gelu`, which does
        not.
        """
        if id(old) not in self._from_config:
            # what a constructor of a user's made has what that was given
            return
        for argument in _FUNCTIONS:
            function = vars(old).get(argument)
            is_function = callable(function) and not isinstance(function, keras.Operation)
            if is_function and argument not in self._changed.get(id(old), ()):
                setattr(new, argument, function)

    def _layers_held(self, old: keras.Operation, new: keras.Operation) -> list[_Pair]:
        """The layers that a layer holds, each with its copy, but for an activation that is another."""
        held = layers_held_by(old)
        kept = self._not_replaced(held)
        kept_in_copy = self._not_replaced(layers_held_by(new))
        if not _are_alike(kept, kept_in_copy):
            # an activation that another layer holds too may be another there, and the same here
            both = self._with_those_still_there(held, kept_in_copy)
            if _are_alike(both, kept_in_copy):
                kept = both
        return _pairs(old, kept, kept_in_copy)

    def _with_those_still_there(
        self, held: Sequence[keras.layers.Layer], in_copy: Sequence[keras.layers.Layer]
    ) -> list[keras.layers.Layer]:
        """Those of some layers that are not replaced, or for which the copy has one of their class."""
        found: list[keras.layers.Layer] = []
        for layer in held:
            is_there = _are_alike([layer], in_copy[len(found) : len(found) + 1])
            if is_there or id(layer) not in self._replaced:
                found.append(layer)
        return found

    def _not_replaced(self, layers: Sequence[keras.layers.Layer]) -> list[keras.layers.Layer]:
        return [layer for layer in layers if id(layer) not in self._replaced]

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


def _exchanged(layer: keras.Operation) -> dict[str, Activation]:
    """The activations that were put inside a layer before, those that are layers made again."""
    if not isinstance(layer, RewrittenLayer):
        return {}
    exchanged = dict(layer.exchanged)
    for name, activation in exchanged.items():
        if isinstance(activation, keras.layers.Layer):
            exchanged[name] = type(activation).from_config(activation.get_config())
    return exchanged


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
    if not _are_alike(old, new):
        raise ModelError(
            "A layer that is made again from its config must hold layers of the same classes in "
            f"the same order. Received: {owner.name!r} of class {type(owner).__name__}, which "
            f"holds {_kinds(old)}, and then {_kinds(new)}"
        )
    return list(zip(old, new, strict=True))


def _are_alike(old: Sequence[keras.layers.Layer], new: Sequence[keras.layers.Layer]) -> bool:
    """Whether they are as many layers, of the same classes in the same order."""
    return list(map(user_class, old)) == list(map(user_class, new))


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
