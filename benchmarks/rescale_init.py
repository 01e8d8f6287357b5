"""Does `rescale_init` help? Deep and shallow networks on handwritten digits, with it and with Keras' initialization.

    python -m benchmarks.rescale_init [--depths 3 16] [--seeds 5] [--epochs 5] [--only relu mish]

A pair has the same seed and batches. "size" is the mean square of the last hidden values before
training, where about 1 means that nothing vanishes or explodes on the way; the accuracy is that on
a third of the digits, after training.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from benchmarks.machine import parsed
from keras_acts.search import with_activations
from keras_acts.search.runtime.seeding import isolated_seed

ACTIVATIONS = ("relu", "leaky_relu(alpha=0.3)", "elu", "selu", "gelu", "silu", "mish", "tanh")
UNITS = 64


def network(depth: int) -> keras.Model:
    """Return an MLP without normalization, which would set the size of the values by itself."""
    hidden = [
        keras.layers.Dense(UNITS, activation="relu", name=f"hidden{index}")
        for index in range(depth)
    ]
    model = keras.Sequential(
        [
            keras.Input((UNITS,)),
            *hidden,
            keras.layers.Dense(10, activation="softmax", name="output"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def measure(
    model: keras.Model, activation: str, rescale: bool, seed: int, epochs: int
) -> tuple[float, float]:
    """Return the size before training and the accuracy after it."""
    x, y = load_digits(return_X_y=True)
    x = ((x - x.mean()) / x.std()).astype("float32")
    train_x, test_x, train_y, test_y = train_test_split(
        x, y, test_size=1 / 3, random_state=0, stratify=y
    )
    with isolated_seed(seed):
        candidate = with_activations(model, activation, rescale_init=rescale)
        features = keras.Model(candidate.inputs[0], candidate.layers[-2].output)
        size = float(np.mean(np.square(features(test_x))))
        candidate.fit(train_x, train_y, batch_size=64, epochs=epochs, verbose=0)
        return size, candidate.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 16])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=ACTIVATIONS)
    arguments = parsed(parser, depths=[3], seeds=2, epochs=1, only=["relu"])
    table = Table(box=MARKDOWN)
    for name in (
        "hidden layers",
        "activation",
        "size",
        "size, rescaled",
        "accuracy",
        "rescaled",
        "difference",
    ):
        table.add_column(name, justify="left" if name == "activation" else "right")
    for depth in arguments.depths:
        model = network(depth)
        for activation in arguments.only:
            found = np.array(
                [
                    [
                        measure(model, activation, rescale, seed, arguments.epochs)
                        for rescale in (False, True)
                    ]
                    for seed in range(arguments.seeds)
                ]
            )
            sizes, (plain, rescaled) = found[:, :, 0].mean(axis=0), found[:, :, 1].T
            spread = (rescaled - plain).std(ddof=1) if arguments.seeds > 1 else 0.0
            table.add_row(
                *(str(depth), activation, f"{sizes[0]:.2g}", f"{sizes[1]:.2g}"),
                *(f"{plain.mean():.3f}", f"{rescaled.mean():.3f}"),
                f"{(rescaled - plain).mean():+.3f} ± {spread:.3f}",
            )
    Console(width=120).print(table)
    print(
        f"{arguments.seeds} seeds, {arguments.epochs} epochs; ± is the standard deviation over the seeds."
    )


if __name__ == "__main__":
    main()
