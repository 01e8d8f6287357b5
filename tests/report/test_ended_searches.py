"""What is said of searches that ended before they were done, and of those that were no race."""

from dataclasses import replace

import pytest

from keras_acts.search import pages
from keras_acts.search.strategy.rounds import ENDED, Kind
from tests.helpers.reports import EPOCHS, Reader, result, verdict

# only our own words
pytestmark = pytest.mark.once

EQUAL = "a candidate: the best of many equal ones looks better by luck alone"
UNEQUAL = "Only scores of as many epochs and seeds compare"
TO_THE_END = "All trained to the end on as many seeds"


def together(seeds=(2, 2, 2), **changes):
    """A search whose candidates were to train to their end, in one round."""
    made = result(None)
    trials = []
    for trial, count in zip(made.trials, seeds, strict=False):
        trials.append(replace(trial, seeds=count))
    options = {"kind": Kind.TOGETHER, "rounds": made.rounds[-1:], **changes}
    return replace(made, trials=tuple(trials), **options)


def said(found):
    """What the terminal and the page say."""
    return str(found), Reader(pages.page(found).to_html()).text


def test_all_to_the_end_on_as_many_seeds():
    found = together()
    text, page = said(found)
    assert found.compares_all
    assert f"2 seeds {EQUAL}" in text
    assert UNEQUAL not in text + page
    assert TO_THE_END in page
    assert "race" not in text.lower()


@pytest.mark.parametrize("interrupted", [True, False])
def test_one_round_of_two_is_not_all(interrupted):
    """The second ended in the middle: its candidates have one epoch."""
    found = together(is_complete=False, interrupted=interrupted)
    *first, last = found.trials
    found = replace(found, trials=(*first, replace(last, epochs=1, status="stopped")))
    text, page = said(found)
    assert not found.compares_all
    assert EQUAL not in text
    assert TO_THE_END not in page
    assert "the search ended before" in page
    assert UNEQUAL in text
    assert UNEQUAL in page
    if interrupted:
        assert "Interrupted after 3 candidates" in text
    else:
        assert "The search ended before all were trained as far as planned" in text
        assert "Not all were trained as far as planned" in page


def test_one_that_the_verdict_has_trained_besides_has_fewer_seeds():
    found = together(seeds=(2, 2, 1))
    text, page = said(found)
    assert EQUAL not in text
    assert UNEQUAL in text
    assert UNEQUAL in page
    # the rounds themselves were all to the end
    assert TO_THE_END in page
    assert "A race" not in text


def test_a_race_that_ended_after_rounds_that_were_alike_is_a_race():
    made = result(None)
    first, _ = made.rounds
    ended = tuple(replace(entrant, fate=ENDED) for entrant in first.entrants)
    rounds = (first, replace(first, entrants=ended))
    found = replace(made, rounds=rounds, kind=Kind.RACE, is_complete=False, interrupted=True)
    text, page = said(found)
    assert "A race: who went further ranks first" in text
    assert TO_THE_END not in page
    assert "reached the last round that was finished before the search ended" in page


def test_a_verdict_on_a_search_that_the_time_ended_says_so():
    found = replace(together(is_complete=False), verdict=verdict())
    assert "Not all were trained as far as planned" in " ".join(pages.answer(found).reasons)
    assert found.trials[0].epochs == EPOCHS


def test_trials_of_their_own_are_no_race():
    made = result(None)
    trials = tuple(replace(trial, epochs=None, seeds=None) for trial in made.trials[:3])
    text, page = said(replace(made, rounds=(), trials=trials))
    assert EQUAL in text
    assert UNEQUAL not in text + page


WITHHELD = "no verdict: mish, relu have the same accuracy on every seed"


@pytest.mark.parametrize("withheld", ["", WITHHELD])
def test_what_failed_while_single_layers_were_changed_is_told_with_any_verdict(withheld):
    errors = {"changes": "ValueError: no such shape."}
    judged = replace(verdict(), withheld=withheld)
    found = replace(together(is_complete=False), verdict=judged, errors=errors)
    text, page = said(found)
    failed = "The search failed while it changed single layers: ValueError: no such shape."
    assert failed in text
    assert failed in page
    assert "What failed besides: changes: ValueError: no such shape.\n" in text
    assert "changes: ValueError: no such shape." in page.replace(failed, "")
    # something was: what ended before is kept
    assert "Nothing was found out" not in text + page


@pytest.mark.parametrize("withheld", ["", WITHHELD])
def test_a_search_planned_without_changes_says_why_and_that_nothing_failed(withheld):
    why = "both groups of layers get the same activation, because 8 epochs are too few"
    judged = replace(verdict(), withheld=withheld)
    found = replace(result(None), verdict=judged, errors={"no changes": why})
    text, page = said(found)
    told = f"Nothing was found out about single layers: {why}."
    assert told in text
    assert told in page
    assert "What failed besides" not in text
    assert "no changes" not in text + page


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_answer_without_a_verdict_sentence_says_that_the_search_ended(interrupted):
    judged = replace(verdict(), withheld=WITHHELD)
    found = replace(together(is_complete=False, interrupted=interrupted), verdict=judged)
    reasons = " ".join(pages.answer(found).reasons)
    assert "found by then" in reasons
    assert ("interrupted" in reasons) == interrupted
