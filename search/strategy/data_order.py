"""Where the shuffling of a `tf.data.Dataset` is: the same order for each training that begins.

A dataset that shuffles goes on from one reading to the next, with another order each time. So a
second `fit` sees other batches than the first one did, whatever the seed of the model is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from keras_acts.compat import datasets_in, iterator_state, restore_iterator

from ..runtime.reasons import first_line

# of each part of a dataset that draws
State: TypeAlias = Sequence[Any]

_DRAW = ("Shuffle", "Random")


class DataOrder:
    """Where the shuffling of the data of a `fit` is.

    What is drawn inside of functions, such as those of `map` and `flat_map`, is drawn anew.

    Args:
        fit: the arguments of `fit`, data included.

    Attributes:
        start: where it was at first.
        why_not: why it cannot be told; empty if it can, or nothing is shuffled.
    """

    def __init__(self, fit: Mapping[str, Any]):
        self.why_not = ""
        # what is saved of an iterator is where the dataset is, of which all readings draw. One that
        # is made anew would draw itself.
        self._iterators: list[Any] = []
        self.start: State = ()
        try:
            for name in ("x", "validation_data"):
                self._iterators += map(iter, _parts_that_draw(fit.get(name)))
            self.start = self.now()
        except Exception as error:  # whatever a dataset cannot
            self._iterators = []
            self.why_not = first_line(error)

    def now(self) -> State:
        """Return where it is."""
        return [iterator_state(iterator) for iterator in self._iterators]

    def restore(self, state: State) -> None:
        """Go on from there."""
        for iterator, of_iterator in zip(self._iterators, state, strict=True):
            restore_iterator(iterator, of_iterator)


def _parts_that_draw(data: Any) -> list[Any]:
    parts = []
    for dataset in datasets_in(data):
        if any(word in type(dataset).__name__ for word in _DRAW):
            parts.append(dataset)
    return parts
