"""What ranks candidates: the objective of a search, and whether more of it is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, TypeAlias

import keras
import keras_tuner

from keras_acts.compat import (
    CompileMetrics,
    compiled_with,
    direction_attribute,
    flat_metrics,
    has_outputs_struct,
    loss_metrics_of,
    outputs_struct,
    wrapped_function,
)
from keras_acts.errors import SearchError, shown

from ..rewrite.compiling import auto_name
from ..rewrite.own_training import own_methods
from ..rewrite.walk import graph_of, is_graph

# one metric, KerasTuner's objective of several, which is derived from it, or a list
Objectives: TypeAlias = keras_tuner.Objective | list[keras_tuner.Objective]
Direction: TypeAlias = str  # "max" or "min"
Metric: TypeAlias = keras.metrics.Metric
# what a `MeanMetricWrapper` takes the mean of
Function: TypeAlias = Callable[..., Any] | keras.losses.Loss | None

# Keras' metrics say it themselves, in a private attribute; but not the four that count, nor the
# functions below
_MORE = (
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TruePositives",
    "TrueNegatives",
    "Precision",
    "Recall",
    "PrecisionAtRecall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
    "AUC",
    "FBetaScore",
    "F1Score",
    "IoU",
    "BinaryIoU",
    "MeanIoU",
    "OneHotIoU",
    "OneHotMeanIoU",
    "R2Score",
    "CosineSimilarity",
    "PearsonCorrelation",
    "ConcordanceCorrelation",
)
_LESS = (
    "FalsePositives",
    "FalseNegatives",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "KLDivergence",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "Hinge",
    "SquaredHinge",
    "CategoricalHinge",
    "LogCoshError",
    "MeanSquaredError",
    "RootMeanSquaredError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
)
_FUNCTIONS_OF_MORE = (
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "top_k_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "pearson_correlation",
    "concordance_correlation",
)
_MAIN_ACCURACIES = ("BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy")
# as Keras calls a metric of these classes; all others by their class, in lower case with underscores
_ODD_NAMES = {"FBetaScore": "fbeta_score", "LogCoshError": "logcosh"}


def direction_of(metric: Metric) -> Direction | None:
    """Return ``"max"`` if more of a Keras metric is better, ``"min"`` if less is, None if nothing says so.

    A metric's own class says it, as it does to Keras' `EarlyStopping`; a class of the user's says
    what the one says that it is derived from. Of a function wrapped as a metric it is known if it
    is Keras', or a loss.
    """
    declared = direction_attribute(metric)
    if declared == "up":
        return "max"
    if declared == "down":
        return "min"
    if type(metric) is keras.metrics.MeanMetricWrapper:
        return _direction_of_function(wrapped_function(metric))
    if isinstance(metric, _classes(_MORE)):
        return "max"
    if isinstance(metric, _classes(_LESS)):
        return "min"
    return None


def _direction_of_function(function: Function) -> Direction | None:
    if isinstance(function, keras.losses.Loss):
        return "min"
    name = getattr(function, "__name__", "")
    if function is not None and function is getattr(keras.losses, name, None):
        return "min"
    if name in _FUNCTIONS_OF_MORE and function is getattr(keras.metrics, name, None):
        return "max"
    return None


def _classes(names: Iterable[str]) -> tuple[type, ...]:
    """Keras' metrics of these names, as far as this version has them."""
    return tuple(getattr(keras.metrics, name) for name in names if hasattr(keras.metrics, name))


def metrics_of(model: keras.Model, graph: keras.Model | None = None) -> dict[str, Metric]:
    """Return the metrics that a compiled model logs, by the names that it logs them under.

    ``"output_auc"``.

    Of a model whose outputs nobody knows before it is called they are known if it has one output.
    Neither the model nor its metrics are touched.

    Args:
        model: compiled.
        graph: a Functional model with its outputs, where it is none itself.
    """
    metrics = {metric.name: metric for metric in _own_metrics(model)}
    return metrics | _compiled_metrics(model, graph)


def _compiled_metrics(model: keras.Model, graph: keras.Model | None = None) -> dict[str, Metric]:
    """The metrics that a model is compiled with, by the names that it logs them under."""
    metrics = _copied(compiled_with(model).get("metrics"))
    weighted = _copied(compiled_with(model).get("weighted_metrics"))
    if not metrics and not weighted:
        return {}
    graph = graph or _graph(model)
    # of a model without a graph nothing is known but that it has outputs; one is the usual
    outputs = keras.KerasTensor((None, 2))
    names = None
    if graph is not None:
        outputs = keras.tree.map_structure(_like, outputs_struct(graph))
        names = graph.output_names
    resolved = CompileMetrics(metrics, weighted, output_names=names)
    try:
        # what the labels look like decides which accuracy "accuracy" is, but not what it is called
        resolved.build(outputs, outputs)
    except (ValueError, TypeError):  # Keras says so when it trains
        return {}
    return named_metrics(resolved)


def _copied(structure: Any) -> Any:
    """The same metrics in other containers: Keras 3.12 writes into those that it is given."""
    return keras.tree.map_structure(lambda part: part, structure)


def _like(tensor: keras.KerasTensor) -> keras.KerasTensor:
    return keras.KerasTensor(tensor.shape, tensor.dtype)


def _graph(model: keras.Model) -> keras.Model | None:
    """The model's graph; None if it has none, or none yet."""
    if not is_graph(model):
        return None
    graph = graph_of(model)
    if not has_outputs_struct(graph):
        return None
    return graph


def _own_metrics(model: keras.Model) -> Iterator[Metric]:
    """The metrics that the model, or a layer in it, holds itself."""
    of_losses = set(map(id, loss_metrics_of(model)))
    for metric in model.metrics:
        if id(metric) not in of_losses and not isinstance(metric, CompileMetrics):
            yield metric


def named_metrics(resolved: CompileMetrics) -> dict[str, Metric]:
    """Return the metrics of a `CompileMetrics` that is built, by the names that Keras gives them.

    It is used up.
    """
    for metrics in flat_metrics(resolved):
        metrics.metrics = [_Named(metric) for metric in metrics.metrics]
    return dict(resolved.result())


class _Named:
    """Stands for a metric where Keras asks for names and results: its result is the metric."""

    def __init__(self, metric: Metric):
        self.name = metric.name
        self._metric = metric

    def result(self) -> Metric:
        return self._metric


def checked_objective(
    objective: str | keras_tuner.Objective, model: keras.Model | None = None
) -> keras_tuner.Objective:
    """Return what ranks, one metric and its direction.

    The direction of a name is what the compiled model's metric of that name says, also for one of
    several outputs (``"val_output_auc"``). Without a model it is that of Keras' metric of that
    name.

    Args:
        objective: a name, or a `keras_tuner.Objective`, which is taken at its word.
        model: that is trained; None if it is not known.

    Raises:
        SearchError: if it is no single metric, or one of unknown direction.
    """
    if isinstance(objective, str):
        return _named(objective, model)
    if type(objective) is not keras_tuner.Objective:
        raise SearchError(
            "objective must be the name of one metric, or a keras_tuner.Objective of one. "
            f"Received: objective={shown(objective)}"
        )
    if objective.direction not in ("max", "min"):
        raise SearchError(
            "The direction of an objective must be 'max' or 'min'. "
            f"Received: {objective.name!r} with direction={objective.direction!r}"
        )
    return objective


def checked_objectives(
    objective: str | Objectives | list[str] | None, model: keras.Model | None = None
) -> Any:
    """Return what a tuner of KerasTuner ranks by: one objective, a list of several, or None.

    Each of them checked.
    """
    if isinstance(objective, list):
        return [checked_objective(one, model) for one in objective]
    if objective is None or _is_of_several(objective):
        return objective
    return checked_objective(objective, model)


def _is_of_several(objective: Any) -> bool:
    """Whether it is KerasTuner's objective of several metrics, whose class is derived from that of one."""
    if type(objective) is keras_tuner.Objective:
        return False
    return isinstance(objective, keras_tuner.Objective)


def needs_model(objective: str | Objectives | list[str] | None) -> bool:
    """Whether the model's metrics tell the direction of an objective."""
    if isinstance(objective, list):
        return any(map(needs_model, objective))
    name = getattr(objective, "name", objective)
    return isinstance(name, str) and name not in ("loss", "val_loss")


def check_direction(oracle: keras_tuner.Oracle, model: keras.Model) -> None:
    """Check that an oracle of KerasTuner, which guesses directions from names, ranks as the model's metrics say.

    Raises:
        SearchError: if a metric says otherwise.
    """
    if not getattr(model, "compiled", False):
        return
    known = metrics_of(model)
    for goal in getattr(oracle.objective, "objectives", [oracle.objective]):
        if not isinstance(goal, keras_tuner.Objective):
            continue
        metric = known.get(goal.name.removeprefix("val_"))
        if metric is None:
            continue
        direction = direction_of(metric)
        if direction is not None and direction != goal.direction:
            raise SearchError(
                f"The model's metric says that of {goal.name!r} the {direction} is best; give the oracle "
                f"keras_tuner.Objective({goal.name!r}, {direction!r}). Received: direction={goal.direction!r}"
            )


def _named(objective: str, model: keras.Model | None) -> keras_tuner.Objective:
    """The objective of a name, with the direction that the model's metric says, or Keras' of that name."""
    name = objective.removeprefix("val_")
    if name == "loss":
        return keras_tuner.Objective(objective, "min")
    if model is None or not getattr(model, "compiled", False):
        return _of_name_alone(objective)
    metrics = metrics_of(model)
    if name in metrics:
        direction = direction_of(metrics[name])
        if direction is None:
            _refuse(objective, f"nothing says whether more of {name!r} is better, or less")
        return keras_tuner.Objective(objective, direction)
    if name.endswith("_loss"):  # that of an output
        return keras_tuner.Objective(objective, "min")
    if _trains_as_keras(model):
        known = [f"val_{one}" for one in ("loss", *metrics)]
        raise SearchError(
            f"objective must be one of {known}. Received: objective={shown(objective)}"
        )
    # a train_step of its own may log it
    return _of_name_alone(objective)


def _of_name_alone(objective: str) -> keras_tuner.Objective:
    direction = _direction_of_name(objective.removeprefix("val_"))
    if direction is None:
        _refuse(objective, "no metric of Keras has that name")
    return keras_tuner.Objective(objective, direction)


def _trains_as_keras(model: keras.Model) -> bool:
    """Whether what it logs is what it is compiled with."""
    return _graph(model) is not None and not own_methods(model)


def _refuse(objective: str, reason: str) -> NoReturn:
    raise SearchError(
        "An objective needs a direction, 'max' or 'min': "
        f"keras_tuner.Objective({shown(objective)}, 'max'), for example. "
        f"Received: objective={shown(objective)}; {reason}"
    )


def _direction_of_name(name: str) -> Direction | None:
    """The direction of Keras' metric of that name, or of one that Keras numbered: ``"auc_1"``."""
    name = re.sub(r"_\d+$", "", name)
    if name == "acc" or _is_named(name, _MORE):
        return "max"
    if _is_named(name, _LESS):
        return "min"
    try:
        metric = keras.metrics.get(name)  # it knows abbreviations
    except (ValueError, TypeError):
        metric = getattr(keras.metrics, name, None)
    if isinstance(metric, keras.metrics.Metric):
        return direction_of(metric)
    return _direction_of_function(metric)


def _is_named(name: str, kinds: Sequence[str]) -> bool:
    """Whether a name is that of one of the classes, or of its metrics."""
    return any(name in (kind, _default_name(kind)) for kind in kinds)


def _default_name(kind: str) -> str:
    """What Keras calls a metric of a class."""
    return _ODD_NAMES.get(kind, auto_name(kind))


def default_objective(model: keras.Model) -> str:
    """Return what ranks where nobody says it.

    The validation value of the model's main accuracy, else of its loss.

    The main accuracy is the first metric that is compiled in as ``"accuracy"`` or as Keras' binary,
    categorical or sparse categorical accuracy, whatever its name; a top-k accuracy is none, nor is
    a metric that is only called so. A model of several outputs has none.
    """
    if _has_several_outputs(model):
        return "val_loss"
    for name, metric in _compiled_metrics(model).items():
        if _is_main_accuracy(metric):
            return f"val_{name}"
    return "val_loss"


def _has_several_outputs(model: keras.Model) -> bool:
    graph = _graph(model)
    if graph is not None:
        return len(graph.output_names) > 1
    # the outputs of a model without a graph are told by its metrics
    given = compiled_with(model).get("metrics")
    return isinstance(given, dict) and len(given) > 1


def _is_main_accuracy(metric: Metric) -> bool:
    functions = [auto_name(name) for name in _MAIN_ACCURACIES]
    return isinstance(metric, _classes(_MAIN_ACCURACIES)) or _wraps_one_of(metric, functions)


def _wraps_one_of(metric: Metric, names: Iterable[str]) -> bool:
    """Whether a metric is the mean of one of Keras' functions."""
    if type(metric) is not keras.metrics.MeanMetricWrapper:
        return False
    function = wrapped_function(metric)
    return any(function is getattr(keras.metrics, name) for name in names)


def is_share(metric: Metric) -> bool:
    """Whether a Keras metric is the share of samples that are right.

    An accuracy, a top-k one too.
    """
    classes = [name for name in _MORE if name.endswith("Accuracy")]
    functions = [name for name in _FUNCTIONS_OF_MORE if name.endswith("accuracy")]
    return isinstance(metric, _classes(classes)) or _wraps_one_of(metric, functions)
