"""Arrays as Keras feeds them, without tf.data's waits between epochs.

And in the orders of several seeds at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_acts.compat import (
    ArrayDataAdapter,
    can_convert_arrays,
    convert_to_sliceable,
    train_validation_split,
)
from keras_acts.errors import ModelError

from ..runtime.seeding import isolated_seed

if TYPE_CHECKING:
    import tensorflow as tf

Tensor = Any
Structure = Any  # of arrays or tensors, as Keras nests them

# Keras' own, where `fit` is given none
_BATCH_SIZE = 32

BY_SEED = "seed"  # a `shuffle` that Keras has not

# one thread: an iterator is made while Keras validates, and there is one to make
_background = ThreadPoolExecutor(1, "keras_acts_iterators")


def as_adapter(
    x: Any, y: Any, batch_size: int | None, options: Mapping[str, Any], seeds: tuple[int, ...]
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
    weight = options.get("sample_weight")
    shuffle = options.get("shuffle", True)
    if shuffle == BY_SEED and not are_arrays(x, y, weight):
        raise ModelError(
            f"shuffle='seed' needs arrays, or dense tensors. Received: x of type {type(x).__name__}"
        )
    if x is None or not can_convert_arrays((x, y, weight)):
        return x, y, dict(options)
    split = options.get("validation_split", 0.0)
    validation = options.get("validation_data")
    if split and validation is None:
        (x, y, weight), validation = train_validation_split((x, y, weight), validation_split=split)
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
    # what the adapter knows already, Keras is not told again
    remaining = {
        **options,
        "sample_weight": None,
        "class_weight": None,
        "validation_split": 0.0,
        "validation_data": _validation_adapter(validation, batch_size, options),
        "shuffle": bool(shuffle),
    }
    return data, None, remaining


def _validation_adapter(validation: Any, batch_size: int | None, options: Mapping[str, Any]) -> Any:
    """Validation data with arrays in an adapter of ours; others as they are."""
    if not isinstance(validation, tuple | list) or not can_convert_arrays(tuple(validation)):
        return validation
    parts = keras.utils.unpack_x_y_sample_weight(tuple(validation))
    size = options.get("validation_batch_size") or batch_size
    return (_Arrays(*parts, batch_size=size, steps=options.get("validation_steps")),)


def most_samples(x: Any) -> int | None:
    """Return how many samples a batch of what `as_adapter` gives has at most, if that is known."""
    if not isinstance(x, _Arrays) or not _are_dense(keras.tree.flatten(x.arrays)):
        return None
    return int(min(x.batch_size, x.samples))


def are_arrays(*data: Any) -> bool:
    """Whether data are arrays or dense tensors, of which any samples can be picked."""
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    return bool(leaves) and _are_dense(leaves)


def as_in_first_fit(fit: Mapping[str, Any]) -> list[keras.callbacks.Callback]:
    """Return what has a `fit` of a model on JAX shuffle as the model's first one, under the same seed.

    In a first `fit` Keras looks at a batch, for shapes, and on JAX that draws an order of NumPy's
    random numbers. A model that is built already would train on the batches of another order than one
    that is new, such as a population after somebody has left it.

    To be asked for right before `fit`, and given to it as its first callbacks.

    Args:
        fit: its arguments.
    """
    shuffle = fit.get("shuffle", True)
    data = (fit.get("x"), fit.get("y"), fit.get("sample_weight"))
    if keras.backend.backend() != "jax" or not shuffle or not are_arrays(*data):
        return []
    samples = len(keras.tree.flatten(fit["x"])[0])
    if fit.get("validation_data") is None:
        samples = math.floor(samples * (1.0 - (fit.get("validation_split") or 0.0)))
    if shuffle == "batch":
        samples = min(samples, fit.get("batch_size") or _BATCH_SIZE)
    return [_Look(samples)]


class _Look(keras.callbacks.Callback):
    """Draws one order of samples before the first epoch, whatever was drawn since this was made."""

    def __init__(self, samples: int):
        super().__init__()
        self._samples = samples
        self._before = np.random.get_state()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Draw it."""
        np.random.set_state(self._before)
        np.random.permutation(self._samples)


def may_be_in_other_orders(data: Any) -> bool:
    """Whether data may come in another order each time they are read."""
    return data is not None and not are_arrays(data)


def _are_dense(leaves: list[Any]) -> bool:
    return all(hasattr(leaf, "__array__") for leaf in leaves)


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
        self._steps = steps
        self._epochs = _EpochDataset(self)

    def get_tf_dataset(self) -> tf.data.Dataset | _EpochDataset:
        """Return Keras' dataset, not tuned.

        The same each time, so that a `fit` that goes on sees the same orders.
        """
        import tensorflow as tf

        # with a number of steps, Keras goes on with the iterator that it made last
        if self._steps or keras.config.max_steps_per_epoch():
            return self.dataset
        if tf.distribute.has_strategy():
            return self.dataset
        return self._epochs

    @property
    def arrays(self) -> Structure:
        """Inputs, targets and weights, as they were given."""
        return [array for array in keras.tree.flatten(self._inputs) if array is not None]

    @property
    def samples(self) -> int:
        """How many there are."""
        return int(self._num_samples)

    def on_epoch_begin(self) -> None:
        """Hear that Keras will ask for an iterator to use."""
        super().on_epoch_begin()
        self._epochs.begin()

    @functools.cached_property
    def dataset(self) -> tf.data.Dataset:
        """Keras' dataset."""
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False
        return self._batches().with_options(options)

    def _batches(self) -> tf.data.Dataset:
        if len(self.seeds) > 1:
            return self._in_orders_of_seeds()
        if not self._shuffle and _are_dense(keras.tree.flatten(self._inputs)):
            return self._in_order()
        if not self.seeds:
            return super().get_tf_dataset()
        with isolated_seed(self.seeds[0]):  # Keras shuffles by the global seed
            return super().get_tf_dataset()

    def _in_order(self) -> tf.data.Dataset:
        """Keras' batches of dense arrays, without its functions of a dataset.

        Each of those takes an iterator 5 ms to begin with.
        """
        import tensorflow as tf

        samples = self._num_samples
        size = self._batch_size
        inputs = self._tensors()
        whole = samples // size  # batches; the last one may be smaller
        cut = whole * size
        full = keras.tree.map_structure(
            lambda t: tf.reshape(t[:cut], (whole, size, *t.shape[1:])), inputs
        )
        dataset = tf.data.Dataset.from_tensor_slices(full)
        if cut < samples:
            rest = keras.tree.map_structure(lambda t: t[cut:], inputs)
            dataset = dataset.concatenate(tf.data.Dataset.from_tensors(rest))
        return dataset

    def _tensors(self) -> Structure:
        return keras.tree.lists_to_tuples(
            convert_to_sliceable(self._inputs, target_backend="tensorflow")
        )

    def _in_orders_of_seeds(self) -> tf.data.Dataset:
        import tensorflow as tf

        samples = self._num_samples
        size = self._batch_size
        count = len(self.seeds)
        # known to the graph where all batches are of one size
        static_size = None if samples % size else size

        def orders(_: Tensor) -> Tensor:
            orders_of_seeds = []
            for seed in self.seeds:  # as Keras shuffles, where `seed` is the global one
                tf.compat.v1.set_random_seed(seed)
                indices = tf.range(samples, dtype=tf.int64)
                orders_of_seeds.append(tf.random.shuffle(indices, seed=0))
            return tf.stack(orders_of_seeds)

        def batches(order: Tensor) -> tf.data.Dataset:
            def batch(i: Tensor) -> Tensor:
                rows = order[:, i * size : (i + 1) * size]
                return tf.ensure_shape(rows, (count, static_size))

            return tf.data.Dataset.range(self._size).map(batch)

        rows = tf.data.Dataset.range(1).map(orders).flat_map(batches)
        whole = tf.data.Dataset.from_tensors(self._tensors()).repeat()
        gathered = tf.data.Dataset.zip(rows, whole).map(
            _gather, num_parallel_calls=tf.data.AUTOTUNE
        )
        return gathered.prefetch(2)


def _gather(rows: Tensor, data: Structure) -> Structure:
    """The samples at some rows of all tensors."""
    import tensorflow as tf

    def gather(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        return tf.gather(tensor, rows)

    return keras.tree.map_structure(gather, data)


class _EpochDataset:
    """The arrays' dataset, to Keras.

    The iterator that it asks for second in an epoch is the first of the next.

    Keras takes nothing from that one, as long as it goes by epochs and not by steps.
    """

    def __init__(self, arrays: _Arrays):
        self._arrays = arrays
        self._was_asked = False  # in this epoch
        self._next: Future[Any] | None = None

    def begin(self) -> None:
        """Hear that an epoch begins."""
        self._was_asked = False

    def __iter__(self) -> Iterator[Any]:
        if self._was_asked:
            return self._of_next_epoch()
        self._was_asked = True
        prepared = self._next
        self._next = None
        if prepared is None:
            return iter(self._arrays.dataset)
        return prepared.result()

    def _of_next_epoch(self) -> Iterator[Any]:
        """An iterator that is made in the background."""
        try:
            self._next = _background.submit(iter, self._arrays.dataset)
        except RuntimeError:
            # in a thread that outlives the main one, Python takes no more work
            return iter(self._arrays.dataset)
        return _once_made(self._next)


def _once_made(future: Future[Iterator[Any]]) -> Iterator[Any]:
    yield from future.result()
