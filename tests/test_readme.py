"""README's Python runs as it is written, with smaller budgets."""

import re
from pathlib import Path

import pytest
from sklearn.datasets import load_digits

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_code_in_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = load_digits(return_X_y=True)
    names = {"x_train": x[:300], "y_train": y[:300], "x_test": x[300:400], "y_test": y[300:400]}
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        code, _ = re.subn(r"(trials|epochs|seeds)=\d+", r"\1=2", block)
        if "digits-cnn" in code:  # what the command line wrote
            code, names["images"] = code.replace("digits-cnn", "best"), x[:3].astype("float32")
        exec(code, names)
    assert names["probabilities"].shape == (3, 10)
    assert names["best"].predict(x[:3], verbose=0).shape == (3, 10)


@pytest.mark.once
def test_the_set_up_commands_are_there():
    assert "pip install . && keras-acts search" in README
    assert 'pip install ".[test]" && pytest' in README
