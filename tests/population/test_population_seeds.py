"""Seeds with batch orders of their own: a member is what an ordinary `fit` under its seed makes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import Candidate, with_activations
from keras_acts.search.population import trainers
from keras_acts.search.population.members import Member
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.population.trainers import PopulationTrainer
from keras_acts.search.runtime import costs
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.verdict.replicates import Replicates
from tests.helpers import models
from tests.helpers.populations import cnn, data, mlp, settings

SEEDS = 3, 11


def check(
    model,
    candidates,
    fitted,
    members,
    *,
    compiled=None,
    seeds=SEEDS,
    rtol=1e-8,
    slots=None,
    **options,
):
    """Train a population and, under their seeds, its members one by one.

    The last batch of an epoch is a smaller one.
    """
    compiled = compiled or settings()
    fitted = {"batch_size": 8, "epochs": 3, "verbose": 0, **fitted}
    population = PopulationModel(model, candidates, seeds, slots=slots)
    population.compile(**compiled(), **options)
    history = population.fit(**fitted, shuffle="seed").history
    for p in members:
        member = population.members[p]
        with isolated_seed(member.seed):
            chosen = member.candidate
            if slots is not None:
                chosen = dict.fromkeys(slots, chosen)
            alone = with_activations(model, chosen)
            alone.compile(**compiled())
            log = alone.fit(**fitted).history
        same = population.model(p)
        for expected, found in (
            (alone.weights, same.weights),
            (alone.optimizer.variables, same.optimizer.variables),
        ):
            for a, b in zip(expected, found, strict=True):
                np.testing.assert_allclose(
                    b, a, rtol=rtol, atol=rtol / 100, err_msg=f"{member} {a.path}"
                )
        for name, values in log.items():
            key = f"val_members/{name[4:]}" if name.startswith("val_") else f"members/{name}"
            np.testing.assert_allclose(
                np.stack(history[key])[:, p], values, rtol=max(rtol, 1e-6), err_msg=key
            )
    return population


def weighted():
    own = [keras.metrics.SparseCategoricalAccuracy(name="a"), "sparse_categorical_crossentropy"]
    return settings()() | {"weighted_metrics": own}


@pytest.mark.parametrize("jit_compile", ["auto", pytest.param(True, marks=pytest.mark.slow)])
def test_a_member_is_its_ordinary_fit(float64, jit_compile):
    x, y = data(samples=70)
    fitted = {"x": x, "y": y, "class_weight": {0: 0.5, 1: 1.0, 2: 3.0}, "validation_split": 0.1}
    options = {"compiled": weighted, "jit_compile": jit_compile, "steps_per_execution": 4}
    check(mlp(), ["prelu", "relu"], fitted, (1,) if jit_compile == "auto" else (0, 3), **options)


@pytest.mark.slow
def test_weights_of_samples_other_losses_and_metrics(float64):
    x, y = data(samples=44)
    onehot = np.eye(3)[y]
    fitted = {"x": x, "y": onehot, "epochs": 2, "sample_weight": np.linspace(0, 1, 44)}
    for loss in (keras.losses.Dice(), keras.losses.MeanSquaredError("mean_with_sample_weight")):
        check(
            *(mlp(), ["relu", "tanh"], fitted, (1, 2)),
            compiled=lambda loss=loss: settings(
                loss=loss, metrics=["auc"], weighted_metrics=["mae", "auc"]
            )(),
        )


@pytest.mark.slow
def test_several_inputs_and_outputs(float64):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    h = layers.Dense(5, activation="relu")(layers.Concatenate()([a, b]))
    outputs = {
        "class": layers.Dense(3, activation="softmax", name="class")(h),
        "number": layers.Dense(1)(h),
    }
    model = keras.Model({"a": a, "b": b}, outputs)
    x, y = data(samples=44)
    given = {
        "x": {"a": x, "b": x[:, :2]},
        "y": {"class": y, "number": x[:, 0]},
        "validation_split": 0.2,
    }
    losses = {"class": "sparse_categorical_crossentropy", "number": "mse"}
    made = settings(loss=losses, metrics={"class": ["accuracy"], "number": ["mae"]})
    check(model, ["relu", "tanh"], given, (0, 3), compiled=made)


@pytest.mark.slow
def test_folded_channels():
    x, y = data((7, 6, 2), samples=44)
    check(cnn(), ["relu", "mish"], {"x": x, "y": y}, (0, 3), compiled=settings("sgd"), rtol=2e-4)


@pytest.mark.slow
def test_a_frozen_prefix_runs_for_each_seed(float64):
    """Layers with a rule, one without, and an operation that mixes the samples of a batch."""
    x = keras.Input((6, 2))
    h = layers.Conv1DTranspose(3, 2, trainable=False)(layers.BatchNormalization(trainable=False)(x))
    h = h - keras.ops.mean(h, axis=0, keepdims=True)
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.Dense(4, "relu")(layers.Flatten()(h))))
    x, y = data((6, 2), samples=44)
    population = check(model, ["relu", "tanh"], {"x": x, "y": y}, (0, 3))
    assert [layer.plan.shared for layer in population.stacked] == [True] * 5 + [False] * 2


@keras.saving.register_keras_serializable("tests")
def centred(x):
    return x - keras.ops.mean(x, axis=0)


def test_a_frozen_prefix_mixes_the_samples_of_a_seed_only(float64):
    x = keras.Input((4,))
    h = layers.Dense(3, trainable=False)(x)
    h = layers.Dense(3, activation=centred, trainable=False)(h)
    h = h - keras.ops.mean(h, axis=0, keepdims=True)
    h = keras.ops.einsum("id,jd->ij", h, h)
    h = keras.ops.mean(h, axis=1, keepdims=True)
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.Dense(4, "relu", name="searched")(h)))
    x, y = data((4,), samples=16)
    population = check(model, ["relu"], {"x": x, "y": y}, (0, 1), slots=["searched"])
    assert [layer.plan.shared for layer in population.stacked] == [True] * 6 + [False] * 2


@pytest.mark.slow
def test_one_seed_has_the_order_of_its_own(float64):
    x, y = data(samples=44)
    check(mlp(), ["relu", "tanh"], {"x": x, "y": y}, (1,), seeds=[11])


def test_all_members_see_the_same_again_afterwards():
    x, y = data(samples=20)
    population = PopulationModel(mlp(), ["relu", "relu"], seeds=2)
    population.compile("sgd", "sparse_categorical_crossentropy")
    population.fit(x, y, batch_size=8, shuffle="seed", verbose=0)
    population.train_on_batch(x, y)
    population.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    population.fit(x, y, batch_size=8, shuffle="seed", verbose=0)
    assert population.optimizer.iterations == 10
    one, two, same, too = population.predict(x, verbose=0)
    np.testing.assert_allclose([one, two], [same, too], rtol=1e-5)
    assert np.abs(one - two).max() > 1e-3


@pytest.mark.parametrize("x", [tf.data.Dataset.from_tensors(np.zeros((3, 4))), tf.sparse.eye(3, 4)])
def test_other_data_have_an_order_of_their_own(x):
    population = PopulationModel(mlp(), ["relu"], seeds=2)
    population.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(
        ModelError,
        match=f"needs arrays, or dense tensors. Received: x of type .*{type(x).__name__}",
    ):
        population.fit(x, shuffle="seed")


X, Y = models.blobs(70)
FIT = {"x": X[:50], "y": Y[:50], "validation_data": (X[50:], Y[50:]), "epochs": 2, "batch_size": 20}


def test_together_seeds_are_what_each_is_by_itself(monkeypatch):
    """A diverging candidate too, in waves, and tested in waves of another size.

    The last wave is filled up with a seed that nobody wants.
    """
    trainer = PopulationTrainer(
        models.mlp(), map(Candidate.of, ("prelu", "leaky_relu(alpha=1e38)"))
    )
    monkeypatch.setattr(costs, "SEEDS_TOGETHER_MOST_MEMBERS", 4)
    alone = list(trainer.train([5, 6, 7, 8, 0], FIT))
    together = list(trainer.train([5, 6, 7, 8, 0], FIT, at_once=5))
    assert [member.seed for member in trainer._population.members] == [0, 0, 1, 1]
    assert [one.together for one in together] == [2, 2, 2, 2, 1]
    assert [list(one.diverged) for one in together] == [[False, True]] * 5
    weights = [one.weights for one in (*alone, *together, alone[2])]
    *tested, last = trainer.test(weights, FIT["validation_data"])
    for s, (a, b) in enumerate(zip(alone, together, strict=True)):
        assert {name: values.shape for name, values in b.history.items()} == dict.fromkeys(
            a.history, (2, 2)
        )
        for name, values in a.history.items():
            np.testing.assert_allclose(b.history[name], values, rtol=1e-4, atol=1e-6)
        for name, values in tested[s].items():
            np.testing.assert_allclose(tested[5 + s][name], values, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(values[:1], a.history[f"val_{name}"][-1, :1], rtol=1e-4)
    np.testing.assert_array_equal(last["loss"], tested[2]["loss"])
    # where a smaller population saves many steps, it is made
    assert trainer._filled_up([5], 2, {**FIT, "epochs": 1000}) == [5]


def test_seeds_for_which_memory_runs_out_are_halved(monkeypatch):
    sizes, fit, most = [], PopulationModel.fit, [4]

    def short(self, *args, **kwargs):
        sizes.append(len(self.members))
        if sizes[-1] > most[0]:
            raise tf.errors.ResourceExhaustedError(None, None, "there is none left")
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(PopulationModel, "fit", short)
    trainer = PopulationTrainer(models.mlp(), map(Candidate.of, ("relu", "mish")))
    trained = trainer.train([5, 6, 7, 8], {**FIT, "epochs": 1}, at_once=4)
    assert [one.history["loss"].shape for one in trained] == [(1, 2)] * 4
    assert sizes == [8, 4, 4]
    list(trainer.train([9, 10, 11, 12], {**FIT, "epochs": 1}, at_once=4))
    assert sizes == [8, 4, 4, 4, 4]  # not tried again
    most[0] = 1
    with pytest.raises(tf.errors.ResourceExhaustedError):
        list(trainer.train([5, 6], FIT, at_once=2))


def test_candidates_that_do_not_fit_into_memory_are_trained_one_by_one(monkeypatch):
    model = models.eager(models.mlp())
    monkeypatch.setattr(trainers.memory, "most_members", lambda member_bytes, memory=None: 1)
    builds = [lambda: with_activations(model, "relu"), lambda: with_activations(model, "mish")]
    trainer = trainers.trainer_for(model, list(map(Candidate.of, ("relu", "mish"))), builds)
    assert trainer.reason == ""
    (trained,) = trainer.train([5], {"x": X, "y": Y, "batch_size": 70})
    assert trainer.reason.startswith("a model takes about")
    assert isinstance(trained.by, trainers.OneByOneTrainer)
    assert trained.history["loss"].shape == (1, 2)


@pytest.mark.slow
def test_where_memory_runs_out_the_scores_are_the_same(monkeypatch):
    fit, most = PopulationModel.fit, [2]
    candidates = [Candidate.of(name) for name in ("relu", "prelu")]
    model = models.eager(models.mlp())
    builds = [lambda c=candidate: with_activations(model, c) for candidate in candidates]

    def short(self, *args, **kwargs):
        if len(self.members) > most[0]:
            raise tf.errors.ResourceExhaustedError(None, None, "there is none left")
        return fit(self, *args, **kwargs)

    def runs(trainer, *waves):
        with Replicates(trainer, list(map(str, candidates)), FIT) as replicates:
            for seeds, members in waves:
                most[0] = members
                assert list(replicates.train(seeds)) == seeds
            replicates.test(FIT["validation_data"])
            return replicates.runs

    monkeypatch.setattr(PopulationModel, "fit", short)
    whole = runs(trainers.trainer_for(model, candidates, builds), ([5, 6], 2))
    trainer = trainers.trainer_for(model, candidates, builds)
    parted = runs(trainer, ([5], 2), ([6], 1))
    assert trainer.reason == "memory ran out"
    monkeypatch.setattr(trainers.memory, "most_members", lambda member_bytes, memory=None: 1)
    trainer = trainers.trainer_for(model, candidates, builds)
    planned = runs(trainer, ([5, 6], 2))
    assert trainer.reason.startswith("a model takes about")
    for found in (parted, planned):
        for name, values in whole.history.items():
            np.testing.assert_allclose(found.history[name], values, rtol=1e-3, atol=1e-5)
        for name, values in whole.test.items():
            np.testing.assert_allclose(found.test[name], values, rtol=1e-3, atol=1e-5)
    # a callback would see each model instead of all as one
    stop = keras.callbacks.Callback()
    most[0] = 1
    with pytest.raises(tf.errors.ResourceExhaustedError):
        list(
            trainers.trainer_for(model, candidates, builds).train([5], {**FIT, "callbacks": [stop]})
        )


def test_a_population_that_cannot_even_be_made_is_none(monkeypatch):
    def short(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(trainers, "PopulationModel", short)
    assert isinstance(
        trainers.trainer_for(models.mlp(), [Candidate.of("relu")], [models.mlp]),
        trainers.OneByOneTrainer,
    )


def test_how_many_seeds_train_together(monkeypatch):
    trainer = PopulationTrainer(models.mlp(), map(Candidate.of, ("relu", "mish", "tanh")))

    def size(at_once, **changed):
        return trainer._size({**FIT, **changed}, at_once)

    assert [size(n) for n in (1, 2, 4, 5, 7, 8, 12, 16, 22)] == [1, 2, 4, 5, 7, 8, 12, 16, 11]
    schedule, stop = (
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        keras.callbacks.EarlyStopping(),
    )
    own = keras.callbacks.Callback()
    assert size(4, callbacks=schedule) == size(4, shuffle=False) == size(4, x=[X, X]) == 4
    assert size(4, callbacks=[schedule, stop]) == 4
    assert size(4, callbacks=[schedule, own]) == size(4, shuffle="batch") == 1
    assert size(4, batch_size=2**20) == 1
    assert size(4, x=tf.data.Dataset.from_tensors((X, Y)), y=None) == 1
    monkeypatch.setattr(trainers.memory, "most_members", lambda member_bytes: 7)
    assert size(4) == 2


def test_other_seeds_have_other_orders_in_a_population_that_starts_again():
    """What was traced for the seeds of before is not taken for those of now."""
    names = ("relu", "mish", "tanh", "elu")

    def members(*seeds):
        return [Member(Candidate.of(name), seed) for name, seed in zip(names, seeds, strict=True)]

    def weights(population):
        fit = {name: FIT[name] for name in ("x", "y", "batch_size")}
        population.fit(**fit, shuffle="seed", verbose=0)
        return population.model(1).get_weights()

    def made(*seeds):
        population = PopulationModel(models.mlp(), members(*seeds))
        population.compile("sgd", "sparse_categorical_crossentropy")
        return population

    population = made(0, 0, 1, 1)
    weights(population)
    population.restart(members(0, 1, 0, 1))
    for value, expected in zip(weights(population), weights(made(0, 1, 0, 1)), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
