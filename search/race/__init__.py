"""A way to search: all candidates start, and who falls behind leaves.

`schedule.py`, `race.py`, `surrogate.py` and `neighbourhood.py` only calculate; the others train.
Open `race.py` first, then `runner.py`.
"""
