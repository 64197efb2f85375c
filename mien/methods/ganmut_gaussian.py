"""GANmut, Gaussian model: learn a plane on which every expression is a place with a width, from plain labels.

Paper: d'Apolito et al., "GANmut: Learning Interpretable Conditional Space for Gamut of Emotions" (CVPR 2021, p. 568); its
official code, the Gaussian 2-D model, is what is followed here. Idea: the condition is a place z of the square [-1, 1]^2,
where each expression has a Gaussian whose centre and covariance are learned together with the networks; a face brought to
z shall look like a mixture of expressions, each the more the nearer its Gaussian is. Other than on the linear model's
disc, neutral is a place like any other, and there is no radius that means intensity.

Legend: x (n, c, h, w) real images in [-1, 1]; c' (n,) true labels, 0 = neutral; tanh(mu_k) centre and C_k = R diag R^T
covariance of expression k; m_k(z) squared Mahalanobis distance; p = softmax(-m) what z stands for; y = G(x, z); D_src
realness per patch; D_cls class logits, q = softmax(D_cls); D_coor (n, 2) places read.

Deviations from the official code, and why: docs/papers/ganmut-gaussian.md, with a row for every loss. In short: any number
of expressions, not seven; no width falls to zero; the way back starts from a place on the square; no learning-rate decay
(the official one has no effect). The defaults are the official settings; what else is offered is off by default.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
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
from mien.methods.base import (
    Batch,
    Method,
    Part,
    Reading,
    build_critic,
    check_settings,
    critic_mouth,
    critic_penalty,
    draw_part,
    frozen,
    generator_mouth,
    guided,
)
from mien.methods.generator import GeneratorSettings, warp_terms
from mien.settings import require
from mien.spaces import DiscSpace, GaussianPlane

#: Added to every width: a Gaussian of none would have no inverse, and no gradient to find its way back.
LEAST_WIDTH = 1e-3
#: How far `spread` centres lie from neutral, which is in the middle.
_SPREAD_RADIUS = 0.6


@dataclass(frozen=True)
class GaussianGANmutConfig(GeneratorSettings):
    """Settings of Gaussian GANmut; the defaults are the official code's at 128 px."""

    expressions: tuple[str, ...] = BASIC
    """Neutral first."""
    image_size: int = 128
    """Side of the square images in pixels."""
    image_channels: int = 3
    """1 for grey, 3 for RGB."""
    critic_channels: int = 64
    """Channels of the critic's first layer; each further layer doubles them."""
    critic_layers: int = 6
    """Strided layers of the critic."""
    adversarial: Adversarial = "wasserstein"
    """The official loss is `wasserstein`; `non-saturating` converges with fewer critic steps."""
    penalty: Literal["none", "gradient", "r1"] = "gradient"
    """The official code has the gradient penalty, and offers R1."""
    penalty_patches: PatchReduction = "sum"
    """Whether the penalty differentiates the sum of patch scores (official) or their mean."""
    penalty_interval: int = 1
    """The penalty is computed every so many steps and weighted by as much (StyleGAN2's lazy regularisation)."""
    critic_steps: int = 5
    """Critic steps for each generator step (official n_critic)."""
    soft_labels: bool = False
    """Train D_cls on the annotators' votes instead of the single label."""
    codes_per_expression: int = 1
    """Codes of each batch that lie on each centre (official: one); the others lie anywhere on the square."""
    centres: Literal["random", "spread"] = "random"
    """Initial mu: uniform below 1 / sqrt 2 (official), or centres that lie apart, neutral in the middle."""
    initial_width: float = 1.0
    """Initial eigenvalues of the covariances (official: 1); small ones tell expressions apart from the start."""
    lambda_cls: float = 2.0
    """Weight of the classification loss and of the divergence (their Gaussian run: 2)."""
    lambda_prediction: float = 0.5
    """Weight of the cross-entropy at the centres."""
    lambda_rec: float = 10.0
    """Weight of the reconstruction loss."""
    lambda_info_critic: float = 1.0
    """Weight of the regression of places for the critic (lambda_expr)."""
    lambda_info_generator: float = 0.0
    """The same for the generator, which the official Gaussian model has not, the linear one has."""
    lambda_penalty: float = 10.0
    """Weight of the penalty."""
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
        require(names[0] == NEUTRAL, "expressions", self.expressions, "neutral first: the others are seen from it")
        object.__setattr__(self, "expressions", names)
        require(self.codes_per_expression >= 1, "codes_per_expression", self.codes_per_expression, "1 or more")
        require(0 < self.initial_width < math.inf, "initial_width", self.initial_width, "above 0, and finite")


# --- the conditional space ---------------------------------------------------------------------------------------


class Draw(NamedTuple):
    """The random part of a batch of codes; those on the centres also depend on the learned mu."""

    labels: Int[Tensor, " n"]
    """Expression on whose centre the code lies; means nothing where `free`."""
    free: Bool[Tensor, " n"]
    """Codes that lie anywhere."""
    places: Float[Tensor, "n 2"]
    """Where those lie."""
    num_labelled: float
    """Codes on centres: what sums over them are divided by; for a part of a batch, the mean over the parts."""

    def of(self, part: Part) -> Draw:
        """Take a part of the batch."""
        labels, free, places = (part.of(rows) for rows in self[:3])
        return Draw(labels, free, places, self.num_labelled / part.count)


def draw_codes(count: int, config: GaussianGANmutConfig, device: torch.device) -> Draw:
    """Draw codes for a batch: first those on each centre in turn, then z ~ U[-1, 1]^2."""
    k = len(config.expressions)
    num_labelled = k * config.codes_per_expression
    if count < num_labelled:
        raise ConfigError(
            f"a batch of {count} has no room for {config.codes_per_expression} codes of each of {k} expressions",
            hint=f"raise batch_size to {num_labelled} or more, or lower codes_per_expression",
        )
    row = torch.arange(count, device=device)
    places = 2 * torch.rand(count, 2, device=device) - 1
    return Draw(row % k, row >= num_labelled, places, num_labelled)


def codes_of(draw: Draw, mu: Float[Tensor, "k 2"]) -> Float[Tensor, "n 2"]:
    """Return z: tanh(mu_k) on the centres, where it is differentiable in mu, and the drawn places elsewhere."""
    return torch.where(draw.free[:, None], draw.places, mu.tanh()[draw.labels])


def distances(
    codes: Float[Tensor, "n 2"],
    mu: Float[Tensor, "k 2"],
    angles: Float[Tensor, " k"],
    widths: Float[Tensor, "k 2"],
) -> Float[Tensor, "n k"]:
    """Return m_k(z) = (z - tanh mu_k)^T C_k^-1 (z - tanh mu_k) with C_k = R(angle) diag(widths) R(angle)^T.

    C^-1 is R diag(1 / widths) R^T: in the Gaussian's own axes, squares over widths. No matrix product, which autocast
    would take to half precision, and no numerical inverse.
    """
    x, y = (codes[:, None, :] - mu.tanh()).unbind(dim=2)
    cos, sin = angles.cos(), angles.sin()
    return (cos * x + sin * y).square() / widths[:, 0] + (cos * y - sin * x).square() / widths[:, 1]


def into_square(codes: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Pull codes from outside the square back onto its edge."""
    return codes.clamp(-1, 1)


def initial_mu(kind: str, count: int) -> Float[Tensor, "{count} 2"]:
    """Return mu as training starts from it: `random`, or `spread` round neutral in the middle."""
    if kind == "random":
        return (2 * torch.rand(count, 2) - 1) / math.sqrt(2)
    angle = torch.arange(count - 1) * (2 * math.pi / (count - 1))
    around = _SPREAD_RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)
    return torch.cat([torch.zeros(1, 2), around]).atanh()


class GaussianGANmut(Method):
    """GANmut's Gaussian model: networks, Gaussians, losses and the order of play."""

    Config = GaussianGANmutConfig

    def __init__(self, config: GaussianGANmutConfig) -> None:
        super().__init__()
        self.config = config
        k = len(config.expressions)
        self.generator = config.build_generator(config.image_channels, 2)
        self.mu = nn.Parameter(initial_mu(config.centres, k))
        self.angles = nn.Parameter(torch.zeros(k))
        self.axes = nn.Parameter(torch.full((k, 2), config.initial_width))
        # The official head has two rows behind the classes for the place; two heads are the same layer, cut.
        self.critic = build_critic(config, k, 2)

    @property
    def smallest_batch(self) -> int:
        """Return the size from which a batch has room for the codes on the centres."""
        return len(self.config.expressions) * self.config.codes_per_expression

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the critic's parameters, and the generator's together with the Gaussians'."""
        gaussians = [self.mu, self.angles, self.axes]
        return {"critic": list(self.critic.parameters()), "generator": [*self.generator.parameters(), *gaussians]}

    def widths(self) -> Float[Tensor, "k 2"]:
        """Return the eigenvalues of the covariances."""
        return self.axes.abs() + LEAST_WIDTH

    # --- losses, in the order of the official code -----------------------------------------------------------------

    def classification(self, real: CriticOutput, batch: Batch) -> Float[Tensor, ""]:
        """E[-log D_cls(c' | x)]."""
        soft = self.config.soft_labels and batch.shares is not None
        return cross_entropy(real.heads[0], batch.shares if soft else batch.labels)  # type: ignore[arg-type]

    def regression(self, fake: CriticOutput, codes: Float[Tensor, "n 2"]) -> Float[Tensor, ""]:
        """E[||D_coor(G(x, z)) - z||^2], the mean over both coordinates."""
        return (fake.heads[1].float() - codes).square().mean()

    def divergence(self, fake: CriticOutput, codes: Float[Tensor, "n 2"]) -> Float[Tensor, ""]:
        """E[KL(p || q) + KL(q || p)] = E[sum_k (p_k - q_k) (log p_k - log q_k)], p = softmax(-m(z)), q = softmax(D_cls).

        p keeps its gradient: the Gaussians move to where the edits already look like them.
        """
        log_p = (-distances(codes, self.mu, self.angles, self.widths())).log_softmax(1)
        log_q = fake.heads[0].float().log_softmax(1)
        return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1).mean()

    def prediction(self, logits: Float[Tensor, "n k"], draw: Draw) -> Float[Tensor, ""]:
        """E[-log D_cls(k | G(x, tanh mu_k))] over the codes on the centres."""
        return cross_entropy(logits, draw.labels.masked_fill(draw.free, NO_CLASS), draw.num_labelled)

    def reconstruction(self, batch: Batch, edited: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        """E[||x - G(y, D_coor(x))||_1], the mean over pixels."""
        part, weight = draw_part(batch, self.config.rec_share)
        x, y = batch.images[part], edited[part]
        with torch.no_grad():
            codes = into_square(self.critic(x).heads[1].float())
        return weight * (x - apply_edit(y, self.generator(y, codes))).abs().mean()

    def critic_losses(
        self, batch: Batch, edited: Float[Tensor, "n c h w"], codes: Float[Tensor, "n 2"], step: int
    ) -> dict[str, Tensor]:
        """L_D = -L_adv + lambda_cls L_cls + lambda_info L_info + lambda_penalty penalty."""
        config = self.config
        real, fake = self.critic.compare(*self.shown(batch, batch.images, edited.detach()))
        terms = {
            "adv": critic_adversarial(config.adversarial, real.realness, fake.realness),
            "cls": config.lambda_cls * self.classification(real, batch),
            "info": config.lambda_info_critic * self.regression(fake, codes.detach()),
        }
        return terms | critic_mouth(config, real, fake) | critic_penalty(config, self.critic, batch, edited, step)

    def generator_losses(
        self, batch: Batch, edit: Edit, edited: Tensor, codes: Float[Tensor, "n 2"], draw: Draw, step: int
    ) -> dict[str, Tensor]:
        """L_G = L_adv + lambda_cls L_kl + lambda_prediction L_prediction + lambda_rec L_rec (+ lambda_info L_info)."""
        config = self.config
        with frozen(self.critic):
            [seen] = self.shown(batch, edited)
            fake = self.critic(seen, mouth=True)
        ramp = min(1.0, (step + 1) / config.rec_ramp_steps) if config.rec_ramp_steps else 1.0
        terms = {
            "adv": generator_adversarial(config.adversarial, fake.realness),
            "kl": config.lambda_cls * self.divergence(fake, codes),
            "prediction": config.lambda_prediction * self.prediction(fake.heads[0], draw),
            "rec": config.lambda_rec * ramp * self.reconstruction(batch, edited),
        }
        if config.lambda_info_generator:
            terms["info"] = config.lambda_info_generator * self.regression(fake, codes)
        terms |= guided(config, self.guides, seen, lambda logits: self.prediction(logits, draw))
        return terms | generator_mouth(config, fake) | warp_terms(config, batch.images, edit)

    # --- the algorithm -------------------------------------------------------------------------------------------

    def edited(self, batch: Batch, draw: Draw) -> tuple[Float[Tensor, "n 2"], Edit, Float[Tensor, "n c h w"]]:
        """Return z, the edits to it and y, the images after them."""
        codes = codes_of(draw, self.mu)
        edit = self.generator(batch.images, codes)
        return codes, edit, apply_edit(batch.images, edit)

    def updates(self, batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Move the critic, and every `critic_steps` steps the generator and its Gaussians."""
        draw = draw_codes(len(batch.whole_labels), self.config, batch.images.device).of(batch.part)
        generator_moves = (step + 1) % self.config.critic_steps == 0
        with torch.set_grad_enabled(generator_moves and not batch.waits):
            codes, edit, edited = self.edited(batch, draw)
        yield "critic", self.critic_losses(batch, edited, codes, step)
        if generator_moves:
            if batch.waits:
                codes, edit, edited = self.edited(batch, draw)
            yield "generator", self.generator_losses(batch, edit, edited, codes, draw, step)

    # --- use -----------------------------------------------------------------------------------------------------

    def space(self) -> DiscSpace:
        """Return the disc round neutral of the Gaussians as they are learned now."""
        learned = (tensor.detach().cpu().numpy() for tensor in (self.mu, self.angles, self.widths()))
        return DiscSpace.on_plane(self.config.expressions, GaussianPlane.learned(*learned))

    def render(self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n 2"]) -> Edit:
        """Return the edits that bring the images to the codes, places on the square."""
        return self.generator(images, codes)

    def read(self, images: Float[Tensor, "n c h w"]) -> Reading:
        """Read D_cls and D_coor."""
        output = self.critic(images)
        return Reading(output.heads[0].float().softmax(1), into_square(output.heads[1].float()))
