"""Keras layers whose alpha and theta are trained."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from keras_acts.errors import ActivationError
from keras_acts.functions import surrogate_theta
from keras_acts.specs import ELU as ELU_SPEC
from keras_acts.specs import LEAKY_RELU, PRELU, TRELU, ActivationSpec

SHAPES = ("channel", "feature", "scalar")


class TrainedActivation(keras.layers.Layer):
    """An activation with trained parameters.

    For each trained parameter of the activation (here `alpha`) it takes:

    Args:
        alpha: the start value.
        alpha_initializer: a Keras initializer instead of the start value.
        alpha_regularizer: a Keras regularizer.
        alpha_constraint: a Keras constraint.
        trained: the names of the parameters that are trained; the others keep their start value. All by default.
        per: ``"channel"``, one parameter for each entry of `axis` (default); ``"feature"``, one for each input of a
            sample; ``"scalar"``, one for the layer.
        axis: the axis of the channels, -1 (channels last) by default.
        num_parameters: how many channels there are. With it, as with ``per="scalar"``, the variable exists from the
            start, so that the layer can be the ``activation=`` of another layer; ``num_parameters=1`` means scalar.

    Shapes: the output has the input's shape and dtype. The parameters are float32 under any dtype policy but float64.

    Raises:
        ActivationError: on an unknown or invalid argument; the message names the rule and the value.
    """

    spec: ClassVar[ActivationSpec]

    def __init__(
        self,
        *,
        trained: tuple[str, ...] | list[str] | None = None,
        per: str = "channel",
        axis: int = -1,
        num_parameters: int | None = None,
        **kwargs: Any,
    ):
        owner, possible = f"layers.{self.spec.class_name}", tuple(p.name for p in self.spec.trained)
        self._given = self.spec.check({p: kwargs.pop(p) for p in possible if p in kwargs})
        options = {
            name: kwargs.pop(name, None)
            for p in possible
            for name in (f"{p}_initializer", f"{p}_regularizer", f"{p}_constraint")
        }
        super().__init__(**kwargs)
        self.supports_masking = True
        self.trained = possible if trained is None else tuple(trained)
        if not self.trained or not set(self.trained) <= set(possible):
            raise ActivationError(f"{owner}: trained must name some of {possible}. Received: trained={trained!r}")
        if per not in SHAPES:
            raise ActivationError(f"{owner}: per must be one of {SHAPES}. Received: per={per!r}")
        if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
            raise ActivationError(f"{owner}: axis must be an integer other than the batch axis 0. Received: axis={axis!r}")
        if num_parameters is not None and (
            isinstance(num_parameters, bool) or not isinstance(num_parameters, int) or num_parameters < 1
        ):
            raise ActivationError(
                f"{owner}: num_parameters must be an integer >= 1. Received: num_parameters={num_parameters!r}"
            )
        if num_parameters is not None and per == "feature":
            raise ActivationError(f"{owner}: num_parameters counts channels. Received: per='feature', {num_parameters=}")
        self.per, self.axis, self.num_parameters = per, axis, num_parameters
        self._options = {
            name: getattr(keras, f"{name.rsplit('_', 1)[1]}s").get(value) for name, value in options.items()
        }
        if per == "scalar" or num_parameters == 1:
            self._add_parameters(())
        elif num_parameters is not None:
            self._add_parameters((num_parameters,))

    def _add_parameters(self, shape: tuple[int, ...]) -> None:
        # theta is compared with the input, so half precision would move the threshold
        dtype = "float64" if self.variable_dtype == "float64" else "float32"
        for name in self.trained:
            start = self._options[f"{name}_initializer"] or keras.initializers.Constant(self._given[name])
            variable = self.add_weight(
                name=name,
                shape=shape,
                dtype=dtype,
                autocast=False,
                initializer=start,
                regularizer=self._options[f"{name}_regularizer"],
                constraint=self._options[f"{name}_constraint"],
            )
            setattr(self, name, variable)
        self.built = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the parameters that did not exist from the start."""
        if self.built:
            return
        shape = tuple(input_shape[1:]) if self.per == "feature" else (input_shape[self._channel_axis(len(input_shape))],)
        if None in shape:
            raise ActivationError(
                f"layers.{self.spec.class_name}: the axes that have a parameter each must have a known size. "
                f"Received: input_shape={tuple(input_shape)}, per={self.per!r}, axis={self.axis}"
            )
        self._add_parameters(shape)

    def _channel_axis(self, rank: int) -> int:
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 0 < axis < rank:
            raise ActivationError(
                f"layers.{self.spec.class_name}: axis must be an axis of the input other than the batch axis 0. "
                f"Received: axis={self.axis} for an input of rank {rank}"
            )
        return axis

    def call(self, x: Any) -> Any:
        """Return the activation of `x` with the parameters as they now are."""
        return self.spec.function(x, **self._values(x))

    def _values(self, x: Any) -> dict[str, Any]:
        """The parameters, shaped to broadcast against `x`."""
        values: dict[str, Any] = dict(self._given)
        rank = len(x.shape)
        for name in self.trained:
            variable = getattr(self, name)
            value = ops.convert_to_tensor(variable)
            if self.per == "channel" and len(variable.shape) == 1:
                axis = self._channel_axis(rank)
                value = ops.reshape(value, [-1 if i == axis else 1 for i in range(rank)])
            values[name] = value
        return values

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        options = {
            name: getattr(keras, f"{name.rsplit('_', 1)[1]}s").serialize(value) if value is not None else None
            for name, value in self._options.items()
        }
        start = {p.name: self._given[p.name] for p in self.spec.trained}
        shape = {"per": self.per, "axis": self.axis, "num_parameters": self.num_parameters}
        return {**super().get_config(), **start, **options, **shape, "trained": list(self.trained)}


_CLASSES: dict[str, type[TrainedActivation]] = {}


def make_class(spec: ActivationSpec, base: type[TrainedActivation] = TrainedActivation) -> type[TrainedActivation]:
    """Make the layer class of a spec and register it with Keras as ``keras_acts>layers.CLASS_NAME``."""
    trained = " and ".join(f"{p.name} (start value {p.default!r})" for p in spec.trained)
    doc = f"{spec.class_name} with trained {trained}: ``{spec.formula}``.\n{(base.__doc__ or '').split(chr(10), 1)[1]}"
    namespace = {"spec": spec, "__doc__": doc, "__module__": __name__, "__qualname__": spec.class_name}
    cls = type(spec.class_name, (base,), namespace)
    keras.saving.register_keras_serializable(package="keras_acts", name=f"layers.{spec.class_name}")(cls)
    _CLASSES[spec.name] = cls
    return cls


def make(name: str, **arguments: Any) -> TrainedActivation:
    """Return a new layer that trains the parameters of the registered activation `name`."""
    return _CLASSES[name](**arguments)


LeakyReLU = make_class(LEAKY_RELU)
PReLU = make_class(PRELU)
ELU = make_class(ELU_SPEC)


class _TrainedTReLU(TrainedActivation):
    """Threshold ReLU with trained parameters: theta has no gradient of its own, so it gets a surrogate."""

    def call(self, x: Any) -> Any:
        values = self._values(x)
        y = self.spec.function(x, **values)
        return surrogate_theta(y, x, **values) if "theta" in self.trained else y


_TrainedTReLU.__doc__ = TrainedActivation.__doc__
TReLU = make_class(TRELU, _TrainedTReLU)
