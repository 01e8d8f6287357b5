"""Who follows a search: callbacks that hear of its epochs, rounds, trials, verdict and end.

Begin with `callback.py`; `records.py` is what they are told. TensorBoard, MLflow and Weights &
Biases are such callbacks.
"""
