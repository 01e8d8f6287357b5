"""What comes after a search has trained: the verdict, the kept model and its scores.

Hours may lie behind it. So whatever fails here costs only itself: the rest is returned, and `errors`
of the result says what failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras

from keras_acts.errors import SearchError

from .evaluation import scores, validated, with_intervals
from .measures import Measures, measures_of
from .request import SearchRequest
from .result import SearchResult, kept
from .rewrite.first_inputs import few, few_labelled
from .runtime import device
from .runtime.reasons import first_line, headline
from .space.candidate import Candidate
from .space.rated import Rated
from .strategy.base import NO_CHANGES, Strategy, TrialResult
from .strategy.curves import Curve
from .strategy.learning_rates import RatePlan
from .strategy.rounds import Round
from .tracking.callback import Followers
from .verdict import retrain
from .verdict.guessing import validation_part
from .verdict.replicates import BestRuns
from .verdict.verdict import Verdict

# the verdict judges so many besides the baseline: each more makes all intervals wider
_LEADERS = 3


class Outcome:
    """What a search that has trained ends with.

    Args:
        request: what was asked for.
        strategy: what has searched.
        rates: which learning rates it has tried.
        followers: hear the verdict; by default nobody.

    Raises:
        SearchError: if nothing could be trained.
    """

    def __init__(
        self,
        request: SearchRequest,
        strategy: Strategy,
        rates: RatePlan,
        followers: Followers | None = None,
    ):
        self._followers = followers or Followers()
        self._request = request
        self._strategy = strategy
        self._rates = rates
        self._trials = strategy.results()
        self._verdict: Verdict | None = None
        self._kept: Rated | None = None
        self._model: keras.Model | None = None
        self._validation: dict[str, float] | None = None
        self._test: dict[str, float] | None = None
        self._intervals: dict[str, dict[str, Any]] = {}
        self._measures: Measures | None = None
        self._baseline_test: dict[str, float] | None = None
        self._baseline_factor = 1.0
        self._baseline_model: keras.Model | None = None
        self._labelled: Any = None
        self._samples: Any = None
        self._rounds: tuple[Round, ...] = ()
        self._curves: tuple[Curve, ...] = ()
        self._errors: dict[str, str] = {}
        if not self._trials or self._trials[0].rank is None:
            raise SearchError(_failure(self._trials))

    def judge(self) -> None:
        """Train the leaders and the baseline again on fresh seeds, and finish what the verdict suggests."""
        request, strategy = self._request, self._strategy
        if not request.limits.verdict:
            return
        if strategy.interrupted:
            strategy.progress.say(
                "Interrupted: the verdict on what was found; another Ctrl-C judges by the seeds so far"
            )
        with self._going_on("verdict"):
            leaders = _leaders(strategy, request.baseline)
            take = partial(self._take, leaders)
            self._verdict = retrain.retrain_leaders(
                request.model,
                leaders,
                partial(_builder, strategy),
                str(request.baseline),
                {**request.fit, "epochs": request.limits.epochs},
                strategy.objective,
                seeds=request.limits.verdict,
                seed=request.limits.seed,
                test_data=request.test_data,
                progress=strategy.progress,
                slots=request.searched_slots,
                rate_plan=self._rates,
                rescale_init=request.rescale_init,
                folder=self._folder(),
                hand_over=take,
            )
        if self._verdict is not None:
            self._verdict = replace(self._verdict, rescale_init=request.rescale_init)
            self._followers.judged(self._verdict)
        if self._verdict is None or self._verdict.withheld:
            return
        with self._going_on("finish"):
            wanted = [leader for leader in leaders if self._is_wanted(leader)]
            strategy.finish(*map(self._at_judged_rate, wanted))
        with self._going_on("results"):
            self._trials = strategy.results()

    def _take(self, leaders: Sequence[Rated], verdict: Verdict, runs: BestRuns) -> None:
        """Have trainings of the verdict be those that would be made anew for what is kept.

        None, if what is kept is trained already, and what it is compared with. Else either all of
        these or none: they are scored side by side, and the best of many trainings beside a single
        one would look better than it is.
        """
        # the user's see each training of the search, and write of it
        if verdict.withheld or keras.tree.flatten(self._request.fit.get("callbacks") or []):
            return
        self._verdict = verdict
        wanted = [leader for leader in leaders if self._is_wanted(leader)]
        if all(map(self._has_finished, wanted)):
            return
        adopted = []
        for leader in leaders:
            if leader in wanted or self._is_scored_beside(leader):
                run = runs.best(str(leader.choice))
                if run is None:
                    return
                adopted.append(run)
        for run in adopted:
            self._strategy.adopt(run)

    def _has_finished(self, leader: Rated) -> bool:
        """Whether a leader's model is there at the rate at which the verdict judged it."""
        return self._strategy.has_finished(self._at_judged_rate(leader))

    def _is_scored_beside(self, leader: Rated) -> bool:
        """Whether a leader is the baseline, whose model is there and is scored on the test data."""
        if self._request.test_data is None or leader.choice != self._request.baseline:
            return False
        return self._has_finished(leader)

    def _folder(self) -> Path | None:
        """Where the seeds of the verdict are kept; None if the search is not."""
        limits = self._request.limits
        if limits.directory is None:
            return None
        return Path(limits.directory) / limits.project_name / "verdict"

    def _is_wanted(self, leader: Rated) -> bool:
        """Whether the model of a leader is: it is kept, or what that is compared with on test data."""
        assert self._verdict is not None
        if str(leader.choice) == self._verdict.suggested:
            return True
        # a race always trains the baseline at the model's own rate, but perhaps not at this one
        is_compared = self._verdict.rates is not None and self._request.test_data is not None
        return is_compared and leader.choice == self._request.baseline

    def _at_judged_rate(self, leader: Rated) -> Rated:
        """A candidate at the learning rate at which the verdict judged it."""
        verdict = self._verdict
        if verdict is None or verdict.withheld or verdict.rates is None:
            return leader
        return Rated(leader.choice, verdict.rates.factor(str(leader.choice)))

    def keep(self) -> None:
        """Make the model of what is kept, and score it once on the data that it has not trained on."""
        with self._going_on("model"):
            self._kept = kept(self._trials, self._verdict).rated
            self._model = self._model_of(self._kept)
        with self._going_on("rounds"):
            self._rounds = self._strategy.history()
        with self._going_on("curves"):
            self._curves = self._strategy.curves()
        test_data = self._request.test_data
        with self._going_on("samples"):  # a dataset reads its first batch for it
            self._samples = few(self._request.fit["x"])
        with self._going_on("validation samples"):
            self._labelled = few_labelled(validation_part(self._request.fit))
        if self._model is not None:
            self._score(self._model, test_data)
        # it is shown beside the kept model, which takes a verdict or test data
        if test_data is None and self._verdict is None:
            return
        with self._going_on("baseline"):
            self._find_baseline()
            if self._baseline_model is not None and self._baseline_model is self._model:
                self._baseline_test = self._test
            elif test_data is not None and self._baseline_model is not None:
                self._baseline_test = scores(self._baseline_model, test_data)

    def hand_over(self) -> None:
        """Have the kept models take the user's arrays, whatever they were scored on.

        A step that Keras has traced for targets (N, 1), as it has a column of pandas, takes none (N,).
        """
        if not self._request.had_columns:
            return
        for model in (self._model, self._baseline_model):
            if model is not None:
                model.make_train_function(force=True)
                model.make_test_function(force=True)

    def _find_baseline(self) -> None:
        """Find the model of the baseline at the rate at which it was judged, else at its best one."""
        baseline = self._request.baseline
        best_first = [trial.rated for trial in self._trials if trial.rank is not None]
        rated = [each for each in best_first if each.choice == baseline]
        for each in (self._at_judged_rate(Rated(baseline)), *rated):
            if each == self._kept:
                model = self._model
            else:
                model = self._strategy.model(each)
            if model is not None:
                self._baseline_model = model
                self._baseline_factor = each.factor
                return

    def result(self) -> SearchResult:
        """Return the result, and show what failed."""
        request, strategy = self._request, self._strategy
        errors = {**strategy.errors, **self._errors, **self._followers.errors}
        for what, reason in errors.items():
            if what in self._followers.errors or what == NO_CHANGES:
                continue  # that was said at once
            strategy.progress.say(f"What failed besides: {what}: {reason}")
        return SearchResult(
            objective=strategy.objective.name,
            direction=strategy.objective.direction,
            trials=self._trials,
            model=self._model,
            baseline=request.baseline,
            executions_per_trial=request.limits.executions_per_trial,
            device=device.describe(),
            test=self._test,
            baseline_test=self._baseline_test,
            interrupted=strategy.interrupted,
            kind=strategy.kind,
            is_complete=strategy.is_complete,
            verdict=self._verdict,
            seed=request.limits.seed,
            data=request.data,
            intervals=self._intervals,
            measures=self._measures,
            samples=self._samples,
            validation=self._validation,
            groups=request.groups,
            errors=errors,
            own_rate=self._rates.own,
            with_rates=self._rates.searches,
            baseline_factor=self._baseline_factor,
            baseline_model=self._baseline_model,
            labelled=self._labelled,
            rescale_init=request.rescale_init,
            rounds=self._rounds,
            curves=self._curves,
        )

    def _model_of(self, candidate: Rated) -> keras.Model:
        """Return a candidate's model, trained to its end now if it was not and nobody is in a hurry."""
        model = self._strategy.model(candidate)
        if model is None and not self._strategy.interrupted:
            self._strategy.finish(candidate)
            model = self._strategy.model(candidate)
        if model is None:
            raise SearchError(
                "The model of what is kept must have been trained to its end. "
                f"Received: {candidate}"
            )
        return model

    def _score(self, model: keras.Model, test_data: Any) -> None:
        if self._strategy.objective.name.startswith("val_"):
            with self._going_on("validation"):
                self._validation = validated(model, self._request.fit)
        if test_data is None:
            return
        with self._going_on("test"):
            self._test = scores(model, test_data)
            self._intervals = {name: {"value": value} for name, value in self._test.items()}
        with self._going_on("intervals"):
            if self._test is not None:
                self._intervals = with_intervals(model, test_data, self._test)
        with self._going_on("measures"):
            self._measures = measures_of(model, test_data)

    @contextlib.contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Write down what fails inside the scope, Ctrl-C too, and go on behind it."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            self._errors[what] = first_line(error)


def _leaders(strategy: Strategy, baseline: Candidate) -> list[Rated]:
    """Return the best of each activation, and the baseline, each at its best rate in the search.

    Two alphas of one activation are hardly ever told apart; another activation may be.
    """
    best: dict[Any, Rated] = {}
    of_baseline = Rated(baseline)
    for rated in reversed(strategy.leaders()):
        if rated.choice == baseline:
            of_baseline = rated
    for rated in strategy.leaders():
        if rated.choice != baseline:
            best.setdefault(rated.kind, rated)
    leaders = [*list(best.values())[:_LEADERS], of_baseline]
    return [rated for rated in leaders if strategy.builder(rated) is not None]


def _builder(strategy: Strategy, rated: Rated) -> Callable[[], keras.Model]:
    """What builds a leader's model at any rate."""
    build = strategy.builder(rated)
    assert build is not None  # a leader was tried
    return build


def _failure(trials: tuple[TrialResult, ...]) -> str:
    """Why a search has no result."""
    if not trials:
        return "The search was interrupted before its first trial was done."
    last = trials[-1]
    return (
        f"No candidate could be trained. The last one, {last.candidate}: {headline(last.message)}"
    )
