"""The ordinary models behind a population.

Where its graph, its settings and its initial weights come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_acts.compat import all_layers
from keras_acts.errors import ModelError

from ..rewrite.clone import rewritten, rewritten_layer
from ..rewrite.own_functions import check_functions
from ..rewrite.own_training import own_methods
from ..rewrite.slots import slot_sites
from ..rewrite.walk import OF_ACTIVATION, layers_of, models_of, slots_at, weights_of
from ..runtime.seeding import isolated_seed
from ..runtime.tracing import outside_of_traces
from ..space.assignment import Choice
from ..space.candidate import Candidate
from ..space.known import is_of_keras_or_ours
from .members import Member, set_noise

Wanted = Choice | dict[str, Candidate]  # what `with_activations` takes for some slots
Weights = dict[str, dict[str, np.ndarray]]  # by layer, by variable


class Blueprint:
    """A model as every candidate would have it.

    A plain object, so that Keras tracks none of its variables.

    Args:
        model: a Sequential or Functional model.
        chosen: the names of the slots that candidates go to; by default all hidden ones.
        rescale_init: whether kernels are initialized for the activation that they feed, as by
            `with_activations`.

    Raises:
        ModelError: if the model cannot be rewritten, or does what a population cannot do exactly.
    """

    def __init__(
        self,
        model: keras.Model,
        chosen: tuple[str, ...] | None = None,
        rescale_init: bool = False,
    ):
        self.model = model
        self.chosen = chosen
        self.rescale_init = rescale_init
        self._sites = slot_sites(model)
        if chosen:
            self.hidden = chosen
        else:
            slots = [site.slot for site in self._sites]
            self.hidden = tuple(slot.name for slot in slots if slot.role == "hidden")
        _refuse(model)
        self._originals = dict(layers_of(model))  # by path
        self._models: dict[Choice, keras.Model] = {}
        self._layers: dict[Choice, dict[str, Any]] = {}  # of those models, by path
        # for paths with slots, and what is in these
        self._layers_with_slots: dict[tuple[str, Any], Any] = {}

    def build(self, member: Member) -> keras.Model:
        """Return the member's ordinary model, freshly initialized and not compiled.

        What it starts as.
        """
        with isolated_seed(member.seed):
            model = self.drawn(member.candidate)
        set_noise(model, member)
        return model

    def drawn(self, candidate: Choice) -> keras.Model:
        """Return the candidate's model, not compiled, initialized from the present random numbers."""
        return rewritten(
            self.model,
            self._wanted(candidate, self.hidden),
            rescale_init=self.rescale_init,
            compiled=False,
        )

    def made(self, candidate: Choice) -> keras.Model:
        """Return some model with the candidate, the same one each time."""
        if candidate not in self._models:
            with outside_of_traces():  # a loop over members asks for more than the layers' rules do
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
        slots = self.slots(path)
        if not slots:
            return self._layers_of(self._first)[path]
        if isinstance(candidate, Candidate):
            key: tuple[str, Any] = (path, candidate)
        else:
            key = (path, tuple(candidate[slot] for slot in slots))
        if key not in self._layers_with_slots:
            self._layers_with_slots[key] = self._rewritten_layer(candidate, path, slots)
        return self._layers_with_slots[key]

    def _rewritten_layer(self, candidate: Choice, path: str, slots: tuple[str, ...]) -> Any:
        original = self._originals[path]
        # one layer is made faster than a model, but only layers that are known build right alone
        if candidate in self._models or not _is_known(original):
            return self._layers_of(candidate)[path]
        of_layer = [site for site in self._sites if site.slot.name in slots]
        wanted = self._wanted(candidate, slots)
        with outside_of_traces(), isolated_seed(0):
            return rewritten_layer(self.model, of_layer, wanted, original)

    def _layers_of(self, candidate: Choice) -> dict[str, Any]:
        if candidate not in self._layers:
            self._layers[candidate] = dict(layers_of(self.made(candidate)))
        return self._layers[candidate]

    def _wanted(self, candidate: Choice, slots: tuple[str, ...]) -> Wanted:
        """What `with_activations` gets for some slots."""
        if not isinstance(candidate, Candidate):
            return {slot: candidate[slot] for slot in slots}
        if self.chosen is None:
            return candidate
        return dict.fromkeys(slots, candidate)

    def slots(self, path: str) -> tuple[str, ...]:
        """Return the slots that candidates go to of the layer at this path, its own and those it holds."""
        return slots_at(path, self.hidden)

    def has_slots_inside(self, path: str) -> bool:
        """Return whether candidates go inside of a layer at this path that a user wrote."""
        of_path = self.slots(path)
        return any(site.place is not None and site.slot.name in of_path for site in self._sites)

    def initial(self, members: Sequence[Member]) -> list[Weights]:
        """Return each member's initial weights by layer.

        Members of one seed have the same random numbers: what activations train starts as
        constants. The reference is the first member's without such, if there is one. Where
        initializers follow the activations, each candidate's model is made.
        """
        self._check_outputs(members)
        reference = min(members, key=lambda member: _trains(member.candidate)).candidate
        weights_of_seed = self._reference_weights(reference, members)
        # whatever its learning rate
        by_start: dict[tuple[Choice, int], Weights] = {}
        for member in members:
            start = (member.candidate, member.seed)
            if start in by_start:
                continue
            weights = None
            if member.candidate == reference or not self.rescale_init:
                common = weights_of_seed[member.seed]
                weights = self._exchanged(member.candidate, reference, common)
            if weights is None:
                weights = _weights(self.build(member))
            by_start[start] = weights
        return [by_start[member.candidate, member.seed] for member in members]

    def _reference_weights(
        self, reference: Choice, members: Sequence[Member]
    ) -> dict[int, Weights]:
        """The initial weights of one candidate under each seed of the members."""
        weights = {}
        for seed in dict.fromkeys(member.seed for member in members):
            model = self.build(Member(reference, seed))
            if not self._models:
                _refuse_shared(model)
            self._models.setdefault(reference, model)
            weights[seed] = _weights(model)
        return weights

    def some(self, members: Sequence[Member]) -> list[Weights]:
        """Return weights for each member, of the right shapes.

        Those of one candidate share them.
        """
        common = _weights(self.reference)
        by_candidate: dict[Choice, Weights] = {}
        for candidate in dict.fromkeys(member.candidate for member in members):
            weights = self._exchanged(candidate, self._first, common)
            if weights is None:
                weights = _weights(self.made(candidate))
            by_candidate[candidate] = weights
        return [by_candidate[member.candidate] for member in members]

    def _exchanged(self, candidate: Choice, other: Choice, weights: Weights) -> Weights | None:
        """The weights of a candidate, given another's: those that activations train are exchanged.

        None if they differ in more than these.
        """
        # fixed activations have no weights, so that all else is drawn alike
        if candidate == other or not (_trains(candidate) or _trains(other)):
            return weights
        exchanged = dict(weights)
        for path in filter(self.slots, weights):
            of_candidate = weights_of(self.layer(candidate, path))
            of_layer = _select(weights[path], of_activation=False)
            of_layer.update(_select(of_candidate, of_activation=True))
            if _shapes(of_layer) != _shapes(of_candidate):
                return None
            exchanged[path] = of_layer
        return exchanged

    def _check_outputs(self, members: Sequence[Member]) -> None:
        for site in self._sites:
            if site.slot.role == "output" and site.slot.name in self.hidden:
                _check_output(site.slot.name, [member.candidate for member in members])


def _check_output(slot: str, choices: Sequence[Choice]) -> None:
    names = set()
    for choice in choices:
        if isinstance(choice, Candidate):
            names.add(choice.name)
        else:
            names.add(choice[slot].name)
    if len(names) > 1 and names & {"softmax", "sigmoid"}:
        raise ModelError(
            "Losses take the logits of a softmax or sigmoid, so a population has one for an output "
            f"in all members, or in none. Received: {sorted(names)} for {slot!r}"
        )


def _trains(choice: Choice) -> bool:
    """Whether a candidate has trained parameters."""
    if isinstance(choice, Candidate):
        return choice.trained
    return any(candidate.trained for candidate in choice.values())


def _select(weights: dict[str, np.ndarray], of_activation: bool) -> dict[str, np.ndarray]:
    """Those of a layer's weights that its activations train, or the others."""
    selected = {}
    for key, value in weights.items():
        if key.startswith(OF_ACTIVATION) == of_activation:
            selected[key] = value
    return selected


def _shapes(weights: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {key: value.shape for key, value in weights.items()}


def _weights(model: keras.Model) -> Weights:
    return {path: weights_of(layer) for path, layer in layers_of(model)}


def _is_known(layer: Any) -> bool:
    """Whether it and what it holds are Keras' own, or ours.

    These build from the shapes that they were built for.
    """
    if not isinstance(layer, keras.layers.Layer):  # an operation holds nothing
        return is_of_keras_or_ours(layer)
    return all(is_of_keras_or_ours(part) for part in all_layers(layer))


def _refuse(model: keras.Model) -> None:
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ModelError(
            "Populations train on the backends tensorflow and jax. "
            f"Received: backend {keras.backend.backend()!r}"
        )
    for name, part in models_of(model):
        methods = own_methods(part)
        if methods:
            raise ModelError(
                "A population trains, tests and calls models as Keras does; one with methods of its "
                f"own trains by itself. Received: {name!r} of class {type(part).__name__} with its "
                f"own {', '.join(methods)}"
            )
    for path, layer in layers_of(model):
        if isinstance(layer, keras.layers.Layer):
            _refuse_layer(path, layer)
            check_functions(path, layer)


def _refuse_layer(path: str, layer: keras.layers.Layer) -> None:
    for part in all_layers(layer):  # what a wrapper holds may have a policy of its own
        policy = part.dtype_policy
        is_half = {policy.compute_dtype, policy.variable_dtype} & {"float16", "bfloat16"}
        if is_half and policy.name != "mixed_bfloat16":
            raise ModelError(
                "A population trains in float32, float64 or mixed_bfloat16: in float16 each model "
                "has a loss scale of its own, and skips steps of its own. "
                f"Received: {path!r} with {policy.name!r}"
            )
    for variable in layer.trainable_variables:
        if getattr(variable, "overwrite_with_gradient", False):
            raise ModelError(f"A population trains no quantized weights. Received: {path!r}")
    for variable in _untracked(layer):
        raise ModelError(
            "Members have variables of their own of those that Keras knows of a layer; what it "
            "keeps beside them, as a recurrent layer with stateful=True its states, they would "
            f"share. Received: {path!r} with the variable {variable.path!r}"
        )


def _untracked(layer: keras.layers.Layer) -> Iterator[keras.Variable]:
    """The variables that a layer, or one in it, has as attributes, and not among its `variables`."""
    known = {id(variable) for variable in layer.variables}
    for part in all_layers(layer):
        for value in vars(part).values():
            held = value if isinstance(value, list | tuple) else [value]
            for each in held:
                if isinstance(each, keras.Variable) and id(each) not in known:
                    yield each


def _refuse_shared(model: keras.Model) -> None:
    paths: dict[int, str] = {}
    for path, layer in layers_of(model):
        if not isinstance(layer, keras.layers.Layer):
            continue
        for part in all_layers(layer):
            first_path = paths.setdefault(id(part), path)
            if first_path != path:
                raise ModelError(
                    "A population has no layer that a model and one inside of it share. "
                    f"Received: {first_path!r}, which is {path!r} too"
                )
        for variable in layer.variables:
            first_path = paths.setdefault(id(variable), path)
            if first_path != path:
                # one that no optimizer trains too: it may be there for a layer or a callback to set,
                # and nothing tells where that happens
                raise ModelError(
                    "A population has no variable that two layers share, trained or not: each would "
                    "have its own, and what sets one would not set the other. A number that never "
                    "changes can be an argument of both layers. "
                    f"Received: {variable.path!r} in {first_path!r} and {path!r}"
                )
