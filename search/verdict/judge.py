"""Scores in, a verdict out. No TensorFlow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ..strategy.rounding import is_rounding
from .failures import failed_runs, to_learn
from .paired import ALPHA, Comparison, compare
from .rates import RateStudy
from .runs import Runs
from .sequential import Look
from .verdict import Guess, Scored, Verdict, reach_one
from .words import Unit, all_seeds, is_share_by_name, named

# of what there is to learn: more is no chance, even on two seeds
_LEARNED = 0.05
# What the comparisons of candidates among themselves may err: with the 2.5 % of verdicts that falsely
# say "beats the baseline" it makes 4. The last percent is kept for scores that are skewed: narrow
# nets (`python -m benchmarks.verdict`) would take the whole to 5.5 and 7.
_AMONG = 0.3 * ALPHA


def judge(
    scores: Mapping[str, ArrayLike],
    *,
    baseline: str = "relu",
    metric: str = "accuracy",
    maximize: bool = True,
    part: str = "test",
    seconds: Mapping[str, float] | None = None,
    withheld: str = "",
    looks: Sequence[Look] = (),
    runs: Runs | None = None,
    guess: Guess | None = None,
    losses: Mapping[str, ArrayLike] | None = None,
    loss_guess: Guess | None = None,
    share: bool | None = None,
    rates: RateStudy | None = None,
) -> Verdict:
    """Return the verdict on paired scores.

    Args:
        scores: for each candidate, the baseline too, one score a seed; nan where it diverged.
        baseline: its name.
        metric: of the scores.
        maximize: whether higher is better.
        part: the data that were scored.
        seconds: of inference, for each candidate.
        withheld: the sentence, if the scores shall not be compared.
        looks: the looks that decided on the number of seeds.
        runs: what to keep with the verdict.
        guess: what guessing has on the scored data. If no candidate has more, nothing is compared.
        losses: as `scores`, of the loss. Who is better than guessing in it has learned, whatever
            the score.
        loss_guess: what guessing has in the loss.
        share: whether the metric is a share of the samples; None where only its name can tell.
        rates: how the learning rates of the candidates were chosen, where they have their own.

    Raises:
        ValueError: if the baseline has no scores, or candidates differ in the number of seeds.

    Example:
        >>> judge({"relu": relu_scores, "mish": mish_scores}).sentence
        'mish beats relu by 0.98 ± 0.15 points (16 seeds, p < 0.001)'
    """
    given = {name: np.asarray(values, float) for name, values in scores.items()}
    _check_shapes(given, baseline)
    trained = {name: values for name, values in given.items() if np.isfinite(values).any()}
    low = _low_runs(trained, maximize, guess)
    # a run that diverged failed too: it is counted, as it has no score
    failed = {name: low[name] | ~np.isfinite(values) for name, values in trained.items()}
    candidates = _ranked(given, seconds or {}, low, maximize)
    if share is None:
        share = is_share_by_name(metric)
    unit = Unit(metric, share and reach_one(candidates, maximize))
    withheld = withheld or _not_comparable(given, trained, baseline, runs)
    if not withheld and guess is not None:
        learned = _any_learned(trained, guess, maximize)
        if not learned and losses is not None and loss_guess is not None:
            # a loss may aim elsewhere than the metric
            losses_of_trained = {name: np.asarray(losses[name]) for name in trained}
            learned = _any_learned(losses_of_trained, loss_guess, False)
        if not learned:
            withheld = _only_guessed(candidates, unit, guess)
    ranked = [scored.activation for scored in candidates if scored.n]
    others = []
    if baseline in trained:
        beside = {name for name in trained if _share_a_seed(trained[name], trained[baseline])}
        others = [name for name in ranked if name in beside - {baseline}]
    against: tuple[Comparison, ...] = ()
    among: tuple[Comparison, ...] = ()
    if not withheld:
        pairs = [(name, baseline) for name in others]
        against = compare(trained, pairs, failed=failed, maximize=maximize)
        withheld = _without_noise(against, metric)
    if withheld:
        against = ()
    else:
        pairs = []
        for first, second in itertools.combinations(others, 2):
            if _share_a_seed(trained[first], trained[second]):
                pairs.append((first, second))
        among = compare(trained, pairs, _AMONG, failed=failed, maximize=maximize)
    return Verdict(
        metric=metric,
        maximize=maximize,
        part=part,
        baseline=baseline,
        candidates=candidates,
        against_baseline=against,
        among=among,
        withheld=withheld,
        looks=tuple(looks),
        runs=runs,
        guess=guess,
        share=unit.share,
        rates=rates,
    )


def _check_shapes(scores: Mapping[str, np.ndarray], baseline: str) -> None:
    if baseline not in scores:
        raise ValueError(
            f"The baseline must be among the candidates {list(scores)}. Received: baseline={baseline!r}"
        )
    shapes = {name: values.shape for name, values in scores.items()}
    if len(set(shapes.values())) > 1 or scores[baseline].ndim != 1:
        raise ValueError(
            f"Every candidate needs one score a seed, all as many. Received: shapes {shapes}"
        )


def _low_runs(
    scores: Mapping[str, np.ndarray], maximize: bool, guess: Guess | None
) -> dict[str, np.ndarray]:
    """Which runs of each candidate failed though they did not diverge, over all its seeds."""
    guessed = None
    if guess is not None:
        guessed = guess.score
    finite = {name: values[np.isfinite(values)] for name, values in scores.items()}
    low = {}
    for name, failed in failed_runs(finite, maximize=maximize, guess=guessed).items():
        low[name] = np.zeros(len(scores[name]), bool)
        low[name][np.isfinite(scores[name])] = failed
    return low


def _share_a_seed(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether there is a seed on which neither of two candidates diverged."""
    return bool((np.isfinite(first) & np.isfinite(second)).any())


def _ranked(
    scores: Mapping[str, np.ndarray],
    seconds: Mapping[str, float],
    failed: Mapping[str, np.ndarray],
    maximize: bool,
) -> tuple[Scored, ...]:
    """The candidates, the best mean first, those without any last."""
    candidates = []
    for name, values in scores.items():
        failures = int(np.sum(failed.get(name, False)))
        candidates.append(_scored(name, values, seconds.get(name, math.nan), failures))

    def place(scored: Scored) -> tuple[bool, float]:
        if maximize:
            return scored.n == 0, -scored.mean
        return scored.n == 0, scored.mean

    return tuple(sorted(candidates, key=place))


def _scored(name: str, values: np.ndarray, seconds: float, failed: int) -> Scored:
    finite = values[np.isfinite(values)]
    mean = math.nan
    sd = math.nan
    if len(finite):
        mean = float(np.mean(finite))
    if len(finite) > 1:
        sd = float(np.std(finite, ddof=1))
    return Scored(name, mean, sd, len(finite), len(values) - len(finite), seconds, failed)


def _any_learned(scores: Mapping[str, np.ndarray], guess: Guess, maximize: bool) -> bool:
    """Whether one of the candidates has learned; together they err as one test does."""
    level = ALPHA / len(scores)
    for values in scores.values():
        finite = values[np.isfinite(values)]
        if len(finite) and _learned(finite, guess.score, maximize, level):
            return True
    return False


def _learned(scores: np.ndarray, guess: float, maximize: bool, level: float) -> bool:
    """Whether a candidate's scores are better than what guessing has.

    They are if their mean is better by a twentieth of what there is to learn, as far as that is
    known: of the way from the guess to 1 for a score that grows up to 1, of the way to 0 for an
    error. Or, however small it is, if a one-sided t test over the seeds sees it.
    """
    gains = guess - scores
    if maximize:
        gains = scores - guess
    mean = float(gains.mean())
    if not mean > 0 or is_rounding(mean, scores, np.array(guess)):
        return False
    if mean > _LEARNED * to_learn(scores, guess, maximize):
        return True
    n = len(gains)
    if n < 2:
        return False
    sd = float(gains.std(ddof=1))
    if is_rounding(sd, scores):
        # without a spread there is no t test: n equal signs, one-sided
        return 2.0**-n < level
    return bool(special.stdtr(n - 1, -mean / (sd / math.sqrt(n))) < level)


def _only_guessed(candidates: Sequence[Scored], unit: Unit, guess: Guess) -> str:
    """The sentence where nothing has learned, and what to try."""
    if unit.share and guess.score == 1:
        return (
            f"no candidate can be better than guessing: {guess.what} has {unit.score(1.0)} "
            f"{unit.metric} on the scored data"
        )
    # one that diverged on some of its seeds has a score on the others
    best = next(scored for scored in candidates if scored.n)
    return (
        f"no candidate learned more than guessing: the best, {best.activation}, has "
        f"{unit.score(best.mean)} {unit.metric}, and {guess.what} has {unit.score(guess.score)}; try more "
        "epochs, another learning rate or initialization, or inputs scaled to about 1"
    )


def _without_noise(against: Sequence[Comparison], metric: str) -> str:
    """Why comparisons say nothing where every seed gives the same; empty if they differ."""
    if not against or not all(c.same and c.difference == 0 for c in against):
        return ""
    others = [comparison.first for comparison in against]
    return (
        f"no verdict: {named([against[0].second, *others])} have the same {metric} on every seed, so "
        "that nothing can be said about noise"
    )


def _not_comparable(
    scores: Mapping[str, np.ndarray],
    trained: Mapping[str, np.ndarray],
    baseline: str,
    runs: Runs | None,
) -> str:
    """Why these scores cannot be compared; empty if they can."""
    n = len(scores[baseline])
    if n == 0:
        return "no verdict: no seed was trained to its end"
    if len(scores) == 1:
        return f"no verdict: there is nothing to compare {baseline} with"
    if not trained:
        return f"no verdict: every candidate diverged, on {all_seeds(n)}"
    if baseline not in trained:
        return (
            f"no verdict: {baseline} diverged on {all_seeds(n)}, so nothing can be compared with it"
        )
    if n < 2:
        return "no verdict: one seed says nothing about the noise between seeds"
    if runs is not None and runs.identical:
        return (
            "no verdict: the seeds change nothing, every run of a candidate is the same (are the model's initializers "
            "seeded, and its batches not shuffled?)"
        )
    return ""
