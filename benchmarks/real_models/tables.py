"""Models of tables, graphs and users, as keras.io's examples write them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from .example import Example, Way, built_by, classifier, regressor, rng, rows, targets

JOBS = ("clerk", "cook", "nurse", "smith")


def people() -> tuple[dict[str, Any], np.ndarray]:
    """Rows with names of columns: numbers and words."""
    random = rng()
    jobs = random.choice(JOBS, (48, 1))
    ages = random.normal(40, 10, (48, 1)).astype("float32")
    labels = ((ages[:, 0] > 40) ^ (jobs[:, 0] == "cook")).astype("int32")
    return {"age": ages, "job": tf.constant(jobs)}, labels


def wide_and_deep() -> keras.Model:
    """Structured data learning with wide, deep and cross networks: adapted lookups."""
    x, _ = people()
    lookup = layers.StringLookup(output_mode="one_hot")
    lookup.adapt(x["job"])
    scale = layers.Normalization()
    scale.adapt(x["age"])
    inputs = {
        "age": keras.Input((1,), name="age"),
        "job": keras.Input((1,), name="job", dtype="string"),
    }
    features = layers.concatenate([scale(inputs["age"]), lookup(inputs["job"])])
    wide = layers.BatchNormalization()(features)
    deep = features
    for units in (8, 8):
        deep = layers.Dense(units)(deep)
        deep = layers.BatchNormalization()(deep)
        deep = layers.ReLU()(deep)
        deep = layers.Dropout(0.1)(deep)
    merged = layers.concatenate([wide, deep])
    outputs = layers.Dense(units=2, activation="softmax")(merged)
    return classifier(keras.Model(inputs=inputs, outputs=outputs))


def deep_and_cross() -> keras.Model:
    """The cross network beside the deep one."""
    inputs = keras.Input((6,))
    cross = inputs
    for _ in range(2):
        cross = inputs * layers.Dense(6)(cross) + cross
    cross = layers.BatchNormalization()(cross)
    deep = layers.Dense(8, activation="relu")(inputs)
    deep = layers.Dense(8, activation="relu")(deep)
    merged = layers.concatenate([cross, deep])
    return classifier(keras.Model(inputs, layers.Dense(3, activation="softmax")(merged)))


def tab_transformer() -> keras.Model:
    """Structured data learning with TabTransformer."""
    inputs = keras.Input((4,), dtype="int32")
    encoded = []
    for column in range(4):
        embedded = layers.Embedding(input_dim=5, output_dim=8)(inputs[:, column])
        encoded.append(embedded)
    encoded = ops.stack(encoded, axis=1)
    positions = ops.arange(start=0, stop=4, step=1)
    encoded = encoded + layers.Embedding(input_dim=4, output_dim=8)(positions)
    for _ in range(2):
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(encoded, encoded)
        x = layers.Add()([attention, encoded])
        x = layers.LayerNormalization(epsilon=1e-6)(x)
        feedforward = keras.Sequential(
            [layers.Dense(8, activation=keras.activations.gelu), layers.Dropout(0.1)]
        )(x)
        x = layers.Add()([feedforward, x])
        encoded = layers.LayerNormalization(epsilon=1e-6)(x)
    features = layers.Flatten()(encoded)
    features = layers.BatchNormalization()(features)
    features = layers.Dense(16, activation=keras.activations.selu)(features)
    outputs = layers.Dense(units=1, activation="sigmoid", name="sigmoid")(features)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy")],
    )
    return model


def categories() -> tuple[np.ndarray, np.ndarray]:
    """Four columns of categories."""
    x = rng().integers(0, 5, (48, 4))
    return x, (x[:, 0] > 2).astype("float32")


class GatedLinearUnit(layers.Layer):
    """A gate of the gated residual networks."""

    def __init__(self, units):
        super().__init__()
        self.linear = layers.Dense(units)
        self.sigmoid = layers.Dense(units, activation="sigmoid")

    def call(self, inputs):
        return self.linear(inputs) * self.sigmoid(inputs)


class GatedResidualNetwork(layers.Layer):
    """A block with ELU inside, and the gate."""

    def __init__(self, units, dropout_rate):
        super().__init__()
        self.units = units
        self.elu_dense = layers.Dense(units, activation="elu")
        self.linear_dense = layers.Dense(units)
        self.dropout = layers.Dropout(dropout_rate)
        self.gated_linear_unit = GatedLinearUnit(units)
        self.layer_norm = layers.LayerNormalization()
        self.project = layers.Dense(units)

    def call(self, inputs):
        x = self.elu_dense(inputs)
        x = self.linear_dense(x)
        x = self.dropout(x)
        if inputs.shape[-1] != self.units:
            inputs = self.project(inputs)
        x = inputs + self.gated_linear_unit(x)
        return self.layer_norm(x)


def gated_residual() -> keras.Model:
    """Classification with Gated Residual and Variable Selection Networks."""
    inputs = keras.Input((6,))
    x = GatedResidualNetwork(8, 0.1)(inputs)
    x = GatedResidualNetwork(8, 0.1)(x)
    return classifier(keras.Model(inputs, layers.Dense(units=3, activation="softmax")(x)))


def imbalanced() -> keras.Model:
    """Imbalanced classification: credit card fraud detection, with class weights."""
    model = keras.Sequential(
        [
            keras.Input(shape=(6,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss="binary_crossentropy",
        metrics=[keras.metrics.Precision(name="precision"), keras.metrics.Recall(name="recall")],
    )
    return model


def frauds() -> tuple[np.ndarray, np.ndarray]:
    """Few of many."""
    x, _ = rows()()
    return x, (x[:, :1] > 1).astype("float32")


def fuel_efficiency() -> keras.Model:
    """Basic regression: fuel efficiency, with an adapted Normalization."""
    scale = layers.Normalization(axis=-1)
    scale.adapt(targets()()[0])
    model = keras.Sequential(
        [
            scale,
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.build((None, 6))
    return regressor(model, keras.optimizers.Adam(0.001))


def collaborative_filtering() -> keras.Model:
    """Recommendations from the dot product of two embeddings, in the functional API."""
    user = keras.Input((1,), dtype="int32")
    movie = keras.Input((1,), dtype="int32")
    regularizer = keras.regularizers.l2(1e-6)
    vectors = []
    for inputs, count in ((user, 20), (movie, 15)):
        embedded = layers.Embedding(
            count, 8, embeddings_initializer="he_normal", embeddings_regularizer=regularizer
        )(inputs)
        vectors.append(layers.Flatten()(embedded))
    x = layers.concatenate([layers.Dot(1)(vectors), *vectors])
    x = layers.Dense(8, activation="relu")(x)
    outputs = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model([user, movie], outputs)
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.001))
    return model


def ratings() -> tuple[list[np.ndarray], np.ndarray]:
    """Who liked which film."""
    random = rng()
    users = random.integers(0, 20, (48, 1))
    movies = random.integers(0, 15, (48, 1))
    return [users, movies], ((users + movies) % 2).astype("float32")


class RecommenderNet(keras.Model):
    """Embeddings and a dot product, as a subclass."""

    def __init__(self, num_users, num_movies, embedding_size, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.user_embedding = layers.Embedding(num_users, embedding_size)
        self.movie_embedding = layers.Embedding(num_movies, embedding_size)
        self.hidden = layers.Dense(8, activation=activation)
        self.out = layers.Dense(1, activation="sigmoid")

    def call(self, inputs):
        user_vector = self.user_embedding(inputs[:, 0])
        movie_vector = self.movie_embedding(inputs[:, 1])
        return self.out(self.hidden(user_vector * movie_vector))


def recommender(activation: Any = "relu") -> keras.Model:
    """Collaborative filtering for movie recommendations: a subclassed model."""
    model = RecommenderNet(20, 15, 8, activation)
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.001))
    return model


def rated() -> tuple[np.ndarray, np.ndarray]:
    """Users and films in one array."""
    users_and_movies, y = ratings()
    return np.concatenate(users_and_movies, axis=1), y


class GraphConv(layers.Layer):
    """Means over the neighbours in a fixed graph."""

    def __init__(self, units, adjacency, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.adjacency = np.asarray(adjacency, "float32")
        self.dense = layers.Dense(units, activation=activation)

    def call(self, inputs):
        aggregated = ops.matmul(ops.convert_to_tensor(self.adjacency), inputs)
        return self.dense(aggregated)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "units": self.units,
                "adjacency": self.adjacency.tolist(),
                "activation": keras.activations.serialize(self.dense.activation),
            }
        )
        return config


def graph_network() -> keras.Model:
    """Node-wise predictions with a graph convolution whose graph is an argument."""
    random = rng()
    adjacency = random.uniform(size=(5, 5))
    adjacency /= adjacency.sum(axis=1, keepdims=True)
    inputs = keras.Input((5, 4))
    x = GraphConv(8, adjacency, activation="relu")(inputs)
    x = GraphConv(8, adjacency, activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return classifier(keras.Model(inputs, layers.Dense(3)(x)))


def graphs() -> tuple[np.ndarray, np.ndarray]:
    """Features of nodes."""
    random = rng()
    labels = random.integers(0, 3, 48)
    x = random.normal(size=(48, 5, 4)) + labels[:, None, None]
    return x.astype("float32"), labels


def traffic() -> keras.Model:
    """Traffic forecasting: a graph convolution, then an LSTM over time."""
    inputs = keras.Input((6, 5, 1))
    adjacency = np.full((5, 5), 0.2)
    x = GraphConv(4, adjacency, activation="relu")(inputs)
    x = ops.transpose(x, (0, 2, 1, 3))
    x = layers.Reshape((5, 24))(x)
    x = layers.LSTM(8, activation="relu")(x)
    return regressor(keras.Model(inputs, layers.Dense(5)(x)), keras.optimizers.RMSprop(0.001))


def speeds() -> tuple[np.ndarray, np.ndarray]:
    """Speeds on roads."""
    x = rng().uniform(size=(48, 6, 5, 1)).astype("float32")
    return x, x[:, -1, :, 0]


def actor_critic() -> keras.Model:
    """Actor Critic: two heads on one body, trained here on targets that are known."""
    inputs = layers.Input(shape=(4,))
    common = layers.Dense(16, activation="relu")(inputs)
    action = layers.Dense(2, activation="softmax", name="action")(common)
    critic = layers.Dense(1, name="critic")(common)
    model = keras.Model(inputs=inputs, outputs=[action, critic])
    model.compile(
        keras.optimizers.Adam(0.01), ["sparse_categorical_crossentropy", keras.losses.Huber()]
    )
    return model


def actions() -> tuple[np.ndarray, list[np.ndarray]]:
    """States, what was done, and what came of it."""
    random = rng()
    x = random.normal(size=(48, 4)).astype("float32")
    return x, [random.integers(0, 2, 48), x[:, :1]]


EXAMPLES = (
    Example("wide_and_deep", wide_and_deep, people, 2),
    Example("deep_and_cross", deep_and_cross, rows(), 2),
    Example("tab_transformer", tab_transformer, categories, 3),
    Example("gated_residual", gated_residual, rows(), 2),
    Example("imbalanced", imbalanced, frauds, 3, fit={"class_weight": {0: 1.0, 1: 4.0}}),
    Example("fuel_efficiency", fuel_efficiency, targets(), 2),
    Example("collaborative_filtering", collaborative_filtering, ratings, 1),
    Example("recommender", recommender, rated, 1, Way.ONE_BY_ONE, build=built_by(recommender)),
    Example("graph_network", graph_network, graphs, 2),
    Example("traffic", traffic, speeds, 2),
    Example("actor_critic", actor_critic, actions, 1),
)
