"""Columns of a table as the numbers that a model takes, by Keras' own layers inside its export.

Open `preprocessing.py` first; `columns.py` says what becomes of each column. Files are read by the command
line; here come frames, whose columns have types.
"""
