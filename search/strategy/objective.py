"""What ranks candidates: the objective of a search, and whether more of it is better."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn

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
from keras_acts.errors import SearchError

from ..rewrite.compiling import auto_name
from ..rewrite.own_training import own_methods
from ..rewrite.walk import graph_of, is_graph

# Keras' metrics say it themselves, in a private attribute; but not the four that count, nor the
# functions below
_MORE = (
    *(
        "Accuracy",
        "BinaryAccuracy",
        "CategoricalAccuracy",
        "SparseCategoricalAccuracy",
        "TopKCategoricalAccuracy",
    ),
    *(
        "SparseTopKCategoricalAccuracy",
        "TruePositives",
        "TrueNegatives",
        "Precision",
        "Recall",
        "PrecisionAtRecall",
    ),
    *(
        "RecallAtPrecision",
        "SensitivityAtSpecificity",
        "SpecificityAtSensitivity",
        "AUC",
        "FBetaScore",
        "F1Score",
    ),
    *("IoU", "BinaryIoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "R2Score", "CosineSimilarity"),
    *("PearsonCorrelation", "ConcordanceCorrelation"),
)
_LESS = (
    *(
        "FalsePositives",
        "FalseNegatives",
        "BinaryCrossentropy",
        "CategoricalCrossentropy",
        "KLDivergence",
        "Poisson",
    ),
    *("SparseCategoricalCrossentropy", "Hinge", "SquaredHinge", "CategoricalHinge", "LogCoshError"),
    *(
        "MeanSquaredError",
        "RootMeanSquaredError",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
    ),
    "MeanSquaredLogarithmicError",
)
_FUNCTIONS_OF_MORE = (
    *(
        "binary_accuracy",
        "categorical_accuracy",
        "sparse_categorical_accuracy",
        "top_k_categorical_accuracy",
    ),
    *("sparse_top_k_categorical_accuracy", "pearson_correlation", "concordance_correlation"),
)
_MAIN_ACCURACIES = ("BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy")


def direction_of(metric: Any) -> str | None:
    """Return ``"max"`` if more of a Keras metric is better, ``"min"`` if less is, None if nothing says so.

    A metric's own class says it, as it does to Keras' `EarlyStopping`; a class of the user's says
    what the one says that it is derived from. Of a function wrapped as a metric it is known if it
    is Keras', or a loss.
    """
    declared = {"up": "max", "down": "min"}.get(direction_attribute(metric) or "")
    if declared is not None:
        return declared
    if type(metric) is keras.metrics.MeanMetricWrapper:
        return _direction_of_function(wrapped_function(metric))
    if isinstance(metric, _classes(_MORE)):
        return "max"
    return "min" if isinstance(metric, _classes(_LESS)) else None


def _direction_of_function(function: Any) -> str | None:
    if isinstance(function, keras.losses.Loss):
        return "min"
    name = getattr(function, "__name__", "")
    if function is not None and function is getattr(keras.losses, name, None):
        return "min"
    if name in _FUNCTIONS_OF_MORE and function is getattr(keras.metrics, name, None):
        return "max"
    return None


def _classes(names: Iterable[str]) -> tuple[type, ...]:
    found = (getattr(keras.metrics, name, None) for name in names)
    return tuple(kind for kind in found if kind is not None)


def metrics_of(model: Any, graph: Any = None) -> dict[str, Any]:
    """Return the metrics that a compiled model logs, by the names that it logs them under.

    ``"output_auc"``.

    Of a model whose outputs nobody knows before it is called they are known if it has one output.
    Neither the model nor its metrics are touched.

    Args:
        model: compiled.
        graph: a Functional model with its outputs, where it is none itself.
    """
    own = {metric.name: metric for metric in _own_metrics(model)}
    return {**own, **_compiled_metrics(model, graph)}


def _compiled_metrics(model: Any, graph: Any = None) -> dict[str, Any]:
    given = compiled_with(model)
    # Keras 3.12 writes into the containers that it is given
    metrics, weighted = (
        keras.tree.map_structure(lambda part: part, given.get(name))
        for name in ("metrics", "weighted_metrics")
    )
    if not metrics and not weighted:
        return {}
    graph = graph or _graph(model)
    outputs: Any = keras.KerasTensor((None, 2))
    if graph is not None:
        outputs = keras.tree.map_structure(
            lambda y: keras.KerasTensor(y.shape, y.dtype), outputs_struct(graph)
        )
    resolved = CompileMetrics(
        metrics, weighted, output_names=None if graph is None else graph.output_names
    )
    try:
        # what the labels look like decides which accuracy "accuracy" is, but not what it is called
        resolved.build(outputs, outputs)
    except (ValueError, TypeError):  # Keras says so when it trains
        return {}
    return named_metrics(resolved)


def _graph(model: Any) -> Any:
    """The model's graph; None if it has none, or none yet."""
    graph = graph_of(model) if is_graph(model) else None
    return graph if has_outputs_struct(graph) else None


def _own_metrics(model: Any) -> list[Any]:
    """The metrics that the model, or a layer in it, holds itself."""
    compiled = set(map(id, loss_metrics_of(model)))
    return [m for m in model.metrics if id(m) not in compiled and not isinstance(m, CompileMetrics)]


def named_metrics(resolved: CompileMetrics) -> dict[str, Any]:
    """Return the metrics of a `CompileMetrics` that is built, by the names that Keras gives them.

    It is used up.
    """
    for metrics in flat_metrics(resolved):
        metrics.metrics = [_Named(metric) for metric in metrics.metrics]
    return dict(resolved.result())


class _Named:
    """Stands for a metric where Keras asks for names and results: its result is the metric."""

    def __init__(self, metric: Any):
        self.name, self._metric = metric.name, metric

    def result(self) -> Any:
        return self._metric


def checked_objective(objective: Any, model: Any = None) -> keras_tuner.Objective:
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
            f"Received: objective={objective!r}"
        )
    if objective.direction not in ("max", "min"):
        raise SearchError(
            "The direction of an objective must be 'max' or 'min'. "
            f"Received: {objective.name!r} with direction={objective.direction!r}"
        )
    return objective


def checked_objectives(objective: Any, model: Any = None) -> Any:
    """Return what a tuner of KerasTuner ranks by: one objective, a list of several, or None.

    Each of them checked.
    """
    if isinstance(objective, list):
        return [checked_objective(one, model) for one in objective]
    several = (
        isinstance(objective, keras_tuner.Objective)
        and type(objective) is not keras_tuner.Objective
    )
    return objective if objective is None or several else checked_objective(objective, model)


def needs_model(objective: Any) -> bool:
    """Whether the model's metrics tell the direction of an objective."""
    if isinstance(objective, list):
        return any(map(needs_model, objective))
    name = getattr(objective, "name", objective)
    return isinstance(name, str) and name not in ("loss", "val_loss")


def check_direction(oracle: Any, model: Any) -> None:
    """Check that an oracle of KerasTuner, which guesses directions from names, ranks as the model's metrics say.

    Raises:
        SearchError: if a metric says otherwise.
    """
    goals = getattr(oracle.objective, "objectives", [oracle.objective])
    known = metrics_of(model) if getattr(model, "compiled", False) else {}
    for goal in goals:
        metric = (
            known.get(goal.name.removeprefix("val_"))
            if isinstance(goal, keras_tuner.Objective)
            else None
        )
        direction = None if metric is None else direction_of(metric)
        if direction is not None and direction != goal.direction:
            raise SearchError(
                f"The model's metric says that of {goal.name!r} the {direction} is best; give the oracle "
                f"keras_tuner.Objective({goal.name!r}, {direction!r}). Received: direction={goal.direction!r}"
            )


def _named(objective: str, model: Any) -> keras_tuner.Objective:
    name = objective.removeprefix("val_")
    if name == "loss":
        return keras_tuner.Objective(objective, "min")
    compiled = model is not None and getattr(model, "compiled", False)
    metrics = metrics_of(model) if compiled else {}
    direction: str | None
    if name in metrics:
        direction = direction_of(metrics[name])
        if direction is None:
            _refuse(objective, f"nothing says whether more of {name!r} is better, or less")
    elif compiled and name.endswith("_loss"):  # that of an output
        direction = "min"
    elif compiled and _trains_as_keras(model):
        known = [f"val_{one}" for one in ("loss", *metrics)]
        raise SearchError(f"objective must be one of {known}. Received: objective={objective!r}")
    else:
        direction = _direction_of_name(name)
        if direction is None:
            _refuse(objective, "no metric of Keras has that name")
    return keras_tuner.Objective(objective, direction)


def _trains_as_keras(model: Any) -> bool:
    """Whether what it logs is what it is compiled with."""
    return _graph(model) is not None and not own_methods(model)


def _refuse(objective: str, reason: str) -> NoReturn:
    raise SearchError(
        "An objective needs a direction, 'max' or 'min': "
        f"keras_tuner.Objective({objective!r}, 'max'), for example. Received: objective={objective!r}; {reason}"
    )


def _direction_of_name(name: str) -> str | None:
    """The direction of Keras' metric of that name, or of one that Keras numbered: ``"auc_1"``."""
    name = re.sub(r"_\d+$", "", name)
    for kinds, direction in ((_MORE, "max"), (_LESS, "min")):
        if name in kinds or name in map(_default_name, kinds):
            return direction
    if name == "acc":
        return "max"
    try:
        found = keras.metrics.get(name)  # it knows abbreviations
    except (ValueError, TypeError):
        found = getattr(keras.metrics, name, None)
    return (
        direction_of(found)
        if isinstance(found, keras.metrics.Metric)
        else _direction_of_function(found)
    )


def _default_name(kind: str) -> str:
    """What Keras calls a metric of a class."""
    return {"FBetaScore": "fbeta_score", "LogCoshError": "logcosh"}.get(kind, auto_name(kind))


def default_objective(model: keras.Model) -> str:
    """Return what ranks where nobody says it.

    The validation value of the model's main accuracy, else of its loss.

    The main accuracy is the first metric that is compiled in as ``"accuracy"`` or as Keras' binary,
    categorical or sparse categorical accuracy, whatever its name; a top-k accuracy is none, nor is
    a metric that is only called so. A model of several outputs has none.
    """
    metrics = {} if _has_several_outputs(model) else _compiled_metrics(model)
    mains = (name for name, metric in metrics.items() if _is_main_accuracy(metric))
    return f"val_{first}" if (first := next(mains, None)) else "val_loss"


def _has_several_outputs(model: keras.Model) -> bool:
    graph = _graph(model)
    if graph is not None:
        return len(graph.output_names) > 1
    # the outputs of a model without a graph are told by its metrics
    given = (compiled_with(model)).get("metrics")
    return isinstance(given, dict) and len(given) > 1


def _is_main_accuracy(metric: Any) -> bool:
    if isinstance(metric, _classes(_MAIN_ACCURACIES)):
        return True
    function = wrapped_function(metric) if type(metric) is keras.metrics.MeanMetricWrapper else None
    mains = [getattr(keras.metrics, auto_name(name)) for name in _MAIN_ACCURACIES]
    return any(function is main for main in mains)


def is_share(metric: Any) -> bool:
    """Whether a Keras metric is the share of samples that are right.

    An accuracy, a top-k one too.
    """
    accuracies = (name for name in _MORE if name.endswith("Accuracy"))
    function = wrapped_function(metric) if type(metric) is keras.metrics.MeanMetricWrapper else None
    known = (
        getattr(keras.metrics, name) for name in _FUNCTIONS_OF_MORE if name.endswith("accuracy")
    )
    return isinstance(metric, _classes(accuracies)) or any(function is one for one in known)
