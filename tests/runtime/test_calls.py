"""A call as one would write it again."""

import numpy as np
import pytest

from keras_acts.search import compare_activations
from keras_acts.search.runtime.calls import written_call

pytestmark = pytest.mark.once


def train(model, x, y=None, *, epochs=10, data=None, names=(), verbose=True, **options):
    """A function with all kinds of arguments."""


def test_what_differs_from_the_defaults_is_written():
    given = {"model": object(), "x": np.zeros(3), "y": None, "epochs": 5, "data": np.zeros(3)}
    given |= {"names": ["relu", "mish"], "verbose": True, "options": {"callbacks": [object()]}}
    assert written_call(train, given) == (
        "train(model, x, epochs=5, data=…, names=['relu', 'mish'], callbacks=…)"
    )
    # 1 is no True: it was written so
    assert written_call(train, {"verbose": 1}) == "train(verbose=1)"
    assert written_call(train, {"epochs": 10}) == "train()"


def test_nothing_of_the_data_is_in_it():
    secret = "x" * 1000
    given = {"model": secret, "x": secret, "data": secret, "names": [secret]}
    assert "xx" not in written_call(train, given)


def test_the_names_are_those_of_our_functions():
    given = {"model": 1, "x": 1, "y": 1, "activations": ["relu"], "seeds": 4}
    assert written_call(compare_activations, given) == (
        "compare_activations(model, x, y, activations, seeds=4)"
    )
    assert written_call(compare_activations, given, shown=["activations"]) == (
        "compare_activations(model, x, y, ['relu'], seeds=4)"
    )
    objects = {**given, "activations": [object()]}
    assert written_call(compare_activations, objects, shown=["activations"]) == (
        "compare_activations(model, x, y, activations, seeds=4)"
    )
