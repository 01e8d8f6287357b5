"""Which files a picture can be written into."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from keras_acts.errors import SearchError

from . import files

SVG = ".svg"
# what matplotlib draws
_OTHERS = (".png", ".pdf")


def check(out: Path) -> None:
    """Check that a picture can be written.

    Raises:
        KerasActsError: naming what is wrong.
    """
    kind = out.suffix.lower()
    if kind not in (SVG, *_OTHERS):
        kinds = ", ".join((SVG, *_OTHERS))
        raise SearchError(f"--out must be a file of one of {kinds}. Received: {str(out)!r}")
    if kind != SVG and importlib.util.find_spec("matplotlib") is None:
        raise SearchError(
            f'A {kind} needs matplotlib, a {SVG} does not: pip install "keras-acts[plots]". '
            f"Received: --out {str(out)!r}"
        )
    files.check_writable(out, "--out", ())
