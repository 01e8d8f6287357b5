"""What is drawn, as values: a picture is computed first, and can be tested, then drawn.

All numbers are in the unit that is shown: per cent where scores are shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Numbers: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """How much better than the baseline one candidate is.

    Attributes:
        name: of the candidate.
        gain: the mean difference, counted so that more is better, for losses too.
        low: the lower end of its interval; nan if it has none.
        high: the upper end.
        text: the difference in words, for the end of the row.
        outcome: ``"better"``, ``"worse"`` or ``"open"``, as the test decides.
    """

    name: str
    gain: float
    low: float
    high: float
    text: str
    outcome: str


@dataclass(frozen=True)
class Differences:
    """Each candidate against the baseline, better to the right.

    Attributes:
        baseline: what the others are compared with, at 0.
        rows: the best first.
        unit: of the differences.
    """

    baseline: str
    rows: tuple[Difference, ...]
    unit: str


@dataclass(frozen=True)
class Curve:
    """A line with a band around it.

    Attributes:
        name: of the candidate.
        x: rising.
        y: the middle of the seeds.
        low: the lower end of the band.
        high: the upper end.
        is_baseline: whether it is drawn as what the others are compared with.
    """

    name: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    is_baseline: bool = False


@dataclass(frozen=True)
class Curves:
    """Lines over epochs.

    Attributes:
        lines: one a candidate.
        x_label: what the horizontal axis is.
        y_label: what the vertical axis is.
        better_up: whether more is better.
    """

    lines: tuple[Curve, ...]
    x_label: str
    y_label: str
    better_up: bool = True


@dataclass(frozen=True)
class RateLine:
    """The scores of one candidate at several learning rates.

    Attributes:
        name: of the candidate.
        y: one a rate; nan where a training diverged.
        chosen: the index of the rate at which it was judged; -1 if none was.
        is_baseline: whether it is what the others are compared with.
    """

    name: str
    y: Numbers
    chosen: int = -1
    is_baseline: bool = False


@dataclass(frozen=True)
class LearningRates:
    """Scores against the learning rate.

    Attributes:
        factors: multiples of the model's own rate, rising.
        ticks: each of them as one writes it.
        lines: one a candidate.
        y_label: what the vertical axis is.
        better_up: whether more is better.
    """

    factors: Numbers
    ticks: tuple[str, ...]
    lines: tuple[RateLine, ...]
    y_label: str
    better_up: bool = True


@dataclass(frozen=True)
class Runner:
    """A candidate in a race.

    Attributes:
        name: of the candidate, with its learning rate if that is searched.
        scores: one a round; nan where it did not train.
        last: the number of the round after which it left, or the last one.
        fate: what became of it there, in words.
        finished: whether it was in the last round.
        is_baseline: whether it is what the others are compared with.
        colour: the number of its colour, the same in all pictures of a page; -1 for grey.
    """

    name: str
    scores: Numbers
    last: int
    fate: str
    finished: bool
    is_baseline: bool = False
    colour: int = -1


@dataclass(frozen=True)
class RaceRounds:
    """A race: who trained in which round, and with which score.

    Attributes:
        names: of the rounds, those of as many epochs and seeds as one: ``"Rounds 1–3"``.
        rounds: each in words, ``"3 epochs, 1 seed"``.
        runners: who went furthest first, then the best.
        y_label: what the vertical axis is.
        better_up: whether more is better.
    """

    names: tuple[str, ...]
    rounds: tuple[str, ...]
    runners: tuple[Runner, ...]
    y_label: str
    better_up: bool = True


@dataclass(frozen=True)
class Panel:
    """The scores of one activation against one of its parameters.

    Attributes:
        title: ``"trelu: theta"``.
        x: the values of the parameter.
        y: the scores.
        went_on: which of them trained further.
        labels: the whole candidates.
    """

    title: str
    x: Numbers
    y: Numbers
    went_on: tuple[bool, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Parameters:
    """Scores against what was searched of alpha and theta.

    Attributes:
        panels: one an activation and parameter.
        y_label: what the vertical axis is.
        reference: the score of the baseline on the same terms; nan if it has none.
        baseline: its name.
        terms: on which terms the scores are: after how many epochs, on how many seeds.
        better_up: whether more is better.
    """

    panels: tuple[Panel, ...]
    y_label: str
    reference: float
    baseline: str
    terms: str
    better_up: bool = True


@dataclass(frozen=True)
class Shape:
    """An activation function with its derivative.

    Attributes:
        name: of the activation.
        x: where it is drawn.
        y: the function.
        slope: the derivative; nan at a jump.
    """

    name: str
    x: Numbers
    y: Numbers
    slope: Numbers


@dataclass(frozen=True)
class Histogram:
    """What comes into the activations of a model.

    Attributes:
        edges: of the bars, one more than heights.
        heights: the largest is 1.
    """

    edges: Numbers
    heights: Numbers


@dataclass(frozen=True)
class Shapes:
    """The functions of the leaders, over what comes into them in the kept model.

    Attributes:
        shapes: one an activation.
        inputs: None where that is not known.
    """

    shapes: tuple[Shape, ...]
    inputs: Histogram | None = None


@dataclass(frozen=True)
class LayerSizes:
    """A size for each layer of one or several models, on a logarithmic axis.

    Attributes:
        layers: their names, the first at the top.
        models: what each model is called.
        sizes: of each model, one a layer; nan where it has none, 0 where nothing is left.
        x_label: what the horizontal axis is.
        colours: the number of the colour of each model.
    """

    layers: tuple[str, ...]
    models: tuple[str, ...]
    sizes: tuple[Numbers, ...]
    x_label: str
    colours: tuple[int, ...]


Picture: TypeAlias = (
    Differences | Curves | LearningRates | RaceRounds | Parameters | Shapes | LayerSizes
)
