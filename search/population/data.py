"""Arrays as Keras feeds them, without tf.data's waits between epochs, and in the orders of several seeds at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras

from keras_acts.compat import (
    ArrayDataAdapter,
    can_convert_arrays,
    convert_to_sliceable,
    train_validation_split,
)
from keras_acts.errors import ModelError

from ..runtime.seeding import isolated_seed

BY_SEED = "seed"  # a `shuffle` that Keras has not

_background = ThreadPoolExecutor(1, "keras_acts_iterators")


def as_adapter(
    x: Any, y: Any, batch_size: int | None, options: dict[str, Any], seeds: tuple[int, ...]
) -> tuple[Any, Any, dict[str, Any]]:
    """Return the data and options of `fit` with arrays in an adapter of ours.

    Everything else as it is.

    Args:
        x: inputs.
        y: targets.
        batch_size: as in `fit`.
        options: further arguments of `fit`.
        seeds: whose orders ``shuffle="seed"`` asks for.

    Raises:
        ModelError: if it does, and the data are no arrays.
    """
    weight, split = options.get("sample_weight"), options.get("validation_split", 0.0)
    shuffle = options.get("shuffle", True)
    if shuffle == BY_SEED and not are_arrays(x, y, weight):
        raise ModelError(
            f"shuffle='seed' needs arrays, or dense tensors. Received: x of type {type(x).__name__}"
        )
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
        shuffle=shuffle,
        class_weight=options.get("class_weight"),
    )
    if shuffle == BY_SEED:
        data.seeds = seeds
    told = {
        "sample_weight": None,
        "class_weight": None,
        "validation_split": 0.0,
        "validation_data": validation,
    }
    return data, None, {**options, **told, "shuffle": bool(shuffle)}


def are_arrays(*data: Any) -> bool:
    """Whether data are arrays or dense tensors, of which any samples can be picked."""
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    return bool(leaves) and all(hasattr(leaf, "__array__") for leaf in leaves)


class _Arrays(ArrayDataAdapter):
    """Keras' own adapter: the same batches in the same order.

    With several `seeds`, (S, B, ...) of their orders.

    When an iterator of a dataset that tunes itself is destroyed, it waits for its tuner, which
    sleeps: up to seconds an epoch, in which nothing trains. There is nothing to tune in slicing
    arrays.

    Making an iterator takes 10 to 25 ms. Keras makes one at the end of an epoch and another where
    the next begins; here that is the same one, which nobody has used. It is made while Keras
    validates.
    """

    seeds: tuple[int, ...] = ()

    def __init__(self, *data: Any, steps: int | None, **options: Any):
        super().__init__(*data, steps=steps, **options)
        self._steps, self._epochs = steps, _EpochDataset(self)

    def get_tf_dataset(self) -> Any:
        """Return Keras' dataset, not tuned.

        The same each time, so that a `fit` that goes on sees the same orders.
        """
        import tensorflow as tf

        # with a number of steps, Keras goes on with the iterator that it made last
        plain = self._steps or keras.config.max_steps_per_epoch() or tf.distribute.has_strategy()
        return self.dataset if plain else self._epochs

    def on_epoch_begin(self) -> None:
        """Hear that Keras will ask for an iterator to use."""
        super().on_epoch_begin()
        self._epochs.begin()

    @functools.cached_property
    def dataset(self) -> Any:
        """Keras' dataset."""
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False
        if len(self.seeds) > 1:
            return self._by_seed().with_options(options)
        if not self._shuffle and all(
            hasattr(leaf, "__array__") for leaf in keras.tree.flatten(self._inputs)
        ):
            return self._in_order().with_options(options)
        if not self.seeds:
            return super().get_tf_dataset().with_options(options)
        with isolated_seed(self.seeds[0]):
            return super().get_tf_dataset().with_options(options)

    def _in_order(self) -> Any:
        """Keras' batches of dense arrays, without the functions that each take an iterator 5 ms to begin with."""
        import tensorflow as tf

        samples, size, inputs = self._num_samples, self._batch_size, self._tensors()
        whole = samples // size
        cut = whole * size
        full = keras.tree.map_structure(
            lambda t: tf.reshape(t[:cut], (whole, size, *t.shape[1:])), inputs
        )
        dataset = tf.data.Dataset.from_tensor_slices(full)
        if cut < samples:
            last = tf.data.Dataset.from_tensors(keras.tree.map_structure(lambda t: t[cut:], inputs))
            dataset = dataset.concatenate(last)
        return dataset

    def _tensors(self) -> Any:
        return keras.tree.lists_to_tuples(
            convert_to_sliceable(self._inputs, target_backend="tensorflow")
        )

    def _by_seed(self) -> Any:
        import tensorflow as tf

        samples, size, parts, inputs = (
            self._num_samples,
            self._batch_size,
            len(self.seeds),
            self._tensors(),
        )

        def orders(_: Any) -> Any:
            found = []
            for seed in self.seeds:  # as Keras shuffles, where `seed` is the global one
                tf.compat.v1.set_random_seed(seed)
                found.append(tf.random.shuffle(tf.range(samples, dtype=tf.int64), seed=0))
            return tf.stack(found)

        def batches(order: Any) -> Any:
            def batch(i: Any) -> Any:
                rows = order[:, i * size : (i + 1) * size]
                return tf.ensure_shape(rows, (parts, None if samples % size else size))

            return tf.data.Dataset.range(self._size).map(batch)

        def gathered(rows: Any, data: Any) -> Any:
            return keras.tree.map_structure(
                lambda t: None if t is None else tf.gather(t, rows), data
            )

        rows = tf.data.Dataset.range(1).map(orders).flat_map(batches)
        whole = tf.data.Dataset.from_tensors(inputs).repeat()
        return (
            tf.data.Dataset.zip(rows, whole)
            .map(gathered, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(2)
        )


class _EpochDataset:
    """The arrays' dataset, to Keras.

    The iterator that it asks for second in an epoch is the first of the next.

    Keras takes nothing from that one, as long as it goes by epochs and not by steps.
    """

    def __init__(self, arrays: _Arrays):
        self._arrays, self._asked = arrays, False
        self._next: Future[Any] | None = None

    def begin(self) -> None:
        """Hear that an epoch begins."""
        self._asked = False

    def __iter__(self) -> Any:
        if self._asked:
            try:
                self._next = _background.submit(iter, self._arrays.dataset)
            except (
                RuntimeError
            ):  # in a thread that outlives the main one, Python takes no more work
                return iter(self._arrays.dataset)
            return _later(self._next)
        self._asked = True
        found, self._next = self._next, None
        return found.result() if found else iter(self._arrays.dataset)


def _later(future: Future[Any]) -> Iterator[Any]:
    yield from future.result()
