"""How many slots of a population fit into memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

import keras

from ..rewrite.graph import Graph
from ..rewrite.walk import layers_of, variables_of
from ..runtime.memory import free_memory
from ..vectorize.convolutions import patches_per_sample

Job = TypeVar("Job")

_SHARE = 0.5  # of the free memory: an estimate is one, and the data, the graph and the system want theirs


def bytes_per_member(
    model: keras.Model, batch_size: int, shared: frozenset[str] = frozenset()
) -> int:
    """Estimate what one more slot of a population takes in training.

    A trained value counts for itself, its gradient, the value before the update and a copy of the
    best epoch; two states of the optimizer, as Adam's, for themselves and that copy; a layer's
    output with its gradient for each sample of a batch. Sizes that the model leaves open count as
    1.

    Args:
        model: the ordinary model.
        batch_size: of training or validation, the larger.
        shared: the paths of layers that run once for all slots, with one copy of their weights.
    """
    width = 8 if keras.config.floatx() == "float64" else 4
    once = {
        id(v)
        for path, layer in layers_of(model)
        if path in shared
        for v in variables_of(layer).values()
    }
    trained = sum(math.prod(v.shape) for v in model.trainable_variables)
    others = sum(math.prod(v.shape) for v in model.non_trainable_variables if id(v) not in once)
    return width * (8 * trained + 3 * others + 2 * batch_size * outputs_per_sample(model, shared))


def outputs_per_sample(model: keras.Model, shared: frozenset[str] = frozenset()) -> int:
    """Return how many values the layers make for one sample, without the shared.

    Unknown sizes count as 1.
    """
    # not the layers' own nodes: a Sequential model calls all of them again with each `add`
    calls = [call for call in Graph(model).calls if call.path not in shared]
    return sum(
        math.prod(size or 1 for size in call.shape[1:]) + patches_per_sample(call.layer, call.shape)
        for call in calls
    )


def most_members(slot: int, memory: int | None = None) -> int:
    """Return how many slots fit into memory, at least 1.

    Args:
        slot: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    budget = _SHARE * free_memory() if memory is None else memory
    return max(1, int(budget // max(slot, 1)))


def too_little(slot: int, memory: int | None = None) -> str:
    """Return why no two slots train together, in words.

    Args:
        slot: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    budget = _SHARE * free_memory() if memory is None else memory
    return (
        f"a model takes about {_mebibytes(slot)} in training, and {_mebibytes(budget)} may be used"
    )


def _mebibytes(count: float) -> str:
    return f"{max(1, round(count / 2**20)):,} MiB"


def waves(jobs: Sequence[Job], slot: int, memory: int | None = None) -> list[list[Job]]:
    """Return the jobs in as few populations of about the same size as the memory allows.

    Args:
        jobs: what becomes a slot each.
        slot: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    count = math.ceil(len(jobs) / most_members(slot, memory))
    bounds = [round(i * len(jobs) / count) for i in range(count + 1)]
    return [list(jobs[start:stop]) for start, stop in itertools.pairwise(bounds)]
