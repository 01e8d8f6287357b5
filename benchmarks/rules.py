"""Each rule of a population against the loop over its members.

One step forward and backward, in one process.

    python -m benchmarks.rules [--members 8 32] [--only Conv1D Depthwise] [--repeats 15]

A model is a layer with a searched activation, the layer measured, and a dense one, on batches of
32. A row shows the milliseconds of a step with the layer's rule, member after member, and their ratio,
and the seconds of the first step, which is traced. For JAX set KERAS_BACKEND.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

import keras_acts as ka
from benchmarks.machine import parsed
from keras_acts.search import PopulationModel
from keras_acts.search.vectorize import registry

Layer = Callable[[], Any]
IMAGE, VOLUME, SERIES, TOKENS = (8, 8, 16), (4, 4, 4, 8), (64, 8), (16, 32)
# by name: the shape of a sample, and the layer
CASES: dict[str, tuple[tuple[int, ...], Layer]] = {
    "Conv1D": (SERIES, lambda: layers.Conv1D(16, 3)),
    "Conv1D causal, dilated": (
        SERIES,
        lambda: layers.Conv1D(16, 3, padding="causal", dilation_rate=2),
    ),
    "Conv2D": (IMAGE, lambda: layers.Conv2D(16, 3)),
    "Conv2D dilated": (IMAGE, lambda: layers.Conv2D(16, 3, dilation_rate=2)),
    "Conv3D": (VOLUME, lambda: layers.Conv3D(8, 2)),
    "Conv2D 2 groups": (IMAGE, lambda: layers.Conv2D(16, 3, groups=2)),
    "DepthwiseConv1D": (SERIES, lambda: layers.DepthwiseConv1D(3)),
    "DepthwiseConv1D dilated": (SERIES, lambda: layers.DepthwiseConv1D(3, dilation_rate=2)),
    "DepthwiseConv2D": (IMAGE, lambda: layers.DepthwiseConv2D(3)),
    "DepthwiseConv2D strides": (IMAGE, lambda: layers.DepthwiseConv2D(3, strides=2)),
    "DepthwiseConv2D dilated": (IMAGE, lambda: layers.DepthwiseConv2D(3, dilation_rate=2)),
    "SeparableConv1D": (SERIES, lambda: layers.SeparableConv1D(16, 3)),
    "SeparableConv2D": (IMAGE, lambda: layers.SeparableConv2D(16, 3)),
    "Dense": (TOKENS, lambda: layers.Dense(32)),
    "EinsumDense": (
        TOKENS,
        lambda: layers.EinsumDense("abc,cde->abde", (16, 4, 8), bias_axes="de"),
    ),
    "LSTM": (TOKENS, lambda: layers.LSTM(32, return_sequences=True)),
    "GRU": (TOKENS, lambda: layers.GRU(32, return_sequences=True)),
    "SimpleRNN": (TOKENS, lambda: layers.SimpleRNN(32, return_sequences=True)),
    "Bidirectional": (TOKENS, lambda: layers.Bidirectional(layers.LSTM(32, return_sequences=True))),
    "MultiHeadAttention": (TOKENS, lambda: layers.MultiHeadAttention(4, 8)),
    "MultiHeadAttention masked": (TOKENS, lambda: layers.MultiHeadAttention(4, 8)),
    "Attention": (TOKENS, lambda: layers.Attention(use_scale=True)),
    "AdditiveAttention": (TOKENS, layers.AdditiveAttention),
    "BatchNormalization": (IMAGE, layers.BatchNormalization),
    "LayerNormalization": (TOKENS, layers.LayerNormalization),
    "GroupNormalization": (IMAGE, lambda: layers.GroupNormalization(4)),
    "RMSNormalization": (TOKENS, layers.RMSNormalization),
    "UnitNormalization": (TOKENS, layers.UnitNormalization),
    # frozen, so that the search leaves them as they are
    "keras_acts PReLU": (IMAGE, lambda: ka.layers.PReLU(trainable=False)),
    "keras_acts TReLU": (IMAGE, lambda: ka.layers.TReLU(trainable=False)),
    "PReLU": (IMAGE, lambda: layers.PReLU(trainable=False)),
    "Dropout": (TOKENS, lambda: layers.Dropout(0.5)),
    "SpatialDropout2D": (IMAGE, lambda: layers.SpatialDropout2D(0.5)),
    "GaussianNoise": (TOKENS, lambda: layers.GaussianNoise(0.5)),
    "GaussianDropout": (TOKENS, lambda: layers.GaussianDropout(0.5)),
    "AlphaDropout": (TOKENS, lambda: layers.AlphaDropout(0.5)),
}


def _attends(layer: Any, x: Any, h: Any) -> Any:
    return layer(h, h)


def _attends_masked(layer: Any, x: Any, h: Any) -> Any:
    """With a mask that all members share, as that of padded texts is."""
    is_token = keras.ops.any(keras.ops.greater(x, 0.0), axis=-1)
    return layer(h, h, attention_mask=keras.ops.expand_dims(is_token, 1))


def _attends_to_list(layer: Any, x: Any, h: Any) -> Any:
    return layer([h, h])


# how layers are called that take more than one input
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "MultiHeadAttention": _attends,
    "MultiHeadAttention masked": _attends_masked,
    "Attention": _attends_to_list,
    "AdditiveAttention": _attends_to_list,
}


def step(name: str, shape: tuple[int, ...], layer: Layer, members: int) -> Callable[[], Any]:
    """Return what trains a population on one batch; the model ends with the layer."""
    rank = len(shape) - 1
    before = getattr(layers, f"Conv{rank}D") if shape in (IMAGE, VOLUME, SERIES) else layers.Dense
    arguments = (
        {"filters": shape[-1], "kernel_size": 1}
        if before is not layers.Dense
        else {"units": shape[-1]}
    )
    made = layer()
    x = keras.Input(shape)
    h = before(**arguments, activation="relu")(x)
    if name in CALLS:
        h = CALLS[name](made, x, h)
    else:
        h = made(h)
    model = keras.Model(x, layers.Dense(1)(layers.Flatten()(h)))
    population = PopulationModel(model, ["relu", "tanh"], seeds=members // 2)
    population.compile(
        "sgd", "mse", jit_compile="auto" if keras.backend.backend() == "jax" else False
    )
    rng = np.random.default_rng(0)
    x, y = (
        rng.normal(size=(32, *shape)).astype("float32"),
        rng.normal(size=(32, 1)).astype("float32"),
    )
    return lambda: population.train_on_batch(x, y)


def measured(
    name: str, shape: tuple[int, ...], layer: Layer, members: int, repeats: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of the steps with the rule and member after member, which take turns."""
    keras.backend.clear_session()
    kind = type(layer())
    with_rule = step(name, shape, layer, members)
    with registry.without_rule(kind):
        steps = (with_rule, step(name, shape, layer, members))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + 2):
        for function, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--members", type=int, nargs="+", default=[8, 32], help="even (default: %(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="the rows whose names begin with one of these"
    )
    parser.add_argument("--repeats", type=int, default=15, help="of a step (default: %(default)s)")
    arguments = parsed(parser, members=[8], only=["Conv1D"], repeats=3)
    table = Table(
        "layer", "members", "ms, rule", "ms, loop", "times faster", "first: s, rule", "s, loop"
    )
    for name, (shape, layer) in CASES.items():
        if name.startswith(tuple(arguments.only)):
            for members in arguments.members:
                times = measured(name, shape, layer, members, arguments.repeats)
                rule, loop = (
                    1e3 * statistics.median(found[2:]) for found in times
                )  # the first two are for warming up
                first = (f"{found[0]:.1f}" for found in times)
                table.add_row(
                    name, str(members), f"{rule:.1f}", f"{loop:.1f}", f"{loop / rule:.1f}", *first
                )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
