"""The Python of docs/tables.md runs as it is written."""

import re
from pathlib import Path

import pytest
import tensorflow as tf

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names = {}
    exec(code, names)
    assert "one of 2 categories" in capsys.readouterr().out
    loaded = tf.saved_model.load("saved_models/people").signatures["serving_default"]
    made = loaded(age=tf.constant([[30.0]]), town=tf.constant([["Bern"]]))
    assert [tuple(values.shape) for values in made.values()] == [(1, 1)]
