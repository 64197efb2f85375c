"""Just so much of torchvision that facenet-pytorch's MTCNN runs without it: another implementation to compare with.

facenet-pytorch pins old versions of everything, and torchvision does not run beside every torch. Of it MTCNN uses one
function that suppresses overlapping boxes, written here plainly, and one that it needs only to write crops.

    pip install --no-deps facenet-pytorch==2.6.0; pip install requests tqdm
"""

from __future__ import annotations

import types

import numpy as np
import torch
from torch import Tensor


def stand_in() -> dict[str, types.ModuleType]:
    """Return modules by the names under which facenet-pytorch imports them, for `sys.modules`."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.ops")
    modules = {name: types.ModuleType(name) for name in (*names, "torchvision.ops.boxes")}
    modules["torchvision.transforms"].functional = modules["torchvision.transforms.functional"]  # type: ignore[attr-defined]
    modules["torchvision.ops.boxes"].batched_nms = suppress_groups  # type: ignore[attr-defined]
    return modules


def suppress_groups(boxes: Tensor, scores: Tensor, groups: Tensor, overlap: float) -> Tensor:
    """Return the indices, by falling score, of the boxes that no stronger kept box of their group overlaps by more."""
    corners, owners = boxes.cpu().double().numpy(), groups.cpu().numpy()
    areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    order = np.argsort(-scores.cpu().numpy(), kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        sides = np.minimum(corners[best, 2:], corners[rest, 2:]) - np.maximum(corners[best, :2], corners[rest, :2])
        shared = sides.clip(0).prod(axis=1)
        over = shared / (areas[best] + areas[rest] - shared) > overlap
        order = rest[~(over & (owners[rest] == owners[best]))]
    return torch.tensor(kept, dtype=torch.int64)
