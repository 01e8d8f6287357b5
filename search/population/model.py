"""`PopulationModel`.

Many candidates and seeds as one Keras model, each trained exactly as it would be alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acts.compat import (
    attach_mask,
    compiled_with,
    mask_of,
    no_automatic_dependency_tracking,
    outputs_struct,
    run_through_graph,
)
from keras_acts.errors import ModelError, shown
from keras_acts.target import uncompiled

from ..rewrite.compiling import compile_arguments, optimizer_like
from ..rewrite.learning_rate import scale_learning_rate
from ..rewrite.walk import graph_of, is_graph, layers_of
from ..runtime import choices
from ..runtime.graph_optimizer import unoptimized
from ..runtime.tracing import steps_forgotten
from ..space.candidate import Candidate
from ..vectorize.batch import Batch, with_logits
from ..vectorize.registry import compiles
from ..vectorize.segments import arrange
from . import transfer
from .batch_view import BatchView, ForwardPass, by_seed, may_fill_up, seeds_of
from .block import StackedVariable, column_shape
from .blueprint import Blueprint, Weights
from .data import BY_SEED, as_adapter, most_samples
from .diverged import rows_of
from .frozen_prefix import frozen_prefix
from .lanes import joined, sizes_now
from .losses import MemberLosses, MemberLossMean, MemberMetrics, label_smoothing_of
from .members import (
    Member,
    activation_slots,
    members,
    noisy_paths,
    strengths_at,
    with_noise,
)
from .optimizers import check_optimizer, clip_per_member
from .rates import rate_per_member
from .stacked_layer import StackedLayer
from .step_jax import Filled, FilledBatches, jax_train_step
from .step_tensorflow import Announcement, TrainingStep
from .tables import update_tables_apart

Tensor = Any
Structure = Any  # of tensors, as Keras nests them


def check_model(model: keras.Model, slots: Iterable[str] | None = None) -> None:
    """Check that a model can be a population, as far as that can be seen without making one.

    One ordinary copy is made, which shows whether its layers can be made again.

    Args:
        model: as of `PopulationModel`.
        slots: as of `PopulationModel`.

    Raises:
        ModelError: as `PopulationModel` would.
    """
    _check_backend()
    member = Member(Candidate.of("relu"), 0)
    blueprint = Blueprint(model, activation_slots((member,), slots))
    blueprint.initial((member,))
    if not model.compiled:
        return
    optimizer = keras.optimizers.get(compile_arguments(model)["optimizer"])
    layers = [layer for _, layer in layers_of(blueprint.reference)]
    check_optimizer(
        optimizer, [layer for layer in layers if getattr(layer, "trainable_variables", ())]
    )


def _check_backend() -> None:
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ModelError(
            "A population needs Keras on TensorFlow or JAX. "
            f"Received: backend={keras.backend.backend()!r}"
        )


class PopulationModel(keras.Model):
    """K candidates x S seeds of a model as one Keras model.

    Member ``k * S + s`` is candidate k with seed s.

    ``fit`` trains all of them on the same batches in one program. Each member starts as the
    ordinary model ``with_activations(model, candidate)`` made under its seed, and gets exactly its
    own gradient. A member whose loss is no longer finite is frozen (`diverged`); the others never
    notice.

    Calls and `predict` return one axis more than the model, the members', in front: (P, B, ...).
    The logs hold, for each name that an ordinary model would log, the mean over the finite members,
    and under ``members/`` the array of all: ``loss`` and ``members/loss``, ``val_loss`` and
    ``val_members/loss``.

    *Inside*, members whose activations are the same function lie next to each other; that order is
    the inside one. All that a user sees is in the order of `members`, the public one.

    Args:
        model: a Sequential or Functional model. It is not changed. If it is compiled, the
            population is compiled alike.
        candidates: names, activation objects or candidates; an `Assignment` to have another in each
            activation slot; or members of another population.
        seeds: how many, from 0 on, or a list of them.
        name: of the model.
        slots: the names of the activation slots that the candidates go to; by default those of the
            assignments, else all hidden ones.
        rescale_init: as of `with_activations`: each member's kernels are initialized for the
            activations that they feed.
        noise: for layers of noise, by their paths, one number a member: the rate of a `Dropout`,
            `SpatialDropout1D` to `3D`, `AlphaDropout` or `GaussianDropout`, the standard deviation
            of a `GaussianNoise`. The others have those of the model.

    Raises:
        ModelError: if the model cannot be rewritten, or something in it cannot be trained exactly:
            half precision, optimizers that mix members, noise of members where the model has none.
        ActivationError: if there is no such activation.

    Example:
        >>> population = PopulationModel(model, ["relu", "mish", "leaky_relu(alpha=0.2)"], seeds=8)
        >>> population.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> history = population.fit(x, y, epochs=5, validation_data=(x_val, y_val))
        >>> best = population.model(int(np.nanargmin(history.history["val_members/loss"][-1])))
    """

    train_function: Any  # Keras', as it makes them for its backend
    test_function: Any

    def __init__(
        self,
        model: keras.Model,
        candidates: Iterable[Any],
        seeds: int | Iterable[int] = 1,
        *,
        name: str = "population",
        slots: Iterable[str] | None = None,
        rescale_init: bool = False,
        noise: Mapping[str, Iterable[float]] | None = None,
    ):
        _check_backend()
        # whatever the global policy: a scope that casts is for the layers inside
        super().__init__(name=name, autocast=False, dtype=keras.config.floatx())
        wanted = members(candidates, seeds)
        if isinstance(model, Blueprint):  # `join` gives one, and then all weights
            blueprint = model
            initial_weights = blueprint.some
        else:
            blueprint = Blueprint(model, activation_slots(wanted, slots), rescale_init)
            initial_weights = blueprint.initial
        wanted = with_noise(wanted, noise, blueprint.model)
        order, _ = arrange([member.candidate for member in wanted])
        inside = tuple(wanted[p] for p in order)
        weights = initial_weights(inside)
        self._state = _State(blueprint, wanted, order)
        self.random = keras.random.SeedGenerator(wanted[0].seed)
        self.stacked = self._stacked_layers(inside, weights)
        self._state.stacked = {layer.plan.path: layer for layer in self.stacked}
        self.healthy = self.add_weight(
            name="healthy",
            shape=(len(wanted),),
            initializer="ones",
            trainable=False,
            autocast=False,
        )
        self.built = True
        if not isinstance(model, Blueprint) and model.compiled:
            self.compile(**compile_arguments(model))

    def _stacked_layers(
        self, inside: Sequence[Member], weights: Sequence[Weights]
    ) -> list[StackedLayer]:
        blueprint = self.blueprint
        candidates = tuple(member.candidate for member in inside)
        # what members have for themselves does not run once for all
        own = (*blueprint.hidden, *noisy_paths(inside))
        shared = frozen_prefix(blueprint.model, own)
        layers = []
        for path, layer in layers_of(blueprint.reference):
            if isinstance(layer, keras.layers.InputLayer):  # the graph walk never runs it
                continue
            weights_of_layer = [of_member[path] for of_member in weights]
            layers.append(
                StackedLayer(
                    path,
                    blueprint,
                    candidates,
                    weights_of_layer,
                    self.random,
                    path in shared,
                    strengths_at(path, layer, inside),
                )
            )
        return layers

    def blocks(self) -> Iterator[tuple[str, StackedVariable]]:
        """Yield all stacked variables, each with the path of the layer that it is of."""
        for layer in self.stacked:
            for block in layer.plan.blocks:
                yield layer.plan.path, block

    @property
    def members(self) -> tuple[Member, ...]:
        """Candidate and seed of each member."""
        return self._state.members

    @property
    def order(self) -> tuple[int, ...]:
        """The inside order: which member is at each position inside."""
        return self._state.order

    @property
    def positions(self) -> tuple[int, ...]:
        """The position inside of each member."""
        return self._state.positions

    @property
    def blueprint(self) -> Blueprint:
        """The ordinary models behind the population."""
        return self._state.blueprint

    @property
    def member_graph(self) -> keras.Model:
        """The Functional model whose graph each member has."""
        return self._state.graph

    @property
    def training_step(self) -> TrainingStep | None:
        """What trains the population on TensorFlow; None before `compile`, and on JAX."""
        return self._state.step

    @property
    def diverged(self) -> tuple[int, ...]:
        """The members that are frozen, because their loss was not finite."""
        healthy = ops.convert_to_numpy(self.healthy)
        return tuple(sorted(self.order[position] for position in np.flatnonzero(healthy == 0)))

    @property
    def output_names(self) -> list[str]:
        """The names of the model's outputs."""
        return self.member_graph.output_names

    @property
    def output_spec(self) -> Structure:
        """The outputs of all members without their values, (P, B, ...) each."""
        count = len(self.members)
        return keras.tree.map_structure(
            lambda y: keras.KerasTensor((count, *y.shape), y.dtype),
            outputs_struct(self.member_graph),
        )

    def _faster_under_xla(self) -> bool:
        plans = [layer.plan for layer in self.stacked]
        rules_say_so = all(plan.rule is not None and compiles(plan.layer) for plan in plans)
        return choices.xla_makes_steps_faster(rules_say_so)

    def call(
        self,
        inputs: Structure,
        training: bool | None = None,
        forward: ForwardPass | None = None,
    ) -> Structure:
        """Return the outputs of all members, (P, B, ...) each.

        What layers add to the members' losses is in `losses` then, as with every Keras model, but
        (P,) each.

        Args:
            inputs: as of the model.
            training: as of every Keras model.
            forward: this call, for who wants to know more of it; by default one of a batch that all
                members see.
        """
        if forward is None:
            forward = ForwardPass(self._shared_view, lanes=sizes_now(self))
        batches = forward.view.inputs(self.member_graph, inputs, self.order)
        # activations are no programs of their own here: XLA would take tens of milliseconds for each
        with uncompiled():
            outputs = self._through(self.member_graph, batches, "", forward, training)
        if forward.losses:
            # from here to `compute_loss` Keras carries them, on each backend in its way
            self.add_loss(self._all_public(forward.losses))
        outputs = keras.tree.map_structure(joined, outputs)
        return keras.tree.map_structure(lambda y: self._output(y, forward.view), outputs)

    def _output(self, y: Batch, view: BatchView) -> Tensor:
        """What the population returns for one output, in public order."""
        output = with_logits(self._public, y.stacked())
        mask = None
        if y.mask is not None:
            mask = self._public(y.mask.stacked())
        mask = view.mask_of_counted(output, mask)
        if mask is not None:
            attach_mask(output, mask)
        return output

    @property
    def _shared_view(self) -> BatchView:
        """How members see a batch if nothing else is said: all of them the same samples."""
        return BatchView(len(self.members), counted=self._state.counted)

    def _through(
        self,
        graph: keras.Model,
        batches: list[Batch],
        prefix: str,
        forward: ForwardPass,
        training: bool | None,
    ) -> Structure:
        """Return what flows out of a graph; `prefix` is the path of the model whose graph it is."""

        def operation(op: keras.Operation) -> Callable[..., Structure]:
            path = f"{prefix}{op.name}"

            def nested_model(*args: Any, **options: Any) -> Structure:
                inner = keras.tree.flatten(args)
                return self._through(graph_of(op), inner, f"{path}/", forward, training)

            def layer(*args: Any, **options: Any) -> Structure:
                return self._state.stacked[path].run(forward, training, args, options)

            if is_graph(op):
                return nested_model
            return layer

        return run_through_graph(graph, batches, operation)

    def _public(self, x: Tensor) -> Tensor:
        """From inside order to public order, along the first axis."""
        return _rows_at(x, self.positions)

    def _all_public(self, losses: Sequence[Tensor]) -> list[Tensor]:
        """Losses of the members, (P,) each, from inside order to public order."""
        # all in one, so that it is one step for however many variables are regularized
        columns = ops.stack([ops.cast(loss, self.healthy.dtype) for loss in losses], axis=1)
        return list(ops.unstack(self._public(columns), axis=1))

    def _inside(self, x: Tensor) -> Tensor:
        """From public order to inside order, along the first axis."""
        return _rows_at(x, self.order)

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
        """Compile as every Keras model; each member has the loss and the metrics for itself.

        Raises:
            ModelError: if the optimizer mixes the values of a variable, which would mix members.
        """
        optimizer = keras.optimizers.get(optimizer)
        if isinstance(optimizer, keras.optimizers.Optimizer):
            # what follows changes its methods, and the user's own may train another model next
            optimizer = optimizer_like(optimizer)
        trained = [layer.plan.layer for layer in self.stacked if layer.trainable_variables]
        check_optimizer(optimizer, trained)
        clip_per_member(optimizer, rows_of(self), len(self.members))
        update_tables_apart(optimizer)
        # it is for half precision, which a population refuses
        options = {**options, "auto_scale_loss": False}
        on_tensorflow = keras.backend.backend() == "tensorflow"
        if on_tensorflow:
            jit_compile = options.pop("jit_compile", "auto")
            self._state.step = TrainingStep(
                len(self.members), optimizer, jit_compile, self._faster_under_xla()
            )
            # Keras itself compiles nothing: validation runs too rarely for that
            options["jit_compile"] = False
        super().compile(optimizer, loss, loss_weights, metrics, weighted_metrics, **options)
        if on_tensorflow:
            # a population that is joined from this one is compiled as the user said
            compiled_with(self)["jit_compile"] = jit_compile
        self._state.rates = None
        self._state.decays = None
        self._state.smoothings = None
        self._state.rates_inside = None
        self._state.factors_inside = None
        self._multiply_rates()
        self._resolve_per_member(loss, loss_weights, metrics, weighted_metrics)

    def _resolve_per_member(
        self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any
    ) -> None:
        """Put losses and metrics of each member where Keras has put those of one model."""
        count = len(self.members)
        self._loss_tracker = MemberLossMean(count, name="loss")
        if loss is not None:
            self._compile_loss = MemberLosses(
                count, loss, loss_weights, output_names=self.output_names
            )
        if metrics is not None or weighted_metrics is not None:
            self._compile_metrics = MemberMetrics(
                count, metrics, weighted_metrics, output_names=self.output_names
            )

    def _multiply_rates(self) -> None:
        """Have the optimizer train each member at its own multiple of the learning rate."""
        if any(member.factor != 1 for member in self.members):
            self._train_at_factors()

    def _train_at_factors(self) -> None:
        """Have the optimizer multiply its rate by the factor of each member."""
        factors: Any = self._factors_inside()
        if self.training_step is not None:
            import tensorflow as tf

            # no constants, so that members at other rates need no other program
            if self._state.factors_inside is None:
                self._state.factors_inside = tf.Variable(factors, trainable=False)
            factors = self._state.factors_inside
        self._train_at_inside(factors, are_factors=True)

    def _factors_inside(self) -> np.ndarray:
        """The multiple of the learning rate of each member, in inside order."""
        return np.array([self.members[member].factor for member in self.order])

    def _change_factors(self) -> None:
        """Train at the factors that the members have now."""
        if self._state.factors_inside is not None:
            self._state.factors_inside.assign(self._factors_inside())
        elif self._state.rates is None:  # else the members have rates, whatever their factors
            self._train_at_factors()
            self._forget_training_programs()

    def _train_at(self, rates: np.ndarray) -> None:
        """Have the optimizer train each member at its own rate."""
        self._train_at_inside(rates[list(self.order)], are_factors=False)

    def _train_at_inside(self, rates: Any, *, are_factors: bool) -> None:
        decays = None
        if self._state.decays is not None:
            decays = self._state.decays[list(self.order)]
        rate_of = rate_per_member(
            self.optimizer,
            rates,
            rows_of(self),
            self.trainable_variables,
            are_factors=are_factors,
            weight_decays=decays,
        )
        if self.training_step is not None:
            self.training_step.has_rates_of_members(self.optimizer, rate_of)

    def set_learning_rates(self, rates: Iterable[float]) -> None:
        """Give each member a learning rate of its own, for weight decay too, until it is given another.

        Or until `compile` is called again. On TensorFlow callbacks may do so between epochs: nothing
        is traced anew for it but the first time.

        Args:
            rates: (P,), in the order of `members`.

        Raises:
            ModelError: if the population is not compiled, or there is not one finite number from 0
                on a member.
        """
        public_rates = np.asarray(list(rates), "float64")
        count = len(self.members)
        # a schedule that warms up begins at 0
        are_rates = public_rates.shape == (count,) and bool((public_rates >= 0).all())
        if not self.compiled or not are_rates or not np.isfinite(public_rates).all():
            raise ModelError(
                f"A compiled population takes one learning rate >= 0 for each of its {count} "
                f"members. Received: rates={public_rates.tolist()}"
            )
        self._state.rates = public_rates
        if self.training_step is None:
            self._train_at(public_rates)
            self._forget_training_programs()
            return
        inside = public_rates[list(self.order)]
        if self._state.rates_inside is not None:
            self._state.rates_inside.assign(inside)
            return
        import tensorflow as tf

        self._state.rates_inside = tf.Variable(inside, trainable=False)
        self._train_at_inside(self._state.rates_inside, are_factors=False)
        self._forget_training_programs()

    def set_weight_decays(self, decays: Iterable[float]) -> None:
        """Give each member a weight decay of its own, until `compile` is called again.

        Args:
            decays: (P,), in the order of `members`.

        Raises:
            ModelError: if the population is not compiled with an optimizer that decays weights, or
                there is not one number from 0 on a member.
        """
        public_decays = np.asarray(list(decays), "float64")
        count = len(self.members)
        are_numbers = public_decays.shape == (count,) and bool((public_decays >= 0).all())
        if not self.compiled or not are_numbers:
            raise ModelError(
                f"A compiled population takes one weight decay >= 0 for each of its {count} "
                f"members. Received: decays={public_decays.tolist()}"
            )
        if self.optimizer.weight_decay is None:
            raise ModelError(
                "Members have weight decays of their own where the optimizer decays weights. "
                f"Received: {type(self.optimizer).__name__} with weight_decay=None"
            )
        self._state.decays = public_decays
        if self._state.rates_inside is not None:
            self._train_at_inside(self._state.rates_inside, are_factors=False)
        elif self._state.rates is not None:
            self._train_at(self._state.rates)
        else:
            self._train_at_factors()
        self._forget_training_programs()

    def set_label_smoothing(self, smoothings: Iterable[float]) -> None:
        """Give each member a label smoothing of its own, until `compile` is called again.

        Args:
            smoothings: (P,), in the order of `members`.

        Raises:
            ModelError: if the population is not compiled with one loss that smooths labels,
                `CategoricalCrossentropy` or `BinaryCrossentropy` of Keras' own, or there is not one
                number from 0 to 1 a member.
        """
        public = np.asarray(list(smoothings), "float64")
        count = len(self.members)
        are_shares = public.shape == (count,) and bool(((public >= 0) & (public <= 1)).all())
        if not self.compiled or not are_shares:
            raise ModelError(
                f"A compiled population takes one label smoothing from 0 to 1 for each of its "
                f"{count} members. Received: smoothings={public.tolist()}"
            )
        given = compiled_with(self)
        loss = given["loss"]
        if label_smoothing_of(loss) is None:
            raise ModelError(
                "Members have label smoothings of their own with one loss: an object of Keras' "
                f"CategoricalCrossentropy or BinaryCrossentropy. Received: loss={shown(loss)}"
            )
        self._state.smoothings = public
        self._compile_loss = MemberLosses(
            count, loss, given["loss_weights"], output_names=self.output_names, smoothings=public
        )
        self._forget_programs()

    def _forget_programs(self) -> None:
        """Have those for validation traced anew too."""
        self._forget_training_programs()
        if self.test_function is not None:
            self.make_test_function(force=True)

    def _forget_training_programs(self) -> None:
        """Have them traced anew: one that was traced before holds what the members were then."""
        if self.training_step is not None:
            self.training_step.forget_traces(self)
        elif self.train_function is not None:
            self.make_train_function(force=True)

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
        """Train all members on the same batches, as every Keras model, or those of each seed on batches of their own.

        They are with ``shuffle="seed"``: then the order is the one that an ordinary `fit` has after
        ``keras.utils.set_random_seed(seed)``.

        Raises:
            ModelError: on ``shuffle="seed"`` with other data than arrays, or with another backend
                than TensorFlow; on a callback that saves whole models, which a population is not.
        """
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            _check_saving(keras.tree.flatten(callbacks))
            epochs_to_come = epochs - options.get("initial_epoch", 0)
            callbacks = [Announcement(epochs_to_come), *keras.tree.flatten(callbacks or [])]
        orders_of_seeds = options.get("shuffle") == BY_SEED
        step = self.training_step
        if step is None:
            if orders_of_seeds and keras.backend.backend() != "tensorflow":
                raise ModelError(
                    "shuffle='seed' needs TensorFlow. "
                    f"Received: backend={keras.backend.backend()!r}"
                )
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, **options)
        x, y, options = as_adapter(x, y, batch_size, options, seeds_of(self.members))
        view = self._shared_view
        if orders_of_seeds:
            view = by_seed(self.members)
        layers = (layer.plan.layer for layer in self.stacked)
        batches = step.batches(self, view, most_samples(x))
        with unoptimized(layers, self.optimizer), batches, steps_forgotten():
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, **options)

    def _member_losses(
        self, y: Structure, y_pred: Structure, sample_weight: Structure, view: BatchView
    ) -> Tensor:
        """Each member's loss, with what its layers added in the call of `y_pred`, (P,) in public order."""
        added = self.losses
        if self._compile_loss is None and not added:
            raise ModelError(
                "There is no loss to train on. Expected: compile(loss=...). Received: loss=None"
            )
        losses = ops.zeros((len(self.members),), self.healthy.dtype)
        if self._compile_loss is not None:
            y = view.per_member(y)
            sample_weight = view.per_member(sample_weight)
            self._compile_loss.samples = view.known_samples(y_pred)
            losses = self._compile_loss(y, y_pred, sample_weight)
        for loss in added:
            losses = losses + ops.cast(loss, losses.dtype)
        return losses

    def compute_loss(
        self,
        x: Structure = None,
        y: Structure = None,
        y_pred: Structure = None,
        sample_weight: Structure = None,
        training: bool = True,
        view: BatchView | None = None,
    ) -> Tensor:
        """Return the sum of the members' losses, so that each member gets its own gradient.

        `view` tells how the batch is seen; by default all members see the same samples.
        """
        if view is None:
            view = self._shared_view
        losses = self._member_losses(y, y_pred, sample_weight, view)
        samples = view.samples(x)
        # what is logged has no gradient
        shown = ops.convert_to_tensor(ops.stop_gradient(losses))
        if training:  # who is frozen once stays so
            finite = self._inside(ops.isfinite(shown))
            self.healthy.assign(self.healthy * ops.cast(finite, self.healthy.dtype))
        healthy = self._public(ops.convert_to_tensor(self.healthy))
        self._loss_tracker.update_state(shown, sample_weight=samples, healthy=healthy)
        return ops.sum(losses)

    def compute_metrics(
        self,
        x: Structure,
        y: Structure,
        y_pred: Structure,
        sample_weight: Structure = None,
        view: BatchView | None = None,
    ) -> dict[str, Tensor]:
        """Update the metrics of all members and return their results.

        `view` tells how the batch is seen; by default all members see the same samples.
        """
        if view is None:
            view = self._shared_view
        y = view.per_member(y)
        if view.counted is not None:
            # on JAX the gradient's outputs have lost what `call` had attached
            for output in keras.tree.flatten(y_pred):
                attach_mask(output, view.mask_of_counted(output, mask_of(output)))
        return super().compute_metrics(x, y, y_pred, view.per_member(sample_weight))

    def get_metrics_result(self) -> dict[str, Tensor]:
        """Return the mean over the finite members under each name, and the members' values under ``members/``."""
        results: dict[str, Tensor] = {}
        for metric in self.metrics:
            result = metric.result()
            if not isinstance(result, dict):
                result = {metric.name: result}
            results.update(result)
        # not the population's own: on JAX metrics see no variables but theirs
        healthy = ops.not_equal(self._loss_tracker.healthy, 0)
        means = {name: _mean_of_finite(values, healthy) for name, values in results.items()}
        return {**means, **{f"members/{name}": values for name, values in results.items()}}

    def train_step(self, *arguments: Any) -> Any:
        """Train all members on one batch; those whose loss is not finite stay as they are."""
        if keras.backend.backend() == "jax":
            state, batch = arguments
            with self._state.batch_of(batch) as data:
                return jax_train_step(self, super().train_step, state, data)
        assert self.training_step is not None  # there is one since compile
        return self.training_step(self, *arguments)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Train all members on one batch of any size, as every Keras model."""
        if self.training_step is not None:
            self.training_step.forget_filling(self)
        return super().train_on_batch(*args, **kwargs)

    def test_step(self, *arguments: Any) -> Any:
        """Evaluate all members on one batch."""
        if keras.backend.backend() == "jax":
            state, batch = arguments
            with self._state.batch_of(batch) as data:
                return super().test_step(state, data)
        return super().test_step(*arguments)

    def make_train_function(self, force: bool = False) -> Any:
        """Make what trains on some batches; Keras asks for it as `fit` begins."""
        before = self.train_function
        made = super().make_train_function(force)
        if keras.backend.backend() == "jax":
            self.train_function = self._of_one_size(before, self.train_function, training=True)
        return made

    def make_test_function(self, force: bool = False) -> Any:
        """Make what evaluates some batches; Keras asks for it as `evaluate` begins."""
        before = self.test_function
        made = super().make_test_function(force)
        if keras.backend.backend() == "jax":
            self.test_function = self._of_one_size(before, self.test_function, training=False)
        return made

    def _of_one_size(self, before: Any, function: Any, *, training: bool) -> Any:
        """A function that Keras has made for JAX, or had, with all batches in one size."""
        if function is not before or not isinstance(function, FilledBatches):
            function = FilledBatches(
                function, functools.partial(may_fill_up, self, training=training)
            )
        function.begin()
        return function

    def predict_step(self, *arguments: Any) -> Any:
        """Return the outputs with the batch in front, which is the axis that Keras concatenates."""
        result = super().predict_step(*arguments)
        if keras.backend.backend() == "jax":
            outputs, state = result
            return keras.tree.map_structure(_batch_in_front, outputs), state
        return keras.tree.map_structure(_batch_in_front, result)

    def predict(self, *args: Any, **kwargs: Any) -> Structure:
        """Return the outputs of all members for all samples, (P, N, ...)."""
        return keras.tree.map_structure(_members_in_front, super().predict(*args, **kwargs))

    def predict_on_batch(self, x: Structure) -> Structure:
        """Return the outputs of all members, (P, B, ...)."""
        return keras.tree.map_structure(_members_in_front, super().predict_on_batch(x))

    def model(self, member: int) -> keras.Model:
        """Return one member as an ordinary Keras model: same weights.

        Compiled, if the population is, with its state.

        Raises:
            ModelError: if there is no such member.
        """
        self._check_members([member])
        model = self.blueprint.build(self.members[member])
        smoothing = None
        if self._state.smoothings is not None:
            smoothing = float(self._state.smoothings[member])
        transfer.to_model(self, self.positions[member], model, smoothing)
        if self._state.rates is not None:
            model.optimizer.learning_rate = float(self._state.rates[member])
        elif self.compiled:
            scale_learning_rate(model.optimizer, self.members[member].factor)
        if self._state.decays is not None:
            model.optimizer.weight_decay = float(self._state.decays[member])
        return model

    def select(self, members: Iterable[int]) -> PopulationModel:
        """Return a population of some members, in this order, as they are.

        Weights, optimizer, normalization, divergence.

        Raises:
            ModelError: if there is none, no such one, or one twice.
        """
        return self.join([(self, members)])

    @classmethod
    def join(cls, parts: Iterable[tuple[PopulationModel, Iterable[int]]]) -> PopulationModel:
        """Return one population of members of several, part after part, each member as it is.

        Args:
            parts: (population, members). The populations are of one model, compiled alike, and
                trained for as many steps.

        Raises:
            ModelError: if there is no part, the populations are of different models or were trained
                for different numbers of steps, or a part has no member, no such one, or one twice.
        """
        chosen = [(population, list(members)) for population, members in parts]
        for population, members_of_part in chosen:
            population._check_members(members_of_part)
        _check_join([population for population, _ in chosen])
        joined: list[Member] = []
        origins: list[transfer.Origin] = []
        rates: list[float] = []
        decays: list[float] = []
        smoothings: list[float] = []
        for population, members_of_part in chosen:
            for member in members_of_part:
                joined.append(population.members[member])
                origins.append(transfer.Origin(population, population.positions[member]))
                if population._state.rates is not None:
                    rates.append(population._state.rates[member])
                if population._state.decays is not None:
                    decays.append(population._state.decays[member])
                if population._state.smoothings is not None:
                    smoothings.append(population._state.smoothings[member])
        first, _ = chosen[0]
        result = cls(first.blueprint, joined, name=first.name)
        transfer.to_population([origins[member] for member in result.order], result)
        if rates:
            result.set_learning_rates(rates)
        if decays:
            result.set_weight_decays(decays)
        if smoothings:
            result.set_label_smoothing(smoothings)
        return result

    def restart(self, members: Sequence[Member]) -> None:
        """Become a population of other members of the same candidates, at their start.

        The optimizer stays as it is, but for the multiples of its learning rate that members have;
        the noise of each stays too.
        """
        factors = self._factors_inside()
        pairs = zip(members, self.members, strict=True)
        members = [replace(member, noise=before.noise) for member, before in pairs]
        self._state.members = tuple(members)
        if self.compiled and not np.array_equal(factors, self._factors_inside()):
            self._change_factors()
        inside = tuple(members[member] for member in self.order)
        weights = self.blueprint.initial(inside)
        for path, block in self.blocks():
            of_block = weights[block.start : block.stop]
            values = [of_member[path][block.key] for of_member in of_block]
            block.assign(np.stack(values))
        self.regroup()
        self.healthy.assign(np.ones(len(inside)))
        self.random.state.assign(keras.random.SeedGenerator(members[0].seed).state)

    def regroup(self) -> None:
        """See anew which members draw the same random numbers: to be called once states were set."""
        changed = [layer.regroup() for layer in self.stacked]
        if any(changed) and self.compiled:
            self._forget_training_programs()

    def _check_members(self, chosen: list[int]) -> None:
        known = range(len(self.members))
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
            raise ModelError(
                f"Members must be different ones from 0 to {known[-1]}. Received: {chosen}"
            )

    def get_config(self) -> dict[str, Any]:
        """Raise: a population is saved member by member, ``population.model(member).save(path)``."""
        raise ModelError(
            f"A population has no config: save population.model(member). Received: {self.name!r}"
        )


class _State:
    """What Keras must not track.

    Attributes:
        blueprint: the ordinary models.
        members: in public order.
        order: the inside one: which member is at each position.
        positions: where each member is inside.
        graph: whose operations a call goes through.
        stacked: the layers by path.
        rates: each member's own learning rate, if `set_learning_rates` was called.
        decays: each member's own weight decay, if `set_weight_decays` was called.
        smoothings: each member's own label smoothing, if `set_label_smoothing` was called.
        rates_inside: the same in inside order, as a variable that the step on TensorFlow reads.
        factors_inside: the multiples of the optimizer's rate, likewise; None on JAX, and as long as
            no member has another than 1.
        step: what trains on TensorFlow.
        counted: of the batch that a step on JAX is traced for, how many samples count: Keras hands
            to `call` the inputs and nothing else.
    """

    def __init__(self, blueprint: Blueprint, members: tuple[Member, ...], order: tuple[int, ...]):
        self.blueprint = blueprint
        self.members = members
        self.order = order
        self.positions = tuple(int(i) for i in np.argsort(order))
        self.graph = graph_of(blueprint.reference)
        self.stacked: dict[str, StackedLayer] = {}
        self.rates: np.ndarray | None = None
        self.decays: np.ndarray | None = None
        self.smoothings: np.ndarray | None = None
        self.rates_inside: Any = None
        self.factors_inside: Any = None
        self.step: TrainingStep | None = None
        self.counted: Any = None

    @contextmanager
    def batch_of(self, data: Structure) -> Iterator[Structure]:
        """Yield what Keras fed of a batch on JAX; in the scope, what fills it up does not count."""
        if not isinstance(data, Filled):
            yield data
            return
        self.counted = data.samples
        try:
            yield data.data
        finally:
            self.counted = None


def _check_saving(callbacks: Iterable[Any]) -> None:
    """Refuse before the training what would fail at the end of its first epoch."""
    for callback in callbacks:
        # the exact class: one of a user's own may save in another way
        saves = type(callback) is keras.callbacks.ModelCheckpoint
        if saves and not callback.save_weights_only:
            raise ModelError(
                "A population is saved member by member, population.model(member).save(path); in "
                "its training BestWeights keeps each member's best epoch, or "
                "ModelCheckpoint(..., save_weights_only=True) the weights of all. "
                f"Received: ModelCheckpoint({shown(callback.filepath)})"
            )


def _check_join(populations: Sequence[PopulationModel]) -> None:
    kinds = set()
    for population in populations:
        blueprint = population.blueprint
        has_rates = population._state.rates is not None
        has_decays = population._state.decays is not None
        starts = (id(blueprint.model), blueprint.chosen, blueprint.rescale_init)
        has_smoothings = population._state.smoothings is not None
        kinds.add((*starts, _steps_of(population), has_rates, has_decays, has_smoothings))
    if len(kinds) != 1:
        steps = [_steps_of(population) for population in populations]
        raise ModelError(
            "Populations join if they are of one model, trained for as many steps, and all or none "
            "have learning rates, weight decays or label smoothings of their members. "
            f"Received: {len(populations)} populations, "
            f"steps={steps}"
        )


def _steps_of(population: PopulationModel) -> int:
    """How many it has trained."""
    if not population.compiled or population.optimizer is None or not population.optimizer.built:
        return 0
    return int(population.optimizer.iterations)


def _rows_at(x: Tensor, places: tuple[int, ...]) -> Tensor:
    """The rows of `x` at these places, in their order."""
    if places == tuple(range(len(places))):
        return x
    return ops.take(x, places, axis=0)


def _mean_of_finite(values: Tensor, healthy: Tensor) -> Tensor:
    """The mean over the healthy members whose value is finite; NaN where there is none."""
    counts = ops.reshape(healthy, column_shape(len(values.shape)))
    counts = ops.logical_and(counts, ops.isfinite(values))
    total = ops.sum(ops.where(counts, values, ops.zeros_like(values)), axis=0)
    return total / ops.sum(ops.cast(counts, values.dtype), axis=0)


def _batch_in_front(y: Tensor) -> Tensor:
    return ops.transpose(y, (1, 0, *range(2, len(y.shape))))


def _members_in_front(y: np.ndarray) -> np.ndarray:
    return np.swapaxes(y, 0, 1)
