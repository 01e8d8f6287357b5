"""A model with a choice of activations: from a user's model, or from a function that builds one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import keras_tuner

from keras_acts.errors import SearchError

from ..space.assignment import Choice
from ..space.candidate import Candidate
from .clone import with_activations
from .compiling import first_metric_names

# an activation as `activation=` of a Keras layer takes it
LayerActivation: TypeAlias = Callable[..., Any] | dict[str, Any]
# a compiled model, a function ``build(hp)`` or ``build(hp, activation)``
Model: TypeAlias = keras.Model | Callable[..., keras.Model]


def built_for(model: Model, choice: Choice, *, rescale_init: bool = False) -> keras.Model:
    """Return the compiled, freshly initialized model of a choice, at the user's own learning rate.

    Hyperparameters of a function's own have their defaults.

    Args:
        model: compiled, or a function that builds one.
        choice: of activations; one for all slots where a function takes it.
        rescale_init: as of `with_activations`.
    """
    if not isinstance(model, keras.Model):
        hp = keras_tuner.HyperParameters()
        with first_metric_names():
            if takes_activation(model):
                assert isinstance(choice, Candidate)  # it has one activation
                return model(hp, for_layers(choice))
            model = model(hp)
    return with_activations(model, choice, rescale_init=rescale_init)


def for_layers(candidate: Candidate) -> LayerActivation:
    """The candidate in a form that may be given to several layers."""
    activation = candidate.activation()
    if not candidate.trained:
        return activation
    config: dict[str, Any] = keras.saving.serialize_keras_object(activation)
    # each layer makes its own from the config, under a name of its own
    config["config"] = {key: value for key, value in config["config"].items() if key != "name"}
    return config


def build_of(model: Any) -> Any:
    """Return the function of a hypermodel that builds models; anything else as it is.

    Raises:
        SearchError: if the hypermodel has a `fit` of its own, which nothing else may replace.
    """
    if not isinstance(model, keras_tuner.HyperModel):
        return model
    if type(model).fit is not keras_tuner.HyperModel.fit:
        raise SearchError(
            "A hypermodel with a fit of its own trains with ActivationTuner(hypermodel, …) only. "
            f"Received: {type(model).__name__}"
        )
    return model.build


def is_build(function: Any) -> bool:
    """Whether something is ``build(hp)`` or ``build(hp, activation)``."""
    return callable(function) and len(_required(function)) in (1, 2)


def takes_activation(build: Callable[..., Any]) -> bool:
    """Whether a function is ``build(hp, activation)`` rather than ``build(hp)``."""
    return len(_required(build)) == 2


def _required(build: Callable[..., Any]) -> list[str]:
    """The names of the positional arguments that a function cannot do without."""
    names = []
    for parameter in inspect.signature(build).parameters.values():
        positional = parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        if positional and parameter.default is inspect.Parameter.empty:
            names.append(parameter.name)
    return names
