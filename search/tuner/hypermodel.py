"""A model, or a function that builds one, as a KerasTuner hypermodel.

What is searched is its activation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import keras
import keras_tuner

from keras_acts.errors import ModelError, SearchError

from ..rewrite.building import (
    LayerActivation,
    built_for,
    for_layers,
    is_build,
    takes_activation,
)
from ..rewrite.clone import with_activations
from ..rewrite.compiling import first_metric_names
from ..rewrite.groups import groups
from ..rewrite.learning_rate import own_rate, scale_learning_rate, why_no_rates
from ..rewrite.slots import slots
from ..space.assignment import Assignment, Choice, SlotGroup
from ..space.candidate import Candidate
from ..space.space import ActivationSpace

# what `ActivationSpace.per` may be: "model", "block", "layer", or names and patterns of groups
Per: TypeAlias = str | Mapping[str, Any]
# an `ActivationSpace`, or what it is made of; None for the default activations
Activations: TypeAlias = ActivationSpace | Iterable[Any] | None

# the hyperparameter that multiplies the learning rate
FACTOR = "learning_rate_factor"


def activation_choice(
    hp: keras_tuner.HyperParameters, name: str = "act", space: Activations = None
) -> LayerActivation:
    """Declare the choice of an activation in a function that builds a model, and return it.

    Args:
        hp: the hyperparameters that KerasTuner passes in.
        name: of the `Choice`; parameters are called ``name.trelu.alpha``.
        space: an `ActivationSpace`, or what it is made of. The default activations by default.

    Returns:
        What every Keras layer takes as ``activation=``, as often as you like: a trained activation
        comes as a config, of which each layer makes its own.

    Example:
        >>> def build(hp):
        ...     act = activation_choice(hp)
        ...     hidden = keras.layers.Dense(64, activation=act)
        ...     return keras.Sequential([hidden, keras.layers.Dense(10)])
    """
    return for_layers(_space(space).choose(hp, name))


def _space(space: Activations) -> ActivationSpace:
    if isinstance(space, ActivationSpace):
        return space
    return ActivationSpace(space)


class ActivationHyperModel(keras_tuner.HyperModel):
    """A hypermodel that searches the activation of a model, for any KerasTuner tuner.

    Args:
        model: a compiled Sequential or Functional model, whose hidden activation slots are
            searched; a function ``build(hp)`` that returns one and declares hyperparameters of its
            own; or a function ``build(hp, activation)`` that returns any compiled model, also a
            subclassed one.
        activations: an `ActivationSpace`, or what it is made of. The default activations by
            default.
        choice: the name of the `Choice` hyperparameter; with groups there is one for each,
            ``act.GROUP``.
        rescale_init: as in `with_activations`; the baseline's initializers are rescaled too.

    Where the space has learning rates, each model trains at a multiple of the rate that it is
    compiled with, which the hyperparameter ``learning_rate_factor`` holds.

    Raises:
        ModelError: if the model is not compiled, cannot be rewritten, or has no hidden slot (for a
            group).
        SearchError: on a model that is none, or options that do not go with a function.
    """

    def __init__(
        self,
        model: keras.Model | Callable[..., keras.Model],
        activations: Activations = None,
        *,
        choice: str = "act",
        rescale_init: bool = False,
    ):
        super().__init__()
        self.model = model
        self.space = _space(activations)
        self.choice = choice
        self.rescale_init = rescale_init
        if isinstance(model, keras.Model):
            self._groups = _checked_groups(model, self.space.per)
            self._factors = self._factors_for(own_rate(model))
            if self.searches_rates:
                _check_rate(model)
        else:
            _check_function(model, self.space.per, rescale_init)
            self._groups = _named_groups(self.space.per)
            # each model that it builds may have another rate
            self._factors = self._factors_for(None)

    @property
    def size(self) -> float:
        """How many models the search could build from one of the user's.

        Infinity if a range is searched.
        """
        return self.space.size ** len(self._groups) * len(self._factors)

    def candidate(self, hp: keras_tuner.HyperParameters) -> Candidate | Assignment:
        """Return the candidate that `hp` holds.

        One for all groups, or an `Assignment` where they differ.
        """
        assignment = self._assignment(hp, self._groups)
        return assignment.only or assignment

    @property
    def searches_rates(self) -> bool:
        """Whether models train at different multiples of a learning rate."""
        return len(self._factors) > 1

    def factor(self, hp: keras_tuner.HyperParameters) -> float:
        """Return by what the learning rate is multiplied that a model is compiled with."""
        if len(self._factors) == 1:
            return self._factors[0]
        return float(hp.Choice(FACTOR, list(self._factors), ordered=True, default=1.0))

    def _factors_for(self, own: float | None) -> tuple[float, ...]:
        if self.space.learning_rates is None:
            return (1.0,)
        return self.space.learning_rates.for_model(own)

    def _assignment(
        self, hp: keras_tuner.HyperParameters, chosen_for: tuple[SlotGroup, ...]
    ) -> Assignment:
        if self.space.per == "model":
            (everywhere,) = chosen_for
            return Assignment(((everywhere, self.space.choose(hp, self.choice)),))
        pairs = []
        for group in chosen_for:
            pairs.append((group, self.space.choose(hp, f"{self.choice}.{group.name}")))
        return Assignment(tuple(pairs))

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the compiled, freshly initialized model with the activation and rate that `hp` holds."""
        model = self._at_own_rate(hp)
        factor = self.factor(hp)
        if factor != 1:
            _check_rate(model)
            scale_learning_rate(model.optimizer, factor)
        return model

    def model_of(self, choice: Choice) -> keras.Model:
        """Return the compiled, freshly initialized model of a choice, at the user's own rate.

        Hyperparameters of the user's own have their defaults.
        """
        return built_for(self.model, choice, rescale_init=self.rescale_init)

    def _at_own_rate(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        model = self.model
        chosen_for = self._groups
        if not isinstance(model, keras.Model):
            with first_metric_names():
                if takes_activation(model):
                    return model(hp, for_layers(self.space.choose(hp, self.choice)))
                model = model(hp)
            # the function may return models of different slots
            chosen_for = _checked_groups(model, self.space.per)
        assignment = self._assignment(hp, chosen_for)
        return with_activations(model, assignment, rescale_init=self.rescale_init)


def _check_rate(model: keras.Model) -> None:
    reason = why_no_rates(model)
    if reason:
        raise ModelError(f"The learning rate cannot be searched. Received: {reason}")


def _check_function(build: Callable[..., keras.Model], per: Per, rescale_init: bool) -> None:
    """Check that a function can be searched as it is asked for."""
    if not is_build(build):
        raise SearchError(
            "model must be a Keras model, a function build(hp) or build(hp, activation). "
            f"Received: {build!r}"
        )
    if takes_activation(build):
        if per != "model" or rescale_init:
            raise SearchError(
                "build(hp, activation) has one activation and its own initializers; for groups "
                "write build(hp) that calls activation_choice(hp, name) for each. "
                f"Received: {per=}, {rescale_init=}"
            )
    elif isinstance(per, str) and per != "model":
        raise SearchError(
            "A function build(hp) may return models of different slots: name the groups. "
            f"Received: {per=}"
        )


def _named_groups(per: Per) -> tuple[SlotGroup, ...]:
    """The groups by their names; which slots they have is known once there is a model."""
    if per == "model":
        return (SlotGroup("model", ()),)
    return tuple(SlotGroup(name, ()) for name in per)


def _checked_groups(model: keras.Model, per: Per) -> tuple[SlotGroup, ...]:
    table = slots(model)
    if not table.hidden:
        with_activations(model, "relu")  # raises the error that lists the slots
    if not model.compiled:
        raise ModelError(
            f"The model must be compiled: every candidate trains like it. Received: {model.name!r}"
        )
    return groups(table, per)
