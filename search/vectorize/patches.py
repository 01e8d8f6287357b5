"""Convolutions of every slot with its own kernel for XLA, whose grouped convolutions are slow.

From shifted views.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from .batch import STACKED, Batch

Tensor = Any


def multiply_patches(
    x: Batch, kernel: Tensor, strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> Batch:
    """Convolve as one product for each slot, of what the window sees at each place and the kernel."""
    slots, *_, filters = kernel.shape
    patches = ops.concatenate(_seen(x, kernel.shape[1:-2], strides, padding, dilations), axis=-1)
    *_, values = patches.shape
    y = ops.matmul(
        ops.reshape(patches, (slots, -1, values)), ops.reshape(kernel, (slots, values, filters))
    )
    return Batch(ops.reshape(y, (slots, -1, *patches.shape[2:-1], filters)), STACKED, slots)


def add_shifted(
    x: Batch, kernel: Tensor, strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> Batch:
    """Convolve each channel as a sum that XLA makes in one pass."""
    slots, *window, channels, multiplier = kernel.shape
    seen = _seen(x, window, strides, padding, dilations)
    factors = ops.reshape(kernel, (slots, len(seen), *(1,) * (x.rank - 1), channels, multiplier))
    y = sum(ops.multiply(ops.expand_dims(value, -1), factors[:, i]) for i, value in enumerate(seen))
    return Batch(ops.reshape(y, (*y.shape[:-2], channels * multiplier)), STACKED, slots)


def _seen(
    x: Batch, window: Sequence[int], strides: Sequence[int], padding: str, dilations: Sequence[int]
) -> list[Tensor]:
    """Return what each place of the window sees as it moves, (P, B, ..., C)."""
    value = x.stacked()
    pads, slices = [], []
    for size, span, stride, dilation in zip(
        value.shape[2:-1], window, strides, dilations, strict=True
    ):
        pads.append(_padding(padding, size, span, stride, dilation))
        end = size + sum(pads[-1]) - (span - 1) * dilation
        slices.append(
            [slice(place * dilation, place * dilation + end, stride) for place in range(span)]
        )
    value = ops.pad(value, [(0, 0), (0, 0), *pads, (0, 0)])
    return [value[:, :, *place] for place in itertools.product(*slices)]


def _padding(padding: str, size: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return how many zeros come before and after an axis."""
    reach = (window - 1) * dilation
    if padding == "same":
        total = max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0)
        return total // 2, total - total // 2
    return (reach if padding == "causal" else 0), 0
