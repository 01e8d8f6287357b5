"""How long each mistake of `test_mistakes.py`, and each help page, takes in a process of its own.

    python -m tests.cli.time_mistakes  # about half a second each on an idle machine

The CPU time is what counts: it says the same however busy the machine is.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from keras_acts_cli import main
from tests.cli.test_mistakes import MISTAKES, write_files

# seconds of the CPU: of a mistake, and of a help page
MOST = 2.0
MOST_HELP = 0.3


def timed(arguments: list[str], folder: Path) -> tuple[float, float, str]:
    """Run a command as it is typed; return seconds of the CPU, seconds, and the last line it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-m", "keras_acts_cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = (done.stderr or done.stdout).strip().splitlines() or [""]
    return used, seconds, said[-1]


def report() -> bool:
    """Print the table; return whether all were fast enough."""
    commands = [(text.split(), MOST) for text in MISTAKES]
    commands += [([name, "--help"], MOST_HELP) for name in main.commands]
    commands.append((["--help"], MOST_HELP))
    slow = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        print("| CPU s | s | keras-acts |")
        print("| --- | --- | --- |")
        for arguments, most in commands:
            used, seconds, said = timed(arguments, folder)
            typed = " ".join(arguments)
            print(f"| {used:.2f} | {seconds:.2f} | `{typed}` |", flush=True)
            if used > most:
                slow.append(f"{typed}: {used:.2f} s of the CPU, at most {most}: {said}")
    for text in slow:
        print(text)
    return not slow


if __name__ == "__main__":
    sys.exit(0 if report() else 1)
