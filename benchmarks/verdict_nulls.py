"""How often the verdict errs where scores are not kind: skewed, failing, of unequal noise, or tied.

Part of `python -m benchmarks.verdict`. Beside each rate of the verdict stands what Student's paired
t test alone would do with the same scores, Bonferroni's levels and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from rich.table import Table
from scipy import stats

from benchmarks.verdict_narrow import NAMES, NarrowBank
from keras_acts.search.strategy.direction import more_is_better
from keras_acts.search.verdict.failures import failed_runs
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.paired import ALPHA
from keras_acts.search.verdict.sequential import look, planned
from keras_acts.search.verdict.verdict import Guess, Verdict

EQUAL = ("relu", "a", "b", "c")
COUNTS = (8, 16)
GUESS = Guess(0.1, "always the most frequent class")
Scores = dict[str, np.ndarray]
# draws validation and test scores of some seeds
Draw = Callable[[np.random.Generator, int], tuple[Scores, Scores]]


@dataclass(frozen=True)
class Null:
    """Candidates none of which is better than another.

    Attributes:
        name: what they are like.
        draw: their scores on some seeds; the validation scores decide at looks.
        baseline: the name of the baseline.
        guess: what guessing has.
        maximize: whether higher is better.
        looks: whether there are looks at the validation scores.
        promised: what may be wrong, as far as the verdict promises it.
        worse: candidates that are truly worse, as they fail: to beat them is no error.
    """

    name: str
    draw: Draw
    baseline: str = "relu"
    guess: Guess = GUESS
    maximize: bool = True
    looks: bool = False
    promised: str = "<= 5 %"
    worse: tuple[str, ...] = ()


@dataclass
class Errors:
    """How many verdicts were wrong.

    Attributes:
        beats: that say "beats" anywhere.
        student: in which Student's t alone would.
        covered: all of whose intervals hold 0.
        student_covered: all of whose intervals would, if they were Student's.
        intervals: that have any.
    """

    beats: int = 0
    student: int = 0
    covered: int = 0
    student_covered: int = 0
    intervals: int = 0


def nulls(banks: list[NarrowBank], searches: int, table: Table) -> None:
    """Measure all nulls, each with 8 and with 16 seeds."""
    for null in (*_of_banks(banks), *_made()):
        for seeds in COUNTS:
            errors = measure(null, searches, seeds)
            table.add_row(
                null.name,
                str(seeds),
                null.promised,
                share(errors.beats, searches),
                share(errors.student, searches),
                share(errors.covered, errors.intervals),
                share(errors.student_covered, searches),
            )


def share(count: int, of: int) -> str:
    """Return a share with its exact 95 % interval."""
    if not of:
        return ""
    interval = stats.binomtest(count, of).proportion_ci()
    return f"{100 * count / of:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def measure(null: Null, searches: int, seeds: int) -> Errors:
    """Return how often verdicts on equal candidates are wrong."""
    rng = np.random.default_rng(0)
    errors = Errors()
    for _ in range(searches):
        validation, test = null.draw(rng, seeds)
        found = _verdict(null, validation, test, seeds)
        errors.beats += _says_beats(found, null.worse)
        with_interval = [c for c in found.against_baseline if not np.isnan(c.low)]
        errors.intervals += bool(with_interval)
        errors.covered += bool(with_interval) and all(c.low <= 0 <= c.high for c in with_interval)
        beats, covered = _student(test, null)
        errors.student += beats
        errors.student_covered += covered
    return errors


def _verdict(null: Null, validation: Scores, test: Scores, seeds: int) -> Verdict:
    """Do with drawn scores what the product does with new ones."""
    trained = seeds
    if null.looks:
        direction = "min"
        if null.maximize:
            direction = "max"
        signed = {name: more_is_better(v, direction) for name, v in validation.items()}
        plan = planned(seeds, 3)
        for trained in plan:
            if look(_first(signed, trained), null.baseline, plan).stop:
                break
    return judge(
        _first(test, trained),
        baseline=null.baseline,
        guess=null.guess,
        maximize=null.maximize,
    )


def _first(scores: Mapping[str, np.ndarray], seeds: int) -> Scores:
    return {name: values[:seeds] for name, values in scores.items()}


def _says_beats(verdict: Verdict, worse: tuple[str, ...]) -> bool:
    """Whether it says "beats" anywhere, but of one that is truly worse."""
    wrong = verdict.significant and verdict.baseline not in worse
    for comparison in verdict.among:
        truly = set(worse) & {comparison.first, comparison.second}
        wrong = wrong or (comparison.significant and not truly)
    return wrong


def _student(test: Scores, null: Null) -> tuple[bool, bool]:
    """Whether Student's t says "beats" anywhere, and whether all its intervals hold 0."""
    others = [name for name in test if name != null.baseline]
    level = ALPHA / len(others)
    beats = False
    covered = True
    for name in others:
        found = stats.ttest_rel(test[name], test[null.baseline])
        if found.pvalue < level:
            covered = False
            beats = beats or (found.statistic > 0) == null.maximize
    pairs = list(combinations(others, 2))
    for first, second in pairs:
        beats = beats or stats.ttest_rel(test[first], test[second]).pvalue < ALPHA / 2 / len(pairs)
    return bool(beats), covered


# real runs


def _of_banks(banks: list[NarrowBank]) -> Iterator[Null]:
    """Real activations, shifted so that the trainings that do not fail have equal means."""
    for bank in banks:
        scores = dict(zip(NAMES, bank.test.T, strict=True))
        failed = failed_runs(scores, maximize=bank.maximize, guess=bank.guess)
        shifts = _shifts(bank.test, np.stack([failed[name] for name in NAMES], axis=1))
        rates = ", ".join(f"{100 * failed[name].mean():.1f}" for name in NAMES)
        # the one with the most skewed scores as baseline, then as a candidate
        for baseline in ("relu", "tanh"):
            yield Null(
                f"{bank.name}, {baseline} as baseline (fail: {rates} %)",
                _from(bank, shifts),
                baseline=baseline,
                guess=Guess(bank.guess, "a constant"),
                maximize=bank.maximize,
                looks=True,
            )


def _shifts(test: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """What makes the means of all candidates equal; failed trainings stay where they are."""
    means = [test[~failed[:, k], k].mean() for k in range(test.shape[1])]
    return np.where(failed, 0.0, np.mean(means) - np.array(means))


def _from(bank: NarrowBank, shifts: np.ndarray) -> Draw:
    def draw(rng: np.random.Generator, seeds: int) -> tuple[Scores, Scores]:
        rows = rng.integers(len(bank.test), size=seeds)
        # a validation score is shifted as the test score of its run
        validation = bank.validation[rows] + shifts[rows]
        test = bank.test[rows] + shifts[rows]
        return dict(zip(NAMES, validation.T, strict=True)), dict(zip(NAMES, test.T, strict=True))

    return draw


# scores that are made


@dataclass(frozen=True)
class Noise:
    """How the scores of one candidate spread around their mean.

    Attributes:
        deviation: the standard deviation.
        skewness: of a gamma distribution, 2 is exponential; with a tail of good runs above 0, of bad
            ones below, normal at 0.
        fails: how often a training fails.
        gain: what the others gain, so that the mean of all is that of a candidate that never fails.
    """

    deviation: float = 0.005
    skewness: float = 0.0
    fails: float = 0.0
    gain: float = 0.0


@dataclass(frozen=True)
class Made:
    """Scores of four candidates; those that are normal share half of their variance on each seed.

    Attributes:
        noises: of the candidates, by their names; the others have normal scores.
        samples: in the test data, so that scores are tied; None for any.
    """

    noises: Mapping[str, Noise] = field(default_factory=dict)
    samples: int | None = None

    def __call__(self, rng: np.random.Generator, seeds: int) -> tuple[Scores, Scores]:
        """Draw scores; nothing looks at the validation scores."""
        shared = rng.normal(size=seeds)
        test = {}
        for name in EQUAL:
            noise = self.noises.get(name, Noise())
            spread = (shared + rng.normal(size=seeds)) / np.sqrt(2)
            if noise.skewness:
                shape = 4 / noise.skewness**2
                gamma = (rng.gamma(shape, size=seeds) - shape) / np.sqrt(shape)
                spread = np.sign(noise.skewness) * gamma
            values = 0.8 + noise.gain + noise.deviation * spread
            values = np.where(rng.random(seeds) < noise.fails, GUESS.score, values)
            if self.samples is not None:
                values = np.round(values * self.samples) / self.samples
            test[name] = values
        return test, test


def _made() -> Iterator[Null]:
    yield Null("normal scores", Made())
    for skewness, promised in ((1, "<= 5 %"), (2, "not promised")):
        for what, noises in (
            ("a, b: tails of good runs", {name: Noise(0.02, skewness) for name in "ab"}),
            ("a, b: tails of bad runs", {name: Noise(0.02, -skewness) for name in "ab"}),
            ("the baseline: a tail of bad runs", {"relu": Noise(0.02, -skewness)}),
        ):
            yield Null(f"{what}, skewness {skewness}", Made(noises), promised=promised)
    yield Null("a: five times the deviation", Made({"a": Noise(0.025)}))
    yield Null("100 samples: ties", Made(samples=100))
    yield Null("a fails in 5 %", Made({"a": Noise(fails=0.05)}))
    # so often that it is worse indeed, and others may say so
    yield Null("a fails in 20 %", Made({"a": Noise(fails=0.2)}), worse=("a",))
    yield Null("relu fails in 5 %", Made({"relu": Noise(fails=0.05)}))
    yield Null("all fail in 10 %", Made({n: Noise(fails=0.1) for n in EQUAL}))
    # what no test of few seeds can know: rare failures, made up for by better scores
    for fails in (0.05, 0.2):
        gain = (0.8 - GUESS.score) * fails / (1 - fails)
        yield Null(
            f"a fails in {100 * fails:.0f} %, and is better by {100 * gain:.1f} points else",
            Made({"a": Noise(fails=fails, gain=gain)}),
            promised="not promised",
        )
