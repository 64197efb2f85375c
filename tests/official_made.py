"""The official generators and discriminators written again from their descriptions, as functions of state dicts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = dict[str, Tensor]


def norm(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    """Instance norm as in training: by the image's own mean and variance."""
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
    scale, shift = (tensors[f"{name}.{part}"][None, :, None, None] for part in ("weight", "bias"))
    return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift


def generate(tensors: Tensors, images: Tensor, codes: Tensor, blocks: int) -> Tensor:
    """StarGAN's generator on images in the channel order of its training."""
    x = torch.cat([images, codes[:, :, None, None].expand(-1, -1, *images.shape[2:])], dim=1)
    layers = iter(range(100))

    def step(x: Tensor, convolve: Any, **sizes: int) -> Tensor:
        conv, normed, _ = itertools.islice(layers, 3)
        return F.relu(norm(tensors, f"main.{normed}", convolve(x, tensors[f"main.{conv}.weight"], **sizes)))

    x = step(x, F.conv2d, padding=3)
    x = step(x, F.conv2d, stride=2, padding=1)
    x = step(x, F.conv2d, stride=2, padding=1)
    for index in itertools.islice(layers, blocks):
        y = F.relu(
            norm(tensors, f"main.{index}.main.1", F.conv2d(x, tensors[f"main.{index}.main.0.weight"], padding=1))
        )
        x = x + norm(tensors, f"main.{index}.main.4", F.conv2d(y, tensors[f"main.{index}.main.3.weight"], padding=1))
    x = step(x, F.conv_transpose2d, stride=2, padding=1)
    x = step(x, F.conv_transpose2d, stride=2, padding=1)
    return torch.tanh(F.conv2d(x, tensors[f"main.{next(layers)}.weight"], padding=3))


def discriminate(tensors: Tensors, images: Tensor, layers: int) -> tuple[Tensor, ...]:
    """Patch scores, then what the further heads say, (n, size) each."""
    x = images
    for index in range(0, 2 * layers, 2):
        x = F.conv2d(x, tensors[f"main.{index}.weight"], tensors[f"main.{index}.bias"], stride=2, padding=1)
        x = torch.where(x > 0, x, 0.01 * x)
    heads = [F.conv2d(x, tensors[n])[:, :, 0, 0] for n in ("conv2.weight", "conv3.weight") if n in tensors]
    return F.conv2d(x, tensors["conv1.weight"], padding=1), *heads


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape) / math.sqrt(max(1, math.prod(shape[1:]) // 4))


def statistics(name: str, width: int) -> Tensors:
    """Instance norm with statistics that would ruin every picture, if they were used."""
    return {
        f"{name}.weight": 1 + 0.3 * torch.randn(width),
        f"{name}.bias": 0.3 * torch.randn(width),
        f"{name}.running_mean": torch.full((width,), 7.0),
        f"{name}.running_var": torch.full((width,), 0.01),
        f"{name}.num_batches_tracked": torch.tensor(1_800_000),
    }


def generator_tensors(code: int, width: int = 8, blocks: int = 2, channels: int = 3) -> Tensors:
    found: Tensors = {"main.0.weight": drawn(width, channels + code, 7, 7), **statistics("main.1", width)}
    for index in (3, 6):
        found |= {f"main.{index}.weight": drawn(2 * width, width, 4, 4), **statistics(f"main.{index + 1}", 2 * width)}
        width *= 2
    for index in range(9, 9 + blocks):
        for part in (0, 3):
            found[f"main.{index}.main.{part}.weight"] = drawn(width, width, 3, 3)
            found |= statistics(f"main.{index}.main.{part + 1}", width)
    for index in (9 + blocks, 12 + blocks):
        found |= {f"main.{index}.weight": drawn(width, width // 2, 4, 4), **statistics(f"main.{index + 1}", width // 2)}
        width //= 2
    return found | {f"main.{15 + blocks}.weight": drawn(channels, width, 7, 7)}


def critic_tensors(classes: int, places: int = 0, width: int = 4, layers: int = 4, kernel: int = 2) -> Tensors:
    found: Tensors = {}
    before = 3
    for index in range(layers):
        after = width * 2**index
        found |= {f"main.{2 * index}.weight": drawn(after, before, 4, 4), f"main.{2 * index}.bias": torch.randn(after)}
        before = after
    found |= {"conv1.weight": drawn(1, before, 3, 3), "conv2.weight": drawn(classes, before, kernel, kernel)}
    return found | ({"conv3.weight": drawn(places, before, kernel, kernel)} if places else {})


def linear_tensors(labels: int = 7) -> Tensors:
    return generator_tensors(2) | {
        "axes.weight": 1e-3 * torch.randn(labels - 1, 2),
        "axes.bias": torch.randn(labels - 1),
    }


def gaussian_tensors(labels: int = 7) -> Tensors:
    return generator_tensors(2) | {
        "mu.weight": torch.randn(labels, 2),
        "covariance_angles.weight": torch.randn(1, labels),
        "covariance_axes.weight": 0.5 + torch.rand(labels, 2),
    }
