"""Above which value an output of one unit is the second of two classes."""

from __future__ import annotations

from typing import Any

import keras

from ..space.known import as_written
from .graph import Graph
from .own_training import own_methods
from .slots import slot_sites

_CROSSENTROPIES = (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy)
_HINGES = (keras.losses.Hinge, keras.losses.SquaredHinge)
_OF_FUNCTIONS = (
    (keras.losses.binary_crossentropy, 0.5),
    (keras.losses.binary_focal_crossentropy, 0.5),
    (keras.losses.hinge, 0.0),
    (keras.losses.squared_hinge, 0.0),
)
_PROBABILITIES, _AROUND_ZERO = ("sigmoid", "hard_sigmoid"), ("tanh", "hard_tanh", "softsign")
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
    found = _of_loss(losses[0]) if len(losses) == 1 else None
    if "call" in own_methods(model):  # its graph does not tell what it returns
        return found
    last = Graph(model).last()
    ends = [
        p.slot.current
        for p in slot_sites(model)
        if last and p.layer is last.layer and p.argument == "activation"
    ]
    if ends and ends[0] in _PROBABILITIES:
        return 0.5  # also where Keras was asked to take its logits
    if losses:
        return found
    bare = (
        last is not None
        and type(last.layer) in _WEIGHING
        and last.layer.activation is keras.activations.linear
    )
    return 0.0 if bare or (ends and ends[0] in _AROUND_ZERO) else None


def learns_two_classes(model: keras.Model) -> bool:
    """Whether a compiled model's loss takes the labels 0 and 1 for two classes, not for numbers."""
    losses = _losses(model)
    return len(losses) == 1 and _of_loss(losses[0]) is not None


def _losses(model: keras.Model) -> list[Any]:
    return [loss for loss in keras.tree.flatten(getattr(model, "loss", None)) if loss is not None]


def _of_loss(loss: Any) -> float | None:
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    if not isinstance(loss, keras.losses.Loss):
        return next((value for function, value in _OF_FUNCTIONS if function is loss), None)
    if not as_written(loss):
        return None
    if isinstance(loss, _CROSSENTROPIES):
        return 0.0 if loss.from_logits else 0.5
    return 0.0 if isinstance(loss, _HINGES) else None
