"""Columns in any unit reach a model with the spread that is said of them."""

import numpy as np
import pandas
import pytest

from keras_acts.errors import DataError
from keras_acts.search import TablePreprocessing
from keras_acts_cli import jobs, models
from keras_acts_cli.data import Dataset, load

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
UNITS = [1e-30, 1e-12, 1e-7, 1e-4, 1.0, 1e30]


@pytest.mark.parametrize("unit", UNITS)
def test_the_columns_of_a_frame_are_scaled_in_any_unit(unit):
    size = unit * RNG.normal(5, 2, 200)
    table = TablePreprocessing(pandas.DataFrame({"size": size, "town": ["a", "b"] * 100}))
    made = table(pandas.DataFrame({"size": size, "town": ["a", "b"] * 100}))
    np.testing.assert_allclose(made[:, 0], (size - size.mean()) / size.std(), atol=1e-5)


def test_the_built_in_model_scales_in_any_unit():
    x = (RNG.normal(5, 2, (200, 6)) * UNITS).astype("float32")
    x[:, 4] = 0.1  # constant
    data = Dataset("t", x, np.arange(200) % 2, ("a", "b"))
    model = models.build("mlp", data, data.split(0), 0)
    made = x
    for layer in model.layers[:2]:
        made = layer(made)
    assert model.layers[1].name == "scale"
    spread = np.asarray(made).std(axis=0)
    np.testing.assert_allclose(np.delete(spread, 4), 1, rtol=0.3)
    assert spread[4] == 0
    again = type(model).from_config(model.get_config())
    assert again.layers[0].scale == model.layers[0].scale


def test_what_float32_cannot_tell_apart_tells_nothing():
    size = 1e6 + 1e-5 * np.arange(10)
    table = TablePreprocessing({"size": size, "town": ["a", "b"] * 5})
    assert table.features == ("town",)
    assert table.left_out() == ["'size' is left out: 1e+06 in all training rows"]


def test_a_normalization_that_keras_cannot_do_is_refused(tmp_path):
    values = RNG.normal(size=(50, 3)) * [1.0, 1e-4, 0]
    made = jobs._normalization(values, (), tmp_path)
    np.testing.assert_allclose(made.variance, [values[:, 0].var(), values[:, 1].var(), 1])
    with pytest.raises(DataError, match=r"a unit that makes the numbers larger. Received: .*e-17"):
        jobs._normalization(1e-12 * values, (), tmp_path)


def test_a_date_that_never_changes_is_told_as_one():
    days = pandas.to_datetime(["2024-02-29"] * 10)
    table = TablePreprocessing({"day": days, "town": ["a", "b"] * 5})
    assert table.left_out() == ["'day' is left out: 2024-02-29 in all training rows"]


def test_what_float32_makes_of_a_plain_table_is_told(tmp_path):
    rows = [f"{1e6 + number * 1e-3},{number % 7},{2**24 + number}" for number in range(60)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["size,b,y", *rows]))
    data = load(str(path))
    told = data.warnings(data.split(0))
    assert "'size' has 60 different numbers, of which float32 can tell 2 apart" in told
    assert "'y' has 60 different numbers, of which float32 can tell 31 apart" in told
    assert not any(line.startswith("'b'") for line in told)
