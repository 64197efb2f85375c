"""Losses against numbers worked out by hand; the critics are linear or quadratic, so that their gradients are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mien.losses import (
    NO_CLASS,
    Adversarial,
    PatchReduction,
    bending,
    conformal_distortion,
    critic_adversarial,
    cross_entropy,
    detail_left,
    folding,
    generator_adversarial,
    gradient_penalty,
    input_gradient,
    light_asymmetry,
    light_edges,
    light_energy,
    r1_penalty,
    strain,
    stretching,
)

LN3 = math.log(3.0)  # sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4


def patches(*values: float) -> Tensor:
    """Return one image's patch scores, (1, 1, 1, count), in float64."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("kind", "critic", "generator"),
    [
        # real 1, 3 and fake -2, 6: E[D(fake)] - E[D(real)] = 2 - 2; generator -E[D(fake)] = -2.
        ("wasserstein", 0.0, -2.0),
        # -log s(1), -log s(3) and -log(1 - s(-2)), -log(1 - s(6)), each pair averaged; generator log(1 - s(fake)).
        ("log", (0.3132616875 + 0.0485873516) / 2 + (0.1269280110 + 6.0024756851) / 2, -(0.1269280110 + 6.0024756851) / 2),
        # The same critic; generator -log s(-2), -log s(6).
        ("non-saturating", 3.2456263676, (2.1269280110 + 0.0024756851) / 2),
    ],
)  # fmt: skip
def test_adversarial_losses(kind: Adversarial, critic: float, generator: float) -> None:
    real, fake = patches(1, 3), patches(-2, 6)
    assert critic_adversarial(kind, real, fake).item() == pytest.approx(critic, abs=1e-6)
    assert generator_adversarial(kind, fake).item() == pytest.approx(generator, abs=1e-6)


def test_logarithmic_loss_is_the_papers_value_of_probabilities() -> None:
    real, fake = patches(LN3, LN3), patches(-LN3, LN3)
    paper = math.log(3 / 4) + (math.log(3 / 4) + math.log(1 / 4)) / 2
    assert critic_adversarial("log", real, fake).item() == pytest.approx(-paper, abs=1e-6)
    assert generator_adversarial("log", fake).item() == pytest.approx((math.log(3 / 4) + math.log(1 / 4)) / 2, abs=1e-6)


def test_non_saturating_loss_has_a_gradient_where_the_logarithmic_one_is_flat() -> None:
    for kind, slope in (("log", -math.exp(-20.0)), ("non-saturating", -1.0)):
        fake = torch.tensor([[-20.0]], requires_grad=True)
        generator_adversarial(kind, fake).backward()  # pyright: ignore[reportArgumentType]
        assert fake.grad is not None
        assert fake.grad.item() == pytest.approx(slope, rel=1e-3)


def two_patches(images: Tensor) -> Tensor:
    """Score two patches, 3 a and 4 b, of an image of two pixels a, b: the gradient of their sum is (3, 4), of norm 5."""
    return images * torch.tensor([3.0, 4.0])


@pytest.mark.parametrize(("reduction", "norm"), [("sum", 5.0), ("mean", 2.5)])
def test_penalties_of_a_linear_critic(reduction: PatchReduction, norm: float) -> None:
    real, fake = torch.randn(6, 1, 1, 2), torch.randn(6, 1, 1, 2)
    assert gradient_penalty(
        input_gradient(two_patches), real, fake, torch.rand(6, 1, 1, 1), reduction
    ).item() == pytest.approx((norm - 1) ** 2)
    assert r1_penalty(input_gradient(two_patches), real, reduction).item() == pytest.approx(norm**2 / 2)


def test_penalties_of_a_quadratic_critic() -> None:
    """D(x) = |x|^2 / 2 has the gradient x: images of norm 5 and 13 are known by their norms."""
    images = torch.tensor([[3.0, 4.0], [5.0, 12.0]]).reshape(2, 1, 1, 2)
    assert r1_penalty(input_gradient(lambda x: x.square() / 2), images).item() == pytest.approx((25 + 169) / 2 / 2)
    assert gradient_penalty(
        input_gradient(lambda x: x.square() / 2), images, images, torch.rand(2, 1, 1, 1)
    ).item() == pytest.approx((16 + 144) / 2)


def test_gradient_penalty_is_taken_between_fake_and_real() -> None:
    """From 0 (fake) to 1 (real) the gradient of x^2 / 2 is where x stands, so the penalty is the mean of (u - 1)^2."""
    real, fake = torch.ones(3, 1, 1, 1), torch.zeros(3, 1, 1, 1)
    between = torch.tensor([0.0, 0.25, 1.0]).reshape(3, 1, 1, 1)
    penalty = gradient_penalty(input_gradient(lambda x: x.square() / 2), real, fake, between)
    assert penalty.item() == pytest.approx((1 + 0.75**2) / 3, rel=1e-5)  # |gradient|^2 is kept off zero


def test_penalties_teach_the_critic_and_not_the_generator() -> None:
    """For D(x) = a x, R1 is a^2 / 2 with the slope a, and the gradient penalty (a - 1)^2 with the slope 2 (a - 1)."""
    slope = torch.tensor(3.0, requires_grad=True)
    real, fake = torch.randn(4, 1, 1, 1), torch.randn(4, 1, 1, 1, requires_grad=True)
    r1_penalty(input_gradient(lambda x: slope * x), real).backward()
    assert slope.grad is not None
    assert slope.grad.item() == pytest.approx(3.0)
    slope.grad = None
    gradient_penalty(input_gradient(lambda x: slope * x), real, fake, torch.rand(4, 1, 1, 1)).backward()
    assert slope.grad is not None
    assert slope.grad.item() == pytest.approx(4.0)
    assert fake.grad is None


def test_gradient_penalty_of_a_flat_critic_is_one_and_its_slope_is_finite() -> None:
    slope = torch.tensor(0.0, requires_grad=True)
    noise = torch.randn(2, 4, 1, 1, 1)
    penalty = gradient_penalty(input_gradient(lambda x: slope * x), noise[0], noise[1], torch.rand(4, 1, 1, 1))
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0, abs=1e-5)
    assert slope.grad is not None
    assert torch.isfinite(slope.grad)


def test_penalties_stay_in_float32_under_autocast() -> None:
    weight = torch.full((1, 1, 1, 1), 1 / 3)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = r1_penalty(input_gradient(lambda x: torch.nn.functional.conv2d(x, weight)), torch.randn(2, 1, 1, 1))
    assert penalty.item() == pytest.approx(1 / 18, rel=1e-6)  # bfloat16 would be 0.3 % off


def test_cross_entropy_to_classes_and_to_votes() -> None:
    logits = torch.tensor([[0.0, LN3], [LN3, 0.0]], dtype=torch.float64)  # (1/4, 3/4) and (3/4, 1/4)
    assert cross_entropy(logits, torch.tensor([1, 1])).item() == pytest.approx((-math.log(3 / 4) - math.log(1 / 4)) / 2)
    votes = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    by_hand = (-0.5 * math.log(1 / 4) - 0.5 * math.log(3 / 4) - math.log(3 / 4)) / 2
    assert cross_entropy(logits, votes).item() == pytest.approx(by_hand)


def field(size: int, dx: Tensor | float, dy: Tensor | float) -> Tensor:
    """Return a displacement, (1, 2, size, size), from pixels to units of half the image."""
    result = torch.zeros(1, 2, size, size)
    result[0, 0], result[0, 1] = torch.as_tensor(dx) / (size / 2), torch.as_tensor(dy) / (size / 2)
    return result


def test_bending_is_zero_for_affine_movements() -> None:
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    affine = field(12, 0.3 * column - 0.2 * row + 1, 0.1 * column + 0.4 * row - 2)
    assert bending(affine).item() == pytest.approx(0.0, abs=1e-9)


def test_bending_of_a_parabola_at_any_resolution() -> None:
    """dx = a i^2 pixels has the second difference 2a along x, in one of two components: (2a)^2 / 2."""
    for size in (12, 24):
        column = torch.arange(float(size)).expand(size, size)
        assert bending(field(size, 0.05 * column.square(), 0.0)).item() == pytest.approx(0.1**2 / 2, rel=1e-3)
        assert bending(field(size, 0.0, 0.05 * column.T.square())).item() == pytest.approx(0.1**2 / 2, rel=1e-3)


@pytest.mark.parametrize("size", [12, 24])
def test_stretching_of_a_linear_map_is_the_sum_of_its_squared_slopes(size: int) -> None:
    row, column = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    assert stretching(field(size, 3.0, -2.0)).item() == pytest.approx(0.0, abs=1e-9)  # all move together
    displacement = field(size, 0.3 * column - 0.2 * row, 0.1 * column + 0.4 * row)
    assert stretching(displacement).item() == pytest.approx(0.09 + 0.04 + 0.01 + 0.16, rel=1e-4)


@pytest.mark.parametrize(
    ("x_scale", "y_scale", "shear", "determinant"),
    [
        (0.0, 0.0, 0.0, 1.0),  # at rest
        (-0.9, 0.0, 0.0, 0.1),  # squeezed to a tenth
        (-1.5, 0.0, 0.0, -0.5),  # turned over
        (-1.5, -1.5, 0.0, 0.25),  # turned by 180 degrees, and shrunk: no fold
        (0.0, 0.0, 1.2, 1.0 - 1.2 * 1.2),  # sheared both ways
    ],
)
def test_folding_of_linear_maps(x_scale: float, y_scale: float, shear: float, determinant: float) -> None:
    row, column = torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")
    displacement = field(10, x_scale * column + shear * row, y_scale * row + shear * column)
    assert folding(displacement).item() == pytest.approx(max(0.0, 0.2 - determinant), abs=1e-5)
    assert folding(displacement, least_area=0.0).item() == pytest.approx(max(0.0, -determinant), abs=1e-5)


def test_folding_counts_only_the_pixels_that_fold() -> None:
    """A step back by 3 pixels between two columns of 9 gaps: one gap has the determinant 1 - 3, the others 1."""
    step = torch.where(torch.arange(10) < 5, 0.0, -3.0).expand(10, 10)
    assert folding(field(10, step, 0.0)).item() == pytest.approx((0.2 + 2.0) / 9, abs=1e-5)


@pytest.mark.parametrize("height", [10, 16])
@pytest.mark.parametrize(
    ("jacobian", "axes"),
    [
        (((1.0, 0.0), (0.0, 1.0)), 1.0),  # at rest
        (((1.7, 0.0), (0.0, 1.7)), 1.0),  # larger
        (((0.6, -0.8), (0.8, 0.6)), 1.0),  # turned
        (((2.0, 0.0), (0.0, 0.5)), 4.0),  # a circle becomes an ellipse of 4 to 1
        (((0.6, -1.6), (0.8, 1.2)), 2.0),  # stretched twice along y, then turned
        (((1.0, 1.0), (0.0, 1.0)), ((1 + math.sqrt(5)) / 2) ** 2),  # sheared by 45 degrees: the golden ratio, squared
    ],
)
def test_conformal_distortion_is_that_of_the_ellipse(
    height: int, jacobian: tuple[tuple[float, float], tuple[float, float]], axes: float
) -> None:
    (a, b), (c, d) = jacobian
    row, column = torch.meshgrid(torch.arange(float(height)), torch.arange(10.0), indexing="ij")
    x, y = (a - 1) * column + b * row, c * column + (d - 1) * row
    displacement = torch.stack([x / (10 / 2), y / (height / 2)])[None]  # in units of half the image
    expected = ((axes + 1 / axes) / 2 - 1) ** 2
    assert conformal_distortion(displacement).item() == pytest.approx(expected, rel=1e-3, abs=1e-6)
    counts = torch.zeros(height - 1, 9)
    counts[2, 3] = 1.0
    plain = conformal_distortion(displacement, power=1).item()
    assert plain**2 == pytest.approx(
        expected, rel=1e-3, abs=1e-6
    )  # the same everywhere, so the mean's square is its own
    somewhere = conformal_distortion(displacement, counts).item()
    assert somewhere == pytest.approx(expected / counts.numel(), rel=1e-3, abs=1e-6)


def test_conformal_distortion_rises_towards_what_is_flat_and_stays_finite() -> None:
    row, column = torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")
    flat = field(10, 0.0 * column, -row).requires_grad_()  # J = diag(1, 0)
    lost = conformal_distortion(flat)
    assert lost.item() == pytest.approx((1 / (2 * 0.2)) ** 2, rel=1e-4)  # the area counts as 0.2
    lost.backward()
    assert flat.grad is not None and torch.isfinite(flat.grad).all()
    costs = [conformal_distortion(field(10, 0.0 * column, -(1 - t) * row)).item() for t in (0.3, 0.2, 0.1, 0.0, -0.1)]
    assert costs == sorted(costs) and len(set(costs)) == 5  # the flatter the dearer, and a fold more still
    assert conformal_distortion(field(10, -0.7 * column, -0.7 * row)).item() == pytest.approx(
        0, abs=1e-9
    )  # only smaller


@pytest.mark.parametrize("height", [10, 6])
@pytest.mark.parametrize(
    ("jacobian", "expected"),
    [
        (((1.0, 0.0), (0.0, 1.0)), 0.0),  # at rest
        (((0.8, 0.0), (0.0, 1.0)), 0.04),  # a fifth narrower
        (((0.8, 0.0), (0.0, 0.8)), 0.08),  # and lower
        (((1.0, 0.3), (0.0, 1.0)), 0.045),  # sheared: half of it is a turn
        (((math.cos(0.1), -math.sin(0.1)), (math.sin(0.1), math.cos(0.1))), 2 * (1 - math.cos(0.1)) ** 2),
    ],
)
def test_strain_is_that_of_a_growing_patch(
    height: int, jacobian: tuple[tuple[float, float], tuple[float, float]], expected: float
) -> None:
    (a, b), (c, d) = jacobian
    row, column = torch.meshgrid(torch.arange(float(height)), torch.arange(10.0), indexing="ij")
    x, y = (a - 1) * column + b * row + 3, c * column + (d - 1) * row - 2  # shifts cost nothing
    displacement = torch.stack([x / (10 / 2), y / (height / 2)])[None]
    assert strain(displacement).item() == pytest.approx(expected, rel=1e-3, abs=1e-9)
    counts = torch.zeros(height - 1, 9)
    counts[2, 3] = 0.5
    assert strain(displacement, counts).item() == pytest.approx(expected / 2 / counts.numel(), rel=1e-3, abs=1e-9)


def test_light_edges_of_a_ramp_and_of_a_streak() -> None:
    """A ramp of slope s along x has variation s; a bright column one pixel wide has two edges in each row."""
    ramp = (0.1 * torch.arange(8.0)).expand(2, 1, 8, 8)
    assert light_edges(ramp).item() == pytest.approx(0.1)
    streak = torch.zeros(1, 1, 8, 8)
    streak[..., 3] = 0.7
    assert light_edges(streak).item() == pytest.approx(2 * 0.7 / 7)  # 7 differences in each row, none along columns
    assert light_edges(torch.full((1, 3, 8, 8), 0.5)).item() == 0


def test_light_in_a_spot_costs_more_than_the_same_light_spread() -> None:
    spot, spread = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), -0.05)
    spot[..., 1, 2] = 0.8
    assert light_energy(spot).item() == pytest.approx(0.64 / 16)
    assert light_energy(spread).item() == pytest.approx(0.0025)
    assert spot.abs().mean().item() == pytest.approx(spread.abs().mean().item())


def test_light_on_one_side_counts_and_light_on_both_does_not() -> None:
    one_side = torch.zeros(1, 1, 4, 8)
    one_side[..., 1] = 0.8
    assert light_asymmetry(one_side).item() == pytest.approx(0.8 / 8)  # the mean of |light| itself
    both = one_side + one_side.flip(-1)
    assert light_asymmetry(both).item() == 0


def test_detail_that_is_hardly_wiped_yet_is_still_learned_to_be_where_light_darkens() -> None:
    wipes = (0.5, 0.1, 0.01, 0.001, 0.001)
    logits = torch.tensor([math.log(wipe / (1 - wipe)) for wipe in wipes], requires_grad=True)
    shade = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.0])[None, None, None]
    loss = detail_left(shade, torch.sigmoid(logits)[None, None, None])
    assert loss.item() == pytest.approx(
        -0.5 / 5 * sum(math.log((wipe + 0.001) / 1.001) for wipe in wipes[:4]), rel=1e-5
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.tolist() == pytest.approx(
        [-0.05, -0.09, -0.09, -0.05, 0], rel=0.02
    )  # shade / 5 (1 - wipe), and less
    assert detail_left(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item() == 0.0


def test_cross_entropy_with_a_count_is_a_sum_that_leaves_out_what_has_no_class() -> None:
    logits = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.9, 0.1]]).log()
    targets = torch.tensor([0, 1, NO_CLASS])
    expected = -(math.log(0.75) + math.log(0.5)) / 4
    assert cross_entropy(logits, targets, count=4).item() == pytest.approx(expected)
    assert cross_entropy(logits, torch.full((3,), NO_CLASS), count=4).item() == 0.0
