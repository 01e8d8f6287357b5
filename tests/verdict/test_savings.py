"""After how many epochs a candidate is as good as the baseline at its end."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.learning_curves import savings
from keras_acts.search.verdict.runs import Runs

# NumPy, SciPy and text: no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once

SEEDS = 8
EPOCHS = 10


def runs_of(relu, mish, diverged=()):
    """Runs of two candidates, whose validation accuracies are (S, E); their losses fall."""
    values = np.stack([relu, mish], axis=-1).astype(float)
    losses = np.ones_like(values) / np.arange(1, values.shape[1] + 1)[None, :, None]
    lost = np.zeros((len(values), 2), bool)
    for seed in diverged:
        lost[seed, 1] = True
    history = {"loss": losses, "val_accuracy": values}
    return Runs(("relu", "mish"), tuple(range(len(values))), history, {}, lost)


def rising(step, seeds=SEEDS, epochs=EPOCHS):
    """Scores that rise alike in every epoch, of each seed a little others."""
    return np.arange(seeds)[:, None] / 1000 + step * np.arange(1, epochs + 1)[None]


def found_in(runs, maximize=True, metric="accuracy"):
    return savings(runs, metric, maximize, "mish", "relu")


def test_it_is_the_first_epoch_that_is_as_good_as_the_last_of_the_baseline():
    found = found_in(runs_of(rising(0.01), rising(0.02)))
    # 5 x 0.02 is 10 x 0.01: as good is enough
    assert (found.epochs, found.low, found.high) == (5, 5, 5)
    assert (found.baseline_epochs, found.whole, found.reached, found.n) == (10, 10, 8, 8)
    falling = runs_of(-rising(0.01), -rising(0.02))
    assert found_in(falling, maximize=False).epochs == 5
    assert found_in(falling).epochs == 1


def test_each_seed_is_held_against_its_own_baseline():
    relu = rising(0.01) + np.arange(SEEDS)[:, None]
    found = found_in(runs_of(relu, relu + 0.035))
    # against one mean, half of the seeds would be there at once and the others never
    assert (found.epochs, found.low, found.high) == (7, 7, 7)


def test_the_interval_is_that_of_the_sign_test():
    relu = rising(0.01, seeds=9)
    mish = np.where(np.arange(1, 11)[None] >= np.arange(1, 10)[:, None], 1.0, 0.0)
    found = found_in(runs_of(relu, mish))
    # seed k is there after k + 1 epochs; of 9 the second and the eighth, as in tables
    assert (found.epochs, found.low, found.high) == (5, 2, 8)


@pytest.mark.parametrize("seeds", [6, 8, 16])
def test_the_interval_covers_the_median(seeds):
    rng = np.random.default_rng(0)
    # as a training of 40 epochs whose candidate is there after 1 + Poisson(9), median 10
    covered = 0
    for _ in range(400):
        first = 1 + rng.poisson(9, seeds)
        mish = (np.arange(1, 41)[None] >= first[:, None]).astype(float)
        relu = np.linspace(0.1, 0.9, 40) * np.ones((seeds, 1))
        found = found_in(runs_of(relu, mish))
        covered += found.low <= 1 + stats.poisson.ppf(0.5, 9) <= found.high
    assert covered / 400 > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)


def test_equals_are_as_early_as_the_baseline_itself():
    rng = np.random.default_rng(0)
    earlier = []
    for _ in range(200):
        # all on a plateau, where the first epoch that is as good is mere luck
        relu, mish = rng.normal(size=(2, 16, EPOCHS))
        found = found_in(runs_of(relu, mish))
        if found is not None:
            earlier.append(found.baseline_epochs - found.epochs)
    assert len(earlier) > 150
    assert abs(np.mean(earlier)) < 0.5


def test_seeds_that_are_never_as_good_count_as_late():
    mish = rising(0.02)
    mish[0] = 0
    found = found_in(runs_of(rising(0.01), mish))
    assert (found.epochs, found.low, found.reached) == (5, 5, 7)
    assert math.isinf(found.high)
    mish[:4] = 0
    # on half of the seeds is not on more than half
    assert found_in(runs_of(rising(0.01), mish)) is None


def test_without_an_answer_there_is_none():
    relu = rising(0.01)
    mish = rising(0.02)
    assert found_in(None) is None
    assert found_in(runs_of(relu, mish), metric="auc") is None
    assert found_in(replace(runs_of(relu, mish), activations=("relu", "elu"))) is None
    # an interval of 95 % for a median takes six seeds
    assert found_in(runs_of(relu[:5], mish[:5])) is None
    assert found_in(runs_of(relu[:6], mish[:6])) is not None
    assert found_in(runs_of(relu, mish, diverged=[3])) is None


def test_a_training_that_ended_early_has_other_epochs():
    mish = rising(0.02)
    mish[2, 7:] = mish[2, 6]
    runs = runs_of(rising(0.01), mish)
    # a score alone may stay the same
    assert found_in(runs) is not None
    ended = {name: values.copy() for name, values in runs.history.items()}
    ended["loss"][2, 7:, 1] = ended["loss"][2, 6, 1]
    assert found_in(replace(runs, history=ended)) is None


def judged(relu, mish, lead):
    """A verdict on test scores, mish ahead by so much."""
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.003, size=(2, len(relu)))
    noise -= noise.mean(axis=1, keepdims=True)
    return judge({"relu": 0.9 + noise[0], "mish": 0.9 + lead + noise[1]}, runs=runs_of(relu, mish))


def test_a_verdict_says_it_of_what_it_suggests():
    verdict = judged(rising(0.01), rising(0.02), 0.02)
    line = (
        "mish reaches relu's final validation accuracy after 5 of 10 epochs (5 to 5; 8 seeds), "
        "relu itself first after 10."
    )
    assert verdict.winner == "mish"
    # below the verdict's own sentence
    assert verdict.summary()[1] == line
    plain = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert [saved["epochs"] for saved in plain["savings"]] == [5]
    rows = {row["activation"]: row["epochs_to_baseline"] for row in verdict.rows()}
    assert rows["mish"] == 5
    assert math.isnan(rows["relu"])

    mish = rising(0.02)
    mish[0] = 0
    some = judged(rising(0.01), mish, 0.02)
    assert "(5 to more than 10; 8 seeds, on 1 of them not at all)" in some.summary()[1]
    assert json.loads(json.dumps(some.to_dict(), allow_nan=False))["savings"][0]["high"] is None


def test_a_verdict_does_not_say_it_of_what_it_does_not_suggest():
    equal = judged(rising(0.01), rising(0.02), 0.0)
    assert "reaches relu's final" not in str(equal)
    # a tie may be sooner as good: that stands in the data
    assert [saved.epochs for saved in equal.savings] == [5]
    assert judged(rising(0.01), rising(0.02), -0.02).savings == ()
    assert judged(rising(0.02), rising(0.01), 0.02).savings == ()
