"""How image files become numbers: their size, their channels, and what else is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_acts.errors import DataError, ExportError, shown

# the name in a model card
IN_CARD = "image_files"
# of a pixel; the scaling is inside the model, so that an export takes pixels as they are
LARGEST = 255.0
_CHANNELS = {1: "gray", 3: "RGB"}
_MOST_PIXELS = 2**14


@dataclass(frozen=True)
class ImageFormat:
    """What each file becomes: an array (height, width, channels) of 0 to 255.

    Attributes:
        height: in pixels.
        width: in pixels.
        channels: 1 for gray, 3 for RGB.
    """

    height: int
    width: int
    channels: int

    @property
    def size(self) -> str:
        """The size as --image-size has it."""
        return f"{self.height}x{self.width}"

    @property
    def bytes(self) -> int:
        """What one takes as float32."""
        return 4 * self.height * self.width * self.channels

    def card(self) -> dict[str, object]:
        """Return what a model card says of it: predictions read files so too."""
        return {
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "read": f"by Pillow as {_CHANNELS[self.channels]}, values 0 to 255; those of other sizes "
            "are resized, bilinear",
        }

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> ImageFormat | None:
        """Return what a card says of image files; None if it says nothing.

        Raises:
            ExportError: if it is not what an export wrote.
        """
        told = card.get(IN_CARD)
        if told is None:
            return None
        sizes: list[object] = []
        if isinstance(told, Mapping):
            sizes = [told.get(name) for name in ("height", "width", "channels")]
        whole = [size for size in sizes if isinstance(size, int) and 1 <= size <= _MOST_PIXELS]
        if len(whole) < 3 or whole[2] not in _CHANNELS:
            raise ExportError(
                f"The model card's {IN_CARD} must have height, width and channels (1 or 3). Received: "
                f"{shown(told)}"
            )
        return cls(*whole)


@dataclass(frozen=True)
class Wanted:
    """What the user, or the user's model, says of image files.

    Attributes:
        height: in pixels; None if nothing is said, and so for the others.
        width: in pixels.
        channels: 1 or 3.
        skip_broken: whether files that cannot be read are left out.
        may_shrink: whether the user could choose another size: no model has one.
    """

    height: int | None = None
    width: int | None = None
    channels: int | None = None
    skip_broken: bool = False
    may_shrink: bool = True


def wanted(
    size: str | None, skip_broken: bool, model: tuple[int | None, ...] | None = None
) -> Wanted:
    """Return what the options say.

    Args:
        size: of --image-size.
        skip_broken: whether --skip-broken was given.
        model: the shape that a user's model takes, without the samples' axis; None if it is not known.

    Raises:
        DataError: if they say nothing, or the model takes another size, or no images.
    """
    height = None
    width = None
    channels = None
    if size is not None:
        height, width = _parsed(size)
    if model is not None:
        if len(model) != 3 or model[2] not in (*_CHANNELS, None):
            raise DataError(
                "Image files are for a model that takes images (height, width, 1 or 3). Received: a "
                f"model that takes {model}"
            )
        if size is not None and not _suits((height, width), model[:2]):
            raise DataError(
                f"--image-size must be what the model takes, {model[0]}x{model[1]}. Received: {size!r}"
            )
        height = height or model[0]
        width = width or model[1]
        channels = model[2]
    may_shrink = model is None or None in model[:2]
    return Wanted(height, width, channels, skip_broken, may_shrink)


def _parsed(size: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", size.strip())
    sizes = [int(text) for text in found.groups()] if found else []
    if not all(1 <= pixels <= _MOST_PIXELS for pixels in sizes) or not sizes:
        raise DataError(
            f"--image-size must be HEIGHTxWIDTH in pixels, such as 64x64. Received: {shown(size)}"
        )
    return sizes[0], sizes[1]


def _suits(given: tuple[int | None, ...], taken: tuple[int | None, ...]) -> bool:
    return all(other in (None, one) for one, other in zip(given, taken, strict=True))
