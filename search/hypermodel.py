"""A Keras model, or a function that builds one, as a KerasTuner hypermodel whose activation is searched."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner

from keras_acts.errors import ModelError, SearchError

from .rewrite import slots, with_activations
from .space import ActivationSpace, Candidate


def activation_choice(hp: keras_tuner.HyperParameters, name: str = "act", space: Any = None) -> Any:
    """Declare the choice of an activation inside a model-building function, and return it for ``activation=``.

    Args:
        hp: the hyperparameters that KerasTuner passes in.
        name: of the `Choice`; parameters are called ``name.trelu.alpha``.
        space: an `ActivationSpace`, or what it is made of. The default activations by default.

    Returns:
        What every Keras layer takes as ``activation=``, as often as you like: a trained activation comes as a config,
        of which each layer makes its own.

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
        model: a compiled Sequential or Functional model, whose hidden activation slots are searched; or a function
            ``build(hp, activation)`` that returns a compiled model and may declare hyperparameters of its own.
        activations: an `ActivationSpace`, or what it is made of. The default activations by default.
        choice: the name of the `Choice` hyperparameter.

    Raises:
        ModelError: if the model is not compiled, cannot be rewritten, or has no hidden activation slot.
    """

    def __init__(
        self, model: keras.Model | Callable[..., keras.Model], activations: Any = None, *, choice: str = "act"
    ):
        super().__init__()
        self.model, self.space, self.choice = model, _space(activations), choice
        if isinstance(model, keras.Model):
            if not any(slot.role == "hidden" for slot in slots(model)):
                with_activations(model, "relu")  # raises the error that lists the slots
            if not model.compiled:
                raise ModelError(
                    f"The model must be compiled: every candidate trains like it. Received: {model.name!r}"
                )
        elif not callable(model) or not takes_activation(model):
            raise SearchError(
                "model must be a Keras model or a function build(hp, activation); a function build(hp) that calls "
                f"activation_choice(hp) goes to the tuner as it is. Received: {model!r}"
            )

    def candidate(self, hp: keras_tuner.HyperParameters) -> Candidate:
        """Return the candidate that `hp` holds."""
        return self.space.choose(hp, self.choice)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the compiled, freshly initialized model with the activation that `hp` holds."""
        candidate = self.candidate(hp)
        if not isinstance(self.model, keras.Model):
            return self.model(hp, for_layers(candidate))
        model = with_activations(self.model, candidate)
        model.compile_from_config(self.model.get_compile_config())
        return model


def takes_activation(build: Callable[..., Any]) -> bool:
    """Whether a function is ``build(hp, activation)`` rather than ``build(hp)``."""
    required = [
        p
        for p in inspect.signature(build).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) == 2
