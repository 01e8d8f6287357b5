"""What notebooks show of spaces, slots and specs."""

import pytest

import keras_acts
from keras_acts.search import ActivationSpace, Assignment, Candidate, slots
from keras_acts.search.space.assignment import SlotGroup
from tests.helpers.models import mlp
from tests.helpers.reports import Reader

# text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once


def test_slots_are_shown_as_a_table():
    table = slots(mlp())
    reader = Reader(table._repr_html_())
    assert reader.wrong == []
    for slot in table:
        assert slot.name in reader.text
    assert f"{len(table.hidden)} of {len(table)} slots are hidden" in reader.text


def test_a_space_is_shown_with_what_is_searched():
    space = ActivationSpace(["relu", "trelu(theta=0.5)"])
    reader = Reader(space._repr_html_())
    assert reader.wrong == []
    assert "trelu(theta=0.5)" in reader.text
    assert "alpha from " in reader.text
    assert "2 activations, chosen once for the whole model." in reader.text
    assert "for each layer" in ActivationSpace(["relu", "elu"], per="layer")._repr_html_()
    grouped = ActivationSpace(["relu", "elu"], per={"first": "dense.*"})
    assert "for each of the groups first" in grouped._repr_html_()


def test_an_activation_is_shown_with_its_parameters_and_formula():
    reader = Reader(keras_acts.get("trelu(alpha=0.2, theta=-0.3)")._repr_html_())
    assert reader.wrong == []
    assert reader.text == "TReLU(alpha=0.2, theta=-0.3): x if x > theta else alpha * x"
    assert Reader(Candidate.of("elu(alpha=0.5)")._repr_html_()).text == "elu(alpha=0.5)"


def test_an_activation_for_each_group_is_shown_as_a_table():
    first = SlotGroup("first", ("a",))
    second = SlotGroup("second", ("b", "c"))
    choice = Assignment(((first, Candidate.of("relu")), (second, Candidate.of("mish"))))
    reader = Reader(choice._repr_html_())
    assert reader.wrong == []
    for text in ("first", "relu", "b, c", "mish"):
        assert text in reader.text


@pytest.mark.parametrize("name", keras_acts.names())
def test_a_spec_is_shown_with_its_formula(name):
    spec = keras_acts.spec(name)
    reader = Reader(spec._repr_html_())
    assert reader.wrong == []
    assert " ".join(spec.formula.split()) in reader.text
    for parameter in spec.parameters:
        assert parameter.name in reader.text
