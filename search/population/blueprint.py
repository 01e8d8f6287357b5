"""The ordinary models behind a population.

Where its graph, its settings and its initial weights come from.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_acts.compat import all_layers, calls_of, mask_of
from keras_acts.errors import ModelError

from ..rewrite.clone import rewritten, rewritten_layer
from ..rewrite.own_training import own_methods
from ..rewrite.slots import slot_sites
from ..rewrite.walk import OF_ACTIVATION, layers_of, models_of, slots_at, weights_of
from ..runtime.seeding import isolated_seed
from ..runtime.tracing import outside_of_traces
from ..space.assignment import Choice
from ..space.candidate import Candidate
from ..space.known import is_of_keras_or_ours
from .members import Member

Weights = dict[str, dict[str, np.ndarray]]  # by layer, by variable


class Blueprint:
    """A model as every candidate would have it.

    A plain object, so that Keras tracks none of its variables.

    Args:
        model: a Sequential or Functional model.
        chosen: the names of the slots that candidates go to; by default all hidden ones.

    Raises:
        ModelError: if the model cannot be rewritten, or does what a population cannot do exactly.
    """

    def __init__(self, model: keras.Model, chosen: tuple[str, ...] | None = None):
        self.model, self.chosen = model, chosen
        self._places = slot_sites(model)
        self.hidden = chosen or tuple(
            place.slot.name for place in self._places if place.slot.role == "hidden"
        )
        _refuse(model)
        self._originals = dict(layers_of(model))  # by path
        self._models: dict[Choice, keras.Model] = {}
        self._layers: dict[Choice, dict[str, Any]] = {}  # of those models, by path
        self._searched: dict[
            tuple[str, Any], Any
        ] = {}  # for paths with slots, and what is in these

    def build(self, member: Member) -> keras.Model:
        """Return the member's ordinary model, freshly initialized and not compiled.

        What its slot starts as.
        """
        with isolated_seed(member.seed):
            return self.drawn(member.candidate)

    def drawn(self, candidate: Choice) -> keras.Model:
        """Return the candidate's model, not compiled, initialized from the random numbers as they are now."""
        return rewritten(self.model, self._wanted(candidate, self.hidden), compiled=False)

    def made(self, candidate: Choice) -> keras.Model:
        """Return some model with the candidate, the same one each time."""
        if candidate not in self._models:
            with outside_of_traces():  # a loop over slots asks for more than the layers' rules do
                self._models[candidate] = self.build(Member(candidate, 0))
        return self._models[candidate]

    @property
    def reference(self) -> keras.Model:
        """The first model that was made, for all that candidates do not change."""
        return self._models[self._first]

    @property
    def _first(self) -> Choice:
        return next(iter(self._models))

    def layer(self, candidate: Choice, path: str) -> Any:
        """Return the layer at a path in some model with the candidate, the same one each time."""
        own = self.slots(path)
        if not own:
            return self._layers_of(self._first)[path]
        key = (
            path,
            candidate
            if isinstance(candidate, Candidate)
            else tuple(candidate[slot] for slot in own),
        )
        if key not in self._searched:
            self._searched[key] = self._made_layer(candidate, path, own)
        return self._searched[key]

    def _made_layer(self, candidate: Choice, path: str, own: tuple[str, ...]) -> Any:
        original = self._originals[path]
        if candidate in self._models or not _is_known(original):
            return self._layers_of(candidate)[path]
        found = [place for place in self._places if place.slot.name in own]
        with outside_of_traces(), isolated_seed(0):
            return rewritten_layer(self.model, found, self._wanted(candidate, own), original)

    def _layers_of(self, candidate: Choice) -> dict[str, Any]:
        if candidate not in self._layers:
            self._layers[candidate] = dict(layers_of(self.made(candidate)))
        return self._layers[candidate]

    def _wanted(self, candidate: Choice, own: tuple[str, ...]) -> Any:
        """What `with_activations` gets for some slots."""
        if not isinstance(candidate, Candidate):
            return {slot: candidate[slot] for slot in own}
        return candidate if self.chosen is None else dict.fromkeys(own, candidate)

    def slots(self, path: str) -> tuple[str, ...]:
        """Return the slots of the layer at this path, its own and those it holds, that candidates go to."""
        return slots_at(path, self.hidden)

    def initial(self, found: tuple[Member, ...]) -> list[Weights]:
        """Return each member's initial weights by layer.

        Members of one seed have the same random numbers: what activations train starts as
        constants. The reference is the first member's without such, if there is one.
        """
        self._check_outputs(found)
        first = min(found, key=lambda member: _trains(member.candidate)).candidate
        common: dict[int, Weights] = {}
        for seed in dict.fromkeys(member.seed for member in found):
            model = self.build(Member(first, seed))
            if not self._models:
                _refuse_shared(model)
            self._models.setdefault(first, model)
            common[seed] = _weights(model)
        known: dict[Member, Weights] = {}
        for member in found:
            if member not in known:
                own = self._own(member.candidate, first, common[member.seed])
                known[member] = _weights(self.build(member)) if own is None else own
        return [known[member] for member in found]

    def some(self, found: tuple[Member, ...]) -> list[Weights]:
        """Return weights for each member, of the right shapes.

        Those of one candidate share them.
        """
        common, known = _weights(self.reference), dict[Choice, Weights]()
        for candidate in dict.fromkeys(member.candidate for member in found):
            own = self._own(candidate, self._first, common)
            known[candidate] = _weights(self.made(candidate)) if own is None else own
        return [known[member.candidate] for member in found]

    def _own(self, candidate: Choice, other: Choice, common: Weights) -> Weights | None:
        """The weights of a candidate, given another's.

        None if they differ in more than trained activations.
        """
        if candidate == other or not (_trains(candidate) or _trains(other)):
            return common
        own = dict(common)
        for path in filter(self.slots, common):
            mine = weights_of(self.layer(candidate, path))
            trained = {key: value for key, value in mine.items() if key.startswith(OF_ACTIVATION)}
            own[path] = {
                key: value
                for key, value in common[path].items()
                if not key.startswith(OF_ACTIVATION)
            }
            own[path].update(trained)
            if {key: value.shape for key, value in own[path].items()} != {
                key: v.shape for key, v in mine.items()
            }:
                return None
        return own

    def _check_outputs(self, found: tuple[Member, ...]) -> None:
        for place in self._places:
            name = place.slot.name
            if place.slot.role == "output" and name in self.hidden:
                chosen = [member.candidate for member in found]
                names = {c.name if isinstance(c, Candidate) else c[name].name for c in chosen}
                if len(names) > 1 and names & {"softmax", "sigmoid"}:
                    raise ModelError(
                        "Losses take the logits of a softmax or sigmoid, so a population has one for an output in all "
                        f"slots, or in none. Received: {sorted(names)} for {name!r}"
                    )


def _trains(choice: Choice) -> bool:
    candidates = [choice] if isinstance(choice, Candidate) else choice.values()
    return any(candidate.trained for candidate in candidates)


def _weights(model: keras.Model) -> Weights:
    return {path: weights_of(layer) for path, layer in layers_of(model)}


def _is_known(layer: Any) -> bool:
    """Whether it and what it holds are Keras' own, or ours, which build from the shapes that they were built for."""
    held = all_layers(layer) if isinstance(layer, keras.layers.Layer) else [layer]
    return all(is_of_keras_or_ours(one) for one in held)


def _refuse(model: keras.Model) -> None:
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ModelError(
            f"Populations train on the backends tensorflow and jax. Received: backend {keras.backend.backend()!r}"
        )
    for name, one in models_of(model):
        if own := own_methods(one):
            raise ModelError(
                "A population trains, tests and calls models as Keras does; one with methods of its own trains by "
                f"itself. Received: {name!r} of class {type(one).__name__} with its own {', '.join(own)}"
            )
    for path, layer in layers_of(model):
        if not isinstance(layer, keras.layers.Layer):
            continue
        made = keras.tree.flatten([node.output_tensors for node in calls_of(layer)])
        if any(mask_of(tensor) is not None for tensor in made):
            raise ModelError(
                f"A population does not follow masks. Received: {path!r}, which makes one"
            )
        if layer.activity_regularizer is not None:
            raise ModelError(
                f"A population regularizes weights, not activities. Received: {path!r}"
            )
        policy = layer.dtype_policy
        if (
            policy.compute_dtype not in ("float32", "float64")
            or policy.compute_dtype != policy.variable_dtype
        ):
            raise ModelError(
                f"A population trains in float32 or float64. Received: {path!r} with {policy.name!r}"
            )
        for variable in layer.trainable_variables:
            if getattr(variable, "overwrite_with_gradient", False):
                raise ModelError(f"A population trains no quantized weights. Received: {path!r}")


def _refuse_shared(model: keras.Model) -> None:
    paths: dict[int, str] = {}
    for path, layer in layers_of(model):
        for part in all_layers(layer) if isinstance(layer, keras.layers.Layer) else ():
            if paths.setdefault(id(part), path) != path:
                raise ModelError(
                    "A population has no layer that a model and one inside of it share. "
                    f"Received: {paths[id(part)]!r}, which is {path!r} too"
                )
