"""A picture of scores against learning rates, a line an activation: for `benchmarks.fair`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_acts.search.verdict.rates import RateStudy, written

# Okabe and Ito's colours, which colour-blind people can tell apart, without black, which is the
# baseline's, and with a grey; every line has a marker of its own besides
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
    "#B8A800",
)
_MARKERS = ("s", "^", "v", "D", "P", "X", "<", ">")
# the right half shows so many times what lies between the best and the middle of the others
_CLOSE = 1.5
# by so much of the step between two rates neighbouring lines are moved apart, so that their error bars are seen
_APART = 0.05


def draw(study: RateStudy, baseline: str, title: str, path: Path) -> None:
    """Write a picture: the mean score of each activation at each rate, its chosen rate ringed.

    Args:
        study: of the rates.
        baseline: the name of the activation that is drawn in black, above all others.
        title: of the picture.
        path: of the file; its ending says the format.
    """
    import matplotlib

    matplotlib.use("Agg")
    # text stays text, and two runs write the same file
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "keras_acts"})
    import matplotlib.pyplot as plt

    scale = 1.0
    label = f"{study.metric} on the validation data"
    if study.metric.endswith("accuracy"):
        scale = 100.0
        label += ", %"
    own = study.own or 1.0
    rates = own * np.array(study.factors)
    figure, (whole, close) = plt.subplots(1, 2, figsize=(11.5, 4.8), layout="constrained")
    means = scale * study.means()
    errors = scale * study.scores.std(axis=2, ddof=1) / np.sqrt(study.seeds)
    styles = list(_styles(study, baseline))
    for axes in (whole, close):
        for place, (name, style) in enumerate(styles):
            k = study.names.index(name)
            moved = rates * 2.0 ** (_APART * (place - len(styles) / 2))
            chosen = study.chosen[k]
            text = f"{name}, {written(study.factors[chosen], study.own)}"
            axes.errorbar(
                moved, means[k], errors[k], label=text, capsize=2, elinewidth=0.8, **style
            )
            axes.plot(
                moved[chosen],
                means[k, chosen],
                "o",
                markersize=13,
                markerfacecolor="none",
                markeredgecolor=style["color"],
                markeredgewidth=1.6,
                zorder=6,
            )
        axes.axvline(own, color="0.5", linestyle=":", linewidth=1.4, zorder=0)
        axes.set_xscale("log", base=2)
        ticks = [written(factor, study.own) for factor in study.factors]
        axes.set_xticks(rates, ticks, rotation=35, ha="right", fontsize=8.5)
        axes.minorticks_off()
        axes.set_xlabel("learning rate (dotted: the model's own)")
        axes.grid(axis="y", color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    whole.set_ylabel(label)
    whole.set_title(title, loc="left", fontsize=11)
    close.set_ylim(*_near_the_best(means, study))
    close.set_title("the same, near the best", loc="left", fontsize=11)
    close.legend(
        loc="center left",
        bbox_to_anchor=(1.02, 0.5),
        frameon=False,
        fontsize=9,
        title=f"best first, each at the rate ringed\n± 1 standard error, {study.seeds} seeds",
        title_fontsize=8.5,
        alignment="left",
        handlelength=2.6,
    )
    options = {}
    if path.suffix == ".svg":
        options = {"metadata": {"Date": None}}
    figure.savefig(path, dpi=150, **options)
    plt.close(figure)


def _styles(study: RateStudy, baseline: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Each activation, the best at its chosen rate first, with how its line looks."""
    means = study.means()
    at_chosen = {}
    for k, name in enumerate(study.names):
        at_chosen[name] = float(means[k, study.chosen[k]])
    others = [name for name in study.names if name != baseline]
    looks: dict[str, dict[str, object]] = {}
    for index, name in enumerate(others):
        looks[name] = {
            "color": _COLOURS[index % len(_COLOURS)],
            "marker": _MARKERS[index % len(_MARKERS)],
            "markersize": 5,
            "linewidth": 1.4,
            "zorder": 3,
        }
    looks[baseline] = {
        "color": "black",
        "marker": "o",
        "markersize": 5,
        "linewidth": 3.2,
        "zorder": 5,
    }
    for name in sorted(study.names, key=at_chosen.__getitem__, reverse=study.maximize):
        yield name, looks[name]


def _near_the_best(means: np.ndarray, study: RateStudy) -> tuple[float, float]:
    """The range of scores from the middle one at the model's own rate to the best, and a little more."""
    sign = 1.0
    if not study.maximize:
        sign = -1.0
    best = sign * float(np.nanmax(sign * means))
    at_own = means[:, study.factors.index(1.0)]
    at_chosen = means[np.arange(len(means)), list(study.chosen)]
    reach = max(abs(best - float(np.nanmedian(at_own))), abs(best - float(np.nanmedian(at_chosen))))
    if reach == 0:
        reach = 1.0  # nothing differs
    ends = (best - sign * _CLOSE * reach, best + sign * 0.15 * reach)
    return min(ends), max(ends)
