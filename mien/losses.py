"""Losses as pure functions: adversarial, penalties on the critic's gradient, soft cross-entropy, regularity of a warp.

Realness is the critic's raw patch output, any shape with the batch first; every function returns a scalar in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Adversarial = Literal["wasserstein", "log", "non-saturating"]
PatchReduction = Literal["sum", "mean"]
#: How the gradient of a critic's realness by its input is had: of each image, of the images' shape, differentiable by the
#: critic's parameters.
InputGradient = Callable[[Tensor, PatchReduction], Tensor]


def critic_adversarial(kind: Adversarial, real: Tensor, fake: Tensor) -> Float[Tensor, ""]:
    """Return what the critic minimises: the negative of the papers' L_adv.

    `wasserstein`: E[D(fake)] - E[D(real)] (Arjovsky et al. 2017). `log` and `non-saturating`: the critic's half of
    Goodfellow et al. 2014 on logits, -E[log s(real)] - E[log(1 - s(fake))].
    """
    real, fake = real.float(), fake.float()
    if kind == "wasserstein":
        return fake.mean() - real.mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_adversarial(kind: Adversarial, fake: Tensor) -> Float[Tensor, ""]:
    """Return what the generator minimises.

    `wasserstein`: -E[D(fake)]. `log`: E[log(1 - s(fake))], as written in the first GAN paper, flat where the critic is
    sure. `non-saturating`: -E[log s(fake)], the same fixed point with a gradient there.
    """
    fake = fake.float()
    if kind == "wasserstein":
        return -fake.mean()
    return -F.softplus(fake).mean() if kind == "log" else F.softplus(-fake).mean()


def input_gradient(realness: Callable[[Tensor], Tensor]) -> InputGradient:
    """Return how autograd has the gradient of any critic, twice differentiable and slow."""

    def gradient(images: Tensor, patches: PatchReduction) -> Tensor:
        images = images.detach().requires_grad_()
        scores = realness(images).flatten(1)
        scores = scores.sum(1) if patches == "sum" else scores.mean(1)
        return torch.autograd.grad(scores.sum(), images, create_graph=True)[0]

    return gradient


def _gradient_norms(gradient: InputGradient, images: Tensor, patches: PatchReduction) -> tuple[Tensor, Tensor]:
    """Return per-image squared and plain L2 norms of the critic's gradient with respect to its input, in float32."""
    with torch.autocast(images.device.type, enabled=False):
        squared = gradient(images.detach().float(), patches).flatten(1).square().sum(1)
    return squared, squared.clamp_min(1e-12).sqrt()


def gradient_penalty(
    gradient: InputGradient,
    real: Tensor,
    fake: Tensor,
    between: Float[Tensor, "n 1 1 1"],
    patches: PatchReduction = "sum",
) -> Float[Tensor, ""]:
    """Return E[(||grad D(x^)|| - 1)^2] on interpolates x^ of fake and real (Gulrajani et al. 2017).

    `between` says where x^ stands, U[0, 1] in the paper: 0 at fake, 1 at real. `patches` says what is differentiated: the
    sum of the patch scores, as in StarGAN's code, or their mean. `gradient` is `PatchCritic.realness_gradient`, or
    `input_gradient` of any critic.
    """
    _, norms = _gradient_norms(gradient, torch.lerp(fake.detach().float(), real.float(), between), patches)
    return (norms - 1).square().mean()


def r1_penalty(gradient: InputGradient, real: Tensor, patches: PatchReduction = "sum") -> Float[Tensor, ""]:
    """Return E[||grad D(x)||^2] / 2 on real images (Mescheder et al. 2018); `gradient` as for the gradient penalty."""
    squared, _ = _gradient_norms(gradient, real, patches)
    return squared.mean() / 2


#: A class that stands for none: `cross_entropy` leaves it out.
NO_CLASS = -100


def cross_entropy(logits: Float[Tensor, "n k"], targets: Tensor, count: float | None = None) -> Float[Tensor, ""]:
    """Return the mean cross-entropy to classes (int64, (n,)) or to distributions (float, (n, k)).

    With `count`: the sum over those that have a class (a distribution of zeros is none), divided by it.
    """
    if count is None:
        return F.cross_entropy(logits.float(), targets)
    if targets.is_floating_point():
        return F.cross_entropy(logits.float(), targets, reduction="sum") / count
    return F.cross_entropy(logits.float(), targets, reduction="sum", ignore_index=NO_CLASS) / count


def bending(displacement: Float[Tensor, "n 2 h w"]) -> Float[Tensor, ""]:
    """Return the mean squared second difference, per pixel of displacement: zero for every affine movement.

    Unlike total variation it does not resist a mouth corner that moves far, only one that tears from its neighbours.
    """
    scale = displacement.shape[-1] / 2
    field = displacement.float() * scale
    along_x = field[..., :, 2:] - 2 * field[..., :, 1:-1] + field[..., :, :-2]
    along_y = field[..., 2:, :] - 2 * field[..., 1:-1, :] + field[..., :-2, :]
    return along_x.square().mean() + along_y.square().mean()


def stretching(displacement: Float[Tensor, "n 2 h w"]) -> Float[Tensor, ""]:
    """Return the mean squared first difference: how much lengths change, squared, whatever the resolution.

    Small for a mouth corner that moves; large for a head that is made wider, which is the short way to look happy.
    """
    field = displacement.float()
    height, width = field.shape[-2:]
    along_x = (field[..., :, 1:] - field[..., :, :-1]) * (width / 2)
    along_y = (field[..., 1:, :] - field[..., :-1, :]) * (height / 2)
    return along_x.square().sum(1).mean() + along_y.square().sum(1).mean()


def strain(displacement: Float[Tensor, "n 2 h w"], counts: Float[Tensor, "h-1 w-1"] | float = 1.0) -> Float[Tensor, ""]:
    """Return the mean squared strain, E[counts |(J + J^T) / 2 - 1|^2] with J as in `folding`: zero for what only shifts.

    In contrast to `conformal_distortion` it counts what only grows, too: 0.08 for a place that is fetched from one a fifth
    smaller or larger, of any resolution. Turns count next to nothing while they are small (2 (1 - cos)^2).
    """
    (a, b), (c, d) = _jacobian(displacement)
    return (counts * ((a - 1).square() + (d - 1).square() + (b + c).square() / 2)).mean()


def _jacobian(displacement: Float[Tensor, "n 2 h w"]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return ((dX/dx, dX/dy), (dY/dx, dY/dy)) of the map x -> x + displacement(x) in pixels, each (n, h - 1, w - 1)."""
    height, width = displacement.shape[-2:]
    x, y = displacement[:, 0].float() * (width / 2), displacement[:, 1].float() * (height / 2)
    along_x, along_y = (slice(None), slice(-1), slice(1, None)), (slice(None), slice(1, None), slice(-1))
    here = (slice(None), slice(-1), slice(-1))
    return (
        (1 + x[along_x] - x[here], x[along_y] - x[here]),
        (y[along_x] - y[here], 1 + y[along_y] - y[here]),
    )


def folding(displacement: Float[Tensor, "n 2 h w"], least_area: float = 0.2) -> Float[Tensor, ""]:
    """Return how far pixels shrink below `least_area` of themselves, or turn over: E[max(0, least - det J)].

    J is the Jacobian of the map x -> x + displacement(x), by forward differences; a determinant below zero is a fold.
    """
    (a, b), (c, d) = _jacobian(displacement)
    return F.relu(least_area - (a * d - b * c)).mean()


def conformal_distortion(
    displacement: Float[Tensor, "n 2 h w"],
    counts: Float[Tensor, "h-1 w-1"] | float = 1.0,
    least_area: float = 0.2,
    power: float = 2.0,
) -> Float[Tensor, ""]:
    """Return how far small discs are made ellipses: E[((s/t + t/s)/2 - 1)^power], s and t the singular values of J.

    J is as in `folding`, and `counts` says how much each place counts. (s/t + t/s)/2 is |J|^2 / (2 det J), the conformal
    distortion (MIPS, Hormann & Greiner 2000): 1 for shifts, turns and scalings. Squared, since what looks wrong is an iris
    that becomes a slit (1.27 at 4 to 1), not a lid that opens (0.007 at 1.5 to 1); with power 1 the latter costs 0.083.
    Areas below `least_area` count as that, so that the cost stays finite; what is flat or folded still costs, and the more
    the flatter it is.
    """
    (a, b), (c, d) = _jacobian(displacement)
    area = (a * d - b * c).clamp_min(least_area)
    # |J|^2 - 2 det J, without the difference of large numbers; 0 only for what keeps angles.
    excess = ((a - d).square() + (b + c).square()) / (2 * area)
    return (counts * excess**power).mean()


def light_edges(delta: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """Return the total variation of added light: mean absolute first difference along both axes, per pixel.

    Small for soft shading, large for streaks and for patterns finer than a face has.
    """
    field = delta.float()
    along_x = (field[..., :, 1:] - field[..., :, :-1]).abs().mean()
    return along_x + (field[..., 1:, :] - field[..., :-1, :]).abs().mean()


def light_energy(delta: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """Return the mean squared added light: a spot costs more than shading of the same sum."""
    return delta.float().square().mean()


def light_asymmetry(delta: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """Return how much light is added to one half of an upright face only: E|delta - its mirror image| / 2."""
    return (delta.float() - delta.float().flip(-1)).abs().mean() / 2


def detail_left(counts: Float[Tensor, "n 1 h w"], wipe: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """Return how much detail is left that should not be: E[-counts log((wipe + 0.001) / 1.001)].

    `counts` says how much each place counts.

    The logarithm, since a wipe that is next to nothing comes from a sigmoid that is flat there: by it the gradient by the
    sigmoid's input is about what counts there, once a thousandth is wiped, and not about nothing.
    """
    return (counts * -((wipe.float() + 1e-3) / (1 + 1e-3)).log()).mean()
