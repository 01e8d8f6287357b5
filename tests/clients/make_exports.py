"""Export two models, with inputs and Keras' predictions to compare with.

python make_exports.py FOLDER        # FOLDER/activations/model and samples.npz, FOLDER/digits/…

`activations` applies each activation to its input itself, so that extreme inputs reach it; `digits`
is a trained CNN with preprocessing and class names. A sample file holds the arrays x:NAME and
y:NAME.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_acts as ka
from keras_acts.search import export

EXTREMES = (0.0, 1e-3, 1.0, 5.0, 10.0, 15.0, 17.0, 20.0, 90.0, 1000.0)


def activations():
    """A model with one output for each activation, fixed, trained and inside a network.

    And its samples.
    """
    x = keras.Input((6,), name="x")
    named = {name: ka.get(name) for name in ka.names() if ka.spec(name).value}
    named |= {
        "leaky_relu_steep": ka.LeakyReLU(alpha=0.3),
        "elu_low": ka.ELU(alpha=0.4),
        "trelu_sloped": ka.TReLU(alpha=0.1, theta=0.5),
        "trelu_continuous": ka.TReLU(alpha=0.1, theta=0.5, mode="continuous"),
        "trelu_keras": ka.TReLU(alpha=0.1, theta=0.5, mode="keras"),
    }
    outputs = {
        name: keras.layers.Activation(activation, name=name)(x)
        for name, activation in named.items()
    }
    spread = keras.initializers.RandomUniform(0.05, 0.6, seed=3)
    trained = {
        "trained_prelu": (ka.layers.PReLU, {"alpha_initializer": spread}),
        "trained_prelu_zero": (ka.layers.PReLU, {"alpha": 0.0}),
        "trained_leaky_relu": (ka.layers.LeakyReLU, {"per": "scalar", "alpha": 0.2}),
        "trained_elu": (ka.layers.ELU, {"alpha_initializer": spread}),
        "trained_trelu": (
            ka.layers.TReLU,
            {"alpha_initializer": spread, "theta_initializer": spread},
        ),
        "trained_trelu_continuous": (
            ka.layers.TReLU,
            {"theta_initializer": spread, "mode": "continuous"},
        ),
    }
    outputs |= {
        name: layer(**arguments, name=name)(x) for name, (layer, arguments) in trained.items()
    }
    hidden = keras.layers.Dense(8, activation=ka.Mish())(x)
    hidden = keras.layers.Dense(8, activation=ka.PReLU())(hidden)
    hidden = ka.layers.TReLU(theta=0.3)(keras.layers.Dense(8)(hidden))
    outputs["network"] = keras.layers.Dense(3, activation=ka.Softmax())(hidden)
    ordinary = np.random.default_rng(0).normal(scale=2, size=(16, 6))
    extreme = [np.full((1, 6), sign * value) for sign in (1, -1) for value in EXTREMES]
    return (
        keras.Model(x, outputs, name="activations"),
        np.concatenate([ordinary, *extreme]).astype("float32"),
        {},
    )


def digits():
    """A trained CNN that takes raw pixels; and its samples."""
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1).astype("float32")
    layers = [
        keras.layers.Conv2D(8, 3, activation=ka.Mish()),
        keras.layers.Conv2D(8, 3, strides=2),
        ka.layers.PReLU(),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation=ka.TReLU(alpha=0.1, theta=0.2)),
        keras.layers.Dense(10, activation=ka.Softmax(), name="probabilities"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1), name="image"), *layers], name="digits")
    scale = keras.layers.Normalization(axis=None)
    scale.adapt(x)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(scale(x), y, epochs=2, verbose=0)
    return model, x[:40], {"preprocessing": scale, "class_names": [f"digit {i}" for i in range(10)]}


def main(folder: str) -> None:
    for make in (activations, digits):
        keras.utils.set_random_seed(1)
        model, x, options = make()
        place = Path(folder) / make.__name__
        exported = export(model, place / "model", samples=x, **options)
        (name,) = exported.card["signatures"]["serving_default"]["inputs"]
        raw = options["preprocessing"](x) if options else x
        y = model.predict(raw, batch_size=len(x), verbose=0)
        y = y if isinstance(y, dict) else {"probabilities": y}
        np.savez(
            place / "samples.npz",
            **{f"x:{name}": x},
            **{f"y:{key}": value for key, value in y.items()},
        )
        print(f"{make.__name__}: max difference {exported.difference:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
