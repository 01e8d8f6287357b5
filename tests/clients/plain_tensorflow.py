"""Load a SavedModel with plain TensorFlow and compare it with recorded predictions: no keras_acts, no Keras.

python plain_tensorflow.py EXPORT SAMPLES.npz     # arrays x and y
"""

import sys

import numpy as np
import tensorflow as tf


def main(folder: str, samples: str) -> None:
    with np.load(samples) as file:
        x, y = file["x"], file["y"]
    loaded = tf.saved_model.load(folder)
    difference = float(np.abs(loaded.serve(x).numpy() - y).max())
    print(f"TensorFlow {tf.__version__}: max difference {difference:.1e}")
    assert "keras_acts" not in sys.modules
    if not difference < 1e-6:
        sys.exit(f"{folder} differs from the model by {difference}")


if __name__ == "__main__":
    main(*sys.argv[1:])
