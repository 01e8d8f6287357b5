"""Scores in, a verdict out. No TensorFlow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from ..strategy.rounding import is_rounding
from .paired import ALPHA, Comparison, compare
from .runs import Runs
from .sequential import Look
from .verdict import Guess, Scored, Verdict, listed, reach_one, score_text

# of what there is to learn: more is no chance, even on two seeds
_LEARNED = 0.05


def judge(
    scores: Mapping[str, Any],
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
    losses: Mapping[str, Any] | None = None,
    loss_guess: Guess | None = None,
    share: bool | None = None,
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

    Raises:
        ValueError: if the baseline has no scores, or candidates differ in the number of seeds.

    Example:
        >>> judge({"relu": relu_scores, "mish": mish_scores}).sentence
        'mish beats relu by 0.98 ± 0.15 points (16 seeds, p < 0.001)'
    """
    given = {name: np.asarray(values, float) for name, values in scores.items()}
    lengths = {name: values.shape for name, values in given.items()}
    if baseline not in given:
        raise ValueError(
            f"The baseline must be among the candidates {list(given)}. Received: baseline={baseline!r}"
        )
    if len(set(lengths.values())) > 1 or given[baseline].ndim != 1:
        raise ValueError(
            f"Every candidate needs one score a seed, all as many. Received: shapes {lengths}"
        )
    candidates = sorted(
        (
            _scored(name, values, (seconds or {}).get(name, math.nan))
            for name, values in given.items()
        ),
        key=lambda s: (s.n == 0, -s.mean if maximize else s.mean),
    )
    named = metric == "acc" or metric.endswith("accuracy")
    in_points = (named if share is None else share) and reach_one(candidates, maximize)
    healthy = {name: values for name, values in given.items() if np.isfinite(values).all()}
    others = [
        s.activation for s in candidates if s.activation in healthy and s.activation != baseline
    ]
    withheld = withheld or _no_verdict(given, healthy, baseline)
    if not withheld and runs is not None and runs.identical:
        withheld = (
            "no verdict: the seeds change nothing, every run of a candidate is the same (are the model's initializers "
            "seeded, and its batches not shuffled?)"
        )
    if not withheld and guess is not None:
        level = ALPHA / len(healthy)
        learned = any(_learned(values, guess.score, maximize, level) for values in healthy.values())
        if not learned and losses is not None and loss_guess is not None:
            # a loss may aim elsewhere than the metric
            learned = any(
                _learned(np.asarray(losses[name]), loss_guess.score, False, level)
                for name in healthy
            )
        if not learned:
            withheld = _only_guessed(candidates, metric, in_points, guess)
    against: tuple[Comparison, ...] = ()
    among: tuple[Comparison, ...] = ()
    if not withheld:
        against = compare(healthy, [(name, baseline) for name in others])
        # half: with the other half, which falsely "beats the baseline", it makes 5 % in all
        among = compare(healthy, list(itertools.combinations(others, 2)), ALPHA / 2)
        if against and all(c.same and c.difference == 0 for c in against):
            withheld = (
                f"no verdict: from seed to seed the {metric} differs by nothing at all between {baseline} and "
                f"{listed(others)}, so that nothing can be said about noise"
            )
            against, among = (), ()
    return Verdict(
        *(
            metric,
            maximize,
            part,
            baseline,
            tuple(candidates),
            against,
            among,
            withheld,
            tuple(looks),
            runs,
        ),
        guess=guess,
        share=in_points,
    )


def _learned(scores: np.ndarray, guess: float, maximize: bool, level: float) -> bool:
    """Whether a candidate's scores are better than what guessing has.

    They are if their mean is better by a twentieth of what there is to learn, as far as that is
    known: of the way from the guess to 1 for a score that grows up to 1, of the way to 0 for an
    error. Or, however small it is, if a one-sided t test over the seeds sees it.
    """
    gains = scores - guess if maximize else guess - scores
    mean, n = float(gains.mean()), len(gains)
    if not mean > 0 or is_rounding(mean, scores, np.array(guess)):
        return False
    room = math.inf
    if maximize and guess < 1 and float(scores.max()) <= 1:
        room = 1 - guess
    elif not maximize and guess > 0 and float(scores.min()) >= 0:
        room = guess
    if mean > _LEARNED * room:
        return True
    sd = float(gains.std(ddof=1))
    if is_rounding(sd, scores):
        return 2.0**-n < level
    return bool(special.stdtr(n - 1, -mean / (sd / math.sqrt(n))) < level)


def _only_guessed(candidates: Sequence[Scored], metric: str, share: bool, guess: Guess) -> str:
    """The sentence where nothing has learned, and what to try."""
    best = next(scored for scored in candidates if not scored.diverged)
    return (
        f"no candidate learned more than guessing: the best, {best.activation}, has "
        f"{score_text(best.mean, share)} {metric}, and {guess.what} has {score_text(guess.score, share)}; try more "
        "epochs, another learning rate or initialization, or inputs scaled to about 1"
    )


def _scored(name: str, values: np.ndarray, seconds: float) -> Scored:
    kept = values[np.isfinite(values)]
    mean = float(np.mean(kept)) if len(kept) else math.nan
    sd = float(np.std(kept, ddof=1)) if len(kept) > 1 else math.nan
    return Scored(name, mean, sd, len(kept), len(values) - len(kept), seconds)


def _no_verdict(
    given: Mapping[str, np.ndarray], healthy: Mapping[str, np.ndarray], baseline: str
) -> str:
    """Why these scores cannot be compared; empty if they can."""
    n = len(given[baseline])
    broken = {
        name: int((~np.isfinite(values)).sum())
        for name, values in given.items()
        if name not in healthy
    }
    counts = listed([f"{name} on {count}" for name, count in broken.items()])
    if n == 0:
        return "no verdict: no seed was trained to its end"
    if len(given) == 1:
        return f"no verdict: there is nothing to compare {baseline} with"
    if not healthy:
        return f"no verdict: every candidate diverged ({counts} of {n} seeds)"
    if baseline in broken:
        return f"no verdict: {baseline} diverged on {broken[baseline]} of {n} seeds, so nothing can be compared with it"
    if n < 2:
        return "no verdict: one seed says nothing about the noise between seeds"
    return ""
