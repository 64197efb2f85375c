"""Edits as maps, and how they are applied to a photo of any size: fetch every pixel from elsewhere, wipe, add light.

The maps belong to the unit square of an aligned crop (`mien.faces.align`), whatever their own resolution. Everything here
is numpy; only the sampling goes through torch where that is loaded already, which is several times faster and gives the
same values.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

#: Keys' cubic kernel with this slope is torch's and OpenCV's.
_SLOPE = -0.75
#: Wiped detail is what differs from the average over a square of this share of the side, twice.
WIPED_SHARE = 0.06
#: From where to where the lower half of an aligned face begins, from the top, as a share of the side.
_HALVES_MEET = 0.46, 0.62


class EditMaps(NamedTuple):
    """What an expression changes in one face: every pixel is fetched from elsewhere, detail wiped away, light added."""

    displacement: np.ndarray
    """float32 (2, h, w): where each pixel is fetched from, relative to itself: x and y in units of half the crop."""
    delta: np.ndarray
    """float32 (1 or 3, h, w): what is added at last, in units of half the range (1 is 127.5 levels)."""
    wipe: np.ndarray | None = None
    """float32 (1, h, w): the share of the fetched detail that is wiped away before that, 0 to 1; None wipes nothing."""


def edge_window(height: int, width: int, margin: float) -> np.ndarray:
    """Return float32 (height, width): 0 on the border, 1 further inside than `margin` (a share of the side), smooth."""

    def ramp(count: int) -> np.ndarray:
        centre = (np.arange(count, dtype=np.float32) + 0.5) / count
        distance = np.clip(np.minimum(centre, 1 - centre) / margin, 0, 1)
        return distance * distance * (3 - 2 * distance)

    return ramp(height)[:, None] * ramp(width)[None, :]


def half_window(height: int, lower: bool) -> np.ndarray:
    """Return float32 (height, 1): 1 in the lower half of an aligned face, or in the upper one, 0 in the other, smooth.

    The halves meet at the nose, below the eyes and above the mouth; both windows add up to 1.
    """
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    share = np.clip((y - _HALVES_MEET[0]) / (_HALVES_MEET[1] - _HALVES_MEET[0]), 0, 1)
    window = share * share * (3 - 2 * share)
    return window if lower else 1 - window


def weighted(maps: EditMaps, window: np.ndarray) -> EditMaps:
    """Weaken an edit by a window that can be broadcast to (h, w), place by place."""
    return EditMaps(*(None if each is None else each * window for each in maps))  # type: ignore[arg-type]


def fade(maps: EditMaps, margin: float) -> EditMaps:
    """Let an edit fade to nothing over `margin` (a share of the side) towards the border of its crop."""
    _, height, width = maps.delta.shape
    return weighted(maps, edge_window(height, width, margin))


def scale(maps: EditMaps, factor: float) -> EditMaps:
    """Weaken an edit: 0 leaves nothing of it, 1 leaves it as it is."""
    return EditMaps(*(None if each is None else each * np.float32(factor) for each in maps))  # type: ignore[arg-type]


def mix(parts: Sequence[EditMaps]) -> EditMaps:
    """Return the sum of edits whose maps have one size; more than all of the detail is not wiped away."""
    displacement, delta = (sum(each[index] for each in parts) for index in (0, 1))  # type: ignore[misc]
    wiping = [each.wipe for each in parts if each.wipe is not None]
    return EditMaps(displacement, delta, sum(wiping).clip(0, 1) if wiping else None)  # type: ignore[arg-type,union-attr]


def compose(first: EditMaps, second: EditMaps) -> EditMaps:
    """Return one edit that does what `second` does to the result of `first`; both have maps of one size.

    With y(p) = x(p + d1(p)) + a1(p) and z(p) = y(p + d2(p)) + a2(p), the pixel fetched at last is
    p + d2(p) + d1(p + d2(p)), and the light a1(p + d2(p)) + a2(p). What the second wipes away is detail of that light, too;
    of the detail below, both leave what each alone leaves of what the other has left.
    """
    height, width = first.displacement.shape[-2:]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x = columns + second.displacement[0] * (width / 2)
    y = rows + second.displacement[1] * (height / 2)
    channels = max(len(first.delta), len(second.delta))
    delta = np.broadcast_to(first.delta, (channels, height, width))
    carried = [first.displacement, delta] if first.wipe is None else [first.displacement, delta, first.wipe]
    moved = sample(np.concatenate(carried).transpose(1, 2, 0), x, y).transpose(2, 0, 1)
    light, wipe = moved[2 : 2 + channels], None if first.wipe is None else moved[2 + channels :].clip(0, 1)
    if second.wipe is not None:
        light = light + second.wipe * (averaged(light.transpose(1, 2, 0)).transpose(2, 0, 1) - light)
        wipe = second.wipe if wipe is None else 1 - (1 - wipe) * (1 - second.wipe)
    return EditMaps(second.displacement + moved[:2], second.delta + light, wipe)


def apply(image: np.ndarray, maps: EditMaps) -> np.ndarray:
    """Apply an edit to an image that fills the maps' square: float32 (h, w, c) in 0..255, returned likewise."""
    height, width = image.shape[:2]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    given = [each for each in (maps.displacement, maps.wipe, maps.delta) if each is not None]
    stacked = np.concatenate(given).transpose(1, 2, 0)
    if stacked.shape[:2] != (height, width):
        tall, wide = stacked.shape[:2]
        stacked = sample(stacked, columns * (wide / width), rows * (tall / height))
    fetched = sample(image, columns + stacked[..., 0] * (width / 2), rows + stacked[..., 1] * (height / 2))
    if maps.wipe is not None:
        fetched = fetched + stacked[..., 2:3].clip(0, 1) * (averaged(fetched) - fetched)
    return (fetched + stacked[..., -len(maps.delta) :] * 127.5).clip(0, 255)


def covering(image: np.ndarray, maps: EditMaps) -> np.ndarray:
    """Return an edit as (h, w, 2 + 1 + c) for larger copies of an image: displacement, wipe, and all that is added.

    `image` is float32 (h, w, c) in 0..255, of the maps' size. What stands in for the detail that is wiped away is smooth,
    and can be added to a copy of any size as light is.
    """
    assert maps.wipe is not None
    light = maps.delta.transpose(1, 2, 0) * 127.5
    moved = apply(image, EditMaps(maps.displacement, np.zeros_like(maps.delta)))
    wipe = maps.wipe.transpose(1, 2, 0)
    return np.concatenate([maps.displacement.transpose(1, 2, 0), wipe, wipe * averaged(moved) + light], axis=2)


def averaged(image: np.ndarray, share: float = WIPED_SHARE) -> np.ndarray:
    """Average an image (h, w, c) over a square of `share` of the width, twice; beyond the border nothing counts."""
    across = share * image.shape[1]
    planes = np.asarray(image, np.float64)
    for axis in (0, 0, 1, 1):
        planes = _averaged_along(planes, across, axis)
    return planes.astype(np.float32)


def _averaged_along(image: np.ndarray, across: float, axis: int) -> np.ndarray:
    """Average along an axis over so many pixels round each, parts of pixels counted as such."""
    image = np.moveaxis(image, axis, 0)
    count = len(image)
    sums = np.concatenate([np.zeros_like(image[:1]), np.cumsum(image, axis=0), np.zeros_like(image[:1])])
    sums[-1] = sums[-2]
    middles = np.arange(count) + 0.5
    ends = (middles - across / 2).clip(0, count), (middles + across / 2).clip(0, count)

    def up_to(places: np.ndarray) -> np.ndarray:
        whole = places.astype(np.int64)
        part = (places - whole).reshape(-1, *[1] * (image.ndim - 1))
        return sums[whole] * (1 - part) + sums[whole + 1] * part

    covered = (ends[1] - ends[0]).reshape(-1, *[1] * (image.ndim - 1))
    return np.moveaxis((up_to(ends[1]) - up_to(ends[0])) / covered, 0, axis)


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample an image (h, w, c) at places (...), cubically, as float32 (..., c); beyond the border it repeats.

    Coordinates are continuous: the image covers (0, 0) to (w, h), and the centre of its first pixel is (0.5, 0.5).
    """
    image = np.ascontiguousarray(image, np.float32)
    if "torch" in sys.modules:
        return _sample_by_torch(image, x, y)
    return _sample_by_numpy(image, x, y)


def _sample_by_torch(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    import torch
    from torch.nn.functional import grid_sample

    height, width = image.shape[:2]
    grid = np.stack([2 * x / width - 1, 2 * y / height - 1], axis=-1).astype(np.float32).reshape(1, 1, -1, 2)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.inference_mode():
        values = grid_sample(planes, torch.from_numpy(grid), mode="bicubic", padding_mode="border", align_corners=False)
    return values[0, :, 0].T.numpy().reshape(*x.shape, image.shape[2])


def _sample_by_numpy(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    columns, column_weights = _taps(np.asarray(x, np.float32).ravel(), width)
    rows, row_weights = _taps(np.asarray(y, np.float32).ravel(), height)
    pixels = image.reshape(height * width, -1)
    total = np.zeros((columns.shape[1], image.shape[2]), np.float32)
    for row, row_weight in zip(rows, row_weights, strict=True):
        line = np.zeros_like(total)
        for column, column_weight in zip(columns, column_weights, strict=True):
            line += column_weight[:, None] * pixels[row * width + column]
        total += row_weight[:, None] * line
    return total.reshape(*np.shape(x), image.shape[2])


def _taps(positions: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the four pixels round each position along one axis, int (4, n), and their weights, float32 (4, n)."""
    first = np.floor(positions - 0.5)
    t = positions - 0.5 - first
    a = np.float32(_SLOPE)

    def near(d: np.ndarray) -> np.ndarray:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: np.ndarray) -> np.ndarray:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    weights = np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])
    taps = first.astype(np.int64)[None] + np.arange(-1, 3)[:, None]
    return taps.clip(0, length - 1), weights.astype(np.float32)
