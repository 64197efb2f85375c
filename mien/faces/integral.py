"""Means over rectangles of many images at once, by sums from the corner: smaller copies, and crops of any size.

The mean over any rectangle costs four look-ups (Crow 1984, "Summed-area tables for texture mapping"). The sums are whole
numbers, so that differences of large ones are exact. What lies outside an image counts as black, as in the code of
MTCNN's authors.
"""

from __future__ import annotations

import numpy as np

#: Levels of a pixel.
_WHITE = 255


class Integral:
    """Sums of a stack of images on a processor."""

    def __init__(self, stack: np.ndarray) -> None:
        """Sum up uint8 (count, height, width, 3)."""
        self.height, self.width = stack.shape[1:3]
        fits = self.height * self.width * _WHITE < 2**31
        self._sums = _summed(stack, np.int32 if fits else np.int64)
        self._remainders: np.ndarray | None = None

    def shrink(self, size: tuple[int, int]) -> np.ndarray:
        """Return all images at another (height, width), normalised float32 (count, height, width, 3).

        A pixel is the mean over the whole pixels that its area touches, as torch's `area` interpolation has it.
        """
        top, bottom = touched(self.height, size[0])
        left, right = touched(self.width, size[1])
        heights, widths = bottom - top, right - left
        # What is below 2^16 follows from remainders modulo 2^16, which take half the time.
        small = int(heights.max()) * int(widths.max()) * _WHITE < 2**16
        rows = _differences(self._modulo_2_16() if small else self._sums, bottom, top, axis=1)
        cells = _differences(rows, right, left, axis=2).astype(np.float32)
        shares = (1.0 / (heights[:, None] * widths)).astype(np.float32)
        flat = cells.reshape(len(cells), size[0], -1)
        return normalised(flat, np.repeat(shares, 3, axis=1)).reshape(cells.shape)

    def cut(self, owners: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
        """Return boxes (count, 4) of the images `owners`, normalised float32 (count, size, size, 3).

        A pixel is the mean over its area: linear interpolation between sums is exact for fractional edges.
        """
        x, y = edges(boxes, size)
        (column, x_share), (row, y_share) = between(x, self.width), between(y, self.height)
        row_length = self.width + 1
        corner = (owners * ((self.height + 1) * row_length))[:, None, None]
        corner = corner + row[:, :, None] * row_length + column[:, None, :]
        flat = self._sums.reshape(-1, self._sums.shape[-1])
        x_share, y_share = x_share[:, None, :, None], y_share[:, :, None, None]
        above = _lerp(flat, corner, 1, x_share)
        below = _lerp(flat, corner + row_length, 1, x_share)
        below -= above
        below *= y_share
        above += below
        strips = above[:, 1:] - above[:, :-1]
        cells = (strips[:, :, 1:] - strips[:, :, :-1]).astype(np.float32)
        areas = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
        return normalised(cells, (1.0 / areas).astype(np.float32)[:, None, None, None])

    def _modulo_2_16(self) -> np.ndarray:
        if self._remainders is None:
            self._remainders = self._sums.astype(np.uint16)
        return self._remainders


def touched(length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel, and the one after the last, that each of `count` equal parts of a length touches."""
    part = np.arange(count)
    return part * length // count, -(-(part + 1) * length // count)


def edges(boxes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the columns and rows of boxes (count, 4) cut into `size` by `size` begin and end: (count, size + 1)."""
    steps = np.linspace(0.0, 1.0, size + 1)
    x = boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps
    return x, boxes[:, 1:2] + (boxes[:, 3:] - boxes[:, 1:2]) * steps


def between(positions: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Split positions, clamped to the image, into an index with a right neighbour and the share of the latter."""
    positions = positions.clip(0, length)
    index = np.minimum(positions.astype(np.int64), length - 1)
    return index, positions - index


def normalised(sums: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Map sums of levels 0..255, in place, times `shares` to about -1..1, as MTCNN's networks were trained."""
    sums *= shares * np.float32(1 / 128)
    sums -= np.float32(127.5 / 128)
    return sums


def _summed(stack: np.ndarray, kind: type[np.signedinteger]) -> np.ndarray:
    """Return sums from the corner, (count, height + 1, width + 1, 3)."""
    count, height, width, channels = stack.shape
    sums = np.zeros((count, height + 1, width + 1, channels), kind)
    for row in range(height):  # whole rows, one after another in memory; `cumsum` would go down each column
        np.add(sums[:, row, 1:], stack[:, row], out=sums[:, row + 1, 1:])
    np.cumsum(sums, axis=2, out=sums)
    return sums


def _differences(values: np.ndarray, end: np.ndarray, start: np.ndarray, axis: int) -> np.ndarray:
    # `clip` changes nothing, for all places are there; but `raise`, the default, is slower.
    result = np.take(values, end, axis=axis, mode="clip")
    result -= np.take(values, start, axis=axis, mode="clip")
    return result


def _lerp(flat: np.ndarray, place: np.ndarray, step: int, share: np.ndarray) -> np.ndarray:
    """Return values between those at a place and at the next one, float64 (..., 3)."""
    here = np.take(flat, place, axis=0, mode="clip").astype(np.float64)
    there = np.take(flat, place + step, axis=0, mode="clip") - here
    there *= share
    here += there
    return here
