"""Find faces and five landmarks in photos in one pass: RetinaFace with a MobileNet trunk, in PyTorch.

Deng, Guo, Ververas, Kotsia & Zafeiriou, "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", CVPR 2020,
arXiv 1905.00641. A trunk (MobileNet v1 of a quarter of the width) gives features at strides 8, 16 and 32; a pyramid
passes coarse ones down (FPN), a context module widens the view (SSH), and 1 x 1 convolutions judge two square anchors
at each place: face or not, the box, five landmarks. The weights were trained on WIDER FACE by biubug6
(`mien.faces.retinaface_weights` tells from where they come); anchors, means and variances are those of that training.

Deviations from the code that the weights come with: batch normalisation is folded into the convolutions; images are
padded to whole cells of the coarsest features, so that the pyramid's levels lie exactly on one another; levels whose
anchors are all too small for the faces that are asked for are left out; and photos are searched for large faces once more
at a smaller size, since the largest anchor has 256 pixels and parts of larger faces pass for faces. Coordinates are those
of `mien.faces.detection`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import ConfigError
from mien.faces.detection import Detection, suppress
from mien.faces.retinaface_weights import published_tensors
from mien.images import resize

#: Strides of the three levels, and the sides of the two anchors at each of their places.
_STRIDES = (8, 16, 32)
_ANCHORS = ((10.0, 20.0), (32.0, 64.0), (128.0, 256.0))
#: Boxes and landmarks are predicted in tenths of the anchor's side, logarithms of sides in fifths.
_CENTRE_UNIT, _SIDE_UNIT = 0.1, 0.2
#: What was subtracted from blue, green and red in training.
_MEANS = (104.0, 117.0, 123.0)
#: Side of the largest face that each level was trained on: an anchor stood for it from an overlap of 0.35 on.
_REACH = tuple(anchors[-1] / math.sqrt(0.35) for anchors in _ANCHORS)

#: What was added to the variances of batch normalisation (torch's default).
_EPSILON = 1e-5
#: Faces too large for the largest anchor are found in a copy whose longer side has so many pixels.
_LARGE_FACES_AT = 320

#: Pixels of photos that go through the network together: bounds memory.
_PIXELS_AT_ONCE = 4_000_000


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)


class _Separable(nn.Module):
    """A convolution per channel, then one across channels."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = _conv(inputs, inputs, stride=stride, groups=inputs)
        self.pointwise = _conv(inputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x).relu_()).relu_()


class _Context(nn.Module):
    """SSH's context module: the view of 3 x 3, 5 x 5 and 7 x 7 convolutions, side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.three = _conv(channels, 2 * quarter)
        self.shared, self.five = _conv(channels, quarter), _conv(quarter, quarter)
        self.seven_first, self.seven = _conv(quarter, quarter), _conv(quarter, quarter)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.shared(x).relu_()
        seven = self.seven(self.seven_first(shared).relu_())
        return torch.cat([self.three(x), self.five(shared), seven], dim=1).relu_()


class _Network(nn.Module):
    """Trunk, pyramid, context and heads; batch normalisation is folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [_Separable(*each) for each in ((8, 16), (16, 32, 2), (32, 32), (32, 64, 2), (64, 64))]
        self.entrance, self.stage1 = _conv(3, 8, stride=2), nn.Sequential(*blocks)
        self.stage2 = nn.Sequential(_Separable(64, 128, 2), *(_Separable(128, 128) for _ in range(5)))
        self.stage3 = nn.Sequential(_Separable(128, 256, 2), _Separable(256, 256))
        self.lateral = nn.ModuleList(_conv(channels, 64, kernel=1) for channels in (64, 128, 256))
        self.merge = nn.ModuleList(_conv(64, 64) for _ in range(2))
        self.context = nn.ModuleList(_Context(64) for _ in _STRIDES)
        self.face, self.box, self.landmarks = (
            nn.ModuleList(_conv(64, 2 * values, kernel=1) for _ in _STRIDES) for values in (2, 4, 10)
        )

    def forward(self, x: Tensor, first_level: int = 0) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return for each level from `first_level` on, at each place (b, h, w) of its two anchors: the probability
        (b, h, w, 2), the box (b, h, w, 2, 4) and the landmarks (b, h, w, 2, 10), in the anchor's units."""
        x = self.stage1(self.entrance(x).relu_())
        features = [x, x := self.stage2(x), self.stage3(x)]
        results = []
        above: Tensor | None = None
        for level in range(len(_STRIDES) - 1, first_level - 1, -1):
            features[level] = self.lateral[level](features[level]).relu_()
            if above is not None:
                features[level] += functional.interpolate(above, scale_factor=2, mode="nearest")
                features[level] = self.merge[level](features[level]).relu_()
            above = features[level]
            x = self.context[level](above)
            face, box, landmarks = (
                head[level](x).permute(0, 2, 3, 1).unflatten(3, (2, -1))
                for head in (self.face, self.box, self.landmarks)
            )
            results.append((face.softmax(dim=-1)[..., 1], box, landmarks))
        return results[::-1]


#: Where each layer of the published file stands in `_Network`.
_RENAMED = (
    (r"^body\.stage1\.0\.0\.", "entrance."),
    (r"^body\.stage1\.(\d)\.", lambda found: f"body.stage1.{int(found[1]) - 1}."),  # the entrance was its first layer
    (r"^body\.(stage\d)\.(\d)\.0\.", r"\1.\2.depthwise."),
    (r"^body\.(stage\d)\.(\d)\.3\.", r"\1.\2.pointwise."),
    (r"^fpn\.output(\d)\.0\.", lambda found: f"lateral.{int(found[1]) - 1}."),
    (r"^fpn\.merge(\d)\.0\.", lambda found: f"merge.{int(found[1]) - 1}."),
    (r"^ssh(\d)\.", lambda found: f"context.{int(found[1]) - 1}."),
    (r"conv3X3\.0\.", "three."),
    (r"conv5X5_1\.0\.", "shared."),
    (r"conv5X5_2\.0\.", "five."),
    (r"conv7X7_2\.0\.", "seven_first."),
    (r"conv7x7_3\.0\.", "seven."),
    (r"^ClassHead\.(\d)\.conv1x1\.", r"face.\1."),
    (r"^BboxHead\.(\d)\.conv1x1\.", r"box.\1."),
    (r"^LandmarkHead\.(\d)\.conv1x1\.", r"landmarks.\1."),
)


def fold_normalisation(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the published tensors as those of `_Network`: without batch normalisation, which moves into weight and
    bias of the convolution before it (in float64, rounded once), and under this file's names."""
    folded: dict[str, Tensor] = {}
    for name, weight in tensors.items():
        if weight.ndim != 4:
            continue
        layer, number = name.removesuffix(".weight").rpartition(".")[::2]
        after = f"{layer}.{int(number) + 1}" if number.isdigit() else ""
        if f"{after}.running_var" in tensors:
            mean, variance, gain, offset = (
                tensors[f"{after}.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias")
            )
            scale = gain / (variance + _EPSILON).sqrt()
            weight, bias = weight.double() * scale[:, None, None, None], offset - mean * scale
        else:
            bias = tensors[name.removesuffix("weight") + "bias"]
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        folded[name] = weight.float()
        folded[name.removesuffix("weight") + "bias"] = bias.float()
    return folded


@dataclass(frozen=True, eq=False)
class _Candidates:
    """What the network takes for faces, before suppression."""

    owners: np.ndarray
    """Index of the image, int64 (n,)."""
    scores: np.ndarray
    """Probability, float32 (n,)."""
    boxes: np.ndarray
    """float64 (n, 4)."""
    landmarks: np.ndarray
    """float64 (n, 5, 2)."""

    def chosen(self, which: np.ndarray) -> _Candidates:
        """Return those of the given indices or mask."""
        return _Candidates(*(getattr(self, field.name)[which] for field in fields(self)))

    def joined(self, others: _Candidates) -> _Candidates:
        """Return these and others."""
        return _Candidates(*(np.concatenate([getattr(each, f.name) for each in (self, others)]) for f in fields(self)))

    def without_parts_of(self, wholes: _Candidates, least: float) -> _Candidates:
        """Return those that do not lie, for more than half of their area, in a face larger than `least` pixels.

        Where a face is too large for its anchors, the network is sure of an eye with half a mouth.
        """
        kept = np.ones(len(self.boxes), bool)
        areas = (self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1)
        for owner, box in zip(wholes.owners, wholes.boxes, strict=True):
            if (box[2:] - box[:2]).max() > least:
                sides = np.minimum(self.boxes[:, 2:], box[2:]) - np.maximum(self.boxes[:, :2], box[:2])
                kept &= (self.owners != owner) | (sides.clip(0).prod(axis=1) <= 0.5 * areas)
        return self.chosen(kept)


class RetinaFace:
    """The single pass of arXiv 1905.00641, for many images at once and on any device."""

    name = "retinaface"

    def __init__(
        self,
        device: str | torch.device = "cpu",
        threshold: float = 0.5,
        overlap: float = 0.4,
        minimum_size: float = 12.0,
        longest_side: int = 1280,
    ) -> None:
        """Load the published weights, which are fetched at first use (`mien.faces.retinaface_weights`).

        `threshold` is the probability from which something is a face; of faces that overlap by more than `overlap`
        (intersection over union) the surest stays; `minimum_size` is the side of the smallest face in pixels; larger
        photos are searched at `longest_side` pixels.
        """
        for name, value in (("threshold", threshold), ("overlap", overlap)):
            if not 0 < value < 1:
                raise ConfigError(f"{name} {value} is out of range", hint="give a number between 0 and 1")
        if minimum_size < 0 or longest_side < 32:
            raise ConfigError(
                f"minimum_size {minimum_size}, longest_side {longest_side}",
                hint="give pixels: a minimum_size of 0 or more, a longest_side of 32 or more",
            )
        self.device = torch.device(device)
        self.threshold, self.overlap = threshold, overlap
        self.minimum_size, self.longest_side = minimum_size, longest_side
        network = _Network()
        network.load_state_dict(fold_normalisation(published_tensors()))
        network.requires_grad_(False).eval()
        self._network = network.to(device=self.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def settings(self) -> dict[str, Any]:
        """Return threshold, overlap and sizes, for a prepared set's manifest."""
        return {name: getattr(self, name) for name in ("threshold", "overlap", "minimum_size", "longest_side")}

    def detect(self, images: Sequence[np.ndarray], minimum_size: float | None = None) -> list[list[Detection]]:
        """Return the faces of each uint8 (height, width, 3) RGB image, largest box first.

        Images of one size go through the network together. `minimum_size`, in pixels of the images, stands in for the
        detector's own where the caller knows how large faces must be.
        """
        smallest = self.minimum_size if minimum_size is None else minimum_size
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(image.shape, []).append(index)
        found: list[list[Detection]] = [[] for _ in images]
        for shape, members in groups.items():
            size = _fit(shape[:2], self.longest_side)
            at_once = max(1, _PIXELS_AT_ONCE // (size[0] * size[1]))
            for start in range(0, len(members), at_once):
                chunk = members[start : start + at_once]
                for index, faces in zip(chunk, self._detect_stack([images[i] for i in chunk], smallest), strict=True):
                    found[index] = faces
        return found

    @torch.inference_mode()
    def _detect_stack(self, images: list[np.ndarray], smallest: float) -> list[list[Detection]]:
        """Search images of one size at their own size and, for large faces, at a smaller one."""
        shape = images[0].shape[:2]
        size = _fit(shape, self.longest_side)
        found = self._candidates(images, size, smallest)
        if max(size) > _REACH[-1]:
            pixel = max(shape) / max(size)
            wholes = self._candidates(images, _fit(size, _LARGE_FACES_AT), max(smallest, _REACH[-1] * pixel))
            wholes = wholes.chosen(suppress(wholes.boxes, wholes.scores, wholes.owners, self.overlap))
            found = found.without_parts_of(wholes, _ANCHORS[-1][-1] * pixel).joined(wholes)
        owners, scores, boxes = found.owners, found.scores, found.boxes
        faces: list[list[Detection]] = [[] for _ in images]
        for i in suppress(boxes, scores, owners, self.overlap):
            x0, y0, x1, y1 = (float(value) for value in boxes[i])
            if max(x1 - x0, y1 - y0) >= smallest:
                faces[owners[i]].append(Detection((x0, y0, x1, y1), float(scores[i]), found.landmarks[i]))
        return [sorted(each, key=lambda face: face.area, reverse=True) for each in faces]

    def _candidates(self, images: list[np.ndarray], size: tuple[int, int], smallest: float) -> _Candidates:
        """Return what passes the threshold at one size, in the pixels of the images."""
        height, width = images[0].shape[:2]
        stack = torch.from_numpy(np.stack([resize(image, size) for image in images])).to(self.device)
        pixels = stack.permute(0, 3, 1, 2).flip(1).float() - torch.tensor(_MEANS, device=self.device)[:, None, None]
        # Whole cells of the coarsest level; zero is the mean colour.
        pixels = functional.pad(pixels, (0, -size[1] % _STRIDES[-1], 0, -size[0] % _STRIDES[-1]))
        pixel = np.array([width / size[1], height / size[0]])
        first_level = _first_level(smallest / float(pixel.max()))
        levels = self._network(pixels.contiguous(memory_format=torch.channels_last), first_level)
        parts = []
        for level, (face, box, landmarks) in enumerate(levels, start=first_level):
            chosen = (face > self.threshold).nonzero(as_tuple=True)
            owner, row, column, anchor = (part.cpu().numpy() for part in chosen)
            side = np.array(_ANCHORS[level])[anchor][:, None]
            centre = (np.stack([column, row], axis=1) + 0.5) * _STRIDES[level]
            shift = box[chosen].cpu().numpy().astype(np.float64)
            middle = centre + shift[:, :2] * _CENTRE_UNIT * side
            half = side * np.exp(shift[:, 2:] * _SIDE_UNIT) / 2
            points = landmarks[chosen].cpu().numpy().astype(np.float64).reshape(-1, 5, 2)
            points = centre[:, None] + points * _CENTRE_UNIT * side[:, None]
            corners = np.concatenate([middle - half, middle + half], axis=1)
            parts.append((owner, face[chosen].cpu().numpy(), corners * np.tile(pixel, 2), points * pixel))
        return _Candidates(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _fit(shape: tuple[int, ...], longest_side: int) -> tuple[int, int]:
    """Return the size (height, width) of an image when its longer side is at most `longest_side`."""
    shrink = min(1.0, longest_side / max(shape))
    return max(1, round(shape[0] * shrink)), max(1, round(shape[1] * shrink))


def _first_level(smallest: float) -> int:
    """Return the finest level on which faces of `smallest` pixels were trained."""
    return next((level for level, largest in enumerate(_REACH) if smallest < largest), len(_REACH) - 1)
