"""Layers with trained alpha and theta, where Keras' own layers and `activation=` have traps."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acts as ka
from keras_acts import layers

NAMES = [name for name in ka.names() if ka.spec(name).trained]


def _input(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _set(layer, **values):
    for name, value in values.items():
        getattr(layer, name).assign(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_layer_computes_what_its_function_does(name):
    layer, x = layers.make(name), _input(4, 5)
    expected = ka.spec(name).function(x, **ka.spec(name).defaults)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-6)
    assert {w.name for w in layer.weights} == {p.name for p in ka.spec(name).trained}


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({}, (3,)),
        ({"axis": 1}, (8,)),
        ({"axis": -2}, (6,)),
        ({"data_format": "channels_first"}, (8,)),
        ({"data_format": "channels_last"}, (3,)),
        ({"per": "scalar"}, ()),
        ({"num_parameters": 1}, ()),
        ({"num_parameters": 3}, (3,)),
        ({"per": "feature"}, (8, 6, 3)),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_shapes_of_the_parameters(name, arguments, shape):
    layer, x = layers.make(name, **arguments), _input(2, 8, 6, 3)
    layer(x)
    values = {
        p.name: np.random.default_rng(1).uniform(0.1, 0.5, shape).astype("float32")
        for p in ka.spec(name).trained
    }
    assert {w.name: tuple(w.shape) for w in layer.weights} == dict.fromkeys(values, shape)
    _set(layer, **values)
    axis = {(8,): 1, (6,): 2, (3,): 3}.get(shape)
    broadcast = {
        k: v.reshape([-1 if i == axis else 1 for i in range(4)]) if axis else v
        for k, v in values.items()
    }
    extra = {} if name != "trelu" else {"mode": "threshold"}
    expected = ka.spec(name).function(
        x, **{k: tf.constant(v) for k, v in broadcast.items()}, **extra
    )
    np.testing.assert_array_equal(layer(x), expected)


def test_one_alpha_a_channel_where_keras_has_one_a_pixel():
    inputs = keras.Input((32, 32, 8))
    assert keras.Model(inputs, ka.layers.PReLU()(inputs)).count_params() == 8
    assert keras.Model(inputs, keras.layers.PReLU()(inputs)).count_params() == 32 * 32 * 8


def test_unknown_sizes():
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, ka.layers.PReLU()(inputs))
    assert model(_input(1, 5, 7, 4)).shape == (1, 5, 7, 4)
    assert model(_input(2, 3, 2, 4)).shape == (2, 3, 2, 4)
    for arguments in ({"axis": 1}, {"per": "feature"}):
        with pytest.raises(ka.ActivationError, match="must have a known size"):
            ka.layers.PReLU(**arguments)(inputs)


def test_theta_is_trained_with_the_surrogate():
    """With each mode and kernel, in one model with an output for each.

    The losses are summed, so nothing is shared.
    """
    # the target jumps at 0.6; theta starts at 0.4
    x = np.random.default_rng(0).uniform(-1, 2, (4096, 1)).astype("float32")
    inputs = keras.Input((1,))
    outputs, targets = {}, {}
    for mode, kernel in itertools.product(ka.functions.MODES, ka.functions.KERNELS):
        name = f"{mode}_{kernel}"
        layer = ka.layers.TReLU(
            alpha=0.1, theta=0.4, mode=mode, per="scalar", bandwidth=0.3, kernel=kernel, name=name
        )
        outputs[name] = layer(inputs)
        targets[name] = ka.functions.trelu(x, alpha=0.1, theta=0.6, mode=mode).numpy()
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.02), dict.fromkeys(outputs, "mse"))
    model.fit(x, targets, batch_size=256, epochs=12, verbose=0, shuffle=False)
    for name in outputs:
        layer = model.get_layer(name)
        assert float(layer.theta.value) == pytest.approx(0.6, abs=0.05), name
        assert float(layer.alpha.value) == pytest.approx(0.1, abs=0.1), name


def test_the_start_of_theta_does_not_move_without_training():
    layer = ka.layers.TReLU(trained=["alpha"], theta=0.3)
    layer(_input(2, 4))
    assert [w.name for w in layer.weights] == ["alpha"]
    np.testing.assert_allclose(
        layer(np.array([[0.2, 0.4, -1.0, 1.0]])), [[0, 0.4, 0, 1]], atol=1e-7
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_float32_under_every_policy_but_float64(name, policy):
    layer = layers.make(name, dtype=policy)
    x = tf.constant(_input(6, 4))
    with tf.GradientTape() as tape:
        y = layer(x)
        total = tf.reduce_sum(tf.cast(y, "float32"))
    kept = "float64" if policy == "float64" else "float32"
    assert {w.dtype for w in layer.weights} == {kept}
    assert y.dtype.name == policy.removeprefix("mixed_")
    for gradient in tape.gradient(total, [w.value for w in layer.weights]):
        assert gradient.dtype.name == kept


def test_theta_splits_half_precision_where_float32_says():
    # 0.7 lies between two float16 numbers
    below, above = np.float16(0.6997), np.float16(0.7002)
    layer = ka.layers.TReLU(theta=0.7, per="scalar", dtype="float16")
    np.testing.assert_array_equal(layer(np.array([[below, above]])), np.array([[0, above]]))


def test_initializer_regularizer_constraint():
    layer = ka.layers.PReLU(
        alpha_initializer=keras.initializers.RandomUniform(0.1, 0.2, seed=1),
        alpha_regularizer=keras.regularizers.L1(0.5),
        alpha_constraint="non_neg",
    )
    layer(_input(2, 6))
    alpha = layer.alpha.numpy()
    assert len(np.unique(alpha)) == 6
    assert 0.1 <= alpha.min() <= alpha.max() <= 0.2
    np.testing.assert_allclose(layer.losses[0], 0.5 * alpha.sum(), rtol=1e-6)
    assert layer.alpha.constraint(tf.constant([-1.0, 2.0])).numpy().tolist() == [0, 2]
    again = ka.layers.PReLU.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_saved_and_cloned(tmp_path):
    """Each layer with each kind of arguments, side by side in one model."""
    inputs = keras.Input((6, 3))
    kinds = list(
        itertools.product(NAMES, [{}, {"per": "scalar"}, {"axis": -2}, {"num_parameters": 3}])
    )
    made = [layers.make(name, **arguments) for name, arguments in kinds]
    model = keras.Model(inputs, [layer(inputs) for layer in made])
    for layer in made:
        layer.set_weights([np.full(w.shape, 0.3 + i / 10) for i, w in enumerate(layer.weights)])
    x = _input(4, 6, 3)
    expected = model(x)
    model.save(tmp_path / "m.keras")
    loaded, clone = keras.models.load_model(tmp_path / "m.keras"), keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (loaded, clone):
        for layer in made:
            assert other.get_layer(layer.name).get_config() == layer.get_config()
        _assert_all_equal(other(x), expected)
    model.save_weights(tmp_path / "m.weights.h5")
    fresh = keras.models.clone_model(model)
    fresh.load_weights(tmp_path / "m.weights.h5")
    _assert_all_equal(fresh(x), expected)


def _assert_all_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_shared_by_two_inputs_has_one_alpha():
    a, b, shared = keras.Input((4,)), keras.Input((4,)), ka.layers.PReLU()
    model = keras.Model([a, b], shared(a) + shared(b))
    assert len(model.weights) == 1
    assert len(keras.models.clone_model(model).weights) == 1


def test_inside_activation(tmp_path):
    """Each way to make one, side by side in one model."""

    def build():
        inputs = keras.Input((4,))
        ways = [ka.PReLU(), ka.PReLU(5), ka.get("prelu"), ka.layers.TReLU(per="scalar")]
        hidden = [
            keras.layers.Dense(5, activation=activation, name=f"way_{i}")
            for i, activation in enumerate(ways)
        ]
        return keras.Model(
            inputs,
            [keras.layers.Dense(1, name=f"head_{i}")(h(inputs)) for i, h in enumerate(hidden)],
        )

    def trained(model):
        return [model.get_layer(f"way_{i}").activation.get_weights() for i in range(4)]

    model = build()
    before = trained(model)
    assert [len(weights) for weights in before] == [1, 1, 1, 2]
    assert len(model.weights) == 4 * 4 + 5  # counted before the first call
    model.compile("sgd", ["mse"] * 4)
    model.fit(_input(32, 4), [np.ones((32, 1))] * 4, verbose=0)
    for old, new in zip(before, trained(model), strict=True):
        assert not np.array_equal(old[0], new[0])
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    fresh = build()
    fresh.load_weights(tmp_path / "m.weights.h5")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = _input(3, 4)
    for other in (keras.models.load_model(tmp_path / "m.keras"), fresh, clone):
        _assert_all_equal(other(x), model(x))


def test_one_instance_as_activation_of_two_layers_is_one_layer_in_the_file(tmp_path):
    shared = ka.PReLU()
    model = keras.Sequential(
        [keras.Input((4,)), *(keras.layers.Dense(3, activation=shared) for _ in range(2))]
    )
    assert len(model.weights) == 5
    shared.alpha.assign(0.7)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.layers[0].activation is loaded.layers[1].activation
    assert float(loaded.layers[0].activation.alpha.value) == np.float32(0.7)
    loaded.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(
        keras.models.load_model(tmp_path / "again.keras")(_input(2, 4)), model(_input(2, 4))
    )


def test_two_instances_of_one_name_stay_two(tmp_path):
    pair = [ka.layers.PReLU(per="scalar", name="act") for _ in range(2)]
    model = keras.Sequential(
        [keras.Input((4,)), *(keras.layers.Dense(3, activation=one) for one in pair)]
    )
    pair[1].alpha.assign(0.9)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert [round(float(dense.activation.alpha.value), 4) for dense in loaded.layers] == [0.25, 0.9]


@pytest.mark.parametrize(
    "wrap", [lambda a: keras.layers.Dense(5, activation=a), keras.layers.Activation]
)
def test_a_layer_that_is_not_built_is_refused_as_activation(wrap):
    with pytest.raises(ka.ActivationError, match="needs per='scalar' or num_parameters"):
        keras.Sequential([keras.Input((4,)), wrap(ka.layers.PReLU())])(_input(2, 4))


def test_a_layer_inside_a_layer_of_the_user_builds_as_usual():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.act = ka.layers.PReLU()

        def call(self, x):
            return self.act(x)

    block = Block()
    block(_input(2, 4))
    assert block.act.alpha.shape == (4,)


def test_in_recurrent_layers(tmp_path):
    model = keras.Sequential([keras.Input((6, 3)), keras.layers.LSTM(4, activation=ka.PReLU(4))])
    model.compile("sgd", "mse")
    model.fit(_input(8, 6, 3), np.ones((8, 4)), verbose=0)
    model.save(tmp_path / "m.keras")
    x = _input(2, 6, 3)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(x), model(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per": "pixel"}, "per must be one of"),
        ({"per": None}, "per must be one of"),
        ({"axis": np.nan}, "axis must be an integer"),
        ({"num_parameters": 2.5}, "num_parameters must be an integer >= 1"),
        ({"num_parameters": (3, 4)}, "num_parameters must be an integer >= 1"),
        ({"alpha_initializer": "nothing"}, "alpha_initializer must be"),
        (
            {"alpha_constraint": lambda alpha: alpha},
            "alpha_constraint must be a constraint that can be saved",
        ),
        ({"theta_regularizer": 3.0}, "theta_regularizer must be"),
        ({"alpha_constraint": {"class_name": "nothing"}}, "alpha_constraint must be"),
        ({"axis": 0}, "batch axis"),
        ({"axis": 1.5}, "axis must be an integer"),
        ({"data_format": "NCHW"}, "data_format must be one of"),
        ({"data_format": ""}, "data_format must be one of"),
        ({"axis": 1, "data_format": "channels_first"}, "give axis or data_format"),
        ({"num_parameters": 0}, "num_parameters must be an integer >= 1"),
        ({"num_parameters": True}, "num_parameters must be an integer >= 1"),
        ({"num_parameters": 3, "per": "feature"}, "counts channels"),
        ({"trained": []}, "trained must name some of"),
        ({"trained": ["beta"]}, "trained must name some of"),
        ({"trained": "alpha"}, "trained must name some of"),
        ({"trained": 5}, "trained must name some of"),
        ({"trained": [["alpha"]]}, "trained must name some of"),
        ({"bandwidth": 0.0}, "bandwidth must be a finite number"),
        ({"bandwidth": np.nan}, "bandwidth must be a finite number"),
        ({"kernel": "box"}, "kernel must be one of"),
    ],
)
@pytest.mark.once
def test_bad_arguments(arguments, message):
    for make in (
        lambda: ka.layers.TReLU(**arguments),
        lambda: ka.layers.TReLU.from_config(arguments),
    ):
        with pytest.raises(ka.ActivationError, match=f"{message}.*Received"):
            make()


@pytest.mark.once
@pytest.mark.parametrize("name", NAMES)
def test_bad_parameters(name):
    for parameter in ka.spec(name).parameters:
        for value in parameter.valid.invalid():
            with pytest.raises(ka.ActivationError, match=f"{parameter.name} must be"):
                layers.make(name, **{parameter.name: value})
            with pytest.raises(ka.ActivationError, match=f"{parameter.name} must be"):
                type(layers.make(name)).from_config({parameter.name: value})


def test_an_input_that_does_not_fit():
    with pytest.raises(ka.ActivationError, match="axis must be an axis of the input"):
        ka.layers.PReLU(axis=3)(_input(2, 4))
    with pytest.raises(ka.ActivationError, match="axis must be an axis of the input"):
        ka.layers.PReLU(axis=-2)(_input(2, 4))
    layer = ka.layers.PReLU(num_parameters=3)
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 3"):
        layer(_input(2, 4))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 3"):
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation=layer)])(_input(2, 4))


@pytest.mark.once
def test_no_layer_for_an_activation_without_trained_parameters():
    with pytest.raises(ka.ActivationError, match="No parameters to train"):
        layers.make("mish")


@pytest.mark.slow
def test_keras_tuner_gets_its_best_models_back(tmp_path):
    import keras_tuner

    def build(hp):
        hidden = keras.layers.Dense(hp.Int("units", 3, 6), activation=ka.PReLU())
        model = keras.Sequential(
            [keras.Input((4,)), hidden, keras.layers.Dense(1, activation=ka.TReLU(theta=-9.0))]
        )
        model.compile("sgd", "mse")
        return model

    tuner = keras_tuner.RandomSearch(
        build, "val_loss", max_trials=2, directory=tmp_path, project_name="p"
    )
    x, y = _input(32, 4), np.ones((32, 1))
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    best, second = tuner.get_best_models(2)
    assert best.evaluate(x, y, verbose=0) <= second.evaluate(x, y, verbose=0)
