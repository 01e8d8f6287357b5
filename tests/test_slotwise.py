"""Searches for each layer or group, in populations."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_acts.search import ActivationSpace, Candidate, race, search_activations, slots
from keras_acts.search.changes import better
from keras_acts.search.groups import Assignment
from tests.models import blobs, mlp

_rng = np.random.default_rng(7)
X = _rng.normal(size=(240, 2)).astype("float32") * 2
Y = 2 * np.maximum(X[:, :1], 0) + 2 * np.tanh(X[:, 1:]) + 0.1 * _rng.normal(size=(240, 1)).astype("float32")
# at a rate that is hard to miss: relu first, tanh second
OPTIONS = {"trials": 14, "epochs": 4, "batch_size": 8, "verdict": 0, "verbose": 0, "test_data": (X[200:], Y[200:])}


def branches():
    """A model whose two slots see an input each, and whose targets want another activation for each."""
    inputs = keras.Input((2,))
    first = keras.layers.Activation("relu", name="first")(inputs[:, :1])
    second = keras.layers.Activation("relu", name="second")(inputs[:, 1:])
    model = keras.Model(inputs, keras.layers.Dense(1, name="output")(keras.layers.Concatenate()([first, second])))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


def searched(**options):
    space = ActivationSpace(["relu", "tanh"], per="layer")
    return search_activations(branches(), X[:200], Y[:200], **{"activations": space, **OPTIONS, **options})


def table(found):
    return [(t.rank, t.candidate, t.score, t.epochs, t.seeds) for t in found.trials]


@pytest.fixture(scope="module")
def found():
    return searched(verdict=4)


def test_each_group_gets_what_suits_it(found):
    assert str(found.best) == "first: relu, second: tanh"
    assert isinstance(found.best, Assignment)
    assert (found.objective, found.trials[0].rank) == ("val_loss", 1)
    uniform = {str(t.candidate): t.score for t in found.trials if isinstance(t.candidate, Candidate)}
    assert uniform.keys() == {"relu", "tanh"}
    assert found.score < min(uniform.values())
    assert found.trials[0].hyperparameters == {"act.first": "relu", "act.second": "tanh"}
    assert "first: relu, second: tanh" in str(found)


def test_its_model_has_the_choice_and_is_the_best_run(found):
    assert [slot.current for slot in slots(found.model).hidden] == ["relu", "tanh"]
    x, y = X[160:200], Y[160:200]  # what validated
    assert found.model.evaluate(x, y, verbose=0) <= found.score + 1e-6
    assert found.test["loss"] < found.baseline_test["loss"]


def test_the_verdict_judges_choice_uniform_choice_and_baseline(found):
    uniform = {str(t.candidate) for t in found.trials if isinstance(t.candidate, Candidate)}
    judged = {s.activation for s in found.verdict.candidates}
    assert str(found.best) in judged
    assert "relu" in judged
    assert judged <= {str(found.best), *uniform}
    assert found.verdict.suggested == str(found.best)


@pytest.mark.slow
def test_same_seed_same_table(found):
    assert table(searched()) == table(found)


@pytest.mark.slow
def test_one_activation_or_one_epoch_is_enough():
    alone = searched(activations=ActivationSpace(["relu"], per="layer"))
    assert [str(t.candidate) for t in alone.trials] == ["relu"]
    assert str(searched(max_epochs=1).trials[0].candidate) in ("relu", "tanh")


@pytest.mark.slow
def test_the_budget_holds(capsys):
    found = searched(max_epochs=60, verbose=1)
    assert sum(t.epochs * t.seeds for t in found.trials) <= 60
    said = capsys.readouterr().err
    assert "Now group by group" in said
    assert "The budget is spent before" in said


def interrupt_in(monkeypatch, stage):
    """Have the user press Ctrl-C in the second epoch of a stage's training."""
    watch, calls = race.RaceSearch._epoch, []

    def interrupting(self, runs):
        watch(self, runs)
        calls.append(self._label)
        if calls.count(f"{stage}, ") == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(race.RaceSearch, "_epoch", interrupting)


def test_an_interrupt_gives_the_best_so_far(monkeypatch):
    interrupt_in(monkeypatch, "second")
    found = searched(epochs=2)
    assert found.interrupted
    assert found.trials[0].status == "completed"
    assert found.model.predict(X[:2], verbose=0).shape == (2, 1)
    # the first group was done, the second is not in the table
    mixed = [t.candidate for t in found.trials if isinstance(t.candidate, Assignment)]
    assert len(mixed) == 1


@pytest.mark.slow
def test_an_interrupted_search_goes_on(tmp_path, monkeypatch, found):
    with monkeypatch.context() as patched:
        interrupt_in(patched, "second")
        assert searched(directory=tmp_path).interrupted
    assert table(searched(directory=tmp_path)) == table(found)


def test_the_time_may_end_it():
    found = searched(max_seconds=1e-9)
    assert not found.interrupted
    assert all(isinstance(t.candidate, Candidate) for t in found.trials)


@pytest.mark.slow
def test_slots_in_no_group_keep_their_activation():
    x, y = blobs(60)
    space = ActivationSpace(["relu", "prelu"], per={"some": ["second"]})
    found = search_activations(mlp("elu"), x, y, activations=space, trials=2, epochs=1, verdict=2, verbose=0)
    kept, changed = slots(found.model).hidden
    assert (str(kept.current), str(changed.current)) == ("elu(alpha=1.0)", str(found.best))
    assert {s.activation for s in found.verdict.candidates} == {"relu", "prelu"}


@pytest.mark.slow
def test_a_chosen_activation_may_be_trained():
    space = ActivationSpace(["prelu", "tanh"], per="layer")
    found = searched(activations=space, baseline="prelu")
    assert str(found.best) == "first: prelu, second: tanh"


def test_a_change_needs_a_reason():
    noise = np.random.default_rng(3).normal(size=(2000, 5, 4))
    seeds = np.random.default_rng(4).normal(size=(2000, 1, 4)) * 3  # what is common to a seed says nothing
    assert np.mean([better(scores) != 0 for scores in noise + seeds]) <= 0.055
    gain = np.array([0.0, 0, 4, 0, 0])[:, None]
    assert np.mean([better(scores) == 2 for scores in noise + seeds + gain]) > 0.9


def test_who_diverged_is_never_chosen():
    scores = np.array([[0.5, 0.51, 0.5], [0.9, np.nan, 0.9], [0.7, 0.72, 0.71], [0.5, 0.5, 0.52]])
    assert better(scores) == 2
    assert better(scores[[1, 0, 2]]) == 2
    assert better(scores[[1, 1]]) == 0
    assert better(np.array([[0.5, 0.5], [0.6, 0.6]])) == 0  # no spread


def cnn():
    """A CNN for images of 8 x 8 pixels, with six hidden slots."""
    layers = [keras.Input((8, 8, 1))]
    for index, channels in enumerate((8, 8, 16, 16), start=1):
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{index}"))
        if index % 2 == 0:
            layers.append(keras.layers.MaxPooling2D())
    layers.append(keras.layers.Flatten())
    layers += [keras.layers.Dense(32, activation="relu", name=f"dense{index}") for index in (1, 2)]
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax", name="output")])
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.slow
def test_six_slots_beat_or_tie_the_best_uniform_choice():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 8, 8, 1).astype("float32")
    space = ActivationSpace(["relu", "tanh", "mish"], per="layer")
    data = {"x": x[:1200], "y": y[:1200], "test_data": (x[1200:], y[1200:])}
    found = search_activations(cnn(), **data, activations=space, trials=12, epochs=4, verdict=4, verbose=0)
    judged = {s.activation for s in found.verdict.candidates}
    assert {str(found.best), "relu"} <= judged
    tried = [t.candidate for t in found.trials if isinstance(t.candidate, Assignment)]
    for name in (f"conv{index}" for index in (1, 2, 3, 4)):
        assert len({candidate[name] for candidate in tried}) > 1
    # a tie: nothing that was judged is significantly better than what was chosen
    pairs = [
        c for c in (*found.verdict.against_baseline, *found.verdict.among) if str(found.best) in (c.first, c.second)
    ]
    assert pairs
    for pair in pairs:
        gain = pair.difference if pair.first == str(found.best) else -pair.difference
        assert not (pair.significant and gain < 0)
