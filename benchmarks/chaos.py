"""Searches that are killed again and again, and whose files are damaged: whether anything is lost.

    python -m benchmarks.chaos [--kills 20] [--damages 50] [--hours 0] [--ways race random …] [--seed 0] [--quick]

Linux and macOS: each run is a process forked from one in which TensorFlow is loaded. What trains is kept after each
epoch, as in a search of hours every few epochs. For each way to search:

- kills: SIGKILL at random times, again and again until the search has ended, and then anew, until there were so many
  kills or the hours are over. After each no trial is gone that had ended, and a file of the user's beside the search
  is as it was. In the end the table is that of a run that nobody disturbed.
- signals: SIGINT and SIGTERM at a random time. The process ends by itself, with a result or one line, and the search
  goes on to the same table.
- damages: each file of a search, finished or killed, is emptied, cut off, deleted, or has a bit flipped. The same
  search returns the same table, or one line that names a file; it never returns another table. Where the weights of
  the best trial are damaged, it returns the table, and says so instead of the model; where those are from which a
  trial of Hyperband's goes on, a line says that it trains from its beginning.

The last line is what the README says. It ends with an error if anything was lost.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from keras_acts.errors import KerasActsError
from keras_acts.search import (
    ActivationSpace,
    ActivationTuner,
    RacingOracle,
    compare_activations,
    search_activations,
)
from keras_acts.search.runtime import pace

NOTES = "notes.txt"  # the user's own, beside the search
TEXT = "mine\n"
RESULT = "result.json"
REFUSED = 3  # the exit code of a run that said in one line why it does not go on
LOST = 4  # of one that raised anything else

# what a search imports late: a process that is forked has it then
_LATE = ("tensorboard.plugins.hparams.api", "sklearn.gaussian_process", "scipy.stats")

# a search in a folder, and what it finds
Search = Callable[[Path], Any]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of points: one batch to train on, and one to validate."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    centres = 2 * rng.normal(size=(3, 4))
    return (centres[labels] + rng.normal(size=(40, 4))).astype("float32"), labels


def model(activation: str = "relu", rate: float = 0.05) -> keras.Model:
    """A small MLP with two hidden layers, and an optimizer with a state; run without being traced."""
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, activation, name="first"),
        keras.layers.Dense(8, activation, name="second"),
        keras.layers.Dense(3, "softmax"),
    ]
    made = keras.Sequential(layers)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    made.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    return made


def searched(folder: Path, **options: Any) -> Any:
    """What `search_activations` finds, as plain data."""
    arguments = {
        "activations": ["mish", "tanh"],
        "trials": 3,
        "epochs": 3,
        "verdict": 0,
        "learning_rates": None,
        **options,
    }
    found = search_activations(model(), *data(), directory=folder, verbose=0, **arguments)
    rows = [[str(t.rated), t.score, t.rank, t.status, t.epochs, t.seeds] for t in found.trials]
    errors = dict(found.errors)
    verdict = None
    if found.verdict is not None:
        verdict = found.verdict.sentence
    return {"rows": rows, "errors": errors, "verdict": verdict, "stopped": found.interrupted}


def tuned(folder: Path, oracle: keras_tuner.Oracle, population: int | str = 1) -> Any:
    """What `ActivationTuner` finds with an oracle of KerasTuner's, or a race."""

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        return model(hp.Choice("act", ["relu", "mish"]), hp.Choice("rate", [0.05, 0.01]))

    tuner = ActivationTuner(
        build,
        oracle=oracle,
        directory=folder,
        project_name="activations",
        population=population,
    )
    tuner.search(*data(), validation_split=0.3, epochs=2, verbose=0)
    trials = sorted(tuner.oracle.trials.values(), key=lambda trial: trial.trial_id)
    rows = [[t.trial_id, repr(t.hyperparameters.values), t.score, t.status] for t in trials]
    return {"rows": rows, "errors": {}, "verdict": None, "stopped": False}


def compared(folder: Path) -> Any:
    """What `compare_activations` finds."""
    verdict = compare_activations(
        model(),
        *data(),
        ["relu", "mish", "tanh"],
        seeds=3,
        epochs=3,
        learning_rates=None,
        directory=folder,
        project_name="activations",
        verbose=0,
    )
    rows = {name: scores.tolist() for name, scores in verdict.runs.history.items()}
    errors = {name: text for name, text in verdict.errors.items() if name != "timing"}
    return {"rows": rows, "errors": errors, "verdict": verdict.sentence, "stopped": False}


def _objective() -> keras_tuner.Objective:
    return keras_tuner.Objective("val_loss", "min")


WAYS: dict[str, Search] = {
    "race": lambda folder: searched(folder, strategy="race"),
    "random": lambda folder: searched(folder, strategy="random"),
    "one by one": lambda folder: searched(folder, population=1),
    "by layer": lambda folder: searched(
        folder, activations=ActivationSpace(["mish"], per="layer"), max_epochs=60
    ),
    "verdict": lambda folder: searched(folder, strategy="race", verdict=2),
    "compare": compared,
    "grid": lambda folder: tuned(folder, keras_tuner.oracles.GridSearchOracle(_objective())),
    "bayesian": lambda folder: tuned(
        folder,
        keras_tuner.oracles.BayesianOptimizationOracle(
            _objective(), max_trials=5, num_initial_points=3, seed=3
        ),
    ),
    "hyperband": lambda folder: tuned(
        folder,
        keras_tuner.oracles.HyperbandOracle(_objective(), max_epochs=3, factor=3, seed=3),
    ),
    "together": lambda folder: tuned(
        folder,
        keras_tuner.oracles.RandomSearchOracle(_objective(), max_trials=4, seed=3),
        population="auto",
    ),
    "racing oracle": lambda folder: tuned(
        folder, RacingOracle(_objective(), trials=4, max_epochs=4, seed=3), population="auto"
    ),
}
QUICK = ("race", "random")


@dataclass
class Report:
    """What was done to a way to search, and what went wrong."""

    way: str
    counts: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)


class Run:
    """A search in a process of its own.

    Args:
        search: what it does.
        folder: where it keeps its files.
    """

    def __init__(self, search: Search, folder: Path):
        self._folder = folder
        self.began = time.monotonic()
        sys.stdout.flush()
        self.process = os.fork()
        if self.process == 0:
            _child(search, folder)

    def wait(self, seconds: float | None = None) -> int | None:
        """Return its exit code, that of a signal negative; None if it has not ended by then."""
        deadline = None
        if seconds is not None:
            deadline = self.began + seconds
        while True:
            options = 0
            if deadline is not None:
                options = os.WNOHANG
            ended, status = os.waitpid(self.process, options)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if deadline is not None and time.monotonic() > deadline:
                return None
            time.sleep(0.002)

    def send(self, number: int) -> int | None:
        """Send it a signal, and return its exit code."""
        os.kill(self.process, number)
        return self.wait()


def _child(search: Search, folder: Path) -> None:
    """Search, write what was found, and end."""
    code = LOST
    # as the command line does: SIGTERM is as Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with open(folder / "log.txt", "a") as log:
            # TensorFlow writes from C++ too
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                found = search(folder / "runs")
                (folder / RESULT).write_text(json.dumps(found))
                code = 0
            except KerasActsError as error:
                (folder / "refused.txt").write_text(str(error))
                code = REFUSED
            except KeyboardInterrupt:
                (folder / "refused.txt").write_text("interrupted: files are kept")
                code = REFUSED
            except BaseException:
                traceback.print_exc(file=log)
    finally:
        # nothing of the parent's must happen twice
        os._exit(code)


def _prepared(folder: Path) -> Path:
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / NOTES).write_text(TEXT)
    return folder


def result_of(folder: Path) -> Any:
    """What a run found; it is forgotten here."""
    file = folder / RESULT
    found = json.loads(file.read_text())
    file.unlink()
    return found


def ended_trials(folder: Path) -> set[str]:
    """What is kept of trials, rungs and seeds that have ended."""
    kept = set()
    for file in (folder / "runs").rglob("trial.json"):
        if json.loads(file.read_text())["status"] in ("COMPLETED", "FAILED"):
            kept.add(str(file.relative_to(folder)))
    for file in (folder / "runs" / "activations").glob("*.json"):
        if file.name.startswith(("race", "changes", "final")):
            for number, _ in enumerate(file.read_text().splitlines()[1:]):
                kept.add(f"{file.name} rung {number}")
    for file in (folder / "runs" / "activations" / "verdict").glob("*.npz"):
        # what is kept of a training before its end goes with its end
        if file.suffixes == [".npz"]:
            kept.add(str(file.relative_to(folder)))
    return kept


class Chaos:
    """Disturbs one way to search.

    Args:
        way: its name.
        place: a folder for what it keeps.
        rng: says when.
    """

    def __init__(self, way: str, place: Path, rng: random.Random):
        self.report = Report(way)
        self._search = WAYS[way]
        self._place = place
        self._rng = rng
        self._number = 0
        began = time.monotonic()
        folder = self._folder()
        code = Run(self._search, folder).wait()
        if code != 0:
            raise RuntimeError(f"{way} does not run: {(folder / 'log.txt').read_text()}")
        self.seconds = time.monotonic() - began
        self.undisturbed = result_of(folder)
        self.finished = folder
        # the last that was killed, as it was then
        self.killed: Path | None = None

    def _folder(self) -> Path:
        self._number += 1
        return _prepared(self._place / str(self._number))

    def _check_table(self, folder: Path, what: str) -> None:
        found = result_of(folder)
        if found != self.undisturbed:
            self.report.losses.append(f"{what}: {found} instead of {self.undisturbed}")
        else:
            self.report.counts[SAME] += 1

    def _check_damaged(self, folder: Path, file: Path, what: str) -> None:
        """Check what comes of a damaged file: all that does not hang on it; of the rest, its name."""
        found = result_of(folder)
        if found == self.undisturbed:
            self.report.counts[SAME] += 1
            return
        said = (folder / "log.txt").read_text().replace("\n", "")
        said += "".join(found["errors"].values())
        same_table = {**found, "errors": {}} == self.undisturbed
        if str(folder / file) not in said:
            self.report.losses.append(f"{what}: {found} instead of {self.undisturbed}")
        elif same_table:
            self.report.counts["tables whose model is said to be damaged"] += 1
        else:
            self.report.counts["tables in which a trial is said to have begun again"] += 1

    def _check_notes(self, folder: Path, what: str) -> None:
        notes = folder / "runs" / NOTES
        if not notes.is_file() or notes.read_text() != TEXT:
            self.report.losses.append(f"{what}: the user's file is gone")

    def kill(self, most: int) -> int:
        """Kill a search again and again until it ends, at most so many times; return how often."""
        folder = self._folder()
        kept: set[str] = set()
        kills = 0
        while True:
            # later and later, so that it goes on, and ends at some time
            moment = self._rng.uniform(0, self.seconds * (1 + kills) / 4)
            run = Run(self._search, folder)
            code = None
            if kills < most:
                code = run.wait(moment)
                if code is None:
                    code = run.send(signal.SIGKILL)
                    self._note_killed(folder)
            else:
                code = run.wait()
            self._check_notes(folder, "kill")
            now = ended_trials(folder)
            if kept - now:
                self.report.losses.append(f"kill {kills}: {sorted(kept - now)} had ended")
            kept = now
            if code == -signal.SIGKILL:
                kills += 1
                self.report.counts[KILLED] += 1
                continue
            if code == 0:
                self._check_table(folder, f"after {kills} kills")
            else:
                self._note_failure(folder, f"after {kills} kills", code)
            return kills

    def _note_killed(self, folder: Path) -> None:
        """Keep a copy of what a kill has left, if it is more than an empty folder."""
        if not any((folder / "runs").glob("activations/*.json")):
            return
        copy = self._place / f"killed-{self._number}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        self.killed = copy

    def _note_failure(self, folder: Path, what: str, code: int | None) -> None:
        said = ""
        for name in ("refused.txt", "log.txt"):
            if (folder / name).is_file():
                said += (folder / name).read_text()[-2000:]
        self.report.losses.append(f"{what}: exit code {code}: {said}")

    def signal(self, number: int) -> None:
        """End a search as a user or a system does, and go on."""
        folder = self._folder()
        run = Run(self._search, folder)
        code = run.wait(self._rng.uniform(0.2, 0.9) * self.seconds)
        if code is None:
            code = run.send(number)
            self.report.counts[signal.Signals(number).name] += 1
        if code not in (0, REFUSED):
            self._note_failure(folder, signal.Signals(number).name, code)
            return
        (folder / RESULT).unlink(missing_ok=True)
        code = Run(self._search, folder).wait()
        if code != 0:
            self._note_failure(folder, f"going on after {signal.Signals(number).name}", code)
            return
        self._check_table(folder, f"after {signal.Signals(number).name}")

    def damage(self, kept: Path, file: Path, how: str) -> None:
        """Damage a file of a search that has ended or was killed, and search again."""
        folder = self._folder()
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        DAMAGES[how](folder / file, self._rng)
        for name in ("refused.txt", "log.txt"):
            (folder / name).unlink(missing_ok=True)
        code = Run(self._search, folder).wait()
        what = f"{file} {how}"
        self.report.counts[DAMAGED] += 1
        self._check_notes(folder, what)
        if code == 0:
            self._check_damaged(folder, file, what)
        elif code == REFUSED and _names_a_file((folder / "refused.txt").read_text(), folder):
            self.report.counts["refusals that name a file"] += 1
        else:
            self._note_failure(folder, what, code)

    def cases(self) -> Iterator[tuple[Path, Path, str]]:
        """Without an end: a search, a file of it, and how it is damaged."""
        searches = [self.finished]
        if self.killed is not None:
            searches.append(self.killed)
        found = []
        for kept in searches:
            for file in sorted((kept / "runs" / "activations").rglob("*")):
                if file.is_file() and file.suffix != ".lock":
                    found.append((kept, file.relative_to(kept)))
        cases = [(*one, how) for one in found for how in DAMAGES]
        self._rng.shuffle(cases)
        # another bit, and another place to cut, in each round
        return itertools.cycle(cases)


def _names_a_file(line: str, folder: Path) -> bool:
    return "\n" not in line and str(folder / "runs") in line


def _empty(file: Path, rng: random.Random) -> None:
    file.write_bytes(b"")


def _cut(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])


def _delete(file: Path, rng: random.Random) -> None:
    file.unlink()


def _flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(content))


DAMAGES = {"emptied": _empty, "cut off": _cut, "deleted": _delete, "bit flipped": _flip}
KILLED = "kills"
SAME = "searches that ended with the same table"
DAMAGED = "damaged files"


def disturbed(way: str, arguments: argparse.Namespace, place: Path) -> Report:
    """Do everything to one way to search."""
    rng = random.Random(f"{arguments.seed} {way}")
    chaos = Chaos(way, place, rng)
    until = time.monotonic() + arguments.hours * 3600
    kills = 0
    while kills < arguments.kills or time.monotonic() < until:
        most = max(1, arguments.kills - kills)
        if time.monotonic() < until:
            most = 50
        kills += chaos.kill(most)
    for number in (signal.SIGINT, signal.SIGTERM)[: arguments.signals]:
        chaos.signal(number)
    for kept, file, how in itertools.islice(chaos.cases(), arguments.damages):
        chaos.damage(kept, file, how)
    return chaos.report


def prepare() -> None:
    """Make this process one that is forked again and again: it has all modules, and no thread."""
    for name in _LATE:
        importlib.import_module(name)
    # as many searches as there are cores may run beside it
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # a search of seconds is kept as often as one of hours
    pace.LEAST_SECONDS = 0.0
    pace.SHARE = math.inf
    # a collection in a child would look at, and copy, all that is loaded here
    gc.collect()
    gc.freeze()


def summary(reports: Sequence[Report]) -> str:
    """Return the line that the README has."""
    counts: Counter[str] = Counter()
    lost = 0
    for report in reports:
        counts += report.counts
        lost += len(report.losses)
    return f"{counts[KILLED]} kills, {counts[DAMAGED]} damaged files, {lost} lost"


def main() -> None:
    """Disturb all ways to search, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--kills", type=int, default=20, help="a way to search, at least")
    parser.add_argument("--hours", type=float, default=0.0, help="a way to search, at least")
    parser.add_argument("--signals", type=int, default=2, help="a way to search: 0, 1 or 2")
    parser.add_argument("--damages", type=int, default=50, help="a way to search")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parsed(parser, kills=2, signals=1, damages=2, ways=list(QUICK))
    prepare()
    console = Console(width=150)
    console.print(environment())
    table = Table("way", "what was done", "lost", box=MARKDOWN)
    reports = []
    for way in arguments.ways:
        with tempfile.TemporaryDirectory(prefix="keras-acts-chaos-") as folder:
            report = disturbed(way, arguments, Path(folder))
        counts = ", ".join(f"{count} {what}" for what, count in sorted(report.counts.items()))
        # as it comes: all of them may take hours
        console.print(f"{way}: {counts}; {len(report.losses)} lost")
        table.add_row(way, counts, str(len(report.losses)))
        reports.append(report)
        for loss in report.losses:
            # now: whoever reads the log need not wait for the end
            print(f"{way}: {loss}", file=sys.stderr, flush=True)
    console.print(table)
    console.print(summary(reports))
    losses = [f"{report.way}: {loss}" for report in reports for loss in report.losses]
    if losses:
        raise SystemExit("\n".join(losses))


if __name__ == "__main__":
    main()
