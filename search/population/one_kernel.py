"""Adam's update of a stacked variable as one kernel of TensorFlow, instead of a dozen passes over the weights."""

from __future__ import annotations

from typing import Any

import keras

from keras_acts.compat import index_in, moments, replace_update_of_all

Tensor = Any


def one_kernel(optimizer: Any) -> bool:
    """Have an optimizer update each variable with one kernel, where TensorFlow has one of the same formula.

    Returns:
        Whether it does: Adam and AdamW without `amsgrad` do, outside of a distribution strategy.
    """
    import tensorflow as tf

    if type(optimizer) not in (keras.optimizers.Adam, keras.optimizers.AdamW) or optimizer.amsgrad:
        return False
    if tf.distribute.has_strategy():
        return False

    def update(gradients: list[Tensor], variables: list[Any], learning_rate: Any) -> None:
        powers: dict[Any, tuple[Tensor, Tensor]] = {}
        for gradient, variable in zip(gradients, variables, strict=True):
            value = getattr(variable, "value", variable)
            dtype = value.dtype
            # the numbers in full precision, but their powers from what a cast leaves of them: as
            # Keras has it
            beta_1, beta_2, epsilon = (
                tf.constant(number, dtype)
                for number in (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
            )
            if dtype not in powers:
                step = tf.cast(keras.ops.convert_to_tensor(optimizer.iterations) + 1, dtype)
                powers[dtype] = (
                    tf.pow(tf.cast(optimizer.beta_1, dtype), step),
                    tf.pow(tf.cast(optimizer.beta_2, dtype), step),
                )
            momentum, velocity = moments(optimizer, index_in(optimizer, variable))
            tf.raw_ops.ResourceApplyAdam(
                var=value.handle,
                m=momentum.value.handle,
                v=velocity.value.handle,
                beta1_power=powers[dtype][0],
                beta2_power=powers[dtype][1],
                lr=tf.cast(learning_rate, dtype),
                beta1=beta_1,
                beta2=beta_2,
                epsilon=epsilon,
                grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
            )

    replace_update_of_all(optimizer, update)
    return True
