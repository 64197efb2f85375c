"""Networks: sizes as published, edits that move pixels by what they say, and no trap between training and use."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from mien.critics import Halving, PatchCritic
from mien.errors import ConfigError
from mien.losses import input_gradient, light_edges
from mien.methods.ganmut import GANmut, GANmutConfig
from mien.methods.stargan import StarGAN, StarGANConfig
from mien.networks import (
    Edit,
    ResidualGenerator,
    WarpGenerator,
    apply_edit,
    blurred,
    count_parameters,
    edge_window,
    mirrored,
    sampling_grid,
    smooth,
    warp,
    wiped,
)


def centres(size: int) -> Tensor:
    """Return the places of pixel centres in units of half the image: -1 and 1 are its edges."""
    return (torch.arange(size) + 0.5) / size * 2 - 1


# --- sizes -------------------------------------------------------------------------------------------------------


def test_ganmut_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        method = GANmut(GANmutConfig())
    assert count_parameters(method.generator) == 8_421_120
    assert method.axes.numel() == 12
    unused_biases = 6
    assert count_parameters(method.generator) + method.axes.numel() + unused_biases == 8_421_138
    assert count_parameters(method.critic) == 44_794_816


def test_stargan_has_the_published_number_of_parameters() -> None:
    """StarGAN's table 4 and 5 at 128 px with five attributes, added up by hand."""
    generator = (
        8 * 64 * 49 + 2 * 64  # 7x7 on image and label, affine instance norm
        + 64 * 128 * 16 + 2 * 128 + 128 * 256 * 16 + 2 * 256  # two strides down
        + 6 * 2 * (256 * 256 * 9 + 2 * 256)  # six blocks
        + 256 * 128 * 16 + 2 * 128 + 128 * 64 * 16 + 2 * 64  # two strides up
        + 64 * 3 * 49
    )  # fmt: skip
    widths = [3, 64, 128, 256, 512, 1024, 2048]
    trunk = sum(before * after * 16 + after for before, after in itertools.pairwise(widths))
    critic = trunk + 2048 * 9 + 5 * 2048 * 2 * 2
    config = StarGANConfig(
        expressions=("neutral", "happy", "sad", "surprise", "anger"), image_size=128, image_channels=3, critic_layers=6
    )
    with torch.device("meta"):
        method = StarGAN(config)
    assert count_parameters(method.generator) == generator == 8_430_528
    assert count_parameters(method.critic) == critic == 44_762_048


def test_critic_judges_patches_and_one_vector_per_head() -> None:
    output = PatchCritic(1, 48, (7, 2), base_channels=4, num_layers=4)(torch.randn(3, 1, 48, 48))
    assert output.realness.shape == (3, 1, 3, 3)
    assert [head.shape for head in output.heads] == [(3, 7), (3, 2)]


def test_critic_with_too_many_layers_says_how_many_fit() -> None:
    with pytest.raises(ConfigError, match="halves 16 px away") as error:
        PatchCritic(1, 16, (7,), num_layers=5)
    assert error.value.hint == "set critic_layers to 4 or less"
    PatchCritic(1, 16, (7,), base_channels=4, num_layers=4)


def test_shapes_in_signatures_are_checked_while_tests_run() -> None:
    for displacement in (torch.zeros(1, 3, 8, 8), torch.zeros(2, 2, 8, 8), torch.zeros(1, 2, 8, 8, dtype=torch.long)):
        with pytest.raises(jaxtyping.TypeCheckError):
            warp(torch.zeros(1, 1, 8, 8), displacement)


# --- edits -------------------------------------------------------------------------------------------------------


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


def smooth_edit(size: int) -> Edit:
    """Return a smooth edit, sampled at the pixel centres of a size."""
    y, x = torch.meshgrid(centres(size), centres(size), indexing="ij")
    displacement = torch.stack([0.1 * torch.cos(math.pi * y / 2), 0.08 * torch.sin(math.pi * x / 2)])
    return Edit(displacement[None], 0.2 * torch.cos(math.pi * x / 2)[None, None])


def smooth_image(x: Tensor, y: Tensor) -> Tensor:
    """Return the light of a smooth picture at places given in units of half the image."""
    return 0.5 * torch.sin(2 * x + 1) * torch.cos(1.5 * y)


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


# --- generators --------------------------------------------------------------------------------------------------


def test_edge_window_is_zero_at_the_edge_one_inside_and_smooth_between() -> None:
    window = edge_window(100, 200, 0.1, torch.device("cpu"))
    assert window.shape == (100, 200)
    assert torch.allclose(window, window.flip(0)) and torch.allclose(window, window.flip(1))
    assert window[50, 100].item() == window[10, 20].item() == 1.0
    distance = (torch.arange(10) + 0.5) / 10  # of row centres from the edge, in margins
    assert torch.allclose(window[:10, 100], 3 * distance**2 - 2 * distance**3, atol=1e-6)
    assert window[0].max().item() < 0.01


def test_smoothing_keeps_ramps_and_takes_out_a_chequered_pattern() -> None:
    ramp = torch.arange(8.0).expand(1, 2, 8, 8)
    assert torch.allclose(smooth(ramp)[..., 1:-1], ramp[..., 1:-1])
    chequered = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert smooth(chequered[None, None])[..., 1:-1, 1:-1].abs().max().item() < 1e-6
    point = torch.zeros(1, 1, 5, 5)
    point[..., 2, 2] = 16
    assert smooth(point)[0, 0, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


def test_maps_of_the_warp_generator_fade_out_at_the_border() -> None:
    torch.manual_seed(0)
    generator = WarpGenerator(1, 2, base_channels=8, num_blocks=1)
    for layer in (generator.to_displacement, generator.to_mask):
        nn.init.constant_(layer.bias, 10.0)  # type: ignore[arg-type]  # as much as the maps can say
    displacement, mask, *_ = generator.maps(torch.rand(1, 1, 64, 64) * 2 - 1, torch.randn(1, 2))
    window = edge_window(64, 64, generator.margin, torch.device("cpu"))
    assert torch.allclose(mask[0, 0], window, atol=1e-3)
    assert torch.allclose(displacement[0, 0], generator.max_displacement * window, atol=1e-3)
    assert displacement[..., 0, :].abs().max().item() * 32 < 0.2  # a fifth of a pixel, in the outermost row


def test_edit_of_the_warp_generator_is_its_formula() -> None:
    """y = (1 - m) warp(x) + m clamp(warp(x) + r), from the maps; the residual is bounded."""
    torch.manual_seed(0)
    generator = WarpGenerator(3, 4, base_channels=8, num_blocks=1)
    nn.init.normal_(generator.to_residual.weight, std=2.0)
    images, codes = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 4)
    displacement, mask, residual, wipe = generator.maps(images, codes)
    assert wipe is None
    moved = warp(images, displacement)
    expected = (1 - mask) * moved + mask * (moved + residual).clamp(-1, 1)
    assert torch.allclose(apply_edit(images, generator(images, codes)), expected, atol=1e-6)
    assert residual.abs().max().item() <= generator.max_light + 1e-6
    assert residual.abs().max().item() > 0.7 * generator.max_light  # else the bound was not tried


def test_with_as_much_light_as_there_is_white_can_become_black() -> None:
    white, codes = torch.ones(1, 1, 32, 32), torch.zeros(1, 2)
    darkest = []
    for bound in (0.8, 2.0):
        generator = WarpGenerator(1, 2, base_channels=8, num_blocks=1, max_light=bound)
        nn.init.constant_(generator.to_residual.bias, -9.0)  # type: ignore[arg-type]
        nn.init.constant_(generator.to_mask.bias, 20.0)  # type: ignore[arg-type]
        darkest.append(apply_edit(white, generator(white, codes)).min().item())
    assert darkest == pytest.approx([0.2, -1.0], abs=0.01)


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


def test_a_generator_that_wipes_does_so_at_the_mouth_alone_before_it_adds_light() -> None:
    torch.manual_seed(0)
    generator = WarpGenerator(1, 2, base_channels=8, num_blocks=1, wipes=True)
    for layer in (generator.to_wipe, generator.to_residual, generator.to_mask):
        nn.init.normal_(layer.weight, std=2.0)  # type: ignore[union-attr,arg-type]
    images, codes = torch.rand(2, 1, 64, 64) * 2 - 1, torch.randn(2, 2)
    displacement, mask, residual, wipe = generator.maps(images, codes)
    assert wipe is not None
    assert wipe[..., 48, 20:44].max() > 0.9 and wipe[..., :32, :].max() < 1e-3 and wipe.min() >= 0
    moved = warp(images, displacement)
    below = moved + wipe * (blurred(moved, 0.06) - moved)
    expected = (1 - mask) * below + mask * (below + residual).clamp(-1, 1)
    assert torch.allclose(apply_edit(images, generator(images, codes)), expected, atol=1e-6)

    generator.both_sides = True
    edit, of_mirror = generator(images, codes), generator(images.flip(-1), codes)
    assert edit.wipe is not None and mirrored(edit).wipe is not None
    assert torch.allclose(of_mirror.wipe, mirrored(edit).wipe, atol=1e-6)  # type: ignore[arg-type]
    assert not torch.allclose(edit.wipe, edit.wipe.flip(-1), atol=0.05)


def test_with_both_sides_a_mirrored_photo_gets_the_mirrored_edit() -> None:
    torch.manual_seed(5)
    generator = WarpGenerator(1, 2, 8, 1, both_sides=True)
    images, codes = torch.rand(3, 1, 16, 16) * 2 - 1, torch.randn(3, 2)
    edit, of_mirror = generator(images, codes), generator(images.flip(-1), codes)
    assert torch.allclose(of_mirror.displacement, mirrored(edit).displacement, atol=1e-6)
    assert torch.allclose(of_mirror.delta, mirrored(edit).delta, atol=1e-6)
    edited = apply_edit(images, edit)
    assert torch.allclose(apply_edit(images.flip(-1), of_mirror), edited.flip(-1), atol=1e-5)

    generator.both_sides = False  # the network itself knows left from right
    one_side, of_mirror = generator(images, codes), generator(images.flip(-1), codes)
    assert not torch.allclose(of_mirror.displacement, mirrored(one_side).displacement, atol=1e-4)
    assert torch.allclose(edit.delta, (one_side.delta + mirrored(of_mirror).delta) / 2, atol=1e-6)
    mean = (one_side.displacement + mirrored(of_mirror).displacement) / 2
    assert torch.allclose(edit.displacement, mean, atol=1e-6)


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


def test_soft_light_is_the_same_light_at_the_mouth_and_blurred_elsewhere() -> None:
    torch.manual_seed(0)
    generator = WarpGenerator(1, 2, 8, 1, both_sides=True)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    soft = WarpGenerator(1, 2, 8, 1, both_sides=True, soft_light=0.1)
    soft.load_state_dict(generator.state_dict())
    images, codes = torch.rand(2, 1, 80, 80) * 2 - 1, torch.randn(2, 2)
    hard, edit = generator(images, codes), soft(images, codes)
    assert torch.equal(edit.displacement, hard.displacement)
    mouth, forehead = (..., slice(58, 64), slice(37, 43)), (..., slice(12, 30), slice(12, 68))
    brightest = hard.delta[mouth].abs().max()
    assert (edit.delta[mouth] - hard.delta[mouth]).abs().max() < 0.03 * brightest and brightest > 0.03
    assert torch.allclose(edit.delta[forehead], blurred(hard.delta, 0.1)[forehead], atol=1e-5)
    assert light_edges(edit.delta[forehead]) < 0.3 * light_edges(hard.delta[forehead])
    border = torch.cat([edit.delta[..., 0, :], edit.delta[..., :, 0], edit.delta[..., -1, :], edit.delta[..., :, -1]])
    assert border.abs().max() < 0.04 * edit.delta.abs().max()  # as good as nothing


def test_the_mirrored_edit_does_to_the_mirror_image_what_the_edit_does() -> None:
    images = torch.rand(1, 3, 9, 12) * 2 - 1
    edit = Edit(0.3 * torch.randn(1, 2, 9, 12), 0.1 * torch.randn(1, 3, 9, 12))
    assert torch.allclose(apply_edit(images.flip(-1), mirrored(edit)), apply_edit(images, edit).flip(-1), atol=1e-5)


def test_warp_generator_starts_near_the_identity_but_not_on_it() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 1, 16, 16) * 2 - 1
    edited = apply_edit(images, WarpGenerator(1, 2, 8, 1)(images, torch.randn(4, 2)))
    assert 0 < (edited - images).abs().mean().item() < 0.1


def test_warp_generator_refuses_sides_that_do_not_halve_twice() -> None:
    with pytest.raises(ConfigError, match="18x16") as error:
        WarpGenerator(1, 2, 8, 1)(torch.zeros(1, 1, 16, 18), torch.zeros(1, 2))
    assert error.value.hint == "use multiples of 4"


def test_residual_generator_paints_the_whole_image() -> None:
    """Its edit replaces: image + delta is the network's own output, whatever the image was."""
    torch.manual_seed(0)
    generator = ResidualGenerator(1, 2, 8, 1)
    images, codes = torch.rand(2, 1, 16, 16) * 2 - 1, torch.randn(2, 2)
    painted = generator.main(torch.cat([images, codes[:, :, None, None].expand(-1, -1, 16, 16)], dim=1))
    edit = generator(images, codes)
    assert not edit.displacement.any()
    assert torch.allclose(apply_edit(images, edit), painted, atol=1e-5)


@pytest.mark.parametrize("kind", [ResidualGenerator, WarpGenerator])
def test_official_trap_of_eval_networks_answer_the_same_in_training_and_in_use(kind: type[nn.Module]) -> None:
    """The official networks keep running statistics in their instance norms, and change when set to `eval()`."""
    torch.manual_seed(0)
    generator = kind(1, 2, 8, 1)
    images, codes = torch.rand(4, 1, 16, 16) * 2 - 1, torch.randn(4, 2)
    for _ in range(3):  # running statistics, if any, would be filled
        generator.train()(images, codes)
    trained = apply_edit(images, generator.train()(images, codes))
    used = apply_edit(images, generator.eval()(images, codes))
    assert torch.equal(trained, used)
    assert not list(generator.buffers())


@pytest.mark.parametrize("kind", [ResidualGenerator, WarpGenerator])
def test_an_image_is_edited_the_same_alone_and_in_a_batch(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    generator = kind(1, 2, 8, 1)
    images, codes = torch.rand(4, 1, 16, 16) * 2 - 1, torch.randn(4, 2)
    together = apply_edit(images, generator(images, codes))
    for i in range(4):
        alone = apply_edit(images[i : i + 1], generator(images[i : i + 1], codes[i : i + 1]))
        assert torch.allclose(alone[0], together[i], atol=1e-5)


def test_critic_judges_an_image_the_same_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(1, 16, (7, 2), 8, 2)
    images = torch.rand(4, 1, 16, 16) * 2 - 1
    together, alone = critic(images), critic(images[2:3])
    assert torch.allclose(alone.realness[0], together.realness[2], atol=1e-5)
    for head_alone, head_together in zip(alone.heads, together.heads, strict=True):
        assert torch.allclose(head_alone[0], head_together[2], atol=1e-5)


@pytest.mark.parametrize("kind", [ResidualGenerator, WarpGenerator])
def test_the_code_changes_the_edit(kind: type[nn.Module]) -> None:
    """Instance norm takes out a constant plane, which is how label conditioning by planes can die."""
    torch.manual_seed(0)
    generator, images = kind(1, 2, 8, 1), torch.rand(1, 1, 16, 16) * 2 - 1
    codes = torch.zeros(1, 2, requires_grad=True)
    apply_edit(images, generator(images, codes)).square().sum().backward()
    assert codes.grad is not None
    assert codes.grad.abs().min().item() > 1e-6


@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize("patches", ["sum", "mean"])
@pytest.mark.parametrize(("size", "layers"), [(32, 3), (16, 2)])
def test_the_critics_gradient_is_autograds_and_so_is_its_derivative(
    size: int, layers: int, patches: Literal["sum", "mean"], product: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if product:
        monkeypatch.setattr(Halving, "LEAST_WEIGHTS", 0)
    torch.manual_seed(0)
    critic = PatchCritic(3, size, (7, 2), base_channels=8, num_layers=layers, slope=0.2).double()
    images = torch.randn(5, 3, size, size, dtype=torch.float64)
    expected = input_gradient(lambda x: critic(x).realness)(images, patches)
    gradient = critic.realness_gradient(images, patches)
    assert torch.allclose(gradient, expected, rtol=1e-10, atol=1e-12)

    def slopes(of: torch.Tensor) -> dict[str, torch.Tensor]:
        critic.zero_grad()
        (of.flatten(1).norm(dim=1) - 1).square().mean().backward()
        return {name: p.grad.clone() for name, p in critic.named_parameters() if p.grad is not None}

    theirs, ours = slopes(expected), slopes(gradient)
    assert set(ours) == {name for name in theirs if theirs[name].abs().max() > 0}  # biases do not move a gradient
    for name, slope in ours.items():
        assert torch.allclose(slope, theirs[name], rtol=1e-9, atol=1e-12), name


def test_the_critics_gradient_under_autocast_and_with_frozen_layers() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(1, 16, (2,), base_channels=8, num_layers=2)
    images = torch.randn(2, 1, 16, 16)
    expected = critic.realness_gradient(images)
    critic.main[0].requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        gradient = critic.realness_gradient(images)
    assert torch.equal(gradient, expected)
    gradient.square().sum().backward()
    first, second = critic.main[0], critic.main[2]
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
    assert first.weight.grad is None and second.weight.grad is not None
    gradient = critic.realness_gradient(images)
    with torch.no_grad():
        second.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradient.sum().backward()


def test_two_batches_are_judged_as_each_alone() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(1, 16, (7, 2), base_channels=8, num_layers=2)
    real, fake = torch.randn(7, 1, 16, 16).split([4, 3])
    for one, judged in zip((real, fake), critic.compare(real, fake), strict=True):
        alone = critic(one)
        assert torch.allclose(judged.realness, alone.realness, atol=1e-6)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(judged.heads, alone.heads, strict=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_as_a_product_of_matrices_a_convolution_is_the_same(layout: torch.memory_format) -> None:
    """Training takes the product where few pixels meet many weights, and torch's convolution for everything else."""
    torch.manual_seed(0)
    layer = Halving(512, 512).to(memory_format=layout)  # type: ignore[call-overload]
    found = {}
    for training in (True, False):
        layer.train(training).zero_grad()
        images = torch.randn(3, 512, 4, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
        output = layer(images)
        output.square().sum().backward()
        assert layer.weight.grad is not None and layer.bias is not None and images.grad is not None
        found[training] = (output, images.grad, layer.weight.grad.clone(), layer.bias.grad)
    assert any("Addmm" in str(step) for step in _steps_of(found[True][0].grad_fn))
    assert any("Convolution" in str(step) for step in _steps_of(found[False][0].grad_fn))
    for ours, torchs in zip(found[True], found[False], strict=True):
        assert torch.allclose(ours, torchs, rtol=1e-4, atol=1e-4)


def _steps_of(node: Any) -> list[Any]:
    return [] if node is None else [node, *itertools.chain(*(_steps_of(before) for before, _ in node.next_functions))]


def test_an_enhancer_moves_no_further_than_the_network_it_is_round() -> None:
    torch.manual_seed(0)
    generator = WarpGenerator(1, 2, 8, 1, enhancers=2)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    displacement, *_ = generator.maps(torch.rand(2, 1, 32, 32), torch.randn(2, 2))
    assert displacement.abs().max() <= generator.max_displacement


def test_an_enhancer_learns_from_the_first_step_on() -> None:
    torch.manual_seed(0)
    generator = WarpGenerator(1, 2, 8, 1, enhancers=1)
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    apply_edit(images, generator(images, torch.randn(2, 2))).square().sum().backward()
    for layer in (generator.enhancers[0].to_coarse, generator.enhancers[0].to_residual):
        assert layer.weight.grad.abs().max() > 0


def test_sides_that_no_enhancer_halves_are_refused() -> None:
    with pytest.raises(ConfigError, match="12x12") as caught:
        WarpGenerator(1, 2, 8, 1, enhancers=1)(torch.zeros(1, 1, 12, 12), torch.zeros(1, 2))
    assert caught.value.hint == "use multiples of 8"
    with pytest.raises(ConfigError, match="halves 16 px away") as caught:
        PatchCritic(1, 16, (7,), num_layers=4, enhancers=1)
    assert "critic_layers to 3" in caught.value.hint
