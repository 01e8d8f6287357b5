"""Members that go through the layers in two lanes train as they do all at once."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.search.population import lanes
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime import choices, device
from tests.helpers.populations import branches, cnn, data, mlp, settings, two_slots

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="XLA divides its work itself"
)
# a segment that the lanes cut, with equal and with other numbers; a trained one; single members
CANDIDATES = [
    "leaky_relu(alpha=0.1)",
    "leaky_relu(alpha=0.3)",
    "leaky_relu(alpha=0.3)",
    "leaky_relu(alpha=0.3)",
    "prelu",
    "tanh",
]


def trained(model, shape, number, *, seeds=(0, 1), candidates=CANDIDATES, **options):
    """Return the weights and logs of a population that was trained in so many lanes, and the lanes."""
    x, y = data(shape)
    population = PopulationModel(model, list(dict.fromkeys(candidates)), seeds)
    population.compile(**settings(**options)())
    seen = []
    with choices.using(lanes=number), pytest.MonkeyPatch.context() as patch:
        usual = lanes.lanes_of
        spy = lambda plan, sizes: seen.append(plan.path) or usual(plan, sizes)  # noqa: E731
        patch.setattr("keras_acts.search.population.stacked_layer.lanes_of", spy)
        history = population.fit(
            x, y, validation_data=(x[:9], y[:9]), batch_size=8, epochs=2, shuffle=False, verbose=0
        ).history
    weights = [np.array(variable) for variable in population.variables]
    return weights, history, seen


def assert_alike(model, shape, **options):
    weights, history, seen = trained(model, shape, 1, **options)
    assert not seen
    of_lanes, history_of_lanes, seen = trained(model, shape, 2, **options)
    assert seen
    for one, other in zip(weights, of_lanes, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)
    for name, values in history.items():
        np.testing.assert_allclose(
            np.stack(history_of_lanes[name]), np.stack(values), rtol=1e-4, atol=1e-6, err_msg=name
        )


def test_with_batch_normalization_and_trained_activations():
    assert_alike(mlp(), (4,))


def test_with_convolutions():
    # Adam makes steps of rounding where a bias before normalization has no gradient
    assert_alike(cnn(), (7, 6, 2), optimizer="sgd")


@pytest.mark.slow
def test_with_branches():
    assert_alike(branches(), (6, 6, 2))


def test_a_frozen_prefix_runs_once_for_both():
    model = two_slots()
    frozen = keras.Sequential(
        [keras.Input((4,)), layers.Normalization(name="scale"), *model.layers]
    )
    frozen.layers[0].adapt(data((4,))[0])
    assert_alike(frozen, (4,))


def test_one_who_diverges_leaves_the_others_alone():
    assert_alike(two_slots(), (4,), candidates=["relu", "exponential", "tanh", "elu"])


def test_a_layer_that_runs_for_all_members_is_between_lanes():
    x = keras.Input((4,))
    h = layers.Dense(4, activation="relu")(x)
    h = layers.BatchNormalization(momentum=0.5)(h)
    # sizes that broadcast: the members run one after the other
    h = layers.Add()([h, layers.Dense(1)(h)])
    h = layers.BatchNormalization(momentum=0.5)(h)
    assert_alike(keras.Model(x, layers.Dense(3, activation="softmax")(h)), (4,))


def test_a_mask_of_the_inputs_is_for_all_members():
    x = keras.Input((3, 4))
    h = layers.BatchNormalization(momentum=0.5)(layers.Masking()(x))
    h = layers.GlobalAveragePooling1D()(layers.Dense(4, activation="relu")(h))
    assert_alike(keras.Model(x, layers.Dense(3, activation="softmax")(h)), (3, 4))


def test_layers_of_another_precision_compute_in_it():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, activation="relu"),
            layers.Dense(4, dtype="float64"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    x, _ = data((4,))
    with choices.using(lanes=2):
        population = PopulationModel(model, ["relu", "tanh"], 2)
        population.compile("sgd", "sparse_categorical_crossentropy")
        assert population.predict(x, verbose=0).dtype == "float32"
    assert_alike(model, (4,))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout(0.5),
        layers.Dense(4, kernel_regularizer="l2"),
        layers.Dense(4, activity_regularizer="l2"),
    ],
    ids=["noise", "weights", "activities"],
)
def test_what_is_of_all_members_at_once_parts_no_members(layer):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, activation="relu"), layer, layers.Dense(3)]
    )
    population = PopulationModel(model, ["relu", "tanh"], 4)
    import tensorflow as tf

    with choices.using(lanes=2), tf.Graph().as_default():
        assert lanes.sizes_now(population) == ()


@pytest.mark.once
def test_members_are_parted_where_each_kernel_has_one_thread(monkeypatch):
    monkeypatch.setattr(choices, "usable_cores", lambda: 2)
    monkeypatch.setattr(choices, "gpus", list)
    monkeypatch.setattr(choices, "threads_a_kernel", lambda: 1)
    with choices.using(lanes=None, xla_steps=None):
        assert choices.lanes(2) == 2
        assert not choices.compiles_step(steps=1e9, members=128, faster=True)
        assert choices.lanes(1) == 1
        monkeypatch.setattr(choices, "threads_a_kernel", lambda: 2)
        assert choices.compiles_step(steps=1e9, members=128, faster=True)
        assert choices.lanes(8) == 1
        monkeypatch.setattr(choices, "threads_a_kernel", lambda: 1)
        monkeypatch.setattr(choices, "usable_cores", lambda: 1)
        assert choices.lanes(8) == 1


@pytest.mark.once
def test_threads_a_kernel_are_as_tensorflow_hears(monkeypatch):
    monkeypatch.setenv(device.KERNEL_THREADS, "3")
    assert device.threads_a_kernel() == 3
    monkeypatch.delenv(device.KERNEL_THREADS)
    assert device.threads_a_kernel() == device.usable_cores()
