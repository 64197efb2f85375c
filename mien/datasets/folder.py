"""Images of one's own with labels of one's own: class folders, a CSV list, or Parquet.

- class folders: `happy/*.jpg`, or `train/happy/*.jpg` with a level of splits above; folder names may be any word that
  `mien.expressions` knows (`happiness`, `Angry`)
- a CSV `path,expression`, paths relative to the CSV's own folder, expressions as words or as AffectNet's integers; the
  header `subDirectory_filePath,expression` of GANmut's lists is read as well, and so are columns `split` and `subject`
- Parquet files with `image`, `label` and perhaps `subject`

Where a source has no validation part, a tenth of its training part becomes one, chosen by a hash of the subject (or of
the key, where subjects are unknown): the same tenth in every run, and nobody's face on both sides.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mien.datasets.sample import EDITED, FACES, TRAIN, VALIDATION, Rejected, Row, Sample, split_of
from mien.datasets.tables import CsvTable, image_bytes, open_csv, open_parquet, parquet_files
from mien.errors import ConditionError, ConfigError, DataError, ImageError
from mien.expressions import AFFECTNET_ORDER, parse_expression
from mien.images import read_image

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"
)  # fmt: skip

_VALIDATION_SHARE = 0.1
_PATH_COLUMNS = ("path", "subdirectory_filepath")


def read(source: Path | str, name: str = "folder", face: str = "cut") -> Iterator[Row]:
    """Yield the images of a CSV file, or of a folder that holds Parquet files, class folders or CSV files.

    `name` is what the samples' `source` says. `face` is one of `mien.datasets.sample.FACES`: `cut` for images that are
    cut round a face, `largest` or another for whole photos. Raises `DataError` where nothing of the kind is found at
    `source`, where class folders have names that are no expressions, or where a CSV lacks its columns.
    """
    if face not in FACES:
        raise ConfigError(f"face `{face}` is unknown", hint=f"give `{'`, `'.join(FACES)}`")
    rows = _read(Path(source), name)
    if face == "cut":
        return rows
    return (replace(row, face=face) if isinstance(row, Sample) else row for row in rows)


def _read(source: Path, name: str) -> Iterator[Row]:
    if files := parquet_files(source):
        return _read_parquet(files, name)
    if source.is_dir() and (images := list_class_folders(source)):
        return read_images(images, name)
    lists = sorted(source.glob("*.csv")) if source.is_dir() else [source] if source.suffix.lower() == ".csv" else []
    if lists and source.exists():
        return _read_lists(lists, name)
    raise DataError(
        f"no labelled images at `{source}`: {contents(source)}",
        hint="looked for class folders (`happy/*.jpg`, `train/happy/*.jpg`), a CSV `path,expression`, and `*.parquet`",
    )


def contents(source: Path) -> str:
    """Say in a clause what lies at a place that turned out to be no dataset."""
    if not source.is_dir():
        return "a file of another kind" if source.exists() else "no such file or folder"
    names = sorted(path.name for path in source.iterdir())
    return f"found {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}" if names else "the folder is empty"


@dataclass(frozen=True)
class ImageFile:
    """An image file in a class folder."""

    path: Path
    """Where it lies."""
    key: str
    """Its path below the dataset's folder, with slashes."""
    expression: str | None
    """What the class folder's name means in the vocabulary; None for a number that means no expression."""
    split: str | None
    """What the folder above says; None where there is no level of splits."""


def list_class_folders(source: Path, order: Sequence[str | None] = ()) -> list[ImageFile]:
    """List the images of class folders, sorted by key; none where `source` holds no class folders at all.

    With `order`, a folder may also be called by an integer of the dataset's own order of expressions. Raises
    `DataError` where some folders are expressions and others are not, rather than leave images out in silence.
    """
    splits = [(folder, split) for folder in list_folders(source) if (split := split_of(folder.name))]
    levels: list[tuple[Path, str | None]] = [*splits] if splits else [(source, None)]
    images, unknown = [], []
    for level, split in levels:
        for folder in list_folders(level):
            try:
                numbered = folder.name.isdecimal() and int(folder.name) < len(order)
                expression = order[int(folder.name)] if numbered else parse_expression(folder.name)
            except ConditionError:
                unknown.append(folder.relative_to(source).as_posix())
                continue
            images += [
                ImageFile(path, path.relative_to(source).as_posix(), expression, split)
                for path in folder.rglob("*")
                if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
            ]
    if images and unknown:
        raise DataError(
            f"`{source}` has class folders whose names are no expressions: {', '.join(unknown)}",
            hint="rename them (neutral, happy, sad, surprise, fear, disgust, anger, contempt) or move them away",
        )
    return sorted(images, key=lambda image: image.key)


def read_images(images: list[ImageFile], name: str) -> Iterator[Row]:
    """Yield the samples of class folders, with a validation part in any case but one.

    Where edited faces are among them, all stay in training: whose photos they were made from is not known.
    """
    samples = (
        Rejected(image.key, "the number of its class folder means no expression")
        if image.expression is None
        else Sample(image.key, partial(read_file, image.path), image.expression, image.split or TRAIN, name)
        for image in images
    )
    divided = any(image.split == VALIDATION or EDITED in image.key for image in images)
    return samples if divided else with_validation(samples)


def read_file(path: Path) -> np.ndarray:
    """Decode an image file; one that is missing is an `ImageError` like one that is broken."""
    try:
        there = path.is_file()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise ImageError(f"cannot read `{path}`: {error.strerror}") from None
    if not there:
        raise ImageError(f"no such file: `{path}`")
    return read_image(path)


def read_part(path: Path, box: tuple[float, float, float, float], margin: float = 0.25) -> np.ndarray:
    """Decode the square of an image file round the box (x0, y0, x1, y1) of a face, widened by a share of its side.

    What of it lies beyond the image is left out; `ImageError` where that is all.
    """
    image = read_file(path)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    half = (0.5 + margin) * max(x1 - x0, y1 - y0)
    left, top = (max(0, math.floor(centre - half)) for centre in ((x0 + x1) / 2, (y0 + y1) / 2))
    right = min(width, math.ceil((x0 + x1) / 2 + half))
    bottom = min(height, math.ceil((y0 + y1) / 2 + half))
    if min(x1, width) <= max(x0, 0) or min(y1, height) <= max(y0, 0):
        raise ImageError(f"the face's box {x0:g}, {y0:g}, {x1:g}, {y1:g} is outside `{path}` ({width} x {height})")
    return image[top:bottom, left:right].copy()


def with_validation(items: Iterable[Row]) -> Iterator[Row]:
    """Move a tenth of the training samples to validation, by a hash of the subject, or of the key without one."""
    for item in items:
        if isinstance(item, Sample) and item.split == TRAIN:
            digest = hashlib.sha256((item.subject or item.key).encode("utf-8", "surrogateescape")).digest()
            if int.from_bytes(digest[:4], "big") < _VALIDATION_SHARE * 2**32:
                item = replace(item, split=VALIDATION)
        yield item


def find_below(source: Path, names: Sequence[str], depth: int = 2) -> list[Path]:
    """List files and folders of these names (in lower case), nearest first, at most so many folders down.

    Folders that are called by a number, `images` or `annotations` are full of files and not looked into.
    """
    level, found = [source] if source.is_dir() else [], []
    for _ in range(depth + 1):
        deeper: list[Path] = []
        for place in level:
            with os.scandir(place) as entries:  # which knows folders without asking the disk for each file
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.name.lower() in names:
                        found.append(Path(entry.path))
                    full = entry.name.isdecimal() or entry.name.lower() in ("images", "annotations")
                    if entry.is_dir() and not full and entry.name[0] not in "._":
                        deeper.append(Path(entry.path))
        level = deeper
    return found


def list_folders(parent: Path) -> list[Path]:
    """List folders by name, without hidden ones and the likes of `__MACOSX`."""
    return sorted(path for path in parent.iterdir() if path.is_dir() and path.name[0] not in "._")


def _parse_label(word: str) -> str:
    """Return the expression that a word or one of AffectNet's integers means; `DataError` says why it means none."""
    if not word.strip().isdecimal():
        try:
            return parse_expression(word)
        except ConditionError as error:
            raise DataError(str(error)) from None
    # As a float, since int() refuses numbers of thousands of digits.
    expression = AFFECTNET_ORDER[int(word)] if float(word) < len(AFFECTNET_ORDER) else None
    if expression is None:
        raise DataError(f"AffectNet's label {word.strip()[:20]} is no expression")
    return expression


def _read_lists(lists: list[Path], name: str) -> Iterator[Row]:
    """Yield the rows of CSV files; a file named after a split (`validation.csv`) decides it for rows without one."""
    tables = [open_csv(path, ("expression",)) for path in lists]
    for table in tables:
        if not any(column in table.columns for column in _PATH_COLUMNS):
            raise DataError(
                f"`{table.path}` has no column that says where the images lie, only {', '.join(table.columns)}",
                hint="the first line must be `path,expression` (or GANmut's `subDirectory_filePath,expression`)",
            )
    items = (item for table in tables for item in _read_list(table, name))
    says_validation = any(split_of(path.stem) == VALIDATION for path in lists) or any(
        split_of(row.get("split", "")) == VALIDATION for table in tables if "split" in table.columns
        for row in table.rows()
    )  # fmt: skip
    return items if says_validation else with_validation(items)


def _read_list(table: CsvTable, name: str) -> Iterator[Row]:
    path_column = next(column for column in _PATH_COLUMNS if column in table.columns)
    file_split = split_of(table.path.stem) or TRAIN
    for number, row in enumerate(table.rows(), start=2):
        place = (row.get(path_column) or "").replace("\\", "/")  # lists made on Windows
        if not place or "expression" not in row:
            yield Rejected(f"{table.path.name}:{number}", "the row is incomplete")
            continue
        split = split_of(row["split"]) if row.get("split") else file_split
        try:
            expression = _parse_label(row["expression"])
        except DataError as error:
            yield Rejected(place, str(error))
            continue
        if split is None:
            yield Rejected(place, f"split `{row['split']}` is not train, validation or test")
            continue
        image = partial(read_file, table.path.parent / place)
        yield Sample(place, image, expression, split, name, subject=row.get("subject") or None)


def _read_parquet(files: list[tuple[str, Path]], name: str) -> Iterator[Row]:
    tables = [(split, open_parquet(path, ("image", "label"))) for split, path in files]

    def items() -> Iterator[Row]:
        for split, table in tables:
            for index, row in enumerate(table.rows(("image", "label", "subject", "name"))):
                key = f"{split}/{row.get('name') or f'{table.path.stem}-{index:07d}'}"
                label, data = row["label"], image_bytes(row["image"])
                if isinstance(label, int) and table.label_names is not None:
                    label = table.label_names[label] if 0 <= label < len(table.label_names) else f"label {label}"
                if data is None:
                    yield Rejected(key, "the row has no image")
                    continue
                try:
                    expression = _parse_label(str(label))
                except DataError as error:
                    yield Rejected(key, str(error))
                    continue
                image = partial(read_image, data)
                yield Sample(key, image, expression, split, name, subject=row.get("subject") or None)

    return items() if any(split == VALIDATION for split, _ in files) else with_validation(items())
