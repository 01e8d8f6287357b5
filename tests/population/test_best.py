"""Each member of a population keeps the weights of its own best epoch."""

import keras
import numpy as np
import pytest

from keras_acts.errors import ModelError
from keras_acts.search import BestWeights, PopulationModel
from tests.helpers.populations import carry_into, data, mlp

CANDIDATES = [
    "leaky_relu(alpha=0.1)",
    "tanh",
    "prelu",
    "leaky_relu(alpha=0.5)",
]  # not their order inside


class Snapshots(keras.callbacks.Callback):
    """Every epoch's weights of every member; one member gets a NaN at the end of an epoch."""

    def __init__(self, member, epoch):
        super().__init__()
        self.member, self.epoch, self.weights = member, epoch, []

    def on_epoch_end(self, epoch, logs=None):
        models = [self.model.model(member) for member in range(len(self.model.members))]
        self.weights.append([model.get_weights() for model in models])
        if epoch == self.epoch:
            models[self.member].layers[-1].bias.assign([np.nan] * 3)
            carry_into(self.model, self.member, models[self.member])


def trained(monitor, mode="auto", restore=True, nan_at=2):
    x, y = data(samples=60)
    population = PopulationModel(mlp(), CANDIDATES)
    population.compile(
        keras.optimizers.SGD(0.5, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    best, seen = BestWeights(monitor, mode, restore), Snapshots(1, nan_at)
    fitted = {
        "batch_size": 10,
        "epochs": 5,
        "validation_data": (x[40:], y[40:]),
        "verbose": 0,
        "shuffle": False,
    }
    history = population.fit(x[:40], y[:40], callbacks=[best, seen], **fitted).history
    return population, best, seen.weights, history


@pytest.mark.parametrize(
    ("monitor", "log"),
    [
        ("val_loss", "val_members/loss"),
        pytest.param("accuracy", "members/accuracy", marks=pytest.mark.slow),
    ],
)
def test_each_member_gets_the_weights_of_its_own_best_epoch(monitor, log):
    population, best, weights, history = trained(monitor)
    values = np.stack(history[log])
    assert np.isnan(np.stack(history["val_members/loss"])[3:, 1]).all()
    values[3:, 1] = np.nan
    epochs = np.nanargmin(values, axis=0) if monitor == "val_loss" else np.nanargmax(values, axis=0)
    np.testing.assert_array_equal(best.best_epoch, epochs)
    np.testing.assert_allclose(best.best, values[epochs, range(4)], rtol=1e-6)
    assert len(set(epochs)) > 1
    assert (epochs < 4).any()
    picked = population.select([2, 1])
    for member, epoch in enumerate(epochs):
        for restored, kept in zip(
            population.model(member).get_weights(), weights[epoch][member], strict=True
        ):
            np.testing.assert_array_equal(restored, kept)
    for restored, kept in zip(picked.model(1).get_weights(), weights[epochs[1]][1], strict=True):
        np.testing.assert_array_equal(restored, kept)
    if monitor == "val_loss":
        x, y = data(samples=60)
        again = population.evaluate(x[40:], y[40:], verbose=0, return_dict=True)["members/loss"]
        np.testing.assert_allclose(again, best.best, rtol=1e-5)


@pytest.mark.slow
def test_restoring_can_wait_and_a_member_without_a_number_keeps_its_weights():
    population, best, weights, history = trained("val_loss", "max", restore=False, nan_at=0)
    values = np.stack(history["val_members/loss"])
    assert best.best_epoch[1] == 0  # the NaN came after the first epoch
    after = population.model(0).get_weights()
    for now, last in zip(after, weights[-1][0], strict=True):
        np.testing.assert_array_equal(now, last)
    best.best_epoch[2], best.best[2] = -1, np.nan  # as if it never had a finite value
    best.restore_weights()
    for member in range(4):
        epoch = 4 if member == 2 else np.nanargmax(values[:, member])
        for now, then in zip(
            population.model(member).get_weights(), weights[epoch][member], strict=True
        ):
            np.testing.assert_array_equal(now, then)


@keras.saving.register_keras_serializable("tests")
def mixed(y_true, y_pred):
    return y_pred[:, 0]


def test_what_cannot_be_monitored_is_refused():
    x, y = data()
    population = PopulationModel(mlp(), ["relu", "tanh"])
    population.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", mixed])
    for arguments, rule in (
        (
            ("val_loss",),
            r"monitor must be one of \['accuracy', 'loss', 'mixed'\]. Received: monitor='val_loss'",
        ),
        (("acc",), "Received: monitor='acc', which the first epoch did not log"),
        (
            ("mixed",),
            "mode must be 'min' or 'max' for a metric of unknown direction. Received: 'mixed'",
        ),
    ):
        with pytest.raises(ModelError, match=rule):
            population.fit(x, y, verbose=0, callbacks=[BestWeights(*arguments)])
    population.fit(x, y, verbose=0, callbacks=[BestWeights("mixed", "max")])
    with pytest.raises(
        ModelError, match=r"mode must be 'auto', 'min' or 'max'. Received: mode='best'"
    ):
        BestWeights(mode="best")
    with pytest.raises(ModelError, match=r"members of a PopulationModel. Received: Sequential"):
        BestWeights().set_model(mlp())


@pytest.mark.slow
def test_what_is_remembered_goes_on_in_a_smaller_population():
    population, best, weights, history = trained("val_loss", restore=False)
    best.restore_weights()
    members = [3, 0]
    rest = population.select(members)
    successor = BestWeights("val_loss", restore=False)
    best.hand_over(successor, rest, np.array(members))
    for layer in rest.stacked:  # whoever goes on is no better than it was
        for variable in layer.trainable_variables:
            variable.assign(variable * 0 + 1e3)
    x, y = data(samples=60)
    rest.fit(x[:40], y[:40], validation_data=(x[40:], y[40:]), verbose=0, callbacks=[successor])
    losses = np.array(history["val_members/loss"])[:, members]
    np.testing.assert_array_equal(successor.best, np.nanmin(losses, axis=0))
    successor.restore_weights()
    for index, member in enumerate(members):
        epoch = int(successor.best_epoch[index])
        for restored, kept in zip(
            rest.model(index).get_weights(), weights[epoch][member], strict=True
        ):
            np.testing.assert_array_equal(restored, kept)
    successor.on_train_begin()  # of a fit after that, which starts afresh
    assert (successor.best_epoch == -1).all()
