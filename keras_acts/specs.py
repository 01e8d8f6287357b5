"""One `ActivationSpec` per activation: every fact about it, stated once.

The function, the serializable object, the layer, the search space, the documentation and the
contract tests all read the spec, so a new activation is complete when its spec is registered.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from keras_acts import functions
from keras_acts.constraints import Constraint, Integer, Options, Real
from keras_acts.errors import ActivationError, shown
from keras_acts.notation import unknown


@dataclass(frozen=True)
class SearchRange:
    """The values of a parameter that a search tries, ``[low, high]``.

    On a logarithmic scale if `log`. The first one that it tries is `start`; without it, the parameter's default.
    """

    low: float
    high: float
    log: bool = False
    start: float | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of an activation.

    Args:
        name: the keyword of the function.
        default: the value where none is given; the start value where it is trained.
        valid: the constraint that every value must meet.
        search: the range that a search tries, or None where a search leaves it alone.
        trained: whether the layer of this activation trains it.
    """

    name: str
    default: Any
    valid: Constraint
    search: SearchRange | None = None
    trained: bool = False

    def check(self, value: Any, owner: str) -> Any:
        """Return the valid value in its canonical type, or raise `ActivationError`."""
        try:
            return self.valid.check(value)
        except ValueError as rule:
            raise ActivationError(
                f"{owner}: {self.name} must be {rule}. Received: {self.name}={shown(value)}"
            ) from None


@dataclass(frozen=True)
class ActivationSpec:
    """Every fact about one activation.

    Args:
        name: how strings name it, ``"trelu"``.
        class_name: the name of its object and of its layer, ``"TReLU"``.
        function: ``function(x, *, parameter=...)``, on `keras.ops`.
        parameters: its parameters, in the order in which they print.
        formula: in Python notation.
        latex: the same formula in LaTeX.
        output_range: the closed hull of its values at the default parameters.
        limits: its values at -inf and +inf at the default parameters; None for an activation of
            more than one element.
        elementwise: whether each output depends on its own input only.
        hidden: whether it makes sense in a hidden layer.
        value: whether its parameters, fixed, make a value; PReLU's are trained, so each PReLU is a
            layer of its own.
        paper: the source.
    """

    name: str
    class_name: str
    function: Callable[..., Any]
    formula: str
    latex: str
    output_range: tuple[float, float]
    limits: tuple[float, float] | None
    parameters: tuple[Parameter, ...] = ()
    elementwise: bool = True
    hidden: bool = True
    value: bool = True
    paper: str = ""

    @property
    def defaults(self) -> dict[str, Any]:
        """The parameters' default values."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    @property
    def trained(self) -> tuple[Parameter, ...]:
        """The parameters that the layer of this activation trains."""
        return tuple(parameter for parameter in self.parameters if parameter.trained)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        low, high = self.output_range
        rows = []
        for parameter in self.parameters:
            cells = (parameter.name, repr(parameter.default), str(parameter.valid))
            rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
        table = ""
        if rows:
            header = "".join(
                f'<th scope="col">{name}</th>' for name in ("parameter", "default", "valid")
            )
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            table = f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
        facts = f"<code>{escape(self.formula)}</code>, values from {low:g} to {high:g}"
        return f"<div><p><strong>{escape(self.name)}</strong>: {facts}</p>{table}</div>"

    def check(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return all parameters, defaults filled in, in canonical types and order.

        Raises:
            ActivationError: if one is unknown or invalid.
        """
        known = {parameter.name for parameter in self.parameters}
        for name in values:
            if name not in known:
                expected = ", ".join(sorted(known)) or "no parameters"
                raise ActivationError(
                    f"{self.name}: unknown parameter. Expected: {expected}. Received: "
                    f"{name}={shown(values[name])}"
                )
        checked: dict[str, Any] = {}
        for parameter in self.parameters:
            value = values.get(parameter.name, parameter.default)
            checked[parameter.name] = parameter.check(value, self.name)
        return checked


_INF = float("inf")

_SPECS: dict[str, ActivationSpec] = {}


def names() -> tuple[str, ...]:
    """Return the names of all registered activations, in the order of registration."""
    return tuple(_SPECS)


def spec(name: str) -> ActivationSpec:
    """Return the spec of the activation called `name`.

    Raises:
        ActivationError: if there is none; the message lists near names.
    """
    if name not in _SPECS:
        raise unknown(name, names())
    return _SPECS[name]


def add(new: ActivationSpec) -> None:
    """Add a spec to the registry; `keras_acts.register` makes its object and layer too."""
    if not new.name.isidentifier() or new.name != new.name.lower():
        raise ActivationError(
            f"An activation's name must be a lower-case identifier. Received: name={new.name!r}"
        )
    if not new.class_name.isidentifier():
        raise ActivationError(
            f"The name of an object's class must be an identifier. Received: {new.class_name=}"
        )
    if new.name in _SPECS or new.class_name in {known.class_name for known in _SPECS.values()}:
        raise ActivationError(
            f"An activation of this name is registered already. Received: {new.name=}, "
            f"{new.class_name=}"
        )
    keywords = inspect.signature(new.function).parameters
    parameter_names = [parameter.name for parameter in new.parameters]
    for parameter in new.parameters:
        if parameter_names.count(parameter.name) > 1 or parameter.name not in keywords:
            raise ActivationError(
                f"{new.name}: parameters must be different keywords of the function. Received: "
                f"{parameter.name!r} "
                f"for a function of {tuple(keywords)}"
            )
        parameter.check(parameter.default, new.name)
        if parameter.search is not None:
            parameter.check(parameter.search.low, new.name)
            parameter.check(parameter.search.high, new.name)
    _SPECS[new.name] = new


def remove(name: str) -> None:
    """Remove a spec that `add` added after the built-in ones."""
    if spec(name) in _OURS:
        raise ActivationError(
            f"The activations of keras_acts cannot be removed. Received: {name!r}"
        )
    del _SPECS[name]


SIGMOID = ActivationSpec(
    name="sigmoid",
    class_name="Sigmoid",
    function=functions.sigmoid,
    formula="1 / (1 + exp(-x))",
    latex=r"\frac{1}{1 + e^{-x}}",
    output_range=(0, 1),
    limits=(0, 1),
    hidden=False,
)
TANH = ActivationSpec(
    name="tanh",
    class_name="Tanh",
    function=functions.tanh,
    formula="(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
    latex=r"\frac{e^x - e^{-x}}{e^x + e^{-x}}",
    output_range=(-1, 1),
    limits=(-1, 1),
)
RELU = ActivationSpec(
    name="relu",
    class_name="ReLU",
    function=functions.relu,
    formula="max(x, 0)",
    latex=r"\max(x, 0)",
    output_range=(0, _INF),
    limits=(0, _INF),
    paper="Nair & Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, ICML 2010",
)
LEAKY_RELU = ActivationSpec(
    name="leaky_relu",
    class_name="LeakyReLU",
    function=functions.leaky_relu,
    parameters=(Parameter("alpha", 0.01, Real(), SearchRange(0.005, 0.5, log=True), trained=True),),
    formula="x if x > 0 else alpha * x",
    latex=r"\begin{cases} x & x > 0 \\ \alpha x & x \le 0 \end{cases}",
    output_range=(-_INF, _INF),
    limits=(-_INF, _INF),
    paper="Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, ICML 2013",
)
PRELU = ActivationSpec(
    name="prelu",
    class_name="PReLU",
    function=functions.prelu,
    parameters=(Parameter("alpha", 0.25, Real(), trained=True),),
    formula="x if x > 0 else alpha * x, alpha trained",
    latex=r"\begin{cases} x & x > 0 \\ \alpha x & x \le 0 \end{cases}",
    output_range=(-_INF, _INF),
    limits=(-_INF, _INF),
    value=False,
    paper="He et al., Delving Deep into Rectifiers, ICCV 2015, arXiv:1502.01852",
)
ELU = ActivationSpec(
    name="elu",
    class_name="ELU",
    function=functions.elu,
    parameters=(
        Parameter("alpha", 1.0, Real(low=0), SearchRange(0.1, 2.0, log=True), trained=True),
    ),
    formula="x if x > 0 else alpha * (exp(x) - 1)",
    latex=r"\begin{cases} x & x > 0 \\ \alpha (e^x - 1) & x \le 0 \end{cases}",
    output_range=(-1, _INF),
    limits=(-1, _INF),
    paper="Clevert, Unterthiner & Hochreiter, Fast and Accurate Deep Network Learning by Exponential Linear Units, "
    "ICLR 2016, arXiv:1511.07289",
)
TRELU = ActivationSpec(
    name="trelu",
    class_name="TReLU",
    function=functions.trelu,
    parameters=(
        Parameter("alpha", 0.0, Real(), SearchRange(0.0, 0.3), trained=True),
        # a threshold of 1 silences most hidden units for good (10 % accuracy on digits): a search
        # starts near 0
        Parameter("theta", 1.0, Real(), SearchRange(-0.5, 0.5, start=0.1), trained=True),
        # "continuous": theta + alpha * (x - theta) at or below theta; "keras": alpha * (x - theta)
        Parameter("mode", "threshold", Options(functions.MODES)),
    ),
    formula="x if x > theta else alpha * x",
    latex=r"\begin{cases} x & x > \theta \\ \alpha x & x \le \theta \end{cases}",
    output_range=(0, _INF),
    limits=(0, _INF),
    paper="Konda, Memisevic & Krueger, Zero-bias Autoencoders, ICLR 2015, arXiv:1402.3337 (alpha = 0)",
)
SOFTMAX = ActivationSpec(
    name="softmax",
    class_name="Softmax",
    function=functions.softmax,
    parameters=(Parameter("axis", -1, Integer()),),
    formula="exp(x) / sum(exp(x))",
    latex=r"\frac{e^{x_i}}{\sum_j e^{x_j}}",
    output_range=(0, 1),
    limits=None,
    elementwise=False,
    hidden=False,
)
MISH = ActivationSpec(
    name="mish",
    class_name="Mish",
    function=functions.mish,
    formula="x * tanh(log(1 + exp(x)))",
    latex=r"x \tanh(\log(1 + e^x))",
    output_range=(-0.308843, _INF),
    limits=(0, _INF),
    paper="Misra, Mish: A Self Regularized Non-Monotonic Activation Function, BMVC 2020, arXiv:1908.08681",
)

_OURS = (SIGMOID, TANH, RELU, LEAKY_RELU, PRELU, ELU, TRELU, SOFTMAX, MISH)
for _spec in _OURS:
    add(_spec)
