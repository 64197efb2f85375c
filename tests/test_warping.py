"""The maps of an edit against torch's sampling, against closed forms, and against doing two edits one after the other."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from mien import warping
from mien.edit_maps import Edit, apply_edit
from mien.face_windows import edge_window as torch_window
from mien.warping import EditMaps, apply, compose, covering, edge_window, fade, mix, sample, scale


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


def wiping(seed: int, size: int = 48) -> EditMaps:
    """An edit that wipes a round place away, besides."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    wipe = np.exp(-(((x - 0.05 * seed) / 0.2) ** 4) - (y / 0.15) ** 4)[None].astype(np.float32)
    return smooth_maps(seed, size)._replace(wipe=wipe)


def test_numpy_wipes_as_torch_does():
    image = random_image(48, 48)
    maps = wiping(1)
    inside = slice(8, 40)
    still = maps._replace(displacement=np.zeros_like(maps.displacement))  # torch samples linearly here, numpy cubically
    found = apply(image, still)[inside, inside]
    wanted = apply_edit(
        torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1,
        Edit(*(torch.from_numpy(each[None]) for each in still)),
    )
    assert np.allclose(found, (wanted[0].permute(1, 2, 0).numpy()[inside, inside] + 1) * 127.5, atol=0.01)
    assert np.abs(found - apply(image, still._replace(wipe=None))[inside, inside]).max() > 10


def test_edits_that_wipe_compose_fade_and_mix():
    y, x = np.mgrid[:48, :48]
    image = (128 + 50 * np.sin(x / 2) * np.cos(y / 3))[..., None].repeat(3, axis=2).astype(np.float32)
    first, second = wiping(1), wiping(2)
    for one, two in ((first, second), (first, smooth_maps(2)), (smooth_maps(1), second)):
        after_both = apply(apply(image, one), two)
        at_once = apply(image, compose(one, two))
        assert one.wipe is None or np.abs(apply(image, one._replace(wipe=None)) - apply(image, one)).max() > 10
        assert np.abs(at_once - after_both)[6:-6, 6:-6].mean() < 1.5  # what sampling twice costs, with detail as fine
    assert fade(first, 0.2).wipe[0, 0].max() < 0.01 and scale(first, 0.0).wipe.max() == 0
    both = mix([first, first, smooth_maps(3)])
    assert np.array_equal(both.wipe, (2 * first.wipe).clip(0, 1))
    assert np.allclose(both.delta, 2 * first.delta + smooth_maps(3).delta)
    assert mix([smooth_maps(1), smooth_maps(2)]).wipe is None


def test_what_covers_a_larger_copy_is_the_same_edit():
    """A copy at four times the side, with the detail of one level that only it can show: it is wiped away, too."""
    y, x = np.mgrid[:192, :192] / 4
    small = (128 + 40 * np.sin(x / 5) * np.cos(y / 6))[..., None].astype(np.float32)
    fine = small + 20 * np.sign(np.sin(np.mgrid[:192, :192][1] * np.pi / 2 + 0.1))[..., None].astype(np.float32)
    shrunk = small.reshape(48, 4, 48, 4, 1).mean((1, 3))
    maps = wiping(1)
    planes = covering(shrunk, maps)
    stacked = sample(planes, x + 0.125, y + 0.125)
    fetched = sample(fine, x * 4 + 0.5 + stacked[..., 0] * 96, y * 4 + 0.5 + stacked[..., 1] * 96)
    after = fetched * (1 - stacked[..., 2:3]) + stacked[..., 3:]
    whole = apply(fine, maps)
    wiped_place = (slice(84, 108), slice(90, 118))
    assert maps.wipe[0, 21:27, 23:29].min() > 0.95
    assert np.abs(after - whole)[wiped_place].mean() < 2
    steps = [np.abs(np.diff(image[wiped_place], axis=1)).max() for image in (after, fetched)]
    assert steps[0] < 6 and steps[1] > 20  # the stripes are gone
