"""Use an activation in a Keras model.

As a value inside a layer, and as a layer that trains its parameters.
"""

import keras
from sklearn.datasets import load_digits

import keras_acts as ka

x, y = load_digits(return_X_y=True)
model = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(64, activation=ka.Mish()),
        keras.layers.Dense(64, activation=ka.get("trelu(theta=0.5, alpha=0.1)")),
        keras.layers.Dense(64),
        ka.layers.PReLU(),  # one trained alpha a channel
        keras.layers.Dense(10, activation=ka.Softmax()),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x / 16, y, validation_split=0.2, epochs=5, verbose=2)
print(model.layers[1].activation, model.layers[0].activation)
