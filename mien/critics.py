"""The network that every method learns from: a critic with as many heads as it needs.

`PatchCritic` is StarGAN's discriminator (Choi et al. 2018, table 5). Images are float NCHW in [-1, 1].
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mien.errors import ConfigError


class CriticOutput(NamedTuple):
    """What a critic says of images: realness of each patch, one vector per further head, and realness of the mouth."""

    realness: Float[Tensor, "n 1 i j"]
    heads: tuple[Tensor, ...]
    mouth: Float[Tensor, "n 1 i j"] | None = None
    """Of each patch of the mouth, where the critic has a second one for that."""


class Halving(nn.Conv2d):
    """A 4x4 convolution of stride 2, as `nn.Conv2d`, that trains faster on a CPU where few pixels meet many weights.

    There it is one product of matrices. Torch's convolution (2.13) is up to four times slower for 1024 to 2048 channels at
    4 x 4 pixels, since it copies the weights into other layouts for a batch of few pixels.
    """

    MOST_PIXELS = 16
    """Of an output that is computed as a product."""
    LEAST_WEIGHTS = 2**22
    """Of a layer that is; smaller ones are faster as torch has them."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution."""
        return self.linear(x, self.bias)

    def linear(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the convolution with another bias, or none."""
        pixels = (x.shape[2] // 2) * (x.shape[3] // 2)
        pays = pixels <= self.MOST_PIXELS and self.weight.numel() >= self.LEAST_WEIGHTS
        if pays and self.training and x.device.type == "cpu":
            return _as_product(x, self.weight, bias)
        return F.conv2d(x, self.weight, bias, self.stride, self.padding)


def _as_product(x: Float[Tensor, "n c h w"], weight: Float[Tensor, "o c 4 4"], bias: Tensor | None) -> Tensor:
    """Return the convolution of stride 2 as a product of two matrices: each window is a row, each filter a column."""
    windows = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).unfold(1, 4, 2).unfold(2, 4, 2)  # n, rows, columns, c, 4, 4
    n, rows, columns = windows.shape[:3]
    windows = windows.permute(0, 1, 2, 4, 5, 3).reshape(n * rows * columns, -1)
    found = F.linear(windows, weight.permute(0, 2, 3, 1).flatten(1), bias)  # weights in channels_last are not copied
    return found.view(n, rows, columns, -1).permute(0, 3, 1, 2)


class _RealnessGradient(torch.autograd.Function):
    """What `PatchCritic.realness_gradient` says; the last of `weights` are the patch head's."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, convolutions: list[Halving], slope: float, mean: bool, *weights: Tensor
    ) -> Tensor:
        positive = []
        with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            start = images.detach().float() if images.dtype in (torch.float16, torch.bfloat16) else images.detach()
            x = start.requires_grad_()
            for layer in convolutions:
                x = layer(x)
                positive.append(x.detach() > 0)
                x = F.leaky_relu(x, slope)
            patches = F.conv2d(x, weights[-1], padding=1)
            share = 1.0 / patches[0].numel() if mean else 1.0
            (gradient,) = torch.autograd.grad(share * patches.sum(), start)
        ctx.save_for_backward(*weights, *positive)
        ctx.convolutions, ctx.slope, ctx.share = convolutions, slope, share
        return gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        count = len(ctx.convolutions)
        weights, positive = ctx.saved_tensors[: count + 1], ctx.saved_tensors[count + 1 :]
        with torch.enable_grad(), torch.autocast(direction.device.type, enabled=False):
            x = direction
            for layer, above in zip(ctx.convolutions, positive, strict=True):
                x = layer.linear(x)
                x = torch.where(above, x, ctx.slope * x)
            moved = ctx.share * F.conv2d(x, weights[-1], padding=1).sum()
            wanted = [weight for weight, needed in zip(weights, ctx.needs_input_grad[4:], strict=True) if needed]
            found = iter(torch.autograd.grad(moved, wanted) if wanted else ())
        return None, None, None, None, *(next(found) if needed else None for needed in ctx.needs_input_grad[4:])


class PatchCritic(nn.Module):
    """StarGAN's discriminator: strided 4x4 convolutions, a patch head, and one full-size convolution per further head.

    With 64 channels, 6 layers, 128 px and heads of 7 (classes) and 2 (coordinates) it has GANmut's 44,794,816
    parameters.

    With `enhancers` it is one for images of half the side, or of a quarter and so on, with as many layers before it, of
    `base_channels` each (`mien.resizing.grown`).

    With `mouth_channels` there is a second critic, of so many channels, that sees the mouth alone (a local discriminator:
    Iizuka et al., "Globally and locally consistent image completion", 2017) and says only how real that is.
    """

    def __init__(
        self,
        image_channels: int,
        image_size: int,
        heads: tuple[int, ...],
        base_channels: int = 64,
        num_layers: int = 6,
        slope: float = 0.01,
        enhancers: int = 0,
        mouth_channels: int = 0,
    ) -> None:
        super().__init__()
        final_size = image_size // 2 ** (num_layers + enhancers)
        if final_size < 1:
            raise ConfigError(
                f"a critic of {num_layers + enhancers} layers halves {image_size} px away",
                hint=f"set critic_layers to {image_size.bit_length() - 1 - enhancers} or less",
            )
        layers: list[nn.Module] = []
        width = image_channels
        for index in range(num_layers + enhancers):
            after = base_channels * 2 ** max(0, index - enhancers)
            layers += [Halving(width, after), nn.LeakyReLU(slope, inplace=True)]
            width = after
        self.image_channels, self.base_channels, self.slope = image_channels, base_channels, slope
        self.main = nn.Sequential(*layers)
        self.realness = nn.Conv2d(width, 1, 3, 1, 1, bias=False)
        self.heads = nn.ModuleList(nn.Conv2d(width, size, final_size, bias=False) for size in heads)
        self.mouth: PatchCritic | None = None
        if mouth_channels:
            side = image_size // 2
            layers_there = max(1, side.bit_length() - 3)  # patches of 4 x 4 to 7 x 7
            self.mouth = PatchCritic(image_channels, side, (), mouth_channels, layers_there, slope)
            # It comes late, beside a generator that is trained, and torch's own start is slow.
            for layer in self.mouth.main:
                if isinstance(layer, Halving):
                    nn.init.kaiming_normal_(layer.weight, slope, nonlinearity="leaky_relu")
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @staticmethod
    def at_mouth(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h/2 w/2"]:
        """Return the square of half the side in which aligned faces have their mouths, from below the nose to the chin."""
        height, width = images.shape[-2:]
        top, left = round(0.47 * height), width // 4
        return images[..., top : top + height // 2, left : left + width // 2]

    def compare(
        self, real: Float[Tensor, "n c h w"], fake: Float[Tensor, "m c h w"]
    ) -> tuple[CriticOutput, CriticOutput]:
        """Judge two batches in one go, which computes the gradients of large weights once, not twice."""
        both, sizes = self(torch.cat([real, fake]), mouth=True), [len(real), len(fake)]
        patches, heads = both.realness.split(sizes), [head.split(sizes) for head in both.heads]
        mouths = (None, None) if both.mouth is None else both.mouth.split(sizes)
        first, second = (
            CriticOutput(patches[half], tuple(head[half] for head in heads), mouths[half]) for half in (0, 1)
        )
        return first, second

    def realness_gradient(
        self, images: Float[Tensor, "n c h w"], patches: Literal["sum", "mean"] = "sum"
    ) -> Float[Tensor, "n c h w"]:
        """Return the gradient of each image's realness, its patches added up or averaged, by the image.

        It can be differentiated by the critic's parameters, for less than differentiating a gradient costs: the critic is
        linear but for its rectifiers, whose slopes stand still when the parameters move a little. So a product of the
        gradient and a direction v is what the same network, without biases and with the slopes that the image gave, makes
        of v; and the derivative of that is had by going forward once more, and back.
        """
        convolutions = [layer for layer in self.main if isinstance(layer, Halving)]
        weights = [*(layer.weight for layer in convolutions), self.realness.weight]
        return _RealnessGradient.apply(images, convolutions, self.slope, patches == "mean", *weights)

    def forward(self, images: Float[Tensor, "n c h w"], mouth: bool = False) -> CriticOutput:
        """Judge images of the size that the critic was made for, and with `mouth` also their mouths alone, if it can."""
        features = self.main(images)
        heads = tuple(head(features)[:, :, 0, 0] for head in self.heads)
        seen = self.mouth(self.at_mouth(images)).realness if mouth and self.mouth is not None else None
        return CriticOutput(self.realness(features), heads, seen)
