"""Search the activations of a small model, and write its report.

    python examples/make_a_report.py report.html
    python examples/make_a_report.py report.html --picture report.png  # its top, by Chromium

It takes about a minute. The picture in docs/report.md is made so.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import keras
from sklearn.datasets import load_digits

from keras_acts.search import SearchResult, search_activations

# pixels: what docs/report.md shows
SIZE = (872, 1110)


def searched() -> SearchResult:
    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Rescaling(1 / 16),
            keras.layers.Dense(48, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return search_activations(
        model,
        x[:1078],
        y[:1078],
        validation_data=(x[1078:1438], y[1078:1438]),
        test_data=(x[1438:], y[1438:]),
        activations=["relu", "sigmoid", "mish", "elu", "gelu", "trelu"],
        trials=16,
        epochs=12,
    )


def photograph(report: Path, picture: Path) -> None:
    """Have Chromium open the report and write what it shows."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("A picture needs Chromium. Received: no chromium on this machine")
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--disable-background-networking", f"--user-data-dir={profile}"]
        command += [f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={picture.absolute()}"]
        subprocess.run([*command, report.absolute().as_uri()], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    print(searched().save_report(options.report))
    if options.picture is not None:
        photograph(options.report, options.picture)
        print(options.picture)


if __name__ == "__main__":
    main()
