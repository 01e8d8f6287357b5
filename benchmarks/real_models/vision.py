"""Models of images, as keras.io's vision examples write them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .example import Example, Way, built_by, classifier, images, regressor, rng


def mnist_convnet() -> keras.Model:
    """Simple MNIST convnet."""
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ]
    )
    return classifier(model)


def mlp_head(x: Any, hidden_units: list[int], dropout_rate: float) -> Any:
    """The MLP of the ViT example: a function of the functional API."""
    for units in hidden_units:
        x = layers.Dense(units, activation=keras.activations.gelu)(x)
        x = layers.Dropout(dropout_rate)(x)
    return x


class Patches(layers.Layer):
    """Cuts an image into patches."""

    def __init__(self, patch_size):
        super().__init__()
        self.patch_size = patch_size

    def call(self, images):
        batch_size, height, width, channels = ops.shape(images)
        rows = height // self.patch_size
        columns = width // self.patch_size
        patches = ops.image.extract_patches(images, size=self.patch_size)
        depth = self.patch_size * self.patch_size * channels
        return ops.reshape(patches, (batch_size, rows * columns, depth))

    def get_config(self):
        config = super().get_config()
        config.update({"patch_size": self.patch_size})
        return config


class PatchEncoder(layers.Layer):
    """Projects patches, and adds a learned embedding of their positions."""

    def __init__(self, num_patches, projection_dim):
        super().__init__()
        self.num_patches = num_patches
        self.projection = layers.Dense(units=projection_dim)
        self.position_embedding = layers.Embedding(input_dim=num_patches, output_dim=projection_dim)

    def call(self, patch):
        positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
        projected = self.projection(patch)
        return projected + self.position_embedding(positions)

    def get_config(self):
        config = super().get_config()
        config.update({"num_patches": self.num_patches})
        return config


def vision_transformer() -> keras.Model:
    """Image classification with Vision Transformer."""
    inputs = keras.Input((12, 12, 3))
    patches = Patches(4)(inputs)
    encoded = PatchEncoder(9, 8)(patches)
    for _ in range(2):
        x1 = layers.LayerNormalization(epsilon=1e-6)(encoded)
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(x1, x1)
        x2 = layers.Add()([attention, encoded])
        x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
        x3 = mlp_head(x3, [16, 8], 0.1)
        encoded = layers.Add()([x3, x2])
    representation = layers.LayerNormalization(epsilon=1e-6)(encoded)
    representation = layers.Flatten()(representation)
    representation = layers.Dropout(0.5)(representation)
    features = mlp_head(representation, [16], 0.5)
    logits = layers.Dense(4)(features)
    model = keras.Model(inputs=inputs, outputs=logits)
    return classifier(model, keras.optimizers.AdamW(0.001, weight_decay=0.0001))


class CCTTokenizer(layers.Layer):
    """Convolutions in place of patches."""

    def __init__(self, kernel_size=3, stride=1, padding=1, channels=(8, 12), **kwargs):
        super().__init__(**kwargs)
        self.conv_model = keras.Sequential()
        for filters in channels:
            self.conv_model.add(
                layers.Conv2D(
                    filters,
                    kernel_size,
                    stride,
                    padding="valid",
                    use_bias=False,
                    activation="relu",
                    kernel_initializer="he_normal",
                )
            )
            self.conv_model.add(layers.ZeroPadding2D(padding))
            self.conv_model.add(layers.MaxPooling2D(3, 2, "same"))

    def call(self, images):
        outputs = self.conv_model(images)
        shape = ops.shape(outputs)
        return ops.reshape(outputs, (-1, shape[1] * shape[2], shape[-1]))


class StochasticDepth(layers.Layer):
    """Drops whole residual branches of samples."""

    def __init__(self, drop_prop, **kwargs):
        super().__init__(**kwargs)
        self.drop_prob = drop_prop
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, x, training=None):
        if training:
            keep_prob = 1 - self.drop_prob
            shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
            random_tensor = keep_prob + keras.random.uniform(shape, 0, 1, seed=self.seed_generator)
            return (x / keep_prob) * ops.floor(random_tensor)
        return x


class SequencePooling(layers.Layer):
    """Attention over positions."""

    def __init__(self):
        super().__init__()
        self.attention = layers.Dense(1)

    def call(self, x):
        weights = ops.softmax(self.attention(x), axis=1)
        weights = ops.transpose(weights, axes=(0, 2, 1))
        return ops.squeeze(ops.matmul(weights, x), -2)


def compact_transformer() -> keras.Model:
    """Compact Convolutional Transformers."""
    inputs = keras.Input((12, 12, 3))
    encoded = CCTTokenizer()(inputs)
    for _ in range(2):
        x1 = layers.LayerNormalization(epsilon=1e-5)(encoded)
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=12, dropout=0.1)(x1, x1)
        attention = StochasticDepth(0.1)(attention)
        x2 = layers.Add()([attention, encoded])
        x3 = layers.LayerNormalization(epsilon=1e-5)(x2)
        for units in (12, 12):
            x3 = layers.Dense(units, activation=ops.gelu)(x3)
            x3 = layers.Dropout(0.1)(x3)
        x3 = StochasticDepth(0.1)(x3)
        encoded = layers.Add()([x3, x2])
    representation = layers.LayerNormalization(epsilon=1e-5)(encoded)
    logits = layers.Dense(4)(SequencePooling()(representation))
    return classifier(keras.Model(inputs=inputs, outputs=logits))


class MLPMixerLayer(layers.Layer):
    """The block of the MLP-Mixer example."""

    def __init__(self, num_patches, hidden_units, dropout_rate, *args, **kwargs):
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
                layers.Dense(units=num_patches, activation="gelu"),
                layers.Dense(units=hidden_units),
                layers.Dropout(rate=dropout_rate),
            ]
        )
        self.normalize = layers.LayerNormalization(epsilon=1e-6)

    def build(self, input_shape):
        return super().build(input_shape)

    def call(self, inputs):
        x = self.normalize(inputs)
        x_channels = ops.transpose(x, axes=(0, 2, 1))
        mlp1_outputs = self.mlp1(x_channels)
        mlp1_outputs = ops.transpose(mlp1_outputs, axes=(0, 2, 1))
        x = mlp1_outputs + inputs
        x_patches = self.normalize(x)
        mlp2_outputs = self.mlp2(x_patches)
        return x + mlp2_outputs


class FNetLayer(layers.Layer):
    """The block of the FNet example."""

    def __init__(self, embedding_dim, dropout_rate, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ffn = keras.Sequential(
            [
                layers.Dense(units=embedding_dim, activation="gelu"),
                layers.Dropout(rate=dropout_rate),
                layers.Dense(units=embedding_dim),
            ]
        )
        self.normalize1 = layers.LayerNormalization(epsilon=1e-6)
        self.normalize2 = layers.LayerNormalization(epsilon=1e-6)

    def call(self, inputs):
        real_part = inputs
        im_part = ops.zeros_like(inputs)
        x = ops.fft2((real_part, im_part))[0]
        x = x + inputs
        x = self.normalize1(x)
        x_ffn = self.ffn(x)
        return self.normalize2(x + x_ffn)


class GMLPLayer(layers.Layer):
    """The block of the gMLP example."""

    def __init__(self, num_patches, embedding_dim, dropout_rate, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.channel_projection1 = keras.Sequential(
            [
                layers.Dense(units=embedding_dim * 2, activation="gelu"),
                layers.Dropout(rate=dropout_rate),
            ]
        )
        self.channel_projection2 = layers.Dense(units=embedding_dim)
        self.spatial_projection = layers.Dense(units=num_patches, bias_initializer="Ones")
        self.normalize1 = layers.LayerNormalization(epsilon=1e-6)
        self.normalize2 = layers.LayerNormalization(epsilon=1e-6)

    def spatial_gating_unit(self, x):
        u, v = ops.split(x, indices_or_sections=2, axis=2)
        v = self.normalize2(v)
        v_channels = ops.transpose(v, axes=(0, 2, 1))
        v_projected = self.spatial_projection(v_channels)
        v_projected = ops.transpose(v_projected, axes=(0, 2, 1))
        return u * v_projected

    def call(self, inputs):
        x = self.normalize1(inputs)
        x_projected = self.channel_projection1(x)
        x_spatial = self.spatial_gating_unit(x_projected)
        x_projected = self.channel_projection2(x_spatial)
        return x + x_projected


def _mixer_like(block: layers.Layer) -> keras.Model:
    inputs = keras.Input((12, 12, 3))
    patches = Patches(4)(inputs)
    x = layers.Dense(units=8)(patches)
    x = keras.Sequential([block])(x)
    representation = layers.GlobalAveragePooling1D()(x)
    representation = layers.Dropout(rate=0.2)(representation)
    logits = layers.Dense(4)(representation)
    return classifier(keras.Model(inputs=inputs, outputs=logits))


def mlp_mixer() -> keras.Model:
    """Image classification with modern MLP models: the MLP-Mixer."""
    return _mixer_like(MLPMixerLayer(9, 8, 0.2))


def fnet() -> keras.Model:
    """Image classification with modern MLP models: FNet."""
    return _mixer_like(FNetLayer(8, 0.2))


def gmlp() -> keras.Model:
    """Image classification with modern MLP models: gMLP."""
    return _mixer_like(GMLPLayer(9, 8, 0.2))


def conv_mixer() -> keras.Model:
    """Image classification with ConvMixer."""

    def activation_block(x: Any) -> Any:
        x = layers.Activation("gelu")(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((12, 12, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = activation_block(layers.Conv2D(8, kernel_size=2, strides=2)(x))
    for _ in range(2):
        x0 = x
        x = layers.DepthwiseConv2D(kernel_size=3, padding="same")(x)
        x = layers.Add()([activation_block(x), x0])
        x = activation_block(layers.Conv2D(8, kernel_size=1)(x))
    x = layers.GlobalAvgPool2D()(x)
    outputs = layers.Dense(4, activation="softmax")(x)
    return classifier(keras.Model(inputs, outputs))


def small_xception() -> keras.Model:
    """Image classification from scratch: separable convolutions and residual connections."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous = x
    for size in (8, 12):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous)
        x = layers.add([x, residual])
        previous = x
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.25)(x)
    outputs = layers.Dense(4, activation=None)(x)
    return classifier(keras.Model(inputs, outputs), keras.optimizers.Adam(3e-4))


def unet() -> keras.Model:
    """Image segmentation with a U-Net-like architecture."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous = x
    x = layers.Activation("relu")(x)
    x = layers.SeparableConv2D(12, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    residual = layers.Conv2D(12, 1, strides=2, padding="same")(previous)
    x = layers.add([x, residual])
    previous = x
    for filters in (12, 8):
        x = layers.Activation("relu")(x)
        x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(previous)
        residual = layers.Conv2D(filters, 1, padding="same")(residual)
        x = layers.add([x, residual])
        previous = x
    outputs = layers.Conv2D(2, 3, activation="softmax", padding="same")(x)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    return model


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Images, and which of their pixels are bright."""
    x, _ = images()()
    return x, (x[..., 0] > 0.6).astype("int32")


def deeplab() -> keras.Model:
    """Multiclass semantic segmentation using DeepLabV3+: a dilated pyramid."""

    def block(x: Any, filters: int = 8, size: int = 3, rate: int = 1) -> Any:
        x = layers.Conv2D(
            filters,
            kernel_size=size,
            dilation_rate=rate,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(),
        )(x)
        x = layers.BatchNormalization()(x)
        return ops.nn.relu(x)

    inputs = keras.Input((12, 12, 3))
    x = block(layers.Conv2D(8, 3, strides=2, padding="same")(inputs))
    pooled = layers.AveragePooling2D(pool_size=(6, 6))(x)
    pooled = block(pooled, size=1)
    pooled = layers.UpSampling2D(size=(6, 6), interpolation="bilinear")(pooled)
    pyramid = [pooled, *(block(x, size=3, rate=rate) for rate in (1, 2, 3))]
    x = layers.Concatenate(axis=-1)(pyramid)
    x = block(x, size=1)
    x = layers.UpSampling2D(size=(2, 2), interpolation="bilinear")(x)
    outputs = layers.Conv2D(2, kernel_size=(1, 1), padding="same")(x)
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
    return model


class DepthToSpace(layers.Layer):
    """Channels become pixels."""

    def __init__(self, block_size):
        super().__init__()
        self.block_size = block_size

    def call(self, x):
        batch, height, width, depth = ops.shape(x)
        depth = depth // (self.block_size**2)
        x = ops.reshape(x, [batch, height, width, self.block_size, self.block_size, depth])
        x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
        return ops.reshape(x, [batch, height * self.block_size, width * self.block_size, depth])


def super_resolution() -> keras.Model:
    """Image super-resolution using an efficient sub-pixel CNN."""
    arguments = {"activation": "relu", "kernel_initializer": "orthogonal", "padding": "same"}
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(12, 5, **arguments)(inputs)
    x = layers.Conv2D(8, 3, **arguments)(x)
    x = layers.Conv2D(4, 3, **arguments)(x)
    return regressor(keras.Model(inputs, DepthToSpace(2)(x)))


def small_and_large() -> tuple[np.ndarray, np.ndarray]:
    """Images at half of their size, and whole."""
    large = rng().normal(0.5, 0.2, (48, 12, 12, 1)).astype("float32")
    return large[:, ::2, ::2], large


def autoencoder() -> keras.Model:
    """Convolutional autoencoder for image denoising."""
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, (3, 3), activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2D(8, (3, 3), activation="relu", padding="same")(x)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2DTranspose(8, (3, 3), strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2DTranspose(8, (3, 3), strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)
    model = keras.Model(inputs, x)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model


def noisy() -> tuple[np.ndarray, np.ndarray]:
    """Images with noise, and without."""
    clean = rng().uniform(size=(48, 12, 12, 1)).astype("float32")
    noise = rng().normal(0, 0.2, clean.shape)
    return np.clip(clean + noise, 0, 1).astype("float32"), clean


def learnable_resizer() -> keras.Model:
    """Learning to resize in computer vision."""

    def conv_block(x: Any, filters: int, activation: Any = None) -> Any:
        x = layers.Conv2D(filters, 3, 1, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        if activation:
            x = activation(x)
        return x

    inputs = keras.Input((16, 16, 3))
    naive = layers.Resizing(12, 12, interpolation="bilinear")(inputs)
    x = layers.Conv2D(8, 7, strides=1, padding="same")(inputs)
    x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.Conv2D(8, 1, strides=1, padding="same")(x)
    x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.BatchNormalization()(x)
    bottleneck = layers.Resizing(12, 12, interpolation="bilinear")(x)
    x = conv_block(bottleneck, 8, activation=layers.LeakyReLU(negative_slope=0.2))
    x = layers.Add()([bottleneck, conv_block(x, 8)])
    x = layers.Conv2D(3, 7, strides=1, padding="same")(x)
    resized = layers.Add()([naive, x])
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(resized)
    x = layers.GlobalAveragePooling2D()(x)
    return classifier(keras.Model(inputs, layers.Dense(4, activation="softmax")(x)))


def external_attention() -> keras.Model:
    """Image classification with EANet: external attention, in functional style."""

    def attention(x: Any, dim: int, heads: int) -> Any:
        _, patches, channel = x.shape
        x = layers.Dense(dim * 2)(x)
        x = ops.reshape(x, (-1, patches, heads * 2, dim // heads))
        x = ops.transpose(x, axes=[0, 2, 1, 3])
        weights = layers.Dense(4)(x)
        weights = layers.Activation("softmax")(weights)
        x = layers.Dense(dim // heads)(weights)
        x = ops.transpose(x, axes=[0, 2, 1, 3])
        x = ops.reshape(x, [-1, patches, dim * 2])
        x = layers.Dense(channel)(x)
        return layers.Dropout(0.1)(x)

    inputs = keras.Input((12, 12, 3))
    x = PatchEncoder(9, 8)(Patches(4)(inputs))
    for _ in range(2):
        residual = x
        x = layers.add([attention(x, 8, 2), residual])
        residual = x
        x = layers.LayerNormalization(epsilon=1e-5)(x)
        x = layers.Dense(8, activation=keras.activations.gelu)(x)
        x = layers.Dropout(0.1)(x)
        x = layers.add([x, residual])
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    return classifier(model, keras.optimizers.AdamW(0.001, weight_decay=0.0001))


def augmented_frozen_base() -> keras.Model:
    """Transfer learning: augmentation, a frozen pretrained base, a new head."""
    augmentation = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], name="augmentation"
    )
    base = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None
    )
    base.trainable = False
    inputs = keras.Input((32, 32, 3))
    x = augmentation(inputs)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Dense(16, activation="relu")(x)
    return classifier(keras.Model(inputs, layers.Dense(4)(x)))


def application() -> keras.Model:
    """A model of keras.applications, trained from scratch."""
    model = keras.applications.MobileNetV3Small(
        input_shape=(32, 32, 3), alpha=0.35, minimalistic=True, weights=None, classes=4
    )
    return classifier(model)


@keras.saving.register_keras_serializable(package="real_models")
def contrastive_loss(y_true: Any, y_pred: Any) -> Any:
    """Near for pairs of one class, far for others."""
    square = ops.square(y_pred)
    margin = ops.square(ops.maximum(1 - y_pred, 0))
    y_true = ops.cast(y_true, y_pred.dtype)
    return ops.mean((1 - y_true) * square + y_true * margin)


def euclidean_distance(vects: Any) -> Any:
    """Between two vectors."""
    x, y = vects
    total = ops.sum(ops.square(x - y), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(total, keras.backend.epsilon()))


def siamese() -> keras.Model:
    """Image similarity estimation using a Siamese network with a contrastive loss."""
    inputs = keras.Input((12, 12, 1))
    x = layers.BatchNormalization()(inputs)
    x = layers.Conv2D(4, (5, 5), activation="tanh")(x)
    x = layers.AveragePooling2D(pool_size=(2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(10, activation="tanh")(x)
    tower = keras.Model(inputs, x)
    first = keras.Input((12, 12, 1))
    second = keras.Input((12, 12, 1))
    merged = layers.Lambda(euclidean_distance, output_shape=(1,))([tower(first), tower(second)])
    normal = layers.BatchNormalization()(merged)
    outputs = layers.Dense(1, activation="sigmoid")(normal)
    model = keras.Model(inputs=[first, second], outputs=outputs)
    model.compile(loss=contrastive_loss, optimizer="RMSprop", metrics=["accuracy"])
    return model


def pairs() -> tuple[list[np.ndarray], np.ndarray]:
    """Pairs of images."""
    random = rng()
    first = random.normal(size=(48, 12, 12, 1)).astype("float32")
    second = random.normal(size=(48, 12, 12, 1)).astype("float32")
    return [first, second], random.integers(0, 2, 48).astype("float32")


def conv3d() -> keras.Model:
    """3D image classification from CT scans."""
    inputs = keras.Input((8, 8, 8, 1))
    x = layers.Conv3D(filters=4, kernel_size=3, activation="relu")(inputs)
    x = layers.MaxPool3D(pool_size=2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.GlobalAveragePooling3D()(x)
    x = layers.Dense(units=8, activation="relu")(x)
    x = layers.Dropout(0.3)(x)
    model = keras.Model(inputs, layers.Dense(units=1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def volumes() -> tuple[np.ndarray, np.ndarray]:
    """Volumes of two classes."""
    random = rng()
    labels = random.integers(0, 2, 32).astype("float32")
    x = random.normal(size=(32, 8, 8, 8, 1)) + labels[:, None, None, None, None]
    return x.astype("float32"), labels


def next_frame() -> keras.Model:
    """Next-frame video prediction with convolutional LSTMs."""
    inputs = keras.Input((None, 8, 8, 1))
    x = layers.ConvLSTM2D(4, (3, 3), padding="same", return_sequences=True, activation="relu")(
        inputs
    )
    x = layers.BatchNormalization()(x)
    x = layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(x)
    model = keras.Model(inputs, x)
    model.compile(loss="binary_crossentropy", optimizer="adam")
    return model


def frames() -> tuple[np.ndarray, np.ndarray]:
    """Videos, and the same one frame later."""
    videos = rng().uniform(size=(24, 5, 8, 8, 1)).astype("float32")
    return videos[:, :-1], videos[:, 1:]


class Involution(layers.Layer):
    """A kernel for each pixel, made from the pixel."""

    def __init__(self, channel, group_number, kernel_size, stride, reduction_ratio, name):
        super().__init__(name=name)
        self.channel = channel
        self.group_number = group_number
        self.kernel_size = kernel_size
        self.stride = stride
        self.reduction_ratio = reduction_ratio

    def build(self, input_shape):
        _, height, width, channels = input_shape
        self.height = height // self.stride
        self.width = width // self.stride
        kernel_size = self.kernel_size
        self.kernel_gen = keras.Sequential(
            [
                layers.Conv2D(channels // self.reduction_ratio, kernel_size=1),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv2D(kernel_size * kernel_size * self.group_number, kernel_size=1),
            ]
        )
        self.kernel_gen.build(input_shape)
        self.built = True

    def call(self, x):
        kernel = self.kernel_gen(x)
        area = self.kernel_size * self.kernel_size
        kernel = ops.reshape(kernel, (-1, self.height, self.width, area, 1, self.group_number))
        patches = ops.image.extract_patches(x, self.kernel_size, self.stride, padding="same")
        patches = ops.reshape(
            patches,
            (
                -1,
                self.height,
                self.width,
                area,
                self.channel // self.group_number,
                self.group_number,
            ),
        )
        output = ops.sum(ops.multiply(kernel, patches), axis=3)
        return ops.reshape(output, (-1, self.height, self.width, self.channel))


def involutional() -> keras.Model:
    """Involutional neural networks: a layer without get_config."""
    inputs = keras.Input((8, 8, 3))
    x = Involution(3, 1, 3, 1, 1, "inv_1")(inputs)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(8, activation="relu")(x)
    return classifier(keras.Model(inputs, layers.Dense(4)(x)))


class MaskedConv(layers.Layer):
    """PixelCNN's convolution: no pixel sees those after it."""

    def __init__(self, mask_type, **kwargs):
        super().__init__()
        self.mask_type = mask_type
        self.conv = layers.Conv2D(**kwargs)

    def build(self, input_shape):
        self.conv.build(input_shape)
        shape = tuple(self.conv.kernel.shape)
        mask = np.zeros(shape, "float32")
        mask[: shape[0] // 2, ...] = 1.0
        mask[shape[0] // 2, : shape[1] // 2, ...] = 1.0
        if self.mask_type == "B":
            mask[shape[0] // 2, shape[1] // 2, ...] = 1.0
        self.mask = mask

    def call(self, inputs):
        kernel = self.conv.kernel * self.mask
        outputs = ops.conv(inputs, kernel, padding="same") + self.conv.bias
        return self.conv.activation(outputs)


def pixel_cnn() -> keras.Model:
    """PixelCNN: a layer that takes the arguments of another by **kwargs."""
    inputs = keras.Input((8, 8, 1))
    x = MaskedConv(mask_type="A", filters=8, kernel_size=5, activation="relu")(inputs)
    x = layers.Conv2D(8, 1, activation="relu")(x)
    outputs = layers.Conv2D(1, 1, activation="sigmoid")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Images of zeros and ones, to be foretold."""
    x = (rng().uniform(size=(48, 8, 8, 1)) > 0.5).astype("float32")
    return x, x


def keypoints() -> keras.Model:
    """Keypoint detection with transfer learning: a regression head."""
    base = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(max_value=6.0),
        ],
        name="backbone",
    )
    base.trainable = False
    inputs = keras.Input((12, 12, 3))
    x = base(inputs)
    x = layers.Dropout(0.3)(x)
    x = layers.SeparableConv2D(8, kernel_size=5, strides=1, activation="relu")(x)
    outputs = layers.SeparableConv2D(4, kernel_size=2, strides=1, activation="sigmoid")(x)
    return regressor(keras.Model(inputs, outputs))


def points() -> tuple[np.ndarray, np.ndarray]:
    """Images and points."""
    x, _ = images()()
    return x, rng().uniform(size=(48, 1, 1, 4)).astype("float32")


def squeeze_excite() -> keras.Model:
    """A block of a MobileNet: squeeze and excite with a gate."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.Activation("swish")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(2, 1, activation="swish")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
    x = layers.multiply([x, gate])
    x = layers.GlobalAveragePooling2D()(x)
    return classifier(keras.Model(inputs, layers.Dense(4, activation="softmax")(x)))


def mixed_bfloat16() -> keras.Model:
    """A CNN in mixed precision, as on a GPU."""
    policy = keras.DTypePolicy("mixed_bfloat16")
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, activation="relu", dtype=policy)(inputs)
    x = layers.MaxPooling2D(dtype=policy)(x)
    x = layers.Flatten(dtype=policy)(x)
    x = layers.Dense(16, activation="relu", dtype=policy)(x)
    outputs = layers.Dense(4, activation="softmax", dtype="float32")(x)
    return classifier(keras.Model(inputs, outputs))


class ZeroDCE(keras.Model):
    """Low-light enhancement: losses of its own, without labels."""

    def __init__(self, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.conv1 = layers.Conv2D(4, 3, activation=activation, padding="same")
        self.conv2 = layers.Conv2D(4, 3, activation=activation, padding="same")
        self.curve = layers.Conv2D(3, 3, activation="tanh", padding="same")
        self.total_loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.total_loss_tracker]

    def call(self, data):
        x = self.curve(self.conv2(self.conv1(data)))
        return data + x * (ops.square(data) - data)

    def _exposure(self, data):
        return ops.mean(ops.square(ops.mean(self(data), axis=(1, 2, 3)) - 0.6))

    def train_step(self, data):
        import tensorflow as tf

        images, *_ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = self._exposure(images)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.total_loss_tracker.update_state(loss)
        return {"loss": self.total_loss_tracker.result()}

    def test_step(self, data):
        images, *_ = keras.utils.unpack_x_y_sample_weight(data)
        self.total_loss_tracker.update_state(self._exposure(images))
        return {"loss": self.total_loss_tracker.result()}


def zero_dce(activation: Any = "relu") -> keras.Model:
    """Zero-DCE for low-light image enhancement: a subclassed model with its own train_step."""
    model = ZeroDCE(activation)
    model.compile(keras.optimizers.Adam(1e-3))
    return model


EXAMPLES = (
    Example("mnist_convnet", mnist_convnet, images(channels=1), 2, objective="val_accuracy"),
    Example("vision_transformer", vision_transformer, images(), 5),
    Example("compact_transformer", compact_transformer, images(), 6),
    Example("mlp_mixer", mlp_mixer, images(), 2),
    Example("fnet", fnet, images(), 1),
    Example("gmlp", gmlp, images(), 1),
    Example("conv_mixer", conv_mixer, images(), 5),
    Example("small_xception", small_xception, images(), 5),
    Example("unet", unet, masks, 4),
    Example("deeplab", deeplab, masks, 6),
    Example("super_resolution", super_resolution, small_and_large, 3),
    Example("autoencoder", autoencoder, noisy, 4),
    Example("learnable_resizer", learnable_resizer, images(size=16), 4),
    Example("external_attention", external_attention, images(), 2),
    Example("augmented_frozen_base", augmented_frozen_base, images(size=32), 1, heavy=True),
    Example("application", application, images(size=32), 24, heavy=True),
    Example("siamese", siamese, pairs, 2),
    Example("conv3d", conv3d, volumes, 2),
    Example("next_frame", next_frame, frames, 1),
    Example("involutional", involutional, images(size=8), 3),
    Example("pixel_cnn", pixel_cnn, pixels, 2),
    Example("keypoints", keypoints, points, 1),
    Example("squeeze_excite", squeeze_excite, images(), 2),
    Example("mixed_bfloat16", mixed_bfloat16, images(), 2),
    Example("zero_dce", zero_dce, images(), 2, Way.ONE_BY_ONE, build=built_by(zero_dce)),
)
