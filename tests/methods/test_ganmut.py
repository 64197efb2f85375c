"""GANmut: its space, its settings, and every equation against a case worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from ganmut_cases import batch_of, changed, drawn, says, with_stand_ins

from mien.critics import CriticOutput
from mien.edit_maps import Edit
from mien.errors import ConfigError, WeightsError
from mien.face_windows import eyes_window, mouth_window, nose_window
from mien.losses import (
    bending,
    conformal_distortion,
    folding,
    input_gradient,
    light_asymmetry,
    light_edges,
    light_energy,
    r1_penalty,
    strain,
    stretching,
)
from mien.methods.disc_codes import Draw, codes_of, directions, initial_axes, into_disc
from mien.methods.ganmut import GANmut, GANmutConfig, draw_codes


@pytest.fixture
def method(tiny_ganmut: GANmutConfig) -> GANmut:
    torch.manual_seed(0)
    return GANmut(tiny_ganmut)


# --- the conditional space ---------------------------------------------------------------------------------------


def test_defaults_are_the_official_constants() -> None:
    assert GANmutConfig() == GANmutConfig(
        expressions=("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger"),
        image_size=128, image_channels=3, generator="residual", generator_channels=64, generator_blocks=6,
        critic_channels=64, critic_layers=6, adversarial="wasserstein", penalty="gradient", penalty_patches="sum",
        penalty_interval=1, critic_steps=5, targets="permuted", soft_labels=False, graded=0.0, threshold=0.2,
        noise=0.075, num_free_codes=5, free_radius="label", axes="small", cycle="label", lambda_cls=1.0, lambda_rec=10.0,
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
        num_labelled=3, num_counted=torch.tensor(3.0),
    )  # fmt: skip
    expected = [[-0.3, 0.4], [0.03, -0.04], [0.9, 0.1], [0.0, -1.0]]  # neutral's radius has no direction to go in
    assert torch.allclose(codes_of(draw, axes), torch.tensor(expected), atol=1e-6)


def test_codes_outside_the_disc_are_pulled_to_its_rim() -> None:
    assert into_disc(torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])).tolist() == [
        pytest.approx([0.6, 0.8]), pytest.approx([0.3, 0.4]), [0.0, 0.0],
    ]  # fmt: skip


def test_spread_axes_are_unit_vectors_60_degrees_apart() -> None:
    method = GANmut(
        GANmutConfig(image_size=16, critic_layers=2, critic_channels=4, generator_channels=4, axes="spread")
    )
    assert torch.allclose(method.axes.norm(dim=1), torch.ones(6))
    angles = sorted(math.degrees(angle) for angle in method.space().angles_radians)
    assert angles == pytest.approx([0, 60, 120, 180, 240, 300], abs=1e-3)


def test_small_axes_are_tiny_and_still_have_directions() -> None:
    torch.manual_seed(0)
    axes = initial_axes("small", 6)
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
    assert method.equation_3(fake.heads[0], draw).item() == pytest.approx(
        (-math.log(0.75) - math.log(0.5)) / 2, rel=1e-5
    )


def test_equation_3_when_graded_asks_for_as_much_of_the_label_as_the_radius_says(method: GANmut) -> None:
    graded = changed(method, graded=1.0, lambda_rho=0.0)
    fake = says([[0.9, 0.1], [0.25, 0.75], [0.5, 0.5], [0.2, 0.8]])
    draw = drawn(
        [1, 1, 0, 1], [1.0, 0.6, 0.1, 1.0], free=1
    )  # the first has no label; the third is neutral at any radius
    by_hand = [-0.6 * math.log(0.75) - 0.4 * math.log(0.25), -math.log(0.5), -math.log(0.8)]
    assert graded.equation_3(fake.heads[0], draw).item() == pytest.approx(sum(by_hand) / 3, rel=1e-5)
    exact = says(
        [[0.9, 0.1], [0.4, 0.6], [1.0, 1e-30], [1e-30, 1.0]]
    )  # nothing is left to gain where D_cls says just that
    entropy = -0.6 * math.log(0.6) - 0.4 * math.log(0.4)
    assert graded.equation_3(exact.heads[0], draw).item() == pytest.approx(entropy / 3, rel=1e-5)
    by_hand[0] = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)  # 0.6 of 0.8
    assert changed(method, graded=0.8, lambda_rho=0.0).equation_3(fake.heads[0], draw).item() == pytest.approx(
        sum(by_hand) / 3, rel=1e-5
    )


@pytest.mark.parametrize("free", [0, 1, 3])
def test_official_bug_free_codes_are_left_out_by_their_number_and_not_by_a_hard_coded_5(
    method: GANmut, free: int
) -> None:
    probabilities = [0.1, 0.2, 0.4, 0.8]
    fake = says([[1 - p, p] for p in probabilities])
    loss = changed(method, num_free_codes=free).equation_3(fake.heads[0], drawn([1] * 4, [0.5] * 4, free))
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
    generator = with_stand_ins(method, [[0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    with torch.no_grad():
        method.axes.zero_()
        method.axes[0], method.axes[1] = torch.tensor([2.0, 0.0]), torch.tensor([0.0, -0.5])
    batch = batch_of(3, [1, 2, 0])
    loss = method.equation_7(batch, batch.images + 0.1)
    assert torch.allclose(generator.codes[0], torch.tensor([[0.8, 0.0], [0.0, -0.7], [0.0, 0.0]]), atol=1e-6)
    unclamped = (batch.images + 0.1).clamp(-1, 1) - batch.images
    assert loss.item() == pytest.approx(unclamped.abs().mean().item(), abs=1e-5)


def test_equation_7_as_printed_goes_back_to_where_the_critic_reads_the_photo(method: GANmut) -> None:
    generator = with_stand_ins(method, [[1.0], [1.0]], [[0.3, -0.2], [3.0, 4.0]])
    batch = batch_of(2, [1, 1])
    changed(method, cycle="coordinates").equation_7(batch, batch.images)
    assert torch.allclose(generator.codes[0], torch.tensor([[0.3, -0.2], [0.6, 0.8]]), atol=1e-6)


@pytest.mark.parametrize(("share", "count"), [(1.0, 8), (0.5, 4), (0.01, 1)])
def test_equation_7_may_be_taken_on_a_share_of_the_batch(method: GANmut, share: float, count: int) -> None:
    generator = with_stand_ins(method, [[1.0]] * 8)
    batch = batch_of(8)
    changed(method, rec_share=share).equation_7(batch, batch.images)
    assert len(generator.codes[0]) == count


def test_equation_8_adds_its_terms_with_their_weights_and_the_penalty_with_a_plus(method: GANmut) -> None:
    changed(method, lambda_cls=2.0, lambda_info_critic=3.0, lambda_penalty=5.0, penalty_interval=4)
    batch, codes = batch_of(), torch.rand(8, 2)
    edited = batch.images.flip(0)
    real, fake = method.critic(batch.images), method.critic(edited)
    terms = {name: value.item() for name, value in method.equation_8(batch, edited, codes, step=8).items()}
    r1 = r1_penalty(input_gradient(lambda x: method.critic(x).realness), batch.images).item()
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
        method, generator="warp", lambda_cls=2.0, lambda_info_generator=3.0, lambda_rho=4.0, lambda_rec=6.0,
        rec_ramp_steps=10, lambda_bend=7.0, lambda_stretch=8.0, lambda_fold=9.0, lambda_mask=11.0, lambda_edges=12.0,
        lambda_lopsided=13.0, lambda_conformal=14.0, lambda_spots=15.0, lambda_eyes=16.0, lambda_nose=17.0,
    )  # fmt: skip
    batch, draw = batch_of(), drawn([1, 2, 3, 4, 5, 6, 0, 1], [0.5] * 8, free=2)
    codes = codes_of(draw, method.axes)
    edited = batch.images.flip(0)
    edit = Edit(torch.rand(8, 2, 16, 16), torch.rand(8, 1, 16, 16))
    fake = method.critic(edited)
    expected = {
        "adv": method.equation_2_generator(fake),
        "cls": 2 * method.equation_3(fake.heads[0], draw),
        "info": 3 * method.equation_5(fake, codes),
        "rho": 4 * method.equation_6(fake, draw),
        "rec": 6 * 0.5 * method.equation_7(batch, edited),  # the fifth of ten steps of the ramp
        "bend": 7 * bending(edit.displacement),
        "stretch": 8 * stretching(edit.displacement),
        "fold": 9 * folding(edit.displacement),
        "mask": 11 * edit.delta.abs().mean(),
        "edges": 12 * light_edges(edit.delta),
        "lopsided": 13 * light_asymmetry(edit.delta),
        "spots": 15 * light_energy(edit.delta),
        "conformal": 14 * conformal_distortion(edit.displacement, 1 - mouth_window(15, 15, edit.delta.device)),
        "eyes": 16 * conformal_distortion(edit.displacement, eyes_window(15, 15, edit.delta.device), power=1),
        "nose": 17 * strain(edit.displacement, nose_window(15, 15, edit.delta.device)),
    }
    terms = method.equation_9(batch, edit, edited, codes, draw, step=4)
    assert {name: value.item() for name, value in terms.items()} == {
        name: pytest.approx(value.item(), rel=1e-5) for name, value in expected.items()
    }
    later = method.equation_9(batch, edit, edited, codes, draw, step=500)
    assert later["rec"].item() == pytest.approx(2 * terms["rec"].item(), rel=1e-5)

    changed(method, mouth_light=0.75)  # light is a quarter as dear where the mouth is
    waived = edit.delta * (1 - 0.75 * mouth_window(16, 16, edit.delta.device))
    terms = method.equation_9(batch, edit, edited, codes, draw, step=4)
    assert terms["mask"].item() == pytest.approx(11 * waived.abs().mean().item(), rel=1e-5)
    assert terms["spots"].item() == pytest.approx(15 * light_energy(waived).item(), rel=1e-5)
    assert terms["edges"].item() == pytest.approx(12 * light_edges(waived).item(), rel=1e-5)
    assert terms["lopsided"].item() == pytest.approx(13 * light_asymmetry(waived).item(), rel=1e-5)
    assert terms["bend"].item() == pytest.approx(expected["bend"].item(), rel=1e-5)

    changed(method, mouth_light=0.0, mouth_shade=0.8)  # darkness is a fifth as dear between the corners of the mouth
    dark = Edit(edit.displacement, edit.delta - 0.5)
    y, x = np.mgrid[0:16, 0:16]
    light = dark.delta.numpy()
    for width in (0.11, 0.2):  # by default, and as far as the corners
        changed(method, **({} if width == 0.11 else {"shade_width": width}))
        terms = method.equation_9(batch, dark, edited, codes, draw, step=4)
        inside = np.exp(-((((x + 0.5) / 16 - 0.5) / width) ** 4) - (((y + 0.5) / 16 - 0.765) / 0.1) ** 4)
        waived = torch.from_numpy(np.where(light < 0, light * (1 - 0.8 * inside), light).astype(np.float32))
        assert (waived < dark.delta.abs()).any() and terms["mask"].item() < 11 * dark.delta.abs().mean().item() - 1e-3
        assert terms["mask"].item() == pytest.approx(11 * waived.abs().mean().item(), rel=1e-5)
        assert terms["spots"].item() == pytest.approx(15 * light_energy(waived).item(), rel=1e-5)


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
        ({"noise": math.inf}, "finite"),
        ({"num_free_codes": -1}, "0 or more"),
        ({"critic_steps": 0}, "1 or more"),
        ({"penalty_interval": 0}, "1 or more"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": math.nan}, "above 0"),
        ({"learning_rate": math.inf}, "finite"),
        ({"lambda_cls": math.nan}, "finite"),
        ({"lambda_rec": -1.0}, "0 or more"),
        ({"critic_channels": 0}, "1 or more"),
        ({"rec_ramp_steps": -5}, "0 or more"),
        ({"rec_share": 0.0}, "above 0 and at most 1"),
        ({"mouth_light": 1.5}, "from 0 to 1"),
        ({"mouth_shade": -0.1}, "from 0 to 1"),
        ({"lambda_streaks": 1.0}, "0, unless wipes are on"),
        ({"shade_width": 0.0}, "above 0 and at most 0.5"),
        ({"shade_width": 0.51}, "above 0 and at most 0.5"),
        ({"max_light": 2.0}, "0.8, unless the generator is `warp`"),
        ({"max_light": 0.0, "generator": "warp"}, "above 0 and at most 2"),
        ({"max_light": 2.1, "generator": "warp"}, "above 0 and at most 2"),
        ({"both_sides": True}, "no, unless the generator is `warp`"),
        ({"soft_light": 0.1}, "0, unless the generator is `warp`"),
        ({"soft_light": 0.3, "generator": "warp"}, "from 0 to 0.25"),
        ({"cutout": 1.0}, "at least 0 and below 1"),
        ({"cutout": -0.1}, "at least 0 and below 1"),
        ({"cutout": math.nan}, "at least 0 and below 1"),
        ({"betas": (0.5,)}, "two numbers"),
        ({"betas": (2.0, 0.5)}, "below 1"),
        ({"betas": (0.5, math.nan)}, "below 1"),
        ({"penalty": "r2"}, "one of none, gradient, r1"),
        ({"generator": "unet"}, "one of residual, warp"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_what_is_allowed(settings: dict[str, Any], says_what: str) -> None:
    with pytest.raises(ConfigError) as error:
        GANmutConfig(**settings)
    assert next(iter(settings)) in str(error.value)
    assert says_what in error.value.hint
