"""What users' own layers, losses, metrics … do in a population.

As alone, or refused with the reason.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_acts as ka
from keras_acts.errors import ActivationError, ModelError
from keras_acts.search import slots, with_activations
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.rewrite.compiling import fresh_metric
from keras_acts.search.rewrite.initializers import rescaled_initializers
from keras_acts.search.rewrite.slots import slot_sites
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.known import as_written
from tests.helpers.populations import check, data, settings

registered = keras.saving.register_keras_serializable("users")


@registered
class Moving(layers.Layer):
    """Reads what it has assigned: a variable that is trained, and one that is not."""

    def build(self, shape):
        self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False)
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x, training=False):
        before = self.scale * 2.0
        if training:
            self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(x, axis=0))
            self.scale.assign(self.scale * 0.9 + 0.05)
        return (x - self.mean) * self.scale + 0.1 * before


@registered
class Twice(layers.Dense):
    def call(self, x):
        return 2 * super().call(x)


@registered
class Cubes(keras.regularizers.L2):
    def __call__(self, x):
        return self.l2 * ops.sum(ops.abs(x) ** 3)


@registered
class Halved(keras.constraints.MaxNorm):
    def __call__(self, w):
        return super().__call__(w) * 0.99


@registered
class Shifted(keras.initializers.GlorotUniform):
    def __call__(self, shape, dtype=None):
        return super().__call__(shape, dtype) + 0.1


@registered
class Squared(keras.losses.SparseCategoricalCrossentropy):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return super().__call__(y_true, y_pred, sample_weight) ** 2


@registered
class Negative(keras.metrics.SparseCategoricalAccuracy):
    def result(self):
        return -super().result()


@registered
class Forgetful(keras.metrics.SparseCategoricalAccuracy):
    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def result(self):
        return self.factor * super().result()


class Counting(keras.losses.MeanSquaredError):
    def __init__(self):
        super().__init__()
        self.calls = keras.Variable(0.0)


@registered
class Tripled(type(ka.Mish())):  # type: ignore[misc]
    def __call__(self, x):
        return 3 * super().__call__(x)


@registered
class Steep(type(ka.layers.PReLU())):  # type: ignore[misc]
    def call(self, x):
        return 3 * super().call(x)


def share_right(y_true, y_pred):
    """A metric that no registry knows."""
    return ops.cast(
        ops.equal(ops.argmax(y_pred, -1), ops.cast(ops.reshape(y_true, [-1]), "int64")),
        y_pred.dtype,
    )


def assigning():
    stack = [
        layers.Dense(5, "relu", name="first"),
        Moving(),
        layers.SpectralNormalization(layers.Dense(6), name="spectral"),
        layers.Activation("relu", name="second"),
    ]
    return keras.Sequential([keras.Input((4,)), *stack, layers.Dense(3, "softmax")])


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_layers_that_assign_their_own_weights_do_so_as_alone(jit_compile, float64):
    x, y = data(samples=40)
    population = check(
        assigning(),
        ["relu", "prelu"],
        settings(),
        {"x": x, "y": y, "epochs": 1},
        members=(1,),
        jit_compile=jit_compile,
    )
    for member in (
        0,
        1,
    ):  # as alone, where it has grown by one step of the optimizer since it was normalized
        kernel = population.model(member).get_layer("spectral").layer.kernel.numpy()
        assert np.linalg.svd(kernel)[1][0] == pytest.approx(1, abs=0.02)


def test_what_a_layer_assigns_in_a_diverged_member_is_not_kept():
    x, y = data(samples=16)
    population = PopulationModel(assigning(), ["relu", "tanh"])
    population.compile("sgd", "sparse_categorical_crossentropy")
    population.healthy.assign([1, 0])
    before = [population.model(member).get_weights() for member in (0, 1)]
    population.fit(x, y, batch_size=8, verbose=0)
    for old, new in zip(before[1], population.model(1).get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(before[0], population.model(0).get_weights(), strict=True):
        assert not np.array_equal(old, new)


def test_subclasses_of_keras_own_compute_what_they_say(float64):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", kernel_regularizer=Cubes(0.1), kernel_constraint=Halved(1.0)),
            Twice(
                5,
                activation="relu",
                kernel_initializer=Shifted(seed=3),
                bias_regularizer=Cubes(0.2),
            ),
            layers.Dense(4, activation=Tripled()),
            layers.Dense(4, activation=Steep(num_parameters=4)),
            layers.Dense(3, activation="softmax"),
        ]
    )
    searched = [slot.name for slot in slots(model)][:2]
    x, y = data(samples=40)

    def compiled():
        metrics = [Negative(name="negative"), share_right, "accuracy"]
        return {"optimizer": "sgd", "loss": Squared(), "metrics": metrics}

    fitted = {"batch_size": 8, "epochs": 1}
    population = PopulationModel(model, ["relu", "mish"], slots=searched)
    population.compile(**compiled())
    history = population.fit(x, y, **fitted, shuffle=False, verbose=0).history
    with isolated_seed(0):
        alone = with_activations(model, dict.fromkeys(searched, "mish"))
    alone.compile(**compiled())
    log = alone.fit(x, y, **fitted, shuffle=False, verbose=0).history
    for expected, found in zip(alone.weights, population.model(1).weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10, err_msg=expected.path)
    for name, values in log.items():
        np.testing.assert_allclose(
            history[f"members/{name}"][0][1], values[0], rtol=1e-6, err_msg=name
        )
    assert log["negative"][0] == -log["accuracy"][0] != 0
    assert log["share_right"] == log["accuracy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": [Forgetful(factor=2.0)]}, "get_config.*Forgetful .it says nothing of factor"),
        ({"loss": Counting()}, "no variables and no random numbers.*Received.*with Variable"),
        (
            {"optimizer": type("SGD", (keras.optimizers.SGD,), {})()},
            "optimizer must be one of.*Received: SGD",
        ),
    ],
)
def test_what_a_copy_would_get_wrong_is_refused_before_training(options, message):
    x, y = data(samples=8)
    population = PopulationModel(
        keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dense(3)]), ["tanh"]
    )

    def train():
        population.compile(**{"optimizer": "sgd", "loss": "mse", **options})
        population.fit(x, y, verbose=0)

    with pytest.raises(ModelError, match=message):
        train()


def test_only_what_nobody_has_changed_is_taken_for_what_its_class_says():
    loss = keras.losses.MeanSquaredError()
    assert as_written(loss)
    loss.call = lambda y_true, y_pred: ops.sum(y_pred)
    assert not as_written(loss)
    assert as_written(ka.Mish())
    assert as_written(ka.layers.PReLU())
    assert not any(
        map(as_written, (Squared(), Negative(), Shifted(), Tripled(), Steep(num_parameters=4)))
    )


def test_a_subclass_of_our_activation_is_no_candidate_by_our_name():
    assert Tripled() != ka.Mish()
    assert Tripled() == Tripled()
    with pytest.raises(ActivationError, match="derived from one of ours"):
        Candidate.of(Tripled())
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs,
        layers.Dense(2)(Steep(num_parameters=4)(layers.Dense(4, activation=Tripled())(inputs))),
    )
    assert [slot.current for slot in slots(model)] == ["Tripled", "steep"]


def test_an_initializer_of_the_users_is_not_rescaled():
    kernels = {"plain": "glorot_uniform", "own": Shifted(seed=1)}
    inputs = keras.Input((4,))
    outputs = [
        layers.Dense(3, "relu", kernel_initializer=k, name=name)(inputs)
        for name, k in kernels.items()
    ]
    model = keras.Model(inputs, layers.Dense(1)(layers.Add()(outputs)))
    chosen = {
        place: Candidate.of("mish") for place in slot_sites(model) if place.slot.role == "hidden"
    }
    assert [layer.name for layer, _ in rescaled_initializers(chosen)] == ["plain"]


def test_a_copy_of_a_metric_computes_the_same():
    for metric in (
        keras.metrics.F1Score(average="macro", threshold=0.4),
        keras.metrics.MeanMetricWrapper(share_right, name="right"),
        Negative(name="n"),
    ):
        copy = fresh_metric(metric)
        assert type(copy) is type(metric)
        assert copy.name == metric.name
        y, y_pred = (
            np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]),
            np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]),
        )
        classes = y if isinstance(metric, keras.metrics.F1Score) else y.argmax(1)
        for one in (metric, copy):
            one.update_state(classes, ops.convert_to_tensor(y_pred))
        np.testing.assert_array_equal(metric.result(), copy.result())
