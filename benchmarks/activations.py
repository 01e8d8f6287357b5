"""How fast are the activations? Ratios to Keras' own and to ReLU, side by side in one process.

    python -m benchmarks.activations [--size 4194304] [--repeats 9] [--only mish trelu]

Every number is the median over the repeats of a ratio of two times measured one after the other.
Outputs are returned, so that nothing is pruned. On a shared machine, run it twice. For JAX set
KERAS_BACKEND: compiled, without the bytes that are saved.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras import ops
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

import keras_acts as ka
from benchmarks.machine import compiled, environment, parsed, value_and_gradients, wait

ON_JAX = keras.backend.backend() == "jax"
if not ON_JAX:
    import tensorflow as tf

COLUMNS = 256
RUNS: dict[str, Callable[..., Any]] = (
    {"xla": compiled}
    if ON_JAX
    else {
        "eager": lambda f: f,
        "graph": compiled,
        "xla": lambda f: tf.function(f, jit_compile=True),
    }
)
DTYPES = ("float32", "bfloat16")

Function = Callable[..., Any]


@dataclass(frozen=True)
class Pair:
    """One of ours and its Keras counterpart; both take the input and the trained parameters."""

    name: str
    ours: Function
    keras: Function
    trained: tuple[Any, ...] = ()


def pairs() -> list[Pair]:
    """Return what is compared."""
    f, k = ka.functions, keras.activations
    found = [
        Pair(name, getattr(f, name), getattr(k, name))
        for name in ("sigmoid", "tanh", "relu", "elu", "softmax", "mish")
    ]

    found.append(
        Pair("elu alpha=0.5", lambda x: f.elu(x, alpha=0.5), lambda x: k.elu(x, alpha=0.5))
    )
    found.append(Pair("leaky_relu", f.leaky_relu, lambda x: k.leaky_relu(x, negative_slope=0.01)))
    found += [_trelu(alpha, mode) for alpha in (0.0, 0.1) for mode in f.MODES]

    def keras_prelu(x: Any, alpha: Any) -> Any:  # what keras.layers.PReLU does
        return k.relu(x) - ops.cast(alpha, x.dtype) * k.relu(-x)

    found.append(
        Pair(
            "prelu per channel",
            lambda x, alpha: f.prelu(x, alpha=alpha),
            keras_prelu,
            (ops.full([COLUMNS], 0.25),),
        )
    )
    return found


def _trelu(alpha: float, mode: str) -> Pair:
    def ours(x: Any) -> Any:
        return ka.functions.trelu(x, alpha=alpha, theta=0.5, mode=mode)

    def theirs(x: Any) -> Any:  # a function of its own: ours only in the mode "keras"
        return keras.activations.relu(x, negative_slope=alpha, threshold=0.5)

    return Pair(f"trelu {mode} alpha={alpha}", ours, theirs)


def with_backward(function: Function) -> Function:
    """Return the function that gives value and gradients, of the trained parameters too."""
    return lambda dy, *arguments: value_and_gradients(function, arguments, dy)


def saved_for_backward(function: Function, dtype: str, trained: tuple[Any, ...] = ()) -> float:
    """Return how many bytes an element the forward pass leaves for the backward pass, the input included."""
    shape = (64, COLUMNS)
    graph = tf.__internal__.FuncGraph("forward")
    with graph.as_default():
        x, dy = (tf.compat.v1.placeholder(dtype, shape) for _ in range(2))
        parameters = [tf.compat.v1.placeholder(value.dtype, value.shape) for value in trained]
        y = function(x, *parameters)
        forward = set(graph.get_operations()) - {dy.op}
        tf.gradients(y, [x, *parameters], dy)
        backward = [op for op in graph.get_operations() if op not in forward]
        tensors = (_origin(t) for op in backward for t in op.inputs if t.op in forward)
        saved = {t.name: t for t in tensors}
    elements = shape[0] * shape[1]  # also of a function's output, whose sizes are open
    return (
        sum(
            t.dtype.size * (t.shape.num_elements() or elements)
            for t in saved.values()
            if t.shape.rank
        )
        / elements
    )


def _origin(tensor: Any) -> Any:
    """Return the tensor that this one is a copy of, also where a function hands its argument back."""
    while True:
        op = tensor.op
        if op.type in ("Identity", "IdentityN"):
            tensor = op.inputs[tensor.value_index]
        elif op.type in ("PartitionedCall", "StatefulPartitionedCall"):
            argument = _handed_back(op, tensor.value_index)
            if argument is None:
                return tensor
            tensor = op.inputs[argument]
        else:
            return tensor


def _handed_back(call: Any, output: int) -> int | None:
    """Return which argument of the called function this output is, or None."""
    library = call.graph.as_graph_def().library.function
    function = next(f for f in library if f.signature.name == call.get_attr("f").name)
    arguments = [argument.name for argument in function.signature.input_arg]
    nodes = {node.name: node for node in function.node_def}
    name = function.ret[function.signature.output_arg[output].name]
    while name not in arguments:
        node, _, index = name.split(":")
        if nodes[node].op not in ("Identity", "IdentityN"):
            return None
        name = nodes[node].input[int(index)]
    return arguments.index(name)


def ratios(
    functions: list[Callable[..., Any]], arguments: tuple[Any, ...], repeats: int
) -> tuple[float, float, float]:
    """Return the first function's time in ms and the median ratios of it to the second and to the third."""
    for _ in range(2):  # trace, compile, warm up
        for function in functions:
            wait(function(*arguments))
    times = []
    # in every order: what ran before leaves memory and caches that matter, 10 % for the same kernel
    orders = itertools.cycle(itertools.permutations(range(len(functions))))
    for order in itertools.islice(orders, repeats):
        row = [0.0] * len(functions)
        for turn in order:
            start = time.perf_counter()
            wait(functions[turn](*arguments))
            row[turn] = time.perf_counter() - start
        times.append(row)
    ours = 1e3 * statistics.median(row[0] for row in times)
    return (
        ours,
        statistics.median(row[0] / row[1] for row in times),
        statistics.median(row[0] / row[2] for row in times),
    )


def measure(
    pair: Pair, run: str, dtype: str, size: int, repeats: int
) -> Iterator[tuple[str, float, float, float]]:
    """Yield (direction, ms, ratio to Keras' counterpart, ratio to ReLU)."""
    x = ops.cast(2 * keras.random.normal([size // COLUMNS, COLUMNS], seed=1), dtype)
    functions = [_plain(pair.ours), _plain(pair.keras), lambda x, *_: keras.activations.relu(x)]
    backward = [RUNS[run](with_backward(f)) for f in functions]
    yield "forward", *ratios([RUNS[run](f) for f in functions], (x, *pair.trained), repeats)
    yield "forward+backward", *ratios(backward, (ops.ones_like(x), x, *pair.trained), repeats)


def _plain(function: Function) -> Function:
    """Return the function with as short a signature as the others'.

    `tf.function` takes 0.1 ms a call for long ones.
    """
    return lambda x, *trained: function(x, *trained)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=int, default=2**22, help="number of elements (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=12,
        help="interleaved repeats, at least 7 (default: %(default)s)",
    )
    parser.add_argument(
        "--only", nargs="*", default=(), help="only the activations whose name starts so"
    )
    arguments = parsed(parser, size=2**16, repeats=7, only=["relu"])
    if arguments.repeats < 7 or arguments.size < COLUMNS:
        parser.error(f"needs --repeats >= 7 and --size >= {COLUMNS}")
    console = Console(width=120)
    console.print(
        f"{environment()}; {arguments.size} elements, {arguments.repeats} repeats", soft_wrap=True
    )
    table = Table(
        "activation",
        "run",
        "dtype",
        "direction",
        "ms",
        "/ Keras",
        "/ ReLU",
        "saved B/el.",
        "Keras'",
        box=MARKDOWN,
    )
    for pair in pairs():
        if arguments.only and not pair.name.startswith(tuple(arguments.only)):
            continue
        for dtype in DTYPES:
            counted = () if ON_JAX else (pair.ours, pair.keras)
            saved = [f"{saved_for_backward(f, dtype, pair.trained):.2f}" for f in counted]
            for run in RUNS:
                for direction, ms, to_keras, to_relu in measure(
                    pair, run, dtype, arguments.size, arguments.repeats
                ):
                    memory = (
                        saved if run == "graph" and direction == "forward+backward" else ("", "")
                    )
                    numbers = (f"{ms:.2f}", f"{to_keras:.2f}", f"{to_relu:.2f}")
                    table.add_row(pair.name, run, dtype, direction, *numbers, *memory)
    console.print(table)


if __name__ == "__main__":
    main()
