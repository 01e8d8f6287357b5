"""What is tried: candidates, for a model or each group of its slots, and the space of them.

It knows activations and their parameters, and nothing of models. Open `candidate.py` first.
"""
