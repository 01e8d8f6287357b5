"""Before the first epoch.

A model evaluated once on a few samples, as it will be when the training is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import DataError, ModelError, SearchError

from ..rewrite.own_training import own_methods
from ..runtime.reasons import reason_of
from ..runtime.seeding import isolated_seed
from .objective import Objectives
from .scoring import Data, evaluated

# enough for every layer to run, batch normalization too
_SAMPLES = 8
# with one of these of its own a model may be scored without a loss
_OWN_TESTING = {"evaluate", "make_test_function", "test_step"}


def rehearse(
    model: keras.Model | Callable[..., keras.Model],
    objective: Objectives,
    fit: Mapping[str, Any],
    *,
    ranking: Data = None,
    test: Data = None,
) -> None:
    """Check that what ranks the candidates is logged, as one number, and that the test data can be evaluated.

    What cannot be tried without loss, such as a generator, is not; and if the model cannot be
    evaluated on what ranks, its training will say why.

    Args:
        model: compiled, freshly made: it is used up.
        objective: of the search, or several.
        fit: the arguments of `fit`, data included.
        ranking: the `validation_data`; None for a part of the training data.
        test: the test data, if there are any.

    Raises:
        SearchError: if the objective is not logged, or is several numbers.
        DataError: if the model cannot be evaluated on the test data.
        ModelError: if it trains in its own way, and there is nothing to rank it by.
    """
    check_again(test)
    if not isinstance(model, keras.Model) or not model.compiled:
        return
    if ranking is None:
        ranking = (fit.get("x"), fit.get("y"), fit.get("sample_weight"))
    with isolated_seed(0):
        try:
            logs = _first_batch(model, ranking)
        except Exception as error:
            _check_scored(model, error)
            return
        if logs is not None:
            check_logged(objective, logs, final=not fit.get("callbacks"))
        try:
            _first_batch(model, test)
        except Exception as error:
            raise DataError(
                "The test data must be (x, y), (x, y, sample_weight) or a dataset that the model can be evaluated on. "
                f"Received: test_data of type {type(test).__name__}; {reason_of(error)}"
            ) from error


def _check_scored(model: keras.Model, error: Exception) -> None:
    """Check that a model that could not be evaluated is one that could be: others rank by nothing.

    Raises:
        ModelError: if it trains in its own way, and has neither a loss nor a way to test.
    """
    own = own_methods(model)
    if model.loss is not None or "train_step" not in own or set(own) & _OWN_TESTING:
        return
    raise ModelError(
        "A search ranks models by one objective: one that trains by a train_step of its own needs a loss in compile(), "
        "or a test_step that returns what is ranked, such as {'loss': ...}. "
        f"Received: {type(model).__name__} without, which cannot be evaluated, {reason_of(error)}"
    )


def check_again(test: Data) -> None:
    """Check that test data can be read for each model: a generator is empty after the first.

    Raises:
        DataError: if they cannot, or are of more than three parts, or of parts of different length.
    """
    if hasattr(test, "__next__"):
        raise DataError(
            f"test_data are read for every model: give arrays or a dataset. Received: {type(test).__name__}"
        )
    if not isinstance(test, tuple | list):
        return
    if not 1 <= len(test) <= 3:
        raise DataError(
            f"test_data must be (x, y) or (x, y, sample_weight). Received: {len(test)} parts"
        )
    parts = keras.tree.flatten(tuple(test))
    counts = [len(part) for part in parts if len(getattr(part, "shape", ())) > 0]
    if len(set(counts)) > 1:
        raise DataError(f"The parts of test_data must be of as many samples. Received: {counts}")


def check_logged(
    objective: Objectives, logs: Mapping[str, np.ndarray], *, final: bool = True
) -> None:
    """Check that the model logs an objective, and that it is one number.

    Args:
        objective: of the search, or several.
        logs: of the model.
        final: whether no callback may add to them.

    Raises:
        SearchError: if not.
    """
    for one in _single(objective):
        name = one.name.removeprefix("val_")
        if name not in logs:
            # what a `train_step` of the user's returns, no evaluation knows
            of_training = one.name == name
            if of_training or not final:
                continue
            known = [f"val_{key}" for key in logs]
            raise SearchError(f"The objective must be one of {known}. Received: {one.name!r}")
        shape = np.shape(logs[name])
        if shape:
            raise SearchError(
                "An objective must be one number; give the metric an average, such as F1Score(average='macro'). "
                f"Received: {one.name!r}, which is {shape[0]} numbers"
            )


def _single(objective: Objectives) -> list[keras_tuner.Objective]:
    """The objectives of which each is one metric."""
    several = [objective]
    if isinstance(objective, list):
        several = objective
    elif hasattr(objective, "objectives"):  # KerasTuner's objective of several
        several = objective.objectives
    return [one for one in several if type(one) is keras_tuner.Objective]


def _first_batch(model: keras.Model, data: Data) -> dict[str, np.ndarray] | None:
    """Evaluate a model on the first samples.

    None without data, or with such as can be read once only.
    """
    if not isinstance(data, tuple | list):
        if data is None or _is_read_once(data):
            return None
        return _evaluated(model, data, steps=1)
    if not data or data[0] is None or any(_is_read_once(part) for part in data):
        return None
    count = _batch_size(model)

    def first(part: Any) -> Any:
        if part is None:
            return None
        rows = getattr(part, "iloc", part)  # pandas would look for names
        return rows[:count]

    return _evaluated(model, keras.tree.map_structure(first, tuple(data)), batch_size=count)


def _is_read_once(data: Data) -> bool:
    return hasattr(data, "__next__")


def _batch_size(model: keras.Model) -> int:
    """The batch size of the inputs where it is fixed, else a few."""
    for tensor in getattr(model, "inputs", None) or []:
        if tensor.shape[0] is not None:
            return tensor.shape[0]
    return _SAMPLES


def _evaluated(model: keras.Model, data: Data, **options: Any) -> dict[str, np.ndarray]:
    """Evaluate without tracing, which takes longer than one batch; or else as it will be."""
    model.run_eagerly = True
    model.make_test_function(force=True)
    try:
        return evaluated(model, data, **options)
    except Exception:  # some layers and metrics run in a graph only
        model.run_eagerly = False
        model.make_test_function(force=True)
        return evaluated(model, data, **options)
