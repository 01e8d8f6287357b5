"""The slots inside a layer that a user wrote.

Each is proved on a copy of the layer: another activation there changes what the layer makes.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_acts.compat import all_layers
from keras_acts.errors import ModelError
from keras_acts.inside import Activation, Place, activation_names, places
from keras_acts.rewritten import user_class

from ..runtime.seeding import isolated_seed
from ..space.known import is_of_keras_or_ours
from .arguments import takes_argument
from .cloner import LayerChanges, ModelCloner
from .graph import Shape
from .proof import plain_attributes
from .sample_run import Arguments, Outcome, random_weights, run, sample_arguments, with_values

_ARGUMENTS = ("activation", "recurrent_activation")
# sizes of axes that have none: what differs between them has none either
_UNKNOWN = (4, 6)
# methods in which an activation is named for something else than to apply it
_NOT_CALLED = {"__init__", "build", "get_config", "from_config"}
# by what a class has in place of a method, where the function is
_KEPT_IN: tuple[tuple[type, str], ...] = (
    (functools.cached_property, "func"),
    (functools.partialmethod, "func"),
    (functools.partial, "func"),
    (property, "fget"),
)


@dataclass(frozen=True, eq=False)
class InnerSlot:
    """A place inside a layer, as its copy shows it.

    Attributes:
        place: inside the layer itself.
        shape: of what the activation makes; the first axis has no size.
        at_end: whether the layer returns what the activation makes, perhaps in another order.
    """

    place: Place
    shape: Shape
    at_end: bool


@dataclass(frozen=True)
class Inside:
    """What was found inside a layer.

    Attributes:
        slots: that can be searched.
        why_not: why those that there are cannot be; empty if they can.
        called: by class, the functions that its own code calls.
    """

    slots: tuple[InnerSlot, ...] = ()
    why_not: str = ""
    called: tuple[tuple[str, tuple[str, ...]], ...] = ()


class _Proved(NamedTuple):
    """A slot inside, as `InnerSlot` has it, by the name of its place.

    A place leads to the layer, and so to its model: neither would ever be freed if it was kept here.
    """

    name: str
    shape: Shape
    at_end: bool


class _Followed(NamedTuple):
    """What was found inside a layer, and what it looked like then."""

    looks: tuple[dict[str, Any], dict[str, object]]
    slots: tuple[_Proved, ...]
    why_not: str
    called: tuple[tuple[str, tuple[str, ...]], ...]


_FOLLOWED: weakref.WeakKeyDictionary[keras.layers.Layer, _Followed] = weakref.WeakKeyDictionary()


def inside(layer: keras.layers.Layer, outer: keras.layers.Layer) -> Inside:
    """Return what is inside a layer that a user wrote. Nothing of it changes.

    Args:
        layer: the layer.
        outer: what a model calls: the layer itself, or the wrapper around it.
    """
    # what its constructor takes is a slot by itself
    arguments = frozenset(name for name in _ARGUMENTS if _is_argument(layer, name))
    if arguments and "cell" in vars(layer):
        arguments |= {"cell"}  # of a subclass of an LSTM, which hands them on
    found = places(layer, without=arguments)
    activations = {name: _reference(place.activation) for name, place in found.items()}
    looks = (plain_attributes(layer), activations)
    followed = _FOLLOWED.get(layer)
    if followed is None or followed.looks != looks:
        proved: tuple[_Proved, ...] = ()
        why_not = ""
        if found:
            try:
                with isolated_seed(0):
                    proved = _proved(layer, outer, found, arguments)
            except _NotFollowed as reason:
                why_not = str(reason)
        followed = _Followed(looks, proved, why_not, tuple(_called_functions(layer)))
        _FOLLOWED[layer] = followed
    slots = [InnerSlot(found[slot.name], slot.shape, slot.at_end) for slot in followed.slots]
    return Inside(tuple(slots), followed.why_not, followed.called)


def _reference(activation: Activation) -> object:
    """What tells an activation from others, also from later ones, without keeping it alive."""
    if inspect.ismethod(activation):  # a new object each time that it is looked up
        return weakref.WeakMethod(activation)
    try:
        return weakref.ref(activation)
    except TypeError:  # a plain value, which holds no layer
        return activation


class _NotFollowed(Exception):
    """Why the inside of a layer cannot be searched."""


def _is_argument(layer: keras.layers.Layer, name: str) -> bool:
    return callable(getattr(layer, name, None)) and takes_argument(layer, name)


def _proved(
    layer: keras.layers.Layer,
    outer: keras.layers.Layer,
    found: dict[str, Place],
    arguments: frozenset[str],
) -> tuple[_Proved, ...]:
    """Those of the places whose activations count."""
    probes = [_Probe(layer, outer, size) for size in _UNKNOWN[: 1 + _has_unknown_axes(outer)]]
    driven = _driven_by_arguments(layer, outer, arguments)
    slots = []
    for name in found:
        if name in driven:
            continue
        seen = [probe.another_at(name) for probe in probes]
        if not all(other.changes for other in seen):
            continue
        slots.append(_Proved(name, _common_shape(seen), seen[0].at_end))
    for probe in probes:
        probe.check_restored()
    return tuple(slots)


class _Probe:
    """A copy of a layer, and of what is around it, which is run with other activations inside."""

    def __init__(self, layer: keras.layers.Layer, outer: keras.layers.Layer, unknown: int):
        self._copy, self._outer = _copies(layer, outer, {})
        self._arguments, self._before = self._first_run(outer, unknown)

    def _first_run(self, outer: keras.layers.Layer, unknown: int) -> tuple[Arguments, Outcome]:
        error: Exception | None = None
        for positive in (False, True):
            arguments = sample_arguments(outer, positive, unknown)
            if arguments is None:
                raise _NotFollowed("the model does not call it by itself")
            try:
                if not self._outer.built:
                    self._outer(*arguments.args, **arguments.options)
                self._weights = with_values(self._outer, random_weights(self._outer))
                return arguments, self._run(arguments)
            except Exception as failed:  # only some inputs are valid for it
                error = failed
        raise _NotFollowed(f"it takes no random input ({type(error).__name__}: {error})")

    def _run(self, arguments: Arguments) -> Outcome:
        return run(self._outer, arguments, self._weights, training=False)

    def another_at(self, name: str) -> _Other:
        """Return what another activation at one place does."""
        place = places(self._copy).get(name)
        if place is None:
            raise _NotFollowed(f"a copy of it has no {name!r}")
        other = _Other(self._before)
        place.put(other.activation)
        try:
            other.outcome = self._run(self._arguments)
        except Exception as error:
            raise _NotFollowed(
                f"with another activation at {name!r} it ends with {type(error).__name__}: {error}"
            ) from error
        finally:
            place.put(place.activation)
        return other

    def check_restored(self) -> None:
        """Check that the copy with the same activations, each put back, is the layer."""
        if not self._run(self._arguments).is_like(self._before):
            raise _NotFollowed("a copy of it with the same activations makes something else")


class _Other:
    """An activation that makes the same numbers of anything, and what a layer makes with it."""

    def __init__(self, before: Outcome):
        self._before = before
        self._made: np.ndarray | None = None
        self.shapes: list[Shape] = []
        self.outcome = before

    def activation(self, x: Any) -> Any:
        """Return random numbers in the shape of the input."""
        self._made = np.random.default_rng(2).normal(size=x.shape)
        self.shapes.append(tuple(x.shape))
        return ops.convert_to_tensor(self._made, dtype=x.dtype)

    @property
    def changes(self) -> bool:
        """Whether it was called, and the layer made something else."""
        return bool(self.shapes) and self.outcome.differs_in_outputs(self._before)

    @property
    def at_end(self) -> bool:
        """Whether an output of the layer is what the activation made, in any order."""
        if self._made is None:
            return False
        made = np.sort(self._made.ravel())
        return any(_consists_of(output.ravel(), made) for output in self.outcome.outputs)


def _consists_of(values: np.ndarray, made: np.ndarray) -> bool:
    """Whether values are the sorted ones, in any order; or each of them is one."""
    if values.size == made.size:
        return bool(np.allclose(np.sort(values), made, atol=1e-2))
    # a wrapper that calls a layer for each step has the same ones in each
    places_among = np.clip(np.searchsorted(made, values), 1, max(made.size - 1, 1))
    around = np.stack([made[places_among - 1], made[np.minimum(places_among, made.size - 1)]])
    return bool(np.all(np.min(np.abs(around - values), axis=0) < 1e-6))


def _common_shape(seen: list[_Other]) -> Shape:
    """The shape at a place; no size where calls differ, or sizes of inputs that are not known."""
    shapes = [shape for other in seen for shape in other.shapes]
    if len({len(shape) for shape in shapes}) != 1:
        return (None,)
    sizes: list[int | None] = [None]
    for column in list(zip(*shapes, strict=True))[1:]:
        size: int | None = column[0]
        if len(set(column)) > 1:
            size = None
        sizes.append(size)
    return tuple(sizes)


def _has_unknown_axes(layer: keras.layers.Layer) -> bool:
    """Whether an axis of an input, but for that of the batch, has no size."""
    return any(None in tensor.shape[1:] for tensor in _inputs(layer))


def _inputs(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    try:
        return list(keras.tree.flatten(layer.input))
    except (AttributeError, ValueError):  # it was not called
        return []


def _copies(
    layer: keras.layers.Layer, outer: keras.layers.Layer, arguments: dict[str, Activation]
) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """Copies of a layer, perhaps with other arguments, and of what is around it."""
    cloner = ModelCloner({id(layer): LayerChanges(arguments=arguments)})
    try:
        outer_copy = cloner.layer(outer)
        copy = cloner.layer(layer)
    except ModelError as error:
        raise _NotFollowed(str(error)) from error
    return copy, outer_copy


def _driven_by_arguments(
    layer: keras.layers.Layer, outer: keras.layers.Layer, arguments: frozenset[str]
) -> set[str]:
    """The places that get what the constructor is given: its argument is the slot, not they."""
    driven: set[str] = set()
    for argument in arguments & set(_ARGUMENTS):
        marked = keras.activations.exponential
        copy, outer_copy = _copies(layer, outer, {argument: marked})
        sample = sample_arguments(outer)
        if sample is not None and not outer_copy.built:
            outer_copy(*sample.args, **sample.options)
        driven |= {name for name, place in places(copy).items() if place.activation is marked}
    return driven


def _called_functions(layer: keras.layers.Layer) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The activations that classes of a user's call in their own code."""
    seen: set[type] = set()
    for part in all_layers(layer):
        kind = user_class(part)
        if kind in seen or is_of_keras_or_ours(part):
            continue
        seen.add(kind)
        names = sorted(_names_in_class(kind) - vars(part).keys())
        if names:
            yield kind.__name__, tuple(names)


def _names_in_class(kind: type) -> set[str]:
    names: set[str] = set()
    for base in kind.__mro__:
        if base.__module__.startswith(("keras.", "keras_acts.")) or base is object:
            continue
        for name, method in vars(base).items():
            if name not in _NOT_CALLED:
                names |= _names_in_function(method, base.__module__, set())
    return names


def _names_in_function(function: object, module: str, seen: set[int]) -> set[str]:
    """The activations that a function names, and those that it calls of the same module."""
    written = _written_function(function)
    if written is None or written.__module__ != module or id(written) in seen:
        return set()
    seen.add(id(written))
    names: set[str] = set()
    # what a decorator has kept of the function that it was given
    for cell in written.__closure__ or ():
        names |= _names_in_function(_contents(cell), module, seen)
    for code in _codes(written.__code__):
        names |= set(code.co_names) & activation_names()
        for name in code.co_names:
            called = written.__globals__.get(name)
            if called is not None and not isinstance(called, type | ModuleType):
                names |= _names_in_function(called, module, seen)
    return names


def _written_function(function: object) -> FunctionType | None:
    """The Python function in a method, a property, or what `tf.function` made."""
    for kind, attribute in _KEPT_IN:
        if isinstance(function, kind):
            function = getattr(function, attribute)
    if isinstance(function, FunctionType):
        return function
    # `tf.function`, `jax.jit` and others leave it where `functools.wraps` does
    inner = getattr(function, "__wrapped__", None)
    if isinstance(inner, FunctionType):
        return inner
    return None


def _contents(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
