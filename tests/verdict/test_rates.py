"""The choice of a learning rate for each candidate, and what a verdict says of it."""

import numpy as np
import pytest

from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.rates import choose, extended, study, written

FACTORS = (0.5, 1.0, 2.0)
SEEDS = 4


def scores_of(means, sd=0.01, seeds=SEEDS, seed=0):
    """Scores around means, (K, R, S), with a part that the rates of a seed share."""
    rng = np.random.default_rng(seed)
    means = np.asarray(means, float)
    shared = rng.normal(size=(means.shape[0], 1, seeds)) * sd
    own = rng.normal(size=(*means.shape, seeds)) * sd
    return means[:, :, None] + shared + own


def test_one_rate_for_all_but_where_another_is_clearly_better():
    alike = scores_of([[0.80, 0.85, 0.90], [0.80, 0.85, 0.899], [0.80, 0.85, 0.895]])
    assert choose(alike, True) == (2, 2, 2)
    other = scores_of([[0.80, 0.85, 0.90], [0.80, 0.85, 0.90], [0.95, 0.85, 0.70]])
    assert choose(other, True) == (2, 2, 0)
    # less is better of a loss
    assert choose(-other, False) == (2, 2, 0)


def test_equal_candidates_hardly_ever_get_unequal_rates():
    unequal = 0
    for seed in range(400):
        equal = scores_of([[0.90, 0.905, 0.905]] * 4, seed=seed)
        unequal += len(set(choose(equal, True))) > 1
    # 5 % and what 400 repetitions may be off
    assert unequal / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_rate_at_which_a_training_diverges_is_not_taken():
    scores = scores_of([[0.80, 0.85, 0.90], [0.80, 0.85, 0.90]])
    scores[0, 2, 1] = np.nan
    # most train to their end at the lower rates
    assert choose(scores, True) == (1, 2)
    scores[1, 2, 1] = np.nan
    assert choose(scores, True) == (1, 1)
    scores[0] = np.nan
    assert choose(scores, True) == (1, 1)


def test_without_a_spread_nothing_is_clear():
    assert choose(np.ones((2, 3, 4)), True) == (0, 0)
    once = scores_of([[0.8, 0.9, 0.7], [0.8, 0.9, 0.7]], seeds=1)
    assert choose(once, True) == (1, 1)


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
    assert equal.sentence.startswith("keep relu (learning rate 0.004): nothing beats it")
    (both,) = [line for line in equal.summary() if "model's own" in line]
    assert both.startswith("At the model's own learning rate, 0.002, tanh loses ")
    assert "each at its best rate no difference is shown" in both
    assert both.endswith("the difference at one rate is about the rate.")
    turned = verdict_at([[0.85, 0.90, 0.92], [0.80, 0.88, 0.93]], [0.92, 0.93])
    assert turned.sentence.startswith("tanh (learning rate 0.004) beats relu (0.004) by ")
    assert any("each at its best rate it wins 0.9" in line for line in turned.summary())


def test_what_the_rate_brings_is_said_by_itself():
    verdict = verdict_at([[0.85, 0.90, 0.92], [0.85, 0.90, 0.93]], [0.92, 0.93])
    (brings,) = [line for line in verdict.summary() if "by itself" in line]
    assert "tanh at 0.004 instead of 0.002: +" in brings
    assert "relu at 0.004 instead of 0.002: +" in brings
    (chosen,) = [line for line in verdict.summary() if line.startswith("Learning rates:")]
    assert "0.001, 0.002, 0.004 were tried on 4 other seeds" in chosen
    assert "none is clearly better at a rate of its own" in chosen
    assert any("rates beyond it may be better still" in line for line in verdict.summary())
    assert verdict.rows()[0]["learning_rate_factor"] == 2.0
    assert "| activation | rate |" in verdict.to_markdown()
    assert verdict.to_dict()["learning_rates"]["own"] == 0.002


def test_the_same_answer_at_both_rates_needs_no_words():
    verdict = verdict_at([[0.85, 0.90, 0.92], [0.86, 0.92, 0.94]], [0.92, 0.94])
    assert verdict.winner == "tanh"
    assert not any("about the rate" in line for line in verdict.summary())


@pytest.mark.parametrize("text", ["rate", "learning"])
def test_a_verdict_at_one_rate_says_nothing_of_rates(text):
    rng = np.random.default_rng(0)
    verdict = judge({"relu": rng.normal(size=8), "mish": rng.normal(size=8)}, metric="r2")
    assert verdict.rates is None
    assert not any(f"learning {text}" in line for line in verdict.summary())
