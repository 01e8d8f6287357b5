"""The verdict's arithmetic: against known values and SciPy, by simulation, and in words."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from keras_acts.search.verdict import learning_curves, pages, paired, sequential, words
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.runs import Runs
from keras_acts.search.verdict.verdict import Guess

# NumPy, SciPy and text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once


def scores(*means, n=16, sd=0.003, seed=0, names=("relu", "mish", "gelu", "silu")):
    """Scores of candidates whose sample means are exact."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, mean in zip(names, means, strict=False):
        noise = rng.normal(size=n)
        made[name] = mean + sd * (noise - noise.mean()) / noise.std(ddof=1)
    return made


def test_p_values_are_adjusted_for_their_family():
    given = scores(0.93, 0.94, 0.935, 0.931)
    names = list(given)[1:]
    # p.adjust(c(…), "bonferroni") of R: times the number of comparisons, 1 at most
    expected = [min(1, 3 * stats.ttest_rel(given[name], given["relu"]).pvalue) for name in names]
    found = paired.compare(given, [(name, "relu") for name in names])
    assert [c.p for c in found] == pytest.approx(expected)
    assert paired.compare(given, []) == ()


def test_one_pair_is_scipys_paired_t_test():
    given = scores(0.93, 0.935, n=9)
    (found,) = paired.compare(given, [("mish", "relu")])
    expected = stats.ttest_rel(given["mish"], given["relu"])
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.margin == pytest.approx((interval.high - interval.low) / 2)
    difference = given["mish"] - given["relu"]
    assert found.effect == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert found.correlation == pytest.approx(np.corrcoef(given["mish"], given["relu"])[0, 1])


def test_a_difference_is_significant_where_its_interval_does_not_hold_0():
    significant = 0
    for seed in range(100):
        found = judge(scores(0.93, 0.938, 0.936, 0.934, n=6, seed=seed))
        for c in found.against_baseline + found.among:
            assert c.significant == (c.low > 0 or c.high < 0)
            significant += c.significant
    assert 100 < significant < 500


def test_power_is_that_of_the_tables():
    # G*Power, t tests, matched pairs, two-sided: d_z = 0.5, n = 34 has power 0.8078
    assert paired.power(0.5, 1, 34, 0.05) == pytest.approx(0.8078, abs=1e-4)


def test_what_a_study_says_it_detects_is_found_by_another():
    rng, studies = np.random.default_rng(0), 20_000
    for n in (4, 16):
        said = [
            paired.detectable(sd, n, 0.01)
            for sd in rng.normal(size=(studies, n)).std(axis=1, ddof=1)
        ]
        other = rng.normal(size=(studies, n)) + np.array(said)[:, None]
        found = stats.ttest_1samp(other, 0, axis=1).pvalue < 0.01
        assert stats.binomtest(int(found.sum()), studies, 0.8).pvalue > 0.01


def test_the_levels_are_those_of_the_tables():
    # Jennison and Turnbull 2000, Lan-DeMets, O'Brien-Fleming type, four equal steps: 4.333, 2.963,
    # 2.359, 2.014
    found = sequential.levels((4, 8, 12, 16))
    assert stats.norm.isf(np.array(found) / 2) == pytest.approx(
        [4.333, 2.963, 2.359, 2.014], abs=1e-3
    )
    assert sequential.levels((9,)) == pytest.approx((0.05,))
    assert sequential.spent(1) == pytest.approx(0.05)


def test_looks_are_planned_from_the_middle_on():
    assert sequential.planned(16, 3) == (8, 12, 16)
    assert sequential.planned(16, 1) == (16,)
    assert sequential.planned(8, 2) == (4, 8)
    assert [sequential.planned(n, 3) for n in (2, 3, 5)] == [(2,), (2, 3), (3, 4, 5)]


def test_a_look_ends_what_is_clear_only():
    def decision(*means, n):
        return sequential.look(scores(*means, n=n), "relu", (8, 12, 16)).decision

    assert decision(0.93, 0.945, 0.93, n=8) == "clear"
    assert decision(0.93, 0.933, 0.93, n=8) == "more seeds"
    assert decision(0.93, 0.9, 0.91, n=8) == "worse"
    assert decision(0.93, 0.9, 0.9305, n=12) == "more seeds"
    assert decision(0.93, 0.94, n=16) == "last"
    alone = sequential.look(scores(0.93, n=8), "relu", (8, 12, 16))
    assert (alone.decision, alone.leader) == ("nothing", "relu")
    # validation scores on a plateau say nothing about the test scores, which may differ
    for lead in (0.0, 0.1, -0.1):
        flat = {"relu": np.full(8, 0.5), "mish": np.full(8, 0.5 + lead)}
        assert sequential.look(flat, "relu", (8, 16)).decision == "more seeds"
        varied = scores(0.5, n=8)["relu"]
        assert (
            sequential.look({"relu": varied, "mish": varied + lead}, "relu", (8, 16)).decision
            == "more seeds"
        )


def test_a_look_waits_where_runs_diverge_now_and_then():
    given = scores(0.9, 0.8, n=8)
    given["mish"][2] = np.nan
    first = sequential.look(given, "relu", (8, 16))
    assert (first.decision, first.leader, first.stop) == ("more seeds", "relu", False)
    # another that is surely worse does not end it either
    with_gelu = {**given, "gelu": given["relu"] - 0.1 + 0.001 * np.arange(8)}
    assert sequential.look(with_gelu, "relu", (8, 16)).decision == "more seeds"
    assert sequential.look(given, "relu", (4, 8)).decision == "last"
    given["mish"][:] = np.nan
    assert sequential.look(given, "relu", (8, 16)).decision == "nothing"
    assert (
        sequential.look({**with_gelu, "mish": given["mish"]}, "relu", (8, 16)).decision == "worse"
    )


def test_error_rates_hold_under_looks():
    """Validation and test scores of a seed correlate by 0.5.

    3 candidates; differences of 0 and of 3 sd.
    """
    rng, plan, searches = np.random.default_rng(0), (8, 12, 16), 300
    names, truth = ("relu", "a", "b", "c"), np.array([0.5, 0.5, 0.5, 0.53])
    false, missed, ended = 0, 0, []
    for _ in range(searches):
        common = rng.normal(size=(16, 4))
        validation, test = (
            truth + 0.01 * (common + rng.normal(size=(16, 4))) / 2**0.5 / 2**0.5 for _ in range(2)
        )
        for n in plan:
            done = sequential.look(dict(zip(names, validation[:n].T, strict=True)), "relu", plan)
            if done.stop:
                break
        found = judge(dict(zip(names, test[:n].T, strict=True)))
        false += bool({"a", "b"} & set(found.beat))
        missed += any(
            not c.low <= truth[names.index(c.first)] - 0.5 <= c.high for c in found.against_baseline
        )
        ended.append(n)
    assert stats.binomtest(false, searches).proportion_ci().high <= 0.06
    assert stats.binomtest(missed, searches, 0.05).pvalue > 0.01
    assert len(set(ended)) == 3


def test_a_winner():
    found = judge(scores(0.9298, 0.9396, 0.9298, sd=0.002))
    assert found.winner == found.suggested == "mish"
    assert found.significant
    assert found.sentence.startswith("mish beats relu by 0.98 ± 0.")
    assert found.sentence.endswith(" points (16 seeds, p < 0.001)")
    rows = found.table.set_index("activation")
    assert rows.loc["mish", "difference"] == pytest.approx(0.0098)
    assert rows.loc["mish", "n"] == 16
    assert np.isnan(rows.loc["relu", "p"])


def test_a_winner_over_others_that_win():
    found = judge(scores(0.93, 0.95, 0.94, sd=0.002))
    assert (found.winner, found.beat) == ("mish", ("mish", "gelu"))
    assert found.sentence.endswith("p < 0.001), and gelu")


def test_ties_are_settled_by_cost():
    given = scores(0.93, 0.94, 0.9399, 0.9398)
    text = (
        "no significant winner among mish, gelu, silu; all three beat relu (16 seeds, p < 0.001); "
    )
    for seconds, suggested, reason in (
        ({"relu": 1, "mish": 3, "gelu": 2, "silu": 4}, "gelu", "the cheapest"),
        (
            {"relu": 1, "mish": 3, "gelu": 2.02, "silu": 2},
            "gelu",
            "the best on average, where gelu and silu cost",
        ),
        (
            {"relu": 1, "mish": 2, "gelu": 2.02, "silu": 2},
            "mish",
            "the best on average, where all cost the same",
        ),
        (None, "mish", "the best on average"),
    ):
        found = judge(given, seconds=seconds)
        assert found.winner is None
        assert found.significant
        assert found.suggested == suggested
        assert found.sentence.startswith(f"{text}{suggested} suggested as {reason}")
    assert "both beat relu" in judge(scores(0.93, 0.94, 0.9399)).sentence


def test_keep_the_baseline():
    found = judge(scores(0.93, 0.931, 0.92), baseline="relu")
    assert (found.winner, found.significant, found.suggested) == (None, False, "relu")
    assert found.sentence.startswith(
        "keep relu: no other was shown to be better (16 seeds, which notice a difference of about 0."
    )
    assert found.sentence.endswith(" points or more)")
    # of what is clearly worse nobody asks how small a difference would have been seen
    worst = max(c.detectable for c in found.against_baseline if not c.significant)
    assert found.amount(worst) in found.sentence


def test_a_loss_is_better_when_lower():
    given = {name: 2 - values for name, values in scores(0.93, 0.94, 0.9).items()}
    found = judge(given, metric="loss", maximize=False)
    assert found.winner == "mish"
    assert found.candidates[0].activation == "mish"
    assert "mish beats relu by 0.0100 ± 0.00" in found.sentence
    assert "of loss" in found.sentence
    unit = judge({name: 100 * v for name, v in given.items()}, metric="mae", maximize=False)
    assert "by 1.00 ± 0." in unit.sentence


def test_points_and_percent_are_of_shares_of_samples_alone():
    given = scores(0.93, 0.95, 0.94, sd=0.002)
    shares = judge(given)
    assert (shares.share, " points (" in shares.sentence, "test accuracy, %" in str(shares)) == (
        True,
        True,
        True,
    )
    for found in (
        judge(given, metric="r2_score"),
        judge(given, share=False),
        judge(given, metric="auc"),
    ):
        assert not found.in_points
        assert f" of {found.metric} (" in found.sentence
        assert f"{found.metric}, %" not in str(found)
        # how much better a score can be is known all the same
        assert found._room == shares._room
    assert judge(given, metric="top", share=True).in_points
    assert not judge({name: 10 * values for name, values in given.items()}, share=True).in_points
    guessed = judge(
        {"relu": [0.31, 0.32], "mish": [0.32, 0.31]},
        metric="r2_score",
        guess=Guess(0.33, "the mean"),
    )
    assert "has 0.315 r2_score, and the mean has 0.33;" in guessed.sentence


def test_no_precision_is_claimed_where_there_is_none():
    given = scores(0.93, 0.94, 0.935)
    nan = np.full(16, np.nan)
    some = np.where(np.arange(16) < 3, np.nan, given["mish"])
    for changed, sentence in (
        (
            {name: v[:1] for name, v in given.items()},
            "no verdict: one seed says nothing about the noise",
        ),
        ({name: v[:0] for name, v in given.items()}, "no verdict: no seed was trained to its end"),
        ({"relu": given["relu"]}, "no verdict: there is nothing to compare relu with"),
        (
            {"relu": np.full(16, 0.9), "mish": np.full(16, 0.9)},
            "no verdict: relu and mish have the same accuracy on every seed",
        ),
        (
            dict.fromkeys(given, nan),
            "no verdict: every candidate diverged, on all 16 seeds",
        ),
        ({**given, "relu": nan}, "no verdict: relu diverged on all 16 seeds, so nothing"),
        (
            {"relu": given["relu"], "mish": nan},
            "keep relu: all others diverged (mish on 16 of 16 seeds)",
        ),
        (
            {"relu": np.where(np.isnan(some), 0.9, np.nan), "mish": some},
            "keep relu: on no seed did both it and another train to the end; trainings diverged",
        ),
    ):
        found = judge(changed)
        assert found.sentence.startswith(sentence)
        assert (found.significant, found.winner, found.suggested) == (False, None, "relu")
        assert not any(np.isfinite([c.p, c.low, c.high]).any() for c in found.against_baseline)
    assert judge(given, withheld="no verdict: too small").sentence == "no verdict: too small"


def test_a_run_that_diverged_is_a_failed_training_and_is_counted():
    given = scores(0.93, 0.94, 0.935)
    given["mish"][:3] = np.nan
    found = judge(given)
    by_name = {c.first: c for c in found.against_baseline}
    mish = by_name["mish"]
    healthy = given["mish"][3:] - given["relu"][3:]
    assert mish.difference == pytest.approx(healthy.mean())
    assert (mish.above, mish.below) == ((healthy > 0).sum(), 3 + (healthy < 0).sum())
    # it is better on more seeds, and fails more often: that is no "beats"
    assert mish.counted
    assert mish.contradicted
    assert np.isnan([mish.p, mish.low, mish.high]).all()
    assert not by_name["gelu"].counted
    assert found.winner == "gelu"
    assert found.sentence.endswith("; failed trainings: mish 3 of 16")
    (row,) = (c for c in found.candidates if c.activation == "mish")
    assert (row.n, row.diverged, row.failed, found.seeds) == (13, 3, 0, 16)


def test_a_baseline_that_diverges_now_and_then_is_counted_too():
    given = scores(0.93, 0.94)
    given["relu"][:4] = np.nan
    found = judge(given)
    assert found.winner == "mish"
    assert found.sentence.startswith("mish beats relu on ")
    assert found.sentence.endswith(" sign test); failed trainings: relu 4 of 16")


def test_who_diverges_as_often_as_it_is_better_beats_nothing():
    given = scores(0.93, 0.94)
    given["mish"][:8] = np.nan
    found = judge(given)
    assert (found.winner, found.suggested) == (None, "relu")
    assert found.sentence.startswith("keep relu: no other was shown to be better (16 seeds, sign")


def test_more_comparisons_make_wider_intervals():
    few, many = judge(scores(0.93, 0.94)), judge(scores(0.93, 0.94, 0.935, 0.931))
    assert many.against_baseline[0].margin > few.against_baseline[0].margin
    assert {(c.first, c.second) for c in many.among} == set(
        itertools.combinations(("mish", "gelu", "silu"), 2)
    )


def test_the_candidates_among_themselves_get_less_than_a_third_of_the_errors():
    given = scores(0.93, 0.94, 0.937)
    (among,) = judge(given).among
    alone = stats.ttest_rel(given["mish"], given["gelu"])
    assert among.p == pytest.approx(alone.pvalue / 0.3)
    assert (among.low, among.high) == pytest.approx(tuple(alone.confidence_interval(0.985)))


def test_bad_scores_are_refused():
    with pytest.raises(
        ValueError, match=r"among the candidates \['mish'\]. Received: baseline='relu'"
    ):
        judge({"mish": [0.5, 0.6]})
    with pytest.raises(ValueError, match=r"all as many. Received: shapes .*\(3,\)"):
        judge({"relu": [0.5, 0.6], "mish": [0.5, 0.6, 0.7]})
    with pytest.raises(ValueError, match="runs=None"):
        judge(scores(0.93, 0.94)).to_pandas()


def test_p_values_are_written_with_the_digits_they_have():
    assert [words.p_text(p) for p in (0, 0.00099, 0.0123, 0.25)] == [
        "p < 0.001",
        "p < 0.001",
        "p = 0.012",
        "p = 0.25",
    ]


def test_runs_are_a_tidy_table():
    history = {
        "loss": np.arange(12.0).reshape(2, 3, 2),
        "val_accuracy": np.arange(12.0).reshape(2, 3, 2) / 12,
    }
    test = {"accuracy": np.array([[0.1, 0.2], [0.3, 0.4]])}
    runs = Runs(("relu", "mish"), (5, 9), history, test, np.array([[False, False], [False, True]]))
    table = runs.to_pandas()
    assert list(table) == [
        "activation",
        "seed",
        "epoch",
        "loss",
        "val_accuracy",
        "test_accuracy",
        "diverged",
    ]
    assert len(table) == 12
    row = table[(table.seed == 9) & (table.epoch == 2) & (table.activation == "mish")].iloc[0]
    assert (row.loss, row.diverged) == (9, True)
    assert np.isnan(row.test_accuracy)
    last = table[table.epoch == 3].set_index(["seed", "activation"]).test_accuracy
    assert dict(last) == {(5, "relu"): 0.1, (5, "mish"): 0.2, (9, "relu"): 0.3, (9, "mish"): 0.4}
    np.testing.assert_array_equal(runs.scores("accuracy", "test"), [[0.1, 0.2], [0.3, np.nan]])
    np.testing.assert_array_equal(
        runs.scores("accuracy", "validation"), [[4 / 12, 5 / 12], [10 / 12, np.nan]]
    )


def test_what_a_training_logs_replaces_no_column():
    logs = {"loss": np.zeros((2, 3, 1)), "seed": np.ones((2, 3, 1)), "epoch": np.ones((2, 3, 1))}
    table = Runs(("relu",), (5, 6), logs, {}, np.zeros((2, 1), bool)).to_pandas()
    assert table["seed"].tolist() == [5, 5, 5, 6, 6, 6]
    assert table["epoch"].tolist() == [1, 2, 3] * 2
    assert table["logged_seed"].tolist() == [1] * 6


def points(*correct, names=("relu", "mish", "gelu"), samples=200):
    """Shares of correct answers, as float32 has them."""
    return {
        name: np.array(row) / np.float32(samples) for name, row in zip(names, correct, strict=False)
    }


def test_a_lead_that_is_the_same_on_all_seeds_is_said():
    relu = np.random.default_rng(0).integers(120, 160, 16)
    found = judge({**points(relu, relu + 10), "gelu": scores(0.7, n=16, sd=0.05)["relu"]})
    assert (
        found.sentence
        == "mish beats relu by the same 5.0 points on all 16 seeds (p < 0.001, sign test)"
    )
    assert (found.winner, found.significant) == ("mish", True)
    row = found.table.set_index("activation").loc["mish"]
    assert row.difference == pytest.approx(0.05)
    assert row.p == pytest.approx(2 * 2.0**-15)  # two comparisons; 16 equal signs
    assert np.isnan([row.low, row.high, row.effect, row.detectable]).all()
    assert "the same on every seed" in str(found)
    # a lead of the other side, and none
    assert judge(points(relu, relu - 10)).sentence == (
        "keep relu: no other was shown to be better (16 seeds; it is ahead on every seed)"
    )
    equal = judge({**points(relu, relu), "gelu": scores(0.7, n=16, sd=0.05)["relu"]})
    assert equal.sentence.startswith(
        "keep relu: no other was shown to be better (16 seeds, which notice a difference of about "
    )
    assert judge(points(relu, relu)).sentence.startswith(
        "no verdict: relu and mish have the same accuracy on every seed, so that nothing can be said"
    )
    # among the candidates too
    both = judge(points(relu, relu + 10, relu + 14))
    assert both.winner == "gelu"
    assert "gelu beats mish by the same 2.0 points on every seed" in both.to_markdown()


def test_equal_signs_decide_as_often_as_they_should():
    """Of n seeds with equal chances for either sign all agree with 2 ** (1 - n).

    P has to be that.
    """
    for n, decided in ((2, False), (5, False), (6, True), (7, True)):
        relu = np.arange(100, 100 + 3 * n, 3)
        found = judge(points(relu, relu + 4))
        assert found.against_baseline[0].p == pytest.approx(2.0 ** (1 - n))
        assert (found.winner == "mish", found.undecided) == (decided, not decided)
    few = judge(points([100, 110], [104, 114]))
    text = (
        "undecided: mish is ahead of relu by the same 2.0 points on both seeds, which may be chance"
    )
    assert few.sentence == f"{text}; 6 seeds would decide"
    assert few.suggested == "relu"
    tied = judge(points([100, 110], [100, 110], [90, 80]))
    assert (
        tied.sentence
        == "undecided: mish and relu are equal on both seeds, too few to show anything; try 16 seeds"
    )


def test_two_seeds_decide_nothing():
    found = judge({"relu": [0.90, 0.91], "tanh": [0.93, 0.946]})
    assert (found.undecided, found.significant, found.suggested) == (True, False, "relu")
    text = "undecided: tanh is ahead of relu by 3.3 points, but 2 seeds notice no difference below "
    assert found.sentence.startswith(text)
    assert found.sentence.endswith("would notice 3.3 points")
    seeds = int(found.sentence.split("about ")[1].split(" seeds")[0])
    sd = np.std([0.03, 0.036], ddof=1)
    assert paired.power(0.033, sd, seeds, 0.05) >= 0.8 > paired.power(0.033, sd, seeds - 1, 0.05)
    # the baseline may be ahead, or nobody by much
    assert judge({"relu": [0.93, 0.946], "tanh": [0.90, 0.91]}).sentence.startswith(
        "undecided: relu is ahead of tanh by 3.3 points, but 2 seeds"
    )
    close = judge({"relu": [0.90, 0.93], "tanh": [0.93, 0.9002]}).sentence
    assert "about 16 seeds would notice " in close
    # not "below 119 points": no two shares are so far apart
    assert "but 2 seeds notice no difference that there can be; " in close
    level = judge({"relu": [1.0, 2.0], "tanh": [2.0, 1.0]}, metric="mae", maximize=False).sentence
    assert level.startswith(
        "undecided: tanh and relu are equal, but 2 seeds notice no difference below "
    )
    assert level.endswith("try 16 seeds")
    # what is surely worse on three seeds leaves nothing open
    assert judge({"relu": [0.9, 0.91, 0.92], "tanh": [0.1, 0.111, 0.12]}).sentence.startswith(
        "keep relu"
    )


def test_noise_as_large_as_all_that_can_be_gained_decides_nothing():
    given = {
        "relu": np.full(8, 0.98),
        "mish": 0.985 + 0.02 * np.array([-1, 0.5, -0.5, 1, 0.7, -0.7, 0.6, -0.6]),
    }
    assert judge(given).undecided
    losses = {name: 1 - values for name, values in given.items()}
    assert judge(losses, metric="loss", maximize=False).undecided
    # more can be gained there, or none is ahead
    assert not judge({name: values - 0.4 for name, values in given.items()}).undecided
    assert not judge({"relu": given["relu"] + 0.01, "mish": given["mish"]}).undecided
    assert not judge(losses, metric="error", maximize=True).undecided


def test_seeds_that_would_decide_are_those_of_the_tables():
    # G*Power, t tests, matched pairs, two-sided 5 %, power 0.8: d_z 0.5 takes 34 pairs, 0.8 takes
    # 15, 1.0 takes 10
    assert [paired.needed(effect, 0.05) for effect in (0.5, 0.8, 1.0)] == [34, 15, 10]
    assert paired.needed(1e-3, 0.05) is None
    assert [paired.needed_signs(level) for level in (0.05, 0.05 / 3, 0.25, 0.26)] == [6, 7, 4, 3]


CHANCE = Guess(0.34, "always the most frequent class")


def test_nothing_that_only_guesses_is_kept():
    given = {"relu": [0.34, 0.33, 0.34, 0.33], "leaky_relu": [0.33, 0.38, 0.35, 0.36]}
    found = judge(given, guess=CHANCE)
    assert found.sentence.startswith(
        "no candidate learned more than guessing: the best, leaky_relu, has 35.50 % accuracy, and always the most "
        "frequent class has 34.00 %; try more epochs"
    )
    assert (found.significant, found.winner, found.suggested, found.undecided) == (
        False,
        None,
        "relu",
        False,
    )
    assert "±" not in str(found)
    # with eight seeds above it, which is no chance, something was learned
    many = {"relu": [0.34, 0.33] * 8, "leaky_relu": [0.36, 0.365] * 8}
    assert judge(many, guess=CHANCE).winner == "leaky_relu"
    # and where one of a few did, even if only on some seeds
    some = {"relu": [0.34, 0.33], "leaky_relu": [0.33, 0.95]}
    assert judge(some, guess=CHANCE).sentence.startswith("undecided")
    # constant scores at the guess, a little above on few seeds and on many
    for n, learned in ((4, False), (8, True)):
        flat = judge({"relu": np.full(n, 0.34), "mish": np.full(n, 0.35)}, guess=CHANCE)
        assert flat.sentence.startswith("no candidate") != learned


def test_candidates_that_guess_and_each_diverged_on_a_seed_have_an_answer():
    given = {"relu": [0.34, 0.33, np.nan, 0.34], "mish": [0.33, np.nan, 0.34, 0.33]}
    found = judge({**given, "elu": [np.nan] * 4}, guess=CHANCE)
    assert found.withheld.startswith(
        "no candidate learned more than guessing: the best, relu, has 33.67 % accuracy"
    )
    assert "relu" in str(found)


def test_where_guessing_is_always_right_the_data_are_at_fault():
    always = Guess(1.0, "always the most frequent class")
    found = judge({"relu": [1.0, 1.0, 1.0], "mish": [1.0, 0.5, 1.0]}, guess=always)
    assert found.sentence == (
        "no candidate can be better than guessing: always the most frequent class has 100.00 % accuracy on the "
        "scored data"
    )
    assert found.suggested == "relu"
    assert "Score them where one answer is not right for all" in str(found)
    assert "Train longer" not in str(found)


def test_the_code_to_use_initializes_as_the_candidates_were():
    found = judge({"relu": [0.8, 0.81, 0.8], "mish": [0.9, 0.911, 0.9]})
    assert "model = with_activations(model, 'mish')" in pages.use(found).parts[1].lines
    rescaled = dataclasses.replace(found, rescale_init=True)
    code = pages.use(rescaled).parts[1].lines
    assert "model = with_activations(model, 'mish', rescale_init=True)" in code


def test_an_error_above_that_of_the_mean_is_no_learning():
    mean = Guess(2.0, "always the mean of the targets")
    noise = np.array([-0.05, 0.03, 0.04, -0.02])
    found = judge(
        {"relu": 2.1 + noise, "mish": 1.99 - noise}, metric="loss", maximize=False, guess=mean
    )
    assert found.sentence.startswith(
        "no candidate learned more than guessing: the best, mish, has 1.99 loss"
    )
    better = judge(
        {"relu": 2.1 + noise, "mish": 1.0 - noise}, metric="loss", maximize=False, guess=mean
    )
    assert better.winner == "mish"
    assert "Guessing (always the mean of the targets): loss 2 on the test data." in str(better)


def test_equal_candidates_that_guess_are_seldom_said_to_have_learned():
    rng = np.random.default_rng(0)
    wrong, verdicts = 0, 400
    for _ in range(verdicts):
        # 8 seeds of 3 candidates whose answers are those of chance, on 1000 samples
        given = {name: rng.binomial(1000, 0.34, 8) / 1000 for name in ("relu", "mish", "gelu")}
        wrong += not judge(given, guess=CHANCE).sentence.startswith("no candidate learned")
    assert wrong <= stats.binom.isf(0.01, verdicts, 0.05)


def curves(*ends, epochs=8, seeds=4, activations=("relu", "mish")):
    """Validation scores that rise by so much an epoch at the end."""
    rng = np.random.default_rng(0)
    early = np.minimum(np.arange(epochs), 4)[:, None]
    late = np.maximum(np.arange(epochs) - 4, 0)[:, None]
    values = (
        0.5
        + 0.05 * early
        + late * np.array(ends)
        + 0.001 * rng.normal(size=(seeds, epochs, len(ends)))
    )
    return Runs(
        activations,
        tuple(range(seeds)),
        {"val_accuracy": values},
        {},
        np.zeros((seeds, len(ends)), bool),
    )


def test_what_was_still_improving_may_change():
    line = "All candidates were still improving in the last quarter of their epochs, by "
    rising = judge(scores(0.9, 0.91, n=4), runs=curves(0.02, 0.03))
    assert set(rising.improving) == {"relu", "mish"}
    assert rising.improving["mish"] == pytest.approx(2 * 0.03, abs=0.005)
    assert f"{line}4." in rising.to_markdown()
    assert "Train longer" in str(rising)
    for runs in (
        curves(0.02, 0.0),
        curves(0.0, 0.0),
        curves(0.02, -0.02),
        curves(0.02, 0.02, epochs=1),
        None,
    ):
        assert line not in str(judge(scores(0.9, 0.91, n=4), runs=runs))
    # an error falls
    falling = curves(-0.02, -0.02)
    assert set(learning_curves.late_gains(falling, "accuracy", False)) == {"relu", "mish"}
    assert not learning_curves.late_gains(falling, "accuracy", True)


def test_seeds_that_change_nothing_are_no_replicates():
    values = np.broadcast_to(np.arange(6.0).reshape(1, 3, 2), (4, 3, 2))
    runs = Runs(("relu", "mish"), (0, 1, 2, 3), {"loss": values}, {}, np.zeros((4, 2), bool))
    assert runs.identical
    found = judge({"relu": np.full(4, 0.5), "mish": np.full(4, 0.6)}, runs=runs)
    assert found.sentence.startswith(
        "no verdict: the seeds change nothing, every run of a candidate is the same"
    )
    other = values.copy()
    other[2, 1, 1] += 1e-6
    assert not Runs(
        ("relu", "mish"), (0, 1, 2, 3), {"loss": other}, {}, np.zeros((4, 2), bool)
    ).identical
    assert not Runs(
        ("relu", "mish"), (0,), {"loss": values[:1]}, {}, np.zeros((1, 2), bool)
    ).identical
