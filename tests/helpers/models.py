"""Small models and data that several tests use."""

import keras
import numpy as np
import tensorflow as tf

from keras_acts.search.rewrite.compiling import compile_arguments


def mlp(activation="relu", features=4, classes=3):
    """A compiled MLP with two hidden slots."""
    model = keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(8, activation=activation, name="first"),
            keras.layers.Dense(6, name="linear"),
            keras.layers.Activation(activation, name="second"),
            keras.layers.Dense(classes, activation="softmax", name="output"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@keras.saving.register_keras_serializable(package="tests")
class Weighing(keras.Model):
    """A model with layers as attributes, and a training step that takes each step's loss twice."""

    def __init__(self, activation):
        super().__init__()
        self.hidden = keras.layers.Dense(8, activation=activation)
        self.out = keras.layers.Dense(3)

    def call(self, inputs):
        return self.out(self.hidden(inputs))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = 2 * self.compute_loss(x, y, y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.compute_metrics(x, y, y_pred)


def eager(model):
    """The model, compiled so that it need not be traced.

    Sooner where a model trains for a few steps.
    """
    model.compile(**{**compile_arguments(model), "run_eagerly": True})
    return model


def blobs(samples=90, features=4, classes=3, seed=0):
    """Points around one centre a class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    centres = rng.normal(size=(classes, features)) * 2
    return (centres[y] + rng.normal(size=(samples, features))).astype("float32"), y


def contents(folder):
    """All names below a folder, each with what a change of the file changes."""
    entries = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (entry.st_size, entry.st_mtime_ns) for path, entry in entries.items()}
