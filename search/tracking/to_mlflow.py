"""A search in MLflow: a run for the search, and one inside it for each training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras_acts.errors import SearchError

from .callback import SearchCallback
from .named import Named, name_for_mlflow, trainings_of
from .records import EpochRecord, RoundRecord, SearchRecord, TrialRecord
from .summary import summary_of

if TYPE_CHECKING:
    from ..result import SearchResult
    from ..verdict.verdict import Verdict

# of a run, where it belongs
_PARENT = "mlflow.parentRunId"
_NAME = "mlflow.runName"
# what MLflow takes at once
_MOST_METRICS = 1000


class MLflowLogger(SearchCallback):
    """Logs a search to MLflow: ``pip install "keras-acts[mlflow]"``.

    The search is a run, with the verdict, the answer and `report.html`; each training is a run
    inside it, named by activation and seed, with a metric a step for each epoch. A run that is
    active in the process stays as it is.

    Args:
        tracking_uri: of the store, such as ``"sqlite:///mlflow.db"`` or a server's address; by
            default the one that MLflow is set to.
        experiment: the name of the experiment, which is made if there is none.

    Raises:
        SearchError: if MLflow is not installed.

    Example:
        >>> follows = MLflowLogger("sqlite:///mlflow.db")
        >>> search_activations(model, x, y, search_callbacks=[follows])
    """

    def __init__(self, tracking_uri: str | None = None, experiment: str = "keras_acts"):
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise SearchError(
                f'MLflowLogger needs MLflow: pip install "keras-acts[mlflow]". Received: {error}'
            ) from error
        self._client = MlflowClient(tracking_uri=tracking_uri)
        self._experiment_name = experiment
        self._experiment = ""
        self._run = ""
        self._runs: dict[tuple[str, str, int], str] = {}
        self._open: set[str] = set()
        # what was logged and not yet sent: one call for many epochs
        self._waiting: dict[str, list[Any]] = {}

    def on_search_begin(self, search: SearchRecord) -> None:
        """Begin the run of the search, with nothing of an earlier one."""
        self._run = ""
        self._runs = {}
        self._open = set()
        self._waiting = {}
        known = self._client.get_experiment_by_name(self._experiment_name)
        if known is None:
            self._experiment = self._client.create_experiment(self._experiment_name)
        else:
            self._experiment = known.experiment_id
        name = f"{search.model}: {search.strategy}"
        self._run = self._client.create_run(
            self._experiment, tags={_NAME: name}, run_name=name
        ).info.run_id
        self._open.add(self._run)
        self._log_parameters(self._run, vars(search))

    def on_epoch_end(self, epoch: EpochRecord) -> None:
        """Note an epoch, to be sent with others."""
        run = self._run_of("search", Named.of(epoch.rated), epoch.seed)
        self._note(run, epoch.metrics, epoch.epoch)

    def on_round_end(self, a_round: RoundRecord) -> None:
        """Send what the epochs of a round logged."""
        self._send_all()

    def on_trial_end(self, trial: TrialRecord) -> None:
        """Say what became of a candidate, and end its runs."""
        for seed in trial.seeds:
            run = self._run_of("search", Named.of(trial.rated), seed)
            self._send(run)
            self._client.set_tag(run, "outcome", trial.outcome)
            if trial.rank is not None:
                self._client.set_tag(run, "rank", trial.rank)
            if trial.message:
                self._client.set_tag(run, "message", trial.message)
            self._end(run, kept=trial.outcome not in ("failed", "diverged"))

    def on_verdict(self, verdict: Verdict) -> None:
        """Log the trainings of the verdict, and what it says."""
        for training in trainings_of(verdict):
            run = self._run_of("verdict", training.named, training.seed)
            for number, logged in enumerate(training.epochs, start=1):
                self._note(run, logged, number)
            self._send(run)
            self._end(run, kept=True)
        self._client.set_tag(self._run, "verdict", verdict.sentence)

    def on_search_end(self, result: SearchResult | Verdict | None) -> None:
        """Log the result with its report, and end all runs."""
        if not self._run:  # it could not begin
            return
        self._send_all()
        if result is None:
            self._end(self._run, kept=False)
            return
        for run in self._open - {self._run}:
            self._end(run, kept=True)
        summary = summary_of(result)
        self._client.set_tag(self._run, "best", summary.best)
        for name, value in summary.scores.items():
            self._client.log_metric(self._run, name_for_mlflow(name), value)
        self._end(self._run, kept=True)
        # last, as a server without a place for files refuses it
        self._client.log_text(self._run, result.to_html(), "report.html")

    def _run_of(self, part: str, named: Named, seed: int) -> str:
        """The run of a training, which begins with its first epoch."""
        key = (part, named.name, seed)
        if key not in self._runs:
            name = f"{named.name}, seed {seed}"
            made = self._client.create_run(
                self._experiment,
                tags={_PARENT: self._run, _NAME: name, "part": part},
                run_name=name,
            )
            self._runs[key] = made.info.run_id
            self._open.add(made.info.run_id)
            self._log_parameters(made.info.run_id, {**named.parameters, "seed": seed})
        return self._runs[key]

    def _log_parameters(self, run: str, values: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        parameters = []
        for name, value in values.items():
            parameters.append(Param(name_for_mlflow(name), str(value)))
        self._client.log_batch(run, params=parameters)

    def _note(self, run: str, metrics: Mapping[str, float], epoch: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        waiting = self._waiting.setdefault(run, [])
        for name, value in metrics.items():
            waiting.append(Metric(name_for_mlflow(name), value, now, epoch))

    def _send(self, run: str) -> None:
        waiting = self._waiting.pop(run, [])
        for start in range(0, len(waiting), _MOST_METRICS):
            self._client.log_batch(run, metrics=waiting[start : start + _MOST_METRICS])

    def _send_all(self) -> None:
        for run in list(self._waiting):
            self._send(run)

    def _end(self, run: str, *, kept: bool) -> None:
        self._open.discard(run)
        status = "FINISHED"
        if not kept:
            status = "FAILED"
        self._client.set_terminated(run, status=status)
