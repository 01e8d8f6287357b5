"""One training step of a population on TensorFlow.

Traced once, compiled where that pays, diverged members left alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_acts.compat import moving_averages, resolved_parts
from keras_acts.target import uncompiled

from ..runtime import choices
from .batch_view import BatchView, ForwardPass, Structure, may_fill_up
from .diverged import Healthy, Rows, rows_of
from .lanes import sizes_now
from .one_kernel import RateOf, one_kernel
from .tables import has_occurrences, kept_apart

if TYPE_CHECKING:
    from .model import PopulationModel

Tensor = Any
Logs = dict[str, Tensor]
Gradients = Sequence[Tensor | None]
Update = Callable[[Gradients], None]


class Decided(NamedTuple):
    """What a training step compiles: a population that goes on elsewhere shall round as it did.

    Attributes:
        steps: of which it has heard.
        whole: whether XLA compiles the whole step.
        update: whether it compiles the update of the weights.
    """

    steps: float
    whole: bool
    update: bool


class TrainingStep:
    """The training step of a compiled population, called in Keras' train function.

    Where XLA is faster it compiles the whole step, if the training is long enough for that to pay,
    for batches of one size. An epoch's smaller last batch is filled up where that is exact
    (`may_fill_up`), else it takes the same step in a graph, as any other size does. Elsewhere XLA
    compiles the update of the weights alone, unless it is `one_kernel`: it depends on no batch, and
    in a graph an optimizer is a dozen passes over each variable.

    It holds what is traced and how often; the population is handed to each call.

    Args:
        members: how many the population has.
        optimizer: that it is compiled with.
        jit_compile: as in `compile`; ``"auto"`` for where it pays. What `choices` has set wins.
        faster: whether XLA makes the whole step faster.
    """

    def __init__(
        self,
        members: int,
        optimizer: keras.optimizers.Optimizer,
        jit_compile: bool | str,
        faster: bool,
    ):
        import tensorflow as tf

        self._members = members
        self._jit_compile = jit_compile
        self._faster = faster
        self._whole = jit_compile is True
        self._update_too = False
        self._steps = 0.0
        self._traced: dict[Any, Callable[..., Logs]] = {}
        # how many samples the batches have that a traced step fills up, if one does
        self._filled_to: int | None = None
        # the first batch's size; made now: once Keras has traced a function, it may make none
        self._usual = tf.Variable(0, trainable=False)
        self._one_kernel = one_kernel(optimizer)
        self._batches = _Batches(BatchView(members))

    def expect(self, population: PopulationModel, steps: float) -> None:
        """Hear how many steps are about to come, infinity if that is unknown, and choose what is compiled."""
        self._usual.assign(0)
        total = self._steps + steps
        if np.isfinite(steps):
            self._steps += steps
        whole = self._compiles_whole(total)
        update = self._compiles_update(total) and not whole and not self._one_kernel
        if (whole, update) != (self._whole, self._update_too):
            self._whole = whole
            self._update_too = update
            self.forget_traces(population)

    def _compiles_whole(self, total: float) -> bool:
        """Whether XLA compiles the whole step, of which so many are taken in all.

        What is set by hand wins: a model that is compiled never says "auto", Keras has resolved it.
        """
        chosen = choices.now().xla_steps
        if chosen is not None:
            return chosen
        # what is compiled stays so: compiled anew it would cost again
        if self._whole or self._jit_compile != "auto":
            return self._whole
        return choices.compiles_step(total, self._members, self._faster)

    def _compiles_update(self, total: float) -> bool:
        """Whether XLA compiles the update of the weights, where not the whole step."""
        chosen = choices.now().xla_updates
        if chosen is not None:
            return chosen
        if self._update_too or self._jit_compile != "auto":
            return self._update_too
        return choices.compiles_update(total, self._members)

    @property
    def decided(self) -> Decided:
        """What is compiled, and after how many steps that was decided."""
        return Decided(self._steps, self._whole, self._update_too)

    @decided.setter
    def decided(self, decided: Decided) -> None:
        self._steps, self._whole, self._update_too = decided

    def has_rates_of_members(self, optimizer: keras.optimizers.Optimizer, rate_of: RateOf) -> None:
        """Hear at which learning rates the optimizer trains the members of a variable, from now on."""
        self._one_kernel = one_kernel(optimizer, rate_of)

    def forget_traces(self, population: PopulationModel) -> None:
        """Have the step traced again: what it holds as constants has changed."""
        self._traced.clear()
        self._batches.train_functions.clear()
        population.make_train_function(force=True)

    def forget_filling(self, population: PopulationModel) -> None:
        """Have a step that fills batches up to one size traced again, before there are larger ones.

        Keras would take it for batches of any size.
        """
        if self._filled_to is not None:
            self._filled_to = None
            self.forget_traces(population)

    @contextmanager
    def batches(
        self, population: PopulationModel, view: BatchView, most_samples: int | None
    ) -> Iterator[None]:
        """Take batches that are to be viewed so inside the scope.

        None has more than `most_samples`, if that is known.

        Those of each seed have a train function of their own: Keras' would be traced for tensors of
        any rank.
        """
        usual_view = self._batches.view
        self._batches.become(view, population)
        self._batches.most_samples = most_samples
        if self._filled_to not in (None, most_samples):
            self.forget_filling(population)
        try:
            yield
        finally:
            self._batches.become(usual_view, population)
            self._batches.most_samples = None

    def __call__(self, population: PopulationModel, data: Structure) -> Logs:
        """Take a step on one batch and return the logs."""
        import tensorflow as tf

        if tf.executing_eagerly():
            update = functools.partial(_update_healthy, population)
            return _step(population, data, self._batches.view, update)
        tensors = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
        specs = keras.tree.map_structure(_spec, data)
        key = (repr(specs), self._batches.view)
        if key not in self._traced:
            self._traced[key] = self._trace(population, data, specs)
        return self._traced[key](*tensors)

    def _trace(
        self, population: PopulationModel, data: Structure, specs: Structure
    ) -> Callable[..., Logs]:
        """Return a graph's step for batches of one kind, which takes their tensors."""
        import tensorflow as tf

        leaves = keras.tree.flatten(specs)
        view = self._batches.view

        def step(*tensors: Tensor, counted: Tensor | None = None) -> Logs:
            structured = _structured(specs, leaves, tensors)
            seen = dataclasses.replace(view, counted=counted)
            return _step(population, structured, seen, update)

        with tf.init_scope():  # outside of Keras' own trace
            _build(population, data, view)
        update = self._update(population)
        arguments = [leaf for leaf in leaves if leaf is not None]

        def traced(jit_compile: bool, specs: Sequence[Any], **counted: Any) -> Callable[..., Logs]:
            function = tf.function(step, jit_compile=jit_compile, autograph=False)
            return function.get_concrete_function(*specs, **counted)

        if not self._whole:
            return traced(False, arguments)
        is_of_one_size = _known_samples(arguments, view) is not None
        size = self._batches.most_samples
        if not is_of_one_size and size is not None and may_fill_up(population, training=True):
            self._filled_to = size
            filled = [_with_samples(spec, size, view) for spec in arguments]
            counted = tf.TensorSpec((), tf.int32)
            return _filling(traced(True, filled, counted=counted), size, view)
        compiled = traced(True, arguments)  # by XLA, when it is first called
        if is_of_one_size:
            return compiled
        plain = traced(False, arguments)

        def compiled_if_usual(*tensors: Tensor) -> Logs:
            size = view.samples(tensors[0])
            self._usual.assign(tf.where(tf.equal(self._usual, 0), size, self._usual))
            return tf.cond(
                tf.equal(size, self._usual), lambda: compiled(*tensors), lambda: plain(*tensors)
            )

        return compiled_if_usual

    def _update(self, population: PopulationModel) -> Update:
        """What updates the weights in a step that is about to be traced."""
        import tensorflow as tf

        update_healthy = functools.partial(_update_healthy, population)
        # a constraint runs member after member, which XLA would compile for each of them
        constrained = any(v.constraint is not None for v in population.trainable_variables)
        if self._whole:
            return update_healthy
        update_most = functools.partial(_update_most, population)
        if not self._update_too or constrained:
            return update_most
        compiled = tf.function(update_healthy, jit_compile=True, autograph=False)

        def update(gradients: Gradients) -> None:
            # as many occurrences of rows as there are tokens in a batch: each number another program
            if any(map(has_occurrences, gradients)):
                update_most(gradients)
            else:
                compiled(gradients)

        return update


class _Batches:
    """How the batches of the `fit` that runs are seen, with Keras' train function for such.

    This waits here because Keras hands to `train_step` a batch and nothing else: what `fit` was asked
    for cannot be passed on. `TrainingStep.batches` sets it, for one `fit`.

    Attributes:
        view: of the batches of now.
        most_samples: that one of them has, if that is known.
        train_functions: by the view of the batches that each takes, those that are not in use now.
    """

    def __init__(self, view: BatchView):
        self.view = view
        self.most_samples: int | None = None
        self.train_functions: dict[BatchView, Callable[..., Any] | None] = {}

    def become(self, view: BatchView, population: PopulationModel) -> None:
        """Expect batches that are seen so from now on."""
        if view == self.view:
            return
        self.train_functions[self.view] = population.train_function
        # None until there is one: then `fit` has Keras make it
        population.train_function = self.train_functions.pop(view, None)
        self.view = view


class Announcement(keras.callbacks.Callback):
    """Tells the training step of a population how many steps are about to come.

    Args:
        epochs: that are to come.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_train_begin(self, logs: Any = None) -> None:
        """Tell it."""
        step = self.model.training_step
        if step is None or self.epochs <= 0:
            return
        steps = self.params["steps"] or np.inf  # None if Keras does not know how many
        step.expect(self.model, self.epochs * steps)


def _spec(leaf: Tensor | None) -> Any:
    import tensorflow as tf

    if leaf is None:
        return None
    return tf.type_spec_from_value(leaf)


def _known_samples(specs: Sequence[Any], view: BatchView) -> int | None:
    """How many samples a batch has, where the graph knows it."""
    shape = getattr(specs[0], "shape", None)
    if shape is None or shape.rank is None:
        return None
    samples: int | None = shape[view.sample_axis]
    return samples


def _with_samples(spec: Any, size: int, view: BatchView) -> Any:
    """The kind of a tensor with so many samples."""
    import tensorflow as tf

    sizes = list(spec.shape)
    sizes[view.sample_axis] = size
    return tf.TensorSpec(sizes, spec.dtype)


def _filling(compiled: Callable[..., Logs], size: int, view: BatchView) -> Callable[..., Logs]:
    """A step for batches of up to so many samples, each filled up with copies of its last one."""
    import tensorflow as tf

    def filled(*tensors: Tensor) -> Logs:
        counted = view.samples(tensors[0])
        # a larger one would lose samples, in silence
        fits = tf.debugging.assert_less_equal(
            counted, size, f"This step takes batches of at most {size} samples."
        )
        with tf.control_dependencies([fits]):
            counted = tf.identity(counted)
        rows = tf.minimum(tf.range(size), counted - 1)
        full = [tf.gather(tensor, rows, axis=view.sample_axis) for tensor in tensors]
        return compiled(*full, counted=counted)

    return filled


def _structured(specs: Structure, leaves: Sequence[Any], tensors: Sequence[Tensor]) -> Structure:
    """The tensors of a batch as Keras nests them, with None where there is nothing."""
    remaining = iter(tensors)
    filled = []
    for leaf in leaves:
        if leaf is not None:
            leaf = next(remaining)
        filled.append(leaf)
    return keras.tree.pack_sequence_as(specs, filled)


def _step(population: PopulationModel, data: Structure, view: BatchView, update: Update) -> Logs:
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    rows = rows_of(population)
    # a diverged member gets back what its layers assign
    before = [(v, tf.identity(v.value)) for v in _may_be_assigned(population, rows)]
    with tf.GradientTape() as tape:
        forward = ForwardPass(view, lanes=sizes_now(population))
        y_pred = population(x, training=True, forward=forward)
        loss = population.compute_loss(x, y, y_pred, sample_weight, training=True, view=view)
        # the optimizer divides gradients by its `loss_scale_factor`
        loss = population.optimizer.scale_loss(loss)
    # the backward functions of activations too are no programs of their own
    with uncompiled():
        gradients = tape.gradient(loss, population.trainable_variables)
    of_variables = zip(population.trainable_variables, gradients, strict=True)
    update([kept_apart(rows.get(id(variable)), gradient) for variable, gradient in of_variables])
    healthy = Healthy(rows, population.healthy)
    assigned = {id(variable) for variable in forward.assigned}
    for variable, value in before:
        if not variable.trainable or id(variable) in assigned:
            variable.assign(healthy.where(variable, variable, value))
    return population.compute_metrics(x, y, y_pred, sample_weight, view=view)


def _may_be_assigned(population: PopulationModel, rows: Rows) -> list[keras.Variable]:
    """The stacked variables that layers may assign in a step: those that are not trained.

    Without a rule, all.
    """
    variables = list(population.non_trainable_variables)
    for layer in population.stacked:
        if layer.plan.rule is None:
            variables += layer.trainable_variables
    return [v for v in variables if id(v) in rows and not rows[id(v)].goes_on]


def _update_most(population: PopulationModel, gradients: Gradients) -> None:
    """Let the optimizer update all members, if all are healthy: one pass over the weights less."""
    import tensorflow as tf

    def update_all() -> None:
        population.optimizer.apply(gradients, population.trainable_variables)

    all_healthy = ops.all(ops.not_equal(population.healthy, 0))
    tf.cond(all_healthy, update_all, lambda: _update_healthy(population, gradients))


def _update_healthy(population: PopulationModel, gradients: Gradients) -> None:
    """Let the optimizer update the healthy members; in one program, this costs no pass of its own."""
    import tensorflow as tf

    variables = population.trainable_variables
    healthy = Healthy(rows_of(population), population.healthy)
    # not convert_to_tensor: that gives the variable itself
    before = [tf.identity(variable.value) for variable in variables]
    of_healthy = []
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is not None:
            gradient = healthy.gradient(variable, gradient)
        of_healthy.append(gradient)
    optimizer = population.optimizer
    optimizer.apply(of_healthy, variables)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(healthy.where(variable, variable, value))
    if optimizer.use_ema:  # when training ends, Keras gives each variable its average
        for variable, average in zip(variables, moving_averages(optimizer), strict=True):
            average.assign(healthy.where(variable, average, variable))


def _build(population: PopulationModel, data: Structure, view: BatchView) -> None:
    """Make all variables now: those that come up in a trace would have it traced twice."""
    if not population.optimizer.built:
        population.optimizer.build(population.trainable_variables)
    _, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    if y is None:
        return
    for part in resolved_parts(population):
        if part is not None and not part.built:
            part.build_for(view.specs(y), population.output_spec)
