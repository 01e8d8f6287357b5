"""A table's columns as numbers: by the training's rows alone, and the same inside the export."""

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf

from keras_acts.errors import DataError
from keras_acts.search import TablePreprocessing, export, load

DAYS = pandas.date_range("2023-12-30", periods=60, freq="31h")
RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "Größe (cm)": RNG.normal(170, 9, 60),
        "km/h": np.where(np.arange(60) % 9 == 4, np.nan, np.arange(60) % 7),
        "input_3": np.arange(60) % 2 == 0,
        "town": np.array(["Bern", "Köln", None, "[UNK]"], object)[np.arange(60) % 4],
        "rare": np.array(["a", "b", "c"], object)[np.minimum(np.arange(60) % 31, 2)],
        "day": DAYS,
        "name": [f"n{i}" for i in range(60)],
        "same": 1.0,
        "empty": None,
    }
)


@pytest.fixture(scope="module")
def table():
    return TablePreprocessing(FRAME)


def test_each_column_becomes_what_is_said(table):
    x = table(FRAME)
    assert x.shape == (60, table.width) == (60, 1 + 2 + 1 + 4 + 3 + 12)
    assert x.dtype == "float32"
    assert np.isfinite(x).all()
    size = FRAME["Größe (cm)"]
    np.testing.assert_allclose(x[:, 0], (size - size.mean()) / size.std(ddof=0), atol=1e-4)
    is_gap = FRAME["km/h"].isna()
    np.testing.assert_array_equal(x[is_gap, 1], 0)
    np.testing.assert_array_equal(x[:, 2], is_gap)
    words = ["", "Bern", "Köln", "[UNK]"]
    town = FRAME["town"].fillna("").to_numpy()
    order = sorted(words)
    for place, word in enumerate(order):
        np.testing.assert_array_equal(x[:, 4 + place], town == word)
    day = x[:, 11:]
    np.testing.assert_array_equal(day[:, 1:8].argmax(axis=1), DAYS.day_of_week)
    hours = (DAYS.hour + DAYS.minute / 60) / 24 * 2 * np.pi
    np.testing.assert_allclose(day[:, 10], np.sin(hours), atol=0.02)
    years = np.arctan2(day[:, 8], day[:, 9]) / 2 / np.pi % 1
    expected = DAYS.day_of_year / 365.2425 % 1
    assert np.abs((years - expected + 0.5) % 1 - 0.5).max() < 0.01
    said = str(table)
    for text in ("town", "left out: 60 different words in 60 rows", "left out: 1 in all"):
        assert text in said
    assert "no training row has a value" in said


def test_other_rows_have_no_say(table):
    """What is done with a column does not change by what validation and test rows hold."""
    train = FRAME[:40]
    fitted = TablePreprocessing(train)
    other = FRAME[40:].assign(**{"km/h": 1e6, "town": "Wien", "Größe (cm)": -5.0})
    again = TablePreprocessing(pandas.concat([train, other])[:40])
    assert fitted.columns == again.columns
    before = fitted(train)
    fitted(other)
    np.testing.assert_array_equal(fitted(train), before)
    # and all rows would have made others
    assert fitted.columns != TablePreprocessing(pandas.concat([train, other])).columns


def test_what_the_training_has_not_seen(table):
    other = FRAME[:3].assign(town=["Wien", "Bern", None], rare=["z", "a", "c"])
    x = table(other)
    np.testing.assert_array_equal(x[0, 4:8], 0)
    # with rare ones there is a number of their own, the first
    np.testing.assert_array_equal(
        x[:, 8:11].argmax(axis=1)[1:], table(FRAME)[[0, 2], 8:11].argmax(axis=1)
    )
    gap = other.assign(**{"Größe (cm)": [np.nan, 1.0, 2.0]})
    assert table(gap)[0, 0] == 0
    assert table.unseen(gap) == [
        "'Größe (cm)' has gaps in 1 rows, and none in the training: they are taken for the mean",
        "'town' has 1 rows with a category that the training has not, or hardly: 'Wien'",
        "'rare' has 1 rows with a category that the training has not, or hardly: 'z'",
    ]


def test_rare_categories_share_the_number_of_unseen_ones():
    words = ["a"] * 10 + ["b"] * 9 + ["c", "d"]
    table = TablePreprocessing({"w": words})
    x = table({"w": ["a", "b", "c", "d", "new"]})
    np.testing.assert_array_equal(x.argmax(axis=1), [1, 2, 0, 0, 0])
    assert "rarer and unseen ones together (2 rows)" in str(table)
    # the order of rows does not matter
    assert TablePreprocessing({"w": words[::-1]}).columns == table.columns


def test_the_export_takes_the_columns_as_they_are(table, tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((table.width,)), keras.layers.Dense(2, activation="softmax", name="output")]
    )
    path = tmp_path / "model"
    inputs = table.inputs(FRAME)
    export(
        model,
        path,
        preprocessing=table.model,
        samples=inputs,
        class_names=["no", "yes"],
        card=table.card(),
    )
    expected = model.predict(table(FRAME), verbose=0)
    # TensorFlow alone, with words
    plain = tf.saved_model.load(str(path))
    signature = plain.signatures["serving_default"]
    tensors = {
        "Gr__e__cm_" if name.startswith("Gr") else name: tf.constant(array)
        for name, array in inputs.items()
    }
    np.testing.assert_allclose(signature(**tensors)["output"], expected, atol=1e-6)
    loaded = load(path)
    # gaps where the training had some are no slip
    np.testing.assert_allclose(loaded.predict(inputs)["output"], expected, atol=1e-6)
    inputs["Größe (cm)"][3] = np.nan
    with pytest.raises(DataError, match="NaN in the input 'Gr__e__cm_'"):
        loaded.predict(inputs)
    text = (path / "assets" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| town | category | 4 | one of 4 categories, of which one is a gap (15 rows)" in text
    assert loaded.card["columns"][3]["categories"] == ["", "Bern", "Köln", "[UNK]"]


def test_frames_of_polars_and_plain_arrays_are_frames(table):
    polars = pytest.importorskip("polars")
    columns = {name: FRAME[name].tolist() for name in ("Größe (cm)", "input_3")}
    columns["town"] = [word or None for word in FRAME["town"].fillna("")]
    columns["day"] = [day.to_pydatetime() for day in DAYS]
    few = TablePreprocessing(FRAME[list(columns)])
    for frame in (polars.DataFrame(columns), columns):
        assert TablePreprocessing(frame).columns == few.columns
        np.testing.assert_array_equal(few(frame), few(FRAME))


@pytest.mark.once
def test_what_is_no_table_is_refused(table):
    for frame, said in (
        (np.zeros((3, 2)), "a frame of pandas or polars, or a mapping of arrays"),
        ({"a": [1, 2], "b": [1]}, "as many rows"),
        ({"a": [1 + 2j, 3]}, "numbers, truth values, words or dates. Received: 'a' of complex128"),
        ({"a": [1, "b"]}, "'a' of int and str"),
        ({"a": [[1], [2]]}, "'a' of list"),
        ({"a": [1.0, np.inf]}, "Received: inf in row 2, column 'a'"),
        (
            {"a": [1, 1]},
            "At least one column must tell something. Received: 'a' left out: 1 in all",
        ),
    ):
        with pytest.raises(DataError) as raised:
            TablePreprocessing(frame)
        assert said in str(raised.value)
    with pytest.raises(DataError, match=r"without \['town'\]"):
        table(FRAME.drop(columns="town"))
    with pytest.raises(
        DataError, match=r"'town' must be of words, as in the training\. Received: numbers"
    ):
        table(FRAME.assign(town=1.0))
    with pytest.raises(DataError, match=r"drop must name columns: a, b\. Received: 'c'"):
        TablePreprocessing({"a": [1, 2], "b": [1, 2]}, drop=["c"])


@pytest.mark.once
def test_what_names_rows_is_told():
    rows = np.arange(40)
    frame = {
        "Unnamed: 0": rows,
        "size": rows**2 % 97 * 1000 + rows,
        "x": rows % 7,
        "t": 1.7e9 + rows,
    }
    notes = " ".join(TablePreprocessing(frame).notes)
    assert "'Unnamed: 0' is another whole number in each row: if it names the rows" in notes
    assert "'size' is another whole number in each row: leave it out if it only names them" in notes
    assert "'x'" not in notes
    assert "'t' has 40 different numbers, of which float32 can tell 1 apart" in notes
