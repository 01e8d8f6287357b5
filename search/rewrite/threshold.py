"""Above which value an output of one unit is the second of two classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

from ..space.known import as_written
from .graph import Call, Graph
from .own_training import own_methods
from .proof import is_of_users
from .slots import slot_sites

# what `compile` takes for one output
_Loss: TypeAlias = str | keras.losses.Loss | Callable[..., Any]

_CROSSENTROPIES = (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy)
_HINGES = (keras.losses.Hinge, keras.losses.SquaredHinge)
# Keras has a function for each too, which takes probabilities
_OF_FUNCTIONS = (
    (keras.losses.binary_crossentropy, 0.5),
    (keras.losses.binary_focal_crossentropy, 0.5),
    (keras.losses.hinge, 0.0),
    (keras.losses.squared_hinge, 0.0),
)
_PROBABILITIES = ("sigmoid", "hard_sigmoid")
_AROUND_ZERO = ("tanh", "hard_tanh", "softsign")
# what gives a logit, if it has no activation
_WEIGHING = (keras.layers.Dense, keras.layers.EinsumDense)


def threshold_of(model: keras.Model) -> float | None:
    """Return the output of a model's one unit above which it is the second class.

    None if nothing says it.

    What the model learned by says it: a crossentropy of probabilities 0.5, one of logits 0, a hinge
    loss 0. Another loss may take labels 0 and 1, or -1 and 1; then only a sigmoid at the end says
    it, 0.5. Without a loss also tanh does, 0, and a layer without an activation, 0.

    Args:
        model: a Sequential or Functional model with one output.
    """
    losses = _losses(model)
    by_loss = None
    if len(losses) == 1:
        by_loss = _of_loss(losses[0])
    if "call" in own_methods(model):  # its graph does not tell what it returns
        return by_loss
    last = Graph(model).last()
    activation = _activation_at_end(model, last)
    if activation in _PROBABILITIES:
        return 0.5  # also where Keras was asked to take its logits
    if losses:
        return by_loss
    if activation in _AROUND_ZERO or _gives_a_logit(last):
        return 0.0
    return None


def learns_two_classes(model: keras.Model) -> bool:
    """Whether a compiled model's loss takes the labels 0 and 1 for two classes, not for numbers."""
    losses = _losses(model)
    return len(losses) == 1 and _of_loss(losses[0]) is not None


def _activation_at_end(model: keras.Model, last: Call | None) -> str | None:
    """The activation of the layer that makes the output, if it has one."""
    if last is None:
        return None
    for site in slot_sites(model):
        if site.argument != "activation":
            continue
        if site.layer is last.layer and site.place is None:
            return site.slot.current
        # inside of a layer, which may be that of another layer of the model that it holds
        if site.slot.role == "output" and is_of_users(last.layer):
            return site.slot.current
    return None


def _gives_a_logit(last: Call | None) -> bool:
    if last is None or type(last.layer) not in _WEIGHING:
        return False
    return last.layer.activation is keras.activations.linear


def _losses(model: keras.Model) -> list[_Loss]:
    given = keras.tree.flatten(getattr(model, "loss", None))
    return [loss for loss in given if loss is not None]


def _of_loss(loss: _Loss) -> float | None:
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if not isinstance(loss, keras.losses.Loss):
        return _of_function(loss)
    if not as_written(loss):
        return None
    if isinstance(loss, _CROSSENTROPIES):
        if loss.from_logits:
            return 0.0
        return 0.5
    if isinstance(loss, _HINGES):
        return 0.0
    return None


def _of_function(loss: Callable[..., Any]) -> float | None:
    for function, threshold in _OF_FUNCTIONS:
        if function is loss:
            return threshold
    return None
