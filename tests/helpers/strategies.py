"""A way to search that has found what it is told: for tests of what comes after a search."""

from collections.abc import Callable, Mapping, Sequence

import keras
import keras_tuner

from keras_acts.search.request import Limits
from keras_acts.search.space.assignment import Choice
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.base import JudgedRun, TrialResult
from keras_acts.search.strategy.curves import Curve
from keras_acts.search.strategy.progress import Progress
from keras_acts.search.strategy.rounds import Round

# of a search without a verdict, kept nowhere
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


class Listening(Progress):
    """Progress that remembers what it was told to say."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class FoundStrategy:
    """A `Strategy` that trains nothing.

    Args:
        scores: of each candidate by its text, the best first; None for one that failed.
        models: by the text of a candidate; it is finished at once where there is none.
        build: returns a candidate's fresh model.
        interrupted: whether the user has ended it.
    """

    def __init__(
        self,
        scores: Mapping[str, float | None],
        models: Mapping[str, keras.Model],
        build: Callable[[Choice], keras.Model],
        *,
        interrupted: bool = False,
    ):
        self.objective = keras_tuner.Objective("val_loss", "min")
        self.progress = Listening(len(scores), verbose=0)
        self.interrupted = interrupted
        self.errors: dict[str, str] = {}
        self.finished: list[Choice] = []
        self._scores = dict(scores)
        self._models = dict(models)
        self._build = build

    def run(self) -> None:
        """Nothing is left to do."""

    def results(self) -> tuple[TrialResult, ...]:
        rows = []
        for rank, (text, score) in enumerate(self._scores.items(), 1):
            failed = score is None
            rows.append(
                TrialResult(
                    rank=None if failed else rank,
                    candidate=Candidate.of(text),
                    score=score,
                    status="failed" if failed else "completed",
                    seconds=1.5,
                    hyperparameters={"act": text},
                    message="ValueError: it cannot be traced" if failed else "",
                )
            )
        return tuple(rows)

    @property
    def kind(self) -> None:
        return None

    @property
    def is_complete(self) -> bool:
        return not self.interrupted

    def history(self) -> tuple[Round, ...]:
        return ()

    def curves(self) -> tuple[Curve, ...]:
        return ()

    def leaders(self) -> Sequence[Rated]:
        return tuple(row.rated for row in self.results() if row.rank is not None)

    def finish(self, *candidates: Rated) -> None:
        for rated in candidates:
            self.finished.append(rated.choice)
            self._models.setdefault(str(rated.choice), self._build(rated.choice))

    def has_finished(self, candidate: Rated) -> bool:
        return str(candidate.choice) in self._models

    def adopt(self, run: JudgedRun) -> None:
        self._models[str(run.rated.choice)] = run.model

    def model(self, candidate: Rated) -> keras.Model | None:
        return self._models.get(str(candidate.choice))

    def builder(self, candidate: Rated) -> Callable[[], keras.Model] | None:
        if str(candidate.choice) not in self._scores:
            return None
        return lambda: self._build(candidate.choice)
