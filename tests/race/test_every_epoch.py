"""Every epoch is validated: what cannot be judged so is refused before anything trains."""

import keras
import numpy as np
import pytest

from benchmarks import verdict_bank
from keras_acts.errors import SearchError
from keras_acts.search import ActivationTuner, compare_activations, search_activations
from keras_acts.search.race import runner
from keras_acts.search.race.race import Race, RungResult, RungTask
from keras_acts.search.race.schedule import Rung
from keras_acts.search.space.rated import Rated
from tests.helpers.models import blobs, mlp

X, Y = blobs(60)
RULE = r"validation_freq must be 1: every epoch has a score.*Received: validation_freq="


class Untrained(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        raise AssertionError("it trains")


@pytest.mark.once
@pytest.mark.parametrize("every", [2, [1, 3]])
def test_validation_now_and_then_is_refused(every, tmp_path):
    options = {"validation_freq": every, "callbacks": [Untrained()]}
    with pytest.raises(SearchError, match=RULE):
        compare_activations(
            mlp(),
            X,
            Y,
            ["mish", "relu"],
            epochs=4,
            seeds=2,
            verbose=0,
            **options,
            learning_rates=None,
        )
    with pytest.raises(SearchError, match=RULE):
        search_activations(
            mlp(), X, Y, trials=2, epochs=4, verbose=0, **options, learning_rates=None
        )
    tuner = ActivationTuner(mlp(), max_trials=2, directory=tmp_path)
    with pytest.raises(SearchError, match=RULE):
        tuner.search(X, Y, validation_split=0.2, epochs=4, **options)


@pytest.mark.once
def test_the_progress_of_a_race_says_what_its_spread_is():
    """Of many equal candidates the best, picked by its score, lies above the truth.

    No interval would cover it.
    """
    running = runner.RaceSearch.__new__(runner.RaceSearch)
    running._own_rate = 0.001
    scores = np.array([[0.80, 0.82], [0.90, 0.94], [np.nan, 0.9]])
    rounds = [RungResult(RungTask(("relu", "mish", "elu"), 2, 4), scores)]
    running._race = type("Known", (), {"rounds": rounds})()
    running.objective = type("Known", (), {"direction": "max"})()
    assert running._best_text() == "best mish 0.9200 (varies by 0.028 over 2 seeds)"
    rounds[0] = RungResult(RungTask(("relu", "mish", "elu"), 1, 4), scores[:, :1])
    assert running._best_text() == "best mish 0.9000"
    twice = (Rated("relu", 2.0), "mish")
    rounds[0] = RungResult(RungTask(twice, 2, 4), np.array([[1.0, 1.0], [0.5, 0.9]]))
    assert running._best_text() == (
        "best 'relu at learning rate 0.002' 1.000 (the same on all 2 seeds)"
    )


@pytest.mark.once
def test_a_round_in_which_nobody_trains_is_said_as_such():
    """As where no candidate is left to propose: the line before would stand there twice."""
    rungs = [Rung(1, 1, 0, 1), Rung(1, 1, 1, 1), Rung(2, 1, 1, 0)]
    running = runner.RaceSearch.__new__(runner.RaceSearch)
    running._label = ""
    running._race = Race(["relu", "mish"], rungs, lambda rounds, known, count: [])
    for repeats in (False, True, False):
        task = running._race.ask()
        running._race.tell(np.array([[0.8], [0.9]]))
        assert running._race.repeats == repeats
        if repeats:
            line = running._line(task)
    assert line == "round 2/3: nobody new starts, and nobody trains on"


@pytest.mark.once
def test_a_bank_of_a_regression_is_refused_before_it_trains(tmp_path):
    table = tmp_path / "table.csv"
    rows = [f"{a},{b},{a + 2 * b + 0.5}" for a, b in np.random.default_rng(0).normal(size=(30, 2))]
    table.write_text("\n".join(["a,b,size", *rows]))
    settings = {"seeds": 2, "epochs": 1, "batch_size": 32, "cache": tmp_path / "cache"}
    with pytest.raises(
        SystemExit, match=r"must have classes: the bank holds accuracies. Received: .*a regression"
    ):
        verdict_bank.load_or_train(str(table), "size", **settings)
    assert not (tmp_path / "cache").exists()
