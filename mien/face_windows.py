"""Where things are in an aligned face (`mien.faces.align`), as windows: 1 there, 0 far from it, smooth between."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

#: Of a mouth with its corners, and of what lies between them where it is open: half its width as a share of the side.
MOUTH, MOUTH_INSIDE = 0.19, 0.11


def edge_window(height: int, width: int, margin: float, device: torch.device) -> Float[Tensor, "h w"]:
    """Return a window that is 0 on the border and 1 further inside than `margin` (a share of the side), smooth between."""

    def ramp(count: int) -> Tensor:
        centre = (torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count
        distance = (torch.minimum(centre, 1 - centre) / margin).clamp(0, 1)
        return distance * distance * (3 - 2 * distance)

    return ramp(height)[:, None] * ramp(width)[None, :]


def mouth_window(height: int, width: int, device: torch.device, half_width: float = MOUTH) -> Float[Tensor, "h w"]:
    """Return nearly 1 where an aligned face (`mien.faces.align`) has its mouth, 0 far from it, smooth between.

    What is behind lips and teeth cannot be had by moving what is seen: there light has to be added. The window does not
    follow a mouth that augmentation has moved, by up to 6 % of the side, or enlarged.
    """
    return _window(height, width, device, (0.5, 0.765), (half_width, 0.1))


def eyes_window(height: int, width: int, device: torch.device) -> Float[Tensor, "h w"]:
    """Return nearly 1 where an aligned face (`mien.faces.align`) has its irises, 0 far from them, smooth between.

    The window does not follow eyes that augmentation has moved: of 100,000 faces changed as in training, it was on average
    0.33 at the irises.
    """
    left, right = (_window(height, width, device, (x, 0.394), (0.045, 0.04)) for x in (0.335, 0.665))
    return left + right


def nose_window(height: int, width: int, device: torch.device) -> Float[Tensor, "h w"]:
    """Return nearly 1 along the middle of an aligned face's nose (`mien.faces.align`), a half at its wings, 0 far from it.

    The bridge is left out. The window does not follow a nose that augmentation has moved.
    """
    return _window(height, width, device, (0.5, 0.56), (0.11, 0.1))


def _window(
    height: int, width: int, device: torch.device, centre: tuple[float, float], halves: tuple[float, float]
) -> Float[Tensor, "h w"]:
    """Return nearly 1 less than `halves` away from `centre`, both x and y as shares of the side, 0 far from it."""
    x = ((torch.arange(width, device=device) + 0.5) / width - centre[0]) / halves[0]
    y = ((torch.arange(height, device=device) + 0.5) / height - centre[1]) / halves[1]
    return torch.exp(-(x**4)[None, :] - (y**4)[:, None])
