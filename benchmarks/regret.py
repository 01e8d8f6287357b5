"""How good the activation is that a search finds, for its epochs and for its seconds, against other tuners.

    python -m benchmarks.regret [--data FOLDER] [--tasks letters-mlp …] [--rates] [--clock cpu] [--quick] [--live N]

FOLDER holds letters.csv (UCI Letter Recognition, target `letter`) and optdigits.csv (UCI Optical
Recognition, target `digit`, column `split`); without it only the regressions are measured:
diabetes, which scikit-learn brings, and Friedman's first function (5,000 samples), which it makes.

First the truth: every candidate of a grid is trained on many seeds, as populations, once
(`benchmarks.regret_ground_truth`). Then each method searches that table, with its own code: what it asks
to train is looked up, on a seed that it has not seen, and charged with the measured seconds of its
way to train. Regret is the mean test score of the best candidate minus that of the one found. All
methods have the same space, and each proposal is moved to the nearest candidate of the grid; the
peers keep a trial's best epoch, as they do. The floor is the regret of the candidate whose
validation score is best over all seeds: no method that only sees validation scores can be expected
to do better.

With `--rates` a candidate is an activation at a multiple of the model's learning rate: the table has
every activation at five of them. The race is the product's own with `learning_rates="auto"`, which
trains one and a half times the epochs; the peers have as many, and the rate as one more
hyperparameter, on a logarithmic scale.

"keras_acts" is what `strategy="auto"` does, planned for its trials: to race, or to train all to the end.
"plain population, all to the end" has each activation as its paper has it and random ones, at random
rates with `--rates`, in one population with as many seeds as the seconds allow (at least one). The last
columns but one are at the seconds that keras_acts takes. With `--clock cpu` seconds are the process'
own: other programs disturb them less, and what uses all cores counts for more than it takes. With
`--alone --clock counted` nothing is timed: populations take what the product expects of them.

With `--live N` the product itself searches N times on each task, trained and timed, and what it
finds is looked up.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
import optuna
from keras_tuner.src.engine.trial import TrialStatus
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment
from benchmarks.regret_ground_truth import CLOCKS, COUNTED, TASKS, Truth, load_or_train, prepared
from benchmarks.verdict_bank import default_cache
from keras_acts.search import ActivationSpace, Candidate, search_activations
from keras_acts.search.plan import MORE_WITH_RATES
from keras_acts.search.race.planner import plan
from keras_acts.search.race.runner import job_of, race_in
from keras_acts.search.race.schedule import Rung
from keras_acts.search.runtime.seeding import Stream, derive
from keras_acts.search.space.embedding import embeddings
from keras_acts.search.space.learning_rates import LearningRates
from keras_acts.search.space.rated import Rated

SPACE = ActivationSpace().with_baseline()
BUDGETS = (10, 20)  # trials that a user asks for
OWN_RATE = (1.0,)
_DRAWN = 256
# as KerasTuner and Optuna know it
RATE = "learning_rate_factor"


def automatic_factors() -> tuple[float, ...]:
    """Return the multiples of a model's learning rate that a search tries by itself."""
    automatic = LearningRates.of("auto")
    assert automatic is not None
    return automatic.factors


@dataclass
class Replay:
    """A search in the table.

    Attributes:
        truth: the table.
        rng: of the search.
        epochs: trained so far.
        seconds: charged so far.
        found: after each answer (epochs, seconds, index of the candidate that the method would
            return).
    """

    truth: Truth
    rng: np.random.Generator
    epochs: int = 0
    seconds: float = 0.0
    found: list[tuple[int, float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.order = self.rng.permutation(len(self.truth.validation))
        self.best: tuple[float, int] = (-np.inf, 0)
        self._next = 0

    def run(self, candidate: int, seed: int, epochs: int) -> np.ndarray:
        """The validation scores of a run, (E,)."""
        return self.truth.validation[self.order[seed % len(self.order)], :epochs, candidate]

    def fresh(self) -> int:
        """A seed that no trial had, until all had."""
        self._next += 1
        return self._next - 1

    def trial(self, candidate: int, epochs: int, seconds: float, score: float) -> None:
        """Charge a peer's trial, and note what it would return."""
        self.epochs += epochs
        self.seconds += seconds
        if np.isfinite(score) and score > self.best[0]:
            self.best = (score, candidate)
        self.found.append((self.epochs, self.seconds, self.best[1]))

    @property
    def whole(self) -> int:
        """The epochs of a whole training."""
        return self.truth.task.epochs


class Grid:
    """The nearest candidate of the table: by the shape of the function, at the nearest rate.

    Attributes:
        factors: the multiples of the learning rate that the table has, rising.
    """

    def __init__(self, truth: Truth):
        self.factors = tuple(sorted({rated.factor for rated in truth.candidates}))
        self._index = {rated: k for k, rated in enumerate(truth.candidates)}
        self._choices: list[Candidate] = []
        for rated in truth.candidates:
            assert isinstance(rated.choice, Candidate)
            if rated.choice not in self._choices:
                self._choices.append(rated.choice)
        self._shapes = embeddings(self._choices)
        self._known = {choice: choice for choice in self._choices}

    @property
    def range(self) -> tuple[float, float]:
        """The rates to choose from: half a step beyond the ends, so that each is nearest as often."""
        half = (self.factors[1] / self.factors[0]) ** 0.5
        return self.factors[0] / half, self.factors[-1] * half

    def nearest(self, rated: Rated) -> int:
        """Return its index."""
        assert isinstance(rated.choice, Candidate)
        distances = [abs(np.log(factor / rated.factor)) for factor in self.factors]
        factor = self.factors[int(np.argmin(distances))]
        return self._index[Rated(self._nearest_choice(rated.choice), factor)]

    def _nearest_choice(self, candidate: Candidate) -> Candidate:
        if candidate not in self._known:
            apart = np.linalg.norm(self._shapes - embeddings([candidate])[0], axis=1)
            same = np.array([choice.name == candidate.name for choice in self._choices])
            if same.any():
                apart = np.where(same, apart, np.inf)
            self._known[candidate] = self._choices[int(np.argmin(apart))]
        return self._known[candidate]


def race(replay: Replay, grid: Grid, budget: int) -> None:
    """Ours: the product's own race."""
    _raced(replay, grid, budget, rungs=())


def auto(replay: Replay, grid: Grid, budget: int, *, limited: bool) -> None:
    """Ours, as the planner chooses: a race, or all to the end.

    Args:
        replay: the table.
        grid: its candidates.
        budget: how many candidates start.
        limited: whether it may train no more epochs than as many whole trainings.
    """
    job = job_of(SPACE, budget, replay.whole, budget * replay.whole, grid.factors)
    planned = plan(replace(job, limited=limited), replay.truth.counted)
    _raced(replay, grid, budget, planned.rungs)


def plain_seconds(truth: Truth, budget: int, seeds: int) -> float:
    """Return the seconds of a plain population of so many candidates."""
    return truth.costs.population(budget * seeds, truth.task.epochs)


def plain(replay: Replay, grid: Grid, budget: int, *, seeds: int) -> None:
    """One population in which all train to the end: each activation as its paper has it, then random ones.

    Where there are rates, each but the baseline's is drawn.
    """
    seed = int(replay.rng.integers(2**31))
    # the same as in a search of ours; many, as an activation without parameters is there already
    drawn = SPACE.sample(_DRAWN, derive(seed, Stream.CANDIDATES))
    choices = dict.fromkeys([*SPACE.grid(1), *drawn])
    factors = [1.0, *replay.rng.choice(grid.factors, size=budget - 1)]
    tried = [Rated(choice, factor) for choice, factor in zip(choices, factors, strict=False)]
    assert len(tried) == budget
    places = [grid.nearest(rated) for rated in tried]
    scores = np.array(
        [[replay.run(k, s, replay.whole).max() for s in range(seeds)] for k in places]
    )
    means = np.nan_to_num(scores.mean(axis=1), nan=-np.inf)
    replay.epochs += len(places) * seeds * replay.whole
    replay.seconds += plain_seconds(replay.truth, len(places), seeds)
    replay.found.append((replay.epochs, replay.seconds, places[int(np.argmax(means))]))


def _raced(replay: Replay, grid: Grid, budget: int, rungs: Sequence[Rung]) -> None:
    """Search in these rounds; populations are charged as `keras_acts.search.race.cohorts` makes them."""
    total = budget * replay.whole
    seed = int(replay.rng.integers(2**31))
    made = race_in(SPACE, budget, replay.whole, total, seed, grid.factors, rungs)
    cohorts: list[set[tuple[Rated, int]]] = []
    done: dict[tuple[Rated, int], int] = {}
    while (task := made.ask()) is not None:
        wanted = set(itertools.product(task.candidates, range(task.seeds)))
        kept = [(cohort, cohort & wanted) for cohort in cohorts if cohort & wanted]
        new = wanted - {run for _, mine in kept for run in mine}
        parts = [(set(), new)] if new else []
        for at in {done[next(iter(mine))] for _, mine in kept}:
            group = [pair for pair in kept if done[next(iter(pair[1]))] == at]
            # where one changes, those that are as far join it
            joined = any(before != mine for before, mine in group)
            parts += [(set(), set().union(*(mine for _, mine in group)))] if joined else group
        for before, mine in parts:
            more = task.epochs - done.get(next(iter(mine)), 0)
            if not more:
                continue
            cost = replay.truth.costs.population(len(mine), more)
            # a population that goes on as it is need not begin again
            replay.seconds += cost - (
                replay.truth.costs.population(len(mine), 0) if before == mine else 0
            )
            replay.epochs += len(mine) * more
        done |= dict.fromkeys(wanted, task.epochs)
        cohorts = [mine for _, mine in parts]
        places = [grid.nearest(candidate) for candidate in task.candidates]
        scores = [[replay.run(k, s, task.epochs).max() for s in range(task.seeds)] for k in places]
        made.tell(np.array(scores))
        means = made.rounds[-1].means
        leader = int(np.nanargmax(means)) if np.isfinite(means).any() else 0
        replay.found.append((replay.epochs, replay.seconds, places[leader]))


def chosen(hyperparameters: keras_tuner.HyperParameters, grid: Grid) -> Rated:
    """Return what hyperparameters choose, and make them known."""
    choice = SPACE.choose(hyperparameters)
    if grid.factors == OWN_RATE:
        return Rated(choice)
    least, most = grid.range
    return Rated(choice, hyperparameters.Float(RATE, least, most, sampling="log"))


def tuned(oracle: Callable[[keras_tuner.Objective, int, int, int], keras_tuner.Oracle]) -> Any:
    """KerasTuner's oracle, asked and told as its tuners do."""

    def search(replay: Replay, grid: Grid, budget: int) -> None:
        hps = keras_tuner.HyperParameters()
        chosen(hps, grid)
        seed = int(replay.rng.integers(1, 2**31))
        made = oracle(keras_tuner.Objective("score", "max"), budget, replay.whole, seed)
        made.hyperparameters = hps
        made.tune_new_entries = made.allow_new_entries = True
        start, epoch = replay.truth.costs.tuner
        seeds: dict[str, int] = {}
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
            made._set_project_dir(scratch, "replay")
            while replay.epochs < budget * replay.whole:
                trial = made.create_trial("tuner0")
                if trial.status != TrialStatus.RUNNING:
                    break
                values = trial.hyperparameters.values
                begin, end = (
                    values.get("tuner/initial_epoch", 0),
                    values.get("tuner/epochs", replay.whole),
                )
                parent = values.get("tuner/trial_id")
                seeds[trial.trial_id] = seeds[parent] if parent in seeds else replay.fresh()
                k = grid.nearest(chosen(trial.hyperparameters, grid))
                scores = replay.run(k, seeds[trial.trial_id], end)[begin:]
                score = float(scores.max()) if np.isfinite(scores).all() else np.nan
                replay.trial(k, end - begin, start + epoch * (end - begin), score)
                if np.isfinite(score):
                    made.update_trial(trial.trial_id, {"score": score})
                trial.status = TrialStatus.COMPLETED if np.isfinite(score) else TrialStatus.FAILED
                made.end_trial(trial)

    return search


def random_oracle(objective: Any, trials: int, epochs: int, seed: int) -> keras_tuner.Oracle:
    """RandomSearch."""
    return keras_tuner.oracles.RandomSearchOracle(objective, max_trials=trials, seed=seed)


def bayesian_oracle(objective: Any, trials: int, epochs: int, seed: int) -> keras_tuner.Oracle:
    """BayesianOptimization."""
    return keras_tuner.oracles.BayesianOptimizationOracle(objective, max_trials=trials, seed=seed)


def hyperband_oracle(objective: Any, trials: int, epochs: int, seed: int) -> keras_tuner.Oracle:
    """Hyperband, repeated until the budget is used."""
    return keras_tuner.oracles.HyperbandOracle(
        objective, max_epochs=epochs, hyperband_iterations=100, seed=seed
    )


def tpe(replay: Replay, grid: Grid, budget: int) -> None:
    """Optuna's TPE with its median pruner."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=int(replay.rng.integers(2**31)))
    study = optuna.create_study(
        direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner()
    )
    start, epoch = replay.truth.costs.loop
    while replay.epochs < budget * replay.whole:
        trial = study.ask()
        entry = SPACE.entries[trial.suggest_categorical("act", list(SPACE.labels))]
        values = [
            trial.suggest_float(f"{entry.name}.{name}", r.low, r.high, log=r.log)
            for name, r in entry.ranges
        ]
        factor = 1.0
        if grid.factors != OWN_RATE:
            factor = trial.suggest_float(RATE, *grid.range, log=True)
        k = grid.nearest(Rated(entry.candidate(values), factor))
        scores, state = (
            replay.run(k, replay.fresh(), replay.whole),
            optuna.trial.TrialState.COMPLETE,
        )
        for end, score in enumerate(scores, start=1):
            if not np.isfinite(score):
                state = optuna.trial.TrialState.FAIL
                break
            trial.report(float(score), end)
            if trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        best = float(np.max(scores[:end])) if state == optuna.trial.TrialState.COMPLETE else np.nan
        replay.trial(k, end, start + epoch * end, best)
        study.tell(trial, best if np.isfinite(best) else None, state=state)


PEERS: dict[str, Any] = {
    "KerasTuner RandomSearch": tuned(random_oracle),
    "KerasTuner BayesianOptimization": tuned(bayesian_oracle),
    "KerasTuner Hyperband": tuned(hyperband_oracle),
    "Optuna TPE + pruner": tpe,
}


def searches_of(truth: Truth, method: Any, count: int, budget: int) -> list[Replay]:
    """Return so many searches of a method; the seeds are the same for all methods."""
    grid, made = Grid(truth), []
    for index in range(count):
        replay = Replay(truth, np.random.default_rng((7919, 104729 * index)))
        method(replay, grid, budget)
        made.append(replay)
    return made


class Planned(NamedTuple):
    """A method that is planned for its budget, while others only go on.

    Attributes:
        equal_epochs: its searches for so many trials, and as many whole trainings.
        within: its regrets for so many trials, within so many seconds.
    """

    equal_epochs: Callable[[int], list[Replay]]
    within: Callable[[int, float], list[float]]


def _of_more_trials(
    truth: Truth, count: int, budgets: Sequence[int], limited: Any, unlimited: Any
) -> Planned:
    """A race, or what the planner chooses: in more seconds it has more trials.

    Where not even the fewest end in time, it returns what it has by then.
    """

    @cache
    def searches(budget: int) -> list[Replay]:
        return searches_of(truth, unlimited, count, budget)

    def within(budget: int, seconds: float) -> list[float]:
        sizes = (*budgets, 2 * budgets[-1])
        fitting = [each for each in sizes if _mean_seconds(searches(each)) <= seconds]
        if not fitting:
            return [regret(replay, seconds=seconds) for replay in searches(budgets[0])]
        return [regret(replay) for replay in searches(max(fitting))]

    return Planned(lambda budget: searches_of(truth, limited, count, budget), within)


def _of_more_seeds(truth: Truth, count: int) -> Planned:
    """The plain population: in more seconds it has more seeds, and at least one."""
    most = len(truth.validation)

    @cache
    def searches(budget: int, seeds: int) -> list[Replay]:
        return searches_of(truth, partial(plain, seeds=seeds), count, budget)

    def within(budget: int, seconds: float) -> list[float]:
        numbers = range(1, most + 1)
        fitting = [n for n in numbers if plain_seconds(truth, budget, n) <= seconds]
        return [regret(replay) for replay in searches(budget, max(fitting, default=1))]

    return Planned(lambda budget: searches(budget, 1), within)


def _mean_seconds(found: Sequence[Replay]) -> float:
    return float(np.mean([replay.seconds for replay in found]))


def trainings(budget: int, factors: Sequence[float]) -> int:
    """Return how many whole trainings the product has for so many trials."""
    if len(factors) == 1:
        return budget
    return round(MORE_WITH_RATES * budget)


def live(truth: Truth, folder: Path | None, count: int, budget: int, seed: int) -> str:
    """Search for real so many times, from a seed on, and return the regrets and seconds in words."""
    task, regrets, seconds = truth.task, [], []
    model, parts = prepared(task, folder)
    grid = Grid(truth)
    learning_rates = None
    if grid.factors != OWN_RATE:
        learning_rates = "auto"
    for index in range(count):
        start = time.perf_counter()
        found = search_activations(
            *(model, *parts.train),
            validation_data=parts.validation,
            objective=f"val_{task.metric}",
            activations=SPACE,
            trials=budget,
            epochs=task.epochs,
            batch_size=task.batch_size,
            strategy="race",
            seed=seed + index,
            verdict=0,
            verbose=0,
            learning_rates=learning_rates,
        )
        assert isinstance(found.best, Candidate)
        seconds.append(time.perf_counter() - start)
        place = grid.nearest(Rated(found.best, found.kept.factor))
        regrets.append((100 if task.maximize else 1) * float(truth.test.max() - truth.test[place]))
        keras.backend.clear_session()
    each = ", ".join(f"{value:.3g}" for value in regrets)
    whole = trainings(budget, grid.factors) * task.epochs
    return f"live, {whole} epochs: regret {_cell(regrets)} in {np.mean(seconds):.0f} s ({count} searches: {each})"


def regret(replay: Replay, epochs: float = np.inf, seconds: float = np.inf) -> float:
    """Return the regret of what was found within a budget; that of the baseline, if nothing was."""
    inside = [k for e, s, k in replay.found if e <= epochs and s <= seconds]
    test = replay.truth.test
    return float(test.max() - test[inside[-1] if inside else 0])


def report(
    truth: Truth, count: int, trials: Sequence[int], peers: Mapping[str, Any], console: Console
) -> Table:
    """Return the regrets at equal epochs, and at the seconds of RandomSearch and of ours for as many trials."""
    factors = sorted({rated.factor for rated in truth.candidates})
    budgets = [trainings(asked, factors) for asked in trials]
    task = truth.task
    scale = 1
    if task.maximize:
        scale = 100
    theirs: list[float] = []
    if peers:
        start, epoch = truth.costs.tuner
        theirs = [budget * (start + epoch * task.epochs) for budget in budgets]
    unlimited = partial(auto, limited=False)
    chosen_way = _of_more_trials(truth, count, budgets, partial(auto, limited=True), unlimited)
    ours = [_mean_seconds(searches_of(truth, unlimited, count, budget)) for budget in budgets]
    columns = [f"{budget * task.epochs} epochs" for budget in budgets]
    # to a tenth, as ours takes few
    columns += [f"{limit:.1f} s" for limit in (*theirs, *ours)]
    limits = [*zip(budgets, theirs, strict=False), *zip(budgets, ours, strict=True)]
    table = Table(
        "method",
        *columns,
        "seconds for the epochs",
        title=_title(truth),
        title_justify="left",
        box=MARKDOWN,
    )
    methods = {
        "keras_acts": chosen_way,
        "keras_acts race": _of_more_trials(truth, count, budgets, race, race),
        "plain population, all to the end": _of_more_seeds(truth, count),
    }
    for name, method in methods.items():
        cells = []
        used = []
        for budget in budgets:
            found = method.equal_epochs(budget)
            cells.append(_cell([scale * regret(replay) for replay in found]))
            used.append(f"{_mean_seconds(found):.1f}")
        for budget, limit in limits:
            cells.append(_cell([scale * missed for missed in method.within(budget, limit)]))
        row = [name, *cells, " / ".join(used)]
        console.print(*row, sep="  ", soft_wrap=True)  # should it be interrupted
        table.add_row(*row)
    for name, peer in peers.items():
        whole = searches_of(truth, peer, count, budgets[-1])
        cells = []
        used = []
        for budget in budgets:
            epochs = budget * task.epochs
            cells.append(_cell([scale * regret(replay, epochs=epochs) for replay in whole]))
            spent = [
                max((s for e, s, _ in replay.found if e <= epochs), default=0.0) for replay in whole
            ]
            used.append(f"{np.mean(spent):.1f}")
        for _, limit in limits:
            cells.append(_cell([scale * regret(replay, seconds=limit) for replay in whole]))
        row = [name, *cells, " / ".join(used)]
        console.print(*row, sep="  ", soft_wrap=True)  # should it be interrupted
        table.add_row(*row)
    return table


def _title(truth: Truth) -> str:
    """What there is to miss in a table, in words."""
    scale, unit = 1, truth.task.metric
    if truth.task.maximize:
        scale, unit = 100, "points"
    test = truth.test
    best = test.max()
    means = np.nan_to_num(truth.validation.max(axis=1).mean(axis=0), nan=-np.inf)
    best_validated = int(np.argmax(means))
    title = (
        f"Regret in {unit}: relu {scale * (best - test[0]):.3g}, the median candidate "
        f"{scale * (best - np.median(test)):.3g}, floor {scale * (best - test[best_validated]):.3g}; "
        f"the best is {truth.candidates[int(np.argmax(test))]}"
    )
    own = [k for k, rated in enumerate(truth.candidates) if rated.factor == 1]
    if len(own) < len(test):
        title += f", at the model's own rate {scale * (best - test[own].max()):.3g}"
    return title


def _cell(values: Sequence[float]) -> str:
    """The mean and its standard error."""
    return f"{np.mean(values):.3g} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.2g}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of letters.csv and optdigits.csv")
    names = [task.name for task in TASKS]
    parser.add_argument(
        "--tasks", nargs="+", choices=names, default=names, help="which (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small table: 3 points a range, 8 seeds"
    )
    parser.add_argument(
        "--rates", action="store_true", help="each activation at five learning rates too"
    )
    parser.add_argument(
        "--points", type=int, default=5, help="of each range (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=int, default=16, help="of every candidate (default: %(default)s)"
    )
    parser.add_argument(
        "--top-seeds", type=int, default=0, help="of the best ten (default: as the others)"
    )
    parser.add_argument(
        "--searches", type=int, default=50, help="of each method (default: %(default)s)"
    )
    parser.add_argument(
        "--live", type=int, default=0, help="real searches of each task (default: %(default)s)"
    )
    parser.add_argument(
        "--live-seed", type=int, default=7919, help="of the first of them (default: %(default)s)"
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="keeps the table (default: %(default)s)"
    )
    parser.add_argument(
        "--clock",
        choices=(*CLOCKS, COUNTED),
        default="wall",
        help="of all seconds (default: %(default)s)",
    )
    parser.add_argument("--alone", action="store_true", help="without KerasTuner and Optuna")
    arguments = parser.parse_args()
    if arguments.clock == COUNTED and not arguments.alone:
        parser.error(f"--clock {COUNTED} knows no peers: give --alone")
    points, seeds = (3, 8) if arguments.quick else (arguments.points, arguments.seeds)
    console = Console(width=200, highlight=False)
    console.print(environment(), soft_wrap=True)
    peers = PEERS
    if arguments.alone:
        peers = {}
    factors: tuple[float, ...] = OWN_RATE
    if arguments.rates:
        factors = automatic_factors()
    for task in (task for task in TASKS if task.name in arguments.tasks):
        if task.data.endswith(".csv") and arguments.data is None:
            console.print(f"{task.name}: left out, --data is not given")
            continue
        options = {
            "points": points,
            "seeds": seeds,
            "top_seeds": arguments.top_seeds,
            "cache": arguments.cache,
            "factors": factors,
            "wider": automatic_factors(),
            "clock": arguments.clock,
        }
        truth = load_or_train(task, arguments.data, **options)
        console.print(truth.about, soft_wrap=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # KerasTuner's Gaussian process about its own bounds
            console.print(report(truth, arguments.searches, BUDGETS, peers, console))
        for budget in BUDGETS if arguments.live else ():
            lived = live(truth, arguments.data, arguments.live, budget, arguments.live_seed)
            console.print(lived, soft_wrap=True)


if __name__ == "__main__":
    main()
