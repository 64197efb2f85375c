"""What is done to rows, in whichever process: decode, crop, write; and what makes a shard of its parts.

A part is a small shard (`mien.shards`) named after its place, `shard-00003.part-005`: the rows that one process takes at
a time, and the most that it loses when it is killed. Jobs and results are small; images go from the process that made
them to the folder and never through the one that leads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mien.datasets.sample import Rejected, Row, Sample
from mien.errors import DataError, FilmError, ImageError
from mien.images import Cropped, is_grey, luma, resize
from mien.packages import installed
from mien.shards import Shard, map_images, merge_shards, remove_shard, whole_shard, write_shard

#: Images decoded, and handed to the detector, at once, and their pixels: enough to fill a batch; of large photos fewer,
#: so that memory stays small.
_BATCH, _BATCH_PIXELS = 32, 32_000_000

Face = tuple[Sample, np.ndarray]
Channels = int | Literal["auto"]
#: A face aligner: takes images and, for each, which face is meant (`mien.datasets.sample.FACES`); one result for each,
#: either the crop or why there is none. With several processes it must be one that can be pickled, such as
#: `mien.faces.FaceAligner`.
Crop = Callable[[list[np.ndarray], list[str]], Sequence[Cropped | str]]
#: Told how many further rows are done.
Told = Callable[[int], None]


@dataclass(frozen=True)
class PartJob:
    """Rows to be decoded, cropped and written as one part."""

    name: str
    """Name of the part."""
    number: int
    """Its place among all parts of the set: neighbours hold neighbouring rows, frames of one film for example."""
    rows: tuple[Row, ...]
    """The rows."""
    repeated: frozenset[int]
    """Which of them have a key that occurred before, and are to be rejected for it."""
    channels: Channels
    """1, 3, or `auto` where it is not decided yet: then colours are kept."""


@dataclass(frozen=True)
class MergeJob:
    """Parts that are all whole, to be made one shard."""

    name: str
    """Name of the shard."""
    parts: tuple[str, ...]
    """Names of its parts, in order."""
    channels: Channels
    """1, 3, or `auto`: 1 where all its images are grey."""
    rows_sha256: str
    """Hash of all its rows."""


Job = PartJob | MergeJob


@dataclass(frozen=True)
class Maker:
    """Does jobs; goes, pickled, to each process that shares the work."""

    out: Path
    """Folder of the set; every process must see it under this path."""
    size: int
    """Side of the prepared images in pixels."""
    crop: Crop | None
    """Finds and aligns faces; None cuts the central square."""

    def make(self, job: Job, told: Told) -> Shard:
        """Do a job and return the record of what is on disk then."""
        return self._merge(job) if isinstance(job, MergeJob) else self._part(job, told)

    def _part(self, job: PartJob, told: Told) -> Shard:
        images: list[np.ndarray] = []
        samples: list[Sample] = []
        rejected: list[Rejected] = []
        for face in _crops(job, self.size, self.crop, told):
            if isinstance(face, Rejected):
                rejected.append(face)
            else:
                samples.append(face[0])
                images.append(luma(face[1])[..., None] if job.channels == 1 else face[1])
        shape = (self.size, self.size, 1 if job.channels == 1 else 3)
        return write_shard(self.out, job.name, images, shape, samples, rejected, job.rows)

    def _merge(self, job: MergeJob) -> Shard:
        parts = [whole_shard(self.out, name) for name in job.parts]
        whole = [part for part in parts if part is not None]
        if len(whole) < len(parts):
            raise DataError(
                f"parts of `{job.name}` in `{self.out}` went or changed while it was being made",
                hint="see that nothing else writes there; the same command goes on",
            )
        channels = job.channels
        if channels == "auto":
            channels = 1 if all(is_grey(image) for part in whole for image in map_images(self.out, part)) else 3
        shard = merge_shards(self.out, job.name, whole, channels, job.rows_sha256)
        for name in job.parts:
            remove_shard(self.out, name)
        return shard


def _crops(job: PartJob, size: int, crop: Crop | None, told: Told) -> Iterator[Face | Rejected]:
    """Decode and crop rows, batch by batch: each gives a sample with its uint8 (size, size, 3), or is rejected."""
    batch: list[Face] = []
    rows, pixels = 0, 0
    for index, item in enumerate(job.rows):
        if isinstance(item, Rejected):
            yield item
        elif index in job.repeated:
            yield Rejected(item.key, "the key occurred before")
        else:
            try:
                batch.append((item, item.read()))
                pixels += batch[-1][1].shape[0] * batch[-1][1].shape[1]
            except (ImageError, FilmError) as error:
                yield Rejected(item.key, str(error))
        rows += 1
        if rows == _BATCH or pixels > _BATCH_PIXELS or index == len(job.rows) - 1:
            yield from _cropped(batch, size, crop)
            told(rows)
            batch, rows, pixels = [], 0, 0


def _cropped(batch: list[Face], size: int, crop: Crop | None) -> Iterator[Face | Rejected]:
    """Crop decoded images together."""
    if not batch:
        return
    images = [image for _, image in batch]
    if crop:
        with _one_thread():
            results = crop(images, [sample.face for sample, _ in batch])
    else:
        # What was cropped before keeps its frame; any other image is its square's whole picture.
        results = [Cropped(_square(image, size), sample.frame) for sample, image in batch]
    for (sample, _), result in zip(batch, results, strict=True):
        if isinstance(result, str):
            yield Rejected(sample.key, result)
        elif result.pixels.shape != (size, size, 3) or result.pixels.dtype != np.uint8:
            shape = f"{result.pixels.dtype} {result.pixels.shape}"
            raise ValueError(f"the crop of `{sample.key}` is {shape}, not uint8 of {size}")
        else:
            yield replace(sample, frame=result.frame), result.pixels


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: processes share the cores, and sums are the same to the bit in any number of them.

    Where it is not installed there is nothing to set: onnxruntime keeps its own number of threads.
    """
    if not installed("torch"):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _square(image: np.ndarray, size: int) -> np.ndarray:
    """Cut the central square out of uint8 (h, w, 3) and resize it."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(image[top : top + side, left : left + side], (size, size))
