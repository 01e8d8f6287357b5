"""Whether settings make sense, and data fit each other and the model, before anything is trained."""

from __future__ import annotations

import difflib
import inspect
import itertools
import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_acts.errors import DataError, SearchError, shown

from ..rewrite.groups import NamedGroups, chosen_slots
from ..rewrite.initializers import why_not_rescaled
from ..rewrite.own_training import own_methods
from ..rewrite.slots import slots
from ..space.known import is_of_keras
from .scoring import Data, have_shapes

# with one of these of its own a model may need no targets
_OWN_TRAINING = {"compute_loss", "fit", "make_train_function", "train_step"}
_OWN_TESTING = {"compute_loss", "evaluate", "make_test_function", "test_step"}
# losses that compare each number of the output with a target
_ELEMENT_BY_ELEMENT = (
    "categorical_crossentropy",
    "binary_crossentropy",
    "mean_squared_error",
    "mse",
)
STRATEGIES = ("auto", "race", "random")
_MOST = 2**31
_MOST_SEED = 2**32


def check_budget(**budget: int) -> None:
    """Check that each is an integer of at least 1, and none that no training comes to.

    Raises:
        SearchError: naming the one that is not.
    """
    for name, value in budget.items():
        if not _is_whole(value) or not 1 <= value < _MOST:
            raise SearchError(f"{name} must be an integer >= 1. Received: {name}={shown(value)}")


def check_strategy(strategy: str, max_epochs: int | None, max_seconds: float | None) -> None:
    """Check how to search, and for how long.

    Raises:
        SearchError: naming what is wrong.
    """
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        raise SearchError(
            f"strategy must be one of {', '.join(STRATEGIES)}. Received: strategy={shown(strategy)}"
        )
    if max_epochs is not None:
        check_budget(max_epochs=max_epochs)
    if max_seconds is not None and not _is_time(max_seconds):
        raise SearchError(
            f"max_seconds must be a number > 0. Received: max_seconds={shown(max_seconds)}"
        )


def check_verdict(seeds: int) -> None:
    """Check a number of fresh seeds: 0 for no verdict, else at least 2.

    Raises:
        SearchError: if it is none.
    """
    if not _is_whole(seeds) or seeds < 0 or seeds == 1:
        raise SearchError(
            "verdict must be 0 or an integer >= 2, a number of seeds: one says nothing about the noise between seeds. "
            f"Received: verdict={shown(seeds)}"
        )


def check_rescaling(
    model: keras.Model, rescale_init: bool, per: str | NamedGroups = "model"
) -> None:
    """Check that initializers can follow the activations of a model, if they are to.

    Args:
        model: Sequential or Functional.
        rescale_init: whether they are to.
        per: what activations are chosen for, as of an `ActivationSpace`.

    Raises:
        SearchError: on anything but True or False, or where no initializer would change: then the
            answer would be about the model's own, and said to be about others.
    """
    if not isinstance(rescale_init, bool):
        raise SearchError(
            f"rescale_init must be True or False. Received: rescale_init={shown(rescale_init)}"
        )
    if not rescale_init:
        return
    reason = why_not_rescaled(model, chosen_slots(slots(model), per))
    if reason:
        raise SearchError(
            f"rescale_init=True would change nothing in this model: {reason}. "
            "Received: rescale_init=True"
        )


def check_names_of_fit(fit: Mapping[str, Any], model: keras.Model, own: Iterable[str]) -> None:
    """Check that each further argument is one of the model's `fit`.

    Args:
        fit: the arguments.
        model: that trains.
        own: the arguments of the function that got them, one of which may be meant.

    Raises:
        SearchError: naming the one that is not, and what was probably meant.
    """
    parameters = inspect.signature(model.fit).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return  # it takes whatever comes
    known = [*own, *parameters]
    for name in fit:
        if name in parameters:
            continue
        hint = ""
        # a part of the name says more than its letters: max_trials is meant as trials
        near = [other for other in known if other in name.split("_")]
        near += difflib.get_close_matches(name, known, n=1)
        if near:
            hint = f" (did you mean {near[0]!r}?)"
        raise SearchError(
            f"Further arguments must be those of the model's fit. Received: {name!r}{hint}"
        )


def check_every_epoch(fit: Mapping[str, Any]) -> None:
    """Check that every epoch is validated: the best epoch is kept, and the last one is judged.

    Raises:
        SearchError: if some are not.
    """
    every = fit.get("validation_freq", 1)
    if every != 1:
        raise SearchError(
            "validation_freq must be 1: every epoch has a score, of which the best is kept and the last is judged. "
            f"Received: validation_freq={shown(every)}"
        )


def check_from_the_start(fit: Mapping[str, Any]) -> None:
    """Check that trainings begin with their first epoch.

    A race has stretches of its own, and a verdict says after how many epochs it was.

    Raises:
        SearchError: if they do not.
    """
    first = fit.get("initial_epoch", 0)
    if first:
        raise SearchError(
            "initial_epoch must be 0: every candidate trains from its beginning, for `epochs`. "
            f"Received: initial_epoch={shown(first)}"
        )


def validation_options(
    x: Data, y: Data, validation_data: Data, validation_split: float
) -> dict[str, Any]:
    """Return the argument of `fit` that says what validates.

    Raises:
        SearchError: if there is none, or the split is no share.
    """
    if validation_data is not None:
        return {"validation_data": validation_data}
    if not have_shapes(x):
        raise SearchError(
            f"validation_data is needed where x is a dataset. Received: x of type {type(x).__name__}"
        )
    if not 0 < validation_split < 1:
        raise SearchError(
            f"validation_split must lie in (0, 1). Received: validation_split={shown(validation_split)}"
        )
    return {"validation_split": validation_split}


def check_targets(model: keras.Model, x: Data, y: Data, validation_data: Data = None) -> None:
    """Check that a model that is trained on arrays has targets, if its loss wants some.

    A model that trains in its own way, one by one, may want none: an autoencoder whose `train_step`
    compares with `x`.

    Args:
        model: compiled.
        x: training inputs.
        y: training targets.
        validation_data: what validates; None for a part of the training data.

    Raises:
        DataError: if it has none.
    """
    if y is not None or model.loss is None or not have_shapes(x):
        return
    own = set(own_methods(model))
    if not own & _OWN_TRAINING:
        raise DataError(
            "y must be given where x is of arrays and the model has a loss: an autoencoder's is x itself. "
            f"Received: y=None, loss={model.loss!r}"
        )
    if _have_no_targets(validation_data) and not own & _OWN_TESTING:
        raise DataError(
            "validation_data must be (x, y) where the model trains without targets, and tests as Keras does: with its "
            f"loss. A test_step of its own may do without. Received: y=None, loss={model.loss!r}, and of the model's "
            f"own {', '.join(sorted(own))}"
        )


def _have_no_targets(validation_data: Data) -> bool:
    """Whether what validates are arrays without targets, as a part of such training data is."""
    if validation_data is None:
        return True
    parts = (validation_data,)
    if isinstance(validation_data, tuple | list):
        parts = tuple(validation_data)
    if not hasattr(parts[0], "shape"):
        return False  # a dataset's batches are not looked at
    _, targets, _ = keras.utils.unpack_x_y_sample_weight(parts)
    return targets is None


def check_weights(fit: Mapping[str, Any], *scored: Data) -> None:
    """Check weights of samples and classes: one that is no number makes a score that is none.

    Args:
        fit: the arguments of `fit`.
        *scored: validation and test data, of which tuples may hold weights of samples.

    Raises:
        DataError: naming the rule and the value.
    """
    _check_weights("sample_weight", fit.get("sample_weight"))
    for name, data in zip(("validation_data", "test_data"), scored, strict=True):
        if isinstance(data, tuple | list) and len(data) > 2:
            _check_weights(f"weights of {name}", data[2])
    of_classes = fit.get("class_weight")
    if isinstance(of_classes, Mapping):
        _check_weights("class_weight", list(of_classes.values()))


def _check_weights(what: str, weights: Data) -> None:
    for part in keras.tree.flatten(weights):
        if part is not None:
            _check_finite(what, part)


def check_readable_again(fit: Mapping[str, Any]) -> None:
    """Check that every candidate can read the data: what ends is read by the first only.

    Raises:
        DataError: naming what can be read once only, without a number of steps.
    """
    for name, steps in (("x", "steps_per_epoch"), ("validation_data", "validation_steps")):
        # an iterator goes on where it is; a dataset or a list begins anew
        if hasattr(fit.get(name), "__next__") and fit.get(steps) is None:
            raise DataError(
                f"{name} must be data that each candidate can read from the beginning, or have no end and come with "
                f"{steps}. Received: {name} of type {type(fit[name]).__name__}"
            )


def check_data(
    model: keras.Model | Callable[..., keras.Model], x: Data, y: Data = None, *, masks: bool = False
) -> None:
    """Check arrays against each other and against a model with one input and one output.

    What is no array (a dataset, a generator, several inputs) is left to Keras.

    Args:
        model: a Keras model, or a function that makes one.
        x: inputs.
        y: targets.
        masks: whether the loss may leave targets out that are NaN; see `may_mask`.

    Raises:
        DataError: naming the rule and the value.
    """
    # they have a shape and a dtype as arrays have; Keras cannot cut or shuffle them
    if any("Ragged" in type(part).__name__ for part in (x, y)):
        raise DataError(
            "The data must be arrays of one length, such as padded ones (x.to_tensor()), or a tf.data.Dataset. "
            f"Received: x of type {type(x).__name__}, y of type {type(y).__name__}"
        )
    _check_texts(x)
    check_kinds(model, x)
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        return
    labelled = hasattr(y, "dtype")
    _check_arrays(x, y, labelled=labelled, masks=masks)
    if not isinstance(model, keras.Model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        return  # of several, an array does not say for which it is
    expected = tuple(model.inputs[0].shape[1:])
    received = tuple(x.shape[1:])
    if not _fit(received, expected):
        raise DataError(
            f"The inputs must fit the model. Expected: samples of shape {expected}. Received: {received}"
        )
    if labelled:
        _check_labels(model, np.asarray(y), masks)


def _check_texts(x: Data) -> None:
    """Check that texts are such as `fit` takes."""
    for part in keras.tree.flatten(x):
        if not isinstance(part, np.ndarray) or not part.size:
            continue
        is_text = part.dtype.kind in "US"
        if part.dtype.kind == "O":
            is_text = isinstance(part.flat[0], str | bytes)
        if is_text:
            raise DataError(
                "Keras trains on texts as tensors: give tf.constant(x) or a tf.data.Dataset. "
                f"Received: an array of dtype {part.dtype}"
            )


def check_kinds(model: keras.Model | Callable[..., keras.Model] | None, *data: Data) -> None:
    """Check that inputs are numbers, and real where a model takes those.

    Keras drops imaginary parts in silence, and fails on dates in the middle of a search.

    Args:
        model: an example of those that train; a function, or None, where there is none.
        *data: inputs, or tuples that begin with them.

    Raises:
        DataError: naming the rule and the kind.
    """
    inputs = getattr(model, "inputs", None) or ()
    takes_complex = any("complex" in str(tensor.dtype) for tensor in inputs)
    for name in itertools.chain.from_iterable(map(_kinds_of_inputs, data)):
        if name.startswith(("datetime", "timedelta")):
            raise DataError(f"The inputs must be numbers. Received: an array of dtype {name}")
        # what a model of other inputs makes of them it may know itself
        if name.startswith("complex") and inputs and not takes_complex:
            raise DataError(
                "The inputs must be real numbers where the model takes those: give real and "
                f"imaginary parts as features. Received: an array of dtype {name}"
            )


def are_complex(*data: Data) -> bool:
    """Whether inputs are complex numbers."""
    kinds = itertools.chain.from_iterable(map(_kinds_of_inputs, data))
    return any(name.startswith("complex") for name in kinds)


def _kinds_of_inputs(data: Data) -> list[str]:
    """The dtypes of inputs; of a dataset, those of its batches."""
    inputs = getattr(data, "element_spec", data)
    if isinstance(inputs, tuple):
        inputs = inputs[:1]
    kinds = []
    for part in keras.tree.flatten(inputs):
        dtype = getattr(part, "dtype", None)
        kinds.append(str(getattr(dtype, "name", dtype)))
    return kinds


def _check_arrays(x: Data, y: Data, *, labelled: bool, masks: bool) -> None:
    """Check arrays by themselves and against each other."""
    if x.ndim == 0 or 0 in x.shape:
        raise DataError(
            f"The data must have at least one sample and feature. Received: x.shape={tuple(x.shape)}"
        )
    _check_finite("inputs", x)
    if not labelled:
        return
    if len(y) != len(x):
        raise DataError(
            f"Inputs and labels must be as many. Received: {len(x)} inputs and {len(y)} labels"
        )
    if not masks:
        _check_finite("labels", y)


def may_mask(model: keras.Model | Callable[..., keras.Model]) -> bool:
    """Whether a model's loss is one that Keras does not know, which may leave targets out that are NaN."""
    losses = keras.tree.flatten(getattr(model, "loss", None))
    return any(_is_of_the_user(loss) for loss in losses if loss is not None)


def _is_of_the_user(loss: Any) -> bool:
    """Whether a loss is a function, a class or an object that is not Keras' own."""
    if isinstance(loss, str):
        return False
    if hasattr(loss, "__name__"):
        return not is_of_keras(loss)
    return not is_of_keras(type(loss))


def _check_finite(what: str, values: ArrayLike) -> None:
    # whole numbers always are, and texts are refused elsewhere
    values = np.asarray(values)
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise DataError(f"The {what} must be finite. Received: {count} NaN or infinite values")


def _check_labels(model: keras.Model, y: np.ndarray, masks: bool) -> None:
    """Check labels against the loss of a model with one output."""
    if y.dtype.kind not in "fiub":
        raise DataError(f"The labels must be numbers. Received: labels of dtype {y.dtype}")
    if masks:
        return  # what its targets mean such a loss alone knows
    ignored = getattr(model.loss, "ignore_class", None)
    if ignored is not None:
        # it may be any number, -1 for example
        y = y[y != ignored]
    if not y.size:
        return
    loss = getattr(model.loss, "name", model.loss)
    expected = tuple(model.outputs[0].shape[1:])
    if loss == "sparse_categorical_crossentropy":
        _check_classes(y, model.outputs[0].shape[-1])
    elif loss in _ELEMENT_BY_ELEMENT and not _fit(y.shape[1:], expected):
        raise DataError(
            f"The labels must fit the model's output of shape {expected}. "
            f"Received: labels of shape {y.shape[1:]}"
        )
    if loss == "binary_crossentropy" and (y.min() < 0 or y.max() > 1):
        raise DataError(
            f"Binary labels must lie in [0, 1]. Received: labels from {y.min()!s} to {y.max()!s}"
        )


def _check_classes(y: np.ndarray, units: int | None) -> None:
    """Check labels that are numbers of classes."""
    if units is None:
        return
    if y.min() < 0 or y.max() >= units or (y != np.floor(y)).any():
        raise DataError(
            f"The labels must fit the model: whole numbers from 0 to {units - 1}, one an output. "
            f"Received: labels from {y.min()!s} to {y.max()!s}"
        )


def _fit(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether an array's shape is the wanted one, of which None is any size."""
    sizes = _without_one(shape)
    wanted_sizes = _without_one(wanted)
    if len(sizes) != len(wanted_sizes):
        return False
    pairs = zip(sizes, wanted_sizes, strict=True)
    return all(wanted_size in (None, size) for size, wanted_size in pairs)


def _without_one(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Drop a last axis of size 1, which Keras adds and takes away by itself."""
    if shape and shape[-1] == 1:
        return shape[:-1]
    return shape


def check_population(population: int | str) -> None:
    """Check how many trials train together at most.

    Raises:
        SearchError: if it is neither "auto" nor an integer from 1 on.
    """
    if isinstance(population, str) and population == "auto":
        return
    if not _is_whole(population) or population < 1:
        raise SearchError(
            f"population must be 'auto' or an integer >= 1. Received: population={shown(population)}"
        )


def check_flag(name: str, value: object) -> None:
    """Check that a setting is True or False: ``"False"`` would be true.

    Raises:
        SearchError: if it is anything else.
    """
    if not isinstance(value, bool | np.bool_):
        raise SearchError(f"{name} must be True or False. Received: {name}={shown(value)}")


def check_seed(seed: object) -> None:
    """Check a seed.

    Raises:
        SearchError: if it is none.
    """
    is_whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not is_whole or not 0 <= int(seed) < _MOST_SEED:  # type: ignore[call-overload]
        raise SearchError(
            f"seed must be an integer from 0 to 2**32 - 1. Received: seed={shown(seed)}"
        )


def check_directory(directory: object) -> None:
    """Check where a search is kept, if it is.

    Raises:
        SearchError: if it is no path.
    """
    if directory is None or isinstance(directory, str):
        return
    if not isinstance(directory, os.PathLike):
        raise SearchError(
            f"directory must be a path, or None. Received: directory={shown(directory)}"
        )


def _is_time(value: object) -> bool:
    """Whether a value is a number of seconds above 0; not a number is none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return bool(value > 0)  # type: ignore[operator]


def _is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer; to Python True is one, too."""
    return isinstance(value, int) and not isinstance(value, bool)
