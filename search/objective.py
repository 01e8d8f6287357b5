"""What ranks candidates: the default objective of a model."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
from keras_tuner.src.engine.objective import create_objective

from keras_acts.errors import SearchError


def checked_objective(objective: Any) -> keras_tuner.Objective:
    """Return the metric and its direction.

    Raises:
        SearchError: if it is no single metric, or one whose direction KerasTuner does not know.
    """
    try:
        made = create_objective(objective)
    except (ValueError, TypeError) as error:
        raise SearchError(
            "objective must be a metric that KerasTuner knows, or a keras_tuner.Objective with a direction. "
            f"Received: objective={objective!r}"
        ) from error
    if type(made) is not keras_tuner.Objective:
        raise SearchError(f"objective must be one metric. Received: objective={objective!r}")
    return made


def default_objective(model: keras.Model) -> str:
    """Return the validation value of the model's accuracy, if it has one; else of its loss."""
    metrics = keras.tree.flatten((model.get_compile_config() or {}).get("metrics"))
    accuracies = [name for name in metrics if isinstance(name, str) and (name == "acc" or name.endswith("accuracy"))]
    # with several outputs a metric's name holds the output's too
    return f"val_{accuracies[0]}" if accuracies and len(model.outputs) == 1 else "val_loss"
