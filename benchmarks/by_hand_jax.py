"""The peer of `benchmarks.by_hand` in JAX: `jax.vmap`, and a whole epoch as one jitted `lax.scan`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

from benchmarks.by_hand import DECAYS, EPSILON, RATE, Work

Array: TypeAlias = Any  # jax.Array, or what traces it
Params: TypeAlias = list[tuple[Array, Array]]

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "mish": nn.mish,
    "tanh": jnp.tanh,
    "elu": nn.elu,
    "leaky_relu(alpha=0.1)": partial(nn.leaky_relu, negative_slope=0.1),
    "trelu(theta=0.5)": lambda x: jnp.where(x > 0.5, x, 0.0),
    "gelu": partial(nn.gelu, approximate=False),
    "silu": nn.silu,
}


class State(NamedTuple):
    """Weights of all members, and what Adam remembers of them."""

    params: Params
    first: Params
    second: Params
    step: Array


def _dense(x: Array, kernel: Array, bias: Array) -> Array:
    return x @ kernel + bias


def _convolution(x: Array, kernel: Array, bias: Array) -> Array:
    """A convolution as a product of patches.

    `jax.vmap` of `lax.conv_general_dilated` is a grouped convolution, which XLA does slowly on a CPU:
    32 CNNs took 2.3 times the CPU time.
    """
    patches = lax.conv_general_dilated_patches(
        x, kernel.shape[:2], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    # its features are channels first, then the window
    channels_first = jnp.moveaxis(kernel, 2, 0)
    return patches @ channels_first.reshape(-1, kernel.shape[-1]) + bias


def _pooled(x: Array) -> Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2, 1), (1, 1, 2, 2, 1), "SAME")


def _shared(layer: Callable[..., Array]) -> Callable[..., Array]:
    """The layer for all members, which see one batch."""
    return jax.vmap(layer, in_axes=(None, 0, 0))


def _forward(work: Work) -> Callable[[Params, Array], Array]:
    """Return what computes the logits of all members, (members, batch, classes)."""
    functions = [FUNCTIONS[name] for name in work.activations]

    def activated(x: Array) -> Array:
        parts = jnp.split(x, len(functions))
        return jnp.concatenate([f(part) for f, part in zip(functions, parts, strict=True)])

    def mlp(params: Params, x: Array) -> Array:
        x = activated(_shared(_dense)(x, *params[0]))
        x = activated(jax.vmap(_dense)(x, *params[1]))
        return jax.vmap(_dense)(x, *params[2])

    def cnn(params: Params, x: Array) -> Array:
        x = activated(_shared(_convolution)(x, *params[0]))
        x = activated(jax.vmap(_convolution)(_pooled(x), *params[1]))
        x = x.reshape(*x.shape[:2], -1)
        x = activated(jax.vmap(_dense)(x, *params[2]))
        return jax.vmap(_dense)(x, *params[3])

    return {"mlp": mlp, "cnn": cnn}[work.kind]


def _epoch(forward: Callable[[Params, Array], Array]) -> Callable[..., Any]:
    """Return what trains all members for an epoch, and counts who was right."""

    def loss(params: Params, x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
        logits = forward(params, x)
        chosen = jnp.take_along_axis(nn.log_softmax(logits), y[None, :, None], axis=-1)[..., 0]
        right = (logits.argmax(-1) == y) * weights
        # the sum over the members: each gets its own gradient
        return -(chosen * weights).sum() / weights.sum(), right.sum()

    @partial(jax.jit, donate_argnums=0)
    def epoch(
        state: State, x: Array, y: Array, batches: Array, weights: Array
    ) -> tuple[State, Array]:
        def step(state: State, batch: tuple[Array, Array]) -> tuple[State, Array]:
            rows, weights = batch
            gradients, right = jax.grad(loss, has_aux=True)(state.params, x[rows], y[rows], weights)
            return _adam(state, gradients), right

        state, right = lax.scan(step, state, (batches, weights))
        return state, right.sum()

    return epoch


def _adam(state: State, gradients: Params) -> State:
    step = state.step + 1
    one, two = DECAYS
    first = jax.tree.map(lambda m, g: one * m + (1 - one) * g, state.first, gradients)
    second = jax.tree.map(lambda v, g: two * v + (1 - two) * g * g, state.second, gradients)
    rate = RATE * jnp.sqrt(1 - two**step) / (1 - one**step)

    def moved(w: Array, m: Array, v: Array) -> Array:
        return w - rate * m / (jnp.sqrt(v) + EPSILON)

    params = jax.tree.map(moved, state.params, first, second)
    return State(params, first, second, step)


def _batches(work: Work, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An epoch's rows, (steps, batch size), and their weights: 0 where the last batch has none."""
    count = len(work.x)
    steps = -(-count // work.batch_size)
    rows = np.zeros(steps * work.batch_size, "int32")
    rows[:count] = random.permutation(count)
    weights = np.arange(len(rows)) < count
    shape = (steps, work.batch_size)
    return rows.reshape(shape), weights.astype("float32").reshape(shape)


def _zeros(params: Iterable[tuple[Array, Array]]) -> Params:
    return jax.tree.map(jnp.zeros_like, list(params))


def train(work: Work) -> float:
    """Train all members, and return their mean accuracy in the last epoch."""
    random = np.random.default_rng(1)
    kernels = work.kernels()
    params = [(jnp.asarray(k), jnp.zeros((work.members, k.shape[-1]))) for k in kernels]
    state = State(params, _zeros(params), _zeros(params), jnp.zeros(()))
    x = jnp.asarray(work.x)
    y = jnp.asarray(work.y)
    epoch = _epoch(_forward(work))
    right = jnp.zeros(())
    for _ in range(work.epochs):
        state, right = epoch(state, x, y, *_batches(work, random))
    return float(right) / work.members / len(work.x)
