"""Read a prepared set: labels in memory, images mapped from disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.sample import EDITED, Sample
from mien.errors import DataError
from mien.expressions import VOCABULARY
from mien.images import Frame
from mien.prepared.layout import MANIFEST, RECIPE, REJECTED, check_version
from mien.shards import EVERYWHERE, hash_file, map_images, read_columns, read_csv, read_json, shard_from_json

#: Points along a side at which is asked whether an image shows its picture.
_POINTS = 32


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
    frames: np.ndarray
    """Where each image's picture ends in it, an affine map (`mien.images.Frame`): float32 (N, 2, 3); NaN where an earlier
    version prepared it, which did not note that."""
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
        try:
            shards = [shard_from_json(shard) for shard in manifest["shards"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, MANIFEST) from error
        for name, expected in (pair for shard in shards for pair in shard.bytes.items()):
            if not (path / name).is_file() or (path / name).stat().st_size != expected:
                raise _damaged(path, name)
        try:
            columns = read_columns(path, shards)
        except (ValueError, KeyError) as error:  # of the right size, and edited by hand
            raise _damaged(path, "shard-*.samples.csv") from error
        return cls(
            path=path,
            manifest=manifest,
            **columns,
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
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors that found its faces; none where images were taken as they were."""
        detector = self.manifest["recipe"].get("detector")  # older sets say it there alone
        return tuple(self.manifest.get("detectors") or ([detector["name"]] if detector else []))

    @property
    def origin(self) -> dict[str, Any]:
        """Return what a run notes of its data: hash, dataset, who found the faces (None: nobody), how many are edited."""
        origin = {"hash": self.hash, "dataset": self.manifest["dataset"], "detector": "+".join(self.detectors) or None}
        edited = int(self.edited.sum())
        return origin | ({"edited": edited} if edited else {})

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the expressions that occur, in the vocabulary's order."""
        return tuple(name for index, name in enumerate(VOCABULARY) if (self.labels == index).any())

    @property
    def edited(self) -> np.ndarray:
        """Say which images a model has edited, so that they are no photos: bool (N,)."""
        return np.array([EDITED in key for key in self.keys], bool)

    def person(self, index: int) -> tuple[str, str] | None:
        """Return who is shown, equal for the same person; names without a letter, `12`, mean one only in one source."""
        subject = self.subjects[index]
        if not subject:
            return None
        return subject, "" if any(letter.isalpha() for letter in subject) else self.sources[index]

    def frame(self, index: int) -> Frame | None:
        """Return where an image's picture ends in it: None where it fills it, NaN where that was not noted."""
        if np.array_equal(self.frames[index].ravel(), EVERYWHERE):
            return None
        a, b, c, d, e, f = (float(value) for value in self.frames[index].ravel())
        return a, b, c, d, e, f

    def beyond(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return what share of each image lies beyond the picture that it was cut from, where that one's border repeats.

        float64 (len(indices),), from 0 to 1, counted on 32 x 32 points; NaN where it was not noted.
        """
        place = (np.arange(_POINTS) + 0.5) / _POINTS
        x, y = (axis.ravel() for axis in np.meshgrid(place, place))
        points = np.stack([x, y, np.ones_like(x)]).astype(np.float32)
        frames, shares = self.frames[np.asarray(indices, np.int64).reshape(-1)], []
        for part in np.array_split(frames, max(1, len(frames) // 4096)):
            of_picture = part @ points
            outside = ((of_picture < 0) | (of_picture > 1)).any(axis=1).mean(axis=1)
            shares.append(np.where(np.isnan(part).any(axis=(1, 2)), np.nan, outside))
        return np.concatenate(shares)

    def sample(self, index: int) -> Sample:
        """Return an image as a row of which another set can be made, with its pixels as RGB."""
        shares, intensity, label = self.shares[index], float(self.intensity[index]), int(self.labels[index])
        return Sample(
            key=self.keys[index],
            read=partial(_read_rgb, self, index),
            expression=VOCABULARY[label] if label >= 0 else None,
            split=str(self.splits[index]),
            source=self.sources[index],
            shares=tuple(float(share) for share in shares) if 0 < shares.max() < 1 else None,  # else the label says it
            intensity=None if np.isnan(intensity) else intensity,
            subject=self.subjects[index],
            frame=self.frame(index),
        )

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

    def select(
        self, split: str | None = None, expressions: Sequence[str] | None = None, *, photos: bool = False
    ) -> np.ndarray:
        """Return the indices, ascending int64, of a split's samples with one of these expressions; None: any.

        With `photos`, without those that a model has edited: what something is measured on.
        """
        chosen = np.ones(len(self), bool) if split is None else self.splits == split
        if photos:
            chosen = chosen & ~self.edited
        if expressions is not None:
            chosen &= np.isin(self.labels, [VOCABULARY.index(name) for name in expressions])
        return np.flatnonzero(chosen)

    def rejected(self) -> list[tuple[str, str]]:
        """Return key and reason of every row of the dataset that could not be used."""
        return [(row["key"], row["reason"]) for row in read_csv(self.path / REJECTED)]

    def verify(self) -> None:
        """Read every byte and compare the hashes; raises `DataError` with the name of the first file that differs."""
        parts = (self.manifest, *self.manifest["shards"])
        for name, sha256 in (pair for part in parts for pair in part["sha256"].items()):
            if hash_file(self.path / name) != sha256:
                raise _damaged(self.path, name)


def _read_rgb(prepared: PreparedSet, index: int) -> np.ndarray:
    """Return an image as uint8 (size, size, 3), as every reader of a dataset does."""
    image = prepared.images([index])[0]
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest = read_json(path / MANIFEST)
    if manifest is not None:
        check_version(manifest, path)
        return manifest
    if (path / RECIPE).exists():
        raise DataError(f"the prepared set `{path}` is not finished", hint="the command that began it resumes it")
    raise DataError(f"no prepared set at `{path}`", hint="`mien prepare` makes one from a dataset")


def _damaged(path: Path, name: str) -> DataError:
    return DataError(
        f"`{name}` of the prepared set `{path}` is missing or not as it was written",
        hint="delete the folder and prepare it anew with `mien prepare`",
    )
