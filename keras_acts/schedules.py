"""A learning rate schedule times a number."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_acts")
class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate schedule that is another one, times a factor.

    Args:
        schedule: the other one.
        factor: what each of its rates is multiplied by.

    Example:
        >>> cosine = keras.optimizers.schedules.CosineDecay(0.001, decay_steps=1000)
        >>> keras.optimizers.Adam(ScaledSchedule(cosine, 4.0))
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: float):
        self.schedule = schedule
        self.factor = float(factor)

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step."""
        # a user's schedule may return a number of Python
        rate = ops.convert_to_tensor(self.schedule(step))
        return rate * ops.cast(self.factor, keras.backend.standardize_dtype(rate.dtype))

    def get_config(self) -> dict[str, Any]:
        """Return both as plain data."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScaledSchedule:
        """Return the schedule that `get_config` wrote."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["factor"])
