"""StarGAN: every equation of the Zagreb paper against a case worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mien.critics import CriticOutput
from mien.edit_maps import Edit
from mien.errors import ConfigError
from mien.losses import input_gradient, r1_penalty
from mien.methods.base import Batch
from mien.methods.stargan import StarGAN, StarGANConfig, different_labels, label_codes
from mien.networks import ResidualGenerator
from mien.spaces import LabelSpace

LN3 = math.log(3.0)  # sigmoid(ln 3) = 3/4


@pytest.fixture
def method() -> StarGAN:
    torch.manual_seed(0)
    return StarGAN(
        StarGANConfig(image_size=16, generator_channels=8, generator_blocks=1, critic_channels=8, critic_layers=2)
    )


def changed(method: StarGAN, **settings: Any) -> StarGAN:
    """Return the method with some settings changed, and its networks kept."""
    method.config = dataclasses.replace(method.config, **settings)
    return method


def batch_of(labels: list[int]) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.rand(len(labels), 1, 16, 16, generator=generator) * 2 - 1, torch.tensor(labels))


def says(realness: float, *probabilities: list[float]) -> CriticOutput:
    """Return what a critic would say: realness (a logit) of every patch, and probabilities of the four classes."""
    return CriticOutput(torch.full((len(probabilities), 1, 2, 2), realness), (torch.tensor(probabilities).log(),))


def test_defaults_are_the_papers() -> None:
    config = StarGANConfig()
    assert config.expressions == ("anger", "happy", "sad", "surprise")
    assert (config.image_size, config.image_channels) == (48, 1)
    assert (config.lambda_cls, config.lambda_rec) == (1.0, 10.0)
    assert (config.learning_rate, config.betas) == (1e-4, (0.5, 0.999))
    assert (config.adversarial, config.penalty, config.critic_steps) == ("log", "none", 1)


# --- equations ---------------------------------------------------------------------------------------------------


def test_equation_1_is_the_logarithmic_loss(method: StarGAN) -> None:
    """D_src(x) = 3/4 and D_src(G(x, c)) = 1/4: L_adv = log 3/4 + log(1 - 1/4)."""
    real, fake = says(LN3, [0.25] * 4), says(-LN3, [0.25] * 4)
    assert method.equation_1(real, fake).item() == pytest.approx(-2 * math.log(3 / 4), rel=1e-6)
    assert method.equation_1_generator(fake).item() == pytest.approx(math.log(3 / 4), rel=1e-6)


def test_equation_1_of_the_code_that_the_paper_follows_is_the_wasserstein_loss(method: StarGAN) -> None:
    real, fake = says(2.0, [0.25] * 4), says(-3.0, [0.25] * 4)
    assert changed(method, adversarial="wasserstein").equation_1(real, fake).item() == pytest.approx(-5.0)
    assert method.equation_1_generator(fake).item() == pytest.approx(3.0)


def test_equations_2_and_3_are_cross_entropies_of_true_and_of_target_labels(method: StarGAN) -> None:
    output = says(0.0, [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.4, 0.1])
    assert method.equation_2(output, batch_of([3, 2])).item() == pytest.approx(-math.log(0.4))
    targets = torch.tensor([0, 3])
    assert method.equation_3(output.heads[0], targets).item() == pytest.approx(-math.log(0.1))


def test_equation_2_may_take_votes(method: StarGAN) -> None:
    batch = dataclasses.replace(batch_of([3]), shares=torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
    output = says(0.0, [0.1, 0.2, 0.3, 0.4])
    assert method.equation_2(output, batch).item() == pytest.approx(-math.log(0.4))
    by_votes = -(math.log(0.1) + math.log(0.2)) / 2
    assert changed(method, soft_labels=True).equation_2(output, batch).item() == pytest.approx(by_votes)
    assert method.equation_2(output, batch_of([3])).item() == pytest.approx(-math.log(0.4))  # none there


def test_equation_4_goes_back_by_the_true_label(method: StarGAN) -> None:
    asked: list[Tensor] = []

    class Brighter(nn.Module):
        def forward(self, images: Tensor, codes: Tensor) -> Edit:
            asked.append(codes)
            return Edit(torch.zeros(len(images), 2, 16, 16), torch.full_like(images, 0.25))

    setattr(method, "generator", Brighter())  # noqa: B010  # of another type
    batch = Batch(torch.zeros(3, 1, 16, 16), torch.tensor([2, 0, 3]))
    loss = method.equation_4(batch, torch.full((3, 1, 16, 16), 0.5))
    assert loss.item() == pytest.approx(0.75)  # |0 - (0.5 + 0.25)|
    assert asked[0].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_equation_5_adds_its_terms_with_their_weights(method: StarGAN) -> None:
    changed(method, lambda_cls=2.0, lambda_rec=6.0, rec_ramp_steps=4)
    batch, targets = batch_of([0, 1, 2, 3]), torch.tensor([1, 2, 3, 0])
    edited, edit = batch.images.flip(0), method.generator(batch.images, label_codes(targets, 4))
    fake = method.critic(edited)
    terms = method.equation_5(batch, edit, edited, targets, step=0)
    assert {name: value.item() for name, value in terms.items()} == {
        "adv": pytest.approx(method.equation_1_generator(fake).item()),
        "cls": pytest.approx(2 * method.equation_3(fake.heads[0], targets).item()),
        "rec": pytest.approx(6 * 0.25 * method.equation_4(batch, edited).item()),
    }
    with_maps = changed(method, generator="warp", lambda_bend=1.0, lambda_stretch=1.0, lambda_fold=1.0, lambda_mask=1.0)
    more = with_maps.equation_5(batch, edit, edited, targets, step=0)
    assert set(more) - set(terms) == {"bend", "stretch", "fold", "mask"}


def test_equation_6_adds_its_terms_and_has_no_penalty_unless_asked(method: StarGAN) -> None:
    changed(method, lambda_cls=2.0)
    batch = batch_of([0, 1, 2, 3])
    edited = batch.images.flip(0)
    real, fake = method.critic(batch.images), method.critic(edited)
    expected = {
        "adv": pytest.approx(method.equation_1(real, fake).item()),
        "cls": pytest.approx(2 * method.equation_2(real, batch).item()),
    }
    terms = method.equation_6(batch, edited, step=0)
    assert {name: value.item() for name, value in terms.items()} == expected
    changed(method, penalty="r1", lambda_penalty=3.0, penalty_interval=2)
    r1 = r1_penalty(input_gradient(lambda x: method.critic(x).realness), batch.images).item()
    assert method.equation_6(batch, edited, step=4)["penalty"].item() == pytest.approx(6 * r1)
    assert "penalty" not in method.equation_6(batch, edited, step=5)
    assert "penalty" in changed(method, penalty="gradient").equation_6(batch, edited, step=4)


# --- targets -----------------------------------------------------------------------------------------------------


def test_different_targets_are_never_the_true_label_and_all_others_alike() -> None:
    torch.manual_seed(0)
    for label in range(4):
        counts = Counter(different_labels(torch.full((3000,), label), 4).tolist())
        assert counts[label] == 0
        others = [counts[k] for k in range(4) if k != label]
        assert sum((count - 1000) ** 2 / 1000 for count in others) < 13.8  # chi-square, 2 degrees, 99.9 %


@pytest.mark.parametrize("kind", ["permuted", "different", "uniform"])
def test_targets_are_drawn_as_configured(method: StarGAN, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    changed(method, targets=kind)
    asked = []
    forward = ResidualGenerator.forward
    monkeypatch.setattr(ResidualGenerator, "forward", lambda self, x, c: (asked.append(c), forward(self, x, c))[1])
    labels = [0, 0, 0, 0, 0, 0, 1, 2]
    for step in range(30):
        next(method.updates(batch_of(labels), step))
    targets = torch.stack(asked).argmax(2)
    if kind == "permuted":
        assert all(sorted(row) == labels for row in targets.tolist())
    elif kind == "different":
        assert not (targets == torch.tensor(labels)).any()
    else:
        assert (targets == 3).float().mean().item() == pytest.approx(0.25, abs=0.1)


# --- the algorithm -----------------------------------------------------------------------------------------------


def test_each_players_losses_leave_the_other_alone(method: StarGAN) -> None:
    owned = {player: {id(p) for p in parameters} for player, parameters in method.players().items()}
    for player, terms in method.updates(batch_of([0, 1, 2, 3]), 0):
        method.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        assert {id(p) for p in method.parameters() if p.grad is not None} == owned[player]
    assert set(owned) == {"critic", "generator"}


def test_the_generator_moves_after_as_many_critic_steps_as_configured(method: StarGAN) -> None:
    batch = batch_of([0, 1, 2, 3])
    assert [player for player, _ in method.updates(batch, 0)] == ["critic", "generator"]
    order = [player for step in range(3) for player, _ in changed(method, critic_steps=3).updates(batch, step)]
    assert order == ["critic", "critic", "critic", "generator"]


def test_the_space_is_the_labels_and_reading_gives_their_probabilities(method: StarGAN) -> None:
    assert method.space() == LabelSpace(("anger", "happy", "sad", "surprise"))
    reading = method.read(batch_of([0, 1]).images)
    assert torch.allclose(reading.probabilities.sum(1), torch.ones(2))
    assert torch.equal(reading.probabilities, reading.codes)


@pytest.mark.parametrize(
    ("settings", "says_what"),
    [
        ({"expressions": ("happy",)}, "two or more different names"),
        ({"expressions": ("happy", "joy")}, "two or more different names"),
        ({"image_size": 6}, "a multiple of 4, from 8"),
        ({"image_channels": 4}, "1 (grey) or 3 (RGB)"),
        ({"targets": "shuffled"}, "one of permuted, different, uniform"),
        ({"critic_steps": 0}, "1 or more"),
        ({"learning_rate": -1.0}, "above 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_what_is_allowed(settings: dict[str, Any], says_what: str) -> None:
    with pytest.raises(ConfigError) as error:
        StarGANConfig(**settings)
    assert says_what in error.value.hint
