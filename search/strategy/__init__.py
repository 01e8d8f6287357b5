"""What every way to search shares.

What ranks, what is checked before any training, what is shown meanwhile.

Open `base.py` first; the ways themselves are the rooms `race` and `tuner`.
"""
