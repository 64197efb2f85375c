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
from collections.abc import Callable, Iterator, Mapping
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
    draw_targets,
    frozen,
    generator_mouth,
    guided,
    is_compiled,
)
from mien.methods.generator import GeneratorSettings, mouth_distance, warp_terms
from mien.settings import require
from mien.spaces import DiscSpace


@dataclass(frozen=True)
class GANmutConfig(GeneratorSettings):
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
    lambda_detour: float = 0.0
    """Weight of how far the mouth after an edit is from that of the same edit by way of the neutral face: a smile is not to
    stay in sadness (faces as `mien prepare` aligns them)."""
    detour_to: tuple[str, ...] = ("sad", "surprise")
    """The expressions that this is asked of, as far as `expressions` has them: `fear` may keep the teeth of a smile."""
    lambda_lips: float = 0.0
    """Weight of how far mouths of neutral faces, edited to `lips_of`, are from those of weaker edits to `lips_as`: lips,
    which neutral faces have shut as a rule, are to be pressed, since teeth that are not there would have to be painted
    (faces as `mien prepare` aligns them)."""
    lips_of: tuple[str, ...] = ("anger",)
    """The expressions that this is asked of, as far as `expressions` has them."""
    lips_as: str = "sad"
    """The expression whose mouths they get; where `expressions` lacks it, nothing is asked."""
    lambda_anchor: float = 0.0
    """Weight of how far all other edits, to neutral apart, are from those of the model that a run goes on from (`--init`):
    what is learned of some expressions is not to change the rest. The others are those that neither `lambda_detour` nor
    `lambda_lips` is about, where these are above zero."""
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
        detours = tuple(parse_expression(name) for name in self.detour_to)
        require(NEUTRAL not in detours, "detour_to", self.detour_to, "expressions other than neutral")
        known = bool(set(detours) & set(names)) or detours == GANmutConfig.detour_to  # a set may lack those by default
        require(known or not self.lambda_detour, "detour_to", self.detour_to, f"one or more of {', '.join(names[1:])}")
        free = bool(self.lambda_detour) and set(names[1:]) <= set(detours)
        require(
            not free or not self.lambda_anchor, "lambda_anchor", self.lambda_anchor, "0 where all are in `detour_to`"
        )
        object.__setattr__(self, "detour_to", detours)
        self._check_lips()
        require(0 <= self.threshold < 1, "threshold", self.threshold, "at least 0 and below 1")
        require(0 <= self.graded <= 1, "graded", self.graded, "a radius from 0 to 1")
        rho = self.graded == 0 or self.lambda_rho == 0
        require(rho, "lambda_rho", self.lambda_rho, "0 where `graded` is set: both say how sure D_cls shall be")
        require(0 <= self.noise < math.inf, "noise", self.noise, "0 or more, and finite")
        require(self.num_free_codes >= 0, "num_free_codes", self.num_free_codes, "0 or more")

    def _check_lips(self) -> None:
        """Check what `lambda_lips` is about, and take other names of expressions for those of the vocabulary."""
        of, model = tuple(parse_expression(name) for name in self.lips_of), parse_expression(self.lips_as)
        by_default = (of, model) == (GANmutConfig.lips_of, GANmutConfig.lips_as)  # a set may lack those
        require(model != NEUTRAL, "lips_as", self.lips_as, "an expression other than neutral")
        require(NEUTRAL not in of, "lips_of", self.lips_of, "expressions other than neutral")
        if self.lambda_lips and not by_default:
            others = self.expressions[1:]
            require(model in others, "lips_as", self.lips_as, f"one of {', '.join(others)}, or lambda_lips 0")
            rest = [name for name in others if name != model]
            told = f"one or more of {', '.join(rest)} beside lips_as={model}"
            require(bool(set(of) & set(rest)), "lips_of", self.lips_of, told)
        object.__setattr__(self, "lips_of", of)
        object.__setattr__(self, "lips_as", model)


#: Share of the side up to which a detour is compared: it warps twice, which blurs. And up to which lips are, warped once.
_SEEN, _LIPS_SEEN = 0.02, 0.01
#: How strong an edit is whose mouth another one gets, as a share of that one's radius.
_LIPS_SHARE = 0.75

# --- the conditional space ---------------------------------------------------------------------------------------


class Draw(NamedTuple):
    """The random part of a batch of codes; the codes themselves also depend on the learned axes."""

    labels: Int[Tensor, " n"]
    """Target label; means nothing where `free`."""
    radius: Float[Tensor, " n"]
    """rho."""
    noise: Float[Tensor, "n 2"]
    """e; zero where `free`."""
    free: Bool[Tensor, " n"]
    """Codes with a random direction."""
    free_direction: Float[Tensor, "n 2"]
    """That direction."""
    num_labelled: float
    """Labelled codes: what sums over them are divided by; for a part of a batch, the mean over the parts."""
    num_counted: Float[Tensor, ""]
    """The same for those with rho > T; at least one, so that a mean over none is zero."""

    def of(self, part: Part) -> Draw:
        """Take a part of the batch."""
        rows = {name: part.of(getattr(self, name)) for name in self._fields[:5]}
        means = {"num_labelled": self.num_labelled / part.count, "num_counted": self.num_counted / part.count}
        return self._replace(**rows, **means)


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


def directions(axes: Float[Tensor, "axes 2"]) -> Float[Tensor, "axes+1 2"]:
    """Return the unit vector d_k of each label; the zero vector for neutral, which has no direction."""
    return torch.cat([axes.new_zeros(1, 2), nn.functional.normalize(axes.float(), dim=1, eps=1e-12)])


def codes_of(draw: Draw, axes: Float[Tensor, "axes 2"]) -> Float[Tensor, "n 2"]:
    """Return z = rho d_c + e, and rho times the random direction where free; differentiable in the axes."""
    direction = torch.where(draw.free[:, None], draw.free_direction, directions(axes)[draw.labels])
    return draw.radius[:, None] * direction + draw.noise


def graded_labels(draw: Draw, num_classes: int, full: float) -> Float[Tensor, "n k"]:
    """Return what is to be seen at each radius: min(1, rho / full) of the label, the rest neutral; zeros where `free`.

    A cross-entropy to the label alone asks for all of it at every radius, and L_rho holds against it what the largest
    probability is, whichever class has it.
    """
    label = (draw.labels[:, None] == torch.arange(num_classes, device=draw.labels.device)).float()
    share = (draw.radius / full).clamp_max(1.0)
    mixed = share[:, None] * label
    mixed[:, 0] += 1 - share
    return torch.where(draw.free[:, None], 0.0, torch.where(draw.labels[:, None] == 0, label, mixed))


def into_disc(codes: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Pull codes from outside the unit disc back onto its rim."""
    return codes / codes.norm(dim=1, keepdim=True).clamp_min(1.0)


def initial_axes(kind: str, count: int) -> Float[Tensor, "{count} 2"]:
    """Return the axes that training starts from: `small` random ones, or `spread` evenly round the circle."""
    if kind == "small":
        return 1e-4 * (2 * torch.rand(count, 2) - 1) / math.sqrt(2)
    angle = torch.arange(count) * (2 * math.pi / count)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


class GANmut(Method):
    """GANmut's linear model: networks, axes, losses and the order of play."""

    Config = GANmutConfig
    _detoured: Tensor
    """Which of the expressions `detour_to` names, (k,)."""
    _pressed: Tensor
    """Which of the expressions get the mouths of `lips_as`, (k,)."""
    anchor: Callable[[Tensor, Draw], Tensor] | None = None
    """Images as the generator that a run went on from edits them (`hold`); no part of the state."""

    def __init__(self, config: GANmutConfig) -> None:
        super().__init__()
        self.config = config
        k = len(config.expressions)
        self.generator = config.build_generator(config.image_channels, 2)
        self.axes = nn.Parameter(initial_axes(config.axes, k - 1))
        self.critic = build_critic(config, k, 2)
        asked = [name in config.detour_to for name in config.expressions]
        self.register_buffer("_detoured", torch.tensor(asked), persistent=False)
        self._detours = config.lambda_detour > 0 and any(asked)
        given = set(config.lips_of) - {config.lips_as} if config.lips_as in config.expressions else set()
        pressed = [name in given for name in config.expressions]
        self.register_buffer("_pressed", torch.tensor(pressed), persistent=False)
        self._presses = config.lambda_lips > 0 and any(pressed)

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

    def detour(
        self, batch: Batch, edited: Float[Tensor, "n c h w"], codes: Float[Tensor, "n 2"], draw: Draw
    ) -> Float[Tensor, ""]:
        """Return how far mouths are from those of the same edits by way of the neutral face; no paper has it.

        Counted are the labelled codes of `detour_to`, for faces that show something else and are not neutral; the mean is
        over all images. A generator leaves a smile in sadness, since there are sad faces that show teeth. After its own
        neutral edit it does not, and what comes of that is what it is to do at once.
        """
        counted = ~draw.free & self._detoured[draw.labels] & (batch.labels != 0) & (batch.labels != draw.labels)
        rows = self._worth_computing(counted)
        x, z, counts = batch.images[rows], codes[rows].detach(), counted[rows]
        if not len(x):
            return edited.sum() * 0.0
        with torch.no_grad():
            neutral = apply_edit(x, self.generator(x, torch.zeros_like(z)))
            aim = apply_edit(neutral, self.generator(neutral, z))
        return (mouth_distance(edited[rows], aim, _SEEN) * counts).sum() / len(counted)

    def lips(self, batch: Batch, edited: Float[Tensor, "n c h w"], draw: Draw) -> Float[Tensor, ""]:
        """Return how far the mouths of neutral faces are from those of weaker edits to `lips_as`; no paper has it.

        Counted are the labelled codes of `lips_of`, for faces with the label neutral; the mean is over all images.
        Classifiers know anger by its teeth. Behind shut lips there are none to move, and what a generator makes of lips
        instead looks wrong.
        """
        counted = self._shut(batch, draw)
        rows = self._worth_computing(counted)
        x, radius, counts = batch.images[rows], draw.radius[rows, None], counted[rows]
        if not len(x):
            return edited.sum() * 0.0
        with torch.no_grad():
            axis = directions(self.axes)[self.config.expressions.index(self.config.lips_as)]
            aim = apply_edit(x, self.generator(x, _LIPS_SHARE * radius * axis))
        return (mouth_distance(edited[rows], aim, _LIPS_SEEN) * counts).sum() / len(counted)

    def _shut(self, batch: Batch, draw: Draw) -> Bool[Tensor, " n"]:
        """Return which edits `lips` is about."""
        return ~draw.free & self._pressed[draw.labels] & (batch.labels == 0)

    def _worth_computing(self, counted: Bool[Tensor, " n"]) -> Int[Tensor, " m"] | slice:
        """Return the rows that are counted, where that is known at once, else all.

        A GPU would have to wait for it, and compiled code is made for batches of one size: they compute all of them.
        """
        some = counted.device.type == "cpu" and not is_compiled(self.generator)
        return counted.nonzero()[:, 0] if some else slice(None)

    def hold(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Take generator and axes, as the state calls them, for the anchor."""
        config = self.config
        still = config.build_generator(config.image_channels, 2).requires_grad_(False).eval()
        inside = "generator."
        still.load_state_dict({name[len(inside) :]: each for name, each in tensors.items() if name.startswith(inside)})
        still.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        axes = tensors["axes"].to(device)

        def before(images: Tensor, draw: Draw) -> Tensor:
            with torch.no_grad():
                return apply_edit(images, still(images, codes_of(draw, axes)))

        self.anchor = before  # a function: a network would be a part of the state

    def drift(self, batch: Batch, edited: Float[Tensor, "n c h w"], draw: Draw) -> Float[Tensor, ""]:
        """Return how far edits are from those of the model that the run went on from; no paper has it.

        Counted are the labelled codes but those of `detour_to`, where `detour` has a weight, those that `lips` counts,
        where that has one, and neutral ones, which a detour goes by; the mean is over all images. It is the mean absolute
        difference, and that at the mouth, where most goes wrong, once more. The model of before is asked at its own axes.
        """
        assert self.anchor is not None  # `mien.training` sees to that
        counted = ~draw.free & (draw.labels != 0)
        if self.config.lambda_detour:
            counted = counted & ~self._detoured[draw.labels]
        if self.config.lambda_lips:
            counted = counted & ~self._shut(batch, draw)
        before = self.anchor(batch.images, draw)
        far = (edited - before).abs().mean((1, 2, 3)) + mouth_distance(edited, before)
        return (far * counted).mean()

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
        if self._detours:
            terms["detour"] = config.lambda_detour * self.detour(batch, edited, codes, draw)
        if self._presses:
            terms["lips"] = config.lambda_lips * self.lips(batch, edited, draw)
        if config.lambda_anchor:
            terms["anchor"] = config.lambda_anchor * self.drift(batch, edited, draw)
        terms |= guided(config, self.guides, seen, lambda logits: self.equation_3(logits, draw))
        return terms | generator_mouth(config, fake) | warp_terms(config, batch.images, edit)

    # --- the algorithm -------------------------------------------------------------------------------------------

    def edited(self, batch: Batch, draw: Draw) -> tuple[Float[Tensor, "n 2"], Edit, Float[Tensor, "n c h w"]]:
        """Return z, the edits to it and y, the images after them."""
        codes = codes_of(draw, self.axes)
        edit = self.generator(batch.images, codes)
        return codes, edit, apply_edit(batch.images, edit)

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
