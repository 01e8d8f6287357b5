"""Export a model of each hidden activation, with inputs and predictions to compare with.

python make_exports.py FOLDER        # FOLDER/mish/model and FOLDER/mish/samples.npz, …
"""

import sys
from pathlib import Path

import keras
import numpy as np

import keras_acts as ka
from keras_acts.search import export
from keras_acts.search.space import default_activations


def main(folder: str) -> None:
    # ordinary and extreme inputs
    x = np.concatenate([np.random.default_rng(0).normal(size=(16, 4)), np.full((2, 4), 90.0), np.full((2, 4), -90.0)])
    x = x.astype("float32")
    for name in default_activations():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation=ka.get(name))])
        model.add(keras.layers.Dense(3, activation=ka.Softmax()))
        place = Path(folder) / name
        exported = export(model, place / "model", samples=x)
        np.savez(place / "samples.npz", x=x, y=model.predict(x, verbose=0))
        print(f"{name}: max difference {exported.difference:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
