"""Trials trained together.

The same scores, checkpoints, hooks and resumes as one by one, in any memory.
"""

from collections import Counter
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import psutil
import pytest
import tensorflow as tf

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import (
    ActivationSpace,
    ActivationTuner,
    Assignment,
    PopulationModel,
    activation_choice,
    search_activations,
    slots,
)
from keras_acts.search.population.frozen_prefix import frozen_prefix
from keras_acts.search.population.memory import bytes_per_member, outputs_per_sample, waves
from keras_acts.search.runtime import memory, ram
from keras_acts.search.runtime.memory import free_memory
from keras_acts.search.tuner.member_epochs import MemberEpochs, train_until_done
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(160)
FIT = {"epochs": 3, "validation_split": 0.25, "batch_size": 16, "verbose": 0}
NAMES = ["relu", "mish", "prelu", "leaky_relu"]
VALUES = ["relu", "mish", "leaky_relu"]


def tuner(folder, model=None, **arguments):
    arguments = {"objective": "val_loss", "max_trials": 6, "directory": folder, **arguments}
    if model is None:
        arguments.setdefault("activations", NAMES)
    return ActivationTuner(model or mlp(), **arguments)


def untraced(model):
    """What a search trains one by one, which would be traced for each trial."""
    if isinstance(model, keras.Model):
        return eager(model)
    return lambda hp: eager(model(hp))


def both(tmp_path, model=None, fit=None, **arguments):
    """The same search together and one by one."""
    found = []
    for population in ("auto", 1):
        own = {
            key: value() if callable(value) and key == "oracle" else value
            for key, value in arguments.items()
        }
        trained = model
        if model is None:
            own.setdefault("activations", NAMES)
            trained = mlp()
        if population == 1:
            trained = untraced(trained)
        searched = tuner(tmp_path / str(population), trained, population=population, **own)
        searched.said = []
        searched.say = searched.said.append
        searched.search(X, Y, **{**FIT, **(fit or {})})
        found.append(searched)
    return found


def assert_same(together, alone, says=False):
    """The same trials with the same scores; and they did train together."""
    assert bool(getattr(together, "said", ())) == says, together.said
    assert list(together.oracle.trials) == list(alone.oracle.trials)
    for trial_id, trial in together.oracle.trials.items():
        other = alone.oracle.trials[trial_id]
        assert trial.hyperparameters.values == other.hyperparameters.values
        assert (trial.status, trial.best_step) == (other.status, other.best_step), trial.message
        assert trial.score == (other.score and pytest.approx(other.score, rel=2e-4))


def fitted(monkeypatch, before=lambda members: None):
    """The list that the sizes of all populations go into, as they begin to train."""
    sizes, fit = [], PopulationModel.fit

    def recorded(self, *args, **kwargs):
        sizes.append(len(self.members))
        before(sizes[-1])
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(PopulationModel, "fit", recorded)
    return sizes


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The search that others, which go other ways, end with the scores of."""
    searched = tuner(tmp_path_factory.mktemp("whole"))
    searched.search(X, Y, **FIT)
    return searched


def build(hp):
    """A function with hyperparameters of its own: the units, the learning rate, the weight decay."""
    model = keras.Sequential([keras.Input((4,))])
    model.add(
        keras.layers.Dense(
            hp.Choice("units", [4, 8]), activation=activation_choice(hp, space=VALUES)
        )
    )
    model.add(keras.layers.Dense(5, activation="tanh"))
    model.add(keras.layers.Dense(3, activation="softmax"))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    decay = hp.Float("decay", 1e-2, 1.0, sampling="log")
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@pytest.mark.slow
def test_the_same_scores_and_models_as_one_by_one(tmp_path):
    """Where each is trained twice, with gradients of two steps; other tests have those of one."""
    model = mlp()
    optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    together, alone = both(tmp_path, model, activations=NAMES, executions_per_trial=2, max_trials=4)
    assert_same(together, alone)
    for one, other in zip(together.get_best_models(4), alone.get_best_models(4), strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)
        assert int(one.optimizer.iterations) == int(other.optimizer.iterations)
        for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)


@pytest.mark.slow
def test_slots_with_activations_of_their_own(tmp_path, monkeypatch):
    def build(hp):
        model = keras.Sequential([keras.Input((4,))])
        for name in ("first", "second"):
            model.add(keras.layers.Dense(6, activation=activation_choice(hp, name, VALUES)))
        model.add(keras.layers.Dense(3, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    sizes = fitted(monkeypatch)
    space = {"activations": ActivationSpace(NAMES, per="layer"), "max_trials": 4}
    oracle = {
        "oracle": lambda: keras_tuner.oracles.RandomSearchOracle("val_loss", max_trials=4, seed=3)
    }
    for name, model, arguments in (("model", None, space), ("function", build, oracle)):
        together, alone = both(tmp_path / name, model, **arguments)
        assert_same(together, alone)
        for one, other in zip(together.get_best_models(4), alone.get_best_models(4), strict=True):
            assert [slot.current for slot in slots(one)] == [slot.current for slot in slots(other)]
            for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
                np.testing.assert_allclose(a, b, atol=2e-4)
    assert sizes == [4, 4]


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:The optimal value found for dimension"
)  # a Gaussian process of three points
def test_bayesian_optimization_proposes_what_it_would_one_by_one(tmp_path):
    def oracle():
        return keras_tuner.oracles.BayesianOptimizationOracle(
            "val_loss", max_trials=4, num_initial_points=3, seed=3
        )

    together, alone = both(tmp_path, build, oracle=oracle)
    for a, b in zip(together.oracle.trials.values(), alone.oracle.trials.values(), strict=True):
        for name, value in a.hyperparameters.values.items():
            assert value == (
                pytest.approx(b.hyperparameters.values[name], rel=1e-2)
                if name in ("rate", "decay")
                else value
            )
        assert a.score == pytest.approx(b.score, rel=1e-2)


@pytest.mark.slow
def test_hyperband_goes_on_from_checkpoints(tmp_path, monkeypatch):
    """And functions with hyperparameters and learning rates of their own.

    A population for each number of units.
    """
    sizes = fitted(monkeypatch)

    def oracle():
        return keras_tuner.oracles.HyperbandOracle("val_loss", max_epochs=4, factor=2, seed=3)

    together, alone = both(tmp_path, build, oracle=oracle)
    assert_same(together, alone)
    trials = [trial.hyperparameters.values for trial in together.oracle.trials.values()]
    alike = Counter((v["units"], v["tuner/bracket"], v["tuner/round"]) for v in trials)
    assert len({v["rate"] for v in trials}) > 2
    assert len({v["decay"] for v in trials}) > 2
    assert sorted(sizes) == sorted(count for count in alike.values() if count > 1)
    assert len(sizes) > 1
    promoted = [
        t for t in together.oracle.trials.values() if "tuner/trial_id" in t.hyperparameters.values
    ]
    assert {t.hyperparameters.values["tuner/epochs"] for t in promoted} == {2, 4}


@keras.saving.register_keras_serializable(package="test_together")
def exploding(x):
    return x * 1e38


@pytest.mark.slow
def test_diverged_trials_are_alike(tmp_path):
    together, alone = both(tmp_path, activations=[exploding, "relu", "mish"], max_trials=3)
    assert_same(together, alone)
    assert (
        together.oracle.trials["0"].message.splitlines()[0]
        == alone.oracle.trials["0"].message.splitlines()[0]
    )
    assert [t.status for t in together.oracle.trials.values()] == [
        "FAILED",
        "COMPLETED",
        "COMPLETED",
    ]


@pytest.mark.slow
def test_early_stopping_ends_each_trial_by_itself(tmp_path, monkeypatch):
    """A population that slots leave as soon as they are done, one that they stay in, and one by one: all the same."""
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=1, min_delta=0.05, restore_best_weights=True
    )
    sizes = fitted(monkeypatch)
    ends, searches = {}, {}

    class Ends(ActivationTuner):
        def on_epoch_end(self, trial, model, epoch, logs=None):
            ends.setdefault(self.project_name, {}).setdefault(trial.trial_id, []).append(
                logs["val_loss"]
            )

    def searched(name, leave=False, **arguments):
        monkeypatch.setattr(
            MemberEpochs, "_saves", lambda self, left: leave and not self.running[self.inside].all()
        )
        found = Ends(
            mlp(),
            activations=NAMES,
            max_trials=4,
            directory=tmp_path,
            project_name=name,
            **arguments,
        )
        found.search(X, Y, callbacks=[stop], **{**FIT, "epochs": 8})
        searches[name] = found

    searched("alone", population=1)
    searched("whole", population="auto")
    assert sizes == [4]
    searched("smaller", population="auto", leave=True)
    assert sizes[1] == 4
    assert len(sizes) > 2
    assert sizes[1:] == sorted(set(sizes[1:]), reverse=True)
    lengths = {len(values) for values in ends["alone"].values()}
    assert lengths - {8}
    for name in ("whole", "smaller"):
        assert_same(searches[name], searches["alone"])
        for trial_id, values in ends["alone"].items():
            np.testing.assert_allclose(ends[name][trial_id], values, rtol=2e-4)
        for one, other in zip(
            searches[name].get_best_models(4), searches["alone"].get_best_models(4), strict=True
        ):
            for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
                np.testing.assert_allclose(a, b, atol=2e-3)
            for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
                np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.once
def test_members_leave_where_that_saves_more_than_it_costs():
    epochs = MemberEpochs((), None, None, [[]] * 4)
    epochs.set_params({"steps": 100})
    epochs.histories = [{"loss": [1.0] * 8}] * 4
    epochs.running[0] = False
    assert not epochs._saves(100)  # fewer than half
    epochs.running[1] = False
    assert epochs._saves(100)  # half of 800 steps
    assert not epochs._saves(7)
    epochs.running[2] = False
    assert epochs._saves(7)


def test_members_leave_only_where_what_goes_on_is_the_same(monkeypatch):
    def interrupted(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(PopulationModel, "fit", interrupted)

    def may(optimizer="sgd", **changed):
        population = PopulationModel(mlp(), ["relu", "tanh"])
        population.compile(optimizer, "sparse_categorical_crossentropy")
        epochs = MemberEpochs((), None, None, [[], []])
        fit = {"x": X, "y": Y, "epochs": 2, "validation_split": 0.25, **changed}
        with pytest.raises(KeyboardInterrupt):
            train_until_done(
                population, fit, epochs, keras_tuner.Objective("loss", "min"), lambda *_: None
            )
        return epochs.may_leave

    assert may()
    assert may(validation_data=(X, Y))
    assert not may(validation_data=iter([(X, Y)]))
    assert not may(steps_per_epoch=2)
    assert not may(x=tf.data.Dataset.from_tensors((X, Y)), y=None, validation_split=0)
    assert not may(keras.optimizers.SGD(use_ema=True))


@pytest.mark.slow
def test_tensorboard_and_schedules(tmp_path):
    def callbacks():
        halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        return [
            keras.callbacks.TensorBoard(tmp_path / "board"),
            halve,
            keras.callbacks.TerminateOnNaN(),
        ]

    together, alone = both(tmp_path, fit={"callbacks": callbacks()}, max_trials=3)
    assert_same(together, alone)
    for trial_id in together.oracle.trials:
        folder = tmp_path / "board" / trial_id / "execution0"
        assert all(list((folder / part).glob("events*")) for part in ("train", "validation"))


def test_an_interrupted_population_is_found_again(tmp_path, monkeypatch, whole):
    class Interrupted(ActivationTuner):
        def on_epoch_end(self, trial, model, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    arguments = {"activations": NAMES, "max_trials": 6, "directory": tmp_path / "parts"}
    with pytest.raises(KeyboardInterrupt):
        Interrupted(mlp(), **arguments).search(X, Y, **FIT)
    parts = ActivationTuner(mlp(), **arguments)
    sizes = fitted(monkeypatch)
    parts.search(X, Y, **FIT)
    assert sizes == [6]
    assert [t.score for t in parts.oracle.trials.values()] == [
        t.score for t in whole.oracle.trials.values()
    ]
    assert not parts.oracle.ongoing_trials


@pytest.mark.slow
def test_what_cannot_train_together_trains_one_by_one_and_says_why(tmp_path):
    class Own(keras.Model):
        def __init__(self, activation):
            super().__init__()
            self.dense = keras.layers.Dense(3, activation=activation)

        def call(self, x):
            return self.dense(x)

    def subclassed(hp):
        model = Own(activation_choice(hp, space=["relu", "mish"]))
        model.compile("sgd", "mse")
        return model

    def eager(hp):
        model = mlp(activation_choice(hp, space=["relu", "mish"]))
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    def mixing(hp):
        model = mlp(activation_choice(hp, space=["relu", "mish"]))
        model.compile(keras.optimizers.Adafactor(0.1), "sparse_categorical_crossentropy")
        return model

    def scalar(hp):
        return mlp(activation_choice(hp, space=["prelu", "trelu(alpha=trained)"]))

    def linear(hp):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        activation_choice(hp, space=["relu", "mish"])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    def own_loss(hp):
        def loss(y, p):
            return keras.losses.sparse_categorical_crossentropy(y, p)

        model = mlp(activation_choice(hp, "hidden", space=["relu", "mish"]))
        model.compile("sgd", loss)
        return model

    class Watch(keras.callbacks.Callback):
        pass

    def fixed():
        model = mlp()
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    for build_, reason, more in (
        (subclassed, "has its own call", {}),
        (eager, "eagerly", {}),
        (mixing, "optimizer must be", {}),
        (scalar, "for each channel", {}),
        (linear, "no hidden slot", {}),
        (own_loss, "other than choice=", {}),
        (fixed(), "runs eagerly", {}),
        (mlp(), "callback Watch", {"callbacks": [Watch()]}),
    ):
        space = ActivationSpace(NAMES, per="layer") if isinstance(build_, keras.Model) else None
        searched = tuner(tmp_path / reason, build_, max_trials=2, activations=space)
        said = []
        searched.say = said.append
        y = np.eye(3)[Y] if build_ is subclassed else Y
        searched.search(X, y, **{**FIT, "epochs": 1}, **more)
        assert [reason in text for text in said] == [True], (reason, said)
        assert [t.status for t in searched.oracle.trials.values()] == ["COMPLETED"] * 2


@pytest.mark.slow
def test_a_limit_of_memory_makes_waves(tmp_path, monkeypatch, whole):
    sizes = fitted(monkeypatch)
    limited = tuner(tmp_path / "limited")
    limited.memory = 2 * bytes_per_member(mlp(), 16)
    limited.search(X, Y, **FIT)
    assert sizes == [2, 2, 2]
    for a, b in zip(whole.oracle.trials.values(), limited.oracle.trials.values(), strict=True):
        assert a.score == pytest.approx(b.score, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensorflow", "python"])
def test_a_population_that_runs_out_of_memory_is_halved(tmp_path, monkeypatch, kind, whole):
    def short(members):
        if members > 3:
            raise (
                MemoryError
                if kind == "python"
                else tf.errors.ResourceExhaustedError(None, None, "OOM")
            )

    sizes = fitted(monkeypatch, short)
    halved = tuner(tmp_path / "halved")
    halved.search(X, Y, **FIT)
    assert sizes == [6, 3, 3]
    assert all(
        t.score == pytest.approx(whole.oracle.trials[i].score, rel=1e-5)
        for i, t in halved.oracle.trials.items()
    )


def test_a_member_counts_the_outputs_of_its_layers_once():
    layers = [keras.layers.Dense(8), keras.layers.Dense(5), keras.layers.Reshape((5, 1))]
    listed = keras.Sequential([keras.Input((4,)), *layers])
    added = keras.Sequential([keras.Input((4,))])
    for layer in layers:
        added.add(type(layer).from_config(layer.get_config()))
    assert outputs_per_sample(listed) == outputs_per_sample(added) == 8 + 5 + 5
    nested = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), added])
    assert outputs_per_sample(nested) == 4 + 18
    # what is frozen runs once for all slots
    model = frozen()
    shared = frozen_prefix(model, [slot.name for slot in slots(model).hidden])
    head = 4 * ((5 * 8 + 8) + (8 * 3 + 3))
    assert bytes_per_member(model, 32, shared) == 8 * head + 4 * 2 * 32 * (8 + 3)
    assert outputs_per_sample(model) == 6 + 6 + 5 + 5 + 8 + 3


@pytest.mark.once
@pytest.mark.parametrize(
    ("limit", "used", "free"), [("1000000", "900000", 800000), ("max", "900000", 7000000)]
)
def test_what_is_cached_in_a_container_is_free(tmp_path, monkeypatch, limit, used, free):
    contents = {
        "limit": limit,
        "used": used,
        "stat": "anon 100000\ninactive_file 700000\nactive_file 100000\n",
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in contents]
    monkeypatch.setattr(memory, "gpus", list)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=7000000))
    monkeypatch.setattr(ram, "_CGROUPS", [(*paths, "inactive_file")])
    assert free_memory() == free
    (tmp_path / "stat").unlink()
    assert free_memory() == (free - 700000 if limit != "max" else free)


@pytest.mark.once
def test_waves_are_even():
    assert [len(wave) for wave in waves(range(10), member_bytes=10, memory=45)] == [3, 4, 3]
    assert [len(wave) for wave in waves(range(2), member_bytes=10, memory=1)] == [1, 1]
    assert [len(wave) for wave in waves(range(5), member_bytes=1)] == [5]


def test_rates_must_be_one_number_from_0_on_a_slot():
    population = PopulationModel(mlp(), ["relu", "mish"])
    for rates in ([0.1], [0.1, -0.1], [0.1, float("nan")], [0.1, float("inf")]):
        with pytest.raises(
            ModelError, match=r"one learning rate >= 0 for each of its 2 members\. Received"
        ):
            population.set_learning_rates(rates)


@pytest.mark.parametrize("population", [0, "all", True, 2.0])
def test_bad_sizes_are_refused(tmp_path, population):
    with pytest.raises(SearchError, match="population must be 'auto' or an integer >= 1"):
        tuner(tmp_path, population=population)
    with pytest.raises(SearchError, match="population must be"):
        search_activations(mlp(), X, Y, population=population, learning_rates=None)


@pytest.mark.slow
def test_a_failing_build_fails_alone(tmp_path):
    def sometimes(hp):
        if hp.Choice("broken", [False, True]):
            raise ValueError("no such model")
        return mlp(activation_choice(hp, space=["relu", "mish", "elu"]))

    oracle = keras_tuner.oracles.GridSearchOracle(
        "val_loss", max_trials=6, max_consecutive_failed_trials=9
    )
    searched = tuner(tmp_path, sometimes, oracle=oracle)
    searched.search(X, Y, **{**FIT, "epochs": 1})
    for trial in searched.oracle.trials.values():
        assert trial.status == ("FAILED" if trial.hyperparameters.values["broken"] else "COMPLETED")


def frozen(activation="relu"):
    """A frozen part with all that it may hold, and a trained head."""
    base = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, activation="tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(5),
        ]
    )
    base.trainable = False
    x = keras.Input((4,))
    y = keras.layers.Dense(8, activation=activation)(keras.layers.ReLU(trainable=False)(base(x)))
    model = keras.Model(x, keras.layers.Dense(3, activation="softmax")(y))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.slow
def test_a_frozen_prefix_runs_once_and_changes_nothing(tmp_path):
    population = PopulationModel(frozen(), ["relu", "mish", "tanh"])
    assert [layer.plan.path for layer in population.stacked if layer.plan.shared][-1].startswith(
        "re_lu"
    )
    assert sum(v.shape[0] == 3 for v in population.weights) == 1 + 4  # health and the head
    together, alone = both(tmp_path, frozen(), activations=["relu", "mish", "tanh"], max_trials=3)
    assert_same(together, alone)
    for one, other in zip(together.get_best_models(3), alone.get_best_models(3), strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)


def test_a_population_clones_its_model_once():
    names = ("prelu", "relu", "trelu(alpha=trained)")
    choices = [Assignment.of({"first": a, "second": b}) for a in names for b in names]
    for candidates in (choices, ["mish", "prelu", "elu"]):
        population = PopulationModel(mlp(), candidates)
        population.select([2, 0])
        assert len(population.blueprint._models) == 1


def test_the_graph_optimizer_rests_only_while_a_population_trains():
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(
                tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
            )
            raise KeyboardInterrupt

    recurrent = keras.Sequential(
        [keras.Input((4, 1)), keras.layers.SimpleRNN(2), keras.layers.Dense(3)]
    )
    recurrent.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = blobs(8)
    for model, inputs in ((mlp(), x), (recurrent, x[..., None])):
        before = tf.config.optimizer.get_experimental_options()
        with pytest.raises(KeyboardInterrupt):
            PopulationModel(model, ["relu", "mish"]).fit(inputs, y, verbose=0, callbacks=[Look()])
        after = tf.config.optimizer.get_experimental_options()
        assert after.get("disable_meta_optimizer", False) == before.get(
            "disable_meta_optimizer", False
        )
    assert seen == [True, False]
