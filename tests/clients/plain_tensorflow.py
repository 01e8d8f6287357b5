"""Plain TensorFlow: the signatures, the attribute `serve`, any batch size, and no Keras."""

import sys

import compare
import numpy as np


def predict(folder, x):
    sys.modules["keras"] = None  # importing it is an error from here on
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    found = {
        name: value.numpy() for name, value in loaded.signatures["serving_default"](**x).items()
    }
    first = {name: value[:1] for name, value in x.items()}
    for name, one in loaded.signatures["serve"](**first).items():
        assert one.shape == (1, *found[name].shape[1:])
    (given,) = x.values()
    served = loaded.serve(given)
    served = served if isinstance(served, dict) else dict.fromkeys(found, served)
    for name, value in found.items():
        np.testing.assert_allclose(served[name], value, rtol=1e-6, atol=1e-6)
    return found


if __name__ == "__main__":
    compare.main("TensorFlow", predict, 1e-6)
