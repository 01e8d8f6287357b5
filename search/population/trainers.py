"""How candidates are trained on seeds: as populations where that is possible, else one by one."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_acts.errors import ModelError

from ..rewrite.compiling import compile_arguments
from ..rewrite.first_inputs import built
from ..runtime.memory import is_out_of_memory
from ..runtime.seeding import isolated_seed
from ..strategy.scoring import evaluated, numbers
from . import memory, transfer
from .data import BY_SEED, are_arrays
from .members import Member
from .model import PopulationModel

_STEPS = 100  # of a population's training in one call: less Python an epoch
# A population of several seeds has at most so many slots: beyond, a run is hardly faster, and
# Ctrl-C loses more of them
_SLOTS = 32
# and its layers put out at most so many values a slot and batch: with 0.6 million seeds together
# were 1.3 times faster, with 1.7 and 2.5 million between 0.8 and 1.3 (CNNs, folded and slot after
# slot, on 2 cores)
_OUTPUTS = 2**20


class Trained(NamedTuple):
    """The K candidates of one seed after their training.

    Attributes:
        history: (E, K) a name that Keras logs.
        diverged: (K,), whether the loss was no longer finite; the weights, of a model that logs no
            loss of that name.
        weights: for the `test` of what trained them.
        by: the trainer that trained them.
    """

    history: dict[str, np.ndarray]
    diverged: np.ndarray
    weights: list[np.ndarray]
    by: Any


class PopulationTrainer:
    """Trains a model with K candidates as populations of one size, traced once for all of them.

    A population is of several seeds, each with its own batch order, where that is faster and fits
    into memory; not with other data than arrays, nor with callbacks, which would see all seeds as
    one model. Where not even the candidates of one seed fit, they are trained one by one, with the
    same scores; but for callbacks that would see other models then.

    Args:
        model: compiled.
        candidates: activations.
        members: the members for a seed, which is then trained by itself; by default all candidates
            start from it.
        slots: the names of the slots that the candidates go to; by default all hidden ones.
        builds: as of `OneByOneTrainer`, for where memory is short.

    Attributes:
        reason: why the candidates are trained one by one; empty as long as they are not.

    Raises:
        ModelError: if the model cannot be a population.
    """

    def __init__(
        self,
        model: keras.Model,
        candidates: Iterable[Any],
        members: Callable[[int], list[Member]] | None = None,
        slots: Iterable[str] | None = None,
        builds: Sequence[Callable[[], keras.Model]] = (),
    ):
        self._model, self._candidates = model, list(candidates)
        self._slots = None if slots is None else tuple(slots)
        self._alone, self.reason = OneByOneTrainer(builds) if builds else None, ""
        self._apart = members is not None
        self._members = members or (
            lambda seed: [Member(candidate, seed) for candidate in self._candidates]
        )
        self._population: Any = PopulationModel(model, self._members(0), slots=self._slots)
        self._begun: list[np.ndarray] = []
        self._most = _SLOTS  # seeds of a population: less, once memory has run out

    def train(
        self, seeds: Sequence[int], fit: Mapping[str, Any], at_once: int = 1
    ) -> Iterator[Trained]:
        """Train the candidates of each seed.

        `at_once` divides the number of seeds, and says how many may be one.
        """
        size, waiting = self._size(fit, at_once), list(seeds)
        alone = self._alone if _see_one_model(fit) else None
        if alone is not None and not self.reason and self._fitting(fit) < len(self._candidates):
            self._part(memory.too_little(memory.bytes_per_member(self._model, _largest_batch(fit))))
        while waiting and not self.reason:
            trained = self._tried(waiting[:size], fit, once_more=size > 1 or alone is not None)
            if trained is not None:
                yield from trained
                waiting = waiting[size:]
            elif size > 1:
                self._most = size // 2
                size = _largest_part(at_once, self._most)
            else:
                self._part("memory ran out")
        if waiting:
            assert alone is not None  # else there is no reason to
            yield from alone.train(waiting, fit)

    def _tried(
        self, seeds: Sequence[int], fit: Mapping[str, Any], once_more: bool
    ) -> list[Trained] | None:
        """Train one population; None if memory ran out and something else can be tried.

        The error is gone then, and with it what it held of the memory.
        """
        try:
            return self._wave(seeds, fit)
        except Exception as error:
            if not once_more or not is_out_of_memory(error):
                raise
        return None

    def _part(self, reason: str) -> None:
        """Train one by one from now on."""
        self.reason = reason
        self._population, self._begun = None, []  # its memory is wanted
        gc.collect()

    def _fitting(self, fit: Mapping[str, Any]) -> int:
        """How many slots fit into memory."""
        return memory.most_members(memory.bytes_per_member(self._model, _largest_batch(fit)))

    def test(
        self, weights: Iterable[list[np.ndarray]], data: Any
    ) -> Iterator[dict[str, np.ndarray]]:
        """Return each metric, (K,), of each seed, with weights that `train` returned."""
        waiting = iter(weights)
        if self._population is None:
            yield from (self._tested_apart(own, data) for own in waiting)
            return
        while wave := list(itertools.islice(waiting, self._seeds)):
            self._assign(wave)
            found = evaluated(self._population, data)
            each = {
                name.removeprefix("members/"): value
                for name, value in found.items()
                if name.startswith("members/")
            }
            slots = {name: self._by_seed(value) for name, value in numbers(each, axes=1).items()}
            yield from ({name: value[s] for name, value in slots.items()} for s in range(len(wave)))

    def _assign(self, wave: Sequence[list[np.ndarray]]) -> None:
        """Give the population the weights of several seeds."""
        for i, (variable, rows) in enumerate(self._stacked()):
            value = np.array(variable)
            for own, mine in zip(rows, wave, strict=False):  # the last wave may be smaller
                value[own] = mine[i]
            variable.assign(value)

    def _tested_apart(self, weights: list[np.ndarray], data: Any) -> dict[str, np.ndarray]:
        """Test the candidates of a seed that a population trained, one by one."""
        self._population = PopulationModel(self._model, self._members(0), slots=self._slots)
        self._assign([weights])
        found = []
        for slot in range(len(self._candidates)):
            model = self._population.model(slot)
            model.compile(**compile_arguments(self._model))
            found.append(numbers(evaluated(model, data)))
        self._population = None
        return {name: np.array([one[name] for one in found]) for name in found[0]}

    def _wave(self, seeds: Sequence[int], fit: Mapping[str, Any]) -> list[Trained]:
        """Train one population."""
        members = [member for seed in seeds for member in self._members(seed)]
        if len(members) != len(self._population.members):
            self._population, self._begun = (
                PopulationModel(self._model, members, slots=self._slots),
                [],
            )
        population = self._population
        if not self._begun:
            population.compile(
                **{**compile_arguments(self._model), **steps_per_execution(self._model, fit)}
            )
            population.optimizer.build(population.trainable_variables)
            self._begun = _values(population.optimizer.variables)
        _assign(population.optimizer.variables, self._begun)
        transfer.reset(population, members)
        own = {"shuffle": BY_SEED} if len(seeds) > 1 and fit.get("shuffle", True) else {}
        with isolated_seed(seeds[0]):
            logs = population.fit(**{**fit, **own}, verbose=0).history
        diverged = self._by_seed(np.isin(np.arange(len(members)), population.diverged))
        each = {
            name.replace("members/", ""): np.stack(values)
            for name, values in logs.items()
            if "members/" in name
        }
        history = {
            name: self._by_seed(values.swapaxes(0, 1)).swapaxes(1, 2)
            for name, values in numbers(each, axes=2).items()
        }
        weights = [
            [v[own] for own in rows]
            for variable, rows in self._stacked()
            for v in _values([variable])
        ]
        return [
            Trained(
                {name: value[s] for name, value in history.items()},
                diverged[s],
                [one[s] for one in weights],
                self,
            )
            for s in range(len(seeds))
        ]

    def _size(self, fit: Mapping[str, Any], at_once: int) -> int:
        """How many seeds a population has."""
        together = (
            not self._apart
            and keras.backend.backend() == "tensorflow"
            and are_arrays(*(fit.get(name) for name in ("x", "y", "sample_weight")))
            and fit.get("shuffle", True) in (True, False)
            and _see_one_model(fit)
        )
        if not together:
            return 1
        if (fit.get("batch_size") or 32) * memory.outputs_per_sample(self._model) > _OUTPUTS:
            return 1
        slots = min(_SLOTS, self._fitting(fit))
        return _largest_part(at_once, max(1, min(self._most, slots // len(self._candidates))))

    @property
    def _seeds(self) -> int:
        """How many the population has."""
        return len(self._population.members) // len(self._members(0))

    def _by_seed(self, values: Any) -> np.ndarray:
        """(S * K, ...) as (S, K, ...)."""
        values = np.asarray(values)
        return values.reshape(self._seeds, -1, *values.shape[1:])

    def _stacked(self) -> list[tuple[Any, list[np.ndarray]]]:
        """What a test needs.

        Variables, and which rows of one are those of each seed, always in the same order.
        """
        population = self._population
        seeds = np.array(population._state.order) // len(self._members(0))
        blocks = [block for layer in population.stacked for block in layer.plan.blocks]
        found = [(block.variable, seeds[block.start : block.stop]) for block in blocks]
        return [
            (variable, [np.flatnonzero(own == seed) for seed in range(self._seeds)])
            for variable, own in [*found, (population.healthy, seeds)]
        ]


class OneByOneTrainer:
    """Trains models one after the other, each seed from the same random state.

    Args:
        builds: a function for each candidate that returns its compiled, freshly initialized model.

    Attributes:
        reason: empty: it is no news that it trains so.
    """

    def __init__(self, builds: Sequence[Callable[[], keras.Model]]):
        self._builds, self.reason = builds, ""

    def train(
        self, seeds: Sequence[int], fit: Mapping[str, Any], at_once: int = 1
    ) -> Iterator[Trained]:
        """Train the candidates of each seed."""
        return (self._seed(seed, fit) for seed in seeds)

    def _seed(self, seed: int, fit: Mapping[str, Any]) -> Trained:
        logs, weights, diverged = [], [], []
        for build in self._builds:
            with isolated_seed(seed):
                model = build()
                logs.append(numbers(model.fit(**fit, verbose=0).history, axes=1))
            # a train_step of a user's may call its losses as it likes
            watched = [logs[-1]["loss"]] if "loss" in logs[-1] else _floating(model.get_weights())
            diverged.append(not all(np.isfinite(values).all() for values in watched))
            weights += model.get_weights()
        history = {name: pad_and_stack([one[name] for one in logs], axis=-1) for name in logs[0]}
        return Trained(history, np.array(diverged), weights, self)

    def test(
        self, weights: Iterable[list[np.ndarray]], data: Any
    ) -> Iterator[dict[str, np.ndarray]]:
        """Return each metric, (K,), of each seed, with weights that `train` returned."""
        return (self._test(own, data) for own in weights)

    def _test(self, weights: list[np.ndarray], data: Any) -> dict[str, np.ndarray]:
        found = []
        for build in self._builds:
            with isolated_seed(0):
                model = build()
            # a model that is not built takes no weights, and says nothing
            built(model, data[0] if isinstance(data, tuple | list) else data)
            mine, weights = weights[: len(model.weights)], weights[len(model.weights) :]
            model.set_weights(mine)
            found.append(numbers(evaluated(model, data)))
        if weights:
            raise ModelError(
                f"Every weight that was trained must be scored. Received: {len(weights)} without a place"
            )
        return {name: np.array([one[name] for one in found]) for name in found[0]}


class Shown(keras.callbacks.Callback):
    """Shows which epoch is trained."""

    def __init__(self, show: Callable[[str], None]):
        super().__init__()
        self._show = show

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Show it."""
        self._show(f"epoch {epoch + 1}/{self.params['epochs']}")


# they look at the epoch alone
_OF_ANY_SEED = (keras.callbacks.LearningRateScheduler, Shown)
# they look at how good one model is, and end its training or slow it down
OF_ONE_MODEL = (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)


def trainer_for(
    model: keras.Model,
    candidates: Sequence[Any],
    builds: Sequence[Callable[[], keras.Model]],
    slots: Iterable[str] | None = None,
    callbacks: Iterable[Any] | None = None,
) -> Any:
    """Return a population's trainer, or that of the single models, where the model or a callback needs that."""
    if any(isinstance(callback, OF_ONE_MODEL) for callback in callbacks or ()):
        return OneByOneTrainer(builds)
    try:
        return PopulationTrainer(model, candidates, slots=slots, builds=builds)
    except Exception as error:
        if not isinstance(error, ModelError) and not is_out_of_memory(error):
            raise
        return OneByOneTrainer(builds)


def _see_one_model(fit: Mapping[str, Any]) -> bool:
    """Whether the callbacks are such that see no difference between a population and a model."""
    return all(
        type(callback) in _OF_ANY_SEED
        for callback in keras.tree.flatten(fit.get("callbacks") or [])
    )


def _largest_batch(fit: Mapping[str, Any]) -> int:
    return max(fit.get("batch_size") or 32, fit.get("validation_batch_size") or 0)


def _largest_part(count: int, most: int) -> int:
    """The largest number up to `most` that divides `count`.

    Populations of one size are traced once.
    """
    return max(size for size in range(1, most + 1) if count % size == 0)


def steps_per_execution(model: keras.Model, fit: Mapping[str, Any]) -> dict[str, int]:
    """More steps in one call, if the user has not said how many and no callback wants to see each batch."""
    # Keras looks at a number of steps between calls only: whatever it is, one call takes all of its
    # own
    if (
        fit.get("steps_per_epoch")
        or fit.get("validation_steps")
        or keras.config.max_steps_per_epoch()
    ):
        return {}
    watched = any(
        _watches_batches(callback) for callback in keras.tree.flatten(fit.get("callbacks") or [])
    )
    if model.steps_per_execution > 1 or watched or not hasattr(fit.get("x"), "shape"):
        return {}
    return {
        "steps_per_execution": max(1, min(_STEPS, len(fit["x"]) // (fit.get("batch_size") or 32)))
    }


def _watches_batches(callback: Any) -> bool:
    return any(
        getattr(getattr(callback, hook), "__func__", None)
        is not getattr(keras.callbacks.Callback, hook)
        for hook in ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
    )


def pad_and_stack(histories: list[np.ndarray], axis: int = 0) -> np.ndarray:
    """Stack arrays (E, ...).

    Where a callback ended a training early, its last epoch stands for those that follow.
    """
    epochs = max(len(history) for history in histories)
    rest = [[(0, epochs - len(history)), *[(0, 0)] * (history.ndim - 1)] for history in histories]
    return np.stack(
        [np.pad(h, width, mode="edge") for h, width in zip(histories, rest, strict=True)], axis=axis
    )


def _values(variables: Iterable[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _floating(values: Iterable[np.ndarray]) -> list[np.ndarray]:
    return [value for value in values if keras.backend.is_float_dtype(value.dtype)]


def _assign(variables: Iterable[Any], values: Iterable[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
