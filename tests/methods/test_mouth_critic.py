"""A second critic that sees the mouth alone: what it sees, what it costs, and that no method does without it unawares."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mien.critics import PatchCritic
from mien.face_windows import mouth_window
from mien.losses import input_gradient, r1_penalty
from mien.methods import METHODS
from mien.methods.base import Batch, Method

SMALL: dict[str, Any] = {
    "image_size": 32, "image_channels": 1, "generator": "warp", "generator_channels": 8, "generator_blocks": 1,
    "critic_channels": 8, "critic_layers": 2, "critic_steps": 1, "adversarial": "non-saturating", "penalty": "r1",
}  # fmt: skip


def built(name: str, **settings: Any) -> Method:
    torch.manual_seed(0)
    kind = METHODS[name]
    fields = {field.name for field in dataclasses.fields(kind.Config)}
    return kind(kind.Config(**{key: value for key, value in {**SMALL, **settings}.items() if key in fields}))


def batch_of(method: Method, count: int = 8) -> Batch:
    torch.manual_seed(1)
    labels = torch.arange(count) % len(method.config.expressions)
    return Batch(torch.rand(count, 1, 32, 32) * 2 - 1, labels)


def test_the_square_that_it_sees_holds_the_mouth() -> None:
    window = mouth_window(128, 128, torch.device("cpu"))
    assert PatchCritic.at_mouth(window[None, None]).sum() > 0.99 * window.sum()
    assert PatchCritic.at_mouth(torch.zeros(2, 3, 52, 52)).shape == (2, 3, 26, 26)


def test_it_judges_the_mouth_and_nothing_else() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(1, 32, (7,), 8, 2, mouth_channels=8)
    images = torch.rand(2, 1, 32, 32) * 2 - 1
    other_eyes, other_mouth = images.clone(), images.clone()
    other_eyes[..., :14, :] = 0.0
    other_mouth[..., 20:26, 10:22] = 0.0
    mouths = [critic(each, mouth=True).mouth for each in (images, other_eyes, other_mouth)]
    assert torch.equal(mouths[0], mouths[1]) and not torch.allclose(mouths[0], mouths[2], atol=1e-4)
    assert not torch.allclose(critic(images).realness, critic(other_eyes).realness, atol=1e-4)
    together = critic.compare(images, other_mouth)
    assert torch.allclose(together[0].mouth, mouths[0], atol=1e-6)
    assert torch.allclose(together[1].mouth, mouths[2], atol=1e-6)
    assert critic(images).mouth is None and PatchCritic(1, 32, (7,), 8, 2)(images, mouth=True).mouth is None


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_trains_both_players_by_it(name: str) -> None:
    method = built(name, lambda_mouth=3.0, lambda_penalty=2.0, penalty_interval=1)
    batch, seen = batch_of(method), list[tuple[Any, Any]]()
    judge = method.critic.mouth
    assert judge is not None
    judge.register_forward_hook(lambda _, given, output: seen.append((given[0], output.realness)))
    played = method.updates(batch, step=0)
    player, terms = next(played)
    assert player == "critic"
    real, fake = seen[0][1].chunk(2)
    assert torch.equal(seen[0][0][:8], PatchCritic.at_mouth(batch.images))
    assert terms["mouth"].item() == pytest.approx(3 * (F.softplus(-real).mean() + F.softplus(fake).mean()).item())
    whole = r1_penalty(input_gradient(lambda x: method.critic(x).realness), batch.images, method.config.penalty_patches)
    mouth = r1_penalty(
        input_gradient(lambda x: judge(x).realness),
        PatchCritic.at_mouth(batch.images),
        method.config.penalty_patches,
    )
    assert mouth > 0
    assert terms["penalty"].item() == pytest.approx(2 * (whole + mouth).item(), rel=1e-4)
    seen.clear()
    player, terms = next(played)
    assert player == "generator"
    assert terms["mouth"].item() == pytest.approx(3 * F.softplus(-seen[0][1]).mean().item())
    terms["mouth"].backward()
    moved = [parameter.grad for parameter in method.generator.parameters() if parameter.grad is not None]
    assert any(gradient.abs().max() > 0 for gradient in moved)
    assert all(parameter.grad is None for parameter in judge.parameters())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_with_a_gradient_penalty_its_own_is_on_mouths_between_real_and_edited(name: str) -> None:
    method = built(name, lambda_mouth=1.0, penalty="gradient", adversarial="wasserstein")
    player, terms = next(method.updates(batch_of(method), step=0))
    assert player == "critic"
    terms["penalty"].backward()
    judge = method.critic.mouth
    assert judge is not None and judge.realness.weight.grad is not None and judge.realness.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", sorted(METHODS))
def test_without_a_weight_there_is_none(name: str) -> None:
    method = built(name)
    assert method.critic.mouth is None
    for _, terms in method.updates(batch_of(method), step=0):
        assert "mouth" not in terms
