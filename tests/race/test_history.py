"""What is told of the rounds of a race: who left, and why."""

import numpy as np
import pytest

from keras_acts.search.race.history import history
from keras_acts.search.race.race import Race
from keras_acts.search.race.schedule import Rung
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.rounds import DIVERGED, ENDED, FINISHED, GOES_ON, NO_PLACE, WORSE

pytestmark = pytest.mark.once

RUNGS = [Rung(2, 4, keep=0, enter=5), Rung(4, 4, keep=3, enter=0)]
NAMES = ["relu", "best", "good", "poor", "bad", "nan"]


def raced(rounds=2):
    race = Race(NAMES, RUNGS, propose=lambda rounds, known, count: [])
    noise = np.array([0.0, 0.01, 0.02, 0.03])
    ups = np.array([0.01, 0.0, 0.03, 0.02])
    means = [0.5, 0.9, 0.8, 0.7, 0.2, np.nan]
    scores = []
    for index, mean in enumerate(means):
        scores.append(mean + (noise if index % 2 else ups))
    race.ask()
    race.tell(np.array(scores))
    if rounds > 1:
        task = race.ask()
        race.tell(np.full((len(task.candidates), 4), 0.9))
    return race


def test_each_has_its_fate_and_the_best_is_first():
    first, last = history(raced(), "max")
    assert [str(each.rated.choice) for each in first.entrants] == [
        *("best", "good", "poor", "relu", "bad", "nan"),
    ]
    fates = {each.rated.choice: each.fate for each in first.entrants}
    assert fates["nan"] == DIVERGED
    assert fates["relu"] == fates["best"] == GOES_ON
    assert fates["bad"] == WORSE
    assert {fate for name, fate in fates.items() if name in ("good", "poor")} <= {
        GOES_ON,
        NO_PLACE,
        WORSE,
    }
    assert {each.fate for each in last.entrants} == {FINISHED}
    assert (first.epochs, first.seeds) == (2, 4)


def test_who_goes_on_is_who_trains_in_the_next_round():
    race = raced()
    first, last = history(race, "max")
    going_on = {each.rated for each in first.entrants if each.fate == GOES_ON}
    assert going_on == {each.rated for each in last.entrants}
    assert {each.rated.choice for each in last.entrants} == set(race.rounds[1].task.candidates)


def test_scores_are_those_of_the_objective():
    first, _ = history(raced(), "min")
    # the race has negatives of losses
    best = first.entrants[0]
    assert best.rated.choice == "best"
    assert best.scores == pytest.approx([-0.9, -0.91, -0.92, -0.93])


def test_a_race_that_was_ended_says_so():
    (only,) = history(raced(rounds=1), "max", factor=2.0)
    assert {each.fate for each in only.entrants} == {ENDED, DIVERGED}
    assert only.entrants[0].rated == Rated("best", 2.0)


def test_without_a_test_the_places_decide():
    rungs = [Rung(2, 1, keep=0, enter=2), Rung(4, 1, keep=1, enter=0)]
    race = Race(["relu", "a", "b"], rungs, propose=lambda rounds, known, count: [])
    race.ask()
    race.tell(np.array([[0.5], [0.9], [0.8]]))
    race.ask()
    race.tell(np.array([[0.5], [0.9]]))
    first, _ = history(race, "max")
    assert {each.rated.choice: each.fate for each in first.entrants} == {
        "relu": GOES_ON,
        "a": GOES_ON,
        "b": NO_PLACE,
    }
