"""StarGAN on labelled faces: one generator for all expressions, chosen by a label.

Papers: Choi et al., "StarGAN" (CVPR 2018, arXiv 1711.09020); Ceovic, Lipovac, Magdic, Omicevic & Zuzul, "GANs for
Generating Different Face Expressions" (Zagreb), whose equations 1 to 6 are numbered below. Idea: the critic also names
the expression; the generator must look real, be named as asked, and find the way back to the photo.

Legend: x (n, c, h, w) real images in [-1, 1]; c (n,) target labels, c' (n,) true labels; y = G(x, c); D_src realness per
patch; D_cls class logits.

Deviations, and why
- Equation 1 is the logarithmic loss; StarGAN's code, which the paper says it follows, trains the Wasserstein loss with
  gradient penalty and five critic steps. `adversarial` and `penalty` select either; the faithful preset takes eq. 1.
- Equation 4 asks for c != c'; StarGAN's code permutes the batch's labels, so that c = c' happens. `targets="different"`
  keeps to the equation, `permuted` to the code.
- The critic has as many layers as the image allows: six (StarGAN's) end at 2x2 for 128 px, and four at 3x3 for 48 px.
- The official learning-rate decay never takes effect (docs/papers/ganmut.md); there is none here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.critics import CriticOutput
from mien.edit_maps import Edit, apply_edit
from mien.expressions import parse_expression
from mien.losses import (
    Adversarial,
    PatchReduction,
    critic_adversarial,
    cross_entropy,
    generator_adversarial,
)
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
)
from mien.methods.generator import GeneratorSettings, warp_terms
from mien.settings import require
from mien.spaces import LabelSpace


@dataclass(frozen=True)
class StarGANConfig(GeneratorSettings):
    """Settings of StarGAN; the defaults are the Zagreb paper's."""

    expressions: tuple[str, ...] = ("anger", "happy", "sad", "surprise")
    """Expressions in the order of the label; the paper trains these four."""
    image_size: int = 48
    """Side of the square images in pixels; FER2013 has 48."""
    image_channels: int = 1
    """1 for grey, 3 for RGB."""
    critic_channels: int = 64
    """Channels of the critic's first layer; each further layer doubles them."""
    critic_layers: int = 4
    """Strided layers of the critic; StarGAN has 6 for 128 px."""
    adversarial: Adversarial = "log"
    """`log`: equation 1. `wasserstein`: StarGAN's code. `non-saturating`: equation 1 with the usual generator half."""
    penalty: Literal["none", "gradient", "r1"] = "none"
    """On the critic: none (eq. 6), WGAN-GP's gradient penalty (StarGAN's code) or R1."""
    penalty_patches: PatchReduction = "sum"
    """Whether the penalty differentiates the sum of patch scores (StarGAN's code) or their mean."""
    penalty_interval: int = 1
    """The penalty is computed every so many steps, and weighted by as much (StyleGAN2's lazy regularisation)."""
    critic_steps: int = 1
    """Critic steps for each generator step: 5 in StarGAN's code."""
    targets: Literal["permuted", "different", "uniform"] = "permuted"
    """How target labels are drawn: the batch's own in another order, any but the true one (eq. 4), or any."""
    soft_labels: bool = False
    """Train D_cls on the annotators' votes instead of the single label."""
    lambda_cls: float = 1.0
    """Weight of the classification losses (eq. 5, 6)."""
    lambda_rec: float = 10.0
    """Weight of the reconstruction loss (eq. 5)."""
    lambda_penalty: float = 10.0
    """Weight of the penalty: 10 in StarGAN's code."""
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
        require(len(set(names)) == len(names) >= 2, "expressions", self.expressions, "two or more different names")
        object.__setattr__(self, "expressions", names)


# --- the conditional space ---------------------------------------------------------------------------------------


def label_codes(labels: Int[Tensor, " n"], num_classes: int) -> Float[Tensor, "n k"]:
    """Return one-hot codes."""
    # `one_hot` looks at the largest label, for which it waits for the device.
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()


def different_labels(labels: Int[Tensor, " n"], num_classes: int) -> Int[Tensor, " n"]:
    """Draw for each label another one, uniformly (the condition c != c' of equation 4)."""
    return (labels + torch.randint(1, num_classes, labels.shape, device=labels.device)) % num_classes


class StarGAN(Method):
    """StarGAN: networks, losses and the order of play."""

    Config = StarGANConfig

    def __init__(self, config: StarGANConfig) -> None:
        super().__init__()
        self.config = config
        k = len(config.expressions)
        self.generator = config.build_generator(config.image_channels, k)
        self.critic = build_critic(config, k)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of the critic and of the generator."""
        return {"critic": list(self.critic.parameters()), "generator": list(self.generator.parameters())}

    # --- equations -----------------------------------------------------------------------------------------------

    def equation_1(self, real: CriticOutput, fake: CriticOutput) -> Float[Tensor, ""]:
        """-L_adv, for the critic."""
        return critic_adversarial(self.config.adversarial, real.realness, fake.realness)

    def equation_1_generator(self, fake: CriticOutput) -> Float[Tensor, ""]:
        """L_adv, as far as the generator has a part in it."""
        return generator_adversarial(self.config.adversarial, fake.realness)

    def equation_2(self, real: CriticOutput, batch: Batch) -> Float[Tensor, ""]:
        """L_cls^r = E[-log D_cls(c' | x)]."""
        soft = self.config.soft_labels and batch.shares is not None
        return cross_entropy(real.heads[0], batch.shares if soft else batch.labels)  # type: ignore[arg-type]

    def equation_3(self, logits: Float[Tensor, "n k"], targets: Int[Tensor, " n"]) -> Float[Tensor, ""]:
        """L_cls^f = E[-log D_cls(c | G(x, c))]."""
        return cross_entropy(logits, targets)

    def equation_4(self, batch: Batch, edited: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        """L_rec = E[||x - G(G(x, c), c')||_1], the mean over pixels."""
        part, weight = draw_part(batch, self.config.rec_share)
        x, y = batch.images[part], edited[part]
        codes = label_codes(batch.labels[part], len(self.config.expressions))
        return weight * (x - apply_edit(y, self.generator(y, codes))).abs().mean()

    def equation_5(
        self, batch: Batch, edit: Edit, edited: Tensor, targets: Int[Tensor, " n"], step: int
    ) -> dict[str, Tensor]:
        """L_G = L_adv + lambda_cls L_cls^f + lambda_rec L_rec, and the warp generator's own terms where weighted."""
        config = self.config
        with frozen(self.critic):
            [seen] = self.shown(batch, edited)
            fake = self.critic(seen, mouth=True)
        ramp = min(1.0, (step + 1) / config.rec_ramp_steps) if config.rec_ramp_steps else 1.0
        terms = {
            "adv": self.equation_1_generator(fake),
            "cls": config.lambda_cls * self.equation_3(fake.heads[0], targets),
            "rec": config.lambda_rec * ramp * self.equation_4(batch, edited),
        }
        terms |= guided(config, self.guides, seen, lambda logits: self.equation_3(logits, targets))
        return terms | generator_mouth(config, fake) | warp_terms(config, batch.images, edit)

    def equation_6(self, batch: Batch, edited: Float[Tensor, "n c h w"], step: int) -> dict[str, Tensor]:
        """L_D = -L_adv + lambda_cls L_cls^r, and the penalty where one is set."""
        config = self.config
        real, fake = self.critic.compare(*self.shown(batch, batch.images, edited.detach()))
        terms = {"adv": self.equation_1(real, fake), "cls": config.lambda_cls * self.equation_2(real, batch)}
        return terms | critic_mouth(config, real, fake) | critic_penalty(config, self.critic, batch, edited, step)

    # --- the algorithm -------------------------------------------------------------------------------------------

    def edited(self, batch: Batch, targets: Int[Tensor, " n"]) -> tuple[Edit, Float[Tensor, "n c h w"]]:
        """Return the edits to the targets and y, the images after them."""
        edit = self.generator(batch.images, label_codes(targets, len(self.config.expressions)))
        return edit, apply_edit(batch.images, edit)

    def updates(self, batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Move the critic, and every `critic_steps` steps the generator."""
        k = len(self.config.expressions)
        if self.config.targets == "different":
            targets = batch.part.of(different_labels(batch.whole_labels, k))
        else:
            targets = batch.part.of(draw_targets(batch.whole_labels, k, self.config.targets))
        generator_moves = (step + 1) % self.config.critic_steps == 0
        with torch.set_grad_enabled(generator_moves and not batch.waits):
            edit, edited = self.edited(batch, targets)
        yield "critic", self.equation_6(batch, edited, step)
        if generator_moves:
            if batch.waits:
                edit, edited = self.edited(batch, targets)
            yield "generator", self.equation_5(batch, edit, edited, targets, step)

    # --- use -----------------------------------------------------------------------------------------------------

    def space(self) -> LabelSpace:
        """Return the space of labels."""
        return LabelSpace(self.config.expressions)

    def render(self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n s"]) -> Edit:
        """Return the edits that bring the images to the codes (one-hot or between)."""
        return self.generator(images, codes)

    def read(self, images: Float[Tensor, "n c h w"]) -> Reading:
        """Read D_cls; its probabilities are also the code."""
        probabilities = self.critic(images).heads[0].float().softmax(1)
        return Reading(probabilities, probabilities)
