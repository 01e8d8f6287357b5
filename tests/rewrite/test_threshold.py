"""Two classes and one unit: above which output it is the second one."""

import os

import keras
import pytest
from keras import layers, losses

from keras_acts.errors import ExportError
from keras_acts.search import export, load
from keras_acts.search.rewrite.threshold import threshold_of


def mine(y, p):
    return keras.ops.mean((y - p) ** 2)


class Mine(losses.BinaryCrossentropy):
    def call(self, y_true, y_pred):
        return super().call(y_true, 2 * y_pred - 1)


def averaged(x):
    return layers.Average()([layers.Dense(1, "sigmoid")(x), layers.Dense(1, "sigmoid")(x)])


def nested(x):
    return keras.Sequential([keras.Input((4,)), layers.Dense(1, "sigmoid"), layers.Reshape((1,))])(
        x
    )


def scaled(x):
    return layers.Rescaling(2.0, offset=-1.0)(layers.Dense(1, "sigmoid")(x))


def model(end, loss):
    inputs = keras.Input((4,))
    made = keras.Model(inputs, end(inputs))
    if loss is not None:
        made.compile("sgd", loss)
    return made


LOSSES = [
    *(
        None,
        "binary_crossentropy",
        losses.BinaryCrossentropy(from_logits=True),
        losses.BinaryFocalCrossentropy(),
    ),
    *(["BinaryCrossentropy"], "hinge", "mse", mine, Mine()),
]


@pytest.mark.parametrize(
    ("end", "thresholds"),
    [
        (layers.Dense(1), (0, 0.5, 0, 0.5, 0.5, 0, None, None, None)),
        (layers.Dense(1, "tanh"), (0, 0.5, 0, 0.5, 0.5, 0, None, None, None)),
        (nested, (0.5,) * 9),
        (averaged, (None, 0.5, 0, 0.5, 0.5, 0, None, None, None)),
        (scaled, (None, 0.5, 0, 0.5, 0.5, 0, None, None, None)),
    ],
    ids=lambda end: getattr(end, "__name__", type(end).__name__),
)
def test_the_loss_says_it_or_the_last_activation(end, thresholds):
    assert [threshold_of(model(end, loss)) for loss in LOSSES] == list(thresholds)


def test_what_nobody_knows_is_asked_before_anything_is_written(tmp_path):
    two = {"class_names": ["no", "yes"]}
    with pytest.raises(
        ExportError, match=r"threshold must be given.*Received: class_names=\['no', 'yes'\], loss="
    ):
        export(model(layers.Dense(1), "mse"), tmp_path / "model", **two)
    with pytest.raises(ExportError, match=r"a finite number\. Received: threshold=nan"):
        export(model(layers.Dense(1), "mse"), tmp_path / "model", **two, threshold=float("nan"))
    for units, options in ((2, {**two, "threshold": 0.5}), (1, {"threshold": 0.5})):
        with pytest.raises(
            ExportError, match=r"two class_names and a model of one unit\. Received: threshold=0\.5"
        ):
            export(model(layers.Dense(units), None), tmp_path / "model", **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_an_average_of_probabilities_is_one(tmp_path):
    made = model(averaged, "binary_crossentropy")
    x = keras.random.normal((20, 4), seed=1).numpy() * 3
    found = load(
        export(made, tmp_path / "model", samples=x, class_names=["no", "yes"]).path
    ).predict(x)
    expected = ["yes" if y > 0.5 else "no" for y in made.predict(x, verbose=0)[:, 0]]
    assert found["label"].tolist() == expected
    assert set(expected) == {"no", "yes"}
    export(made, tmp_path / "low", samples=x, class_names=["no", "yes"], threshold=0.01)
    assert set(load(tmp_path / "low").predict(x)["label"]) == {"yes"}
