"""A shard: some thousand images with what is known of them, in two plain files; the unit of a prepared set.

    NAME.images.npy     uint8 (count, size, size, channels), RGB or one grey channel
    NAME.samples.csv    a line for each: key, split, expression, intensity, subject, source, share_<expression> ...

While a set is being made, `NAME.json` beside them says what they must be: their bytes and hashes, and which rows of the
dataset they stand for. It is written last: a shard without it, or with other bytes, is not there. Every file is written
under a temporary name and then renamed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.sample import Rejected, Row, Sample
from mien.errors import DataError
from mien.expressions import VOCABULARY

SHARE_COLUMNS = tuple(f"share_{name}" for name in VOCABULARY)
SAMPLE_COLUMNS = ("key", "split", "expression", "intensity", "subject", "source", *SHARE_COLUMNS)


@dataclass(frozen=True)
class Shard:
    """The record of a shard that is whole."""

    name: str
    """Its files' names up to the first dot."""
    count: int
    """Images in it; may be 0, where all its rows were rejected."""
    channels: int
    """1 (grey) or 3 (RGB)."""
    rows: int
    """Rows of the dataset that it stands for, the rejected ones included."""
    rows_sha256: str
    """Hash of what is known of those rows without decoding them (`hash_rows`)."""
    rejected: tuple[tuple[str, str], ...]
    """Key and reason of each rejected row."""
    bytes: dict[str, int]
    """Size of each of its two files."""
    sha256: dict[str, str]
    """Hash of each of its two files."""

    def to_json(self) -> dict[str, Any]:
        """Describe the shard so that `shard_from_json` can rebuild it."""
        return asdict(self)


def shard_from_json(description: dict[str, Any]) -> Shard:
    """Rebuild a record from what `Shard.to_json` wrote."""
    rejected = tuple((key, reason) for key, reason in description["rejected"])
    return Shard(**{**description, "rejected": rejected})


def shard_name(index: int) -> str:
    """Return the name of a set's shard by its number."""
    return f"shard-{index:05d}"


def write_shard(
    folder: Path,
    name: str,
    images: Sequence[np.ndarray],
    shape: tuple[int, int, int],
    samples: Sequence[Sample],
    rejected: Sequence[Rejected],
    rows: Sequence[Row],
) -> Shard:
    """Write images, all uint8 of `shape`, and their samples; then, as the mark of wholeness, the record."""
    files = (f"{name}.images.npy", f"{name}.samples.csv")
    write_file(folder / files[0], _npy_parts(images, shape))
    write_csv(folder / files[1], SAMPLE_COLUMNS, map(_sample_cells, samples))
    shard = Shard(
        name=name,
        count=len(images),
        channels=shape[2],
        rows=len(rows),
        rows_sha256=hash_rows(rows),
        rejected=tuple((item.key, item.reason) for item in rejected),
        bytes={file: (folder / file).stat().st_size for file in files},
        sha256={file: hash_file(folder / file) for file in files},
    )
    write_json(folder / f"{name}.json", shard.to_json())
    return shard


def finished_shards(folder: Path) -> Iterator[Shard]:
    """Yield the records of an unfinished set's shards, in order, up to the first that is not whole."""
    for index in itertools.count():
        description = read_json(folder / f"{shard_name(index)}.json")
        if description is None:
            return
        shard = shard_from_json(description)
        if any(hash_file(folder / file) != sha256 for file, sha256 in shard.sha256.items()):
            return
        yield shard


def read_columns(folder: Path, shards: Sequence[Shard]) -> dict[str, Any]:
    """Return what is known of all samples, column by column, as the fields of `PreparedSet` describe it."""
    cells: dict[str, list[str]] = {name: [] for name in SAMPLE_COLUMNS}
    for shard in shards:
        for row in read_csv(folder / f"{shard.name}.samples.csv"):
            for name, column in cells.items():
                column.append(row[name])
    labels = np.array([VOCABULARY.index(word) if word else -1 for word in cells["expression"]], np.int64)
    shares = np.array([[float(cell or 0) for cell in cells[name]] for name in SHARE_COLUMNS], np.float32)
    shares = np.ascontiguousarray(shares.T)
    unvoted = (shares.sum(axis=1) == 0) & (labels >= 0)
    shares[unvoted, labels[unvoted]] = 1.0
    return {
        "keys": tuple(cells["key"]),
        "splits": np.array(cells["split"], dtype=np.str_),
        "labels": labels,
        "shares": shares,
        "intensity": np.array([float(cell or "nan") for cell in cells["intensity"]], np.float32),
        "subjects": tuple(cell or None for cell in cells["subject"]),
        "sources": tuple(cells["source"]),
    }


def map_images(folder: Path, shard: Shard) -> np.ndarray:
    """Map a shard's images into memory, read-only."""
    # Nothing cannot be mapped: an empty shard is loaded.
    return np.load(folder / f"{shard.name}.images.npy", mmap_mode="r" if shard.count else None, allow_pickle=False)


def hash_rows(rows: Iterable[Row]) -> str:
    """Hash what is known of rows without decoding: enough to see that a dataset is another one than before."""
    digest = hashlib.sha256()
    for item in rows:
        known = (item.key, item.reason) if isinstance(item, Rejected) else _sample_cells(item)
        if isinstance(item, Sample) and item.face != "cut":  # decides which face is cut out
            known = (*known, item.face)
        digest.update(json.dumps(known).encode())
    return digest.hexdigest()


def _npy_parts(images: Sequence[np.ndarray], shape: tuple[int, int, int]) -> Iterator[bytes]:
    """Yield a `.npy` file image by image, so that no second copy of all of them is ever in memory."""
    header = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (len(images), *shape)}
    np.lib.format.write_array_header_1_0(header, description)
    yield header.getvalue()
    for image in images:
        yield image.tobytes()


def _sample_cells(sample: Sample) -> tuple[str, ...]:
    intensity = "" if sample.intensity is None else repr(float(sample.intensity))
    shares = ("",) * len(VOCABULARY) if sample.shares is None else tuple(repr(float(share)) for share in sample.shares)
    known = (sample.key, sample.split, sample.expression or "", intensity, sample.subject or "", sample.source)
    return (*known, *shares)


# ------------------------------------------------------------------------------------------------ files of any kind


def write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file under a temporary name, and put it in its place only when it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        for part in parts:
            file.write(part)
    os.replace(partial, path)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file, the same bytes on every system."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_file(path, [text.getvalue().encode("utf-8", "surrogateescape")])  # file names need not be valid UTF-8


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file that `write_csv` wrote."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield from csv.DictReader(file)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    write_file(path, [(json.dumps(value, indent=1) + "\n").encode()])


def read_json(path: Path) -> Any:
    """Return what a JSON file says, or None where there is no such file; `DataError` where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"`{path}` cannot be read: {error}", hint="delete the folder and prepare it anew") from error


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, or `missing`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
