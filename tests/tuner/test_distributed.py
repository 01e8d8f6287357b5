"""A worker of a distributed search: it trains what the chief's oracle gives out, over gRPC."""

from concurrent import futures

import grpc  # type: ignore[import-untyped]
import keras_tuner
import pytest
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from keras_acts.search import ActivationTuner
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(60)
OF_THE_SEARCH = {"max_trials": 2, "activations": ["relu", "mish"], "project_name": "shared"}


@pytest.fixture
def chief(tmp_path):
    """The chief's tuner, and the port at which its oracle is asked."""
    tuner = ActivationTuner(eager(mlp()), "val_loss", directory=tmp_path, **OF_THE_SEARCH)
    tuner.save()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(tuner.oracle), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield tuner, port
    server.stop(None)


@pytest.mark.slow
def test_a_worker_trains_and_deletes_nothing_of_the_others(chief, tmp_path, monkeypatch):
    tuner, port = chief
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner7")
    # by another worker
    trained = tmp_path / "shared" / "trial_7" / "checkpoint.weights.h5"
    trained.parent.mkdir()
    trained.write_text("weights")
    worker = ActivationTuner(
        eager(mlp()), "val_loss", directory=tmp_path, overwrite=True, **OF_THE_SEARCH
    )
    assert not isinstance(worker.oracle, keras_tuner.Oracle)
    worker.search(X, Y, validation_data=(X, Y), epochs=1)
    assert trained.read_text() == "weights"
    trials = tuner.oracle.trials.values()
    assert sorted(trial.hyperparameters.values["act"] for trial in trials) == ["mish", "relu"]
    assert {trial.status for trial in trials} == {"COMPLETED"}
    model = worker.get_best_models(1)[0]
    best = min(trial.score for trial in trials)
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(best, rel=1e-4)
