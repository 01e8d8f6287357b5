"""What one takes home: a SavedModel with its card, checked in another process before it appears.

Open `export.py` first, then `load.py`.
"""
