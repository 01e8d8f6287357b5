"""Activation functions for Keras 3, and (in `keras_acts.search`) a search for the best one.

import keras_acts as ka
keras.layers.Dense(64, activation=ka.Mish())
keras.layers.Dense(64, activation=ka.get("trelu(theta=0.5, alpha=0.1)"))
ka.layers.PReLU()
"""

from pathlib import Path

# in a checkout the folder search/ lies beside this package, not inside it
if not (Path(__file__).parent / "search").is_dir():
    __path__.append(str(Path(__file__).parent.parent))

from keras_acts import functions, layers, rewritten  # noqa: F401
from keras_acts._version import __version__
from keras_acts.activations import (
    ELU,
    Activation,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    TReLU,
)
from keras_acts.errors import ActivationError, KerasActsError
from keras_acts.lookup import PReLU, get, register, unregister
from keras_acts.schedules import ScaledSchedule
from keras_acts.specs import ActivationSpec, Parameter, SearchRange, names, spec

__all__ = [
    "ELU",
    "Activation",
    "ActivationError",
    "ActivationSpec",
    "KerasActsError",
    "LeakyReLU",
    "Mish",
    "PReLU",
    "Parameter",
    "ReLU",
    "ScaledSchedule",
    "SearchRange",
    "Sigmoid",
    "Softmax",
    "TReLU",
    "Tanh",
    "__version__",
    "functions",
    "get",
    "layers",
    "names",
    "register",
    "spec",
    "unregister",
]
