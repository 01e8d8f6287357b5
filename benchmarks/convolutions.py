"""The ways in which every member of a population can convolve with its own kernel, side by side.

    python -m benchmarks.convolutions [--members 8 32 128] [--dtype float32] [--repeats 11]

Milliseconds of a convolution of 3x3 with tanh, forward and backward: as groups of one convolution,
as products of patches, member after member. The seconds are those of the first call, which is traced
and compiled. For JAX set KERAS_BACKEND.
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
from keras import ops
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import compiled, environment, parsed, value_and_gradients, wait
from keras_acts.search.runtime.device import gpus
from keras_acts.search.vectorize.batch import FOLDED, STACKED, Batch
from keras_acts.search.vectorize.convolutions import grouped_convolution, in_groups
from keras_acts.search.vectorize.patches import multiply_patches

Tensor = Any
HOW = ((1, 1), "same", (1, 1))
# samples, side of the image, channels, filters
CASES = ((32, 4, 16, 32), (64, 16, 32, 64), (64, 32, 64, 64))


def member_after_member(
    x: Batch, kernel: Tensor, strides: Any, padding: str, dilations: Any
) -> Batch:
    """Convolve as the loop over layers without a rule does."""
    pairs = zip(x.per_member(), ops.unstack(kernel, x.members), strict=True)
    return Batch(
        ops.stack([ops.conv(a, k, strides, padding, "channels_last", dilations) for a, k in pairs]),
        STACKED,
        x.members,
    )


WAYS: dict[str, tuple[Callable[..., Batch], str]] = {
    "groups": (in_groups, FOLDED),
    "patches": (multiply_patches, STACKED),
    "loop": (member_after_member, STACKED),
}


def step(way: Callable[..., Batch], layout: str, members: int) -> Callable[[Tensor, Tensor], Any]:
    """Return the program of output and gradients."""

    def forward(x: Tensor, kernel: Tensor) -> Tensor:
        return ops.tanh(way(Batch(x, layout, members), kernel, *HOW).value)

    return compiled(lambda x, kernel: value_and_gradients(forward, (x, kernel)))


def measured(
    function: Callable[..., Any], arguments: tuple[Tensor, ...], repeats: int
) -> tuple[float, float]:
    """Return the milliseconds of a call and the seconds of the first."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        wait(function(*arguments))
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[2:]), times[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--members", type=int, nargs="+", default=[8, 32], help="(default: %(default)s)"
    )
    parser.add_argument("--dtype", default="float32")
    parser.add_argument(
        "--cases", type=int, default=2, help="how many sizes, of 3 (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=11)
    arguments = parsed(parser, members=[8], cases=1, repeats=3)
    # XLA would take minutes on a CPU; without oneDNN there are none
    groups = gpus() if keras.backend.backend() == "jax" else grouped_convolution()
    console = Console(width=120)
    console.print(f"{environment()}; {arguments.dtype}")
    table = Table(
        "samples",
        "side",
        "channels",
        "filters",
        "members",
        *(f"{way}: ms (s)" for way in WAYS),
        box=MARKDOWN,
    )
    for samples, side, channels, filters in CASES[: arguments.cases]:
        for members in arguments.members:
            kernel = ops.cast(
                keras.random.normal((members, 3, 3, channels, filters)), arguments.dtype
            )
            x = Batch(
                ops.cast(
                    keras.random.normal((members, samples, side, side, channels)), arguments.dtype
                ),
                STACKED,
                members,
            )
            values = {STACKED: x.value, FOLDED: x.folded()}
            row = []
            for way, layout in WAYS.values():
                if way is in_groups and not groups:
                    row.append("-")
                    continue
                ms, first = measured(
                    step(way, layout, members), (values[layout], kernel), arguments.repeats
                )
                row.append(f"{ms:.3g} ({first:.1f})")
            console.print(samples, side, channels, filters, members, *row)
            table.add_row(*map(str, (samples, side, channels, filters, members)), *row)
    console.print(table)


if __name__ == "__main__":
    main()
