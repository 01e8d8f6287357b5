"""The populations of a race in a file, so that it goes on in the middle of a rung."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..population.members import Member
from ..population.step_tensorflow import Decided
from ..runtime.kept_files import write_whole
from .record import MemberRecord, Weights

_VERSION = 1
_META = "meta"
# what NumPy raises where a file is no .npz, is cut off, damaged, or holds other things than arrays
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError, OSError, EOFError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, AttributeError),
)


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
    arrays: list[np.ndarray] = []

    def kept(values: Sequence[np.ndarray]) -> list[int]:
        first = len(arrays)
        arrays.extend(values)
        return list(range(first, len(arrays)))

    best = []
    for member, epoch in checkpoint.best.items():
        places = [list(place) for place in epoch.weights]
        numbers = kept(list(epoch.weights.values()))
        best.append([index_of[member], epoch.value, places, numbers])
    populations = []
    for population in checkpoint.populations:
        populations.append(
            {
                "members": [index_of[member] for member in population.members],
                "epochs": population.epochs,
                "decided": population.decided,
                "values": kept(population.values),
            }
        )
    records = []
    for member, record in checkpoint.records.items():
        # JSON has no nan: a score is kept as text
        records.append([_name(member), {**asdict(record), "best": repr(record.best)}])
    meta = {
        "version": _VERSION,
        "rung": checkpoint.rung,
        "ends": list(checkpoint.ends),
        "most_members": checkpoint.most_members,
        "records": records,
        "best": best,
        "populations": populations,
    }
    named = {f"a{number}": array for number, array in enumerate(arrays)}
    named[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **named)
    write_whole(path, buffer.getbuffer())


def read(path: Path, known: Sequence[Member]) -> Checkpoint | None:
    """Return what a file holds; None if it is damaged, or of other members than are known.

    Each array of the file has a checksum of its own.

    Args:
        path: of the file.
        known: all members that may be in it.
    """
    by_name = {_name(member): member for member in known}
    try:
        # NumPy leaves a file open that it cannot read
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            meta = json.loads(file[_META].tobytes())
            if meta["version"] != _VERSION:
                return None
            return _checkpoint(meta, file, by_name)
    except _UNREADABLE:
        return None


def _checkpoint(
    meta: Mapping[str, Any], file: Mapping[str, np.ndarray], by_name: Mapping[str, Member]
) -> Checkpoint:
    records = {}
    for name, fields in meta["records"]:
        records[by_name[name]] = MemberRecord(**{**fields, "best": float(fields["best"])})
    members = list(records)
    best = {}
    for index, value, places, numbers in meta["best"]:
        weights: Weights = {}
        for (layer, key), number in zip(places, numbers, strict=True):
            weights[layer, key] = file[f"a{number}"]
        best[members[index]] = BestEpoch(float(value), weights)
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
                [file[f"a{number}"] for number in kept["values"]],
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
