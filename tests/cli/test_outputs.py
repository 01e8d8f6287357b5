"""What the commands write into files: whole, and never over what they read."""

import os

import pytest

from keras_acts.errors import DataError
from keras_acts_cli.files import check_writable, write_text
from tests.cli.test_cli import command, csv
from tests.helpers.models import blobs, contents

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    """A table, another name for it, and a folder that is no file."""
    x, y = blobs(30)
    csv(tmp_path / "my.csv", x, y)
    (tmp_path / "link.csv").symlink_to("my.csv")
    (tmp_path / "mine.keras").write_text("a model")
    (tmp_path / "sub").mkdir()
    return tmp_path


@pytest.mark.parametrize("out", ["my.csv", "link.csv", "sub/../my.csv", "mine.keras"])
def test_what_is_read_is_not_written(folder, out):
    before = contents(folder)
    compared = ["--activations", "relu,mish", "--model", "mine.keras", "--csv", out]
    done = command(folder, "compare", "--data", "my.csv", *compared)
    assert done.exit_code == 2
    assert "--csv must be another file than the ones that are read. Received: " in done.stderr
    if out != "mine.keras":
        done = command(folder, "predict", "model", "my.csv", "--out", out)
        assert done.exit_code == 2
        assert "--out must be another file than the ones that are read" in done.stderr
    assert contents(folder) == before


def test_a_file_is_whole_or_as_it_was(folder):
    (folder / ".out.csv.partial").write_text("mine")  # a name that was ours once
    out = folder / "out.csv"
    write_text(out, "a,b\n1,ä\r\n", "--out")
    assert out.read_bytes() == "a,b\n1,ä\r\n".encode()
    out.chmod(0o640)
    write_text(out, "second", "--out")
    assert (out.read_text(), out.stat().st_mode & 0o777) == ("second", 0o640)
    assert (folder / ".out.csv.partial").read_text() == "mine"
    names = os.listdir(folder)
    for wrong in (folder / "sub", folder / "nothing" / "a.csv"):
        with pytest.raises(DataError, match="--out must be a file that can be written"):
            write_text(wrong, "text", "--out")
        with pytest.raises(DataError, match="--out must lie in a folder that exists"):
            check_writable(wrong, "--out", ())
    assert os.listdir(folder) == names
