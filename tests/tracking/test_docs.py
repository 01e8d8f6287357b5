"""The blocks of docs/tracking.md run as they stand, one after the other."""

import importlib.util
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"(?:<!-- needs: (?P<needs>[\w ]+) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL
)


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
def test_the_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    names = {}
    left_out = []
    for block in BLOCK.finditer(PAGE):
        needs = (block["needs"] or "").split()
        missing = [name for name in needs if importlib.util.find_spec(name) is None]
        if missing:
            left_out += missing
            continue
        exec(block["code"], names)
    assert "leads with" in capsys.readouterr().out
    assert list((tmp_path / "logs" / "search").iterdir())
    assert set(names["curves"].columns) > {"activation", "seed", "epoch", "val_accuracy"}
    if left_out:
        pytest.skip(f"all but the blocks that need {', '.join(left_out)} ran")
