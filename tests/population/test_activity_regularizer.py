"""Activities are regularized in a population as in each ordinary model."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.helpers.populations import check, data


@keras.saving.register_keras_serializable("tests")
class Between(keras.regularizers.Regularizer):
    """A user's own."""

    def get_config(self):
        return {}

    def __call__(self, x):
        return 0.1 * keras.ops.sum(keras.ops.square(x) / (1 + keras.ops.square(x)))


def regularized(kind):
    # L1 by itself does not take float64 in Keras 3.12
    l1 = keras.regularizers.L1L2(l1=0.01)
    x = keras.Input((6, 2))
    h = layers.Conv1D(3, 2, activation="relu", activity_regularizer="l2")(x)
    h = layers.ActivityRegularization(l1=0.01)(h)
    if kind == "loops":
        h = layers.Conv1DTranspose(3, 2, activity_regularizer=Between())(h)
        h = layers.Bidirectional(layers.LSTM(2, activity_regularizer=l1))(h)
    else:
        h = layers.Dense(3, activation="relu", activity_regularizer=Between())(layers.Flatten()(h))
    return keras.Model(x, layers.Dense(3, activation="softmax", activity_regularizer=l1)(h))


@pytest.mark.parametrize("kind", ["rules", pytest.param("loops", marks=pytest.mark.slow)])
def test_members_are_their_ordinary_models(kind, float64):
    x, y = data((6, 2), samples=20)

    def compiled():
        return {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"}

    fitted = {"x": x, "y": y, "validation_data": (x[:7], y[:7])}
    check(regularized(kind), ["relu", "prelu", "tanh"], compiled, fitted)
    assert np.isfinite(x).all()
