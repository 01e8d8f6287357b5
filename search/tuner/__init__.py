"""A way to search: KerasTuner's, one trial after the other or as populations.

Open `tuner.py` first, then `populations.py`, which trains trials together.
"""
