"""The ordinary models behind a population: where its graph, its settings and its initial weights come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional  # Keras exports no name for it

from keras_acts.errors import ModelError

from .members import Choice, Group, Member
from .rewrite import rewritten, slots
from .seeding import isolated_seed
from .space import Candidate
from .tracing import outside_of_traces

OF_ACTIVATION = "activation."
Weights = dict[str, dict[str, np.ndarray]]  # by layer, by variable


class Blueprint:
    """A model as every candidate would have it. A plain object, so that Keras tracks none of its variables.

    Args:
        model: a Sequential or Functional model.
        chosen: the names of the slots that candidates go to; by default all hidden ones.

    Raises:
        ModelError: if the model cannot be rewritten, or does what a population cannot do exactly.
    """

    def __init__(self, model: keras.Model, chosen: tuple[str, ...] | None = None):
        self.model, self.chosen = model, chosen
        self.hidden = chosen or tuple(slot.name for slot in slots(model) if slot.role == "hidden")
        _refuse(model)
        self._made: dict[Choice, dict[str, Any]] = {}
        self._models: dict[Choice, keras.Model] = {}

    def build(self, member: Member) -> keras.Model:
        """Return the member's ordinary model, freshly initialized and not compiled: what its slot starts as."""
        with isolated_seed(member.seed):
            everywhere = self.chosen is None or not isinstance(member.candidate, Candidate)
            wanted = member.candidate if everywhere else dict.fromkeys(self.hidden, member.candidate)
            return rewritten(self.model, wanted, compiled=False)

    def made(self, candidate: Choice) -> keras.Model:
        """Return some model with the candidate, the same one each time."""
        if candidate not in self._models:
            with outside_of_traces():  # a loop over slots asks for more than the layers' rules do
                self._models[candidate] = self.build(Member(candidate, 0))
        return self._models[candidate]

    def layer(self, candidate: Choice, path: str) -> Any:
        """Return the layer at a path in `made`."""
        if candidate not in self._made:
            self._made[candidate] = dict(layers_of(self.made(candidate)))
        return self._made[candidate][path]

    def slots(self, path: str) -> tuple[str, ...]:
        """Return the slots of the layer at this path, its own and those it holds, that candidates go to."""
        return tuple(name for name in self.hidden if name == path or name.startswith((f"{path}/", f"{path}.")))

    def changes(self, path: str) -> bool:
        """Whether the layer at this path has, or holds, an activation that differs from candidate to candidate."""
        return bool(self.slots(path))

    def initial(self, found: tuple[Member, ...], groups: tuple[Group, ...]) -> list[Weights]:
        """Return each member's initial weights by layer; `found` and `groups` are in inside order.

        Members of one seed whose activations have no variables share them: they have the same random numbers.
        """
        known: dict[Member, Weights] = {}
        weights = []
        alike = next((group.candidate for group in groups if not group.trained), None)
        for group in groups:
            for member in found[group.start : group.stop]:
                key = member if group.trained or alike is None else Member(alike, member.seed)
                if key not in known:
                    ordinary = self.build(key)
                    known[key] = {path: weights_of(layer) for path, layer in layers_of(ordinary)}
                weights.append(known[key])
        return weights

    def some(self, found: tuple[Member, ...]) -> list[Weights]:
        """Return weights for each member, of the right shapes; those of one candidate share them."""
        known = {
            candidate: {path: weights_of(layer) for path, layer in layers_of(self.made(candidate))}
            for candidate in dict.fromkeys(member.candidate for member in found)
        }
        return [known[member.candidate] for member in found]


def layers_of(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the layers and operations with their paths; those of nested models, not the nested models themselves."""
    for layer in graph_of(model).operations:
        path = f"{prefix}{layer.name}"
        if is_graph(layer):
            yield from layers_of(layer, f"{path}/")
        else:
            yield path, layer


def is_graph(layer: Any) -> bool:
    """Whether it is a Sequential or Functional model."""
    return isinstance(layer, keras.Sequential | Functional)


def graph_of(model: Any) -> Any:
    """Return the Functional model that a Sequential one holds."""
    return model._functional if isinstance(model, keras.Sequential) else model


def variables_of(layer: Any) -> dict[str, Any]:
    """Return a layer's variables, the states of its random generators too, under keys that all candidates share.

    Those of a trained ``activation=`` are called ``"activation.alpha"``, the others ``"0"``, ``"1"``, …
    """
    if not isinstance(layer, keras.layers.Layer):
        return {}
    activation = getattr(layer, "activation", None)
    theirs = list(activation.variables) if isinstance(activation, keras.layers.Layer) else []
    apart = {id(variable) for variable in theirs}
    own = [v for v in (*layer.trainable_variables, *layer.non_trainable_variables) if id(v) not in apart]
    return {**{str(i): v for i, v in enumerate(own)}, **{f"{OF_ACTIVATION}{v.name}": v for v in theirs}}


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    """Return their values."""
    return {key: keras.ops.convert_to_numpy(variable) for key, variable in variables_of(layer).items()}


def _refuse(model: keras.Model) -> None:
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ModelError(
            f"Populations train on the backends tensorflow and jax. Received: backend {keras.backend.backend()!r}"
        )
    for path, layer in layers_of(model):
        if not isinstance(layer, keras.layers.Layer):
            continue
        made = keras.tree.flatten([node.output_tensors for node in layer._inbound_nodes])
        if any(getattr(tensor, "_keras_mask", None) is not None for tensor in made):
            raise ModelError(f"A population does not follow masks. Received: {path!r}, which makes one")
        if layer.activity_regularizer is not None:
            raise ModelError(f"A population regularizes weights, not activities. Received: {path!r}")
        policy = layer.dtype_policy
        if policy.compute_dtype not in ("float32", "float64") or policy.compute_dtype != policy.variable_dtype:
            raise ModelError(f"A population trains in float32 or float64. Received: {path!r} with {policy.name!r}")
        for variable in layer.trainable_variables:
            if getattr(variable, "overwrite_with_gradient", False):
                raise ModelError(f"A population trains no quantized weights. Received: {path!r}")
