"""What a search advises before it begins: nothing that is then refused."""

from dataclasses import replace

import pytest

from keras_acts.errors import SearchError
from keras_acts.search.plan import Place, Plan, Way, planned, strategy_for
from keras_acts.search.race.runner import RaceSearch
from keras_acts.search.request import Limits, checked_request
from keras_acts.search.runtime import costs
from keras_acts.search.tracking.callback import Followers
from tests.helpers.models import blobs, mlp

# words only, before anything trains
pytestmark = pytest.mark.once

LIMITS = Limits(
    trials=16,
    epochs=5,
    executions_per_trial=1,
    strategy="auto",
    max_epochs=None,
    max_seconds=None,
    verdict=0,
    population="auto",
    seed=0,
    directory=None,
    project_name="activations",
    overwrite=False,
    verbose=0,
)
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


def note(request, folder):
    plan = planned(request)
    assert plan == Plan(Way.RACE)
    search = strategy_for(request, plan, Place(folder, None), Followers(()))
    assert isinstance(search, RaceSearch)
    return search._note


@pytest.mark.parametrize("limit", [{}, {"max_epochs": 80}, {"max_seconds": 1e9}])
def test_a_short_race_advises_only_what_runs(request_, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(costs, "PRODUCTS_A_SECOND", 1e3)  # as if the model were large
    limited = replace(request_, limits=replace(LIMITS, **limit))
    said = note(limited, tmp_path)
    assert "16 candidates train 3 of 5 epochs" in said
    followed = replace(limited, limits=replace(limited.limits, strategy="random"))
    if ADVICE in said:
        assert planned(followed).way is Way.TRIALS
    else:
        with pytest.raises(SearchError, match="max_epochs and max_seconds need a race"):
            planned(followed)
    assert "()" not in said
