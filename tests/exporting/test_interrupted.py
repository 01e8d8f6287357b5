"""Ctrl-C and SIGTERM while an export takes its place: neither the old one nor the new one is lost."""

import errno
import os

import pytest

from keras_acts.search.exporting import atomic, renaming
from keras_acts.search.exporting.atomic import check_target
from tests.exporting.test_staging import put


def on_old_system(monkeypatch):
    """As on macOS, Windows and network drives: folders cannot be swapped."""
    monkeypatch.setattr(renaming, "_renameat2", lambda one, other, flag: errno.ENOSYS)


def interrupt(*_):
    raise KeyboardInterrupt


def interrupting(monkeypatch, module, name, when, *, after=False):
    """Have a function be interrupted before, or after, the first call of which `when` says so."""
    function = getattr(module, name)

    def interrupted(*args):
        is_it = when(*args)
        if is_it:
            monkeypatch.setattr(module, name, function)
        if is_it and not after:
            raise KeyboardInterrupt
        result = function(*args)
        if is_it:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(module, name, interrupted)


def at(step, monkeypatch, target):
    """Have the replacement of an export be interrupted at a step."""
    if step == "check of what is there":
        interrupting(monkeypatch, atomic, "check_replaceable", lambda path, _: path == target)
    if step == "check of what was moved":
        interrupting(monkeypatch, atomic, "check_replaceable", lambda path, _: path != target)
    if step == "what is there is moved":
        interrupting(monkeypatch, os, "rename", lambda one, _: one == target, after=True)
    if step == "the place is free":
        interrupting(monkeypatch, atomic, "rename_to_new", lambda *_: not target.exists())
    if step == "the place is claimed":
        # by an empty folder, to which the export is renamed
        interrupting(monkeypatch, os, "rename", lambda one, other: other == target)


def check_both_kept(target, error):
    """Check that the old export is in its place, and the new one beside it."""
    beside = target.with_name(f"{target.name}-2")
    assert sorted(os.listdir(target.parent)) == [target.name, beside.name]
    assert (target / "saved_model.pb").read_text() == "old"
    assert (beside / "saved_model.pb").read_text() == "new"
    assert error.__notes__ == [f"The finished export is kept in {str(beside)!r}."]
    # both are exports as any other
    check_target(target, overwrite=True)
    check_target(beside, overwrite=True)


@pytest.mark.once
@pytest.mark.parametrize("step", ["check of what is there", "check of what was moved"])
def test_an_interrupted_swap_keeps_both_exports(tmp_path, monkeypatch, step):
    target = tmp_path / "model"
    put(target, "old")
    with monkeypatch.context() as patched:
        at(step, patched, target)
        with pytest.raises(KeyboardInterrupt) as error:
            put(target, "new")
    check_both_kept(target, error.value)


@pytest.mark.once
@pytest.mark.parametrize(
    "step",
    [
        "check of what is there",
        "what is there is moved",
        "check of what was moved",
        "the place is free",
    ],
)
def test_an_interrupted_replacement_in_two_steps_keeps_both_exports(tmp_path, monkeypatch, step):
    target = tmp_path / "model"
    put(target, "old")
    with monkeypatch.context() as patched:
        on_old_system(patched)
        at(step, patched, target)
        with pytest.raises(KeyboardInterrupt) as error:
            put(target, "new")
    check_both_kept(target, error.value)


@pytest.mark.once
def test_an_interrupted_first_export_leaves_no_empty_folder(tmp_path, monkeypatch):
    target = tmp_path / "model"
    with monkeypatch.context() as patched:
        on_old_system(patched)
        at("the place is claimed", patched, target)
        with pytest.raises(KeyboardInterrupt) as error:
            put(target, "new")
    assert os.listdir(tmp_path) == ["model-2"]
    assert "model-2" in error.value.__notes__[0]


@pytest.mark.once
def test_an_interrupt_after_the_last_step_leaves_the_new_export_alone(tmp_path, monkeypatch):
    target = tmp_path / "model"
    put(target, "old")

    def is_last(new, place):
        return place == target and not target.exists()

    with monkeypatch.context() as patched:
        on_old_system(patched)
        interrupting(patched, atomic, "rename_to_new", is_last, after=True)
        with pytest.raises(KeyboardInterrupt):
            put(target, "new")
    assert os.listdir(tmp_path) == ["model"]
    assert (target / "saved_model.pb").read_text() == "new"


@pytest.mark.once
def test_a_second_interrupt_does_not_lose_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "model"
    put(target, "old")
    with monkeypatch.context() as patched:
        on_old_system(patched)
        at("check of what was moved", patched, target)
        # while the first one is answered
        patched.setattr(atomic, "_put_back", interrupt)
        patched.setattr(atomic, "_keep_beside", interrupt)
        with pytest.raises(KeyboardInterrupt):
            put(target, "new")
    assert os.listdir(tmp_path) == ["model"]
    assert (target / "saved_model.pb").read_text() == "old"
