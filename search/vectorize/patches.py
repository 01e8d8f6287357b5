"""Convolutions of every member with its own kernel for XLA, whose grouped convolutions are slow.

From shifted views.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from keras import ops

from .batch import STACKED, Batch, Tensor


def multiply_patches(
    x: Batch, kernel: Tensor, strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> Batch:
    """Convolve as one product a member, of what the window sees at each place and the kernel."""
    members, *window, _, filters = kernel.shape
    views = _shifted_views(x, window, strides, padding, dilations)
    patches = ops.concatenate(views, axis=-1)
    *_, values = patches.shape
    rows = ops.reshape(patches, (members, -1, values))
    y = ops.matmul(rows, ops.reshape(kernel, (members, values, filters)))
    return Batch(ops.reshape(y, (members, -1, *patches.shape[2:-1], filters)), STACKED, members)


def add_shifted(
    x: Batch, kernel: Tensor, strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> Batch:
    """Convolve each channel as a sum that XLA makes in one pass."""
    members, *window, channels, multiplier = kernel.shape
    views = _shifted_views(x, window, strides, padding, dilations)
    ones = (1,) * (x.rank - 1)
    factors = ops.reshape(kernel, (members, len(views), *ones, channels, multiplier))
    # M output channels for each of C, beside them
    products = []
    for index, view in enumerate(views):
        products.append(ops.multiply(ops.expand_dims(view, -1), factors[:, index]))
    y = sum(products)
    return Batch(ops.reshape(y, (*y.shape[:-2], channels * multiplier)), STACKED, members)


def _shifted_views(
    x: Batch, window: Sequence[int], strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> list[Tensor]:
    """Return what each place of the window sees as it moves, (P, B, ..., C)."""
    value = x.stacked()
    sizes = value.shape[2:-1]
    pads = []
    slices_of_axes = []
    for size, span, stride, dilation in zip(sizes, window, strides, dilations, strict=True):
        before, after = _padding(padding, size, span, stride, dilation)
        length = before + size + after - (span - 1) * dilation
        pads.append((before, after))
        slices = []
        for place in range(span):
            start = place * dilation
            slices.append(slice(start, start + length, stride))
        slices_of_axes.append(slices)
    # neither members nor samples nor channels are padded
    value = ops.pad(value, [(0, 0), (0, 0), *pads, (0, 0)])
    return [value[:, :, *place] for place in itertools.product(*slices_of_axes)]


def _padding(padding: str, size: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return how many zeros come before and after an axis."""
    reach = (window - 1) * dilation
    if padding == "same":
        steps = math.ceil(size / stride)
        total = max((steps - 1) * stride + reach + 1 - size, 0)
        # an odd zero comes behind, as in TensorFlow
        before = total // 2
        return before, total - before
    if padding == "causal":
        return reach, 0
    return 0, 0
