"""The verdict's arithmetic: against known values and SciPy, by simulation, and in words."""

import ast
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from keras_acts.search import looks, paired
from keras_acts.search.judge import judge
from keras_acts.search.runs import Runs

# NumPy, SciPy and text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once

SEARCH = Path(__file__).parents[1] / "search"


def scores(*means, n=16, sd=0.003, seed=0, names=("relu", "mish", "gelu", "silu")):
    """Scores of candidates whose sample means are exact."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, mean in zip(names, means, strict=False):
        noise = rng.normal(size=n)
        made[name] = mean + sd * (noise - noise.mean()) / noise.std(ddof=1)
    return made


def test_the_arithmetic_imports_no_tensorflow():
    seen, waiting = set(), ["judge"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for node in ast.walk(ast.parse((SEARCH / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.module, "a plain `from . import`"
                waiting += {node.module} - seen
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                for package in (name.partition(".")[0] for name in names):
                    assert package in {"numpy", "scipy", "pandas", "rich"} | set(sys.stdlib_module_names)
    assert seen == {"judge", "verdict", "verdict_report", "looks", "paired", "runs"}


def test_holm_is_that_of_r():
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([0.5, 0.9]) == [1, 1]
    assert paired.holm([]) == []


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


def test_the_smallest_p_and_its_interval_say_the_same():
    for seed in range(50):
        given = scores(0.93, 0.932, 0.9305, 0.931, n=6, seed=seed)
        found = paired.compare(given, [(name, "relu") for name in list(given)[1:]])
        best = min(found, key=lambda c: c.p)
        assert best.significant == (best.low > 0 or best.high < 0)


def test_power_is_that_of_the_tables():
    # G*Power, t tests, matched pairs, two-sided: d_z = 0.5, n = 34 has power 0.8078
    assert paired.power(0.5, 1, 34, 0.05) == pytest.approx(0.8078, abs=1e-4)


def test_what_a_study_says_it_detects_is_found_by_another():
    rng, studies = np.random.default_rng(0), 20_000
    for n in (4, 16):
        said = [paired.detectable(sd, n, 0.01) for sd in rng.normal(size=(studies, n)).std(axis=1, ddof=1)]
        other = rng.normal(size=(studies, n)) + np.array(said)[:, None]
        found = stats.ttest_1samp(other, 0, axis=1).pvalue < 0.01
        assert stats.binomtest(int(found.sum()), studies, 0.8).pvalue > 0.01


def test_the_levels_are_those_of_the_tables():
    # Jennison and Turnbull 2000, Lan-DeMets, O'Brien-Fleming type, four equal steps: 4.333, 2.963, 2.359, 2.014
    found = looks.levels((4, 8, 12, 16))
    assert stats.norm.isf(np.array(found) / 2) == pytest.approx([4.333, 2.963, 2.359, 2.014], abs=1e-3)
    assert looks.levels((9,)) == pytest.approx((0.05,))
    assert looks.spent(1) == pytest.approx(0.05)


def test_looks_are_planned_from_the_middle_on():
    assert looks.planned(16, 3) == (8, 12, 16)
    assert looks.planned(16, 1) == (16,)
    assert looks.planned(8, 2) == (4, 8)
    assert [looks.planned(n, 3) for n in (2, 3, 5)] == [(2,), (2, 3), (3, 4, 5)]


def test_a_look_ends_what_is_clear_only():
    def decision(*means, n):
        return looks.look(scores(*means, n=n), "relu", (8, 12, 16)).decision

    assert decision(0.93, 0.945, 0.93, n=8) == "clear"
    assert decision(0.93, 0.933, 0.93, n=8) == "more seeds"
    assert decision(0.93, 0.9, 0.91, n=8) == "worse"
    assert decision(0.93, 0.9, 0.9305, n=12) == "more seeds"
    assert decision(0.93, 0.94, n=16) == "last"
    alone = looks.look(scores(0.93, n=8), "relu", (8, 12, 16))
    assert (alone.decision, alone.leader) == ("nothing", "relu")
    same = {"relu": np.full(8, 0.5), "mish": np.full(8, 0.5)}
    assert looks.look(same, "relu", (8, 16)).decision == "nothing"


def test_error_rates_hold_under_looks():
    """Validation and test scores of a seed correlate by 0.5; 3 candidates; differences of 0 and of 3 sd."""
    rng, plan, searches = np.random.default_rng(0), (8, 12, 16), 300
    names, truth = ("relu", "a", "b", "c"), np.array([0.5, 0.5, 0.5, 0.53])
    false, missed, ended = 0, 0, []
    for _ in range(searches):
        common = rng.normal(size=(16, 4))
        validation, test = (truth + 0.01 * (common + rng.normal(size=(16, 4))) / 2**0.5 / 2**0.5 for _ in range(2))
        for n in plan:
            done = looks.look(dict(zip(names, validation[:n].T, strict=True)), "relu", plan)
            if done.stop:
                break
        found = judge(dict(zip(names, test[:n].T, strict=True)))
        false += bool({"a", "b"} & set(found.beat))
        missed += any(not c.low <= truth[names.index(c.first)] - 0.5 <= c.high for c in found.against_baseline)
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
    text = "no significant winner among mish, gelu, silu; all three beat relu (16 seeds, p < 0.001); "
    for seconds, suggested, reason in (
        ({"relu": 1, "mish": 3, "gelu": 2, "silu": 4}, "gelu", "the cheapest"),
        ({"relu": 1, "mish": 3, "gelu": 2.02, "silu": 2}, "gelu", "the best on average, where gelu and silu cost"),
        ({"relu": 1, "mish": 2, "gelu": 2.02, "silu": 2}, "mish", "the best on average, where all cost the same"),
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
    assert found.sentence.startswith("keep relu: nothing beats it significantly (16 seeds; a difference of 0.")
    assert found.sentence.endswith("points would have been found with 80 % power)")
    worst = max(c.detectable for c in found.against_baseline)
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


def test_no_precision_is_claimed_where_there_is_none():
    given = scores(0.93, 0.94, 0.935)
    nan = np.full(16, np.nan)
    some = np.where(np.arange(16) < 3, np.nan, given["mish"])
    for changed, sentence in (
        ({name: v[:1] for name, v in given.items()}, "no verdict: one seed says nothing about the noise"),
        ({name: v[:0] for name, v in given.items()}, "no verdict: no seed was trained to its end"),
        ({"relu": given["relu"]}, "no verdict: there is nothing to compare relu with"),
        ({"relu": np.full(16, 0.9), "mish": np.full(16, 0.9)}, "no verdict: from seed to seed the accuracy differs by"),
        ({"relu": given["relu"], "mish": given["relu"] + 0.01}, "no verdict: from seed to seed"),
        (dict.fromkeys(given, nan), "no verdict: every candidate diverged (relu on 16, mish on 16 and gelu on 16 of"),
        ({**given, "relu": some}, "no verdict: relu diverged on 3 of 16 seeds, so nothing"),
        ({"relu": given["relu"], "mish": some}, "keep relu: all others diverged (mish on 3 of 16 seeds)"),
    ):
        found = judge(changed)
        assert found.sentence.startswith(sentence)
        assert (found.significant, found.winner, found.suggested) == (False, None, "relu")
        assert not any(np.isfinite([c.p, c.low, c.high]).any() for c in found.against_baseline)
    assert judge(given, withheld="no verdict: too small").sentence == "no verdict: too small"


def test_a_diverged_candidate_is_not_compared():
    given = scores(0.93, 0.94, 0.935)
    given["mish"][:3] = np.nan
    found = judge(given)
    assert [c.first for c in found.against_baseline] == ["gelu"]
    assert found.winner == "gelu"
    (row,) = (c for c in found.candidates if c.activation == "mish")
    assert (row.n, row.diverged, found.seeds) == (13, 3, 16)


def test_more_comparisons_make_wider_intervals():
    few, many = judge(scores(0.93, 0.94)), judge(scores(0.93, 0.94, 0.935, 0.931))
    assert many.against_baseline[0].margin > few.against_baseline[0].margin
    assert {(c.first, c.second) for c in many.among} == set(itertools.combinations(("mish", "gelu", "silu"), 2))


def test_the_candidates_among_themselves_get_half_of_the_errors():
    given = scores(0.93, 0.94, 0.939)
    (among,) = judge(given).among
    alone = stats.ttest_rel(given["mish"], given["gelu"])
    assert among.p == pytest.approx(2 * alone.pvalue)
    assert (among.low, among.high) == pytest.approx(tuple(alone.confidence_interval(0.975)))


def test_bad_scores_are_refused():
    with pytest.raises(ValueError, match=r"among the candidates \['mish'\]. Received: baseline='relu'"):
        judge({"mish": [0.5, 0.6]})
    with pytest.raises(ValueError, match=r"all as many. Received: shapes .*\(3,\)"):
        judge({"relu": [0.5, 0.6], "mish": [0.5, 0.6, 0.7]})
    with pytest.raises(ValueError, match="runs=None"):
        judge(scores(0.93, 0.94)).to_pandas()


def test_p_values_are_written_with_the_digits_they_have():
    assert [paired.p_text(p) for p in (0, 0.00099, 0.0123, 0.25)] == ["p < 0.001", "p < 0.001", "p = 0.012", "p = 0.25"]


def test_runs_are_a_tidy_table():
    history = {"loss": np.arange(12.0).reshape(2, 3, 2), "val_accuracy": np.arange(12.0).reshape(2, 3, 2) / 12}
    test = {"accuracy": np.array([[0.1, 0.2], [0.3, 0.4]])}
    runs = Runs(("relu", "mish"), (5, 9), history, test, np.array([[False, False], [False, True]]))
    table = runs.to_pandas()
    assert list(table) == ["activation", "seed", "epoch", "loss", "val_accuracy", "test_accuracy", "diverged"]
    assert len(table) == 12
    row = table[(table.seed == 9) & (table.epoch == 2) & (table.activation == "mish")].iloc[0]
    assert (row.loss, row.diverged) == (9, True)
    assert np.isnan(row.test_accuracy)
    last = table[table.epoch == 3].set_index(["seed", "activation"]).test_accuracy
    assert dict(last) == {(5, "relu"): 0.1, (5, "mish"): 0.2, (9, "relu"): 0.3, (9, "mish"): 0.4}
    np.testing.assert_array_equal(runs.scores("accuracy", "test"), [[0.1, 0.2], [0.3, np.nan]])
    np.testing.assert_array_equal(runs.scores("accuracy", "validation"), [[4 / 12, 5 / 12], [10 / 12, np.nan]])
