"""What a search found.

A ranked table, the best model, and how both did on data that the search never saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras

from keras_acts.errors import SearchError

from . import report
from .exporting.export import Exported, export
from .space.assignment import Assignment, SlotGroup
from .space.candidate import Candidate
from .strategy.base import TrialResult
from .verdict.verdict import Verdict

if TYPE_CHECKING:
    import pandas


_COLUMNS = {"rank", "activation", "status", "seconds", "epochs", "seeds"}


def kept(trials: Sequence[TrialResult], verdict: Verdict | None) -> TrialResult:
    """Return the trial whose model a search keeps.

    The best of what the verdict suggests, else the first of all.
    """
    if verdict is None or verdict.withheld:
        return trials[0]
    # who left a race has no model
    there = (
        trial for trial in trials if trial.rank is not None and trial.epochs == trials[0].epochs
    )
    return next((trial for trial in there if str(trial.candidate) == verdict.suggested), trials[0])


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        objective: the name of the metric that ranked the trials.
        direction: ``"max"`` or ``"min"``.
        trials: all trials, the best first, the failed last.
        model: the model of `best`, with the weights of its best epoch; None if it could not be made
            (see `errors`).
        baseline: the activation that the others are compared with.
        test: the metrics of `model` on the test data, if there were any.
        baseline_test: those of the best baseline model.
        executions_per_trial: how many seeds each score is the mean of.
        device: where the trials were trained.
        interrupted: whether the search was stopped before all trials were done.
        verdict: whether one of the leaders is really better than the baseline; None if that was not
            asked.
        seed: of candidates, initialization and batch order.
        data: fingerprints of the arrays that trained, ranked and tested.
        intervals: the metrics on the test data with their intervals; see
            `keras_acts.search.intervals`.
        samples: a few inputs, with which an export is compared.
        validation: the metrics of `model` on the validation data, if the objective is one of them.
        groups: of the slots that the search chose for, each by itself; empty if one activation was
            for all.
        errors: what failed once the training was done, by what was done then: ``"verdict"``,
            ``"finish"``, ``"model"``, ``"validation"``, ``"test"``, …. What they would have found
            is missing; the rest is as good as ever.
    """

    objective: str
    direction: str
    trials: tuple[TrialResult, ...]
    model: keras.Model | None = field(repr=False)
    baseline: Candidate
    executions_per_trial: int
    device: str
    test: Mapping[str, float] | None = None
    baseline_test: Mapping[str, float] | None = None
    interrupted: bool = False
    verdict: Verdict | None = None
    seed: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    intervals: Mapping[str, Any] = field(default_factory=dict, repr=False)
    samples: Any = field(default=None, repr=False)
    validation: Mapping[str, float] | None = None
    groups: tuple[SlotGroup, ...] = field(default=(), repr=False)
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Candidate | Assignment:
        """What to use: what the verdict suggests.

        Without a verdict, the candidate that ranked first.

        An activation, or, where the search chose for each layer, block or group, a mapping from
        slots to activations, also if one is best for all.
        """
        found = self.kept.candidate
        if isinstance(found, Assignment) or not self.groups:
            return found
        return Assignment(tuple((group, found) for group in self.groups))

    @property
    def kept(self) -> TrialResult:
        """The best trial of `best`, whose model is `model`."""
        return kept(self.trials, self.verdict)

    @property
    def score(self) -> float:
        """The objective of `model`, on the validation data that also ranked it.

        Expect less on new data.

        The score of `kept` is the mean over its seeds; the model is of one of them.
        """
        score = self.kept.score
        assert score is not None  # a result has a completed trial
        own = (self.validation or {}).get(self.objective.removeprefix("val_"), score)
        # the same number for the same thing: it is measured in other batches
        return score if math.isclose(own, score, rel_tol=1e-5, abs_tol=1e-7) else own

    def __str__(self) -> str:
        return report.text(self)

    def to_pandas(self, *, epochs: bool = False) -> pandas.DataFrame:
        """Return the trials as a table, one row each.

        Hyperparameters as columns, ``hp.NAME`` where a name is taken.

        Args:
            epochs: whether to return, instead, every epoch x seed x activation of the verdict.

        Raises:
            SearchError: if there is no verdict to return the epochs of.
        """
        import pandas

        if epochs:
            if self.verdict is None or self.verdict.runs is None:
                raise SearchError(
                    f"epochs=True needs a verdict. Received: verdict={self.verdict!r}"
                )
            return self.verdict.to_pandas()

        return pandas.DataFrame(self._row(trial) for trial in self.trials)

    def _row(self, trial: TrialResult) -> dict[str, Any]:
        row = {
            "rank": trial.rank,
            "activation": str(trial.candidate),
            self.objective: trial.score,
            "status": trial.status,
            "seconds": trial.seconds,
            **({} if trial.epochs is None else {"epochs": trial.epochs, "seeds": trial.seeds}),
        }
        # a hyperparameter of the user's may be called as a column of ours is
        return {
            **row,
            **{
                f"hp.{n}" if n in _COLUMNS | {*row} else n: v
                for n, v in trial.hyperparameters.items()
            },
        }

    def export(
        self, path: Any, *, card: Mapping[str, Any] | None = None, **options: Any
    ) -> Exported:
        """Write `model` as a SavedModel with its model card and `report.md`.

        `verdict.csv` beside them holds every epoch x seed x activation of the verdict.

        Args:
            path: the folder to make.
            card: more facts for the model card.
            **options: those of `keras_acts.search.export`: `overwrite`, `versioned`, `class_names`,
                `formats`, ….

        Raises:
            SearchError: if the search has no model.
        """
        if self.model is None:
            raise SearchError(
                f"The search must have a model to export. Received: errors={dict(self.errors)}"
            )

        def notes(difference: float) -> dict[str, str]:
            written = {"report.md": report.markdown(self, difference)}
            if self.verdict is not None and self.verdict.runs is not None:
                written["verdict.csv"] = self.verdict.to_pandas().to_csv(index=False)
            return written

        options.setdefault(
            "samples", self.samples if options.get("preprocessing") is None else None
        )
        return export(
            self.model,
            path,
            card={**report.card(self), **(card or {})},
            notes=notes,
            **options,
        )
