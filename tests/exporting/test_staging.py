"""Exports are whole or not there, whatever happens.

Kills, full and read-only disks, what is there already.
"""

import os
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

from keras_acts.errors import ExportError
from keras_acts.search import export
from keras_acts.search.exporting import atomic
from keras_acts.search.exporting.atomic import check_target, staged
from keras_acts.search.runtime.ownership import mark
from tests.helpers.models import contents, mlp
from tests.helpers.processes import ROOT


def make(folder, text):
    """A folder that passes for an export."""
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(text)
    return folder


def exported(folder, text):
    """A folder that passes for an export of ours: it says what was written into it."""
    mark(make(folder, text))
    return folder


def put(target, text, **options):
    with staged(target, **options) as stage:
        make(stage.folder, text)
        return stage.publish()


@pytest.mark.once
@pytest.mark.parametrize(
    "name", ["model", "a name with spaces", "größe-模型", ".hidden", "per%cent'quote\"", "-dash"]
)
def test_any_name_will_do(tmp_path, name):
    place = put(tmp_path / "new" / name, "one")
    assert (place / "saved_model.pb").read_text() == "one"
    put(place, "two")
    assert (place / "saved_model.pb").read_text() == "two"
    assert os.listdir(tmp_path / "new") == [name]


@pytest.mark.once
def test_versions_count_up(tmp_path):
    target = tmp_path / "models" / "flowers"
    assert [put(target, str(i), versioned=True).name for i in range(3)] == ["1", "2", "3"]
    (target / "7").mkdir()
    assert put(target, "8", versioned=True).name == "8"
    assert sorted(os.listdir(target)) == ["1", "2", "3", "7", "8"]
    (target / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"nothing but versions.*\['notes.txt'\]"):
        check_target(target, overwrite=True, versioned=True)


@pytest.mark.once
def test_a_version_that_another_process_takes_first_is_skipped(tmp_path, monkeypatch):
    target, rename = tmp_path / "flowers", atomic.rename_to_new

    def late(source, place):
        monkeypatch.undo()
        make(target / "1", "theirs")
        rename(source, place)

    monkeypatch.setattr(atomic, "rename_to_new", late)
    assert put(target, "mine", versioned=True).name == "2"
    assert (target / "1" / "saved_model.pb").read_text() == "theirs"


@pytest.mark.once
def test_what_is_there_is_only_replaced_if_it_is_a_savedmodel_and_asked_for(tmp_path):
    path = exported(tmp_path / "a folder" / "größe", "first")
    with pytest.raises(ExportError, match="overwrite=True"):
        check_target(path, overwrite=False)
    assert check_target(path, overwrite=True) == path
    (path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"files of yours.*\['notes.txt'\]"):
        check_target(path, overwrite=True)
    other = tmp_path / "thesis"
    other.mkdir()
    with pytest.raises(ExportError, match="anything but a SavedModel"):
        check_target(other, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="anything but a SavedModel"):
        check_target(tmp_path / "file", overwrite=True)
    with pytest.raises(ExportError, match="must be a folder"):
        check_target(tmp_path / "file", overwrite=True, versioned=True)
    with pytest.raises(ExportError, match="writable folder"):
        check_target(tmp_path / "file" / "model", overwrite=True)


@pytest.mark.once
@pytest.mark.parametrize("swaps", [True, False])
def test_a_failure_leaves_nothing_and_touches_nothing(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    path = exported(tmp_path / "model", "before")
    with pytest.raises(OSError, match="File exists"), staged(path) as stage:
        make(make(stage.folder, "half"), "again")
    assert (os.listdir(tmp_path), (path / "saved_model.pb").read_text()) == (["model"], "before")
    with pytest.raises(ZeroDivisionError), staged(tmp_path / "new" / "folders" / "model"):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), staged(tmp_path / "new" / "versions", versioned=True):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["model"]
    put(path, "after")
    assert (os.listdir(tmp_path), (path / "saved_model.pb").read_text()) == (["model"], "after")


@pytest.mark.once
def test_what_was_there_comes_back_if_the_last_step_fails(tmp_path, monkeypatch):
    path, rename = exported(tmp_path / "model", "before"), atomic.rename_to_new

    def fails(source, target):
        if str(source).endswith("export") and not path.exists():
            raise OSError("the network drive is gone")
        rename(source, target)

    monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    monkeypatch.setattr(atomic, "rename_to_new", fails)
    with pytest.raises(OSError, match="network drive"):
        put(path, "after")
    assert (os.listdir(tmp_path), (path / "saved_model.pb").read_text()) == (["model"], "before")


@pytest.mark.once
def test_what_a_killed_export_left_is_swept_and_what_a_living_one_makes_is_not(tmp_path):
    path = tmp_path / "model"
    killed = tmp_path / ".model.exporting-killed"
    make(killed / "export", "half")
    (killed / "signed").write_text(atomic._SIGN)
    exported(killed / "previous", "before")  # it died between two renames
    with staged(path) as living:
        assert (path / "saved_model.pb").read_text() == "before"
        put(path, "from another process")
        assert living.scratch.is_dir()
    assert (os.listdir(tmp_path), (path / "saved_model.pb").read_text()) == (
        ["model"],
        "from another process",
    )


@pytest.mark.once
def test_a_file_system_without_locks_takes_exports_and_nothing_is_swept(tmp_path, monkeypatch):
    def no_locks(self, *args, **options):
        raise NotImplementedError("FileSystem does not appear to support flock")

    killed = tmp_path / ".model.exporting-killed"
    make(killed / "export", "half")
    (killed / "signed").write_text(atomic._SIGN)
    monkeypatch.setattr(atomic.FileLock, "acquire", no_locks)
    with staged(tmp_path / "model") as stage:
        # unsigned: where locks do work, another process must not take it for abandoned
        assert not (stage.scratch.parent / "signed").exists()
        put(tmp_path / "model", "new")
    assert (tmp_path / "model" / "saved_model.pb").read_text() == "new"
    assert killed.is_dir()


@pytest.mark.once
def test_what_only_looks_like_a_killed_export_is_not_swept(tmp_path):
    mine = tmp_path / ".model.exporting-mine"
    mine.mkdir()
    (mine / "signed").write_text("a file of the user's")
    (mine / "lock").write_text("a lock of the user's")
    kept = tmp_path / ".model.exporting-killed"
    (kept / "scratch").mkdir(parents=True)
    (kept / "signed").write_text(atomic._SIGN)
    (kept / "lock").touch()
    exported(kept / "export", "before")
    (kept / "export" / "notes.txt").write_text("came in the moment before it was killed")
    before = contents(tmp_path)
    put(tmp_path / "model", "new")
    assert before.items() <= contents(tmp_path).items()


@pytest.mark.once
@pytest.mark.parametrize("name", ["x" * 250, "x" * 300 + "/model"])
def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path, name):
    with pytest.raises(ExportError, match=r"must be writable: File name too long. Received: path="):
        check_target(tmp_path / "new" / name, overwrite=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.once
def test_a_parent_that_another_process_removes_is_made_again(tmp_path, monkeypatch):
    """Of two that began at once one said that there was no such folder."""
    make = atomic.tempfile.mkdtemp
    removed = []

    def raced(*arguments, **options):
        if not removed:
            removed.append(options["dir"])
            os.rmdir(options["dir"])
        return make(*arguments, **options)

    monkeypatch.setattr(atomic.tempfile, "mkdtemp", raced)
    target = tmp_path / "new" / "model"
    assert check_target(target, overwrite=False) == target
    assert removed == [target.parent]
    assert os.listdir(tmp_path) == []


@pytest.mark.once
def test_a_name_that_is_no_text_is_found_before_the_work(tmp_path):
    """TensorFlow takes paths for UTF-8: it failed when all was trained."""
    with pytest.raises(ExportError, match=r"only paths in UTF-8.*caf\\udce9"):
        check_target(tmp_path / os.fsdecode(b"caf\xe9"), overwrite=True)


@pytest.mark.once
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="it needs a folder of the system's")
def test_a_folder_of_the_systems_is_found_before_the_work():
    with pytest.raises(ExportError, match=r"must be writable|needs a writable folder"):
        check_target("/proc/model", overwrite=True)


def test_an_export_that_fails_touches_nothing(tmp_path):
    path = exported(tmp_path / "model", "before")

    def broken(difference):
        raise OSError("No space left on device")

    with pytest.raises(ExportError, match=r"must be writable: No space left.*Received: path="):
        export(mlp(), path, overwrite=True, notes=broken)
    assert (os.listdir(tmp_path), (path / "saved_model.pb").read_text()) == (["model"], "before")


KILLS = """
import multiprocessing, random, sys, time, keras
from keras_acts.search import export

def export_for_ever(path, told):
    inputs = keras.Input((1,))
    told.send("ready")
    value = 0
    while True:
        value += 1
        layer = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(value))
        began = time.monotonic()
        export(keras.Model(inputs, layer(inputs)), path, overwrite=True)
        told.send(time.monotonic() - began)

# TensorFlow is imported once, and its threads begin in the child
fork, moments, takes = multiprocessing.get_context("fork"), random.Random(5), 4.0
for number in range(6):
    hears, told = fork.Pipe(duplex=False)
    child = fork.Process(target=export_for_ever, args=(sys.argv[1], told))
    child.start()
    told.close()  # so that a child that fails is heard to be gone
    assert hears.recv() == "ready"
    if number % 2:  # a kill in an export that replaces another; else in the first, however long it takes here
        takes = hears.recv()
    child.join(moments.uniform(0, takes))
    child.kill()
    child.join()
    print(child.exitcode, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_export(tmp_path):
    path = tmp_path / "model"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLS, path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for number in range(6):
        assert process.stdout.readline() == "-9\n", process.stderr.read()
        assert path.exists() or number == 0
        if path.exists():
            loaded = tf.saved_model.load(str(path))
            value = float(loaded.serve([[1.0]])[0, 0])
            assert value == int(value) >= 1
            assert (path / "assets" / "model_card.json").is_file()
        process.stdin.write("next\n")
        process.stdin.flush()
    process.communicate()
    assert process.returncode == 0
    export(mlp(), path, overwrite=True)
    assert os.listdir(tmp_path) == ["model"]


ON_A_SMALL_DISK = """
import os, subprocess, sys, keras
from pathlib import Path
from keras_acts.errors import ExportError
from keras_acts.search import export
disk, filler = Path(sys.argv[1]), Path(sys.argv[1]) / "filler"
path = disk / "model"
model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(400), keras.layers.Dense(40)])
export(model, path)
def contents():
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
before = contents()
size = sum(map(len, before.values()))
for share in (0.0, 0.02, 0.3, 0.7, 0.95):
    with open(filler, "wb") as file:
        status = os.statvfs(disk)
        file.write(bytes(max(status.f_bavail * status.f_frsize - int(share * size), 0)))
    for options in ({}, {"versioned": True}):
        target = disk / "new" / "other" if options else path
        try:
            export(model, target, overwrite=True, **options)
        except ExportError as error:
            print("refused:", error)
        else:
            raise AssertionError(f"there cannot have been room: {share}")
        assert contents() == before
        assert sorted(os.listdir(disk)) == ["filler", "model"]
    filler.unlink()
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
try:
    export(model, path, overwrite=True)
except ExportError as error:
    print("read-only:", error)
assert contents() == before
"""


def _mounts(place):
    """Whether a disk can be mounted in a namespace of its own, which ends with the process."""
    command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs "$1"', "sh", place]
    return (
        shutil.which("unshare") is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@pytest.mark.slow
def test_full_and_read_only_disks_are_refused_and_nothing_is_lost(tmp_path):
    script, disk = tmp_path / "script.py", tmp_path / "disk"
    script.write_text(ON_A_SMALL_DISK)
    disk.mkdir()
    shell = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" "$3" "$1"'
    if not _mounts(disk):
        assert os.environ.get("KERAS_ACTS_REQUIRE_CLIENTS") != "1"
        pytest.skip("this machine lets no test mount a small disk")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", disk, sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    refused = [line for line in done.stdout.splitlines() if line.startswith("refused:")]
    assert len(refused) == 10
    assert all(
        "must be writable: No space left on device. Received: path=" in line for line in refused
    )
    assert "read-only: The export needs a writable folder" in done.stdout
