"""What every method promises to the loop and to the editor.

A method is one paper in one file. It is an `nn.Module` that owns its networks, says which parameters each player
optimises, yields the weighted losses of a step in the order in which the players move, and renders edits.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.critics import CriticOutput, PatchCritic
from mien.losses import (
    bending,
    conformal_distortion,
    critic_adversarial,
    folding,
    generator_adversarial,
    gradient_penalty,
    light_asymmetry,
    light_edges,
    light_energy,
    r1_penalty,
    stretching,
)
from mien.networks import MAX_LIGHT, MOUTH_INSIDE, Edit, ResidualGenerator, WarpGenerator, mouth_window
from mien.settings import check_choices, require
from mien.spaces import Space


@dataclass(frozen=True)
class Part:
    """Which images of a step's batch are here: every `count`-th from `index` on; by default all of them.

    A step may be shared by several processes, or taken part by part to save memory. Each part draws the random numbers
    of the whole batch and takes its own of them, so that a step is the same however it is cut.
    """

    index: int = 0
    """Number of this part, from 0."""
    count: int = 1
    """Parts in all, of equal size."""

    def of(self, whole: Tensor) -> Tensor:
        """Take this part's rows of what was drawn for the whole batch."""
        return whole[self.index :: self.count]


WHOLE = Part()


@dataclass(frozen=True)
class Batch:
    """Images with labels, on the device: a step's batch, or a part of it."""

    images: Float[Tensor, "n c h w"]
    """In [-1, 1]."""
    labels: Int[Tensor, " n"]
    """Index into the method's expressions."""
    shares: Float[Tensor, "n k"] | None = None
    """Annotators' votes as a distribution over the method's expressions, where the data has them."""
    part: Part = WHOLE
    """Which part of the step's batch this is."""
    labels_of_all: Int[Tensor, " m"] | None = None
    """Labels of the whole batch, where this is a part of it."""
    inside: Bool[Tensor, "n 1 h w"] | None = None
    """Where an image shows the picture that it was cut from, and another image of the batch would show its own; beyond that
    are repeated pixels. None where it is not asked for."""
    waits: bool = False
    """Whether other parts are computed between this one's moves; then it should keep no graph meanwhile."""

    @property
    def whole_labels(self) -> Int[Tensor, " m"]:
        """Return the labels of the whole batch."""
        return self.labels if self.labels_of_all is None else self.labels_of_all


@dataclass(frozen=True)
class Reading:
    """What a critic reads from photos."""

    probabilities: Float[Tensor, "n k"]
    """Over the method's expressions."""
    codes: Float[Tensor, "n s"]
    """Place of each face in the method's space."""


#: Says in logits, (n, k) over a method's expressions, what images in [-1, 1] show, and keeps the graph: `mien.guiding`.
GuideLogits = Callable[[Float[Tensor, "n c h w"]], Float[Tensor, "n k"]]


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """What every method says alike of its generator, of what keeps a warp generator's edits regular, and of what its critic
    is shown of them."""

    generator: Literal["residual", "warp"] = "residual"
    """`residual`: StarGAN's, as official. `warp`: ours, displacement + mask + residual."""
    generator_channels: int = 64
    """Channels of the generator's first layer."""
    generator_blocks: int = 6
    """Residual blocks of the generator."""
    both_sides: bool = False
    """Edits are the mean of a face's and of its mirror image's, mirrored (warp generator): nothing is lopsided."""
    soft_light: float = 0.0
    """Added light is blurred over this share of the side, except at the mouth (warp generator): shading, and no spots."""
    max_light: float = MAX_LIGHT
    """The largest light that can be added to a pixel, or taken, in half ranges (warp generator): with 0.8 bright teeth
    never become the dark of an open mouth, with 2 they may. `--init` may name networks with another."""
    wipes: bool = False
    """Detail at the mouth may be wiped away before light is added (warp generator); `--init` may name networks without."""
    enhancers: int = 0
    """How many times the side was doubled since networks of this size (warp generator): each adds layers round them, which
    `--init` of the smaller ones fills so that nothing changes at first."""
    lambda_bend: float = 0.0
    """Weight of the displacement's bending energy (warp generator)."""
    lambda_stretch: float = 0.0
    """Weight of the displacement's stretching (warp generator): keeps the head its shape."""
    lambda_fold: float = 0.0
    """Weight of the displacement's folds (warp generator)."""
    lambda_conformal: float = 0.0
    """Weight of the displacement's conformal distortion away from the mouth (warp generator): an iris is to stay round."""
    lambda_mask: float = 0.0
    """Weight of the mean absolute light that is added: keeps it to what a movement cannot do."""
    lambda_spots: float = 0.0
    """Weight of the mean squared light that is added: shading rather than spots."""
    lambda_edges: float = 0.0
    """Weight of the added light's total variation: shading rather than streaks."""
    lambda_lopsided: float = 0.0
    """Weight of light that is added to one half of the face only."""
    mouth_light: float = 0.0
    """By what share added light counts less at the mouth in these four costs (faces as `mien prepare` aligns them)."""
    mouth_shade: float = 0.0
    """By what share light that is taken counts less in them between the corners of the mouth: teeth may become dark, and
    corners are not to."""
    cutout: float = 0.0
    """Side of a square that is hidden from the critic, as a share of the image's: in what it learns from and judges, not in
    its penalty nor where it reads a photo's place."""
    hide_beyond: bool = False
    """Hide from the critic, in the same places, what lies beyond the picture that a face was cut from: where `mien prepare`
    repeated its last pixels. What is shown of an image ends where its own picture ends, or another's."""
    lambda_mouth: float = 0.0
    """Weight of how real a second critic finds the mouth, which is all it sees (faces as `mien prepare` aligns them)."""
    lambda_guide: float = 1.0
    """Weight of the classification loss by the frozen classifiers that `--guide` names; without any it means nothing."""
    critic_rate: float = 1.0
    """The critic's learning rate as a multiple of the generator's (two time-scale update rule, Heusel et al. 2017)."""

    def build_generator(self, image_channels: int, code_size: int) -> ResidualGenerator | WarpGenerator:
        """Return a new generator for images of so many channels and codes of so many numbers."""
        sizes = (image_channels, code_size, self.generator_channels, self.generator_blocks)
        if self.generator == "residual":
            return ResidualGenerator(*sizes)
        light = {"soft_light": self.soft_light, "max_light": self.max_light, "wipes": self.wipes}
        return WarpGenerator(*sizes, both_sides=self.both_sides, enhancers=self.enhancers, **light)


def build_critic(config: Any, *heads: int) -> PatchCritic:
    """Return a new critic of a method's sizes, with a head for each number of values that it is to tell."""
    sizes = (config.critic_channels, config.critic_layers)
    mouth = config.critic_channels if config.lambda_mouth else 0
    side = config.image_size
    return PatchCritic(config.image_channels, side, heads, *sizes, enhancers=config.enhancers, mouth_channels=mouth)


def critic_mouth(config: Any, real: CriticOutput, fake: CriticOutput) -> dict[str, Tensor]:
    """Return the weighted term by which a critic's second one learns to tell edited mouths, where there is one."""
    if real.mouth is None or fake.mouth is None:
        return {}
    return {"mouth": config.lambda_mouth * critic_adversarial(config.adversarial, real.mouth, fake.mouth)}


def generator_mouth(config: Any, fake: CriticOutput) -> dict[str, Tensor]:
    """Return the weighted term by which a generator learns that mouths pass for real, where a second critic sees them."""
    if fake.mouth is None:
        return {}
    return {"mouth": config.lambda_mouth * generator_adversarial(config.adversarial, fake.mouth)}


def guided(
    config: Any,
    guides: Sequence[GuideLogits],
    shown: Float[Tensor, "n c h w"],
    loss: Callable[[Float[Tensor, "n k"]], Tensor],
) -> dict[str, Tensor]:
    """Return the weighted mean of a loss over what guides see of edits, as they are shown them; nothing without."""
    if not guides:
        return {}
    return {"guide": config.lambda_guide * torch.stack([loss(guide(shown)) for guide in guides]).mean()}


def hidden(images: Float[Tensor, "n c h w"], share: float, batch: Batch) -> Float[Tensor, "n c h w"]:
    """Hide a square of each image, of `share` of its side, at a random place (DiffAugment's cutout, Zhao et al. 2020).

    The square's middle is anywhere in the image. What a critic learns so, and asks for, is not in one place only.
    """
    if not share:
        return images
    middles = batch.part.of(torch.rand(len(batch.whole_labels), 2, device=images.device))
    height, width = images.shape[-2:]
    y = (torch.arange(height, device=images.device) + 0.5) / height
    x = (torch.arange(width, device=images.device) + 0.5) / width
    rows, columns = (y - middles[:, :1]).abs() < share / 2, (x - middles[:, 1:]).abs() < share / 2
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


class Method(nn.Module, abc.ABC):
    """A trainable method; subclasses are final.

    `Config` is a frozen dataclass with at least `expressions`, `image_size`, `image_channels`, `learning_rate`,
    `betas`.
    """

    Config: ClassVar[type]
    config: Any
    generator: nn.Module
    critic: PatchCritic
    guides: Sequence[GuideLogits] = ()
    """Frozen classifiers that the generator is to convince, too; no part of the method's state."""

    @property
    def smallest_batch(self) -> int:
        """Return how many images a batch needs at least."""
        return 1

    @abc.abstractmethod
    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each player, `generator` among them: that one is averaged and shipped."""

    @abc.abstractmethod
    def updates(self, batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield (player, {term: weighted loss}) for each move of a step; the player has moved when it is resumed.

        Where the batch is a part of a step's batch, the mean of a term over all parts must be what the whole batch gives.
        """

    def shown(self, batch: Batch, *stacks: Float[Tensor, "n c h w"]) -> Iterator[Float[Tensor, "n c h w"]]:
        """Return images as the critic sees them where it learns from them and where the generator learns from it.

        Its penalty, and its reading of where a photo stands, take the whole images.
        """
        seen = (hidden(images, self.config.cutout, batch) for images in stacks)
        return seen if batch.inside is None else (images.masked_fill(~batch.inside, 0.0) for images in seen)

    @abc.abstractmethod
    def space(self) -> Space:
        """Return the conditional space as it is now."""

    @abc.abstractmethod
    def render(self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n s"]) -> Edit:
        """Return the edits that bring the images to the codes."""

    @abc.abstractmethod
    def read(self, images: Float[Tensor, "n c h w"]) -> Reading:
        """Read which expressions the critic sees, and where in the space."""


def draw_targets(labels: Int[Tensor, " n"], num_classes: int, kind: str) -> Int[Tensor, " n"]:
    """Draw target labels: a permutation of the batch's own (`permuted`, as both official codes) or `uniform`."""
    if kind == "permuted":
        return labels[torch.randperm(labels.shape[0], device=labels.device)]
    return torch.randint(num_classes, labels.shape, device=labels.device)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device without waiting for what the device does: from pinned memory, where it is a GPU."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def draw_part(batch: Batch, share: float) -> tuple[Int[Tensor, " m"] | slice, float]:
    """Draw which images an expensive loss is computed on: all in order, or a random share of the whole batch.

    Returns those of them that are here, and the weight that their mean has in the mean over all that were drawn.
    """
    if share == 1:
        return slice(None), 1.0
    part, count = batch.part, len(batch.whole_labels)
    chosen = torch.randperm(count)[: max(1, round(share * count))]  # on the CPU: how many are here is known there
    here = chosen if part.count == 1 else chosen[chosen % part.count == part.index] // part.count
    weight = len(here) * part.count / len(chosen)
    # Where none is here, one image stands in with weight zero: a mean over nothing would be no number.
    return to_device(here if len(here) else torch.zeros(1, dtype=torch.long), batch.images.device), weight


def critic_penalty(config: Any, critic: PatchCritic, batch: Batch, fake: Tensor, step: int) -> dict[str, Tensor]:
    """Return the weighted penalty on the critic's gradient, where one is set and due at this step."""
    if config.penalty == "none" or step % config.penalty_interval:
        return {}
    weight = config.lambda_penalty * config.penalty_interval
    penalty = _penalty(config, critic, batch, batch.images, fake)
    if critic.mouth is not None:
        real, fake = critic.at_mouth(batch.images), critic.at_mouth(fake)
        penalty = penalty + _penalty(config, critic.mouth, batch, real, fake)
    return {"penalty": weight * penalty}


def _penalty(config: Any, critic: PatchCritic, batch: Batch, real: Tensor, fake: Tensor) -> Tensor:
    if config.penalty == "gradient":
        between = batch.part.of(torch.rand(len(batch.whole_labels), 1, 1, 1, device=real.device))
        return gradient_penalty(critic.realness_gradient, real, fake, between, config.penalty_patches)
    return r1_penalty(critic.realness_gradient, real, config.penalty_patches)


def warp_terms(config: GeneratorSettings, edit: Edit) -> dict[str, Tensor]:
    """Return the weighted terms that keep a warp generator's edits regular; those of weight zero are left out."""
    light = edit.delta
    height, width = light.shape[-2:]
    if config.mouth_light:
        light = light * (1 - config.mouth_light * mouth_window(height, width, light.device))
    if config.mouth_shade:
        inside = mouth_window(height, width, light.device, MOUTH_INSIDE)
        light = torch.where(light.mean(1, keepdim=True) < 0, light * (1 - config.mouth_shade * inside), light)
    field = edit.displacement
    terms = {
        "bend": (config.lambda_bend, lambda: bending(field)),
        "stretch": (config.lambda_stretch, lambda: stretching(field)),
        "fold": (config.lambda_fold, lambda: folding(field)),
        "conformal": (config.lambda_conformal, lambda: conformal_distortion(field, _away_from_mouth(field))),
        "mask": (config.lambda_mask, lambda: light.abs().mean()),
        "spots": (config.lambda_spots, lambda: light_energy(light)),
        "edges": (config.lambda_edges, lambda: light_edges(light)),
        "lopsided": (config.lambda_lopsided, lambda: light_asymmetry(light)),
    }
    return {name: weight * loss() for name, (weight, loss) in terms.items() if weight}


def _away_from_mouth(field: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "h-1 w-1"]:
    height, width = field.shape[-2:]
    return 1 - mouth_window(height - 1, width - 1, field.device)


class frozen:
    """Keep a network's parameters out of the graphs that are built inside the block, which saves their gradients."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __enter__(self) -> None:
        self.network.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        self.network.requires_grad_(True)


def check_settings(config: Any) -> None:
    """Check those fields of a method's configuration that every method has."""
    check_choices(config)
    require(config.image_channels in (1, 3), "image_channels", config.image_channels, "1 (grey) or 3 (RGB)")
    require(0 <= config.enhancers <= 4, "enhancers", config.enhancers, "from 0 to 4")
    least = 4 * 2**config.enhancers
    fits = config.image_size % least == 0 and config.image_size >= 2 * least
    after = f" with enhancers={config.enhancers}, each of which doubles it" if config.enhancers else ""
    require(fits, "image_size", config.image_size, f"a multiple of {least}, from {2 * least}{after}")
    sizes = ("generator_channels", "generator_blocks", "critic_channels", "critic_layers")
    for name in (*sizes, "critic_steps", "penalty_interval"):
        require(getattr(config, name) >= 1, name, getattr(config, name), "1 or more")
    for name in (field.name for field in dataclasses.fields(config) if field.name.startswith("lambda_")):
        require(0 <= getattr(config, name) < math.inf, name, getattr(config, name), "0 or more, and finite")
    warps = config.generator == "warp"
    require(warps or not config.enhancers, "enhancers", config.enhancers, "0, unless the generator is `warp`")
    require(warps or not config.both_sides, "both_sides", config.both_sides, "no, unless the generator is `warp`")
    require(0 <= config.soft_light <= 0.25, "soft_light", config.soft_light, "from 0 to 0.25")
    require(warps or not config.wipes, "wipes", config.wipes, "no, unless the generator is `warp`")
    require(warps or not config.soft_light, "soft_light", config.soft_light, "0, unless the generator is `warp`")
    require(0 <= config.mouth_light <= 1, "mouth_light", config.mouth_light, "from 0 to 1")
    require(0 < config.max_light <= 2, "max_light", config.max_light, "above 0 and at most 2")
    require(
        warps or config.max_light == MAX_LIGHT,
        "max_light",
        config.max_light,
        f"{MAX_LIGHT}, unless the generator is `warp`",
    )
    require(0 <= config.mouth_shade <= 1, "mouth_shade", config.mouth_shade, "from 0 to 1")
    require(0 <= config.cutout < 1, "cutout", config.cutout, "at least 0 and below 1")
    require(0 < config.rec_share <= 1, "rec_share", config.rec_share, "above 0 and at most 1")
    require(config.rec_ramp_steps >= 0, "rec_ramp_steps", config.rec_ramp_steps, "0 or more")
    require(0 < config.learning_rate < math.inf, "learning_rate", config.learning_rate, "above 0, and finite")
    require(0 < config.critic_rate < math.inf, "critic_rate", config.critic_rate, "above 0, and finite")
    moments = len(config.betas) == 2 and all(0 <= beta < 1 for beta in config.betas)
    require(moments, "betas", config.betas, "two numbers, at least 0 and below 1")


def check_effect(config: GeneratorSettings) -> None:
    """Raise `ConfigError` for costs of a displacement that the generator has not: they would have no effect.

    Of what is configured anew; a run of before may have had them.
    """
    for name in ("lambda_bend", "lambda_stretch", "lambda_fold", "lambda_conformal"):
        none = config.generator == "warp" or not getattr(config, name)
        require(none, name, getattr(config, name), "0, unless the generator is `warp`")
