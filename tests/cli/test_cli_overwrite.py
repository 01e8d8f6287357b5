"""`keras-acts search` replaces neither an export nor a search unasked, and says so at once."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from keras_acts_cli import data as datasets
from keras_acts_cli.places import early_place, place_of
from tests.cli.test_cli import IRIS, command, run
from tests.exporting.test_staging import exported
from tests.helpers.models import blobs, contents

# what is asked of the command line and what it says; tests/cli/test_cli.py searches and exports
# at any version
pytestmark = pytest.mark.once

AT_ONCE = """
import sys
from keras_acts_cli import main
try:
    main(sys.argv[1:])
finally:
    print("TensorFlow" if "tensorflow" in sys.modules else "at once")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--out", "saved_models/digits-cnn"],
        ["--out", "thesis"],
        ["--data", "my.csv", "--target", "price", "--model", "mine.keras"],
        ["--data", "iris"],
    ],
)
def test_a_place_that_is_taken_is_refused_before_tensorflow_is_loaded(tmp_path, arguments):
    for name in ("digits-cnn", "my-mine", "iris-mlp"):
        exported(tmp_path / "saved_models" / name, "theirs")
    (tmp_path / "thesis").mkdir()
    before = contents(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE, "search", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "at once\n")
    (line,) = done.stderr.splitlines()
    assert "--overwrite replaces an export that is there, --out names another place" in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", datasets.BUNDLED)
@pytest.mark.parametrize("model", [None, "cnn", "mlp", "folder/mine.keras"])
def test_the_place_is_the_same_before_and_after_the_data_are_read(name, model):
    dataset = datasets.load(name)
    late = place_of(None, model, dataset)
    assert early_place(name, model) == late


def test_only_an_npz_must_be_read_for_its_place(tmp_path):
    x, y = blobs(30)
    np.savez(tmp_path / "some.npz", x=x, y=y)
    (tmp_path / "some.csv").write_text("a,b\n" + "1,0\n2,1\n" * 10)
    for kind in ("csv", "npz"):
        source = str(tmp_path / f"some.{kind}")
        dataset = datasets.load(source)
        for model in (None, "cnn"):
            late = place_of(None, model, dataset)
            early = early_place(source, model)
            assert early == late or (early is None and kind == "npz" and model is None)


def test_an_npz_whose_place_is_taken_is_refused_before_the_training(tmp_path):
    x, y = blobs(30)
    np.savez(tmp_path / "some.npz", x=x, y=y)
    exported(tmp_path / "saved_models" / "some-mlp", "theirs")
    before = contents(tmp_path)
    done = run(tmp_path, "--data", "some.npz", "--quiet")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "The export's place is taken; --overwrite replaces it" in done.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("out", ["", ".", "..", "/", "new/..", "saved_models/../..", "a\\b", "x*"])
@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_a_place_that_is_no_name_is_refused(tmp_path, out, options):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    before = contents(tmp_path)
    done = run(tmp_path / "folder", "--data", "iris", "--quiet", "--out", out, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Received: " in done.stderr
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_an_export_and_a_search_are_replaced_only_if_asked_for(tmp_path):
    options = [*IRIS, "2", "--directory", "project", "--out", "here"]
    assert run(tmp_path, *options).exit_code == 0
    # the export only; the search goes on, here with one more trial
    more = json.loads(run(tmp_path, *IRIS, "3", *options[-4:], "--overwrite").stdout)
    assert [trial["seconds"] is None for trial in more["trials"]].count(True) == 2
    # other settings are another search
    before = contents(tmp_path)
    other = ["--batch-size", "8", "--overwrite"]
    done = run(tmp_path, *options, *other)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "use another directory or --restart" in done.stderr
    assert contents(tmp_path / "here") == {
        path: entry for path, entry in before.items() if (tmp_path / "here") in path.parents
    }
    done = run(tmp_path, *options, *other, "--restart")
    assert len(json.loads(done.stdout)["trials"]) == 2
    # files of the user's are named before the training
    (tmp_path / "here" / "notes.txt").write_text("mine")
    (tmp_path / "project" / "activations" / "notes.txt").write_text("mine")
    done = run(tmp_path, *options, "--overwrite", "--restart")
    assert "files of yours: move them elsewhere" in done.stderr
    os.remove(tmp_path / "here" / "notes.txt")
    done = run(tmp_path, *options, "--overwrite", "--restart")
    assert "--restart deletes only the files of a search" in done.stderr
    assert "notes.txt" in done.stderr


@pytest.mark.slow
def test_an_export_says_its_option_too(tmp_path):
    from tests.helpers.models import mlp

    mlp().save(tmp_path / "mine.keras")
    assert command(tmp_path, "export", "mine.keras", "here").exit_code == 0
    done = command(tmp_path, "export", "mine.keras", "here")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--overwrite replaces it" in done.stderr
    assert command(tmp_path, "export", "mine.keras", "here", "--overwrite").exit_code == 0
