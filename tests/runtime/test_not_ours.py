"""`overwrite=True` of a search: what it must not delete, or cannot, is refused before any training."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import keras_tuner
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import ActivationSpace, ActivationTuner, search_activations
from keras_acts.search.runtime.ownership import clear_project
from tests.helpers.models import blobs, contents, mlp
from tests.helpers.processes import ROOT

# what is looked at before anything trains; tests/runtime/test_ownership.py clears a search at any
# version
pytestmark = pytest.mark.once


def search(directory, **options):
    x, y = blobs()
    options = {"trials": 2, "epochs": 1, "verdict": 0, "verbose": 0, **options}
    options |= {"learning_rates": None, "activations": ["relu", "mish"], "directory": directory}
    return search_activations(mlp(), x, y, **options)


def overwritten(way, directory, name):
    """A search, or a tuner, that begins again where one is."""
    if way == "tuner":
        options = {"directory": directory, "project_name": name, "overwrite": True}
        return ActivationTuner(mlp(), activations=["relu"], **options)
    return search(directory, strategy=way, project_name=name, overwrite=True)


def project(folder):
    """A folder that passes for a search's, race and trials."""
    (folder / "trial_0").mkdir(parents=True)
    (folder / "trial_0" / "trial.json").write_text("{}")
    (folder / "keras_acts.json").write_text("{}")
    (folder / "race.json").write_text("[]")
    return folder


@pytest.mark.parametrize("way", ["race", "random", "tuner"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("thesis", "there is none in this folder"),
        ("file", "there is none in this folder"),
        ("link", "nothing behind a link"),
        ("dangling", "nothing behind a link"),
        ("notes", r"move yours elsewhere.*\['\.git', '\.git/config', 'notes\.txt'\]"),
    ],
)
def test_overwrite_is_refused_and_nothing_is_touched(tmp_path, way, name, said):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.docx").write_text("years of work")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(project(tmp_path / "elsewhere"), target_is_directory=True)
    (tmp_path / "dangling").symlink_to("nowhere")
    project(tmp_path / "notes")
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    (tmp_path / "notes" / ".git").mkdir()
    (tmp_path / "notes" / ".git" / "config").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(SearchError, match=rf"overwrite=True deletes.*{said}"):
        overwritten(way, tmp_path, name)
    assert contents(tmp_path) == before


def test_a_link_on_the_way_to_a_nested_project_is_refused(tmp_path):
    project(tmp_path / "elsewhere" / "mine")
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    before = contents(tmp_path)
    options = {"directory": tmp_path / "searches", "project_name": "link/mine"}
    with pytest.raises(SearchError, match=r"nothing behind a link.*Received: '.*searches/link'"):
        ActivationTuner(mlp(), activations=["relu"], overwrite=True, **options)
    assert contents(tmp_path) == before
    # the folder of projects itself may be one: a larger disk, say
    options = {"directory": tmp_path / "searches" / "link", "project_name": "mine"}
    ActivationTuner(mlp(), activations=["relu"], overwrite=True, **options)
    assert not (tmp_path / "elsewhere" / "mine" / "race.json").exists()


@pytest.fixture
def nobody():
    """Who may not write everywhere, for a test; and a folder that it may write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o777)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name == "nt", reason="it needs users and their permissions")
@pytest.mark.parametrize("way", ["race", "random", "tuner"])
@pytest.mark.parametrize("where", ["mine", "mine/trial_0"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_training(nobody, way, where):
    project(nobody / "mine")
    (nobody / where).chmod(0o555)
    before = contents(nobody)
    with pytest.raises(SearchError, match=rf"must be able to delete.*{where}' \(Permission denied"):
        overwritten(way, nobody, "mine")
    assert contents(nobody) == before


@pytest.mark.skipif(os.name == "nt", reason="it needs users and their permissions")
def test_a_directory_that_cannot_be_written_is_refused_before_the_training(nobody):
    (nobody / "searches").mkdir(mode=0o555)
    with pytest.raises(SearchError, match=r"a folder that it can write.*mine' \(Permission denied"):
        search(nobody / "searches", project_name="mine")


def test_the_lock_stays_where_a_project_is_cleared(tmp_path):
    project(tmp_path / "mine")
    (tmp_path / "mine" / "keras_acts.lock").touch()
    (tmp_path / "mine" / "keras_acts.pid").touch()
    clear_project(tmp_path / "mine")
    assert sorted(os.listdir(tmp_path / "mine")) == ["keras_acts.lock", "keras_acts.pid"]
    clear_project(tmp_path / "mine")  # nothing but the lock: nothing to do


ON_A_READ_ONLY_DISK = """
import subprocess, sys
from pathlib import Path
from keras_acts.errors import SearchError
from tests.helpers.models import contents
from tests.runtime.test_not_ours import search
disk = Path(sys.argv[1])
search(disk, strategy="random")
before = contents(disk)
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
for overwrite in (False, True):
    for strategy in ("race", "random"):
        try:
            search(disk, strategy=strategy, overwrite=overwrite)
        except SearchError as error:
            print(error)
assert contents(disk) == before
"""


@pytest.mark.slow
def test_a_read_only_disk_is_refused_before_the_training(tmp_path):
    shell = 'mount -t tmpfs tmpfs "$1" && exec "$2" -c "$3" "$1"'
    if shutil.which("unshare") is None:
        pytest.skip("this machine lets no test mount a disk")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", tmp_path, sys.executable, ON_A_READ_ONLY_DISK],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "mount: " in done.stderr:
        pytest.skip("this machine lets no test mount a disk")
    assert done.returncode == 0, done.stderr[-4000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all("Read-only file system" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["race", "random", "layer", "tuner"])
def test_all_that_a_search_keeps_is_its_own(tmp_path, way):
    x, y = blobs()
    project = tmp_path / "activations"
    if way == "tuner":
        oracle = keras_tuner.oracles.HyperbandOracle(
            keras_tuner.Objective("val_loss", "min"), max_epochs=2
        )
        options = {"oracle": oracle, "directory": tmp_path, "project_name": "activations"}
        tuner = ActivationTuner(mlp(), activations=["relu", "mish"], **options)
        callbacks = [keras.callbacks.TensorBoard(tmp_path / "logs")]
        tuner.search(x, y, validation_split=0.2, verbose=0, callbacks=callbacks)
    else:
        strategy = {"layer": "race"}.get(way, way)
        space = ActivationSpace(["relu", "mish"], per={"layer": "layer"}.get(way, "model"))
        options = {"trials": 3, "epochs": 2, "strategy": strategy, "verbose": 0}
        options |= {"verdict": 2, "test_data": (x, y), "directory": tmp_path}
        search_activations(mlp(), x, y, activations=space, learning_rates=None, **options)
    assert len(contents(project)) > 2
    clear_project(project)
    assert set(os.listdir(project)) <= {"keras_acts.lock"}
