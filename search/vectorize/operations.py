"""Rules for the operations of `keras.ops` between layers, such as `x + y` and ``x[:, 0]``.

None of them mixes members. Most of what mixes samples runs member after member; `samples.py` knows
the rest.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_acts.compat import calls_of, operation_classes

from .batch import FOLDED, SHARED, STACKED, Batch, Tensor, plus
from .registry import RuleCall, vectorizes
from .weightless import run_once

# each acts on every value alone; NumPy's broadcasting goes from the last axis on
_ELEMENTWISE = (
    *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "FloorDivide", "Power", "Mod"),
    *("Maximum", "Minimum", "Negative", "Absolute", "Sign", "Square", "Sqrt", "Reciprocal"),
    *("Exp", "Expm1", "Log", "Log1p", "Sin", "Cos", "Floor", "Ceil", "Round", "Isnan"),
    *("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "Isfinite"),
    *("LogicalAnd", "LogicalOr", "LogicalNot", "Where", "Cast", "Clip", "OnesLike", "ZerosLike"),
)
# what `plus` is on TensorFlow too
_ADDS = operation_classes("Add")
# with attributes `axis`, one or several
_ALONG_AXES = (
    *("Mean", "Sum", "Max", "Min", "Prod", "Var", "Std", "Any", "All", "Argmax", "Argmin"),
    *("Softmax", "LogSoftmax", "Logsumexp", "Cumsum", "Sort", "Flip", "Repeat", "Squeeze"),
    *("Concatenate", "Stack", "Split", "ExpandDims"),
)


def _arguments(op: Any) -> list[list[Any]]:
    """The arguments of each call of an operation in its model, as one list."""
    flat = []
    for call in calls_of(op):
        flat.append(keras.tree.flatten((call.arguments.args, call.arguments.kwargs)))
    return flat


def _sees_samples_only(op: Any) -> bool:
    """Whether no argument is a tensor of its own, which has no axis of samples."""
    for arguments in _arguments(op):
        if any(hasattr(x, "shape") and not isinstance(x, keras.KerasTensor) for x in arguments):
            return False
    return True


def _ranks(op: Any) -> set[int]:
    """The ranks of the symbolic arguments, in all calls."""
    ranks = set()
    for arguments in _arguments(op):
        ranks |= {len(x.shape) for x in arguments if isinstance(x, keras.KerasTensor)}
    return ranks


def _keeps_samples(op: Any) -> bool:
    """Whether the axes along which it runs are not that of the samples."""
    axes = op.axis
    if axes is None or not _sees_samples_only(op):
        return False
    if isinstance(axes, int):
        axes = [axes]
    # these two make an axis more
    more = int(type(op).__name__ in ("ExpandDims", "Stack"))
    return all(axis % (rank + more) != 0 for axis in axes for rank in _ranks(op))


def _reshapes_samples(op: Any) -> bool:
    """Whether each sample keeps its values: the first size is left open, or is the batch's."""
    sizes = tuple(op.newshape)
    if not sizes or sizes[0] not in (-1, None) or not _sees_samples_only(op):
        return False
    if any(not isinstance(size, int) or size < 1 for size in sizes[1:]):
        return False
    for arguments in _arguments(op):
        sample = tuple(arguments[0].shape[1:])
        if None in sample or math.prod(sample) != math.prod(sizes[1:]):
            return False
    return True


def _leaves_first_axis(op: Any) -> bool:
    if not _sees_samples_only(op):
        return False
    rank = min(_ranks(op))
    if hasattr(op, "axis1"):
        moved = [op.axis1, op.axis2]
    elif hasattr(op, "source"):
        moved = [*op.source, *op.destination]
    else:
        return op.axes is not None and op.axes[0] % rank == 0
    return all(axis % rank != 0 for axis in moved)


def _takes_all_samples(op: Any) -> bool:
    """Whether ``x[key]`` has all samples, in their order."""
    for call in calls_of(op):
        key: Any = (*call.arguments.args, *call.arguments.kwargs.values())[1]
        if not isinstance(key, tuple | list) or not key or key[0] != slice(None):
            return False
        if not all(isinstance(part, int | slice) or part in (None, Ellipsis) for part in key):
            return False
    return True


def _names_all_indices(op: Any) -> bool:
    return "->" in op.subscripts and "." not in op.subscripts


def _has_rows(op: Any) -> bool:
    """Whether each argument is a matrix, or several."""
    ranks = []
    for arguments in _arguments(op):
        ranks += [len(getattr(x, "shape", ())) for x in arguments]
    return min(ranks) >= 2


def _aligned(batches: Sequence[Any]) -> int:
    """The rank of what the arguments are broadcast to, for one member."""
    ranks = [0]
    for x in batches:
        if isinstance(x, Batch):
            ranks.append(x.rank)
        else:
            ranks.append(len(getattr(x, "shape", ())))
    return max(ranks)


@vectorizes(*operation_classes(*_ELEMENTWISE))
def elementwise(call: RuleCall, *inputs: Any, **options: Any) -> Any:
    """In one layout, with axes for what is broadcast within a member."""
    flat = keras.tree.flatten((inputs, options))
    batches = [x for x in flat if isinstance(x, Batch)]
    if len(batches) == 1 and _aligned(flat) == batches[0].rank:
        others = [x for x in flat if hasattr(x, "shape")]
        if not others:  # numbers alone
            return _applied(call.layer.call, inputs, options, batches[0].layout, lambda x: x.value)
    if all(x.layout == SHARED for x in batches):
        return _applied(call.layer.call, inputs, options, SHARED, lambda x: x.value)
    return _stacked(call, inputs, options)


def _stacked(call: RuleCall, inputs: Any, options: Any) -> Any:
    rank = _aligned(keras.tree.flatten((inputs, options)))

    def value_of(x: Batch) -> Tensor:
        if x.layout == SHARED:  # broadcast to the members
            return x.value
        value = x.stacked()
        if x.rank == rank:
            return value
        # behind the members, in front of what is broadcast
        return ops.expand_dims(value, list(range(1, 1 + rank - x.rank)))

    function = call.layer.call
    if isinstance(call.layer, _ADDS):
        function = plus
    return _applied(function, inputs, options, STACKED, value_of)


def _applied(
    function: Callable[..., Tensor], inputs: Any, options: Any, layout: str, value_of: Any
) -> Any:
    batches = [x for x in keras.tree.flatten((inputs, options)) if isinstance(x, Batch)]

    def tensor(x: Any) -> Any:
        if isinstance(x, Batch):
            return value_of(x)
        return x

    args, kwargs = keras.tree.map_structure(tensor, (inputs, options))
    return Batch(function(*args, **kwargs), layout, batches[0].members)


@vectorizes(*operation_classes("Matmul"), accepts=_has_rows)
def matmul(call: RuleCall, x1: Any, x2: Any) -> Any:
    """Of the last two axes; those in front are broadcast, that of the members is one more."""
    batches = [x for x in (x1, x2) if isinstance(x, Batch)]
    if all(x.layout == SHARED for x in batches):
        return _applied(call.layer.call, (x1, x2), {}, SHARED, lambda x: x.value)
    return _stacked(call, (x1, x2), {})


@vectorizes(*operation_classes("Einsum"), accepts=_names_all_indices)
def einsum(call: RuleCall, *operands: Any) -> Batch:
    """The equation with an index more, that of the members."""
    subscripts = call.layer.subscripts.replace(" ", "")
    member = next(letter for letter in string.ascii_letters if letter not in subscripts)
    inputs, output = subscripts.split("->")
    batches = [x for x in operands if isinstance(x, Batch)]
    if all(x.layout == SHARED for x in batches):
        return _applied(call.layer.call, operands, {}, SHARED, lambda x: x.value)
    names = []
    values = []
    for name, x in zip(inputs.split(","), operands, strict=True):
        if not isinstance(x, Batch):
            names.append(name)
            values.append(x)
        elif x.layout == SHARED:
            names.append(name)
            values.append(x.value)
        else:
            names.append(f"{member}{name}")
            values.append(x.stacked())
    y = ops.einsum(f"{','.join(names)}->{member}{output}", *values)
    return Batch(y, STACKED, batches[0].members)


vectorizes(*operation_classes(*_ALONG_AXES), accepts=_keeps_samples)(run_once)
vectorizes(*operation_classes("Reshape"), accepts=_reshapes_samples)(run_once)
vectorizes(*operation_classes("Transpose", "Swapaxes", "Moveaxis"), accepts=_leaves_first_axis)(
    run_once
)


@vectorizes(*operation_classes("GetItem"), accepts=_takes_all_samples)
def get_item(call: RuleCall, x: Batch, key: Any) -> Batch:
    """All samples of all members as if of one batch."""
    if x.layout == FOLDED:
        x = x.as_stacked()
    if x.layout == STACKED:
        return Batch(call.layer.call(x.value, (slice(None), *key)), STACKED, x.members)
    return Batch(call.layer.call(x.value, tuple(key)), x.layout, x.members)
