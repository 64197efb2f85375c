"""Edit the expression of faces in a photo: find once, render many, paste at the photo's own resolution.

The slow part, detection and alignment, happens in `find`; `render` is a batched pass of the generator on the small
aligned crop. What it returns is not a picture but an edit (`mien.warping.EditMaps`): where each place of the face is
fetched from, how much detail goes, and how much light is added. `paste` carries that to the photo's pixels, so that skin,
hair and background keep the photo's detail and colours, and a pixel that the edit does not reach is not touched. Values go
in and out; the editor keeps no state between calls, and needs no torch where its model and its detector need none.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.conditions import Condition
from mien.editing.edits import Seen, Start, make_edits
from mien.editing.model import ExpressionModel
from mien.editing.reading import FaceReading, read_images
from mien.errors import ConditionError, FaceError, ImageError
from mien.faces import Alignment, Detection, crop_face, estimate_alignment, load_detector
from mien.images import Photo, luma, read_photo
from mien.provenance import EditMark
from mien.spaces import Space
from mien.warping import EditMaps, apply, covering, fade, sample

#: Share of the crop's side over which every edit fades out towards the crop's border.
_FADE = 0.05
#: Displacements below this many photo pixels fetch a pixel from itself: it stays as it is, to the bit.
_STILL = 1e-3
#: Frontality below which a face is a profile, where edits smear.
PROFILE = 0.15
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

    @property
    def frontality(self) -> float:
        """How far the face looks into the camera: 1 frontal, about 0.5 three quarters, 0 profile.

        Taken from the landmarks: how far the nose lies beside the middle of eyes and mouth, in halves of the distance
        between the eyes. On 799 faces of FER2013 the median is 0.83; those below 0.15 show one eye or little more.
        """
        left, right, nose, *mouth = self.detection.landmarks
        axis = right - left
        distance = float(np.hypot(*axis))
        if distance == 0:
            return 0.0
        middle = ((left + right) / 2 + sum(mouth) / 2) / 2
        aside = abs(float((nose - middle) @ axis)) / distance
        return max(0.0, 1.0 - aside / (distance / 2))

    def to_json(self) -> dict[str, Any]:
        """Describe the face for programs; the box is x0, y0, x1, y1 in pixels."""
        return {
            "box": [round(float(v), 1) for v in self.detection.box],
            "detection_confidence": round(float(self.detection.confidence), 4),
            "frontality": round(self.frontality, 3),
        }


@dataclass(frozen=True, eq=False)
class Rendering:
    """One face with one expression: the edit, which `Editor.paste` applies to the photo."""

    face: Face
    """The face that was rendered."""
    condition: Condition
    """What was asked for."""
    edit: EditMaps
    """Displacement (2, h, w) in units of half the crop, delta (1 or 3, h, w) and, for some models, wipe (1, h, w)."""


class Editor:
    """Edit photos with one model."""

    def __init__(
        self, model: ExpressionModel, *, detector: str = "mtcnn", device: str = "cpu", **detector_options: Any
    ) -> None:
        """Set up a detector of `mien.faces.DETECTORS`, whose options follow; the model is on its own device already."""
        self.model = model
        self.detector_name = detector
        self.detector = load_detector(detector, device, **detector_options)

    @property
    def space(self) -> Space:
        """The model's conditional space: its expressions, and their angles where it is a disc."""
        return self.model.space

    def mark(self, asked: str) -> EditMark:
        """Return the mark that a picture edited by this model carries; `asked` says what was asked for."""
        return EditMark(asked, f"{self.model.name} {self.model.sha256}")

    def find(self, photo: Photo | np.ndarray | str | Path) -> list[Face]:
        """Find and align the faces of a photo, largest first.

        Raises `FaceError` where there is none.
        """
        (faces,) = self.find_many([photo])
        if not faces:
            raise self.no_face(photo)
        return faces

    def find_many(self, photos: Sequence[Photo | np.ndarray | str | Path]) -> list[list[Face]]:
        """Find and align the faces of several photos in one go, largest first; an empty list where there is none."""
        everything = [_pixels(photo) for photo in photos]
        found: list[list[Face]] = []
        for pixels, detections in zip(everything, self.detector.detect(everything), strict=True):
            found.append([])
            for detection in detections:
                with contextlib.suppress(FaceError):  # landmarks that form no face: the box was none
                    found[-1].append(self.align(pixels, detection))
        return found

    def no_face(self, photo: Photo | np.ndarray | str | Path) -> FaceError:
        """Return the error that says that a photo shows no face."""
        return FaceError(
            f"no face found in {_name(photo)} by {self.detector_name}",
            hint="lower the detector's threshold (`--threshold 0.5`), turn the photo upright, or use a larger face",
        )

    def align(self, photo: Photo | np.ndarray, detection: Detection) -> Face:
        """Cut out the face that a detection's landmarks show.

        Raises `FaceError` where the landmarks do not form a face.
        """
        alignment = estimate_alignment(detection.landmarks)
        return Face(detection, alignment, crop_face(_pixels(photo), alignment, self.model.image_size))

    def render(
        self, face: Face, conditions: Sequence[Condition] | Condition, start: Start | Seen | float = "auto"
    ) -> list[Rendering]:
        """Render one face with each of the conditions, in one batch; the edit of a blend mixes those of its parts.

        `start` says what becomes of the expression that is there: `auto` first takes away what the critic sees of it and
        is not asked for, all for a neutral face and half for a whole expression; `neutral` all; `direct` edits the face
        as it is; `keep` moves from where the face stands on the disc by the condition as a step; a number from 0 to 1
        takes away that much; probabilities by name are what `auto` shall count as seen.
        """
        conditions = [conditions] if isinstance(conditions, Condition) else conditions
        if not conditions:
            return []
        edits = make_edits(self.model, self._network_image(face.crop), conditions, start)
        return [Rendering(face, condition, edit) for condition, edit in zip(conditions, edits, strict=True)]

    def read(self, face: Face) -> FaceReading:
        """Read a face: which expression the critic sees, how strong, and where on the disc that is."""
        return read_images(self.model, self._network_image(face.crop)[None])[0]

    def preview(self, photo: Photo | np.ndarray, renderings: Sequence[Rendering], size: int) -> list[np.ndarray]:
        """Return the crops of renderings at any size, uint8 (size, size, 3), without the photo round them."""
        pixels = _pixels(photo)
        return [
            np.rint(apply(crop_face(pixels, r.face.alignment, size), fade(r.edit, _FADE))).astype(np.uint8)
            for r in renderings
        ]

    def paste(self, photo: Photo | np.ndarray, renderings: Sequence[Rendering]) -> np.ndarray:
        """Apply renderings (of different faces) to a photo; returns uint8 pixels of its size, the photo is not changed."""
        pixels = _pixels(photo).copy()
        for rendering in renderings:
            _paste(pixels, rendering)
        return pixels

    def edit(
        self,
        photo: Photo | np.ndarray | str | Path,
        wanted: Condition | Mapping[int, Condition],
        *,
        faces: str | int = "all",
        start: Start | float = "auto",
    ) -> np.ndarray:
        """Find, render and paste in one call; `faces` is `all`, `largest`, or a number from 1 (largest).

        `wanted` may also say by number what each face shall express, as `{1: happy, 3: sad}`; the others then stay as they
        are, and `faces` has no part in it.
        """
        whole = read_photo(photo) if isinstance(photo, str | Path) else photo
        chosen = choose_wishes(self.find(whole), wanted, faces)
        return self.paste(whole, [self.render(face, condition, start)[0] for face, condition in chosen])

    def _network_image(self, crop: np.ndarray) -> np.ndarray:
        """Return a crop as the model takes it, float32 (channels, size, size) in [-1, 1]."""
        planes = luma(crop)[None] if self.model.image_channels == 1 else crop.transpose(2, 0, 1)
        return planes.astype(np.float32) / 127.5 - 1


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


def choose_wishes(
    faces: Sequence[Face], wanted: Condition | Mapping[int, Condition], which: str | int = "all"
) -> list[tuple[Face, Condition]]:
    """Return the faces to be edited (of all, largest first), each with what it shall express.

    `wanted` is for those that `which` chooses (`choose`), or says by their numbers what each shall express.
    """
    if not isinstance(wanted, Mapping):
        return [(face, wanted) for face in choose(faces, which)]
    if not wanted:
        raise ConditionError("no face is to be edited", hint="say for one face at least what it shall express")
    for number, condition in wanted.items():
        if type(number) is not int or not isinstance(condition, Condition):
            raise ConditionError(
                f"{number!r}: {condition!r} is no wish of a face",
                hint='for example `{1: Condition.named("happy", 0.8)}`',
            )
    return [(choose(faces, number)[0], wanted[number]) for number in sorted(wanted)]


def _pixels(photo: Photo | np.ndarray | str | Path) -> np.ndarray:
    """Return uint8 (height, width, 3); of an array of grey levels three equal planes, of a PIL image its RGB."""
    if isinstance(photo, str | Path):
        photo = read_photo(photo)
    if isinstance(photo, Photo):
        return photo.pixels
    if isinstance(photo, Image.Image):  # deep ones are refused below: Pillow would clip them to white
        photo = np.asarray(photo if photo.mode.startswith(("I", "F")) else photo.convert("RGB"))
    pixels = np.asarray(photo)
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1):
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(
            f"an array of {pixels.dtype} and shape {pixels.shape} is no photo",
            hint="give uint8 (height, width, 3) RGB, or (height, width) grey, a PIL image, or what `mien.read_photo` gives",
        )
    return pixels


def _name(photo: Photo | np.ndarray | str | Path) -> str:
    path = photo.path if isinstance(photo, Photo) else photo if isinstance(photo, str | Path) else None
    return f"`{path}`" if path else "the photo"


def _paste(pixels: np.ndarray, rendering: Rendering) -> None:
    """Apply one rendering to a photo's pixels, uint8 (h, w, 3), in place."""
    x0, y0, x1, y1 = _box(pixels, rendering.face.alignment)
    if x0 >= x1 or y0 >= y1:
        return
    maps, wipes = _maps(pixels, rendering)
    # Nothing is fetched from further away than the largest displacement.
    reach = math.ceil(float(np.abs(maps[..., :2]).max()) * rendering.face.alignment.side / 2 * math.sqrt(2)) + 3
    left, top = max(0, x0 - reach), max(0, y0 - reach)
    before = pixels[top : y1 + reach, left : x1 + reach].copy()
    # In bands of rows, so that a face that fills a large photo needs no more memory than a small one.
    rows = max(1, _BAND_PIXELS // (x1 - x0))
    for start in range(y0, y1, rows):
        end = min(start + rows, y1)
        region = (x0, start, x1, end)
        pixels[start:end, x0:x1] = _edited(before, (left, top), rendering.face.alignment, maps, wipes, region)


def _box(pixels: np.ndarray, alignment: Alignment) -> tuple[int, int, int, int]:
    """Return (x0, y0, x1, y1) of the part of a photo in which a crop lies, empty for one that lies beyond it."""
    corners = alignment.corners()
    height, width = pixels.shape[:2]
    x0, y0 = (max(0, math.floor(v)) for v in corners.min(axis=0))
    x1, y1 = (min(limit, math.ceil(v)) for v, limit in zip(corners.max(axis=0), (width, height), strict=True))
    return x0, y0, x1, y1


def _maps(pixels: np.ndarray, rendering: Rendering) -> tuple[np.ndarray, bool]:
    """Return an edit as float32 (h, w, planes), and whether it wipes detail away.

    Planes are displacement, where it wipes the share of the detail that goes, and what is added (grey levels).
    """
    edit = fade(rendering.edit, _FADE)
    if edit.wipe is None:
        return np.concatenate([edit.displacement, edit.delta * np.float32(127.5)]).transpose(1, 2, 0), False
    return covering(_small(pixels, rendering.face.alignment, edit.wipe.shape[-1]), edit), True


def _small(pixels: np.ndarray, alignment: Alignment, size: int) -> np.ndarray:
    """Return nearly what `crop_face` gives, float32 (size, size, 3), in a fraction of the time: it is to be averaged."""
    left, top, right, bottom = _box(pixels, alignment)
    shrink = max(1, int(alignment.side / size))
    region = np.asarray(Image.fromarray(pixels[top:bottom, left:right]).reduce(shrink))
    places = (np.arange(size) + 0.5) / size
    u, v = np.meshgrid(places, places)
    (a, b, c), (d, e, f) = alignment.inverse
    x, y = (a * u + b * v + c - left) / shrink, (d * u + e * v + f - top) / shrink
    return sample(region, x, y).clip(0, 255)


def _edited(
    photo: np.ndarray,
    origin: tuple[int, int],
    alignment: Alignment,
    maps: np.ndarray,
    wipes: bool,
    region: tuple[int, int, int, int],
) -> np.ndarray:
    """Return a region (x0, y0, x1, y1) of a photo as the edit makes it, uint8 (y1 - y0, x1 - x0, 3).

    `photo` is the part of the photo from `origin` (x, y) on; `maps` and `wipes` are what `_maps` gives.
    """
    x0, y0, x1, y1 = region
    left, top = origin
    x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    (a, b, c), (d, e, f) = alignment.matrix
    across, down = a * x + b * y + c, d * x + e * y + f
    inside = (across > 0) & (across < 1) & (down > 0) & (down < 1)
    change = sample(maps, across * maps.shape[1], down * maps.shape[0]) * inside[..., None]
    # A displacement of 2 is one side of the crop; the inverse alignment turns it into pixels of the photo.
    moved_by = change[..., :2] @ (alignment.inverse[:, :2].T / 2).astype(np.float32)
    own = photo[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32)
    fetched = sample(photo, x - left + moved_by[..., 0], y - top + moved_by[..., 1])
    still = (np.abs(moved_by) < _STILL).all(axis=-1, keepdims=True)
    after = np.where(still, own, fetched)
    if wipes:
        after *= 1 - change[..., 2:3].clip(0, 1)
    after += change[..., 3 if wipes else 2 :]
    return np.rint(after).clip(0, 255).astype(np.uint8)
