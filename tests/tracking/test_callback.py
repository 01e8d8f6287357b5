"""Callbacks of a search: whatever one raises, the others hear all of it."""

from functools import partial

import keras
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import SearchCallback
from keras_acts.search.population.members import Member
from keras_acts.search.race.race import Race
from keras_acts.search.race.record import MemberRecord
from keras_acts.search.race.schedule import Rung
from keras_acts.search.race.telling import Telling
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.base import TrialResult
from keras_acts.search.tracking.callback import Followers, checked_search_callbacks
from tests.helpers.followers import Notes

# who hears what; tests/test_search.py has a real one at any version
pytestmark = pytest.mark.once


class Failing(SearchCallback):
    def on_round_end(self, a_round):
        raise OSError("the server is away")

    def on_verdict(self, verdict):
        raise KeyboardInterrupt


def test_one_that_raises_is_said_once_and_costs_nobody_anything():
    notes = Notes()
    said = []
    followers = Followers([Failing(), notes], said.append)
    race = Race([Rated(Candidate.of("relu"))], [Rung(1, 1, 0, 0), Rung(2, 1, 0, 0)], nothing)
    telling = Telling(followers, race, "max")
    run(race, telling, [[0.5]], [[0.6]])
    followers.judged(None)  # Ctrl-C in it is no Ctrl-C of the search
    assert said == [
        "The search callback Failing failed, and the search goes on: OSError: the server is away"
    ]
    assert followers.errors == {"search callback Failing": "OSError: the server is away"}
    assert [name for name, _ in notes.heard] == ["round", "round", "trial", "verdict"]


def nothing(rounds, known, count):
    return []


def run(race, telling, *scores):
    """A race that is told its scores, and tells of itself."""
    for of_rung in scores:
        telling.rounds(race.ask(), {}, seeds_of)
        race.tell(of_rung)
    telling.rounds(race.ask(), {}, seeds_of)
    telling.end({}, seeds_of, list)


def seeds_of(count):
    return [100 + index for index in range(count)]


def test_a_race_tells_who_left_and_why():
    relu, mish, silu, tanh = map(Rated, map(Candidate.of, ("relu", "mish", "silu", "tanh")))
    rungs = [Rung(1, 1, 1, 3), Rung(2, 2, 1, 0)]
    race = Race([relu, mish, silu, tanh], rungs, nothing)
    notes = Notes()
    telling = Telling(Followers([notes]), race, "min")
    # less is better: a race has scores of which more is
    run(race, telling, [[-0.5], [-0.4], [float("nan")], [-0.9]], [[-0.3, -0.2], [-0.4, -0.3]])
    first, second = notes.of("round")
    assert (first.number, first.of, first.epochs, first.seeds) == (1, 2, 1, 1)
    assert [(str(t.candidate), t.rank, t.outcome) for t in first.trials] == [
        ("mish", 1, "goes on"),
        ("relu", 2, "goes on"),
        ("tanh", 3, "no place"),
        ("silu", None, "diverged"),
    ]
    assert [(str(t.candidate), t.score, t.seeds) for t in second.trials] == [
        ("relu", 0.25, (100, 101)),
        ("mish", pytest.approx(0.35), (100, 101)),
    ]
    ended = {str(trial.candidate): trial for trial in notes.of("trial")}
    assert {name: trial.kept for name, trial in ended.items()} == {
        "relu": True,
        "mish": True,
        "tanh": False,
        "silu": False,
    }
    assert len(notes.of("trial")) == 4


def test_who_failed_is_told_with_the_reason_and_who_was_cut_off_too():
    relu, mish = (Rated(Candidate.of(name)) for name in ("relu", "mish"))
    race = Race([relu, mish], [Rung(1, 1, 1, 1), Rung(2, 1, 1, 0)], nothing)
    notes = Notes()
    telling = Telling(Followers([notes]), race, "max")
    race.ask()
    race.tell([[0.5], [float("nan")]])
    runs = {Member(mish.choice, 100, 1.0): MemberRecord(error="it cannot be traced")}
    telling.rounds(race.ask(), runs, seeds_of)
    # in the second round
    runs[Member(relu.choice, 100, 1.0)] = MemberRecord(epochs=2, best=0.7)
    row = TrialResult(1, relu.choice, 0.7, "stopped", 1.0, {}, epochs=2, seeds=1)
    telling.end(runs, seeds_of, lambda: [row])
    outcomes = [(str(t.candidate), t.outcome, t.message) for t in notes.of("trial")]
    assert outcomes == [
        ("mish", "failed", "it cannot be traced"),
        ("relu", "the race ended", ""),
    ]
    ended = notes.of("trial")[-1]
    assert (ended.epochs, ended.seeds, ended.scores) == (2, (100,), (0.7,))


class Away(Notes):
    """Notes what it is called with, and raises."""

    def __init__(self, *methods):
        super().__init__()
        for name in methods:
            setattr(self, name, partial(self._raise, name))

    def _raise(self, name, told):
        self.heard.append((name, told))
        raise OSError("the server is away")


def test_one_that_cannot_begin_hears_only_the_end():
    away = Away("on_search_begin")
    said = []
    followers = Followers([away], said.append)
    followers.search_begins(None)
    followers.epoch(None)
    followers.trial_over(None)
    followers.search_ends(None)
    assert [name for name, _ in away.heard] == ["on_search_begin", "end"]
    assert said[1:] == [
        "The search callback Away failed at the beginning: it hears only the end of the search now"
    ]


def test_one_that_fails_again_and_again_hears_only_the_end():
    away = Away("on_epoch_end")
    notes = Notes()
    said = []
    followers = Followers([away, notes], said.append)
    for number in range(5):
        followers.epoch(number)
        followers.trial_over(number)
    followers.search_ends(None)
    assert [told for name, told in away.heard if name == "on_epoch_end"] == [0, 1, 2]
    assert away.of("trial") == [0, 1]
    assert len(away.of("end")) == 1
    # nobody else is left out
    assert notes.of("epoch") == notes.of("trial") == list(range(5))
    assert [text.partition(":")[0] for text in said] == [
        "The search callback Away failed, and the search goes on",
        "The search callback Away failed 3 times in a row in on_epoch_end",
    ]


def test_one_that_fails_now_and_then_hears_all():
    away = Away("on_epoch_end")
    followers = Followers([away])
    for number in range(5):
        followers.epoch(number)
        if number == 1:
            del away.on_epoch_end
        if number == 2:
            away.on_epoch_end = partial(away._raise, "on_epoch_end")
    assert len(away.heard) == 5


@pytest.mark.parametrize("wrong", ["relu", 3, [None], [Notes], [keras.callbacks.History()]])
def test_what_is_no_callback_of_a_search_is_refused(wrong):
    with pytest.raises(SearchError, match="search_callbacks must be"):
        checked_search_callbacks(wrong)


def test_one_callback_alone_will_do():
    notes = Notes()
    assert checked_search_callbacks(notes) == [notes]
    assert checked_search_callbacks(None) == []
