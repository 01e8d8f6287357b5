"""Keras layers whose alpha and theta are trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, ClassVar

import keras
from keras import ops

from keras_acts import sharing
from keras_acts.constraints import Constraint, Integer, Options, Real, is_anonymous
from keras_acts.errors import ActivationError, shown
from keras_acts.functions import KERNELS, surrogate_theta
from keras_acts.specs import ELU as ELU_SPEC
from keras_acts.specs import LEAKY_RELU, PRELU, TRELU, ActivationSpec, Parameter

SHAPES = ("channel", "feature", "scalar")
DATA_FORMATS = ("channels_last", "channels_first")

Tensor = Any
Shape = tuple[int | None, ...]


class TrainedActivation(keras.layers.Layer):
    """An activation with trained parameters.

    For each parameter of the activation it takes its value, and for each that can be trained (here
    `alpha`):

    Args:
        alpha: the start value.
        alpha_initializer: a Keras initializer instead of the start value.
        alpha_regularizer: a Keras regularizer.
        alpha_constraint: a Keras constraint.
        trained: the names of the parameters that are trained; the others keep their start value.
            All by default.
        per: ``"channel"``, one parameter for each entry of `axis` (default); ``"feature"``, one for
            each input of a sample; ``"scalar"``, one for the layer.
        axis: the axis of the channels; the last by default.
        data_format: ``"channels_last"`` or ``"channels_first"``, instead of `axis`.
        num_parameters: how many channels there are. With it, as with ``per="scalar"``, the variable
            exists from the start, so that the layer can be the ``activation=`` of another layer;
            ``num_parameters=1`` means scalar.

    Shapes: the output has the input's shape and dtype. The parameters are float32 under any dtype
    policy but float64.

    Raises:
        ActivationError: on an unknown or invalid argument; the message names the rule and the
            value.
    """

    spec: ClassVar[ActivationSpec]

    def __init__(
        self,
        *,
        trained: tuple[str, ...] | list[str] | None = None,
        per: str = "channel",
        axis: int | None = None,
        data_format: str | None = None,
        num_parameters: int | None = None,
        **kwargs: Any,
    ):
        if "shared_axes" in kwargs:
            raise ActivationError(
                f"{self._owner}: what shares a parameter is told by per: 'channel' (all but the "
                "channels, as Keras' "
                "shared_axes=[1, 2] of images), 'feature' (nothing) or 'scalar' (all). "
                f"Received: shared_axes={shown(kwargs['shared_axes'])}"
            )
        self._given = self.spec.check(_taken(kwargs, self._parameter_names()))
        possible = tuple(parameter.name for parameter in self.spec.trained)
        options = {name: kwargs.pop(name, None) for name in _option_names(possible)}
        super().__init__(**kwargs)
        self.supports_masking = True
        self.trained = self._checked_trained(trained, possible)
        self.per = self._check("per", per, Options(SHAPES))
        self.axis = self._check_given("axis", axis, Integer())
        self.data_format = self._check_given("data_format", data_format, Options(DATA_FORMATS))
        if self.axis == 0:
            raise ActivationError(
                f"{self._owner}: axis must not be the batch axis 0. Received: axis=0"
            )
        if axis is not None and data_format is not None:
            raise ActivationError(
                f"{self._owner}: give axis or data_format. Received: {axis=}, {data_format=}"
            )
        self.num_parameters = self._check_given("num_parameters", num_parameters, Integer(low=1))
        if num_parameters is not None and per == "feature":
            raise ActivationError(
                f"{self._owner}: num_parameters counts channels. Received: {per=}, "
                f"{num_parameters=}"
            )
        self._options = {name: self._option(name, value) for name, value in options.items()}
        if per == "scalar" or num_parameters == 1:
            self._add_parameters(())
        elif num_parameters is not None:
            self._add_parameters((num_parameters,))

    @property
    def _owner(self) -> str:
        return f"layers.{self.spec.class_name}"

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [parameter.name for parameter in cls.spec.parameters]

    def _check(self, name: str, value: Any, valid: Constraint) -> Any:
        return Parameter(name, None, valid).check(value, self._owner)

    def _check_given(self, name: str, value: Any, valid: Constraint) -> Any:
        return None if value is None else self._check(name, value, valid)

    def _checked_trained(self, trained: Any, possible: tuple[str, ...]) -> tuple[str, ...]:
        """The names of the parameters that are trained: all, unless some are named."""
        if trained is None:
            return possible
        # a word would be taken for its letters
        names = tuple(trained) if isinstance(trained, list | tuple) else ()
        known = [isinstance(name, str) and name in possible for name in names]
        if not names or not all(known):
            raise ActivationError(
                f"{self._owner}: trained must name some of {possible}. Received: "
                f"trained={shown(trained)}"
            )
        return names

    def _option(self, name: str, value: Any) -> Any:
        kind = _kind_of(name)
        if is_anonymous(value):
            raise ActivationError(
                f"{self._owner}: {name} must be a {kind} that can be saved. Received: "
                f"{name}={shown(value)}"
            )
        try:
            return _keras_module(kind).get(value)
        except (TypeError, ValueError) as error:
            raise ActivationError(
                f"{self._owner}: {name} must be a Keras {kind}. Received: {name}={shown(value)}"
            ) from error

    def _add_parameters(self, shape: tuple[int, ...]) -> None:
        # theta is compared with the input, so half precision would move the threshold
        dtype = "float64" if self.variable_dtype == "float64" else "float32"
        for name in self.trained:
            initializer = self._options[f"{name}_initializer"]
            if initializer is None:
                initializer = keras.initializers.Constant(self._given[name])
            variable = self.add_weight(
                name=name,
                shape=shape,
                dtype=dtype,
                autocast=False,
                initializer=initializer,
                regularizer=self._options[f"{name}_regularizer"],
                constraint=self._options[f"{name}_constraint"],
            )
            setattr(self, name, variable)
        if shape:
            self.input_spec = self._spec_of_inputs(shape)
        self.built = True

    def _spec_of_inputs(self, shape: tuple[int, ...]) -> keras.InputSpec:
        """What fits parameters of a shape: that many channels, or features."""
        axis = self._channel_axis()
        # an axis of 2 needs three, one of -2 two
        least = axis + 1 if axis > 0 else 1 - axis
        if self.per == "feature":
            return keras.InputSpec(min_ndim=least, axes=dict(enumerate(shape, 1)))
        return keras.InputSpec(min_ndim=least, axes={axis: shape[0]})

    def build(self, input_shape: Shape) -> None:
        """Make the parameters that did not exist from the start."""
        if self.built:
            return
        owner = sharing.activation_owner(self)
        if owner is not None:
            raise ActivationError(
                f"{self._owner} as activation= needs per='scalar' or num_parameters, so that its "
                "weights exist before "
                "the first call (Keras would miss them in set_weights and load_weights); or add it "
                "to the model as a "
                f"layer of its own. Received: per={self.per!r}, num_parameters=None in "
                f"{owner.name!r}"
            )
        rank = len(input_shape)
        if self._channel_axis() not in (*range(1, rank), *range(1 - rank, 0)):
            raise ActivationError(
                f"{self._owner}: axis must be an axis of the input other than the batch axis 0. "
                f"Received: axis={self._channel_axis()} for an input of rank {rank}"
            )
        sizes = input_shape[1:]
        if self.per != "feature":
            sizes = (input_shape[self._channel_axis()],)
        shape = tuple(size for size in sizes if size is not None)
        if len(shape) < len(sizes):
            raise ActivationError(
                f"{self._owner}: the axes that have a parameter each must have a known size. "
                f"Received: input_shape={tuple(input_shape)}, per={self.per!r}, "
                f"axis={self._channel_axis()}"
            )
        self._add_parameters(shape)

    def _channel_axis(self) -> int:
        if self.axis is not None:
            return self.axis
        return 1 if self.data_format == "channels_first" else -1

    def call(self, x: Tensor) -> Tensor:
        """Return the activation of `x` with the parameters as they now are."""
        return self.spec.function(x, **self._values(x))

    def _values(self, x: Tensor) -> dict[str, Tensor]:
        """The parameters, shaped to broadcast against `x`."""
        values: dict[str, Tensor] = dict(self._given)
        for name in self.trained:
            value = ops.convert_to_tensor(getattr(self, name))
            if self.per == "channel" and len(value.shape) == 1:
                value = ops.reshape(value, self._along_channels(len(x.shape)))
            values[name] = value
        return values

    def _along_channels(self, rank: int) -> list[int]:
        """The shape of one value a channel beside an input of so many axes."""
        shape = [1] * rank
        shape[self._channel_axis() % rank] = -1
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            **self._given,
            **{name: _serialized(name, value) for name, value in self._options.items()},
            "per": self.per,
            "axis": self.axis,
            "data_format": self.data_format,
            "num_parameters": self.num_parameters,
            "trained": list(self.trained),
            **sharing.identity_for_file(self),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TrainedActivation:
        """Make the layer from its config, with the constructor's checks.

        Within one file, a shared layer once.
        """
        identity = config.get("shared_object_id")
        layer = sharing.shared_layer(identity)
        if layer is None:
            arguments = dict(config)
            arguments.pop("shared_object_id", None)
            # not super().from_config: it hides which rule was broken in a TypeError
            layer = cls(**arguments)
            sharing.share(layer, identity)
        return layer


def _taken(arguments: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Take those of some names out of a dict."""
    return {name: arguments.pop(name) for name in names if name in arguments}


def _option_names(parameters: Iterable[str]) -> Iterator[str]:
    for parameter in parameters:
        yield f"{parameter}_initializer"
        yield f"{parameter}_regularizer"
        yield f"{parameter}_constraint"


def _kind_of(option: str) -> str:
    """``alpha_initializer`` is an ``initializer``."""
    return option.rpartition("_")[2]


def _keras_module(kind: str) -> ModuleType:
    return getattr(keras, f"{kind}s")


def _serialized(option: str, value: Any) -> Any:
    return None if value is None else _keras_module(_kind_of(option)).serialize(value)


_CLASSES: dict[str, type[TrainedActivation]] = {}


def make_class(
    spec: ActivationSpec, base: type[TrainedActivation] = TrainedActivation
) -> type[TrainedActivation]:
    """Make the layer class of a spec; Keras knows it as ``keras_acts>layers.CLASS_NAME``."""
    trained = " and ".join(f"{p.name} (start value {p.default!r})" for p in spec.trained)
    # the first line is the class's own
    _, _, rest_of_doc = (base.__doc__ or "").partition("\n")
    doc = f"{spec.class_name} with trained {trained}: ``{spec.formula}``.\n{rest_of_doc}"
    namespace = {
        "spec": spec,
        "__doc__": doc,
        "__module__": __name__,
        "__qualname__": spec.class_name,
    }
    cls = type(spec.class_name, (base,), namespace)
    keras.saving.register_keras_serializable(
        package="keras_acts", name=f"layers.{spec.class_name}"
    )(cls)
    _CLASSES[spec.name] = cls
    return cls


def make(name: str, /, **arguments: Any) -> TrainedActivation:
    """Return a new layer that trains the parameters of the registered activation `name`."""
    if name not in _CLASSES:
        raise ActivationError(
            f"No parameters to train. Expected: one of {tuple(_CLASSES)}. Received: {name!r}"
        )
    return _CLASSES[name](**arguments)


def forget(name: str) -> None:
    """Undo `make_class`."""
    _CLASSES.pop(name, None)


LeakyReLU = make_class(LEAKY_RELU)
PReLU = make_class(PRELU)
ELU = make_class(ELU_SPEC)


class _TrainedTReLU(TrainedActivation):
    """Threshold ReLU with trained parameters.

    Where theta is trained, its gradient has the jump's share too, estimated as
    `functions.surrogate_theta` says:

    Args:
        bandwidth: the width of the estimate around theta, > 0, in units of the input; 0.01 to 1 is
            usual.
        kernel: its shape: ``"rectangle"``, ``"triangle"`` or ``"gaussian"``.
    """

    def __init__(self, *, bandwidth: float = 0.1, kernel: str = "rectangle", **kwargs: Any):
        super().__init__(**kwargs)
        self.bandwidth = self._check("bandwidth", bandwidth, Real(low=1e-6))
        self.kernel = self._check("kernel", kernel, Options(KERNELS))

    def call(self, x: Tensor) -> Tensor:
        values = self._values(x)
        y = self.spec.function(x, **values)
        if "theta" not in self.trained:
            return y
        return surrogate_theta(y, x, **values, bandwidth=self.bandwidth, kernel=self.kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bandwidth": self.bandwidth, "kernel": self.kernel}


# its first line, as above, and the empty one behind it
_REST_OF_DOC = (TrainedActivation.__doc__ or "").partition("\n\n")[2]
_TrainedTReLU.__doc__ = f"{_TrainedTReLU.__doc__}\n{_REST_OF_DOC}"
TReLU = make_class(TRELU, _TrainedTReLU)
