"""What comes after a search: what is kept, finished, scored and said, whatever the strategy found."""

import dataclasses

import keras
import numpy as np
import pandas
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import outcome, with_activations
from keras_acts.search.outcome import Outcome
from keras_acts.search.request import checked_request
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.base import JudgedRun
from keras_acts.search.strategy.learning_rates import RatePlan
from keras_acts.search.verdict import retrain
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.rates import RateStudy
from tests.helpers.models import blobs, mlp
from tests.helpers.strategies import LIMITS, FoundStrategy

# what is kept and said, by what was found; tests/test_search.py finds it at any version
pytestmark = pytest.mark.once

X, Y = blobs(60)
TEST = blobs(30)
# of a seed that Keras takes for none
FEW = dataclasses.replace(LIMITS, trials=3, epochs=1, seed=np.int64(0))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def request_():
    return checked_request(
        mlp(),
        X,
        pandas.Series(Y, index=range(len(Y), 0, -1)),
        activations=["relu", "tanh", "mish"],
        baseline="relu",
        objective="val_loss",
        validation_data=None,
        validation_split=0.2,
        test_data=(TEST[0], pandas.Series(TEST[1])),
        batch_size=None,
        learning_rates=None,
        rescale_init=False,
        fit_options={},
        limits=FEW,
    )


@pytest.fixture(scope="module")
def models(request_):
    return {name: build(request_)(Candidate.of(name)) for name in ("relu", "tanh")}


def test_a_seed_of_numpy_is_a_seed(request_):
    """Keras takes none: the trials trained, and the verdict failed."""
    assert type(request_.limits.seed) is int


def test_columns_of_pandas_are_arrays_in_their_order(request_):
    """A model that Keras has evaluated on a column takes no array after it.

    They are (N, 1), as Keras has columns: a metric that is a plain function would broadcast others.
    """
    for column, array in ((request_.fit["y"], Y), (request_.test_data[1], TEST[1])):
        assert isinstance(column, np.ndarray)
        np.testing.assert_array_equal(column, array[:, np.newaxis])


def build(request):
    return lambda candidate: with_activations(request.model, candidate)


def ended(request, *arguments, **options):
    strategy = FoundStrategy(*arguments, build(request), **options)
    ending = Outcome(request, strategy, RatePlan())
    ending.judge()
    ending.keep()
    ending.hand_over()
    return ending.result(), strategy


def test_the_first_is_kept_and_scored_beside_the_baseline(request_, models):
    result, _ = ended(request_, {"tanh": 0.5, "relu": 0.75}, models)
    assert result.model is models["tanh"]
    assert str(result.best) == "tanh"
    expected = models["tanh"].evaluate(*TEST, verbose=0, return_dict=True)
    assert result.test == pytest.approx(expected)
    assert result.baseline_test == pytest.approx(
        models["relu"].evaluate(*TEST, verbose=0, return_dict=True)
    )
    assert result.errors == {}


def test_what_is_kept_is_trained_to_its_end_once(request_, models):
    result, strategy = ended(request_, {"mish": 0.25, "relu": 0.75}, models)
    assert strategy.finished == [Candidate.of("mish")]
    assert isinstance(result.model, keras.Model)


def test_who_is_in_a_hurry_waits_for_no_training(request_, models):
    result, strategy = ended(request_, {"mish": 0.25, "relu": 0.75}, models, interrupted=True)
    assert strategy.finished == []
    assert result.model is None
    assert "must have been trained to its end" in result.errors["model"]
    assert "Interrupted after 2 candidates: the best so far." in str(result)
    assert strategy.progress.said == [f"What failed besides: model: {result.errors['model']}"]


def test_failures_are_told_and_rank_nothing(request_, models):
    result, _ = ended(request_, {"tanh": 0.5, "relu": 0.75, "mish": None}, models)
    assert [trial.rank for trial in result.trials] == [1, 2, None]
    assert "Failed: mish: ValueError: it cannot be traced." in str(result)
    rows = result.to_pandas().set_index("activation")
    assert np.isnan(rows.loc["mish", "val_loss"])
    assert result.to_dict()["trials"][2]["status"] == "failed"
    assert "| 1 | tanh | 0.5000 | 1.5 |" in result.to_markdown()


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({}, "interrupted before its first trial was done"),
        ({"mish": None}, "No candidate could be trained. The last one, mish: ValueError: it can"),
    ],
)
def test_nothing_found_is_an_error_that_says_why(request_, scores, said):
    with pytest.raises(SearchError, match=said):
        Outcome(request_, FoundStrategy(scores, {}, build(request_)), RatePlan())


def test_the_verdict_decides_what_is_kept(request_, models, monkeypatch):
    def judged(model, leaders, *arguments, **options):
        assert [str(leader.choice) for leader in leaders] == ["tanh", "mish", "relu"]
        noise = np.random.default_rng(0).normal(size=(3, 8)) / 100
        means = {"tanh": 0.5, "mish": 0.9, "relu": 0.4}
        scores = zip(means.values(), noise, strict=True)
        return judge(dict(zip(means, (mean + seeds for mean, seeds in scores), strict=True)))

    monkeypatch.setattr(retrain, "retrain_leaders", judged)
    limits = dataclasses.replace(FEW, verdict=8)
    asked = dataclasses.replace(request_, limits=limits)
    result, strategy = ended(asked, {"tanh": 0.2, "mish": 0.25, "relu": 0.75}, models)
    assert str(result.best) == "mish"
    assert strategy.finished == [Candidate.of("mish")]
    assert "Kept: mish, as the verdict suggests, although tanh ranked first" in str(result)


class Runs:
    """Trainings that a verdict has judged: the best of each candidate, where it has one."""

    def __init__(self, models):
        self.models = models

    def best(self, name):
        if name not in self.models:
            return None
        metrics = {"val_loss": (0.5,)}
        return JudgedRun(Rated(Candidate.of(name)), 7, 0.5, 0.5, 1, 0.5, metrics, self.models[name])


def judged_with(monkeypatch, request, runs, callbacks=None, at_rates=False):
    """What is asked of a search whose verdict suggests mish, and hands its trainings over."""

    def judged(*arguments, hand_over, **options):
        better, worse = np.random.default_rng(0).normal(size=(2, 8)) / 100
        names = ("mish", "relu")
        rates = None
        if at_rates:
            rates = RateStudy(names, (1.0,), np.zeros((2, 1, 4)), "val_loss", False, (0, 0))
        scores = zip(names, (0.9 + better, 0.4 + worse), strict=True)
        verdict = judge(dict(scores), rates=rates)
        hand_over(verdict, runs)
        return verdict

    monkeypatch.setattr(retrain, "retrain_leaders", judged)
    return dataclasses.replace(
        request,
        limits=dataclasses.replace(FEW, verdict=8),
        fit={**request.fit, "callbacks": callbacks},
    )


@pytest.fixture(scope="module")
def runs(request_):
    return Runs({name: build(request_)(Candidate.of(name)) for name in ("mish", "relu")})


FOUND = {"mish": 0.25, "relu": 0.75}


@pytest.mark.parametrize("with_callbacks", [False, True])
def test_a_training_of_the_verdict_is_kept_where_no_callback_waits_for_another(
    request_, models, runs, monkeypatch, with_callbacks
):
    callbacks = None
    if with_callbacks:
        callbacks = [keras.callbacks.LambdaCallback()]
    asked = judged_with(monkeypatch, request_, runs, callbacks)
    result, strategy = ended(asked, FOUND, models)
    assert (result.model is runs.models["mish"]) == (not with_callbacks)
    # what it is compared with is the best of as many trainings
    assert (result.baseline_model is runs.models["relu"]) == (not with_callbacks)
    # the strategy is asked all the same, and trains what it has not
    assert strategy.finished == [Candidate.of("mish")]


@pytest.mark.parametrize("has_none", ["mish", "relu"])
@pytest.mark.parametrize("at_rates", [False, True])
def test_the_best_of_many_trainings_is_compared_with_no_single_one(
    request_, models, runs, monkeypatch, has_none, at_rates
):
    some = {name: model for name, model in runs.models.items() if name != has_none}
    asked = judged_with(monkeypatch, request_, Runs(some), at_rates=at_rates)
    if at_rates:
        models = {}  # the search has trained none at the rates of the verdict
    result, strategy = ended(asked, FOUND, models)
    assert Candidate.of("mish") in strategy.finished
    for model in (result.model, result.baseline_model):
        assert isinstance(model, keras.Model)
        assert all(model is not other for other in runs.models.values())
    assert set(result.errors) == set()


def test_what_is_compared_with_nothing_is_the_best_of_many_trainings(
    request_, models, runs, monkeypatch
):
    """Without test data no score of the baseline's model is shown, so it may have none of these."""
    asked = judged_with(monkeypatch, request_, Runs({"mish": runs.models["mish"]}))
    asked = dataclasses.replace(asked, test_data=None)
    result, _ = ended(asked, FOUND, models)
    assert result.model is runs.models["mish"]
    assert result.baseline_model is models["relu"]


def test_samples_that_cannot_be_read_cost_only_themselves(request_, models, monkeypatch):
    def gone(x):
        raise OSError("the data are gone")

    monkeypatch.setattr(outcome, "few", gone)
    result, _ = ended(request_, {"tanh": 0.5, "relu": 0.75}, models)
    assert result.errors == {"samples": "OSError: the data are gone"}
    assert result.model is models["tanh"]
    assert result.test is not None
