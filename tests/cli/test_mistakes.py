"""What a new user gets wrong on the command line is told in a line, before TensorFlow is loaded."""

import importlib.util
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_acts.lookup import builtins
from keras_acts.notation import written_names
from keras_acts.search.exporting.folder import FILE, FORMAT
from keras_acts.specs import names
from tests.cli.test_cli import command, csv
from tests.exporting.test_staging import exported
from tests.helpers.images import write_images
from tests.helpers.models import blobs, contents

# all in one process: of each, its exit code, what it said, and whether Keras was loaded for it
ALL = """
import json, sys
from click.testing import CliRunner
from keras_acts_cli import main
for arguments in json.load(sys.stdin):
    done = CliRunner().invoke(main, arguments)
    loaded = sorted({"keras", "tensorflow"} & set(sys.modules))
    told = [done.exit_code, done.stdout, done.stderr, loaded, repr(done.exception)]
    print(json.dumps(told), flush=True)
"""

# the command, and what is said
MISTAKES = {
    # files
    "search --data nothere.csv": "--data must be a file that exists. Received: 'nothere.csv'",
    "search --data thesis.csv": "--data must be a file that exists. Received: 'thesis.csv'",
    "search --data empty.csv": "--data must not be empty",
    "search --data header.csv": "needs rows",
    "search --data binary.csv": "must be a table with text, not a zero byte in line 1",
    "search --data good.csv --drop nothere": "--drop and --column must name columns: f0, f1",
    "search --data twice.csv": "a name of its own for each column, not 'label' 2 times",
    "search --data one_class.csv": "at least two classes",
    "search --data data.xlsx": "Received: 'data.xlsx': save the sheet as .csv",
    "search --data torn.npz": "must be a .npz file of plain arrays",
    "search --data good.csv --target labl": "--target must be a column: f0, f1, f2, f3, label",
    "search --data iris --target species": "--target names a column of a table",
    "search --data irs": "Did you mean iris?",
    "search --data nowhere": "Received: 'nowhere', and there is no such folder",
    "search --data iris --directory good.csv": "Received: 'good.csv', but ",
    # folders of images
    "search --data images/cross": "with 2 images in no folder of a class",
    "search --data thesis": "--data must be a folder with a folder of images",
    "search --data one_kind": "folders of at least two classes. Received: 'one_kind' with 'cross'",
    "search --data a_gap": "Received: 'a_gap/dot' with no image, but 'notes.txt'",
    "search --data damaged": "--skip-broken leaves out the others. Received: 'damaged/ring/1.png'",
    "search --data images --test good.csv": "--test must be of the kind that --data is",
    "search --data images --image-size big": "--image-size must be HEIGHTxWIDTH in pixels",
    "search --data images --image-size 0x8": "--image-size must be HEIGHTxWIDTH in pixels",
    "search --data images --image-size 16000x16000": "--image-size 32x32 makes them 1 MiB",
    "search --data images --target cross": "--target names a column of a table",
    "search --data images --task regression": "A folder of images is of classes",
    "search --data images/ring/0.png": "one image: the data are a folder with a folder of images",
    "search --data parts": "The classes must be those that train: cross, ring. Received: 'parts/val'",
    "search --data half": "There must be a folder train beside test",
    "search --data iris --skip-broken": "--image-size and --skip-broken are of a folder of images",
    "search --data iris --test images": "--test is of files",
    "compare --activations relu,mish --data damaged": "(it is no image)",
    # activations and rates
    "search --activations misch": "Unknown activation. Did you mean mish or swish?",
    "search --activations relu,trelu(theta=": "Cannot read the activation",
    "compare --activations relu,gleu": "Did you mean glu or gelu or elu?",
    "compare --activations relu,mish --baseline rleu": "Did you mean",
    "search --learning-rates often": "--learning-rates must be auto, none, or a list",
    "search --learning-rates -0.1": "--learning-rates must be auto, none, or a list",
    "search --learning-rates 0.01;0.1": "--learning-rates must be auto, none, or a list",
    # numbers and options
    "search --trials 0": "Invalid value for '--trials': 0 is not in the range x>=1",
    "search --trials many": "Invalid value for '--trials'",
    "search --seed -1": "Invalid value for '--seed'",
    "search --epochs 1.5": "Invalid value for '--epochs'",
    "search --max-seconds abc": "'abc' is not a valid float",
    "search --epochs 0": "Invalid value for '--epochs': 0 is not in the range x>=1",
    "search --batch-size 1e3": "Invalid value for '--batch-size'",
    "compare --activations relu,mish --seeds 1": "Invalid value for '--seeds'",
    "compare --activations relu,mish --looks 0": "Invalid value for '--looks'",
    "search --max-seconds 0": "Invalid value for '--max-seconds'",
    "search --trails 3": "No such option",
    "search --validation-split 2": "No such option",
    "search --objective nonsense": "No such option",
    "search --gpu 1": "No such option",
    "search --strategy bayes": "'bayes' is not one of 'auto', 'race', 'random'",
    "search iris": "Got unexpected extra argument (iris)",
    "search --unit EUR --data iris": "--unit is of a target of numbers",
    "serach": "No such command 'serach'",
    # models
    "search --model nothere.keras": "--model must be a .keras file that exists",
    "search --model old.h5": "keras.models.load_model('old.h5').save('old.keras')",
    "search --model export": "which is a SavedModel: a graph, whose layers nobody can exchange",
    "search --model thesis": "Received: 'thesis', which is a folder",
    "search --model torn.keras": "--model must be a .keras file that Keras can load",
    "search --model renamed.keras": "without config.json, metadata.json",
    "search --model cmn": "Did you mean cnn?",
    "search --model cnn --data iris": "The cnn needs images",
    "export nothere.keras out": "MODEL must be a .keras file that exists",
    "export old.h5 out": "MODEL must be a .keras file: Keras makes one of it by",
    "export whole.keras out --formats tflite": "--formats must be a list of some of",
    # places
    "search --out thesis": "--overwrite replaces an export that is there, --out names another",
    "search --out thesis --overwrite": "must not replace anything but a SavedModel",
    "search --out good.csv --overwrite": "must not replace anything but a SavedModel",
    "search --out good.csv/model": "needs a writable folder",
    "search --directory good.csv": "--directory must be a folder that can be written",
    "search --directory good.csv/kept": "--directory must be a folder that can be written",
    "search --resume good.csv": "Invalid value for '--resume'",
    "search --resume kept --directory kept": "give one of --resume, --directory, --restart",
    "search --restart": "--restart is of what is kept. Received: no --directory",
    "compare --activations relu,mish --csv no/where.csv": "--csv must lie in a folder that exists",
    "compare --activations relu,mish --report good.csv --data good.csv": "--report must be another",
    "compare --activations relu,mish --directory good.csv": "--directory must be a folder that can",
    "compare --activations relu,mish --restart": "--restart is of what is kept",
    "compare --activations relu,mish --tensorboard good.csv": "Invalid value for '--tensorboard'",
    "search --tensorboard good.csv/logs": "--tensorboard must be a folder that can be written",
    "compare": "Missing option '--activations'",
    "status thesis": "The folder must hold a kept search. Received: 'thesis'",
    # predictions
    "predict thesis good.csv": "The path must be a folder with an export",
    "predict nothere good.csv": "The path must be a folder with an export",
    "predict export nothere.csv": "The data must be a file that exists",
    "predict export narrow.csv": "A row must have 4 values. Received: 2 in 'narrow.csv'",
    "predict named narrow.csv": "without ['c', 'd']",
    "predict export holes.csv": "--allow-nan predicts rows with gaps too",
    "predict export images": "give their values as an array x in a .npz",
    "predict export images/ring/7.png": "must be a file that exists. Received: 'images/ring/7.png'",
    "report thesis": "FOLDER must keep a search, or hold an export. Received: 'thesis'",
    "report nothere": "FOLDER must keep a search, or hold an export. Received: 'nothere'",
    "slots nothere.keras": "MODEL must be a .keras file that exists",
    "slots good.csv": "MODEL must be a .keras file. Received: 'good.csv'",
    "show misch": "Did you mean mish or swish?",
    "show mish --out mish.doc": "--out must be a file of one of .svg, .png, .pdf",
    "predict export good.csv --out no/where.csv": "--out must lie in a folder that exists",
}
# where these are not installed
for library, called in (("mlflow", "MLflow"), ("wandb", "W&B")):
    if importlib.util.find_spec(library) is None:
        needed = f'--{library} needs {called}: pip install "keras-acts[{library}]"'
        MISTAKES[f"search --{library} mine"] = needed
# of a model that takes four numbers
SPEC = {"dtype": "float32", "shape": [None, 4]}
SIGNATURE = {"inputs": {"input": SPEC}, "outputs": {"output": {**SPEC, "shape": [None, 1]}}}
CARD = {"format": FORMAT, "signatures": {"serving_default": SIGNATURE}}


def write_files(place):
    """The files that the mistakes are made with."""
    x, y = blobs(30)
    csv(place / "good.csv", x, y)
    csv(place / "one_class.csv", x, np.zeros(30, int))
    (place / "empty.csv").write_text("")
    (place / "header.csv").write_text("a,b\n")
    (place / "binary.csv").write_bytes(bytes(range(256)) * 8)
    (place / "twice.csv").write_text("label,a,label\n0,1.5,0\n1,2.5,1\n0,3.5,0\n")
    (place / "narrow.csv").write_text("a,b\n1,2\n")
    (place / "holes.csv").write_text("a,b,c,d\n1,,2,3\n")
    (place / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    (place / "torn.keras").write_text("no zip")
    (place / "old.h5").write_bytes(b"\x89HDF\r\n")
    with zipfile.ZipFile(place / "renamed.keras", "w") as archive:
        archive.writestr("weights", "")
    with zipfile.ZipFile(place / "whole.keras", "w") as archive:
        for name in ("config.json", "metadata.json"):
            archive.writestr(name, "{}")
    (place / "thesis").mkdir()
    write_images(place / "images", 2, classes=("cross", "ring"))
    write_images(place / "one_kind", 2, classes=("cross",))
    write_images(place / "a_gap", 2, classes=("cross", "ring"))
    (place / "a_gap" / "dot").mkdir()
    (place / "a_gap" / "dot" / "notes.txt").write_text("mine")
    write_images(place / "damaged", 2, classes=("cross", "ring"))
    (place / "damaged" / "ring" / "1.png").write_text("none")
    write_images(place / "parts" / "train", 2, classes=("cross", "ring"))
    write_images(place / "parts" / "val", 2, classes=("cross", "stripe"))
    write_images(place / "half" / "test", 2, classes=("cross", "ring"))
    (place / "thesis.csv").mkdir()
    for name, card in (("export", CARD), ("named", {**CARD, "features": ["a", "b", "c", "d"]})):
        exported(place / name, "theirs")
        (place / name / FILE).parent.mkdir()
        (place / name / FILE).write_text(json.dumps(card))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("mistakes")
    write_files(place)
    return place


@pytest.fixture(scope="module")
def answers(folder):
    """Of each mistake, what the command said: made in one process, which has no TensorFlow."""
    before = contents(folder)
    arguments = [mistake.split() for mistake in MISTAKES]
    done = subprocess.run(
        [sys.executable, "-c", ALL],
        input=json.dumps(arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert contents(folder) == before
    told = map(json.loads, done.stdout.splitlines())
    return dict(zip(MISTAKES, told, strict=True))


@pytest.mark.once
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_a_line_before_keras_is_loaded(answers, mistake):
    exit_code, stdout, stderr, loaded, exception = answers[mistake]
    assert (exit_code, stdout, loaded) == (2, "", []), (stderr, exception)
    *hint, line = stderr.rstrip().splitlines()
    assert line.startswith("Error: ")
    assert MISTAKES[mistake] in line
    # click's hint, where it is about how the command is written
    assert all(text.startswith(("Usage: ", "Try ")) or not text for text in hint)
    for words in ("Traceback", "overwrite=", "allow_nan=", "path="):
        assert words not in stderr


def test_the_names_are_those_that_keras_and_we_have():
    assert written_names() == (*names(), *builtins())


def test_names_that_cannot_be_read_are_left_to_keras(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert written_names() == ()
    done = command(tmp_path, "search", "--activations", "misch")
    assert done.exit_code == 2
    assert "Did you mean mish or swish?" in done.stderr


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "most"),
    [(["--help"], 200), (["search", "--help"], 200), (["search", "--data", "nothere.csv"], 600)],
)
def test_few_modules_are_imported_for_it(tmp_path, arguments, most):
    command = [sys.executable, "-X", "importtime", "-m", "keras_acts_cli", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert not {"keras", "tensorflow", "sklearn", "keras_tuner"} & imported
    assert len(imported) < most


@pytest.mark.once
@pytest.mark.slow
def test_what_was_checked_early_is_of_the_same_classes_later(tmp_path):
    code = """
from click.testing import CliRunner
from keras_acts_cli import deferred, main
done = CliRunner().invoke(main, ["search", "--data", "nothere.csv"])
assert done.exit_code == 2, done.output
early = __import__("sys").modules["keras_acts.errors"].DataError
deferred.defer()
from keras_acts.search.exporting.folder import read_card
deferred.run()
import keras_acts
from keras_acts.search import load, slots
from keras_acts.search.exporting import load as loading, folder
assert keras_acts.errors.DataError is early and keras_acts.KerasActsError in early.__mro__
assert folder.read_card is read_card is loading.read_card
assert keras_acts.search.slots is slots
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
