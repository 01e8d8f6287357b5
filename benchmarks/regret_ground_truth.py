"""The ground truth of `benchmarks.regret`.

Every candidate of a grid, at one learning rate or at several, on many seeds, trained as populations,
once.

Each seed is a file of its own in the user's cache: an interrupted run goes on, and a run with more
seeds adds them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np
import pandas
import tensorflow as tf
from sklearn.datasets import make_friedman1

from keras_acts.search import ActivationHyperModel, ActivationSpace, with_activations
from keras_acts.search.population.trainers import PopulationTrainer
from keras_acts.search.race.effort import costs_of
from keras_acts.search.race.planner import PopulationCosts
from keras_acts.search.runtime.seeding import Stream, derive
from keras_acts.search.space.rated import Rated
from keras_acts_cli import data as datasets
from keras_acts_cli import models

TOP = 10
_SLOTS = (1, 8, 32, 96)

Clock = Callable[[], float]
# by the name that the command has for it. The process' own time is the machine's whole work: other programs
# disturb it less, and a population, which uses all cores at once, counts for more than it takes
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
# no clock: populations take what the product expects, others are not known
COUNTED = "counted"


@dataclass(frozen=True)
class Task:
    """What is trained, and what ranks it.

    Attributes:
        name: what it is called.
        data: a file of the folder given by --data, bundled data, or what scikit-learn's generators
            make.
        target: the column of the file that is predicted.
        model: of `keras-acts search`.
        epochs: of a whole training.
        batch_size: of all methods.
        metric: without ``val_``.
        maximize: whether more of it is better.
    """

    name: str
    data: str
    target: str | None
    model: str
    epochs: int
    batch_size: int
    metric: str
    maximize: bool

    @property
    def sign(self) -> int:
        """What makes more of the metric better."""
        return 1 if self.maximize else -1


TASKS = (
    Task("letters-mlp", "letters.csv", "letter", "mlp", 10, 128, "accuracy", True),
    Task("optdigits-cnn", "optdigits.csv", "digit", "cnn", 6, 64, "accuracy", True),
    Task("diabetes-mlp", "diabetes", None, "mlp", 30, 32, "loss", False),
    Task("optdigits-mlp", "optdigits.csv", "digit", "mlp", 10, 64, "accuracy", True),
    Task("friedman-mlp", "friedman1", None, "mlp", 10, 32, "loss", False),
)


@dataclass(frozen=True)
class Costs:
    """Measured seconds.

    Attributes:
        tuner: (start, epoch): of a trial of KerasTuner, best epoch kept on disk as it does.
        loop: (start, epoch): of a model that is built and fitted, as users of Optuna do.
        slots: sizes of populations, rising.
        start: seconds until such a population has begun: building, tracing, compiling.
        epoch: seconds of one of its epochs.
    """

    tuner: tuple[float, float]
    loop: tuple[float, float]
    slots: tuple[int, ...]
    start: tuple[float, ...]
    epoch: tuple[float, ...]

    def population(self, slots: int, epochs: int) -> float:
        """Return the seconds of a population.

        Interpolated, and beyond the largest measured one in proportion.
        """
        above = max(1.0, slots / self.slots[-1])
        start, epoch = (
            float(np.interp(slots, self.slots, known)) * above for known in (self.start, self.epoch)
        )
        return start + epochs * epoch


@dataclass(frozen=True)
class Truth:
    """What is known about a task.

    Attributes:
        task: what was trained.
        candidates: K, the baseline at the model's own learning rate first.
        validation: (S, E, K), higher is better; nan where it diverged.
        test: (K,), the mean test score, higher is better, of more seeds for the best; -inf where
            one diverged.
        error: (K,), its standard error.
        costs: what each way to train costs.
        about: in words.
        counted: what the product expects of the model's populations, by which it plans.
    """

    task: Task
    candidates: tuple[Rated, ...]
    validation: np.ndarray
    test: np.ndarray
    error: np.ndarray
    costs: Costs
    about: str
    counted: PopulationCosts


def grid(points: int, factors: Sequence[float] = (1.0,)) -> tuple[Rated, ...]:
    """Return the candidates.

    The baseline first, every activation's start, then `points` of each range; all at the model's
    own learning rate before all at the next.
    """
    space = ActivationSpace().with_baseline()
    choices = dict.fromkeys([*space.grid(1), *space.grid(points)])
    own_first = dict.fromkeys([1.0, *factors])
    return tuple(Rated(choice, factor) for factor, choice in itertools.product(own_first, choices))


def prepared(task: Task, folder: Path | None) -> tuple[keras.Model, datasets.Parts]:
    """Return the task's model and data.

    Raises:
        FileNotFoundError: if its file is not in `folder`.
    """
    source = task.data
    if source.endswith(".csv"):
        if folder is None or not (folder / source).is_file():
            raise FileNotFoundError(
                f"--data must be a folder that holds {source}. Received: {folder}"
            )
        source = str(folder / source)
    if source == "friedman1":
        x, y = make_friedman1(5000, noise=1.0, random_state=0)
        dataset = datasets.Dataset(source, x.astype("float32"), y.astype("float32"), classes=())
    elif task.data == "optdigits.csv":
        rows = pandas.read_csv(source)
        # without the column `split`, which is text
        pixels = rows.drop(columns=task.target).select_dtypes("number").to_numpy("float32")
        if task.model == "cnn":
            pixels = pixels.reshape(-1, 8, 8, 1)
        with tempfile.TemporaryDirectory() as scratch:
            np.savez(Path(scratch, "images.npz"), x=pixels, y=rows[task.target].to_numpy())
            dataset = datasets.load(str(Path(scratch, "images.npz")))
    else:
        dataset = datasets.load(source, task.target)
    parts = dataset.split(0)
    return models.build(task.model, dataset, parts, 0), parts


def load_or_train(
    task: Task,
    folder: Path | None,
    *,
    points: int,
    seeds: int,
    top_seeds: int,
    cache: Path,
    factors: Sequence[float] = (1.0,),
    wider: Sequence[float] = (),
    clock: str = "wall",
) -> Truth:
    """Return what is known about a task from the cache, and train what it lacks.

    A table with the `wider` factors, if it is there, has the runs with these.
    """
    model, parts = prepared(task, folder)
    candidates = grid(points, factors)
    begun = time.perf_counter()
    known: tuple[Rated, ...] = ()
    if wider and len(factors) == 1:
        known = grid(points, wider)
    validation, test = runs_of(task, model, parts, candidates, seeds, cache, known)
    mean, error = test.mean(axis=0), test.std(axis=0, ddof=1) / np.sqrt(seeds)
    best = np.argsort(-np.nan_to_num(mean, nan=-np.inf))[:TOP]
    if top_seeds > seeds:
        _, again = runs_of(task, model, parts, [candidates[k] for k in best], top_seeds, cache)
        mean[best], error[best] = again.mean(axis=0), again.std(axis=0, ddof=1) / np.sqrt(top_seeds)
    counted = counted_of(task, model, parts)
    if clock == COUNTED:
        costs = _expected(counted)
    else:
        costs = _costs(task, model, parts, cache, factors, clock)
    about = (
        f"{task.name}: {len(candidates)} candidates, {task.epochs} epochs, batch {task.batch_size}, "
        f"{'/'.join(str(len(p[0])) for p in (parts.train, parts.validation, parts.test))} samples, {seeds} seeds, "
        f"{max(seeds, top_seeds)} for the best {TOP}; loaded or trained in {time.perf_counter() - begun:.0f} s"
    )
    test_scores = np.nan_to_num(mean, nan=-np.inf)
    return Truth(task, candidates, validation, test_scores, error, costs, about, counted)


def counted_of(task: Task, model: keras.Model, parts: datasets.Parts) -> PopulationCosts:
    """Return what the product expects of the model's populations."""
    counted = costs_of(model, _fit(task, parts))
    assert counted is not None  # the data are arrays
    return counted


def _fit(task: Task, parts: datasets.Parts) -> dict[str, Any]:
    return {
        "x": parts.train[0],
        "y": parts.train[1],
        "validation_data": parts.validation,
        "batch_size": task.batch_size,
        "epochs": task.epochs,
    }


def _fingerprint(task: Task, parts: datasets.Parts, *more: Any) -> str:
    data = hashlib.sha256(
        b"".join(np.ascontiguousarray(a).tobytes() for a in (*parts.train, *parts.test))
    ).hexdigest()
    settings = [asdict(task), data, keras.__version__, tf.__version__, *more]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]


def runs_of(
    task: Task,
    model: keras.Model,
    parts: datasets.Parts,
    candidates: Sequence[Rated],
    seeds: int,
    cache: Path,
    wider: Sequence[Rated] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """The validation scores, (S, E, K), and test scores, (S, K), higher is better.

    Nan where a run diverged. Where the table of `wider`, which begins with these candidates, is
    trained already, they are read from it: a member trains as it does beside any others.
    """
    if wider:
        assert list(wider[: len(candidates)]) == list(candidates)
        trained = _files(task, parts, wider, seeds, cache)
        if all(file.is_file() for file in trained):
            runs = runs_of(task, model, parts, wider, seeds, cache)
            return tuple(part[..., : len(candidates)] for part in runs)  # type: ignore[return-value]
    files = _files(task, parts, candidates, seeds, cache)
    files[0].parent.mkdir(parents=True, exist_ok=True)
    trainer = None
    for index, file in enumerate(files):
        if file.is_file():
            continue
        trainer = trainer or PopulationTrainer(model, candidates)
        (trained,) = trainer.train([derive(0, Stream.BENCHMARKS, 11, index)], _fit(task, parts))
        (found,) = trainer.test([trained.weights], parts.test)
        partial = file.with_suffix(f".{os.getpid()}.partial.npz")
        validation = np.where(trained.diverged, np.nan, trained.history[f"val_{task.metric}"])
        np.savez(
            partial,
            validation=validation,
            test=np.where(trained.diverged, np.nan, found[task.metric]),
        )
        os.replace(partial, file)
        print(f"{task.name}: seed {index + 1} of {seeds}, {len(candidates)} candidates", flush=True)
    loaded = [np.load(file) for file in files]
    return tuple(
        task.sign * np.stack([one[part] for one in loaded]) for part in ("validation", "test")
    )  # type: ignore[return-value]


def _files(
    task: Task, parts: datasets.Parts, candidates: Sequence[Rated], seeds: int, cache: Path
) -> list[Path]:
    """Where the runs of each seed are kept."""
    fingerprint = _fingerprint(task, parts, [str(candidate) for candidate in candidates])
    place = cache / f"regret-{task.name}-{fingerprint}"
    return [place / f"{index}.npz" for index in range(seeds)]


def _costs(
    task: Task,
    model: keras.Model,
    parts: datasets.Parts,
    cache: Path,
    factors: Sequence[float],
    clock: str,
) -> Costs:
    settings: list[Sequence[float] | str] = [_SLOTS]
    if len(factors) > 1:
        # members that have rates of their own take other steps
        settings.append(factors)
    if clock != "wall":
        settings.append(clock)
    now = CLOCKS[clock]
    file = cache / f"regret-costs-{task.name}-{_fingerprint(task, parts, *settings)}.json"
    if not file.is_file():
        measured = {
            "tuner": _line(_tuner, task, model, parts, now),
            "loop": _line(_loop, task, model, parts, now),
        }
        lines = [_population(task, model, parts, slots, factors, now) for slots in _SLOTS]
        measured |= {
            "slots": _SLOTS,
            "start": [a for a, _ in lines],
            "epoch": [b for _, b in lines],
        }
        file.write_text(json.dumps(measured), encoding="utf-8")
        print(f"{task.name}: {json.dumps(measured)}", flush=True)
    known = json.loads(file.read_text(encoding="utf-8"))
    return Costs(**{name: tuple(value) for name, value in known.items()})


def _expected(counted: PopulationCosts) -> Costs:
    starts = [counted.program + slots * counted.start for slots in _SLOTS]
    epochs = [counted.epochs(slots, 1) for slots in _SLOTS]
    return Costs((0.0, 0.0), (0.0, 0.0), _SLOTS, tuple(starts), tuple(epochs))


def _line(
    run: Any, task: Task, model: keras.Model, parts: datasets.Parts, now: Clock
) -> tuple[float, float]:
    """Seconds of a start and of an epoch, from trainings of two lengths, the median of three pairs."""
    run(task, model, parts, 1, now)
    short, long = (
        float(np.median([run(task, model, parts, n, now) for _ in range(3)])) for n in (1, 4)
    )
    return max(0.0, short - (long - short) / 3), (long - short) / 3


def _tuner(task: Task, model: keras.Model, parts: datasets.Parts, epochs: int, now: Clock) -> float:
    objective = keras_tuner.Objective(f"val_{task.metric}", "max" if task.maximize else "min")
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        tuner = keras_tuner.RandomSearch(
            ActivationHyperModel(model), objective, max_trials=2, directory=scratch
        )
        start = now()
        tuner.search(**{**_fit(task, parts), "epochs": epochs}, verbose=0)
        return (now() - start) / 2


def _loop(task: Task, model: keras.Model, parts: datasets.Parts, epochs: int, now: Clock) -> float:
    start = now()
    with_activations(model, "mish").fit(**{**_fit(task, parts), "epochs": epochs}, verbose=0)
    return now() - start


def _population(
    task: Task,
    model: keras.Model,
    parts: datasets.Parts,
    slots: int,
    factors: Sequence[float],
    now: Clock,
) -> tuple[float, float]:
    start = now()
    chosen = grid(3, factors)
    if len(factors) > 1:
        # several rates among the first few too, as in a race
        order = np.random.default_rng(0).permutation(len(chosen))
        chosen = tuple(chosen[k] for k in order)
    trainer = PopulationTrainer(model, (chosen * (slots // len(chosen) + 1))[:slots])
    list(trainer.train([0], {**_fit(task, parts), "epochs": 1}))
    first = now() - start
    start = now()
    list(trainer.train([1], _fit(task, parts)))
    epoch = (now() - start) / task.epochs
    return max(0.0, first - epoch), epoch
