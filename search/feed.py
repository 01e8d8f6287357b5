"""Arrays as Keras feeds them, without tf.data's waits between epochs."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter, can_convert_arrays
from keras.src.trainers.data_adapters.array_slicing import train_validation_split


def without_waits(x: Any, y: Any, batch_size: int | None, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return the data and options of `fit` with arrays in an adapter of ours; everything else as it is."""
    weight, split = options.get("sample_weight"), options.get("validation_split", 0.0)
    if x is None or not can_convert_arrays((x, y, weight)):
        return x, y, options
    validation = options.get("validation_data")
    if split and validation is None:
        (x, y, weight), validation = train_validation_split((x, y, weight), validation_split=split)
    if isinstance(validation, tuple | list) and can_convert_arrays(tuple(validation)):
        parts = keras.utils.unpack_x_y_sample_weight(tuple(validation))
        size = options.get("validation_batch_size") or batch_size
        validation = (_Arrays(*parts, batch_size=size, steps=options.get("validation_steps")),)
    data = _Arrays(
        x,
        y,
        weight,
        batch_size=batch_size,
        steps=options.get("steps_per_epoch"),
        shuffle=options.get("shuffle", True),
        class_weight=options.get("class_weight"),
    )
    told = {"sample_weight": None, "class_weight": None, "validation_split": 0.0, "validation_data": validation}
    return data, None, {**options, **told}


class _Arrays(ArrayDataAdapter):
    """Keras' own adapter: the same batches in the same order.

    When an iterator of a dataset that tunes itself is destroyed, it waits for its tuner, which sleeps: up to seconds an
    epoch, in which nothing trains. There is nothing to tune in slicing arrays.
    """

    def get_tf_dataset(self) -> Any:
        """Return Keras' dataset, not tuned."""
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False
        return super().get_tf_dataset().with_options(options)
