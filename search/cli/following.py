"""Who follows a training that a command begins: TensorBoard, MLflow, Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keras_acts.errors import SearchError
from keras_acts.search import MLflowLogger, SearchCallback, TensorBoardLogger, WandbLogger


def followers(
    tensorboard: Path | None, mlflow: str | None, wandb: str | None
) -> list[SearchCallback]:
    """Return who is told of the trainings, by what the options say.

    Raises:
        SearchError: if MLflow knows no such store.
    """
    return list(_followers(tensorboard, mlflow, wandb))


def _followers(
    tensorboard: Path | None, mlflow: str | None, wandb: str | None
) -> Iterator[SearchCallback]:
    if tensorboard is not None:
        yield TensorBoardLogger(tensorboard)
    if mlflow is not None:
        yield _mlflow(mlflow)
    if wandb is not None:
        yield WandbLogger(wandb)


def _mlflow(store: str) -> MLflowLogger:
    try:
        return MLflowLogger(store)
    except SearchError:
        raise
    except Exception as error:
        # MLflow's own errors are of several classes, some of its database's library
        raise SearchError(
            f"--mlflow must be a store that MLflow knows. Received: {store!r} ({str(error).strip()})"
        ) from error
