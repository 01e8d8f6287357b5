"""Every optimizer updates each member as alone: norms, rates, averages, and members that diverge."""

import keras
import numpy as np
import pytest

from keras_acts.errors import ModelError
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime import costs
from tests.helpers.populations import (
    OPTIMIZERS,
    _values,
    carry_into,
    check,
    cnn_of_features,
    data,
    mlp,
    settings,
    small,
)


def test_averaged_weights_do_not_replace_those_of_a_diverged_member():
    x, y = data()
    population = PopulationModel(small(), ["relu", "mish"])
    population.compile(
        keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    population.fit(x, y, batch_size=8, verbose=0)
    population.healthy.assign([1, 0])
    before = [population.model(member).get_weights() for member in (0, 1)]
    population.fit(x, y, batch_size=8, verbose=0)
    for old, new in zip(before[1], population.model(1).get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(before[0][0] - population.model(0).get_weights()[0]).max() > 0


FAST = ("adam", "adam in one kernel", "adamw", "sgd")


@pytest.mark.parametrize(
    "optimizer",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS],
)
def test_every_optimizer(optimizer, float64):
    x, y = data()
    check(small(), ["relu", "prelu"], settings(optimizer), {"x": x, "y": y})


@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 0.02},
        {"global_clipnorm": 0.1},
        pytest.param(
            {"global_clipnorm": 0.1, "gradient_accumulation_steps": 2}, marks=pytest.mark.slow
        ),
    ],
)
def test_norms_of_gradients_are_each_members_own(options, float64):
    x, y = data()

    def compiled():
        optimizer = keras.optimizers.SGD(0.5, **options)
        return {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"}

    check(small(), ["relu", "prelu", "tanh"], compiled, {"x": x, "y": y}, members=(1, 2))


@pytest.mark.parametrize(
    ("model", "seeds", "jit_compile", "optimizer"),
    [
        ("cnn", 1, "auto", "adam"),
        pytest.param("cnn", 2, "auto", "rmsprop", marks=pytest.mark.slow),
        pytest.param("mlp", 1, True, "adam", marks=pytest.mark.slow),
    ],
)
def test_a_diverged_member_is_frozen_and_its_neighbours_never_notice(
    model, seeds, jit_compile, optimizer
):
    """With one kernel, with a compiled update (8 members of an optimizer that has none), and under XLA."""
    x, y = data()
    made = {"cnn": cnn_of_features, "mlp": mlp}[model]()

    population = PopulationModel(made, ["relu", "prelu", "mish", "leaky_relu(alpha=0.1)"], seeds)
    population.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit_compile)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(costs, "XLA_UPDATE_LEAST_STEPS", 1)
        population.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    if optimizer == "rmsprop":
        assert population.training_step._update_too
    variables = [*population.variables, *population.optimizer.variables]
    start, members = _values(variables), range(len(population.members))

    def train():
        """From the same start; the program is traced once."""
        logs = population.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        return [population.model(member).get_weights() for member in members], logs

    healthy, _ = train()
    assert population.diverged == ()
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    broken = population.model(seeds)
    broken.layers[-1].kernel.assign(np.full(broken.layers[-1].kernel.shape, 3e38))
    carry_into(population, seeds, broken)
    before = [np.copy(w) for w in population.model(seeds).get_weights()]
    poisoned, logs = train()
    others = [member for member in members if member != seeds]
    assert population.diverged == (seeds,)
    for member in others:
        for a, b in zip(healthy[member], poisoned[member], strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(poisoned[seeds], before, strict=True):
        np.testing.assert_array_equal(a, b)
    losses = logs["members/loss"][-1]
    np.testing.assert_allclose(logs["loss"][-1], np.mean(losses[others]), rtol=1e-5)
    assert population.select([len(others), seeds]).diverged == (1,)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_rates_may_be_set_again(optimizer):
    x, y = data()

    def trained(candidates, *rates):
        made = PopulationModel(small(), candidates)
        made.compile(optimizer, "sparse_categorical_crossentropy")
        for three in rates:
            made.set_learning_rates(three)
        made.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        return made.predict(x, verbose=0)

    relu, mish, faster = trained(["relu", "mish", "relu"], [0.01, 0.1, 0.3])
    again = trained(["mish", "relu", "relu"], [0.5, 0.5, 0.5], [0.1, 0.3, 0.01])
    np.testing.assert_allclose(again, [mish, faster, relu], rtol=1e-5)
    assert np.abs(relu - faster).max() > 1e-3  # which differ in their rates alone


def test_rates_that_are_set_after_a_training_count():
    x, y = data()
    population = PopulationModel(small(), ["relu", "relu"])
    population.compile("sgd", "sparse_categorical_crossentropy")
    population.set_learning_rates([1e-6, 0.1])
    population.fit(x, y, batch_size=8, verbose=0)
    before = population.get_weights()
    population.set_learning_rates([0.1, 1e-6])
    population.fit(x, y, batch_size=8, verbose=0)
    after = population.get_weights()
    changes = [
        np.abs(a - b).max(axis=tuple(range(1, a.ndim))) for a, b in zip(after, before, strict=True)
    ]
    fast, slow = np.max(changes, axis=0)
    assert slow < 1e-4 < 1e-2 < fast


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        (lambda: keras.optimizers.Adafactor(), "Received: Adafactor"),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
            "Received: LossScaleOptimizer",
        ),
        (lambda: type("Mine", (keras.optimizers.SGD,), {})(), "Received: Mine"),
    ],
)
def test_optimizers_that_mix_members_are_refused(optimizer, rule):
    population = PopulationModel(mlp(), ["relu"])
    with pytest.raises(ModelError, match=rule):
        population.compile(optimizer(), "mse")


def test_a_member_at_the_rate_0_stays_as_it_is():
    """As a schedule that warms up begins."""
    x, y = data(samples=8)
    population = PopulationModel(small(), ["relu", "relu"])
    population.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    population.set_learning_rates([0.0, 0.1])
    before = population.model(0).get_weights()
    population.fit(x, y, batch_size=8, verbose=0)
    for value, other, first in zip(
        population.model(0).get_weights(), population.model(1).get_weights(), before, strict=True
    ):
        np.testing.assert_array_equal(value, first)
        assert np.abs(other - first).max() > 0


def test_a_callback_that_saves_whole_models_is_refused_before_the_training():
    x, y = data(samples=8)
    population = PopulationModel(small(), ["relu"])
    population.compile("adam", "sparse_categorical_crossentropy")
    saving = keras.callbacks.ModelCheckpoint("all.keras")
    for callbacks in (saving, [saving]):
        with pytest.raises(ModelError, match=r"saved member by member.*ModelCheckpoint\('all"):
            population.fit(x, y, callbacks=callbacks, verbose=0)
