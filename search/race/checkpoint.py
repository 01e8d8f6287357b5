"""The populations of a race in a file, so that it goes on in the middle of a rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..population.members import Member
from ..population.step_tensorflow import Decided
from ..runtime.kept_arrays import UNREADABLE, Arrays, ReadArrays
from ..strategy.curves import curve_of, plain_curve
from .record import MemberRecord, Weights

_VERSION = 1


class BestEpoch(NamedTuple):
    """The best epoch of a member: more is better."""

    value: float
    weights: Weights


@dataclass(frozen=True)
class KeptPopulation:
    """A population in the middle of a stretch of training, or at its end.

    Attributes:
        members: in its order.
        epochs: how many it has.
        decided: what it compiles, as it was when the stretch began.
        values: its state.
    """

    members: Sequence[Member]
    epochs: int
    decided: Decided | None
    values: Sequence[np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """All populations of a race.

    Attributes:
        rung: the number of the rung that trains.
        ends: of the stretches of training.
        most_members: of a population, by experience.
        records: of each member.
        best: the best epoch of each that still trains, of which the weights are by the numbers of
            their layers: the names that Keras gives these are others in each process.
        populations: that train, or have trained.
    """

    rung: int
    ends: Sequence[int]
    most_members: int
    records: Mapping[Member, MemberRecord] = field(repr=False)
    best: Mapping[Member, BestEpoch] = field(repr=False)
    populations: Sequence[KeptPopulation] = field(repr=False)


def renamed(best: Mapping[Member, BestEpoch], names: Mapping[str, str]) -> dict[Member, BestEpoch]:
    """Return best epochs whose weights are by other names of the layers.

    Raises:
        KeyError: if there is no such layer.
    """
    result = {}
    for member, epoch in best.items():
        weights: Weights = {}
        for (layer, key), value in epoch.weights.items():
            weights[names[layer], key] = value
        result[member] = BestEpoch(epoch.value, weights)
    return result


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, in one step.

    Raises:
        OSError: if it cannot be written.
    """
    members = list(checkpoint.records)
    index_of = {member: index for index, member in enumerate(members)}
    arrays = Arrays()
    best = []
    for member, epoch in checkpoint.best.items():
        places = [list(place) for place in epoch.weights]
        numbers = arrays.add(list(epoch.weights.values()))
        best.append([index_of[member], epoch.value, places, numbers])
    populations = []
    for population in checkpoint.populations:
        populations.append(
            {
                "members": [index_of[member] for member in population.members],
                "epochs": population.epochs,
                "decided": population.decided,
                "values": arrays.add(population.values),
            }
        )
    records = []
    for member, record in checkpoint.records.items():
        # JSON has no nan: a score is kept as text
        plain = {"best": repr(record.best), "curve": plain_curve(record.curve)}
        records.append([_name(member), {**asdict(record), **plain}])
    meta = {
        "version": _VERSION,
        "rung": checkpoint.rung,
        "ends": list(checkpoint.ends),
        "most_members": checkpoint.most_members,
        "records": records,
        "best": best,
        "populations": populations,
    }
    arrays.write(path, meta)


def read(path: Path, known: Sequence[Member]) -> Checkpoint | None:
    """Return what a file holds; None if it is damaged, or of other members than are known.

    Each array of the file has a checksum of its own.

    Args:
        path: of the file.
        known: all members that may be in it.
    """
    by_name = {_name(member): member for member in known}
    try:
        file = ReadArrays(path)
        if file.meta["version"] != _VERSION:
            return None
        return _checkpoint(file, by_name)
    except UNREADABLE:
        return None


def _checkpoint(file: ReadArrays, by_name: Mapping[str, Member]) -> Checkpoint:
    meta = file.meta
    records = {}
    for name, fields in meta["records"]:
        # a file of an earlier version has no learning curves
        numbers = {"best": float(fields["best"]), "curve": curve_of(fields.get("curve", {}))}
        records[by_name[name]] = MemberRecord(**{**fields, **numbers})
    members = list(records)
    best = {}
    for index, best_value, places, numbers in meta["best"]:
        weights: Weights = {}
        for (layer, key), value in zip(places, file.of(numbers), strict=True):
            weights[layer, key] = value
        best[members[index]] = BestEpoch(float(best_value), weights)
    populations = []
    for kept in meta["populations"]:
        decided = None
        if kept["decided"] is not None:
            decided = Decided(*kept["decided"])
        populations.append(
            KeptPopulation(
                [members[index] for index in kept["members"]],
                int(kept["epochs"]),
                decided,
                file.of(kept["values"]),
            )
        )
    return Checkpoint(
        int(meta["rung"]),
        [int(end) for end in meta["ends"]],
        int(meta["most_members"]),
        records,
        best,
        populations,
    )


def _name(member: Member) -> str:
    return f"{member.rated} on {member.seed}"
