"""The process around us.

Seeds, devices, memory, TensorFlow's tracing and optimizing, folders that are ours; what was measured
(`costs.py`), and what is chosen by the device (`choices.py`).

Nothing here knows of models or candidates; every other room may import it. Open `seeding.py` first.
"""
