"""Only what an export or a search wrote is ever deleted."""

import hashlib
import json
from pathlib import Path

import pytest

from keras_acts.errors import ExportError, SearchError
from keras_acts.search import ActivationTuner, search_activations
from keras_acts.search.exporting import atomic
from keras_acts.search.exporting.atomic import check_target, staged
from keras_acts.search.runtime.ownership import (
    MARKER,
    check_project_name,
    check_replaceable,
    clear_project,
)
from tests.exporting.test_staging import make, put
from tests.helpers.models import blobs, contents, mlp


@pytest.mark.once
@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/..", "a/../../x", "/tmp/x", "a\0b", None, 3]
)
def test_a_project_lies_inside_its_directory(name):
    for nested in (False, True):
        with pytest.raises(
            SearchError, match=r"project_name must be a plain name. Received: project_name="
        ):
            check_project_name(name, nested=nested)


@pytest.mark.once
def test_kerastuner_may_have_a_path_for_a_name():
    for name in ("a", "größe", "a b", "...", ".hidden", "a.."):
        check_project_name(name)
    for name in ("a/b", "a/", "./a"):
        check_project_name(name, nested=True)
        with pytest.raises(SearchError, match="plain name"):
            check_project_name(name)


@pytest.fixture
def users(tmp_path):
    """The user's files, beside the folder of searches and in it; and what is there."""
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "searches" / "notes").mkdir(parents=True)
    (tmp_path / "searches" / "notes" / "mine.txt").write_text("more work")
    (tmp_path / "searches" / "empty").mkdir()
    return tmp_path, contents(tmp_path)


@pytest.mark.parametrize("name", ["..", "", ".", "../searches", "notes", "../thesis.txt"])
def test_overwrite_deletes_nothing_of_the_users(users, name):
    folder, before = users
    x, y = blobs()
    options = {"directory": folder / "searches", "project_name": name, "overwrite": True}
    with pytest.raises(SearchError, match="Received"):
        search_activations(
            mlp(), x, y, trials=1, epochs=1, verbose=0, **options, learning_rates=None
        )
    with pytest.raises(SearchError, match="Received"):
        ActivationTuner(mlp(), activations=["relu"], **options)
    assert contents(folder) == before


def test_only_local_files_are_deleted():
    with pytest.raises(SearchError, match=r"local disks only. Received: directory='gs://bucket'"):
        ActivationTuner(mlp(), activations=["relu"], directory="gs://bucket", overwrite=True)


def test_overwrite_deletes_a_search_and_nothing_that_came_later(tmp_path):
    x, y = blobs()
    project = tmp_path / "mine"
    options = {"activations": ["relu", "mish"], "directory": tmp_path, "project_name": "mine"}
    first = ActivationTuner(mlp(), "val_loss", 2, **options)
    first.search(x, y, epochs=1, validation_split=0.2, verbose=0)
    assert len(first.oracle.trials) == 2
    for place in (project, next(project.glob("trial_*"))):
        (place / "notes.txt").write_text("mine")
        before = contents(tmp_path)
        with pytest.raises(SearchError, match=r"move yours elsewhere.*notes\.txt"):
            ActivationTuner(mlp(), "val_loss", 2, overwrite=True, **options)
        assert contents(tmp_path) == before
        (place / "notes.txt").unlink()
    again = ActivationTuner(mlp(), "val_loss", 2, overwrite=True, **options)
    assert again.oracle.trials == {}
    assert not list(project.glob("trial_*"))


@pytest.mark.once
def test_the_files_of_races_are_a_searchs(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    for name in (
        "keras_acts.json",
        "race.json",
        "race.partial",
        "changes-0123abcd.json",
        "final-0123abcd.json",
        "keras_acts_command.json",
        "keras_acts_command.json.partial",
        # of a verdict that was killed while seeds trained
        "verdict/0123abcd-17.npz",
        "verdict/0123abcd-18.training.npz",
        "verdict/0123abcd-18.training.npz.partial",
        # of a process that was killed while it looked for room
        "trial_0/checkpoint.weights.h5.partial",
        "trial_0/checkpoint.partial.weights.h5.partial",
    ):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("{}")
    clear_project(project)
    assert list(tmp_path.iterdir()) == []
    clear_project(project)  # there is none: nothing to do


@pytest.mark.once
@pytest.mark.parametrize(
    "name", ["trial_notes.txt", "tuner_notes.json", "trial_0/checkpoint-mine.h5", "oracle.json/a"]
)
def test_files_that_are_called_almost_like_a_searchs_are_the_users(tmp_path, name):
    (tmp_path / "trial_0").mkdir()
    (tmp_path / "trial_0" / "trial.json").write_text("{}")
    (tmp_path / "keras_acts.json").write_text("{}")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(SearchError, match="move yours elsewhere"):
        clear_project(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.once
@pytest.mark.parametrize(
    "name", ["notes.txt", ".env", "assets/notes.txt", "variables/deep/er.txt", "empty folder/"]
)
def test_an_export_replaces_nothing_of_the_users(tmp_path, name):
    path = put(tmp_path / "model", "first")
    mine = path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("/"):
        mine.mkdir()
    else:
        mine.write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(ExportError, match=rf"files of yours.*{name.rstrip('/')}"):
        check_target(path, overwrite=True)
    with pytest.raises(ExportError, match=r"files of yours.*is kept in '.*model-2'"):
        put(path, "second")
    assert contents(path) == {p: entry for p, entry in before.items() if p != path}
    assert (tmp_path / "model-2" / "saved_model.pb").read_text() == "second"


@pytest.mark.once
def test_a_savedmodel_that_no_export_wrote_is_not_replaced(tmp_path):
    path = make(tmp_path / "model", "by another program")
    with pytest.raises(ExportError, match=rf"no {MARKER}.*delete it yourself"):
        check_target(path, overwrite=True)
    (path / MARKER).write_text("torn")
    with pytest.raises(ExportError, match="delete it yourself"):
        check_target(path, overwrite=True)
    (tmp_path / "link").symlink_to(put(tmp_path / "other", "ours"))
    with pytest.raises(ExportError, match="anything but a SavedModel"):
        check_target(tmp_path / "link", overwrite=True)


@pytest.mark.once
@pytest.mark.parametrize("swaps", [True, False])
def test_what_comes_while_an_export_is_made_is_kept(tmp_path, monkeypatch, swaps):
    path = put(tmp_path / "model", "first")

    def slow():
        with staged(path) as stage:
            make(stage.folder, "second")
            (path / "notes.txt").write_text("mine")
            stage.publish()

    with pytest.raises(ExportError, match=r"notes\.txt"):
        slow()
    assert sorted(p.name for p in path.iterdir()) == [MARKER, "notes.txt", "saved_model.pb"]
    assert (tmp_path / "model-2" / "saved_model.pb").read_text() == "second"
    (path / "notes.txt").unlink()

    # and in the very last moment
    replaceable, late = check_replaceable, iter(["notes.txt"])

    def checked(folder, given):
        replaceable(folder, given)
        for name in late:
            (folder / name).write_text("mine")

    monkeypatch.setattr(atomic, "check_replaceable", checked)
    if not swaps:
        monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    with pytest.raises(ExportError, match=r"notes\.txt"):
        put(path, "third")
    assert (path / "saved_model.pb").read_text() == "first"
    assert (path / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model-2", "model-3"]
    assert (tmp_path / "model-3" / "saved_model.pb").read_text() == "third"


@pytest.mark.once
def test_the_marker_lists_the_files(tmp_path):
    path = put(tmp_path / "model", "first")
    files = json.loads((path / MARKER).read_text())["files"]
    assert files == {MARKER: None, "saved_model.pb": hashlib.sha256(b"first").hexdigest()}


@pytest.mark.once
@pytest.mark.parametrize("link", [False, True])
def test_an_own_file_in_the_place_of_one_of_the_exports_is_the_users(tmp_path, link):
    path = put(tmp_path / "model", "first")
    if link:
        (tmp_path / "mine").write_text("mine")
        (path / "saved_model.pb").unlink()
        (path / "saved_model.pb").symlink_to(tmp_path / "mine")
    else:
        (path / "saved_model.pb").write_text("my own report")
    before = contents(tmp_path)
    with pytest.raises(
        ExportError, match=r"changed since it was written.*another \['saved_model\.pb'\]"
    ):
        check_target(path, overwrite=True)
    assert contents(tmp_path).keys() == before.keys()
    (path / "saved_model.pb").unlink()
    (path / "saved_model.pb").write_text("first")  # as it was
    put(path, "second")
    assert (path / "saved_model.pb").read_text() == "second"


@pytest.mark.once
def test_an_export_of_an_older_version_lists_names_only(tmp_path):
    path = put(tmp_path / "model", "first")
    (path / MARKER).write_text(json.dumps({"files": [MARKER, "saved_model.pb"]}))
    check_target(path, overwrite=True)
    for broken in (
        '{"files": 5}',
        "[1]",
        "null",
        "[" * 100_000,
        '{"files": {"saved_model.pb": 3}}',
    ):
        (path / MARKER).write_text(broken)
        with pytest.raises(ExportError, match=r"must not replace.*Received: path="):
            check_target(path, overwrite=True)


def test_the_committed_example_can_be_made_anew():
    check_replaceable(
        Path(__file__).parents[2] / "saved_models" / "example", "saved_models/example"
    )
