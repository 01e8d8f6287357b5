"""What populations of a model take, by what can be counted of it: for a plan, not for a clock.

A decision by measured seconds would be another one each time. So this counts what a model
multiplies and how many steps it takes, and `costs` says what these take on the machine where they
were measured.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping
from typing import Any

import keras

from ..population.frozen_prefix import frozen_prefix
from ..rewrite.graph import Call, Graph
from ..rewrite.slots import slots as slots_of
from ..runtime import costs
from .planner import PopulationCosts

# Keras' own, where `fit` is given none
_BATCH_SIZE = 32
# below it a variable is a bias or a scale: each value is used once an output
_KERNEL_DIMENSIONS = 2


def costs_of(model: keras.Model, fit: Mapping[str, Any]) -> PopulationCosts | None:
    """Return what populations of a model take; None where the number of steps is not known.

    Args:
        model: a built Sequential or Functional model.
        fit: the arguments of `fit`, data included.
    """
    steps = _steps_per_epoch(fit)
    if steps is None:
        return None
    shared = frozen_prefix(model, [slot.name for slot in slots_of(model).hidden])
    calls = Graph(model).calls
    layers = len({call.path for call in calls if getattr(call.layer, "weights", ())})
    samples = fit.get("batch_size") or _batch_size_of(fit["x"]) or _BATCH_SIZE
    products = samples * products_per_sample(model, shared)
    return PopulationCosts(
        program=costs.PROGRAM_SECONDS + costs.PROGRAM_SECONDS_A_LAYER * layers,
        start=costs.MEMBER_START_SECONDS,
        step=costs.STEP_SECONDS,
        member=products / costs.PRODUCTS_A_SECOND,
        steps=steps,
    )


def products_per_sample(model: keras.Model, shared: Collection[str] = ()) -> int:
    """Return how many multiplications with weights one sample takes, without the shared layers'.

    Sizes that the model leaves open count as 1. Each is counted as it is done: a kernel of a
    convolution at each place of its output, one of a recurrent layer at each step of its input.
    """
    products = 0
    for call in Graph(model).calls:
        if call.path in shared or isinstance(call.layer, keras.layers.Embedding):
            continue
        values = sum(
            math.prod(weight.shape)
            for weight in getattr(call.layer, "weights", ())
            if len(weight.shape) >= _KERNEL_DIMENSIONS
        )
        products += values * _places(call)
    return products


def _places(call: Call) -> int:
    """At how many places of a sample the weights of a layer are used."""
    shape = call.shape
    if isinstance(call.outer, keras.layers.RNN | keras.layers.Bidirectional):
        with contextlib.suppress(AttributeError, ValueError):  # one that is called several times
            shape = keras.tree.flatten(call.outer.input)[0].shape
    return math.prod(size or 1 for size in shape[1:-1])


def _steps_per_epoch(fit: Mapping[str, Any]) -> int | None:
    if fit.get("steps_per_epoch"):
        return int(fit["steps_per_epoch"])
    x = fit["x"]
    leaves = keras.tree.flatten(x)
    if all(hasattr(leaf, "shape") for leaf in leaves):
        samples = len(leaves[0]) * (1 - (fit.get("validation_split") or 0.0))
        return math.ceil(samples / (fit.get("batch_size") or _BATCH_SIZE))
    if isinstance(x, list | tuple | dict):
        return None
    try:
        # a dataset or a `PyDataset` has as many items as batches
        return len(x)
    except TypeError:  # of unknown length, or without an end
        return None


def _batch_size_of(x: Any) -> int | None:
    """How many samples a batch of a dataset has; None if it does not say so."""
    specs = keras.tree.flatten(getattr(x, "element_spec", None))
    for spec in specs:
        if getattr(spec, "shape", None) is not None and len(spec.shape):
            return spec.shape[0]
    return None
