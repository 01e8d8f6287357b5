"""Runs of a race whose seeds have a batch order of their own, and the decision that needs it."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_acts.search import Candidate, with_activations
from keras_acts.search.population.members import Member
from keras_acts.search.population.trainers import several_orders_at_once
from keras_acts.search.race import cohorts, per_group, runner
from keras_acts.search.race.cohorts import Cohorts
from keras_acts.search.race.neighbourhood import best_if_significant
from keras_acts.search.rewrite.compiling import compile_arguments
from keras_acts.search.runtime.seeding import isolated_seed
from tests.helpers.models import blobs, mlp
from tests.race.test_slotwise import searched

X, Y = blobs(60)
FIT = {"x": X, "y": Y, "validation_split": 0.2, "batch_size": 6}
OBJECTIVE = keras_tuner.Objective("val_loss", "min")
SEEDS = (3, 4, 5)
MEMBERS = [Member(Candidate.of(name), seed) for name in ("relu", "mish") for seed in SEEDS]


class Batches(keras.utils.PyDataset):
    """The data as batches, which Keras shuffles."""

    def __init__(self):
        super().__init__()
        self.batch_size = 6

    def __len__(self):
        return 8

    def __getitem__(self, index):
        rows = slice(6 * index, 6 * index + 6)
        return X[rows], Y[rows]


def in_batches():
    return {"x": Batches(), "validation_data": (X[48:], Y[48:])}


def constant():
    """A model that starts as the same one under every seed."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, "relu", kernel_initializer="identity"),
            keras.layers.Dense(3, "softmax", kernel_initializer="zeros"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def trained(model, fit=FIT, members=MEMBERS, **options):
    runs = Cohorts(
        model, OBJECTIVE, fit, [2], 0, lambda count: None, order_of_each_seed=True, **options
    )
    runs.train(members, 2)
    return runs


@pytest.mark.parametrize("fit", [FIT, in_batches()], ids=["arrays", "batches"])
def test_seeds_differ_by_their_batch_order_alone(fit):
    members = [Member(Candidate.of("relu"), seed) for seed in SEEDS]
    common = Cohorts(constant(), OBJECTIVE, fit, [2], 0, lambda count: None)
    common.train(members, 2)
    assert len({common.runs[member].best for member in members}) == 1
    runs = trained(constant(), fit, members).runs
    assert len({runs[member].best for member in members}) == len(SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("fit", [FIT, in_batches()], ids=["arrays", "batches"])
def test_a_run_is_the_ordinary_training_under_its_seed(fit):
    model = mlp()
    runs = trained(model, fit)
    for member in MEMBERS:
        with isolated_seed(member.seed):
            alone = with_activations(model, member.candidate)
            alone.compile(**{**compile_arguments(model), "jit_compile": False})
        # Python's random numbers order batches, and the model has drawn some of them
        with isolated_seed(member.seed):
            losses = alone.fit(**fit, epochs=2, verbose=0).history["val_loss"]
        assert runs.runs[member].best == pytest.approx(min(losses), rel=1e-5)
        x, y = X[48:], Y[48:]
        kept = runs.model(member).evaluate(x, y, verbose=0, return_dict=True)["loss"]
        assert kept == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.once
def test_a_run_is_the_same_beside_other_seeds_and_alone(monkeypatch):
    together = trained(mlp())
    assert several_orders_at_once(FIT)
    assert [len(cohort.population.members) for cohort in together._cohorts] == [len(MEMBERS)]
    few = trained(mlp(), memory=1, members=MEMBERS[:2])
    monkeypatch.setattr(cohorts, "several_orders_at_once", lambda fit: False)
    apart = trained(mlp())
    for cohort in apart._cohorts:
        assert len({member.seed for member in cohort.population.members}) == 1
    for member in MEMBERS:
        best = together.runs[member].best
        assert apart.runs[member].best == pytest.approx(best, rel=1e-5)
        if member in few.runs:
            assert few.runs[member].best == pytest.approx(best, rel=1e-5)


@pytest.mark.slow
def test_only_the_final_of_a_search_by_groups_has_them(monkeypatch):
    stages = {}

    class Noted(runner.RaceSearch):
        def __init__(self, *args, label, order_of_each_seed, **options):
            super().__init__(*args, label=label, order_of_each_seed=order_of_each_seed, **options)
            stages[label] = order_of_each_seed

    monkeypatch.setattr(per_group, "RaceSearch", Noted)
    searched()
    assert stages == {"race, ": False, "changes, ": False, "final, ": True}


@pytest.mark.once
@pytest.mark.parametrize("deviations", [(1, 1, 1), (2, 1, 1), (1, 4, 1), (0.25, 1, 1), (1, 3)])
@pytest.mark.parametrize("seeds", [4, 8])
def test_equal_choices_seldom_change_however_much_each_varies(deviations, seeds):
    rng = np.random.default_rng(11)
    shape = (4000, len(deviations), seeds)
    scores = rng.normal(size=shape) * np.array(deviations)[:, None]
    scores += 3 * rng.normal(size=(4000, 1, seeds))  # what is common to a seed says nothing
    changes = np.mean([best_if_significant(of_final) != 0 for of_final in scores])
    # two standard errors above 5 %
    assert changes <= 0.057
