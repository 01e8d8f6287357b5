"""Which learning rates a user may ask for, and what that means for a model."""

import pytest

from keras_acts.errors import SearchError
from keras_acts.search import ActivationSpace
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.learning_rates import LearningRates, around, wider
from keras_acts.search.space.rated import Rated

# numbers and text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once


def test_what_may_be_asked_for():
    assert LearningRates.of(None) is None
    automatic = LearningRates.of("auto")
    assert automatic.automatic
    assert automatic.for_model(0.001) == (0.25, 0.5, 1.0, 2.0, 4.0)
    assert automatic.for_model(None) == (0.25, 0.5, 1.0, 2.0, 4.0)
    given = LearningRates.of([0.004, "x0.5", 0.001])
    # the model's own is among them once, whoever names it
    assert given.for_model(0.001) == pytest.approx((0.5, 1.0, 4.0))
    assert 1.0 in given.for_model(0.001)
    assert given.for_model(0.002) == pytest.approx((0.5, 1.0, 2.0))
    assert LearningRates.of(given) is given


@pytest.mark.parametrize(
    "wrong", ["x2", "often", 0.001, [], [0.0], [-1e-3], ["2x"], [True], [float("inf")], ["x0"]]
)
def test_what_is_no_learning_rate(wrong):
    with pytest.raises(SearchError, match="learning_rates must be 'auto', None, or a list"):
        LearningRates.of(wrong)


def test_a_rate_that_changes_is_searched_in_multiples():
    with pytest.raises(SearchError, match=r"multiples of it are searched.*Received: \[0.004\]"):
        LearningRates.of([0.004, "x2"]).for_model(None)


def test_a_range_goes_on_beyond_its_ends_only():
    assert wider((0.5, 1.0, 2.0), 2.0) == 4.0
    assert wider((0.5, 1.0, 2.0), 0.5) == 0.25
    assert wider((0.5, 1.0, 2.0), 1.0) is None
    assert around((0.25, 1.0, 3.0), 1.0) == (0.25, 1.0, 3.0)
    assert around((0.25, 1.0, 3.0), 3.0) == (1.0, 3.0, 6.0)


def test_a_space_keeps_its_rates():
    space = ActivationSpace(["relu", "mish"], learning_rates=["x2", 0.003])
    assert ActivationSpace.from_json(space.to_json()) == space
    assert "learning_rates=['x2.0', '0.003']" in repr(space)
    assert space.with_baseline("relu").learning_rates == space.learning_rates
    plain = ActivationSpace(["relu", "mish"])
    assert space.with_learning_rates(None) == plain
    # another search may not go on with it
    assert space.fingerprint != plain.fingerprint
    automatic = plain.with_learning_rates("auto")
    assert ActivationSpace.from_json(automatic.to_json()) == automatic


def test_a_choice_says_its_rate_where_it_is_another():
    relu = Candidate.of("relu")
    assert str(Rated(relu)) == "relu"
    assert str(Rated(relu, 0.5)) == "relu at 0.5 times the learning rate"
    assert Rated(relu, 0.5).told(0.004) == "'relu at learning rate 0.002'"
    assert Rated(relu, 0.5).told(None) == "'relu at learning rate x0.5'"
    assert Rated(relu).told(0.004) == "relu"
    assert Rated.of(Rated(relu, 2.0)) == Rated(relu, 2.0)
    assert Rated(Candidate.of("elu", alpha=2.0), 2.0).kind == "elu"


@pytest.mark.parametrize("own", [0.001, 0.0102])
def test_rates_that_are_close_have_names_of_their_own_or_are_one(own):
    values = [own * factor * (1 + index * 4e-6) for factor in (1, 9.3) for index in range(9)]
    factors = LearningRates.of(values).for_model(own)
    names = {str(Rated(Candidate.of("relu"), factor)) for factor in factors}
    assert len(names) == len(factors) > 4
