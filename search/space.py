"""What is searched: candidates, and the space of them as KerasTuner hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner

import keras_acts
from keras_acts import layers, lookup
from keras_acts.errors import ActivationError, SearchError
from keras_acts.specs import Parameter, SearchRange

# Keras' own that today's models use most
_BUILTINS = ("gelu", "silu")


def default_activations() -> tuple[str, ...]:
    """Return what a search tries by default: every registered activation that suits a hidden layer, gelu and silu."""
    return (*(name for name in keras_acts.names() if keras_acts.spec(name).hidden), *_BUILTINS)


@dataclass(frozen=True)
class Candidate:
    """An activation to try: a name and its fixed parameters, in canonical form.

    Two candidates that are the same function are equal: ``leaky_relu(alpha=0)`` *is* ``relu``. Make one with
    `Candidate.of`.
    """

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, identifier: Any, **parameters: Any) -> Candidate:
        """Return the candidate for a name (``"trelu(theta=0.5)"``), an activation object or a registered function.

        Raises:
            ActivationError: if there is no such activation, a parameter is invalid, or Keras could not load it again.
        """
        if isinstance(identifier, Candidate):
            return identifier
        if isinstance(identifier, keras_acts.Activation):
            identifier, parameters = identifier.spec.name, identifier.parameters
        if not isinstance(identifier, str):
            return cls(_registered_name(identifier))
        if _registered(identifier) is not None:
            return cls(identifier)
        name, written = lookup.parse(identifier)
        values = {**written, **parameters}
        activation = lookup.make(name, values)
        if isinstance(activation, keras_acts.Activation):
            return cls(*_canonical(name, activation.parameters))
        return cls(name, tuple(sorted(values.items())))

    @property
    def trained(self) -> bool:
        """Whether the model trains its parameters, so that each slot needs a layer of its own."""
        return self.name in keras_acts.names() and not keras_acts.spec(self.name).value

    def activation(self, channels: int | None = None) -> Callable[..., Any]:
        """Return the activation for ``activation=``: a value, a Keras function, or a new layer with trained parameters.

        Args:
            channels: how many channels the slot has: a trained parameter then has one value for each, else one in all.
        """
        registered = _registered(self.name)
        if registered is not None:
            return registered
        if self.trained and channels is not None:
            return layers.make(self.name, **{"num_parameters": channels, **dict(self.parameters)})
        return lookup.make(self.name, dict(self.parameters))

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.parameters)})"


def _registered(name: str) -> Any:
    """The user's own function called ``"package.function"``, or None."""
    return keras.saving.get_registered_object(">".join(name.rsplit(".", 1))) if "." in name else None


def _registered_name(activation: Any) -> str:
    """The name under which Keras finds a user's own function again."""
    activation = keras_acts.get(activation)
    if isinstance(activation, keras.layers.Layer):
        raise ActivationError(f"A layer with weights cannot be shared by candidates: name it. Received: {activation!r}")
    # with a dot for Keras' ">", because KerasTuner would read a registered name as the object itself
    name = ".".join(keras.saving.get_registered_name(activation).rsplit(">", 1))
    if activation in (_registered(name), getattr(keras.activations, name, None)):
        return name
    raise ActivationError(
        "A function of your own must be registered, or a saved model could not be loaded: decorate it with "
        f"@keras.saving.register_keras_serializable(). Received: {activation!r}"
    )


def _canonical(name: str, parameters: dict[str, Any]) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Reduce an activation to the simplest one that is the same function."""
    if name == "trelu" and parameters["theta"] == 0:
        name, parameters = "leaky_relu", {"alpha": parameters["alpha"]}
    if name in ("leaky_relu", "elu") and parameters["alpha"] == 0:
        name, parameters = "relu", {}
    return name, tuple(parameters.items())


@dataclass(frozen=True)
class _Entry:
    """One activation of a space: its fixed parameters, and the ranges of the searched ones."""

    name: str
    fixed: tuple[tuple[str, Any], ...]
    ranges: tuple[tuple[Parameter, SearchRange], ...]

    @property
    def label(self) -> str:
        return str(Candidate(self.name, self.fixed))


class ActivationSpace:
    """The activations to choose from, and the ranges of their parameters.

    Args:
        activations: names (``"relu"``, Keras' built-ins too), activation objects, or registered functions of your own.
            Parameters that are written (``"trelu(theta=0.5)"``) are fixed, the others are searched in the range of
            their spec. `default_activations()` by default.
        ranges: other ranges, ``{"leaky_relu.alpha": (0.01, 0.3)}``, or ``(0.01, 0.3, "log")``.

    Raises:
        ActivationError: on an unknown activation or an invalid parameter.
        SearchError: on an empty space, an activation given twice, or a range that is none.

    Example:
        >>> space = ActivationSpace(["relu", "mish", "trelu(theta=0.5)"])
        >>> space.labels
        ('relu', 'mish', 'trelu(theta=0.5)')
    """

    def __init__(self, activations: Iterable[Any] | None = None, *, ranges: Mapping[str, Any] | None = None):
        if isinstance(activations, str):
            raise SearchError(f"activations must be a list of activations. Received: activations={activations!r}")
        given = tuple(default_activations() if activations is None else activations)
        if not given:
            raise SearchError(f"A space needs at least one activation. Received: activations={activations!r}")
        overrides = dict(ranges or {})
        self._entries: dict[str, _Entry] = {}
        for activation in given:
            entry = _entry(activation, overrides)
            if entry.label in self._entries:
                raise SearchError(f"Each activation may be given once. Received: {entry.label!r} twice")
            self._entries[entry.label] = entry
        if overrides:
            searched = [f"{e.name}.{p.name}" for e in self._entries.values() for p, _ in e.ranges]
            raise SearchError(f"ranges must name searched parameters {searched}. Received: {sorted(overrides)}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the `Choice`: an activation each, with its fixed parameters."""
        return tuple(self._entries)

    def with_baseline(self, baseline: str = "relu") -> ActivationSpace:
        """Return the space with `baseline` in it, first: every search must say whether it beats ReLU."""
        if any(Candidate(e.name, e.fixed) == Candidate.of(baseline) and not e.ranges for e in self._entries.values()):
            first = {label: entry for label, entry in self._entries.items() if label == baseline}
        else:
            first = {baseline: _entry(baseline, {})}
        space = ActivationSpace.__new__(ActivationSpace)
        space._entries = {**first, **self._entries}
        return space

    def choose(self, hp: keras_tuner.HyperParameters, name: str = "act") -> Candidate:
        """Return the candidate that `hp` holds, declaring its hyperparameters.

        They are a `Choice` called `name` and, active only under their activation, a `Float` ``name.trelu.alpha`` each.
        """
        label = hp.Choice(name, list(self.labels))
        chosen: Candidate | None = None
        for entry in self._entries.values():
            values = dict(entry.fixed)
            with hp.conditional_scope(name, [entry.label]):
                for parameter, searched in entry.ranges:
                    values[parameter.name] = hp.Float(
                        f"{name}.{entry.name}.{parameter.name}",
                        searched.low,
                        searched.high,
                        sampling="log" if searched.log else "linear",
                        default=_start(parameter, searched),
                    )
            if entry.label == label:
                chosen = Candidate.of(entry.name, **values)
        if chosen is None:
            raise SearchError(f"The hyperparameter {name!r} must be one of {self.labels}. Received: {label!r}")
        return chosen


def _entry(activation: Any, overrides: dict[str, Any]) -> _Entry:
    """Make the entry; ranges that it uses are taken out of `overrides`."""
    if not isinstance(activation, str) or activation not in keras_acts.names():
        candidate = Candidate.of(activation)
        name, written = candidate.name, dict(candidate.parameters)
        if isinstance(activation, str) and name in keras_acts.names():
            name, written = lookup.parse(activation)
    else:
        name, written = activation, {}
    if name not in keras_acts.names():
        return _Entry(name, (), ())
    spec = keras_acts.spec(name)
    if not spec.elementwise:
        raise SearchError(
            f"{name} mixes the elements of a sample: it is no hidden activation. Received: {activation!r}"
        )
    checked = spec.check(written)
    ranges = []
    for parameter in spec.parameters:
        searched = _range(f"{name}.{parameter.name}", parameter, overrides)
        if searched is not None and parameter.name not in written:
            ranges.append((parameter, searched))
    return _Entry(name, tuple((key, checked[key]) for key in checked if key in written), tuple(ranges))


def _start(parameter: Parameter, searched: SearchRange) -> float:
    """The value that a search tries first."""
    start = parameter.default if searched.start is None else searched.start
    return float(min(max(start, searched.low), searched.high))


def _range(key: str, parameter: Parameter, overrides: dict[str, Any]) -> SearchRange | None:
    if key not in overrides or parameter.search is None:
        return parameter.search
    given = overrides.pop(key)
    rule = f'{key}: a range is (low, high) or (low, high, "log"), low < high, 0 < low if "log". Received: {given!r}'
    if not isinstance(given, tuple | list) or len(given) not in (2, 3) or given[2:] not in ((), ("log",), [], ["log"]):
        raise SearchError(rule)
    log = len(given) == 3
    low, high = parameter.check(given[0], key), parameter.check(given[1], key)
    if not low < high or (log and low <= 0):
        raise SearchError(rule)
    return SearchRange(low, high, log)
