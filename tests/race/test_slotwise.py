"""Searches for each layer or group, in populations."""

from collections import Counter
from functools import partial

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_acts.search import ActivationSpace, Candidate, search_activations, slots
from keras_acts.search.race import per_group, runner
from keras_acts.search.race.neighbourhood import (
    best_if_significant,
    budget,
    least_budget,
    plan_final,
    random_changes,
    screening,
    single_changes,
)
from keras_acts.search.space.assignment import Assignment, SlotGroup
from keras_acts.search.space.embedding import embeddings
from tests.helpers.models import blobs, eager, mlp

_rng = np.random.default_rng(7)
X = _rng.normal(size=(240, 2)).astype("float32") * 2
Y = (
    2 * np.maximum(X[:, :1], 0)
    + 2 * np.tanh(X[:, 1:])
    + 0.1 * _rng.normal(size=(240, 1)).astype("float32")
)
# at a rate that is hard to miss: relu first, tanh second
OPTIONS = {
    "trials": 14,
    "epochs": 4,
    "batch_size": 8,
    "verdict": 0,
    "verbose": 0,
    "test_data": (X[200:], Y[200:]),
}


def branches():
    """A model whose two slots see an input each, and whose targets want another activation for each."""
    inputs = keras.Input((2,))
    first = keras.layers.Activation("relu", name="first")(inputs[:, :1])
    second = keras.layers.Activation("relu", name="second")(inputs[:, 1:])
    model = keras.Model(
        inputs, keras.layers.Dense(1, name="output")(keras.layers.Concatenate()([first, second]))
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


def searched(**options):
    space = ActivationSpace(["relu", "tanh"], per="layer")
    return search_activations(
        branches(),
        X[:200],
        Y[:200],
        **{"activations": space, **OPTIONS, **options},
        learning_rates=None,
    )


def table(found):
    return [(t.rank, t.candidate, t.score, t.epochs, t.seeds) for t in found.trials]


def counted(monkeypatch):
    """Count the epochs that runs train, by stage."""
    watch, counts = runner.RaceSearch._epoch, Counter()

    def counting(self, runs):
        counts[self._label] += runs
        watch(self, runs)

    monkeypatch.setattr(runner.RaceSearch, "_epoch", counting)
    return counts


@pytest.fixture(scope="module")
def whole():
    """A search with its verdict, and how many epochs each of its stages trained."""
    with pytest.MonkeyPatch.context() as patched:
        counts = counted(patched)
        return searched(verdict=4), counts


@pytest.fixture(scope="module")
def found(whole):
    return whole[0]


@pytest.mark.once
def test_each_group_gets_what_suits_it(found):
    assert str(found.best) == "first: relu, second: tanh"
    assert isinstance(found.best, Assignment)
    assert (found.objective, found.trials[0].rank) == ("val_loss", 1)
    uniform = {
        str(t.candidate): t.score for t in found.trials if isinstance(t.candidate, Candidate)
    }
    assert uniform.keys() == {"relu", "tanh"}
    assert found.score < min(uniform.values())
    assert found.trials[0].hyperparameters == {"act.first": "relu", "act.second": "tanh"}
    assert "first: relu, second: tanh" in str(found)
    assert found.is_complete
    assert not found.compares_all


@pytest.mark.once
def test_its_model_has_the_choice_and_is_the_best_run(found):
    assert [slot.current for slot in slots(found.model).hidden] == ["relu", "tanh"]
    x, y = X[160:200], Y[160:200]  # what validated
    assert found.model.evaluate(x, y, verbose=0) <= found.score + 1e-6
    assert found.test["loss"] < found.baseline_test["loss"]


@pytest.mark.once
def test_the_verdict_judges_choice_uniform_choice_and_baseline(found):
    uniform = {str(t.candidate) for t in found.trials if isinstance(t.candidate, Candidate)}
    judged = {s.activation for s in found.verdict.candidates}
    assert str(found.best) in judged
    assert "relu" in judged
    assert judged <= {str(found.best), *uniform}
    assert found.verdict.suggested == str(found.best)


@pytest.mark.slow
def test_one_activation_is_enough():
    alone = searched(activations=ActivationSpace(["relu"], per="layer"))
    assert [str(t.candidate) for t in alone.trials] == ["relu"]


@pytest.mark.slow
def test_a_small_budget_is_for_the_uniform_choice(capsys):
    found = searched(max_epochs=least_budget(4) - 1, verbose=1)
    assert all(isinstance(t.candidate, Candidate) for t in found.trials)
    why = f"are too few to try others for each: that takes {least_budget(4)} or more"
    said = capsys.readouterr().err
    # before anything trains, and where the result is read
    assert said.index(why) < said.index("round 1/")
    assert why in found.errors["no changes"]
    assert why in str(found)


def interrupt_in(monkeypatch, stage):
    """Have the user press Ctrl-C in the second epoch of a stage."""
    watch, calls = runner.RaceSearch._epoch, []

    def interrupting(self, runs):
        watch(self, runs)
        calls.append(self._label)
        if calls.count(f"{stage}, ") == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner.RaceSearch, "_epoch", interrupting)


@pytest.mark.once
def test_all_stages_share_one_budget(whole):
    _, counts = whole
    assert set(counts) == {"race, ", "changes, ", "final, "}
    assert sum(counts.values()) <= OPTIONS["trials"] * OPTIONS["epochs"]


def assert_best_so_far(found, stage):
    assert found.interrupted
    assert found.best.only is not None  # no change was tried to the end
    assert found.best["first"] == found.best["second"] == found.kept.candidate
    assert found.model.predict(X[:2], verbose=0).shape == (2, 1)
    assert any(isinstance(t.candidate, Assignment) for t in found.trials) == (stage != "race")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["race", "changes"])
def test_an_interrupt_gives_the_best_so_far(stage, monkeypatch):
    interrupt_in(monkeypatch, stage)
    assert_best_so_far(searched(), stage)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["race", "changes"])
def test_an_interrupt_between_stages_gives_the_best_so_far(stage, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        per_group.neighbourhood, "screening" if stage == "race" else "plan_final", interrupted
    )
    space = ActivationSpace(["relu", "tanh"], per="layer")
    options = {**OPTIONS, "epochs": 2, "batch_size": 160}
    assert_best_so_far(
        search_activations(
            eager(branches()), X[:200], Y[:200], activations=space, **options, learning_rates=None
        ),
        stage,
    )


@pytest.mark.once
@pytest.mark.parametrize("where", ["between stages", "in a stage"])
def test_a_failure_among_the_changes_leaves_the_uniform_choice_and_is_told(where, monkeypatch):
    def failing(*args):
        raise RuntimeError("out of luck")

    if where == "between stages":
        monkeypatch.setattr(per_group.neighbourhood, "screening", failing)
    else:
        run_rungs = runner.RaceSearch._run_rungs

        def failing_later(self):
            run_rungs(self)
            if self._label == "changes, ":
                failing()

        monkeypatch.setattr(runner.RaceSearch, "_run_rungs", failing_later)
    space = ActivationSpace(["relu", "tanh"], per="layer")
    options = {**OPTIONS, "epochs": 1, "batch_size": 160, "learning_rates": None}
    found = search_activations(eager(branches()), X[:200], Y[:200], activations=space, **options)
    assert found.best.only is not None
    assert found.errors == {"changes": "RuntimeError: out of luck"}
    assert "What failed besides: changes: RuntimeError: out of luck." in str(found)


@pytest.mark.slow
def test_an_interrupted_search_goes_on_without_training_again_to_the_same_table(
    tmp_path, monkeypatch, found
):
    with monkeypatch.context() as patched:
        interrupt_in(patched, "final")
        assert_best_so_far(searched(directory=tmp_path), "final")
    counts = counted(monkeypatch)
    # of the same seed: what the first process trained and what the second did are as in one that
    # was not interrupted
    assert table(searched(directory=tmp_path)) == table(found)
    assert counts["changes, "] == 0
    first = found.trials[0]
    finalists = [t for t in found.trials if (t.seeds, t.epochs) == (first.seeds, first.epochs)]
    assert counts["final, "] == sum(t.epochs * t.seeds for t in finalists)


@pytest.mark.slow
def test_the_time_may_end_it():
    found = searched(max_seconds=1e-9)
    assert not found.interrupted
    assert not found.is_complete
    assert all(isinstance(t.candidate, Candidate) for t in found.trials)


@pytest.mark.slow
def test_slots_in_no_group_keep_their_activation():
    x, y = blobs(60)
    space = ActivationSpace(["relu", "prelu"], per={"some": ["second"]})
    found = search_activations(
        mlp("elu"),
        x,
        y,
        activations=space,
        trials=2,
        epochs=1,
        verdict=2,
        verbose=0,
        learning_rates=None,
    )
    kept, changed = slots(found.model).hidden
    assert (str(kept.current), str(changed.current)) == ("elu(alpha=1.0)", str(found.best))
    assert {s.activation for s in found.verdict.candidates} == {"relu", "prelu"}


@pytest.mark.slow
def test_a_chosen_activation_may_be_trained():
    space = ActivationSpace(["prelu", "tanh"], per="layer")
    found = searched(activations=space, baseline="prelu")
    assert str(found.best) == "first: prelu, second: tanh"


@pytest.mark.once
def test_budgets_are_shared_and_kept():
    for epochs in (1, 2, 3, 5, 10, 50):
        assert budget(least_budget(epochs) - 1, epochs) is None
        for total in range(least_budget(epochs), 400 * epochs, 7):
            parts = budget(total, epochs)
            if parts is not None:
                assert parts.race + parts.screening + parts.final == total
                choices, seeds = plan_final(parts.final, epochs)
                assert (1 + choices) * seeds * epochs <= parts.final
                assert seeds >= 2


def test_changes_are_of_one_group_first_then_what_those_suggest():
    own = [SlotGroup(name, (name,)) for name in "abcd"]
    relu, tanh, mish = map(Candidate.of, ("relu", "tanh", "mish"))
    now = Assignment(tuple((group, relu) for group in own))
    assert [str(change) for change in single_changes(now, [tanh, mish])][3:5] == [
        "relu but d: tanh",
        "relu but a: mish",
    ]
    assert {
        sum(change[name] != relu for name in "abcd")
        for change in random_changes(now, [tanh, mish], 0)
    } <= {1, 2, 3}

    def scores(task):
        # tanh is better in a and in b, and worse elsewhere
        gains = [
            [(c[n] == tanh) * g for n, g in zip("abcd", (1, 1, -1, -1), strict=True)]
            for c in task.candidates
        ]
        return np.array(gains, float).sum(axis=1, keepdims=True)

    made, proposer = screening(now, [tanh, mish], 4, 16, embeddings, 0)
    first = made.ask()
    assert [str(c) for c in first.candidates] == [
        "relu",
        *(f"relu but {name}: tanh" for name in "abcd"),
        *mished(3),
    ]
    made.tell(scores(first))
    second = made.ask()
    assert len(second.candidates) == 16
    made.tell(scores(second))
    assert made.ask() is None
    believed = proposer.believed(made.rounds)
    best = max(believed, key=believed.get)
    assert [best[name] for name in "ab"] == [tanh, tanh]
    assert tanh not in [best[name] for name in "cd"]


def mished(count):
    return [f"relu but {name}: mish" for name in "abcd"[:count]]


@pytest.mark.once
def test_a_change_needs_a_reason():
    noise = np.random.default_rng(3).normal(size=(2000, 3, 7))
    seeds = (
        np.random.default_rng(4).normal(size=(2000, 1, 7)) * 3
    )  # what is common to a seed says nothing
    assert np.mean([best_if_significant(scores) != 0 for scores in noise + seeds]) <= 0.055
    gain = np.array([0.0, 0, 2.2])[:, None]
    assert np.mean([best_if_significant(scores) == 2 for scores in noise + seeds + gain]) > 0.9


@pytest.mark.once
def test_who_diverged_is_never_chosen():
    scores = np.array([[0.5, 0.51, 0.5], [0.9, np.nan, 0.9], [0.7, 0.72, 0.71], [0.5, 0.5, 0.52]])
    assert best_if_significant(scores) == 2
    assert best_if_significant(scores[[1, 0, 2]]) == 2
    assert best_if_significant(scores[[1, 1]]) == 0
    assert best_if_significant(np.array([[0.5, 0.5], [0.6, 0.6]])) == 0  # no spread


def cnn():
    """A CNN for images of 8 x 8 pixels with six hidden slots, the first of which sees little but negative values."""
    conv = partial(keras.layers.Conv2D, kernel_size=3, padding="same", activation="relu")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1, offset=-0.95),
            keras.layers.Activation("relu", name="entry"),
            conv(8, name="conv1"),
            conv(16, name="conv2"),
            keras.layers.MaxPooling2D(),
            conv(16, name="conv3"),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu", name="dense1"),
            keras.layers.Dense(32, activation="relu", name="dense2"),
            keras.layers.Dense(10, activation="softmax", name="output"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


@pytest.mark.slow
def test_of_six_slots_the_one_that_must_change_does():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 8, 8, 1).astype("float32")
    # relu at the entry loses most of the image; sigmoid elsewhere learns nothing
    space = ActivationSpace(["relu", "sigmoid"], per="layer")
    data = {"x": x[:1200], "y": y[:1200], "test_data": (x[1200:], y[1200:])}
    found = search_activations(
        cnn(),
        **data,
        activations=space,
        trials=20,
        epochs=4,
        verdict=4,
        verbose=0,
        learning_rates=None,
    )
    assert found.best["entry"] == Candidate.of("sigmoid")
    assert sum(c == Candidate.of("relu") for c in found.best.values()) >= 4
    assert found.test["accuracy"] > found.baseline_test["accuracy"] + 0.1
    ahead = next(p for p in found.verdict.against_baseline if p.first == str(found.best))
    assert ahead.significant
    assert ahead.difference > 0.1
