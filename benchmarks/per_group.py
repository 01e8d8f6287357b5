"""A search for each layer of a CNN with six slots.

Seconds, what it chose, and the verdict on held-out data.

    python -m benchmarks.per_group optdigits.csv digit [--trials 20] [--epochs 6] [--seed 0]

The .csv holds 64 pixels from 0 to 16 and the digit, as UCI's Optical Recognition of Handwritten
Digits; columns of words, such as which part a row is of, are left out.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pandas

from benchmarks.machine import environment, parsed
from keras_acts.search import ActivationSpace, search_activations
from keras_acts_cli import data as datasets


def cnn() -> keras.Model:
    """Return the compiled model: four convolutions and two dense layers, hidden."""
    layers = [keras.Input((64,)), keras.layers.Rescaling(1 / 16), keras.layers.Reshape((8, 8, 1))]
    for index, channels in enumerate((8, 8, 16, 16), start=1):
        layers.append(
            keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{index}")
        )
        if index % 2 == 0:
            layers.append(keras.layers.MaxPooling2D())
    layers.append(keras.layers.Flatten())
    layers += [keras.layers.Dense(32, activation="relu", name=f"dense{index}") for index in (1, 2)]
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax", name="output")])
    model.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def read(csv: str, target: str, seed: int) -> datasets.Parts:
    """Return the data in three parts."""
    rows = pandas.read_csv(csv)
    pixels = rows.drop(columns=target).select_dtypes("number").to_numpy("float32")
    labels = rows[target].to_numpy("int64")
    classes = tuple(map(str, range(10)))
    return datasets.Dataset(Path(csv).stem, pixels, labels, classes).split(seed)


def main() -> None:
    """Search, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv")
    parser.add_argument("target")
    for name, value in (("trials", 20), ("epochs", 6), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parsed(parser, trials=4, epochs=1)
    parts = read(options.csv, options.target, options.seed)
    budget = {
        "trials": options.trials,
        "epochs": options.epochs,
        "seed": options.seed,
        "batch_size": 64,
    }
    begun = time.perf_counter()
    result = search_activations(
        cnn(),
        *parts.train,
        validation_data=parts.validation,
        test_data=parts.test,
        activations=ActivationSpace(per="layer"),
        **budget,
        learning_rates=None,
    )
    print(result)
    runs = sum((trial.epochs or 0) * (trial.seeds or 0) for trial in result.trials)
    print(
        f"{time.perf_counter() - begun:.0f} s with the verdict; {runs} epochs or more before it. {environment()}"
    )


if __name__ == "__main__":
    main()
