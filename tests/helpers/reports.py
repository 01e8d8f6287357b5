"""Results of searches to draw and to tell, made without training."""

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np

from keras_acts.search import SearchResult, Verdict
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.base import TrialResult
from keras_acts.search.strategy.rounds import (
    DIVERGED,
    FINISHED,
    GOES_ON,
    NO_PLACE,
    WORSE,
    Entrant,
    Round,
)
from keras_acts.search.verdict import judge as judging
from keras_acts.search.verdict.rates import study
from keras_acts.search.verdict.runs import Runs

NAMES = ("relu", "mish", "trelu(alpha=0.2, theta=-0.3)")
EPOCHS = 6
# tags that have no end
_EMPTY = {"meta", "link", "br", "wbr", "img", "input", "hr"}


def verdict(
    means: Sequence[float] = (0.93, 0.931, 0.91),
    *,
    names: Sequence[str] = NAMES,
    metric: str = "accuracy",
    maximize: bool = True,
    seeds: int = 8,
    sd: float = 0.004,
    rates: bool = False,
) -> Verdict:
    """A verdict on scores with these means, as a training would have left it."""
    rng = np.random.default_rng(0)
    noise = sd * rng.normal(size=(len(means), seeds))
    noise -= noise.mean(axis=1, keepdims=True)
    last = np.array(means)[:, None] + noise
    scores = dict(zip(names, last, strict=True))
    shape = (seeds, EPOCHS, len(means))
    # from far off to the end, in the direction that is better
    away = np.linspace(0.3, 0.0, EPOCHS)[None, :, None] * np.array(means)
    sign = -1 if maximize else 1
    history = np.broadcast_to(last.T[:, None], shape) + sign * away
    runs = Runs(
        tuple(names),
        tuple(range(100, 100 + seeds)),
        {f"val_{metric}": history},
        {metric: last.T},
        np.zeros((seeds, len(means)), bool),
    )
    chosen = None
    if rates:
        tried = np.array(means)[:, None, None] + sd * rng.normal(size=(len(means), 3, 4))
        chosen = study(names, [0.5, 1.0, 2.0], tried, metric=metric, maximize=maximize, own=0.001)
    return judging.judge(
        scores,
        baseline=names[0],
        metric=metric,
        maximize=maximize,
        part="test",
        runs=runs,
        rates=chosen,
        share=metric == "accuracy",
    )


def result(found: Verdict | None = None, **changes: Any) -> SearchResult:
    """The result of a race of two rounds, with one candidate that diverged."""
    candidates = [Candidate.of(name) for name in (*NAMES, "trelu(alpha=0.2, theta=0.1)")]
    candidates += [Candidate.of("trelu(alpha=0.2, theta=0.4)"), Candidate.of("tanh")]
    relu, mish, trelu, second, third, tanh = map(Rated, candidates)
    first = Round(
        2,
        1,
        (
            Entrant(mish, (0.9,), GOES_ON),
            Entrant(relu, (0.89,), GOES_ON),
            Entrant(trelu, (0.88,), GOES_ON),
            Entrant(second, (0.87,), NO_PLACE),
            Entrant(third, (0.86,), WORSE),
            Entrant(tanh, (float("nan"),), DIVERGED),
        ),
    )
    last = Round(
        EPOCHS,
        2,
        (
            Entrant(relu, (0.94, 0.95), FINISHED),
            Entrant(mish, (0.93, 0.95), FINISHED),
            Entrant(trelu, (0.92, 0.93), FINISHED),
        ),
    )
    trials = []
    for rank, entrant in enumerate(last.entrants, 1):
        trials.append(
            TrialResult(
                rank, entrant.rated.choice, entrant.mean, "completed", 1.5, {}, "", EPOCHS, 2
            )
        )
    trials.append(TrialResult(4, second.choice, 0.87, "stopped", 0.5, {}, "", 2, 1))
    trials.append(TrialResult(5, third.choice, 0.86, "stopped", 0.5, {}, "", 2, 1))
    why = "diverged: the loss or val_accuracy is not finite"
    trials.append(TrialResult(None, tanh.choice, None, "diverged", 0.5, {}, why, 2, 1))
    made = SearchResult(
        objective="val_accuracy",
        direction="max",
        trials=tuple(trials),
        model=None,
        baseline=candidates[0],
        executions_per_trial=1,
        device="CPU",
        verdict=found,
        seed=0,
        rounds=(first, last),
        call="search_activations(model, x, y, trials=6)",
    )
    return replace(made, **changes)


class Reader(HTMLParser):
    """Reads a page: its texts, its elements, and whether they nest as they must."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        self.wrong += [f"{tag} is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.wrong.append(f"</{tag}> inside {self._open[-1:]}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that is read, with single spaces."""
        return " ".join("".join(self.words).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]
