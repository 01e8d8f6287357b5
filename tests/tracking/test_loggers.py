"""What TensorBoard, MLflow and W&B have of a search, read by themselves."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from keras_acts.search import MLflowLogger, TensorBoardLogger, WandbLogger
from keras_acts.search.tracking.summary import summary_of
from tests.helpers.followers import tell
from tests.helpers.reports import EPOCHS, result, verdict

pytestmark = pytest.mark.once


def events(folder):
    read = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    read.Reload()
    return read


def hyperparameters(read):
    """The values of a training in the table of hyperparameters."""
    content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    values = {}
    for name, value in told.hparams.items():
        values[name] = getattr(value, value.WhichOneof("kind"))
    return values


def test_tensorboard_has_scalars_and_hyperparameters_by_activation_and_seed(tmp_path):
    tell(TensorBoardLogger(tmp_path))
    folder = tmp_path / "search" / "trelu(alpha=0.2,_theta=-0.3)_x4" / "seed-7"
    read = events(folder)
    assert {"loss", "val_accuracy"} <= set(read.Tags()["tensors"])
    assert [event.step for event in read.Tensors("val_accuracy")] == [1, 2]
    values = hyperparameters(read)
    assert values["activation"] == "trelu(alpha=0.2, theta=-0.3)"
    assert values["alpha"] == pytest.approx(0.2)
    assert (values["learning_rate_factor"], values["seed"]) == (4.0, "7")
    judged = sorted(path.name for path in (tmp_path / "verdict" / "relu").iterdir())
    assert judged == ["seed-100", "seed-101"]
    read = events(tmp_path / "verdict" / "relu" / "seed-100")
    assert len(read.Tensors("val_accuracy")) == EPOCHS
    assert [event.step for event in read.Tensors("test_accuracy")] == [EPOCHS]


def test_a_tensorboard_logger_keeps_two_searches_apart(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    tell(logger)
    tell(logger)
    for folder in (tmp_path, tmp_path / "2"):
        read = events(folder / "search" / "relu" / "seed-7")
        assert [event.step for event in read.Tensors("val_accuracy")] == [1, 2]


def test_a_search_and_a_comparison_have_a_summary():
    judged = verdict(seeds=2)
    searched = result(judged, test={"accuracy": 0.95})
    found = summary_of(searched)
    assert found.best == str(searched.best)
    assert found.scores == {searched.objective: searched.score, "test_accuracy": 0.95}
    best = next(scored for scored in judged.candidates if scored.activation == judged.suggested)
    found = summary_of(judged)
    assert (found.best, found.scores) == (judged.suggested, {"test_accuracy": best.mean})


@pytest.mark.slow
# MLflow's own way to ask SQLAlchemy
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
def test_mlflow_has_a_run_for_each_training(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy", reason="a store in a file needs the whole mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    logger = MLflowLogger(store, "digits")
    tell(logger)
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("digits")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    # two of the search, two seeds of three candidates, and the search itself
    assert len(runs) == 2 + 6 + 1
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    search = runs["digits: race"]
    assert search.data.tags["best"]
    assert search.data.metrics["test_accuracy"] == pytest.approx(0.95)
    # MLflow refuses brackets
    assert search.data.metrics["test_f1_score_0"] == pytest.approx(0.9)
    files = [file.path for file in client.list_artifacts(search.info.run_id)]
    assert files == ["report.html"]
    trained = runs["trelu(alpha=0.2, theta=-0.3) x4, seed 7"]
    assert trained.data.tags["mlflow.parentRunId"] == search.info.run_id
    assert trained.data.tags["outcome"] == "finished"
    assert trained.data.params["theta"] == "-0.3"
    history = client.get_metric_history(trained.info.run_id, "val_accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.4), (2, 0.8)]
    # another search has runs of its own
    tell(logger)
    parents = {}
    for run in client.search_runs([experiment.experiment_id]):
        parents.setdefault(run.data.tags.get("mlflow.parentRunId"), []).append(run.info.run_id)
    assert set(parents) == {None, *parents[None]}
    assert sorted(map(len, parents.values())) == [2, 8, 8]


@pytest.mark.slow
def test_wandb_has_a_run_for_each_training(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    mine = wandb.init(mode="offline", dir=tmp_path, project="mine")
    logger = WandbLogger("digits", mode="offline", directory=tmp_path)
    tell(logger)
    # the user's own run is as it was
    assert wandb.run is mine
    mine.finish()
    written = list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(written) == 2 + 6 + 1 + 1
    content = b"".join(path.read_bytes() for path in written)
    for text in (b"trelu(alpha=0.2, theta=-0.3) x4, seed 7", b"val_accuracy", b"no place"):
        assert text in content
    assert b"other, seed 0" not in content
    # another search is a group of its own
    tell(logger, "other")
    wandb.teardown()  # which waits for what is written
    written = set((tmp_path / "wandb").glob("offline-run-*/run-*.wandb")) - set(written)
    assert len(written) == 2 + 6 + 1
    for path in written:
        assert b"other, seed 0" in path.read_bytes()
