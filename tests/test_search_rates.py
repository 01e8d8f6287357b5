"""Searches and comparisons that choose a learning rate for each activation."""

import json

import keras
import numpy as np
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import (
    ActivationSpace,
    ActivationTuner,
    compare_activations,
    search_activations,
)
from keras_acts.search.population.step_tensorflow import TrainingStep
from keras_acts.search.race.journal import Journal
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.progress import Progress
from keras_acts.search.tuner.hypermodel import FACTOR
from keras_acts.search.verdict.entries import Entries
from keras_acts.search.verdict.replicates import Replicates
from tests.helpers.followers import Notes
from tests.helpers.models import blobs, eager, mlp

# which rates are tried, and what is said of them; tests/population/test_rates_of_members.py trains at
# them at any version
pytestmark = pytest.mark.once

X, Y = blobs(120)
TRAIN = (X[:90], Y[:90])
TEST = (X[90:], Y[90:])
SOME = ["relu", "tanh", "mish"]
RACE = {
    "activations": SOME,
    "trials": 4,
    "epochs": 2,
    "batch_size": 15,
    "validation_split": 0.2,
    "objective": "val_loss",
    "verbose": 0,
}


def slow_learner(rate=0.001):
    """An MLP at a learning rate that is far too low for so few steps."""
    with isolated_seed(0):
        model = mlp()
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


# of two candidates: what tries so many rates takes its time
SMALL = {**RACE, "activations": ["relu", "mish"], "trials": 3}

HEARD = Notes()
TRACED: list[int] = []  # of each program the number of its members


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    model = slow_learner()
    trace = TrainingStep._trace

    def noted(step, population, *rest):
        TRACED.append(len(population.members))
        return trace(step, population, *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingStep, "_trace", noted)
        result = search_activations(
            model,
            *TRAIN,
            test_data=TEST,
            verdict=2,
            directory=folder,
            search_callbacks=[HEARD],
            **SMALL,
        )
    return result, folder


def test_who_follows_a_race_hears_what_the_result_holds(found):
    result, _ = found
    (begun,) = HEARD.of("begin")
    assert (begun.model, begun.strategy, begun.objective) == (result.model.name, "race", "val_loss")
    assert [told.number for told in HEARD.of("round")] == [1, *range(2, len(result.rounds) + 1)]
    for told, kept in zip(HEARD.of("round"), result.rounds, strict=True):
        fates = {entrant.rated: (entrant.fate, entrant.scores) for entrant in kept.entrants}
        assert {t.rated: (t.outcome, t.scores) for t in told.trials} == fates
        ranks = [trial.rank for trial in told.trials]
        assert ranks == sorted(ranks)
    last = [trial.rated for trial in HEARD.of("trial")]
    assert len(last) == len(set(last))
    assert HEARD.of("verdict") == [result.verdict]
    (ended,) = HEARD.of("end")
    assert ended.score == result.score


def test_the_learning_curves_are_those_of_the_scores(found):
    result, folder = found
    told = {(epoch.rated, epoch.seed, epoch.epoch): epoch.metrics for epoch in HEARD.of("epoch")}
    table = result.to_pandas(epochs="search")
    assert len(table) == len(told)
    for row in table.to_dict("records"):
        rated = Rated(Candidate.of(row["activation"]), row["learning_rate_factor"])
        assert told[rated, row["seed"], row["epoch"]]["val_loss"] == row["val_loss"]
    # the score of a candidate is the mean over its seeds of the best epoch
    best = table.groupby(["activation", "learning_rate_factor", "seed"]).val_loss.min()
    for trial in result.trials:
        scores = best[str(trial.candidate), trial.factor]
        if len(scores) == trial.seeds:
            assert trial.score == pytest.approx(scores.mean(), rel=1e-6)
    # what is kept has them too
    kept = Journal(folder / "activations" / "race.json")
    assert len(kept)
    for line in (folder / "activations" / "race.json").read_text().splitlines()[2:]:
        for row in json.loads(line.partition(" ")[2])["runs"]:
            assert {"loss", "val_loss"} <= set(row[-1])
    # with a verdict, it is what one gets without a word
    assert len(result.to_pandas(epochs=True)) == len(result.verdict.to_pandas())


def test_a_search_finds_a_rate_and_its_model_has_it(found):
    result, _ = found
    rates = result.verdict.rates
    # it is too low by far: the range was widened
    assert rates.own == 0.001
    assert rates.widened
    assert max(rates.factors) > 4
    factor = rates.factor(str(result.best))
    assert factor > 1
    assert result.kept.factor == factor
    assert float(result.model.optimizer.learning_rate) == pytest.approx(0.001 * factor)
    assert result.learning_rate == rates.rate(str(result.best))


def test_rates_beyond_the_range_and_the_verdict_are_one_program(found):
    result, _ = found
    # more than one rate beyond was tried
    assert max(result.verdict.rates.factors) > 8
    # on two seeds: both candidates, and the baseline a second time
    assert TRACED.count(2 * 3) == 1


def test_what_is_kept_is_a_run_of_the_verdict_and_trained_no_more(found):
    result, _ = found
    assert result.kept.judged
    assert result.kept.seeds == 2
    logged = result.verdict.runs.history["val_loss"]
    column = result.verdict.runs.activations.index(str(result.best))
    # the better of both is the model, and their mean the score in the table
    assert result.score == pytest.approx(logged[:, -1, column].min(), rel=1e-5)
    assert result.kept.score == pytest.approx(logged[:, :, column].min(axis=1).mean(), rel=1e-5)
    assert "the best of the verdict's 2 runs on the validation data" in str(result)
    # nobody was trained after the verdict: what is kept and the baseline
    assert not {1, 2} & set(TRACED)


def test_a_score_is_what_the_kept_model_evaluates_to(found):
    result, _ = found
    assert result.errors == {}
    expected = result.model.evaluate(X[72:90], Y[72:90], verbose=0, return_dict=True)
    assert result.score == pytest.approx(expected["loss"], rel=1e-5)
    on_test = result.model.evaluate(*TEST, verbose=0, return_dict=True)
    assert result.test == pytest.approx(on_test, rel=1e-5)
    # the baseline at the rate at which it was judged stands beside it
    rates = result.verdict.rates
    assert result.baseline_test is not None
    assert result.baseline_factor == rates.factor("relu")


def test_a_search_says_its_rates(found):
    result, _ = found
    text = str(result)
    assert f"at learning rate {result.learning_rate}" in text
    assert "The learning rate alone: " in text
    assert not result.verdict.withheld
    assert "(learning rate " in result.verdict.sentence
    table = result.to_pandas()
    assert set(table["learning_rate_factor"]) > {1.0}
    plain = result.to_dict()
    assert plain["learning_rate"] == result.learning_rate
    assert {row["learning_rate_factor"] for row in plain["trials"]} > {1.0}
    assert result.card()["search"]["learning_rate"] == result.learning_rate


def test_a_kept_search_goes_on_with_the_same_rates_only(found):
    result, folder = found
    options = {**SMALL, "test_data": TEST, "verdict": 0, "directory": folder}
    again = search_activations(slow_learner(), *TRAIN, **options)

    def scores(result):
        return {str(trial.rated): trial.score for trial in result.trials}

    # the first has rates of the verdict's, too
    assert len(again.trials) == 4
    before = scores(result)
    assert scores(again) == pytest.approx({name: before[name] for name in scores(again)}, rel=1e-4)
    with pytest.raises(SearchError, match="learning_rates"):
        search_activations(slow_learner(), *TRAIN, **options, learning_rates=["x2"])


def test_the_models_own_rate_where_candidates_train_one_by_one(capsys):
    options = {**RACE, "epochs": 1, "trials": 2, "verdict": 0, "verbose": 1, "strategy": "random"}
    result = search_activations(slow_learner(), *TRAIN, **options)
    assert {trial.factor for trial in result.trials} == {1.0}
    assert not result.with_rates
    assert "At the model's own learning rate: strategy is 'random'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("alone", [False, True])
def test_trials_have_the_rates_that_are_asked_for(alone):
    options = {**RACE, "epochs": 1, "trials": 5, "verdict": 2, "strategy": "random"}
    model = slow_learner()
    if alone:
        model = eager(model)
    result = search_activations(model, *TRAIN, **options, learning_rates=[0.004, 0.016])
    assert {trial.factor for trial in result.trials} <= {1.0, 4.0, 16.0}
    assert len({trial.factor for trial in result.trials}) > 1
    rates = result.verdict.rates
    assert set(rates.factors) <= {1.0, 4.0, 16.0}
    expected = 0.001 * rates.factor(str(result.best))
    assert float(result.model.optimizer.learning_rate) == pytest.approx(expected)
    evaluated = result.model.evaluate(X[72:90], Y[72:90], verbose=0, return_dict=True)
    assert result.score == pytest.approx(evaluated["loss"], rel=1e-5)


@pytest.mark.slow
def test_choices_for_each_layer_train_at_the_rate_of_the_best_one():
    space = ActivationSpace(["relu", "tanh"], per="layer", learning_rates=["x4", "x16"])
    options = {**RACE, "activations": space, "trials": 12, "verdict": 2}
    result = search_activations(slow_learner(), *TRAIN, **options)
    assert result.errors == {}
    factor = result.verdict.rates.factor(result.verdict.suggested)
    assert result.kept.factor == factor
    assert float(result.model.optimizer.learning_rate) == pytest.approx(0.001 * factor)
    assert {trial.factor for trial in result.trials} > {1.0}


def test_a_comparison_is_of_each_at_its_rate():
    verdict = compare_activations(
        slow_learner(),
        *TRAIN,
        ["relu", "tanh"],
        validation_split=0.2,
        test_data=TEST,
        objective="val_loss",
        seeds=2,
        epochs=2,
        batch_size=15,
        verbose=0,
        learning_rates=["x8", "x16"],
    )
    rates = verdict.rates
    assert rates.factors == (1.0, 8.0, 16.0)
    # two seeds of the verdict ask for no more here
    assert rates.scores.shape == (2, 3, 2)
    # the better of two rates counts for the baseline
    assert {rates.factor("relu"), rates.twice} == {8.0, 16.0}
    assert any(line.startswith("Two rates may suit relu") for line in verdict.summary())
    assert verdict.runs.activations == ("relu", "tanh")
    # a given list is not widened, but said
    assert not rates.widened
    assert rates.factor("tanh") == 16.0
    assert any("rates beyond it may be better still" in line for line in verdict.summary())
    # what is judged is what was trained at that rate: the losses are lower than at the model's own
    own = rates.scores[:, 0].mean()
    assert verdict.runs.history["val_loss"][:, -1].mean() < own


def test_a_comparison_at_the_models_own_rate_is_one_of_no_rates():
    options = {
        "validation_split": 0.2,
        "objective": "val_loss",
        "seeds": 2,
        "epochs": 1,
        "batch_size": 15,
        "verbose": 0,
    }
    verdict = compare_activations(
        slow_learner(), *TRAIN, ["relu", "tanh"], **options, learning_rates=None
    )
    assert verdict.rates is None
    with pytest.raises(SearchError, match="learning_rates must be"):
        compare_activations(slow_learner(), *TRAIN, SOME, **options, learning_rates="often")


def interrupting(monkeypatch, at_advance):
    """Have the progress of seeds end with Ctrl-C the n-th time it goes on."""
    count = 0
    advance = Progress.advance

    def counted(self):
        nonlocal count
        count += 1
        advance(self)
        if count == at_advance:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", counted)


QUICK = {"epochs": 1, "verbose": 0, "batch_size": 30, "objective": "val_loss"}


def test_an_interrupt_while_rates_are_chosen_keeps_the_seeds_so_far(monkeypatch):
    interrupting(monkeypatch, 1)
    verdict = compare_activations(
        slow_learner(), *TRAIN, ["relu", "tanh"], seeds=4, **QUICK, learning_rates=["x8"]
    )
    assert verdict.rates.seeds == 1
    assert verdict.seeds == 4


def test_an_interrupt_before_the_first_seed_is_said(monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_acts.search.verdict.rate_trials.RatedModels.trainer", interrupted)
    verdict = compare_activations(slow_learner(), *TRAIN, ["relu", "tanh"], seeds=2, **QUICK)
    assert verdict.sentence == "no verdict: interrupted while the learning rates were chosen"
    assert np.isnan([scored.mean for scored in verdict.candidates]).all()


def test_trials_try_rates_from_the_first_on(tmp_path):
    """Also where parameters are searched, so that many trials are asked for at once."""
    space = ActivationSpace(["relu", "elu", "leaky_relu"], learning_rates=["x4", "x16"])
    tuner = ActivationTuner(
        slow_learner(), "val_loss", 8, activations=space, seed=1, directory=tmp_path
    )
    factors = {
        tuner.oracle.create_trial(f"tuner{index}").hyperparameters.values[FACTOR]
        for index in range(8)
    }
    assert len(factors) > 1


@pytest.mark.slow
@pytest.mark.parametrize("alone", [False, True])
def test_a_scheduler_sets_multiples_in_trials_too(alone):
    model = slow_learner()
    if alone:
        model = eager(model)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.001)
    options = {**RACE, "activations": ["relu"], "trials": 2, "verdict": 0, "strategy": "random"}
    result = search_activations(
        model, *TRAIN, **options, callbacks=[scheduler], learning_rates=["x16"]
    )
    by_factor = {trial.factor: trial.score for trial in result.trials}
    assert by_factor[16.0] < 0.9 * by_factor[1.0]
    assert result.learning_rate == "x16"


class Constant(keras.callbacks.Callback):
    """Sets one rate, whatever the model was compiled with."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.001


def test_a_callback_of_ones_own_sets_multiples_in_trials_too():
    options = {**RACE, "activations": ["relu"], "trials": 2, "verdict": 0, "strategy": "random"}
    result = search_activations(
        eager(slow_learner()), *TRAIN, **options, callbacks=[Constant()], learning_rates=["x16"]
    )
    by_factor = {trial.factor: trial.score for trial in result.trials}
    assert by_factor[16.0] < 0.9 * by_factor[1.0]


def test_a_space_and_a_search_that_contradict_each_other():
    space = ActivationSpace(SOME, learning_rates=["x4"])
    options = {**RACE, "activations": space}
    for other in (None, ["x2"]):
        with pytest.raises(SearchError, match="The space has learning rates already"):
            search_activations(slow_learner(), *TRAIN, **options, learning_rates=other)


def test_the_better_of_two_rates_counts_for_the_baseline():
    choices = (Candidate.of("relu"), Candidate.of("mish"))
    names = ("relu", "mish")
    rated = (*map(Rated, choices), Rated(choices[0], 2.0))
    entries = Entries(rated, (*names, "relu at 0.002"), names, "relu")

    def columns(own, other, direction="max"):
        scores = {"relu": own, "mish": own, "relu at 0.002": other}
        return entries.chosen({key: np.array(value) for key, value in scores.items()}, direction)

    assert columns([0.5, 0.7], [0.6, 0.7]) == [2, 1]
    assert columns([0.5, 0.7], [0.6, 0.7], "min") == [0, 1]
    assert columns([np.nan, 0.7], [0.1, 0.1]) == [2, 1]
    assert columns([0.1, 0.1], [np.nan, 0.7]) == [0, 1]
    # before the first seed there is nothing to choose by
    assert columns([], []) == [0, 1]


def test_an_interrupt_before_the_first_seed_at_the_chosen_rates(monkeypatch):
    def interrupted(self, *arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Replicates, "train", interrupted)
    verdict = compare_activations(
        slow_learner(), *TRAIN, ["relu", "tanh"], seeds=2, **QUICK, learning_rates=["x8"]
    )
    assert verdict.sentence == "no verdict: no seed was trained to its end"
