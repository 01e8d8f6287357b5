"""Scores that differ by no more than rounding.

Shares of a few samples, as Keras computes them, in float32.
"""

import numpy as np
import pytest
from scipy import stats

from keras_acts.search.race.neighbourhood import best_if_significant
from keras_acts.search.race.race import survivors
from keras_acts.search.strategy.rounding import is_rounding
from keras_acts.search.verdict import paired, sequential

pytestmark = pytest.mark.once

SAMPLES = 154
TIED = np.array(
    [[100, 100], [101, 116], [100, 115]]
)  # the last is one sample behind the leader on both seeds


def test_rounding_is_told_from_one_sample_of_many():
    for samples in (20, 154, 10_000, 1_000_000):
        first = (np.array([3, 7, 12]) / np.float32(samples)).astype("float32")
        second = (np.array([4, 8, 13]) / np.float32(samples)).astype("float32")
        assert is_rounding(float(np.std(second - first, ddof=1)), first, second), samples
        one_more = (np.array([4, 8, 14]) / np.float32(samples)).astype("float32")
        assert not is_rounding(float(np.std(one_more - first, ddof=1)), first + np.float32(0.5)), (
            samples
        )
    assert is_rounding(0.0, np.zeros(3))
    assert is_rounding(0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tie_of_differences_is_no_certainty(dtype):
    scores = (TIED / np.dtype(dtype).type(SAMPLES)).astype(dtype)
    assert survivors(scores, 3, level=0.0125) == [0, 1, 2]
    # one choice is three samples better than the other on each of three seeds
    ahead = (np.array([[100, 107, 90], [103, 110, 93]]) / np.dtype(dtype).type(SAMPLES)).astype(
        dtype
    )
    assert best_if_significant(ahead) == 0
    # but where the difference varies a little, it is seen
    varied = (
        np.array([[100, 107, 90, 95], [133, 140, 124, 128]]) / np.dtype(dtype).type(SAMPLES)
    ).astype(dtype)
    assert best_if_significant(varied) == 1
    assert survivors(varied[::-1], 3, level=0.0125) == [0]


@pytest.mark.parametrize("candidates", [3, 8])
def test_equal_candidates_with_accuracies_of_few_samples_seldom_leave(candidates):
    rng, races, level = np.random.default_rng(candidates), 2000, 0.0125
    counts = rng.binomial(SAMPLES, 0.7, size=(races, candidates, 2))
    single = (counts / np.float32(SAMPLES)).astype("float32")
    lost = sum(1 not in survivors(scores, candidates, level=level) for scores in single)
    assert lost <= stats.binom.isf(0.01, races, level)
    # the same candidates go on in both precisions
    double = counts[:200] / SAMPLES
    for one, two in zip(single[:200], double, strict=True):
        assert set(survivors(one, candidates, level=level)) == set(
            survivors(two, candidates, level=level)
        )


def test_the_verdict_and_its_looks_have_the_same_tolerance():
    relu = np.array([100, 107, 90, 95, 99, 101, 98, 104])
    scores = {"relu": relu / np.float32(SAMPLES), "mish": (relu + 8) / np.float32(SAMPLES)}
    (found,) = paired.compare(scores, [("mish", "relu")])
    assert np.isnan(found.effect)
    assert not sequential.look(scores, "relu", (8, 16)).stop
