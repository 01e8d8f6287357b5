"""The data that come with scikit-learn."""

from __future__ import annotations

from ..places import BUNDLED_NUMBERS
from .dataset import Dataset
from .labels import labelled


def bundled(name: str, task: str) -> Dataset:
    """Return a set by its name."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    x = bunch.data
    if name == "digits":
        # images have a channel; scikit-learn's own rows are flat
        x = bunch.images[..., None]
    if name in BUNDLED_NUMBERS and task == "auto":
        task = "regression"
    return labelled(name, (x, bunch.target), task, getattr(bunch, "target_names", ()))
