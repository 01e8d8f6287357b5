"""Which candidates cannot be trained, each tried by itself on one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from ..runtime.memory import is_out_of_memory
from ..runtime.reasons import first_line
from ..runtime.seeding import isolated_seed
from ..space.rated import Rated
from .rate_trials import RatedModels


def who_fails(models: RatedModels, fit: Mapping[str, Any], seed: int) -> dict[str, str]:
    """Return why candidates cannot be trained, by their names; empty if each can.

    Args:
        models: the candidates.
        fit: the arguments of `fit`, data included.
        seed: of their weights.
    """
    # without callbacks: what one of these raises is no candidate's fault
    options = {**fit, "callbacks": None, "epochs": 1, "steps_per_epoch": 1, "verbose": 0}
    options.pop("initial_epoch", None)
    if fit.get("validation_data") is not None:
        options["validation_steps"] = 1
    failed: dict[str, str] = {}
    for name, choice in zip(models.names, models.choices, strict=True):
        with isolated_seed(seed):
            reason = _why_not(models.builder(Rated(choice)), options)
        if reason:
            failed[name] = reason
    return failed


def _why_not(build: Callable[[], keras.Model], options: Mapping[str, Any]) -> str:
    try:
        build().fit(**options)
    except Exception as error:
        if is_out_of_memory(error):
            return "it does not fit into memory"
        return first_line(error)
    return ""
