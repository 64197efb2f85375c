"""The maps of an edit against torch's sampling, against closed forms, and against doing two edits one after the other."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from mien import warping
from mien.networks import edge_window as torch_window
from mien.warping import EditMaps, apply, compose, edge_window, fade, sample, scale


def random_image(height: int = 13, width: int = 17, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (height, width, channels)).astype(np.float32)


def places(count: int = 500, width: int = 17, height: int = 13) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.uniform(-3, width + 3, count), random.uniform(-3, height + 3, count)


def test_numpy_samples_as_torch_does_inside_and_beyond_the_border():
    image, (x, y) = random_image(), places()
    grid = torch.from_numpy(np.stack([2 * x / 17 - 1, 2 * y / 13 - 1], axis=-1)).float()[None, None]
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    truth = grid_sample(planes, grid, mode="bicubic", padding_mode="border", align_corners=False)[0, :, 0].T.numpy()
    assert np.abs(warping._sample_by_numpy(image, x, y) - truth).max() < 0.01
    assert np.array_equal(warping._sample_by_torch(image, x, y), truth)


def test_the_centre_of_a_pixel_is_that_pixel():
    image = random_image()
    x, y = np.meshgrid(np.arange(17) + 0.5, np.arange(13) + 0.5)
    assert np.abs(warping._sample_by_numpy(image, x, y) - image).max() < 1e-3
    assert np.abs(sample(image, x, y) - image).max() < 1e-3


def test_half_way_between_pixels_of_a_ramp_lies_their_mean():
    ramp = np.repeat(np.arange(20, dtype=np.float32)[None, :, None], 10, axis=0)
    x = np.arange(3, 16, 0.5)
    assert np.allclose(warping._sample_by_numpy(ramp, x, np.full(26, 5.5))[:, 0], x - 0.5, atol=1e-4)


def test_torch_is_not_loaded_by_warping_and_numpy_serves():
    code = (
        "import sys, numpy as np; from mien.warping import sample;"
        "v = sample(np.arange(16.).reshape(4, 4, 1), np.array([1.5]), np.array([2.5]));"
        "assert abs(v[0, 0] - 9) < 1e-4, v; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_windows_are_one():
    assert np.allclose(edge_window(52, 40, 0.1), torch_window(52, 40, 0.1, torch.device("cpu")), atol=1e-6)


def smooth_maps(seed: int, size: int = 48, strength: float = 0.08) -> EditMaps:
    """Slow waves, faded at the border: as smooth as edits are."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = [
        np.sin(2 * np.pi * (x * random.uniform(0.5, 1) + y * random.uniform(0.5, 1) + random.uniform()))
        for _ in range(3)
    ]
    displacement = (strength * np.stack(waves[:2])).astype(np.float32)
    return fade(EditMaps(displacement, (0.2 * waves[2])[None].astype(np.float32)), 0.2)


def test_a_composed_edit_is_one_edit_after_the_other():
    y, x = np.mgrid[:48, :48]
    image = (128 + 50 * np.sin(x / 7) * np.cos(y / 9))[..., None].repeat(3, axis=2).astype(np.float32)
    first, second = smooth_maps(1), smooth_maps(2)
    after_both = apply(apply(image, first), second)
    at_once = apply(image, compose(first, second))
    assert np.abs(after_both - image).mean() > 4
    assert np.abs(at_once - after_both).mean() < 0.25  # what sampling twice costs
    assert np.abs(apply(image, compose(second, first)) - after_both).mean() > 1  # the order matters


def test_composing_with_nothing_changes_nothing():
    maps = smooth_maps(3)
    nothing = scale(maps, 0.0)
    for composed in (compose(maps, nothing), compose(nothing, maps)):
        assert np.allclose(composed.displacement, maps.displacement, atol=1e-5)
        assert np.allclose(composed.delta, maps.delta, atol=1e-5)


def test_light_of_one_channel_composes_with_light_of_three():
    colour = EditMaps(
        np.zeros((2, 8, 8), np.float32), np.arange(3, dtype=np.float32)[:, None, None].repeat(8, 1).repeat(8, 2)
    )
    grey = EditMaps(np.zeros((2, 8, 8), np.float32), np.ones((1, 8, 8), np.float32))
    for composed in (compose(colour, grey), compose(grey, colour)):
        assert np.allclose(composed.delta[:, 4, 4], [1, 2, 3], atol=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_a_shift_moves_a_ramp_by_what_it_says(factor):
    """A displacement of 1 is half the image: of 40 pixels, a quarter of that is 5 pixels, fetched from the right."""
    ramp = np.repeat(np.arange(40, dtype=np.float32)[None, :, None], 40, axis=0)
    shift = EditMaps(np.zeros((2, 10, 10), np.float32), np.zeros((1, 10, 10), np.float32))
    shift.displacement[0] = 0.25
    moved = apply(ramp, scale(shift, factor))
    assert np.allclose(moved[20, 5:30, 0], np.arange(5, 30) + 5 * factor, atol=1e-3)
