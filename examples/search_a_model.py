"""Search the hidden activations of a model of your own, and export the best one."""

import keras
from sklearn.datasets import load_digits

from keras_acts.search import search_activations

x, y = load_digits(return_X_y=True)
model = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Rescaling(1 / 16),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
result = search_activations(
    model,
    x[:1400],
    y[:1400],
    test_data=(x[1400:], y[1400:]),
    activations=["relu", "mish", "leaky_relu", "trelu"],
    trials=6,
    epochs=5,
)
print(result)
print(result.export("saved_models/mine", overwrite=True))
