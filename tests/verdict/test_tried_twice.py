"""A baseline that was judged at two learning rates is told so, while it trains and afterwards."""

from dataclasses import replace

import pytest

from keras_acts.search import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.verdict.decide import _rates_chosen
from tests.helpers.reports import verdict

# only our own words
pytestmark = pytest.mark.once


def test_both_rates_are_told():
    once = verdict(rates=True)
    rates = replace(once.rates, twice=8 * once.rates.factor(once.baseline))
    twice = replace(once, rates=rates)
    said = f"Two rates may suit {once.baseline}: it was trained at {rates.rate(once.baseline)}, "
    assert said not in str(once)
    assert said in str(twice)
    assert any(said in line for line in twice.summary())
    before = _rates_chosen(rates, [Rated(Candidate.of(once.baseline), rates.twice)])
    assert before.endswith(" too")
    assert before.removesuffix(" too").endswith(f"{once.baseline} at {rates.own * rates.twice:g}")
    assert not _rates_chosen(rates, []).endswith(" too")
