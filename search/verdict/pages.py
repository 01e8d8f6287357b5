"""The report of a verdict as a page: its sections, which the report of a search shows too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..report.names import quoted
from ..report.numbers import counted, decimals_for, number, seconds, signed
from ..report.page import (
    Bullets,
    Cell,
    Code,
    DataTable,
    Details,
    Figure,
    Page,
    Section,
    Terms,
    Text,
)
from ..report.values import Histogram, Shapes
from ..runtime.versions import versions
from .answer import answer
from .caveats import better_seeds
from .paired import Comparison
from .pictures import (
    curves,
    decimals_of,
    differences,
    gain,
    interval_of,
    learning_rates,
    outcome,
    scale,
    score_label,
)
from .words import p_cell

if TYPE_CHECKING:
    from .verdict import Guess, Scored, Verdict

# what Keras calls the mean squared error
_SQUARES = ("mse", "mean_squared_error")
_BATCH = 512  # samples, at most, whose prediction is timed
# each with what it means, where it stands
_TERMS = (
    (
        "Paired",
        "On each seed all candidates start from weights drawn alike and see the same batches. So their difference on "
        "a seed is about the activation, not about luck that both share.",
    ),
    (
        "Interval (95 %)",
        "Where the true mean difference lies, as far as these seeds tell. All intervals together hold in 95 of 100 "
        "such studies (Bonferroni), so that many candidates do not make one look good by luck.",
    ),
    (
        "p",
        "How often so large a difference would come up if there were none, adjusted for the number of candidates. "
        "Below 0.05 it counts as shown: exactly where the interval does not hold 0.",
    ),
    (
        "Effect",
        "The mean difference divided by how much it varies from seed to seed. Above about 1 single seeds tend to "
        "show it too.",
    ),
    (
        "Correlation",
        "How far candidates have their good and bad seeds in common. The higher, the more the pairing has helped.",
    ),
    (
        "Notices",
        "The true difference that as many seeds find four times in five. A smaller one may be there and stay unseen.",
    ),
    (
        "Looks",
        "Planned moments at which the validation scores may end the training early. They are paid for: the test "
        "data are scored once, at the end.",
    ),
)
_ENDED = {
    "clear": "the leader was clear",
    "worse": "the baseline was clearly better than all",
    "nothing": "there was nothing to compare",
    "last": "all planned seeds were trained",
    "continue": "it was interrupted",
}


def page(verdict: Verdict) -> Page:
    """Return the report of a comparison."""
    names = [scored.activation for scored in verdict.candidates]
    said = answer(verdict)
    sections = [*sections_of(verdict), use(verdict), *origin(verdict), statistics(verdict)]
    return Page(
        title=f"{', '.join(names)}: which activation is best?",
        subtitle="keras_acts · comparison of activations",
        answer=said,
        figures=figures(verdict),
        sections=tuple(sections),
        footer=footer(),
    )


def footer() -> str:
    """Return how a report was made."""
    made = versions()["keras_acts"]
    return (
        f"Written by keras_acts {made}. This file is whole: it needs no other file and no network."
    )


def listed_versions() -> str:
    """Return the versions of what a result depends on, in a line."""
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def figures(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """Return the numbers to see at once."""
    suggested = scored_of(verdict, verdict.suggested)
    found = []
    if suggested is not None and suggested.n:
        what = f"{verdict.part} {verdict.metric}, mean over {counted(suggested.n, 'seed')}"
        found.append((score_text(verdict, suggested.mean), what))
        if squares(verdict):
            found += of_squares(suggested.mean, verdict.guess)
    if verdict.guess is not None:
        found.append((score_text(verdict, verdict.guess.score), f"guessing: {verdict.guess.what}"))
    found.append((str(verdict.seeds), "fresh seeds for each"))
    if suggested is not None and not math.isnan(suggested.seconds):
        text = f"to predict a batch of up to {_BATCH} samples"
        found.append((seconds(suggested.seconds), text))
    return tuple(found[:4])


def of_squares(score: float, guess: Guess | None) -> Iterator[tuple[str, str]]:
    """Yield what people ask for where mean squared errors were scored.

    Args:
        score: a mean squared error, without penalties.
        guess: what the best constant has on the same data; None if that is not known.
    """
    if not score > 0:
        return
    yield number(math.sqrt(score)), "RMSE, the root of the mean squared error"
    if guess is not None and guess.score > 0 and "the mean" in guess.what:
        yield number(1 - score / guess.score, 3), "R², the share that is explained"


def squares(verdict: Verdict) -> bool:
    """Whether the scores are mean squared errors, as the metric's name says; a loss may be anything."""
    return not verdict.maximize and (verdict.squared or verdict.metric in _SQUARES)


def score_text(verdict: Verdict, value: float) -> str:
    """Return a score as people read it."""
    if math.isnan(value):
        return ""
    if verdict.in_points:
        return f"{100 * value:.2f} %"
    return number(value)


def scored_of(verdict: Verdict, name: str) -> Scored | None:
    """Return the candidate of a name."""
    return next((each for each in verdict.candidates if each.activation == name), None)


def sections_of(verdict: Verdict, inputs: Histogram | None = None) -> Iterator[Section]:
    """Yield what the report of a search shows of its verdict too.

    Args:
        verdict: what was judged.
        inputs: what comes into the activations of the kept model; None if that is not known.
    """
    if verdict.against_baseline:
        yield _how_sure(verdict)
    else:
        yield Section("What was measured", (ranked(verdict),))
    logged = f"val_{verdict.metric}"
    runs = verdict.runs
    if runs is not None and logged in runs.history and not runs.diverged.all():
        yield _learning_curves(verdict)
    if verdict.rates is not None and len(verdict.rates.factors) > 1:
        yield _rates(verdict)
    names = [scored.activation for scored in verdict.candidates]
    yield from functions(names, inputs)
    failed = tuple(failures(verdict))
    if failed:
        yield Section("What failed", (Bullets(failed),))


def _how_sure(verdict: Verdict) -> Section:
    baseline = verdict.baseline
    caption = (
        f"Each dot is how much better than {baseline} a candidate was on the {verdict.part} data, on average over "
        f"{counted(verdict.seeds, 'seed')}; the line is where the true difference lies (95 % for all together). A line "
        "that crosses 0 shows no difference: its dot is hollow."
    )
    if any(comparison.counted for comparison in verdict.against_baseline):
        caption += (
            " A dot without a line: a training of one of the two failed, so seeds are counted, and the "
            "average is of those on which neither diverged."
        )
    title = f"Differences to {baseline} with their intervals"
    figure = Figure(differences(verdict), title, caption, "differences")
    return Section("How sure that is", (figure, ranked(verdict)))


def ranked(verdict: Verdict) -> DataTable:
    """Return the candidates, the best mean first, with what the test says of each."""
    header = ["activation"]
    wide_only = set()
    if verdict.rates is not None:
        header.append("learning rate")
        wide_only.add(1)
    header.append(score_label(verdict, verdict.part))
    words = set()
    explained = ""
    if verdict.against_baseline:
        # what it is against, and in which unit, is said above: a header of so many words fits no terminal
        wide_only |= {len(header), len(header) + 1}
        words.add(len(header) + 2)
        header += ["difference", "between", "the test says"]
        explained = (
            f" {what_differences_are(verdict)} Between: where the true difference lies, as far as "
            "these seeds tell."
        )
    header.append("ms")
    wide_only.add(len(header) - 1)
    rows = tuple(_row(verdict, scored) for scored in verdict.candidates)
    names = [scored.activation for scored in verdict.candidates]
    marked = -1
    if not verdict.withheld:
        marked = names.index(verdict.suggested)
    return DataTable(
        tuple(header),
        rows,
        f"Scores on the {verdict.part} data, mean over the seeds, best first.{explained} "
        "ms: milliseconds to predict one batch.",
        frozenset(range(1, len(header))) - words,
        frozenset(wide_only),
        marked,
    )


def what_differences_are(verdict: Verdict) -> str:
    """Return what the column of differences holds, in a sentence."""
    unit = ""
    if verdict.in_points:
        unit = ", in points"
    return f"Difference: better (+) or worse (−) than {quoted(verdict.baseline)}{unit}."


def _row(verdict: Verdict, scored: Scored) -> tuple[Cell | str, ...]:
    comparison = compared(verdict, scored.activation)
    difference = ""
    between = ""
    says = Cell("")
    if comparison is not None:
        difference = plain_gain(verdict, comparison)
        between = interval_text(verdict, comparison)
        says = _says(verdict, comparison)
    elif scored.activation == verdict.baseline:
        says = Cell("the baseline")
    elif not scored.n:
        says = Cell("diverged", "bad")
    cells: list[Cell | str] = [scored.activation]
    if verdict.rates is not None:
        cells.append(verdict.rates.rate(scored.activation))
    milliseconds = ""
    if not math.isnan(scored.seconds):
        timed = [1000 * each.seconds for each in verdict.candidates if each.seconds > 0]
        milliseconds = f"{1000 * scored.seconds:.{decimals_for(min(timed, default=0.0))}f}"
    cells.append(plain_score(verdict, scored.mean))
    if verdict.against_baseline:
        cells += [difference, between, says]
    return (*cells, milliseconds)


def plain_gain(verdict: Verdict, comparison: Comparison) -> str:
    """Return how much better a candidate is, in the unit that is shown."""
    return signed(gain(verdict, comparison.difference) * scale(verdict), decimals_of(verdict))


def interval_text(verdict: Verdict, comparison: Comparison) -> str:
    """Return where the true difference lies, in the unit that is shown; or how many seeds say so."""
    if comparison.same:
        return "the same on every seed"
    if comparison.counted:
        firsts, _ = better_seeds(comparison, verdict.maximize)
        return f"better on {firsts} of {comparison.n} seeds"
    low, high = interval_of(verdict, comparison)
    if math.isnan(low):
        return ""
    decimals = decimals_of(verdict)
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def plain_score(verdict: Verdict, value: float) -> str:
    """Return a score for a table whose header names the unit."""
    if math.isnan(value):
        return ""
    if verdict.in_points:
        return f"{100 * value:.2f}"
    return number(value, zeros=True)


def _says(verdict: Verdict, comparison: Comparison) -> Cell:
    result = outcome(verdict, comparison)
    if result == "better":
        return Cell("better", "good")
    if result == "worse":
        return Cell("worse", "bad")
    return Cell("too close to call", "open")


def compared(verdict: Verdict, name: str) -> Comparison | None:
    """Return the comparison of a candidate with the baseline."""
    return next((each for each in verdict.against_baseline if each.first == name), None)


def _learning_curves(verdict: Verdict) -> Section:
    seeds = counted(verdict.seeds, "seed")
    caption = (
        f"Validation {verdict.metric} after each epoch. The line is the median of {seeds}, the "
        "band holds the middle half of them. Scores far below the others are cut off, so that the end can be seen."
    )
    if not verdict.maximize:
        caption = caption.replace("far below", "far above")
    figure = Figure(curves(verdict), "Learning curves of the candidates", caption, "curves")
    parts: list[Figure | Text] = [figure]
    epochs = []
    for each in verdict.savings:
        if each.epochs < each.whole:
            epochs.append(f"{each.activation} after {counted(round(each.epochs), 'epoch')}")
    if epochs:
        parts.append(Text(f"As good as {verdict.baseline} at its end: {', '.join(epochs)}."))
    if verdict.improving:
        parts.append(
            Text("All candidates were still improving in the last quarter of their epochs.")
        )
    return Section("How they learned", tuple(parts))


def _rates(verdict: Verdict) -> Section:
    study = verdict.rates
    assert study is not None
    figure = Figure(
        learning_rates(verdict),
        "Score against learning rate",
        f"Validation {verdict.metric}, mean over {counted(study.seeds, 'other seed')}. The ring is the rate "
        "at which each candidate was judged: it is chosen on seeds that the verdict never sees.",
        "learning-rates",
    )
    return Section("Learning rates", (figure, *_what_rates_bring(verdict)))


def _what_rates_bring(verdict: Verdict) -> Iterator[Text]:
    from .rate_words import about_rates

    for sentence in about_rates(verdict):
        yield Text(sentence, quiet=True)


def failures(verdict: Verdict) -> Iterator[str]:
    """Yield what failed, a sentence each."""
    for scored in verdict.candidates:
        of = counted(scored.n + scored.diverged, "training")
        if scored.diverged:
            yield f"{scored.activation}: the loss of {scored.diverged} of {of} was not finite."
        if scored.failed:
            yield (
                f"{scored.activation}: {scored.failed} of {of} learned no more than guessing, or ended far below its "
                "others."
            )
    if verdict.caveat:
        yield verdict.caveat
    for what, reason in verdict.errors.items():
        yield f"{what}: {reason}"


def functions(names: Sequence[str], inputs: Histogram | None = None) -> Iterator[Section]:
    """Yield the functions of candidates, over what comes into them."""
    from ..space.shapes import shapes_of

    shapes = shapes_of(names)
    if not shapes:
        return
    caption = "Solid: the function. Dashed: its derivative, by which the layers before learn."
    if inputs is not None:
        caption += " Grey bars: how often a value comes into the activations of the kept model."
    figure = Figure(
        Shapes(shapes, inputs), "The functions and their derivatives", caption, "functions"
    )
    yield Section("The functions", (figure,))


def use(verdict: Verdict) -> Section:
    """Return how to use what is suggested."""
    options = ""
    if verdict.rescale_init:
        options = ", rescale_init=True"
    lines = [
        "import keras_acts",
        "from keras_acts.search import with_activations",
        "",
        f"model = with_activations(model, {verdict.suggested!r}{options})",
    ]
    if verdict.rates is not None and verdict.rates.factor(verdict.suggested) != 1:
        lines.append(f"# train it at learning rate {verdict.rates.rate(verdict.suggested)}")
    text = Text("This puts the activation into all hidden layers of your model.")
    return Section("Use it", (text, Code("\n".join(lines), "the code")))


def origin(verdict: Verdict) -> Iterator[Section]:
    """Yield where the comparison comes from."""
    parts: list[Code | Terms] = []
    if verdict.call:
        parts.append(Code(verdict.call, "the call"))
    facts = []
    if verdict.runs is not None:
        facts.append(("Seeds", ", ".join(map(str, verdict.runs.seeds))))
    facts.append(("Versions", listed_versions()))
    parts.append(Terms(tuple(facts)))
    yield Section("Where this comes from", tuple(parts))


def statistics(verdict: Verdict) -> Section:
    """Return all numbers of the test, each explained, folded up."""
    parts: list[Text | DataTable | Terms | Bullets] = []
    if verdict.against_baseline:
        parts += [numbers(verdict), Terms(_TERMS)]
    if verdict.looks:
        after = ", ".join(str(look.seeds) for look in verdict.looks)
        ended = _ENDED.get(verdict.looks[-1].decision, "it was interrupted")
        parts.append(Text(f"Looked at the validation scores after {after} seeds; then {ended}."))
    parts.append(Bullets(tuple(verdict.summary())))
    details = Details("All numbers of the test, and what they mean", tuple(parts))
    return Section("Statistics", (details,))


def numbers(verdict: Verdict) -> DataTable:
    """Return what the test calculates of each candidate."""
    unit = verdict.metric
    if verdict.in_points:
        unit = "points"
    header = ("activation", "mean", "varies by", "seeds", "p", "effect", "correlation", "notices")
    rows = []
    for scored in verdict.candidates:
        comparison = compared(verdict, scored.activation)
        cells = [
            scored.activation,
            plain_score(verdict, scored.mean),
            plain_score(verdict, scored.sd),
            str(scored.n),
        ]
        if comparison is None:
            cells += [""] * 4
        else:
            notices = number(comparison.detectable * scale(verdict), 3)
            cells += [
                p_cell(comparison.p),
                signed(comparison.effect, 1),
                signed(comparison.correlation, 2),
                notices,
            ]
        rows.append(tuple(cells))
    caption = f"Scores and differences on the {verdict.part} data in {unit}."
    return DataTable(header, tuple(rows), caption, frozenset(range(1, 8)), frozenset({2, 3, 6}))
