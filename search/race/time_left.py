"""The rounds of a race to come, planned into the seconds that are left. Plain arithmetic."""

from __future__ import annotations

import sys

from .planner import PopulationCosts, seconds
from .race import Race
from .schedule import cost


def fit_into(race: Race, left: float, costs: PopulationCosts, slower: float) -> None:
    """Plan the rounds to come so that they take no longer, as far as that goes.

    Not by seconds an epoch of a run: a program takes longer to trace than many runs to train in it,
    and with more runs an epoch takes hardly longer.

    Args:
        race: between `tell` and `ask`.
        left: the seconds that are left.
        costs: of the model's populations.
        slower: how many times as long the rounds so far have taken as they should have by the costs.
    """
    done = race.rungs[: len(race.rounds)]
    finished = seconds(done, costs)

    def takes(epochs: int) -> float:
        """The seconds of what is to come, planned into so many epochs of all runs."""
        race.replan(epochs)
        return slower * (seconds(race.rungs, costs) - finished)

    if takes(sys.maxsize) <= left:
        return
    fitting = 0
    most = cost(race.rungs) - cost(done)
    while fitting < most:
        middle = (fitting + most + 1) // 2
        if takes(middle) <= left:
            fitting = middle
        else:
            most = middle - 1
    race.replan(fitting)
