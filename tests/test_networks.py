"""Networks: sizes as published, edits that move pixels by what they say, and no trap between training and use."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import pytest
import torch
from torch import nn

from mien.critics import Halving, PatchCritic
from mien.edit_maps import apply_edit, blurred, mirrored, warp
from mien.errors import ConfigError
from mien.face_windows import edge_window
from mien.losses import input_gradient, light_edges
from mien.methods.ganmut import GANmut, GANmutConfig
from mien.methods.stargan import StarGAN, StarGANConfig
from mien.networks import ResidualGenerator, WarpGenerator, count_parameters, smooth

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


# --- generators --------------------------------------------------------------------------------------------------


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
