"""Two searches never work in one project at the same time."""

import os
import signal
import subprocess
import sys

import pytest

from keras_acts.errors import SearchError
from keras_acts.search import ActivationTuner, search_activations
from keras_acts.search.runtime import project_lock
from keras_acts.search.runtime.project_lock import LOCK, OWNER, locked
from tests.helpers.models import blobs, contents, mlp
from tests.helpers.processes import ROOT

# holds a project with what any program has, until it is killed
HOLDS = """
import os, sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1] + "/keras_acts.lock")
lock.acquire()
open(sys.argv[1] + "/keras_acts.pid", "w").write(f"{os.getpid()} {sys.argv[2]}\\n")
print("held", flush=True)
sys.stdin.read()
"""


class _Holder:
    """Another process that holds a project."""

    def __init__(self, project, host):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, project, host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "held\n"

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def holds():
    """Let other processes hold projects."""
    holders = []

    def hold(project, host=None):
        project.mkdir(parents=True, exist_ok=True)
        holders.append(_Holder(project, host or project_lock._host()))
        return holders[-1]

    yield hold
    for holder in holders:
        holder.kill()
        holder.process.stdin.close()
        holder.process.stdout.close()


@pytest.mark.once
def test_a_project_is_held_by_one_and_free_once_its_process_is_dead(tmp_path, holds):
    project = tmp_path / "mine"
    holder = holds(project)
    message = rf"One search at a time.*Received: '.*mine', which process {holder.process.pid} holds"
    with pytest.raises(SearchError, match=message), locked(project):
        pass
    holder.kill()
    with locked(project):
        assert (project / OWNER).read_text().startswith(f"{os.getpid()} ")
        with pytest.raises(SearchError, match=rf"process {os.getpid()} holds"), locked(project):
            pass
    assert os.listdir(project) == [LOCK]


@pytest.mark.once
def test_the_owner_of_another_machine_is_named_with_it(tmp_path, holds):
    holder = holds(tmp_path, "node7")
    with (
        pytest.raises(SearchError, match=rf"process {holder.process.pid} on node7 holds"),
        locked(tmp_path),
    ):
        pass


@pytest.mark.once
@pytest.mark.parametrize("text", ["", "torn", "999999999999 here", "\0" * 50, "1 " + "x" * 10_000])
def test_an_owner_that_cannot_be_read_is_another_process(tmp_path, holds, text):
    holds(tmp_path)
    (tmp_path / OWNER).write_text(text.replace("here", project_lock._host()))
    with pytest.raises(SearchError, match="which another process holds"), locked(tmp_path):
        pass


@pytest.mark.once
def test_a_failure_frees_the_project(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


@pytest.mark.once
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def no_locks(self, *args, **options):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(project_lock.FileLock, "acquire", no_locks)
    with pytest.warns(UserWarning, match="has no locks: see to it yourself"), locked(tmp_path):
        pass


WAYS = {
    "race": {"strategy": "race", "activations": ["relu", "mish"]},
    "by layer": {"strategy": "race", "per": "layer"},
    "random": {"strategy": "random", "activations": ["relu", "mish"]},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_every_way_to_search_is_refused_where_another_process_searches(
    tmp_path, holds, way, overwrite
):
    from keras_acts.search import ActivationSpace

    options = dict(WAYS[way])
    if "per" in options:
        options["activations"] = ActivationSpace(["relu", "mish"], per=options.pop("per"))
    x, y = blobs()
    holder = holds(tmp_path / "activations")
    before = contents(tmp_path)
    with pytest.raises(SearchError, match=rf"process {holder.process.pid} holds"):
        search_activations(
            mlp(),
            x,
            y,
            trials=2,
            epochs=1,
            verdict=0,
            verbose=0,
            learning_rates=None,
            directory=tmp_path,
            overwrite=overwrite,
            **options,
        )
    assert contents(tmp_path).keys() == before.keys()


def test_a_tuner_is_refused_where_another_process_searches(tmp_path, holds):
    x, y = blobs()
    options = {"activations": ["relu", "mish"], "directory": tmp_path, "project_name": "mine"}
    tuner = ActivationTuner(mlp(), "val_loss", 2, **options)
    holder = holds(tmp_path / "mine")
    message = rf"process {holder.process.pid} holds"
    with pytest.raises(SearchError, match=message):
        tuner.search(x, y, epochs=1, validation_split=0.2, verbose=0)
    with pytest.raises(SearchError, match=message):
        ActivationTuner(mlp(), "val_loss", 2, overwrite=True, **options)
    assert tuner.oracle.trials == {}
    holder.kill()
    tuner.search(x, y, epochs=1, validation_split=0.2, verbose=0)
    assert len(tuner.oracle.trials) == 2


def test_a_tuner_goes_on_from_what_another_has_found_meanwhile(tmp_path):
    x, y = blobs()
    options = {"activations": ["relu", "mish"], "directory": tmp_path, "project_name": "mine"}
    late = ActivationTuner(mlp(), "val_loss", 2, **options)
    first = ActivationTuner(mlp(), "val_loss", 2, **options)
    first.search(x, y, epochs=1, validation_split=0.2, verbose=0)
    found = {trial_id: trial.score for trial_id, trial in first.oracle.trials.items()}
    late.search(x, y, epochs=1, validation_split=0.2, verbose=0)
    assert {trial_id: trial.score for trial_id, trial in late.oracle.trials.items()} == found
    assert len(found) == 2


SEARCHES = """
import sys
from keras_acts.search import search_activations
from tests.helpers.models import blobs, mlp
x, y = blobs()
search_activations(
    mlp(), x, y, trials=2, epochs=100_000, verdict=0, verbose=1, learning_rates=None,
    activations=["relu", "mish"], strategy=sys.argv[2], directory=sys.argv[1],
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["race", "random"])
def test_two_real_searches(tmp_path, strategy):
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCHES, tmp_path, strategy],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stderr=subprocess.PIPE,
        text=True,
    )
    x, y = blobs()
    options = {"trials": 2, "verdict": 0, "verbose": 0, "learning_rates": None}
    options |= {"activations": ["relu", "mish"], "strategy": strategy, "directory": tmp_path}
    try:
        for line in process.stderr:
            if line.startswith("Training up to"):
                break
        with pytest.raises(SearchError, match=rf"process {process.pid} holds"):
            search_activations(mlp(), x, y, epochs=100_000, **options)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    # its lock has gone with it; what it has written is replaced as asked for
    result = search_activations(mlp(), x, y, epochs=1, overwrite=True, **options)
    assert len(result.trials) == 2
