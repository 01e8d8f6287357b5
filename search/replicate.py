"""Candidates trained together on one seed after the other: as a population where that is possible, else one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_acts.errors import ModelError

from . import carry
from .members import Member
from .population import PopulationModel
from .runs import Runs
from .seeding import isolated_seed

_STEPS = 100  # of a population's training in one call: less Python an epoch


class Replicates:
    """Trains the same candidates on more and more seeds, and scores all of them on the test data afterwards.

    A context manager: leaving it removes the weights.

    A seed means initialization and batch order, both the same for all candidates of the seed and different between
    seeds. The weights after the last epoch wait in a temporary folder until `test`.

    Args:
        trainer: a `PopulationTrainer` or a `OneByOneTrainer`.
        names: of its candidates.
        fit: the arguments of `keras.Model.fit`, data included.
    """

    def __init__(self, trainer: Any, names: Sequence[str], fit: Mapping[str, Any]):
        self.names = tuple(names)
        self._trainer, self._fit = trainer, dict(fit)
        self._seeds: list[int] = []
        self._histories: list[dict[str, np.ndarray]] = []
        self._diverged: list[np.ndarray] = []
        self._tested: list[dict[str, np.ndarray]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="keras-acts-")

    def __enter__(self) -> Replicates:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def train(self, seed: int) -> None:
        """Train every candidate on one more seed."""
        history, diverged, weights = self._trainer.train(seed, self._fit)
        np.savez(self._path(len(self._seeds)), *weights)
        self._histories.append(history)
        self._diverged.append(diverged)
        self._seeds.append(seed)

    def test(self, data: Any) -> None:
        """Score the candidates of all seeds on the test data, as they were after the last epoch."""
        self._tested = []
        for index in range(len(self._seeds)):
            with np.load(self._path(index)) as file:
                weights = [file[name] for name in file.files]
            self._tested.append(self._trainer.test(weights, data))

    @property
    def inputs(self) -> Any:
        """The training inputs."""
        return self._fit["x"]

    @property
    def runs(self) -> Runs:
        """What was measured so far."""
        return Runs(
            self.names,
            tuple(self._seeds),
            {name: _stacked([h[name] for h in self._histories]) for name in (self._histories or [{}])[0]},
            {name: np.stack([t[name] for t in self._tested]) for name in (self._tested or [{}])[0]},
            np.array(self._diverged, bool).reshape(-1, len(self.names)),
        )

    def _path(self, index: int) -> Path:
        return Path(self._folder.name) / f"{index}.npz"


class PopulationTrainer:
    """Trains a model with K candidates as one population a seed, traced once for all seeds.

    Args:
        model: compiled.
        candidates: activations.
        members: the members for a seed; by default all candidates start from the seed itself.
        slots: the names of the slots that the candidates go to; by default all hidden ones.

    Raises:
        ModelError: if the model cannot be a population.
    """

    def __init__(
        self,
        model: keras.Model,
        candidates: Iterable[Any],
        members: Callable[[int], list[Member]] | None = None,
        slots: Iterable[str] | None = None,
    ):
        self._model, self._candidates = model, list(candidates)
        self._members = members or (lambda seed: [Member(candidate, seed) for candidate in self._candidates])
        self._population = PopulationModel(model, self._members(0), slots=slots)
        self._begun: list[np.ndarray] = []

    def train(self, seed: int, fit: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray, list[np.ndarray]]:
        """Return the history, (E, K) a name; which candidates diverged, (K,); and the weights at the end."""
        population = self._population
        if not self._begun:
            population.compile(**{**carry.compile_arguments(self._model), **steps(self._model, fit)})
            population.optimizer.build(population.trainable_variables)
            self._begun = _values(population.optimizer.variables)
        _assign(population.optimizer.variables, self._begun)
        carry.to_start(population, self._members(seed))
        with isolated_seed(seed):
            logs = population.fit(**fit, verbose=0).history
        diverged = np.isin(np.arange(len(population.members)), population.diverged)
        history = {name.replace("slots/", ""): np.stack(v) for name, v in logs.items() if "slots/" in name}
        return history, diverged, _values(_state(population))

    def test(self, weights: list[np.ndarray], data: Any) -> dict[str, np.ndarray]:
        """Return each metric, (K,), with weights that `train` returned."""
        _assign(_state(self._population), weights)
        found = _evaluate(self._population, data)
        return {name[6:]: np.asarray(value) for name, value in found.items() if name.startswith("slots/")}


class OneByOneTrainer:
    """Trains models one after the other, each seed from the same random state.

    Args:
        builds: a function for each candidate that returns its compiled, freshly initialized model.
    """

    def __init__(self, builds: Sequence[Callable[[], keras.Model]]):
        self._builds = builds

    def train(self, seed: int, fit: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray, list[np.ndarray]]:
        """Return the history, (E, K) a name; which candidates diverged, (K,); and the weights at the end."""
        logs, weights = [], []
        for build in self._builds:
            with isolated_seed(seed):
                model = build()
                logs.append(model.fit(**fit, verbose=0).history)
            weights += model.get_weights()
        history = {name: _stacked([np.asarray(one[name]) for one in logs], axis=-1) for name in logs[0]}
        return history, ~np.isfinite(history["loss"]).all(axis=0), weights

    def test(self, weights: list[np.ndarray], data: Any) -> dict[str, np.ndarray]:
        """Return each metric, (K,), with weights that `train` returned."""
        found = []
        for build in self._builds:
            with isolated_seed(0):
                model = build()
            mine, weights = weights[: len(model.weights)], weights[len(model.weights) :]
            model.set_weights(mine)
            found.append(_evaluate(model, data))
        return {name: np.array([one[name] for one in found]) for name in found[0]}


def trainer_for(
    model: keras.Model,
    candidates: Sequence[Any],
    builds: Sequence[Callable[[], keras.Model]],
    slots: Iterable[str] | None = None,
) -> Any:
    """Return a population's trainer, or, where the model cannot be one, that of the single models."""
    try:
        return PopulationTrainer(model, candidates, slots=slots)
    except ModelError:
        return OneByOneTrainer(builds)


def _evaluate(model: keras.Model, data: Any) -> dict[str, Any]:
    parts = data if isinstance(data, tuple | list) else (data,)
    return model.evaluate(*parts, return_dict=True, verbose=0)


def steps(model: keras.Model, fit: Mapping[str, Any]) -> dict[str, int]:
    """More steps in one call, if the user has not said how many and no callback wants to see each batch."""
    watched = any(_watches_batches(callback) for callback in keras.tree.flatten(fit.get("callbacks") or []))
    if model.steps_per_execution > 1 or watched or not hasattr(fit.get("x"), "shape"):
        return {}
    return {"steps_per_execution": max(1, min(_STEPS, len(fit["x"]) // (fit.get("batch_size") or 32)))}


def _watches_batches(callback: Any) -> bool:
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(keras.callbacks.Callback, hook)
        for hook in ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
    )


def _stacked(histories: list[np.ndarray], axis: int = 0) -> np.ndarray:
    """Stack arrays (E, ...); where a callback ended a training early, its last epoch stands for those that follow."""
    epochs = max(len(history) for history in histories)
    rest = [[(0, epochs - len(history)), *[(0, 0)] * (history.ndim - 1)] for history in histories]
    return np.stack([np.pad(h, width, mode="edge") for h, width in zip(histories, rest, strict=True)], axis=axis)


def _state(population: PopulationModel) -> list[Any]:
    """Weights, random states, health: everything but the optimizer's and the metrics' own."""
    return [*population.trainable_variables, *population.non_trainable_variables]


def _values(variables: Iterable[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables: Iterable[Any], values: Iterable[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
