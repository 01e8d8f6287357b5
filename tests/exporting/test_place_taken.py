"""What comes to lie at an export's place while it is made stays; the finished export is kept too."""

import errno
import os
import threading

import keras
import pytest

from keras_acts.errors import ExportError
from keras_acts.search import export, load
from keras_acts.search.exporting import renaming
from keras_acts.search.exporting.atomic import check_target, staged
from keras_acts.search.exporting.renaming import rename_to_new
from tests.exporting.test_staging import exported, make
from tests.helpers.models import contents, mlp


@pytest.fixture(params=["this-system", "old-system"])
def systems(request, monkeypatch):
    """Each test runs twice: as the system renames, and as one without renameat2 does."""
    if request.param == "old-system":
        monkeypatch.setattr(renaming, "_renameat2", lambda one, other, flag: errno.ENOSYS)


def of_users(place):
    """What a user may put somewhere, each under its own name."""
    make(place / "folder", "mine")
    (place / "empty").mkdir()
    (place / "file").write_text("mine")
    (place / "link").symlink_to("nowhere")
    (place / "files" / "inside").mkdir(parents=True)
    (place / "files" / "inside" / "thesis.docx").write_text("years of work")


@pytest.mark.once
@pytest.mark.usefixtures("systems")
@pytest.mark.parametrize("name", ["folder", "empty", "file", "link", "files"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_appears_while_an_export_is_made_stays(tmp_path, name, overwrite):
    def slow():
        with staged(tmp_path / name, overwrite=overwrite) as stage:
            make(stage.folder, "the export")
            of_users(tmp_path)
            before.update(contents(tmp_path / name))
            stage.publish()

    before = {}
    with pytest.raises(ExportError, match=rf"Received: path=.*is kept in '.*{name}-2'"):
        slow()
    assert contents(tmp_path / name) == before
    assert (tmp_path / f"{name}-2" / "saved_model.pb").read_text() == "the export"
    assert check_target(tmp_path / f"{name}-2", overwrite=True)
    names = ["empty", "file", "files", "folder", "link", f"{name}-2"]
    assert sorted(os.listdir(tmp_path)) == sorted(names)


@pytest.mark.once
@pytest.mark.usefixtures("systems")
def test_an_export_that_appears_is_replaced_only_if_asked_for(tmp_path):
    def made(overwrite, text):
        with staged(tmp_path / "model", overwrite=overwrite) as stage:
            make(stage.folder, text)
            if not (tmp_path / "model").exists():
                exported(tmp_path / "model", "theirs")
            return stage.publish()

    for number in (2, 3):
        with pytest.raises(ExportError, match=rf"overwrite=True.*is kept in '.*model-{number}'"):
            made(False, f"mine {number}")
        assert (tmp_path / "model" / "saved_model.pb").read_text() == "theirs"
        kept = tmp_path / f"model-{number}" / "saved_model.pb"
        assert kept.read_text() == f"mine {number}"
    assert made(True, "mine at last") == tmp_path / "model"
    assert (tmp_path / "model" / "saved_model.pb").read_text() == "mine at last"
    assert sorted(os.listdir(tmp_path)) == ["model", "model-2", "model-3"]


@pytest.mark.once
@pytest.mark.usefixtures("systems")
def test_a_version_takes_no_place_of_an_empty_folder(tmp_path):
    with staged(tmp_path / "served", versioned=True) as stage:
        make(stage.folder, "mine")
        (tmp_path / "served" / "1").mkdir(parents=True)
        assert stage.publish().name == "2"
    assert os.listdir(tmp_path / "served" / "1") == []


@pytest.mark.once
@pytest.mark.usefixtures("systems")
def test_of_many_at_once_one_gets_the_name(tmp_path):
    places = [make(tmp_path / str(number), str(number)) for number in range(16)]
    done = []

    def rename(place):
        try:
            rename_to_new(place, tmp_path / "model")
        except FileExistsError:
            return
        done.append(place.name)

    threads = [threading.Thread(target=rename, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = done
    assert (tmp_path / "model" / "saved_model.pb").read_text() == winner
    assert len(list(tmp_path.iterdir())) == 16


@pytest.mark.once
@pytest.mark.usefixtures("systems")
def test_a_rename_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        rename_to_new(tmp_path / "nothing", tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_real_export_finds_its_place_taken(tmp_path):
    path = tmp_path / "model"

    def notes(difference):
        make(path, "a model of a colleague's")
        return {}

    with pytest.raises(ExportError, match=r"was taken while it was made.*is kept in '.*model-2'"):
        export(mlp(), path, notes=notes)
    assert (path / "saved_model.pb").read_text() == "a model of a colleague's"
    assert load(tmp_path / "model-2").predict(keras.ops.zeros((2, 4)))["output"].shape == (2, 3)
    assert sorted(os.listdir(tmp_path)) == ["model", "model-2"]


@pytest.mark.once
@pytest.mark.parametrize("path", ["/", "new/..", ".."])
def test_an_export_needs_a_name(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    for versioned in (False, True):
        with pytest.raises(ExportError, match=r"must end in the name of a folder. Received: path="):
            check_target(path, overwrite=True, versioned=versioned)
    assert os.listdir(tmp_path) == []
