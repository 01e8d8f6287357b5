"""What trials leave behind in the process: nothing, however many there were."""

import pytest

from benchmarks.leaks import WAYS, living

KINDS = ("Model", "Variable", "FuncGraph", "ConcreteFunction")


def left_by(way, trials, folder):
    """The living objects after a search, its result among them."""
    folder.mkdir()
    result = WAYS[way](trials, folder)
    counts = living()
    del result
    return {kind: counts[kind] for kind in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["tuner one by one", "tuner together", "race", "race one by one"])
def test_more_trials_leave_no_more_behind(tmp_path, way):
    # each function of the space is traced once in a process, and stays
    left_by(way, 4, tmp_path / "first")
    few = left_by(way, 2, tmp_path / "few")
    many = left_by(way, 4, tmp_path / "many")
    assert many == few
