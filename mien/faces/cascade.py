"""What MTCNN is whatever runs its networks: numbers, thresholds, weights, and the arithmetic of boxes.

`mien.faces.mtcnn` runs them by torch, `mien.faces.mtcnn_onnx` by onnxruntime; here neither is needed.
"""

from __future__ import annotations

import abc
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mien.errors import ConfigError, WeightsError
from mien.faces.detection import Detection, suppress
from mien.images import resize

#: PNet sees a window of 12 pixels and moves by 2.
WINDOW, STRIDE = 12, 2
RNET_SIZE, ONET_SIZE = 24, 48

#: Overlaps above which the weaker box goes: within a scale, over scales and after RNet, after ONet (the authors' code).
OVERLAP_IN_SCALE, OVERLAP_OVER_SCALES, OVERLAP_LAST = 0.5, 0.7, 0.7

#: Candidates that go through RNet or ONet together: bounds memory.
CANDIDATES_AT_ONCE = 2048


class Views(Protocol):
    """A stack of images, of which smaller copies and crops can be had."""

    @property
    def height(self) -> int:
        """Height of the images in pixels."""
        ...

    @property
    def width(self) -> int:
        """Width of the images in pixels."""
        ...


class Candidates(NamedTuple):
    """Places of one scale that PNet takes for faces."""

    owner: np.ndarray
    """Index of the image, (count,)."""
    row: np.ndarray
    """Row in PNet's output, (count,)."""
    column: np.ndarray
    """Column in PNet's output, (count,)."""
    score: np.ndarray
    """Probability, (count,)."""
    correction: np.ndarray
    """Of the box's edges, (count, 4)."""


class Cascade(abc.ABC):
    """The cascade of arXiv 1604.02878 for many images at once; subclasses run its networks, and are final."""

    def __init__(
        self,
        threshold: float | None,
        thresholds: tuple[float, float, float],
        minimum_size: float,
        scale_factor: float,
        longest_side: int,
        pixels_at_once: int,
    ) -> None:
        """Check and keep the settings; `pixels_at_once` of photos are searched together."""
        check_search(minimum_size, scale_factor, longest_side)
        self.thresholds, self.minimum_size = stage_thresholds(threshold, thresholds), minimum_size
        self.scale_factor, self.longest_side = scale_factor, longest_side
        self._pixels_at_once = pixels_at_once

    @abc.abstractmethod
    def _views(self, stack: np.ndarray) -> Views:
        """Make uint8 (batch, height, width, 3) ready for the networks."""

    @abc.abstractmethod
    def _candidates(self, views: Any, size: tuple[int, int]) -> Candidates:
        """Run PNet over the images at a size (height, width); return what reaches the first threshold."""

    @abc.abstractmethod
    def _judge(self, network: str, views: Any, owners: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run `rnet` or `onet` over boxes; return probabilities (count,) and values (count, 4 or 14)."""

    def _workers(self) -> int:
        """Return how many chunks are searched at a time."""
        return 1

    def _for_each(self, work: Callable[..., None], chunks: Sequence[tuple[Any, ...]]) -> None:
        for chunk in chunks:
            work(*chunk)

    @property
    def settings(self) -> dict[str, Any]:
        """Return thresholds, least size and pyramid, for a prepared set's manifest."""
        names = ("minimum_size", "scale_factor", "longest_side")
        return {"thresholds": list(self.thresholds), **{name: getattr(self, name) for name in names}}

    def detect(self, images: Sequence[np.ndarray], minimum_size: float | None = None) -> list[list[Detection]]:
        """Return the faces of each uint8 (height, width, 3) RGB image, largest box first.

        Images of one size are searched together. `minimum_size`, in pixels of the images, stands in for the
        detector's own where the caller knows how large faces must be.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(image.shape, []).append(index)
        found: list[list[Detection]] = [[] for _ in images]
        chunks: list[tuple[list[int], tuple[int, int]]] = []
        for shape, members in groups.items():
            shrink = min(1.0, self.longest_side / max(shape[:2]))
            size = (max(1, round(shape[0] * shrink)), max(1, round(shape[1] * shrink)))
            at_once = max(1, self._pixels_at_once // (size[0] * size[1]))
            chunks += [(members[part], size) for part in shares(len(members), at_once, self._workers())]

        def search(chunk: list[int], size: tuple[int, int]) -> None:
            height, width = images[chunk[0]].shape[:2]
            stack = np.stack([resize(images[i], size) for i in chunk])
            unit = np.array([width / size[1], height / size[0]])
            smallest = max(float(WINDOW), (minimum_size or self.minimum_size) / float(unit.max()))
            for index, faces in zip(chunk, self._detect_stack(stack, smallest, unit), strict=True):
                found[index] = faces

        self._for_each(search, chunks)
        return found

    def _detect_stack(self, stack: np.ndarray, smallest: float, unit: np.ndarray) -> list[list[Detection]]:
        """Run the cascade on uint8 (batch, height, width, 3); `unit` (x, y) scales results to the caller's pixels."""
        views = self._views(stack)
        owners, boxes = self._propose(views, smallest)

        scores, values = self._in_chunks("rnet", views, owners, boxes)
        keep = np.flatnonzero(scores > self.thresholds[1])
        keep = keep[suppress(boxes[keep], scores[keep], owners[keep], OVERLAP_OVER_SCALES)]
        owners, boxes = owners[keep], square(correct(boxes[keep], values[keep]))

        scores, values = self._in_chunks("onet", views, owners, boxes)
        keep = np.flatnonzero(scores > self.thresholds[2])
        owners, boxes, scores, values = owners[keep], boxes[keep], scores[keep], values[keep]
        sides = boxes[:, 2:] - boxes[:, :2]
        landmarks = boxes[:, None, :2] + sides[:, None] * values[:, 4:].reshape(-1, 2, 5).transpose(0, 2, 1)
        boxes = correct(boxes, values[:, :4])

        faces: list[list[Detection]] = [[] for _ in stack]
        for i in suppress(boxes, scores, owners, OVERLAP_LAST, of_smaller=True):
            x0, y0, x1, y1 = (float(v) for v in boxes[i] * np.tile(unit, 2))
            faces[owners[i]].append(Detection((x0, y0, x1, y1), float(scores[i]), landmarks[i] * unit))
        return [sorted(each, key=lambda face: face.area, reverse=True) for each in faces]

    def _propose(self, views: Views, smallest: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the image index (count,) and the square box (count, 4) of what PNet takes for faces."""
        height, width = views.height, views.width
        owners, boxes, corrections, scores = [], [], [], []
        scale = WINDOW / smallest
        while min(height, width) * scale >= WINDOW:
            size = (math.ceil(height * scale), math.ceil(width * scale))
            owner, row, column, score, correction = self._candidates(views, size)
            corner = np.stack([column * (STRIDE * width / size[1]), row * (STRIDE * height / size[0])], axis=1)
            side = np.array([WINDOW * width / size[1], WINDOW * height / size[0]])
            box = np.concatenate([corner, corner + side], axis=1)
            keep = suppress(box, score, owner, OVERLAP_IN_SCALE)
            owners.append(owner[keep])
            boxes.append(box[keep])
            scores.append(score[keep])
            corrections.append(correction[keep])
            scale *= self.scale_factor
        if not owners:  # the image is smaller than the smallest face
            return np.zeros(0, np.int64), np.zeros((0, 4))
        owner, box, correction = np.concatenate(owners), np.concatenate(boxes), np.concatenate(corrections)
        keep = suppress(box, np.concatenate(scores), owner, OVERLAP_OVER_SCALES)
        return owner[keep], square(correct(box[keep], correction[keep]))

    def _in_chunks(
        self, network: str, views: Views, owners: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run RNet or ONet over all candidates of all images."""
        scores, values = [], []
        # At least once, so that no face gives empty arrays.
        for start in range(0, max(1, len(boxes)), CANDIDATES_AT_ONCE):
            part = slice(start, start + CANDIDATES_AT_ONCE)
            score, value = self._judge(network, views, owners[part], boxes[part])
            scores.append(score)
            values.append(value.astype(np.float64))
        return np.concatenate(scores), np.concatenate(values)


def shares(count: int, most: int, workers: int) -> list[slice]:
    """Cut a count into parts of at most `most`, alike, and as many for each worker where that leaves four in a part."""
    number = -(-count // most)
    even = -(-number // workers) * workers
    if count >= 4 * even:
        number = even
    ends = [count * part // number for part in range(number + 1)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


def stage_thresholds(threshold: float | None, thresholds: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return what the three stages ask for so that a face is one from confidence `threshold` on, if that is given.

    The first two stages only propose; they must let through what the last one is to judge.
    """
    if threshold is not None:
        thresholds = (min(0.6, threshold), min(0.7, threshold), threshold)
    if not all(0 < each < 1 for each in thresholds):
        raise ConfigError(f"thresholds {thresholds} are out of range", hint="give three numbers between 0 and 1")
    return thresholds


def check_search(minimum_size: float, scale_factor: float, longest_side: int) -> None:
    """Refuse settings with which the pyramid of images would never end, or never begin."""
    if minimum_size <= 0 or longest_side < WINDOW:
        raise ConfigError(
            f"minimum_size {minimum_size}, longest_side {longest_side}",
            hint=f"give pixels: a minimum_size above 0, a longest_side of {WINDOW} or more",
        )
    if not 0.3 <= scale_factor <= 0.95:
        raise ConfigError(f"scale_factor {scale_factor} is out of range", hint="give a number from 0.3 to 0.95")


def correct(boxes: np.ndarray, corrections: np.ndarray) -> np.ndarray:
    """Move each edge by a share of the box's width or height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + corrections * np.tile(sides, 2)


def square(boxes: np.ndarray) -> np.ndarray:
    """Return squares with the same centres and the longer sides; never narrower than a pixel."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=1.0), 1.0) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def checked_weights(path: Path) -> bytes:
    """Read the weights, refused where they are not those that the JSON beside them describes."""
    try:
        data = path.read_bytes()
        expected = json.loads(path.with_suffix(".json").read_text("utf-8"))["sha256"]
    except OSError as error:
        raise WeightsError(f"cannot read the detector's weights: {error}", hint="install mien again") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise WeightsError(f"`{path}` is not the file that mien ships", hint="install mien again")
    return data
