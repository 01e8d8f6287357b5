"""A search in Weights & Biases: a run for each training, in a group."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from keras_acts.errors import SearchError

from .callback import SearchCallback
from .named import Named, trainings_of
from .records import EpochRecord, SearchRecord, TrialRecord
from .summary import summary_of

if TYPE_CHECKING:
    from ..result import SearchResult
    from ..verdict.verdict import Verdict

Mode: TypeAlias = Literal["online", "offline", "disabled"]


@dataclass
class _Waiting:
    """A training whose run is not yet written."""

    named: Named
    epochs: dict[int, Mapping[str, float]] = field(default_factory=dict)


class WandbLogger(SearchCallback):
    """Logs a search to Weights & Biases: ``pip install "keras-acts[wandb]"``.

    Each training is a run, named by activation and seed, with what each epoch logged; all are in
    one group, and so is the run of the search itself, with the verdict and the answer. A run of
    a candidate is written when it trains no further, as a race trains many at once. A run that is
    active in the process stays as it is.

    Args:
        project: the name of the project.
        group: of all runs of the search; by default the name of the model and the seed.
        mode: ``"online"``, ``"offline"``, ``"disabled"``; by default what W&B is set to.
        directory: where W&B keeps its files; by default where it is set to.

    Raises:
        SearchError: if W&B is not installed.

    Example:
        >>> search_activations(model, x, y, search_callbacks=[WandbLogger("digits", mode="offline")])
    """

    def __init__(
        self,
        project: str = "keras_acts",
        *,
        group: str | None = None,
        mode: Mode | None = None,
        directory: str | os.PathLike[str] | None = None,
    ):
        try:
            import wandb
        except ImportError as error:
            raise SearchError(
                f'WandbLogger needs W&B: pip install "keras-acts[wandb]". Received: {error}'
            ) from error
        self._wandb = wandb
        self._project = project
        self._given_group = group
        self._group = group or ""
        self._mode = mode
        self._directory: str | None = None
        if directory is not None:
            self._directory = os.fspath(directory)
        self._search: SearchRecord | None = None
        # by the candidate's name and the seed, what was logged and not yet written
        self._waiting: dict[tuple[str, int], _Waiting] = {}
        self._verdict = ""

    def on_search_begin(self, search: SearchRecord) -> None:
        """Note what is searched."""
        self._search = search
        self._waiting = {}
        self._verdict = ""
        if self._given_group is None:
            self._group = f"{search.model}, seed {search.seed}"

    def on_epoch_end(self, epoch: EpochRecord) -> None:
        """Note an epoch."""
        named = Named.of(epoch.rated)
        waiting = self._waiting.setdefault((named.name, epoch.seed), _Waiting(named))
        waiting.epochs[epoch.epoch] = epoch.metrics

    def on_trial_end(self, trial: TrialRecord) -> None:
        """Write the runs of a candidate, with what became of it."""
        named = Named.of(trial.rated)
        summary: dict[str, Any] = {"outcome": trial.outcome}
        if trial.rank is not None:
            summary["rank"] = trial.rank
        if trial.message:
            summary["message"] = trial.message
        for seed in trial.seeds:
            waiting = self._waiting.pop((named.name, seed), _Waiting(named))
            self._write("search", named, seed, waiting.epochs, summary)

    def on_verdict(self, verdict: Verdict) -> None:
        """Write the trainings of the verdict."""
        self._verdict = verdict.sentence
        for training in trainings_of(verdict):
            epochs = dict(enumerate(training.epochs, start=1))
            self._write("verdict", training.named, training.seed, epochs, {})

    def on_search_end(self, result: SearchResult | Verdict | None) -> None:
        """Write what is left, and the run of the search."""
        for (_, seed), waiting in self._waiting.items():
            # no end was told of it, as where the search ended with an error
            self._write("search", waiting.named, seed, waiting.epochs, {"outcome": "not ended"})
        self._waiting = {}
        summary: dict[str, Any] = {}
        if self._verdict:
            summary["verdict"] = self._verdict
        if result is not None:
            found = summary_of(result)
            summary |= {"best": found.best, **found.scores}
        config: dict[str, Any] = {}
        if self._search is not None:
            config = dict(vars(self._search))
        with self._run("search", self._group, config) as run:
            run.summary.update(summary)

    def _write(
        self,
        part: str,
        named: Named,
        seed: int,
        epochs: Mapping[int, Mapping[str, float]],
        summary: Mapping[str, Any],
    ) -> None:
        name = f"{named.name}, seed {seed}"
        config = {**named.parameters, "seed": seed, "part": part}
        with self._run(part, name, config) as run:
            for number, metrics in sorted(epochs.items()):
                run.log({**metrics, "epoch": number}, step=number)
            run.summary.update(dict(summary))

    def _run(self, part: str, name: str, config: Mapping[str, Any]) -> Any:
        """A run of its own, which ends with the scope; the user's stays active."""
        return self._wandb.init(
            project=self._project,
            group=self._group,
            job_type=part,
            name=name,
            config=dict(config),
            mode=self._mode,
            dir=self._directory,
            reinit="create_new",
            settings=self._wandb.Settings(silent=True, console="off"),
        )
