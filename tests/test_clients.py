"""What we export loads in a process that never imports this package."""

import subprocess
import sys
from pathlib import Path

import pytest

from keras_acts.search.space import default_activations

CLIENTS = Path(__file__).parent / "clients"


@pytest.mark.slow
def test_plain_tensorflow_gives_the_same_predictions(tmp_path):
    from tests.clients import make_exports

    make_exports.main(str(tmp_path))
    folders = [tmp_path / name for name in default_activations()]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from plain_tensorflow import main\n"
        "for folder in sys.argv[2:]: main(folder + '/model', folder + '/samples.npz')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(CLIENTS), *map(str, folders)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("max difference") == len(folders)
