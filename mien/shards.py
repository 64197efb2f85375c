"""A shard: some thousand images with what is known of them, in two plain files; the unit of a prepared set.

    NAME.images.npy     uint8 (count, size, size, channels), RGB or one grey channel
    NAME.samples.csv    a line for each: key, split, expression, intensity, subject, source, share_<expression> ..., frame

While a set is being made two more lie beside them. `NAME.rejected.csv` lists key and reason of the rows that could not be
used. `NAME.json`, the record, says what the others must be, bytes and hashes, and which rows of the dataset they stand
for; it is written last: a shard without it, or with other bytes, is not there. Every file is written under a temporary
name and then renamed. A shard is made of parts, which are small shards and go once it is whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.sample import Rejected, Row, Sample
from mien.errors import DataError
from mien.expressions import VOCABULARY
from mien.images import Frame, luma

SHARE_COLUMNS = tuple(f"share_{name}" for name in VOCABULARY)
REJECTED_COLUMNS = ("key", "reason")
SAMPLE_COLUMNS = ("key", "split", "expression", "intensity", "subject", "source", *SHARE_COLUMNS, "frame")

#: The frame of a crop that its picture fills: each point of it is the picture's middle.
EVERYWHERE: Frame = (0.0, 0.0, 0.5, 0.0, 0.0, 0.5)
#: As it is written of a crop of which nobody noted where its picture ends.
_UNKNOWN = " ".join(["nan"] * 6)

#: Size and SHA-256 of a file that was written.
Written = tuple[int, str]

#: Bytes of text that are held in memory at once.
_TEXT_AT_ONCE = 1 << 20


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
    bytes: dict[str, int]
    """Size of each of its two files."""
    sha256: dict[str, str]
    """Hash of each of its two files."""
    rejected_sha256: str = ""
    """Hash of the list of its rejected rows; empty in a finished set, where one list holds those of all shards."""

    def to_json(self) -> dict[str, Any]:
        """Describe the shard so that `shard_from_json` can rebuild it."""
        return asdict(self)

    def to_manifest(self) -> dict[str, Any]:
        """Describe the shard of a finished set; `rejected` is what the first sets had there."""
        described = self.to_json()
        files = {name: described.pop(name) for name in ("bytes", "sha256")}
        del described["rejected_sha256"]
        return {**described, "rejected": [], **files}


def shard_from_json(description: dict[str, Any]) -> Shard:
    """Rebuild a record from what `Shard.to_json` or `Shard.to_manifest` wrote."""
    return Shard(**{name: value for name, value in description.items() if name != "rejected"})


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
    images_file, samples_file = _files(name)
    written = {
        images_file: write_file(folder / images_file, _npy_parts(map(_bytes, images), len(images), shape)),
        samples_file: write_csv(folder / samples_file, SAMPLE_COLUMNS, map(_sample_cells, samples)),
    }
    reasons = write_csv(folder / rejected_name(name), REJECTED_COLUMNS, ((item.key, item.reason) for item in rejected))
    return _record(folder, name, len(images), shape[2], len(rows), hash_rows(rows), written, reasons)


def merge_shards(folder: Path, name: str, parts: Sequence[Shard], channels: int, rows_sha256: str) -> Shard:
    """Write one shard out of several, in order, and its record; parts in colour become grey where `channels` is 1."""
    images_file, samples_file = _files(name)
    maps = [map_images(folder, part) for part in parts]
    count = sum(part.count for part in parts)
    shape = (*maps[0].shape[1:3], channels)
    images = (
        _bytes(luma(image)[..., None] if channels < image.shape[-1] else image) for each in maps for image in each
    )
    written = {
        images_file: write_file(folder / images_file, _npy_parts(images, count, shape)),
        samples_file: join_csv(folder / samples_file, [folder / _files(part.name)[1] for part in parts]),
    }
    reasons = join_csv(folder / rejected_name(name), [folder / rejected_name(part.name) for part in parts])
    rows = sum(part.rows for part in parts)
    return _record(folder, name, count, channels, rows, rows_sha256, written, reasons)


def _record(
    folder: Path,
    name: str,
    count: int,
    channels: int,
    rows: int,
    rows_sha256: str,
    written: dict[str, Written],
    reasons: Written,
) -> Shard:
    """Write the record of a shard whose other files are there: from then on it is whole."""
    shard = Shard(
        name=name,
        count=count,
        channels=channels,
        rows=rows,
        rows_sha256=rows_sha256,
        bytes={file: size for file, (size, _) in written.items()},
        sha256={file: sha256 for file, (_, sha256) in written.items()},
        rejected_sha256=reasons[1],
    )
    write_json(folder / f"{name}.json", shard.to_json())
    return shard


def whole_shard(folder: Path, name: str) -> Shard | None:
    """Return the record of an unfinished set's shard after comparing the hashes; None where it is not whole."""
    description = read_json(folder / f"{name}.json")
    if not isinstance(description, dict) or "rejected_sha256" not in description:
        return None
    shard = shard_from_json(description)
    hashes = {**shard.sha256, rejected_name(name): shard.rejected_sha256}
    return shard if all(hash_file(folder / file) == sha256 for file, sha256 in hashes.items()) else None


def remove_shard(folder: Path, name: str) -> None:
    """Remove all files of a shard, the record first."""
    for file in (f"{name}.json", rejected_name(name), *_files(name)):
        (folder / file).unlink(missing_ok=True)


def rejected_name(name: str) -> str:
    """Return the name of the file that lists a shard's rejected rows while its set is being made."""
    return f"{name}.rejected.csv"


def _files(name: str) -> tuple[str, str]:
    return f"{name}.images.npy", f"{name}.samples.csv"


def read_columns(folder: Path, shards: Sequence[Shard]) -> dict[str, Any]:
    """Return what is known of all samples, column by column, as the fields of `PreparedSet` describe it."""
    words: dict[str, str] = {}  # subjects and sources recur: one copy of each stays in memory
    known = [_read_samples(folder / _files(shard.name)[1], words) for shard in shards]
    labels = np.concatenate([each["labels"] for each in known])
    shares = np.concatenate([each["shares"] for each in known])
    unvoted = (shares.sum(axis=1) == 0) & (labels >= 0)
    shares[unvoted, labels[unvoted]] = 1.0
    return {
        "keys": tuple(itertools.chain.from_iterable(each["keys"] for each in known)),
        "splits": np.concatenate([each["splits"] for each in known]),
        "labels": labels,
        "shares": shares,
        "intensity": np.concatenate([each["intensity"] for each in known]),
        "subjects": tuple(itertools.chain.from_iterable(each["subjects"] for each in known)),
        "sources": tuple(itertools.chain.from_iterable(each["sources"] for each in known)),
        "frames": np.concatenate([each["frames"] for each in known]),
    }


def _read_samples(path: Path, words: dict[str, str]) -> dict[str, Any]:
    """Return the columns of one shard; `words` holds what was read before, so that no word is kept twice."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = csv.reader(file)
        header = next(lines)
        cells = dict(zip(header, zip(*lines, strict=True), strict=False)) or {}
    cells = {name: cells.get(name, ()) for name in SAMPLE_COLUMNS}
    frames = cells["frame"] if "frame" in header else [_UNKNOWN] * len(cells["key"])  # version 1 has none
    shares = np.array([[float(cell or 0) for cell in cells[name]] for name in SHARE_COLUMNS], np.float32)
    return {
        "keys": cells["key"],
        "splits": np.array(cells["split"], dtype=np.str_),
        "labels": np.array([VOCABULARY.index(word) if word else -1 for word in cells["expression"]], np.int64),
        "shares": np.ascontiguousarray(shares.T),
        "intensity": np.array([float(cell or "nan") for cell in cells["intensity"]], np.float32),
        "subjects": [words.setdefault(cell, cell) or None for cell in cells["subject"]],
        "sources": [words.setdefault(cell, cell) for cell in cells["source"]],
        "frames": np.array([_parse_frame(cell) for cell in frames], np.float32).reshape(-1, 2, 3),
    }


def _parse_frame(cell: str) -> tuple[float, ...]:
    values = tuple(map(float, cell.split()))
    if len(values) not in (0, 6):
        raise ValueError(f"frame {cell!r}")
    return values or EVERYWHERE


def map_images(folder: Path, shard: Shard) -> np.ndarray:
    """Map a shard's images into memory, read-only."""
    # Nothing cannot be mapped: an empty shard is loaded.
    return np.load(folder / f"{shard.name}.images.npy", mmap_mode="r" if shard.count else None, allow_pickle=False)


def hash_rows(rows: Iterable[Row]) -> str:
    """Hash what is known of rows without decoding: enough to see that a dataset is another one than before."""
    digest = hashlib.sha256()
    for item in rows:
        digest.update(identify_row(item))
    return digest.hexdigest()


def identify_row(item: Row) -> bytes:
    """Return what `hash_rows` hashes of one row."""
    if isinstance(item, Rejected):
        return json.dumps((item.key, item.reason)).encode()
    *known, frame = _sample_cells(item)
    known += [frame] if frame else []
    known += [item.face] if item.face != "cut" else []  # decides which face is cut out
    return json.dumps(known).encode()


def _npy_parts(images: Iterable[bytes], count: int, shape: tuple[int, int, int]) -> Iterator[bytes]:
    """Yield a `.npy` file image by image, so that no second copy of all of them is ever in memory."""
    header = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(header, description)
    yield header.getvalue()
    yield from images


def _bytes(image: np.ndarray) -> bytes:
    return image.tobytes()


def _sample_cells(sample: Sample) -> tuple[str, ...]:
    intensity = "" if sample.intensity is None else repr(float(sample.intensity))
    shares = ("",) * len(VOCABULARY) if sample.shares is None else tuple(repr(float(share)) for share in sample.shares)
    known = (sample.key, sample.split, sample.expression or "", intensity, sample.subject or "", sample.source)
    frame = " ".join(f"{value:.5g}" for value in sample.frame or ())
    return (*known, *shares, frame)


# ------------------------------------------------------------------------------------------------ files of any kind


def write_file(path: Path, parts: Iterable[bytes]) -> Written:
    """Write a file under a temporary name, and put it in its place only when it is whole.

    Raises `DataError` where it cannot be written, above all because the disk is full; then nothing is left of it.
    """
    # A name of its own: what a killed run still writes for a moment cannot mix with what its successor does.
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    digest, size = hashlib.sha256(), 0
    try:
        with partial.open("wb") as file:
            for part in parts:
                file.write(part)
                digest.update(part)
                size += len(part)
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(
                f"`{path}` cannot be written: {error.strerror or error}",
                hint="free some space or mend the folder; the same command goes on from there",
            ) from error
        raise
    return size, digest.hexdigest()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Written:
    """Write a CSV file, the same bytes on every system."""
    return write_file(path, _csv_parts(header, rows))


def _csv_parts(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in itertools.chain([header], rows):
        writer.writerow(row)
        if text.tell() > _TEXT_AT_ONCE:
            yield text.getvalue().encode("utf-8", "surrogateescape")  # file names need not be valid UTF-8
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode("utf-8", "surrogateescape")


def join_csv(path: Path, sources: Sequence[Path]) -> Written:
    """Write one CSV file out of several that `write_csv` wrote with one header."""

    def lines() -> Iterator[bytes]:
        for index, source in enumerate(sources):
            with source.open("rb") as file:
                header = file.readline()
                if index == 0:
                    yield header
                while block := file.read(_TEXT_AT_ONCE):
                    yield block

    return write_file(path, lines())


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
