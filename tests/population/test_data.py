"""How populations are fed: batches in the order of Keras, whatever the data are."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from keras.src.trainers import epoch_iterator
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from keras_acts.search.population import data as feed
from keras_acts.search.population import model as population_module
from keras_acts.search.population.data import as_adapter
from keras_acts.search.population.model import PopulationModel
from tests.helpers.populations import data, small


def test_steps_per_execution_and_datasets():
    import tensorflow as tf

    x, y = data()
    population = PopulationModel(small(), ["relu", "mish", "relu"])
    population.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=4)
    population.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    again = PopulationModel(small(), ["relu", "mish", "relu"])
    again.compile("sgd", "sparse_categorical_crossentropy")
    again.fit(
        tf.data.Dataset.from_tensor_slices((x, y)).batch(8), epochs=2, shuffle=False, verbose=0
    )
    one, two = population.predict(x, verbose=0), again.predict(x, verbose=0)
    np.testing.assert_allclose(one[0], one[2], rtol=1e-5)
    assert np.abs(one[0] - one[1]).max() > 1e-3
    assert one.shape == two.shape == (3, 32, 3)


def test_arrays_are_fed_in_the_order_that_keras_feeds_them(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(50, 3)).astype("float32"), np.arange(50) % 2
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2, "softmax")]
    )
    options = {
        "batch_size": 8,
        "epochs": 2,
        "verbose": 0,
        "validation_split": 0.2,
        "class_weight": {0: 1.0, 1: 3.0},
    }

    def history():
        keras.utils.set_random_seed(5)
        population = PopulationModel(model, ["relu", "mish"])
        population.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return population.fit(x, y, **options).history

    ours = [history()]
    with monkeypatch.context() as ending:  # while Python ends, no other thread takes work
        ending.setattr(feed, "_background", ThreadPoolExecutor(1))
        feed._background.shutdown()
        ours.append(history())
    monkeypatch.setattr(
        population_module, "as_adapter", lambda x, y, _, options, seeds: (x, y, options)
    )
    theirs = history()
    for one in ours:
        keras.tree.map_structure(np.testing.assert_array_equal, one, theirs)


@pytest.mark.parametrize("samples", [3, 8, 16, 21])
@pytest.mark.parametrize("kind", ["arrays", "tensors", "pandas", "several, weighted"])
def test_arrays_in_their_order_are_the_batches_that_keras_makes(samples, kind):
    x, y = np.arange(2.0 * samples).reshape(samples, 2), np.arange(samples)
    parts = {
        "arrays": (x, y),
        "tensors": (tf.constant(x), tf.constant(y)),
        "pandas": (pandas.DataFrame(x), pandas.Series(y)),
        "several, weighted": ({"a": x, "b": y}, [y, x], [y / 2, y / 3]),
    }[kind]
    weight = parts[2] if len(parts) > 2 else None
    ((validation,), theirs) = (
        as_adapter(*parts[:2], 8, {"validation_data": parts}, ())[2]["validation_data"],
        ArrayDataAdapter(*parts[:2], weight, batch_size=8).get_tf_dataset(),
    )
    assert validation.dataset.element_spec == theirs.element_spec
    ours, theirs = list(validation.dataset), list(theirs)
    assert len(ours) == -(-samples // 8)
    keras.tree.map_structure(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize(("steps", "most", "made"), [(None, None, 4), (2, None, 2), (None, 4, 4)])
@pytest.mark.filterwarnings("ignore:Limiting steps_per_epoch")
def test_an_epoch_takes_the_iterator_that_keras_made_at_the_end_of_the_one_before(
    monkeypatch, steps, most, made
):
    monkeypatch.setattr(keras.config, "max_steps_per_epoch", lambda: most)
    monkeypatch.setattr(epoch_iterator.config, "max_steps_per_epoch", lambda: most)
    x, y = np.arange(32.0).reshape(16, 2), np.arange(16)
    (adapter, _, _) = as_adapter(x, y, 4, {"steps_per_epoch": steps, "shuffle": False}, ())
    theirs = ArrayDataAdapter(x, y, batch_size=4, shuffle=False)
    strategy = tf.distribute.get_strategy()
    ours, keras_own = (
        TFEpochIterator(strategy, a, steps_per_epoch=steps) for a in (adapter, theirs)
    )
    count, create = [], type(adapter.dataset).__iter__
    monkeypatch.setattr(
        type(adapter.dataset), "__iter__", lambda self: count.append(self) or create(self)
    )

    def epochs(iterator):
        found = []
        for _ in range(3):
            with iterator.catch_stop_iteration():
                found += [next(batches)[1].numpy().tolist() for _, _, batches in iterator]
        return found

    assert epochs(ours) == epochs(keras_own) != []
    assert sum(dataset is adapter.dataset for dataset in count) == made
