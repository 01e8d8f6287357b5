"""Layers of a user's own, as people write them: after the kinds of keras.io's examples.

`MODELS` has a model around each, `OPEN` those with activations inside that can be followed.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

register = keras.saving.register_keras_serializable("custom")

MODELS: dict[str, Callable[[], keras.Model]] = {}


def model(build):
    """Put a function that builds a model into `MODELS`."""
    MODELS[build.__name__] = build
    return build


# ---- vision transformers


@register
class Patches(layers.Layer):
    """No activation, and no weights."""

    def __init__(self, patch_size):
        super().__init__()
        self.patch_size = patch_size

    def call(self, images):
        size = self.patch_size
        _, height, width, channels = images.shape
        x = ops.reshape(images, (-1, height // size, size, width // size, size, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        count = (height // size) * (width // size)
        return ops.reshape(x, (-1, count, size * size * channels))

    def get_config(self):
        config = super().get_config()
        config.update({"patch_size": self.patch_size})
        return config


@register
class PatchEncoder(layers.Layer):
    """An Embedding of positions inside, and neither ``**kwargs`` nor a name in the config."""

    def __init__(self, num_patches, projection_dim):
        super().__init__()
        self.num_patches = num_patches
        self.projection = layers.Dense(units=projection_dim)
        self.position_embedding = layers.Embedding(num_patches, projection_dim)

    def call(self, patch):
        positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
        return self.projection(patch) + self.position_embedding(positions)

    def get_config(self):
        return {"num_patches": self.num_patches}


@register
class ViTBlock(layers.Layer):
    def __init__(self, dim, heads=2, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.heads = heads
        self.rate = rate
        self.norm1 = layers.LayerNormalization(epsilon=1e-6)
        self.attention = layers.MultiHeadAttention(heads, dim // heads, dropout=rate)
        self.norm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dense1 = layers.Dense(2 * dim, activation=keras.activations.gelu)
        self.dropout = layers.Dropout(rate)
        self.dense2 = layers.Dense(dim)

    def call(self, x):
        h = self.norm1(x)
        x = x + self.attention(h, h)
        return x + self.dense2(self.dropout(self.dense1(self.norm2(x))))

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "heads": self.heads, "rate": self.rate}


# ---- text


@register
class TokenAndPositionEmbedding(layers.Layer):
    """No get_config at all."""

    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        positions = ops.arange(0, ops.shape(x)[-1], 1)
        return self.token_emb(x) + self.pos_emb(positions)


@register
class TransformerBlock(layers.Layer):
    """keras.io's: the feed-forward part is a Sequential model."""

    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential(
            [layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs):
        attended = self.dropout1(self.att(inputs, inputs))
        out1 = self.layernorm1(inputs + attended)
        return self.layernorm2(out1 + self.dropout2(self.ffn(out1)))


@register
class FNetEncoder(layers.Layer):
    def __init__(self, embed_dim, dense_dim, **kwargs):
        super().__init__(**kwargs)
        self.embed_dim = embed_dim
        self.dense_dim = dense_dim
        self.dense_proj = keras.Sequential(
            [layers.Dense(dense_dim, activation="relu", name="wide"), layers.Dense(embed_dim)]
        )
        self.layernorm_1 = layers.LayerNormalization()
        self.layernorm_2 = layers.LayerNormalization()

    def call(self, inputs):
        mixed = ops.fft2((inputs, ops.zeros_like(inputs)))[0]
        proj_input = self.layernorm_1(inputs + mixed)
        return self.layernorm_2(proj_input + self.dense_proj(proj_input))


# ---- mixers


@register
class MLPMixerLayer(layers.Layer):
    """Built as keras.io's: the Sequential models have an activation as a layer."""

    def __init__(self, num_patches, hidden_units, dropout_rate=0.0, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mlp1 = keras.Sequential(
            [
                layers.Dense(units=num_patches, activation="gelu"),
                layers.Dense(units=num_patches),
                layers.Dropout(rate=dropout_rate),
            ]
        )
        self.mlp2 = keras.Sequential(
            [
                layers.Dense(units=num_patches),
                layers.ReLU(),
                layers.Dense(units=hidden_units),
                layers.Dropout(rate=dropout_rate),
            ]
        )
        self.normalize = layers.LayerNormalization(epsilon=1e-6)

    def build(self, input_shape):
        return super().build(input_shape)

    def call(self, inputs):
        x = self.normalize(inputs)
        channels = ops.transpose(x, axes=(0, 2, 1))
        x = ops.transpose(self.mlp1(channels), axes=(0, 2, 1)) + inputs
        return x + self.mlp2(self.normalize(x))


@register
class GMLPLayer(layers.Layer):
    """The spatial gating unit: what one half makes multiplies the other."""

    def __init__(self, num_patches, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        self.channel_projection1 = keras.Sequential(
            [layers.Dense(embedding_dim * 2, activation="gelu"), layers.Dropout(0.0)]
        )
        self.channel_projection2 = layers.Dense(units=embedding_dim)
        self.spatial_projection = layers.Dense(units=num_patches, bias_initializer="Ones")
        self.normalize1 = layers.LayerNormalization(epsilon=1e-6)
        self.normalize2 = layers.LayerNormalization(epsilon=1e-6)

    def spatial_gating_unit(self, x):
        u, v = ops.split(x, indices_or_sections=2, axis=2)
        v = ops.transpose(self.normalize2(v), (0, 2, 1))
        return u * ops.transpose(self.spatial_projection(v), (0, 2, 1))

    def call(self, inputs):
        x = self.channel_projection1(self.normalize1(inputs))
        return self.channel_projection2(self.spatial_gating_unit(x)) + inputs


@register
class StochasticDepth(layers.Layer):
    """Random numbers, and no weights."""

    def __init__(self, drop_prop, **kwargs):
        super().__init__(**kwargs)
        self.drop_prob = drop_prop
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, x, training=None):
        if training:
            keep_prob = 1 - self.drop_prob
            shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
            random = keep_prob + keras.random.uniform(shape, 0, 1, seed=self.seed_generator)
            return (x / keep_prob) * ops.floor(random)
        return x

    def get_config(self):
        config = super().get_config()
        config.update({"drop_prop": self.drop_prob})
        return config


@register
class CCTTokenizer(layers.Layer):
    """A Sequential model that is filled in a loop; arguments that no attribute keeps."""

    def __init__(self, kernel_size=3, stride=1, padding=1, num_output_channels=(4, 6), **kwargs):
        super().__init__(**kwargs)
        self.conv_model = keras.Sequential()
        for channels in num_output_channels:
            self.conv_model.add(
                layers.Conv2D(
                    channels,
                    kernel_size,
                    stride,
                    padding="valid",
                    use_bias=False,
                    activation="relu",
                    kernel_initializer="he_normal",
                )
            )
            self.conv_model.add(layers.ZeroPadding2D(padding))
            self.conv_model.add(layers.MaxPooling2D(2, 2, "same"))

    def call(self, images):
        outputs = self.conv_model(images)
        shape = ops.shape(outputs)
        return ops.reshape(outputs, (-1, shape[1] * shape[2], outputs.shape[-1]))


# ---- others


@register
class Sampling(layers.Layer):
    """Of a VAE: random in training and without."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(ops.shape(z_mean), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


def create_ffn(hidden_units, dropout_rate):
    found = []
    for units in hidden_units:
        found.append(layers.BatchNormalization())
        found.append(layers.Dropout(dropout_rate))
        found.append(layers.Dense(units, activation=ops.nn.gelu))
    return keras.Sequential(found)


@register
class GraphConv(layers.Layer):
    """A list of Dense layers, made in a loop; an array as an argument."""

    def __init__(self, adjacency, hidden_units, **kwargs):
        super().__init__(**kwargs)
        self.adjacency = adjacency
        self.hidden_units = hidden_units
        self.denses = []
        for units in hidden_units:
            self.denses.append(layers.Dense(units, activation="relu"))

    def call(self, x):
        for dense in self.denses:
            x = dense(ops.matmul(ops.convert_to_tensor(self.adjacency), x))
        return x


@register
class GraphFFN(layers.Layer):
    """keras.io's node classification: a helper makes a Sequential model."""

    def __init__(self, hidden_units, dropout_rate=0.0, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ffn_prepare = create_ffn(hidden_units, dropout_rate)

    def call(self, x):
        return self.ffn_prepare(x)


@register
class Residual(layers.Layer):
    """Sublayers in lists and dicts, and an activation that all of them share."""

    def __init__(self, channels, depth=2, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.depth = depth
        self.branches = {
            "main": [layers.Conv2D(channels, 3, padding="same") for _ in range(depth)],
            "skip": layers.Conv2D(channels, 1, activation="tanh"),
        }
        self.act = layers.ReLU()

    def call(self, x):
        h = x
        for conv in self.branches["main"]:
            h = self.act(conv(h))
        return h + self.branches["skip"](x)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "depth": self.depth}


@register
class HoldsFunction(layers.Layer):
    """Its activation is a function that the constructor does not take."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units)
        self.activation = keras.activations.get("relu")

    def call(self, x):
        return self.activation(self.dense(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@register
class CallsKeras(layers.Layer):
    """The activation is a line in `call`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units)

    def call(self, x):
        return ops.relu(self.dense(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@register
class CallsTensorFlow(CallsKeras):
    def call(self, x):
        return tf.nn.relu(self.dense(x))


@register
class NoOptions(layers.Layer):
    """A constructor without ``**kwargs``."""

    def __init__(self, units):
        super().__init__()
        self.dense = layers.Dense(units, activation="relu")

    def call(self, x):
        return self.dense(x)


@register
class ForgetsArgument(layers.Layer):
    """The config tells one argument of two, and the other is no plain value."""

    def __init__(self, units, regularizer=None, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.scale = scale
        self.dense = layers.Dense(units, activation="relu", kernel_regularizer=regularizer)
        self.regularizer = regularizer

    def call(self, x):
        return self.dense(x) * self.scale

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@register
class ForgetsName(layers.Layer):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units, "relu")

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {"units": self.units}


@register
class NoConfig(layers.Layer):
    """No get_config, and arguments of which Keras records none: one is an array."""

    def __init__(self, table, sizes, options, **kwargs):
        super().__init__(**kwargs)
        self.table = table
        self.sizes = list(sizes)
        self._options = options
        self.dense = layers.Dense(sum(sizes), activation="tanh")

    def call(self, x):
        return self.dense(x * ops.convert_to_tensor(self.table)) * self._options["scale"]


@register
class KeepsNothing(layers.Layer):
    """As `NoConfig`, but nothing tells the rate."""

    def __init__(self, table, rate=0.1):
        super().__init__()
        self.table = table
        self.drop = layers.Dropout(rate)
        self.dense = layers.Dense(4, activation="relu")

    def call(self, x):
        return self.drop(self.dense(x * ops.convert_to_tensor(self.table)))


class Decay(keras.regularizers.Regularizer):
    """Not registered, and without a config."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * ops.sum(ops.abs(x) ** 1.5)


class Capped(keras.constraints.Constraint):
    """Not registered."""

    def __init__(self, largest):
        self.largest = largest

    def __call__(self, w):
        return ops.clip(w, -self.largest, self.largest)


class Steps(keras.initializers.Initializer):
    """Not registered."""

    def __init__(self, step):
        self.step = step

    def __call__(self, shape, dtype=None):
        size = int(np.prod(shape))
        return ops.reshape(ops.arange(size, dtype="float32") % 7 * self.step, shape)


def shifted(shape, dtype=None):
    """An initializer that is a function, not registered."""
    return ops.ones(shape, dtype) * 0.05


@register
class BuildsInside(layers.Layer):
    """Its sublayers are made in `build`."""

    def __init__(self, expansion=2, **kwargs):
        super().__init__(**kwargs)
        self.expansion = expansion

    def build(self, input_shape):
        width = input_shape[-1]
        self.wide = layers.Dense(width * self.expansion, activation="relu", name="wide")
        self.act = layers.Activation("tanh", name="act")
        self.narrow = layers.Dense(width, name="narrow")
        self.wide.build(input_shape)
        self.narrow.build((*input_shape[:-1], width * self.expansion))

    def call(self, x):
        return self.act(self.narrow(self.wide(x)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "expansion": self.expansion}


@register
class SqueezeExcite(layers.Layer):
    """A gate: what the sigmoid makes weighs the channels."""

    def __init__(self, channels, ratio=2, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.ratio = ratio
        self.pool = layers.GlobalAveragePooling2D(keepdims=True)
        self.reduce = layers.Conv2D(channels // ratio, 1, activation="relu")
        self.expand = layers.Conv2D(channels, 1, activation="sigmoid")

    def call(self, x):
        return x * self.expand(self.reduce(self.pool(x)))

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "ratio": self.ratio}


@register
class Head(layers.Layer):
    """The output of the model is made inside."""

    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.hidden = layers.Dense(6, activation="relu")
        self.classify = layers.Dense(classes, activation="softmax")

    def call(self, x):
        return self.classify(self.hidden(x))

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@register
class Stack(layers.Layer):
    """Layers of a user's own inside of one."""

    def __init__(self, units, depth=2, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.depth = depth
        self.blocks = [ForgetsName(units) for _ in range(depth)]

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x

    def get_config(self):
        return {**super().get_config(), "units": self.units, "depth": self.depth}


# ---- models around them


def flat(layer, shape=(6,), dtype=None, before=()):
    """A layer, a hidden slot and an output."""
    ends = [
        layers.Flatten(name="flat"),
        layers.Dense(5, activation="relu", name="head"),
        layers.Dense(3, activation="softmax", name="out"),
    ]
    return keras.Sequential([keras.Input(shape, dtype=dtype), *before, layer, *ends])


def image(layer):
    return flat(layer, (8, 8, 3), before=[layers.Conv2D(4, 3, padding="same", name="stem")])


def ring(count=4):
    near = np.eye(count) + np.roll(np.eye(count), 1, axis=0)
    return (near / 2).astype("float32")


@model
def patches():
    return flat(Patches(4), (8, 8, 3))


@model
def patch_encoder():
    encoder = PatchEncoder(4, 6)
    return flat(encoder, (8, 8, 3), before=[Patches(4)])


@model
def vit():
    return flat(ViTBlock(8, name="block"), (4, 8))


@model
def tokens():
    before = [TokenAndPositionEmbedding(6, 2, 8)]
    block = TransformerBlock(8, 2, 10)
    block.name = "block"
    return flat(block, (6,), "int32", before)


@model
def fnet():
    return flat(FNetEncoder(8, 10, name="block"), (4, 8))


@model
def mixer():
    return flat(MLPMixerLayer(4, 8, name="block"), (4, 8))


@model
def gmlp():
    return flat(GMLPLayer(4, 8, name="block"), (4, 8))


@model
def stochastic_depth():
    return flat(StochasticDepth(0.3, name="drop"))


@model
def cct():
    return flat(CCTTokenizer(num_output_channels=(4, 6), name="block"), (8, 8, 3))


@model
def vae():
    x = keras.Input((6,))
    h = layers.Dense(8, activation="relu", name="encode")(x)
    mean = layers.Dense(2, name="mean")(h)
    variance = layers.Dense(2, name="variance")(h)
    z = Sampling(name="z")([mean, variance])
    h = layers.Dense(8, activation="relu", name="decode")(z)
    return keras.Model(x, layers.Dense(6, name="out")(h))


@model
def graph():
    return flat(GraphConv(ring(), (5, 6), name="block"), (4, 3))


@model
def graph_ffn():
    return flat(GraphFFN((5, 6), name="block"), (4, 3))


@model
def residual():
    return image(Residual(4, name="block"))


@model
def holds_function():
    return flat(HoldsFunction(4, name="block"))


@model
def calls_keras():
    return flat(CallsKeras(4, name="block"))


@model
def calls_tensorflow():
    return flat(CallsTensorFlow(4, name="block"))


@model
def no_options():
    layer = NoOptions(4)
    layer.name = "block"
    return flat(layer)


@model
def forgets_argument():
    return flat(ForgetsArgument(4, Decay(0.01), 3.0, name="block"))


@model
def forgets_name():
    return flat(ForgetsName(4, name="block"))


@model
def no_config():
    table = np.linspace(0.5, 2, 6).astype("float32")
    return flat(NoConfig(table, (2, 3), {"scale": 2.0}, name="block"))


@model
def keeps_nothing():
    return flat(KeepsNothing(np.ones(6, "float32"), rate=0.4))


@model
def unregistered_parts():
    dense = layers.Dense(
        4,
        activation="relu",
        name="block",
        kernel_regularizer=Decay(0.01),
        kernel_constraint=Capped(0.5),
        kernel_initializer=Steps(0.01),
        bias_initializer=shifted,
    )
    return flat(dense)


@model
def builds_inside():
    return flat(BuildsInside(name="block"))


@model
def squeeze_excite():
    return image(SqueezeExcite(4, name="block"))


@model
def stack():
    return flat(Stack(4, name="block"))


@model
def head():
    x = keras.Input((6,))
    h = layers.Dense(5, activation="relu", name="first")(x)
    return keras.Model(x, Head(3, name="block")(h))
