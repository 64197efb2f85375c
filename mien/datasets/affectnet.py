"""AffectNet (Mollahosseini, Hasani & Mahoor 2017, arXiv:1708.03985), in the three forms in which people have it.

- the full release, what people labelled: `training.csv` and `validation.csv` with `subDirectory_filePath`, a face box
  and `expression`, and the photos in `Manually_Annotated_Images/<folder>/<hash>.jpg`
- the release with eight labels: `train_set/images/7.jpg` (224 pixels, cut round a face) with
  `train_set/annotations/7_exp.npy`, and the same in `val_set`
- class folders as copies have them: `train/0/*.jpg` to `val/7/*.jpg`, or with words

Labels 0 to 7 are the vocabulary; 8 (none), 9 (uncertain) and 10 (no face) are rejected. The published validation part
stays the validation part: AffectNet's test part was never published, and the field reports on validation.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mien.datasets.folder import (
    IMAGE_SUFFIXES,
    contents,
    find_below,
    list_class_folders,
    read_file,
    read_images,
    read_part,
    with_validation,
)
from mien.datasets.sample import SPLITS, TRAIN, VALIDATION, Rejected, Row, Sample, split_of
from mien.datasets.tables import CsvTable, open_csv
from mien.errors import DataError
from mien.expressions import AFFECTNET_ORDER

_NAME = "affectnet"
_LISTS = ("training.csv", "validation.csv")
_PHOTOS = ("manually_annotated_images",)
_PATH, _BOX = "subdirectory_filepath", ("face_x", "face_y", "face_width", "face_height")
_LABEL = "_exp.npy"
#: What the integers above the vocabulary mean.
_WORDLESS = {8: "none of the expressions", 9: "uncertain", 10: "not a face"}


def read(source: Path | str, boxes: bool = True, contempt: bool = True) -> Iterator[Row]:
    """Yield AffectNet's rows, training before validation, from whichever of the three forms is found at `source`.

    With `boxes`, of a photo of the full release the square round its face box is taken; where a photo has no box, or
    without `boxes`, its largest face is meant. Without `contempt` that label is rejected, which leaves the seven
    expressions that other datasets have.

    Raises `DataError` where nothing of the kind is found at `source`, or where only labels or only images are there.
    """
    source = Path(source)
    if lists := find_below(source, _LISTS):
        rows = _read_lists(lists, source, boxes)
    elif parts := _annotated_parts(source):
        rows = _read_parts(parts)
    elif source.is_dir() and (images := list_class_folders(source, AFFECTNET_ORDER)):
        rows = read_images(images, _NAME)
    else:
        raise DataError(
            f"no AffectNet at `{source}`: {contents(source)}",
            hint="looked for `training.csv` with `Manually_Annotated_Images`, for `train_set/images` with"
            " `train_set/annotations`, and for class folders as `train/0/*.jpg`",
        )
    return rows if contempt else map(_without_contempt, rows)


def _without_contempt(row: Row) -> Row:
    if isinstance(row, Sample) and row.expression == "contempt":
        return Rejected(row.key, "contempt, which was left out")
    return row


def _expression(label: object) -> str | Rejected:
    """Return what a label means, a number in any form of it, or why it means nothing (a `Rejected` without key)."""
    text = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
    try:
        number = float(text)
    except ValueError:
        return Rejected("", f"label `{text[:20]}` is not a number")
    if number not in range(len(AFFECTNET_ORDER)):
        return Rejected("", f"label {number:g} is not one of 0 to {len(AFFECTNET_ORDER) - 1}")
    meaning = AFFECTNET_ORDER[int(number)]
    return meaning or Rejected("", f"label {number:g}: {_WORDLESS[int(number)]}")


# -------------------------------------------------------------------------------------------------- the full release


def _read_lists(lists: list[Path], source: Path, boxes: bool) -> Iterator[Row]:
    """Check both lists and find the photos before the first row leaves."""
    by_name = {name: [path for path in lists if path.name.lower() == name] for name in _LISTS}
    for name, paths in by_name.items():
        if len(paths) > 1:
            raise DataError(
                f"`{name}` is there more than once: `{paths[0]}` and `{paths[1]}`",
                hint="give a folder that holds it once",
            )
    tables = [open_csv(path, (_PATH, "expression")) for paths in by_name.values() for path in paths]
    for table in tables:
        if boxes and not set(_BOX) <= set(table.columns):
            raise DataError(
                f"`{table.path}` has no face boxes, only {', '.join(table.columns)}",
                hint="`boxes=no` takes the largest face of each photo",
            )
    folders = find_below(source, _PHOTOS)
    # An archive may have unpacked into a folder of its own name.
    photos = next((inner for folder in folders for inner in find_below(folder, _PHOTOS, depth=0)), None)
    photos = photos or next(iter(folders), None)
    if photos is None:
        raise DataError(
            f"`{tables[0].path}` lists photos, and there is no folder `Manually_Annotated_Images` for them:"
            f" {contents(source)}",
            hint=f"unpack the photos into `{source / 'Manually_Annotated_Images'}`",
        )
    rows = (row for table in tables for row in _read_list(table, photos, boxes))
    return rows if by_name["validation.csv"] else with_validation(rows)


def _read_list(table: CsvTable, photos: Path, boxes: bool) -> Iterator[Row]:
    split = split_of(table.path.stem)
    assert split is not None  # one of _LISTS
    for number, row in enumerate(table.rows(), start=2):
        place = row.get(_PATH, "").replace("\\", "/")
        if not place or "expression" not in row:
            yield Rejected(f"{table.path.name}:{number}", "the row is incomplete")
            continue
        meaning = _expression(row["expression"])
        box = _box([row.get(column, "") for column in _BOX]) if boxes else None
        if isinstance(meaning, Rejected):
            yield Rejected(place, meaning.reason)
        elif isinstance(box, Rejected):
            yield Rejected(place, box.reason)
        elif box is None:
            yield Sample(place, partial(read_file, photos / place), meaning, split, _NAME, face="largest")
        else:
            yield Sample(place, partial(read_part, photos / place, box), meaning, split, _NAME)


def _box(cells: list[str]) -> tuple[float, float, float, float] | Rejected | None:
    """Return a face box as (x0, y0, x1, y1); None where the list says by a width below zero that there is none."""
    try:
        x, y, width, height = map(float, cells)
    except ValueError:
        return Rejected("", f"the face's box `{', '.join(cells)[:40]}` is not four numbers")
    if not all(map(math.isfinite, (x, y, width, height))):
        return Rejected("", f"the face's box `{', '.join(cells)[:40]}` is not finite")
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


# ------------------------------------------------------------------------------------- the release with eight labels


def _annotated_parts(source: Path) -> list[tuple[str, Path]]:
    """List the folders that hold `images` and `annotations` as (split, folder), training first."""
    parts = []
    for place in (source, *find_below(source, ("train_set", "val_set", "test_set"))):
        missing = [name for name in ("images", "annotations") if not (place / name).is_dir()]
        if len(missing) == 1 and place != source:
            raise DataError(
                f"`{place}` has no folder `{missing[0]}`: {contents(place)}", hint="unpack the whole archive"
            )
        if not missing:
            parts.append((split_of(place.name) or TRAIN, place))
    if len({split for split, _ in parts}) < len(parts):
        raise DataError(
            f"a part is there more than once: {', '.join(f'`{place}`' for _, place in parts)}",
            hint="give a folder that holds it once",
        )
    return sorted(parts, key=lambda part: SPLITS.index(part[0]))


def _read_parts(parts: list[tuple[str, Path]]) -> Iterator[Row]:
    rows = (row for split, place in parts for row in _read_part(split, place))
    return rows if any(split == VALIDATION for split, _ in parts) else with_validation(rows)


def _read_part(split: str, place: Path) -> Iterator[Row]:
    """Yield one part's images by their numbers; an image without label, and a label without image, is rejected."""
    images = {Path(name).stem: name for name in _names(place / "images") if name.lower().endswith(IMAGE_SUFFIXES)}
    labels = {name.removesuffix(_LABEL) for name in _names(place / "annotations") if name.endswith(_LABEL)}
    for stem in sorted(images.keys() | labels, key=_by_number):
        key = f"{split}/{stem}"
        if stem not in labels:
            yield Rejected(key, f"no annotation `{stem}{_LABEL}`")
        elif stem not in images:
            yield Rejected(key, "no such image")
        else:
            meaning = _read_label(place / "annotations" / f"{stem}{_LABEL}")
            if isinstance(meaning, Rejected):
                yield Rejected(key, meaning.reason)
            else:
                yield Sample(key, partial(read_file, place / "images" / images[stem]), meaning, split, _NAME)


def _read_label(path: Path) -> str | Rejected:
    """Return what an annotation means: one number, or text of one, in an array of any shape."""
    try:
        array = np.load(path, allow_pickle=False)  # a pickle could start programs
        label = array.item()
    except (OSError, ValueError, EOFError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        return Rejected("", f"the annotation cannot be read: {reason}")
    return _expression(label)


def _names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from sorted(entry.name for entry in entries if not entry.name.startswith("."))


def _by_number(stem: str) -> tuple[int, str]:
    return (int(stem), stem) if stem.isdecimal() else (-1, stem)
