"""How often equal candidates falsely beat a baseline, where each has a learning rate of its own. No training.

    python -m benchmarks.rate_choice [--verdicts 800] [--seeds 16] [--quick]

Three candidates are as good as the baseline, each at its own best rate of five. A step away from it costs so many
deviations from seed to seed. The best rates are the same, or the candidates' are one step from the baseline's. Each
verdict chooses the rates on four seeds with the product's own code, and judges on others:

- "as it is": `choose`, and the better of the baseline's two rates;
- "baseline at one": the same with the chosen rate of the baseline only;
- "one rate for all": the rate with the best mean over all.

A second table: how often a difference of two candidates is falsely said to be about the rate, and how often it is found
where a candidate loses two deviations by its rate, on the same four seeds, by the product's test and by a paired one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.machine import environment, parsed
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.paired import ALPHA
from keras_acts.search.verdict.rates import RateStudy, study

NAMES = ("relu", "mish", "gelu", "tanh")
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
BEST = 2  # the baseline's, of the factors
SEEDS_OF_CHOICE = 4
COSTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.2)

# scores by name, and the indices of the rates, once the rates are chosen
Judged = Callable[[int, int], np.ndarray]
Rule = Callable[[np.ndarray, Judged], dict[str, np.ndarray]]


def as_it_is(scores: np.ndarray, judged: Judged) -> dict[str, np.ndarray]:
    """The product's rule."""
    found = study(NAMES, FACTORS, scores, metric="score", maximize=True)
    result = {name: judged(k, found.chosen[k]) for k, name in enumerate(NAMES)}
    other = found.alternative(NAMES[0])
    if other is not None:
        again = judged(0, FACTORS.index(other))
        result[NAMES[0]] = max(result[NAMES[0]], again, key=np.mean)
    return result


def baseline_at_one(scores: np.ndarray, judged: Judged) -> dict[str, np.ndarray]:
    """Without the baseline's second rate."""
    found = study(NAMES, FACTORS, scores, metric="score", maximize=True)
    return {name: judged(k, found.chosen[k]) for k, name in enumerate(NAMES)}


def one_for_all(scores: np.ndarray, judged: Judged) -> dict[str, np.ndarray]:
    """The rate with the best mean over all candidates."""
    best = int(scores.mean(axis=(0, 2)).argmax())
    return {name: judged(k, best) for k, name in enumerate(NAMES)}


RULES: dict[str, Rule] = {
    "as it is": as_it_is,
    "baseline at one": baseline_at_one,
    "one rate for all": one_for_all,
}


def false_beats(rule: Rule, cost: float, step: int, verdicts: int, seeds: int) -> float:
    """The share of verdicts in which any candidate beats the baseline."""
    rng = np.random.default_rng(0)
    best = np.array([BEST, *[BEST + step] * (len(NAMES) - 1)])
    means = -cost * np.abs(np.arange(len(FACTORS)) - best[:, None])
    count = 0
    for _ in range(verdicts):
        # half of the variance is common to the rates of a seed
        common = rng.normal(size=(len(NAMES), 1, SEEDS_OF_CHOICE)) * np.sqrt(0.5)
        own = rng.normal(size=(*means.shape, SEEDS_OF_CHOICE)) * np.sqrt(0.5)
        scores = means[:, :, None] + common + own

        def judged(k: int, index: int) -> np.ndarray:
            return np.asarray(means[k, index] + rng.normal(size=seeds))

        verdict = judge(rule(scores, judged), metric="score")
        count += bool(verdict.beat)
    return count / verdicts


OWN = 2  # the model's own rate, of the factors; the last is the chosen one
CHOSEN = 4
LOST = 2.0
KINDS = {
    "alike": np.ones(len(FACTORS)),
    "three times from the lowest rate to the highest": np.linspace(0.6, 1.8, len(FACTORS)),
    "twice at the chosen rate": np.array([1.0, 1.0, 1.0, 1.0, 2.0]),
}
NOISIER = 2.5


def _explained(candidates: int, noise: np.ndarray, lost: float, count: int) -> tuple[float, float]:
    """How often the product says that the rate explains a difference, and how often a paired test does."""
    rng = np.random.default_rng(0)
    names = [f"candidate {k}" for k in range(candidates)]
    by_product = 0
    by_pairs = 0
    for _ in range(count):
        common = rng.normal(size=(candidates, 1, SEEDS_OF_CHOICE)) * np.sqrt(0.5)
        own = rng.normal(size=(candidates, len(FACTORS), SEEDS_OF_CHOICE)) * np.sqrt(0.5)
        scores = (common + own) * noise
        scores[1, CHOSEN] += lost
        found = RateStudy(
            tuple(names), FACTORS, scores, "score", maximize=True, chosen=(CHOSEN,) * candidates
        )
        by_product += found.explains(names[1], names[0])
        gains = scores[:, CHOSEN] - scores[:, OWN]
        by_pairs += bool(stats.ttest_1samp(gains[1] - gains[0], 0).pvalue < ALPHA)
    return by_product / count, by_pairs / count


def explanations(count: int) -> Table:
    """How often a difference is said to be about the rate: where it is not, and where it is."""
    table = Table("candidates", "noise", box=MARKDOWN)
    for what in ("falsely", "falsely, by pairs", "found", "found, by pairs"):
        table.add_column(what, justify="right")
    # of fewer the product makes a paired test
    for candidates in (4, 9):
        one_noisier = np.ones((candidates, 1, 1))
        one_noisier[1] = NOISIER
        kinds = {name: of_rates[:, None] for name, of_rates in KINDS.items()}
        kinds[f"{NOISIER:g} times in one candidate"] = one_noisier
        for name, noise in kinds.items():
            falsely = _explained(candidates, noise, 0.0, count)
            found = _explained(candidates, noise, LOST, count)
            cells = [f"{100 * share:.1f} %" for share in (*falsely, *found)]
            table.add_row(f"{candidates}", name, *cells)
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verdicts", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=16, help="of each verdict")
    arguments = parsed(parser, verdicts=50)
    console = Console(width=140, highlight=False)
    console.print(environment(), soft_wrap=True)
    table = Table("rule", "best rates", *(f"a step costs {cost}" for cost in COSTS), box=MARKDOWN)
    for name, rule in RULES.items():
        for step, where in ((0, "the same"), (1, "one step apart")):
            row = []
            for cost in COSTS:
                share = false_beats(rule, cost, step, arguments.verdicts, arguments.seeds)
                row.append(f"{100 * share:.1f} %")
            table.add_row(name, where, *row)
    console.print(table)
    console.print(explanations(5 * arguments.verdicts))


if __name__ == "__main__":
    main()
