"""A Keras model, or a function that builds one, as a KerasTuner hypermodel whose activation is searched."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner

from keras_acts.errors import ModelError, SearchError

from ..rewrite.clone import with_activations
from ..rewrite.compiling import first_metric_names
from ..rewrite.groups import groups
from ..rewrite.slots import slots
from ..space.assignment import Assignment, SlotGroup
from ..space.candidate import Candidate
from ..space.space import ActivationSpace


def activation_choice(hp: keras_tuner.HyperParameters, name: str = "act", space: Any = None) -> Any:
    """Declare the choice of an activation inside a model-building function, and return it for ``activation=``.

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
        ...     return keras.Sequential([keras.layers.Dense(64, activation=act), keras.layers.Dense(10)])
    """
    return for_layers(_space(space).choose(hp, name))


def for_layers(candidate: Candidate) -> Any:
    """The candidate in a form that may be given to several layers."""
    activation = candidate.activation()
    if not candidate.trained:
        return activation
    config = keras.saving.serialize_keras_object(activation)
    # each layer makes its own from the config, under a name of its own
    config["config"] = {key: value for key, value in config["config"].items() if key != "name"}
    return config


def _space(space: Any) -> ActivationSpace:
    return space if isinstance(space, ActivationSpace) else ActivationSpace(space)


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

    Raises:
        ModelError: if the model is not compiled, cannot be rewritten, or has no hidden slot (for a
            group).
        SearchError: on a model that is none, or options that do not go with a function.
    """

    def __init__(
        self,
        model: keras.Model | Callable[..., keras.Model],
        activations: Any = None,
        *,
        choice: str = "act",
        rescale_init: bool = False,
    ):
        super().__init__()
        self.model, self.space, self.choice, self.rescale_init = (
            model,
            _space(activations),
            choice,
            rescale_init,
        )
        per = self.space.per
        if isinstance(model, keras.Model):
            self._groups = _checked_groups(model, per)
        elif not callable(model) or len(_required(model)) not in (1, 2):
            raise SearchError(
                f"model must be a Keras model, a function build(hp) or build(hp, activation). Received: {model!r}"
            )
        elif takes_activation(model) and (per != "model" or rescale_init):
            raise SearchError(
                "build(hp, activation) has one activation and its own initializers; for groups write build(hp) that "
                f"calls activation_choice(hp, name) for each. Received: {per=}, {rescale_init=}"
            )
        elif isinstance(per, str) and per != "model":
            raise SearchError(
                f"A function build(hp) may return models of different slots: name the groups. Received: {per=}"
            )
        else:
            self._groups = tuple(
                SlotGroup(name, ()) for name in (["model"] if per == "model" else per)
            )

    @property
    def size(self) -> float:
        """How many models the search could build from one of the user's.

        Infinity if a range is searched.
        """
        return self.space.size ** len(self._groups)

    def candidate(self, hp: keras_tuner.HyperParameters) -> Candidate | Assignment:
        """Return the candidate that `hp` holds.

        One for all groups, or an `Assignment` where they differ.
        """
        assignment = self._assignment(hp, self._groups)
        return assignment.only or assignment

    def _assignment(
        self, hp: keras_tuner.HyperParameters, chosen_for: tuple[SlotGroup, ...]
    ) -> Assignment:
        if self.space.per == "model":
            return Assignment(((chosen_for[0], self.space.choose(hp, self.choice)),))
        return Assignment(
            tuple(
                (group, self.space.choose(hp, f"{self.choice}.{group.name}"))
                for group in chosen_for
            )
        )

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the compiled, freshly initialized model with the activation that `hp` holds."""
        chosen_for, model = self._groups, self.model
        if not isinstance(model, keras.Model):
            with first_metric_names():
                if takes_activation(model):
                    return model(hp, for_layers(self.space.choose(hp, self.choice)))
                model = model(hp)
            chosen_for = _checked_groups(model, self.space.per)
        return with_activations(
            model, self._assignment(hp, chosen_for), rescale_init=self.rescale_init
        )


def _checked_groups(model: keras.Model, per: Any) -> tuple[SlotGroup, ...]:
    table = slots(model)
    if not table.hidden:
        with_activations(model, "relu")  # raises the error that lists the slots
    if not model.compiled:
        raise ModelError(
            f"The model must be compiled: every candidate trains like it. Received: {model.name!r}"
        )
    return groups(table, per)


def takes_activation(build: Callable[..., Any]) -> bool:
    """Whether a function is ``build(hp, activation)`` rather than ``build(hp)``."""
    return len(_required(build)) == 2


def _required(build: Callable[..., Any]) -> list[str]:
    """The names of the positional arguments that a function cannot do without."""
    return [
        p.name
        for p in inspect.signature(build).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
