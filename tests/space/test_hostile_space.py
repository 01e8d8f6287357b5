"""Whatever a candidate or a space is made of, it is refused with an error of ours, or it is one."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_acts.errors import KerasActsError, SearchError
from keras_acts.search import ActivationSpace
from keras_acts.search.space.assignment import Assignment
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.learning_rates import LearningRates
from tests.helpers import hostile


def made(function, *arguments, **options):
    """What a function makes, or None where it refuses; its message is short and has a form."""
    try:
        return function(*arguments, **options)
    except KerasActsError as error:
        text = str(error)
        assert "eceived" in text
        assert len(text) < 3000
        return None


activations = st.one_of(hostile.written(), hostile.values)
RATES = ["auto", "x2", "x0", "x-1", "xx", "x1e999", "0.004", 0.004, 0, -1, 1e999, 10**400, True]
rates = st.one_of(hostile.values, st.lists(st.one_of(st.sampled_from(RATES), hostile.leaves)))


@hostile.examples
@given(activations, hostile.parameters)
def test_candidates(identifier, parameters):
    candidate = made(Candidate.of, identifier, **parameters)
    if candidate is not None and "." not in candidate.name:
        assert Candidate.of(str(candidate)) == candidate


@hostile.examples
@given(
    st.one_of(hostile.values, st.lists(activations, max_size=3)),
    st.one_of(
        hostile.values,
        st.dictionaries(
            st.sampled_from(["leaky_relu.alpha", "elu.alpha", "trelu.theta", "trelu.mode", "x"]),
            st.one_of(
                hostile.values,
                st.tuples(hostile.numbers, hostile.numbers),
                st.tuples(hostile.numbers, hostile.numbers, st.sampled_from(["log", "linear"])),
            ),
            max_size=2,
        ),
    ),
    st.one_of(
        st.just("model"),
        hostile.values,
        st.dictionaries(st.text(max_size=3), st.sampled_from(["(", "a+", ["a"], "(" * 9000, []])),
    ),
    st.one_of(st.none(), rates),
)
def test_spaces(given_activations, ranges, per, learning_rates):
    options = {"ranges": ranges, "per": per, "learning_rates": learning_rates}
    space = made(ActivationSpace, given_activations, **options)
    if space is not None:
        assert ActivationSpace.from_json(space.to_json()) == space


@hostile.examples
@given(rates)
def test_learning_rates(value):
    made(LearningRates.of, value)


@hostile.examples
@given(st.dictionaries(st.text(max_size=3), activations, max_size=3))
def test_assignments(chosen):
    made(Assignment.of, chosen)


WRITTEN = ActivationSpace(
    ["relu", "leaky_relu", "trelu(theta=0.5)"], per={"a": ["b"]}, learning_rates=["x2", 0.01]
).to_json()


@hostile.examples
@given(st.one_of(hostile.values, st.text()))
def test_text_that_is_no_space(text):
    assert made(ActivationSpace.from_json, text) is None


def _paths(data, path=()):
    yield path
    items = []
    if isinstance(data, dict):
        items = data.items()
    if isinstance(data, list):
        items = enumerate(data)
    for key, value in items:
        yield from _paths(value, (*path, key))


plain = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), hostile.written()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@hostile.examples
@given(st.sampled_from(list(_paths(json.loads(WRITTEN)))), plain)
def test_a_space_with_one_value_of_another_kind(path, value):
    data = {"": json.loads(WRITTEN)}
    keys = ["", *path]
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    changed = data[""]
    space = made(ActivationSpace.from_json, json.dumps(changed))
    assert space is None or space.to_json() == WRITTEN
    # who writes such a file can compute its fingerprint too
    if not isinstance(changed, dict):
        return
    changed.pop("fingerprint", None)
    fingerprint = hashlib.sha256(json.dumps(changed).encode()).hexdigest()[:16]
    space = made(ActivationSpace.from_json, json.dumps({**changed, "fingerprint": fingerprint}))
    if space is not None:
        assert len(space.grid(2)) >= len(space.labels)
        assert len(space.sample(3)) == 3
        assert ActivationSpace.from_json(space.to_json()) == space


@pytest.mark.once
@pytest.mark.parametrize("text", ["", "null", "5", "[1]", "[" * 100_000, "{}", WRITTEN[:-20], 5])
def test_what_is_no_space_is_said(text):
    with pytest.raises(SearchError, match=r"must be a space that to_json wrote\. Received: "):
        ActivationSpace.from_json(text)
