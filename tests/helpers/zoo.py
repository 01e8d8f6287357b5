"""Models of many kinds, each with its slots as a person lists them.

Name, current activation, role, channels.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

import keras_acts as ka
from tests.helpers import custom_layers as custom


class Animal(NamedTuple):
    """A model, its slots, and how many parameters PReLU adds.

    One for each channel of the hidden slots.
    """

    build: Callable[[], keras.Model]
    slots: list[tuple[str, str, str]]
    alphas: int


ZOO: dict[str, Animal] = {}


def listed(*slots, alphas):
    """Put a model into the zoo.

    A slot is ``"name activation"``, which is hidden, or ``"name activation role"``.
    """

    def add(build):
        rows = [(*slot.split(), "hidden")[:3] for slot in slots]
        ZOO[build.__name__] = Animal(build, rows, alphas)
        return build

    return add


def samples(model, count=2):
    """Random inputs, in the structure of the model's input."""
    rng = np.random.default_rng(0)
    made = [rng.normal(size=(count, *x.shape[1:])).astype("float32") for x in model.inputs]
    return made if len(made) > 1 else made[0]


def conv(filters, name, **arguments):
    return layers.Conv2D(filters, 3, padding="same", name=name, **arguments)


@listed("a relu", "b tanh", "c leaky_relu(alpha=0.2)", "out softmax output", alphas=3 + 4 + 5)
def sequential():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, "relu", name="a"),
            layers.Dense(4, name="linear"),
            layers.Activation("tanh", name="b"),
            layers.Dense(5, activation="leaky_relu", name="c"),
            layers.Dense(2, name="logits"),
            layers.Softmax(name="out"),
        ]
    )


@listed(
    *(
        "relu relu",
        "relu6 relu6",
        "leaky leaky_relu(alpha=0.1)",
        "elu elu(alpha=0.5)",
        "sep silu",
        "deep gelu",
    ),
    *(
        "up selu",
        "mine trelu(alpha=trained(0.0),theta=trained(1.0))",
        "object mish",
        "out sigmoid output",
    ),
    alphas=3 + 4 + 5 + 6 + 7 + 7 + 4 + 4 + 4,
)
def every_layer():
    x = h = keras.Input((8, 8, 2))
    for filters, act in [
        (3, layers.ReLU(name="relu")),
        (4, layers.ReLU(6.0, name="relu6")),
        (5, layers.LeakyReLU(negative_slope=0.1, name="leaky")),
        (6, layers.ELU(alpha=0.5, name="elu")),
    ]:
        h = act(
            layers.BatchNormalization(name=f"{act.name}_bn")(conv(filters, f"{act.name}_conv")(h))
        )
    h = layers.SeparableConv2D(7, 3, activation="silu", name="sep")(h)
    h = layers.DepthwiseConv2D(3, activation="gelu", name="deep")(h)
    h = layers.Conv2DTranspose(4, 3, activation="selu", name="up")(h)
    h = ka.layers.TReLU(name="mine")(h)
    h = conv(4, "object", activation=ka.Mish())(h)
    h = layers.Dense(1, activation="sigmoid", name="out")(
        layers.GlobalAveragePooling2D(name="pool")(h)
    )
    return keras.Model(x, h)


@listed(
    "keras_prelu prelu", "out softmax output", alphas=3 - 4 * 4 * 3
)  # Keras' own has one alpha a pixel
def keras_prelu():
    x = keras.Input((4, 4, 2))
    h = layers.PReLU(name="keras_prelu")(conv(3, "conv")(x))
    return keras.Model(x, layers.Dense(2, "softmax", name="out")(layers.Flatten(name="flat")(h)))


@listed("stem relu", "r1 relu", "r2 relu", "r3 relu", "out softmax output", alphas=4 * 4)
def residual():
    x = keras.Input((8, 8, 3))
    h = conv(4, "stem", activation="relu")(x)
    y = layers.ReLU(name="r1")(layers.BatchNormalization(name="bn1")(conv(4, "c1")(h)))
    h = layers.ReLU(name="r2")(conv(4, "c2")(y) + h)
    h = layers.ReLU(name="r3")(layers.Add(name="sum")([conv(4, "c3")(h), h]))
    return keras.Model(
        x, layers.Dense(3, "softmax", name="out")(layers.GlobalMaxPooling2D(name="pool")(h))
    )


@listed(
    "d1 relu",
    "d2 relu",
    "mid relu",
    "t2 relu",
    "u2 relu",
    "t1 relu",
    "u1 relu",
    "mask sigmoid output",
    alphas=38,
)
def unet():
    x = keras.Input((8, 8, 1))
    d1 = conv(4, "d1", activation="relu")(x)
    d2 = conv(6, "d2", activation="relu")(layers.MaxPooling2D(name="p1")(d1))
    h = conv(8, "mid", activation="relu")(layers.MaxPooling2D(name="p2")(d2))
    h = layers.Conv2DTranspose(6, 2, strides=2, activation="relu", name="t2")(h)
    h = conv(6, "u2", activation="relu")(layers.Concatenate(name="j2")([h, d2]))
    h = layers.Conv2DTranspose(4, 2, strides=2, activation="relu", name="t1")(h)
    h = conv(4, "u1", activation="relu")(layers.Concatenate(name="j1")([h, d1]))
    return keras.Model(x, conv(1, "mask", activation="sigmoid")(h))


@listed(
    *("lstm tanh", "lstm.recurrent_activation sigmoid gate", "both/forward_gru tanh"),
    *("both/forward_gru.recurrent_activation sigmoid gate", "both/backward_gru tanh"),
    *("both/backward_gru.recurrent_activation sigmoid gate", "dense relu", "out softmax output"),
    alphas=5 + 4 + 4 + 6,
)
def recurrent():
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.LSTM(5, return_sequences=True, name="lstm"),
            layers.Bidirectional(layers.GRU(4, name="gru"), name="both"),
            layers.Dense(6, "relu", name="dense"),
            layers.Dense(2, "softmax", name="out"),
        ]
    )


@listed(
    *(
        "rnn/cells/gru tanh",
        "rnn/cells/gru.recurrent_activation sigmoid gate",
        "rnn/cells/lstm tanh",
    ),
    *("rnn/cells/lstm.recurrent_activation sigmoid gate", "simple tanh", "out sigmoid output"),
    alphas=4 + 3 + 6,
)
def cells():
    x = keras.Input((5, 3))
    stacked = layers.StackedRNNCells(
        [layers.GRUCell(4, name="gru"), layers.LSTMCell(3, name="lstm")], name="cells"
    )
    h = layers.RNN(stacked, return_sequences=True, name="rnn")(x)
    h = layers.SimpleRNN(6, name="simple")(h)
    return keras.Model(x, layers.Dense(1, "sigmoid", name="out")(h))


@listed("weights softmax gate", "ffn gelu", "einsum relu", "out softmax output", alphas=16 + 6)
def transformer():
    x = keras.Input((6, 8))
    h = layers.MultiHeadAttention(2, 4, name="heads")(x, x)
    h = layers.LayerNormalization(name="norm1")(layers.Add(name="add1")([x, h]))
    scores = layers.Dot(axes=(2, 2), name="scores")(
        [layers.Dense(8, name="q")(h), layers.Dense(8, name="k")(h)]
    )
    h = layers.Dot(axes=(2, 1), name="mix")([layers.Softmax(name="weights")(scores), h]) + h
    f = layers.Dense(8, name="back")(layers.Dense(16, "gelu", name="ffn")(h))
    h = layers.LayerNormalization(name="norm2")(layers.Add(name="add2")([h, f]))
    h = layers.EinsumDense("abc,cd->abd", (None, 6), activation="relu", name="einsum")(h)
    return keras.Model(x, layers.Dense(2, "softmax", name="out")(h[:, 0]))


@listed(
    *(
        "left relu",
        "right tanh",
        "joint relu",
        "kind softmax output",
        "amount relu output",
        "code tanh output",
    ),
    alphas=3 + 4 + 6,
)
def many_ends():
    left, right = keras.Input((4,), name="in_left"), keras.Input((5,), name="in_right")
    h = layers.Concatenate(name="join")(
        [layers.Dense(3, "relu", name="left")(left), layers.Dense(4, "tanh", name="right")(right)]
    )
    h = layers.Dense(6, "relu", name="joint")(h)
    code = layers.Dense(4, "tanh", name="code")(h)  # returned, and used too
    kind = layers.Dense(3, "softmax", name="kind")(code)
    return keras.Model([left, right], [kind, layers.Dense(1, "relu", name="amount")(h), code])


@listed(
    *(
        "encoder/first relu",
        "encoder/core/second tanh",
        "encoder/core/third relu",
        "decoder/fourth relu",
    ),
    "decoder/back sigmoid output",
    alphas=5 + 4 + 3 + 6,
)
def nested():
    core = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, "tanh", name="second"),
            layers.Dense(3, "relu", name="third"),
        ],
        name="core",
    )
    x = keras.Input((8,))
    encoder = keras.Model(x, core(layers.Dense(5, "relu", name="first")(x)), name="encoder")
    decoder = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(6, "relu", name="fourth"),
            layers.Dense(8, "sigmoid", name="back"),
            layers.Reshape((2, 4), name="reshape"),
        ],
        name="decoder",
    )
    return keras.Sequential([keras.Input((8,)), encoder, decoder])


@listed("tower/dense relu", "shared tanh", "out sigmoid output", alphas=4 + 5)
def shared():
    one, two = keras.Input((6,)), keras.Input((6,))
    tower = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4, "relu", name="dense")], name="tower"
    )
    both = layers.Dense(5, "tanh", name="shared")
    h = layers.Subtract(name="difference")([both(tower(one)), both(tower(two))])
    return keras.Model([one, two], layers.Dense(1, "sigmoid", name="out")(h))


@listed(
    "a/inner relu", "used_twice tanh", "b/used_too relu", "out softmax output", alphas=4 + 4 + 4
)
def shared_between_models():
    x = keras.Input((4,))
    twice = layers.Dense(4, "tanh", name="used_twice")
    a = keras.Model(x, layers.Dense(4, "relu", name="inner")(x), name="a")
    y = keras.Input((4,))
    b = keras.Model(y, layers.Dense(4, "relu", name="used_too")(twice(y)), name="b")
    z = keras.Input((4,))
    return keras.Model(z, layers.Dense(2, "softmax", name="out")(b(twice(a(z)))))


@listed(
    "each/dense relu",
    "frames/image/conv relu",
    "frames/image/pooled tanh",
    "tags/tag softmax output",
    alphas=12,
)
def time_distributed():
    x = keras.Input((3, 4, 4, 2))
    image = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            conv(3, "conv", activation="relu"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(4, "tanh", name="pooled"),
        ],
        name="image",
    )
    h = layers.TimeDistributed(image, name="frames")(x)
    h = layers.TimeDistributed(layers.Dense(5, "relu", name="dense"), name="each")(h)
    return keras.Model(
        x, layers.TimeDistributed(layers.Dense(2, "softmax", name="tag"), name="tags")(h)
    )


@listed("conv relu", "each/dense relu", "act mish", "out softmax output", alphas=4 + 5 + 6)
def mixed_precision():
    policy = "mixed_bfloat16"
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.Conv1D(4, 3, activation="relu", name="conv", dtype=policy),
            layers.TimeDistributed(
                layers.Dense(5, "relu", name="dense", dtype=policy), name="each", dtype=policy
            ),
            layers.Flatten(name="flat", dtype=policy),
            layers.Dense(6, name="linear", dtype=policy),
            layers.Activation("mish", name="act", dtype=policy),
            layers.Dense(2, "softmax", name="out", dtype="float32"),
        ]
    )


@listed(
    "base/f1 relu frozen",
    "base/f2 relu frozen",
    "base/tuned relu",
    "head tanh",
    "out softmax output",
    alphas=3 + 6,
)
def frozen():
    base = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            conv(4, "f1", activation="relu"),
            conv(5, "c2"),
            layers.ReLU(name="f2"),
            conv(3, "tuned", activation="relu"),
            layers.GlobalAveragePooling2D(name="pool"),
        ],
        name="base",
    )
    base.trainable = False
    base.get_layer("tuned").trainable = True
    model = keras.Sequential([keras.Input((8, 8, 1)), base])
    model.add(layers.Dense(6, "tanh", name="head"))
    model.add(layers.Dense(2, "softmax", name="out"))
    return model


@listed(
    "conv silu",
    "squeeze relu",
    "excite sigmoid gate",
    "old sigmoid",
    "out softmax output",
    alphas=4 + 2 + 5,
)
def squeeze_and_excite():
    x = keras.Input((8, 8, 1))
    h = conv(4, "conv", activation="silu")(x)
    s = layers.Dense(2, "relu", name="squeeze")(layers.GlobalAveragePooling2D(name="pool")(h))
    s = layers.Reshape((1, 1, 4), name="shape")(layers.Dense(4, "sigmoid", name="excite")(s))
    h = layers.Flatten(name="flat")(layers.Multiply(name="scale")([h, s]))
    h = layers.Dense(5, "sigmoid", name="old")(h)  # hidden, as before 2010
    return keras.Model(x, layers.Dense(2, "softmax", name="out")(h))


@listed(
    "value tanh",
    "gate sigmoid gate",
    "hard relu6 gate",
    "carry sigmoid gate",
    "out linear_only",
    alphas=4 + 0,
)
def gated():
    x = keras.Input((9, 3))
    value = layers.Conv1D(4, 2, activation="tanh", name="value")(x)
    h = value * layers.Conv1D(4, 2, activation="sigmoid", name="gate")(x)
    h = layers.Multiply(name="hard_mul")(
        [h, layers.ReLU(6.0, name="hard")(layers.Dense(4, name="lin")(h) + 3.0) / 6.0]
    )
    carry = layers.Dense(4, "sigmoid", name="carry")(h)
    h = h * (1 - carry) + value * carry
    return keras.Model(x, layers.Dense(2, name="out")(h))


ZOO["gated"].slots.pop()  # the output is linear: no slot


@listed("dense relu", "action tanh output", alphas=4)
def actor():
    """An adapted normalization, and an output that is scaled and cut into pieces."""
    normalization = layers.Normalization(name="scale")
    normalization.adapt(np.random.default_rng(0).normal(3, 2, size=(50, 4)))
    x = keras.Input((4,))
    h = layers.Dense(4, "relu", name="dense")(normalization(x))
    h = layers.Dropout(0.5, name="drop")(layers.Dense(6, "tanh", name="action")(h)) * 2.0
    return keras.Model(x, [h[:, :2], layers.Reshape((2, 2), name="pairs")(h[:, 2:])])


@listed(
    *(
        "act1 relu",
        "act2 leaky_relu(alpha=0.3)",
        "act3 trelu(alpha=0.2,theta=0.1)",
        "act4 sigmoid gate",
    ),
    "act5 softmax output",
    alphas=3 + 4 + 5,
)
def operations():
    """Activations called as functions.

    Keras names their operations by itself, here as they come.
    """
    x = keras.Input((4,))
    h = keras.activations.relu(layers.Dense(3, name="a")(x))
    h = keras.ops.leaky_relu(layers.Dense(4, name="b")(h), 0.3)
    h = ka.functions.trelu(layers.Dense(5, name="c")(h), alpha=0.2, theta=0.1)
    h = h * keras.ops.sigmoid(h)
    model = keras.Model(x, keras.ops.softmax(layers.Dense(2, name="d")(h)))
    kinds = ("ReLU", "LeakyRelu", "Apply", "Sigmoid", "Softmax")
    found = {type(operation).__name__: operation for operation in model.operations}
    for number, kind in enumerate(kinds, 1):
        found[kind].name = f"act{number}"
    return model


@keras.saving.register_keras_serializable(package="zoo")
class Scaled(layers.Layer):
    """A user's own layer that takes an activation."""

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)
        self.dense = layers.Dense(units, name="inner")

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, x):
        return self.activation(self.dense(x)) * 2

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation}


@keras.saving.register_keras_serializable(package="zoo")
def squash(x):
    return x / (1 + keras.ops.abs(x))


@keras.saving.register_keras_serializable(package="zoo")
def scaled(x, factor):
    return x * factor


@listed(
    "own relu", "function zoo.squash", "spectral/conv relu", "out softmax output", alphas=3 + 4 + 5
)
def users_own():
    x = keras.Input((6, 2))
    h = layers.Dense(4, squash, name="function")(Scaled(3, "relu", name="own")(x))
    h = layers.Lambda(scaled, arguments={"factor": 3.0}, name="scaled")(h)
    h = layers.SpectralNormalization(
        layers.Conv1D(5, 2, activation="relu", name="conv"), name="spectral"
    )(h)
    return keras.Model(
        x, layers.Dense(2, "softmax", name="out")(layers.GlobalMaxPooling1D(name="pool")(h))
    )


@listed(
    "block/dense1 gelu",
    "mixer/mlp1/0 gelu",
    "mixer/mlp2/1 relu",
    "head tanh",
    "out softmax output",
    alphas=16 + 4 + 4 + 5,
)
def vision_transformer():
    """Layers of a user's own, in a row: after keras.io's ViT and MLP-Mixer."""
    x = keras.Input((4, 8))
    h = custom.MLPMixerLayer(4, 8, name="mixer")(custom.ViTBlock(8, name="block")(x))
    h = layers.Dense(5, "tanh", name="head")(layers.GlobalAveragePooling1D(name="pool")(h))
    return keras.Model(x, layers.Dense(3, "softmax", name="out")(h))


@listed(
    "block/branches/skip tanh",
    "block/act relu",
    "excite/reduce relu",
    "excite/expand sigmoid gate",
    "tower/inner/wide relu",
    "tower/inner/act tanh",
    "out/hidden relu",
    "out/classify softmax output",
    alphas=4 + 4 + 2 + 2 * 4 + 4 + 6,
)
def residual_layers():
    """In lists and dicts, in a nested model, made in `build`, and at the end of the model."""
    x = keras.Input((8, 8, 3))
    h = custom.Residual(4, name="block")(conv(4, "stem")(x))
    h = custom.SqueezeExcite(4, name="excite")(h)
    tower = keras.Sequential([keras.Input((4,)), custom.BuildsInside(name="inner")], name="tower")
    h = tower(layers.GlobalAveragePooling2D(name="pool")(h))
    return keras.Model(x, custom.Head(3, name="out")(h))


@listed(
    "stack/blocks/0/dense relu",
    "stack/blocks/1/dense relu",
    "each/inner/wide relu",
    "each/inner/act tanh",
    "own/activation relu",
    "out softmax output",
    alphas=4 + 4 + 8 + 4 + 5,
)
def layers_in_layers():
    """A user's layers in a user's layer, and in a wrapper; an activation that is an attribute."""
    x = keras.Input((3, 6))
    h = custom.Stack(4, name="stack")(x)
    h = layers.TimeDistributed(custom.BuildsInside(name="inner"), name="each")(h)
    h = custom.HoldsFunction(5, name="own")(layers.Flatten(name="flat")(h))
    return keras.Model(x, layers.Dense(3, "softmax", name="out")(h))
