"""What a search shows as pictures: computed as values here, drawn by the room `report`."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import SearchError

from .report.axes import on_axes, on_panels
from .report.numbers import counted
from .report.svg import COLOURS
from .report.values import (
    Histogram,
    LayerSizes,
    LearningRates,
    Panel,
    Parameters,
    RaceRounds,
    RateLine,
    Runner,
    Shapes,
)
from .rewrite.activity import SlotActivity, activity, heights
from .rewrite.gradients import LayerGradient, gradient_sizes
from .space.candidate import Candidate
from .space.rated import Rated, written
from .space.shapes import shapes_of
from .strategy.rounds import FINISHED, GOES_ON, Entrant, Round
from .verdict import pictures as of_verdict

if TYPE_CHECKING:
    import keras
    from matplotlib.axes import Axes

    from .result import SearchResult

# a parameter of fewer values has nothing to see
_FEWEST_VALUES = 3
# functions
_DRAWN = 4
# of the histogram of what comes into activations: as far as functions are drawn
_INPUTS_TO = 4.0
# rows of the picture of gradients
MOST_LAYERS = 24
_BARS = 64


@dataclass(frozen=True)
class Scale:
    """How the objective is shown.

    Attributes:
        factor: what scores are multiplied by.
        label: of an axis.
        better_up: whether more is better.
    """

    factor: float
    label: str
    better_up: bool


def scale(result: SearchResult) -> Scale:
    """Return how the objective is shown: a share of samples in per cent, as the verdict tells."""
    label = result.objective
    if label.startswith("val_"):
        label = f"validation {label.removeprefix('val_')}"
    better_up = result.direction == "max"
    if _is_share(result):
        return Scale(100.0, f"{label}, %", better_up)
    return Scale(1.0, label, better_up)


def _is_share(result: SearchResult) -> bool:
    """Whether the objective is a share of the samples: the verdict knows, else its name tells."""
    verdict = result.verdict
    metric = result.objective.removeprefix("val_")
    if verdict is not None and verdict.metric == metric:
        return verdict.in_points
    scores = [trial.score for trial in result.trials if trial.score is not None]
    is_accuracy = metric == "acc" or metric.endswith("accuracy")
    return is_accuracy and all(0 <= score <= 1 for score in scores)


def name_of(result: SearchResult, rated: Rated) -> str:
    """Return what was tried as one writes it, with its learning rate where others were tried."""
    if not result.with_rates:
        return str(rated.choice)
    return f"{rated.choice} at {rate_of(result, rated.factor)}"


def rate_of(result: SearchResult, factor: float) -> str:
    """Return a learning rate as one writes it."""
    return written(factor, result.own_rate)


def race(result: SearchResult) -> RaceRounds:
    """Return who trained in which round, with which score, and what became of each.

    Rounds of as many epochs and seeds are shown as one: their scores compare.

    Raises:
        SearchError: if the search was no race, or no round ended.
    """
    if not result.rounds:
        raise SearchError("A picture of a race needs a race. Received: a search without rounds")
    shown = scale(result)
    places = _places(result.rounds)
    scores: dict[Rated, dict[int, float]] = {}
    latest: dict[Rated, tuple[int, Entrant]] = {}
    for number, a_round in enumerate(result.rounds):
        for entrant in a_round.entrants:
            mean = shown.factor * entrant.mean
            scores.setdefault(entrant.rated, {})[places[number]] = mean
            latest[entrant.rated] = (number, entrant)
    columns = range(places[-1] + 1)
    runners = []
    for rated, (number, entrant) in latest.items():
        of_rated = scores[rated]
        runners.append(
            Runner(
                name=name_of(result, rated),
                scores=tuple(of_rated.get(column, math.nan) for column in columns),
                last=number + 1,
                fate=entrant.fate,
                finished=number == len(result.rounds) - 1 and not entrant.left,
                is_baseline=rated.choice == result.baseline,
            )
        )
    runners.sort(key=lambda runner: _furthest_first(runner, better_up=shown.better_up))
    choices = {name_of(result, rated): str(rated.choice) for rated in latest}
    runners = _in_colours(result, runners, choices)
    names = []
    words = []
    for column in columns:
        numbers = [number for number, place in enumerate(places) if place == column]
        names.append(_numbered(numbers[0] + 1, numbers[-1] + 1))
        words.append(_words(result.rounds[numbers[0]]))
    return RaceRounds(tuple(names), tuple(words), tuple(runners), shown.label, shown.better_up)


def _colours_of(result: SearchResult) -> dict[str, int]:
    """The numbers of the colours that the verdict's pictures have for its candidates."""
    if result.verdict is None:
        return {}
    judged = [scored.activation for scored in result.verdict.candidates]
    return {activation: number % len(COLOURS) for number, activation in enumerate(judged)}


def _in_colours(
    result: SearchResult, runners: Sequence[Runner], choices: Mapping[str, str]
) -> list[Runner]:
    """Those who reached the end in colours: what the verdict judged in the same as there."""
    known = _colours_of(result)
    finished = [runner for runner in runners if runner.finished][: len(COLOURS)]
    chosen: dict[str, int] = {}
    for runner in finished:
        number = known.get(choices[runner.name])
        # of one activation at two learning rates the better one has it
        if number is not None and number not in chosen.values():
            chosen[runner.name] = number
    free = [number for number in range(len(COLOURS)) if number not in chosen.values()]
    # what the verdict has for another comes last
    free.sort(key=lambda number: number in known.values())
    for runner in finished:
        if runner.name not in chosen:
            chosen[runner.name] = free.pop(0)
    return [replace(runner, colour=chosen.get(runner.name, -1)) for runner in runners]


def _places(rounds: Sequence[Round]) -> list[int]:
    """Where each round is shown: where the one before is, if it has as many epochs and seeds."""
    places = [0]
    for before, a_round in itertools.pairwise(rounds):
        is_other = (before.epochs, before.seeds) != (a_round.epochs, a_round.seeds)
        places.append(places[-1] + int(is_other))
    return places


def _numbered(first: int, last: int) -> str:
    if first == last:
        return f"Round {first}"
    return f"Rounds {first}–{last}"


def _furthest_first(runner: Runner, *, better_up: bool) -> tuple[float, ...]:
    """Who trained in a later round comes first, then the better; the diverged last of their round."""
    last = 0
    for number, score in enumerate(runner.scores):
        if math.isfinite(score):
            last = number
    score = runner.scores[last]
    if not math.isfinite(score):
        return (0.0, 1.0, 0.0)
    if better_up:
        score = -score
    return (-float(last), 0.0, score)


def _words(a_round: Round) -> str:
    return f"{counted(a_round.epochs, 'epoch')}, {counted(a_round.seeds, 'seed')}"


def learning_rates(result: SearchResult) -> LearningRates:
    """Return scores at the learning rates that were tried: the verdict's study, else the race's first scores.

    Raises:
        SearchError: if only the model's own rate was tried.
    """
    if result.verdict is not None and result.verdict.rates is not None:
        return of_verdict.learning_rates(result.verdict)
    tried = [each for each in _on_equal_terms(result) if math.isfinite(each.score)]
    factors = tuple(sorted({each.rated.factor for each in tried}))
    if len(factors) < 2:
        raise SearchError(
            "A picture of learning rates needs a search that tried several. Received: "
            f"{len(factors)}"
        )
    shown = scale(result)
    by_name: dict[str, dict[float, float]] = {}
    for each in tried:
        by_name.setdefault(str(each.rated.choice), {})[each.rated.factor] = each.score
    lines = []
    for name, scores in by_name.items():
        if len(scores) > 1:
            values = tuple(scores.get(factor, math.nan) for factor in factors)
            lines.append(RateLine(name, values, -1, name == str(result.baseline)))
    ticks = tuple(written(factor, result.own_rate) for factor in factors)
    return LearningRates(factors, ticks, tuple(lines), shown.label, shown.better_up)


@dataclass(frozen=True)
class _Tried:
    """What was tried, with a score that can be compared with the others'."""

    rated: Rated
    score: float
    went_on: bool


def _on_equal_terms(result: SearchResult) -> list[_Tried]:
    """All that was tried with scores of as many epochs and seeds: in a race those of its first rounds."""
    factor = scale(result).factor
    if not result.rounds:
        found = []
        for trial in result.trials:
            if trial.score is not None and trial.status == "completed":
                found.append(_Tried(trial.rated, factor * trial.score, True))
        return found
    first = result.rounds[0]
    latest: dict[Rated, _Tried] = {}
    for a_round in result.rounds:
        if (a_round.epochs, a_round.seeds) != (first.epochs, first.seeds):
            break
        for entrant in a_round.entrants:
            went_on = entrant.fate in (GOES_ON, FINISHED)
            latest[entrant.rated] = _Tried(entrant.rated, factor * entrant.mean, went_on)
    return list(latest.values())


def parameters(result: SearchResult) -> Parameters:
    """Return scores against each parameter of an activation of which several values were tried.

    All at one learning rate, the one at which most were tried, and of as many epochs and seeds.

    Raises:
        SearchError: if there is no such parameter.
    """
    tried = [each for each in _on_equal_terms(result) if math.isfinite(each.score)]
    factor = 1.0
    if tried:
        counts = Counter(each.rated.factor for each in tried)
        factor = counts.most_common(1)[0][0]
    at_factor = [each for each in tried if each.rated.factor == factor]
    panels = tuple(_panels(at_factor))
    if not panels:
        raise SearchError(
            f"A picture of parameters needs one with at least {_FEWEST_VALUES} values. Received: none"
        )
    reference = math.nan
    for each in at_factor:
        if each.rated.choice == result.baseline:
            reference = each.score
    shown = scale(result)
    return Parameters(
        panels,
        shown.label,
        reference,
        str(result.baseline),
        _terms(result, factor),
        shown.better_up,
    )


def _terms(result: SearchResult, factor: float) -> str:
    """On which terms the scores of `parameters` are."""
    terms = "at the best epoch of each"
    if result.rounds:
        terms = f"after {_words(result.rounds[0]).replace(', ', ' on ')}"
    if result.with_rates:
        terms += f", at learning rate {written(factor, result.own_rate)}"
    return terms


def inputs(seen: Sequence[SlotActivity]) -> Histogram | None:
    """Return how often which values come into the activations, every slot counting the same."""
    if not seen:
        return None
    edges = np.linspace(-_INPUTS_TO, _INPUTS_TO, _BARS + 1)
    shares = heights(seen, edges)
    return Histogram(tuple(map(float, edges)), tuple(map(float, shares)))


def activity_of(result: SearchResult) -> tuple[SlotActivity, ...]:
    """Return what the activations of the kept model see of some samples.

    Nothing where that cannot be had.
    """
    if result.model is None or result.samples is None:
        return ()
    try:
        return activity(result.model, result.samples)
    except Exception:
        # a look at a model that is built in a way of its own must not cost the report
        return ()


def gradients(result: SearchResult) -> LayerSizes:
    """Return how strongly the loss pulls at each layer of the kept model, and of the baseline's.

    Raises:
        SearchError: if there is no model, or nothing to measure it with.
    """
    models = [(name_of(result, result.kept.rated), result.model)]
    baseline = Rated(result.baseline, result.baseline_factor)
    if result.baseline_model is not None and baseline != result.kept.rated:
        models.append((name_of(result, baseline), result.baseline_model))
    layers: list[str] = []
    sizes: list[dict[str, float]] = []
    for _, model in models:
        of_layers = {each.layer: each.size for each in _gradients_of(result, model)}
        sizes.append(of_layers)
        layers += [layer for layer in of_layers if layer not in layers]
    if not layers:
        raise SearchError(
            "A picture of gradients needs a model, some validation data and the TensorFlow backend. "
            "Received: one of them is missing"
        )
    shown = _evenly(layers, MOST_LAYERS)
    values = [tuple(of_layers.get(layer, math.nan) for layer in shown) for of_layers in sizes]
    known = _colours_of(result)
    colours = [known.get(str(result.kept.candidate), 0)]
    if len(models) > 1:
        of_baseline = known.get(str(result.baseline), 1)
        if of_baseline == colours[0]:
            of_baseline = (of_baseline + 1) % len(COLOURS)
        colours.append(of_baseline)
    return LayerSizes(
        layers=tuple(shown),
        models=tuple(name for name, _ in models),
        sizes=tuple(values),
        x_label="size of the gradient",
        colours=tuple(colours),
    )


def _gradients_of(result: SearchResult, model: keras.Model | None) -> tuple[LayerGradient, ...]:
    """The gradients of a model on the validation samples; nothing where that cannot be had."""
    if model is None or result.labelled is None:
        return ()
    try:
        return gradient_sizes(model, *result.labelled)
    except Exception:
        # a look at a model that is trained in a way of its own must not cost the report
        return ()


def _evenly(layers: Sequence[str], most: int) -> list[str]:
    """So many layers at most, the first and the last among them."""
    if len(layers) <= most:
        return list(layers)
    places = np.linspace(0, len(layers) - 1, most).round().astype(int)
    return [layers[place] for place in places]


def shapes(result: SearchResult) -> Shapes:
    """Return the functions of the leaders over what comes into them in the kept model.

    Raises:
        SearchError: if none is a function of one number.
    """
    names = [str(trial.candidate) for trial in result.trials if trial.rank is not None]
    if result.verdict is not None:
        names = [scored.activation for scored in result.verdict.candidates]
    drawn = shapes_of(list(dict.fromkeys(names))[:_DRAWN])
    if not drawn:
        raise SearchError(
            f"A picture of functions needs an activation of one number. Received: {names[:_DRAWN]}"
        )
    return Shapes(drawn, inputs(activity_of(result)))


def _panels(tried: Sequence[_Tried]) -> Iterator[Panel]:
    by_parameter: dict[tuple[str, str], list[tuple[float, _Tried]]] = {}
    for each in tried:
        choice = each.rated.choice
        if not isinstance(choice, Candidate):
            continue
        for parameter, value in choice.parameters:
            # a mode is a word, and a trained value is not known before
            if isinstance(value, int | float):
                by_parameter.setdefault((choice.name, parameter), []).append((float(value), each))
    for (name, parameter), points in by_parameter.items():
        if len({value for value, _ in points}) < _FEWEST_VALUES:
            continue
        points.sort(key=lambda point: point[0])
        yield Panel(
            f"{name}: {parameter}",
            tuple(value for value, _ in points),
            tuple(each.score for _, each in points),
            tuple(each.went_on for _, each in points),
            tuple(str(each.rated.choice) for _, each in points),
        )


class ResultPlot:
    """The pictures of a search as matplotlib's Axes: ``result.plot.race()``.

    Each takes the Axes to draw on; by default a new figure's.
    """

    def __init__(self, result: SearchResult):
        self._result = result

    def race(self, ax: Axes | None = None) -> Axes:
        """Draw the scores of all candidates round by round; who left is grey.

        Raises:
            SearchError: if the search was no race.
        """
        return on_axes(race(self._result), ax)

    def learning_rates(self, ax: Axes | None = None) -> Axes:
        """Draw scores at the learning rates that were tried.

        Raises:
            SearchError: if only the model's own was.
        """
        return on_axes(learning_rates(self._result), ax)

    def parameters(self) -> tuple[Axes, ...]:
        """Draw scores against alpha, theta and the like, each on Axes of its own.

        Filled dots are of candidates that went on.

        Raises:
            SearchError: if none of which several values were tried.
        """
        return on_panels(parameters(self._result))

    def shapes(self) -> tuple[Axes, ...]:
        """Draw the functions of the leaders with their derivatives, each on Axes of its own.

        Behind them, what comes into the activations of the kept model.

        Raises:
            SearchError: if none is a function of one number.
            ModelError: if the kept model is subclassed.
        """
        return on_panels(shapes(self._result))

    def gradients(self, ax: Axes | None = None) -> Axes:
        """Draw the size of the gradient of each layer, of the kept model and the baseline's.

        Raises:
            SearchError: if there is no model, or nothing to measure it with.
        """
        return on_axes(gradients(self._result), ax)

    def differences(self, ax: Axes | None = None) -> Axes:
        """Draw the differences of the verdict; see `VerdictPlot`.

        Raises:
            SearchError: if there is no verdict.
        """
        return self._of_verdict.differences(ax)

    def curves(self, ax: Axes | None = None) -> Axes:
        """Draw the learning curves of the verdict; see `VerdictPlot`.

        Raises:
            SearchError: if there is no verdict.
        """
        return self._of_verdict.curves(ax)

    @property
    def _of_verdict(self) -> of_verdict.VerdictPlot:
        if self._result.verdict is None:
            raise SearchError("This picture needs a verdict. Received: verdict=None")
        return self._result.verdict.plot
