"""Searches as races on real populations."""

import dataclasses

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.errors import ModelError, SearchError
from keras_acts.search import ActivationSpace, Candidate, search_activations
from keras_acts.search.population.members import Member
from keras_acts.search.race import runner as racing_search
from keras_acts.search.race.cohorts import Cohorts
from keras_acts.search.report.numbers import number
from keras_acts.search.strategy.base import JudgedRun
from keras_acts.search.strategy.rounds import Kind
from tests.helpers.followers import Notes
from tests.helpers.models import blobs, mlp

X, Y = blobs(120)
RACE = {"strategy": "race", "trials": 8, "epochs": 2, "verdict": 0, "verbose": 0}
SOME = ["mish", "leaky_relu", "leaky_relu(alpha=1e38)"]


def raced(**options):
    model = mlp()
    # fast enough to learn more than guessing in two epochs: else there is no verdict
    model.compile(
        keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return search_activations(
        model, X[:90], Y[:90], **{"activations": SOME, **RACE, **options}, learning_rates=None
    )


def table(search):
    return [(t.candidate, t.score, t.rank, t.epochs, t.seeds) for t in search.trials]


@pytest.fixture(scope="module")
def found():
    return raced(test_data=(X[90:], Y[90:]))


def test_a_race_ranks_who_went_furthest(found):
    assert [t.status for t in found.trials if t.rank is None] == ["diverged"]
    ranked = [t for t in found.trials if t.rank is not None]
    assert {t.status for t in ranked} == {"completed", "stopped"}
    assert sorted((-t.epochs, -t.seeds, -t.score) for t in ranked) == [
        (-t.epochs, -t.seeds, -t.score) for t in ranked
    ]
    finalists = [t for t in ranked if t.status == "completed"]
    assert "relu" in {str(t.candidate) for t in finalists}
    assert all(t.epochs == 2 and t.seeds >= 2 for t in finalists)
    assert all(t.seconds > 0 for t in found.trials)


def test_its_model_is_the_best_run(found):
    x, y = X[72:90], Y[72:90]  # what validated
    score = found.model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
    assert score >= found.score - 1e-6  # the score is the mean over the seeds
    assert (
        found.test["accuracy"]
        == found.model.evaluate(X[90:], Y[90:], verbose=0, return_dict=True)["accuracy"]
    )
    assert found.baseline_test is not None
    # as many steps in a call as the user's model, not as the race took
    assert (
        found.model.steps_per_execution
        == found.model.get_compile_config()["steps_per_execution"]
        == 1
    )


@pytest.mark.slow
def test_a_loss_is_minimized_and_who_left_is_finished_for_the_verdict():
    fit = {"x": X[:72], "y": Y[:72], "validation_data": (X[72:90], Y[72:90])}
    space = ActivationSpace(SOME).with_baseline("relu")
    runs = racing_search.race_in(space, trials=8, epochs=2, total=16, seed=0)
    race = racing_search.RaceSearch(
        mlp(), runs, "val_loss", fit, hyperparameters=space.hyperparameters
    )
    race.run()
    # a loss is minimized, and relu stays even if it is last
    finalists = [t for t in race.results() if t.status == "completed"]
    assert [t.score for t in finalists] == sorted(t.score for t in finalists)
    assert len(finalists) >= 2
    assert "relu" in {str(t.candidate) for t in finalists}
    left = [t.rated for t in race.results() if t.status == "stopped" and t.epochs == 1][-1]
    assert race.model(left) is None
    first = race.results()[0]
    race.finish(first.rated)
    assert race.results()[0] == first
    race.finish(left)
    row = next(t for t in race.results() if t.rated == left)
    assert (row.epochs, row.seeds) == (2, 1)
    score = race.model(left).evaluate(X[72:90], Y[72:90], verbose=0, return_dict=True)["loss"]
    assert score == pytest.approx(row.score, rel=1e-5)
    check_trainings_of_the_verdict(race, first)


def check_trainings_of_the_verdict(race, first):
    """A race takes those of a verdict where it has none to the end, or theirs is better."""

    def judged(rated, score):
        metrics = {"val_loss": (score + 1, score)}
        return JudgedRun(rated, 7, score, score + 0.5, 4, 1.5, metrics, mlp())

    left = next(t.rated for t in race.results() if t.epochs == 1)
    assert not race.has_finished(left)
    run = judged(left, -2.0)
    race.adopt(run)
    assert race.has_finished(left)
    race.finish(left)
    assert race.model(left) is run.model
    row = race.results()[0]  # by its mean, though it is of more seeds
    assert (row.rated, row.rank, row.score, row.seeds) == (left, 1, -1.5, 4)
    assert row.judged
    assert run.curve in race.curves()
    worse = judged(first.rated, 1e9)
    race.adopt(worse)
    assert race.model(first.rated) is not worse.model
    better = judged(first.rated, -1.0)
    race.adopt(better)
    assert race.model(first.rated) is better.model
    # its row is of its trainings in the race
    assert dataclasses.replace(race.results()[1], rank=1) == first
    assert better.curve not in race.curves()


def test_what_is_said_of_the_model_is_what_it_evaluates_to():
    # the best epoch is the first, long before the last rung
    wreck = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 if epoch < 1 else 2.0)
    model = mlp()
    model.compile(keras.optimizers.SGD(), "sparse_categorical_crossentropy")
    found = search_activations(
        model,
        X[:90],
        Y[:90],
        activations=["mish"],
        **{**RACE, "epochs": 4},
        callbacks=wreck,
        learning_rates=None,
    )
    loss = found.model.evaluate(X[72:90], Y[72:90], verbose=0)
    assert found.kept.epochs == 4
    assert found.score == pytest.approx(loss, rel=1e-5)
    assert loss <= found.kept.score + 1e-6  # it is the best run, and the row is the mean of all
    assert f"val_loss {number(loss, zeros=True)} (on the data that ranked it" in str(found)
    assert found.to_dict()["score"] == found.score
    card = found.card()["metrics"]["validation (it chose the model)"]
    assert card["val_loss"]["value"] == found.score


@keras.saving.register_keras_serializable(package="test_race")
def broken(x):
    raise OSError("no such kernel")


@pytest.mark.once
def test_a_candidate_that_raises_is_set_aside(capsys):
    options = {**RACE, "trials": 4, "epochs": 1, "verbose": 1}
    found = search_activations(
        mlp(), X, Y, activations=["mish", broken, "elu"], **options, learning_rates=None
    )
    status = {str(t.candidate): (t.status, t.rank is None) for t in found.trials}
    assert status["test_race.broken"] == ("failed", True)
    assert status["relu"] == status["mish"] == ("completed", False)
    assert "Failed: test_race.broken: OSError: no such kernel." in str(found)
    assert (
        "test_race.broken is set aside: OSError: no such kernel"
        in capsys.readouterr().err.replace("\n", "")
    )
    # where all fail alike no candidate is at fault
    scheduler = keras.callbacks.LearningRateScheduler(broken)
    with pytest.raises(OSError, match="no such kernel"):
        search_activations(
            mlp(),
            X,
            Y,
            activations=["mish", "elu"],
            callbacks=[scheduler],
            **RACE,
            learning_rates=None,
        )


def test_the_table_tells_epochs_and_seeds(found):
    assert "A race: who went further ranks first" in str(found)
    assert list(found.to_pandas()["epochs"].dropna()) == [t.epochs for t in found.trials]
    assert {"epochs", "seeds"} <= found.to_dict()["trials"][0].keys()
    assert found.trials[0].hyperparameters["act"] in ("relu", "mish", "leaky_relu")


class Exhausted(keras.callbacks.Callback):
    """Memory runs out as soon as more than so many models have been trained together for an epoch."""

    def __init__(self, most):
        super().__init__()
        self.most, self.refused = most, []

    def on_epoch_end(self, epoch, logs=None):
        if len(self.model.members) > self.most:
            self.refused.append(len(self.model.members))
            raise MemoryError


@pytest.mark.slow
def test_when_a_run_begins_and_beside_whom_changes_nothing():
    objective = keras_tuner.Objective("val_loss", "min")
    fit = {"x": X, "y": Y, "validation_split": 0.2}
    members = [Member(Candidate.of(name), seed) for name in ("relu", "mish") for seed in (1, 2)]
    late, straight = (
        Cohorts(mlp(), objective, fit, [1, 2], 0, lambda members: None) for _ in range(2)
    )
    said, sizes, exhausted = [], [], Exhausted(2)
    tight = Cohorts(mlp(), objective, fit, [1, 2], 0, sizes.append, memory=1, say=said.append)
    halved = Cohorts(
        mlp(), objective, {**fit, "callbacks": [exhausted]}, [1, 2], 0, lambda members: None
    )
    late.train(members[:2], 1)
    late.train(members[:3], 1)
    late.train([members[0], members[3], members[2]], 2)
    assert [len(cohort.population.members) for cohort in late._cohorts] == [
        2,
        1,
    ]  # the two that were as far joined
    late.train(members, 2)
    straight.train(members, 2)
    tight.train(members, 2)
    assert set(sizes) == {1}
    assert [text.partition(":")[0] for text in said] == ["Training one by one"]
    halved.train(members, 2)
    assert exhausted.refused == [4]
    for member in members:
        for other in (late, tight, halved):
            assert other.runs[member].best == pytest.approx(straight.runs[member].best, rel=1e-5)
            for a, b in zip(
                other.model(member).get_weights(), straight.model(member).get_weights(), strict=True
            ):
                np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_any_error_after_a_rung_costs_no_more_than_the_next(monkeypatch):
    watch = racing_search.RaceSearch._epoch

    def failing(self, members):
        watch(self, members)
        if self.rounds:
            raise ModelError("the settings are at fault after all")

    monkeypatch.setattr(racing_search.RaceSearch, "_epoch", failing)
    options = {**RACE, "activations": SOME, "verdict": 0}
    found = search_activations(
        mlp(), X[:90], Y[:90], test_data=(X[90:], Y[90:]), **options, learning_rates=None
    )
    assert found.errors["race"] == "ModelError: the settings are at fault after all"
    assert found.trials[0].rank == 1


@pytest.mark.once
def test_an_interrupt_gives_the_best_so_far(monkeypatch):
    watch, calls = racing_search.RaceSearch._epoch, []

    def interrupting(self, members):
        watch(self, members)
        calls.append(members)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(racing_search.RaceSearch, "_epoch", interrupting)
    model = mlp()
    # in an epoch it learns more than to guess, without which there is no verdict
    model.compile(
        keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    options = {**RACE, "activations": SOME, "verdict": 2, "batch_size": 10, "objective": "val_loss"}
    found = search_activations(
        model, X[:90], Y[:90], test_data=(X[90:], Y[90:]), **options, learning_rates=None
    )
    assert found.interrupted
    assert not found.is_complete
    assert found.verdict.seeds == 2
    assert found.verdict.part == "test"
    # what is kept is trained to the end
    assert str(found.best) == found.verdict.suggested
    assert [t.epochs for t in found.trials if t.candidate == found.best] == [2]
    assert found.model.predict(X[:2], verbose=0).shape == (2, 3)


@pytest.mark.once
def test_the_time_may_end_it():
    notes = Notes()
    found = raced(max_seconds=1e-9, search_callbacks=[notes])
    assert not found.interrupted
    # no round ended, and still each candidate is told of, as the result has it
    assert notes.of("round") == []
    told = notes.of("trial")
    assert [(t.rated, t.epochs, t.rank, len(t.seeds)) for t in told] == [
        (t.rated, t.epochs, t.rank, t.seeds) for t in found.trials
    ]
    assert [t.score for t in told if t.rank] == [t.score for t in found.trials if t.rank]
    assert {t.outcome for t in told} == {"the race ended", "diverged"}
    assert {t.epochs for t in found.trials} == {1}
    assert {t.status for t in found.trials} == {"stopped", "diverged"}
    # its first rounds are alike, but it is a race, and did not end
    assert (found.kind, found.is_complete, found.compares_all) == (Kind.RACE, False, False)


@pytest.mark.slow
def test_same_seed_same_table_and_what_is_to_come_is_planned_into_the_time(
    monkeypatch, tmp_path, found
):
    # a clock that only the epochs of the runs move: each takes a second
    watch, clock = racing_search.RaceSearch._epoch, [0.0]

    def watching(self, members):
        clock[0] += members
        watch(self, members)

    monkeypatch.setattr(racing_search.RaceSearch, "_epoch", watching)
    monkeypatch.setattr(racing_search.time, "monotonic", lambda: clock[0])
    # by this clock programs take no time
    monkeypatch.setattr("keras_acts.search.plan.costs_of", lambda model, fit: None)
    unhurried = raced(max_seconds=1000)
    assert table(unhurried) == table(found)
    planned = sum(t.epochs * t.seeds for t in unhurried.trials)
    clock[0] = 0.0
    short = raced(max_seconds=planned - 3, directory=tmp_path)
    assert clock[0] <= planned - 3
    assert short.trials[0].status == "completed"
    # what is known of the rungs tells how they were planned
    assert table(raced(max_seconds=planned - 3, directory=tmp_path)) == table(short)


@pytest.mark.slow
def test_an_interrupted_race_goes_on(tmp_path, monkeypatch, found):
    watch, state = racing_search.RaceSearch._epoch, {"left": 3, "epochs": 0}

    def watching(self, members):
        watch(self, members)
        state["epochs"] += members
        state["left"] -= 1
        if state["left"] == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(racing_search.RaceSearch, "_epoch", watching)
    assert raced(directory=tmp_path).interrupted
    before, state["epochs"] = state["epochs"], 0
    resumed = raced(directory=tmp_path)
    assert not resumed.interrupted
    assert table(resumed) == table(found)
    assert all(t.seconds > 0 for t in resumed.trials)
    # the finished rungs' scores are known: only who is alive trains again
    assert state["epochs"] < sum(t.epochs * t.seeds for t in found.trials)
    with pytest.raises(SearchError, match=r"trials=8\. Received: trials=7"):
        raced(directory=tmp_path, trials=7)
    (tmp_path / "activations" / "race.json").write_text("[[")
    with pytest.raises(SearchError, match=r"overwrite=True.*race\.json: it does not begin with"):
        raced(directory=tmp_path)
    assert before > 0


@pytest.mark.once
def test_what_is_no_race_of_populations_says_why(capsys):
    class Watching(keras.callbacks.Callback):
        pass

    options = {**RACE, "strategy": "auto", "trials": 1, "epochs": 1, "verbose": 1}
    search_activations(
        mlp(), X, Y, activations=["relu"], callbacks=[Watching()], **options, learning_rates=None
    )
    assert (
        "A race of models that train one by one: the callback Watching belongs to a single model"
        in capsys.readouterr().err
    )
    limits = r"need a race. Received: max_epochs=9, max_seconds=3, and strategy is 'random'"
    with pytest.raises(SearchError, match=limits):
        raced(strategy="random", max_epochs=9, max_seconds=3)
    with pytest.raises(SearchError, match="population=4 says"):
        raced(population=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "fast"}, r"one of auto, race, random\. Received: strategy='fast'"),
        ({"max_epochs": 0}, "max_epochs must be an integer >= 1"),
        ({"max_seconds": -1}, r"max_seconds must be a number > 0\. Received: max_seconds=-1"),
        (
            {"objective": keras_tuner.Objective("val_f1", "max")},
            "The objective must be one of.*val_accuracy.*val_f1",
        ),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(SearchError, match=message):
        raced(**arguments)
