"""Files of data that are made to mislead: one line that names file, rule and value."""

import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_acts.errors import DataError
from keras_acts_cli import npz
from keras_acts_cli.files import read_inputs, read_npz
from keras_acts_cli.tables.labelled import AS_FOUND, read_labelled
from tests.cli.test_cli import command, run
from tests.helpers.hostile import examples

pytestmark = pytest.mark.once

HEADER = "{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"


def array(shape="(3, 2)", dtype="<f8", data=bytes(48), version=(1, 0), length=None):
    """The bytes of an array file that says what it likes."""
    header = HEADER.format(dtype=dtype, shape=shape).encode() + b"\n"
    kind = "<H" if version == (1, 0) else "<I"
    written = struct.pack(kind, len(header) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + written + header + data


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


class _Code:
    def __reduce__(self):
        return os.mkdir, ("pickle-was-run",)


def objects():
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([_Code()] * 3, object), allow_pickle=True)
    return file.getvalue()


GOOD = ("y.npy", array("(3,)", "<i8", bytes(24)))
HOSTILE = {
    "a huge header": (array(version=(2, 0), length=2**32 - 1), "header of at most 10,000 bytes"),
    "a long header": (array(f"({'0' * 20_000}3, 2)"), "header of at most 10,000 bytes"),
    "30 axes": (array(f"({'1, ' * 30})", data=bytes(8)), "at most 8 axes, not x with 30"),
    "objects": (objects(), "no Python objects, which only pickle reads, as in x"),
    "a pickle": (pickle.dumps(_Code()), "bytes that are no"),
    "many": (array("(1000000000000, 2)"), "as many bytes as its shape says, not x of shape"),
    "more than there are": (array("(4611686018427387904, 4611686018427387904)"), "as many bytes"),
    "negative": (array("(-3, -2)"), "sizes from 0, not x of shape (-3, -2)"),
    "words of a GB": (array("(3, 2)", "<U268435456"), "as many bytes as its shape says"),
    "fields": (array(dtype=[("a", "<f8")]), "arrays of numbers or words, not x of"),
    "no dtype": (array(dtype="os.system"), "a header of a dtype and a shape, not x with"),
    "code for a shape": (
        array("(__import__('os').mkdir('code-was-run'),)"),
        "a header of a dtype and a shape, not x with",
    ),
    "deep": (array("(" * 4000 + ")" * 4000), "a header of a dtype and a shape, not x with"),
    "no tuple": (array("5"), "a header of a dtype and a shape, not x with"),
    "floats": (array("(3.0, 2)"), "a header of a dtype and a shape, not x with"),
    "cut off": (array(data=bytes(40)), "as many bytes as its shape says"),
    "more": (array(data=bytes(56)), "as many bytes as its shape says"),
    "a version": (array(version=(9, 9)), "version 1, 2 or 3, not x of (9, 9)"),
    "empty": (b"", "0 bytes that are no"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_array_that_misleads_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, said = HOSTILE[name]
    path = zipped(tmp_path / "hostile.npz", [("x.npy", content), GOOD])
    for read in (read_npz, read_inputs):
        with pytest.raises(DataError, match=r"Received: ") as raised:
            read(path)
        message = str(raised.value)
        assert said in message or "bytes that are no" in said
        assert "\n" not in message
        assert len(message) < 1000
    assert os.listdir(tmp_path) == ["hostile.npz"]  # nothing was run
    for arguments in (["search", "--data", "hostile.npz"], ["search", "--data", str(path)]):
        done = command(tmp_path, *arguments)
        assert done.exit_code == 2
        assert isinstance(done.exception, SystemExit)


def bomb(path, megabytes):
    """A small file with an array of zeros in it."""
    begin = array(f"({megabytes}, 131072)", data=b"")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x.npy", "w", force_zip64=True) as file:
            file.write(begin)
            for _ in range(megabytes):
                file.write(bytes(2**20))
        archive.writestr(*GOOD)
    return path


def test_a_zip_bomb_is_not_read(tmp_path, monkeypatch):
    path = bomb(tmp_path / "bomb.npz", 300)
    assert path.stat().st_size < 400_000

    def read(*arguments, **options):
        raise AssertionError("it was read")

    monkeypatch.setattr(np.lib.format, "read_array", read)
    for reader in (read_npz, read_inputs):
        with pytest.raises(DataError, match=r"bomb.npz', a member at most 200 times as large"):
            reader(path)


@pytest.mark.parametrize("name", ["x.npz", "x.csv"])
def test_what_does_not_fit_into_memory_is_not_read(tmp_path, monkeypatch, name):
    path = tmp_path / name
    if name == "x.npz":
        np.savez(path, x=np.zeros((100, 2)), y=np.zeros(100))
    else:
        path.write_text("a,b\n" + "1,2\n" * 1000)
    monkeypatch.setattr(npz, "free_ram", lambda: 3000)
    monkeypatch.setattr("keras_acts_cli.tables.labelled.free_ram", lambda: 3000)
    with pytest.raises(DataError, match=r"half of the 3,000"):
        read_inputs(path)


def test_other_archives_are_refused(tmp_path):
    good = array()
    twice = tmp_path / "twice.npz"
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(twice, [("x.npy", good), ("x.npy", good), GOOD])
    many = zipped(tmp_path / "many.npz", [(f"{n}.npy", b"") for n in range(1001)])
    swapped = zipped(tmp_path / "swapped.npz", [("x.npy", good), ("x", good), GOOD])
    for path, said in (
        (twice, "each member once, not 'x' 2 times"),
        (swapped, "each member once, not 'x' 2 times"),
        (many, "at most 1,000 members, not 1,001"),
    ):
        with pytest.raises(DataError, match=said):
            read_npz(path)


def test_what_is_good_is_read(tmp_path):
    x, y = np.arange(6.0).reshape(3, 2), np.array(["ä", "b", "c"])
    np.savez_compressed(tmp_path / "a.npz", x=np.asfortranarray(x), y=y, more=x, x_test=x, y_test=y)
    (read_x, read_y), (test_x, _) = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(read_x, x)
    np.testing.assert_array_equal(read_y, y)
    np.testing.assert_array_equal(test_x, x)
    for version in ((1, 0), (2, 0), (3, 0)):
        zipped(tmp_path / "v.npz", [("x.npy", array(version=version)), GOOD])
        np.testing.assert_array_equal(read_inputs(tmp_path / "v.npz")[0], np.zeros((3, 2)))


def whole(tmp_path):
    path = tmp_path / "whole.npz"
    np.savez_compressed(path, x=np.arange(12.0).reshape(6, 2), y=np.arange(6))
    return path.read_bytes()


@examples
@given(st.data())
def test_a_file_with_some_bytes_changed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("changed")
    content = bytearray(whole(folder))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(content), len(content) // 2, 10]))
    path = folder / "changed.npz"
    path.write_bytes(content[:cut])
    refused(read_npz, path)
    refused(read_inputs, path)


@examples
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text("a,b\n\"'\r\0;1.5eE-+ä \t#", max_size=200).map(lambda text: text.encode()),
    )
)
def test_a_table_of_anything(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    path.write_bytes(content)
    refused(read_labelled, path, None, AS_FOUND)
    refused(read_labelled, path, "a", AS_FOUND)
    refused(read_inputs, path)
    refused(read_inputs, path, ["a", "b"])


def refused(read, *arguments):
    """Whatever a file holds, it is read or refused."""
    try:
        return read(*arguments)
    except DataError as error:
        message = str(error)
        assert "Received: " in message
        return None


def test_the_command_says_one_line(tmp_path):
    bomb(tmp_path / "bomb.npz", 300)
    done = run(tmp_path, "--data", "bomb.npz", "--quiet")
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "--data must be a .npz file of plain arrays. Received: 'bomb.npz'" in line
