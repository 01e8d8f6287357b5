"""`keras-acts report` and `export` of a search that is kept: nothing is searched again."""

import json
import shutil

import pytest

from tests.cli.test_cli import command
from tests.helpers.models import contents

# each searches, or begins where a search has been
pytestmark = pytest.mark.slow

SEARCH = ["--data", "iris", "--activations", "relu,mish", "--trials", "2", "--epochs", "2"]
SEARCH += ["--verdict", "0", "--learning-rates", "none", "--batch-size", "64"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A race that is over, in the folder `kept`, and its export."""
    folder = tmp_path_factory.mktemp("kept")
    done = command(folder, "search", *SEARCH, "--resume", "kept", "--json")
    assert done.exit_code == 0, done.output
    return folder, json.loads(done.stdout)


@pytest.fixture
def at(kept, tmp_path):
    folder, _ = kept
    shutil.copytree(folder / "kept", tmp_path / "kept")
    return tmp_path


def test_the_export_of_a_kept_search_is_the_one_it_made(at, kept):
    folder, first = kept
    done = command(at, "export", "kept", "best", "--json", "--formats", "keras")
    assert done.exit_code == 0, done.output
    again = json.loads(done.stdout)
    assert again["best"] == first["best"]
    for one, other in zip(again["trials"], first["trials"], strict=True):
        # how long it took is another matter
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert (at / "best" / "model.keras").is_file()
    ours, theirs = (
        json.loads((place / "assets" / "model_card.json").read_text(encoding="utf-8"))
        for place in (at / "best", folder / "saved_models" / "iris-mlp")
    )
    assert ours["activations"] == theirs["activations"]
    assert ours["class_names"] == ["setosa", "versicolor", "virginica"]


def test_the_report_is_written_anew(at):
    done = command(at, "report", "kept")
    assert done.exit_code == 0, done.output
    page = (at / "report.html").read_text(encoding="utf-8")
    assert "keras-acts search --data iris" in page
    assert "keras-acts report" not in page


def test_what_is_not_over_is_refused(at):
    journal = at / "kept" / "activations" / "race.json"
    rungs = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(rungs[:-1]), encoding="utf-8")
    before = contents(at)
    for arguments in (["report", "kept"], ["export", "kept", "best"]):
        done = command(at, *arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "keras-acts search --resume kept/activations goes on with it" in done.stderr
        assert contents(at) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("export kept best --classes a,b,c", "--classes is of a .keras file"),
        ("export kept best --normalize my.csv", "--normalize is of a .keras file"),
        ("export kept kept", "must not replace anything but a SavedModel. Received: OUT 'kept'"),
        ("export kept best --formats tflite", "--formats must be a list of some of"),
        ("report kept --out no/report.html", "--out must lie in a folder that exists"),
        ("report kept --out kept", "is a directory"),
        ("report nothere", "FOLDER must keep a search, or hold an export. Received: 'nothere'"),
    ],
)
def test_bad_input_is_one_line(at, arguments, message):
    before = contents(at)
    done = command(at, *arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert contents(at) == before


def test_a_search_without_its_command_is_refused(at):
    (at / "kept" / "activations" / "keras_acts_command.json").unlink()
    done = command(at, "report", "kept")
    assert done.exit_code == 2
    assert "Only a search of this command can be gone through again" in done.stderr
