"""Gaussian GANmut: its plane, every loss against a case worked out by hand, and who learns from what."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from ganmut_cases import WARP_TERMS, unread_settings
from torch import Tensor, nn

from mien.conditions import Condition
from mien.critics import CriticOutput
from mien.edit_maps import Edit
from mien.errors import ConfigError, WeightsError
from mien.expressions import BASIC, VOCABULARY
from mien.losses import bending, input_gradient, r1_penalty
from mien.methods import ganmut_gaussian, generator
from mien.methods.base import Batch, Part, frozen
from mien.methods.ganmut_gaussian import (
    LEAST_WIDTH,
    Draw,
    GaussianGANmut,
    GaussianGANmutConfig,
    codes_of,
    distances,
    draw_codes,
)
from mien.networks import count_parameters

CPU = torch.device("cpu")


@pytest.fixture
def config() -> GaussianGANmutConfig:
    """Return a method small enough for a step in a few milliseconds, with every loss term switched on."""
    return GaussianGANmutConfig(
        image_size=16, image_channels=1, generator="warp", generator_channels=8, generator_blocks=1,
        critic_channels=8, critic_layers=2, critic_steps=2, centres="spread", initial_width=0.1, penalty="r1",
        penalty_interval=2, adversarial="non-saturating", lambda_info_generator=1.0, lambda_bend=1.0, learning_rate=1e-3,
    )  # fmt: skip


@pytest.fixture
def method(config: GaussianGANmutConfig) -> GaussianGANmut:
    torch.manual_seed(0)
    return GaussianGANmut(config)


def changed(method: GaussianGANmut, **settings: Any) -> GaussianGANmut:
    """Return the method with some settings changed, and its networks kept."""
    method.config = dataclasses.replace(method.config, **settings)
    return method


def batch_of(count: int = 10) -> Batch:
    images = torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch(images, torch.arange(count) % 7)


def says(logits: Tensor, places: Tensor | None = None) -> CriticOutput:
    count = len(logits)
    return CriticOutput(torch.zeros(count, 1, 2, 2), (logits, torch.zeros(count, 2) if places is None else places))


def set_gaussians(method: GaussianGANmut, centres: list[list[float]], angles: list[float], widths: list[list[float]]):
    """Give the method these centres, angles and widths, the least one included."""
    for parameter, values in (
        (method.mu, torch.tensor(centres, dtype=torch.float32).atanh()),
        (method.angles, torch.tensor(angles, dtype=torch.float32)),
        (method.axes, torch.tensor(widths) - LEAST_WIDTH),
    ):
        parameter.data = values


# --- the conditional space ---------------------------------------------------------------------------------------


def test_defaults_are_the_official_settings() -> None:
    settings = dataclasses.asdict(GaussianGANmutConfig())
    official = {
        "image_size": 128, "generator_channels": 64, "generator_blocks": 6, "critic_channels": 64, "critic_layers": 6,
        "adversarial": "wasserstein", "penalty": "gradient", "penalty_patches": "sum", "critic_steps": 5,
        "codes_per_expression": 1, "centres": "random", "initial_width": 1.0, "lambda_cls": 2.0,
        "lambda_prediction": 0.5, "lambda_rec": 10.0, "lambda_info_critic": 1.0, "lambda_info_generator": 0.0,
        "lambda_penalty": 10.0, "learning_rate": 1e-4, "betas": (0.5, 0.999),
    }  # fmt: skip
    assert {name: settings[name] for name in official} == official


def test_it_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        method = GaussianGANmut(GaussianGANmutConfig())
    # The linear model's generator and critic; mu, angles and axes are 14 + 7 + 14 numbers beside the generator.
    assert count_parameters(method.generator) == 8_421_120
    assert count_parameters(method.critic) == 44_794_816
    assert sum(p.numel() for p in method.players()["generator"]) == 8_421_120 + 35


def test_the_first_codes_lie_on_the_centres_in_turn_and_the_others_anywhere() -> None:
    torch.manual_seed(0)
    draw = draw_codes(20_000, GaussianGANmutConfig(codes_per_expression=2), CPU)
    assert draw.labels[:14].tolist() == [*range(7), *range(7)]
    assert draw.free.tolist() == [False] * 14 + [True] * 19_986
    assert draw.num_labelled == 14
    mu = torch.randn(7, 2)
    codes = codes_of(draw, mu)
    assert torch.equal(codes[:14], mu.tanh().repeat(2, 1))
    free = codes[14:]
    assert -1 <= free.min().item() < -0.999 and 0.999 < free.max().item() <= 1
    assert free.mean(0).tolist() == pytest.approx([0, 0], abs=0.02)
    assert free.square().mean(0).tolist() == pytest.approx([1 / 3, 1 / 3], abs=0.01)  # the variance of U[-1, 1]
    assert (free[:, 0] * free[:, 1]).mean().item() == pytest.approx(0, abs=0.01)


def test_parts_of_a_batch_have_the_codes_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    whole = draw_codes(12, GaussianGANmutConfig(), CPU)
    parts = [whole.of(Part(index, 3)) for index in range(3)]
    assert torch.equal(torch.stack([part.places for part in parts], 1).flatten(0, 1), whole.places)
    assert [int((~part.free).sum()) for part in parts] == [3, 2, 2]
    assert sum(part.num_labelled for part in parts) == pytest.approx(7)


def test_a_batch_without_room_for_every_centre_is_refused() -> None:
    with pytest.raises(ConfigError, match="a batch of 6 has no room for 1 codes of each of 7") as error:
        draw_codes(6, GaussianGANmutConfig(), CPU)
    assert "raise batch_size to 7" in error.value.hint


def test_distances_by_hand() -> None:
    """Covariance diag(4, 1), then the same turned by a right angle and by 45 degrees, round (0.5, 0)."""
    centre = torch.tensor([0.5, 0.0], dtype=torch.float64).atanh().expand(3, 2)
    angles = torch.tensor([0.0, math.pi / 2, math.pi / 4], dtype=torch.float64)
    widths = torch.tensor([4.0, 1.0], dtype=torch.float64).expand(3, 2)
    codes = torch.tensor([[0.5, 0.0], [0.1, 0.0], [0.5, 0.6]], dtype=torch.float64)
    # 0.4 along x: 0.16 / 4; turned, 0.16 / 1; at 45 degrees half of 0.16 along each axis. 0.6 along y likewise.
    by_hand = [[0, 0, 0], [0.04, 0.16, 0.08 / 4 + 0.08], [0.36, 0.09, 0.18 / 4 + 0.18]]
    found = distances(codes, centre, angles, widths)
    torch.testing.assert_close(found, torch.tensor(by_hand, dtype=torch.float64), atol=1e-12, rtol=0)


def test_distances_are_those_of_the_covariance_r_diag_r_transposed() -> None:
    torch.manual_seed(3)
    mu, angles, widths = torch.randn(5, 2).double(), torch.randn(5).double(), torch.rand(5, 2).double() + 0.05
    codes = torch.rand(6, 2).double() * 2 - 1
    for k in range(5):
        turn = torch.tensor([[angles[k].cos(), -angles[k].sin()], [angles[k].sin(), angles[k].cos()]]).double()
        inverse = torch.linalg.inv(turn @ torch.diag(widths[k]) @ turn.T)
        away = codes - mu[k].tanh()
        by_matrices = ((away @ inverse) * away).sum(1)
        torch.testing.assert_close(distances(codes, mu, angles, widths)[:, k], by_matrices)


def test_the_plane_that_people_edit_on_is_the_one_that_was_trained(method: GaussianGANmut) -> None:
    torch.manual_seed(1)
    for parameter in (method.mu, method.angles, method.axes):
        nn.init.normal_(parameter)
    space, codes = method.space(), torch.rand(9, 2) * 2 - 1
    targets = (-distances(codes, method.mu, method.angles, method.widths())).softmax(1).detach()
    assert space.plane is not None
    np.testing.assert_allclose(space.plane.probabilities(codes.numpy()), targets, atol=1e-5)
    for k, name in enumerate(BASIC):
        code = space.code(Condition.named(name, 1.0))
        np.testing.assert_allclose(code, method.mu[k if k else 0].detach().tanh(), atol=1e-6)
    with torch.no_grad():
        method.mu[2] = math.nan
    with pytest.raises(WeightsError, match="diverged"):
        method.space()


def test_centres_start_apart_or_as_official() -> None:
    spread = ganmut_gaussian.initial_mu("spread", 7).tanh()
    assert not spread[0].any()
    torch.testing.assert_close(spread[1:].norm(dim=1), torch.full((6,), 0.6))
    assert torch.cdist(spread, spread).add(torch.eye(7)).min().item() == pytest.approx(0.6, abs=1e-5)
    torch.manual_seed(0)
    random = ganmut_gaussian.initial_mu("random", 10_000)
    edge = 1 / math.sqrt(2)
    assert 0.99 * edge < random.abs().max().item() <= edge
    assert random.abs().mean().item() == pytest.approx(edge / 2, abs=0.01)


# --- losses ------------------------------------------------------------------------------------------------------


def test_the_divergence_is_kullback_leibler_both_ways(method: GaussianGANmut) -> None:
    set_gaussians(method, [[0, 0], [0.5, 0], [0, 0.5]], [0, 0, 0], [[0.25, 0.25]] * 3)
    # At the first centre the squared distances are 0, 1, 1; the critic says a half and two quarters.
    p = np.exp([0.0, -1.0, -1.0])
    p, q = p / p.sum(), np.array([0.25, 0.5, 0.25])
    by_hand = float((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum())
    fake = says(torch.tensor(q).log()[None].float() + 3.0)  # logits may all be shifted
    assert method.divergence(fake, torch.zeros(1, 2)).item() == pytest.approx(by_hand, rel=1e-5)
    agreeing = says(torch.tensor(p).log()[None].float())
    both = says(torch.cat([fake.heads[0], agreeing.heads[0]]))
    assert method.divergence(both, torch.zeros(2, 2)).item() == pytest.approx(
        by_hand / 2, rel=1e-5
    )  # and the other is 0


def test_the_prediction_counts_the_codes_on_the_centres_only(method: GaussianGANmut) -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.98, 0.01, 0.01]])
    draw = Draw(torch.tensor([0, 1, 2, 0]), torch.tensor([False, False, False, True]), torch.zeros(4, 2), 3)
    by_hand = -(math.log(0.5) + math.log(0.8) + math.log(0.6)) / 3
    assert method.prediction(probabilities.log(), draw).item() == pytest.approx(by_hand, rel=1e-5)


def test_classification_takes_labels_or_votes(method: GaussianGANmut) -> None:
    real = says(torch.tensor([[0.25, 0.75, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9], [0.5, 0.5, *[1e-9] * 5]]).log())
    votes = torch.zeros(2, 7)
    votes[0, :2], votes[1, 1] = 0.5, 1.0
    batch = dataclasses.replace(batch_of(2), labels=torch.tensor([1, 0]), shares=votes)
    assert method.classification(real, batch).item() == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2, rel=1e-4)
    by_votes = (-0.5 * math.log(0.25) - 0.5 * math.log(0.75) - math.log(0.5)) / 2
    found = changed(method, soft_labels=True).classification(real, batch)
    assert found.item() == pytest.approx(by_votes, rel=1e-4)


def test_the_regression_is_the_mean_over_both_coordinates(method: GaussianGANmut) -> None:
    fake = says(torch.zeros(2, 7), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    codes = torch.tensor([[0.0, 0.0], [0.6, 0.8]])
    assert method.regression(fake, codes).item() == pytest.approx((1.0 + 0.36 + 0.64) / 4)


class Recording(nn.Module):
    """Change nothing, and keep the codes that were asked for."""

    codes: Tensor

    def forward(self, images: Tensor, codes: Tensor) -> Edit:
        self.codes = codes
        return Edit(torch.zeros(len(images), 2, *images.shape[-2:]), torch.zeros_like(images))


def test_the_way_back_starts_where_the_critic_reads_the_photo_on_the_square(
    method: GaussianGANmut, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = torch.tensor([[0.3, -0.9], [3.0, -4.0]])
    monkeypatch.setattr(method.critic, "forward", lambda images: says(torch.zeros(2, 7), places))
    setattr(method, "generator", recording := Recording())  # noqa: B010  # of another type
    batch = batch_of(2)
    darker = (batch.images - 0.25).clamp(-1, 1)
    loss = method.reconstruction(batch, darker)
    assert recording.codes.tolist() == [pytest.approx([0.3, -0.9]), [1.0, -1.0]]
    assert loss.item() == pytest.approx((batch.images - darker).abs().mean().item(), abs=1e-6)


def test_both_players_losses_are_their_terms_with_their_weights(method: GaussianGANmut) -> None:
    changed(
        method, lambda_cls=2.0, lambda_info_critic=3.0, lambda_penalty=5.0, lambda_prediction=0.7, lambda_rec=6.0,
        lambda_info_generator=4.0, lambda_bend=7.0, rec_ramp_steps=10, penalty_interval=4,
    )  # fmt: skip
    batch, draw = batch_of(), draw_codes(10, method.config, CPU)
    codes, edited = codes_of(draw, method.mu), batch.images.flip(0)
    real, fake = method.critic(batch.images), method.critic(edited)
    edit = Edit(torch.rand(10, 2, 16, 16), torch.rand(10, 1, 16, 16))
    wanted = {
        "adv": nn.functional.softplus(-real.realness).mean() + nn.functional.softplus(fake.realness).mean(),
        "cls": 2 * method.classification(real, batch),
        "info": 3 * method.regression(fake, codes),
        "penalty": 5 * 4 * r1_penalty(input_gradient(lambda x: method.critic(x).realness), batch.images),
    }
    found = method.critic_losses(batch, edited, codes, step=8)
    assert {name: value.item() for name, value in found.items()} == {
        name: pytest.approx(value.item(), rel=1e-5) for name, value in wanted.items()
    }
    wanted = {
        "adv": nn.functional.softplus(-fake.realness).mean(),
        "kl": 2 * method.divergence(fake, codes),
        "prediction": 0.7 * method.prediction(fake.heads[0], draw),
        "rec": 6 * 0.5 * method.reconstruction(batch, edited),  # the fifth of ten steps of the ramp
        "info": 4 * method.regression(fake, codes),
        "bend": 7 * bending(edit.displacement),
    }
    found = method.generator_losses(batch, edit, edited, codes, draw, step=4)
    assert {name: value.item() for name, value in found.items()} == {
        name: pytest.approx(value.item(), rel=1e-5) for name, value in wanted.items()
    }
    official = changed(method, lambda_info_generator=0.0).generator_losses(batch, edit, edited, codes, draw, step=4)
    assert "info" not in official


# --- what learns from what ---------------------------------------------------------------------------------------


def test_the_divergence_moves_centres_widths_and_turns(method: GaussianGANmut) -> None:
    set_gaussians(method, [[0, 0], [0.5, 0], [0, 0.5]], [0.3, 0.3, 0.3], [[0.4, 0.1]] * 3)
    # Edits to (0.3, 0.2) look like the second expression: it should come nearer and grow towards there.
    code, seen = torch.tensor([[0.3, 0.2]]), says(torch.tensor([[-5.0, 5.0, -5.0]]))
    method.divergence(seen, code).backward()
    assert method.mu.grad is not None and method.angles.grad is not None and method.axes.grad is not None
    assert (-method.mu.grad[1] @ torch.tensor([-0.2, 0.2])).item() > 0
    assert (method.axes.grad[1] < 0).all() and (method.axes.grad[0] > 0).all()
    assert method.angles.grad[1].abs().item() > 1e-4


def test_centres_learn_from_the_prediction_through_the_generator(method: GaussianGANmut) -> None:
    torch.manual_seed(0)
    batch, draw = batch_of(), draw_codes(10, method.config, CPU)
    _, _, edited = method.edited(batch, draw)
    with frozen(method.critic):
        method.prediction(method.critic(edited).heads[0], draw).backward()
    assert method.mu.grad is not None and (method.mu.grad.norm(dim=1) > 0).all()
    assert method.axes.grad is None  # only the divergence knows of widths


def test_a_width_of_zero_still_finds_its_way_back(method: GaussianGANmut) -> None:
    with torch.no_grad():
        method.axes[1] = 0.0
        method.axes[2] = -1e-6
    loss = method.divergence(says(torch.zeros(4, 7)), torch.rand(4, 2))
    loss.backward()
    assert torch.isfinite(loss) and method.axes.grad is not None and torch.isfinite(method.axes.grad).all()
    assert method.axes.grad[2].any()
    assert method.space().plane is not None


def test_every_parameter_has_a_player_and_a_gradient(method: GaussianGANmut) -> None:
    players = method.players()
    owned = [id(p) for parameters in players.values() for p in parameters]
    assert sorted(owned) == sorted(id(p) for p in method.parameters())
    torch.manual_seed(5)
    for player, terms in method.updates(batch_of(), 1):
        method.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        assert all((p.grad is not None) == any(p is q for q in players[player]) for p in method.parameters()), player


def test_the_critic_moves_every_step_and_the_generator_every_fifth(method: GaussianGANmut) -> None:
    changed(method, critic_steps=5)
    order = [[player for player, _ in method.updates(batch_of(), step)] for step in range(5)]
    assert order == [["critic"]] * 4 + [["critic", "generator"]]


# --- settings, official bugs -------------------------------------------------------------------------------------


def test_official_bug_7_any_number_of_expressions_works_on_the_plane(config: GaussianGANmutConfig) -> None:
    """The official covariances are for seven expressions, whatever c_dim says."""
    for names in (VOCABULARY, ("neutral", "happy", "sad")):
        method = GaussianGANmut(dataclasses.replace(config, expressions=names))
        batch = dataclasses.replace(batch_of(), labels=torch.arange(10) % len(names))
        for _, terms in method.updates(batch, 1):
            assert all(torch.isfinite(value) for value in terms.values())
        assert method.space().expressions == names


def test_official_bug_12_there_is_no_setting_of_the_gaussian_model_that_nothing_reads() -> None:
    of_the_loop = {"betas", "critic_rate", "hide_beyond", "learning_rate"}
    assert unread_settings(GaussianGANmutConfig, ganmut_gaussian) == of_the_loop
    # Those that are checked as well would be missed, too, if nothing else read them.
    assert unread_settings(GaussianGANmutConfig, ganmut_gaussian, generator.warp_terms) == of_the_loop | WARP_TERMS


@pytest.mark.parametrize(
    ("settings", "says_what"),
    [
        ({"expressions": ("happy", "neutral", "sad")}, "neutral first"),
        ({"expressions": ("neutral", "happy", "joy")}, "three or more different names"),
        ({"codes_per_expression": 0}, "1 or more"),
        ({"initial_width": 0.0}, "above 0"),
        ({"initial_width": math.nan}, "above 0"),
        ({"centres": "circle"}, "one of random, spread"),
        ({"lambda_prediction": -1.0}, "0 or more"),
        ({"image_size": 50}, "a multiple of 4"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_what_is_allowed(settings: dict[str, Any], says_what: str) -> None:
    with pytest.raises(ConfigError) as error:
        GaussianGANmutConfig(**settings)
    assert next(iter(settings)) in str(error.value)
    assert says_what in error.value.hint
