"""Differences as a verdict writes them, very small ones too."""

import pytest

from keras_acts.search.verdict.words import Unit

pytestmark = pytest.mark.once

LOSS = Unit("loss", share=False)
ACCURACY = Unit("accuracy", share=True)


def test_the_unit_of_a_span_stands_once_and_its_numbers_are_whole():
    assert LOSS.span(1.2e-7, 0.003) == "1.2 × 10⁻⁷ to 0.0030 of loss"
    assert LOSS.span(1.2e-7, 3.4e-7) == "1.2 × 10⁻⁷ to 3.4 × 10⁻⁷ of loss"
    assert ACCURACY.span(0.012, 0.034) == "1.2 to 3.4 points"
    assert ACCURACY.span(0.012, 0.012) == "1.2 points"


def test_the_ends_of_a_narrow_interval_are_two_numbers():
    text = LOSS.between(0.01234565, 0.01234561, 0.01234569)
    assert text == "0.01234565 of loss (0.01234561 to 0.01234569)"
    assert LOSS.between(2e-8, 1e-8, 3e-8) == "2 × 10⁻⁸ of loss (1 × 10⁻⁸ to 3 × 10⁻⁸)"
