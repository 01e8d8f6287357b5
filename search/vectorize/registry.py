"""One rule per layer type: how it runs for all slots of a population at once.

Users register rules of their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_acts.errors import ModelError

from .batch import Batch

Rule = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class RuleCall:
    """What a rule gets to know of the layer that it runs.

    Attributes:
        layer: one slot's layer, for its settings; its weights are not the slots'.
        weights: by name, the stacked weights, (P, ...), inside order. Those of a layer that holds
            others may have one name: see `inside`.
        activate: applies the slots' activations to a `Batch`, which must be elementwise if it is
            folded.
        assign: ``assign(name, value)`` sets a stacked weight.
        inside: ``inside(part)`` is the call for a layer that this one holds, with its own weights
            and activations.
        training: whether the model trains.
        random: a seed generator of the population's own.
    """

    layer: keras.layers.Layer
    weights: dict[str, Any]
    activate: Callable[[Batch], Batch]
    assign: Callable[[str, Any], None]
    inside: Callable[[keras.layers.Layer], RuleCall]
    training: bool
    random: keras.random.SeedGenerator


@dataclass(frozen=True)
class _RegisteredRule:
    rule: Rule
    accepts: Callable[[Any], bool]
    xla: bool


_RULES: dict[type, _RegisteredRule] = {}


def vectorizes(
    *layers: type, accepts: Callable[[Any], bool] = lambda layer: True, xla: bool = True
) -> Callable[[Rule], Rule]:
    """Decorate ``rule(call, *inputs)`` as the way in which layers of these very classes run for a whole population.

    A rule gets a `Call` and the layer's arguments, each tensor a `Batch`, and returns a `Batch`. A
    class without a rule, a subclass too, runs slot after slot: always right, just not faster. So
    does a call with arguments that the rule does not take, such as masks.

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
        ...     return Batch(x.stacked() * factors[:, None], "stacked", x.slots)
    """
    for layer in layers:
        if not isinstance(layer, type) or not issubclass(layer, keras.Operation):
            raise ModelError(f"A rule is for classes of layers. Received: {layer!r}")
        if layer in _RULES:
            raise ModelError(
                f"A class may have one rule. Received: {layer.__name__}, which has one"
            )

    def register(rule: Rule) -> Rule:
        _RULES.update({layer: _RegisteredRule(rule, accepts, xla) for layer in layers})
        return rule

    return register


def forget(layer: type) -> None:
    """Undo `vectorizes` for one class."""
    del _RULES[layer]


def takes(rule: Rule, inputs: Any, options: dict[str, Any]) -> bool:
    """Return whether the rule has parameters for these arguments of a layer."""
    try:
        inspect.signature(rule).bind(None, *inputs, **options)
    except TypeError:
        return False
    return True


def rule_for(layer: Any) -> Rule | None:
    """Return the rule that covers this layer with its settings, or None."""
    entry = _RULES.get(type(layer))
    return entry.rule if entry is not None and entry.accepts(layer) else None


def compiles(layer: Any) -> bool:
    """Return whether a layer that a rule covers is faster under XLA, on a CPU."""
    return _RULES[type(layer)].xla
