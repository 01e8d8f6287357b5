"""Models that train in their own way, as keras.io's generative and metric-learning examples do."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from .example import Example, Way, built_by, images, rng, rows


class Sampling(layers.Layer):
    """Draws the vector of an image from its mean and variance."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(shape=ops.shape(z_mean), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


class VAE(keras.Model):
    """The model of the variational autoencoder example."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.total_loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.total_loss_tracker]

    def call(self, data):
        return self.decoder(self.encoder(data)[0])

    def _loss(self, data):
        z_mean, z_log_var, z = self.encoder(data)
        reconstruction = self.decoder(z)
        entropy = keras.losses.binary_crossentropy(data, reconstruction)
        reconstruction_loss = ops.mean(ops.sum(entropy, axis=(1, 2)))
        kl_loss = -0.5 * (1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var))
        return reconstruction_loss + ops.mean(ops.sum(kl_loss, axis=1))

    def train_step(self, data):
        images, *_ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            total_loss = self._loss(images)
        gradients = tape.gradient(total_loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.total_loss_tracker.update_state(total_loss)
        return {"loss": self.total_loss_tracker.result()}

    def test_step(self, data):
        images, *_ = keras.utils.unpack_x_y_sample_weight(data)
        self.total_loss_tracker.update_state(self._loss(images))
        return {"loss": self.total_loss_tracker.result()}


def variational_autoencoder(activation: Any = "relu") -> keras.Model:
    """Variational AutoEncoder."""
    encoder_inputs = keras.Input(shape=(8, 8, 1))
    x = layers.Conv2D(4, 3, activation=activation, strides=2, padding="same")(encoder_inputs)
    x = layers.Flatten()(x)
    x = layers.Dense(8, activation=activation)(x)
    z_mean = layers.Dense(2, name="z_mean")(x)
    z_log_var = layers.Dense(2, name="z_log_var")(x)
    z = Sampling()([z_mean, z_log_var])
    encoder = keras.Model(encoder_inputs, [z_mean, z_log_var, z], name="encoder")
    latent_inputs = keras.Input(shape=(2,))
    x = layers.Dense(4 * 4 * 4, activation=activation)(latent_inputs)
    x = layers.Reshape((4, 4, 4))(x)
    x = layers.Conv2DTranspose(4, 3, activation=activation, strides=2, padding="same")(x)
    outputs = layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x)
    decoder = keras.Model(latent_inputs, outputs, name="decoder")
    vae = VAE(encoder, decoder)
    vae.compile(optimizer=keras.optimizers.Adam())
    return vae


def bright() -> tuple[np.ndarray, None]:
    """Images without labels."""
    return rng().uniform(size=(48, 8, 8, 1)).astype("float32"), None


class Distiller(keras.Model):
    """A student that learns from a teacher's outputs."""

    def __init__(self, student, teacher):
        super().__init__()
        self.teacher = teacher
        self.student = student

    def call(self, x):
        return self.student(x)

    def compile(self, optimizer, metrics, student_loss_fn, alpha=0.1, temperature=3):
        super().compile(optimizer=optimizer, metrics=metrics)
        self.student_loss_fn = student_loss_fn
        self.distillation_loss_fn = keras.losses.KLDivergence()
        self.alpha = alpha
        self.temperature = temperature

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        teacher_pred = self.teacher(x, training=False)
        student_loss = self.student_loss_fn(y, y_pred)
        soft = ops.softmax(teacher_pred / self.temperature, axis=1)
        softer = ops.softmax(y_pred / self.temperature, axis=1)
        distillation_loss = self.distillation_loss_fn(soft, softer) * (self.temperature**2)
        return self.alpha * student_loss + (1 - self.alpha) * distillation_loss


def distillation(activation: Any = "relu") -> keras.Model:
    """Knowledge distillation: a compile and a compute_loss of its own."""
    teacher = keras.Sequential(
        [keras.Input((6,)), layers.Dense(16, activation="relu"), layers.Dense(3)]
    )
    student = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation=activation), layers.Dense(3)]
    )
    model = Distiller(student, teacher)
    model.compile(
        optimizer=keras.optimizers.Adam(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
        student_loss_fn=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


class EmbeddingModel(keras.Model):
    """A Functional model with a train_step of its own, as in metric learning."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            embeddings = self(x, training=True)
            similarities = ops.matmul(embeddings, ops.transpose(embeddings)) / 0.2
            same = ops.cast(ops.equal(y[:, None], y[None, :]), "float32")
            wanted = same / ops.sum(same, axis=1, keepdims=True)
            loss = keras.losses.categorical_crossentropy(wanted, similarities, from_logits=True)
            loss = ops.mean(loss)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}

    def test_step(self, data):
        x, y = data
        embeddings = self(x, training=False)
        similarities = ops.matmul(embeddings, ops.transpose(embeddings)) / 0.2
        same = ops.cast(ops.equal(y[:, None], y[None, :]), "float32")
        wanted = same / ops.sum(same, axis=1, keepdims=True)
        loss = keras.losses.categorical_crossentropy(wanted, similarities, from_logits=True)
        self.loss_tracker.update_state(ops.mean(loss))
        return {"loss": self.loss_tracker.result()}

    @property
    def loss_tracker(self):
        if not hasattr(self, "_mean_loss"):
            self._mean_loss = keras.metrics.Mean(name="loss")
        return self._mean_loss

    @property
    def metrics(self):
        return [self.loss_tracker]


def metric_learning(activation: Any = "relu") -> keras.Model:
    """Metric learning for image similarity search."""
    inputs = layers.Input(shape=(12, 12, 3))
    x = layers.Conv2D(filters=4, kernel_size=3, strides=2, activation=activation)(inputs)
    x = layers.Conv2D(filters=8, kernel_size=3, strides=2, activation=activation)(x)
    x = layers.GlobalAveragePooling2D()(x)
    embeddings = layers.Dense(units=4, activation=None)(x)
    embeddings = layers.UnitNormalization()(embeddings)
    model = EmbeddingModel(inputs, embeddings)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=1e-3))
    return model


class GAN(keras.Model):
    """Two models against each other: no number says which activation is better."""

    def __init__(self, discriminator, generator):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    def train_step(self, real_images):
        real_images, *_ = keras.utils.unpack_x_y_sample_weight(real_images)
        batch_size = ops.shape(real_images)[0]
        latent = keras.random.normal(shape=(batch_size, 4))
        generated = self.generator(latent)
        combined = ops.concatenate([generated, real_images], axis=0)
        labels = ops.concatenate([ops.ones((batch_size, 1)), ops.zeros((batch_size, 1))], axis=0)
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(combined))
        gradients = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(
            zip(gradients, self.discriminator.trainable_weights, strict=True)
        )
        with tf.GradientTape() as tape:
            predictions = self.discriminator(self.generator(latent))
            g_loss = self.loss_fn(ops.zeros((batch_size, 1)), predictions)
        gradients = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(
            zip(gradients, self.generator.trainable_weights, strict=True)
        )
        return {"d_loss": d_loss, "g_loss": g_loss}


def gan(activation: Any = "relu") -> keras.Model:
    """GAN overriding `Model.train_step`."""
    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ]
    )
    generator = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4 * 4 * 4),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Reshape((4, 4, 4)),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid"),
        ]
    )
    model = GAN(discriminator, generator)
    model.compile(
        d_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
        g_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return model


class ActivityRegularization(layers.Layer):
    """The layer of the guide to custom layers, which adds a loss."""

    def __init__(self, rate=1e-2):
        super().__init__()
        self.rate = rate

    def call(self, inputs):
        self.add_loss(self.rate * ops.mean(inputs))
        return inputs


def sparse_activity() -> keras.Model:
    """Making new layers and models via subclassing: add_loss in a layer."""
    inputs = keras.Input((6,))
    x = layers.Dense(16, activation="relu")(inputs)
    x = ActivityRegularization()(x)
    x = layers.Dense(8, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class AccumulatingModel(keras.Model):
    """A Functional model whose train_step clips gradients by itself."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients = [ops.clip(gradient, -0.1, 0.1) for gradient in gradients]
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


def custom_step(activation: Any = "relu") -> keras.Model:
    """Customizing what happens in `fit()` with TensorFlow."""
    inputs = keras.Input((6,))
    x = layers.Dense(16, activation=activation)(inputs)
    x = layers.Dense(16, activation=activation)(x)
    model = AccumulatingModel(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def eager() -> keras.Model:
    """A model that runs eagerly, for debugging."""
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    return model


EXAMPLES = (
    Example(
        "variational_autoencoder",
        variational_autoencoder,
        bright,
        4,
        Way.ONE_BY_ONE,
        build=built_by(variational_autoencoder),
        apart=0.01,
    ),
    Example(
        "distillation",
        distillation,
        rows(),
        1,
        Way.ONE_BY_ONE,
        build=built_by(distillation),
    ),
    Example(
        "metric_learning",
        metric_learning,
        images(),
        2,
        Way.ONE_BY_ONE,
        build=built_by(metric_learning),
    ),
    Example("gan", gan, bright, 2, Way.REFUSED, build=built_by(gan), why="loss"),
    Example("sparse_activity", sparse_activity, rows(), 2),
    Example(
        "custom_step",
        custom_step,
        rows(),
        2,
        Way.ONE_BY_ONE,
        build=built_by(custom_step),
    ),
    Example("eager", eager, rows(), 1),
)
