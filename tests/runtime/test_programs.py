"""Compiled programs are kept where a user says, and only whole ones are used again."""

import json
import os

import keras
import pytest

from keras_acts.errors import SearchError
from keras_acts.search.runtime import programs
from tests.helpers.processes import python

FIT = """
import sys
import keras
import numpy as np
import keras_acts.search
import tensorflow as tf

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh")])
model.compile("sgd", "mse", jit_compile=True)
x = np.ones((8, 4), "float32")
model.fit(x, x[:, :3], batch_size=8, epochs=2, verbose=0)
print(float(np.sum(model.optimizer.iterations)))
"""


def test_nothing_is_kept_unless_a_folder_is_named(monkeypatch):
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    flags = os.environ.get("TF_XLA_FLAGS")
    programs.keep_on_disk()
    assert programs.kept_in() is None
    assert os.environ.get("TF_XLA_FLAGS") == flags


def test_what_is_no_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(SearchError, match=r"must name a folder that can be written. Received: "):
        programs.keep_on_disk()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX takes any name")
def test_a_folder_that_tensorflow_would_read_otherwise_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / 'it\'s "here"'))
    with pytest.raises(SearchError, match="quotes of both kinds in its name"):
        programs.keep_on_disk()
    assert os.environ["TF_XLA_FLAGS"] == ""


@pytest.mark.once
def test_only_what_is_as_it_was_written_stays(tmp_path):
    whole, damaged, unknown, others = (
        tmp_path / name
        for name in (
            "xla_compile_cache_1.pb",
            "xla_compile_cache_2.pb",
            "xla_compile_cache_3.pb",
            "notes.pb",
        )
    )
    for path in (whole, damaged, others):
        path.write_bytes(b"a program")
    programs.write_checksums(tmp_path)
    damaged.write_bytes(b"a prog")
    unknown.write_bytes(b"of a process that was killed")
    programs.forget_damaged(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {whole.name, others.name, "checksums.json"}
    (tmp_path / "checksums.json").write_text(json.dumps([1]))
    programs.forget_damaged(tmp_path)
    assert not whole.exists()
    assert others.exists()


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX checks its own")
def test_a_second_process_takes_the_programs_and_none_that_is_damaged(tmp_path):
    folder = tmp_path / "it's with a space"
    kept = {"KERAS_ACTS_PROGRAMS": str(folder), "KERAS_BACKEND": "tensorflow"}
    assert python(FIT, **kept).split()[-1] == "2.0"
    (program,) = folder.rglob("*.pb")
    written = program.stat().st_mtime_ns
    assert python(FIT, **kept).split()[-1] == "2.0"
    assert program.stat().st_mtime_ns == written
    content = program.read_bytes()
    program.write_bytes(content[: len(content) // 2])
    assert python(FIT, **kept).split()[-1] == "2.0"
    assert program.stat().st_size >= len(content) // 2 + 1
