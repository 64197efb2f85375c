"""What all methods share: how targets are drawn, and what a critic is shown."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from mien.methods import METHODS
from mien.methods.base import Batch, Part, draw_part, draw_targets, frozen, hidden, to_device


def test_permuted_targets_are_the_batchs_own_labels_in_another_order() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 6, 6])
    drawn = [draw_targets(labels, 7, "permuted") for _ in range(20)]
    assert all(sorted(targets.tolist()) == labels.tolist() for targets in drawn)
    assert len({tuple(targets.tolist()) for targets in drawn}) > 15


def test_uniform_targets_serve_rare_expressions() -> None:
    torch.manual_seed(0)
    counts = Counter(draw_targets(torch.zeros(7000, dtype=torch.long), 7, "uniform").tolist())
    assert sum((counts[k] - 1000) ** 2 / 1000 for k in range(7)) < 22.5  # chi-square, 6 degrees of freedom, 99.9 %


def test_a_part_of_a_batch_is_drawn_without_repetition() -> None:
    torch.manual_seed(0)
    batch = Batch(torch.zeros(8, 1, 1, 1), torch.arange(8))
    assert draw_part(batch, 1.0) == (slice(None), 1.0)
    drawn = [draw_part(batch, 0.75) for _ in range(50)]
    assert all(isinstance(part, torch.Tensor) and len(set(part.tolist())) == 6 for part, _ in drawn)
    assert {i for part, _ in drawn for i in torch.arange(8)[part].tolist()} == set(range(8))
    assert all(weight == 1.0 for _, weight in drawn)


def test_a_square_is_hidden_somewhere_in_each_image() -> None:
    torch.manual_seed(0)
    images = torch.ones(4000, 2, 10, 10)
    batch = Batch(images, torch.zeros(4000, dtype=torch.long))
    assert hidden(images, 0.0, batch) is images
    shown = hidden(images, 0.4, batch)
    gone = shown == 0
    assert torch.equal(gone[:, 0], gone[:, 1]) and torch.equal(shown[~gone], images[~gone])
    rows, columns = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert torch.equal(gone[:, 0].flatten(1).sum(1), rows * columns)  # a rectangle
    assert rows.max() == columns.max() == 4 and rows.min() == columns.min() == 2  # half of it may lie outside
    often = gone[:, 0].float().mean(0)
    assert often[3:7, 3:7].mean().item() == pytest.approx(0.16, abs=0.01)  # anywhere: the centre is hidden by its area
    assert often.min() > 0.02  # and no place is always seen


@pytest.mark.parametrize("name", METHODS)
def test_the_critic_does_not_see_beyond_the_picture(name: str) -> None:
    """What lies beyond changes neither what the critic is taught nor what it asks of the generator there."""
    torch.manual_seed(0)
    method = METHODS[name](METHODS[name].Config(image_size=16, image_channels=1, critic_layers=2, critic_channels=4))
    inside = torch.ones(8, 1, 16, 16, dtype=torch.bool)
    inside[:, :, 11:] = False
    images = torch.rand(8, 1, 16, 16)
    batch = Batch(images, torch.arange(8) % len(method.config.expressions), inside=inside)
    edited = images.flip(0).requires_grad_()
    real, fake = method.shown(batch, images, edited)
    assert torch.equal(real[:, :, :11], images[:, :, :11]) and not real[:, :, 11:].any()
    method.critic(fake).realness.sum().backward()
    assert edited.grad is not None and edited.grad[:, :, :11].abs().sum() > 0
    assert not edited.grad[:, :, 11:].any()


def test_parts_of_a_batch_hide_what_the_whole_batch_hides() -> None:
    images, labels = torch.rand(6, 1, 8, 8) + 1, torch.arange(6)
    torch.manual_seed(3)
    whole = hidden(images, 0.5, Batch(images, labels))
    for index in range(2):
        part = Part(index, 2)
        torch.manual_seed(3)
        here = Batch(part.of(images), part.of(labels), None, part, labels)
        assert torch.equal(hidden(here.images, 0.5, here), part.of(whole))


@pytest.mark.parametrize("name", METHODS)
def test_the_critic_learns_and_judges_with_a_part_hidden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "image_size": 16,
        "image_channels": 1,
        "generator_channels": 4,
        "generator_blocks": 1,
        "critic_channels": 4,
    }
    method = METHODS[name](
        METHODS[name].Config(**settings, critic_layers=2, critic_steps=1, penalty="none", cutout=0.5)
    )
    seen, judge = [], method.critic.forward
    monkeypatch.setattr(
        method.critic, "forward", lambda images, **how: seen.append(images.detach()) or judge(images, **how)
    )
    count = max(8, method.smallest_batch)
    batch = Batch(torch.rand(count, 1, 16, 16) + 0.1, torch.arange(count) % len(method.config.expressions))
    moves = {}
    for player, _ in method.updates(batch, 0):
        moves[player], seen = [(images == 0).flatten(1).sum(1).min().item() for images in seen], []
    assert moves["critic"] == [pytest.approx(40, abs=25)]  # real and edited in one go, at least a quarter of the square
    assert moves["generator"][0] >= 16


def test_parts_of_a_batch_draw_together_what_the_whole_batch_draws() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        whole, _ = draw_part(Batch(torch.zeros(12, 1, 1, 1), torch.arange(12)), 0.25)
        found, means = [], 0.0
        for index in range(4):
            part, labels = Part(index, 4), torch.arange(12)
            torch.manual_seed(seed)
            here, weight = draw_part(Batch(torch.zeros(3, 1, 1, 1), part.of(labels), None, part, labels), 0.25)
            found += part.of(labels)[here].tolist() if weight else []
            means += weight * part.of(labels)[here].double().mean().item() / 4
        assert isinstance(whole, torch.Tensor)
        assert sorted(found) == sorted(whole.tolist())
        assert means == pytest.approx(whole.double().mean().item())  # a mean over those drawn is the mean of the parts'


def test_what_is_copied_to_a_device_is_there() -> None:
    moved = to_device(torch.zeros(2), torch.device("meta"))
    assert moved.device.type == "meta" and to_device(moved, torch.device("meta")) is moved


def test_frozen_lets_go_after_an_error() -> None:
    network = nn.Linear(2, 2)
    with pytest.raises(ZeroDivisionError), frozen(network):
        assert not any(p.requires_grad for p in network.parameters())
        raise ZeroDivisionError
    assert all(p.requires_grad for p in network.parameters())
