"""What is drawn, by value: of a verdict and of a search."""

import math
from dataclasses import replace

import numpy as np
import pytest

from keras_acts.errors import SearchError
from keras_acts.search import pictures as of_search
from keras_acts.search.report import charts, svg
from keras_acts.search.report.axes import on_axes
from keras_acts.search.report.scales import robust_limits
from keras_acts.search.report.values import LayerSizes
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.rounds import FINISHED, Entrant, Kind, Round
from keras_acts.search.verdict import pictures
from tests.helpers.models import blobs, mlp
from tests.helpers.reports import EPOCHS, NAMES, result, verdict

pytestmark = pytest.mark.once


def test_differences_are_the_verdicts_in_points():
    found = verdict()
    drawn = pictures.differences(found)
    assert drawn.baseline == "relu"
    assert [row.name for row in drawn.rows] == ["mish", NAMES[2]]
    by_name = {comparison.first: comparison for comparison in found.against_baseline}
    for row in drawn.rows:
        comparison = by_name[row.name]
        assert row.gain == pytest.approx(100 * comparison.difference)
        assert (row.low, row.high) == pytest.approx((100 * comparison.low, 100 * comparison.high))
    assert [row.outcome for row in drawn.rows] == ["open", "worse"]


def test_better_is_to_the_right_for_losses_too():
    found = verdict((2.0, 1.0, 3.0), metric="loss", maximize=False, sd=0.05)
    drawn = pictures.differences(found)
    assert [(row.name, row.outcome) for row in drawn.rows] == [
        ("mish", "better"),
        (NAMES[2], "worse"),
    ]
    mish, trelu = drawn.rows
    assert mish.gain == pytest.approx(1.0)
    assert 0 < mish.low < 1 < mish.high
    assert mish.text.startswith("+1.0")
    assert trelu.gain == pytest.approx(-1.0)
    assert trelu.text.startswith("−1.0")


def test_curves_are_the_median_and_the_middle_half_of_the_seeds():
    found = verdict()
    drawn = pictures.curves(found)
    assert [line.name for line in drawn.lines] == [s.activation for s in found.candidates]
    relu = next(line for line in drawn.lines if line.name == "relu")
    assert relu.is_baseline
    history = 100 * found.runs.history["val_accuracy"][:, :, 0]
    assert relu.y == pytest.approx(np.median(history, axis=0))
    assert relu.low == pytest.approx(np.quantile(history, 0.25, axis=0))
    assert relu.high == pytest.approx(np.quantile(history, 0.75, axis=0))
    assert relu.x == tuple(range(1, EPOCHS + 1))
    assert drawn.y_label == "validation accuracy, %"


def test_a_run_that_diverged_is_in_no_curve():
    found = verdict()
    # a run that diverged has scores all the same: of its first epochs, or of frozen weights
    found.runs.diverged[0, 0] = True
    history = found.runs.history["val_accuracy"]
    history[0, :, 0] = -7.0
    relu = next(line for line in pictures.curves(found).lines if line.name == "relu")
    assert relu.y == pytest.approx(100 * np.median(history[1:, :, 0], axis=0))
    assert min(relu.low) > 0


def test_rates_are_those_of_the_study():
    found = verdict(rates=True)
    drawn = pictures.learning_rates(found)
    assert drawn.factors == (0.5, 1.0, 2.0)
    assert drawn.ticks == ("0.0005", "0.001", "0.002")
    for line in drawn.lines:
        k = found.rates.names.index(line.name)
        assert line.y == pytest.approx(100 * found.rates.means()[k])
        assert line.chosen == found.rates.chosen[k]
    with pytest.raises(SearchError, match="Learning rates need a verdict that tried several"):
        pictures.learning_rates(verdict())


def test_the_race_tells_who_left_when_and_why():
    drawn = of_search.race(result(verdict()))
    assert drawn.names == ("Round 1", "Round 2")
    assert drawn.rounds == ("2 epochs, 1 seed", f"{EPOCHS} epochs, 2 seeds")
    told = {runner.name: (runner.last, runner.fate, runner.finished) for runner in drawn.runners}
    assert told["relu"] == (2, "finished", True)
    assert told["trelu(alpha=0.2, theta=0.1)"] == (1, "no place", False)
    assert told["trelu(alpha=0.2, theta=0.4)"] == (1, "clearly worse", False)
    assert told["tanh"] == (1, "diverged", False)
    # who went further first, then the better; the diverged last
    assert [runner.name for runner in drawn.runners][:2] == ["relu", "mish"]
    assert drawn.runners[-1].name == "tanh"
    assert drawn.runners[0].scores == pytest.approx((89.0, 94.5))


def test_rounds_of_as_many_epochs_and_seeds_are_shown_as_one():
    made = result(verdict())
    first, last = made.rounds
    drawn = of_search.race(result(verdict(), rounds=(first, first, last)))
    assert drawn.names == ("Rounds 1–2", "Round 3")
    assert {runner.last for runner in drawn.runners} == {2, 3}
    assert all(len(runner.scores) == 2 for runner in drawn.runners)


def test_parameters_are_shown_on_equal_terms():
    drawn = of_search.parameters(result(verdict()))
    (panel,) = drawn.panels  # alpha has one value only
    assert panel.title == "trelu: theta"
    assert panel.x == (-0.3, 0.1, 0.4)
    # the scores of the first round, also of the one that went further
    assert panel.y == pytest.approx((88.0, 87.0, 86.0))
    assert panel.went_on == (True, False, False)
    assert drawn.reference == pytest.approx(89.0)
    assert drawn.terms == "after 2 epochs on 1 seed"


def test_what_is_not_there_is_refused():
    empty = result(None, rounds=())
    with pytest.raises(SearchError, match="needs a race"):
        of_search.race(empty)
    with pytest.raises(SearchError, match="needs a verdict"):
        empty.plot.differences()
    with pytest.raises(SearchError, match="a search that tried several"):
        of_search.learning_rates(empty)


def test_each_is_drawn_on_matplotlibs_axes():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = verdict(rates=True)
    search = result(found)
    drawn = [found.plot.differences(), found.plot.curves(), found.plot.learning_rates()]
    drawn += [search.plot.race(), *search.plot.parameters(), on_axes(LAYERS, None)]
    for ax in drawn:
        assert ax.lines
        assert ax.get_xlabel() or ax.get_title(loc="left") or ax.get_ylabel()
    labels = [text.get_text() for text in drawn[0].get_yticklabels()]
    assert labels == ["mish", NAMES[2]]
    _, given = pyplot.subplots()
    assert search.plot.curves(given) is given
    assert {text.get_text() for text in given.get_legend().get_texts()} == set(NAMES)
    pyplot.close("all")


@pytest.mark.parametrize("width", [charts.WIDE, charts.NARROW])
def test_all_that_is_drawn_lies_inside_the_picture(width):
    """No number is cut off: places of texts are inside, and none is nan."""
    found = verdict(rates=True)
    search = result(found)
    values = [pictures.differences(found), pictures.curves(found), pictures.learning_rates(found)]
    values += [of_search.race(search), of_search.parameters(search), LAYERS]
    for value in values:
        drawn = charts.drawn(value, width, "a picture", "key")
        assert "nan" not in drawn
        for x, words, anchor in texts(drawn):
            wide = svg.text_width(words)
            left = {"start": x, "middle": x - wide / 2, "end": x - wide}[anchor]
            assert left >= -3, words
            assert left + wide <= width + 3, words


def texts(drawn):
    """The texts of a picture with their places."""
    import xml.etree.ElementTree as ET

    for element in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text"):
        yield float(element.get("x")), element.text or "", element.get("text-anchor", "start")


def test_a_picture_of_nothing_finite_is_still_one():
    found = of_search.race(result(None, rounds=result(None).rounds[:1]))
    assert math.isnan(found.runners[-1].scores[0])
    assert "nan" not in charts.drawn(found, charts.WIDE, "race", "key")


def in_one_round(**scores):
    """A search whose candidates all trained to their end in one round."""
    entrants = []
    for name, score in scores.items():
        entrants.append(Entrant(Rated(Candidate.of(name)), (score,), FINISHED))
    return result(None, rounds=(Round(4, 1, tuple(entrants)),), kind=Kind.TOGETHER)


@pytest.mark.parametrize("width", [charts.WIDE, charts.NARROW])
def test_one_round_is_a_row_a_candidate_with_an_arrow_for_what_is_far_off(width):
    search = in_one_round(relu=0.93, mish=0.95, tanh=0.94, elu=0.2)
    drawn = charts.drawn(of_search.race(search), width, "all", "key")
    words = [words for _, words, _ in texts(drawn)]
    names = ["mish", "tanh", "relu", "elu(alpha=1.0)"]
    assert [each for each in words if each in names] == names
    assert "validation accuracy, %, after 4 epochs, 1 seed" in " ".join(words)
    assert "Round 1" not in words
    assert drawn.count("<circle") == 3
    assert drawn.count("<polygon") == 1


def test_one_round_on_matplotlibs_axes_shows_what_is_far_off_too():
    ax = in_one_round(relu=0.93, mish=0.95, tanh=0.94, elu=0.2).plot.race()
    low, high = ax.get_xlim()
    assert [line.get_marker() for line in ax.lines] == ["o", "o", "o", "<"]
    for line in ax.lines:
        assert low <= line.get_xdata()[0] <= high


def test_many_candidates_of_one_round_leave_some_to_the_table():
    found = of_search.race(in_one_round(relu=0.9))
    many = replace(found, runners=found.runners * 30)
    drawn = charts.drawn(many, charts.WIDE, "all", "key")
    assert drawn.count("<circle") == 20
    words = " ".join(words for _, words, _ in texts(drawn))
    assert "10 with lower places are in the table" in words


# a layer of which nothing is left, and a model that has one layer fewer
LAYERS = LayerSizes(
    ("stem/convolution_with_a_long_name", "dense", "dense_1"),
    ("mish at 0.002", "trelu(alpha=0.2, theta=-0.3) at 0.001"),
    ((1e-9, 0.02, 0.0), (3e-4, math.nan, 0.5)),
    "size of the gradient",
    (2, 0),
)


def test_sizes_of_layers_have_a_dot_each_and_an_arrow_for_nothing():
    drawn = charts.drawn(LAYERS, charts.WIDE, "gradients", "key")
    # four dots with two of the legend
    assert drawn.count("<circle") == 4 + 2
    assert drawn.count("<polygon") == 1
    assert "dense_1, mish at 0.002: 0" in drawn
    assert "10⁻¹⁰" in drawn
    flat = charts.drawn(
        LayerSizes(("a",), ("mish",), ((0.0,),), "size", (0,)), charts.WIDE, "none", "key"
    )
    assert "nan" not in flat


def test_a_candidate_has_one_colour_in_all_pictures():
    found = verdict((0.93, 0.96, 0.91))
    judged = [scored.activation for scored in found.candidates]
    assert judged[0] == "mish"
    lines = [line.name for line in pictures.curves(found).lines]
    assert lines == judged
    colours = {runner.name: runner.colour for runner in of_search.race(result(found)).runners}
    assert [colours[name] for name in judged] == [0, 1, 2]
    assert colours["tanh"] == -1  # it left
    # without a verdict they are in the order of the race
    alone = of_search.race(result(None)).runners
    assert [runner.colour for runner in alone[:3]] == [0, 1, 2]


def test_gradients_are_those_of_the_kept_model_and_the_baselines():
    x, y = blobs(40)
    search = result(verdict(), model=mlp(), baseline_model=mlp(), labelled=(x, y, None))
    # the kept model is the baseline's own
    assert of_search.gradients(search).models == ("relu",)
    found = verdict((0.93, 0.96, 0.91))
    search = result(found, model=mlp(), baseline_model=mlp(), labelled=(x, y, None))
    drawn = of_search.gradients(search)
    assert drawn.models == ("mish", "relu")
    assert drawn.colours == (0, 1)
    assert len(drawn.layers) == len(drawn.sizes[0]) == len(drawn.sizes[1])
    assert all(size > 0 for size in drawn.sizes[0])
    page = search.to_html()
    assert "the size of their gradient (root mean square) on 40 samples" in page
    with pytest.raises(SearchError, match="needs a model"):
        of_search.gradients(result(found))


def test_functions_are_drawn_over_what_comes_into_them():
    import keras
    import matplotlib

    matplotlib.use("Agg")
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(4, activation="relu")
    model = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(2)])
    samples = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    search = result(verdict(), model=model, samples=samples)
    drawn = of_search.shapes(search)
    assert [shape.name for shape in drawn.shapes] == ["mish", "relu", NAMES[2]]
    expected = samples @ np.array(hidden.kernel)
    counts, _ = np.histogram(expected, drawn.inputs.edges)
    assert drawn.inputs.heights == pytest.approx(counts / counts.max())
    for width in (charts.WIDE, charts.NARROW):
        assert "nan" not in charts.drawn(drawn, width, "functions", "key")
    assert len(search.plot.shapes()) == 3
    # without a model the functions alone
    assert of_search.shapes(result(verdict())).inputs is None


def test_where_most_scores_are_the_best_the_others_are_still_seen():
    low, high = robust_limits([97.78, 97.78, 97.78, 97.22, 96.94], better_up=True, reach=1)
    assert 96 < low < 96.94 < 97.78 < high < 99
    worse, best = robust_limits([0.1, 0.1, 0.1, 0.2, 0.25], better_up=False, reach=1)
    assert worse < 0.1
    assert 0.25 < best < 0.4
    # one that is far off does not press the others together
    low, _ = robust_limits([0.9, 0.9, 0.88, 0.1], better_up=True, reach=1)
    assert low > 0.5
