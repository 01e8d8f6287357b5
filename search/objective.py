"""What ranks candidates: the default objective of a model."""

from __future__ import annotations

import keras


def default_objective(model: keras.Model) -> str:
    """Return the validation value of the model's accuracy, if it has one; else of its loss."""
    metrics = keras.tree.flatten((model.get_compile_config() or {}).get("metrics"))
    accuracies = [name for name in metrics if isinstance(name, str) and (name == "acc" or name.endswith("accuracy"))]
    # with several outputs a metric's name holds the output's too
    return f"val_{accuracies[0]}" if accuracies and len(model.outputs) == 1 else "val_loss"
