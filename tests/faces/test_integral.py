"""Means over rectangles against hand-worked sums and torch's area means, on the processor and as a GPU computes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from mien.faces.mtcnn import _DeviceViews, _HostViews
from mien.faces.mtcnn_onnx import _Views

CPU = torch.device("cpu")
#: Everything that makes views of a stack of images; `_DeviceViews` is what runs on a GPU, here on the processor.
KINDS = pytest.mark.parametrize(
    "make",
    [lambda stack: _HostViews(stack, CPU), lambda stack: _DeviceViews(stack, CPU), _Views],
    ids=["host", "device", "onnx"],
)
Make = Callable[[np.ndarray], Any]


@KINDS
def test_smaller_copies_are_torchs_area_interpolation(make: Make) -> None:
    # What the networks saw before sums replaced it, and what the authors' code makes of whole pixels.
    stack = np.random.default_rng(3).integers(0, 256, (2, 53, 71, 3), np.uint8)
    pixels = torch.from_numpy(stack).permute(0, 3, 1, 2).float()
    views = make(stack)
    assert (views.height, views.width) == (53, 71)
    # (2, 2) sums 27 * 36 pixels to more than 2^16, (3, 7) 18 * 11 to less, (4, 3) 14 * 24 to a little more.
    for size in ((53, 71), (31, 42), (12, 17), (60, 80), (2, 2), (3, 7), (4, 3)):
        expected = (functional.interpolate(pixels, size, mode="area") - 127.5) / 128
        assert np.allclose(views.shrink(size), expected, atol=1e-5), size


@KINDS
def test_a_smaller_copy_is_the_mean_of_the_pixels_that_are_touched(make: Make) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 11, 17, 3), np.uint8)
    views = make(images)
    for height, width in ((5, 6), (11, 17), (1, 1), (7, 3)):
        shrunk = np.asarray(views.shrink((height, width))) * 128 + 127.5
        for row in range(height):
            for column in range(width):
                rows = slice(math.floor(row * 11 / height), math.ceil((row + 1) * 11 / height))
                columns = slice(math.floor(column * 17 / width), math.ceil((column + 1) * 17 / width))
                expected = images[:, rows, columns].mean(axis=(1, 2))
                assert np.allclose(shrunk[:, :, row, column], expected, atol=1e-3)


@KINDS
@pytest.mark.parametrize("side", [16, 17])
def test_white_cells_round_the_limit_of_sixteen_bits_stay_white(make: Make, side: int) -> None:
    # 16 * 16 * 255 = 65280 is below 2^16, 17 * 17 * 255 above.
    assert np.allclose(make(np.full((1, 3 * side, 2 * side, 3), 255, np.uint8)).shrink((3, 2)), 127.5 / 128)


@KINDS
def test_sums_of_large_white_photos_do_not_overflow(make: Make) -> None:
    views = make(np.full((1, 2901, 2903, 3), 255, np.uint8))  # 2**31 / 255 is 2901.97 ** 2
    white = (255 - 127.5) / 128
    assert np.allclose(views.shrink((3, 3)), white)
    assert np.allclose(views.cut(np.array([0]), np.array([[2800.0, 2800.0, 2900.0, 2900.0]]), 2), white)


@KINDS
def test_crops_are_area_means_and_black_outside(make: Make) -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 9, 11, 3), np.uint8)
    boxes = np.array([[2.0, 1.0, 8.0, 7.0], [0.3, 1.7, 7.9, 9.3], [-4.0, 5.0, 8.0, 17.0], [-6.0, -6.0, 6.0, 6.0]])
    owners = np.array([1, 0, 1, 0])
    cut = np.asarray(make(images).cut(owners, boxes, 3))
    assert cut.shape == (4, 3, 3, 3)
    for crop, owner, (x0, y0, x1, y1) in zip(cut, owners, boxes, strict=True):
        for row in range(3):
            for column in range(3):
                left, right = (x0 + (x1 - x0) * k / 3 for k in (column, column + 1))
                top, bottom = (y0 + (y1 - y0) * k / 3 for k in (row, row + 1))
                # How much of each pixel the cell covers; beyond the image there is black.
                across = [max(0.0, min(right, x + 1) - max(left, x)) for x in range(11)]
                down = [max(0.0, min(bottom, y + 1) - max(top, y)) for y in range(9)]
                mean = np.einsum("y,x,yxc->c", down, across, images[owner]) / ((right - left) * (bottom - top))
                assert np.allclose(crop[:, row, column], (mean - 127.5) / 128, atol=1e-4)


@KINDS
def test_no_box_gives_no_crop(make: Make) -> None:
    assert make(np.zeros((1, 9, 11, 3), np.uint8)).cut(np.zeros(0, np.int64), np.zeros((0, 4)), 24).shape == (
        0,
        3,
        24,
        24,
    )
