"""Find faces and five landmarks in photos: MTCNN in PyTorch.

Zhang, Zhang, Li & Qiao, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", IEEE
Signal Processing Letters 2016, arXiv 1604.02878. A small fully convolutional network (PNet) proposes boxes over an
image pyramid; a second (RNet) throws most of them away; a third (ONet) throws away the rest of the false ones and
places landmarks. All three also correct the box. Their weights are those of the `mtcnn` package (see
`mien/weights/mtcnn.json`).

Coordinates are those of `mien.faces.detection`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from mien.faces.cascade import ONET_SIZE, RNET_SIZE, Candidates, Cascade, checked_weights

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
        x = _pool(self.prelu1(self.conv1(x)))
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


class MTCNN(Cascade):
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
        self.device = torch.device(device)
        at_once = _PIXELS_AT_ONCE.get(self.device.type, _PIXELS_AT_ONCE["else"])
        super().__init__(threshold, thresholds, minimum_size, scale_factor, longest_side, at_once)
        networks = nn.ModuleDict({"pnet": _PNet(), "rnet": _RNet(), "onet": _ONet()})
        networks.load_state_dict(load(checked_weights(_WEIGHTS)))
        networks.requires_grad_(False).eval().to(self.device)
        self._pnet, self._rnet, self._onet = networks["pnet"], networks["rnet"], networks["onet"]

    def _views(self, stack: np.ndarray) -> _Integral:
        return _Integral(stack, self.device)

    @torch.inference_mode()
    def _candidates(self, views: _Integral, size: tuple[int, int]) -> Candidates:
        probability, correction = self._pnet(views.shrunk(size))
        owner, row, column = (part.cpu().numpy() for part in (probability > self.thresholds[0]).nonzero().T)
        score = probability[owner, row, column].cpu().numpy()
        return Candidates(owner, row, column, score, correction[owner, :, row, column].cpu().numpy())

    @torch.inference_mode()
    def _judge(
        self, network: str, views: _Integral, owners: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        run, size = (self._rnet, RNET_SIZE) if network == "rnet" else (self._onet, ONET_SIZE)
        score, value = run(views.cut(owners, boxes, size))
        return score.cpu().numpy(), value.cpu().numpy()

    def _for_each(self, work: Callable[..., None], chunks: Sequence[tuple[Any, ...]]) -> None:
        """Search several chunks at once, each on one thread, which is faster than threads inside layers so small."""
        threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        if threads == 1 or len(chunks) < 2:
            super()._for_each(work, chunks)
            return
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                list(pool.map(work, *zip(*chunks, strict=True)))
        finally:
            torch.set_num_threads(threads)  # some of PyTorch's libraries have one setting for all threads


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
        small = self.height * self.width * 255 < 2**31
        if home.type == "cpu":
            self._sums = torch.from_numpy(_summed(stack, np.int32 if small else np.int64))
        else:
            enough = torch.int32 if small else torch.int64
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


def _summed(stack: np.ndarray, kind: type[np.signedinteger]) -> np.ndarray:
    """Return sums from the corner, (batch, height + 1, width + 1, 3): on a processor two to four times as fast as torch."""
    batch, height, width, channels = stack.shape
    sums = np.zeros((batch, height + 1, width + 1, channels), kind)
    inner = sums[:, 1:, 1:]
    np.cumsum(stack, axis=2, dtype=kind, out=inner)
    for row in range(1, height):  # whole rows, one after another in memory; `cumsum` would go down each column
        inner[:, row] += inner[:, row - 1]
    return sums


def _pool(x: Tensor) -> Tensor:
    """Return the maxima of each two by two places, the last row and column alone where they are odd.

    As `max_pool2d` does with `ceil_mode`, which takes four times as long on a processor.
    """
    for dim in (2, 3):
        first, second = (x[(slice(None),) * dim + (slice(start, None, 2),)] for start in (0, 1))
        pairs = torch.maximum(first.narrow(dim, 0, second.shape[dim]), second)
        alone = first.narrow(dim, second.shape[dim], first.shape[dim] - second.shape[dim])
        x = torch.cat([pairs, alone], dim) if alone.shape[dim] else pairs
    return x


def _normalise(pixels: Tensor) -> Tensor:
    """Map 0..255 to about -1..1, as the networks were trained."""
    return (pixels - 127.5) / 128.0
