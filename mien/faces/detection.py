"""What a face detector is, and what all of them share.

Coordinates are pixels, x to the right and y down, and continuous: the photo covers (0, 0) to (width, height), and the
centre of its first pixel is (0.5, 0.5). A box is (x0, y0, x1, y1). Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Detection:
    """One face in a photo, in continuous pixel coordinates."""

    box: tuple[float, float, float, float]
    """(x0, y0, x1, y1); may reach beyond the photo."""
    confidence: float
    """Probability of being a face, 0 to 1."""
    landmarks: np.ndarray
    """float64 (5, 2): x, y of left eye, right eye, nose, left and right corner of the mouth, as seen in the image."""

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x0, y0, x1, y1 = self.box
        return max(0.0, x1 - x0) * max(0.0, y1 - y0)


class Detector(Protocol):
    """What finds faces: any class of `DETECTORS`."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return what decides which faces are found, for a prepared set's manifest."""
        ...

    def detect(self, images: Sequence[np.ndarray], minimum_size: float | None = None) -> list[list[Detection]]:
        """Return the faces of each uint8 (height, width, 3) RGB image, largest first."""
        ...


#: Pairs of boxes that are compared in one go: bounds memory.
_PAIRS_AT_ONCE = 100_000


def suppress(
    boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, overlap: float, of_smaller: bool = False
) -> np.ndarray:
    """Keep, within each group, the boxes that no stronger kept box overlaps by more than `overlap`; return indices.

    The overlap is intersection over union, or over the smaller of the two boxes. Indices are in order of group, then
    of falling score.
    """
    order = np.lexsort((-scores, groups))
    boxes, groups = boxes[order], groups[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept, rest = [np.zeros(0, np.int64)], np.arange(len(order))
    while len(rest):  # once, where boxes are not very many: the strongest ones, with all weaker ones of their groups
        places = np.arange(len(rest))
        weaker = np.searchsorted(groups[rest], groups[rest], side="right") - places - 1
        head = max(1, int(np.searchsorted(np.cumsum(weaker), _PAIRS_AT_ONCE, side="right")))
        weaker = weaker[:head]
        one = np.repeat(places[:head], weaker)
        other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(weaker) - weaker, weaker)
        a, b = rest[one], rest[other]
        shared = np.minimum(boxes[a, 2:], boxes[b, 2:]) - np.maximum(boxes[a, :2], boxes[b, :2])
        shared = shared.clip(0).prod(axis=1)
        whole = np.minimum(areas[a], areas[b]) if of_smaller else areas[a] + areas[b] - shared
        rivals = ~(shared <= overlap * whole)
        stays = [True] * len(rest)
        for strong, weak in zip(one[rivals].tolist(), other[rivals].tolist(), strict=True):
            if stays[strong]:  # settled: whatever is stronger came before
                stays[weak] = False
        staying = np.array(stays)
        kept.append(rest[:head][staying[:head]])
        rest = rest[head:][staying[head:]]
    return order[np.concatenate(kept)]
