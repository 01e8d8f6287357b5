"""What is tried: candidates, one for a model or one for each group of its slots, and the space they come from.

It knows activations and their parameters, and nothing of models. Open `candidate.py` first.
"""
