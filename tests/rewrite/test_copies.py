"""A copy of a layer is a copy: name, dtype policy, weights, vocabulary.

And nothing of the user's is touched.
"""

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_acts as ka
from keras_acts.errors import ActivationError, DataError, ModelError
from keras_acts.search import ActivationTuner, PopulationModel, activation_choice, with_activations
from keras_acts.search.population import transfer
from keras_acts.search.rewrite.compiling import optimizer_like
from keras_acts.search.rewrite.remaking import copy_assets
from keras_acts.search.strategy.checks import check_data
from tests.helpers.models import blobs, mlp

register = keras.saving.register_keras_serializable("test_copies")


@register
class Linear(layers.Layer):
    """As in Keras' guide on layers of one's own: the config has neither name nor dtype."""

    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {"units": self.units}


@register
class NoOptions(layers.Layer):
    """No ``**kwargs``, and no config of its own."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


@register
class Holds(layers.Layer):
    """A model made by the constructor: its weights belong to no layer of the user's model."""

    def __init__(self, frozen=False, **kwargs):
        super().__init__(**kwargs)
        self.frozen = frozen
        self.inner = keras.Sequential(
            [keras.Input((4,)), layers.Dense(5), layers.BatchNormalization()]
        )
        self.inner.trainable = not frozen

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "frozen": self.frozen}


@register
class Forgets(layers.Layer):
    """A config that tells one argument of three."""

    def __init__(self, units, scale=1.0, sizes=(1,), activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.scale = scale
        self.sizes = sizes
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal")

    def call(self, inputs):
        return self.activation(self.scale * sum(self.sizes) * keras.ops.matmul(inputs, self.w))

    def get_config(self):
        config = {"units": self.units}
        if self.activation is not keras.activations.linear:
            config["activation"] = keras.activations.serialize(self.activation)
        return config


@register
class ForgetsForGood(Forgets):
    @classmethod
    def from_config(cls, config):
        return cls(config["units"])


@register
class OtherEachTime(layers.Layer):
    made = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        type(self).made += 1
        self.parts = [layers.Dense(3) for _ in range(type(self).made)]

    def call(self, inputs):
        return sum(part(inputs) for part in self.parts)


@register
class Tokens(layers.Layer):
    """An Embedding, or rows of a table, inside of a layer."""

    def __init__(self, by_layer=True, **kwargs):
        super().__init__(**kwargs)
        self.by_layer = by_layer
        self.table = layers.Embedding(6, 3) if by_layer else None

    def build(self, input_shape):
        if self.by_layer:
            self.table.build(input_shape)
        else:
            self.rows = self.add_weight(shape=(6, 3), initializer="uniform")

    def call(self, tokens):
        return self.table(tokens) if self.by_layer else keras.ops.take(self.rows, tokens, axis=0)

    def get_config(self):
        return {**super().get_config(), "by_layer": self.by_layer}


def around(layer, shape=(4,), dtype=None):
    """A model with a searched slot behind a layer."""
    found = [
        keras.Input(shape, dtype=dtype),
        layer,
        layers.Flatten(),
        layers.Dense(6, "relu", name="searched"),
    ]
    return keras.Sequential([*found, layers.Dense(3, activation="softmax", name="output")])


def moved(model):
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) ** 2 for w in model.get_weights()])
    return model


def test_a_layer_without_a_name_in_its_config_keeps_it():
    for layer in (Linear(5, name="mine", dtype="float64"), NoOptions(2.0)):
        layer.trainable = False
        model = moved(around(layer))
        copy = with_activations(model, "mish").layers[0]
        assert type(copy) is type(layer)
        assert (copy.name, copy.dtype_policy.name, copy.trainable) == (
            layer.name,
            layer.dtype_policy.name,
            False,
        )
        for one, other in zip(copy.get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.slow)])
def test_a_slot_with_such_a_layer_gives_the_model_that_was_trained(optimizer):
    x, y = blobs(60)
    model = around(Linear(5))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    population = PopulationModel(model, ["relu", "mish"])
    population.fit(x, y, verbose=0)
    scores = population.evaluate(x, y, verbose=0, return_dict=True)
    for slot in (0, 1):
        alone = population.model(slot)
        assert alone.layers[0].name == model.layers[0].name
        found = alone.evaluate(x, y, verbose=0, return_dict=True)
        assert found == {
            name: pytest.approx(scores[f"members/{name}"][slot], rel=1e-5) for name in found
        }


@pytest.mark.parametrize("renamed", ["searched", "output"])
def test_a_model_of_other_layers_is_refused_and_none_is_skipped(renamed):
    population = PopulationModel(
        mlp() if renamed == "output" else around(layers.Dense(4)), ["relu", "mish"]
    )
    model = population.model(0)
    model.get_layer(renamed).name = "another"
    with pytest.raises(
        ModelError,
        match=r"the population's layers, by name, .*Received: 'another' with the variable",
    ):
        transfer.to_model(population, 0, model)
    other = PopulationModel(around(layers.Dense(4)), ["relu", "mish"])
    unlike = PopulationModel(mlp(features=5), ["relu", "mish"])
    for origins in ([(other, 0), (other, 1)], [(unlike, 0), (unlike, 2)]):
        with pytest.raises(
            ModelError, match=r"filled from populations of its own model.*Received: '.*has no '"
        ):
            transfer.to_population(
                [transfer.Origin(*origin) for origin in origins],
                PopulationModel(mlp(features=5), ["relu", "mish"]),
            )
    fewer = keras.Model(model.inputs, model.layers[0].output)
    with pytest.raises(ModelError, match="Received: 2 variables instead of"):
        transfer.to_model(population, 0, fewer)


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_of_a_model_that_a_constructor_makes_are_copied(frozen):
    model = moved(around(Holds(frozen)))
    same = with_activations(model, "mish", weights=not frozen)
    for one, other in zip(model.layers[0].weights, same.layers[0].weights, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.trainable == other.trainable
    assert len(same.trainable_variables) == len(model.trainable_variables)


def test_a_layer_that_makes_other_parts_each_time_is_refused():
    with pytest.raises(
        ModelError, match=r"layers of the same classes.*Received: 'other_each_time' .*\['Dense'\]"
    ):
        with_activations(around(OtherEachTime(name="other_each_time")), "mish", weights=True)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_an_argument_that_a_config_leaves_out_is_the_copys(activation):
    model = moved(around(Forgets(4, scale=10.0, sizes=(2, 3), activation=activation)))
    new = "relu" if activation else "mish"
    model.layers[2].activation = keras.activations.get(new)
    copy = with_activations(model, new, weights=True)
    assert (copy.layers[0].scale, copy.layers[0].sizes) == (10.0, (2, 3))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5)


def test_what_a_config_tells_is_newer_than_the_constructors_arguments():
    layer = Linear(3)
    layer.units = 5
    assert with_activations(around(layer), "mish").layers[0].units == 5


def test_an_argument_that_cannot_be_added_is_named():
    assert with_activations(around(ForgetsForGood(4, sizes=(1,))), "mish").layers[0].units == 4
    with pytest.raises(
        ModelError,
        match=r"each argument.*Received: 'mine' of class ForgetsForGood without scale=10.0",
    ):
        with_activations(around(ForgetsForGood(4, scale=10.0, name="mine")), "mish")


@register
class SetsItsOwn(layers.Layer):
    """A constructor that chooses a method, and a class attribute that is made once."""

    norm = layers.LayerNormalization

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.call = self.twice
        self.norm = self.norm()

    def build(self, input_shape):
        self.norm.build(input_shape)

    def call(self, inputs):
        return self.norm(inputs)

    def twice(self, inputs):
        return 2 * self.norm(inputs)


@pytest.mark.parametrize("where", ["layer", "wrapped", "cell", "inside", "slot"])
def test_a_method_that_was_set_on_a_layer_is_refused(where):
    found = {
        "layer": layers.Dense(4, name="mine"),
        "wrapped": layers.TimeDistributed(layers.Dense(4, name="mine")),
        "cell": layers.RNN(layers.SimpleRNNCell(4, name="mine")),
        "inside": Holds(),
        "slot": layers.Activation("relu", name="mine"),
    }[where]
    changed = {"wrapped": "layer", "cell": "cell", "inside": "inner"}.get(where)
    changed = getattr(found, changed) if changed else found
    changed = changed.layers[0] if where == "inside" else changed
    model = around(found, (3, 4) if where in ("wrapped", "cell") else (4,))
    with_activations(model, "mish")
    before = changed.call
    changed.call = lambda *args, **kwargs: before(*args, **kwargs)
    message = rf"write a subclass.*Received: '{changed.name}' of class {type(changed).__name__} with its own call"
    for attempt in (
        lambda: with_activations(model, "mish"),
        lambda: PopulationModel(model, ["relu", "mish"]).model(1),
    ):
        with pytest.raises(ModelError, match=message):
            attempt()


@pytest.mark.parametrize("name", ["build", "quantize"])
def test_so_is_one_that_keras_wraps(name):
    for thing in (layers.Dense(4, name="mine"), keras.Sequential([layers.Dense(4)], name="mine")):
        model = around(thing)
        setattr(thing, name, lambda *args, **kwargs: None)
        with pytest.raises(ModelError, match=rf"Received: 'mine' .*with its own {name}"):
            with_activations(model, "mish")


def test_and_one_of_an_object_that_a_config_tells():
    ones = keras.initializers.Zeros()
    model = around(layers.Dense(4, bias_initializer=ones, name="mine"))
    with_activations(model, "mish")
    ones.clone = lambda: ones
    with pytest.raises(
        ModelError, match="Received: 'mine' of class Dense with its own clone in Zeros"
    ):
        with_activations(model, "mish")


def test_what_keras_or_a_constructor_sets_on_a_layer_is_none_of_a_users():
    model = keras.Sequential(
        [keras.Input((6, 4)), layers.Conv1D(4, 2), layers.Bidirectional(layers.LSTM(4))]
    )
    model.add(SetsItsOwn())
    model.add(keras.Sequential([layers.Dense(4, "relu"), layers.BatchNormalization()]))
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((4, 6, 4)), np.zeros(4), verbose=0)
    x = np.random.default_rng(0).normal(size=(5, 6, 4)).astype("float32")
    slot = next(slot.name for slot in ka.search.slots(model).hidden if slot.current == "relu")
    copy = with_activations(model, {slot: "relu"}, weights=True)
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5, atol=1e-6)


def lookups():
    words = np.array([["red", "blue"], ["red", "green"], ["red", "blue"]])
    vectorization = layers.TextVectorization(output_sequence_length=2)
    idf = layers.TextVectorization(output_mode="tf_idf", max_tokens=8, pad_to_max_tokens=True)
    return {
        "strings": (layers.StringLookup(output_mode="one_hot"), words, (2,), "string"),
        "given": (
            layers.StringLookup(vocabulary=["red", "blue"], output_mode="multi_hot"),
            words,
            (2,),
            "string",
        ),
        "integers": (
            layers.IntegerLookup(output_mode="one_hot"),
            np.array([[5], [7], [5]]),
            (1,),
            "int64",
        ),
        "text": (vectorization, words[:, :1], (1,), "string"),
        "tf-idf": (idf, words[:, :1], (1,), "string"),
    }


@pytest.mark.parametrize("name", lookups())
def test_an_adapted_lookup_keeps_its_vocabulary(name):
    layer, values, shape, dtype = lookups()[name]
    if name != "given":
        layer.adapt(values)
    inputs = keras.Input(shape, dtype=dtype)
    found = layers.Flatten()(layers.Lambda(lambda x: keras.ops.cast(x, "float32"))(layer(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4, "relu")(found)))
    for copy in (
        with_activations(model, "mish"),
        PopulationModel(model, ["relu", "mish"]).model(1),
    ):
        again = copy.layers[1]
        assert again.get_vocabulary() == layer.get_vocabulary()
        np.testing.assert_array_equal(again(values), layer(values))


@pytest.mark.parametrize("mode", ["multi_hot", "int", "longer", "tf_idf", "text"])
def test_a_vocabulary_that_was_replaced_is_the_copys(mode):
    """As `set_vocabulary` left it, not as the constructor was told."""
    values, later = np.array([["c", "d"], ["a", "c"]]), ["c", "d"]
    if mode == "tf_idf":
        layer = layers.StringLookup(
            vocabulary=["a", "b"], idf_weights=[0.5, 0.25], output_mode=mode
        )
        layer.set_vocabulary(["a", "b"], idf_weights=[3.0, 2.0])
    elif mode == "text":
        layer, values = (
            layers.TextVectorization(vocabulary=["a", "b"], output_mode="multi_hot"),
            values[:, :1],
        )
        layer.set_vocabulary(later)
    else:
        longer = mode == "longer"  # Keras has one of integers grow, and no other
        layer = layers.StringLookup(vocabulary=["a", "b"], output_mode="int" if longer else mode)
        layer.set_vocabulary([*later, "e"] if longer else later)
    inputs = keras.Input(values.shape[1:], dtype="string")
    found = layers.Lambda(lambda x: keras.ops.cast(x, "float32"))(layer(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4, "relu")(found)))
    copy = with_activations(model, "relu", weights=True)
    assert copy.layers[1].get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_allclose(copy(tf.constant(values)), model(tf.constant(values)), rtol=1e-6)


def test_a_vocabulary_that_was_emptied_is_refused():
    for kind, words in ((layers.StringLookup, ["a", "b"]), (layers.IntegerLookup, [5, 7])):
        copy_assets(kind(), kind())
        with pytest.raises(
            ModelError, match=r"no empty one in its place. Received: 'words', .* with 3 tokens"
        ):
            copy_assets(kind(name="words"), kind(vocabulary=words))


@pytest.mark.parametrize("by_layer", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_rows_of_a_table_in_a_layer_train_as_alone(by_layer):
    model = around(Tokens(by_layer, name="tokens"), (4,), "int32")
    population = PopulationModel(model, ["relu", "mish"])
    population.compile("rmsprop", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).integers(0, 6, (24, 4)), np.arange(24) % 3
    alone = population.model(1)
    for one in (population, alone):
        one.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(population.model(1).get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_another_table_trains_with_any_optimizer():
    """A layer of a user's own whose gradients are of all values."""
    PopulationModel(around(Linear(5)), ["relu", "mish"]).compile(
        "adam", "sparse_categorical_crossentropy"
    )


@register
class Convolves(layers.Layer):
    """A convolution over an open length inside of a layer; or one that needs to know the length."""

    def __init__(self, needs_length=False, **kwargs):
        super().__init__(**kwargs)
        self.needs_length = needs_length
        self.convolution = layers.Conv1D(8, 5, padding="valid")

    def build(self, input_shape):
        self.convolution.build(input_shape)

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)

    def call(self, inputs):
        if self.needs_length:
            inputs = inputs * len(range(inputs.shape[1]))
        return self.convolution(inputs)

    def get_config(self):
        return {**super().get_config(), "needs_length": self.needs_length}


@pytest.mark.parametrize("needs_length", [False, True])
def test_a_layer_over_an_open_length_trains_whatever_optimizer(needs_length):
    """Nobody needs to trace it by itself, where a length would be missing."""
    inputs = keras.Input((None, 2))
    found = layers.GlobalAveragePooling1D()(
        layers.Dense(4, "relu")(Convolves(needs_length, name="mine")(inputs))
    )
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(found))
    population = PopulationModel(model, ["relu", "mish"])
    population.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(8, 6, 2))
    population.fit(x, np.arange(8) % 3, verbose=0)
    assert population.diverged == ()


@pytest.mark.parametrize(
    "options",
    [{"clipnorm": 0.5}, pytest.param({"global_clipnorm": 0.5}, marks=pytest.mark.slow), {}],
)
def test_the_users_optimizer_trains_another_model_afterwards(options):
    x, y = blobs(20)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), **options
    )
    before = {name: id(value) for name, value in vars(optimizer).items()}
    population = PopulationModel(mlp(), ["relu", "mish"])
    population.compile(optimizer, "sparse_categorical_crossentropy")
    population.fit(x, y, verbose=0)
    assert {name: id(value) for name, value in vars(optimizer).items()} == before
    assert population.optimizer.get_config() == optimizer.get_config()
    model = mlp()
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(x, y, verbose=0)
    assert optimizer.iterations == 1


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """Of a class that Keras does not know by name."""

    def __call__(self, step):
        return 0.1 / (1 + keras.ops.cast(step, "float32"))

    def get_config(self):
        return {}


def test_an_optimizer_is_copied_with_what_no_config_tells():
    optimizer = keras.optimizers.AdamW(Halving(), weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    copy = optimizer_like(optimizer)
    assert copy._learning_rate is optimizer._learning_rate
    weights = [keras.Variable([1.0], name=name) for name in ("bias", "kernel")]
    assert [copy._use_weight_decay(variable) for variable in weights] == [False, True]
    other = keras.optimizers.AdamW()
    other.exclude_from_weight_decay(var_list=weights)
    with pytest.raises(
        ModelError, match=r"var_names=\[...\].*Received: an optimizer with a list of variables"
    ):
        optimizer_like(other)


def test_an_optimizer_inside_another_is_copied_with_what_no_config_tells():
    weights = [keras.Variable([1.0], name=name) for name in ("bias", "kernel")]
    inner = keras.optimizers.AdamW(Halving(), weight_decay=0.1)
    scaled = keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0, dynamic_growth_steps=5)
    inner.exclude_from_weight_decay(var_names=["bias"])
    copy = optimizer_like(scaled)
    assert copy.inner_optimizer is not inner
    assert copy.inner_optimizer._learning_rate is inner._learning_rate
    assert (copy.initial_scale, copy.dynamic_growth_steps, copy.name) == (8.0, 5, scaled.name)
    assert [copy.inner_optimizer._use_weight_decay(variable) for variable in weights] == [
        False,
        True,
    ]
    other = keras.optimizers.AdamW()
    other.exclude_from_weight_decay(var_list=weights)
    with pytest.raises(
        ModelError, match=r"var_names=\[...\].*Received: an optimizer with a list of variables"
    ):
        optimizer_like(keras.optimizers.LossScaleOptimizer(other))
    # that it trains as the other does
    x, y = blobs(24)
    models = [mlp(), mlp()]
    models[1].set_weights(models[0].get_weights())
    for model, optimizer in zip(models, (scaled, copy), strict=True):
        model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
        model.fit(x, y, shuffle=False, verbose=0)
    for one, same in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, same)


def test_a_method_that_was_set_on_an_optimizer_is_refused():
    optimizer = keras.optimizers.SGD(name="plain")
    optimizer.update_step = lambda *args: None
    with pytest.raises(
        ModelError,
        match=r"write a subclass. Received: 'plain' of class SGD with its own update_step",
    ):
        optimizer_like(optimizer)
    model = mlp()
    model.compile(keras.optimizers.Adam(clipnorm=1.0), "sparse_categorical_crossentropy")
    population = PopulationModel(model, ["relu", "mish"])
    population.compile(keras.optimizers.Adam(clipnorm=1.0), "sparse_categorical_crossentropy")
    population.set_learning_rates([0.1, 0.2])
    optimizer_like(population.optimizer)  # what clips for each slot is ours


def test_the_users_model_is_not_touched(monkeypatch):
    model, touched, set_attribute = mlp(), [], keras.Model.__setattr__

    def watched(self, name, value):
        if self is model:
            touched.append(name)
        set_attribute(self, name, value)

    monkeypatch.setattr(keras.Model, "__setattr__", watched)
    before = {name: id(value) for name, value in vars(model).items()}
    with_activations(model, "mish")
    PopulationModel(model, ["relu", "prelu"])
    assert touched == []
    assert {name: id(value) for name, value in vars(model).items()} == before


def test_labels_that_the_loss_ignores_are_labels():
    model = around(layers.Dense(4))
    x, y = blobs(12)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(ignore_class=255))
    check_data(model, x, np.where(y == 0, 255, y))
    with pytest.raises(DataError, match=r"whole numbers from 0 to 2.*Received: labels from 1 to 7"):
        check_data(model, x, np.where(y == 0, 255, np.where(y == 1, 7, 1)))


def test_shared_axes_are_answered_with_what_to_say_instead():
    with pytest.raises(
        ActivationError, match=r"layers.PReLU: .*per: 'channel'.*Received: shared_axes=\[1, 2\]"
    ):
        ka.layers.PReLU(shared_axes=[1, 2])


class OwnLoop(keras_tuner.HyperModel):
    """As in KerasTuner's guide.

    A model that is not compiled, trained by a loop that returns a number.
    """

    def build(self, hp):
        activation = activation_choice(hp, space=["relu", "mish"])
        return keras.Sequential(
            [keras.Input((4,)), layers.Dense(4, activation=activation), layers.Dense(3)]
        )

    def fit(self, hp, model, x, y, callbacks=None, **kwargs):
        optimizer, loss = (
            keras.optimizers.SGD(0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        for callback in callbacks:
            callback.set_model(model)
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        optimizer.apply(tape.gradient(value, model.trainable_weights), model.trainable_weights)
        for callback in callbacks:
            callback.on_epoch_end(0, logs={"my_metric": float(value)})
        return float(value)


def test_a_hypermodel_with_a_loop_of_its_own_need_not_compile(tmp_path):
    x, y = blobs(24)
    objective = keras_tuner.Objective("my_metric", "min")
    tuner = ActivationTuner(OwnLoop(), objective=objective, max_trials=2, directory=tmp_path)
    tuner.search(x, y)
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["COMPLETED"] * 2
    assert all(np.isfinite(trial.score) for trial in tuner.oracle.trials.values())
