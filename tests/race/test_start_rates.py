"""At which learning rates the candidates of a race start."""

import math

import numpy as np
import pytest

from keras_acts.search import ActivationSpace, Candidate
from keras_acts.search.race.race import RungResult, RungTask
from keras_acts.search.race.rates import AtBestRate
from keras_acts.search.race.runner import race_in
from keras_acts.search.race.schedule import cost, in_two_rounds, schedule
from keras_acts.search.space.rated import Rated

# numbers: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
EPOCHS = 10
SPACE = ActivationSpace().with_baseline("relu")
RELU = Candidate.of("relu")


def race_of(trials, factors=FACTORS):
    return race_in(SPACE, trials, EPOCHS, trials * EPOCHS, 0, factors)


def tell(race, score):
    """Answer the task of a race with ``score(rated)``, the same on all seeds; return the task."""
    task = race.ask()
    race.tell(np.array([[score(rated)] * task.seeds for rated in task.candidates], float))
    return task


def best_at(factor):
    return lambda rated: -abs(math.log2(rated.factor / factor))


@pytest.mark.parametrize("trials", [15, 30])
@pytest.mark.parametrize("factor", FACTORS)
def test_activations_start_where_the_baseline_is_best(trials, factor):
    race = race_of(trials)
    first = tell(race, best_at(factor))
    assert first.candidates[0] == Rated(RELU)
    assert {(rated.choice, rated.factor) for rated in first.candidates} == {
        (RELU, one) for one in FACTORS
    }
    second = race.ask()
    started = {rated for rated in second.candidates if rated.choice != RELU}
    assert {Rated(choice, factor) for choice in SPACE.grid(1)[1:]} <= started


@pytest.mark.parametrize("trials", [15, 30])
def test_it_costs_no_more_than_to_start_at_one_rate(trials):
    planned = schedule(trials, EPOCHS, trials * EPOCHS, starts=13)
    assert cost(race_of(trials).rungs) == cost(planned)


def test_an_activation_that_is_good_at_a_far_rate_only_is_found():
    def score(rated):
        return math.log2(rated.factor) + 0.5 * (rated.choice == Candidate.of("gelu"))

    race = race_of(15)
    while race.ask() is not None:
        tell(race, score)
    last = race.rounds[-1]
    assert last.task.candidates[int(np.argmax(last.means))] == Rated(Candidate.of("gelu"), 4.0)


def test_where_few_start_each_is_at_the_models_own_rate():
    first = race_of(8).ask()
    # but the baseline is at the two next to it too
    of_relu = [rated.factor for rated in first.candidates if rated.choice == RELU]
    assert of_relu == [1.0, 2.0, 0.5]
    # with the fewest places another activation comes first
    assert len({rated.choice for rated in race_of(2).ask().candidates}) == 2
    others = [rated for rated in first.candidates if rated.choice != RELU]
    assert {rated.factor for rated in others} == {1.0}
    assert len({rated.choice for rated in others}) == len(others) > 0
    # so it is without other rates
    assert {rated.factor for rated in race_of(20, (1.0,)).ask().candidates} == {1.0}


def test_a_rate_at_which_the_baseline_diverges_is_not_taken():
    elu = Candidate.of("elu")
    propose = AtBestRate(RELU, [elu], lambda rounds, known, count: ["another"] * count)
    tried = (Rated(RELU), Rated(RELU, 2.0), Rated(RELU, 4.0))

    def proposed(*scores, known=tried):
        task = RungTask(tried, 1, 3)
        return propose([RungResult(task, np.array(scores, float)[:, None])], set(known), 2)

    assert proposed(0.5, 0.6, np.nan) == [Rated(elu, 2.0), "another"]
    assert proposed(np.nan, np.nan, np.nan) == [Rated(elu), "another"]
    # what was tried at any rate is not started again
    assert proposed(0.5, 0.6, 0.7, known=[*tried, Rated(elu)]) == ["another", "another"]


def test_rungs_are_split_where_there_is_something_to_split():
    rungs = schedule(30, EPOCHS, starts=13)
    split = in_two_rounds(rungs, 4)
    assert [rung.enter for rung in split[:3]] == [4, rungs[0].enter - 4, rungs[1].enter]
    assert [rung.keep for rung in split[:3]] == [0, 4, rungs[1].keep]
    assert split[3:] == rungs[2:]
    assert in_two_rounds(rungs, 0) == in_two_rounds(rungs, rungs[0].enter) == rungs


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_the_rungs_to_come_fit_into_what_is_left(fraction, after):
    race = race_of(30)
    for _ in range(after):
        tell(race, best_at(2.0))
    done = cost(race.rungs[:after])
    left = int(fraction * (cost(race.rungs) - done))
    race.replan(left)
    assert race.rungs[-1].epochs == EPOCHS
    # at least the baseline and one more run to the end
    assert cost(race.rungs) - done <= max(left, 2 * 3 * race.rungs[-1].seeds * EPOCHS)
    while race.ask() is not None:
        tell(race, best_at(2.0))
    assert race.rounds[-1].task.epochs == EPOCHS
