"""`PopulationModel`.

Many candidates and seeds as one Keras model, each trained exactly as it would be alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acts.compat import (
    compiled_with,
    no_automatic_dependency_tracking,
    outputs_struct,
    run_through_graph,
)
from keras_acts.errors import ModelError
from keras_acts.lowering import uncompiled

from ..rewrite.compiling import compile_arguments, optimizer_like
from ..rewrite.walk import graph_of, is_graph, layers_of
from ..runtime.device import gpus
from ..runtime.graph_optimizer import unoptimized
from ..vectorize.batch import Batch, with_logits
from ..vectorize.registry import compiles
from ..vectorize.segments import arrange
from . import diverged as steps
from . import transfer
from .batch_view import BatchView, by_seed, seeds_of
from .blueprint import Blueprint
from .clipping import clip_per_member
from .data import BY_SEED, as_adapter
from .frozen_prefix import frozen_prefix
from .losses import MemberLosses, MemberLossMean, MemberMetrics
from .members import Member, activation_slots, members
from .optimizers import check_optimizer
from .rates import rate_per_member
from .stacked_layer import StackedLayer
from .step_jax import jax_train_step
from .step_tensorflow import Announcement, TrainingStep

Tensor = Any


class PopulationModel(keras.Model):
    """K candidates x S seeds of a model as one Keras model.

    Slot ``k * S + s`` is candidate k with seed s.

    ``fit`` trains all of them on the same batches in one program. Each slot starts as the ordinary
    model ``with_activations(model, candidate)`` made under its seed, and gets exactly its own
    gradient. A slot whose loss is no longer finite is frozen (`diverged`); the others never notice.

    Calls and `predict` return one axis more than the model, the slots', in front: (P, B, ...). The
    logs hold, for each name that an ordinary model would log, the mean over the finite slots, and
    under ``members/`` the array of all: ``loss`` and ``members/loss``, ``val_loss`` and
    ``val_members/loss``.

    Args:
        model: a Sequential or Functional model. It is not changed. If it is compiled, the
            population is compiled alike.
        candidates: names, activation objects or candidates; an `Assignment` to have another in each
            activation slot; or members of another population.
        seeds: how many, from 0 on, or a list of them.
        name: of the model.
        slots: the names of the activation slots that the candidates go to; by default those of the
            assignments, else all hidden ones.

    Raises:
        ModelError: if the model cannot be rewritten, or something in it cannot be trained exactly:
            masks, half precision, activity regularizers.
        ActivationError: if there is no such activation.

    Example:
        >>> population = PopulationModel(model, ["relu", "mish", "leaky_relu(alpha=0.2)"], seeds=8)
        >>> population.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> history = population.fit(x, y, epochs=5, validation_data=(x_val, y_val))
        >>> best = population.model(int(np.nanargmin(history.history["val_members/loss"][-1])))
    """

    def __init__(
        self,
        model: keras.Model,
        candidates: Iterable[Any],
        seeds: int | Iterable[int] = 1,
        *,
        name: str = "population",
        slots: Iterable[str] | None = None,
    ):
        if keras.backend.backend() not in ("tensorflow", "jax"):
            raise ModelError(
                f"A population needs Keras on TensorFlow or JAX. Received: backend={keras.backend.backend()!r}"
            )
        super().__init__(name=name, autocast=False)
        found = members(candidates, seeds)
        known = isinstance(model, Blueprint)  # `join` gives one, and then all weights
        blueprint = model if known else Blueprint(model, activation_slots(found, slots))
        order, _ = arrange([member.candidate for member in found])
        inside = tuple(found[p] for p in order)
        weights = blueprint.some(inside) if known else blueprint.initial(inside)
        self._state = _State(blueprint, found, order)
        self.random = keras.random.SeedGenerator(found[0].seed)
        chosen = tuple(member.candidate for member in inside)
        shared = frozen_prefix(blueprint.model, blueprint.hidden)
        self.stacked = [
            StackedLayer(
                path,
                blueprint,
                chosen,
                [slot[path] for slot in weights],
                self.random,
                path in shared,
            )
            for path, layer in layers_of(blueprint.reference)
            if not isinstance(layer, keras.layers.InputLayer)
        ]
        self._state.stacked = {layer.plan.path: layer for layer in self.stacked}
        self.healthy = self.add_weight(
            name="healthy", shape=(len(found),), initializer="ones", trainable=False, autocast=False
        )
        self.built = True
        if not known and model.compiled:
            self.compile(**compile_arguments(model))

    @property
    def members(self) -> tuple[Member, ...]:
        """Candidate and seed of each slot."""
        return self._state.members

    @property
    def diverged(self) -> tuple[int, ...]:
        """The slots that are frozen, because their loss was not finite."""
        healthy = ops.convert_to_numpy(self.healthy)
        return tuple(sorted(self._state.order[i] for i in np.flatnonzero(healthy == 0)))

    @property
    def output_names(self) -> list[str]:
        """The names of the model's outputs."""
        return self._state.graph.output_names

    @property
    def output_spec(self) -> Any:
        """The outputs of all slots without their values, (P, B, ...) each."""
        slots = len(self.members)
        graph = self._state.graph
        outputs = outputs_struct(graph)
        return keras.tree.map_structure(
            lambda y: keras.KerasTensor((slots, *y.shape), y.dtype), outputs
        )

    def _faster_under_xla(self) -> bool:
        plans = [layer.plan for layer in self.stacked]
        return bool(gpus()) or all(plan.rule is not None and compiles(plan.layer) for plan in plans)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the outputs of all slots, (P, B, ...) each."""
        state = self._state
        state.losses = []
        batches = state.view.inputs(state.graph, inputs, state.order)
        with uncompiled():
            outputs = self._through(state.graph, batches, "", training)
        return keras.tree.map_structure(lambda y: with_logits(self._public, y.stacked()), outputs)

    def _through(self, graph: Any, batches: list[Batch], prefix: str, training: bool | None) -> Any:
        def operation(op: Any) -> Any:
            path = f"{prefix}{op.name}"

            def nested(*args: Any, **options: Any) -> Any:
                return self._through(graph_of(op), keras.tree.flatten(args), f"{path}/", training)

            def layer(*args: Any, **options: Any) -> Any:
                return self._state.stacked[path].run(training, self._state.losses, args, options)

            return nested if is_graph(op) else layer

        return run_through_graph(graph, batches, operation)

    def _public(self, x: Tensor) -> Tensor:
        """From inside order to public order, along the first axis."""
        return _moved(x, self._state.positions)

    @no_automatic_dependency_tracking
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **options: Any,
    ) -> None:
        """Compile as every Keras model; each slot has the loss and the metrics for itself.

        Raises:
            ModelError: if the optimizer mixes the values of a variable, which would mix slots.
        """
        optimizer = keras.optimizers.get(optimizer)
        # what follows changes its methods, and the user's own may train another model next
        optimizer = (
            optimizer_like(optimizer)
            if isinstance(optimizer, keras.optimizers.Optimizer)
            else optimizer
        )
        check_optimizer(
            optimizer, [layer.plan.layer for layer in self.stacked if layer.trainable_variables]
        )
        clip_per_member(optimizer, steps.rows_of(self), len(self.members))
        options = {**options, "auto_scale_loss": False}
        if keras.backend.backend() == "tensorflow":
            jit = options.pop("jit_compile", "auto")
            self._state.step = TrainingStep(self, optimizer, jit, self._faster_under_xla())
            # Keras itself compiles nothing: validation runs too rarely for that
            options["jit_compile"] = False
        super().compile(optimizer, loss, loss_weights, metrics, weighted_metrics, **options)
        if keras.backend.backend() == "tensorflow":
            compiled_with(self)["jit_compile"] = jit
        self._state.rates = None
        slots = len(self.members)
        self._loss_tracker = MemberLossMean(slots, name="loss")
        if loss is not None:
            self._compile_loss = MemberLosses(
                slots, loss, loss_weights, output_names=self.output_names
            )
        if metrics is not None or weighted_metrics is not None:
            self._compile_metrics = MemberMetrics(
                slots, metrics, weighted_metrics, output_names=self.output_names
            )

    def set_learning_rates(self, rates: Iterable[float]) -> None:
        """Give each slot a constant learning rate of its own, for weight decay too, until `compile` is called again.

        Args:
            rates: (P,), in the order of `members`.

        Raises:
            ModelError: if the population is not compiled, or there is not one positive number a
                slot.
        """
        found = np.asarray(list(rates), "float64")
        if not self.compiled or found.shape != (len(self.members),) or not (found > 0).all():
            raise ModelError(
                f"A compiled population takes one learning rate > 0 for each of its {len(self.members)} slots. "
                f"Received: rates={found.tolist()}"
            )
        self._state.rates = found
        inside = found[list(self._state.order)]
        rate_per_member(self.optimizer, inside, steps.rows_of(self), self.trainable_variables)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **options: Any,
    ) -> keras.callbacks.History:
        """Train all slots on the same batches, as every Keras model, or those of each seed on batches of their own.

        They are with ``shuffle="seed"``: then the order is the one that an ordinary `fit` has after
        ``keras.utils.set_random_seed(seed)``.

        Raises:
            ModelError: on ``shuffle="seed"`` with other data than arrays, or with another backend
                than TensorFlow.
        """
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            epochs_to_come = epochs - options.get("initial_epoch", 0)
            callbacks = [Announcement(epochs_to_come), *keras.tree.flatten(callbacks or [])]
        own_orders = options.get("shuffle") == BY_SEED
        step = self._state.step
        if step is None:
            if own_orders and keras.backend.backend() != "tensorflow":
                raise ModelError(
                    f"shuffle='seed' needs TensorFlow. Received: backend={keras.backend.backend()!r}"
                )
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, **options)
        x, y, options = as_adapter(x, y, batch_size, options, seeds_of(self.members))
        layers = (layer.plan.layer for layer in self.stacked)
        view = by_seed(self.members) if own_orders else BatchView(len(self.members))
        with unoptimized(layers, self.optimizer), step.batches(view):
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, **options)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the sum of the slots' losses, so that each slot gets its own gradient."""
        added = self._state.losses
        if self._compile_loss is None and not added:
            raise ModelError(
                "There is no loss to train on. Expected: compile(loss=...). Received: loss=None"
            )
        losses = ops.zeros((len(self.members),), self.healthy.dtype)
        if self._compile_loss is not None:
            y, sample_weight = map(self._state.view.of_slots, (y, sample_weight))
            losses = _moved(self._compile_loss(y, y_pred, sample_weight), self._state.order)
        for loss in added:
            losses = losses + ops.cast(loss, losses.dtype)
        samples = self._state.view.samples(x)
        if training:
            self.healthy.assign(self.healthy * ops.cast(ops.isfinite(losses), self.healthy.dtype))
        shown, healthy = (
            self._public(ops.convert_to_tensor(x))
            for x in (ops.stop_gradient(losses), self.healthy)
        )
        self._loss_tracker.update_state(shown, sample_weight=samples, healthy=healthy)
        return ops.sum(losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the metrics of all slots and return their results."""
        of_slots = self._state.view.of_slots
        return super().compute_metrics(x, of_slots(y), y_pred, of_slots(sample_weight))

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the mean over the finite slots under each name, and the slots' values under ``members/``."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            found.update(result if isinstance(result, dict) else {metric.name: result})
        healthy = ops.not_equal(self._loss_tracker.healthy, 0)
        means = {}
        for name, values in found.items():
            kept = ops.reshape(healthy, (-1, *(1,) * (len(values.shape) - 1)))
            kept = ops.logical_and(kept, ops.isfinite(values))
            total = ops.sum(ops.where(kept, values, ops.zeros_like(values)), axis=0)
            means[name] = total / ops.sum(ops.cast(kept, values.dtype), axis=0)
        return {**means, **{f"members/{name}": values for name, values in found.items()}}

    def train_step(self, *arguments: Any) -> Any:
        """Train all slots on one batch; those whose loss is not finite stay as they are."""
        if keras.backend.backend() == "jax":
            return jax_train_step(self, super().train_step, *arguments)
        assert self._state.step is not None  # there is one since compile
        return self._state.step(*arguments)

    def predict_step(self, *arguments: Any) -> Any:
        """Return the outputs with the batch in front, which is the axis that Keras concatenates."""
        made = super().predict_step(*arguments)
        if keras.backend.backend() == "jax":
            return keras.tree.map_structure(_swapped, made[0]), made[1]
        return keras.tree.map_structure(_swapped, made)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs of all slots for all samples, (P, N, ...)."""
        return keras.tree.map_structure(
            lambda y: np.swapaxes(y, 0, 1), super().predict(*args, **kwargs)
        )

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of all slots, (P, B, ...)."""
        return keras.tree.map_structure(lambda y: np.swapaxes(y, 0, 1), super().predict_on_batch(x))

    def model(self, slot: int) -> keras.Model:
        """Return one slot as an ordinary Keras model: same weights.

        Compiled, if the population is, with its state.

        Raises:
            ModelError: if there is no such slot.
        """
        self._check_slots([slot])
        made = self._state.blueprint.build(self.members[slot])
        transfer.to_model(self, self._state.positions[slot], made)
        if self._state.rates is not None:
            made.optimizer.learning_rate = float(self._state.rates[slot])
        return made

    def select(self, slots: Iterable[int]) -> PopulationModel:
        """Return a population of some slots, in this order, as they are.

        Weights, optimizer, normalization, divergence.

        Raises:
            ModelError: if there is none, no such one, or one twice.
        """
        return self.join([(self, slots)])

    @classmethod
    def join(cls, parts: Iterable[tuple[PopulationModel, Iterable[int]]]) -> PopulationModel:
        """Return one population of slots of several, part after part, each slot as it is.

        Args:
            parts: (population, slots). The populations are of one model, compiled alike, and
                trained for as many steps.

        Raises:
            ModelError: if there is no part, the populations are of different models or were trained
                for different numbers of steps, or a part has no slot, no such one, or one twice.
        """
        found = [(population, list(slots)) for population, slots in parts]
        for population, slots in found:
            population._check_slots(slots)
        first = found[0][0] if found else None
        alike = {
            (id(p._state.blueprint.model), p._state.blueprint.chosen, _steps_of(p))
            for p, _ in found
        }
        rated = {p._state.rates is not None for p, _ in found}
        if first is None or len(alike) > 1 or len(rated) > 1:
            raise ModelError(
                "Populations join if they are of one model, trained for as many steps, and all or none have learning "
                f"rates of their slots. Received: {len(found)} populations, steps={[_steps_of(p) for p, _ in found]}"
            )
        places = [(population, slot) for population, slots in found for slot in slots]
        members = [population.members[slot] for population, slot in places]
        made = cls(first._state.blueprint, members, name=first.name)
        inside = [(population, population._state.positions[slot]) for population, slot in places]
        transfer.to_population([inside[p] for p in made._state.order], made)
        rates = [
            population._state.rates[slot]
            for population, slot in places
            if population._state.rates is not None
        ]
        if rates:
            made.set_learning_rates(rates)
        return made

    def _check_slots(self, chosen: list[int]) -> None:
        known = range(len(self.members))
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
            raise ModelError(
                f"Slots must be different ones from 0 to {known[-1]}. Received: {chosen}"
            )

    def get_config(self) -> dict[str, Any]:
        """Raise: a population is saved slot by slot, ``population.model(slot).save(path)``."""
        raise ModelError(
            f"A population has no config: save population.model(slot). Received: {self.name!r}"
        )


def _moved(x: Tensor, places: tuple[int, ...]) -> Tensor:
    """The rows of `x` at these places, in their order."""
    return x if places == tuple(range(len(places))) else ops.take(x, places, axis=0)


class _State:
    """What Keras must not track."""

    def __init__(self, blueprint: Blueprint, found: tuple[Member, ...], order: tuple[int, ...]):
        self.blueprint, self.members, self.order = blueprint, found, order
        self.positions = tuple(int(i) for i in np.argsort(order))
        self.graph = graph_of(blueprint.reference)
        self.stacked: dict[str, StackedLayer] = {}
        self.losses: list[Tensor] = []
        self.rates: np.ndarray | None = None
        self.step: TrainingStep | None = None
        self.view = BatchView(len(found))


def _steps_of(population: PopulationModel) -> int:
    """How many it has trained."""
    optimizer = population.optimizer if population.compiled else None
    return int(optimizer.iterations) if optimizer is not None and optimizer.built else 0


def _swapped(y: Tensor) -> Tensor:
    return ops.transpose(y, (1, 0, *range(2, len(y.shape))))
