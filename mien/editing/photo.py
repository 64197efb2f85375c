"""Edit the expression of faces in a photo: find once, render many, paste at the photo's own resolution.

The slow part, detection and alignment, happens in `find`; `render` is a batched pass of the generator on the small
aligned crop. What it returns is not a picture but an edit (`mien.networks.Edit`): where each place of the face is fetched
from, and how much light is added. `paste` carries that to the photo's pixels, so that skin, hair and background keep the
photo's detail and colours, and a pixel that the edit does not reach is not touched. Values go in and out; the editor
keeps no state between calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mien.errors import ConditionError, FaceError
from mien.faces import Alignment, Detection, crop_face, estimate_alignment, load_detector
from mien.images import Photo, luma, read_photo, to_float, to_uint8
from mien.networks import Edit, apply_edit, edge_window
from mien.pretrained import Model
from mien.spaces import Condition, DiscSpace, Space

#: Share of the crop's side over which every edit fades out towards the crop's border.
_FADE = 0.05
#: Displacements below this many photo pixels fetch a pixel from itself: it stays as it is, to the bit.
_STILL = 1e-3
#: Pixels that are edited at once.
_BAND_PIXELS = 500_000


@dataclass(frozen=True, eq=False)
class Face:
    """A face that was found in a photo, aligned and cropped for the model."""

    detection: Detection
    """Box, confidence and landmarks in pixels of the photo."""
    alignment: Alignment
    """From the photo to the unit square of the crop."""
    crop: np.ndarray
    """uint8 (size, size, 3): what the model sees, in colour."""


@dataclass(frozen=True, eq=False)
class Rendering:
    """One face with one expression: the edit, which `Editor.paste` applies to the photo."""

    face: Face
    """The face that was rendered."""
    condition: Condition
    """What was asked for."""
    edit: Edit
    """Displacement (1, 2, h, w) in units of half the crop, and delta (1, 1 or 3, h, w), on the CPU."""


class Editor:
    """Edit photos with one model."""

    def __init__(self, model: Model, *, detector: str = "mtcnn", device: str = "cpu", **detector_options: Any) -> None:
        """Set up the model and a detector of `mien.faces.DETECTORS`, whose options follow."""
        self.model = model
        self.device = torch.device(device)
        self.detector_name = detector
        self.detector = load_detector(detector, device, **detector_options)
        self.method = model.method.to(self.device)

    @property
    def space(self) -> Space:
        """The model's conditional space: its expressions, and their angles where it is a disc."""
        return self.method.space()

    def find(self, photo: Photo | np.ndarray | str | Path) -> list[Face]:
        """Find and align the faces of a photo, largest first.

        Raises `FaceError` where there is none.
        """
        pixels = _pixels(photo)
        faces = []
        for detection in self.detector.detect([pixels])[0]:
            alignment = estimate_alignment(detection.landmarks)
            faces.append(Face(detection, alignment, crop_face(pixels, alignment, self.model.image_size)))
        if not faces:
            raise FaceError(
                f"no face found in {_name(photo)} by {self.detector_name}",
                hint="lower the detector's threshold (`--threshold 0.5`), turn the photo upright, or use a larger face",
            )
        return faces

    def render(self, face: Face, conditions: Sequence[Condition]) -> list[Rendering]:
        """Render one face with each of the conditions, in one batch."""
        space = self.space
        codes = torch.from_numpy(np.stack([space.code(condition) for condition in conditions])).to(self.device)
        images = self._network_images(face.crop).expand(len(conditions), -1, -1, -1)
        with torch.inference_mode():
            edit = self.method.render(images, codes)
        displacement, delta = edit.displacement.float().cpu(), edit.delta.float().cpu()
        return [
            Rendering(face, condition, Edit(displacement[i : i + 1], delta[i : i + 1]))
            for i, condition in enumerate(conditions)
        ]

    def read(self, face: Face) -> dict[str, Any]:
        """Read a face: probability of each expression and, where the space is a disc, its angle and radius."""
        with torch.inference_mode():
            reading = self.method.read(self._network_images(face.crop))
        space = self.space
        result: dict[str, Any] = {
            "expressions": {n: float(p) for n, p in zip(space.expressions, reading.probabilities[0], strict=True)}
        }
        if isinstance(space, DiscSpace):
            x, y = (float(v) for v in reading.codes[0])
            result |= {"angle_degrees": math.degrees(math.atan2(y, x)) % 360, "intensity": math.hypot(x, y)}
        return result

    def preview(self, photo: Photo | np.ndarray, renderings: Sequence[Rendering], size: int) -> list[np.ndarray]:
        """Return the crops of renderings at any size, uint8 (size, size, 3), without the photo round them."""
        pixels = _pixels(photo)
        return [
            to_uint8(apply_edit(to_float(crop_face(pixels, r.face.alignment, size)), _faded(r.edit)))[0]
            for r in renderings
        ]

    def paste(self, photo: Photo | np.ndarray, renderings: Sequence[Rendering]) -> np.ndarray:
        """Apply renderings (of different faces) to a photo; returns uint8 pixels of its size, the photo is not changed."""
        pixels = _pixels(photo).copy()
        for rendering in renderings:
            _paste(pixels, rendering)
        return pixels

    def edit(
        self, photo: Photo | np.ndarray | str | Path, condition: Condition, *, faces: str | int = "all"
    ) -> np.ndarray:
        """Find, render and paste in one call; `faces` is `all`, `largest`, or a number from 1 (largest)."""
        whole = read_photo(photo) if isinstance(photo, str | Path) else photo
        chosen = choose(self.find(whole), faces)
        return self.paste(whole, [self.render(face, [condition])[0] for face in chosen])

    def _network_images(self, crop: np.ndarray) -> torch.Tensor:
        images = to_float(crop)
        if self.model.image_channels == 1:
            images = torch.from_numpy(luma(crop).astype(np.float32))[None, None] / 127.5 - 1
        return images.to(self.device)


def choose(faces: Sequence[Face], which: str | int) -> list[Face]:
    """Choose among faces (largest first): `all`, `largest`, or a number from 1."""
    if which == "all":
        return list(faces)
    if which == "largest":
        return [faces[0]]
    try:
        number = int(which)
    except ValueError:
        raise ConditionError(f"`{which}` chooses no face", hint="give `all`, `largest`, or a number from 1") from None
    if not 1 <= number <= len(faces):
        raise FaceError(f"there is no face {number}", hint=f"the photo has {len(faces)}, numbered from the largest")
    return [faces[number - 1]]


def _pixels(photo: Photo | np.ndarray | str | Path) -> np.ndarray:
    if isinstance(photo, str | Path):
        photo = read_photo(photo)
    return photo.pixels if isinstance(photo, Photo) else photo


def _name(photo: Photo | np.ndarray | str | Path) -> str:
    path = photo.path if isinstance(photo, Photo) else photo if isinstance(photo, str | Path) else None
    return f"`{path}`" if path else "the photo"


def _faded(edit: Edit) -> Edit:
    """Let an edit fade to nothing at the border of its crop; the warp generator's edits do so by themselves."""
    height, width = edit.delta.shape[-2:]
    window = edge_window(height, width, _FADE, edit.delta.device)
    return Edit(edit.displacement * window, edit.delta * window)


def _paste(pixels: np.ndarray, rendering: Rendering) -> None:
    """Apply one rendering to a photo's pixels, uint8 (h, w, 3), in place."""
    corners = rendering.face.alignment.corners()
    height, width = pixels.shape[:2]
    x0, y0 = (max(0, math.floor(v)) for v in corners.min(axis=0))
    x1, y1 = (min(limit, math.ceil(v)) for v, limit in zip(corners.max(axis=0), (width, height), strict=True))
    if x0 >= x1 or y0 >= y1:
        return
    before = pixels.copy()
    edit = _faded(rendering.edit)
    # In bands of rows, so that a face that fills a large photo needs no more memory than a small one.
    rows = max(1, _BAND_PIXELS // (x1 - x0))
    for top in range(y0, y1, rows):
        bottom = min(top + rows, y1)
        pixels[top:bottom, x0:x1] = _edited(before, rendering.face.alignment, edit, (x0, top, x1, bottom))


def _edited(photo: np.ndarray, alignment: Alignment, edit: Edit, region: tuple[int, int, int, int]) -> np.ndarray:
    """Return a region (x0, y0, x1, y1) of a photo as the edit makes it, uint8 (y1 - y0, x1 - x0, 3)."""
    x0, y0, x1, y1 = region
    # Positions of the region's pixel centres in the crop, in grid_sample's units (-1 .. 1 from border to border).
    x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    place = alignment.to_crop(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(y1 - y0, x1 - x0, 2)
    inside = torch.from_numpy(((place > 0) & (place < 1)).all(axis=-1))
    grid = torch.from_numpy((2 * place - 1).astype(np.float32))[None]
    maps = torch.cat([edit.displacement, edit.delta], dim=1)
    at_pixels = F.grid_sample(maps, grid, mode="bicubic", padding_mode="zeros", align_corners=False)[0] * inside
    # A displacement of 2 is one side of the crop; the inverse alignment turns it into pixels of the photo.
    offset = torch.from_numpy((alignment.inverse[:, :2] / 2).astype(np.float32))
    moved_by = torch.einsum("ij,jhw->hwi", offset, at_pixels[:2])
    before = torch.from_numpy(photo[y0:y1, x0:x1].astype(np.float32))
    after = _fetch(photo, x, y, moved_by, before) + at_pixels[2:].permute(1, 2, 0) * 127.5
    return after.round().clamp(0, 255).to(torch.uint8).numpy()


def _fetch(
    pixels: np.ndarray, x: np.ndarray, y: np.ndarray, moved_by: torch.Tensor, before: torch.Tensor
) -> torch.Tensor:
    """Fetch each pixel of a region from where `moved_by` (h, w, 2), in pixels, points; still pixels stay as they are."""
    reach = math.ceil(float(moved_by.abs().max())) + 3
    height, width = pixels.shape[:2]
    x0, y0 = max(0, int(x.min()) - reach), max(0, int(y.min()) - reach)
    x1, y1 = min(width, math.ceil(x.max()) + reach), min(height, math.ceil(y.max()) + reach)
    source = torch.from_numpy(pixels[y0:y1, x0:x1].astype(np.float32)).permute(2, 0, 1)[None]
    target = torch.from_numpy(np.stack([x - x0, y - y0], axis=-1)).float() + moved_by
    grid = 2 * target / torch.tensor([x1 - x0, y1 - y0]) - 1
    fetched = F.grid_sample(source, grid[None], mode="bicubic", padding_mode="border", align_corners=False)
    still = (moved_by.abs() < _STILL).all(dim=-1, keepdim=True)
    return torch.where(still, before, fetched[0].permute(1, 2, 0))
