"""Image files as arrays. Pillow reads them, as it does for `keras.utils.load_img`.

Keras' `image_dataset_from_directory` would have TensorFlow read them, after it is loaded, and a file
that is broken would end the training without its name.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_acts.errors import DataError
from keras_acts.search.runtime.ram import free_ram

from .image_format import ImageFormat, Wanted

if TYPE_CHECKING:
    from PIL.Image import Image

# of 8 bits a channel, with and without transparency; of more bits Keras takes the upper ones, or none
_MODES = {
    *("1", "L", "LA", "La", "P", "PA"),
    *("RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"),
}
_GRAY = {"1", "L", "LA", "La"}
_TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}
# unless something else is said, larger ones are made smaller: a small CNN on the CPU is for these
MOST_PIXELS = 64
_ORIENTATION = 0x0112
# files that are named
_FEW = 3


@dataclass(frozen=True)
class Looked:
    """What the files themselves say, before their pixels are read.

    Attributes:
        paths: of those that can be read.
        sizes: how many have each (height, width).
        gray: how many have no colours.
        oddities: what a user should know, and of how many files.
        broken: the files that cannot be read, and why.
    """

    paths: tuple[Path, ...]
    sizes: Counter[tuple[int, int]]
    gray: int
    oddities: Counter[str]
    broken: dict[Path, str] = field(default_factory=dict)


def look(paths: Sequence[Path]) -> Looked:
    """Read what files say of themselves: it takes a fraction of the time of their pixels."""
    readable: list[Path] = []
    broken: dict[Path, str] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    gray = 0
    oddities: Counter[str] = Counter()
    for path in paths:
        try:
            with _opened(path) as image:
                _check_mode(image)
                gray += image.mode in _GRAY
                sizes[image.height, image.width] += 1
                oddities.update(_oddities(image))
        except Exception as error:
            broken[path] = _reason(error)
            continue
        readable.append(path)
    return Looked(tuple(readable), sizes, gray, oddities, broken)


def format_for(looked: Looked, wanted: Wanted, most: int | None = MOST_PIXELS) -> ImageFormat:
    """Return what files become: as it is wanted, else as most of them are, and not too large.

    Args:
        looked: the files.
        wanted: what is said of them.
        most: of how many pixels the longer side may be; of any number if it is None.
    """
    (height, width), _ = looked.sizes.most_common(1)[0]
    longer = max(height, width)
    if most is not None and longer > most:
        height = max(1, round(height * most / longer))
        width = max(1, round(width * most / longer))
    channels = 3
    if looked.gray == len(looked.paths):
        channels = 1
    return ImageFormat(wanted.height or height, wanted.width or width, wanted.channels or channels)


def read(
    looked: Looked, kind: ImageFormat, broken: dict[Path, str]
) -> tuple[np.ndarray, tuple[Path, ...]]:
    """Return the pixels of files as uint8, and which files they are of.

    Args:
        looked: the files.
        kind: what each becomes.
        broken: takes those whose pixels cannot be read, and why.
    """
    shape = (len(looked.paths), kind.height, kind.width, kind.channels)
    pixels = np.empty(shape, "uint8")
    whole: list[Path] = []
    for path in looked.paths:
        try:
            pixels[len(whole)] = _pixels(path, kind)
        except Exception as error:
            broken[path] = _reason(error)
            continue
        whole.append(path)
    return pixels[: len(whole)], tuple(whole)


def check_memory(count: int, kind: ImageFormat, what: str, *, may_shrink: bool) -> None:
    """Check that images fit into half of the memory that is free, as arrays of other files must.

    Args:
        count: how many.
        kind: what each becomes.
        what: the folder, as it was given.
        may_shrink: whether --image-size could make them smaller.

    Raises:
        DataError: with what would.
    """
    free = free_ram()
    needed = count * kind.bytes
    if needed <= free // 2:
        return
    small = count * ImageFormat(32, 32, kind.channels).bytes
    hint = ""
    if may_shrink and small < needed:
        hint = f"; --image-size 32x32 makes them {_in_words(small)}"
    raise DataError(
        f"The images must fit into half of the {_in_words(free)} of memory that are free. Received: "
        f"{what}, {count:,} images of {kind.size}, which are {_in_words(needed)} as numbers{hint}"
    )


def check_whole(broken: dict[Path, str], hint: str = "") -> None:
    """Check that all files could be read.

    Args:
        broken: those that could not, and why.
        hint: what to do about it.

    Raises:
        DataError: naming those that could not.
    """
    if not broken:
        return
    told = [f"{str(path)!r} ({reason})" for path, reason in broken.items()]
    if len(told) > _FEW:
        told[_FEW:] = [f"and {len(told) - _FEW} more"]
    raise DataError(f"Image files must be ones that can be read{hint}. Received: {', '.join(told)}")


def read_all(paths: Sequence[Path], kind: ImageFormat, what: str) -> np.ndarray:
    """Return the pixels of all files as uint8.

    Raises:
        DataError: if one cannot be read, or they do not fit into memory.
    """
    check_memory(len(paths), kind, what, may_shrink=False)
    looked = look(paths)
    check_whole(looked.broken)
    broken: dict[Path, str] = {}
    values, _ = read(looked, kind, broken)
    check_whole(broken)
    return values


def _opened(path: Path) -> Image:
    from PIL import Image

    with warnings.catch_warnings():
        # an image of so many pixels is none of a data set, but made to fill the memory
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # what Pillow warns of besides, as of metadata that are odd, changes no pixel
        warnings.filterwarnings("ignore", category=UserWarning)
        return Image.open(path)


def _check_mode(image: Image) -> None:
    if image.mode not in _MODES:
        raise ValueError(f"8 bits a channel are read, not {image.mode}")


def _pixels(path: Path, kind: ImageFormat) -> np.ndarray:
    from PIL import Image

    with _opened(path) as image, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        _check_mode(image)
        mode = "L" if kind.channels == 1 else "RGB"
        converted = image.convert(mode)
        size = (kind.width, kind.height)
        if converted.size != size:
            converted = converted.resize(size, Image.Resampling.BILINEAR)
        return np.asarray(converted).reshape(kind.height, kind.width, kind.channels)


def _oddities(image: Image) -> Iterator[str]:
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        yield "transparent, which is left out: what is under it is seen"
    if getattr(image, "n_frames", 1) > 1:
        yield "of several frames, of which the first is taken"
    if image.getexif().get(_ORIENTATION, 1) != 1:
        yield "to be turned, as their EXIF says: they are taken as they are stored, as Keras does"


def _reason(error: Exception) -> str:
    """Why a file cannot be read, in a line that does not name it once more."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is no image"
    return (str(error) or type(error).__name__).partition("\n")[0]


def _in_words(count: int) -> str:
    if count < 2**30:
        return f"{max(1, count // 2**20):,} MiB"
    return f"{count / 2**30:,.1f} GiB"
