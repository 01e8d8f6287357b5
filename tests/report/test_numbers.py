"""Numbers as people read them, and the scales of pictures."""

import math

import pytest

from keras_acts.search.report import scales, svg
from keras_acts.search.report.numbers import counted, decimals_for, number, rounded, seconds, signed

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (469880672.0, "469,900,000"),
        (0.012345678, "0.01235"),
        (3.0, "3"),
        (0.0, "0"),
        (-0.5, "−0.5"),
        (99999.0, "100,000"),
        (2e-8, "2 × 10⁻⁸"),
        (9.99996e-7, "0.000001"),
        (-9.99996e-10, "−1 × 10⁻⁹"),
        (0.99996, "1"),
        (math.nan, ""),
        (math.inf, "infinite"),
    ],
)
def test_a_number_has_four_significant_digits_and_no_exponent(value, text):
    assert number(value) == text
    assert "e" not in text.replace("infinite", "")


def test_a_difference_has_its_sign_and_nothing_is_not_plus_or_minus():
    assert signed(0.981, 2) == "+0.98"
    assert signed(-0.981, 2) == "−0.98"
    assert signed(2e-08, 2) == signed(-2e-08, 2) == "0.00"
    assert signed(math.nan, 2) == ""
    assert [decimals_for(size) for size in (0.153, 1.27, 23.4, 0.0, math.nan)] == [2, 1, 0, 2, 2]


def test_zeros_at_the_end_are_as_many_as_the_digits():
    assert number(0.99996, zeros=True) == "1.000"
    assert number(0.9, zeros=True) == "0.9000"


def test_many_decimals_tell_numbers_apart():
    assert rounded(0.01234561, 9) == "0.01234561"
    assert rounded(1.26e-7, 8) == "1.3 × 10⁻⁷"
    assert rounded(0.0, 9) == "0"
    assert rounded(12.345678, 9) == "12.345678"


def test_one_epoch_is_one_epoch():
    assert counted(1, "epoch") == "1 epoch"
    assert counted(1200, "epoch") == "1,200 epochs"
    assert counted(2, "loss", "losses") == "2 losses"


def test_times_have_the_unit_that_suits():
    assert seconds(0.0042) == "4.2 ms"
    assert seconds(12.0) == "12 s"
    assert seconds(185.0) == "3 min 5 s"
    assert seconds(3600 * 2.5) == "2 h 30 min"
    assert seconds(math.nan) == ""


def test_ticks_are_round_and_inside():
    assert scales.ticks(0, 10) == (0, 2, 4, 6, 8, 10)
    assert scales.ticks(0.913, 0.957) == (0.92, 0.93, 0.94, 0.95)
    assert scales.whole_ticks(1, 12) == (2, 4, 6, 8, 10, 12)
    assert scales.whole_ticks(1, 3) == (1, 2, 3)
    texts = [scales.tick_text(tick, (0.92, 0.93)) for tick in (0.92, 0.93)]
    assert texts == ["0.92", "0.93"]


def test_limits_hold_all_and_exist_for_one_number_and_for_none():
    low, high = scales.limits([1.0, 3.0, math.nan])
    assert low < 1 < 3 < high
    low, high = scales.limits([5.0, 5.0])
    assert low < 5 < high
    assert scales.limits([math.nan]) == (0.0, 1.0)
    low, high = scales.limits([0.0])
    assert low < 0 < high


def test_very_bad_scores_do_not_hide_the_good_ones():
    low, high = scales.robust_limits([0.95, 0.94, 0.93, 0.1], better_up=True)
    assert 0.85 < low < 0.93
    assert high > 0.95
    low, high = scales.robust_limits([2.0, 2.2, 2.4, 900.0], better_up=False)
    assert low < 2
    assert 2.4 < high < 5


def test_labels_are_moved_apart_and_stay_inside():
    moved = scales.apart([10, 11, 12, 100], [17, 17, 33, 17], 0, 100)
    assert moved[1] - moved[0] >= 16.9
    assert moved[2] - moved[1] >= 24.9
    assert min(moved) >= 0
    assert max(moved) <= 100


def test_long_names_are_broken_and_nothing_is_lost():
    name = "trelu(alpha=0.266, theta=-0.283) at 0.004"
    lines = svg.wrapped(name, 120)
    assert len(lines) > 1
    assert lines == ["trelu(", "alpha=0.266,", "theta=-0.283)", "at 0.004"]
    assert all(svg.text_width(line) <= 120 for line in lines)
    assert "".join(svg.wrapped("a" * 90, 120)) == "a" * 90


def test_words_are_read_on_both_papers():
    """WCAG 2: 4.5 to 1 for text."""
    for index in (0, 1):
        papers = [svg.ROLES["paper"][index], svg.ROLES["card"][index]]
        inks = [svg.ROLES[role][index] for role in ("ink", "quiet", "good", "bad", "open")]
        inks += [pair[index] for pair in svg.COLOURS]
        for paper in papers:
            for ink in inks:
                assert contrast(paper, ink) >= 4.5, (paper, ink)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = []
    for begin in (1, 3, 5):
        value = int(colour[begin : begin + 2], 16) / 255
        parts.append(value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
