"""GANmut, linear model: learn a disc of expressions from plain labels.

Papers: d'Apolito et al., "GANmut: Learning Interpretable Conditional Space for Gamut of Emotions" (CVPR 2021, p. 568);
Surani, "GANmut: Generating and Modifying Facial Expressions" (arXiv 2406.11079), whose equations 2 to 9 are numbered
below. Idea: the condition is a point z of a disc; its angle theta is the kind of expression and its radius rho the
intensity; the direction of each label is learned together with the networks, and free points of the disc, which have no
label, are trained by asking the critic to read them back.

Legend: x (n, c, h, w) real images in [-1, 1]; c (n,) target labels, c' (n,) true labels, 0 = neutral; d_k unit vector of
label k; z = rho d_c + e; y = G(x, z); D_src realness per patch; D_cls class logits; D_coor (n, 2) coordinates read.

Deviations from paper and official code, and why: docs/papers/ganmut.md, with a row for every equation. In short: no
learning-rate decay (the official one has no effect); the classification loss leaves out the free codes by name and not
by a hard-coded 5; the label cycle reconstructs along the true label's own axis without noise; means over empty sets are
zero, not NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.critics import CriticOutput
from mien.edit_maps import Edit, apply_edit
from mien.errors import ConfigError
from mien.expressions import BASIC, NEUTRAL, parse_expression
from mien.losses import (
    NO_CLASS,
    Adversarial,
    PatchReduction,
    critic_adversarial,
    cross_entropy,
    generator_adversarial,
)
from mien.methods.aims import AimSettings, Asked, EditAims, check_aims
from mien.methods.base import (
    Batch,
    Method,
    Reading,
    build_critic,
    check_settings,
    critic_mouth,
    critic_penalty,
    draw_part,
    draw_targets,
    frozen,
    generator_mouth,
    guided,
    is_compiled,
)
from mien.methods.disc_codes import Draw, codes_of, directions, graded_labels, initial_axes, into_disc
from mien.methods.generator import warp_terms
from mien.settings import require
from mien.spaces import DiscSpace


@dataclass(frozen=True)
class GANmutConfig(AimSettings):
    """Settings of GANmut; the defaults are the official code's at 128 px (its constants are named here)."""

    expressions: tuple[str, ...] = BASIC
    """Neutral first; the others in the order of their axes."""
    image_size: int = 128
    """Side of the square images in pixels."""
    image_channels: int = 3
    """1 for grey, 3 for RGB."""
    critic_channels: int = 64
    """Channels of the critic's first layer; each further layer doubles them."""
    critic_layers: int = 6
    """Strided layers of the critic."""
    adversarial: Adversarial = "wasserstein"
    """Equation 2 is `wasserstein`; `non-saturating` converges with fewer critic steps."""
    penalty: Literal["none", "gradient", "r1"] = "gradient"
    """Equation 8 has the gradient penalty; the official code also offers R1."""
    penalty_patches: PatchReduction = "sum"
    """Whether the penalty differentiates the sum of patch scores (official) or their mean."""
    penalty_interval: int = 1
    """The penalty is computed every so many steps and weighted by as much (StyleGAN2's lazy regularisation)."""
    critic_steps: int = 5
    """Critic steps for each generator step (official n_critic)."""
    targets: Literal["permuted", "uniform"] = "permuted"
    """Target labels: the batch's own in another order (official), or uniform, which serves rare expressions."""
    soft_labels: bool = False
    """Train D_cls on the annotators' votes instead of the single label."""
    graded: float = 0.0
    """Radius from which D_cls shall see all of the label; below it the share rho / graded, and neutral with the rest,
    which leaves nothing to L_rho (`lambda_rho=0`). 0 asks for the label at every radius (eq. 3)."""
    threshold: float = 0.2
    """T: below this radius a code means neutral."""
    noise: float = 0.075
    """Standard deviation of e, added to labelled codes (official constant)."""
    num_free_codes: int = 5
    """Codes of each batch with a random direction and no label (official constant n_r_l)."""
    free_radius: Literal["label", "uniform"] = "label"
    """Radius of free codes: the one drawn for their label (official), or uniform on [0, 1] (the paper's text)."""
    axes: Literal["small", "spread"] = "small"
    """Initial axes: random scaled by 1e-4 (official), or unit vectors round the circle, which cannot collapse."""
    cycle: Literal["label", "coordinates"] = "label"
    """Way back to x: along its label's axis by p_max (official default), or to D_coor(x) (equation 7)."""
    lambda_cls: float = 1.0
    """Weight of the classification losses."""
    lambda_rec: float = 10.0
    """Weight of the reconstruction loss."""
    lambda_info_critic: float = 1.0
    """Weight of the coordinate regression for the critic (lambda_infoD)."""
    lambda_info_generator: float = 1.0
    """Weight of the coordinate regression for the generator (lambda_infoG)."""
    lambda_rho: float = 1.0
    """Weight of the interpolation loss."""
    lambda_penalty: float = 10.0
    """Weight of the penalty (lambda_gp)."""
    rec_share: float = 1.0
    """Share of each batch that is reconstructed: below 1 saves time, at more noise in that loss."""
    rec_ramp_steps: int = 0
    """Steps over which the reconstruction weight rises from 0; a near-identity generator never moves without it."""
    learning_rate: float = 1e-4
    """Adam's, for both players."""
    betas: tuple[float, ...] = (0.5, 0.999)
    """Adam's moment decays."""

    def __post_init__(self) -> None:
        check_settings(self)
        names = tuple(parse_expression(name) for name in self.expressions)
        require(len(set(names)) == len(names) >= 3, "expressions", self.expressions, "three or more different names")
        require(names[0] == NEUTRAL, "expressions", self.expressions, "neutral first: it is the centre of the disc")
        object.__setattr__(self, "expressions", names)
        check_aims(self)
        require(0 <= self.threshold < 1, "threshold", self.threshold, "at least 0 and below 1")
        require(0 <= self.graded <= 1, "graded", self.graded, "a radius from 0 to 1")
        rho = self.graded == 0 or self.lambda_rho == 0
        require(rho, "lambda_rho", self.lambda_rho, "0 where `graded` is set: both say how sure D_cls shall be")
        require(0 <= self.noise < math.inf, "noise", self.noise, "0 or more, and finite")
        require(self.num_free_codes >= 0, "num_free_codes", self.num_free_codes, "0 or more")


# --- the conditional space ---------------------------------------------------------------------------------------


def draw_codes(labels: Int[Tensor, " n"], config: GANmutConfig) -> Draw:
    """Draw radii, noise and free directions: rho ~ U[T, 1], for neutral targets U[0, T]."""
    n, device = labels.shape[0], labels.device
    if config.num_free_codes >= n:
        raise ConfigError(
            f"a batch of {n} has no room for {config.num_free_codes} free codes and a labelled one",
            hint="raise batch_size or lower num_free_codes",
        )
    uniform = torch.rand(n, device=device)
    t = config.threshold
    radius = torch.where(labels == 0, uniform * t, t + uniform * (1 - t))
    free = torch.arange(n, device=device) < config.num_free_codes
    if config.free_radius == "uniform":
        radius = torch.where(free, torch.rand(n, device=device), radius)
    angle = torch.rand(n, device=device) * (2 * math.pi)
    noise = config.noise * torch.randn(n, 2, device=device) * (~free)[:, None]
    direction = torch.stack([angle.cos(), angle.sin()], dim=1)
    num_counted = (radius > t).float().sum().clamp_min(1.0)  # a batch may have none: their mean is then zero, not NaN
    return Draw(labels, radius, noise, free, direction, n - config.num_free_codes, num_counted)


class GANmut(Method):
    """GANmut's linear model: networks, axes, losses and the order of play."""

    Config = GANmutConfig

    def __init__(self, config: GANmutConfig) -> None:
        super().__init__()
        self.config = config
        k = len(config.expressions)
        self.generator = config.build_generator(config.image_channels, 2)
        self.axes = nn.Parameter(initial_axes(config.axes, k - 1))
        self.critic = build_critic(config, k, 2)
        self.aims = EditAims(config)

    @property
    def smallest_batch(self) -> int:
        """Return the size from which a batch has room for a labelled code beside the free ones."""
        return self.config.num_free_codes + 1

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the critic's parameters, and the generator's together with the axes."""
        return {"critic": list(self.critic.parameters()), "generator": [*self.generator.parameters(), self.axes]}

    # --- equations -----------------------------------------------------------------------------------------------

    def equation_2(self, real: CriticOutput, fake: CriticOutput) -> Float[Tensor, ""]:
        """-L_adv, for the critic."""
        return critic_adversarial(self.config.adversarial, real.realness, fake.realness)

    def equation_2_generator(self, fake: CriticOutput) -> Float[Tensor, ""]:
        """L_adv, as far as the generator has a part in it."""
        return generator_adversarial(self.config.adversarial, fake.realness)

    def equation_3(self, logits: Float[Tensor, "n k"], draw: Draw) -> Float[Tensor, ""]:
        """L_cls^f = E[-log D_cls(c | G(x, z))] over the labelled codes; to `graded_labels` where those are asked for."""
        if self.config.graded:
            return cross_entropy(logits, graded_labels(draw, logits.shape[1], self.config.graded), draw.num_labelled)
        return cross_entropy(logits, draw.labels.masked_fill(draw.free, NO_CLASS), draw.num_labelled)

    def equation_4(self, real: CriticOutput, batch: Batch) -> Float[Tensor, ""]:
        """L_cls^r = E[-log D_cls(c' | x)]."""
        soft = self.config.soft_labels and batch.shares is not None
        return cross_entropy(real.heads[0], batch.shares if soft else batch.labels)  # type: ignore[arg-type]

    def equation_5(self, fake: CriticOutput, codes: Float[Tensor, "n 2"]) -> Float[Tensor, ""]:
        """L_info = E[||D_coor(G(x, z)) - z||^2], the mean over both coordinates as in the official code."""
        return (fake.heads[1].float() - codes).square().mean()

    def equation_6(self, fake: CriticOutput, draw: Draw) -> Float[Tensor, ""]:
        """L_rho = E[(p_max - rho)^2] over rho > T, with rho^ = p_max, the largest probability that D_cls gives."""
        strongest = fake.heads[0].float().softmax(1).amax(1)
        counted = (draw.radius > self.config.threshold).float()
        return (counted * (strongest - draw.radius).square()).sum() / draw.num_counted

    def equation_7(self, batch: Batch, edited: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        """L_rec = E[||x - G(y, z_x)||_1], the mean over pixels, with z_x where x stands on the disc."""
        part, weight = draw_part(batch, self.config.rec_share)
        x, y, labels = batch.images[part], edited[part], batch.labels[part]
        with torch.no_grad():
            real = self.critic(x)
        if self.config.cycle == "coordinates":
            codes = into_disc(real.heads[1].float())
        else:
            strength = real.heads[0].float().softmax(1).amax(1, keepdim=True)
            codes = strength * directions(self.axes)[labels]
        return weight * (x - apply_edit(y, self.generator(y, codes))).abs().mean()

    def equation_8(
        self, batch: Batch, edited: Float[Tensor, "n c h w"], codes: Float[Tensor, "n 2"], step: int
    ) -> dict[str, Tensor]:
        """L_D = -L_adv + lambda_cls L_cls^r + lambda_infoD L_info + lambda_gp penalty (the paper prints a minus)."""
        config = self.config
        real, fake = self.critic.compare(*self.shown(batch, batch.images, edited.detach()))
        terms = {
            "adv": self.equation_2(real, fake),
            "cls": config.lambda_cls * self.equation_4(real, batch),
            "info": config.lambda_info_critic * self.equation_5(fake, codes.detach()),
        }
        return terms | critic_mouth(config, real, fake) | critic_penalty(config, self.critic, batch, edited, step)

    def equation_9(
        self, batch: Batch, edit: Edit, edited: Tensor, codes: Float[Tensor, "n 2"], draw: Draw, step: int
    ) -> dict[str, Tensor]:
        """L_G = L_adv + lambda_cls L_cls^f + lambda_rec L_rec + lambda_infoG L_info + lambda_rho L_rho."""
        config = self.config
        with frozen(self.critic):
            [seen] = self.shown(batch, edited)
            fake = self.critic(seen, mouth=True)
        ramp = min(1.0, (step + 1) / config.rec_ramp_steps) if config.rec_ramp_steps else 1.0
        terms = {
            "adv": self.equation_2_generator(fake),
            "cls": config.lambda_cls * self.equation_3(fake.heads[0], draw),
            "info": config.lambda_info_generator * self.equation_5(fake, codes),
            "rho": config.lambda_rho * self.equation_6(fake, draw),
            "rec": config.lambda_rec * ramp * self.equation_7(batch, edited),
        }
        terms |= self.aims.terms(self.asked(batch, edit, edited, codes, draw))
        terms |= guided(config, self.guides, seen, lambda logits: self.equation_3(logits, draw))
        return terms | generator_mouth(config, fake) | warp_terms(config, batch.images, edit)

    # --- the algorithm -------------------------------------------------------------------------------------------

    def edited(self, batch: Batch, draw: Draw) -> tuple[Float[Tensor, "n 2"], Edit, Float[Tensor, "n c h w"]]:
        """Return z, the edits to it and y, the images after them."""
        codes = codes_of(draw, self.axes)
        edit = self.generator(batch.images, codes)
        return codes, edit, apply_edit(batch.images, edit)

    def asked(
        self, batch: Batch, edit: Edit, edited: Float[Tensor, "n c h w"], codes: Float[Tensor, "n 2"], draw: Draw
    ) -> Asked:
        """Return the edits of a step as the terms of `mien.methods.aims` take them."""

        def edit_to(images: Tensor, places: Tensor) -> Tensor:
            return apply_edit(images, self.generator(images, places))

        all_rows = edited.device.type != "cpu" or is_compiled(self.generator)
        return Asked(batch, draw, codes, edit, edited, self.axes, edit_to, all_rows)

    def hold(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Take the generator that the run went on from, for the anchor."""
        self.aims.hold(tensors, device)

    def updates(self, batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Move the critic, and every `critic_steps` steps the generator and its axes."""
        targets = draw_targets(batch.whole_labels, len(self.config.expressions), self.config.targets)
        draw = draw_codes(targets, self.config).of(batch.part)
        generator_moves = (step + 1) % self.config.critic_steps == 0
        with torch.set_grad_enabled(generator_moves and not batch.waits):
            codes, edit, edited = self.edited(batch, draw)
        yield "critic", self.equation_8(batch, edited, codes, step)
        if generator_moves:
            if batch.waits:
                codes, edit, edited = self.edited(batch, draw)
            yield "generator", self.equation_9(batch, edit, edited, codes, draw, step)

    # --- use -----------------------------------------------------------------------------------------------------

    def space(self) -> DiscSpace:
        """Return the disc with the angles as they are learned now."""
        angles = torch.atan2(self.axes.detach()[:, 1], self.axes.detach()[:, 0]).remainder(2 * math.pi)
        return DiscSpace(self.config.expressions, tuple(float(a) for a in angles.cpu()), self.config.threshold)

    def render(self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n 2"]) -> Edit:
        """Return the edits that bring the images to the codes."""
        return self.generator(images, codes)

    def read(self, images: Float[Tensor, "n c h w"]) -> Reading:
        """Read D_cls and D_coor."""
        output = self.critic(images)
        return Reading(output.heads[0].float().softmax(1), into_disc(output.heads[1].float()))
