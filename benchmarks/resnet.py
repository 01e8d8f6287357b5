"""A search on a model with 100 times the parameters of a small MLP: a ResNet on images of 32 x 32 pixels.

    python -m benchmarks.plans --resnet [--trials 12] [--epochs 8] [--images 1200]

The images are scikit-learn's digits, with their labels: enlarged, at a random place of a larger image,
with noise. They are trained for real, with ``strategy="auto"``, for which the planner chooses, and with
``strategy="random"``, in which all train to the end. "epochs" is what all runs have trained together,
"CPU" this process' own time, which other programs on the machine disturb less.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from unittest import mock

import keras
import numpy as np
from rich.box import MARKDOWN
from rich.table import Table
from sklearn.datasets import load_digits

from keras_acts.search import ActivationSpace, SearchResult, search_activations
from keras_acts.search.population.step_tensorflow import TrainingStep
from keras_acts.search.race.effort import costs_of
from keras_acts.search.race.planner import options, plan
from keras_acts.search.race.runner import job_of

SIDE = 32
_ENLARGED = 24
_NOISE = 0.3
FILTERS = (32, 64, 128)
BLOCKS = 2
BATCH_SIZE = 32
VALIDATION_SPLIT = 0.2
TEST_IMAGES = 500
STRATEGIES = ("auto", "random")


class Images(NamedTuple):
    """What is learned, and on what the winner is tested."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Searched(NamedTuple):
    """What a search took, and what it found."""

    strategy: str
    result: SearchResult
    seconds: float
    cpu: float
    programs: int


def images(count: int) -> Images:
    """Return so many images to learn from, and those of the test."""
    random = np.random.default_rng(0)
    pixels, labels = load_digits(return_X_y=True)
    order = random.permutation(len(pixels))[: count + TEST_IMAGES]
    small = pixels[order].reshape(-1, 8, 8, 1) / 16
    enlarged = keras.ops.image.resize(small.astype("float32"), (_ENLARGED, _ENLARGED))
    x = random.normal(0, _NOISE, size=(len(order), SIDE, SIDE, 1)).astype("float32")
    places = random.integers(0, SIDE - _ENLARGED + 1, size=(len(order), 2))
    for image, digit, (row, column) in zip(x, np.asarray(enlarged), places, strict=True):
        image[row : row + _ENLARGED, column : column + _ENLARGED] += digit
    y = labels[order]
    return Images(x[:count], y[:count], x[count:], y[count:])


def resnet() -> keras.Model:
    """Return a compiled ResNet of three stages, two blocks each."""
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 1))
    x = _normalized(layers.Conv2D(FILTERS[0], 3, strides=2, padding="same", use_bias=False)(inputs))
    x = layers.Activation("relu")(x)
    for stage, filters in enumerate(FILTERS):
        for block in range(BLOCKS):
            strides = 1
            if stage and not block:
                strides = 2
            x = _block(x, filters, strides)
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs, name="resnet")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _block(x: keras.KerasTensor, filters: int, strides: int) -> keras.KerasTensor:
    layers = keras.layers
    shortcut = x
    if strides > 1:
        shortcut = _normalized(layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x))
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    y = layers.Activation("relu")(_normalized(y))
    y = _normalized(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    return layers.Activation("relu")(layers.Add()([y, shortcut]))


def _normalized(x: keras.KerasTensor) -> keras.KerasTensor:
    # with Keras' 0.99 the averages would still be the first ones' when a short training ends
    return keras.layers.BatchNormalization(momentum=0.9)(x)


def searches(
    trials: int, epochs: int, count: int, strategies: Sequence[str] = STRATEGIES, seed: int = 0
) -> Iterator[Searched]:
    """Yield a search with each strategy: the same trials, epochs and images."""
    data = images(count)
    trace = TrainingStep._trace
    for strategy in strategies:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        model = resnet()
        with mock.patch.object(TrainingStep, "_trace", autospec=True, side_effect=trace) as traced:
            begun = time.perf_counter()
            begun_cpu = time.process_time()
            result = search_activations(
                model,
                data.x,
                data.y,
                validation_split=VALIDATION_SPLIT,
                test_data=(data.x_test, data.y_test),
                trials=trials,
                epochs=epochs,
                batch_size=BATCH_SIZE,
                strategy=strategy,
                learning_rates=None,
                verdict=0,
                seed=seed,
                verbose=0,
            )
            seconds = time.perf_counter() - begun
            cpu = time.process_time() - begun_cpu
        yield Searched(strategy, result, seconds, cpu, len(traced.mock_calls))


def way_of(result: SearchResult) -> str:
    """Return how a search went, in words."""
    if result.kind is None:
        return "trials, all to the end"
    return str(result.kind)


def epochs_of(result: SearchResult) -> int:
    """Return how many epochs all runs of a search have trained."""
    return len(result.to_pandas(epochs="search"))


def planned(trials: int, epochs: int, count: int) -> str:
    """Return the seconds that the planner expects of all to the end, and of what it chooses, in words."""
    fit = {"x": images(count).x, "batch_size": BATCH_SIZE, "validation_split": VALIDATION_SPLIT}
    counted = costs_of(resnet(), fit)
    assert counted is not None  # the data are arrays
    space = ActivationSpace().with_baseline()
    job = job_of(space, trials, epochs, trials * epochs)
    plain = options(job, counted)[0]
    chosen = plan(job, counted)
    return (
        f"planned: {plain.kind} {plain.seconds:.0f} s, {chosen.kind} in {len(chosen.rungs)} rounds "
        f"{chosen.seconds:.0f} s"
    )


def resnet_table(
    trials: int, epochs: int, count: int, strategies: Sequence[str] = STRATEGIES
) -> Table:
    """Return what the searches took and found."""
    title = (
        f"ResNet of {resnet().count_params():,} parameters, {count} images of {SIDE} x {SIDE}, "
        f"{trials} trials of {epochs} epochs; {planned(trials, epochs, count)}"
    )
    table = Table(
        "strategy",
        "way",
        "programs",
        "epochs",
        "seconds",
        "CPU",
        "found",
        "validation",
        "test",
        title=title,
        title_justify="left",
        box=MARKDOWN,
    )
    for each in searches(trials, epochs, count, strategies):
        result = each.result
        test = "-"
        if result.test is not None:
            test = f"{result.test['accuracy']:.3f}"
        table.add_row(
            each.strategy,
            way_of(result),
            str(each.programs),
            str(epochs_of(result)),
            f"{each.seconds:.0f}",
            f"{each.cpu:.0f}",
            str(result.best),
            f"{result.score:.3f}",
            test,
        )
    return table
