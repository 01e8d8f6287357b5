"""Races of models that train in their own way: subclassed, with a `train_step` or `fit` of their own."""

import keras
import keras_tuner
import pytest
from keras import layers

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import ActivationSpace, search_activations
from tests.helpers.models import Weighing, blobs, eager, mlp

X, Y = blobs(120)
RACE = {"strategy": "race", "trials": 4, "epochs": 2, "verdict": 0, "verbose": 0}
SOME = ["mish", "elu"]


def weighing(hp, activation):
    model = Weighing(activation)
    model.compile(
        keras.optimizers.Adam(0.03),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return model


def raced(model, **options):
    options = {"activations": SOME, **RACE, "batch_size": 30, **options}
    return search_activations(model, X[:90], Y[:90], **options)


def table(found):
    return [(str(t.candidate), t.factor, t.score, t.rank, t.epochs, t.seeds) for t in found.trials]


def test_a_subclassed_model_races_with_its_own_step(capsys):
    found = raced(weighing, verbose=1, test_data=(X[90:], Y[90:]))
    said = capsys.readouterr().err
    assert "A race of models that train one by one: the model is made by a function" in said
    assert "At the model's own learning rate: the model is made by a function" in said
    assert {t.status for t in found.trials} <= {"completed", "stopped"}
    assert {t.epochs for t in found.trials if t.status == "completed"} == {2}
    assert "relu" in {str(t.candidate) for t in found.trials if t.status == "completed"}
    assert type(found.model) is Weighing
    x, y = X[72:90], Y[72:90]  # what validated
    score = found.model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
    assert score == pytest.approx(found.score, abs=1e-6)
    assert found.test["accuracy"] == pytest.approx(
        found.model.evaluate(X[90:], Y[90:], verbose=0, return_dict=True)["accuracy"]
    )


@pytest.mark.slow
def test_with_rates_a_verdict_and_a_resume(tmp_path, monkeypatch):
    from keras_acts.search.race import runner

    options = {"learning_rates": ["x4"], "verdict": 2, "trials": 5, "test_data": (X[90:], Y[90:])}
    whole = raced(weighing, **options)
    assert {t.factor for t in whole.trials} == {1.0, 4.0}
    assert whole.verdict.seeds == 2
    assert whole.verdict.rates is not None
    watch, left = runner.RaceSearch._epoch, [6]

    def interrupting(self, members):
        watch(self, members)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner.RaceSearch, "_epoch", interrupting)
    assert raced(weighing, **{**options, "verdict": 0}, directory=tmp_path).interrupted
    resumed = raced(weighing, **{**options, "verdict": 0}, directory=tmp_path)
    assert table(resumed) == table(raced(weighing, **{**options, "verdict": 0}))


@pytest.mark.once
def test_an_instance_with_a_step_of_its_own_races_by_itself(capsys):
    class Still(keras.Model):
        """It does not learn."""

        def train_step(self, data):
            x, y = data
            return {"loss": self.compute_loss(x, y, self(x, training=True))}

    x = keras.Input((4,))
    outputs = layers.Dense(3, activation="softmax")(layers.Dense(5, activation="relu")(x))
    model = Still(x, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    found = raced(model, strategy="auto", objective="val_loss", verbose=1, learning_rates=None)
    said = capsys.readouterr().err
    assert "A race of models that train one by one: " in said
    assert "of class Still with its own train_step" in said
    assert type(found.model) is Still
    assert found.model.evaluate(X[72:90], Y[72:90], verbose=0) == pytest.approx(found.score)


@pytest.mark.slow
def test_a_race_of_groups_trains_one_by_one_too():
    space = ActivationSpace(["relu", "mish"], per="layer")
    found = raced(eager(mlp()), activations=space, population=1, trials=12, epochs=1)
    assert found.trials[0].rank == 1
    assert set(found.best) == {"first", "second"}


@pytest.mark.once
def test_what_is_no_race_of_functions_is_refused():
    def own(hp, activation):
        hp.Int("units", 4, 8)
        return eager(mlp(activation))

    with pytest.raises(SearchError, match=r"hyperparameters of its own, units, and a race tries"):
        raced(own)

    def plain(hp):
        return eager(mlp())

    groups = {"front": ["first"], "back": ["second"]}
    with pytest.raises(SearchError, match="may return models of different slots"):
        raced(plain, activations=ActivationSpace(SOME, per=groups))
    found = raced(plain, trials=3, epochs=1)
    assert {str(t.candidate) for t in found.trials} >= {"relu", "mish"}


class Gan(keras.Model):
    """Two networks against each other, with no loss of the whole."""

    def __init__(self, activation):
        super().__init__()
        self.generator = keras.Sequential([layers.Dense(4, activation=activation)])
        self.discriminator = keras.Sequential([layers.Dense(1)])
        self.d_loss = keras.metrics.Mean(name="d_loss")
        self.g_loss = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer

    @property
    def metrics(self):
        return [self.d_loss, self.g_loss]

    def train_step(self, data):
        raise AssertionError("it is refused before it trains")


class ScoredGan(Gan):
    def test_step(self, data):
        self.d_loss.update_state(1.0)
        self.g_loss.update_state(2.0)
        return {metric.name: metric.result() for metric in self.metrics}


@pytest.mark.parametrize("kind", [Gan, ScoredGan])
@pytest.mark.parametrize("strategy", ["race", "auto"])
def test_a_model_without_one_objective_is_refused(kind, strategy):
    def gan(hp, activation):
        model = kind(activation)
        model.compile("adam", "adam")
        return model

    with pytest.raises((SearchError, ModelError), match=r"(?i)objective"):
        search_activations(
            gan, X, validation_data=(X, Y), activations=SOME, **{**RACE, "strategy": strategy}
        )


def test_rates_of_other_optimizers_are_not_searched():
    def gan(hp, activation):
        model = ScoredGan(activation)
        model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
        return model

    goal = keras_tuner.Objective("val_g_loss", "min")
    options = {**RACE, "objective": goal, "activations": SOME, "learning_rates": ["x2"]}
    with pytest.raises(SearchError, match="optimizers of its own, d_optimizer, g_optimizer"):
        search_activations(gan, X, validation_data=(X, Y), **options)
