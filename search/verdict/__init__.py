"""How sure it is that one activation is better.

Fresh seeds, paired differences, and the words for them.

`paired.py`, `sequential.py`, `judge.py`, `verdict.py`, `words.py`, `tables.py`, `runs.py` and
`learning_curves.py` only calculate and write; the others train. Open `judge.py` first, then `compare.py`.
"""
