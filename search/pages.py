"""The report of a search as a page: the verdict's sections, and what only the search knows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from keras_acts.errors import SearchError

from . import pictures
from .exporting.page import use
from .report.numbers import agreement, counted, number, seconds
from .report.page import (
    Answer,
    Bullets,
    Cell,
    Code,
    DataTable,
    Details,
    Figure,
    Page,
    Part,
    Section,
    Terms,
    Text,
)
from .report.tables import COLUMNS
from .rewrite.activity import SlotActivity
from .rewrite.slots import slots
from .runtime.reasons import headline
from .strategy.base import NO_CHANGES, TrialResult
from .strategy.rounds import DIVERGED, FINISHED, Kind
from .verdict import pages as of_verdict
from .verdict.answer import COMMAND
from .verdict.answer import answer as answer_of_verdict
from .verdict.guessing import is_mean_square

if TYPE_CHECKING:
    from .result import SearchResult
    from .verdict.verdict import Verdict

# rows of the ranked table that are not folded up
_SHOWN = 10
# functions
_DRAWN = 3


def page(result: SearchResult, exported: str = "", difference: float | None = None) -> Page:
    """Return the report of a search.

    Args:
        result: what was found.
        exported: the folder of its export; empty if there is none.
        difference: of the export's predictions from the model's.
    """
    return Page(
        title=_title(result),
        subtitle="keras_acts · search for an activation",
        answer=answer(result),
        figures=figures(result),
        sections=tuple(_sections(result, exported, difference)),
        footer=of_verdict.footer(),
    )


def _title(result: SearchResult) -> str:
    model = "the model"
    if result.model is not None:
        model = f"the model {result.model.name!r}"
    return f"Which activation suits {model} best?"


def answer(result: SearchResult) -> Answer:
    """Return what the report says first: the verdict's answer, else what ranked first."""
    verdict = result.verdict
    if verdict is None:
        return _unproved(result)
    said = answer_of_verdict(verdict)
    if verdict.withheld:
        return replace(said, reasons=(*said.reasons, *_ended_before(result)))
    steps = list(said.steps)
    if result.model is not None:
        steps[0] = f"{steps[0]} This search has trained such a model: see below how to use it."
    reasons = list(said.reasons)
    if str(result.best) != verdict.suggested:
        reasons.append(
            f"The kept model has {result.best} all the same: {verdict.suggested} was not trained to its end."
        )
    reasons += _ended_before(result)
    return replace(said, reasons=tuple(reasons), steps=tuple(steps))


def _unproved(result: SearchResult) -> Answer:
    """The answer without a verdict: a ranking."""
    name = result.name_of_kept
    score = score_text(result, result.score)
    why = "there is no verdict"
    asked = "verdict=8"
    compared = "compare_activations"
    if result.call.startswith(COMMAND):
        asked = "--verdict 8"
        compared = "keras-acts compare"
    steps = [f"Ask for a verdict ({asked}): it trains the best three and the baseline again."]
    if "verdict" in result.errors:
        why = f"the verdict failed ({result.errors['verdict']})"
        steps = [f"Compare the best few again with {compared}."]
    reasons = [
        f"Its {pictures.scale(result).label.removesuffix(', %')} is {score} on the data that ranked it, and {why}.",
        "The best of many equal candidates looks better by luck alone: a ranking suggests, it does not prove.",
    ]
    reasons += _ended_before(result)
    headline = f"{name} ranked first."
    as_good = sum(trial.rank == 1 for trial in result.trials) - 1
    if as_good > 0:
        headline = f"{name} ranked first, with {counted(as_good, 'other')} as good."
    return Answer(headline, tuple(reasons), "none", "Not tested", tuple(steps))


def _ended_before(result: SearchResult) -> list[str]:
    """What to say of a search that ended before it was done."""
    said = []
    if NO_CHANGES in result.errors:
        said.append(f"Nothing was found out about single layers: {result.errors[NO_CHANGES]}.")
    if "changes" in result.errors:
        reason = result.errors["changes"].rstrip(".")
        said.append(f"The search failed while it changed single layers: {reason}.")
    elif result.interrupted:
        said.append("The search was interrupted: this is about what it had found by then.")
    elif not result.is_complete:
        said.append("Not all were trained as far as planned: this is about what was found by then.")
    return said


def score_text(result: SearchResult, value: float) -> str:
    """Return a score of the objective as people read it."""
    if pictures.scale(result).factor != 1:
        return f"{100 * value:.2f} %"
    return number(value)


def figures(result: SearchResult) -> tuple[tuple[str, str], ...]:
    """Return the numbers to see at once."""
    found = list(_test_figures(result))
    verdict = result.verdict
    if not found:
        what = f"{pictures.scale(result).label.removesuffix(', %')} of the kept model"
        found.append((score_text(result, result.score), what))
    if verdict is not None and verdict.guess is not None:
        guess = of_verdict.score_text(verdict, verdict.guess.score)
        found.append((guess, f"guessing: {verdict.guess.what}"))
    trained = [trial.seconds for trial in result.trials if trial.seconds is not None]
    found.append((str(len(result.trials)), "candidates tried"))
    if trained:
        found.append((seconds(sum(trained)), "to train them"))
    return tuple(found[:4])


def _test_figures(result: SearchResult) -> Iterator[tuple[str, str]]:
    """The scores of the kept model on the test data."""
    verdict = result.verdict
    test = result.test or {}
    metric = result.objective.removeprefix("val_")
    if metric not in test:
        return
    share = pictures.scale(result).factor != 1
    yield (
        score_text(result, test[metric]),
        f"test {metric} of the kept model{_range(result, metric, share)}",
    )
    if verdict is not None and _squares(result, verdict):
        yield from of_verdict.of_squares(test[metric], verdict.guess)


def _squares(result: SearchResult, verdict: Verdict) -> bool:
    """Whether the objective is the mean squared error: by its name, or as the loss of the model."""
    metric = result.objective.removeprefix("val_")
    if metric == verdict.metric and of_verdict.squares(verdict):
        return True
    # what guessing has is known of a loss without penalties only
    if result.model is None or metric != verdict.metric or verdict.guess is None:
        return False
    return is_mean_square(result.model, metric)


def _range(result: SearchResult, metric: str, share: bool) -> str:
    """The interval of a test score, if it has one."""
    known: Mapping[str, Any] = result.intervals.get(metric) or {}
    interval = known.get("interval")
    if not interval:
        return ""
    low, high = interval
    if share:
        return f" ({100 * low:.1f} to {100 * high:.1f} %)"
    return f" ({number(low)} to {number(high)})"


def _sections(result: SearchResult, exported: str, difference: float | None) -> Iterator[Section]:
    verdict = result.verdict
    seen = pictures.activity_of(result)
    if verdict is not None:
        for section in of_verdict.sections_of(verdict, pictures.inputs(seen)):
            if section.heading != "What failed":
                yield section
    else:
        yield from of_verdict.functions(_leaders(result), pictures.inputs(seen))
    gradient_figure = _gradients(result)
    if seen:
        yield _layers_at_work(result, seen, gradient_figure)
    elif gradient_figure is not None:
        yield Section("The layers at work", (gradient_figure,))
    if result.rounds:
        yield _race(result)
    elif verdict is None or verdict.rates is None:
        yield from _rates(result)
    yield from _parameters(result)
    if result.groups:
        yield _layers(result)
    failures = tuple(_failures(result))
    if failures:
        yield Section("What failed", (Bullets(failures),))
    yield _all_candidates(result)
    yield from _target(result)
    yield _limits(result)
    yield _use(result, exported, difference)
    if result.columns:
        yield _columns(result)
    yield _origin(result)
    if verdict is not None:
        yield of_verdict.statistics(verdict)


def _leaders(result: SearchResult) -> list[str]:
    """The best of each activation, a few."""
    best: dict[str, str] = {}
    for trial in result.trials:
        if trial.rank is not None:
            best.setdefault(getattr(trial.candidate, "name", ""), str(trial.candidate))
    return list(best.values())[:_DRAWN]


def _gradients(result: SearchResult) -> Figure | None:
    """How strongly the error pulls at each layer; None where that is not known."""
    try:
        drawn = pictures.gradients(result)
    except SearchError:
        return None
    samples = counted(len(keras.tree.flatten(result.labelled)[0]), "sample")
    some = ""
    if len(drawn.layers) == pictures.MOST_LAYERS:
        some = " Of a model with many layers some are left out, evenly."
    caption = (
        "How strongly the error pulls at the weights of each layer: the size of their gradient (root mean square) on "
        f"{samples} of the validation data, at the best epoch. The axis counts in powers of ten. "
        "Layers that differ a few times are as usual; one far left of the others has almost stopped to learn."
        f"{some}"
    )
    return Figure(drawn, "Gradient size of each layer", caption, "gradients")


def _layers_at_work(
    result: SearchResult, seen: Sequence[SlotActivity], gradient_figure: Figure | None
) -> Section:
    """Which units of the kept model no longer learn, and how strongly its layers do."""
    rows = []
    for each in seen:
        dead = Cell(f"{each.dead} of {each.units}")
        if each.dead:
            dead = Cell(f"{each.dead} of {each.units}", "bad")
        rows.append((each.slot, each.activation, dead, f"{100 * each.flat:.0f} %"))
    samples = counted(len(keras.tree.flatten(result.samples)[0]), "sample")
    table = DataTable(
        ("layer", "activation", "dead units", "flat"),
        tuple(rows),
        f"The kept model on {samples} of the training data.",
        frozenset({3}),
    )
    words = Text(
        "A dead unit has a slope of 0 for every sample, so that what comes before it learns nothing from it. Flat is "
        "the share of values at a place where the slope is less than 0.05: of relu, all below 0.",
        quiet=True,
    )
    first = replace(table, rows=table.rows[:_SHOWN])
    parts: list[Part] = [first]
    if len(rows) > _SHOWN:
        rest = replace(table, rows=table.rows[_SHOWN:])
        parts.append(Details(f"{len(rows) - _SHOWN} more layers", (rest,)))
    parts.append(words)
    unseen = _not_seen(result, seen)
    if unseen:
        parts.append(Text(f"Nothing was seen of {', '.join(unseen)}.", quiet=True))
    if gradient_figure is not None:
        parts.append(gradient_figure)
    return Section("The layers at work", tuple(parts))


def _not_seen(result: SearchResult, seen: Sequence[SlotActivity]) -> list[str]:
    """The hidden slots of the kept model that could not be watched."""
    names = {each.slot for each in seen}
    return [slot.name for slot in slots(result.model).hidden if slot.name not in names]


class _RaceWords(NamedTuple):
    """What is said of the rounds: the title, the picture's name, what the table tells, how to read them."""

    title: str
    name: str
    what: str
    how: str


_RACE = _RaceWords(
    "The race",
    "The race, round by round",
    "who left when, and why",
    "Each round trains the best of the one before further{seeds}. A coloured line reached {end}, a grey one ends "
    "where its candidate left. Scores of different rounds do not compare; very bad ones are drawn at the edge.",
)
_ALL = _RaceWords(
    "All candidates",
    "All candidates at their end",
    "what became of them",
    "All trained to the end on as many seeds; nobody left early. Very bad scores are drawn at the edge.",
)
_NOT_ALL = _ALL._replace(
    name="The candidates that had trained to their end",
    how="All were to train to the end on as many seeds, but the search ended before: only who had done so is here. "
    "Very bad scores are drawn at the edge.",
)


def _race_words(result: SearchResult) -> _RaceWords:
    """What is said of the rounds of a search."""
    if result.kind is Kind.TOGETHER:
        if result.is_complete:
            return _ALL
        return _NOT_ALL
    end = "the end"
    if not result.is_complete:
        end = "the last round that was finished before the search ended"
    seeds = ""
    if len({a_round.seeds for a_round in result.rounds}) > 1:
        seeds = ", and on more seeds"
    return _RACE._replace(how=_RACE.how.format(seeds=seeds, end=end))


def _race(result: SearchResult) -> Section:
    """The race with its picture, and who left when and why; or all candidates, where none left."""
    drawn = pictures.race(result)
    words = _race_words(result)
    figure = Figure(drawn, words.name, words.how, "race")
    rows = []
    for runner in drawn.runners:
        known = [score for score in runner.scores if not math.isnan(score)]
        score = ""
        if known:
            score = _plain(result, known[-1])
        why = Cell(runner.fate, _role(runner.fate))
        rows.append((runner.name, str(runner.last), why, score))
    table = DataTable(
        ("candidate", "last round", "what became of it", drawn.y_label),
        tuple(rows),
        "No place: enough others scored better. Clearly worse: a test says so. The score is the one that decided.",
        frozenset({1, 3}),
        frozenset({3}),
    )
    folded = Details(f"All {len(rows)} candidates: {words.what}", (table,))
    return Section(words.title, (figure, folded))


def _role(fate: str) -> str:
    if fate == FINISHED:
        return "good"
    if fate == DIVERGED:
        return "bad"
    return "open"


def _plain(result: SearchResult, shown: float) -> str:
    """A score, in the unit that is shown, for a table."""
    if pictures.scale(result).factor != 1:
        return f"{shown:.2f}"
    return number(shown)


def _rates(result: SearchResult) -> Iterator[Section]:
    try:
        drawn = pictures.learning_rates(result)
    except SearchError:
        return
    if not drawn.lines:
        return
    caption = "Scores of as many epochs and seeds at the learning rates that were tried."
    figure = Figure(drawn, "Score against learning rate", caption, "learning-rates")
    yield Section("Learning rates", (figure,))


def _parameters(result: SearchResult) -> Iterator[Section]:
    try:
        drawn = pictures.parameters(result)
    except SearchError:
        return
    caption = (
        f"{drawn.y_label[:1].upper()}{drawn.y_label[1:]}, {drawn.terms}. A filled dot went on to the next round, a "
        f"hollow one left."
    )
    if not result.rounds or result.kind is Kind.TOGETHER:
        caption = f"{drawn.y_label[:1].upper()}{drawn.y_label[1:]}, {drawn.terms}."
    if not math.isnan(drawn.reference):
        caption += f" The grey line is {drawn.baseline}."
    figure = Figure(drawn, "Score against the parameters of activations", caption, "parameters")
    yield Section("Parameters that were searched", (figure,))


def _layers(result: SearchResult) -> Section:
    """What each group of layers got."""
    best = result.best
    rows = []
    assert isinstance(best, Mapping)  # with groups it is an assignment
    for group in result.groups:
        rows.append((group.name, str(best[group.slots[0]]), ", ".join(group.slots)))
    table = DataTable(
        ("part of the model", "activation", "its layers"), tuple(rows), "What each part got."
    )
    return Section("Layer by layer", (table,))


def _failures(result: SearchResult) -> Iterator[str]:
    for trial in result.trials:
        if trial.status in ("failed", "diverged"):
            reason = headline(trial.message) or trial.status
            yield f"{pictures.name_of(result, trial.rated)}: {reason}"
    if result.verdict is not None:
        yield from of_verdict.failures(result.verdict)
    for what, reason in result.errors.items():
        if what != NO_CHANGES:  # it was planned so, and the answer says it
            yield f"{what}: {reason}"


def _all_candidates(result: SearchResult) -> Section:
    first = _ranked(result, result.trials[:_SHOWN])
    parts: list[Part] = [first]
    rest = result.trials[_SHOWN:]
    if rest:
        parts.append(Details(f"{len(rest)} more", (_ranked(result, rest),)))
    return Section("All that was tried", tuple(parts))


def _ranked(result: SearchResult, trials: tuple[TrialResult, ...]) -> DataTable:
    """A part of the ranking."""
    shown = pictures.scale(result)
    raced = any(trial.epochs is not None for trial in result.trials)
    header = ["activation", "rank"]
    if result.with_rates:
        header.append("learning rate")
    header.append(shown.label)
    if raced:
        header += ["epochs", "seeds"]
    header.append("seconds")
    rows = []
    marked = -1
    for index, trial in enumerate(trials):
        rows.append(_ranked_row(result, trial, raced=raced))
        if trial is result.kept:
            marked = index
    caption = "In the order of the ranking. The scores are on the data that ranked."
    if raced and not result.compares_all:
        caption = "Who went further ranks first. Only scores of as many epochs and seeds compare."
    numeric = frozenset(range(1, len(header)))
    wide_only = {1, len(header) - 1}
    if raced:
        wide_only |= {len(header) - 2, len(header) - 3}
    return DataTable(tuple(header), tuple(rows), caption, numeric, frozenset(wide_only), marked)


def _ranked_row(result: SearchResult, trial: TrialResult, *, raced: bool) -> tuple[str, ...]:
    rank = ""
    if trial.rank is not None:
        rank = str(trial.rank)
    cells = [str(trial.candidate), rank]
    if result.with_rates:
        cells.append(pictures.rate_of(result, trial.factor))
    score = trial.status
    if trial.score is not None:
        score = _plain(result, pictures.scale(result).factor * trial.score)
    cells.append(score)
    if raced:
        cells += [str(trial.epochs or ""), str(trial.seeds or "")]
    taken = ""
    if trial.seconds is not None:
        taken = f"{trial.seconds:.1f}"
    return (*cells, taken)


def ranked(result: SearchResult) -> DataTable:
    """Return the first rows of the ranking, for a notebook."""
    return _ranked(result, result.trials[:_SHOWN])


def _use(result: SearchResult, exported: str, difference: float | None) -> Section:
    if exported:
        return _use_export(exported, difference)
    if result.model is None:
        words = "The search has no model to keep; what failed is said above."
        return Section("Use it", (Text(words),))
    lines = [
        "model = result.model  # trained",
        "",
        "# a SavedModel that loads without keras_acts",
        'result.export("saved_models/best")',
    ]
    return Section("Use it", (Code("\n".join(lines), "the code"),))


def _use_export(folder: str, difference: float | None) -> Section:
    parts = list(use(folder))
    if difference is not None:
        parts.append(
            Text(
                f"The export was loaded in another process: it predicts {agreement(difference)}.",
                quiet=True,
            )
        )
    return Section("Use the model", tuple(parts))


def _columns(result: SearchResult) -> Section:
    """What is done with each column of a table."""
    table = DataTable(
        COLUMNS,
        result.columns,
        "Inside the exported graph, found out from the training rows alone.",
        numeric=frozenset({2}),
    )
    return Section("The columns", (table,))


def _origin(result: SearchResult) -> Section:
    """What ran where, on what, and how it was called."""
    parts: list[Part] = []
    if result.call:
        parts.append(Code(result.call, "the call"))
    facts = [("Objective", f"{result.objective}, {_direction(result)}")]
    if result.seed is not None:
        facts.append(("Seed", str(result.seed)))
    verdict = result.verdict
    if verdict is not None and verdict.runs is not None:
        facts.append(("Seeds of the verdict", ", ".join(map(str, verdict.runs.seeds))))
    facts.append(("Trained on", result.device))
    facts.append(("Baseline", str(result.baseline)))
    if result.rescale_init:
        facts.append(("Initial weights", "scaled for the activation that they feed"))
    facts.append(("Versions", of_verdict.listed_versions()))
    parts.append(Terms(tuple(facts)))
    return Section("Where this comes from", tuple(parts))


def _target(result: SearchResult) -> Iterator[Section]:
    """What is predicted, and how well, in words that the data's owner uses."""
    facts = []
    target = result.target
    if target.get("name"):
        facts.append(("What is predicted", target["name"]))
    if target.get("unit"):
        facts.append(("In", target["unit"]))
    if target.get("classes") and target.get("shares"):
        both = zip(target["classes"], target["shares"], strict=True)
        shares = ", ".join(f"{name}: {100 * share:.1f} %" for name, share in both)
        facts.append(("Classes, with their shares of the data", shares))
    measures = result.measures
    if measures is not None:
        on = f"on {counted(measures.samples, 'test sample')}"
        for name, value in measures.written(target.get("unit") or ""):
            facts.append((f"{name[:1].upper()}{name[1:]}, {on}", value))
    if facts:
        yield Section("What the kept model predicts", (Terms(tuple(facts)),))


def _limits(result: SearchResult) -> Section:
    return Section("Limits", (Bullets(tuple(limits(result))),))


def _direction(result: SearchResult) -> str:
    if result.direction == "max":
        return "more is better"
    return "less is better"


def limits(result: SearchResult) -> Iterator[str]:
    """Yield what the kept model's scores do not say, a sentence each."""
    verdict = result.verdict
    if result.test is None:
        yield "It was not scored on test data: the score on the data that ranked it is too good."
    elif verdict is not None and verdict.part == "test" and not verdict.withheld:
        yield "The test data also chose the activation, so that its score there is a little too good."
    if verdict is None or verdict.withheld:
        yield "No test says that this activation is better than another."
    else:
        yield (
            "How sure the choice is was tested over seeds, on one split of the data: other data may choose another "
            "activation."
        )
    measures = result.measures
    if measures is not None and measures.uneven:
        rarest = f"{100 * min(measures.shares):.1f} %"
        yield (
            f"Classes are uneven: the rarest has {rarest} of the test data, and an accuracy says little of it."
        )
    yield (
        "Scores hold for data like those that it was trained on. What is unlike them is not noticed: it predicts "
        "something all the same."
    )
