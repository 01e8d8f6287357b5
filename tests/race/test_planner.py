"""How a search with populations goes: when all train to the end, and when they race."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.search import ActivationSpace
from keras_acts.search.race import planner
from keras_acts.search.race.effort import costs_of, products_per_sample
from keras_acts.search.race.journal import Journal
from keras_acts.search.race.planner import Job, PopulationCosts, Stretch, kind_of, options
from keras_acts.search.race.race import Race
from keras_acts.search.race.runner import job_of, race_in
from keras_acts.search.race.schedule import Rung, cost, schedule
from keras_acts.search.status import is_over, status
from keras_acts.search.strategy.rounds import Kind

layers = keras.layers
JOB = Job(trials=20, epochs=10, total=200, starts=9)
WITH_RATES = Job(trials=30, epochs=10, total=300, starts=13, rates=4)
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
# a program takes as long as the training of six candidates, or as a hundredth of one
SMALL = PopulationCosts(program=1.2, start=0.03, step=0.002, member=0.0004, steps=50)
LARGE = PopulationCosts(program=4.0, start=0.03, step=0.002, member=0.4, steps=100)


@pytest.mark.once
@pytest.mark.parametrize("job", [JOB, WITH_RATES])
def test_small_models_train_to_the_end_and_large_ones_race(job):
    small = planner.plan(job, SMALL)
    assert small.kind is kind_of(small.rungs) is Kind.TOGETHER
    assert {rung.epochs for rung in small.rungs} == {10}
    large = planner.plan(job, LARGE)
    assert large.kind is kind_of(large.rungs) is Kind.RACE
    assert large.rungs == planner.short(job)


@pytest.mark.once
@pytest.mark.parametrize("job", [JOB, WITH_RATES])
@pytest.mark.parametrize("costs", [SMALL, LARGE])
def test_no_plan_is_slower_and_knows_less_than_the_plain_population(job, costs):
    plain, *_ = options(job, costs)
    assert plain.kind is Kind.TOGETHER
    chosen = planner.plan(job, costs)
    assert chosen.regret <= plain.regret
    if chosen.seconds > plain.seconds:  # more seeds for all, and hardly longer
        assert chosen.kind is Kind.TOGETHER
        assert chosen.regret < plain.regret - 0.01
    longest = {Kind.TOGETHER: 1.1 * plain.seconds, Kind.RACE: 0.9 * plain.seconds}
    assert chosen.seconds <= longest[chosen.kind]
    *others, whole_race = options(job, costs)
    assert whole_race.rungs == planner.race(job) != chosen.rungs
    for other in others:
        # nothing that may be taken promises more, but for what cannot be told apart
        may_be_taken = other.seconds <= longest[other.kind]
        assert not may_be_taken or other.regret >= chosen.regret - 0.01


@pytest.mark.once
@pytest.mark.parametrize("job", [JOB, WITH_RATES])
def test_on_a_large_model_the_race_that_is_planned_is_faster_by_a_fifth(job):
    plain, *_ = options(job, LARGE)
    chosen = planner.plan(job, LARGE)
    assert chosen.seconds < 0.8 * plain.seconds
    assert cost(chosen.rungs) == pytest.approx(0.775 * job.total, rel=0.02)
    # as many start as are asked for, and who is found has trained all epochs
    assert 1 + sum(rung.enter for rung in chosen.rungs) == job.trials
    assert chosen.rungs[-1].epochs == job.epochs


@pytest.mark.once
def test_a_race_that_would_be_slower_is_not_planned():
    """However little: a program more must be earned back by what trains less."""
    job = Job(16, 8, 128, 9)

    def planned_with(member):
        return planner.plan(job, PopulationCosts(4.0, 0.03, 0.002, member, 20))

    members = np.geomspace(1e-4, 1, 60)
    kinds = [planned_with(member).kind for member in members]
    assert kinds[0] is Kind.TOGETHER
    assert kinds[-1] is Kind.RACE
    for member in members:
        costs = PopulationCosts(4.0, 0.03, 0.002, member, 20)
        plain, *_ = options(job, costs)
        chosen = planner.plan(job, costs)
        assert chosen.kind is Kind.TOGETHER or chosen.seconds <= 0.9 * plain.seconds


@pytest.mark.once
@pytest.mark.parametrize(
    ("trials", "epochs", "rounds"),
    [
        (20, 10, [(5, 0, 19), (10, 10, 0)]),
        (10, 8, [(4, 0, 9), (8, 7, 0)]),
        (16, 5, [(3, 0, 15), (5, 8, 0)]),
        (9, 10, []),
        (20, 4, []),
    ],
)
def test_the_rounds_of_a_short_race(trials, epochs, rounds):
    rungs = planner.short(Job(trials, epochs, trials * epochs, 9))
    assert [(rung.epochs, rung.keep, rung.enter) for rung in rungs] == rounds
    assert {rung.seeds for rung in rungs} <= {1}
    # with twice the epochs each has two seeds, in all rounds
    twice = planner.short(Job(trials, epochs, 2 * trials * epochs, 9))
    assert [rung.seeds for rung in twice] == [2] * len(rungs)
    # the epochs of fewer whole trainings are for a whole race
    assert planner.short(Job(trials, epochs, trials * epochs - 1, 9)) == ()


@pytest.mark.once
def test_all_that_start_a_short_race_are_the_activations_and_random_ones():
    space = ActivationSpace().with_baseline()
    rungs = planner.short(job_of(space, 20, 10, 200))
    race = race_in(space, 20, 10, 200, seed=0, rungs=rungs)
    task = race.ask()
    alone = race_in(space, 20, 10, 200, 0, rungs=planner.together(JOB, 1, proposes=False)).ask()
    # the same as where all train to the end
    assert task.candidates == alone.candidates
    assert (len(task.candidates), task.epochs) == (20, 5)
    race.tell(np.linspace(0, 1, 20)[:, None])
    after = race.ask()
    assert (len(after.candidates), after.seeds, after.epochs) == (11, 1, 10)


@pytest.mark.once
def test_where_the_time_is_short_a_short_race_lets_fewer_train_on():
    """On the one seed that they have: a second one would cost more than it tells."""
    race = Race(list(range(20)), planner.short(JOB), lambda rounds, known, count: [])
    race.ask()
    race.tell(np.linspace(0, 1, 20)[:, None])
    # one epoch less than planned costs one candidate, and no more
    race.replan(54)
    assert race.rungs[-1] == Rung(10, 1, 9, 0)
    assert race.going_on == (9, 10)
    race.replan(27)
    assert race.rungs[-1] == Rung(10, 1, 4, 0)
    race.replan(16)
    assert race.rungs[-1] == Rung(10, 1, 2, 0)
    race.replan(0)
    assert race.rungs[-1] == Rung(10, 1, 1, 0)
    race.replan(55)
    assert race.rungs == planner.short(JOB)
    assert race.going_on == (10, 10)


@pytest.mark.once
def test_a_limit_of_seconds_leaves_out_what_takes_longer():
    plain, *_ = options(JOB, SMALL)
    assert planner.plan(JOB, SMALL, limit=plain.seconds).seconds <= plain.seconds
    # what is faster than to train all to the end fits where that does not
    plain, *_ = options(JOB, LARGE)
    assert planner.plan(JOB, LARGE, limit=0.9 * plain.seconds).rungs == planner.short(JOB)
    # nothing fits: a race has something to show whenever it ends
    assert planner.plan(JOB, SMALL, limit=0.5).kind is Kind.RACE


@pytest.mark.once
def test_fewer_epochs_than_whole_trainings_are_a_race():
    assert planner.plan(Job(20, 10, 150, 9), SMALL).kind is Kind.RACE
    # and twice as many are two seeds each
    (only,) = planner.plan(Job(20, 10, 400, 9), SMALL).rungs
    assert (only.epochs, only.seeds, only.enter) == (10, 2, 19)


@pytest.mark.once
def test_seeds_that_cost_hardly_anything_are_taken_but_not_beyond_the_users_limit():
    tiny = PopulationCosts(program=1.2, start=0.03, step=0.002, member=0.0, steps=5)
    (free,) = planner.plan(Job(4, 6, 24, 4), tiny).rungs
    assert free.seeds == 2
    (limited,) = planner.plan(Job(4, 6, 24, 4, limited=True), tiny).rungs
    assert limited.seeds == 1
    assert cost([limited]) == 24


@pytest.mark.once
@pytest.mark.parametrize("job", [JOB, WITH_RATES, Job(4, 1, 4, 3), Job(16, 5, 160, 13, 4)])
def test_a_plan_trains_whom_it_says_and_costs_what_it_says(job):
    """A race follows it, and the members of its rounds are those that were counted."""
    names = list(range(job.trials))
    for option in options(job, SMALL):
        starts = names[: 1 + (job.rates or job.starts - 1)]

        def propose(rounds, known, count):
            return [name for name in names if name not in known][:count]

        race = Race(starts, option.rungs, propose)
        trained: dict[tuple[int, int], int] = {}
        while (task := race.ask()) is not None:
            for candidate in task.candidates:
                for seed in range(task.seeds):
                    trained[candidate, seed] = task.epochs
            race.tell(np.linspace(0, 1, len(task.candidates) * task.seeds).reshape(-1, task.seeds))
        assert sum(trained.values()) == cost(option.rungs)
        stretches = list(planner.stretches(option.rungs))
        assert sum(each.members * each.epochs for each in stretches) == cost(option.rungs)
        if option.rungs != planner.race(job):
            assert len({candidate for candidate, _ in trained}) == job.trials


def test_the_programs_of_a_race_are_those_of_its_populations():
    rungs = schedule(16, 10, 160, 9)
    assert [(r.epochs, r.seeds, r.keep, r.enter) for r in rungs] == [
        (3, 1, 0, 8),
        (3, 1, 8, 7),
        (5, 2, 7, 0),
        (10, 2, 4, 0),
    ]
    # as `python -m benchmarks.search` has counted them: nine, seven more, the best eight of both,
    # their second seeds, and the five finalists on two seeds
    assert list(planner.stretches(rungs)) == [
        Stretch(9, 3, is_new=True),
        Stretch(7, 3, is_new=True),
        Stretch(8, 2, is_new=True),
        Stretch(8, 5, is_new=True),
        Stretch(10, 5, is_new=True),
    ]
    assert planner.programs(rungs) == 5
    (alone,) = planner.stretches((Rung(10, 3, 0, 15),))
    assert alone == Stretch(48, 10, is_new=True)


@pytest.mark.once
def test_all_in_one_round_are_the_activations_and_random_ones():
    """Not all alphas of one activation: nothing has been seen that they could be proposed from."""
    space = ActivationSpace().with_baseline()
    rungs = planner.together(job_of(space, 20, 10, 200), 1, proposes=False)
    task = race_in(space, 20, 10, 200, seed=0, rungs=rungs).ask()
    assert len(set(task.candidates)) == 20
    assert [rated.choice for rated in task.candidates[:9]] == list(space.grid(1))
    assert len({rated.choice.name for rated in task.candidates[9:]}) > 2


@pytest.mark.once
def test_the_baseline_comes_first_at_all_rates():
    space = ActivationSpace().with_baseline()
    job = job_of(space, 30, 10, 300, FACTORS)
    assert job == WITH_RATES
    race = race_in(space, 30, 10, 300, 0, FACTORS, planner.plan(job, SMALL).rungs)
    task = race.ask()
    assert [rated.factor for rated in task.candidates] == [1, 2, 0.5, 4, 0.25]
    assert task.epochs == 10
    race.tell(np.array([[0.5], [0.7], [0.4], [np.nan], [0.3]]))
    after = race.ask()
    # the one that diverged has left its place to one more
    assert len(after.candidates) == 30
    assert {rated.factor for rated in after.candidates[4:12]} == {2.0}


def mlp(width=64, features=16):
    hidden = [layers.Dense(width, activation="relu") for _ in range(2)]
    return keras.Sequential([keras.Input((features,)), *hidden, layers.Dense(26, "softmax")])


def resnet():
    """Return a small ResNet for images of 32 x 32 pixels."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(32, 3, padding="same")(inputs)
    for _ in range(4):
        y = x
        for _ in range(2):
            y = layers.Conv2D(32, 3, padding="same")(y)
            y = layers.BatchNormalization()(y)
            y = layers.Activation("relu")(y)
        x = layers.Add()([x, y])
    outputs = layers.Dense(10, "softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs)


def planned(model, fit, factors=(1.0,)):
    space = ActivationSpace().with_baseline()
    trials = 20 * (1.5 if len(factors) > 1 else 1)
    job = job_of(space, int(trials), 10, int(trials) * 10, factors)
    return planner.plan(job, costs_of(model, fit)).kind


@pytest.mark.parametrize("factors", [(1.0,), FACTORS])
def test_the_planner_chooses_by_the_model(factors):
    letters = {"x": np.zeros((20_000, 16), "float32"), "batch_size": 128, "validation_split": 0.2}
    assert planned(mlp(), letters, factors) is Kind.TOGETHER
    images = {"x": np.broadcast_to(np.float32(0), (5000, 32, 32, 3)), "batch_size": 32}
    assert planned(resnet(), images, factors) is Kind.RACE


def test_what_is_counted():
    assert products_per_sample(mlp()) == 16 * 64 + 64 * 64 + 64 * 26
    convolution = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, strides=2, padding="same"), layers.Flatten()]
    )
    assert products_per_sample(convolution) == 9 * 16 * 4 * 4
    words = keras.Sequential(
        [keras.Input((12,)), layers.Embedding(1000, 8), layers.Dense(4, activation="relu")]
    )
    # a table is looked up, not multiplied with
    assert products_per_sample(words) == 12 * 8 * 4
    one_way = 12 * (3 * 12 + 4 * 12 + 2 * 12)
    for recurrent, ways in ((layers.GRU(4), 1), (layers.Bidirectional(layers.GRU(4)), 2)):
        sequences = keras.Sequential([keras.Input((12, 3)), recurrent])
        assert products_per_sample(sequences) == ways * one_way
    x = np.zeros((103, 16), "float32")
    by_name = {"x": {"a": x, "b": x}, "batch_size": 10, "validation_split": 0.5}
    assert costs_of(mlp(), by_name).steps == 6
    assert costs_of(mlp(), {"x": x}).steps == 4
    assert costs_of(mlp(), {"x": x, "steps_per_epoch": 7}).steps == 7
    batches = tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(50)
    counted = costs_of(mlp(), {"x": batches})
    assert counted.steps == 3
    # a batch whose size is not known is as Keras' own
    assert counted.member == costs_of(mlp(), {"x": x}).member
    fifty = costs_of(mlp(), {"x": batches.take(2).unbatch().batch(50, drop_remainder=True)})
    assert fifty is None  # of unknown length, as most of what is filtered
    assert costs_of(mlp(), {"x": batches.repeat()}) is None


@pytest.mark.once
def test_a_kept_search_goes_on_with_its_plan(tmp_path):
    file = tmp_path / "race.json"
    rungs = planner.together(WITH_RATES, 2, proposes=True)
    Journal(file).begin(rungs)
    again = Journal(file, expected=True)
    assert again.plan == rungs
    assert not again.notice
    again.begin(planner.race(WITH_RATES))  # what is planned now has no say any more
    assert Journal(file).plan == rungs


@pytest.mark.once
def test_a_journal_without_a_plan_is_of_a_race(tmp_path):
    file = tmp_path / "race.json"
    file.write_text("keras_acts race 1\n")
    kept = Journal(file, expected=True)
    assert kept.plan == ()
    assert not kept.notice


@pytest.mark.once
def test_a_damaged_plan_is_told(tmp_path):
    file = tmp_path / "race.json"
    Journal(file).begin(schedule(8, 4))
    file.write_bytes(file.read_bytes().replace(b'"seeds": 1', b'"seeds": 7'))
    kept = Journal(file, expected=True)
    assert kept.plan == ()
    assert "damaged from its plan on" in kept.notice
    # it has no round, and none is planned: that is not the end of it
    assert not is_over(tmp_path)
    assert "damaged from its plan on" in "; ".join(status(tmp_path))
    file.write_text("keras_acts race 1\n")
    assert not is_over(tmp_path)
