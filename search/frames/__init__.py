"""Columns of a table as the numbers that a model takes, by Keras' own layers inside its export.

Open `preprocessing.py` first; `columns.py` says what becomes of each column. Only the first and
`encoding.py` are about models: the rest needs no Keras, and says what is wrong with data at once.
Files are read by the command line; here come frames, whose columns have types.
"""
