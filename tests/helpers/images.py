"""Small image files, written as people have them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cross", "ring", "stripe")


def write_images(
    folder: Path,
    count: int = 4,
    *,
    size: tuple[int, int] = (6, 5),
    mode: str = "RGB",
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
) -> Path:
    """Write `count` images of each class, each class with a colour and a place of its own."""
    rng = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 60, (*size, 3)).astype("uint8")
            pixels[number::3, :, number] += 180
            Image.fromarray(pixels).convert(mode).save(place / f"{index}.png")
    return folder
