"""Finding the activations of a model, and the same model with others.

What the zoo does not show.
"""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_acts as ka
from keras_acts.errors import ModelError
from keras_acts.search import Candidate, slots, with_activations
from keras_acts.search.rewrite.initializers import gain
from tests.helpers.models import mlp
from tests.helpers.zoo import ZOO, samples


def test_slots_print_as_a_table():
    lines = str(slots(ZOO["squeeze_and_excite"].build())).splitlines()
    assert lines[0].split() == ["slot", "layer", "activation", "role", "shape"]
    assert lines[1].split(maxsplit=4) == ["conv", "Conv2D", "silu", "hidden", "(8, 8, 4)"]
    assert lines[3].split(maxsplit=4) == ["excite", "Dense", "sigmoid", "gate", "(4)"]
    assert len(lines) == 6


def test_the_table_in_the_documentation_is_what_prints():
    x = keras.Input((8, 8, 1))
    h = keras.layers.Conv2D(4, 3, padding="same", activation="silu", name="conv")(x)
    s = keras.layers.Dense(2, "relu", name="squeeze")(keras.layers.GlobalAveragePooling2D()(h))
    s = keras.layers.Reshape((1, 1, 4))(keras.layers.Dense(4, "sigmoid", name="excite")(s))
    encoder = keras.Model(x, keras.layers.Multiply()([h, s]), name="encoder")
    y = keras.Input((8, 8, 1))
    h = keras.layers.LSTM(5, name="lstm")(keras.layers.Reshape((8, 32))(encoder(y)))
    model = keras.Model(y, keras.layers.Dense(3, "softmax", name="out")(h))
    document = Path(__file__).parents[2] / "docs" / "search_space.md"
    assert f"```\n{slots(model)}\n```" in document.read_text(encoding="utf-8")


def test_a_mapping_names_its_slots():
    model = with_activations(mlp(), {"first": "mish", "output": "sigmoid"})
    assert [slot.current for slot in slots(model)] == ["mish", "relu", "sigmoid"]


def test_gates_and_frozen_slots_change_when_asked_for():
    recurrent = with_activations(
        ZOO["recurrent"].build(), {"lstm.recurrent_activation": "hard_sigmoid"}
    )
    assert recurrent.get_layer("lstm").recurrent_activation is keras.activations.hard_sigmoid
    assert recurrent.get_layer("lstm").activation is keras.activations.tanh
    frozen = with_activations(ZOO["frozen"].build(), {"base/f1": "mish"})
    assert slots(frozen)[0].current == "mish"
    assert not frozen.get_layer("base").get_layer("f1").trainable


def test_frozen_layers_keep_weights_and_flags_and_the_others_start_afresh():
    model = ZOO["frozen"].build()
    other = with_activations(model, "mish")
    old, new = (m.get_layer("base") for m in (model, other))
    assert [layer.trainable for layer in new.layers] == [layer.trainable for layer in old.layers]
    assert new.trainable is False
    assert [v.path for v in other.trainable_variables] == [
        v.path for v in model.trainable_variables
    ]
    for name, same in [("f1", True), ("c2", True), ("tuned", False)]:
        kernels = [m.get_layer(name).kernel for m in (old, new)]
        assert np.array_equal(*kernels) is same
    assert not np.array_equal(model.get_layer("head").kernel, other.get_layer("head").kernel)


def test_a_frozen_functional_part_is_frozen_as_a_whole():
    x = keras.Input((4,))
    base = keras.Model(x, keras.layers.Dense(3, "relu", name="inner")(x), name="base")
    base.trainable = False
    model = keras.Sequential(
        [keras.Input((4,)), base, keras.layers.Dense(2, "relu"), keras.layers.Dense(1)]
    )
    assert with_activations(model, "mish").get_layer("base").trainable is False


def test_an_adapted_normalization_keeps_what_it_learned():
    model = ZOO["actor"].build()
    other = with_activations(model, "mish")
    x = np.float32([[1, 2, 3, 4]])
    np.testing.assert_array_equal(other.get_layer("scale")(x), model.get_layer("scale")(x))
    assert np.abs(other.get_layer("scale")(x) - x).max() > 0.5


def test_a_new_trained_activation_starts_afresh_also_with_weights():
    model = with_activations(mlp(), "prelu(alpha=0.1)")
    alphas = (
        with_activations(model, "prelu(alpha=0.3)", weights=True)
        .get_layer("first")
        .activation.alpha
    )
    np.testing.assert_allclose(alphas, 0.3)
    kept = with_activations(model, {"second": "mish"}, weights=True)
    np.testing.assert_allclose(kept.get_layer("first").activation.alpha, 0.1)
    np.testing.assert_array_equal(kept.get_layer("first").kernel, model.get_layer("first").kernel)


def test_only_what_is_trained_is_a_layer_of_its_own():
    model = with_activations(mlp(), {"first": "trelu(alpha=trained, theta=0.5)", "second": "elu"})
    assert [v.name for v in model.get_layer("first").activation.trainable_variables] == ["alpha"]
    assert model.get_layer("second").activation == ka.ELU()
    assert [w.name for w in model.get_layer("first").weights] == ["kernel", "bias", "alpha"]


def test_channels_first():
    def layer(name, **arguments):
        return keras.layers.Conv2D(4, 3, data_format="channels_first", name=name, **arguments)

    model = keras.Sequential(
        [
            keras.Input((2, 8, 7)),
            layer("fused", activation="relu"),
            layer("plain"),
            keras.layers.ReLU(name="after"),
            keras.layers.BatchNormalization(axis=1),
            keras.layers.ReLU(name="normalized"),
            keras.layers.GlobalMaxPooling2D(data_format="channels_first"),
            keras.layers.Dense(1),
        ]
    )
    assert [(slot.channels, slot.shape) for slot in slots(model)][:2] == [
        (4, (None, 4, 6, 5)),
        (4, (None, 4, 4, 3)),
    ]
    prelu = with_activations(model, "prelu")
    for name in ("fused", "after", "normalized"):
        activation = prelu.get_layer(name).activation
        assert (activation.alpha.shape, activation.axis) == ((4,), 1)


def test_dtype_policies_survive():
    model = ZOO["mixed_precision"].build()
    other = with_activations(model, "mish")
    assert [layer.compute_dtype for layer in other.layers] == [
        layer.compute_dtype for layer in model.layers
    ]
    assert other.get_layer("each").layer.compute_dtype == "bfloat16"
    assert other.get_layer("act").compute_dtype == "bfloat16"


class Halved(keras.losses.Loss):
    def call(self, y, p):
        return absolute(y, p) / 2


class Largest(keras.metrics.Mean):
    def update_state(self, y, p, sample_weight=None):
        return super().update_state(keras.ops.max(p))


def test_loss_scaling_survives():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = mlp()
    finally:
        keras.config.set_dtype_policy("float32")  # as KerasTuner does before it builds
    assert isinstance(
        with_activations(model, "mish").optimizer, keras.optimizers.LossScaleOptimizer
    )
    assert keras.config.dtype_policy().name == "float32"


def absolute(y, p):
    return keras.ops.mean(keras.ops.abs(y - p), axis=-1)


def test_it_compiles_like_the_model_with_an_optimizer_of_its_own():
    model = mlp()
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), clipnorm=2.0
    )
    model.compile(
        optimizer=optimizer, loss=absolute, metrics=[absolute, "mae"], steps_per_execution=3
    )
    other = with_activations(model, "mish")
    assert other.optimizer is not optimizer
    assert other.optimizer.get_config()["learning_rate"] == optimizer.get_config()["learning_rate"]
    assert other.optimizer.clipnorm == 2.0
    assert (other.loss, other.steps_per_execution) == (absolute, 3)
    x = np.ones((4, 4), "float32")
    y = np.ones((4, 3), "float32")
    assert set(other.evaluate(x, y, verbose=0, return_dict=True)) == {"loss", "absolute", "mae"}
    other.fit(x, y, verbose=0)
    assert int(optimizer.iterations) == 0
    model.compile(
        loss=Halved(), metrics=[Largest(name="largest")]
    )  # classes that are not registered
    again = with_activations(model, "mish")
    assert type(again.loss) is Halved
    assert set(again.evaluate(x, y, verbose=0, return_dict=True)) == {"loss", "largest"}
    assert not with_activations(
        keras.Sequential([keras.Input((2,)), *mlp_layers()]), "mish"
    ).compiled


def mlp_layers():
    return [keras.layers.Dense(2, "relu"), keras.layers.Dense(1)]


def test_a_model_with_steps_of_its_own_keeps_its_class():
    class Custom(keras.Model):
        def train_step(self, data):
            return {"loss": 0.0}

    x = keras.Input((2,))
    model = Custom(x, keras.layers.Dense(1)(keras.layers.Dense(3, "relu")(x)))
    assert type(with_activations(model, "mish")) is type(model)


def test_gains_are_those_of_theory():
    assert gain(Candidate.of("relu")) == pytest.approx(2**0.5, rel=1e-4)
    assert gain(Candidate.of("leaky_relu(alpha=0.3)")) == pytest.approx((2 / 1.09) ** 0.5, rel=1e-4)
    assert gain(Candidate.of("prelu")) == pytest.approx((2 / (1 + 0.25**2)) ** 0.5, rel=1e-4)
    assert gain(Candidate.of("selu")) == pytest.approx(1, rel=1e-4)
    assert gain(Candidate.of("linear")) == pytest.approx(1, rel=1e-4)
    assert gain(Candidate.of("trelu(theta=100, alpha=0)")) == 1  # all zero: no gain can help


def test_initializers_follow_the_activation_only_if_asked():
    def scales(model):
        configs = [
            model.get_layer(name).kernel_initializer.get_config()
            for name in ("first", "linear", "output")
        ]
        return [(c.get("scale"), c.get("distribution"), c.get("mode")) for c in configs]

    plain = (None, None, None)  # GlorotUniform writes its seed only
    assert scales(with_activations(mlp(), "selu")) == [plain] * 3
    rescaled = scales(with_activations(mlp(), "selu", rescale_init=True))
    # the linear layer feeds the activation behind it; the output layer feeds none that changed
    assert [s[0] for s in rescaled] == [pytest.approx(1, rel=1e-4)] * 2 + [None]
    assert rescaled[0][1:] == ("uniform", "fan_in")
    orthogonal = mlp_layers()[0].__class__(8, "relu", kernel_initializer="orthogonal", name="dense")
    model = keras.Sequential([keras.Input((4,)), orthogonal, keras.layers.Dense(1)])
    after = with_activations(model, "mish", rescale_init=True).get_layer("dense").kernel_initializer
    assert isinstance(after, keras.initializers.Orthogonal)


def test_rescaled_values_keep_their_size_through_many_layers():
    def size(activation, **options):
        hidden = [keras.layers.Dense(256, "relu", name=f"d{i}") for i in range(12)]
        model = keras.Sequential([keras.Input((256,)), *hidden, keras.layers.Dense(1)])
        keras.utils.set_random_seed(0)
        deep = with_activations(model, activation, **options)
        features = keras.Model(deep.inputs[0], deep.get_layer("d11").output)
        return float(np.mean(np.square(features(np.random.default_rng(0).normal(size=(64, 256))))))

    for activation in ("relu", "mish", "selu", "leaky_relu(alpha=0.3)"):
        assert 0.3 < size(activation, rescale_init=True) < 3
    assert size("relu") < 0.01


def test_bad_models_are_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(
        ModelError,
        match=r"build\(hp, activation\), or build\(hp\) that calls.*Received: Subclassed",
    ):
        slots(Subclassed())
    with pytest.raises(ModelError, match="input shape"):
        slots(keras.Sequential([keras.layers.Dense(1, activation="relu")]))
    with pytest.raises(ModelError, match=r"hidden activation slot.*'output'"):
        with_activations(
            keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")]),
            "mish",
        )
    with pytest.raises(ModelError, match=r"\['first', 'output', 'second'\]. Received: 'third'"):
        with_activations(mlp(), {"third": "mish"})


@pytest.mark.parametrize("mixing", ["softmax", "log_softmax", "glu"])
def test_a_mixing_activation_is_refused_in_a_hidden_slot(mixing):
    model = ZOO["residual"].build()
    with pytest.raises(
        ModelError, match=f"each element by itself. Received: {mixing} for the slot 'r1'"
    ):
        with_activations(model, {"r1": mixing})
    with pytest.raises(ModelError, match="for the slot 'stem'"):
        with_activations(model, mixing)


def test_softmax_is_welcome_where_it_belongs():
    other = with_activations(
        ZOO["transformer"].build(), {"weights": "sparsemax", "out": "log_softmax"}
    )
    assert {s.name: s.current for s in slots(other) if s.role != "hidden"} == {
        **{"weights": "sparsemax", "out": "log_softmax"}
    }
    assert np.isfinite(other(samples(other))).all()


def test_a_masked_softmax_needs_its_mask():
    x, mask = keras.Input((3, 3)), keras.Input((3, 3), dtype="bool")
    h = keras.layers.Dot(axes=(2, 1))([keras.layers.Softmax(name="weights")(x, mask=mask), x])
    model = keras.Model(
        [x, mask], keras.layers.Dense(1)(keras.layers.Dense(2, "relu", name="dense")(h))
    )
    assert slots(with_activations(model, "mish"))[0].current == "softmax"
    with pytest.raises(ModelError, match=r"mask.*Received: another activation for 'weights'"):
        with_activations(model, {"weights": "sparsemax"})


def test_a_layer_that_cannot_be_made_again_is_named():
    class NoConfig(keras.layers.Layer):
        def __init__(self, size):
            super().__init__(name="odd")

        def call(self, x):
            return x

    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(2, "relu"),
            NoConfig(object()),
            keras.layers.Dense(1),
        ]
    )
    with pytest.raises(ModelError, match=r"get_config\(\).*Received: 'odd' of class NoConfig"):
        with_activations(model, "mish")


def test_a_lambda_layer_is_kept():
    factor = 3.0
    x = keras.Input((2,))
    model = keras.Model(
        x,
        keras.layers.Dense(1)(
            keras.layers.Dense(2, "relu")(keras.layers.Lambda(lambda t: t * factor)(x))
        ),
    )
    again = with_activations(model, "relu", weights=True)
    np.testing.assert_array_equal(again(np.ones((1, 2))), model(np.ones((1, 2))))


def test_a_compiled_lambda_is_kept():
    model = mlp()
    loss, metric = (lambda y, p: absolute(y, p)), (lambda y, p: absolute(y, p) + 1)
    model.compile(loss=loss, metrics=[metric])
    again = with_activations(model, "relu", weights=True)
    assert again._compile_config.config["loss"] is loss
    x, y = np.ones((4, 4)), np.ones((4, 3))
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
