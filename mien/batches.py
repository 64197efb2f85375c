"""From a prepared set to endless batches on the device, the same for the same seed and step.

Everything random about a batch follows from (seed, step) alone. So a run that is killed and resumed sees the batches that
it would have seen, without any state to save. A set that fits (see `resident_bytes`) lives on the device as uint8; a
larger one is read from the memory-mapped shards, by worker processes that read ahead (`stream`). Augmentation is one
batched affine resampling on the device. Where several processes train together, each asks for its part of a batch.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.errors import DataError
from mien.expressions import VOCABULARY
from mien.images import fit_images, luma_weights
from mien.methods.base import WHOLE, Batch, Part, to_device
from mien.prepared import PreparedSet


@dataclass(frozen=True)
class Augmentation:
    """Random affine changes; the defaults are the official GANmut code's, relative to its 128 px."""

    probability: float = 0.5
    """Share of images that are rotated, shifted and enlarged."""
    rotation_degrees: float = 7.5
    """Largest rotation, either way."""
    shift: float = 7.5 / 128
    """Largest shift, as a share of the side."""
    zoom: tuple[float, float] = (1.075, 1.15)
    """Least and most enlargement."""
    mirror: float = 0.5
    """Share of images that are mirrored."""


def seed_of(purpose: str, seed: int, number: int) -> int:
    """Mix a run's seed, what the random numbers are for, and a step or epoch into a seed of 63 bits.

    Each purpose has its own stream: two generators with one seed give the same numbers, and images would then be tied to
    the targets that they are edited to.
    """
    digest = hashlib.blake2b(f"{purpose}/{seed}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def draw_changes(n: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw how n images are rotated, shifted, enlarged and mirrored: the matrices (n, 2, 3) of `affine_grid`."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    chosen = torch.rand(n, generator=generator) < augmentation.probability
    angle = uniform(-1, 1) * math.radians(augmentation.rotation_degrees) * chosen
    scale = torch.where(chosen, 1 / uniform(*augmentation.zoom), torch.ones(n))
    flip = 1 - 2 * (torch.rand(n, generator=generator) < augmentation.mirror).float()
    shift_x, shift_y = (uniform(-1, 1) * 2 * augmentation.shift * chosen for _ in range(2))
    cos, sin = angle.cos() * scale, angle.sin() * scale
    return torch.stack([torch.stack([flip * cos, -sin, shift_x], 1), torch.stack([flip * sin, cos, shift_y], 1)], dim=1)


def resample(images: Tensor, grid: Tensor) -> Tensor:
    """Sample (N, C, H, W) images bilinearly where a grid, as that of `affine_grid`, leads; beyond their edge, mirrored."""
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def inside(frames: Tensor, grid: Tensor) -> Tensor:
    """Say which pixels of resampled images show their picture: bool (N, 1, H, W), by frames (N, 2, 3) (`PreparedSet`)."""
    places = (grid + 1) / 2  # of the unit square; beyond it, what is mirrored
    places = 1 - (1 - places.remainder(2)).abs()
    of_picture = torch.einsum("nij,nhwj->nhwi", frames[:, :, :2], places) + frames[:, None, None, :, 2]
    return ((of_picture >= 0) & (of_picture <= 1)).all(-1)[:, None]


class _Order:
    """Which images make up batch number `step`, as places among the split's; small, so that workers get a copy."""

    def __init__(self, count: int, batch_size: int, seed: int, weights: Tensor | None) -> None:
        self._count, self._batch_size, self._seed, self._weights = count, batch_size, seed, weights
        self._permutation: tuple[int, Tensor] | None = None

    def __call__(self, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_of("images", self._seed, step))
        if self._weights is not None:
            return torch.multinomial(self._weights, self._batch_size, replacement=True, generator=generator)
        # Whole batches only (drop_last): a last batch of a few images made the official code's loss NaN.
        epoch, place = divmod(step, self._count // self._batch_size)
        if self._permutation is None or self._permutation[0] != epoch:
            shuffle = torch.Generator().manual_seed(seed_of("epoch", self._seed, epoch))
            self._permutation = (epoch, torch.randperm(self._count, generator=shuffle))
        return self._permutation[1][place * self._batch_size : (place + 1) * self._batch_size]


def _read(prepared: PreparedSet, rows: np.ndarray) -> Tensor:
    """Read images as uint8 (n, c, h, w)."""
    return torch.from_numpy(prepared.images(rows)).permute(0, 3, 1, 2)


def _frames_of(prepared: PreparedSet, rows: np.ndarray) -> np.ndarray:
    frames = prepared.frames[rows]
    if np.isnan(frames).any():
        raise DataError(
            f"the prepared set `{prepared.path}` does not say where the pictures end that its faces were cut from",
            hint="an earlier version made it, or what it was combined of: prepare that anew, in another folder; or train "
            "with `--set hide_beyond=no`",
        )
    return frames


class _Reading(torch.utils.data.Dataset[list[Tensor]]):
    """What a worker does: read the images of a step, for each part that this process takes."""

    def __init__(self, prepared: PreparedSet, rows: np.ndarray, order: _Order, parts: Sequence[Part]) -> None:
        self._prepared, self._rows, self._order, self._parts = prepared, rows, order, tuple(parts)

    def __getitem__(self, step: int) -> list[Tensor]:
        positions = self._order(step)
        return [_read(self._prepared, self._rows[part.of(positions).numpy()]) for part in self._parts]


class Batches:
    """Draw batch number `step` of a prepared set's split."""

    def __init__(
        self,
        prepared: PreparedSet,
        expressions: Sequence[str],
        *,
        image_size: int,
        image_channels: int,
        batch_size: int,
        seed: int,
        split: str = "train",
        balance: float = 0.0,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
        resident_bytes: int = 4 << 30,
        workers: int = 2,
        frames: bool = False,
    ) -> None:
        self.rows = prepared.select(split=split, expressions=expressions)
        if len(self.rows) < batch_size:
            raise DataError(
                f"the prepared set has {len(self.rows)} {split} images of {', '.join(expressions)}; "
                f"a batch needs {batch_size}",
                hint="prepare more data, choose other expressions, or lower batch_size",
            )
        self.image_size, self.image_channels, self.batch_size, self.seed = image_size, image_channels, batch_size, seed
        self.augmentation = augmentation
        self.device = torch.device(device)
        self.workers = min(workers, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers)
        self._luma = luma_weights(self.device)
        columns = [VOCABULARY.index(name) for name in expressions]
        index_of = {column: index for index, column in enumerate(columns)}
        labels = torch.tensor([index_of[int(label)] for label in prepared.labels[self.rows]])
        shares = torch.from_numpy(prepared.shares[self.rows][:, columns].astype(np.float32))
        mass = shares.sum(1, keepdim=True)
        one_hot = F.one_hot(labels, len(columns)).float()
        self.shares = torch.where(mass > 0, shares / mass.clamp_min(1e-6), one_hot)
        self.labels = labels
        counts = torch.bincount(labels, minlength=len(columns)).clamp_min(1).double()
        weights = counts.pow(-balance)[labels] if balance else None
        self._order = _Order(len(self.rows), batch_size, seed, weights)
        self._frames = torch.from_numpy(_frames_of(prepared, self.rows)) if frames else None
        self._prepared = prepared
        self._expressions = tuple(expressions)
        size = len(self.rows) * prepared.size**2 * prepared.channels
        self._resident = _read(prepared, self.rows).to(self.device) if size <= resident_bytes else None

    def require_every_expression(self) -> None:
        """Raise `DataError` where an expression has not a single image: training would learn it from nothing."""
        seen = {self._expressions[label] for label in set(self.labels.tolist())}
        absent = [name for name in self._expressions if name not in seen]
        if absent:
            present = ",".join(name for name in self._expressions if name in seen)
            raise DataError(
                f"the prepared set has no training images of {', '.join(absent)}",
                hint=f"train what it has, `--set expressions={present}`, or prepare more data",
            )

    def draw(self, step: int, part: Part = WHOLE, raw: Tensor | None = None) -> Batch:
        """Return a part of batch number `step`: images in [-1, 1] of the wanted size and channels, labels, shares.

        `raw` are its images, uint8 (n, c, h, w), where they were read before.
        """
        positions = self._order(step)
        here = part.of(positions)
        if self._resident is not None:
            raw = self._resident[to_device(here, self.device)]
        elif raw is None:
            raw = _read(self._prepared, self.rows[here.numpy()])
        images = self.fit(to_device(raw, self.device))
        grid = None
        if self.augmentation is not None:
            generator = torch.Generator().manual_seed(seed_of("augmentation", self.seed, step))
            changes = part.of(draw_changes(len(positions), self.augmentation, generator))
            grid = F.affine_grid(to_device(changes, self.device), list(images.shape), align_corners=False)
            images = resample(images, grid)
        labels = to_device(self.labels[positions], self.device)
        shares = to_device(self.shares[here], self.device)
        within = None
        if self._frames is not None:
            if grid is None:
                still = torch.eye(2, 3, device=self.device).repeat(len(here), 1, 1)
                grid = F.affine_grid(still, list(images.shape), align_corners=False)
            frames = (self._frames[rows] for rows in (here, part.of(positions.roll(1))))
            own, another = (inside(to_device(each, self.device), grid) for each in frames)
            within = own & another
        return Batch(images, part.of(labels), shares, part, None if part.count == 1 else labels, inside=within)

    def stream(self, steps: range, parts: Sequence[Part] = (WHOLE,)) -> Iterator[list[Batch]]:
        """Yield the parts of one batch after the other; of a set that is not in memory, workers read ahead."""
        if self._resident is not None or not self.workers:
            yield from ([self.draw(step, part) for part in parts] for step in steps)
            return
        reading = _Reading(self._prepared, self.rows, self._order, parts)
        loader = torch.utils.data.DataLoader(
            reading,
            batch_size=None,
            sampler=steps,
            num_workers=self.workers,
            prefetch_factor=4,
            pin_memory=self.device.type == "cuda",
            multiprocessing_context="spawn",  # a copy of a process that uses a GPU would break
        )
        for step, raw in zip(steps, loader, strict=True):
            yield [self.draw(step, part, images) for part, images in zip(parts, raw, strict=True)]

    def fit(self, raw: Tensor) -> Tensor:
        """Turn uint8 (N, C, H, W) images into floats in [-1, 1] of the wanted size and channels."""
        return fit_images(raw.float() / 127.5 - 1, self.image_size, self.image_channels, self._luma)
