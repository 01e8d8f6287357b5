"""How often equal candidates falsely beat a baseline, where each has a learning rate of its own. No training.

    python -m benchmarks.rate_choice [--verdicts 800] [--seeds 16] [--quick]

Three candidates are as good as the baseline, each at its own best rate of five. A step away from it costs so many
deviations from seed to seed. The best rates are the same, or the candidates' are one step from the baseline's. Each
verdict chooses the rates on four seeds with the product's own code, and judges on others:

- "as it is": `choose`, and the better of the baseline's two rates;
- "baseline at one": the same with the chosen rate of the baseline only;
- "one rate for all": the rate with the best mean over all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.rates import study

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


if __name__ == "__main__":
    main()
