"""The places of a Keras model where an activation sits."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_acts.errors import ActivationError, ModelError
from keras_acts.inside import RECURRENT, activation_names, places
from keras_acts.layers import TrainedActivation
from keras_acts.lookup import builtins
from keras_acts.symbolic import Apply

from ..report.notebook import simple
from ..space.candidate import Activation, Candidate, described
from ..space.known import as_written, is_of_keras
from .arguments import takes_argument
from .cloner import is_activation
from .graph import MODELS, Call, Graph, Shape
from .inner_slots import InnerSlot, Inside, inside
from .proof import is_of_users
from .shared_slots import InnerSlots

_WHAT_TO_DO = (
    "To search it, give the class an argument activation= that get_config() returns, or the search "
    "a function build(hp, activation)."
)
_NAMES = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax", *builtins())
# the class, in lower case, of the operation that keras.activations.relu(x) leaves in a functional
# model
_KINDS = {name.replace("_", ""): name for name in _NAMES}
# hidden, these weigh other values: always, or if they are multiplied with some
_WEIGHTS = {"softmax", "log_softmax", "sparsemax"}
_HEADER = ("slot", "layer", "activation", "role", "shape")
_GATES = {"sigmoid", "hard_sigmoid", "sparse_sigmoid", "relu6"}


@dataclass(frozen=True)
class Slot:
    """A place of a model where an activation sits.

    Attributes:
        name: of the layer, with the names that lead to it through nested models and wrappers:
            ``"encoder/conv1"``. The gates of a recurrent layer are a slot of their own,
            ``"lstm.recurrent_activation"``.
        layer: the class of the layer.
        current: the activation that is there now.
        role: ``"hidden"``, which a search changes, or what it leaves alone unless asked for it by
            name: ``"output"``, what the model returns; ``"gate"``, what weighs other values;
            ``"frozen"``, a layer that is not trained.
        channels: the size of the last axis (or of the channel axis) of its output.
        shape: of its output.
    """

    name: str
    layer: str
    current: str
    role: str
    channels: int | None
    shape: tuple[int | None, ...] = ()


class SlotTable(tuple[Slot, ...]):
    """A tuple of slots that prints as a table.

    Attributes:
        left_alone: for each layer whose inside is left as it is, a sentence that says why.
    """

    left_alone: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [_HEADER, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join(cells).rstrip())
        lines += self.left_alone
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        hidden = len(self.hidden)
        caption = f"{hidden} of {len(self)} slots are hidden: a search changes these."
        return simple(_HEADER, self._rows(), caption)

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for slot in self:
            rows.append((slot.name, slot.layer, slot.current, slot.role, _printed_shape(slot)))
        return rows

    @property
    def hidden(self) -> SlotTable:
        """The slots that a search changes."""
        return SlotTable(slot for slot in self if slot.role == "hidden")


def _printed_shape(slot: Slot) -> str:
    """The shape of one sample, ``(-, 32)`` where a size is not known."""
    return f"({', '.join(map(_printed_size, slot.shape[1:]))})"


def _printed_size(size: int | None) -> str:
    if size is None:
        return "-"
    return str(size)


@dataclass(frozen=True, eq=False)
class SlotSite:
    """A slot with what a rewrite needs to know of it.

    Attributes:
        slot: what is printed.
        layer: the layer.
        argument: the argument of its constructor that is the activation.
        source: the layer that makes what the activation is applied to, itself if it is more than an
            activation; None if that is an input.
        axis: of the channels, where it is not the last.
        place: the name of the place in the layer, where the activation is inside of one that a user
            wrote; else None.
    """

    slot: Slot
    layer: keras.Operation
    argument: str
    source: keras.Operation | None
    axis: int | None
    place: str | None = None

    def activation(self) -> object:
        """Return the activation that is there now: a function, a value, or a layer."""
        if self.place is not None:
            return places(self.layer)[self.place].activation
        activation = self.layer
        if not is_activation(self.layer):
            activation = getattr(self.layer, self.argument, None)
        if isinstance(activation, keras.layers.Activation):
            return activation.activation
        return activation


def slots(model: keras.Model) -> SlotTable:
    """Return the slots of a Sequential or Functional model in the order of computation.

    ``print`` shows a table.

    A layer that is shared is one slot, also where a layer of your own holds it. Slots inside
    nested models, `TimeDistributed`, `Bidirectional` and other wrappers are found, and those
    inside layers of your own, by the attributes that lead to them: ``"block/ffn/dense1"``. What
    cannot be followed is named in `SlotTable.left_alone`.

    Raises:
        ModelError: if the model is subclassed, or not built.
    """
    table = SlotTable(site.slot for site in slot_sites(model))
    table.left_alone = left_alone(model)
    return table


def left_alone(model: keras.Model) -> tuple[str, ...]:
    """Return, for each layer with activations inside that no slot has, a sentence that says so.

    Of a model that has no slots nothing is said.
    """
    if not isinstance(model, MODELS) or not model.built:
        return ()
    sentences: dict[str, None] = {}
    for call in Graph(model).calls:
        if is_of_users(call.layer):
            for sentence in _left_alone(call, inside(call.layer, call.outer)):
                sentences[sentence] = None
    return tuple(sentences)


def _left_alone(call: Call, found: Inside) -> Iterator[str]:
    kind = type(call.layer).__name__
    if found.why_not:
        yield (
            f"The activations inside {call.path!r} of class {kind} are left alone: "
            f"{found.why_not}. {_WHAT_TO_DO}"
        )
    for class_name, names in found.called:
        functions = " and ".join(names)
        yield (
            f"{functions} in {call.path!r} of class {kind} is left alone: the code of {class_name} "
            f"calls it. {_WHAT_TO_DO}"
        )


def slot_sites(model: keras.Model) -> tuple[SlotSite, ...]:
    """Return the slots with their layers; see `slots`."""
    _check(model)
    graph = Graph(model)
    calls_of_layers: dict[int, list[Call]] = {}
    for call in graph.calls:
        calls_of_layers.setdefault(id(call.layer), []).append(call)
    finder = _Finder(graph, calls_of_layers)
    sites: list[SlotSite] = []
    for calls in calls_of_layers.values():
        sites += finder.sites(calls)
    return tuple(sites)


class _Finder:
    """Finds the slots of one layer after the other.

    Args:
        graph: of the model.
        calls: of each layer, by its identity.
    """

    def __init__(self, graph: Graph, calls: dict[int, list[Call]]):
        self._graph = graph
        self._calls = calls
        self._inner = InnerSlots([of_layer[0] for of_layer in calls.values()])

    def sites(self, calls: list[Call]) -> Iterator[SlotSite]:
        """Return the slots of one layer, which may be called several times."""
        for site in _sites_of_layer(self._graph, calls):
            yield self._with_role(site, site.argument)
        for inner in self._inner.of(calls[0].layer):
            site = _inner_site(self._graph, calls, inner)
            yield self._with_role(site, inner.place.name)

    def _with_role(self, site: SlotSite, name: str) -> SlotSite:
        """A slot with the role that it has wherever its activation is."""
        roles = {site.slot.role}
        for layer, inner in self._inner.elsewhere(site.layer, name):
            roles.add(_inner_role(self._graph, self._calls[id(layer)], inner, site.slot.current))
        for role in ("output", "gate"):
            if role in roles:
                return replace(site, slot=replace(site.slot, role=role))
        return site


def _sites_of_layer(graph: Graph, calls: list[Call]) -> Iterator[SlotSite]:
    """The slots of the arguments of one layer."""
    first = calls[0]
    layer = first.layer
    source = _source(graph, first)
    axis, channels = _channels(source, first.shape)
    for argument in ("activation", RECURRENT):
        current = _current(layer, argument)
        if current is None:
            continue
        if argument == RECURRENT:
            name = f"{first.path}.{argument}"
            role = "gate"
        else:
            name = first.path
            role = _role(graph, calls, current)
        slot = Slot(name, type(layer).__name__, current, role, channels, first.shape)
        yield SlotSite(slot, layer, argument, source, axis)


def _inner_site(graph: Graph, calls: list[Call], inner: InnerSlot) -> SlotSite:
    """A slot inside a layer that a user wrote."""
    layer = calls[0].layer
    place = inner.place
    axis = None
    channels = inner.shape[-1]
    if len(inner.shape) > 2 and _is_channels_first(place.layer):
        axis = 1
        channels = inner.shape[1]
    if len(inner.shape) < 2:
        channels = None
    current = _printed(place.activation)
    role = _inner_role(graph, calls, inner, current)
    kind = type(place.layer).__name__
    slot = Slot(f"{calls[0].path}/{place.name}", kind, current, role, channels, inner.shape)
    return SlotSite(slot, layer, place.argument, None, axis, place.name)


def _inner_role(graph: Graph, calls: list[Call], inner: InnerSlot, current: str) -> str:
    """The role of a slot inside: what is multiplied there nobody sees."""
    name = current.partition("(")[0]
    if inner.at_end and any(graph.is_output(call) for call in calls):
        return "output"
    if name in _WEIGHTS or name in _GATES or inner.place.argument == RECURRENT:
        return "gate"
    if calls[0].layer.trainable and inner.place.layer.trainable:
        return "hidden"
    return "frozen"


def _source(graph: Graph, call: Call) -> keras.Operation | None:
    """The layer that makes what an activation is applied to; see `SlotSite`."""
    if not is_activation(call.layer):
        return call.layer
    before = graph.source(call)
    if before is None:
        return None
    return before.layer


def _channels(source: keras.Operation | None, shape: Shape) -> tuple[int | None, int | None]:
    """The axis of the channels where it is not the last, and how many they are."""
    if len(shape) < 2:
        return None, None
    if len(shape) > 2 and _is_channels_first(source):
        return 1, shape[1]
    return None, shape[-1]


def _role(graph: Graph, calls: list[Call], current: str) -> str:
    # without parameters, and without the module of a function that has the name of another
    name = current.partition("(")[0].rpartition(".")[2]
    if any(graph.is_output(call) for call in calls):
        return "output"
    if name in _WEIGHTS:
        return "gate"
    if name in _GATES and any(graph.is_multiplied(call) for call in calls):
        return "gate"
    if getattr(calls[0].layer, "trainable", True):  # an operation has nothing to train
        return "hidden"
    return "frozen"


def _check(model: keras.Model) -> None:
    if not isinstance(model, MODELS):
        raise ModelError(
            "Only Sequential and Functional models can be rewritten; for a subclassed model give a "
            "function build(hp, activation), or build(hp) that calls activation_choice(hp, 'act'), "
            f"instead. Received: {type(model).__name__}"
        )
    if not model.built:
        raise ModelError(
            "The model must know its input shape: start it with keras.Input. Received: "
            f"{model.name!r}"
        )


def _current(layer: keras.Operation, argument: str) -> str | None:
    """The activation of a layer, as it prints; None if it has none, or the identity."""
    is_whole_layer = is_activation(layer) and not isinstance(layer, keras.layers.Activation)
    if is_whole_layer and argument != "activation":
        return None
    if not isinstance(layer, keras.layers.Layer):
        return _printed_operation(layer)
    if is_whole_layer:
        return _printed(layer)
    activation = getattr(layer, argument, None)
    if not callable(activation) or activation is keras.activations.linear:
        return None
    # a layer that does not take the activation as an argument cannot be made again with another
    if not takes_argument(layer, argument):
        return None
    return _printed(activation)


def _printed(activation: Activation) -> str:
    """An activation as it prints, in a form that makes it again wherever there is one."""
    if isinstance(activation, TrainedActivation) and as_written(activation):
        return str(described(activation))
    if isinstance(activation, keras.layers.Layer):
        return _printed_layer(activation)
    if activation in (keras.activations.leaky_relu, keras.ops.leaky_relu):
        return "leaky_relu(alpha=0.2)"  # Keras' default, not ours
    name = getattr(activation, "__name__", type(activation).__name__)
    if getattr(keras.activations, name, None) is activation:
        return str(Candidate.of(name))
    if inspect.isroutine(activation) and name in activation_names():
        return _printed_function(activation)
    try:
        return str(Candidate.of(activation))
    except ActivationError:
        return name


@functools.cache
def _printed_function(function: Activation) -> str:
    """A function of another module that is called as one of Keras' activations is.

    It has that name if it makes the same: keras.ops.gelu is an approximation.
    """
    name = function.__name__
    x = keras.ops.convert_to_tensor(np.linspace(-5, 5, 101, dtype="float32")[None])
    try:
        made = keras.ops.convert_to_numpy(function(x))
        expected = keras.ops.convert_to_numpy(getattr(keras.activations, name)(x))
    except Exception:  # it takes something else
        return _qualified(function)
    if made.shape == expected.shape and np.allclose(made, expected, rtol=1e-5, atol=1e-6):
        return str(Candidate.of(name))
    return _qualified(function)


def _qualified(function: Activation) -> str:
    name = function.__name__
    if getattr(keras.ops, name, None) is function:
        return f"keras.ops.{name}"
    package = function.__module__.partition(".")[0]
    return f"{package}.{name}"


def _printed_layer(layer: keras.Operation) -> str:
    """A Keras layer or operation that is an activation, by its class.

    ReLU and Relu, LeakyReLU and LeakyRelu ….
    """
    kind = type(layer).__name__.lower()
    if kind == "relu" and hasattr(layer, "max_value"):  # the operation has no parameters
        return _printed_relu(layer)
    if kind == "leakyrelu":
        return str(Candidate.of("leaky_relu", alpha=layer.negative_slope))
    if kind == "elu":
        return str(Candidate.of("elu", alpha=layer.alpha))
    if kind == "softmax" and isinstance(layer.axis, int):
        return str(Candidate.of("softmax", axis=layer.axis))
    name = _KINDS.get(kind, kind)
    if isinstance(layer, keras.layers.Layer):
        return name
    return name + _other_parameters(layer, name)


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function that have a value where none is given."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _other_parameters(operation: keras.Operation, name: str) -> str:
    """The parameters of an operation where they are not those of the activation of its name.

    They are only shown: no name of ours makes it.
    """
    defaults = _defaults(getattr(keras.activations, name))
    parameters = []
    for parameter in inspect.signature(type(operation).__init__).parameters:
        if parameter in ("self", "name") or not hasattr(operation, parameter):
            continue
        value = getattr(operation, parameter)
        if parameter not in defaults or defaults[parameter] != value:
            parameters.append(f"{parameter}={value!r}")
    if not parameters:
        return ""
    return f"({', '.join(parameters)})"


def _printed_relu(layer: keras.layers.ReLU) -> str:
    slope = layer.negative_slope
    threshold = layer.threshold
    if layer.max_value is None:
        return str(Candidate.of("trelu", alpha=slope, theta=threshold, mode="keras"))
    if (layer.max_value, slope, threshold) == (6, 0, 0):
        return "relu6"
    # no name of ours makes it: it is only shown
    return f"relu(max_value={layer.max_value}, negative_slope={slope}, threshold={threshold})"


def _printed_operation(operation: keras.Operation) -> str | None:
    """An operation of a functional model; None if it is no activation."""
    if isinstance(operation, Apply):
        try:
            return str(Candidate.of(operation.function, **operation.parameters))
        except ActivationError:  # an array of parameters, one a channel: no candidate has that
            return operation.function
    kind = type(operation)
    if not is_of_keras(kind) or kind.__name__.lower() not in _KINDS:
        return None
    return _printed_layer(operation)


def _is_channels_first(layer: keras.Operation | None) -> bool:
    if isinstance(layer, keras.layers.BatchNormalization) and layer.axis == 1:
        return True
    return getattr(layer, "data_format", None) == "channels_first"
