"""Differences that are skewed, and one that stands far from all others."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from keras_acts.search.verdict import paired, robust
from keras_acts.search.verdict.judge import judge

# NumPy, SciPy and text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once


def skewed(n=16, seed=0):
    """Differences with a long tail upwards, of mean 0."""
    return np.random.default_rng(seed).exponential(size=n) - 1


def covered(draw, studies, n, level):
    """How many of the intervals hold 0, with the test and with Student's t alone."""
    ours = 0
    students = 0
    for _ in range(studies):
        differences = draw(n)
        test = robust.mean_test(differences, level)
        ours += test.low <= 0 <= test.high
        students += stats.ttest_1samp(differences, 0).pvalue >= level
    return ours, students


def test_ordinary_differences_have_students_test():
    differences = np.linspace(-1, 1.5, 12)
    test = robust.mean_test(differences, 0.01)
    student = stats.ttest_1samp(differences, 0)
    interval = student.confidence_interval(0.99)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))
    assert test.p == pytest.approx(student.pvalue)
    assert not test.stretched
    assert robust.excess_skewness(differences) == 0


def test_the_interval_is_stretched_to_the_long_tail_only():
    differences = skewed()
    test = robust.mean_test(differences, 0.05)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert test.stretched
    assert test.low == pytest.approx(interval.low)
    assert test.high > interval.high + 0.1
    # and to the other side, where the tail is there
    mirrored = robust.mean_test(-differences, 0.05)
    assert (mirrored.low, mirrored.high) == pytest.approx((-test.high, -test.low))
    assert mirrored.p == pytest.approx(test.p)


def test_the_transformation_is_halls():
    # Hall 1992: t + g t² / (3 √n) + g² t³ / (27 n) + g / (6 √n)
    t, skewness, n = 1.7, 2.5, 16
    halls = t + skewness * t**2 / (3 * 4) + skewness**2 * t**3 / (27 * 16) + skewness / (6 * 4)
    assert robust._to_symmetric(t, skewness, n) == pytest.approx(halls)
    assert robust._from_symmetric(halls, skewness, n) == pytest.approx(t)


def test_an_interval_without_0_is_what_is_significant():
    significant = 0
    stretched = 0
    for seed in range(300):
        differences = skewed(seed=seed) + 0.4 * (seed % 5 - 2)
        for level in (0.05, 0.05 / 3):
            test = robust.mean_test(differences, level)
            assert (test.p < level) == (test.low > 0 or test.high < 0)
            significant += test.p < level
            stretched += test.stretched
    assert 100 < significant < 400
    assert stretched > 100


def test_intervals_cover_where_differences_are_skewed():
    """A true mean of 0 is covered with nearly 95 %, where Student's interval has 91 %."""
    rng = np.random.default_rng(0)
    studies = 1500
    ours, students = covered(lambda n: rng.exponential(size=n) - 1, studies, 16, 0.05)
    assert students < 0.93 * studies
    assert ours > 0.935 * studies


def test_intervals_of_ordinary_differences_are_hardly_wider():
    rng = np.random.default_rng(0)
    studies = 1500
    ours, students = covered(lambda n: rng.normal(size=n), studies, 16, 0.05)
    assert students <= ours <= students + 0.01 * studies
    assert stats.binomtest(ours, studies, 0.95).pvalue > 0.01


def test_what_student_finds_with_80_percent_is_found_if_it_is_a_little_larger():
    rng = np.random.default_rng(0)
    studies = 2000
    for n in (8, 16):
        least = optimize.brentq(lambda size, n=n: paired.power(size, 1, n, 0.01) - 0.8, 0.1, 5)
        planted = least * robust.stretching_costs(n)
        found = 0
        for _ in range(studies):
            found += robust.mean_test(rng.normal(size=n) + planted, 0.01).p < 0.01
        assert stats.binomtest(found, studies, 0.8).pvalue > 0.01


def test_equal_candidates_with_skewed_scores_seldom_beat():
    """Candidates of one mean: the others' runs are now and then far better or far worse."""
    rng = np.random.default_rng(0)
    verdicts = 400
    wrong = 0
    for _ in range(verdicts):
        scores = {"relu": 0.9 + 0.004 * rng.normal(size=16)}
        scores["mish"] = 0.9 - 0.005 * (rng.gamma(2, size=16) - 2)
        scores["gelu"] = 0.9 + 0.005 * (rng.gamma(2, size=16) - 2)
        found = judge(scores)
        wrong += found.significant or any(c.significant for c in found.among)
    assert wrong <= stats.binom.isf(0.01, verdicts, 0.05)


def test_signs_are_counted():
    first = np.array([3.0, 2.0, 1.0, 5.0, -math.inf])
    second = np.array([1.0, 1.0, 1.0, 6.0, -math.inf])
    counts = robust.signs(first, second)
    assert (counts.above, counts.below) == (2, 1)
    assert counts.p == 1
    fifteen = robust.signs(np.arange(16.0), np.r_[1.0, np.arange(15.0)])
    assert (fifteen.above, fifteen.below) == (15, 1)
    assert fifteen.p == pytest.approx(stats.binomtest(15, 16).pvalue)
    assert robust.signs(first[:0], second[:0]).p == 1


def test_one_seed_that_carries_the_spread_is_told():
    differences = np.random.default_rng(0).normal(size=16)
    assert not robust.farthest(differences, 0.05).dominates
    differences[4] = -9
    far = robust.farthest(differences, 0.05)
    assert (far.index, far.dominates) == (4, True)
    assert far.without == pytest.approx(np.delete(differences, 4).mean())
    # Grubbs' table: of 8, 2.126 standard deviations are exceeded with 5 %
    grubbs = np.array([2.126**2 / 7 - 0.002, 2.126**2 / 7 + 0.002])
    rest = np.array([1, -1, 1, -1, 1, -1, 0.0])
    for share, dominates in zip(grubbs, (False, True), strict=True):
        # as far from the mean of all as makes this share
        wanted = [value for value in np.linspace(2, 9, 2000) if _share(rest, value) >= share]
        found = robust.farthest(np.r_[rest, wanted[0]], 0.05)
        assert found.share == pytest.approx(share, abs=1e-3)
        assert found.dominates == dominates


def _share(rest, value):
    return robust.farthest(np.r_[rest, value], 0.05).share


def test_a_verdict_tells_of_skewness_and_of_one_seed():
    rng = np.random.default_rng(0)
    relu = 0.9 + 0.005 * rng.normal(size=16)
    mish = relu + 0.005 + 0.002 * rng.normal(size=16)
    mish[4] -= 0.025
    found = judge({"relu": relu, "mish": mish})
    text = "\n".join(found.summary())
    (comparison,) = found.against_baseline
    assert comparison.stretched
    assert comparison.farthest == 5
    assert "Skewed: mish against relu." in text
    assert "One seed, number 5 of 16, carries " in text
    assert "mish has the higher score on 15 of 16 seeds (sign test), but not significantly" in text
    assert " to +" in str(found)
    assert found.to_dict()["sentence"].startswith("keep relu")


def test_a_skewed_winner_is_said_with_its_interval():
    rng = np.random.default_rng(1)
    relu = 0.9 + 0.001 * rng.normal(size=16)
    found = judge({"relu": relu, "mish": relu + 0.01 + 0.004 * rng.exponential(size=16)})
    (comparison,) = found.against_baseline
    assert comparison.stretched
    low = f"{100 * comparison.low:.2f}"
    high = f"{100 * comparison.high:.2f}"
    assert f" points ({low} to {high}) (16 seeds, p < 0.001)" in found.sentence


@pytest.mark.parametrize("maximize", [True, False])
def test_an_interval_that_holds_zero_is_said_to_hold_it(maximize):
    rng = np.random.default_rng(0)
    relu = 0.9 + 0.005 * rng.normal(size=16)
    mish = relu + 0.005 + 0.002 * rng.normal(size=16)
    mish[4] -= 0.025
    found = judge({"relu": relu, "mish": mish}, metric="loss", maximize=maximize)
    (comparison,) = found.against_baseline
    assert comparison.stretched
    assert comparison.low < 0 < comparison.difference
    (turned,) = judge({"relu": mish, "mish": relu}, metric="loss").against_baseline
    assert turned.difference < 0 < turned.high
    said = found.gain(comparison)
    low = f"{comparison.low:.4f}".replace("-", "−")  # a minus is as wide as a plus
    assert f"({low} to {comparison.high:.4f})" in said
    assert found.gain(turned) == said
