"""Many models as one Keras model.

Stacked variables, one training step, and each member as if it were alone.

Open `model.py` first: `PopulationModel` puts the other files together.
"""
