"""What a search found.

A ranked table, the best model, and how both did on data that the search never saw. The result says
itself: as text, Markdown, plain data or a table of pandas.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
from rich.table import Table

import keras_acts
from keras_acts.errors import SearchError

from .exporting.export import Exported, export
from .measures import Measures
from .report.names import quoted
from .report.numbers import agreement, counted, number
from .report.tables import COLUMNS, TextTable, bullets, plain_text
from .runtime.as_json import finite
from .runtime.reasons import headline, reason_of
from .space.assignment import Assignment, SlotGroup
from .space.candidate import Candidate
from .space.rated import written
from .strategy.base import ENDED_EARLY, NO_CHANGES, TrialResult
from .strategy.curves import Curve
from .strategy.rounds import Kind, Round
from .verdict.verdict import Verdict

if TYPE_CHECKING:
    import pandas

    from .pictures import ResultPlot

# columns of the table of pandas that are not the objective's or hyperparameters
_COLUMNS = {"rank", "activation", "status", "seconds", "epochs", "seeds", "learning_rate_factor"}

_CAUTION = (
    "{seeds} a candidate: the best of many equal ones looks better by luck alone. "
    "A ranking suggests; it does not prove."
)
_RACED = (
    "A race: who went further ranks first. Only scores of as many epochs and seeds compare. "
    "A ranking suggests; it does not prove."
)
_UNEQUAL = (
    "Who trained for more epochs, or on more seeds, ranks first. Only scores of as many epochs and seeds "
    "compare. A ranking suggests; it does not prove."
)
_ENDED_BEFORE = (
    "The search ended before all were trained as far as planned: who trained less may have had more "
    "to show."
)
_CHOSEN = (
    "Layer by layer: first is what the search chose, trained again on fresh seeds. A change of a "
    "choice is taken if it is surely better on the same seeds, so a better mean may stand below it."
)

_RESCALED = "Each activation, the baseline too, has kernels initialized for it (rescale_init=True)."


def kept(trials: Sequence[TrialResult], verdict: Verdict | None) -> TrialResult:
    """Return the trial whose model a search keeps.

    The best of what the verdict suggests, else the first of all.
    """
    if verdict is None or verdict.withheld:
        return trials[0]
    suggested = _suggested_factor(verdict)
    of_suggested = []
    for trial in trials:
        # who left a race before its end has no model
        went_as_far = trial.rank is not None and trial.epochs == trials[0].epochs
        if went_as_far and str(trial.candidate) == verdict.suggested:
            of_suggested.append(trial)
    for trial in of_suggested:
        if trial.factor == suggested:
            return trial
    # its training at that rate failed: another rate is nearer to it than another activation
    return next(iter(of_suggested), trials[0])


def _suggested_factor(verdict: Verdict) -> float:
    """The multiple of the model's learning rate at which the verdict judged what it suggests."""
    if verdict.rates is None:
        return 1.0
    return verdict.rates.factor(verdict.suggested)


@dataclass(frozen=True, repr=False)
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
            `keras_acts.search.evaluation`.
        measures: what the predictions of `model` on the test data are worth besides: errors in the
            target's unit, or the majority's share, balanced accuracy and AUC; None where that is not
            known. See `keras_acts.search.measures`.
        target: what is predicted, as far as it is known: its ``"name"`` and ``"unit"``, the
            ``"classes"`` and their ``"shares"``.
        samples: a few inputs, with which an export is compared.
        validation: the metrics of `model` on the validation data, if the objective is one of them.
        groups: of the slots that the search chose for, each by itself; empty if one activation was
            for all.
        errors: what failed once the training was done, by what was done then: ``"verdict"``,
            ``"finish"``, ``"model"``, ``"validation"``, ``"test"``, …. What they would have found
            is missing; the rest is as good as ever. Under ``"no changes"`` stands why a search for
            each layer was too short to try others than one activation for all.
        own_rate: the learning rate that the user's model is compiled with; None if it changes in the
            training, or other rates were not searched.
        with_rates: whether other learning rates than the model's own were tried.
        baseline_factor: the multiple of that rate at which `baseline_test` was trained.
        baseline_model: the baseline's model at that rate, with the weights of its best epoch; None if
            none was made, as without a verdict and test data.
        labelled: a few inputs, targets and weights of the validation data, with which gradients are
            measured.
        rescale_init: whether kernels were initialized for the activation that they feed.
        rounds: of a race, with what became of each candidate; empty if there were none. Their
            scores are those that decided who went on.
        kind: how the candidates were to train; None where each was a trial of its own.
        is_complete: whether all that was planned has been trained: neither the time, Ctrl-C nor an error
            ended it.
        curves: what each epoch of each training logged, but for the verdict's; see `to_pandas`.
        call: how the search was called, for the report; data and models by their names only.
        columns: of a table, what is done with each column, for the report: name, kind, how many
            numbers, in words.
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
    measures: Measures | None = None
    target: Mapping[str, Any] = field(default_factory=dict, repr=False)
    samples: Any = field(default=None, repr=False)
    validation: Mapping[str, float] | None = None
    groups: tuple[SlotGroup, ...] = field(default=(), repr=False)
    errors: Mapping[str, str] = field(default_factory=dict)
    own_rate: float | None = None
    with_rates: bool = False
    baseline_factor: float = 1.0
    baseline_model: keras.Model | None = field(default=None, repr=False)
    labelled: Any = field(default=None, repr=False)
    rescale_init: bool = False
    rounds: tuple[Round, ...] = field(default=(), repr=False)
    curves: tuple[Curve, ...] = field(default=(), repr=False)
    call: str = field(default="", repr=False)
    columns: tuple[tuple[str, str, str, str], ...] = field(default=(), repr=False)
    kind: Kind | None = None
    is_complete: bool = True

    @property
    def learning_rate(self) -> str:
        """The learning rate of `model` as one writes it.

        ``"0.004"``, or ``"x4"`` of one that changes in the training; empty if no others were tried.
        """
        if not self.with_rates:
            return ""
        return written(self.kept.factor, self.own_rate)

    @property
    def best(self) -> Candidate | Assignment:
        """What to use: what the verdict suggests.

        Without a verdict, the candidate that ranked first.

        An activation, or, where the search chose for each layer, block or group, a mapping from
        slots to activations, also if one is best for all.
        """
        candidate = self.kept.candidate
        if isinstance(candidate, Assignment) or not self.groups:
            return candidate
        return Assignment(tuple((group, candidate) for group in self.groups))

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

    def __repr__(self) -> str:
        score = f"{self.objective}={_score(self.score)}"
        tried = counted(len(self.trials), "candidate")
        verdict = "no verdict"
        if self.verdict is not None:
            verdict = f"verdict={self.verdict.sentence!r}"
        return f"<SearchResult: {quoted(self.best)}, {score}, {tried}, {verdict}>"

    def __str__(self) -> str:
        text = "\n".join([*self.first_lines(), ""]) + plain_text(self.drawn_table())
        text += "\n".join(self.summary())
        if self.verdict is not None:
            table = plain_text(self.verdict.drawn_table())
            text += f"\n\n{self.verdict.caption}\n{table}".removesuffix("\n")
        return "\n".join([text, *self.last_lines()])

    def first_lines(self) -> list[str]:
        """Return what to say above the tables: the answer, and why."""
        from .pages import answer

        return answer(self).first_lines()

    def last_lines(self) -> list[str]:
        """Return what to say below the tables: what else a decision hangs on, and what to do next."""
        from .pages import answer

        if self.verdict is None:
            return [answer(self).next_line()]
        return self.verdict.last_lines()

    def drawn_table(self, width: int | None = None) -> Table:
        """Return the ranked table for a terminal of so many columns; by default as wide as its content."""
        return self._table().drawn(width)

    def summary(self) -> list[str]:
        """Return what to say below the table, a sentence a line."""
        lines = [self._best_line(), *self._test_lines()]
        if self.compares_all:
            lines.append(_CAUTION.format(seeds=_counted_seeds(self.rounds[-1].seeds)))
        elif self.kind is Kind.TOGETHER:
            lines.append(_UNEQUAL)
        elif self._raced:
            lines.append(_RACED)
        else:
            lines.append(_CAUTION.format(seeds=_counted_seeds(self.executions_per_trial)))
        if any(isinstance(trial.candidate, Assignment) for trial in self.trials):
            lines.append(_CHOSEN)
        # else the verdict says it
        if self.rescale_init and self.verdict is None:
            lines.append(_RESCALED)
        for trial in self.trials:
            if trial.status == "failed":
                lines.append(f"Failed: {quoted(trial.rated)}: {headline(trial.message)}.")
        lines += self._ended_early()
        for what, reason in self.errors.items():
            if what == NO_CHANGES:
                continue  # nothing failed, and the answer says it
            lines.append(f"What failed besides: {what}: {reason.rstrip('.')}.")
        if not self._keeps_what_is_suggested:
            assert self.verdict is not None
            suggested = self._at_rate(self.verdict.suggested, _suggested_factor(self.verdict))
            lines.append(
                f"Kept is {self._at_rate(self.best, self.kept.factor)}: {suggested}, which is suggested, was not "
                "trained to its end."
            )
        if self.interrupted:
            lines.append(
                f"Interrupted after {counted(len(self.trials), 'candidate')}: the best so far."
            )
        elif not self.is_complete:
            lines.append(_ENDED_BEFORE)
        return lines

    @property
    def compares_all(self) -> bool:
        """Whether all were planned to train to the end, and did, on as many seeds: then all scores compare."""
        if self.kind is not Kind.TOGETHER or not self.is_complete or not self.rounds:
            return False
        scored = [trial for trial in self.trials if trial.score is not None and not trial.judged]
        return len({(trial.epochs, trial.seeds) for trial in scored}) == 1

    @property
    def plot(self) -> ResultPlot:
        """The pictures of the search as matplotlib's Axes.

        ``plot.race()``, ``plot.curves()``, ``plot.differences()``, ``plot.learning_rates()``,
        ``plot.parameters()``.
        """
        from .pictures import ResultPlot

        return ResultPlot(self)

    def to_html(self) -> str:
        """Return `report.html` as text: one file that needs no network."""
        from .pages import page

        return page(self).to_html()

    def save_report(self, path: str | os.PathLike[str]) -> Path:
        """Write `report.html`: the answer, pictures and tables in one file that needs no network.

        Args:
            path: of the file. What is there is replaced.

        Returns:
            The path.

        Raises:
            DataError: if it cannot be written.
        """
        from .report.files import write

        return write(self.to_html(), path)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the answer and the ranking."""
        from .pages import answer, ranked
        from .report.notebook import shown

        said = answer(self)
        return shown(said.in_a_line, said.reasons, ranked(self))

    def to_markdown(self, difference: float | None = None) -> str:
        """Return the report as Markdown.

        Args:
            difference: of the export's predictions from the model's; None if there is no export.
        """
        parts = [
            f"# Activation search: {self.best}",
            bullets(self.first_lines()),
            "## Ranking",
            bullets(self.summary()),
            self._table().to_markdown(),
        ]
        if self.verdict is not None:
            parts += [
                "## Verdict",
                "The leaders and the baseline, trained again on fresh seeds.",
                self.verdict.to_markdown(with_answer=False),
            ]
        if difference is not None:
            parts.append(
                f"The export was loaded in another process: it predicts {agreement(difference)}."
            )
        parts.append(f"Trained on {self.device} with {versions()}.")
        return "\n\n".join(parts) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON; what is not known, or not finite, is None."""
        verdict = None
        if self.verdict is not None:
            verdict = self.verdict.to_dict()
        measures = None
        if self.measures is not None:
            measures = self.measures.to_dict()
        plain = {
            "objective": self.objective,
            "direction": self.direction,
            "best": str(self.best),
            "learning_rate": self.learning_rate or None,
            "rescale_init": self.rescale_init,
            "score": self.score,
            "baseline": str(self.baseline),
            "test": self.test,
            "measures": measures,
            "baseline_test": self.baseline_test,
            "executions_per_trial": self.executions_per_trial,
            "device": self.device,
            "interrupted": self.interrupted,
            "verdict": verdict,
            "errors": dict(self.errors),
            "trials": [_plain_trial(trial) for trial in self.trials],
        }
        return dict(finite(plain))

    def to_pandas(self, *, epochs: bool | str = False) -> pandas.DataFrame:
        """Return the trials as a table, one row each.

        Hyperparameters as columns, ``hp.NAME`` where a name is taken.

        Args:
            epochs: ``"search"`` for the learning curves of all trials instead: a row each epoch x
                seed x activation x learning rate; ``"verdict"`` for those of the verdict. True for
                the verdict's if there is one, else the search's. Epochs that an earlier version
                of this package trained are not known.

        Raises:
            SearchError: if there is no verdict to return the epochs of, or nothing is known of any
                epoch.
        """
        import pandas

        if epochs not in (False, True, "search", "verdict"):
            raise SearchError(
                f"epochs must be True, False, 'search' or 'verdict'. Received: epochs={epochs!r}"
            )
        if epochs is False:
            return pandas.DataFrame(self._row(trial) for trial in self.trials)
        judged = self.verdict is not None and self.verdict.runs is not None
        if epochs == "search" or (epochs is True and not judged):
            return self._epochs_of_search()
        if self.verdict is None or self.verdict.runs is None:
            raise SearchError(
                f"epochs='verdict' needs a verdict. Received: verdict={self.verdict!r}"
            )
        return self.verdict.to_pandas()

    def _epochs_of_search(self) -> pandas.DataFrame:
        """The learning curves of the trials, a row each epoch."""
        import pandas

        if not self.curves:
            raise SearchError(
                "The learning curves of a search must be known: an earlier version of this package "
                "kept none. Received: 0 curves"
            )
        rows: list[dict[str, Any]] = []
        for curve in self.curves:
            named: dict[str, Any] = {"activation": str(curve.rated.choice)}
            if self.with_rates:
                named["learning_rate_factor"] = curve.rated.factor
            named["seed"] = curve.seed
            for index in range(curve.epochs):
                rows.append({**named, "epoch": index + 1, **_logged(curve, index, named)})
        return pandas.DataFrame(rows)

    def card(self) -> dict[str, Any]:
        """Return what the search knows for the model card of its best model."""
        from .pages import limits

        ranked = "it chose the model"
        if self._verdict_chose():
            ranked = "it ranked the trials"
        seen = "looked at once"
        if self._verdict_chose("test"):
            seen = "the verdict on fresh seeds chose the activation on it"
        metrics: dict[str, Any] = {
            f"validation ({ranked})": {self.objective: {"value": self.score}}
        }
        if self.intervals:
            # a metric that is a measure too has its interval among the metrics
            metrics[f"test ({seen})"] = {**self._measured(), **self.intervals}
        search = {
            "best": str(self.best),
            "learning_rate": self.learning_rate or None,
            "rescale_init": self.rescale_init,
            "baseline": str(self.baseline),
            "trials": len(self.trials),
            "executions_per_trial": self.executions_per_trial,
            "device": self.device,
        }
        facts = {
            "metrics": metrics,
            "limits": list(limits(self)),
            "data": dict(self.data),
            "seed": self.seed,
            "search": search,
        }
        target = {name: value for name, value in self.target.items() if name != "classes"}
        if target:
            facts["target"] = target
        return facts

    def _measured(self) -> dict[str, dict[str, float | int]]:
        """The measures for the model card, as metrics have it."""
        if self.measures is None:
            return {}
        samples = self.measures.samples
        values = self.measures.to_dict().items()
        return {name: {"value": value, "samples": samples} for name, value in values}

    def export(
        self, path: Any, *, card: Mapping[str, Any] | None = None, **options: Any
    ) -> Exported:
        """Write `model` as a SavedModel with its model card, `report.html` and `report.md`.

        `report-*.svg` are the pictures of the report; `verdict.csv` beside them holds every epoch x
        seed x activation of the verdict.

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
        if options.get("preprocessing") is None:  # else samples are raw, which these are not
            options.setdefault("samples", self.samples)
        return export(
            self.model,
            path,
            card={**self.card(), **(card or {})},
            notes=partial(self._notes, os.fspath(path)),
            **options,
        )

    def _notes(self, path: str, difference: float) -> dict[str, str]:
        """The files that go beside an export, by name."""
        markdown = self.to_markdown(difference)
        notes = {}
        try:
            notes = self._drawn(path, difference)
        except Exception as error:
            # a picture that fails must not cost the export, and not fail in silence either
            markdown += f"\nreport.html could not be made: {reason_of(error)}.\n"
        pictures = [name for name in notes if name.endswith(".svg")]
        if self.columns:
            table = TextTable(COLUMNS, self.columns)
            markdown += f"\n## Columns\n\n{table.to_markdown()}\n"
        shown = [f"![{Path(name).stem}]({name})" for name in pictures]
        if shown:
            markdown += "\n" + "\n\n".join(["## Pictures", *shown]) + "\n"
        notes["report.md"] = markdown
        if self.verdict is not None and self.verdict.runs is not None:
            notes["verdict.csv"] = self.verdict.to_pandas().to_csv(index=False)
        return notes

    def _drawn(self, path: str, difference: float) -> dict[str, str]:
        """The page of an export, and its pictures as files of their own."""
        from .pages import page

        whole = page(self, path, difference)
        pictures = whole.pictures()
        files = {f"report-{name}": drawn for name, drawn in pictures.items()}
        return {"report.html": whole.to_html(), **files}

    def _ended_early(self) -> list[str]:
        """A line on those that a callback ended, if there are any."""
        ended = []
        for trial in self.trials:
            if trial.score is not None and trial.message.startswith(ENDED_EARLY):
                ended.append(f"{trial.rated}{trial.message.removeprefix(ENDED_EARLY)}")
        if not ended:
            return []
        return [
            f"Ended early by a callback, with the score of their best epoch: {'; '.join(ended)}."
        ]

    def _row(self, trial: TrialResult) -> dict[str, Any]:
        row = {
            "rank": trial.rank,
            "activation": str(trial.candidate),
            self.objective: trial.score,
            "status": trial.status,
            "seconds": trial.seconds,
        }
        if self.with_rates:
            row["learning_rate_factor"] = trial.factor
        if trial.epochs is not None:
            row |= {"epochs": trial.epochs, "seeds": trial.seeds}
        taken = _COLUMNS | set(row)
        for name, value in trial.hyperparameters.items():
            # a hyperparameter of the user's may be called as a column of ours is
            column = f"hp.{name}" if name in taken else name
            row[column] = value
        return row

    def _table(self) -> TextTable:
        header = ["rank", "activation", self.objective]
        if self._raced:
            header += ["epochs", "seeds"]
        header.append("seconds")
        rows = [_cells(trial) for trial in self.trials]
        if self.with_rates:
            header.insert(2, "learning rate")
            for trial, row in zip(self.trials, rows, strict=True):
                row.insert(2, written(trial.factor, self.own_rate))
        best = [trial is self.kept for trial in self.trials].index(True)
        return TextTable(header, rows, bold=best)

    def _best_line(self) -> str:
        score = f"{self.objective} {_score(self.score)} ({self._about_score()})"
        best = self._at_rate(self.best, self.kept.factor)
        if not self._verdict_chose():
            return f"Kept: {best}, which ranked first; {score}."
        instead = ""
        first = self.trials[0].candidate
        if first != self.kept.candidate:
            instead = f", although {quoted(first)} ranked first"
        return f"Kept: {best}, as the verdict suggests{instead}; {score}."

    @property
    def name_of_kept(self) -> str:
        """What is kept, with its learning rate where others were tried."""
        return self._at_rate(self.best, self.kept.factor)

    def _at_rate(self, activation: object, factor: float) -> str:
        """An activation with its learning rate, where others than the model's own were tried."""
        if not self.with_rates:
            return quoted(activation)
        return f"{quoted(activation)} at learning rate {written(factor, self.own_rate)}"

    def _about_score(self) -> str:
        """On which data the score is, and what it is the best of."""
        row = self.kept
        if row.judged and row.score is not None:
            return (
                f"the best of the verdict's {row.seeds} runs on the validation data; {_score(row.score)} is the "
                "mean of their best epochs"
            )
        return f"on the data that ranked it{self._mean_beside()}"

    def _mean_beside(self) -> str:
        """The score in the row of what is kept, where the model has another."""
        row = self.kept
        if row.score is None or row.score == self.score:
            return ""
        seeds = row.seeds or self.executions_per_trial
        if seeds > 1:
            return f"; {_score(row.score)} is the mean over its {seeds} seeds"
        return f"; {_score(row.score)} in the search"

    def _test_lines(self) -> list[str]:
        if self.test is None:
            return []
        once = "looked at once"
        if self._verdict_chose("test"):
            once = "on which the verdict chose the activation"
        best = self._at_rate(self.best, self.kept.factor)
        lines = [f"On the test data, {once}, {best} has {_metrics(self.test)}."]
        if self.baseline_test is not None and self.kept.candidate != self.baseline:
            baseline = self._at_rate(self.baseline, self.baseline_factor)
            lines.append(f"There {baseline} has {_metrics(self.baseline_test)}.")
        # of even classes what guessing has says it all
        guessed = self.verdict is not None and self.verdict.guess is not None
        if self.measures is not None and not (guessed and self.measures.is_of_even_classes):
            lines.append(self.measures.told(self.target.get("unit") or ""))
        return lines

    def _verdict_chose(self, part: str = "") -> bool:
        """Whether the verdict, on this part of the data if one is said, decided what is kept."""
        verdict = self.verdict
        if verdict is None or verdict.withheld or not self._keeps_what_is_suggested:
            return False
        return part in ("", verdict.part)

    @property
    def _keeps_what_is_suggested(self) -> bool:
        if self.verdict is None or self.verdict.withheld:
            return True
        is_suggested = str(self.best) == str(self.verdict.suggested)
        return is_suggested and self.kept.factor == _suggested_factor(self.verdict)

    @property
    def _raced(self) -> bool:
        return any(trial.epochs is not None for trial in self.trials)


def versions() -> str:
    """Return the versions that a result depends on."""
    import tensorflow as tf

    return (
        f"keras_acts {keras_acts.__version__}, Keras {keras.__version__}, "
        f"TensorFlow {tf.__version__}"
    )


def _logged(curve: Curve, index: int, taken: Mapping[str, Any]) -> dict[str, float]:
    """What an epoch logged, under names that no column of ours has."""
    values = {}
    for name, each in curve.metrics.items():
        column = name
        if name in taken or name == "epoch":
            column = f"logged_{name}"
        if index < len(each):
            values[column] = each[index]
    return values


def _cells(trial: TrialResult) -> list[str]:
    """A row of the ranked table."""
    rank = "" if trial.rank is None else str(trial.rank)
    score = trial.status if trial.score is None else _score(trial.score)
    cells = [rank, str(trial.candidate), score]
    if trial.epochs is not None:
        cells += [str(trial.epochs), str(trial.seeds)]
    cells.append("" if trial.seconds is None else f"{trial.seconds:.1f}")
    return cells


def _plain_trial(trial: TrialResult) -> dict[str, Any]:
    message = ""
    if trial.message:
        message = headline(trial.message)
    return {
        "rank": trial.rank,
        "activation": str(trial.candidate),
        "score": trial.score,
        "status": trial.status,
        "message": message,
        "seconds": trial.seconds,
        "epochs": trial.epochs,
        "seeds": trial.seeds,
        "learning_rate_factor": trial.factor,
        "hyperparameters": dict(trial.hyperparameters),
    }


def _counted_seeds(count: int) -> str:
    if count == 1:
        return "One seed"
    return f"{count} seeds"


def _metrics(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_score(value)}" for name, value in values.items())


def _score(value: float) -> str:
    return number(value, zeros=True)
