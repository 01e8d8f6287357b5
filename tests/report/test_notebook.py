"""What notebooks show of spaces, slots and specs."""

import pytest

import keras_acts
from keras_acts.search import ActivationSpace, slots
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


@pytest.mark.parametrize("name", keras_acts.names())
def test_a_spec_is_shown_with_its_formula(name):
    spec = keras_acts.spec(name)
    reader = Reader(spec._repr_html_())
    assert reader.wrong == []
    assert " ".join(spec.formula.split()) in reader.text
    for parameter in spec.parameters:
        assert parameter.name in reader.text
