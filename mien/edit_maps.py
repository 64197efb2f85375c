"""Edits as maps, on tensors and with gradients: fetch every pixel from elsewhere, wipe, add light.

What `mien.warping` does to photos. Images are float NCHW in [-1, 1].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mien.warping import WIPED_SHARE


class Edit(NamedTuple):
    """What an expression changes in a face: every pixel is fetched from elsewhere, detail wiped away, light added."""

    displacement: Float[Tensor, "n 2 h w"]
    """Where each pixel is fetched from, relative to itself: (x, y) in units of half the image."""
    delta: Float[Tensor, "n c h w"]
    """What is added at last, in the units of the image ([-1, 1] wide 2)."""
    wipe: Float[Tensor, "n 1 h w"] | None = None
    """Share of the fetched detail that is wiped away before that, 0 to 1: what light is to cover. None wipes nothing."""


def sampling_grid(displacement: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n h w 2"]:
    """Return the positions that `grid_sample` (align_corners=False) fetches from: identity plus displacement."""
    height, width = displacement.shape[-2:]
    y = (2 * torch.arange(height, device=displacement.device, dtype=torch.float32) + 1) / height - 1
    x = (2 * torch.arange(width, device=displacement.device, dtype=torch.float32) + 1) / width - 1
    identity = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    return identity + displacement.float().permute(0, 2, 3, 1)


def warp(images: Float[Tensor, "n c h w"], displacement: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n c h w"]:
    """Fetch every pixel from where the displacement points; beyond the border the border's pixels repeat."""
    grid = sampling_grid(displacement)
    # On the CPU (torch 2.13) a NaN in the grid is hidden by the forward pass and ends the process in the backward pass,
    # before a training that diverged can say so: the pixel becomes NaN, the grid does not.
    broken = grid.isnan() if grid.requires_grad else None
    if broken is not None:
        grid = grid.masked_fill(broken, 0.0)
    moved = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved if broken is None else moved.masked_fill(broken.any(3)[:, None], torch.nan)


def apply_edit(images: Float[Tensor, "n c h w"], edit: Edit) -> Float[Tensor, "n c h w"]:
    """Apply an edit to images of any size; its maps are sampled up to theirs. The result stays in [-1, 1]."""
    size = images.shape[-2:]
    displacement, delta, wipe = (None if maps is None else _fitted(maps.float(), size) for maps in edit)
    assert displacement is not None and delta is not None
    moved = warp(images, displacement)
    if wipe is not None:
        moved = wiped(moved, wipe.clamp(0, 1))
    return (moved + delta).clamp(-1, 1)


def _fitted(maps: Float[Tensor, "n c h w"], size: torch.Size) -> Tensor:
    """Return maps at another size."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bicubic", align_corners=False)


def wiped(images: Float[Tensor, "n c h w"], wipe: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c h w"]:
    """Take away so much of the images' detail: 0 leaves them, 1 leaves only their average round each place."""
    return images + wipe * (blurred(images, WIPED_SHARE) - images)


def mirrored(edit: Edit) -> Edit:
    """Return the edit that does to an image's mirror image what `edit` does to the image."""
    x, y = edit.displacement.flip(-1).split(1, dim=1)
    return Edit(torch.cat([-x, y], dim=1), edit.delta.flip(-1), None if edit.wipe is None else edit.wipe.flip(-1))


def blurred(maps: Float[Tensor, "n c h w"], share: float) -> Float[Tensor, "n c h w"]:
    """Average over a square of `share` of the width, twice, which fades like a tent; beyond the border nothing counts.

    In float32, whatever autocast says: bfloat16 has no thirds or ninths, and what is even would not stay so.
    """
    height, width = maps.shape[-2:]
    with torch.autocast(maps.device.type, enabled=False):
        rows, columns = (_tent(side, share * width, maps.device) for side in (height, width))
        return rows @ maps.float() @ columns.T  # products of matrices: on a CPU several times faster than convolutions


def _tent(side: int, across: float, device: torch.device) -> Float[Tensor, "side side"]:
    """Return the matrix that averages a line of pixels over so many, parts of pixels counted as such, twice."""
    place = torch.arange(side, device=device, dtype=torch.float32)
    near = (across / 2 + 0.5 - (place[:, None] - place[None, :]).abs()).clamp(0.0, min(1.0, across))
    near = near / near.sum(1, keepdim=True)
    return near @ near
