"""Whether rates change a difference: seldom said where they do not, and oftener than four seeds alone would."""

import numpy as np
import pytest
from scipy import stats

from keras_acts.search.verdict.rates import Move, p_of_change

OWN = 2
RATES = 5
SEEDS = 4
HALF = 0.5**0.5
MOVES = (Move(1, OWN, 4), Move(0, OWN, 4))


def trained(count, candidates, rng, deviations=1.0):
    """Scores (count, K, R, S) of equal candidates; half of the variance is common to a seed's rates."""
    common = rng.normal(size=(count, candidates, 1, SEEDS)) * HALF
    own = rng.normal(size=(count, candidates, RATES, SEEDS)) * HALF
    return (common + own) * deviations


def paired(scores):
    """What the four differences alone say."""
    gains = scores[:, :, 4] - scores[:, :, OWN]
    changes = gains[:, 1] - gains[:, 0]
    return stats.ttest_1samp(changes, 0, axis=1).pvalue


def shares(scores):
    """How often a change is found, by the product and by a paired test."""
    found = [p_of_change(each, *MOVES) < 0.05 for each in scores]
    return np.mean(found), np.mean(paired(scores) < 0.05)


def deviations(kind, candidates):
    noise = np.ones((candidates, RATES, 1))
    if kind == "noisier at higher rates":
        noise *= np.linspace(0.6, 1.8, RATES)[:, None]
    if kind == "one candidate is noisier":
        noise[1] = 2.5
    if kind == "noisy at the chosen rate":
        noise[:, 4] = 2
    return noise


KINDS = [
    "alike",
    "noisier at higher rates",
    "one candidate is noisier",
    "noisy at the chosen rate",
]


@pytest.mark.parametrize("candidates", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_rates_that_change_nothing_are_seldom_said_to(kind, candidates):
    rng = np.random.default_rng(3)
    found, _ = shares(trained(1000, candidates, rng, deviations(kind, candidates)))
    # 5 % and three standard errors of a simulation of this size
    assert found <= 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_what_all_are_trained_on_tells_more_than_four_differences():
    scores = trained(1000, 4, np.random.default_rng(4))
    scores[:, 1, 4] += 2.0
    found, by_four = shares(scores)
    assert found > 1.3 * by_four
    assert found > 0.6
    # two candidates alone do not tell more than their differences
    found, by_four = shares(scores[:, :2])
    assert found == by_four


def test_what_diverged_elsewhere_does_not_count():
    scores = trained(1, 4, np.random.default_rng(5))[0]
    healthy = p_of_change(scores, *MOVES)
    scores[2, 4] = np.nan
    scores[0, 0] = np.nan
    assert 0 < p_of_change(scores, *MOVES) < 1
    assert p_of_change(scores, *MOVES) != healthy


def test_without_noise_there_are_signs_only():
    scores = np.zeros((2, RATES, SEEDS))
    assert p_of_change(scores, *MOVES) == 1.0
    scores[1, 4] = 0.25
    assert p_of_change(scores, *MOVES) == 2.0 ** (1 - SEEDS)
    assert np.isnan(p_of_change(scores[:, :, :1], *MOVES))
