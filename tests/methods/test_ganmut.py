"""GANmut: every equation against a case worked out by hand, and one test for each official bug that touched training."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mien.errors import ConfigError, WeightsError
from mien.expressions import VOCABULARY
from mien.losses import bending, folding, r1_penalty, stretching
from mien.methods import ganmut
from mien.methods.base import Batch, frozen
from mien.methods.ganmut import Draw, GANmut, GANmutConfig, codes_of, directions, draw_codes, into_disc
from mien.networks import CriticOutput, Edit


def batch_of(count: int = 8, labels: list[int] | None = None) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 1, 16, 16, generator=generator) * 2 - 1
    return Batch(images, torch.tensor(labels if labels is not None else [i % 7 for i in range(count)]))


def says(probabilities: list[list[float]], coordinates: list[list[float]] | None = None) -> CriticOutput:
    """Return what a critic would say: class probabilities over the first classes, the rest being impossible."""
    logits = torch.full((len(probabilities), 7), -1e4)
    for row, values in zip(logits, probabilities, strict=True):
        row[: len(values)] = torch.tensor(values).log()
    places = torch.tensor(coordinates) if coordinates else torch.zeros(len(probabilities), 2)
    return CriticOutput(torch.zeros(len(probabilities), 1, 2, 2), (logits, places))


def drawn(labels: list[int], radius: list[float], free: int) -> Draw:
    count = len(labels)
    direction = torch.tensor([[0.0, 1.0]]).expand(count, 2)
    return Draw(torch.tensor(labels), torch.tensor(radius), torch.zeros(count, 2), torch.arange(count) < free, direction)


class FixedCritic(nn.Module):
    """Say the same of any images."""

    def __init__(self, output: CriticOutput) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: Tensor) -> CriticOutput:
        count = len(images)
        return CriticOutput(self.output.realness[:count], tuple(head[:count] for head in self.output.heads))


class RecordingGenerator(nn.Module):
    """Change nothing, and keep the codes that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[Tensor] = []

    def forward(self, images: Tensor, codes: Tensor) -> Edit:
        self.codes.append(codes.detach())
        return Edit(torch.zeros(len(images), 2, *images.shape[-2:]), torch.zeros_like(images))


@pytest.fixture
def method(tiny_ganmut: GANmutConfig) -> GANmut:
    torch.manual_seed(0)
    return GANmut(tiny_ganmut)


def changed(method: GANmut, **settings: Any) -> GANmut:
    """Return the method with some settings changed, and its networks kept."""
    method.config = dataclasses.replace(method.config, **settings)
    return method


# --- the conditional space ---------------------------------------------------------------------------------------


def test_defaults_are_the_official_constants() -> None:
    assert GANmutConfig() == GANmutConfig(
        expressions=("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger"),
        image_size=128, image_channels=3, generator="residual", generator_channels=64, generator_blocks=6,
        critic_channels=64, critic_layers=6, adversarial="wasserstein", penalty="gradient", penalty_patches="sum",
        penalty_interval=1, critic_steps=5, targets="permuted", soft_labels=False, threshold=0.2, noise=0.075,
        num_free_codes=5, free_radius="label", axes="small", cycle="label", lambda_cls=1.0, lambda_rec=10.0,
        lambda_info_critic=1.0, lambda_info_generator=1.0, lambda_rho=1.0, lambda_penalty=10.0, rec_share=1.0,
        rec_ramp_steps=0, lambda_bend=0.0, lambda_stretch=0.0, lambda_fold=0.0, lambda_mask=0.0, learning_rate=1e-4,
        betas=(0.5, 0.999),
    )  # fmt: skip


def test_radii_are_above_the_threshold_for_expressions_and_below_it_for_neutral() -> None:
    torch.manual_seed(0)
    labels = torch.arange(20_000) % 2
    draw = draw_codes(labels, GANmutConfig())
    for label, low, high in ((0, 0.0, 0.2), (1, 0.2, 1.0)):
        radius = draw.radius[labels == label]
        assert low <= radius.min().item() < low + 0.01 < high - 0.01 < radius.max().item() <= high
        assert radius.mean().item() == pytest.approx((low + high) / 2, abs=0.01)


def test_noise_is_on_labelled_codes_and_has_the_official_width() -> None:
    torch.manual_seed(0)
    draw = draw_codes(torch.ones(20_000, dtype=torch.long), GANmutConfig())
    assert draw.free.tolist() == [True] * 5 + [False] * 19_995
    assert not draw.noise[:5].any()
    assert draw.noise[5:].std(dim=0).tolist() == pytest.approx([0.075, 0.075], abs=0.002)
    assert draw.noise[5:].mean(dim=0).tolist() == pytest.approx([0.0, 0.0], abs=0.003)


def test_free_codes_point_everywhere_alike_and_their_radius_is_as_configured() -> None:
    torch.manual_seed(0)
    labels = torch.zeros(20_001, dtype=torch.long)  # neutral, whose own radius is below 0.2
    for kind, highest in (("label", 0.2), ("uniform", 1.0)):
        draw = draw_codes(labels, GANmutConfig(num_free_codes=20_000, free_radius=kind))  # pyright: ignore
        codes = codes_of(draw, torch.eye(2))[:-1]
        assert codes.norm(dim=1).max().item() == pytest.approx(highest, abs=0.01)
        assert codes.norm(dim=1).mean().item() == pytest.approx(highest / 2, abs=0.01)
        quadrants = Counter(map(tuple, (codes > 0).tolist()))
        assert all(count == pytest.approx(5000, abs=250) for count in quadrants.values())


def test_codes_are_radius_times_direction_plus_noise() -> None:
    axes = torch.tensor([[3.0, 0.0], [0.0, -1e-4]])  # lengths do not matter
    draw = Draw(
        labels=torch.tensor([1, 0, 1, 2]), radius=torch.tensor([0.5, 0.1, 0.8, 1.0]),
        noise=torch.tensor([[0.0, 0.0], [0.03, -0.04], [0.1, 0.1], [0.0, 0.0]]),
        free=torch.tensor([True, False, False, False]), free_direction=torch.tensor([[-0.6, 0.8]]).expand(4, 2),
    )  # fmt: skip
    expected = [[-0.3, 0.4], [0.03, -0.04], [0.9, 0.1], [0.0, -1.0]]  # neutral's radius has no direction to go in
    assert torch.allclose(codes_of(draw, axes), torch.tensor(expected), atol=1e-6)


def test_codes_outside_the_disc_are_pulled_to_its_rim() -> None:
    assert into_disc(torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])).tolist() == [
        pytest.approx([0.6, 0.8]), pytest.approx([0.3, 0.4]), [0.0, 0.0],
    ]  # fmt: skip


def test_spread_axes_are_unit_vectors_60_degrees_apart() -> None:
    method = GANmut(GANmutConfig(image_size=16, critic_layers=2, critic_channels=4, generator_channels=4, axes="spread"))
    assert torch.allclose(method.axes.norm(dim=1), torch.ones(6))
    angles = sorted(math.degrees(angle) for angle in method.space().angles_radians)
    assert angles == pytest.approx([0, 60, 120, 180, 240, 300], abs=1e-3)


def test_small_axes_are_tiny_and_still_have_directions() -> None:
    torch.manual_seed(0)
    axes = ganmut.initial_axes("small", 6)
    assert 0 < axes.abs().max().item() <= 1e-4 / math.sqrt(2)
    assert torch.allclose(directions(axes)[1:].norm(dim=1), torch.ones(6))
    assert not directions(axes)[0].any()


def test_the_space_has_the_learned_angles_and_the_papers_threshold(method: GANmut) -> None:
    with torch.no_grad():
        method.axes.copy_(torch.tensor([[2.0, 0], [0, 5], [-1, 0], [0, -1], [1, 1], [-3, -3]]))
    space = changed(method, threshold=0.3).space()
    assert [math.degrees(a) for a in space.angles_radians] == pytest.approx([0, 90, 180, 270, 45, 225], abs=1e-3)
    assert space.neutral_radius == 0.3
    with torch.no_grad():
        method.axes[2] = math.nan
    with pytest.raises(WeightsError, match="diverged"):
        method.space()


# --- equations ---------------------------------------------------------------------------------------------------


def test_equation_2_is_the_wasserstein_loss() -> None:
    method = GANmut(GANmutConfig(image_size=16, critic_layers=2, critic_channels=4, generator_channels=4))
    real = CriticOutput(torch.tensor([1.0, 2.0, 3.0, 6.0]).reshape(1, 1, 2, 2), ())
    fake = CriticOutput(torch.tensor([-1.0, 0.0, 0.0, 3.0]).reshape(1, 1, 2, 2), ())
    assert method.equation_2(real, fake).item() == pytest.approx(0.5 - 3.0)
    assert method.equation_2_generator(fake).item() == pytest.approx(-0.5)


def test_equation_3_is_the_cross_entropy_of_the_labelled_codes(method: GANmut) -> None:
    fake = says([[0.9, 0.1], [0.9, 0.1], [0.25, 0.75], [0.5, 0.5]])
    draw = drawn([1, 1, 1, 0], [0.5] * 4, free=2)
    assert method.equation_3(fake, draw).item() == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2, rel=1e-5)


@pytest.mark.parametrize("free", [0, 1, 3])
def test_official_bug_free_codes_are_left_out_by_their_number_and_not_by_a_hard_coded_5(
    method: GANmut, free: int
) -> None:
    probabilities = [0.1, 0.2, 0.4, 0.8]
    fake = says([[1 - p, p] for p in probabilities])
    loss = changed(method, num_free_codes=free).equation_3(fake, drawn([1] * 4, [0.5] * 4, free))
    assert loss.item() == pytest.approx(-sum(map(math.log, probabilities[free:])) / (4 - free), rel=1e-5)


def test_equation_4_takes_labels_or_votes(method: GANmut) -> None:
    real = says([[0.25, 0.75], [0.5, 0.5]])
    votes = torch.zeros(2, 7)
    votes[0, :2], votes[1, 1] = 0.5, 1.0
    batch = dataclasses.replace(batch_of(2, [1, 0]), shares=votes)
    assert method.equation_4(real, batch).item() == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2, rel=1e-5)
    by_votes = (-0.5 * math.log(0.25) - 0.5 * math.log(0.75) - math.log(0.5)) / 2
    assert changed(method, soft_labels=True).equation_4(real, batch).item() == pytest.approx(by_votes, rel=1e-4)


def test_equation_5_is_the_mean_over_both_coordinates(method: GANmut) -> None:
    fake = says([[1.0], [1.0]], [[1.0, 0.0], [0.0, 0.0]])
    codes = torch.tensor([[0.0, 0.0], [0.6, 0.8]])
    assert method.equation_5(fake, codes).item() == pytest.approx((1.0 + 0.36 + 0.64) / 4)


def test_equation_6_counts_codes_beyond_the_threshold_free_ones_too(method: GANmut) -> None:
    fake = says([[0.25, 0.75], [0.6, 0.4], [0.5, 0.5], [0.9, 0.1]])
    draw = drawn([1, 1, 1, 0], [0.5, 1.0, 0.2, 0.1], free=1)  # 0.2 is not beyond 0.2
    assert method.equation_6(fake, draw).item() == pytest.approx((0.25**2 + 0.4**2) / 2, rel=1e-5)


def test_equation_7_goes_back_along_the_true_labels_axis_by_the_largest_probability(method: GANmut) -> None:
    method.critic, method.generator = FixedCritic(says([[0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])), RecordingGenerator()
    with torch.no_grad():
        method.axes.zero_()
        method.axes[0], method.axes[1] = torch.tensor([2.0, 0.0]), torch.tensor([0.0, -0.5])
    batch = batch_of(3, [1, 2, 0])
    loss = method.equation_7(batch, batch.images + 0.1)
    assert torch.allclose(method.generator.codes[0], torch.tensor([[0.8, 0.0], [0.0, -0.7], [0.0, 0.0]]), atol=1e-6)
    unclamped = (batch.images + 0.1).clamp(-1, 1) - batch.images
    assert loss.item() == pytest.approx(unclamped.abs().mean().item(), abs=1e-5)


def test_equation_7_as_printed_goes_back_to_where_the_critic_reads_the_photo(method: GANmut) -> None:
    method.critic = FixedCritic(says([[1.0], [1.0]], [[0.3, -0.2], [3.0, 4.0]]))
    method.generator = RecordingGenerator()
    batch = batch_of(2, [1, 1])
    changed(method, cycle="coordinates").equation_7(batch, batch.images)
    assert torch.allclose(method.generator.codes[0], torch.tensor([[0.3, -0.2], [0.6, 0.8]]), atol=1e-6)


@pytest.mark.parametrize(("share", "count"), [(1.0, 8), (0.5, 4), (0.01, 1)])
def test_equation_7_may_be_taken_on_a_share_of_the_batch(method: GANmut, share: float, count: int) -> None:
    method.critic, method.generator = FixedCritic(says([[1.0]] * 8)), RecordingGenerator()
    batch = batch_of(8)
    changed(method, rec_share=share).equation_7(batch, batch.images)
    assert len(method.generator.codes[0]) == count


def test_equation_8_adds_its_terms_with_their_weights_and_the_penalty_with_a_plus(method: GANmut) -> None:
    changed(method, lambda_cls=2.0, lambda_info_critic=3.0, lambda_penalty=5.0, penalty_interval=4)
    batch, codes = batch_of(), torch.rand(8, 2)
    edited = batch.images.flip(0)
    real, fake = method.critic(batch.images), method.critic(edited)
    terms = {name: value.item() for name, value in method.equation_8(batch, edited, codes, step=8).items()}
    r1 = r1_penalty(lambda x: method.critic(x).realness, batch.images).item()
    assert r1 > 0
    assert terms == {
        "adv": pytest.approx(method.equation_2(real, fake).item()),
        "cls": pytest.approx(2 * method.equation_4(real, batch).item()),
        "info": pytest.approx(3 * method.equation_5(fake, codes).item()),
        "penalty": pytest.approx(5 * 4 * r1),  # every fourth step, four times as heavy
    }
    for step in (9, 10, 11):
        assert "penalty" not in method.equation_8(batch, edited, codes, step)
    assert "penalty" not in changed(method, penalty="none").equation_8(batch, edited, codes, 8)


def test_equation_9_adds_its_terms_with_their_weights(method: GANmut) -> None:
    changed(
        method, lambda_cls=2.0, lambda_info_generator=3.0, lambda_rho=4.0, lambda_rec=6.0, rec_ramp_steps=10,
        lambda_bend=7.0, lambda_stretch=8.0, lambda_fold=9.0, lambda_mask=11.0,
    )  # fmt: skip
    batch, draw = batch_of(), drawn([1, 2, 3, 4, 5, 6, 0, 1], [0.5] * 8, free=2)
    codes = codes_of(draw, method.axes)
    edited = batch.images.flip(0)
    edit = Edit(torch.rand(8, 2, 16, 16), torch.rand(8, 1, 16, 16))
    fake = method.critic(edited)
    expected = {
        "adv": method.equation_2_generator(fake),
        "cls": 2 * method.equation_3(fake, draw),
        "info": 3 * method.equation_5(fake, codes),
        "rho": 4 * method.equation_6(fake, draw),
        "rec": 6 * 0.5 * method.equation_7(batch, edited),  # the fifth of ten steps of the ramp
        "bend": 7 * bending(edit.displacement),
        "stretch": 8 * stretching(edit.displacement),
        "fold": 9 * folding(edit.displacement),
        "mask": 11 * edit.delta.abs().mean(),
    }
    terms = method.equation_9(batch, edit, edited, codes, draw, step=4)
    assert {name: value.item() for name, value in terms.items()} == {
        name: pytest.approx(value.item(), rel=1e-5) for name, value in expected.items()
    }
    later = method.equation_9(batch, edit, edited, codes, draw, step=500)
    assert later["rec"].item() == pytest.approx(2 * terms["rec"].item(), rel=1e-5)


# --- what learns from what ---------------------------------------------------------------------------------------


def test_axes_learn_from_equation_5_through_the_code_itself(method: GANmut) -> None:
    """With a critic that reads always (0, 0), L_info = |z|^2 / 2 on average; noise makes it depend on the direction."""
    draw = drawn([1, 1], [0.5, 0.5], free=0)._replace(noise=torch.tensor([[0.0, 0.2], [0.0, 0.2]]))
    codes = codes_of(draw, method.axes)
    method.equation_5(says([[1.0], [1.0]]), codes).backward()
    # d_1 = (1, 0); moving it by da in y changes z to (0.5, 0.2 + 0.5 da): d(|z|^2 / 2)/da = 0.2 * 0.5.
    assert method.axes.grad is not None
    assert method.axes.grad[0].tolist() == pytest.approx([0.0, 0.1], abs=1e-6)
    assert not method.axes.grad[1:].any()


def test_axes_learn_from_equation_3_through_the_generator(method: GANmut) -> None:
    batch, draw = batch_of(), drawn([1, 1, 1, 2, 3, 4, 5, 0], [0.7] * 8, free=2)
    edited = ganmut.apply_edit(batch.images, method.generator(batch.images, codes_of(draw, method.axes)))
    with frozen(method.critic):
        method.equation_3(method.critic(edited), draw).backward()
    assert method.axes.grad is not None
    moved = method.axes.grad.norm(dim=1) > 0
    assert moved.tolist() == [True, True, True, True, True, False]  # nobody asked for anger


def play(method: GANmut, step: int) -> dict[str, Any]:
    """Run one step without moving anything; return for each player what had a gradient after its losses."""
    torch.manual_seed(5)
    found = {}
    for player, terms in method.updates(batch_of(), step):
        method.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        found[player] = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None}
    return found


def test_the_critics_losses_leave_the_generator_alone_and_the_generators_the_critic(method: GANmut) -> None:
    found = play(method, step=1)
    assert found == {"critic": {"critic"}, "generator": {"generator", "axes"}}
    assert all(parameter.requires_grad for parameter in method.parameters())  # `frozen` has let go again


def test_every_parameter_has_a_player_and_a_gradient(method: GANmut) -> None:
    players = method.players()
    owned = [id(p) for parameters in players.values() for p in parameters]
    assert sorted(owned) == sorted(id(p) for p in method.parameters())
    torch.manual_seed(5)
    for player, terms in method.updates(batch_of(), 1):
        method.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        assert all(p.grad is not None for p in players[player]), player


def test_the_critic_moves_every_step_and_the_generator_every_fifth(method: GANmut) -> None:
    changed(method, critic_steps=5)
    order = [[player for player, _ in method.updates(batch_of(), step)] for step in range(10)]
    assert order == ([["critic"]] * 4 + [["critic", "generator"]]) * 2


def test_steps_of_the_critic_alone_build_no_graph_through_the_generator(
    method: GANmut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official code builds it four times out of five, and throws it away."""
    built = []
    forward = type(method.generator).forward

    def watched(self: nn.Module, images: Tensor, codes: Tensor) -> Edit:
        edit = forward(self, images, codes)  # pyright: ignore[reportArgumentType]
        built.append(edit.delta.requires_grad)
        return edit

    monkeypatch.setattr(type(method.generator), "forward", watched)
    list(method.updates(batch_of(), 0))
    assert built == [False]
    built.clear()
    list(method.updates(batch_of(), 1))
    assert built == [True, True]  # the edit, and the way back


def test_losses_of_a_step_follow_from_the_seed(method: GANmut) -> None:
    def losses() -> list[dict[str, float]]:
        torch.manual_seed(11)
        return [{k: v.item() for k, v in terms.items()} for _, terms in method.updates(batch_of(), 1)]

    assert losses() == losses()


def test_a_generator_step_against_the_gradient_lowers_its_loss(method: GANmut) -> None:
    """What the terms say is what moves: one small step down the sum's gradient makes the sum smaller."""
    changed(method, rec_share=1.0)

    def total() -> Tensor:
        torch.manual_seed(5)
        return torch.stack(list(dict(method.updates(batch_of(), 1))["generator"].values())).sum()

    before = total()
    before.backward()
    with torch.no_grad():
        for parameter in method.players()["generator"]:
            assert parameter.grad is not None
            parameter -= 1e-4 * parameter.grad / parameter.grad.norm().clamp_min(1e-6)
    assert total().item() < before.item()


def test_reading_gives_probabilities_and_a_place_on_the_disc(method: GANmut) -> None:
    nn.init.constant_(method.critic.heads[1].weight, 5.0)  # type: ignore[arg-type]  # reads far outside
    reading = method.read(batch_of().images)
    assert torch.allclose(reading.probabilities.sum(1), torch.ones(8))
    assert reading.codes.norm(dim=1).max().item() <= 1 + 1e-6


# --- official bugs -----------------------------------------------------------------------------------------------


def test_official_bug_1_a_batch_of_neutral_targets_is_no_nan(method: GANmut) -> None:
    draw = drawn([0] * 4, [0.1] * 4, free=2)
    assert method.equation_6(says([[1.0]] * 4), draw).item() == 0.0
    for _, terms in method.updates(batch_of(8, [0] * 8), 1):
        assert all(torch.isfinite(value) for value in terms.values())


def test_official_bug_1_a_batch_without_labelled_codes_is_refused(method: GANmut) -> None:
    with pytest.raises(ConfigError, match="a batch of 5 has no room for 5 free codes and a labelled one") as error:
        draw_codes(torch.ones(5, dtype=torch.long), GANmutConfig())
    assert "raise batch_size" in error.value.hint


def test_official_bug_2_the_way_back_has_no_noise_and_no_random_directions(method: GANmut) -> None:
    """The official cycle reuses the training-time sampler, whose first five codes are random and others noisy."""
    method.critic, method.generator = FixedCritic(says([[0.1, 0.9]] * 8)), RecordingGenerator()
    batch = batch_of(8, [1] * 8)
    for seed in range(3):
        torch.manual_seed(seed)
        method.equation_7(batch, batch.images)
    assert torch.allclose(torch.cat(method.generator.codes), 0.9 * directions(method.axes)[1].expand(24, 2))


def test_official_bug_7_any_number_of_expressions_works(tiny_ganmut: GANmutConfig) -> None:
    for names in (VOCABULARY, ("neutral", "happy", "sad")):
        method = GANmut(dataclasses.replace(tiny_ganmut, expressions=names))
        labels = torch.arange(8) % len(names)
        for _, terms in method.updates(dataclasses.replace(batch_of(), labels=labels), 1):
            assert all(torch.isfinite(value) for value in terms.values())
        assert method.space().expressions == names


def test_official_bug_12_there_is_no_setting_that_nothing_reads() -> None:
    source = inspect.getsource(ganmut)
    body = source.partition("class GANmut(Method)")[2] + source.partition("def draw_codes")[2].partition("class ")[0]
    loops_own = {"betas", "learning_rate"}  # read by mien.training
    for field in dataclasses.fields(GANmutConfig):
        assert f"config.{field.name}" in body or field.name in loops_own, field.name


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says_what"),
    [
        ({"expressions": ("happy", "neutral", "sad")}, "expressions must be neutral first"),
        ({"expressions": ("neutral", "happy")}, "three or more different names"),
        ({"expressions": ("neutral", "happy", "joy")}, "three or more different names"),
        ({"image_channels": 2}, "1 (grey) or 3 (RGB)"),
        ({"image_size": 50}, "image_size must be a multiple of 4, from 8"),
        ({"image_size": 4}, "from 8"),
        ({"threshold": 1.0}, "below 1"),
        ({"noise": -0.1}, "0 or more"),
        ({"num_free_codes": -1}, "0 or more"),
        ({"critic_steps": 0}, "1 or more"),
        ({"penalty_interval": 0}, "1 or more"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": math.nan}, "above 0"),
        ({"rec_share": 0.0}, "above 0 and at most 1"),
        ({"betas": (0.5,)}, "two numbers"),
        ({"penalty": "r2"}, "one of none, gradient, r1"),
        ({"generator": "unet"}, "one of residual, warp"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_what_is_allowed(settings: dict[str, Any], says_what: str) -> None:
    with pytest.raises(ConfigError) as error:
        GANmutConfig(**settings)
    assert next(iter(settings)) in str(error.value)
    assert says_what in error.value.hint
