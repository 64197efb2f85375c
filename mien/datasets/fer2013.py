"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414), in every form in which people have it.

35,887 grey faces of 48x48 pixels with seven labels. Three forms lie about and are told apart by what is found:

- Parquet: `train.parquet`, `validation.parquet`, ..., with `image`, `label` and perhaps FER+ `votes` and `name`
- Kaggle's `fer2013.csv` (or `icml_face_data.csv`): columns emotion, pixels, Usage
- class folders: `train/angry/*.jpg`, `test/angry/*.jpg`

FER+ (Barsoum et al. 2016, arXiv:1608.01041) asked ten people about each image again. Its `fer2013new.csv`, row for row
beside Kaggle's file, or the Parquet file's `votes` gives every sample its `shares`; with `labels="ferplus"` it decides
the expression too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.folder import contents, list_class_folders, read_images
from mien.datasets.sample import Rejected, Row, Sample, shares_from_votes, split_of
from mien.datasets.tables import ParquetTable, image_bytes, open_csv, open_parquet, parquet_files
from mien.errors import ConditionError, ConfigError, DataError, ImageError
from mien.expressions import BASIC, FER2013_ORDER, FERPLUS_ORDER, parse_expression
from mien.images import read_image

_NAME = "fer2013"
_SIDE = 48
_KAGGLE_FILES = ("fer2013.csv", "icml_face_data.csv")
_VOTES_FILE = "fer2013new.csv"
#: Votes that FER2013's own label is worth with `labels="both"`, beside the ten of FER+.
_LABEL_WORTH = 4
#: Twice as fast as `int`, which counts with 83 million pixels, and it knows the range.
_LEVELS = {str(level): level for level in range(256)}
#: FER+'s last two columns carry no expression, but why not is worth telling apart.
_VOTE_WORDS = (*(name or "" for name in FERPLUS_ORDER[:8]), "unknown", "not a face")


def read(source: Path | str, labels: str = "fer2013", votes: Path | str | None = None) -> Iterator[Row]:
    """Yield FER2013's rows in their own order, from whichever of the three forms is found at `source`.

    `labels` is `fer2013` (the published labels), `ferplus` (the majority of FER+'s votes, see `majority`) or `both`:
    FER2013's label counts as four votes more, which doubles the faces that count as afraid. Images to which FER+ gave no
    name, since they show no face, are rejected either way. `votes` names the `fer2013new.csv` where it does not lie
    beside Kaggle's file.

    Raises `DataError` where nothing of the kind is found at `source`, or where there are no votes to label with.
    """
    source = Path(source)
    if labels not in ("fer2013", "ferplus", "both"):
        raise ConfigError(f"labels `{labels}` are unknown", hint="give `fer2013`, `ferplus` or `both`")
    if files := parquet_files(source):
        if votes is not None:
            raise DataError("a Parquet file carries its votes itself", hint="leave `votes` out")
        return _read_parquet(files, labels)
    if kaggle := _kaggle_file(source):
        beside = kaggle.with_name(_VOTES_FILE)
        return _read_kaggle(kaggle, Path(votes) if votes else beside if beside.is_file() else None, labels)
    if source.is_dir() and (images := list_class_folders(source)):
        if labels != "fer2013" or votes is not None:
            raise DataError(
                f"class folders (`{source}`) cannot be matched with FER+ votes",
                hint="give Kaggle's `fer2013.csv` with `fer2013new.csv` beside it, or Parquet files with `votes`",
            )
        # Files that kept Kaggle's usage in their names, `test/happy/PublicTest_123.jpg`, are split by it.
        usages = [split_of(image.path.stem.partition("_")[0]) for image in images]
        images = [replace(image, split=usage or image.split) for image, usage in zip(images, usages, strict=True)]
        return read_images(images, _NAME)
    raise DataError(
        f"no FER2013 at `{source}`: {contents(source)}",
        hint="looked for `*.parquet`, `fer2013.csv`, `icml_face_data.csv` and class folders as `train/angry/*.jpg`",
    )


def majority(votes: Sequence[float], label: str | None) -> str | Rejected:
    """Return the expression that most of FER+'s annotators saw, or why there is none (a `Rejected` without key).

    One of the seven basic expressions must lead. Of several that lead together, the one FER2013 itself chose is taken;
    where it chose none of them, the image is too ambiguous to be learnt from.
    """
    most = max(votes)
    leaders = [_VOTE_WORDS[i] for i, count in enumerate(votes) if count == most] if most > 0 else []
    if not leaders:
        return Rejected("", "FER+ has no votes for it")
    if "not a face" in leaders:
        return Rejected("", "FER+ calls it not a face")
    chosen = leaders[0] if len(leaders) == 1 else label
    if chosen in leaders and chosen in BASIC:
        return str(chosen)
    return Rejected("", f"FER+ is for {' and '.join(leaders)}, none of the seven expressions" if len(leaders) == 1
                    else f"FER+ is tied between {' and '.join(leaders)}")  # fmt: skip


def _labelled(sample: Sample, label: Any, votes: Sequence[float] | None, labels: str) -> Row:
    """Give a sample its expression and shares, or say why it has none; `label` is FER2013's integer as it was found."""
    try:
        number = int(label)
    except (TypeError, ValueError, OverflowError):  # of words, of `nan`, of infinity
        return Rejected(sample.key, f"label `{str(label)[:20]}` is not a number")
    if not 0 <= number < len(FER2013_ORDER):
        return Rejected(sample.key, f"label {number} is not one of 0 to {len(FER2013_ORDER) - 1}")
    expression = FER2013_ORDER[number]
    if votes is None:
        return replace(sample, expression=expression)
    if len(votes) != len(FERPLUS_ORDER) or min(votes) < 0:
        return Rejected(sample.key, f"{len(votes)} votes instead of {len(FERPLUS_ORDER)}, or some below zero")
    if labels == "both":
        votes = [*votes]
        votes[FERPLUS_ORDER.index(expression)] += _LABEL_WORTH
    if labels != "fer2013":
        chosen = majority(votes, expression)
        if isinstance(chosen, Rejected):
            return replace(chosen, key=sample.key)
        expression = chosen
    return replace(sample, expression=expression, shares=shares_from_votes(votes, FERPLUS_ORDER))


def _read_parquet(files: list[tuple[str, Path]], labels: str) -> Iterator[Row]:
    needed = ("image", "label", "votes") if labels != "fer2013" else ("image", "label")
    tables = [(split, open_parquet(path, needed)) for split, path in files]  # all, before the first row leaves
    for _, table in tables:
        _check_order(table)
    for split, table in tables:
        for index, row in enumerate(table.rows(("image", "label", "votes", "name"))):
            key = f"{split}/{row.get('name') or f'{table.path.stem}-{index:07d}'}"
            data = image_bytes(row["image"])
            if data is None:
                yield Rejected(key, "the row has no image")
                continue
            sample = Sample(key, partial(read_image, data), None, split, _NAME)
            yield _labelled(sample, row["label"], row.get("votes"), labels)


def _check_order(table: ParquetTable) -> None:
    """Refuse a file that says itself that its labels are not in FER2013's order: every face would get a wrong name."""
    if table.label_names is None:
        return
    try:
        names = tuple(parse_expression(name) for name in table.label_names)
    except ConditionError:
        names = ()
    if names != FER2013_ORDER:
        raise DataError(
            f"`{table.path}` says that its labels are {', '.join(table.label_names)}, which is not FER2013's order "
            f"({', '.join(FER2013_ORDER)})",
            hint="read it by the names that it has: `mien prepare folder`",
        )


def _kaggle_file(source: Path) -> Path | None:
    if source.is_file():
        return source if source.suffix.lower() == ".csv" else None
    return next((source / name for name in _KAGGLE_FILES if (source / name).is_file()), None)


def _read_kaggle(path: Path, votes_path: Path | None, labels: str) -> Iterator[Row]:
    votes = _read_votes(votes_path) if votes_path else None
    if labels != "fer2013" and votes is None:
        raise DataError(
            f"no FER+ votes beside `{path}`",
            hint=f"put `{_VOTES_FILE}` (github.com/microsoft/FERPlus) beside it or name it with `votes`",
        )
    table = open_csv(path, ("emotion", "pixels", "usage"))
    if votes is not None and len(votes) != (count := sum(1 for _ in table.rows())):
        raise DataError(
            f"`{votes_path}` has {len(votes)} rows and `{path}` has {count}",
            hint="FER+ is matched row by row: take both files as they were published",
        )
    for index, row in enumerate(table.rows()):
        split = split_of(row.get("usage", ""))
        key = f"{split or 'row'}/{index:07d}"
        if split is None:
            yield Rejected(key, f"usage `{row.get('usage', '')}` is not Training, PublicTest or PrivateTest")
        elif votes is not None and votes[index] is None:
            yield Rejected(key, "FER+ calls it not a face")
        else:
            sample = Sample(key, partial(_decode_pixels, row.get("pixels", "")), None, split, _NAME)
            yield _labelled(sample, row.get("emotion"), votes[index] if votes else None, labels)


def _read_votes(path: Path) -> list[tuple[float, ...] | None]:
    """Return FER+'s votes row by row; None for a row without an image name, which is no face.

    A row whose votes are no numbers gets an empty tuple, which the caller rejects: the rows must stay in step.
    """
    columns = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "nf")
    result: list[tuple[float, ...] | None] = []
    for row in open_csv(path, ("image name", *columns)).rows():
        try:
            result.append(tuple(float(row[name]) for name in columns) if row.get("image name") else None)
        except (KeyError, ValueError):
            result.append(())
    return result


def _decode_pixels(text: str) -> np.ndarray:
    """Turn Kaggle's 2304 numbers separated by blanks into uint8 (48, 48, 3)."""
    try:
        values = bytes(map(_LEVELS.__getitem__, text.split()))
    except KeyError:
        raise ImageError("the pixels are not whole numbers from 0 to 255") from None
    if len(values) != _SIDE * _SIDE:
        raise ImageError(f"{len(values)} pixels instead of {_SIDE * _SIDE}")
    grey = np.frombuffer(values, np.uint8).reshape(_SIDE, _SIDE, 1)
    return np.repeat(grey, 3, axis=2)
