"""What is in a .npz is taken for what it is, or refused in one line."""

import keras
import numpy as np
import pytest

from tests.cli.test_cli import command

# what is asked of the command line and what it says; tests/cli/test_cli.py searches and exports
# at any version
pytestmark = pytest.mark.once

X = np.linspace(-1.0, 1.0, 20).reshape(10, 2)
KINDS = {
    "words": (np.full((10, 2), "a"), "values of dtype <U1"),
    "numbers in words": (X.astype("U4"), "values of dtype <U4"),
    "dates": (np.full((10, 2), "2026-01-01", "datetime64[D]"), "values of dtype datetime64[D]"),
    "spans": (np.full((10, 2), 3, "timedelta64[D]"), "values of dtype timedelta64[D]"),
    "complex": (X + 1j, "values of dtype complex128"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Exports of a model of floats and one of integers, and a file of each kind."""
    place = tmp_path_factory.mktemp("kinds")
    for dtype in ("float32", "int32"):
        model = keras.Sequential(
            [keras.Input((2,), dtype=dtype), keras.layers.Rescaling(2.0), keras.layers.Dense(1)]
        )
        model.save(place / f"{dtype}.keras")
        assert command(place, "export", f"{dtype}.keras", dtype).exit_code == 0
    for name, (values, _) in KINDS.items():
        np.savez(place / f"{name}.npz", x=values)
    return place


def check_refused(done, *said):
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    for text in said:
        assert text in line


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("name", KINDS)
def test_predict_takes_nothing_for_numbers_that_is_none(folder, name, dtype):
    done = command(folder, "predict", dtype, f"{name}.npz")
    check_refused(done, f"The model takes {dtype}. Received: '{name}.npz' with {KINDS[name][1]}")


@pytest.mark.parametrize("name", KINDS)
def test_export_takes_nothing_for_numbers_that_is_none(folder, name):
    said = f"Received: {KINDS[name][1]}"
    done = command(folder, "export", "float32.keras", "new", "--samples", f"{name}.npz")
    check_refused(done, "samples must be what the model takes, float32", said)
    done = command(folder, "export", "float32.keras", "new", "--normalize", f"{name}.npz")
    check_refused(done, "must be numbers", KINDS[name][1])
    assert not (folder / "new").exists()


def test_a_number_that_float32_cannot_hold_is_named(folder):
    huge = X.copy()
    huge[3, 1] = 1e300
    np.savez(folder / "huge.npz", x=huge)
    done = command(folder, "predict", "float32", "huge.npz")
    check_refused(done, "values that float32 can hold", "'huge.npz' with 1e+300 in row 4, x[3, 1]")
    # the table of the same numbers
    lines = ["a,b", *(f"{a!r},{b!r}" for a, b in huge.tolist())]
    (folder / "huge.csv").write_text("\n".join(lines))
    done = command(folder, "predict", "float32", "huge.csv")
    check_refused(done, "'huge.csv' with 1e+300 in row 4, column 'b'")
    for values in (huge, X * 1e30):  # its variance is too large only
        np.savez(folder / "huge.npz", x=values)
        done = command(folder, "export", "float32.keras", "new", "--normalize", "huge.npz")
        check_refused(done, "mean and the variance", "that float32 can hold")


def test_numbers_in_few_bits_are_normalized_as_any(folder):
    # their variance is more than float16 can hold
    np.savez(folder / "half.npz", x=(X * 1000).astype("float16"))
    np.savez(folder / "wide.npz", x=(X * 1000).astype("float16").astype("float64"))
    found = []
    for name in ("half", "wide"):
        done = command(folder, "export", "float32.keras", name, "--normalize", f"{name}.npz")
        assert done.exit_code == 0, done.output
        found.append(command(folder, "predict", name, "wide.npz").stdout)
    assert found[0] == found[1]
    assert "nan" not in found[0]
