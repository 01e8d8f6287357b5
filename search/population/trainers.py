"""How candidates are trained on seeds: as populations where that is possible, else one by one."""

from __future__ import annotations

import gc
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import keras
import numpy as np

from keras_acts.errors import ModelError

from ..rewrite.compiling import compile_arguments
from ..rewrite.first_inputs import built
from ..rewrite.learning_rate import scale_learning_rate
from ..runtime import costs
from ..runtime.memory import is_out_of_memory
from ..runtime.seeding import isolated_seed
from ..runtime.tracing import steps_forgotten
from ..strategy.batch_hooks import watch_batches
from ..strategy.callbacks import label, own_copies
from ..strategy.data_order import DataOrder
from ..strategy.own_data import free_copies, own_data
from ..strategy.scoring import evaluated, numbers
from . import memory
from .data import BY_SEED, are_arrays, as_in_first_fit
from .kept_epochs import KeptEpochs
from .member_callbacks import (
    MemberCallbacks,
    MemberTrainings,
    of_all,
    of_members,
    put_rows,
    rows_of_member,
    why_callbacks_alone,
)
from .members import Member, members, rated
from .model import PopulationModel, check_model
from .step_tensorflow import Decided
from .transfer import state_reader

Item = TypeVar("Item")
Fit = Mapping[str, Any]  # the arguments of `fit`
Build = Callable[[], keras.Model]  # returns a compiled, freshly initialized model
Keeping = Callable[[Sequence[int]], KeptEpochs]  # of the seeds that train together

# where a `fit` names none
_BATCH_SIZE_OF_KERAS = 32


class Trained(NamedTuple):
    """The K candidates of one seed after their training.

    Attributes:
        history: (E, K) a name that Keras logs.
        diverged: (K,), whether the loss was no longer finite; the weights, of a model that logs no
            loss of that name.
        weights: for the `test` of what trained them.
        by: the trainer that trained them.
        together: how many seeds trained in one population.
        decided: what it compiled; None if there was none.
    """

    history: dict[str, np.ndarray]
    diverged: np.ndarray
    weights: list[np.ndarray]
    by: Trainer
    together: int = 1
    decided: Decided | None = None


class Trainer(Protocol):
    """Trains candidates on seeds, and tests them with the weights that they got.

    Attributes:
        reason: why candidates that might be a population are trained one by one; else empty.
        decided: what an earlier process had compiled by the last seed before; None if there is
            none.
        keeping: returns what keeps the training of some seeds before they end; None keeps nothing.
    """

    decided: Decided | None
    keeping: Keeping | None

    @property
    def reason(self) -> str:
        """Why candidates train one by one."""

    def train(self, seeds: Sequence[int], fit: Fit, at_once: int = 1) -> Iterator[Trained]:
        """Train the candidates of each seed."""

    def test(
        self, weights: Iterable[list[np.ndarray]], data: Any
    ) -> Iterator[dict[str, np.ndarray]]:
        """Return each metric, (K,), of each seed, with weights that `train` returned."""

    def model(self, weights: list[np.ndarray], candidate: int, inputs: Any) -> keras.Model | None:
        """Return a candidate of a seed as an ordinary model, with weights that `train` returned.

        It is compiled, and its optimizer has trained nothing. None where memory is short.

        Args:
            weights: of the seed.
            candidate: its index.
            inputs: that it trained on.
        """


class _Stacked(NamedTuple):
    """A variable of a population, and which of its rows are those of each seed."""

    variable: keras.Variable
    rows: list[np.ndarray]


class TooManyTogether(Exception):
    """Memory ran out in a population of the candidates of one seed."""


class PopulationTrainer:
    """Trains a model with K candidates as populations of one size, traced once for all of them.

    A population is of several seeds, each with its own batch order, where that is faster and fits
    into memory; not with other data than arrays, nor with callbacks, which would see all seeds as
    one model. Where not even the candidates of one seed fit, they are trained one by one, with the
    same scores; but for callbacks that would see other models then.

    Args:
        model: compiled.
        candidates: activations, each at the model's own learning rate or `Rated`.
        members: the members for a seed, which is then trained by itself; by default all candidates
            start from it.
        slots: the names of the slots that the candidates go to; by default all hidden ones.
        builds: as of `OneByOneTrainer`, for where memory is short.
        rescale_init: as of `PopulationModel`.
        in_parts: whether who asks would rather train fewer candidates at once than one by one:
            then `train` raises `TooManyTogether`.

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
        builds: Sequence[Build] = (),
        rescale_init: bool = False,
        in_parts: bool = False,
    ):
        self._model = model
        self._in_parts = in_parts
        self._rescale_init = rescale_init
        self._candidates = list(candidates)
        self._slots = None if slots is None else tuple(slots)
        self._alone: OneByOneTrainer | None = None
        if builds:
            self._alone = OneByOneTrainer(builds, self._candidates)
        self.reason = ""
        self.decided: Decided | None = None
        self.keeping: Keeping | None = None
        self._each_seed_by_itself = members is not None
        self._members = members or self._all_from
        self._population: Any = self._new_population(self._members(0))
        self._initial_state: list[np.ndarray] = []  # of the optimizer, once there is one
        # of a population: less, once memory has run out
        self._most_seeds = costs.SEEDS_TOGETHER_MOST_MEMBERS

    def become(
        self, candidates: Sequence[Any], builds: Sequence[Build], in_parts: bool = False
    ) -> None:
        """Train the same candidates at other learning rates from now on, in the same program.

        The arguments are those of `PopulationTrainer`.
        """
        self._in_parts = in_parts
        self._candidates = list(candidates)
        if self._alone is not None:
            self._alone = OneByOneTrainer(builds, self._candidates)

    def _new_population(self, members: Sequence[Member]) -> PopulationModel:
        return PopulationModel(
            self._model, members, slots=self._slots, rescale_init=self._rescale_init
        )

    def _all_from(self, seed: int) -> list[Member]:
        return list(members(self._candidates, [seed]))

    def train(self, seeds: Sequence[int], fit: Fit, at_once: int = 1) -> Iterator[Trained]:
        """Train the candidates of each seed.

        Args:
            seeds: the seeds.
            fit: the arguments of `fit`, data included.
            at_once: of how many seeds nobody wants to know before all of them are trained. As many
                are one population, or the largest equal parts of them that may be one.
        """
        waiting = list(seeds)
        size = self._size(fit, at_once)
        alone = self._alone if _see_one_model(self._model, fit) else None
        if alone is not None and not self.reason and self._fitting(fit) < len(self._candidates):
            self._give_up_populations(memory.too_little(self._member_bytes(fit)))
        while waiting and not self.reason:
            can_do_otherwise = size > 1 or alone is not None
            wave = self._filled_up(waiting[:size], size, fit)
            trained = self._wave_if_it_fits(wave, fit, can_do_otherwise)
            if trained is not None:
                count = min(size, len(waiting))
                yield from [one._replace(together=count) for one in trained[:count]]
                waiting = waiting[size:]
            elif size > 1:
                self._most_seeds = size // 2
                size = _largest_part(at_once, self._most_seeds)
            else:
                self._give_up_populations("memory ran out")
        if waiting:
            assert alone is not None  # else there is no reason to
            yield from alone.train(waiting, fit)

    def _wave_if_it_fits(
        self, seeds: Sequence[int], fit: Fit, can_do_otherwise: bool
    ) -> list[Trained] | None:
        """Train one population; None if memory ran out and something else can be tried.

        The error is gone then, and with it what it held of the memory.
        """
        try:
            return self._wave(seeds, fit)
        except Exception as error:
            if not can_do_otherwise or not is_out_of_memory(error):
                raise
        return None

    def _give_up_populations(self, reason: str) -> None:
        """Train one by one from now on, or have fewer candidates trained at once."""
        self.reason = reason
        # its memory is wanted, and who trains one by one has no use for it
        self._population = None
        self._initial_state = []
        gc.collect()
        if self._in_parts:
            raise TooManyTogether(reason)

    def _member_bytes(self, fit: Fit) -> int:
        return memory.bytes_per_member(self._model, _largest_batch(fit))

    def _fitting(self, fit: Fit) -> int:
        return most_together(self._model, fit)

    def test(
        self, weights: Iterable[list[np.ndarray]], data: Any
    ) -> Iterator[dict[str, np.ndarray]]:
        """Return each metric, (K,), of each seed, with weights that `train` returned."""
        if self._population is None:
            for of_seed in weights:
                yield self._tested_one_by_one(of_seed, data)
            return
        for wave in _in_parts(weights, self._seeds):
            self._assign(wave)
            scores = numbers(_of_members(evaluated(self._population, data)), axes=1)
            by_seed = {name: self._by_seed(values) for name, values in scores.items()}
            for seed in range(len(wave)):
                yield {name: values[seed] for name, values in by_seed.items()}

    def model(self, weights: list[np.ndarray], candidate: int, inputs: Any) -> keras.Model | None:
        """Return a candidate of a seed as an ordinary model; see `Trainer`."""
        population = self._population
        if population is None:
            return None
        self._assign([weights])
        model: keras.Model = population.blueprint.build(population.members[candidate])
        model.compile(**compile_arguments(self._model))
        read = state_reader(population)
        for variable, value in read(population.positions[candidate], model):
            variable.assign(value)
        scale_learning_rate(model.optimizer, rated(self._candidates[candidate]).factor)
        return model

    def _assign(self, wave: Sequence[list[np.ndarray]]) -> None:
        """Give the population the weights of several seeds."""
        for i, (variable, rows) in enumerate(self._stacked()):
            value = np.array(variable)
            # the last wave may be smaller: the rows of the other seeds stay as they are
            for rows_of_seed, of_seed in zip(rows, wave, strict=False):
                value[rows_of_seed] = of_seed[i]
            variable.assign(value)

    def _tested_one_by_one(self, weights: list[np.ndarray], data: Any) -> dict[str, np.ndarray]:
        """Test the candidates of a seed that a population trained."""
        self._population = self._new_population(self._members(0))
        self._assign([weights])
        scores = []
        for member in range(len(self._candidates)):
            model = self._population.model(member)
            model.compile(**compile_arguments(self._model))
            scores.append(numbers(evaluated(model, data)))
        self._population = None
        return _per_candidate(scores)

    def _wave(self, seeds: Sequence[int], fit: Fit) -> list[Trained]:
        """Train one population."""
        members = list(itertools.chain.from_iterable(map(self._members, seeds)))
        self._begin(members, fit)
        own = own_data(fit)
        options = {**own, "verbose": 0}
        if len(seeds) > 1 and fit.get("shuffle", True):
            options["shuffle"] = BY_SEED
        ending = _Ending(self._population, self._model, fit)
        options["callbacks"] = ending.callbacks
        kept = None
        if self.keeping is not None and not ending.of_each_member:
            kept = self.keeping(seeds)
            options["callbacks"] = kept.callbacks(self._population, fit, ending.callbacks)
        with isolated_seed(seeds[0]):
            # a population that trained other seeds before
            options["callbacks"] = [*as_in_first_fit(own), *options["callbacks"]]
            logs = self._population.fit(**options).history
        free_copies(own, fit)
        if kept is not None:
            logs = kept.whole(logs)
        return self._trained(len(seeds), ending.finished(logs))

    def _begin(self, members: list[Member], fit: Fit) -> None:
        """Have the population be these members, at their start."""
        is_new = len(members) != len(self._population.members)
        if is_new:
            self._population = self._new_population(members)
            self._initial_state = []
        population = self._population
        if not self._initial_state:
            options = {**compile_arguments(self._model), **steps_per_execution(self._model, fit)}
            population.compile(**options)
            if self.decided is not None and population.training_step is not None:
                population.training_step.decided = self.decided
                self.decided = None
            population.optimizer.build(population.trainable_variables)
            self._initial_state = _values(population.optimizer.variables)
        if is_new:
            return  # it was made at their start
        _assign(population.optimizer.variables, self._initial_state)
        population.restart(members)

    def _trained(self, count: int, logs: Mapping[str, list[Any]]) -> list[Trained]:
        """What the population has become, for each of so many seeds."""
        population = self._population
        has_diverged = np.isin(np.arange(len(population.members)), population.diverged)
        diverged = self._by_seed(has_diverged)
        stacked_logs = {name: np.stack(values) for name, values in _of_members(logs).items()}
        history = {}
        for name, values in numbers(stacked_logs, axes=2).items():  # (E, P)
            history[name] = self._by_seed(values.swapaxes(0, 1)).swapaxes(1, 2)  # (S, E, K)
        stacked = [(keras.ops.convert_to_numpy(v), rows) for v, rows in self._stacked()]
        decided = None
        if population.training_step is not None:
            decided = population.training_step.decided
        trained = []
        for seed in range(count):
            history_of_seed = {name: values[seed] for name, values in history.items()}
            weights = [value[rows[seed]] for value, rows in stacked]
            trained.append(Trained(history_of_seed, diverged[seed], weights, self, count, decided))
        return trained

    def _size(self, fit: Fit, at_once: int) -> int:
        """How many seeds a population has."""
        if not self._seeds_train_together(fit):
            return 1
        if (
            _batch_size(fit) * memory.outputs_per_sample(self._model)
            > costs.SEEDS_TOGETHER_MOST_OUTPUTS
        ):
            return 1
        most_members = min(costs.SEEDS_TOGETHER_MOST_MEMBERS, self._fitting(fit))
        most_seeds = min(self._most_seeds, most_members // len(self._candidates))
        return _largest_part(at_once, max(1, most_seeds))

    def _filled_up(self, seeds: Sequence[int], size: int, fit: Fit) -> list[int]:
        """The last seeds, and others that nobody wants, where a smaller population would cost more.

        It does not ask what this process has traced: one that goes on trains the same populations.
        """
        missing = size - len(seeds)
        if not missing:
            return list(seeds)
        if not unwanted_members_pay(missing / size, fit):
            return list(seeds)
        others = (seed for seed in itertools.count() if seed not in seeds)
        return [*seeds, *itertools.islice(others, missing)]

    def _seeds_train_together(self, fit: Fit) -> bool:
        """Whether each seed of a population can have its own batch order."""
        if self._each_seed_by_itself:
            return False
        return several_orders_at_once(fit) and _see_one_model(self._model, fit)

    @property
    def _seeds(self) -> int:
        """How many the population has."""
        return len(self._population.members) // len(self._members(0))

    def _by_seed(self, values: Any) -> np.ndarray:
        """(S * K, ...) as (S, K, ...)."""
        values = np.asarray(values)
        return values.reshape(self._seeds, -1, *values.shape[1:])

    def _stacked(self) -> list[_Stacked]:
        """What a test needs, always in the same order."""
        population = self._population
        seed_at = np.array(population.order) // len(self._members(0))
        stacked = []
        for _, block in population.blocks():
            seed_of_rows = np.repeat(seed_at[block.start : block.stop], block.rows)
            rows = self._rows_of_seeds(seed_of_rows)
            stacked.append(_Stacked(block.variable, rows))
        return [*stacked, _Stacked(population.healthy, self._rows_of_seeds(seed_at))]

    def _rows_of_seeds(self, seed_at: np.ndarray) -> list[np.ndarray]:
        return [np.flatnonzero(seed_at == seed) for seed in range(self._seeds)]


def unwanted_members_pay(share: float, fit: Fit) -> bool:
    """Return whether members that nobody wants cost less than a program without them.

    Never, where members have callbacks of the user's: these would write files of trainings that
    nobody asked for, or hear of two trainings at once that have one name.

    Args:
        share: of a population that they are.
        fit: the arguments of `fit`, data included.
    """
    if of_members(_of_the_user(fit)):
        return False
    if not are_arrays(fit.get("x"), fit.get("y"), fit.get("sample_weight")):
        return False  # nobody knows how many steps it takes
    samples = keras.tree.flatten(fit["x"])[0].shape[0]
    steps = fit.get("epochs", 1) * math.ceil(samples / _batch_size(fit))
    return bool(share * steps < costs.SMALLER_POPULATION_LEAST_STEPS)


def several_orders_at_once(fit: Fit) -> bool:
    """Whether each seed of one population can have the batch order that it has by itself."""
    if keras.backend.backend() != "tensorflow":
        return False
    if not are_arrays(fit.get("x"), fit.get("y"), fit.get("sample_weight")):
        return False
    return fit.get("shuffle", True) in (True, False)


class _Ending:
    """What callbacks of members need in one training of a population, and what they leave.

    Args:
        population: that is about to train.
        model: the ordinary one.
        fit: the arguments of `fit`.

    Attributes:
        callbacks: of the population.
    """

    def __init__(self, population: PopulationModel, model: keras.Model, fit: Fit):
        self._population = population
        self._rows: dict[int, list[np.ndarray]] = {}  # of members that have ended
        self._trainings = MemberTrainings(model, [], 0)
        self.callbacks = _callbacks(fit)
        if not _see_one_model(model, fit):
            return  # they are for the population
        given = _of_the_user(fit)
        self._trainings = MemberTrainings(model, given, fit.get("epochs", 1))
        ours = [callback for callback in self.callbacks if isinstance(callback, Shown)]
        self.callbacks = [*of_all(given), *ours]
        if self._trainings:
            self._trainings.begin(population)
            self.callbacks.append(MemberCallbacks(self._trainings, self._keep))

    @property
    def of_each_member(self) -> bool:
        """Whether members have callbacks of their own."""
        return bool(self._trainings)

    def _keep(self, member: int) -> None:
        self._rows[member] = rows_of_member(self._population, member)

    def finished(self, logs: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Make members be what they were when callbacks ended them; return the logs likewise."""
        put_rows(self._population, self._rows)
        finished = {name: [np.array(value) for value in values] for name, values in logs.items()}
        for member in self._rows:
            stopped = self._trainings.stopped(self._population.members[member])
            for name, values in finished.items():
                if "members/" not in name or not stopped:
                    continue
                for later in values[stopped:]:
                    later[member] = values[stopped - 1][member]
        return finished


class OneByOneTrainer:
    """Trains models one after the other, each seed from the same random state.

    Args:
        builds: a function for each candidate that returns its compiled, freshly initialized model.
        candidates: what each builds, for callbacks: they set rates for it, and call their files
            after it; by default models at the user's own rate that have numbers.

    Attributes:
        reason: empty: it is no news that it trains so.
    """

    def __init__(self, builds: Sequence[Build], candidates: Sequence[Any] = ()):
        self._builds = builds
        self._names = [f"model{index}" for index in range(len(builds))]
        self._factors = [1.0] * len(builds)
        if candidates:
            self._names = [label(rated(candidate)) for candidate in candidates]
            self._factors = [rated(candidate).factor for candidate in candidates]
        self.reason = ""
        self.decided: Decided | None = None  # each model is its own
        self.keeping: Keeping | None = None  # a population's only

    def train(self, seeds: Sequence[int], fit: Fit, at_once: int = 1) -> Iterator[Trained]:
        """Train the candidates of each seed."""
        return (self._seed(seed, fit) for seed in seeds)

    def _seed(self, seed: int, fit: Fit) -> Trained:
        logs = []
        weights = []
        diverged = []
        order = DataOrder(fit)
        for index, build in enumerate(self._builds):
            # all candidates of a seed see the same batches
            order.restore(order.start)
            # data that change between epochs would go on from one candidate to the next
            own = own_data(fit)
            options = {**own, "callbacks": self._callbacks(index, seed, fit), "verbose": 0}
            with isolated_seed(seed), steps_forgotten():
                model = build()
                history = numbers(model.fit(**options).history, axes=1)
            free_copies(own, fit)
            logs.append(history)
            weights_of_model = model.get_weights()
            weights += weights_of_model
            # a train_step of a user's may call its losses as it likes
            watched = [history["loss"]] if "loss" in history else _floating(weights_of_model)
            diverged.append(not all(np.isfinite(values).all() for values in watched))
        histories = {}
        for name in logs[0]:
            histories[name] = pad_and_stack([of_model[name] for of_model in logs], axis=-1)
        return Trained(histories, np.array(diverged), weights, self)

    def _callbacks(self, index: int, seed: int, fit: Fit) -> list[Any] | None:
        """The callbacks of one training: copies of the user's, with files of their own."""
        ours = [callback for callback in _callbacks(fit) if isinstance(callback, Shown)]
        copies = own_copies(
            _of_the_user(fit), f"{self._names[index]}-seed{seed}", self._factors[index]
        )
        return [*copies, *ours] or None

    def test(
        self, weights: Iterable[list[np.ndarray]], data: Any
    ) -> Iterator[dict[str, np.ndarray]]:
        """Return each metric, (K,), of each seed, with weights that `train` returned."""
        return (self._test(of_seed, data) for of_seed in weights)

    def _test(self, weights: list[np.ndarray], data: Any) -> dict[str, np.ndarray]:
        x = data[0] if isinstance(data, tuple | list) else data
        return _per_candidate(
            [numbers(evaluated(model, data)) for model in self._with_weights(weights, x)]
        )

    def _with_weights(self, weights: list[np.ndarray], inputs: Any) -> Iterator[keras.Model]:
        """Each candidate's model, with its part of the weights of a seed."""
        remaining = weights
        for build in self._builds:
            with isolated_seed(0):
                model = build()
            # a model that is not built takes no weights, and says nothing
            built(model, inputs)
            count = len(model.weights)
            model.set_weights(remaining[:count])
            remaining = remaining[count:]
            yield model
        if remaining:
            raise ModelError(
                "Every weight that was trained must be scored. "
                f"Received: {len(remaining)} without a place"
            )

    def model(self, weights: list[np.ndarray], candidate: int, inputs: Any) -> keras.Model | None:
        """Return a candidate of a seed as an ordinary model; see `Trainer`."""
        models = self._with_weights(weights, inputs)
        return next(itertools.islice(models, candidate, None))


class Shown(keras.callbacks.Callback):
    """Shows which epoch is trained."""

    def __init__(self, show: Callable[[str], None]):
        super().__init__()
        self._show = show

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Show it."""
        self._show(f"epoch {epoch + 1}/{self.params['epochs']}")


def why_alone(
    model: keras.Model, slots: Iterable[str] | None, callbacks: Iterable[Any] | None
) -> str:
    """Return why `trainer_for` trains the candidates of a model one by one; empty if it does not."""
    try:
        check_model(model, slots)
    except ModelError as error:
        return str(error)
    return why_callbacks_alone(callbacks or (), model)


def trainer_for(
    model: keras.Model,
    candidates: Sequence[Any],
    builds: Sequence[Build],
    slots: Iterable[str] | None = None,
    callbacks: Iterable[Any] | None = None,
    rescale_init: bool = False,
    in_parts: bool = False,
) -> Trainer:
    """Return a population's trainer, or that of the single models where the model or a callback needs it.

    `builds` have the initializers that `rescale_init` says.

    Raises:
        TooManyTogether: if memory runs out, and fewer candidates are to be trained at once then.
    """
    alone = OneByOneTrainer(builds, candidates)
    if model.compiled and why_callbacks_alone(callbacks or (), model):
        return alone
    try:
        return PopulationTrainer(
            model,
            candidates,
            slots=slots,
            builds=builds,
            rescale_init=rescale_init,
            in_parts=in_parts,
        )
    except Exception as error:
        has_run_out = is_out_of_memory(error)
        if not isinstance(error, ModelError) and not has_run_out:
            raise
    # the error is gone, and with it what it held of the memory
    if has_run_out and in_parts:
        raise TooManyTogether("memory ran out")
    return alone


def most_together(model: keras.Model, fit: Fit) -> int:
    """Return how many members of a model's population fit into memory."""
    return memory.most_members(memory.bytes_per_member(model, _largest_batch(fit)))


def _callbacks(fit: Fit) -> list[keras.callbacks.Callback]:
    return keras.tree.flatten(fit.get("callbacks") or [])


def _of_the_user(fit: Fit) -> list[keras.callbacks.Callback]:
    return [callback for callback in _callbacks(fit) if not isinstance(callback, Shown)]


def _see_one_model(model: keras.Model, fit: Fit) -> bool:
    """Whether the callbacks do for each member of a population what they do for a model."""
    return not why_callbacks_alone(_of_the_user(fit), model)


def _batch_size(fit: Fit) -> int:
    return fit.get("batch_size") or _BATCH_SIZE_OF_KERAS


def _largest_batch(fit: Fit) -> int:
    return max(_batch_size(fit), fit.get("validation_batch_size") or 0)


def _largest_part(count: int, most: int) -> int:
    """The size of the fewest equal parts of `count` that have up to `most` each; the last may have less."""
    parts = math.ceil(count / most)
    return math.ceil(count / parts)


def _in_parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items, so many at a time."""
    remaining = iter(items)
    part = list(itertools.islice(remaining, size))
    while part:
        yield part
        part = list(itertools.islice(remaining, size))


def _of_members(logs: Mapping[str, Any]) -> dict[str, Any]:
    """A population's logs of each member, under the names that an ordinary model has."""
    of_members = {}
    for name, values in logs.items():
        if "members/" in name:
            of_members[name.replace("members/", "")] = values
    return of_members


def _per_candidate(scores: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The scores of the candidates as one array a metric, (K,)."""
    return {name: np.array([of_model[name] for of_model in scores]) for name in scores[0]}


def steps_per_execution(model: keras.Model, fit: Fit) -> dict[str, int]:
    """More steps in one call, if the user named no number and no callback wants to see each batch."""
    # Keras looks at a number of steps between calls only: whatever it is, one call takes all of its
    # own
    if fit.get("steps_per_epoch") or fit.get("validation_steps"):
        return {}
    if keras.config.max_steps_per_epoch() or model.steps_per_execution > 1:
        return {}
    if any(map(watch_batches, _callbacks(fit))) or not hasattr(fit.get("x"), "shape"):
        return {}
    steps = min(costs.MOST_STEPS_PER_EXECUTION, len(fit["x"]) // _batch_size(fit))
    return {"steps_per_execution": max(1, steps)}


def pad_and_stack(histories: list[np.ndarray], axis: int = 0) -> np.ndarray:
    """Stack arrays (E, ...).

    Where a callback ended a training early, its last epoch stands for those that follow.
    """
    epochs = max(len(history) for history in histories)
    padded = []
    for history in histories:
        width = [(0, epochs - len(history))] + [(0, 0)] * (history.ndim - 1)
        padded.append(np.pad(history, width, mode="edge"))
    return np.stack(padded, axis=axis)


def _values(variables: Iterable[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _floating(values: Iterable[np.ndarray]) -> list[np.ndarray]:
    return [value for value in values if keras.backend.is_float_dtype(value.dtype)]


def _assign(variables: Iterable[Any], values: Iterable[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
