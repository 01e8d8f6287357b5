"""Members that go through the layers in two lanes train as they do all at once."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.search.population import lanes
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime import choices, costs, device
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


def test_what_is_called_otherwise_than_its_rule_runs_in_no_lanes():
    x = keras.Input((4,))
    h = layers.Dense(4, activation="relu")(x)
    # sizes that broadcast: the members run one after the other
    h = layers.Add()([h, layers.Dense(1)(h)])
    model = keras.Model(x, layers.Dense(3, activation="softmax")(h))
    weights, _, _ = trained(model, (4,), 1)
    of_lanes, _, _ = trained(model, (4,), 2)
    for one, other in zip(weights, of_lanes, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7)


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
    few = costs.LANES * costs.LANE_LEAST_MEMBERS
    monkeypatch.setattr(choices, "usable_cores", lambda: 2)
    monkeypatch.setattr(choices, "gpus", list)
    monkeypatch.setattr(choices, "threads_a_kernel", lambda: 1)
    assert choices.lanes(few) == 2
    assert choices.lanes(few - 1) == 1
    monkeypatch.setattr(choices, "threads_a_kernel", lambda: 2)
    assert choices.lanes(few) == 1
    monkeypatch.setattr(choices, "threads_a_kernel", lambda: 1)
    monkeypatch.setattr(choices, "usable_cores", lambda: 1)
    assert choices.lanes(few) == 1


@pytest.mark.once
def test_threads_a_kernel_are_as_tensorflow_hears(monkeypatch):
    monkeypatch.setenv(device.KERNEL_THREADS, "3")
    assert device.threads_a_kernel() == 3
    monkeypatch.delenv(device.KERNEL_THREADS)
    assert device.threads_a_kernel() == device.usable_cores()
