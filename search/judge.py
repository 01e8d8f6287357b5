"""Scores in, a verdict out. No TensorFlow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .looks import Look
from .paired import ALPHA, Comparison, compare
from .runs import Runs
from .verdict import Scored, Verdict, listed


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

    Raises:
        ValueError: if the baseline has no scores, or candidates differ in the number of seeds.

    Example:
        >>> judge({"relu": relu_scores, "mish": mish_scores}).sentence
        'mish beats relu by 0.98 ± 0.15 points (16 seeds, p < 0.001)'
    """
    given = {name: np.asarray(values, float) for name, values in scores.items()}
    lengths = {name: values.shape for name, values in given.items()}
    if baseline not in given:
        raise ValueError(f"The baseline must be among the candidates {list(given)}. Received: baseline={baseline!r}")
    if len(set(lengths.values())) > 1 or given[baseline].ndim != 1:
        raise ValueError(f"Every candidate needs one score a seed, all as many. Received: shapes {lengths}")
    candidates = sorted(
        (_scored(name, values, (seconds or {}).get(name, math.nan)) for name, values in given.items()),
        key=lambda s: (s.n == 0, -s.mean if maximize else s.mean),
    )
    healthy = {name: values for name, values in given.items() if np.isfinite(values).all()}
    others = [s.activation for s in candidates if s.activation in healthy and s.activation != baseline]
    withheld = withheld or _no_verdict(given, healthy, baseline)
    against: tuple[Comparison, ...] = ()
    among: tuple[Comparison, ...] = ()
    if not withheld:
        against = compare(healthy, [(name, baseline) for name in others])
        # half: with the other half, which falsely "beats the baseline", it makes 5 % in all
        among = compare(healthy, list(itertools.combinations(others, 2)), ALPHA / 2)
        if against and all(math.isnan(c.p) for c in against):
            withheld = (
                f"no verdict: from seed to seed the {metric} differs by nothing at all between {baseline} and "
                f"{listed(others)}, so that nothing can be said about noise"
            )
    return Verdict(metric, maximize, part, baseline, tuple(candidates), against, among, withheld, tuple(looks), runs)


def _scored(name: str, values: np.ndarray, seconds: float) -> Scored:
    kept = values[np.isfinite(values)]
    mean = float(np.mean(kept)) if len(kept) else math.nan
    sd = float(np.std(kept, ddof=1)) if len(kept) > 1 else math.nan
    return Scored(name, mean, sd, len(kept), len(values) - len(kept), seconds)


def _no_verdict(given: Mapping[str, np.ndarray], healthy: Mapping[str, np.ndarray], baseline: str) -> str:
    """Why these scores cannot be compared; empty if they can."""
    n = len(given[baseline])
    broken = {name: int((~np.isfinite(values)).sum()) for name, values in given.items() if name not in healthy}
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
