"""Networks that were trained at one side, carried over to another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mien.critics import PatchCritic
from mien.errors import ConfigError
from mien.networks import WarpGenerator
from mien.resizing import grown, resampled, with_light, with_wipe


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("before", "wipes"), [(0, False), (1, False), (0, True)])
def test_a_grown_pair_does_to_large_images_what_the_small_one_does_at_half_the_side(
    channels: int, before: int, wipes: bool
) -> None:
    torch.manual_seed(0)
    side = 16 * 2**before
    small = WarpGenerator(channels, 2, 8, 1, both_sides=True, wipes=wipes, enhancers=before)
    small_critic = PatchCritic(channels, side, (7, 2), base_channels=8, num_layers=2, enhancers=before)
    for parameter in small.parameters():  # edits that are visible
        torch.nn.init.normal_(parameter, std=0.15)
    large = WarpGenerator(channels, 2, 8, 1, both_sides=True, wipes=wipes, enhancers=before + 1)
    critic = PatchCritic(channels, 2 * side, (7, 2), base_channels=8, num_layers=2, enhancers=before + 1)
    state = {f"generator.{name}": tensor for name, tensor in small.state_dict().items()}
    state |= {f"critic.{name}": tensor for name, tensor in small_critic.state_dict().items()}
    together = grown(large, critic, state)
    large.load_state_dict({name.removeprefix("generator."): t for name, t in together.items() if name[0] == "g"})
    critic.load_state_dict({name.removeprefix("critic."): t for name, t in together.items() if name[0] == "c"})

    smooth_images = torch.rand(3, channels, 4, 4) * 2 - 1
    images = F.interpolate(smooth_images, size=(2 * side, 2 * side), mode="bilinear")
    halved, codes = F.avg_pool2d(images, 2), torch.randn(3, 2)
    assert torch.allclose(critic(images).realness, small_critic(halved).realness, atol=1e-5)
    for ours, theirs in zip(critic(images).heads, small_critic(halved).heads, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    # The same movement, mask, residual and wipe, but for sampling up in two steps and the window, which is finer now.
    for ours, theirs in list(zip(large.maps(images, codes), small.maps(halved, codes), strict=True))[: 3 + wipes]:
        assert ours is not None and theirs is not None and theirs.abs().max() > 0.05
        assert (F.avg_pool2d(ours, 2) - theirs).abs().mean() < 0.25 * theirs.abs().mean()


def test_networks_that_differ_in_more_do_not_grow() -> None:
    small, critic = WarpGenerator(1, 2, 8, 1), PatchCritic(1, 16, (7,), 8, 2)
    state = {f"generator.{name}": tensor for name, tensor in small.state_dict().items()}
    state |= {f"critic.{name}": tensor for name, tensor in critic.state_dict().items()}
    deeper = WarpGenerator(1, 2, 8, 2, enhancers=1)
    found = grown(deeper, PatchCritic(1, 32, (7,), 8, 2, enhancers=1), state)
    assert not any(name.startswith("generator.blocks.1") for name in found)
    with pytest.raises(ConfigError, match="4 channels"):
        grown(deeper, PatchCritic(3, 32, (7,), 4, 2, enhancers=1), state)


def test_networks_that_begin_to_wipe_do_besides_what_they_did() -> None:
    torch.manual_seed(0)
    before = WarpGenerator(1, 2, 8, 1, both_sides=True, enhancers=1)
    for parameter in before.parameters():  # edits that are visible
        torch.nn.init.normal_(parameter, std=0.15)
    after = WarpGenerator(1, 2, 8, 1, both_sides=True, enhancers=1, wipes=True)
    state = with_wipe(after, {f"generator.{name}": tensor for name, tensor in before.state_dict().items()})
    after.load_state_dict({name.removeprefix("generator."): tensor for name, tensor in state.items()})
    images, codes = torch.rand(2, 1, 32, 32) * 2 - 1, torch.randn(2, 2)
    for ours, theirs in list(zip(after.maps(images, codes), before.maps(images, codes), strict=True))[:3]:
        assert ours is not None and theirs is not None and torch.equal(ours, theirs)
    wipe = after(images, codes).wipe
    assert wipe is not None and 0.01 < wipe.max() < 0.05


# --- another side ------------------------------------------------------------------------------------------------


def critic_of(side: int) -> PatchCritic:
    return PatchCritic(1, side, (7, 2), base_channels=8, num_layers=2)


def state_of(critic: PatchCritic) -> dict[str, torch.Tensor]:
    return {f"critic.{name}": tensor for name, tensor in critic.state_dict().items()}


def at(side: int, trained: PatchCritic) -> PatchCritic:
    critic = critic_of(side)
    state = resampled(critic, state_of(trained))
    critic.load_state_dict({name.removeprefix("critic."): tensor for name, tensor in state.items()})
    return critic


def test_with_another_bound_of_light_faint_light_stays_what_it_was() -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"base_channels": 8, "num_blocks": 1, "enhancers": 1}
    before, after = (WarpGenerator(1, 2, max_light=bound, **settings) for bound in (0.8, 2.0))
    nn.init.normal_(before.enhancers[0].to_residual.weight, std=0.02)  # type: ignore[union-attr,arg-type]
    state = {f"generator.{name}": tensor for name, tensor in before.state_dict().items()} | {"critic.x": torch.ones(1)}
    carried = with_light(0.8, 2.0, state)
    assert torch.equal(carried["critic.x"], torch.ones(1))
    after.load_state_dict({k.removeprefix("generator."): v for k, v in carried.items() if k.startswith("generator.")})
    images, codes = torch.rand(2, 1, 32, 32) * 2 - 1, torch.randn(2, 2)
    with torch.no_grad():
        was, now = before.maps(images, codes), after.maps(images, codes)
    assert 0.02 < was[2].abs().max() < 0.3
    assert torch.allclose(now[2], was[2], atol=0.005) and torch.equal(now[0], was[0])


def test_a_kernel_of_three_parts_becomes_one_of_four_by_what_of_each_part_they_hold() -> None:
    """The line 0 to 3 in quarters: 0.75 of the first part; a quarter of it and half of the second; and so on back."""
    trained = critic_of(12)
    kernel = torch.zeros(7, 32 // 2, 3, 3)
    rows, columns = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 0.0, 8.0])
    kernel[:] = rows[:, None] * columns[None, :]
    trained.load_state_dict({**trained.state_dict(), "heads.0.weight": kernel})
    found = at(16, trained).heads[0].weight
    down, across = torch.tensor([0.75, 1.25, 2.0, 3.0]), torch.tensor([0.75, 0.25, 2.0, 6.0])
    assert torch.allclose(found[0, 0], down[:, None] * across[None, :])


@pytest.mark.parametrize("side", [8, 20, 24, 32, 64])
def test_a_resampled_head_says_the_same_of_an_even_face(side: int) -> None:
    torch.manual_seed(0)
    trained = critic_of(16)
    critic = at(side, trained)
    features = torch.rand(3, 16, 1, 1)
    for ours, theirs in zip(critic.heads, trained.heads, strict=True):
        assert ours.kernel_size == (side // 4, side // 4)
        same = theirs(features.expand(-1, -1, 4, 4))
        assert torch.allclose(ours(features.expand(-1, -1, side // 4, side // 4)), same, atol=1e-5)


def test_what_has_no_side_and_heads_of_the_same_side_stay_as_they_are() -> None:
    trained = critic_of(16)
    state = {**state_of(trained), "generator.anything": torch.ones(3)}
    same, other = resampled(critic_of(16), state), resampled(critic_of(24), state)
    assert all(same[name] is tensor for name, tensor in state.items())
    assert {name for name, tensor in state.items() if other[name] is not tensor} == {
        "critic.heads.0.weight", "critic.heads.1.weight"
    }  # fmt: skip
    assert state["critic.heads.0.weight"].shape[-1] == 4  # what was given is not changed
