"""Models of text and of time series, as keras.io's examples write them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from .example import Example, classifier, regressor, rng, series, tokens

VOCABULARY = 30
WORDS = ("good", "bad", "film", "the", "a", "plot", "dull", "great", "end", "start")


def text_from_scratch() -> keras.Model:
    """Text classification from scratch: an Embedding and convolutions."""
    inputs = keras.Input((10,), dtype="int64")
    x = layers.Embedding(VOCABULARY, 8)(inputs)
    x = layers.Dropout(0.5)(x)
    x = layers.Conv1D(8, 3, padding="valid", activation="relu", strides=2)(x)
    x = layers.Conv1D(8, 3, padding="valid", activation="relu", strides=1)(x)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dense(8, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(1, activation="sigmoid", name="predictions")(x)
    model = keras.Model(inputs, outputs)
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


def sentences() -> tuple[tf.Tensor, np.ndarray]:
    """Raw text, and whether it is of praise."""
    random = rng()
    chosen = random.choice(WORDS, (48, 6))
    texts = tf.constant([[" ".join(words)] for words in chosen])
    labels = np.array([int("good" in words or "great" in words) for words in chosen])
    return texts, labels


def raw_text() -> keras.Model:
    """An end-to-end model of raw strings: TextVectorization in the model."""
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=6)
    vectorize.adapt(tf.constant(WORDS))
    inputs = keras.Input((1,), dtype="string")
    x = vectorize(inputs)
    x = layers.Embedding(20, 8)(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(8, activation="relu")(x)
    return classifier(keras.Model(inputs, layers.Dense(2, activation="softmax")(x)))


def bidirectional_lstm() -> keras.Model:
    """Bidirectional LSTM on IMDB."""
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(VOCABULARY, 8)(inputs)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(6))(x)
    outputs = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def masked_lstm() -> keras.Model:
    """Understanding masking and padding: an Embedding that masks zeros."""
    inputs = keras.Input(shape=(10,), dtype="int32")
    x = layers.Embedding(VOCABULARY, 8, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(6))(x)
    x = layers.Dense(8, activation="relu")(x)
    return classifier(keras.Model(inputs, layers.Dense(2)(x)), "rmsprop")


class TransformerBlock(layers.Layer):
    """The block of the text transformer."""

    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential(
            [
                layers.Dense(ff_dim, activation="relu"),
                layers.Dense(embed_dim),
            ]
        )
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs):
        attn_output = self.att(inputs, inputs)
        attn_output = self.dropout1(attn_output)
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.ffn(out1)
        ffn_output = self.dropout2(ffn_output)
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(layers.Layer):
    """Two tables: of tokens, and of their places."""

    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = ops.shape(x)[-1]
        positions = ops.arange(start=0, stop=maxlen, step=1)
        positions = self.pos_emb(positions)
        x = self.token_emb(x)
        return x + positions


def text_transformer() -> keras.Model:
    """Text classification with Transformer: two custom layers."""
    inputs = layers.Input(shape=(10,))
    x = TokenAndPositionEmbedding(10, VOCABULARY, 8)(inputs)
    x = TransformerBlock(8, 2, 16)(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Dense(8, activation="relu")(x)
    x = layers.Dropout(0.1)(x)
    outputs = layers.Dense(2, activation="softmax")(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def sequence_to_sequence() -> keras.Model:
    """Character-level sequence-to-sequence: the states of one LSTM begin another."""
    encoder_inputs = keras.Input(shape=(None, 6))
    encoder = layers.LSTM(8, return_state=True)
    _, state_h, state_c = encoder(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, 6))
    decoder_lstm = layers.LSTM(8, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=[state_h, state_c])
    outputs = layers.Dense(6, activation="softmax")(decoder_outputs)
    model = keras.Model([encoder_inputs, decoder_inputs], outputs)
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def translations() -> tuple[list[np.ndarray], np.ndarray]:
    """One-hot characters in two languages."""
    random = rng()
    one = np.eye(6, dtype="float32")[random.integers(0, 6, (32, 5))]
    other = np.eye(6, dtype="float32")[random.integers(0, 6, (32, 6))]
    return [one, other[:, :-1]], other[:, 1:]


def addition() -> keras.Model:
    """Sequence to sequence learning for performing number addition."""
    model = keras.Sequential()
    model.add(layers.Input((7, 12)))
    model.add(layers.LSTM(8))
    model.add(layers.RepeatVector(4))
    for _ in range(1):
        model.add(layers.LSTM(8, return_sequences=True))
    model.add(layers.Dense(12, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


def sums() -> tuple[np.ndarray, np.ndarray]:
    """Questions and answers, one-hot."""
    random = rng()
    x = np.eye(12, dtype="float32")[random.integers(0, 12, (32, 7))]
    y = np.eye(12, dtype="float32")[random.integers(0, 12, (32, 4))]
    return x, y


def tagger() -> keras.Model:
    """A tagger of words: TimeDistributed layers over a GRU."""
    inputs = keras.Input((10,), dtype="int32")
    x = layers.Embedding(VOCABULARY, 8)(inputs)
    x = layers.GRU(8, return_sequences=True)(x)
    x = layers.TimeDistributed(layers.Dense(8, activation="relu"))(x)
    outputs = layers.TimeDistributed(layers.Dense(3, activation="softmax"))(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def tags() -> tuple[np.ndarray, np.ndarray]:
    """A tag for each word."""
    x, _ = tokens()()
    return x, x % 3


def language_model() -> keras.Model:
    """Text generation with a miniature GPT: causal attention, logits of each word."""
    inputs = layers.Input(shape=(10,), dtype="int32")
    x = TokenAndPositionEmbedding(10, VOCABULARY, 8)(inputs)
    attention = layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, attention]))
    ffn = layers.Dense(16, activation="relu")(x)
    ffn = layers.Dense(8)(ffn)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, ffn]))
    outputs = layers.Dense(VOCABULARY)(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def next_words() -> tuple[np.ndarray, np.ndarray]:
    """Sentences, and their next words."""
    x = rng().integers(1, VOCABULARY, (48, 11))
    return x[:, :-1], x[:, 1:]


class SparseExperts(layers.Layer):
    """A mixture of experts that balances its load by add_loss."""

    def __init__(self, experts, units):
        super().__init__()
        self.router = layers.Dense(experts)
        self.experts = [layers.Dense(units, activation="relu") for _ in range(experts)]

    def call(self, inputs):
        probabilities = ops.softmax(self.router(inputs))
        self.add_loss(0.01 * ops.sum(ops.square(ops.mean(probabilities, axis=(0, 1)))))
        outputs = ops.stack([expert(inputs) for expert in self.experts], axis=-1)
        return ops.sum(outputs * ops.expand_dims(probabilities, -2), axis=-1)


def mixture_of_experts() -> keras.Model:
    """Text classification with a mixture of experts that adds a loss."""
    inputs = layers.Input(shape=(10,))
    x = TokenAndPositionEmbedding(10, VOCABULARY, 8)(inputs)
    x = SparseExperts(2, 8)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return classifier(keras.Model(inputs, layers.Dense(2, activation="softmax")(x)))


def fully_convolutional() -> keras.Model:
    """Time series classification from scratch."""
    inputs = keras.Input((16, 1))
    x = inputs
    for _ in range(3):
        x = layers.Conv1D(filters=8, kernel_size=3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    return classifier(model)


def series_transformer() -> keras.Model:
    """Time series classification with a Transformer."""

    def encoder(inputs: Any, head_size: int, heads: int, ff_dim: int, dropout: float) -> Any:
        x = layers.MultiHeadAttention(key_dim=head_size, num_heads=heads, dropout=dropout)(
            inputs, inputs
        )
        x = layers.Dropout(dropout)(x)
        x = layers.LayerNormalization(epsilon=1e-6)(x)
        res = x + inputs
        x = layers.Conv1D(filters=ff_dim, kernel_size=1, activation="relu")(res)
        x = layers.Dropout(dropout)(x)
        x = layers.Conv1D(filters=inputs.shape[-1], kernel_size=1)(x)
        x = layers.LayerNormalization(epsilon=1e-6)(x)
        return x + res

    # with one channel its normalizations would leave nothing
    inputs = keras.Input((16, 3))
    x = inputs
    for _ in range(2):
        x = encoder(x, 8, 2, 4, 0.1)
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    x = layers.Dense(8, activation="relu")(x)
    x = layers.Dropout(0.1)(x)
    return classifier(keras.Model(inputs, layers.Dense(2, activation="softmax")(x)))


def weather() -> keras.Model:
    """Timeseries forecasting for weather prediction: an LSTM."""
    inputs = keras.Input((16, 3))
    x = layers.LSTM(8)(inputs)
    return regressor(keras.Model(inputs, layers.Dense(1)(x)), keras.optimizers.Adam(0.001))


def forecasts() -> tuple[np.ndarray, np.ndarray]:
    """Weather, and that of the day after."""
    x, _ = series(channels=3)()
    return x, x[:, -1:, 0]


def anomaly_autoencoder() -> keras.Model:
    """Timeseries anomaly detection using an Autoencoder."""
    model = keras.Sequential(
        [
            layers.Input((16, 1)),
            layers.Conv1D(8, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1D(4, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(4, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1DTranspose(8, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(1, kernel_size=7, padding="same"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.001), loss="mse")
    return model


def same_series() -> tuple[np.ndarray, np.ndarray]:
    """Series, to be made again."""
    x, _ = series()()
    return x, x


def spoken_words() -> keras.Model:
    """Speaker recognition: residual blocks of 1D convolutions."""

    def residual_block(x: Any, filters: int, conv_num: int = 3, activation: str = "relu") -> Any:
        shortcut = layers.Conv1D(filters, 1, padding="same")(x)
        for _ in range(conv_num - 1):
            x = layers.Conv1D(filters, 3, padding="same")(x)
            x = layers.Activation(activation)(x)
        x = layers.Conv1D(filters, 3, padding="same")(x)
        x = layers.Add()([x, shortcut])
        x = layers.Activation(activation)(x)
        return layers.MaxPool1D(pool_size=2, strides=2)(x)

    inputs = layers.Input(shape=(16, 1), name="input")
    x = residual_block(inputs, 4, 2)
    x = residual_block(x, 8, 2)
    x = layers.AveragePooling1D(pool_size=3, strides=3)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(8, activation="relu")(x)
    outputs = layers.Dense(2, activation="softmax", name="output")(x)
    return classifier(keras.Model(inputs=inputs, outputs=outputs))


EXAMPLES = (
    Example("text_from_scratch", text_from_scratch, tokens(), 3),
    Example("raw_text", raw_text, sentences, 1),
    Example("bidirectional_lstm", bidirectional_lstm, tokens(), 4),
    Example("masked_lstm", masked_lstm, tokens(padded=True), 3),
    Example("text_transformer", text_transformer, tokens(), 2, objective="val_accuracy"),
    Example("sequence_to_sequence", sequence_to_sequence, translations, 2),
    Example("addition", addition, sums, 2),
    Example("tagger", tagger, tags, 2),
    Example("language_model", language_model, next_words, 1),
    Example("mixture_of_experts", mixture_of_experts, tokens(), 2),
    Example("fully_convolutional", fully_convolutional, series(), 3),
    Example("series_transformer", series_transformer, series(channels=3), 3),
    Example("weather", weather, forecasts, 1),
    Example("anomaly_autoencoder", anomaly_autoencoder, same_series, 4),
    Example("spoken_words", spoken_words, series(), 5),
)
