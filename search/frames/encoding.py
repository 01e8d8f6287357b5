"""Keras' layers that make a model's numbers out of columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .columns import Categories, Column, Dates, LeftOut, Numbers, input_names
from .scaling import scaling

Tensor = Any
# 1970-01-01 was a Thursday
_THURSDAY = 3
_DAYS_OF_WEEK = 7
_YEARS_A_DAY = 1 / 365.2425


def build(columns: Sequence[Column]) -> keras.Model:
    """Return the model that takes columns by name, each of shape (n, 1), and makes one array.

    Args:
        columns: those that are left out are no inputs.
    """
    inputs: dict[str, Tensor] = {}
    parts: list[Tensor] = []
    taken = [column for column in columns if not isinstance(column, LeftOut)]
    names = input_names([column.name for column in taken])
    for column, name in zip(taken, names, strict=True):
        given = keras.Input((1,), dtype=dtype_of(column), name=name)
        inputs[name] = given
        parts += _parts(column, given)
    joined = parts[0]
    if len(parts) > 1:
        joined = layers.Concatenate(name="columns")(parts)
    return keras.Model(inputs, joined, name="preprocessing")


def dtype_of(column: Column) -> str:
    """Return the dtype in which a model takes a column."""
    if isinstance(column, Categories):
        return "string"
    return "float32"


def _parts(column: Column, given: Tensor) -> list[Tensor]:
    if isinstance(column, Categories):
        return [_one_hot(column, given)]
    assert isinstance(column, Numbers | Dates)
    parts = [_scaled(column, given)]
    if isinstance(column, Dates):
        parts += _of_date(column, given)
    if column.gaps:
        parts.append(ops.cast(ops.isnan(given), "float32"))
    return parts


def _scaled(column: Numbers | Dates, given: Tensor) -> Tensor:
    scaled = given
    for layer in scaling(column.mean, column.variance):
        scaled = layer(scaled)
    return _zero_in_gaps(given, scaled)


def _zero_in_gaps(given: Tensor, made: Tensor) -> Tensor:
    return ops.where(ops.isnan(given), 0.0, made)


def _one_hot(column: Categories, given: Tensor) -> Tensor:
    lookup = layers.StringLookup(
        vocabulary=list(column.words),
        num_oov_indices=1,
        mask_token=None,
        oov_token=_unused(column.words),
        output_mode="one_hot",
    )
    encoded = lookup(given)
    if column.others:
        return encoded
    # no training row had it, so that its weights would be the random ones they began with
    return encoded[:, 1:]


def _unused(words: Sequence[str]) -> str:
    """A word that is none of the categories."""
    word = "[UNK]"
    while word in words:
        word = f"[{word}]"
    return word


def _of_date(column: Dates, given: Tensor) -> list[Tensor]:
    known = ops.where(ops.isnan(given), column.mean, given)
    days = ops.floor(known)
    weekday = ops.cast(ops.mod(days + _THURSDAY, _DAYS_OF_WEEK), "int32")
    encoded = layers.CategoryEncoding(_DAYS_OF_WEEK, output_mode="one_hot")(weekday)
    turns = [known * _YEARS_A_DAY]
    if column.times:
        turns.append(known - days)
    parts = [encoded]
    for turn in turns:
        # of small numbers float32 holds more
        angle = (turn - ops.floor(turn)) * (2 * math.pi)
        parts += [ops.sin(angle), ops.cos(angle)]
    return [_zero_in_gaps(given, part) for part in parts]


def encoded(model: keras.Model, inputs: Mapping[str, np.ndarray], batch: int) -> np.ndarray:
    """Return what the model makes of some rows, as float32, in a graph as an export's.

    Args:
        model: what `build` returned.
        inputs: by the names of its inputs.
        batch: how many rows at a time.
    """
    import tensorflow as tf

    run = tf.function(model, autograph=False, reduce_retracing=True)
    count = len(next(iter(inputs.values())))
    made = []
    for start in range(0, count, batch):
        rows = slice(start, start + batch)
        tensors = {name: tf.constant(array[rows]) for name, array in inputs.items()}
        made.append(run(tensors).numpy())
    return np.concatenate(made)
