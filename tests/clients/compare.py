"""What every client does.

Read samples, let the client predict, compare with the recorded predictions of Keras.

A client is run as ``python CLIENT.py EXPORT SAMPLES.npz``, with more such pairs if there are, where
keras_acts need not be installed. It exits with 77, as automake's tests do, where something that it
needs is missing.
"""

import sys

import numpy as np

MISSING = 77


def missing(what):
    """End, because this machine has no such thing."""
    print(f"missing: {what}")
    sys.exit(MISSING)


def main(client, predict, tolerance):
    """Compare ``predict(export, inputs by name)``, outputs by name, with the samples.

    |a-b| <= tolerance*max(1,|b|).
    """
    for folder, samples in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        _compare(f"{client}, {folder}", predict, tolerance, folder, samples)


def _compare(what, predict, tolerance, folder, samples):
    with np.load(samples) as file:
        x, y = (
            {key[2:]: file[key] for key in file.files if key.startswith(side)}
            for side in ("x:", "y:")
        )
    try:
        found = predict(folder, x)
    except ModuleNotFoundError as error:
        missing(error.name)
    assert "keras_acts" not in sys.modules
    if sorted(found) != sorted(y):
        sys.exit(f"{what}: the outputs must be {sorted(y)}. Received: {sorted(found)}")
    differences = {name: difference(np.asarray(found[name]), y[name]) for name in y}
    worst = max(differences, key=differences.get)
    print(f"{what}: {len(y)} outputs, max difference {differences[worst]:.1e} ({worst})")
    wrong = {name: value for name, value in differences.items() if not value <= tolerance}
    if wrong:
        sys.exit(f"{what}: predictions must agree to {tolerance:g}. Received: differences {wrong}")


def difference(a, b):
    if a.shape != b.shape:
        sys.exit(f"the shape must be {b.shape}. Received: {a.shape}")
    return float(
        np.max(np.abs(a - b) / np.maximum(1, np.abs(b)))
    )  # NaN anywhere is NaN, which is no agreement
