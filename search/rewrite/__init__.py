"""Where activations go: the user's model is read, and made again with others.

The slots of a model, their groups, the copy with other activations, and what the copy is compiled
with. Open `slots.py` first, then `clone.py`.
"""
