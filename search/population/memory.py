"""How many members of a population fit into memory."""

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

# of the free memory: an estimate is one, and the data, the graph and the system want theirs
_SHARE = 0.5
# itself, its gradient, the value before the update, the copy of the best epoch; and two states of
# the optimizer, as Adam's, with a copy each
_NUMBERS_A_TRAINED_VALUE = 8
# itself, the value before the update, the copy of the best epoch
_NUMBERS_AN_UNTRAINED_VALUE = 3
# itself and its gradient
_NUMBERS_AN_OUTPUT = 2


def bytes_per_member(
    model: keras.Model, batch_size: int, shared: frozenset[str] = frozenset()
) -> int:
    """Estimate what one more member of a population takes in training.

    A trained value counts for itself, its gradient, the value before the update and a copy of the
    best epoch; two states of the optimizer, as Adam's, for themselves and that copy; a layer's
    output with its gradient for each sample of a batch. Sizes that the model leaves open count as
    1.

    Args:
        model: the ordinary model.
        batch_size: of training or validation, the larger.
        shared: the paths of layers that run once for all members, with one copy of their weights.
    """
    in_one_copy = _variables_of_layers(model, shared)
    trained = sum(math.prod(v.shape) for v in model.trainable_variables)
    untrained = sum(
        math.prod(v.shape) for v in model.non_trainable_variables if id(v) not in in_one_copy
    )
    numbers = _NUMBERS_A_TRAINED_VALUE * trained + _NUMBERS_AN_UNTRAINED_VALUE * untrained
    numbers += _NUMBERS_AN_OUTPUT * batch_size * outputs_per_sample(model, shared)
    bytes_per_number = 8 if keras.config.floatx() == "float64" else 4
    return bytes_per_number * numbers


def _variables_of_layers(model: keras.Model, paths: frozenset[str]) -> set[int]:
    """The identities of the variables of the layers at these paths."""
    identities: set[int] = set()
    for path, layer in layers_of(model):
        if path in paths:
            identities.update(map(id, variables_of(layer).values()))
    return identities


def outputs_per_sample(model: keras.Model, shared: frozenset[str] = frozenset()) -> int:
    """Return how many values the layers make for one sample, without the shared.

    Unknown sizes count as 1.
    """
    values = 0
    # not the layers' own nodes: a Sequential model calls all of them again with each `add`
    for call in Graph(model).calls:
        if call.path in shared:
            continue
        values += math.prod(size or 1 for size in call.shape[1:])
        values += patches_per_sample(call.layer, call.shape)
    return values


def most_members(member_bytes: int, memory: int | None = None) -> int:
    """Return how many members fit into memory, at least 1.

    Args:
        member_bytes: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    return max(1, int(budget(memory) // max(member_bytes, 1)))


def too_little(member_bytes: int, memory: int | None = None) -> str:
    """Return why no two members train together, in words.

    Args:
        member_bytes: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    wanted = _mebibytes(member_bytes)
    usable = _mebibytes(budget(memory))
    return f"a model takes about {wanted} in training, and {usable} may be used"


def budget(memory: int | None) -> float:
    """Return the bytes that may be used, by default half of what is free."""
    if memory is None:
        return _SHARE * free_memory()
    return memory


def _mebibytes(count: float) -> str:
    return f"{max(1, round(count / 2**20)):,} MiB"


def waves(jobs: Sequence[Job], member_bytes: int, memory: int | None = None) -> list[list[Job]]:
    """Return the jobs in as few populations of about the same size as the memory allows.

    Args:
        jobs: what becomes a member each.
        member_bytes: the bytes of one.
        memory: the bytes that may be used; by default half of what is free.
    """
    count = math.ceil(len(jobs) / most_members(member_bytes, memory))
    bounds = [round(i * len(jobs) / count) for i in range(count + 1)]
    return [list(jobs[start:stop]) for start, stop in itertools.pairwise(bounds)]
