"""One rule per layer type: how it runs for all members of a population at once.

Users register rules of their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_acts.compat import calls_of
from keras_acts.errors import ModelError

from .batch import Batch, Tensor

# takes a `RuleCall` and the layer's arguments, each tensor a `Batch`; returns a `Batch` or several
Rule: TypeAlias = Callable[..., Any]
# whether a rule covers the settings of a layer
Accepts: TypeAlias = Callable[[keras.layers.Layer], bool]


@dataclass(frozen=True, eq=False)
class RuleCall:
    """What a rule gets to know of the layer that it runs.

    Attributes:
        layer: one member's layer, for its settings; its weights are not the members'.
        weights: by name, the stacked weights, (P, ...), inside order. Those of a layer that holds
            others may have one name: see `inside`.
        table: ``table(name)`` is a weight that rows are taken of, (P*T, ...): the members' rows one
            below the other. On TensorFlow only its gradient keeps the occurrences of a row apart,
            as Keras' optimizers need them.
        activate: applies the members' activations to a `Batch`, which must be elementwise if it is
            folded.
        assign: ``assign(name, value)`` sets a stacked weight.
        inside: ``inside(part)`` is the call for a layer that this one holds, with its own weights
            and activations.
        training: whether the model trains.
        random: a seed generator of the population's own.
        strengths: of a layer of noise, each member's rate or standard deviation, (P,), inside
            order; None if all have the layer's.
    """

    layer: keras.layers.Layer
    weights: Mapping[str, Tensor]
    table: Callable[[str], Tensor]
    activate: Callable[[Batch], Batch]
    assign: Callable[[str, Tensor], None]
    inside: Callable[[keras.layers.Layer], RuleCall]
    training: bool
    random: keras.random.SeedGenerator
    strengths: np.ndarray | None = None


@dataclass(frozen=True)
class _RegisteredRule:
    rule: Rule
    accepts: Accepts
    xla: bool


_RULES: dict[type, _RegisteredRule] = {}


def _any_settings(layer: keras.layers.Layer) -> bool:
    return True


def vectorizes(
    *layers: type, accepts: Accepts = _any_settings, xla: bool = True
) -> Callable[[Rule], Rule]:
    """Decorate ``rule(call, *inputs)``: so layers of these very classes run for a population.

    A rule gets a `RuleCall` and the layer's arguments, each tensor a `Batch`, and returns a
    `Batch`. A class without a rule, a subclass too, runs member after member: always right, just
    not faster. So does a call with arguments that the rule does not take, such as masks, and one
    for which it returns `NotImplemented`, such as tensors of another rank.

    Args:
        layers: the classes.
        accepts: tells from a layer whether the rule covers its settings.
        xla: whether XLA makes the rule faster on a CPU. Grouped convolutions are 100 times slower
            there.

    Raises:
        ModelError: if one is no layer class, or has a rule.

    Example:
        >>> @vectorizes(Scale)
        ... def scale(call, x):
        ...     factors = call.weights["factor"]  # (P, 1) here
        ...     return Batch(x.stacked() * factors[:, None], "stacked", x.members)
    """
    for layer in layers:
        if not isinstance(layer, type) or not issubclass(layer, keras.Operation):
            raise ModelError(f"A rule is for classes of layers. Received: {layer!r}")
        # nobody would see which of two rules runs
        if layer in _RULES:
            raise ModelError(
                f"A class may have one rule. Received: {layer.__name__}, which has one"
            )

    def register(rule: Rule) -> Rule:
        registered = _RegisteredRule(rule, accepts, xla)
        for layer in layers:
            _RULES[layer] = registered
        return rule

    return register


def forget(layer: type) -> None:
    """Undo `vectorizes` for one class."""
    del _RULES[layer]


@contextmanager
def without_rule(layer: type) -> Iterator[Rule]:
    """Have layers of a class run as if they had no rule, or another one, inside the scope.

    Yields:
        The rule that they have outside.
    """
    registered = _RULES.pop(layer)
    try:
        yield registered.rule
    finally:
        _RULES[layer] = registered


def rule_of(layer: type) -> Rule | None:
    """Return the rule of a class of layers, whatever settings it covers, or None."""
    registered = _RULES.get(layer)
    if registered is None:
        return None
    return registered.rule


def takes(rule: Rule, inputs: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Return whether the rule has parameters for these arguments of a layer."""
    try:
        inspect.signature(rule).bind(None, *inputs, **options)
    except TypeError:
        return False
    return True


def rule_for(layer: keras.layers.Layer | keras.Operation) -> Rule | None:
    """Return the rule that covers this layer with its settings, or None."""
    registered = _RULES.get(type(layer))
    if registered is None or not registered.accepts(layer):
        return None
    return registered.rule


def input_ranks(layer: keras.layers.Layer) -> set[int]:
    """Return the ranks of what a layer is called with first, in all its calls."""
    ranks = set()
    for call in calls_of(layer):
        # masks are among its inputs too
        first, *_ = keras.tree.flatten((call.arguments.args, call.arguments.kwargs))
        ranks.add(len(first.shape))
    return ranks


def compiles(layer: keras.layers.Layer) -> bool:
    """Return whether a layer that a rule covers is faster under XLA, on a CPU."""
    return _RULES[type(layer)].xla
