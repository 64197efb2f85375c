"""What every method promises to the loop and to the editor.

A method is one paper in one file. It is an `nn.Module` that owns its networks, says which parameters each player
optimises, yields the weighted losses of a step in the order in which the players move, and renders edits.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.critics import CriticOutput, PatchCritic
from mien.edit_maps import Edit
from mien.losses import critic_adversarial, generator_adversarial, gradient_penalty, r1_penalty
from mien.methods.generator import check_generator
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


@runtime_checkable
class Anchored(Protocol):
    """A method with a setting `lambda_anchor`, which may stay near what a run goes on from."""

    def hold(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Take the generator that the run went on from, as the method's state calls it."""
        ...


def draw_targets(labels: Int[Tensor, " n"], num_classes: int, kind: str) -> Int[Tensor, " n"]:
    """Draw target labels: a permutation of the batch's own (`permuted`, as both official codes) or `uniform`."""
    if kind == "permuted":
        return labels[torch.randperm(labels.shape[0], device=labels.device)]
    return torch.randint(num_classes, labels.shape, device=labels.device)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device without waiting for what the device does: from pinned memory, where it is a GPU."""
    to_a_gpu = device.type == "cuda" and not tensor.is_cuda
    return tensor.pin_memory().to(device, non_blocking=True) if to_a_gpu else tensor.to(device)


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


def compile_network(network: nn.Module, device: torch.device) -> None:
    """Let a network run as code that is compiled for it; on the CPU only where gradients are taken.

    Without them torch 2.13's compiler fails on a warp generator there ("vr must not be None").
    """
    network.compile(dynamic=False)
    compiled: Any = network._compiled_call_impl

    def call(*inputs: Any, **options: Any) -> Any:
        return (compiled if torch.is_grad_enabled() else network._call_impl)(*inputs, **options)

    if device.type == "cpu":
        network._compiled_call_impl = call


def is_compiled(network: nn.Module) -> bool:
    """Say whether a network runs as code that was compiled for it (`compile=yes`)."""
    return getattr(network, "_compiled_call_impl", None) is not None


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
    sizes = ("generator_channels", "generator_blocks", "critic_channels", "critic_layers")
    for name in (*sizes, "critic_steps", "penalty_interval"):
        require(getattr(config, name) >= 1, name, getattr(config, name), "1 or more")
    for name in (field.name for field in dataclasses.fields(config) if field.name.startswith("lambda_")):
        require(0 <= getattr(config, name) < math.inf, name, getattr(config, name), "0 or more, and finite")
    check_generator(config)
    require(0 <= config.cutout < 1, "cutout", config.cutout, "at least 0 and below 1")
    require(0 < config.rec_share <= 1, "rec_share", config.rec_share, "above 0 and at most 1")
    require(config.rec_ramp_steps >= 0, "rec_ramp_steps", config.rec_ramp_steps, "0 or more")
    require(0 < config.learning_rate < math.inf, "learning_rate", config.learning_rate, "above 0, and finite")
    require(0 < config.critic_rate < math.inf, "critic_rate", config.critic_rate, "above 0, and finite")
    moments = len(config.betas) == 2 and all(0 <= beta < 1 for beta in config.betas)
    require(moments, "betas", config.betas, "two numbers, at least 0 and below 1")
