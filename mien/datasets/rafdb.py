"""RAF-DB (Li, Deng & Du 2017, Real-world Affective Faces): photos from the web; its basic part, with seven labels.

- as published: `EmoLabel/list_patition_label.txt` (so spelt) with lines `train_00001.jpg 5`, and the unpacked archives
  `Image/aligned/train_00001_aligned.jpg` (100 pixels) and `Image/original/train_00001.jpg`, whose faces
  `Annotation/boundingbox/train_00001_boundingbox.txt` tells
- class folders as copies have them: `train/1/*.jpg` to `test/7/*.jpg`, or with words

The published test part stays the test part; a tenth of the training part, by a hash of the name, becomes validation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mien.datasets.folder import (
    contents,
    find_below,
    list_class_folders,
    read_file,
    read_images,
    read_part,
    with_validation,
)
from mien.datasets.sample import Rejected, Row, Sample, split_of
from mien.errors import ConfigError, DataError
from mien.expressions import RAFDB_ORDER

_NAME = "rafdb"
_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
#: The compound part numbers its eleven mixtures from 1, in a list of the same name.
_COMPOUNDS = range(8, 12)

Line = tuple[int, list[str]]


def read(source: Path | str, images: str = "aligned") -> Iterator[Row]:
    """Yield RAF-DB's rows in the order of its list, or of its class folders by name.

    `images` is `aligned` or `original`; of an original photo the square round the published box is taken, and where
    the box is missing the largest face is meant. Raises `DataError` where list or images are missing, and where the
    list is that of the compound part.
    """
    source = Path(source)
    if images not in ("aligned", "original"):
        raise ConfigError(f"images `{images}` are unknown", hint="give `aligned` or `original`")
    if lists := find_below(source, _LISTS):
        return with_validation(_read_list(lists, images))
    for place in (source, *(source / name for name in ("DATASET", "basic"))):
        if place.is_dir() and (files := list_class_folders(place, RAFDB_ORDER)):
            if images != "aligned":
                raise DataError(f"the class folders in `{place}` hold aligned images only", hint="leave `images` out")
            if any(file.expression is None for file in files):
                raise DataError(
                    f"`{place}` has a class folder `0`, and RAF-DB's numbers begin at 1: these are another copy's",
                    hint="name the folders by expressions: neutral, happy, sad, surprise, fear, disgust, anger",
                )
            return read_images(files, _NAME)
    raise DataError(
        f"no RAF-DB at `{source}`: {contents(source)}",
        hint=f"looked for `EmoLabel/{_LISTS[0]}` and for class folders as `train/1/*.jpg`",
    )


def _read_list(lists: list[Path], images: str) -> Iterator[Row]:
    """Check list and images, then return the rows; the lists of the basic and the compound part may both be there."""
    tables = {path: _read_lines(path) for path in lists}
    basic = [path for path, lines in tables.items() if not _is_compound(lines)]
    if not basic:
        raise DataError(
            f"`{lists[0]}` is the list of RAF-DB's compound part, whose labels are mixtures",
            hint="give the folder of the basic part",
        )
    if len(basic) > 1:
        raise DataError(
            f"two lists of labels: `{basic[0]}` and `{basic[1]}`", hint="give the folder that holds one of them"
        )
    (path,) = basic
    root = path.parent.parent  # of `EmoLabel`
    folder = root / "Image" / images
    if not folder.is_dir():
        archive = folder.with_suffix(".zip")
        raise DataError(
            f"no folder `{folder}`: {contents(folder.parent)}",
            hint=f"unpack `{archive}`"
            if archive.is_file()
            else "`images=original` or `images=aligned` takes the other",
        )
    return _rows(path.name, tables[path], folder, root / "Annotation" / "boundingbox", images)


def _read_lines(path: Path) -> list[Line]:
    """Return the number and the words of each line that is not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror}") from error
    return [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _is_compound(lines: list[Line]) -> bool:
    """Say whether a list is the compound part's: not by a stray label, but by one in twenty."""
    counts = Counter(words[-1] for _, words in lines)
    return sum(counts[str(label)] for label in _COMPOUNDS) > len(lines) / 20


def _rows(list_name: str, lines: list[Line], folder: Path, boxes: Path, images: str) -> Iterator[Row]:
    for number, words in lines:
        if len(words) != 2:
            yield Rejected(f"{list_name}:{number}", f"`{' '.join(words)[:40]}` is not `train_00001.jpg 5`")
            continue
        stem, label = Path(words[0]).stem, words[1]
        split = split_of(stem)
        known = label.isascii() and label.isdecimal() and 0 < float(label) < len(RAFDB_ORDER)
        if split is None:
            yield Rejected(stem, f"`{words[0]}` begins with neither `train` nor `test`")
        elif not known:
            yield Rejected(stem, f"label {label[:20]} is not one of 1 to {len(RAFDB_ORDER) - 1}")
        else:
            expression = RAFDB_ORDER[int(label)]
            if images == "aligned":
                yield Sample(stem, partial(read_file, folder / f"{stem}_aligned.jpg"), expression, split, _NAME)
            elif box := _read_box(boxes / f"{stem}_boundingbox.txt"):
                yield Sample(stem, partial(read_part, folder / words[0], box), expression, split, _NAME)
            else:
                photo = partial(read_file, folder / words[0])
                yield Sample(stem, photo, expression, split, _NAME, face="largest")


def _read_box(path: Path) -> tuple[float, float, float, float] | None:
    """Return the box (x0, y0, x1, y1) that a file tells, or None where it is missing or tells none."""
    try:
        x0, y0, x1, y1 = map(float, path.read_text(encoding="utf-8-sig").replace(",", " ").split())
    except (OSError, ValueError):
        return None
    usable = all(map(math.isfinite, (x0, y0, x1, y1))) and x1 > x0 and y1 > y0
    return (x0, y0, x1, y1) if usable else None
