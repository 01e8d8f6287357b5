"""Callbacks of a search that write down what they hear."""

from typing import Any

from keras_acts.search import SearchCallback


class Notes(SearchCallback):
    """Notes all that it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def of(self, kind: str) -> list[Any]:
        """What it heard of one kind."""
        return [told for name, told in self.heard if name == kind]

    def on_search_begin(self, search):
        self.heard.append(("begin", search))

    def on_epoch_end(self, epoch):
        self.heard.append(("epoch", epoch))

    def on_round_end(self, a_round):
        self.heard.append(("round", a_round))

    def on_trial_end(self, trial):
        self.heard.append(("trial", trial))

    def on_verdict(self, verdict):
        self.heard.append(("verdict", verdict))

    def on_search_end(self, result):
        self.heard.append(("end", result))


def tell(callback: SearchCallback, model: str = "digits") -> None:
    """Tell a callback of a search of two candidates, with a verdict, as a search would."""
    from keras_acts.search.space.candidate import Candidate
    from keras_acts.search.tracking.records import (
        EpochRecord,
        RoundRecord,
        SearchRecord,
        TrialRecord,
    )
    from tests.helpers.reports import result, verdict

    callback.on_search_begin(
        SearchRecord(model, "race", "val_accuracy", "max", "relu", 2, 2, 0, "CPU")
    )
    relu = Candidate.of("relu")
    trelu = Candidate.of("trelu(alpha=0.2, theta=-0.3)")
    for epoch in (1, 2):
        for candidate, factor in ((relu, 1.0), (trelu, 4.0)):
            metrics = {"loss": 1 / epoch, "val_accuracy": 0.4 * epoch * factor / 4}
            callback.on_epoch_end(EpochRecord(candidate, factor, 7, epoch, metrics))
    trials = (
        TrialRecord(trelu, 4.0, (7,), 2, (0.8,), 1, "finished"),
        TrialRecord(relu, 1.0, (7,), 2, (0.2,), 2, "no place"),
    )
    callback.on_round_end(RoundRecord(1, 1, 2, 1, trials))
    for trial in trials:
        callback.on_trial_end(trial)
    judged = verdict(seeds=2)
    callback.on_verdict(judged)
    callback.on_search_end(result(judged, test={"accuracy": 0.95, "f1_score[0]": 0.9}))
