"""`keras-acts compare` in a folder: it goes on there, is followed, and is no search."""

import json

import pytest

from tests.cli.test_cli import command
from tests.helpers.models import contents

# each compares, or begins where a comparison has been
pytestmark = [pytest.mark.slow, pytest.mark.once]

FEW = ["--data", "iris", "--activations", "relu,mish", "--seeds", "2", "--epochs", "1"]
FEW += ["--learning-rates", "none", "--batch-size", "64"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of a comparison that is kept, and followed; and what it said."""
    folder = tmp_path_factory.mktemp("kept")
    done = command(folder, "compare", *FEW, "--resume", "here", "--tensorboard", "logs", "--json")
    assert done.exit_code == 0, done.output
    return folder, done


def answered(done):
    """The sentence and the candidates; how long a prediction takes is another matter."""
    told = json.loads(done.stdout)
    for candidate in told["candidates"]:
        del candidate["inference_seconds"]
    return told["sentence"], told["candidates"]


def test_it_goes_on_with_its_options(kept):
    folder, first = kept
    assert "Nothing is kept in here yet: the comparison begins there" in first.stderr
    files = list((folder / "here" / "comparison" / "verdict").glob("*.npz"))
    assert len(files) == 2
    # without any option, and with the folder as the function has it
    for where in (["--resume", "here"], [*FEW, "--directory", "here"]):
        again = command(folder, "compare", *where, "--json")
        assert again.exit_code == 0, again.output
        assert "2 of 2 seeds" in again.stderr
        assert answered(again) == answered(first)
    told = command(folder, "status", "here")
    assert "a comparison of relu, mish: 2 seeds are trained" in told.stdout


def test_each_training_is_a_run_in_tensorboard(kept):
    folder, _ = kept
    for activation in ("relu", "mish"):
        assert len(list((folder / "logs" / "verdict" / activation).iterdir())) == 2


def files(folder):
    """All files below a folder; a lock that comes and goes changes the folder that it lies in."""
    return {path: entry for path, entry in contents(folder).items() if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("search --resume here/comparison", "keras-acts compare --resume goes on with this"),
        ("report here", "--report FILE writes the report of a comparison"),
        ("export here out", "keras-acts compare --resume"),
        (
            "compare --resume here --epochs 2",
            "or --restart. Expected: --epochs 1. Received: --epochs 2",
        ),
        ("compare --resume here --directory here", "give one of --resume, --directory, --restart"),
    ],
)
def test_it_is_never_another(kept, arguments, message):
    folder, _ = kept
    before = files(folder)
    done = command(folder, *arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert files(folder) == before
