"""Serializable activation objects: a spec with its parameters fixed.

They are values, made for ``activation=``.
"""

from __future__ import annotations

from html import escape
from typing import Any, ClassVar

import keras

from keras_acts.specs import ELU as ELU_SPEC
from keras_acts.specs import (
    LEAKY_RELU,
    MISH,
    RELU,
    SIGMOID,
    SOFTMAX,
    TANH,
    TRELU,
    ActivationSpec,
)

Tensor = Any


class Activation:
    """An activation with fixed parameters.

    Callable, immutable, hashable, picklable, registered with Keras.

    The constructor's arguments are the spec's parameters, keyword only; they are the config too.
    Two objects are equal if they are the same activation with the same parameters.

    Raises:
        ActivationError: on an unknown or invalid parameter; the message names the rule and the
            value.
    """

    spec: ClassVar[ActivationSpec]
    parameters: dict[str, Any]

    def __init__(self, /, **parameters: Any):
        object.__setattr__(self, "parameters", self.spec.check(parameters))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the activation of the tensor `x`: same shape, same dtype."""
        return self.spec.function(x, **self.parameters)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["parameters"][name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"{type(self).__name__} is a value: make a new one instead of setting {name}"
        )

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):  # a subclass may compute something else
            return NotImplemented
        assert isinstance(other, Activation)
        return self.spec.name == other.spec.name and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((self.spec.name, *self.parameters.items()))

    def __repr__(self) -> str:
        told: list[str] = []
        for parameter in self.spec.parameters:
            value = self.parameters[parameter.name]
            # the mode of a threshold ReLU, say, is told only where it is another
            if parameter.search or value != parameter.default:
                told.append(f"{parameter.name}={value!r}")
        return f"{type(self).__name__}({', '.join(told)})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        formula = escape(self.spec.formula)
        return f"<div><strong>{escape(repr(self))}</strong>: <code>{formula}</code></div>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.spec.name, self.parameters)

    def __copy__(self) -> Activation:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Activation:
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return dict(self.parameters)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Activation:
        """Make the object from its config, with the constructor's checks."""
        return cls(**config)


_CLASSES: dict[str, type[Activation]] = {}


def make_class(spec: ActivationSpec) -> type[Activation]:
    """Make the class of a spec's objects; Keras knows it as ``keras_acts>CLASS_NAME``."""
    namespace = {
        "spec": spec,
        "__doc__": _doc(spec),
        "__module__": __name__,
        "__qualname__": spec.class_name,
    }
    cls = type(spec.class_name, (Activation,), namespace)
    keras.saving.register_keras_serializable(package="keras_acts", name=spec.class_name)(cls)
    _CLASSES[spec.name] = cls
    return cls


def _doc(spec: ActivationSpec) -> str:
    lines = [f"{spec.class_name}: ``{spec.formula}``."]
    if spec.parameters:
        lines += ["", "Args:"]
    for parameter in spec.parameters:
        lines.append(f"    {parameter.name}: {parameter.valid}; {parameter.default!r} by default.")
    if spec.paper:
        lines += ["", f"Source: {spec.paper}."]
    return "\n".join([*lines, ""])


def make(name: str, parameters: dict[str, Any]) -> Activation:
    """Return the object of the registered activation `name`."""
    return _CLASSES[name](**parameters)


def forget(name: str) -> None:
    """Undo `make_class`."""
    del _CLASSES[name]


def _restore(name: str, parameters: dict[str, Any]) -> Activation:
    """Unpickle; an activation of a third party must be registered first."""
    if name not in _CLASSES:
        raise ModuleNotFoundError(
            f"Unpickling needs the activation {name!r}: import the module that registers it"
        )
    return make(name, parameters)


Sigmoid = make_class(SIGMOID)
Tanh = make_class(TANH)
ReLU = make_class(RELU)
LeakyReLU = make_class(LEAKY_RELU)
ELU = make_class(ELU_SPEC)
TReLU = make_class(TRELU)
Softmax = make_class(SOFTMAX)
Mish = make_class(MISH)
