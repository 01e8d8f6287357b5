"""Keras' TFSMLayer, in a functional model."""

import compare


def predict(folder, x):
    import keras

    layer = keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
    inputs = {name: keras.Input(value.shape[1:], name=name) for name, value in x.items()}
    (tensor,) = inputs.values()  # TFSMLayer takes one
    return keras.Model(inputs, layer(tensor)).predict(
        x, batch_size=len(next(iter(x.values()))), verbose=0
    )


if __name__ == "__main__":
    compare.main("TFSMLayer", predict, 1e-6)
