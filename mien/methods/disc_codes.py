"""Codes of GANmut's disc, from what was drawn (`mien.methods.ganmut.draw_codes`) and the axes as they are learned.

Legend as in `mien.methods.ganmut`: z = rho d_c + e.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.methods.base import Part


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
