"""How a function with a gradient of its own reaches each backend, in the cheapest way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_acts.target import in_xla, is_compiled, is_serving, is_uncompiled

Tensor = Any
Function = Callable[..., Tensor]
# from a gradient of the output to one for each argument; None where there is none
Gradients = Callable[[Tensor], list[Tensor | None]]
Kernels = Callable[..., tuple[Tensor, Gradients]]

# In eager mode the Python around a program with a gradient of its own takes 1 to 2 ms, as long as
# so many elements
_LARGE = 2**20


def dtype_of(x: Tensor) -> str:
    """Return the name of the dtype of `x`."""
    return keras.backend.standardize_dtype(x.dtype)


def is_half(x: Tensor) -> bool:
    """Return whether `x` is in half precision."""
    return dtype_of(x) in ("float16", "bfloat16")


def wide(x: Tensor) -> Tensor:
    """Return `x` in float32 if it is in half precision."""
    return ops.cast(x, "float32") if is_half(x) else x


def like(y: Tensor, x: Tensor) -> Tensor:
    """Return `y` in the dtype of `x`."""
    return y if dtype_of(y) == dtype_of(x) else ops.cast(y, x.dtype)


def with_derivative(
    closed: Function, derivative: Function, served: Function, kernels: Kernels | None = None
) -> Function:
    """Return the elementwise function `closed` with `derivative` as its derivative.

    Half precision is computed in float32. Only `x`, in its own dtype, is kept for the backward
    pass. TensorFlow without XLA compiles both, but for the scope of `uncompiled`.

    Args:
        closed: the function as one formula on `keras.ops`.
        derivative: its derivative as one formula on `keras.ops`; it is differentiable itself.
        served: the function of `x` in the form that clients of an export fuse.
        kernels: the function of `x` in kernels of TensorFlow, for the scope of `uncompiled`, with
            what returns the gradient for a gradient of the output, in a list of one. By default
            what XLA compiles serves there too; half precision always has that.
    """

    def value(x: Tensor) -> Tensor:
        return like(closed(wide(x)), x)

    def product(x: Tensor, d: Tensor) -> Tensor:
        return like(ops.multiply(wide(d), derivative(wide(x))), x)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _tensorflow(value, product, served, kernels)
    if backend == "jax":
        return _jax(value, product)
    if backend == "torch":
        return _torch(value, product)
    return value


def recomputed(
    closed: Function, served: Function | None = None, kernels: Kernels | None = None
) -> Function:
    """Return ``closed(x, *parameters)`` with a compiled backward pass that keeps nothing but these.

    Half precision is computed in float32. On TensorFlow without XLA the value is compiled too, but
    for the scope of `uncompiled`; on other backends and under XLA this is `closed` itself, which is
    fused there anyway.

    Args:
        closed: the function on `keras.ops`, of `x` and of numbers or tensors that broadcast against
            it.
        served: the same function in the form that clients of an export fuse; `closed` itself by
            default.
        kernels: the same function as few kernels of TensorFlow, with what returns the gradients for
            a gradient of the output: one for each argument, in the shape of the output, or None
            where there is none.
    """

    def value(x: Tensor, *parameters: Any) -> Tensor:
        return like(closed(wide(x), *parameters), x)

    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    compiled = _compiled_with_slopes(value)
    in_kernels = None if kernels is None else _in_kernels(kernels)

    def function(x: Tensor, *parameters: Any) -> Tensor:
        if is_serving():
            return like((served or closed)(wide(x), *parameters), x)
        if in_xla() or _has_unknown_rank(x, *parameters):
            return value(x, *parameters)
        dtype = wide(x).dtype
        tensors = [tf.convert_to_tensor(parameter, dtype) for parameter in parameters]
        if not is_uncompiled():
            fixed = (False, *(isinstance(parameter, float) for parameter in parameters))
            return compiled(fixed)(x, *tensors)
        if in_kernels is None or is_half(x):
            return value(x, *tensors)
        return in_kernels(x, *tensors)

    return function


def _has_unknown_rank(*arguments: Any) -> bool:
    tensors = (argument for argument in arguments if hasattr(argument, "shape"))
    return any(tensor.shape.rank is None for tensor in tensors)


def _in_kernels(kernels: Kernels) -> Function:
    """Return the function that kernels of TensorFlow compute, with the gradients that they know."""
    import tensorflow as tf

    @tf.custom_gradient
    def call(*tensors: Tensor) -> tuple[Tensor, Gradients]:
        y, gradients = kernels(*tensors)

        def gradient(dy: Tensor) -> list[Tensor | None]:
            sums: list[Tensor | None] = []
            for slope, tensor in zip(gradients(dy), tensors, strict=True):
                sums.append(_summed(slope, tensor))
            return sums

        return y, gradient

    return _traced_once(call)


def _compiled_with_slopes(value: Function) -> Callable[[tuple[bool, ...]], Function]:
    """Return what gives ``value(x, *tensors)``, compiled, with a program for each gradient.

    It is asked with which of the arguments are numbers, and have no gradient.
    """
    import tensorflow as tf

    def slope(argument: int, dy: Tensor, *arguments: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(arguments[argument])
            y = value(*arguments)
        return tape.gradient(y, arguments[argument], dy)

    compiled_value = _by_kind(value, xla=True)

    @functools.cache
    def compiled_slope(argument: int) -> Function:
        return _by_kind(functools.partial(slope, argument), xla=True)

    @functools.cache
    def compiled(fixed: tuple[bool, ...]) -> Function:
        @tf.custom_gradient
        def call(x: Tensor, *tensors: Tensor) -> tuple[Tensor, Gradients]:
            y = compiled_value(*map(_off_tape, (x, *tensors)))

            def gradient(dy: Tensor) -> list[Tensor | None]:
                # one program for each: a graph prunes those that nobody asks for
                slopes: list[Tensor | None] = [None] * len(fixed)
                for argument, is_number in enumerate(fixed):
                    if not is_number:
                        slopes[argument] = compiled_slope(argument)(dy, x, *tensors)
                return slopes

            return y, gradient

        return _traced_once(call)

    return compiled


def with_program(closed: Function, product: Function) -> Function:
    """Return ``closed(x)`` of half precision with a backward pass that is one compiled program.

    Both are computed in float32.

    TensorFlow's gradients are several operations, which would all read and write float32. The
    program reads the output as it was rounded to half precision (a program of `x` would take as
    long as those). `x` is kept too, for second derivatives. Gradients are the usual ones under XLA,
    in exports, in the scope of `uncompiled`, on other backends, and in eager mode of what is small.

    Args:
        closed: the function on `keras.ops`.
        product: the product of its derivative and a gradient, from the output of `closed` and that
            gradient.
    """

    def value(x: Tensor) -> Tensor:
        return like(closed(wide(x)), x)

    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    in_place = _by_kind(value)  # operation by operation, float32 would lie in memory twice
    program = _by_kind(lambda y, dy: like(product(wide(y), wide(dy)), y), xla=True)

    @_traced_once
    @tf.custom_gradient
    def backward(x: Tensor, y: Tensor, dy: Tensor) -> tuple[Tensor, Function]:
        def gradient(ddx: Tensor) -> tuple[Tensor, None, Tensor]:  # all of it as one of x and dy
            with tf.GradientTape() as tape:
                tape.watch((x, dy))
                dx = like(product(closed(wide(x)), wide(dy)), x)
            of_x, of_dy = tape.gradient(dx, (x, dy), ddx)
            return of_x, None, of_dy

        return program(_off_tape(y), _off_tape(dy)), gradient

    @_traced_once
    @tf.custom_gradient
    def function(x: Tensor) -> tuple[Tensor, Function]:
        y = in_place(_off_tape(x))
        return y, lambda dy: backward(x, y, dy)

    def call(x: Tensor) -> Tensor:
        if tf.executing_eagerly() and x.shape.num_elements() < _LARGE:
            return value(x)
        if is_serving() or in_xla() or not is_compiled():
            return value(x)
        return function(x)

    return call


def _tensorflow(
    value: Function, product: Function, served: Function, kernels: Kernels | None
) -> Function:
    import tensorflow as tf

    compiled_value = _flat(_by_kind(value, xla=True))
    compiled_product = _flat(_by_kind(product, xla=True))

    @tf.custom_gradient
    def fused(x: Tensor) -> tuple[Tensor, Function]:
        return value(x), lambda dy: product(x, dy)

    @tf.custom_gradient
    def unfused(x: Tensor) -> tuple[Tensor, Function]:
        if kernels is not None and is_uncompiled() and not is_half(x):
            y, gradients = kernels(x)
            return y, lambda dy: gradients(dy)[0]
        return compiled_value(_off_tape(x)), lambda dy: compiled_product(x, dy)

    in_fused = _traced_once(fused)
    in_unfused = _traced_once(unfused)

    def function(x: Tensor) -> Tensor:
        if is_serving():
            return like(served(wide(x)), x)
        if in_xla():
            return in_fused(x)
        return in_unfused(x)

    return function


def _summed(x: Tensor | None, tensor: Tensor) -> Tensor | None:
    """Return `x`, if there is one, summed to the shape of a tensor that was broadcast to it."""
    if x is None:
        return None
    import tensorflow as tf

    _, axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x), s1=tf.shape(tensor))
    return tf.reshape(tf.reduce_sum(x, axes), tf.shape(tensor))


def _off_tape(x: Tensor) -> Tensor:
    """Return `x`, but in eager mode no tape keeps what is made of it.

    The gradient is the caller's own.
    """
    import tensorflow as tf

    return tf.stop_gradient(x) if tf.executing_eagerly() else x


def _by_kind(function: Function, xla: bool = False) -> Function:
    """Return the function of TensorFlow tensors, traced once for each dtypes and ranks.

    Compiled if `xla`.
    """
    import tensorflow as tf

    @functools.cache
    def traced(uncompiled: bool, *kinds: tuple[str, int | None]) -> Function:
        # sizes left open: one trace serves all (XLA still compiles once for each that it meets)
        signature = [tf.TensorSpec(_open_shape(rank), dtype) for dtype, rank in kinds]
        # a function of its own for each kind: else TensorFlow warns of retracing
        return tf.function(
            lambda *x: function(*x), signature, autograph=False, jit_compile=xla or None
        )

    def call(*tensors: Tensor) -> Tensor:
        kinds = ((dtype_of(x), x.shape.rank) for x in tensors)
        return traced(is_uncompiled(), *kinds)(*tensors)

    return call


def _open_shape(rank: int | None) -> list[None] | None:
    return None if rank is None else [None] * rank


def _traced_once(function: Function) -> Function:
    """Return `function`, a `tf.custom_gradient`, such that graphs call one trace of it.

    TensorFlow registers the gradient of each trace for ever, and with it the whole graph that it
    was traced in.
    """
    import tensorflow as tf

    traced = _by_kind(function)

    def call(x: Tensor, *others: Tensor) -> Tensor:
        if tf.executing_eagerly():
            return function(x, *others)
        return tf.ensure_shape(traced(x, *others), x.shape)

    return call


def _flat(elementwise: Function) -> Function:
    """Return the elementwise function, which meets its tensors as vectors.

    Those of one size share a program.
    """
    import tensorflow as tf

    def call(x: Tensor, *others: Tensor) -> Tensor:
        y = elementwise(*(tf.reshape(tensor, [-1]) for tensor in (x, *others)))
        return tf.ensure_shape(tf.reshape(y, tf.shape(x)), x.shape)

    return call


def runs_exact_softmax(x: Tensor) -> bool:
    """Return whether the backend's own softmax of `x`, in half precision, is exact here.

    That is, within one unit of the last place.

    TensorFlow's is where oneDNN computes it in float32 inside: on some CPUs, in bfloat16, up to
    five axes, without XLA.
    """
    if keras.backend.backend() != "tensorflow" or dtype_of(x) != "bfloat16" or is_serving():
        return False
    if x.shape.rank is None or x.shape.rank > 5 or in_xla():
        return False
    import tensorflow as tf

    with tf.init_scope():
        return tf.executing_eagerly() and _softmax_is_exact()


@functools.cache
def _softmax_is_exact() -> bool:
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        return False
    logits = tf.cast(tf.reshape(tf.linspace(-8.0, 8.0, 2048), [8, 256]), "bfloat16")
    in_half = tf.cast(tf.nn.softmax(logits), "float32")
    exact = tf.nn.softmax(tf.cast(logits, "float32"))
    # half a unit, where the mantissa is near 1
    return bool(tf.reduce_all(tf.abs(in_half - exact) <= exact * 2.0**-8))


def _jax(value: Function, product: Function) -> Function:
    import jax

    # custom_vjp and custom_gradient forbid forward over reverse, jacfwd(jacrev(f))
    function = jax.custom_jvp(value)
    function.defjvps(lambda dx, _, x: product(x, dx))
    return function


def _torch(value: Function, product: Function) -> Function:
    import torch

    class WithDerivative(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Tensor) -> Tensor:
            return value(x)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, dy: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            return product(x, dy)

    return WithDerivative.apply
