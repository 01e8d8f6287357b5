"""Trainings that failed: found, counted, told, and what is compared then."""

import numpy as np
import pytest
from scipy import stats

from keras_acts.search.verdict import failures, paired
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.verdict import Guess

# NumPy, SciPy and text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once

CHANCE = Guess(0.1, "always the most frequent class")


def scores(*means, n=16, sd=0.005, seed=0, names=("relu", "mish", "gelu", "tanh")):
    rng = np.random.default_rng(seed)
    return {name: mean + sd * rng.normal(size=n) for name, mean in zip(names, means, strict=False)}


def failed(given, **options):
    """On which seeds each candidate failed."""
    found = failures.failed_runs(given, **{"maximize": True, **options})
    return {name: np.flatnonzero(runs).tolist() for name, runs in found.items()}


def test_no_more_than_guessing_is_a_failure_where_others_learned():
    given = scores(0.9, 0.85, n=4)
    given["mish"][2] = 0.11
    assert failed(given, guess=0.1) == {"relu": [], "mish": [2]}
    # four seeds alone do not tell what is far
    assert failed(given) == {"relu": [], "mish": []}
    losses = {name: 1 - values for name, values in given.items()}
    assert failed(losses, guess=0.9, maximize=False) == {"relu": [], "mish": [2]}


def test_nothing_fails_where_no_one_clearly_learned():
    hard = scores(0.14, 0.13, sd=0.02)
    assert failed(hard, guess=0.1) == {"relu": [], "mish": []}
    # how much there is to learn is not known here
    assert failed({"relu": np.array([5.0, 6.0, 1.0])}, guess=1.0) == {"relu": []}


def test_a_candidate_that_learns_slowly_does_not_fail():
    slow = 0.1 + 0.8 * np.array([0.05, 0.2, 0.12, 0.08, 0.15, 0.03])
    given = {**scores(0.9, n=6), "mish": slow}
    assert failed(given, guess=0.1) == {"relu": [], "mish": []}


def test_an_outlier_on_the_bad_side_is_a_failure():
    given = scores(0.9, 0.9)
    given["mish"][5] = 0.7
    given["relu"][3] = 0.99
    assert failed(given) == {"relu": [], "mish": [5]}
    losses = {name: -values for name, values in given.items()}
    assert failed(losses, maximize=False) == {"relu": [], "mish": [5]}
    # others tell what is close where one candidate's seeds happen to lie together
    noisy = {**scores(0.9, 0, 0.9, sd=0.2), "mish": given["mish"]}
    assert not any(failed(noisy).values())


def test_a_candidate_that_is_always_bad_does_not_fail_now_and_then():
    given = scores(0.9, 0.1)
    assert failed(given, guess=0.1) == {"relu": [], "mish": []}
    assert judge(given, guess=CHANCE).sentence.startswith("keep relu: no other was shown")
    assert failed({"relu": np.ones(16), "mish": np.ones(16)}) == {"relu": [], "mish": []}
    assert failed({"relu": np.zeros(0), "mish": np.zeros(0)}, guess=0.1) == {"relu": [], "mish": []}


def test_ordinary_runs_do_not_fail():
    rng = np.random.default_rng(0)
    flagged = 0
    for _ in range(1000):
        given = {name: rng.normal(size=8) for name in ("relu", "mish", "gelu", "tanh")}
        flagged += any(failed(given).values())
    assert flagged <= 5


def test_a_candidate_that_fails_beats_nothing():
    given = scores(0.9, 0.91)
    given["mish"][6] = 0.1
    found = judge(given, guess=CHANCE)
    (comparison,) = found.against_baseline
    assert (comparison.above, comparison.below) == (15, 1)
    assert comparison.counted
    assert comparison.contradicted
    assert np.isnan([comparison.p, comparison.low, comparison.high, comparison.detectable]).all()
    assert comparison.sign_p == pytest.approx(stats.binomtest(1, 16).pvalue)
    assert (found.significant, found.suggested) == (False, "relu")
    assert found.sentence == (
        "keep relu: no other was shown to be better (16 seeds, sign test); failed trainings: mish 1 of 16"
    )
    text = "\n".join(found.summary())
    assert "Failed trainings: mish 1 of 16 (no more than guessing, or far worse" in text
    assert "Better seeds: mish 15, relu 1." in text
    assert (
        "None of 16 trainings of relu failed, which leaves room for failures in up to 17 %" in text
    )
    assert "better on 15 of 16 seeds" in str(found)
    (row,) = (row for row in found.rows() if row["activation"] == "mish")
    assert (row["failed"], row["diverged"]) == (1, 0)


def test_a_baseline_that_fails_is_beaten_by_seeds():
    given = scores(0.9, 0.92, 0.9)
    given["relu"][[2, 5]] = 0.1
    found = judge(given, guess=CHANCE)
    assert found.winner == "mish"
    assert found.sentence == (
        "mish beats relu on all 16 seeds (p < 0.001, sign test); failed trainings: relu 2 of 16"
    )
    losses = {name: 1 - values for name, values in given.items()}
    other = judge(losses, metric="loss", maximize=False, guess=Guess(0.9, "x"))
    assert other.winner == "mish"
    assert "mish beats relu on all 16 seeds" in other.sentence
    assert "better on 16 of 16 seeds" in str(other)


def test_too_few_seeds_decide_nothing_where_trainings_fail():
    given = scores(0.9, 0.92, n=4)
    given["relu"][1] = 0.1
    assert judge(given, guess=CHANCE).sentence == (
        "undecided: mish is better than relu on all 4 seeds, which may be chance; at least 6 seeds would decide; "
        "failed trainings: relu 1 of 4"
    )


def test_candidates_among_themselves_are_counted_too():
    given = scores(0.9, 0.92, 0.94)
    given["mish"][3] = 0.1
    found = judge(given, guess=CHANCE)
    assert found.winner == "gelu"
    assert "Among the candidates: gelu beats mish on all 16 seeds." in "\n".join(found.summary())


def test_a_loss_that_is_not_finite_is_a_failed_training_too():
    given = scores(0.9, 0.92, 0.94)
    given["mish"][:3] = np.nan
    found = judge(given, guess=CHANCE)
    assert found.sentence.endswith("; failed trainings: mish 3 of 16")
    text = "\n".join(found.summary())
    assert "Failed trainings: mish 3 of 16 (its loss was not finite)." in text
    assert "Better seeds: mish 13, relu 3." in text
    given["mish"][:] = np.nan
    never = "\n".join(judge(given, guess=CHANCE).summary())
    assert "Not compared, because no training has a score: mish." in never


def test_the_most_that_may_fail_unseen():
    # the rule of three, exactly: 0.95 ** 16 would be 44 % for failures of 5 %
    assert failures.most_failures(16, 0.95**16) == pytest.approx(0.05)
    assert 0.17 < failures.most_failures(16, 0.05) < 0.18


def test_failures_seldom_make_a_false_beats():
    """Equal candidates, but that one fails in 5 % of trainings, or in 20 %, or all do in 10 %."""
    rng = np.random.default_rng(0)
    verdicts = 200
    names = ("relu", "mish", "gelu", "tanh")
    for rates in ((0, 0.05, 0, 0), (0, 0.2, 0, 0), (0.1, 0.1, 0.1, 0.1)):
        wrong = 0
        for _ in range(verdicts):
            given = scores(0.9, 0.9, 0.9, 0.9, seed=rng)
            for name, rate in zip(names, rates, strict=True):
                given[name][rng.random(16) < rate] = 0.1
            found = judge(given, guess=CHANCE)
            over_the_failing = {
                ("gelu", "mish"),
                ("mish", "gelu"),
                ("tanh", "mish"),
                ("mish", "tanh"),
            }
            among = any(
                c.significant and (c.first, c.second) not in over_the_failing for c in found.among
            )
            wrong += found.significant or among
        assert wrong <= stats.binom.isf(0.01, verdicts, 0.05)


def test_without_failures_comparisons_are_as_ever():
    given = scores(0.9, 0.91)
    nothing = {name: np.zeros(16, bool) for name in given}
    pairs = [("mish", "relu")]
    assert paired.compare(given, pairs, failed=nothing) == paired.compare(given, pairs)
