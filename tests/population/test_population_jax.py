"""A population on the JAX backend: the same code, each member again what it would be alone."""

import importlib.util

import pytest

from tests.helpers.processes import python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
]

CODE = """
import keras
import numpy as np
from keras_acts.search import BestWeights, PopulationModel
from keras_acts.search.population.memory import outputs_per_sample
from tests.helpers import populations as t
from tests.population import test_population_exactness as exactness
from tests.population import test_optimizers as optimizers
from tests.vectorize import test_population_rules as rules
from tests.vectorize import test_population_sequences as sequences

assert keras.backend.backend() == "jax"
x, y = t.data()
options = {"x": x, "y": y, "validation_data": (x[:33], y[:33])}
candidates = ["relu", "prelu", "tanh", "leaky_relu(alpha=0.2)"]
t.check(t.mlp(), candidates, t.settings("sgd"), options, members=(1, 3), rtol=2e-4)
# on JAX, Keras' own attention takes no values of another size than its keys
for model in (sequences.lstm(), sequences.attention(value_dim=4)):
    x3, y3 = t.data((4, 3))
    t.check(model, ["relu", "prelu", "tanh"], t.settings("sgd"), {"x": x3, "y": y3}, members=(1,), rtol=2e-4)
exactness.test_a_member_is_its_ordinary_model_with_folded_channels("cnn")
for name in rules.CONVOLUTIONS:
    rules.test_convolutions(name)
convolution = keras.Sequential([keras.Input((4, 4, 2)), t.layers.Conv2D(3, 3, padding="same")])
assert outputs_per_sample(convolution) == 16 * (3 + 9 * 2)  # and patches
large = keras.Sequential([keras.Input((4, 4, 40)), t.layers.Conv2D(3, 3, padding="same", activation="relu")])
assert outputs_per_sample(large) == 16 * 3
optimizers.test_a_diverged_member_is_frozen_and_its_neighbours_never_notice("mlp", 1, "auto", "adam")

model = keras.Sequential([keras.Input((4,)), t.layers.Dropout(0.5), *t.mlp().layers])
population = PopulationModel(model, ["relu", "tanh"], seeds=2)
population.compile("adam", "sparse_categorical_crossentropy")
best = BestWeights()
history = population.fit(**options, batch_size=8, epochs=3, verbose=0, callbacks=[best]).history
losses = np.stack(history["val_members/loss"])
np.testing.assert_array_equal(best.best_epoch, losses.argmin(axis=0))
again = population.evaluate(*options["validation_data"], verbose=0, return_dict=True)["members/loss"]
np.testing.assert_allclose(again, losses.min(axis=0), rtol=1e-5)
part = population.select([3, 0])
np.testing.assert_allclose(part.predict(x, verbose=0), population.predict(x, verbose=0)[[3, 0]], rtol=1e-5)
print("same")
"""

FILLED = """
import keras
import numpy as np
from keras_acts.search import PopulationModel
from keras_acts.search.runtime import choices
from tests.helpers import populations as t

x, y = t.data(samples=20)
weight = np.linspace(0.5, 2, 20, dtype="float32")

def trained(model, fills):
    population = PopulationModel(model, ["relu", "tanh"])
    population.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy",
        metrics=["accuracy"], weighted_metrics=["sparse_categorical_crossentropy"],
    )
    sizes = set()
    call = population.call
    def counted_call(inputs, training=None, forward=None):
        sizes.add((bool(training), inputs.shape[0]))
        return call(inputs, training, forward)
    population.call = counted_call
    with choices.using(fill_batches=fills):
        options = {"validation_data": (x[:13], y[:13]), "sample_weight": weight, "epochs": 2}
        history = population.fit(x, y, 8, verbose=0, shuffle=False, **options).history
        population.fit(x, y, 16, verbose=0, shuffle=False)
    return population, history, sizes

def check(model, expected):
    filled, history, sizes = trained(model, True)
    assert sizes == expected, sizes
    as_it_is, expected_history, _ = trained(model, False)
    for found, wanted in zip(filled.weights, as_it_is.weights, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)
    for name, values in expected_history.items():
        np.testing.assert_allclose(history[name], values, rtol=2e-5, atol=1e-6, err_msg=name)

plain = [keras.Input((4,)), t.layers.Dense(6, "relu"), t.layers.Dense(3, "softmax")]
check(keras.Sequential(plain), {(True, 8), (True, 16), (False, 8)})
normalized = [*plain[:2], t.layers.BatchNormalization(), plain[2]]
check(keras.Sequential(normalized), {(True, 8), (True, 4), (True, 16), (False, 8)})

# as many steps as samples in a batch: nothing would fail
rng = np.random.default_rng(0)
x = rng.normal(size=(14, 8, 4)).astype("float32")
y = rng.integers(0, 3, (14, 8))
losses = []
for fills in (True, False):
    model = keras.Sequential([keras.Input((8, 4)), *plain[1:]])
    population = PopulationModel(model, ["relu", "tanh"])
    population.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with choices.using(fill_batches=fills):
        history = population.fit(x, y, 8, verbose=0, shuffle=False, validation_data=(x, y)).history
    losses.append([history["loss"], history["val_loss"], history["val_accuracy"]])
np.testing.assert_allclose(*losses, rtol=1e-5)
print("same")
"""

ORDERS = """
from functools import partial
import keras_tuner
import numpy as np
from keras_acts.search import Candidate, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import OneByOneTrainer, PopulationTrainer
from keras_acts.search.race.cohorts import Cohorts
from tests.helpers.models import blobs, mlp

x, y = blobs(40)
fit = {"x": x, "y": y, "validation_split": 0.3, "batch_size": 8, "verbose": 0}
model = mlp()
relu, tanh = map(Candidate.of, ("relu", "tanh"))
stays, leaves = Member(relu, 1), Member(tanh, 1)

def curve(*rungs):
    race = Cohorts(model, keras_tuner.Objective("val_loss", "min"), fit, [1, 3], 0, lambda count: None)
    for epochs, members in zip((1, 3), rungs):
        race.train(members, epochs)
    return race.runs[stays].curve["val_loss"]

alone = curve([stays], [stays])
np.testing.assert_allclose(curve([stays, leaves], [stays]), alone, rtol=1e-5)
np.testing.assert_allclose(curve([leaves], [stays]), alone, rtol=1e-5)

builds = [partial(with_activations, model, one) for one in (relu, tanh)]
whole = {**fit, "epochs": 2}
together = PopulationTrainer(model, [relu, tanh], builds=builds)
by_itself = OneByOneTrainer(builds, [relu, tanh])
for one, other in zip(together.train([3, 4], whole), by_itself.train([3, 4], whole), strict=True):
    np.testing.assert_allclose(one.history["val_loss"], other.history["val_loss"], rtol=1e-4)
print("same")
"""


def test_a_population_on_jax_is_its_ordinary_models():
    assert python(CODE, KERAS_BACKEND="jax").strip().endswith("same")


def test_a_smaller_last_batch_is_filled_up_where_that_is_exact():
    assert python(FILLED, KERAS_BACKEND="jax").strip().endswith("same")


def test_the_batches_come_in_one_order_however_often_a_population_has_trained():
    assert python(ORDERS, KERAS_BACKEND="jax").strip().endswith("same")
