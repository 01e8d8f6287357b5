"""What comes into the activations of a trained model, and which of its units no longer learn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_acts.inside import places

from .slots import SlotSite, is_activation, slot_sites

_STEP = 1e-3  # of the derivative
_FLAT = 0.05  # a slope of less lets next to nothing through
_KEPT = 20_000  # values of a slot, for a histogram

Tensor = Any  # of any backend


@dataclass(frozen=True)
class SlotActivity:
    """What one hidden slot sees and does for some samples.

    Attributes:
        slot: its name.
        activation: what is there.
        units: how many it has: the size of its channel axis.
        dead: how many of them have a slope of 0 for all samples: they no longer learn.
        flat: the share of all values at which the slope is less than 0.05.
        inputs: what came in, some of it.
    """

    slot: str
    activation: str
    units: int
    dead: int
    flat: float
    inputs: np.ndarray


def activity(model: keras.Model, samples: Any) -> tuple[SlotActivity, ...]:
    """Return what the hidden slots of a model see for some samples, in inference.

    The model is as before when this returns. A slot that cannot be watched is left out: one that
    is only called in a graph, say, where there are no numbers to see.

    Args:
        model: trained; Sequential or Functional.
        samples: inputs as the model takes them.

    Raises:
        ModelError: if the model is subclassed.
    """
    sites = [site for site in slot_sites(model) if site.slot.role == "hidden"]
    seen: list[_Seen] = [_Seen(site) for site in sites]
    with contextlib.ExitStack() as stack:
        for each in seen:
            each.watch(stack)
        model(keras.tree.map_structure(keras.ops.convert_to_tensor, samples), training=False)
    return tuple(each.told() for each in seen if each.called)


class _Seen:
    """Watches one slot while the model is called."""

    def __init__(self, site: SlotSite):
        self._site = site
        self._inputs: list[np.ndarray] = []
        self._slopes: list[np.ndarray] = []
        self._failed = False

    @property
    def called(self) -> bool:
        """Whether the slot was called, and each time could be seen."""
        return bool(self._inputs) and not self._failed

    def watch(self, stack: contextlib.ExitStack) -> None:
        """Have what the slot is called with written down until the stack is closed."""
        try:
            stack.enter_context(self._watching())
        except Exception:  # in a layer of a user's: the other slots can be watched all the same
            self._failed = True

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        if self._site.place is None:
            layer = self._site.layer
            name = self._site.argument
            if is_activation(layer):
                name = "call"
            # a recurrent layer's activation belongs to its cell
            elif name not in vars(layer) and "cell" in vars(layer):
                layer = layer.cell
        else:
            place = places(self._site.layer)[self._site.place]
            if place.is_held_function:
                place.put(self._watched(place.activation))
                try:
                    yield
                finally:
                    place.put(place.activation)
                return
            layer = place.layer
            name = place.argument
            if place.is_whole_layer:
                name = "call"
        with _attribute_as(layer, name, self._watched(getattr(layer, name))):
            yield

    def _watched(self, activation: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(x: Tensor, *arguments: Any, **options: Any) -> Tensor:
            made = activation(x, *arguments, **options)
            try:
                up = activation(x + _STEP, *arguments, **options)
                down = activation(x - _STEP, *arguments, **options)
                slopes = self._by_unit(_array(up - down) / (2 * _STEP))
                self._inputs.append(self._by_unit(_array(x)))
                self._slopes.append(slopes)
            except Exception:  # a look must not cost the call: in a graph there are no numbers
                self._failed = True
            return made

        return call

    def _by_unit(self, values: np.ndarray) -> np.ndarray:
        """Values as (all samples and places, units)."""
        axis = self._site.axis
        if axis is None:
            axis = -1
        moved = np.moveaxis(values, axis, -1)
        return moved.reshape(-1, moved.shape[-1])

    def told(self) -> SlotActivity:
        """What was seen."""
        units = 0
        dead = 0
        # calls of other widths have units of their own
        for width in dict.fromkeys(slopes.shape[1] for slopes in self._slopes):
            same = [slopes for slopes in self._slopes if slopes.shape[1] == width]
            steepest = np.abs(np.concatenate(same)).max(axis=0)
            units += width
            # a step is rounded in float32: a slope of 0 is one that nobody could tell from it
            dead += int((steepest < 1e-4).sum())
        inputs = np.concatenate([array.ravel() for array in self._inputs])
        slopes = np.abs(np.concatenate([array.ravel() for array in self._slopes]))
        every = max(1, inputs.size // _KEPT)
        return SlotActivity(
            slot=self._site.slot.name,
            activation=self._site.slot.current,
            units=units,
            dead=dead,
            flat=float((slopes < _FLAT).mean()),
            inputs=inputs[::every].copy(),
        )


@contextlib.contextmanager
def _attribute_as(layer: keras.Operation, name: str, value: object) -> Iterator[None]:
    """Another attribute of a layer inside the scope.

    Past Keras' own setting of attributes, which would track what is only looked at.
    """
    own = vars(layer)
    had = name in own
    before = own.get(name)
    own[name] = value
    try:
        yield
    finally:
        if had:
            own[name] = before
        else:
            del own[name]


def _array(tensor: Tensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), float)


def heights(seen: Sequence[SlotActivity], edges: np.ndarray) -> np.ndarray:
    """Return how often values between the edges come in, each slot counting the same; 1 is the most."""
    shares = np.zeros(len(edges) - 1)
    for each in seen:
        counts, _ = np.histogram(each.inputs, edges)
        shares += counts / max(len(each.inputs), 1)
    most = shares.max()
    if not most > 0:
        return shares
    return shares / most
