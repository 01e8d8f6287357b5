"""A file of a kept search that is missing or damaged: one line that names it, and nothing restarts."""

import json
import shutil

import pytest

from keras_acts.errors import SearchError
from keras_acts.search import ActivationSpace, search_activations
from keras_acts.search.race.per_group import PerGroupSearch
from tests.helpers.models import blobs, eager, mlp

# which file is named, and that nothing trains again; tests/tuner/test_checkpoints.py writes and reads
# them at any version
pytestmark = pytest.mark.once

X, Y = blobs(60)


def searched(folder, strategy, **options):
    arguments = {
        "activations": ["mish"],
        "strategy": strategy,
        "trials": 2,
        "epochs": 1,
        "verdict": 0,
        "verbose": 0,
        "learning_rates": None,
        **options,
    }
    return search_activations(eager(mlp()), X, Y, directory=folder, **arguments)


def table(found):
    return [(str(t.candidate), t.score, t.status) for t in found.trials]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A search of each kind in its folder, with its table."""
    folders = {}
    for strategy in ("race", "random"):
        folder = tmp_path_factory.mktemp(strategy)
        folders[strategy] = folder, table(searched(folder, strategy))
    return folders


def emptied(file):
    file.write_bytes(b"")


def halved(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def deleted(file):
    file.unlink()


def flipped(file):
    """One bit of a digit in the middle is another: what was a number still is one."""
    content = bytearray(file.read_bytes())
    places = [place for place, byte in enumerate(content) if chr(byte) in "0246"]
    content[places[len(places) // 2]] ^= 1
    file.write_bytes(bytes(content))


def replaced(text):
    def damage(file):
        file.write_text(text)

    damage.__name__ = f"replaced by {text}"
    return damage


DAMAGES = [
    flipped,
    deleted,
    pytest.param(emptied, marks=pytest.mark.slow),
    pytest.param(halved, marks=pytest.mark.slow),
    pytest.param(replaced("null"), marks=pytest.mark.slow),
    pytest.param(replaced("5"), marks=pytest.mark.slow),
    pytest.param(replaced("[1]"), marks=pytest.mark.slow),
    pytest.param(replaced("{}"), marks=pytest.mark.slow),
    pytest.param(replaced('"a"'), marks=pytest.mark.slow),
]
FILES = {
    "random": ["keras_acts.json", "oracle.json", "tuner0.json", "trial_0/trial.json"],
    "race": ["keras_acts.json", "race.json"],
}
# what holds nothing that is needed, or is known from the rest
HARMLESS = {("tuner0.json", "deleted"), ("tuner0.json", "replaced by {}")}
# these rungs train again, to the same scores, and a line says so
RETRAINED = {("race.json", "deleted"), ("race.json", "halved"), ("race.json", "flipped")}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(
    ("strategy", "name"), [(strategy, name) for strategy in FILES for name in FILES[strategy]]
)
def test_a_damaged_file_is_named(kept, tmp_path, capsys, strategy, name, damage):
    folder, before = kept[strategy]
    shutil.copytree(folder, tmp_path / "copy")
    file = tmp_path / "copy" / "activations" / name
    if (name, damage.__name__) == ("tuner0.json", "flipped"):
        file.write_text(file.read_text().replace('checksum": "', 'checksum": "0'))
    else:
        damage(file)
    left = file.read_bytes() if file.exists() else None
    case = (name, damage.__name__)
    if case in HARMLESS | RETRAINED:
        assert table(searched(tmp_path / "copy", strategy, verbose=1)) == before
        if case in RETRAINED:
            said = capsys.readouterr().err.replace("\n", "")
            assert f"{name} is missing" in said or f"{name} is damaged from round" in said
        return
    with pytest.raises(SearchError) as raised:
        searched(tmp_path / "copy", strategy)
    message = str(raised.value)
    assert "\n" not in message
    assert str(file) in message
    assert "overwrite=True" in message
    # what is left can still be looked at, or mended
    assert (file.read_bytes() if file.exists() else None) == left


def test_files_without_a_checksum_are_read_as_kerastuner_wrote_them(kept, tmp_path):
    folder, before = kept["random"]
    shutil.copytree(folder, tmp_path / "copy")
    files = [*(tmp_path / "copy").rglob("trial.json"), *(tmp_path / "copy").rglob("oracle.json")]
    for file in files:
        state = json.loads(file.read_text())
        del state["checksum"]
        file.write_text(json.dumps(state))
    assert table(searched(tmp_path / "copy", "random")) == before


@pytest.mark.parametrize(
    "damage", [deleted, flipped, pytest.param(emptied, marks=pytest.mark.slow)]
)
def test_with_a_damaged_checkpoint_the_table_is_returned(kept, tmp_path, damage):
    folder, before = kept["random"]
    shutil.copytree(folder, tmp_path / "copy")
    best = searched(tmp_path / "copy", "random").best
    for file in (tmp_path / "copy").rglob("checkpoint.weights.h5"):
        damage(file)
    found = searched(tmp_path / "copy", "random")
    assert table(found) == before
    assert found.best == best
    assert found.model is None
    assert "checkpoint.weights.h5" in found.errors["model"]
    assert "What failed besides: model: " in str(found)


@pytest.mark.parametrize("name", ["changes-0123abcd.json", "final-0123abcd.json"])
def test_a_damaged_file_of_a_later_stage_is_named_before_anything_trains(tmp_path, name):
    (tmp_path / name).write_text("")
    fit = {"x": X, "y": Y, "validation_split": 0.2}
    options = {"trials": 4, "epochs": 2, "total": 60, "project": tmp_path, "verbose": 0}
    space = ActivationSpace(["mish"], per="layer").with_baseline("relu")
    with pytest.raises(SearchError, match=f"{name}: it is empty"):
        PerGroupSearch(mlp(), space, "val_loss", fit, **options)
