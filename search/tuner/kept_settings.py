"""What must be the same for trials to go on in the middle of their epochs."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from ..population.data import may_be_in_other_orders
from ..strategy.description import (
    fingerprint_data,
    fingerprint_model,
    fingerprint_training,
    fingerprint_value,
)
from ..strategy.fingerprints import Plain, of_plain
from .hypermodel import ActivationHyperModel
from .kerastuner import Trial

if TYPE_CHECKING:
    from .tuner import ActivationTuner

_DATA = ("x", "y", "validation_data", "sample_weight")
# what shows, and trains nothing
_SHOWN = ("verbose",)


class KeptSettings:
    """What tells the trainings of a search from those of another, in any process.

    KerasTuner keeps none of it: a search goes on with whatever it is given.

    Args:
        tuner: that searches.
        fit: the arguments of `search`.
    """

    def __init__(self, tuner: ActivationTuner, fit: Mapping[str, Any]):
        self._fit = fit
        # now: callbacks may change while a search trains
        self._of_search = _described(_of_search(tuner, fit))

    @functools.cached_property
    def _of_data(self) -> dict[str, str]:
        # all values are read for it, which a short search need not wait for
        parts: dict[str, Callable[[], Plain]] = {}
        for name in _DATA:
            if self._fit.get(name) is not None:
                parts[name] = functools.partial(fingerprint_data, self._fit[name], hashed=True)
        return _described(parts)

    @property
    def has_batches(self) -> bool:
        """Whether some data come in batches, whose values nobody has compared."""
        return any(may_be_in_other_orders(self._fit.get(name)) for name in _DATA)

    def of(self, trials: Sequence[Trial]) -> dict[str, str]:
        """Return the settings of trials: a hash of each, by name."""
        values = [trial.hyperparameters.values for trial in trials]
        described = _described({"hyperparameters": lambda: values})
        return {**self._of_search, **self._of_data, **described}


def _of_search(tuner: ActivationTuner, fit: Mapping[str, Any]) -> dict[str, Callable[[], Plain]]:
    parts = _of_model(tuner.hypermodel)
    given: dict[str, Any] = {
        "objective": [tuner.oracle.objective.name, tuner.oracle.objective.direction],
        "seed": tuner.seed,
        "executions_per_trial": tuner.executions_per_trial,
        "optimizer": tuner.optimizer,
        "loss": tuner.loss,
        "metrics": tuner.metrics,
    }
    for name, value in fit.items():
        if name not in _DATA and name not in _SHOWN:
            given[name] = value
    for name, value in given.items():
        if value is not None:
            parts[name] = functools.partial(fingerprint_value, value)
    return parts


def _of_model(hypermodel: Any) -> dict[str, Callable[[], Plain]]:
    if not isinstance(hypermodel, ActivationHyperModel):
        # one that KerasTuner made of a function holds that
        held = [hypermodel, vars(hypermodel)]
        return {"hypermodel": functools.partial(fingerprint_value, held)}
    model = hypermodel.model
    space = hypermodel.space
    parts: dict[str, Callable[[], Plain]] = {
        "model": functools.partial(fingerprint_model, model),
        "activations": lambda: [space.fingerprint, hypermodel.rescale_init],
    }
    if isinstance(model, keras.Model):
        parts["compile"] = functools.partial(fingerprint_training, model)
    return parts


def _described(parts: Mapping[str, Callable[[], Plain]]) -> dict[str, str]:
    """A hash of each part, by name."""
    hashes: dict[str, str] = {}
    for name, describe in parts.items():
        try:
            hashes[name] = of_plain(describe())
        except Exception:  # a part of a user's may raise what it likes
            # whether it is the same nobody can tell: then it is not
            hashes[name] = uuid.uuid4().hex
    return hashes
