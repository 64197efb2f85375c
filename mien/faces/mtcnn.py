"""Find faces and five landmarks in photos: MTCNN in PyTorch.

Zhang, Zhang, Li & Qiao, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", IEEE
Signal Processing Letters 2016, arXiv 1604.02878. A small fully convolutional network (PNet) proposes boxes over an
image pyramid; a second (RNet) throws most of them away; a third (ONet) throws away the rest of the false ones and
places landmarks. All three also correct the box. Their weights are those of the `mtcnn` package (see
`mien/weights/mtcnn.json`).

Coordinates are those of `mien.faces.detection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from mien.faces.cascade import (
    CANDIDATES_AT_ONCE,
    ONET_SIZE,
    OVERLAP_IN_SCALE,
    OVERLAP_LAST,
    OVERLAP_OVER_SCALES,
    RNET_SIZE,
    STRIDE,
    WINDOW,
    check_search,
    checked_weights,
    correct,
    square,
    stage_thresholds,
)
from mien.faces.detection import Detection, suppress
from mien.images import resize

_WEIGHTS = Path(__file__).parent.parent / "weights" / "mtcnn.safetensors"

#: Pixels of photos that go through PNet together: on a processor as many as its caches hold, else what bounds memory.
_PIXELS_AT_ONCE = {"cpu": 500_000, "else": 8_000_000}


class _PNet(nn.Module):
    """Proposal network: window of 12 pixels, stride 2, on images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.box, self.face = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, h, w) probabilities and (batch, 4, h, w) corrections of the boxes, in windows."""
        x = functional.max_pool2d(self.prelu1(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.face(x).softmax(dim=1)[:, 1], self.box(x)


class _RNet(nn.Module):
    """Refinement network: candidates of 24 x 24 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.box, self.face = nn.Linear(128, 4), nn.Linear(128, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch,) probabilities and (batch, 4) corrections."""
        x = functional.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu4(self.dense(_flatten(self.prelu3(self.conv3(x)))))
        return self.face(x).softmax(dim=1)[:, 1], self.box(x)


class _ONet(nn.Module):
    """Output network: candidates of 48 x 48 pixels, and the only one with landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.box, self.landmarks, self.face = nn.Linear(256, 4), nn.Linear(256, 10), nn.Linear(256, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch,) probabilities, and (batch, 14): corrections, five x, five y of landmarks in the box."""
        x = functional.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu5(self.dense(_flatten(self.prelu4(self.conv4(x)))))
        return self.face(x).softmax(dim=1)[:, 1], torch.cat([self.box(x), self.landmarks(x)], dim=1)


def _flatten(x: Tensor) -> Tensor:
    """Flatten in the order width, height, channel: the networks were trained in Matlab's column-major layout."""
    return x.permute(0, 3, 2, 1).flatten(1)


class MTCNN:
    """The cascade of arXiv 1604.02878, for many images at once and on any device."""

    name = "mtcnn"

    def __init__(
        self,
        device: str | torch.device = "cpu",
        threshold: float | None = None,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        minimum_size: float = 20.0,
        scale_factor: float = 0.709,
        longest_side: int = 1280,
    ) -> None:
        """Load the weights that ship with the package.

        `threshold` is the probability from which something is a face; `thresholds`, for experts, are those that pass
        PNet, RNet and ONet one by one. `minimum_size` is the side of the smallest face in pixels; `scale_factor` is the
        step of the pyramid; larger photos are searched at `longest_side` pixels.
        """
        check_search(minimum_size, scale_factor, longest_side)
        self.device = torch.device(device)
        self.thresholds, self.minimum_size = stage_thresholds(threshold, thresholds), minimum_size
        self.scale_factor, self.longest_side = scale_factor, longest_side
        networks = nn.ModuleDict({"pnet": _PNet(), "rnet": _RNet(), "onet": _ONet()})
        networks.load_state_dict(load(checked_weights(_WEIGHTS)))
        networks.requires_grad_(False).eval().to(self.device)
        self._pnet, self._rnet, self._onet = networks["pnet"], networks["rnet"], networks["onet"]

    @property
    def settings(self) -> dict[str, Any]:
        """Return thresholds, least size and pyramid, for a prepared set's manifest."""
        names = ("minimum_size", "scale_factor", "longest_side")
        return {"thresholds": list(self.thresholds), **{name: getattr(self, name) for name in names}}

    def detect(self, images: Sequence[np.ndarray], minimum_size: float | None = None) -> list[list[Detection]]:
        """Return the faces of each uint8 (height, width, 3) RGB image, largest box first.

        Images of one size go through PNet together. `minimum_size`, in pixels of the images, stands in for the
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
            pixels_at_once = _PIXELS_AT_ONCE.get(self.device.type, _PIXELS_AT_ONCE["else"])
            at_once = max(1, pixels_at_once // (size[0] * size[1]))
            chunks += [(members[start : start + at_once], size) for start in range(0, len(members), at_once)]

        def search(chunk: list[int], size: tuple[int, int]) -> None:
            height, width = images[chunk[0]].shape[:2]
            stack = np.stack([resize(images[i], size) for i in chunk])
            unit = np.array([width / size[1], height / size[0]])
            smallest = max(float(WINDOW), (minimum_size or self.minimum_size) / float(unit.max()))
            for index, faces in zip(chunk, self._detect_stack(stack, smallest, unit), strict=True):
                found[index] = faces

        _for_each(search, chunks, torch.get_num_threads() if self.device.type == "cpu" else 1)
        return found

    @torch.inference_mode()
    def _detect_stack(self, stack: np.ndarray, smallest: float, unit: np.ndarray) -> list[list[Detection]]:
        """Run the cascade on uint8 (batch, height, width, 3); `unit` (x, y) scales results to the caller's pixels."""
        pixels = _Integral(stack, self.device)
        owners, boxes = self._propose(pixels, smallest)

        scores, values = _in_chunks(self._rnet, pixels, owners, boxes, RNET_SIZE)
        keep = np.flatnonzero(scores > self.thresholds[1])
        keep = keep[suppress(boxes[keep], scores[keep], owners[keep], OVERLAP_OVER_SCALES)]
        owners, boxes = owners[keep], square(correct(boxes[keep], values[keep]))

        scores, values = _in_chunks(self._onet, pixels, owners, boxes, ONET_SIZE)
        keep = np.flatnonzero(scores > self.thresholds[2])
        owners, boxes, scores, values = owners[keep], boxes[keep], scores[keep], values[keep]
        sides = boxes[:, 2:] - boxes[:, :2]
        landmarks = boxes[:, None, :2] + sides[:, None] * values[:, 4:].reshape(-1, 2, 5).transpose(0, 2, 1)
        boxes = correct(boxes, values[:, :4])

        faces: list[list[Detection]] = [[] for _ in stack]
        for i in suppress(boxes, scores, owners, OVERLAP_LAST, of_smaller=True):
            box = boxes[i] * np.tile(unit, 2)
            x0, y0, x1, y1 = (float(v) for v in box)
            faces[owners[i]].append(Detection((x0, y0, x1, y1), float(scores[i]), landmarks[i] * unit))
        return [sorted(each, key=lambda face: face.area, reverse=True) for each in faces]

    def _propose(self, pixels: _Integral, smallest: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the image index (count,) and the square box (count, 4) of what PNet takes for faces."""
        height, width = pixels.height, pixels.width
        owners, boxes, corrections, scores = [], [], [], []
        scale = WINDOW / smallest
        while min(height, width) * scale >= WINDOW:
            size = (math.ceil(height * scale), math.ceil(width * scale))
            probability, correction = self._pnet(pixels.shrunk(size))
            owner, row, column = (part.cpu().numpy() for part in (probability > self.thresholds[0]).nonzero().T)
            score = probability[owner, row, column].cpu().numpy()
            corner = np.stack([column * (STRIDE * width / size[1]), row * (STRIDE * height / size[0])], axis=1)
            side = np.array([WINDOW * width / size[1], WINDOW * height / size[0]])
            box = np.concatenate([corner, corner + side], axis=1)
            keep = suppress(box, score, owner, OVERLAP_IN_SCALE)
            owners.append(owner[keep])
            boxes.append(box[keep])
            scores.append(score[keep])
            corrections.append(correction[owner[keep], :, row[keep], column[keep]].cpu().numpy())
            scale *= self.scale_factor
        if not owners:  # the image is smaller than the smallest face
            return np.zeros(0, np.int64), np.zeros((0, 4))
        owner, box, correction = np.concatenate(owners), np.concatenate(boxes), np.concatenate(corrections)
        keep = suppress(box, np.concatenate(scores), owner, OVERLAP_OVER_SCALES)
        return owner[keep], square(correct(box[keep], correction[keep]))


class _Integral:
    """Means over rectangles of a stack of images: sums from the corner, so that each mean costs four look-ups.

    They make the pyramid's smaller images, and cut candidates of any size, all at once. Whole numbers, so that
    differences of large sums are exact; what lies outside the image counts as black, as in the authors' code.
    """

    def __init__(self, stack: np.ndarray, device: torch.device) -> None:
        """Sum up uint8 (batch, height, width, 3)."""
        # Apple's GPUs have no float64, which `cut` needs.
        home = torch.device("cpu") if device.type == "mps" else device
        self._device = device
        self.height, self.width = stack.shape[1:3]
        enough = torch.int32 if self.height * self.width * 255 < 2**31 else torch.int64
        sums = torch.from_numpy(stack).to(home).cumsum(dim=2, dtype=enough).cumsum(dim=1, dtype=enough)
        self._sums = functional.pad(sums, (0, 0, 1, 0, 1, 0))
        self._stride = (self.height + 1) * (self.width + 1)

    def shrunk(self, size: tuple[int, int]) -> Tensor:
        """Return the images at another size (height, width), normalised float32 (batch, 3, height, width).

        A pixel is the mean over the whole pixels that its area touches, as `area` interpolation has it.
        """
        top, bottom = self._bins(self.height, size[0])
        left, right = self._bins(self.width, size[1])
        rows = self._sums.index_select(1, bottom) - self._sums.index_select(1, top)
        cells = rows.index_select(2, right) - rows.index_select(2, left)
        means = cells.float() / ((bottom - top)[:, None] * (right - left))[..., None]
        return _normalise(means.permute(0, 3, 1, 2).to(self._device))

    def _bins(self, length: int, count: int) -> tuple[Tensor, Tensor]:
        """Return where each of `count` parts of a length begins and ends, rounded outwards."""
        steps = torch.arange(count + 1, device=self._sums.device) * length
        return steps[:-1] // count, (steps[1:] + count - 1) // count

    def cut(self, owners: np.ndarray, boxes: np.ndarray, size: int) -> Tensor:
        """Return boxes (count, 4) of the images `owners`, normalised float32 (count, 3, size, size).

        A pixel is the mean over its area: linear interpolation between sums is exact for fractional edges.
        """
        steps = np.linspace(0.0, 1.0, size + 1)
        x = boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps
        y = boxes[:, 1:2] + (boxes[:, 3:] - boxes[:, 1:2]) * steps
        x0, x_share = self._corners(x, self.width)
        y0, y_share = self._corners(y, self.height)
        base = torch.from_numpy(owners * self._stride).to(self._sums.device)[:, None, None]
        corner = base + y0[:, :, None] * (self.width + 1) + x0[:, None, :]
        x_share, y_share = x_share[:, None, :, None], y_share[:, :, None, None]
        flat = self._sums.reshape(-1, self._sums.shape[-1])
        below = corner + self.width + 1
        above = flat[corner].double().lerp(flat[corner + 1].double(), x_share)
        below = flat[below].double().lerp(flat[below + 1].double(), x_share)
        cells = above.lerp(below, y_share).diff(dim=1).diff(dim=2)
        area = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
        cells = cells / torch.from_numpy(area).to(cells)[:, None, None, None]
        return _normalise(cells.permute(0, 3, 1, 2).to(self._device, torch.float32))

    def _corners(self, positions: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        """Split positions, clamped to the image, into an index with a right neighbour and the share of the latter."""
        positions = positions.clip(0, length)
        index = np.minimum(positions.astype(np.int64), length - 1)
        device = self._sums.device
        return torch.from_numpy(index).to(device), torch.from_numpy(positions - index).to(device)


def _for_each(work: Callable[..., None], chunks: Sequence[tuple[Any, ...]], threads: int) -> None:
    """Do work on all chunks; several at once, each on one thread, which is faster than threads inside layers so small."""
    if threads == 1 or len(chunks) == 1:
        for chunk in chunks:
            work(*chunk)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, *zip(*chunks, strict=True)))
    finally:
        torch.set_num_threads(threads)  # some of PyTorch's libraries have one setting for all threads


def _in_chunks(
    network: Callable[[Tensor], tuple[Tensor, Tensor]],
    crops: _Integral,
    owners: np.ndarray,
    boxes: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Run RNet or ONet over all candidates of all images."""
    scores, values = [], []
    for start in range(0, max(1, len(boxes)), CANDIDATES_AT_ONCE):  # at least once, so that no face gives empty arrays
        part = slice(start, start + CANDIDATES_AT_ONCE)
        score, value = network(crops.cut(owners[part], boxes[part], size))
        scores.append(score.cpu().numpy())
        values.append(value.cpu().numpy().astype(np.float64))
    return np.concatenate(scores), np.concatenate(values)


def _normalise(pixels: Tensor) -> Tensor:
    """Map 0..255 to about -1..1, as the networks were trained."""
    return (pixels - 127.5) / 128.0
