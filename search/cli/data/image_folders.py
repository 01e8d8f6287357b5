"""Folders of images with a folder for each class: which files are images, of which class and part.

Classes and files are found as `keras.utils.image_dataset_from_directory` finds them, in its order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keras_acts.errors import DataError
from keras_acts.search.report.numbers import counted

from ..words import printable

# what Keras takes for images
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
# the part of the data that a folder of such a name holds, by the option that names another one
_PARTS = {"train": "--data", "validation": "--validation", "val": "--validation", "test": "--test"}
_FEW = 3


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder.

    Attributes:
        folder: around them.
        paths: of the images.
        classes: of each image: the name of the folder that it lies in.
        others: files that are no images, or lie in no folder of a class.
    """

    folder: Path
    paths: tuple[Path, ...]
    classes: tuple[str, ...]
    others: tuple[Path, ...]


def is_image(path: Path) -> bool:
    """Whether a file is called as an image."""
    return path.suffix.lower() in ENDINGS


def parts_in(folder: Path) -> dict[str, ImageFiles]:
    """Return the images of a folder, by the options that could name each part.

    Its folders are the classes; or it has `train`, `validation` or `val`, and `test`, whose folders
    are.

    Raises:
        DataError: if there is no class, or one without images.
    """
    names = [path.name for path in _folders(folder)]
    if not _is_split(folder, names):
        return {"--data": of_classes(folder, "--data")}
    others = [name for name in names if name.lower() not in _PARTS]
    if others:
        raise DataError(
            "Beside a folder train with folders of classes there may be validation (or val) and test "
            f"only. Received: {str(folder)!r} with {_few(others)}"
        )
    parts: dict[str, ImageFiles] = {}
    for name in names:
        option = _PARTS[name.lower()]
        if option in parts:
            raise DataError(
                f"There must be one folder for {option[2:]}. Received: {str(folder)!r} with {_few(names)}"
            )
        parts[option] = of_classes(folder / name, f"The folder {name}")
    if "--data" not in parts:
        raise DataError(
            f"There must be a folder train beside {' and '.join(names)}. Received: {str(folder)!r}"
        )
    return parts


def _is_split(folder: Path, names: list[str]) -> bool:
    """Whether the folders are parts of the data: `train` may be a class, of vehicles."""
    if not any(name.lower() in _PARTS for name in names):
        return False
    if all(name.lower() in _PARTS for name in names):
        return True
    return any(name.lower() == "train" and _folders(folder / name) for name in names)


def of_classes(folder: Path, what: str) -> ImageFiles:
    """Return the images in the folders of classes.

    Args:
        folder: around those of the classes.
        what: names it, as the option that was given.

    Raises:
        DataError: if there is no class, or one without images.
    """
    rule = f"{what} must be a folder with a folder of images ({', '.join(ENDINGS)}) for each class"
    classes = _folders(folder)
    loose = [path for path in _listed(folder) if not os.path.isdir(path)]
    if not classes:
        images = sum(map(is_image, loose))
        told = "no images"
        if images:
            told = f"{counted(images, 'image')} in no folder of a class"
        raise DataError(f"{rule}. Received: {str(folder)!r}, a folder with {told}")
    paths: list[Path] = []
    names: list[str] = []
    others = loose
    for place in classes:
        if printable(place.name) != place.name:
            raise DataError(
                f"The name of a class must be text in UTF-8. Received: the folder {str(place)!r}"
            )
        files = list(_files(place))
        images_here = [path for path in files if is_image(path)]
        others_here = [path for path in files if not is_image(path)]
        if not images_here:
            told = "no file"
            if others_here:
                told = f"no image, but {_few([path.name for path in others_here])}"
            raise DataError(f"{rule}. Received: {str(place)!r} with {told}")
        paths += images_here
        names += [place.name] * len(images_here)
        others += others_here
    return ImageFiles(folder, tuple(paths), tuple(names), tuple(others))


def to_predict(data: Path) -> tuple[Path, ...]:
    """Return one image, or all that lie in a folder and in the folders in it.

    Raises:
        DataError: if there is none.
    """
    if not os.path.isdir(data):
        if not os.path.isfile(data):
            raise DataError(f"The data must be a file that exists. Received: {str(data)!r}")
        return (data,)
    images = tuple(path for path in _files(data) if is_image(path))
    if not images:
        raise DataError(
            f"The data must be a folder with images ({', '.join(ENDINGS)}). Received: {str(data)!r}, "
            "a folder with none"
        )
    return images


def _folders(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if os.path.isdir(path)]


def _listed(folder: Path) -> list[Path]:
    """What lies in a folder, in order, without what systems hide there."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from None
    return [path for path in found if not path.name.startswith(".")]


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order; a folder that a link leads back to is seen once."""
    seen = {os.path.realpath(folder)}
    waiting = [folder]
    while waiting:
        here = waiting.pop(0)
        for path in _listed(here):
            if not os.path.isdir(path):
                yield path
                continue
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                waiting.append(path)


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(f"A folder must be one that can be read. Received: {str(folder)!r} ({error})")


def _few(names: list[str]) -> str:
    """Names in a line, the first few of them."""
    first = ", ".join(map(repr, names[:_FEW]))
    if len(names) > _FEW:
        return f"{first} and {len(names) - _FEW} more"
    return first


def few_paths(paths: tuple[Path, ...] | list[Path]) -> str:
    """Files in a line, the first few of them."""
    return _few([str(path) for path in paths])
