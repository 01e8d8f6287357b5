"""One export, every client: each loads it without keras_acts and predicts what Keras predicts.

KERAS_ACTS_CLIENTS_PYTHON is the Python that has the clients, by default this one: ``pip install
".[clients]"``. Where a client is missing its test skips, or fails if KERAS_ACTS_REQUIRE_CLIENTS=1.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import make_exports
from tests.clients.compare import MISSING

CLIENTS = Path(__file__).parents[1] / "clients"
NAMES = [
    *(
        "plain_tensorflow",
        "tfsm_layer",
        "saved_model_cli",
        "litert_runtime",
        "onnx_runtime",
        "openvino_runtime",
    ),
    "c_api",
]
MODELS = ("activations", "digits")


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("with spaces and größe")
    make_exports.main(str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("client", NAMES)
def test_the_client_predicts_what_keras_predicts(exports, client):
    places = [exports / model for model in MODELS]
    python = os.environ.get("KERAS_ACTS_CLIENTS_PYTHON", sys.executable)
    given = [part for place in places for part in (place / "model", place / "samples.npz")]
    done = subprocess.run(
        [python, CLIENTS / f"{client}.py", *given],
        cwd=exports,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    if done.returncode == MISSING and os.environ.get("KERAS_ACTS_REQUIRE_CLIENTS") != "1":
        pytest.skip(f"{client}: {done.stdout.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    said = [line for line in done.stdout.splitlines() if "max difference" in line]
    assert [str(place / "model") in line for place, line in zip(places, said, strict=True)] == [
        True,
        True,
    ]
