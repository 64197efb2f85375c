"""Edits as maps of tensors, against worked cases."""

from __future__ import annotations

import math

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from mien.edit_maps import Edit, apply_edit, blurred, mirrored, sampling_grid, warp, wiped


def centres(size: int) -> Tensor:
    """Return the places of pixel centres in units of half the image: -1 and 1 are its edges."""
    return (torch.arange(size) + 0.5) / size * 2 - 1


def smooth_edit(size: int) -> Edit:
    """Return a smooth edit, sampled at the pixel centres of a size."""
    y, x = torch.meshgrid(centres(size), centres(size), indexing="ij")
    displacement = torch.stack([0.1 * torch.cos(math.pi * y / 2), 0.08 * torch.sin(math.pi * x / 2)])
    return Edit(displacement[None], 0.2 * torch.cos(math.pi * x / 2)[None, None])


def smooth_image(x: Tensor, y: Tensor) -> Tensor:
    """Return the light of a smooth picture at places given in units of half the image."""
    return 0.5 * torch.sin(2 * x + 1) * torch.cos(1.5 * y)


def test_shapes_in_signatures_are_checked_while_tests_run() -> None:
    for displacement in (torch.zeros(1, 3, 8, 8), torch.zeros(2, 2, 8, 8), torch.zeros(1, 2, 8, 8, dtype=torch.long)):
        with pytest.raises(jaxtyping.TypeCheckError):
            warp(torch.zeros(1, 1, 8, 8), displacement)


def test_sampling_grid_is_the_pixel_centres() -> None:
    grid = sampling_grid(torch.zeros(1, 2, 4, 6))
    assert torch.allclose(grid[0, 0, :, 0], centres(6))
    assert torch.allclose(grid[0, :, 0, 1], centres(4))


@pytest.mark.parametrize("size", [15, 16, 48])
def test_an_edit_of_nothing_returns_the_image(size: int) -> None:
    images = torch.rand(2, 3, size, size) * 2 - 1
    edit = Edit(torch.zeros(2, 2, size, size), torch.zeros(2, 3, size, size))
    assert torch.allclose(apply_edit(images, edit), images, atol=1e-5)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (-2, 3)])
def test_displacement_fetches_from_as_many_pixels_away_as_it_says(dx: int, dy: int) -> None:
    size = 16
    images = torch.rand(1, 1, size, size) * 2 - 1
    displacement = torch.tensor([dx, dy]).reshape(1, 2, 1, 1) / (size / 2) * torch.ones(1, 2, size, size)
    moved = warp(images, displacement)
    rows = (torch.arange(size) + dy).clamp(0, size - 1)  # beyond the border, the border repeats
    columns = (torch.arange(size) + dx).clamp(0, size - 1)
    assert torch.allclose(moved[0, 0], images[0, 0][rows][:, columns], atol=1e-5)


def test_a_displacement_that_is_no_number_shows_in_the_image_and_does_not_end_the_process() -> None:
    """The CPU's `grid_sample` hides such a displacement, and crashes in the backward pass (torch 2.13)."""
    displacement = torch.zeros(1, 2, 8, 8)
    displacement[0, 0, 3, 3] = torch.nan
    displacement.requires_grad_()
    moved = warp(torch.rand(1, 1, 8, 8), displacement)
    assert moved.isnan().nonzero().tolist() == [[0, 0, 3, 3]]
    moved.nan_to_num().sum().backward()
    assert displacement.grad is not None
    assert torch.isfinite(displacement.grad).all()


def test_delta_is_added_after_the_movement_and_light_is_kept_in_range() -> None:
    images = torch.full((1, 1, 4, 4), 0.5)
    delta = torch.tensor([0.25, 1.0, -0.5, -2.0]).expand(1, 1, 4, 4)
    edited = apply_edit(images, Edit(torch.zeros(1, 2, 4, 4), delta))
    assert torch.allclose(edited[0, 0, 0], torch.tensor([0.75, 1.0, 0.0, -1.0]))


@pytest.mark.parametrize("size", [32, 64, 160])
def test_an_edit_means_the_same_at_every_resolution(size: int) -> None:
    """An edit made at 32 px is applied to pictures of other sizes: all must show f(place + displacement) + delta."""
    y, x = torch.meshgrid(centres(size), centres(size), indexing="ij")
    edited = apply_edit(smooth_image(x, y)[None, None], smooth_edit(32))[0, 0]
    exact = smooth_edit(size)
    truth = smooth_image(x + exact.displacement[0, 0], y + exact.displacement[0, 1]) + exact.delta[0, 0]
    inside = slice(size // 8, -size // 8)  # near the edge the picture is not known beyond it
    assert (edited - truth)[inside, inside].abs().max().item() < 4e-3


def test_an_edit_applied_at_twice_the_size_is_the_edited_image_sampled_up() -> None:
    y, x = torch.meshgrid(centres(32), centres(32), indexing="ij")
    small = smooth_image(x, y)[None, None]
    large = nn.functional.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False)
    twice = apply_edit(large, smooth_edit(32))
    up = nn.functional.interpolate(apply_edit(small, smooth_edit(32)), scale_factor=2, mode="bicubic")
    assert (twice - up)[..., 8:-8, 8:-8].abs().max().item() < 8e-3


def test_what_is_wiped_away_is_what_differs_from_the_average_round_each_place() -> None:
    images = torch.rand(2, 3, 40, 40) * 2 - 1
    none, half, whole = (wiped(images, torch.full((2, 1, 40, 40), share)) for share in (0.0, 0.5, 1.0))
    assert torch.equal(none, images)
    assert torch.allclose(half, (images + whole) / 2, atol=1e-6)
    once = torch.tensor([0.7, 1, 0.7]) / 2.4  # 0.06 of 40 pixels are 2.4: one whole and two parts of 0.7
    kernel = nn.functional.conv1d(once[None, None], once[None, None], padding=2)[0, 0]
    around = (images[..., 10:15, 20:25] * kernel[:, None] * kernel).sum((2, 3))
    assert torch.allclose(whole[..., 12, 22], around, atol=1e-6)
    even = torch.full((1, 1, 40, 40), 0.9)
    with torch.autocast("cpu", torch.bfloat16):  # ninths are no numbers of bfloat16
        assert torch.allclose(wiped(even, torch.ones(1, 1, 40, 40)), even, atol=1e-6)


def test_a_blurred_point_is_a_tent_of_the_same_sum() -> None:
    point = torch.zeros(1, 1, 20, 20)
    point[0, 0, 10, 8] = 9.0
    tent = blurred(point, 0.15)  # two averages over 3 x 3 pixels
    assert torch.allclose(tent[0, 0, 10, 5:12], torch.tensor([0.0, 1, 2, 3, 2, 1, 0]) / 3)
    assert torch.allclose(tent[0, 0, 7:14, 8], torch.tensor([0.0, 1, 2, 3, 2, 1, 0]) / 3)
    assert tent.sum().item() == pytest.approx(9)
    assert torch.allclose(blurred(torch.ones(1, 1, 20, 20), 0.1), torch.ones(20, 20))
    halves = blurred(point, 0.1)[0, 0, 10, 5:12]  # over 2: a pixel and half of each neighbour
    assert torch.allclose(halves, torch.tensor([0.0, 1, 4, 6, 4, 1, 0]) / 16 * 9 * 6 / 16)
    assert torch.allclose(blurred(point, 0.04), point)  # less than a pixel


def test_the_mirrored_edit_does_to_the_mirror_image_what_the_edit_does() -> None:
    images = torch.rand(1, 3, 9, 12) * 2 - 1
    edit = Edit(0.3 * torch.randn(1, 2, 9, 12), 0.1 * torch.randn(1, 3, 9, 12))
    assert torch.allclose(apply_edit(images.flip(-1), mirrored(edit)), apply_edit(images, edit).flip(-1), atol=1e-5)
