"""What is to come of a race, planned into the seconds that are left."""

import numpy as np
import pytest

from keras_acts.search import ActivationSpace
from keras_acts.search.race import planner
from keras_acts.search.race.planner import PopulationCosts, seconds
from keras_acts.search.race.runner import job_of, race_in
from keras_acts.search.race.time_left import fit_into

# only our own numbers
pytestmark = pytest.mark.once

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
SPACE = ActivationSpace().with_baseline()
# a program takes as long as the training of many candidates: more members cost hardly anything
SMALL = PopulationCosts(program=1.2, start=0.03, step=0.002, member=0.0001, steps=50)
TRIALS = 30
EPOCHS = 10
TOTAL = TRIALS * EPOCHS
ALL = "all to the end"
RACE = "race"


def begun(kind):
    """A race of which the first round has ended: the baseline at all rates."""
    job = job_of(SPACE, TRIALS, EPOCHS, TOTAL, FACTORS)
    rungs = planner.race(job)
    if kind == ALL:
        rungs = planner.together(job, 1, proposes=True)
    race = race_in(SPACE, TRIALS, EPOCHS, TOTAL, 0, FACTORS, rungs)
    race.tell(np.linspace(0.1, 0.5, len(race.ask().candidates))[:, None])
    return race


def to_come(race):
    done = len(race.rounds)
    return seconds(race.rungs, SMALL) - seconds(race.rungs[:done], SMALL)


def started(race):
    """The activations of the next round."""
    return {rated.choice.name for rated in race.ask().candidates}


@pytest.mark.parametrize("kind", [ALL, RACE])
def test_what_fits_stays_as_it_was_planned(kind):
    race = begun(kind)
    planned = race.rungs
    # by epochs a run it would not: the five runs of the first round took longer for each
    fit_into(race, 2.0 * to_come(race), SMALL, slower=2.0)
    assert race.rungs == planned
    now, at_first = race.entering
    assert now == at_first


@pytest.mark.parametrize("kind", [ALL, RACE])
@pytest.mark.parametrize("left", [0.0, 0.5, 0.8])
def test_each_activation_starts_however_short_the_time_is(kind, left):
    race = begun(kind)
    planned = to_come(race)
    fit_into(race, left * planned, SMALL, slower=1.0)
    assert started(race) >= {choice.name for choice in SPACE.grid(1)}
    now, at_first = race.entering
    assert len(SPACE.grid(1)) - 1 <= now <= at_first
    least = to_come(race)
    # what takes longer all the same is the least that there can be
    race.replan(0)
    assert least <= max(left * planned, to_come(race))


def test_more_seconds_leave_more():
    taken = []
    for left in (0.2, 0.4, 0.6, 0.8, 1.0):
        race = begun(RACE)
        fit_into(race, left * to_come(race), SMALL, slower=1.0)
        taken.append(to_come(race))
    assert taken == sorted(taken)
    assert taken[0] < taken[-1]


def test_no_round_is_left_in_which_nobody_trains():
    race = begun(RACE)
    race.tell(np.linspace(0.1, 0.5, len(race.ask().candidates))[:, None])
    assert race.rungs[2].enter
    race.replan(0)
    lengths = [(rung.epochs, rung.seeds) for rung in race.rungs[2:]]
    assert len(set(lengths)) == len(lengths)
    assert race.rungs[1] not in race.rungs[2:]
    assert race.ask().epochs > race.rungs[1].epochs


def test_a_kept_race_that_ended_with_fewer_rounds_has_no_more_of_them():
    race = begun(RACE)
    last = race.rungs[-1]
    race.follow(race.rungs[1], len(race.rungs))
    assert race.rungs[-1] == last
    race.follow(last, 2)
    assert race.rungs[1:] == (last,)


def test_a_race_that_is_over_has_nothing_to_plan():
    race = begun(ALL)
    race.tell(np.zeros((len(race.ask().candidates), 1)))
    fit_into(race, 0.0, SMALL, slower=3.0)
    assert race.ask() is None
    assert race.entering == (0, 0)
