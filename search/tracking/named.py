"""How candidates and trainings are called in the files and tables of others."""

from __future__ import annotations

import contextlib
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_acts.errors import KerasActsError

from ..space.assignment import Assignment
from ..space.candidate import Candidate
from ..space.rated import Rated

if TYPE_CHECKING:
    from ..verdict.runs import Runs
    from ..verdict.verdict import Verdict

# of a name that becomes a folder
_MOST_CHARACTERS = 100


@dataclass(frozen=True)
class Named:
    """A candidate in words and numbers.

    Attributes:
        name: ``"mish"``, or ``"mish x4"`` at four times the model's learning rate.
        parameters: the activation, its parameters, and by what the rate is multiplied.
    """

    name: str
    parameters: Mapping[str, str | float]

    @classmethod
    def of(cls, rated: Rated) -> Named:
        """Return a candidate of a search in words and numbers."""
        name = str(rated.choice)
        parameters: dict[str, str | float] = {"activation": name}
        if isinstance(rated.choice, Assignment):
            for group, candidate in rated.choice.groups:
                parameters[f"activation.{group.name}"] = str(candidate)
        else:
            parameters |= _parameters(rated.choice)
        return cls(
            _at_rate(name, rated.factor), {**parameters, "learning_rate_factor": rated.factor}
        )

    @classmethod
    def of_words(cls, activation: str, factor: float) -> Named:
        """Return the same for a candidate that is known by its name alone, as in a verdict."""
        parameters: dict[str, str | float] = {"activation": activation}
        # one for each layer is no activation's name
        with contextlib.suppress(KerasActsError):
            parameters |= _parameters(Candidate.of(activation))
        return cls(_at_rate(activation, factor), {**parameters, "learning_rate_factor": factor})

    @property
    def file_name(self) -> str:
        """The name as a folder may have it everywhere."""
        plain = re.sub(r"[^A-Za-z0-9_.,=()+-]+", "_", self.name)
        # a space alone is no difference that anybody's names have
        is_plain = plain.replace("_", " ") == self.name.replace("_", " ")
        if is_plain and len(plain) <= _MOST_CHARACTERS:
            return plain
        # what differs may stand where it was cut, or in characters that are left out
        return f"{plain[:_MOST_CHARACTERS]}-{zlib.crc32(self.name.encode()):08x}"


def _at_rate(name: str, factor: float) -> str:
    if factor == 1:
        return name
    return f"{name} x{factor:g}"


def _parameters(candidate: Candidate) -> dict[str, str | float]:
    values: dict[str, str | float] = {}
    for name, value in candidate.parameters:
        if isinstance(value, int | float):
            values[name] = float(value)
        else:
            values[name] = str(value)
    return values


def name_for_mlflow(name: str) -> str:
    """Return the name of a metric or parameter as MLflow takes it, which refuses others.

    A metric with a value a class is called ``"f1_score[0]"``, and one of the user's, or a group of
    slots, as they like.

    Example:
        >>> name_for_mlflow("f1_score[0]"), name_for_mlflow("recall@5")
        ('f1_score_0', 'recall_5')
    """
    return re.sub(r"[^\w./ -]", "_", name.replace("]", ""))


@dataclass(frozen=True)
class Training:
    """A training of a verdict.

    Attributes:
        named: its candidate.
        seed: of initialization and batch order.
        epochs: what each logged; the last one also the scores on the test data.
    """

    named: Named
    seed: int
    epochs: tuple[Mapping[str, float], ...]


def trainings_of(verdict: Verdict) -> Iterator[Training]:
    """Return the trainings that a verdict is of; none where it was withheld."""
    runs = verdict.runs
    if runs is None:
        return
    for column, activation in enumerate(runs.activations):
        factor = 1.0
        if verdict.rates is not None:
            factor = verdict.rates.factor(activation)
        named = Named.of_words(activation, factor)
        for row, seed in enumerate(runs.seeds):
            yield Training(named, seed, tuple(_epochs(runs, row, column)))


def _epochs(runs: Runs, row: int, column: int) -> list[dict[str, float]]:
    """What each epoch of a training logged; without those that it has not, as it ended early."""
    epochs: list[dict[str, float]] = []
    for name, values in runs.history.items():
        for index, value in enumerate(map(float, values[row, :, column])):
            if index == len(epochs):
                epochs.append({})
            if math.isfinite(value):
                epochs[index][name] = value
    while epochs and not epochs[-1]:
        epochs.pop()
    for metric, scores in runs.test.items():
        score = float(scores[row, column])
        if epochs and math.isfinite(score):
            epochs[-1][f"test_{metric}"] = score
    return epochs
