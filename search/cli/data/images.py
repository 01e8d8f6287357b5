"""The data of folders of images."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_acts.errors import DataError
from keras_acts.search.report.numbers import counted

from ..places import name_of_folder
from ..running import progress
from . import pixels
from .dataset import Dataset, Pair
from .image_folders import ENDINGS, ImageFiles, few_paths, of_classes, parts_in
from .image_format import ImageFormat, Wanted
from .labels import labelled

# about a second
_MANY = 1000
_SKIP = "; --skip-broken leaves out the others"
_NAMES = {"--data": "train", "--validation": "validation", "--test": "test"}


@dataclass(frozen=True)
class _Part:
    """A part of the data: its files, and what they say of themselves."""

    files: ImageFiles
    looked: pixels.Looked

    def classes(self) -> dict[Path, str]:
        """The class of each file."""
        return dict(zip(self.files.paths, self.files.classes, strict=True))


def of_images(
    folder: Path, task: str, wanted: Wanted, others: Mapping[str, Path | None]
) -> Dataset:
    """Read a folder of images, and those of other parts.

    Args:
        folder: with a folder for each class, or for each part of the data.
        task: as `load` takes it.
        wanted: what is said of the files.
        others: folders of the other parts, by their options.

    Raises:
        DataError: if there is no class, or a file cannot be read.
    """
    if task == "regression":
        raise DataError(
            f"A folder of images is of classes. Received: --task regression, --data {str(folder)!r}"
        )
    files = _all_parts(folder, others)
    _check_classes(files)
    found = sum(len(part.paths) for part in files.values())
    if found > _MANY:
        progress(f"Reading {found:,} images …")
    parts = {option: _Part(found, pixels.look(found.paths)) for option, found in files.items()}
    broken: dict[Path, str] = {}
    for part in parts.values():
        broken |= part.looked.broken
    if not wanted.skip_broken:
        pixels.check_whole(broken, _SKIP)
    if not parts["--data"].looked.paths:
        pixels.check_whole(broken)
    _check_left(parts, broken)
    kind = pixels.format_for(parts["--data"].looked, wanted)
    count = sum(len(part.looked.paths) for part in parts.values())
    pixels.check_memory(count, kind, str(folder), may_shrink=wanted.may_shrink)
    arrays = {option: _arrays(part, kind, broken) for option, part in parts.items()}
    if not wanted.skip_broken:
        pixels.check_whole(broken, _SKIP)
    # that the pixels are cut off is seen only where they are read
    _check_left(parts, broken)
    dataset = labelled(
        name_of_folder(folder),
        arrays["--data"],
        "classes",
        test=arrays.get("--test"),
        validation=arrays.get("--validation"),
    )
    notes = [*_notes(parts, kind, wanted, broken), *_twice(arrays)]
    return dataclasses.replace(dataset, images_as=kind, notes=tuple(notes))


def _all_parts(folder: Path, others: Mapping[str, Path | None]) -> dict[str, ImageFiles]:
    parts = parts_in(folder)
    for option, other in others.items():
        if other is None:
            continue
        if option in parts:
            raise DataError(
                f"{option} is of a folder without {_NAMES[option]}. Received: {str(folder)!r}, which "
                "has it"
            )
        parts[option] = of_classes(other, option)
    return parts


def _check_classes(parts: Mapping[str, ImageFiles]) -> None:
    """Check what the names of the folders tell, before any file is read."""
    known = sorted(set(parts["--data"].classes))
    if len(known) < 2:
        raise DataError(
            "--data must be a folder with folders of at least two classes. Received: "
            f"{str(parts['--data'].folder)!r} with {known[0]!r} alone"
        )
    for files in parts.values():
        unknown = sorted(set(files.classes) - set(known))
        if unknown:
            raise DataError(
                f"The classes must be those that train: {', '.join(known[:10])}. Received: "
                f"{str(files.folder)!r} with {unknown[0]!r}"
            )


def _check_left(parts: Mapping[str, _Part], broken: Mapping[Path, str]) -> None:
    """Check that each class still has an image in each part that had one.

    Without, it would be no class any more, or no score would be of it.
    """
    for option, part in parts.items():
        lost = set(part.files.classes)
        for path, name in part.classes().items():
            if path not in broken:
                lost.discard(name)
        if not lost:
            continue
        name = min(lost)
        first = next(path for path, of in part.classes().items() if of == name)
        raise DataError(
            "Each class must have an image that can be read. Received: "
            f"{str(part.files.folder)!r} ({_NAMES[option]}), where no image of {name!r} can be read: "
            f"{str(first)!r} ({broken[first]})"
        )


def _arrays(part: _Part, kind: ImageFormat, broken: dict[Path, str]) -> Pair:
    values, paths = pixels.read(part.looked, kind, broken)
    classes = part.classes()
    return values, np.array([classes[path] for path in paths])


def _notes(
    parts: Mapping[str, _Part], kind: ImageFormat, wanted: Wanted, broken: Mapping[Path, str]
) -> Iterator[str]:
    """Yield what was done with the files that a user may want otherwise."""
    looked = [part.looked for part in parts.values()]
    count = sum(len(each.paths) for each in looked)
    sizes = sum((each.sizes for each in looked), Counter[tuple[int, int]]())
    resized = sizes.total() - sizes[kind.height, kind.width]
    if resized:
        yield f"{_of(resized, count)} resized to {kind.size}, bilinear: {_told(sizes, wanted)}"
    gray = sum(each.gray for each in looked)
    if kind.channels == 1 and gray < count:
        yield f"{_of(count - gray, count)} taken as gray, as the model does: they have colours"
    if kind.channels == 3 and gray:
        yield f"{_of(gray, count)} gray, and taken as RGB"
    oddities = sum((each.oddities for each in looked), Counter[str]())
    for oddity, times in sorted(oddities.items()):
        yield f"{_of(times, count)} {oddity}"
    if broken:
        left_out = counted(len(broken), "file")
        yield f"{left_out} cannot be read, and {_is(len(broken))} left out: {few_paths(list(broken))}"
    others = [path for part in parts.values() for path in part.files.others]
    if others:
        left_out = counted(len(others), "file")
        yield (
            f"{left_out} {_is(len(others))} left out, as no image in a folder of a class "
            f"({', '.join(ENDINGS)}): {few_paths(others)}"
        )


def _told(sizes: Counter[tuple[int, int]], wanted: Wanted) -> str:
    """Of which sizes the files are, and how to have them in another one."""
    (height, width), most = sizes.most_common(1)[0]
    text = f"most are {height}x{width}"
    if most == sizes.total():
        text = f"all are {height}x{width}"
    if wanted.height is None:
        text += "; --image-size says another size"
    return text


def _of(some: int, count: int) -> str:
    """So many of all images, with the verb."""
    if some == count:
        return "All images are"
    return f"{some:,} of {count:,} images {_is(some)}"


def _is(count: int) -> str:
    if count == 1:
        return "is"
    return "are"


def _twice(arrays: Mapping[str, Pair]) -> Iterator[str]:
    """Yield which images of other parts are among those that train."""
    known = set(_hashes(arrays["--data"][0]))
    for option, (values, _) in arrays.items():
        if option == "--data":
            continue
        same = sum(each in known for each in _hashes(values))
        if same:
            yield (
                f"{same:,} of {len(values):,} images of the {_NAMES[option]} part {_is(same)} among those "
                "that train too: a score on them says less about new ones"
            )


def _hashes(values: np.ndarray) -> Iterator[bytes]:
    for image in values:
        yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()
