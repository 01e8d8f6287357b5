"""Whether a layer or operation looks at each sample by itself, whatever batch it is in.

Then samples may be put into another batch: into one that is filled up, or with those of other
seeds. A rule tells only that members stay apart: ``einsum("bd,cd->bc", x, x)`` has one, and mixes
samples. In doubt the answer is no, which costs time and no value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_acts.compat import all_layers, calls_of

from ..space.known import is_of_keras, is_of_keras_or_ours

# classes of operations, as Keras names them
_EINSUM = "Einsum"
_MATMUL = "Matmul"
# with an attribute `axis`, which may be that of the samples
_ALONG_AN_AXIS = (layers.Softmax, layers.UnitNormalization)
_OURS = ("keras", "keras_acts")


def acts_on_each_sample(layer: Any, rule: Callable[..., Any] | None) -> bool:
    """Return whether no sample has a say in what a layer makes of another, outside of training.

    In training BatchNormalization looks at the whole batch, and Dropout draws for it.

    Args:
        layer: a layer, or an operation of `keras.ops`.
        rule: how it runs for many members; None for member after member.
    """
    # what has no rule may do anything, and so may a user's rule
    if rule is None or not is_known(rule) or not is_of_keras(type(layer)):
        return False
    if isinstance(layer, keras.layers.Layer):
        return _layer_acts_on_each_sample(layer)
    name = type(layer).__name__
    if name == _EINSUM:
        return _keeps_first_index(layer)
    if name == _MATMUL:
        return _multiplies_within_samples(layer)
    return _has_one_rank(layer)


def is_known(function: Any) -> bool:
    """Return whether a function, or what is called like one, is Keras' own or ours, all of it."""
    if inspect.ismethod(function):
        return is_of_keras_or_ours(function.__self__) and is_known(function.__func__)
    if inspect.isfunction(function):
        # a decorator of a user's may have copied the name of the module, not the module
        names = (function.__module__, function.__globals__["__name__"])
        return all(str(name).partition(".")[0] in _OURS for name in names)
    if isinstance(function, keras.layers.Layer):
        return all(map(_is_known_part, all_layers(function)))
    return _is_known_part(function)


def is_known_activation(activation: Any) -> bool:
    """Return whether an activation is Keras' own or ours, and never runs along the samples."""
    if isinstance(activation, keras.layers.Layer):
        return is_known(activation) and all(map(_runs_along_last_axis, all_layers(activation)))
    return is_known(activation)


def _is_known_part(part: Any) -> bool:
    """Whether an object's class is known, and what it calls: partials and users' objects are not."""
    if not is_of_keras_or_ours(part):
        return False
    for held in getattr(part, "__dict__", {}).values():
        # the layers in a layer are parts themselves
        if callable(held) and not isinstance(held, keras.layers.Layer) and not is_known(held):
            return False
    return True


def _layer_acts_on_each_sample(layer: keras.layers.Layer) -> bool:
    for part in all_layers(layer):
        # Keras divides what it adds to the loss by the size of the batch
        if not _is_known_part(part) or part.activity_regularizer is not None:
            return False
        if isinstance(part, layers.EinsumDense) and not _keeps_first_letter(part.equation, (0,)):
            return False
        # the rules of the layer itself know its axis, and that of its attention is known
        is_held = part is not layer and not isinstance(layer, layers.MultiHeadAttention)
        if is_held and not _runs_along_last_axis(part):
            return False
    return True


def _runs_along_last_axis(part: keras.layers.Layer) -> bool:
    return not isinstance(part, _ALONG_AN_AXIS) or part.axis in (-1, (-1,), [-1])


def _operands(op: Any) -> list[list[Any]]:
    """The operands of each call of an operation in its model."""
    operands = []
    for call in calls_of(op):
        operands.append([*call.arguments.args, *call.arguments.kwargs.values()])
    return operands


def _is_symbolic(x: Any) -> bool:
    return isinstance(x, keras.KerasTensor)


def _keeps_first_index(op: Any) -> bool:
    for operands in _operands(op):
        symbolic = [index for index, x in enumerate(operands) if _is_symbolic(x)]
        if not _keeps_first_letter(op.subscripts, tuple(symbolic)):
            return False
    return True


def _keeps_first_letter(equation: str, of_samples: tuple[int, ...]) -> bool:
    """Whether an equation has one index of the samples, in front, in all that has samples.

    Args:
        equation: as ``"bij,jk->bik"``; ``...`` in front may stand for the samples, too.
        of_samples: which operands have samples.
    """
    # one character instead of three
    names = equation.replace(" ", "").replace("...", ".")
    inputs, _, output = names.partition("->")
    operands = inputs.split(",")
    sample = output[:1]
    if not sample or output.count(sample) != 1:
        return False
    for index, operand in enumerate(operands):
        if index not in of_samples:
            if sample in operand:
                return False
        elif operand[:1] != sample or operand.count(sample) != 1:
            return False
    return True


def _multiplies_within_samples(op: Any) -> bool:
    """Whether the axis of the samples is none of the two that a product of matrices is of."""
    for operands in _operands(op):
        symbolic = [x for x in operands if _is_symbolic(x)]
        ranks = {len(x.shape) for x in symbolic}
        if len(symbolic) < len(operands) and not _takes_constant(operands):
            return False
        is_of_matrices = len(ranks) == 1 and min(ranks) >= 3
        # a matrix of samples in front of a constant one: row by row
        is_of_rows = len(symbolic) == 1 and _is_symbolic(operands[0])
        if not is_of_matrices and not is_of_rows:
            return False
    return True


def _takes_constant(operands: list[Any]) -> bool:
    """Whether the tensors of its own are matrices, which have no axis for the samples."""
    return all(len(_shape(x)) <= 2 for x in operands if not _is_symbolic(x))


def _has_one_rank(op: Any) -> bool:
    """Whether all that has samples has them in the same place, and nothing else is there.

    With ranks of their own, ``x[:, None] - y`` broadcasts samples against each other.
    """
    for operands in _operands(op):
        flat = keras.tree.flatten(operands)
        ranks = {len(x.shape) for x in flat if _is_symbolic(x)}
        if len(ranks) != 1:
            return False
        rank = ranks.pop()
        for constant in operands:
            if _is_symbolic(constant) or _has_symbolic(constant):
                continue
            shape = _shape(constant)
            if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
                return False
    return True


def _has_symbolic(structure: Any) -> bool:
    return any(map(_is_symbolic, keras.tree.flatten(structure)))


def _shape(x: Any) -> tuple[int | None, ...]:
    """The shape of a constant: a tensor, a number, a list of numbers, or a setting."""
    if hasattr(x, "shape"):
        return tuple(x.shape)
    return np.shape(x)
