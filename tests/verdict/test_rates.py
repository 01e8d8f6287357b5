"""The choice of a learning rate for each candidate, and what a verdict says of it."""

import re

import numpy as np
import pytest

from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.rates import choose, extended, study, written

# NumPy and text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once

FACTORS = (0.5, 1.0, 2.0)
SEEDS = 4


def scores_of(means, sd=0.01, seeds=SEEDS, seed=0):
    """Scores around means, (K, R, S), with a part that the rates of a seed share."""
    rng = np.random.default_rng(seed)
    means = np.asarray(means, float)
    shared = rng.normal(size=(means.shape[0], 1, seeds)) * sd
    own = rng.normal(size=(*means.shape, seeds)) * sd
    return means[:, :, None] + shared + own


def chosen(scores, maximize=True, factors=FACTORS):
    return choose(scores, factors, maximize)


def test_alike_candidates_have_one_rate_and_another_has_its_own():
    alike = scores_of([[0.80, 0.85, 0.90], [0.80, 0.85, 0.899], [0.80, 0.85, 0.895]])
    assert chosen(alike) == (2, 2, 2)
    other = scores_of([[0.80, 0.85, 0.90], [0.80, 0.85, 0.90], [0.95, 0.85, 0.70]])
    assert chosen(other) == (2, 2, 0)
    # less is better of a loss
    assert chosen(-other, False) == (2, 2, 0)
    # one that hardly learns, and varies much, chooses for nobody else
    hopeless = scores_of([[0.6, 0.3, 0.1]], sd=0.2)
    assert chosen(np.concatenate([alike, hopeless]))[:3] == (2, 2, 2)


def test_equal_candidates_lose_less_than_by_each_ones_best_mean():
    means = [0.88, 0.90, 0.912, 0.90, 0.88]
    factors = (0.25, 0.5, 1.0, 2.0, 4.0)
    lost = {"chosen": 0.0, "best mean": 0.0}
    for seed in range(300):
        equal = scores_of([means] * 4, seed=seed)
        for name, indices in (
            ("chosen", chosen(equal, factors=factors)),
            ("best mean", equal.mean(axis=2).argmax(axis=1)),
        ):
            lost[name] += sum(max(means) - means[index] for index in indices)
    assert lost["chosen"] < 0.6 * lost["best mean"]


def false_beats(cost, judged_twice, repetitions=200, seeds=16):
    """How often candidates beat a baseline that is as good, but at another rate."""
    factors = (0.25, 0.5, 1.0, 2.0, 4.0)
    steps = np.arange(5)
    means = -cost * np.abs(steps - np.array([[2], [3], [3], [3]]))
    rng = np.random.default_rng(0)
    count = 0
    for seed in range(repetitions):
        indices = chosen(scores_of(means, sd=0.35, seed=seed), factors=factors)
        names = ["relu", "mish", "gelu", "tanh"]

        def judged(k, index):
            return means[k, index] + rng.normal(size=seeds) * 0.5

        scores = {name: judged(k, indices[k]) for k, name in enumerate(names)}
        if judged_twice:
            found = study(names, factors, scores_of(means, sd=0.35, seed=seed), **WORDS)
            other = judged(0, factors.index(found.alternative("relu")))
            scores["relu"] = max(scores["relu"], other, key=np.mean)
        count += bool(judge(scores, metric="r2").beat)
    return count / repetitions


WORDS = {"metric": "r2", "maximize": True}


@pytest.mark.parametrize("cost", [0.0, 0.3])
def test_equal_candidates_whose_best_rates_differ_do_not_beat_the_baseline(cost):
    # 2.5 % is promised; 200 repetitions may be off by three errors
    assert false_beats(cost, judged_twice=True) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 200)


def test_a_rate_at_which_a_training_diverges_is_not_taken():
    scores = scores_of([[0.80, 0.85, 0.90], [0.80, 0.85, 0.90]])
    scores[0, 2, 1] = np.nan
    assert chosen(scores) == (1, 2)
    scores[1, 2, 1] = np.nan
    assert chosen(scores) == (1, 1)
    scores[0] = np.nan
    assert chosen(scores) == (1, 1)


def test_of_equals_the_model_keeps_its_own_rate():
    assert chosen(np.ones((2, 3, 4))) == (1, 1)
    assert chosen(np.ones((1, 3, 4))) == (1,)
    equal = study(["relu", "mish"], FACTORS, np.ones((2, 3, 4)), **WORDS)
    assert equal.best_at_end == ""
    # one seed tells no noise: all have what is best on average
    once = scores_of([[0.8, 0.9, 0.7], [0.8, 0.9, 0.7]], seeds=1)
    assert chosen(once) == (1, 1)


def test_the_baseline_has_a_second_chance():
    found = study(
        ["relu", "mish"],
        FACTORS,
        scores_of([[0.80, 0.899, 0.90], [0.80, 0.89, 0.90]]),
        own=0.001,
        **WORDS,
    )
    assert found.alternative("relu") == 1.0
    assert found.having("relu", 1.0).factor("relu") == 1.0
    assert found.having("relu", 1.0).factor("mish") == 2.0
    nothing = scores_of([[0.8, 0.9, 0.7]])
    nothing[0, [0, 2]] = np.nan
    assert study(["relu"], FACTORS, nothing, **WORDS).alternative("relu") is None


def test_a_study_is_in_order_and_may_grow():
    found = study(
        ["relu", "mish"],
        [1.0, 0.5, 2.0],
        scores_of([[0.85, 0.80, 0.90], [0.85, 0.80, 0.91]]),
        metric="accuracy",
        maximize=True,
        own=0.001,
    )
    assert found.factors == (0.5, 1.0, 2.0)
    assert found.rate("relu") == "0.002"
    assert found.best_at_end == "highest"
    wider = extended(found, 4.0, scores_of([[0.8], [0.8]])[:, 0])
    assert wider.factors == (0.5, 1.0, 2.0, 4.0)
    assert wider.best_at_end == ""
    assert wider.widened
    assert wider.rate("mish") == "0.002"
    plain = wider.to_dict()
    assert plain["candidates"][0]["factor"] == 2.0
    assert plain["factors"] == [0.5, 1.0, 2.0, 4.0]
    assert written(4.0, None) == "x4"


def verdict_at(means, test_means, **options):
    """The verdict on tanh and relu, whose rates were chosen by validation scores."""
    rates = study(
        ["relu", "tanh"],
        FACTORS,
        scores_of(means, sd=0.002),
        metric="accuracy",
        maximize=True,
        own=0.002,
    )
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, 16)) * 0.003
    scores = dict(zip(["relu", "tanh"], noise + np.reshape(test_means, (2, 1)), strict=True))
    return judge(scores, rates=rates, **options)


def test_what_differs_at_one_rate_only_is_said_to_be_about_the_rate():
    equal = verdict_at([[0.85, 0.90, 0.92], [0.80, 0.88, 0.92]], [0.92, 0.92])
    assert equal.sentence.startswith("keep relu (learning rate 0.004): no other was shown")
    (both,) = [line for line in equal.summary() if "at its best rate" in line]
    assert both.startswith("At 0.002 for all, tanh is ")
    assert " worse than relu (validation data, " in both
    assert "each at its best rate, no difference is shown" in both
    assert both.endswith("the difference at one rate is about the rate.")
    turned = verdict_at([[0.85, 0.90, 0.92], [0.80, 0.88, 0.93]], [0.92, 0.93])
    assert turned.sentence.startswith("tanh (learning rate 0.004) beats relu (0.004) by ")
    assert any("each at its best rate, it is 0.9" in line for line in turned.summary())


def test_what_the_rate_brings_is_said_by_itself():
    verdict = verdict_at([[0.85, 0.90, 0.92], [0.85, 0.90, 0.93]], [0.92, 0.93])
    (brings,) = [line for line in verdict.summary() if line.startswith("The learning rate alone")]
    for name in ("tanh", "relu"):
        assert re.search(rf"{name} at 0\.004 is [^;]* points[^;]* better than at 0\.002", brings)
    (chosen,) = [line for line in verdict.summary() if line.startswith("Learning rates:")]
    assert "0.001, 0.002, 0.004 were tried on 4 other seeds" in chosen
    assert "all have the same" in chosen
    assert any("rates beyond it may be better still" in line for line in verdict.summary())
    assert verdict.rows()[0]["learning_rate_factor"] == 2.0
    assert "| activation | learning rate |" in verdict.to_markdown()
    assert verdict.to_dict()["learning_rates"]["own"] == 0.002


def test_the_same_answer_at_both_rates_needs_no_words():
    verdict = verdict_at([[0.85, 0.90, 0.92], [0.86, 0.92, 0.94]], [0.92, 0.94])
    assert verdict.winner == "tanh"
    assert not any("about the rate" in line for line in verdict.summary())


def test_what_the_seeds_do_not_show_is_not_said_to_be_about_the_rate():
    # worse by the same at each rate, and too noisy to be seen by the verdict
    means = [[0.85, 0.90, 0.92], [0.82, 0.87, 0.89]]
    verdict = verdict_at(means, [0.92, 0.9199])
    (both,) = [line for line in verdict.summary() if "at its best rate" in line]
    assert both.endswith("whether that is about the rate cannot be told.")


def test_a_verdict_at_one_rate_says_nothing_of_rates():
    rng = np.random.default_rng(0)
    verdict = judge({"relu": rng.normal(size=8), "mish": rng.normal(size=8)}, metric="r2")
    assert verdict.rates is None
    assert not any("rate" in line.split() for line in verdict.summary())
