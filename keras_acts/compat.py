"""The private names of Keras and TensorFlow that this package needs, each under a name of ours.

No other file imports or reads a private name of theirs: an upgrade that changes one is seen here,
and in ``tests/test_private_api.py``, which asks each for its existence and signature. All were read
in Keras 3.12 to 3.15 and TensorFlow 2.18 to 2.21. Where a public way exists it is taken, and the
name is not here. The methods of Keras' classes that a subclass of ours overrides or calls on itself
stand in `OVERRIDDEN`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
from keras.src.backend import rnn
from keras.src.backend.common import global_state
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.export.export_utils import get_input_signature
from keras.src.losses.loss import squeeze_or_expand_to_same_rank
from keras.src.losses.losses import LossFunctionWrapper
from keras.src.metrics.reduction_metrics import reduce_to_samplewise_values
from keras.src.models.functional import Functional
from keras.src.ops import core as operations_core
from keras.src.ops import math as operations_math
from keras.src.ops import nn as operations_nn
from keras.src.ops import numpy as operations_numpy
from keras.src.saving import saving_lib, serialization_lib
from keras.src.trainers.compile_utils import CompileLoss, CompileMetrics
from keras.src.trainers.data_adapters.array_data_adapter import (
    ArrayDataAdapter,
    can_convert_arrays,
)
from keras.src.trainers.data_adapters.array_slicing import (
    convert_to_sliceable,
    train_validation_split,
)
from keras.src.utils import file_utils
from keras.src.utils.naming import to_snake_case
from keras.src.utils.tracking import no_automatic_dependency_tracking

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "OVERRIDDEN",
    "ArrayDataAdapter",
    "CompileLoss",
    "CompileMetrics",
    "Functional",
    "LossFunctionWrapper",
    "can_convert_arrays",
    "convert_to_sliceable",
    "file_utils",
    "get_input_signature",
    "no_automatic_dependency_tracking",
    "reduce_to_samplewise_values",
    "rnn",
    "saving_lib",
    "squeeze_or_expand_to_same_rank",
    "to_snake_case",
    "train_validation_split",
]

Tensor = Any
# a tensor, or lists, tuples and dicts of them
Structure = Any

# by a class of Keras': its private attributes that subclasses of ours read, replace or override on
# themselves
OVERRIDDEN: dict[type, tuple[str, ...]] = {
    keras.Model: ("_compile_loss", "_compile_metrics", "_loss_tracker"),
    CompileLoss: ("_flat_losses", "_metrics"),
    CompileMetrics: ("_flat_metrics", "_flat_weighted_metrics"),
    ArrayDataAdapter: ("_batch_size", "_inputs", "_num_samples", "_shuffle", "_size"),
}


# ---- models and their graphs


def all_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return a layer and all layers in it, at any depth."""
    return list(layer._flatten_layers())


def layers_held_by(layer: keras.layers.Layer) -> list[Any]:
    """Return the layers that a layer holds itself, input layers too."""
    return list(layer._layers)


@contextmanager
def unlocked(layer: keras.layers.Layer) -> Iterator[None]:
    """Have a built layer take new layers and variables inside the scope."""
    tracker = layer._tracker
    was_locked = tracker.locked
    tracker.unlock()
    try:
        yield
    finally:
        if was_locked:
            tracker.lock()


def replace_held(layer: keras.layers.Layer, old: Any, new: Any) -> None:
    """Have a layer hold another layer in the place of one, or nothing if that is no layer."""
    tracker = layer._tracker
    if not tracker.is_in_store("layers", old):
        return
    if isinstance(new, keras.layers.Layer) and not tracker.is_in_store("layers", new):
        tracker.replace_tracked_value("layers", old, new)
    else:
        tracker.untrack(old)


def is_default(method: Callable[..., Any]) -> bool:
    """Return whether a method is what Keras takes for not written by a user."""
    return bool(getattr(method, "_is_default", False))


def own_variables(layer: keras.layers.Layer) -> list[Any]:
    """Return the variables that a layer made itself, not those of layers in it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def functional_of(model: keras.Model) -> keras.Model:
    """Return the Functional model that a built Sequential one holds; any other model itself."""
    return model._functional if isinstance(model, keras.Sequential) else model


def inputs_struct(functional: Functional) -> Structure:
    """Return a Functional model's symbolic inputs in the structure that it was made with."""
    return functional._inputs_struct


def outputs_struct(functional: Functional) -> Structure:
    """Return a Functional model's symbolic outputs in the structure that it was made with."""
    return functional._outputs_struct


def has_outputs_struct(model: keras.Model) -> bool:
    """Return whether a model knows its outputs: a Sequential one that is not built does not."""
    return hasattr(model, "_outputs_struct")


def nodes_by_depth(functional: Functional) -> dict[int, list[Any]]:
    """Return the calls in a Functional model; the largest depth comes first."""
    nodes: dict[int, list[Any]] = functional._nodes_by_depth
    return nodes


def calls_of(operation: keras.Operation) -> list[Any]:
    """Return the symbolic calls of an operation or a layer, in order, as Keras' nodes."""
    return list(operation._inbound_nodes)


def run_through_graph(
    functional: Functional, inputs: Structure, operation_fn: Callable[[Any], Callable[..., Any]]
) -> Any:
    """Run a Functional model's graph with something else in place of each operation.

    Args:
        functional: the model.
        inputs: in the structure of its inputs.
        operation_fn: returns what is called instead of an operation.
    """
    return functional._run_through_graph(inputs, operation_fn=operation_fn)


def standardize_inputs(functional: Functional, inputs: Structure) -> list[Tensor]:
    """Return inputs as a Functional model's graph takes them.

    Flat, in its order, dtypes and ranks.
    """
    standardized: list[Tensor] = functional._standardize_inputs(inputs)
    return standardized


def operation_classes(*names: str) -> tuple[type, ...]:
    """Return classes of `keras.ops` by name; what this version of Keras has not is left out."""
    classes = []
    for name in names:
        for module in (operations_core, operations_numpy, operations_math, operations_nn):
            found = getattr(module, name, None)
            if isinstance(found, type) and found.__module__ == module.__name__:
                classes.append(found)
    return tuple(classes)


def operation_behind(tensor: Tensor) -> keras.Operation | None:
    """Return the operation that made a symbolic tensor; None if nothing tells it."""
    return getattr(getattr(tensor, "_keras_history", None), "operation", None)


def mask_of(tensor: Tensor) -> Tensor | None:
    """Return the mask that a layer attached to a tensor; None if there is none."""
    return get_keras_mask(tensor)


def attach_mask(tensor: Tensor, mask: Tensor) -> None:
    """Attach a mask to a tensor, as layers do that make one."""
    set_keras_mask(tensor, mask)


def logits_of(tensor: Tensor) -> Tensor | None:
    """Return what a saturated output was made from, as Keras' activations attach it.

    None if nothing is attached.
    """
    return getattr(tensor, "_keras_logits", None)


def attach_logits(tensor: Tensor, logits: Tensor) -> None:
    """Attach what an output was made from, which Keras' crossentropies compute with."""
    tensor._keras_logits = logits


def recorded_arguments(layer: keras.layers.Layer) -> dict[str, Any] | None:
    """Return the constructor's arguments as Keras recorded them; None where it did not."""
    return getattr(getattr(layer, "_auto_config", None), "config", None)


def is_tensorflow_variable(thing: object) -> bool:
    """Return whether something is a variable of TensorFlow's, which Keras does not know of."""
    import tensorflow as tf

    return isinstance(thing, tf.Variable)


def inner_lookup(layer: keras.layers.Layer) -> Any:
    """Return the lookup layer inside a `TextVectorization`; any other layer itself."""
    return getattr(layer, "_lookup_layer", layer)


def output_shape_argument(layer: keras.layers.Lambda) -> Any:
    """Return the ``output_shape`` that a `Lambda` layer was given."""
    return layer._output_shape


def recomputes(layer: keras.layers.Layer) -> bool:
    """Return whether a layer runs its forward pass again in the backward pass (a `RematScope`)."""
    return getattr(layer, "_remat_mode", None) is not None


# ---- what a model is compiled with


def compiled_with(model: keras.Model) -> dict[str, Any]:
    """Return the arguments that `compile` was called with; empty if it was not.

    The dictionary is Keras' own: what is written into it, `compile_from_config` takes.
    """
    config: dict[str, Any] | None = getattr(getattr(model, "_compile_config", None), "config", None)
    return {} if config is None else config


def loss_metrics_of(model: keras.Model) -> list[Any]:
    """Return the metrics that track a compiled model's losses.

    Of all outputs together, and of each.
    """
    compiled_loss = getattr(model, "_compile_loss", None)
    of_outputs = getattr(compiled_loss, "metrics", None) or []
    return [getattr(model, "_loss_tracker", None), *of_outputs]


def resolved_parts(model: keras.Model) -> tuple[Any, Any]:
    """Return a compiled model's `CompileLoss` and `CompileMetrics`, or None for each."""
    return model._compile_loss, model._compile_metrics


def flat_metrics(resolved: CompileMetrics) -> Iterator[Any]:
    """Yield the list of metrics of each output, where there is one."""
    for metrics in (*resolved._flat_metrics, *resolved._flat_weighted_metrics):
        if metrics:
            yield metrics


def wrapped_function(metric: keras.metrics.Metric) -> Any:
    """Return the function inside a `MeanMetricWrapper`; None for another metric."""
    return getattr(metric, "_fn", None)


def function_arguments(wrapper: Any) -> dict[str, Any]:
    """Return the arguments that a metric's or loss's wrapper hands to its function by keyword.

    It is a `MeanMetricWrapper` or a `LossFunctionWrapper`.
    """
    arguments: dict[str, Any] = wrapper._fn_kwargs
    return arguments


def direction_attribute(metric: keras.metrics.Metric) -> str | None:
    """Return ``"up"`` or ``"down"``, what a metric says is better; None if it says nothing."""
    direction: str | None = getattr(metric, "_direction", None)
    return direction


def copy_direction(metric: keras.metrics.Metric, other: keras.metrics.Metric) -> None:
    """Have `metric` say that what is better for `other` is better for it."""
    if hasattr(other, "_direction"):
        metric._direction = other._direction


# ---- optimizers


def given_learning_rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return the learning rate as a variable, or the schedule; None where there is neither."""
    return getattr(optimizer, "_learning_rate", None)


def config_with(optimizer: keras.optimizers.Optimizer, **attributes: Any) -> dict[str, Any]:
    """Return the config that an optimizer would have with other attributes; it is not touched."""
    asked = object.__new__(type(optimizer))
    vars(asked).update(vars(optimizer), **attributes)
    config: dict[str, Any] = asked.get_config()
    return config


def config_without_rate(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return an optimizer's config with any learning rate.

    A schedule may be one that has no config.
    """
    return config_with(optimizer, _learning_rate=0.0)


def iterations_variable(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return the variable that counts updates, also where an optimizer accumulates gradients."""
    return optimizer._iterations


def index_in(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> int:
    """Return where a trained variable stands in the optimizer's lists of states."""
    return int(optimizer._get_variable_index(variable))


def moments(optimizer: keras.optimizers.Optimizer, index: int) -> tuple[Any, Any]:
    """Return Adam's first and second moment of the variable at an index."""
    return optimizer._momentums[index], optimizer._velocities[index]


def rmsprop_states(optimizer: keras.optimizers.Optimizer, index: int) -> tuple[Any, Any, Any]:
    """Return what RMSprop keeps of the variable at an index.

    The average of squares, the average of gradients and the momentum; None for each of the last two
    that it does not keep.
    """
    average = None
    if optimizer.centered:
        average = optimizer._average_gradients[index]
    momentum = None
    if optimizer.momentum > 0:
        momentum = optimizer._momentums[index]
    return optimizer._velocities[index], average, momentum


def adagrad_state(optimizer: keras.optimizers.Optimizer, index: int) -> Any:
    """Return Adagrad's sum of squares of the variable at an index."""
    return optimizer._accumulators[index]


def adadelta_states(optimizer: keras.optimizers.Optimizer, index: int) -> tuple[Any, Any]:
    """Return Adadelta's averages of the variable at an index: of gradients, and of changes."""
    return optimizer._accumulated_grads[index], optimizer._accumulated_delta_vars[index]


def clip_by_norm(
    optimizer: keras.optimizers.Optimizer, gradient: Tensor, axes: tuple[int, ...]
) -> Tensor:
    """Return a gradient whose norm over some axes is `clipnorm` at most."""
    return optimizer._clip_by_norm(gradient, axes)


def decays(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> bool:
    """Return whether an optimizer's weight decay includes a variable."""
    return bool(optimizer._use_weight_decay(variable))


def excluded_from_decay(optimizer: keras.optimizers.Optimizer) -> tuple[Any, Any]:
    """Return what `exclude_from_weight_decay` was told: variables and a pattern of names.

    None for each that it was not.
    """
    variables = getattr(optimizer, "_exclude_from_weight_decay", None)
    return variables, getattr(optimizer, "_exclude_from_weight_decay_pattern", None)


def exclude_names_from_decay(optimizer: keras.optimizers.Optimizer, pattern: Any) -> None:
    """Exclude names from an optimizer's weight decay, as `excluded_from_decay` returned them."""
    optimizer._exclude_from_weight_decay = set()
    optimizer._exclude_from_weight_decay_pattern = pattern


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """Return the averages of the weights, in their order, that ``use_ema`` has kept."""
    return list(optimizer._model_variables_moving_average)


def states_by_attribute(optimizer: keras.optimizers.Optimizer) -> dict[str, list[Any]]:
    """Return an optimizer's lists of variables by the names of its attributes.

    ``"_momentums"``, ``"_velocities"``.
    """
    known = {id(variable) for variable in optimizer.variables}
    lists = {name: value for name, value in vars(optimizer).items() if isinstance(value, list)}
    del lists["_variables"]  # all of them, in one list
    return {
        name: list(variables)
        for name, variables in lists.items()
        if all(id(variable) in known for variable in variables)
    }


def replace_update_of_all(
    optimizer: keras.optimizers.Optimizer, update: Callable[..., None]
) -> None:
    """Have an optimizer update all variables by `update(gradients, variables, learning_rate)`."""
    optimizer._backend_update_step = update


def restore_update_of_all(optimizer: keras.optimizers.Optimizer) -> None:
    """Undo `replace_update_of_all`."""
    vars(optimizer).pop("_backend_update_step", None)


def replace_clipping(
    optimizer: keras.optimizers.Optimizer, clip: Callable[[list[Tensor], list[Any]], list[Tensor]]
) -> None:
    """Have an optimizer clip by `clip(gradients, variables)`.

    Keras clips after it has left out variables without a gradient, and added up accumulated ones:
    so the variables are known only where the gradients are applied.
    """

    def apply(gradients: list[Tensor], variables: list[Any]) -> None:
        optimizer._clip_gradients = lambda unclipped: clip(unclipped, variables)
        type(optimizer)._backend_apply_gradients(optimizer, gradients, variables)

    optimizer._backend_apply_gradients = apply


def replace_weight_decay(
    optimizer: keras.optimizers.Optimizer, decay: Callable[[list[Any]], None]
) -> None:
    """Have an optimizer decay weights by `decay(variables)`."""
    optimizer._apply_weight_decay = decay


# ---- state and files


def get_global(name: str, default: Any = None, set_to_default: bool = False) -> Any:
    """Return what Keras keeps under a name for the whole thread."""
    return global_state.get_global_attribute(name, default, set_to_default=set_to_default)


def set_global(name: str, value: Any) -> None:
    """Have Keras keep something under a name for the whole thread; None removes it."""
    global_state.set_global_attribute(name, value)


def shared_object(identity: int) -> Any:
    """Return the object of an identity that was made already for the file being loaded.

    None if there is none.
    """
    return serialization_lib.get_shared_object(identity)


def record_shared_object(thing: Any, identity: int) -> None:
    """Remember an object for the other places of the file being loaded."""
    serialization_lib.record_object_after_deserialization(thing, identity)


def track_resources(archive: keras.export.ExportArchive) -> None:
    """Have an `ExportArchive` find the lookup tables of what it tracks; `write_out` would do it."""
    archive._filter_and_track_resources()


def trackable_of(archive: keras.export.ExportArchive) -> Any:
    """Return the object of TensorFlow that an `ExportArchive` saves."""
    return archive._tf_trackable


def reloaded_object(layer: keras.layers.TFSMLayer) -> Any:
    """Return the loaded SavedModel inside a `TFSMLayer`."""
    return layer._reloaded_obj


# ---- TensorFlow


def tensorflow_random_state() -> Callable[[], None]:
    """Return a function that restores TensorFlow's random state as it is now.

    That is its global seed, and the stream from which operations get theirs. Kernels that were made
    meanwhile stay, also those of traced programs: TensorFlow lets go of all of them as it takes a
    seed, and a small program's next call takes 70 ms instead of 3.
    """
    from tensorflow.python.eager import context

    state = context.context()
    seed = state._seed
    # TensorFlow makes the stream only when a seed is set
    stream = getattr(state, "_rng", None)
    position = None if stream is None else stream.getstate()

    def restore() -> None:
        if state._seed == seed:
            # random kernels that were made meanwhile are those that would be made from now on, and
            # would go on where they are
            state._set_global_seed(seed)
        else:
            state._seed = seed
            state._rng = random.Random(seed)
        if position is not None:
            state._rng.setstate(position)

    return restore


def anonymous_variable() -> str:
    """Return the name with which TensorFlow makes a variable anew each time that its handle is made."""
    from tensorflow.python.eager import context

    return str(context.anonymous_name())


def in_xla_context(graph: tf.Graph) -> bool:
    """Return whether a graph that is being traced, or one around it, is compiled by XLA."""
    from tensorflow.python.ops import control_flow_util

    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def onednn_is_on() -> bool:
    """Return whether TensorFlow computes with oneDNN."""
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def devices_are_in_use() -> bool:
    """Return whether TensorFlow has begun to use its devices: what it is asked of them then is late."""
    from tensorflow.python.eager import context

    state = context.context_safe()
    return state is not None and state._context_handle is not None


def gpu_memory_limit() -> int:
    """Return the bytes that TensorFlow may take of the first GPU."""
    from tensorflow.python.client import device_lib
    from tensorflow.python.eager import context

    # with other settings than TensorFlow itself has, such as which GPUs are visible, it fails
    devices = device_lib.list_local_devices(context.context().config)
    return int(next(device.memory_limit for device in devices if device.device_type == "GPU"))


_SUM_OVER_REPLICAS = "tensorflow.python.distribute.distribute_lib"


@contextmanager
def step_gradients_forgotten(package: str) -> Iterator[None]:
    """Have TensorFlow forget the gradients of training steps that are traced in the scope.

    Each step of Keras' has a sum over replicas. TensorFlow registers its gradient, as that of each
    `tf.custom_gradient`, under a name of its own, for as long as the process lives, and with it the
    graph of the whole step: megabytes for each model that trains. Nobody asks for the gradient of a
    step that is traced.

    Args:
        package: whose gradients are forgotten too: those of steps only, not of functions that are
            traced once and used again.
    """
    from tensorflow.python.framework import ops

    registered = ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in set(registered) - before:
            module = _module_of_gradient(registered[name]["type"])
            if module == _SUM_OVER_REPLICAS or module.startswith(f"{package}."):
                del registered[name]


def _module_of_gradient(registered: Callable[..., Any]) -> str:
    """Where the gradient is written that a `tf.custom_gradient` has registered; else empty."""
    (function,) = _held_by(registered, "tape_grad_fn") or [None]
    for gradient in _held_by(function, "grad_fn"):
        return str(gradient.__module__)
    return ""


def _held_by(function: Callable[..., Any] | None, name: str) -> list[Any]:
    """What an inner function has of the function around it under a name."""
    code = getattr(function, "__code__", None)
    if code is None or name not in code.co_freevars:
        return []
    cell = function.__closure__[code.co_freevars.index(name)]  # type: ignore[union-attr,index]
    return [cell.cell_contents]


# ---- datasets of TensorFlow


def datasets_in(data: Any) -> list[Any]:
    """Return a `tf.data.Dataset` and all datasets that it reads; none of other data."""
    if not hasattr(data, "element_spec") or not hasattr(data, "_inputs"):
        return []
    found = []
    waiting = [data]
    while waiting:
        dataset = waiting.pop()
        found.append(dataset)
        waiting += dataset._inputs()
    return found


def iterator_state(iterator: Any) -> Tensor:
    """Return where an iterator of a `tf.data.Dataset` is, and the dataset's shuffling with it."""
    import tensorflow as tf

    # what Python functions remember is theirs
    ignore_external_state = 1
    return tf.raw_ops.SerializeIterator(
        resource_handle=iterator._iterator_resource, external_state_policy=ignore_external_state
    )


def restore_iterator(iterator: Any, state: Tensor) -> None:
    """Put an iterator, and the dataset's shuffling, where `iterator_state` has found it."""
    import tensorflow as tf

    tf.raw_ops.DeserializeIterator(resource_handle=iterator._iterator_resource, serialized=state)
