"""Searches that are killed again and again, and whose files are damaged: whether anything is lost.

    python -m benchmarks.chaos [--kills 20] [--hours 0] [--ways race random …] [--seed 0] [--quick]

Linux and macOS: each run is a process forked from one in which TensorFlow is loaded. For each way to search:

- kills: SIGKILL at random times, again and again until the search has ended, and then anew, until there were so many
  kills or the hours are over. After each no trial is gone that had ended, and a file of the user's beside the search
  is as it was. In the end the table is that of a run that nobody disturbed.
- signals: SIGINT and SIGTERM at a random time. The process ends by itself, with a result or one line, and the search
  goes on to the same table.
- damages: each file of a finished search is emptied, halved, deleted, or has a bit flipped. The same search returns
  the same table, or one line that names a file; it never returns another table.

It ends with an error if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.machine import environment, parsed
from keras_acts.errors import KerasActsError
from keras_acts.search import ActivationSpace, ActivationTuner, search_activations

NOTES = "notes.txt"  # the user's own, beside the search
TEXT = "mine\n"
RESULT = "result.json"
REFUSED = 3  # the exit code of a run that said in one line why it does not go on
LOST = 4  # of one that raised anything else

# a search in a folder, and what it finds
Search = Callable[[Path], Any]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of points."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    centres = 2 * rng.normal(size=(3, 4))
    return (centres[labels] + rng.normal(size=(90, 4))).astype("float32"), labels


def model(activation: str = "relu", rate: float = 0.01) -> keras.Model:
    """A small MLP with two hidden layers, run without being traced."""
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, activation, name="first"),
        keras.layers.Dense(8, activation, name="second"),
        keras.layers.Dense(3, "softmax"),
    ]
    made = keras.Sequential(layers)
    loss = "sparse_categorical_crossentropy"
    made.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], run_eagerly=True)
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


def tuned(folder: Path, oracle: keras_tuner.Oracle) -> Any:
    """What `ActivationTuner` finds with an oracle of KerasTuner's."""

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        return model(hp.Choice("act", ["relu", "mish"]), hp.Choice("rate", [0.01, 0.001]))

    tuner = ActivationTuner(
        build, oracle=oracle, directory=folder, project_name="activations", population=1
    )
    tuner.search(*data(), validation_split=0.3, epochs=2, verbose=0)
    trials = sorted(tuner.oracle.trials.values(), key=lambda trial: trial.trial_id)
    rows = [[t.trial_id, repr(t.hyperparameters.values), t.score, t.status] for t in trials]
    return {"rows": rows, "errors": {}, "verdict": None, "stopped": False}


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
    "grid": lambda folder: tuned(folder, keras_tuner.oracles.GridSearchOracle(_objective())),
    "bayesian": lambda folder: tuned(
        folder,
        keras_tuner.oracles.BayesianOptimizationOracle(
            _objective(), max_trials=5, num_initial_points=3, seed=3
        ),
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
    for file in (folder / "runs" / "activations").rglob("*.npz"):
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

    def _folder(self) -> Path:
        self._number += 1
        return _prepared(self._place / str(self._number))

    def _check_table(self, folder: Path, what: str) -> None:
        found = result_of(folder)
        if found != self.undisturbed:
            self.report.losses.append(f"{what}: {found} instead of {self.undisturbed}")
        else:
            self.report.counts["searches that ended with the same table"] += 1

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
            # later and later, so that it ends at some time
            moment = self._rng.uniform(0, self.seconds * (1 + kills / 4))
            run = Run(self._search, folder)
            code = None
            if kills < most:
                code = run.wait(moment)
                if code is None:
                    code = run.send(signal.SIGKILL)
            else:
                code = run.wait()
            self._check_notes(folder, "kill")
            now = ended_trials(folder)
            if kept - now:
                self.report.losses.append(f"kill {kills}: {sorted(kept - now)} had ended")
            kept = now
            if code == -signal.SIGKILL:
                kills += 1
                self.report.counts["kills"] += 1
                continue
            if code == 0:
                self._check_table(folder, f"after {kills} kills")
            else:
                self._note_failure(folder, f"after {kills} kills", code)
            return kills

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

    def damage(self, file: Path, how: str) -> None:
        """Damage a file of a finished search, and search again."""
        folder = self._folder()
        shutil.rmtree(folder)
        shutil.copytree(self.finished, folder)
        DAMAGES[how](folder / file, self._rng)
        (folder / "refused.txt").unlink(missing_ok=True)
        code = Run(self._search, folder).wait()
        what = f"{file} {how}"
        self.report.counts["damages"] += 1
        self._check_notes(folder, what)
        if code == 0:
            self._check_table(folder, what)
        elif code == REFUSED and _names_a_file((folder / "refused.txt").read_text(), folder):
            self.report.counts["refusals that name a file"] += 1
        else:
            self._note_failure(folder, what, code)

    def files(self) -> Iterator[Path]:
        """The files of a finished search."""
        for file in sorted((self.finished / "runs" / "activations").rglob("*")):
            if file.is_file() and file.suffix != ".lock":
                yield file.relative_to(self.finished)


def _names_a_file(line: str, folder: Path) -> bool:
    return "\n" not in line and str(folder / "runs") in line


def _empty(file: Path, rng: random.Random) -> None:
    file.write_bytes(b"")


def _halve(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _delete(file: Path, rng: random.Random) -> None:
    file.unlink()


def _flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(content))


DAMAGES = {"emptied": _empty, "halved": _halve, "deleted": _delete, "bit flipped": _flip}


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
    cases = [(file, how) for file in chaos.files() for how in DAMAGES]
    rng.shuffle(cases)
    for file, how in cases[: arguments.damages]:
        chaos.damage(file, how)
    return chaos.report


def main() -> None:
    """Disturb all ways to search, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--kills", type=int, default=20, help="a way to search, at least")
    parser.add_argument("--hours", type=float, default=0.0, help="a way to search, at least")
    parser.add_argument("--signals", type=int, default=2, help="a way to search: 0, 1 or 2")
    parser.add_argument("--damages", type=int, default=10_000, help="a way to search, at most")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parsed(parser, kills=2, signals=1, damages=2, ways=list(QUICK))
    console = Console(width=150)
    console.print(environment())
    table = Table("way", "what was done", "lost", box=MARKDOWN)
    losses = []
    for way in arguments.ways:
        with tempfile.TemporaryDirectory(prefix="keras-acts-chaos-") as folder:
            report = disturbed(way, arguments, Path(folder))
        counts = ", ".join(f"{count} {what}" for what, count in sorted(report.counts.items()))
        # as it comes: all of them may take hours
        console.print(f"{way}: {counts}; {len(report.losses)} lost")
        table.add_row(way, counts, str(len(report.losses)))
        losses += [f"{way}: {loss}" for loss in report.losses]
    console.print(table)
    if losses:
        raise SystemExit("\n".join(losses))


if __name__ == "__main__":
    main()
