"""What a model looks up in tables trains under every optimizer as it does alone.

TensorFlow gives such a table a gradient with one row for each occurrence of a token, and Keras'
optimizers square or clip occurrence by occurrence. Tokens occur several times in each batch here.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_acts.errors import ModelError
from keras_acts.search import BestWeights, PopulationModel
from keras_acts.search.population.trainers import PopulationTrainer
from keras_acts.search.population.transfer import per_variable
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.vectorize import vectorizes
from keras_acts.search.vectorize.registry import forget
from tests.helpers.populations import OPTIMIZERS, check

TOKENS = 7

CLIPPED = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5),
    "clipvalue": lambda: keras.optimizers.Adagrad(0.05, clipvalue=0.01),
    "clipnorm": lambda: keras.optimizers.Adam(0.01, clipnorm=0.02),
    "global_clipnorm": lambda: keras.optimizers.Nadam(0.01, global_clipnorm=0.05),
    "momentum clipped": lambda: keras.optimizers.SGD(0.5, momentum=0.9, clipnorm=0.01),
    "averages": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=3),
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
}
ALL = {**OPTIMIZERS, **CLIPPED}
FAST = ("adam", "rmsprop", "clipnorm")


def some(names, fast=FAST):
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


def sentences(samples=32, length=5):
    """A few tokens, so that they repeat; -1 is the last one."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, TOKENS - 2, (samples, length))
    x[::3, 0] = -1
    return x, rng.integers(0, 3, samples)


@keras.saving.register_keras_serializable("tests")
class TokenAndPosition(layers.Layer):
    """As people write it: two embeddings in a layer, and a table of its own."""

    def __init__(self, length=5, tokens=TOKENS, width=4, **kwargs):
        super().__init__(**kwargs)
        self.length = length
        self.tokens = tokens
        self.width = width
        self.of_tokens = layers.Embedding(tokens, width, name="tokens")
        self.of_positions = layers.Embedding(length, width, name="positions")

    def build(self, shape):
        self.of_tokens.build(shape)
        self.of_positions.build(shape)
        self.bias = self.add_weight(shape=(self.tokens,), initializer="normal", name="biases")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        positions = self.of_positions(ops.arange(self.length))
        biases = ops.expand_dims(ops.take(self.bias, x, axis=0), -1)
        return self.scale * (self.of_tokens(x) + positions) + biases

    def get_config(self):
        sizes = {"length": self.length, "tokens": self.tokens, "width": self.width}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable("tests")
class Tied(layers.Layer):
    """Looks up, and multiplies by the same table: then the gradient is a dense one."""

    def build(self, shape):
        self.table = layers.Embedding(TOKENS, 4)
        self.table.build(shape)

    def call(self, x, reverse=False):
        if reverse:
            return ops.matmul(x, ops.transpose(self.table.embeddings))
        return self.table(x)


def of_words(**options):
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(TOKENS, 4, **options),
            layers.Dense(5, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def in_a_layer():
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            TokenAndPosition(),
            layers.Dense(5, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def twice():
    """One table for two inputs, and one whose layer is tied to the outputs."""
    x = keras.Input((5,), dtype="int32")
    table = layers.Embedding(TOKENS, 4, name="table")
    tied = Tied(name="tied")
    h = layers.Add()([table(x), table(layers.Lambda(lambda value: value[:, ::-1])(x)), tied(x)])
    h = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling1D()(h))
    words = layers.Dense(3)(tied(h, reverse=True))
    return keras.Model(x, layers.Softmax()(words))


def regularized():
    """With a regularizer Keras' gradient is a dense one; a constraint follows each update."""
    return of_words(embeddings_regularizer="l2", embeddings_constraint="unit_norm")


MODELS = {make.__name__: make for make in (of_words, in_a_layer, twice, regularized)}


def compiled_with(optimizer):
    def compiled():
        return {"optimizer": ALL[optimizer](), "loss": "sparse_categorical_crossentropy"}

    return compiled


@pytest.mark.parametrize("optimizer", some(ALL))
@pytest.mark.parametrize("model", some(MODELS, ("of_words", "in_a_layer")))
@pytest.mark.filterwarnings("ignore:Converting sparse IndexedSlices")
def test_every_optimizer(model, optimizer, float64):
    x, y = sentences()
    members = (1,) if optimizer in FAST else (0, 1, 2)
    check(
        MODELS[model](),
        ["relu", "prelu", "tanh"],
        compiled_with(optimizer),
        {"x": x, "y": y},
        members=members,
    )


@pytest.mark.parametrize("optimizer", [pytest.param("adamw", marks=pytest.mark.slow), "rmsprop"])
def test_each_member_has_its_own_rate(optimizer, float64):
    x, y = sentences()

    def trained(candidates, rates):
        population = PopulationModel(of_words(), candidates)
        population.compile(ALL[optimizer](), "sparse_categorical_crossentropy")
        population.set_learning_rates(rates)
        population.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        return population.model(1).layers[0].get_weights()[0]

    both = trained(["relu", "tanh"], [0.3, 0.02])
    np.testing.assert_allclose(both, trained(["tanh", "tanh"], [0.1, 0.02]), rtol=1e-9)
    assert np.abs(both - trained(["tanh", "tanh"], [0.1, 0.01])).max() > 1e-3


@pytest.mark.parametrize("jit_compile", ["auto", pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", some(["adam", "rmsprop", "adagrad", "adadelta"]))
def test_neighbours_never_notice_a_gradient_that_is_not_finite(optimizer, jit_compile):
    """Not even where Keras divides by what it keeps of each row, which is NaN from then on."""
    x, y = sentences()

    def trained(poison):
        population = PopulationModel(of_words(), ["relu", "tanh", "mish"])
        population.compile(
            ALL[optimizer](), "sparse_categorical_crossentropy", jit_compile=jit_compile
        )
        population.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        table = next(block for _, block in population.blocks() if block.name == "embeddings")
        index = [id(v) for v in population.trainable_variables].index(id(table.variable))
        if poison:
            for states in per_variable(
                population.optimizer, len(population.trainable_variables)
            ).values():
                value = np.array(states[index])
                value[:TOKENS] = np.nan
                states[index].assign(value)
        population.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return population

    healthy, poisoned = trained(False), trained(True)
    first = poisoned.order[0]
    assert not poisoned.diverged or poisoned.diverged == (first,)
    for member in {0, 1, 2} - {first}:
        pairs = zip(
            healthy.model(member).get_weights(), poisoned.model(member).get_weights(), strict=True
        )
        for expected, value in pairs:
            np.testing.assert_array_equal(value, expected)


def test_members_leave_and_join_with_their_rows_and_the_optimizers_state():
    x, y = sentences()
    fitted = {"x": x, "y": y, "batch_size": 8, "shuffle": False, "verbose": 0}
    whole = PopulationModel(in_a_layer(), ["relu", "tanh", "relu", "mish"])
    whole.compile("adam", "sparse_categorical_crossentropy")
    whole.fit(**fitted)
    some_left = PopulationModel.join([(whole, [3]), (whole, [1])])
    whole.fit(**fitted)
    some_left.fit(**fitted)
    for member, of_whole in ((0, 3), (1, 1)):
        pairs = zip(
            some_left.model(member).get_weights(), whole.model(of_whole).get_weights(), strict=True
        )
        for value, expected in pairs:
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)


def test_the_best_epoch_of_each_member_is_kept_and_restored():
    x, y = sentences()
    population = PopulationModel(of_words(), ["relu", "tanh"])
    population.compile(keras.optimizers.Adam(0.3), "sparse_categorical_crossentropy")
    kept = []
    each_epoch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(
            [population.model(member).layers[0].get_weights()[0] for member in (0, 1)]
        )
    )
    best = BestWeights("loss")
    population.fit(x, y, epochs=6, batch_size=8, verbose=0, callbacks=[each_epoch, best])
    for member in (0, 1):
        expected = kept[best.best_epoch[member]][member]
        restored = population.model(member).layers[0].get_weights()[0]
        np.testing.assert_array_equal(restored, expected)
        table = next(value for (path, _), value in best.weights(member).items() if "embed" in path)
        np.testing.assert_array_equal(table, expected)


@pytest.mark.slow
def test_seeds_that_train_together_each_keep_their_rows():
    x, y = sentences()
    fit = {"x": x[:24], "y": y[:24], "epochs": 2, "batch_size": 8, "validation_data": (x, y)}
    model = of_words()
    model.compile("adam", "sparse_categorical_crossentropy")
    trainer = PopulationTrainer(model, map(Candidate.of, ("relu", "prelu")))
    alone = list(trainer.train([5, 6], fit))
    together = list(trainer.train([5, 6], fit, at_once=2))
    tested = list(trainer.test([one.weights for one in (*alone, *together)], (x, y)))
    for seed in (0, 1):
        for name, values in alone[seed].history.items():
            np.testing.assert_allclose(together[seed].history[name], values, rtol=1e-4)
        for of_seed in (tested[seed], tested[2 + seed]):
            last = alone[seed].history["val_loss"][-1]
            np.testing.assert_allclose(of_seed["loss"], last, rtol=1e-4)


@pytest.mark.parametrize("token", [TOKENS, -TOKENS - 1])
def test_what_is_no_token_is_no_row_of_another_member(token):
    population = PopulationModel(of_words(), ["relu", "tanh"])
    with pytest.raises(Exception, match="is not in"):
        population(np.full((1, 5), token))


@keras.saving.register_keras_serializable("tests")
class OfWeights(TokenAndPosition):
    """With a rule of the user's."""


def test_a_rule_of_ones_own_that_takes_rows_is_refused():
    @vectorizes(OfWeights)
    def rule(call, x):
        raise AssertionError("nothing is run")

    try:
        hidden = layers.Dense(3, activation="relu")
        words = keras.Sequential(
            [keras.Input((5,), dtype="int32"), OfWeights(), hidden, layers.Dense(1)]
        )
        population = PopulationModel(words, ["relu"])
        with pytest.raises(ModelError, match=r"with a rule of your own .* Received: Adam"):
            population.compile("adam", "mse")
        population.compile("sgd", "mse")
    finally:
        forget(OfWeights)


def test_a_scaled_loss_is_refused_as_keras_cannot_divide_its_gradients():
    population = PopulationModel(of_words(), ["relu"])
    with pytest.raises(ModelError, match=r"scales no loss .* Received: loss_scale_factor=8.0"):
        population.compile(keras.optimizers.SGD(0.1, loss_scale_factor=8.0), "mse")
