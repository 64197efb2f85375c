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
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from mien.faces.cascade import ONET_SIZE, RNET_SIZE, Candidates, Cascade, checked_weights
from mien.faces.integral import Integral, between, edges, touched

_WEIGHTS = Path(__file__).parent.parent / "weights" / "mtcnn.safetensors"

#: Pixels of photos that are searched together: what bounds memory.
_PIXELS_AT_ONCE = {"cpu": 2_000_000, "else": 8_000_000}
#: Pixels that go through a network's layers together on a processor: more of the pyramid's, and what lies between layers
#: is given back to the system and zeroed anew each time; of candidates as many as its caches hold.
_PIXELS_OF_PYRAMID, _PIXELS_OF_CANDIDATES = 176_000, 37_000


class _PNet(nn.Module):
    """Proposal network: window of 12 pixels, stride 2, on images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.box, self.face = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 32, h, w): what the network sees in each window."""
        x = _pool(self.prelu1(self.conv1(x)))
        return self.prelu3(self.conv3(self.prelu2(self.conv2(x))))

    def probability(self, seen: Tensor) -> Tensor:
        """Return (batch, h, w): how probably each window is a face, the softmax of two classes."""
        weight, bias = (part[1:] - part[:1] for part in (self.face.weight, cast(Tensor, self.face.bias)))
        return functional.conv2d(seen, weight, bias)[:, 0].sigmoid()

    def corrections(self, windows: Tensor) -> Tensor:
        """Return (count, 4), in windows, of what is seen in some of them, (count, 32)."""
        return functional.linear(windows, self.box.weight[:, :, 0, 0], self.box.bias)


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
        self._pnet, self._rnet, self._onet = _PNet(), _RNet(), _ONet()
        networks = nn.ModuleDict({"pnet": self._pnet, "rnet": self._rnet, "onet": self._onet})
        networks.load_state_dict(load(checked_weights(_WEIGHTS)))
        networks.requires_grad_(False).eval().to(self.device)

    def _views(self, stack: np.ndarray) -> _HostViews | _DeviceViews:
        return _DeviceViews(stack, self.device) if self.device.type == "cuda" else _HostViews(stack, self.device)

    @torch.inference_mode()
    def _candidates(self, views: _HostViews | _DeviceViews, size: tuple[int, int]) -> Candidates:
        images, found = views.shrink(size), []
        for part in self._parts(len(images), size[0] * size[1], _PIXELS_OF_PYRAMID):
            seen = self._pnet(images[part])
            probability = self._pnet.probability(seen)
            owner, row, column = (probability > self.thresholds[0]).nonzero().T
            correction = self._pnet.corrections(seen[owner, :, row, column])  # of few windows among many
            found.append((owner + part.start, row, column, probability[owner, row, column], correction))
        return Candidates(*(torch.cat(values).cpu().numpy() for values in zip(*found, strict=True)))

    @torch.inference_mode()
    def _judge(
        self, network: str, views: _HostViews | _DeviceViews, owners: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        run, size = (self._rnet, RNET_SIZE) if network == "rnet" else (self._onet, ONET_SIZE)
        parts = self._parts(max(1, len(boxes)), size * size, _PIXELS_OF_CANDIDATES)
        found = [run(views.cut(owners[part], boxes[part], size)) for part in parts]
        score, value = (torch.cat(values).cpu().numpy() for values in zip(*found, strict=True))
        return score, value

    def _parts(self, count: int, pixels: int, most: int) -> list[slice]:
        """Cut a count of images of so many pixels into what goes through a network together."""
        step = max(1, most // pixels) if self.device.type == "cpu" else count
        return [slice(start, start + step) for start in range(0, count, step)]

    def _workers(self) -> int:
        return torch.get_num_threads() if self.device.type == "cpu" else 1

    def _for_each(self, work: Callable[..., None], chunks: Sequence[tuple[Any, ...]]) -> None:
        """Search several chunks at once, each on one thread, which is faster than threads inside layers so small."""
        threads = self._workers()
        if threads == 1 or len(chunks) < 2:
            super()._for_each(work, chunks)
            return
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                list(pool.map(work, *zip(*chunks, strict=True)))
        finally:
            torch.set_num_threads(threads)  # some of PyTorch's libraries have one setting for all threads


class _HostViews:
    """A stack of images on the processor, whose smaller copies and crops go to any device."""

    def __init__(self, stack: np.ndarray, device: torch.device) -> None:
        """Take uint8 (count, height, width, 3)."""
        self._integral, self._device = Integral(stack), device
        self.height, self.width = self._integral.height, self._integral.width

    def shrink(self, size: tuple[int, int]) -> Tensor:
        """Return all images at another (height, width), normalised float32 (count, 3, height, width)."""
        return torch.from_numpy(self._integral.shrink(size)).to(self._device).permute(0, 3, 1, 2)

    def cut(self, owners: np.ndarray, boxes: np.ndarray, size: int) -> Tensor:
        """Return the contents of boxes, normalised float32 (count, 3, size, size)."""
        return torch.from_numpy(self._integral.cut(owners, boxes, size)).to(self._device).permute(0, 3, 1, 2)


class _DeviceViews:
    """The same on a GPU, sums included (`mien.faces.integral` has the protocol)."""

    def __init__(self, stack: np.ndarray, device: torch.device) -> None:
        """Take uint8 (count, height, width, 3)."""
        self._device, (self.height, self.width) = device, stack.shape[1:3]
        enough = torch.int32 if self.height * self.width * 255 < 2**31 else torch.int64
        sums = torch.from_numpy(stack).to(device).cumsum(dim=2, dtype=enough).cumsum(dim=1, dtype=enough)
        self._sums = functional.pad(sums, (0, 0, 1, 0, 1, 0))

    def shrink(self, size: tuple[int, int]) -> Tensor:
        """Return all images at another (height, width), normalised float32 (count, 3, height, width)."""
        top, bottom = (torch.from_numpy(part).to(self._device) for part in touched(self.height, size[0]))
        left, right = (torch.from_numpy(part).to(self._device) for part in touched(self.width, size[1]))
        rows = self._sums.index_select(1, bottom) - self._sums.index_select(1, top)
        cells = rows.index_select(2, right) - rows.index_select(2, left)
        means = cells.float() / ((bottom - top)[:, None] * (right - left))[..., None]
        return _normalise(means.permute(0, 3, 1, 2))

    def cut(self, owners: np.ndarray, boxes: np.ndarray, size: int) -> Tensor:
        """Return the contents of boxes, normalised float32 (count, 3, size, size)."""
        x, y = edges(boxes, size)
        (column, x_share), (row, y_share) = (
            tuple(torch.from_numpy(part).to(self._device) for part in between(positions, length))
            for positions, length in ((x, self.width), (y, self.height))
        )
        row_length = self.width + 1
        base = torch.from_numpy(owners * ((self.height + 1) * row_length)).to(self._device)[:, None, None]
        corner = base + row[:, :, None] * row_length + column[:, None, :]
        x_share, y_share = x_share[:, None, :, None], y_share[:, :, None, None]
        flat = self._sums.reshape(-1, self._sums.shape[-1])
        below = corner + row_length
        above = flat[corner].double().lerp(flat[corner + 1].double(), x_share)
        below = flat[below].double().lerp(flat[below + 1].double(), x_share)
        cells = above.lerp(below, y_share).diff(dim=1).diff(dim=2)
        area = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
        cells = cells / torch.from_numpy(area).to(cells)[:, None, None, None]
        return _normalise(cells.permute(0, 3, 1, 2).float())


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
