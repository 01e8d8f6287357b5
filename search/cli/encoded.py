"""The parts of a table as numbers, which takes Keras' layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_acts.search import TablePreprocessing

from .data import Parts


@dataclass(frozen=True)
class Encoded:
    """What trains, and what the export takes.

    Attributes:
        parts: arrays.
        preprocessing: what makes them of the columns; None where the model takes the data as they
            are.
        samples: of the test part, as the export takes them.
    """

    parts: Parts
    preprocessing: keras.Model | None
    samples: Any


def encoded(parts: Parts) -> Encoded:
    """Return the parts as numbers, by what the training's rows alone say."""
    if parts.columns is None:
        return Encoded(parts, None, parts.test[0])
    table = TablePreprocessing.of(parts.columns)
    arrays = replace(
        parts,
        train=(table(parts.train[0]), parts.train[1]),
        validation=(table(parts.validation[0]), parts.validation[1]),
        test=(table(parts.test[0]), parts.test[1]),
    )
    return Encoded(arrays, table.model, table.inputs(parts.test[0]))
