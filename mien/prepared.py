"""The prepared set: one format on disk for every dataset, with its one writer and its one reader.

A folder holds

    shard-00000.images.npy     uint8 (N, size, size, channels): faces, aligned and resized
    shard-00000.samples.csv    a line for each: key, split, expression, intensity, subject, source, votes
    shard-00001. ...           (both described in `mien.shards`)
    rejected.csv               key and reason of every row that could not be used
    manifest.json              what this is, where from, how made, counts, and hashes; written last

Why not the dataset's own images: decoding costs more than a training step of a small network, so it is done once, and a
plain array can be mapped into memory: a batch costs one copy, processes share the pages, and nothing is loaded that is
not used. Why not HDF5, LMDB or WebDataset: numpy and a spreadsheet open these files, today and in ten years. Why
shards: an interrupted preparation keeps what it has finished, and no file grows beyond what one likes to copy.

While a set is being made the folder holds `preparing.json`, the recipe, so that other options cannot continue it, and
no manifest. Two runs with the same recipe over the same source write the same bytes, interrupted or not.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mien.datasets.sample import SPLITS, Rejected, Row, Sample
from mien.errors import DataError, ImageError
from mien.expressions import VOCABULARY
from mien.images import is_grey, luma, resize
from mien.shards import (
    Shard,
    finished_shards,
    hash_file,
    hash_rows,
    map_images,
    read_columns,
    read_csv,
    read_json,
    shard_from_json,
    shard_name,
    write_csv,
    write_json,
    write_shard,
)

VERSION = 1
_FORMAT = "mien prepared set"
_MANIFEST, _RECIPE, _REJECTED = "manifest.json", "preparing.json", "rejected.csv"
#: Images decoded, and handed to the detector, at once: enough to fill a batch, few enough for photos of any size.
_BATCH = 32

Face = tuple[Sample, np.ndarray]
Channels = int | Literal["auto"]
#: A face aligner: takes images and, for each, which face is meant (`mien.datasets.sample.FACES`); one result for each,
#: either the crop, uint8 (size, size, 3) RGB, or why there is none.
Crop = Callable[[list[np.ndarray], list[str]], Sequence[np.ndarray | str]]
#: Told after each batch: rows seen, and how many there are where that is known.
Report = Callable[[int, int | None], None]


# ----------------------------------------------------------------------------------------------------------- writing


def prepare(
    samples: Iterable[Row],
    out: Path | str,
    *,
    dataset: str,
    size: int,
    channels: Channels = "auto",
    options: Mapping[str, Any] | None = None,
    source: str = "",
    detector: Mapping[str, Any] | None = None,
    crop: Crop | None = None,
    shard_size: int = 4096,
    report: Report | None = None,
) -> PreparedSet:
    """Write the rows of a dataset as a prepared set, or continue where an interrupted run stopped.

    Without `crop`, an image's central square is resized to `size`. `channels` is 1, 3, or `auto`: 1 where the whole
    first shard is grey. `options`, `source` and `detector` are recorded as they are; all but `source` belong to the
    recipe, as do the other arguments. A set that is already finished is checked against `samples` without decoding any.

    Raises `DataError`, and changes nothing, where `out` holds something else, a set of another recipe, or a set made of
    other rows; and where not one sample can be used.
    """
    if size < 8 or channels not in (1, 3, "auto") or shard_size < 1:
        raise ValueError(f"size {size}, channels {channels}, shard_size {shard_size}")
    out = Path(out)
    recipe = {
        "format": _FORMAT, "version": VERSION, "dataset": dataset, "options": dict(options or {}), "size": size,
        "channels": channels, "detector": dict(detector) if detector else None, "shard_size": shard_size,
    }  # fmt: skip
    recipe = json.loads(json.dumps(recipe, default=str))  # as it will be read back: tuples are lists, paths are text
    finished = _finished_shards(out, recipe)
    total = len(samples) if isinstance(samples, Sized) else None
    shards: list[Shard] = []
    seen_keys: set[str] = set()
    rows = iter(samples)
    while chunk := list(itertools.islice(rows, shard_size)):
        index, done = len(shards), len(shards) * shard_size
        if index < len(finished):
            if finished[index].rows_sha256 != hash_rows(chunk):
                raise _changed(out)
            seen_keys.update(item.key for item in chunk)
            shards.append(finished[index])
        else:
            _begin(out, recipe)
            decided = [shard.channels for shard in shards if shard.count]
            faces = _crops(chunk, seen_keys, size, crop, lambda n, done=done: report and report(done + n, total))
            shards.append(_fill_shard(out, index, chunk, faces, size, decided[0] if decided else channels))
        if report:
            report(done + len(chunk), total)
    if len(finished) > len(shards):
        raise _changed(out)
    if not (out / _MANIFEST).exists():
        _finish(out, recipe, source, shards)
    return PreparedSet.open(out)


def _finished_shards(out: Path, recipe: dict[str, Any]) -> list[Shard]:
    """Return the shards in `out` that are whole, in order, after checking that this recipe made them."""
    if not out.exists():
        return []
    if not out.is_dir():
        raise DataError(f"`{out}` is a file", hint="give a folder for the prepared set")
    manifest = read_json(out / _MANIFEST)
    existing = manifest or read_json(out / _RECIPE)
    if existing is None:
        if any(out.iterdir()):
            raise DataError(f"`{out}` is not empty and holds no prepared set", hint="give a new or an empty folder")
        return []
    _check_version(existing, out)
    made_with = existing.get("recipe", existing)
    for name, value in recipe.items():
        if made_with.get(name) != value:
            raise DataError(
                f"`{out}` was prepared with {name} {json.dumps(made_with.get(name))}, not {json.dumps(value)}",
                hint="give another folder, or delete this one to prepare it anew",
            )
    if manifest:
        _remove_scaffold(out, len(manifest["shards"]))  # where a run was killed after its last step but one
        return [shard_from_json(shard) for shard in manifest["shards"]]
    return list(finished_shards(out))


def _begin(out: Path, recipe: dict[str, Any]) -> None:
    """Make the folder and note the recipe: only once rows were read, so that a broken dataset leaves nothing behind."""
    if (out / _MANIFEST).exists():
        raise _changed(out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / _RECIPE, recipe)


def _crops(
    chunk: list[Row], seen_keys: set[str], size: int, crop: Crop | None, told: Callable[[int], Any]
) -> Iterator[Face | Rejected]:
    """Decode and crop rows, batch by batch: each gives a sample with its uint8 (size, size, 3), or is rejected."""
    for start in range(0, len(chunk), _BATCH):
        batch: list[tuple[Sample, np.ndarray]] = []
        for item in chunk[start : start + _BATCH]:
            if isinstance(item, Rejected):
                yield item
            elif item.key in seen_keys:
                yield Rejected(item.key, "the key occurred before")
            else:
                try:
                    batch.append((item, item.read()))
                except ImageError as error:
                    yield Rejected(item.key, str(error))
            seen_keys.add(item.key)
        images = [image for _, image in batch]
        faces = [sample.face for sample, _ in batch]
        results = crop(images, faces) if crop and images else [_square(image, size) for image in images]
        for (sample, _), result in zip(batch, results, strict=True):
            if isinstance(result, str):
                yield Rejected(sample.key, result)
            elif result.shape != (size, size, 3) or result.dtype != np.uint8:
                raise ValueError(f"the crop of `{sample.key}` is {result.dtype} {result.shape}, not uint8 of {size}")
            else:
                yield sample, result
        told(min(start + _BATCH, len(chunk)))


def _fill_shard(
    out: Path, index: int, chunk: list[Row], faces: Iterable[Face | Rejected], size: int, channels: Channels
) -> Shard:
    """Collect and write one shard; with `auto`, its images decide the number of channels of the set."""
    images: list[np.ndarray] = []
    samples: list[Sample] = []
    rejected: list[Rejected] = []
    for face in faces:
        if isinstance(face, Rejected):
            rejected.append(face)
        else:
            samples.append(face[0])
            images.append(luma(face[1])[..., None] if channels == 1 else face[1])
    if channels == "auto":
        channels = 1 if all(is_grey(image) for image in images) else 3
        images = [luma(image)[..., None] for image in images] if channels == 1 else images
    return write_shard(out, shard_name(index), images, (size, size, channels), samples, rejected, chunk)


def _square(image: np.ndarray, size: int) -> np.ndarray:
    """Cut the central square out of uint8 (h, w, 3) and resize it."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(image[top : top + side, left : left + side], (size, size))


def _finish(out: Path, recipe: dict[str, Any], source: str, shards: list[Shard]) -> None:
    """Write the list of what was rejected and the manifest: from then on the set is whole."""
    if not any(shard.count for shard in shards):
        raise _nothing_usable(out, recipe["dataset"], shards)
    rejected = [pair for shard in shards for pair in shard.rejected]
    write_csv(out / _REJECTED, ("key", "reason"), rejected)
    columns = read_columns(out, shards)
    pairs = list(zip(columns["splits"].tolist(), columns["labels"].tolist(), strict=True))
    counts = {split: {name: pairs.count((split, label)) for label, name in enumerate(VOCABULARY)} for split in SPLITS}
    content = [recipe["dataset"], recipe["size"], [shard.sha256 for shard in shards]]
    manifest = {
        **{name: recipe[name] for name in ("format", "version", "dataset", "size")},
        "source": source,
        "channels": next(shard.channels for shard in shards if shard.count),
        "count": sum(shard.count for shard in shards),
        "counts": counts,
        "rejected": len(rejected),
        "hash": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        "recipe": recipe,
        "sha256": {_REJECTED: hash_file(out / _REJECTED)},
        "shards": [{**shard.to_json(), "rejected": []} for shard in shards],  # see rejected.csv
    }
    write_json(out / _MANIFEST, manifest)
    _remove_scaffold(out, len(shards))


def _remove_scaffold(out: Path, count: int) -> None:
    """Remove what only an unfinished set needs."""
    for name in (*(f"{shard_name(index)}.json" for index in range(count)), _RECIPE):
        (out / name).unlink(missing_ok=True)


def _changed(out: Path) -> DataError:
    return DataError(
        f"`{out}` was prepared from other rows: the dataset has changed since",
        hint="give another folder, or delete this one to prepare it anew",
    )


def _nothing_usable(out: Path, dataset: str, shards: list[Shard]) -> DataError:
    """Clear away what was written and say why not one sample could be used."""
    rejected = [pair for shard in shards for pair in shard.rejected]
    for name in (name for shard in shards for name in shard.sha256):
        (out / name).unlink()
    _remove_scaffold(out, len(shards))
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    first = f"; the first is `{rejected[0][0]}`: {rejected[0][1]}" if rejected else ""
    hint = "check that this is the right folder, and the detector's threshold if one was used"
    return DataError(f"none of the {len(rejected)} rows of `{dataset}` could be used{first}", hint)


# ----------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """A prepared set, open for reading: labels in memory, images mapped from disk; made by `open`."""

    path: Path
    """Its folder."""
    manifest: dict[str, Any]
    """What `manifest.json` says."""
    keys: tuple[str, ...]
    """Names of the samples, in the order of all that follows (N of them)."""
    splits: np.ndarray
    """`train`, `validation` or `test`: str, (N,)."""
    labels: np.ndarray
    """Index into the vocabulary, int64 (N,); -1 where a sample has no label."""
    shares: np.ndarray
    """Distribution over the vocabulary, float32 (N, 8): votes, or one-hot where there are none; zeros without label."""
    intensity: np.ndarray
    """Intensity of the expression, 0 to 1, float32 (N,); nan where it is not known."""
    subjects: tuple[str | None, ...]
    """Who is shown, where that is known."""
    sources: tuple[str, ...]
    """Dataset that each sample came from."""
    _arrays: tuple[np.ndarray, ...]
    """The shards' images, mapped into memory."""
    _starts: np.ndarray
    """Index of each shard's first image, and the number of all: int64 (shards + 1,)."""

    @classmethod
    def open(cls, path: Path | str) -> PreparedSet:
        """Open a prepared set after checking its version and, by their sizes, that its files are whole.

        Raises `DataError` where there is none, where it was not finished, or where another version wrote it.
        """
        path = Path(path)
        manifest = _read_manifest(path)
        shards = [shard_from_json(shard) for shard in manifest["shards"]]
        for name, expected in (pair for shard in shards for pair in shard.bytes.items()):
            if not (path / name).is_file() or (path / name).stat().st_size != expected:
                raise _damaged(path, name)
        return cls(
            path=path,
            manifest=manifest,
            **read_columns(path, shards),
            _arrays=tuple(map_images(path, shard) for shard in shards),
            _starts=np.cumsum([0, *(shard.count for shard in shards)]),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the path: a copy in another process maps the same files."""
        return PreparedSet.open, (self.path,)

    @property
    def size(self) -> int:
        """Height and width of the images in pixels."""
        return self.manifest["size"]

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return self.manifest["channels"]

    @property
    def hash(self) -> str:
        """SHA-256 of all images and labels: equal hashes, equal data, wherever it lies and came from."""
        return self.manifest["hash"]

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the expressions that occur, in the vocabulary's order."""
        return tuple(name for index, name in enumerate(VOCABULARY) if (self.labels == index).any())

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return images by index, in that order: uint8, (len(indices), size, size, channels)."""
        wanted = np.asarray(indices, np.int64).reshape(-1)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise IndexError(f"indices from {wanted.min()} to {wanted.max()} of {len(self)} images")
        result = np.empty((wanted.size, self.size, self.size, self.channels), np.uint8)
        shard_of = np.searchsorted(self._starts, wanted, side="right") - 1
        for shard in np.unique(shard_of):
            places = np.flatnonzero(shard_of == shard)
            result[places] = self._arrays[shard][wanted[places] - self._starts[shard]]
        return result

    def select(self, split: str | None = None, expressions: Sequence[str] | None = None) -> np.ndarray:
        """Return the indices, ascending int64, of a split's samples with one of these expressions; None: any."""
        chosen = np.ones(len(self), bool) if split is None else self.splits == split
        if expressions is not None:
            chosen &= np.isin(self.labels, [VOCABULARY.index(name) for name in expressions])
        return np.flatnonzero(chosen)

    def rejected(self) -> list[tuple[str, str]]:
        """Return key and reason of every row of the dataset that could not be used."""
        return [(row["key"], row["reason"]) for row in read_csv(self.path / _REJECTED)]

    def verify(self) -> None:
        """Read every byte and compare the hashes; raises `DataError` with the name of the first file that differs."""
        parts = (self.manifest, *self.manifest["shards"])
        for name, sha256 in (pair for part in parts for pair in part["sha256"].items()):
            if hash_file(self.path / name) != sha256:
                raise _damaged(self.path, name)


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = read_json(path / _MANIFEST)
    if manifest is not None:
        _check_version(manifest, path)
        return manifest
    if (path / _RECIPE).exists():
        raise DataError(f"the prepared set `{path}` is not finished", hint="the same `mien prepare` resumes it")
    raise DataError(f"no prepared set at `{path}`", hint="`mien prepare` makes one from a dataset")


def _check_version(description: Any, path: Path) -> None:
    found = (description.get("format"), description.get("version")) if isinstance(description, dict) else ()
    if found != (_FORMAT, VERSION):
        words = ", version ".join(map(str, found)) or "something else"
        raise DataError(
            f"`{path}` holds {words}, not {_FORMAT}, version {VERSION}",
            hint="prepare the dataset anew with `mien prepare`, in another folder",
        )


def _damaged(path: Path, name: str) -> DataError:
    return DataError(
        f"`{name}` of the prepared set `{path}` is missing or not as it was written",
        hint="delete the folder and prepare it anew with `mien prepare`",
    )
