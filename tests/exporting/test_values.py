"""What an export predicts for is what was given: no cast makes other values of it in silence."""

from decimal import Decimal

import keras
import ml_dtypes
import numpy as np
import pytest

from keras_acts.errors import DataError, ExportError
from keras_acts.search import export, load
from keras_acts.search.exporting.values import misfit, unlike

NUMBERS = [
    np.array([True]),
    np.array([3], "uint8"),
    np.array([0.5], "float16"),
    np.array([0.5], np.longdouble),
    np.array([0.5], ml_dtypes.bfloat16),
    np.array([1, 0.5, np.float32(2), np.True_, Decimal("0.5"), None], object),
]
OTHERS = {
    "words": (np.array(["1.5"]), "values of dtype <U3"),
    "bytes": (np.array([b"1.5"]), "values of dtype |S3"),
    "dates": (np.array(["2026-01-01"], "datetime64[D]"), "values of dtype datetime64[D]"),
    "spans": (np.array([3], "timedelta64[D]"), "values of dtype timedelta64[D]"),
    "complex": (np.array([1 + 2j]), "values of dtype complex128"),
    "records": (np.zeros(1, [("a", "f4")]), "values of dtype [('a', '<f4')]"),
    "a word among numbers": (np.array([1.0, "2"], object), "a value of type str"),
    "a span among numbers": (
        np.array([1.0, np.timedelta64(1, "D")], object),
        "a value of type timedelta64",
    ),
}


@pytest.mark.once
@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "bfloat16"])
def test_only_real_numbers_are_taken_for_numbers(dtype):
    for values in NUMBERS:
        assert unlike(values, dtype) == ""
    for values, said in OTHERS.values():
        assert unlike(values, dtype) == said


@pytest.mark.once
def test_words_and_complex_numbers_go_where_they_belong():
    assert unlike(OTHERS["words"][0], "string") == ""
    assert unlike(OTHERS["bytes"][0], "string") == ""
    assert unlike(np.array(["a", b"b"], object), "string") == ""
    assert unlike(np.array(["a", None], object), "string") == "a value of type NoneType"
    assert unlike(np.array([1.0]), "string") == "values of dtype float64"
    assert unlike(OTHERS["complex"][0], "complex64") == ""
    assert unlike(np.array([1.0, 2j], object), "complex64") == ""


@pytest.mark.once
def test_a_number_that_would_become_infinite_is_found():
    assert misfit(np.array([[0.0, 1], [2, -1e300]]), "float32") == (1, 1)
    assert misfit(np.array([1, 70_000]), "float16") == (1,)
    assert misfit(np.array([None, 1e300], object), "float32") == (1,)
    assert misfit(np.array([1, 1e300j]), "complex64") == (1,)
    # what is infinite already, or a gap, stays what it is
    assert misfit(np.array([np.inf, -np.inf, np.nan, 3e38]), "float32") is None
    assert misfit(np.array([1e300]), "float64") is None


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0, name="twice")])
    return load(export(model, tmp_path_factory.mktemp("values") / "model").path)


@pytest.mark.parametrize("name", OTHERS)
def test_predict_refuses_what_is_no_number(exported, name):
    values, said = OTHERS[name]
    pair = np.array([[values.flat[-1]] * 2], values.dtype)
    for allow_nan in (False, True):
        with pytest.raises(DataError) as error:
            exported.predict(pair, allow_nan=allow_nan)
        assert "must be of float32. Received: " + said in str(error.value)


def test_predict_refuses_what_would_become_infinite(exported):
    with pytest.raises(
        DataError, match=r"of values that float32 can hold. Received: 1e\+300 at \[1, 0\]"
    ):
        exported.predict(np.array([[1.0, 2.0], [1e300, 3.0]]))
    with pytest.raises(DataError, match=r"must be numbers, float32. Received: .*too large"):
        exported.predict(np.array([[1, 10**400]], object))
    (found,) = exported.predict(np.array([[1, Decimal("1.5")]], object)).values()
    assert found.tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None])
def test_predict_refuses_a_size_of_batches_that_is_none(exported, size):
    with pytest.raises(
        DataError, match=r"batch_size must be an integer >= 1\. Received: batch_size="
    ):
        exported.predict([[1.0, 2.0]], batch_size=size)


def test_predict_refuses_rows_of_several_lengths(exported):
    with pytest.raises(DataError, match=r"must be an array\. Received:"):
        exported.predict([[1.0, 2.0], [1.0]])


def test_samples_of_another_kind_are_refused_and_not_compared_as_others(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for values, said in OTHERS.values():
        pair = np.array([[values.flat[-1]] * 2], values.dtype)
        with pytest.raises(ExportError) as error:
            export(model, tmp_path / "model", samples=pair)
        assert "samples must be what the model takes, float32" in str(error.value)
        assert f"Received: {said}" in str(error.value)
    assert list(tmp_path.iterdir()) == []
