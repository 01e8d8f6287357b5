"""Callbacks of a search: what the user writes, and who calls them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_acts.errors import SearchError

from ..runtime.reasons import first_line
from .records import EpochRecord, RoundRecord, SearchRecord, TrialRecord

if TYPE_CHECKING:
    from ..result import SearchResult
    from ..verdict.verdict import Verdict

# so many failures of one method in a row are no accident: a server that is down may cost minutes each
_TOO_MANY = 3

# a search that has trained must not be lost by what comes after it
_ALL = (Exception, KeyboardInterrupt)


class SearchCallback:
    """Follows a search, or a comparison. Override what you want to hear of.

    A comparison tells of its beginning, its verdict with all trainings, and its end.

    The methods are called in the process that searches, between its epochs, so they should be
    quick. One that raises never ends the search: that is said once, the others are called as
    before, and the result's `errors` hold it. One whose `on_search_begin` raises, or one of whose
    methods raises three times in a row, hears only `on_search_end` after that.

    A search that goes on after an interrupt tells of the rounds before it again, and of the epochs
    that it trains; not of trials, where it is no race, that were over before.

    Example:
        >>> class Print(SearchCallback):
        ...     def on_trial_end(self, trial):
        ...         print(trial.candidate, trial.score, trial.outcome)
        >>> search_activations(model, x, y, search_callbacks=[Print()])
    """

    def on_search_begin(self, search: SearchRecord) -> None:
        """Hear that a search begins."""

    def on_epoch_end(self, epoch: EpochRecord) -> None:
        """Hear of an epoch of one training."""

    def on_round_end(self, a_round: RoundRecord) -> None:
        """Hear of a round of a race: who goes on, who leaves, and why."""

    def on_trial_end(self, trial: TrialRecord) -> None:
        """Hear that a candidate trains no further: it left a race, failed, or is trained to its end."""

    def on_verdict(self, verdict: Verdict) -> None:
        """Hear the verdict; not called where none was asked for."""

    def on_search_end(self, result: SearchResult | Verdict | None) -> None:
        """Hear that the search is over.

        Args:
            result: of the search; of a comparison its verdict; None where it ended with an error.
        """


class Followers:
    """Calls the callbacks of a search, whatever they raise.

    Args:
        callbacks: the user's.
        say: called with what failed, once for each callback.

    Attributes:
        errors: what failed, by the callback's class.
    """

    def __init__(
        self,
        callbacks: Iterable[SearchCallback] = (),
        say: Callable[[str], None] = lambda text: None,
    ):
        self.errors: dict[str, str] = {}
        self.say = say
        self._callbacks = tuple(callbacks)
        self._failed: set[int] = set()
        self._left_out: set[int] = set()
        # how often in a row a method of a callback failed
        self._in_a_row: Counter[tuple[int, str]] = Counter()

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._callbacks)

    def search_begins(self, search: SearchRecord) -> None:
        """Tell that the search begins."""
        self._call("on_search_begin", search)

    def epoch(self, epoch: EpochRecord) -> None:
        """Tell of an epoch of one training."""
        self._call("on_epoch_end", epoch)

    def round_over(self, a_round: RoundRecord) -> None:
        """Tell of a round, and of those who train no further."""
        self._call("on_round_end", a_round)
        for trial in a_round.trials:
            if not trial.trains_on:
                self.trial_over(trial)

    def trial_over(self, trial: TrialRecord) -> None:
        """Tell that a candidate trains no further."""
        self._call("on_trial_end", trial)

    def judged(self, verdict: Verdict) -> None:
        """Tell the verdict; Ctrl-C meanwhile ends a callback, not the search."""
        self._call("on_verdict", verdict, _ALL)

    def search_ends(self, result: SearchResult | Verdict | None) -> None:
        """Tell that the search is over; Ctrl-C meanwhile ends a callback, not the search."""
        self._call("on_search_end", result, _ALL)

    def _call(
        self,
        method: str,
        told: object,
        caught: tuple[type[BaseException], ...] = (Exception,),
    ) -> None:
        for callback in self._callbacks:
            # what is open must be closed, whatever failed
            if id(callback) in self._left_out and method != "on_search_end":
                continue
            try:
                getattr(callback, method)(told)
            except caught as error:
                self._note(callback, method, error)
            else:
                self._in_a_row[id(callback), method] = 0

    def _note(self, callback: SearchCallback, method: str, error: BaseException) -> None:
        """Say once of each callback what failed, and once that it is left out."""
        name = f"search callback {type(callback).__name__}"
        if id(callback) not in self._failed:
            self._failed.add(id(callback))
            self.errors[name] = first_line(error)
            self.say(f"The {name} failed, and the search goes on: {self.errors[name]}")
        self._in_a_row[id(callback), method] += 1
        begins = method == "on_search_begin"
        if not begins and self._in_a_row[id(callback), method] < _TOO_MANY:
            return
        if id(callback) in self._left_out or method == "on_search_end":
            return
        self._left_out.add(id(callback))
        reason = "at the beginning"
        if not begins:
            reason = f"{_TOO_MANY} times in a row in {method}"
        self.say(f"The {name} failed {reason}: it hears only the end of the search now")


def checked_search_callbacks(given: Any) -> Sequence[SearchCallback]:
    """Return the callbacks of a search as a list.

    Args:
        given: one, several, or None.

    Raises:
        SearchError: if one is none.
    """
    if given is None:
        return []
    if isinstance(given, SearchCallback):
        return [given]
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise SearchError(
            f"search_callbacks must be a list of SearchCallback objects. Received: {given!r}"
        )
    listed = list(given)
    for callback in listed:
        if isinstance(callback, SearchCallback):
            continue
        hint = ""
        if isinstance(callback, keras.callbacks.Callback):
            hint = "; Keras callbacks go into callbacks"
        raise SearchError(
            f"search_callbacks must be SearchCallback objects{hint}. Received: {callback!r}"
        )
    return listed
