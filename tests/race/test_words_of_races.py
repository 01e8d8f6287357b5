"""What a race says of its rounds: no advice that is then refused, and who cannot go on."""

from dataclasses import replace

import numpy as np
import pytest

from keras_acts.errors import SearchError
from keras_acts.search.plan import Place, Plan, Way, planned, strategy_for
from keras_acts.search.race import runner
from keras_acts.search.race.planner import seconds
from keras_acts.search.race.runner import RaceSearch
from keras_acts.search.race.schedule import cost
from keras_acts.search.request import checked_request
from keras_acts.search.runtime import costs
from keras_acts.search.tracking.callback import Followers
from tests.helpers.models import blobs, mlp
from tests.helpers.strategies import LIMITS

# words only: nothing trains
pytestmark = pytest.mark.once

ADVICE = "(strategy 'random' trains all to the end)"


@pytest.fixture(scope="module")
def request_():
    x, y = blobs(60)
    return checked_request(
        mlp(),
        x,
        y,
        activations=None,
        baseline="relu",
        objective="val_loss",
        validation_data=None,
        validation_split=0.2,
        test_data=None,
        batch_size=16,
        learning_rates=None,
        rescale_init=False,
        fit_options={},
        limits=LIMITS,
    )


def searching(request, folder):
    plan = planned(request)
    assert plan == Plan(Way.RACE)
    search = strategy_for(request, plan, Place(folder, None), Followers(()))
    assert isinstance(search, RaceSearch)
    return search


@pytest.mark.parametrize("limit", [{}, {"max_epochs": 80}, {"max_seconds": 1e9}])
def test_a_short_race_advises_only_what_runs(request_, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(costs, "PRODUCTS_A_SECOND", 1e3)  # as if the model were large
    limited = replace(request_, limits=replace(LIMITS, **limit))
    said = searching(limited, tmp_path)._note
    assert "16 candidates train 3 of 5 epochs" in said
    followed = replace(limited, limits=replace(limited.limits, strategy="random"))
    if ADVICE in said:
        assert planned(followed).way is Way.TRIALS
    else:
        with pytest.raises(SearchError, match="max_epochs and max_seconds need a race"):
            planned(followed)
    assert "()" not in said


@pytest.mark.parametrize(
    ("share", "said"), [(1.0, ""), (0.999, "of 8 candidates only 7 can go on")]
)
def test_a_short_race_that_is_cut_says_how_many_go_on(
    request_, tmp_path, monkeypatch, capsys, share, said
):
    monkeypatch.setattr(costs, "PRODUCTS_A_SECOND", 1e3)
    clock = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    limits = replace(LIMITS, max_seconds=1e9, verbose=1)
    search = searching(replace(request_, limits=limits), tmp_path)
    race = search._race
    race.tell(np.linspace(0.1, 0.5, len(race.ask().candidates))[:, None])
    search.trained = cost(race.rungs[:1])
    search._expect(0)
    clock[0] = search._expected  # as long as counted
    to_come = seconds(race.rungs, search._costs) - search._expected
    search._deadline = clock[0] + share * to_come + 1e-6
    search._replan()
    assert len(race.ask().candidates) == 1 + race.going_on[0]
    assert said in capsys.readouterr().err
    assert (race.going_on[0] < race.going_on[1]) == bool(said)
