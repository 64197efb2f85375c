"""Photos that are open in the studio: found once, edited at the size of a screen, saved at their own.

What a page wishes of each face comes as a whole with every request, so that nothing of it is kept here.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.editing.edits import Start
from mien.editing.figures import gamut_figure, sweep_figure
from mien.editing.photo import PROFILE, Editor, Face, Rendering
from mien.editing.reading import FaceReading, can_read
from mien.errors import ConditionError, FaceError, MienError
from mien.faces import Detection, crop_face, estimate_alignment
from mien.images import Photo, encode_photo, read_photo, resize
from mien.provenance import EditMark
from mien.spaces import Condition, DiscSpace, angles_in_degrees
from mien.warping import apply

#: Longest side of what is shown, in pixels: more than most pages have room for.
_SHOWN_SIDE = 1280
#: Photos that stay open; a further one closes that which was used least recently.
_MOST_OPEN = 8
#: Side of a face's surroundings, in sides of its crop.
_SURROUNDINGS = 1.5
_FIGURES = {"gamut": gamut_figure, "sweep": sweep_figure}


class ClosedPhotoError(MienError):
    """A photo that is not open, or no longer."""


@dataclass(frozen=True)
class FaceWish:
    """What is wished of one face."""

    condition: Condition
    """The expression."""
    start: Start | float = "auto"
    """Where the edit starts from; see `mien.editing.edits`."""


@dataclass(frozen=True, eq=False)
class View:
    """A part of a photo at the size of a screen."""

    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 of the part, in pixels of the photo."""
    pixels: np.ndarray
    """uint8 (height, width, 3)."""
    faces: list[Face]
    """The photo's faces as they lie there; what the model sees of them is cut from the photo itself."""


@dataclass(frozen=True, eq=False)
class OpenPhoto:
    """A photo with its faces, and what of it was looked at."""

    name: str
    """Name of the file."""
    photo: Photo
    """The photo itself."""
    faces: list[Face]
    """Its faces, largest first."""
    readings: list[FaceReading] | None
    """What the critic sees in each face; None where the model has none."""
    _views: dict[int, View] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Describe photo and faces for programs; boxes are in pixels of the photo."""
        height, width = self.photo.pixels.shape[:2]
        faces = [{**face.to_json(), "profile": face.frontality < PROFILE} for face in self.faces]
        for face, reading in zip(faces, self.readings or [], strict=False):
            face["reading"] = _told(reading)
        return {"name": self.name, "width": width, "height": height, "frames": self.photo.frames, "faces": faces}

    def view(self, number: int) -> View:
        """Return the surroundings of the face of that number, or the whole photo for 0; `FaceError` for another."""
        if number not in self._views:
            looked = self._look(number)
            for other in self._views.keys() - {0}:  # one face is looked at after the other
                del self._views[other]
            self._views[number] = looked
        return self._views[number]

    def face(self, number: int) -> Face:
        """Return the face of a number from 1, the largest first; `FaceError` where there is none."""
        if not 1 <= number <= len(self.faces):
            raise FaceError(f"there is no face {number}", hint=f"the photo has {len(self.faces)}")
        return self.faces[number - 1]

    def _look(self, number: int) -> View:
        height, width = self.photo.pixels.shape[:2]
        x0, y0, x1, y1 = 0, 0, width, height
        if number:
            corners = self.face(number).alignment.corners()
            middle, reach = corners.mean(axis=0), np.ptp(corners, axis=0).max() * _SURROUNDINGS / 2
            x0, y0 = (max(0, int(v)) for v in np.floor(middle - reach))
            x1, y1 = (min(limit, int(v)) for v, limit in zip(np.ceil(middle + reach), (width, height), strict=True))
            x0, y0 = min(x0, width - 1), min(y0, height - 1)
            x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        shrink = min(1.0, _SHOWN_SIDE / max(x1 - x0, y1 - y0))
        size = max(1, round((y1 - y0) * shrink)), max(1, round((x1 - x0) * shrink))
        scale = np.array([size[1] / (x1 - x0), size[0] / (y1 - y0)])
        pixels = resize(np.ascontiguousarray(self.photo.pixels[y0:y1, x0:x1]), size)
        return View((x0, y0, x1, y1), pixels, [_placed(face, np.array([x0, y0]), scale) for face in self.faces])


class Studio:
    """Hold the photos that are open, and edit them with one model; may be called from several threads."""

    def __init__(self, editor: Editor, *, mark: bool = True) -> None:
        """Set up with an editor; `mark` says whether saved pictures carry the mark of an AI edit."""
        self.editor, self.mark = editor, mark
        self._open: OrderedDict[str, OpenPhoto] = OrderedDict()
        self._changing = threading.Lock()
        self._drawing = threading.Lock()  # one face after the other: each uses all cores

    def describe(self) -> dict[str, Any]:
        """Describe model and space for a page; angles in degrees."""
        space = self.editor.space
        return {
            "model": self.editor.model.name,
            "expressions": list(space.expressions),
            "angles": angles_in_degrees(space),
            "reads": can_read(self.editor.model),
            "marks": self.mark,
            "open": list(self._open),
        }

    def open(self, source: bytes | Path, name: str) -> str:
        """Open a photo, find and read its faces; return the key by which it is asked for.

        Raises `ImageError` for what is no photo and `FaceError` where no face is found.
        """
        photo = read_photo(source)
        with self._drawing:
            faces = self.editor.find(replace(photo, path=Path(name)))
            readings = [self.editor.read(face) for face in faces] if can_read(self.editor.model) else None
        opened = OpenPhoto(name, photo, faces, readings)
        key = secrets.token_urlsafe(12)
        with self._changing:
            self._open[key] = opened
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        return key

    def photo(self, key: str) -> OpenPhoto:
        """Return an open photo; raises `ClosedPhotoError` where there is none of that key."""
        with self._changing:
            if key not in self._open:
                raise ClosedPhotoError("this photo is not open any more", hint="open it again")
            self._open.move_to_end(key)
            return self._open[key]

    def preview(
        self, key: str, wishes: Mapping[int, FaceWish], view: int = 0
    ) -> tuple[np.ndarray, dict[int, dict[str, Any]]]:
        """Return a view with some faces edited, and what is now to be said of each of these.

        `wishes` are by the number of the face, from 1; `view` is 0 for the whole photo or the number of a face. Raises
        `ConditionError` where the space cannot express a wish.
        """
        photo = self.photo(key)
        with self._drawing:
            shown = photo.view(view)
            renderings = self._render(photo, wishes)
            pixels = self.editor.paste(
                shown.pixels, [replace(r, face=shown.faces[number - 1]) for number, r in renderings.items()]
            )
            return pixels, {number: self._said(rendering) for number, rendering in renderings.items()}

    def save(self, key: str, wishes: Mapping[int, FaceWish], suffix: str) -> bytes:
        """Return the edited photo at its own size as a file of that suffix, with what the photo's own file held."""
        photo = self.photo(key)
        with self._drawing:
            pixels = self.editor.paste(photo.photo, list(self._render(photo, wishes).values()))
        mark = None
        if self.mark and wishes:
            asked = "; ".join(str(wishes[number].condition) for number in sorted(wishes))
            mark = EditMark(asked, f"{self.editor.model.name} {self.editor.model.sha256}")
        return encode_photo(f"photo{suffix}", pixels, photo.photo, mark)

    def thumbnails(self, key: str, number: int, intensity: float, start: Start, size: int) -> dict[str, np.ndarray]:
        """Return a face with each of the model's expressions, and as it is in the `photo`, uint8 (size, size, 3)."""
        photo = self.photo(key)
        names = self.editor.space.expressions
        with self._drawing:
            conditions = [Condition.named(name, intensity) for name in names]
            pictures = self.editor.preview(photo.photo, self.editor.render(photo.face(number), conditions, start), size)
            before = crop_face(photo.photo.pixels, photo.face(number).alignment, size)
        return {"photo": before, **dict(zip(names, pictures, strict=True))}

    def figure(self, key: str, number: int, kind: str) -> bytes:
        """Return a PNG file of what the model can do with a face: `gamut`, the disc, or `sweep`, rising intensity."""
        photo = self.photo(key)
        if kind not in _FIGURES:
            raise ConditionError(f"there is no figure `{kind}`", hint=f"known: {', '.join(_FIGURES)}")
        with self._drawing:
            pixels = _FIGURES[kind](self.editor, photo.photo, photo.face(number))
        mark = EditMark(kind, f"{self.editor.model.name} {self.editor.model.sha256}") if self.mark else None
        return encode_photo("figure.png", pixels, None, mark)

    def _render(self, photo: OpenPhoto, wishes: Mapping[int, FaceWish]) -> dict[int, Rendering]:
        return {
            number: self.editor.render(photo.face(number), [wish.condition], wish.start)[0]
            for number, wish in wishes.items()
        }

    def _said(self, rendering: Rendering) -> dict[str, Any]:
        """Say what was asked of a face, where that is in the space, and what the critic sees there after the edit."""
        space, condition = self.editor.space, rendering.condition
        code = space.point(condition) if isinstance(space, DiscSpace) else space.code(condition)
        said: dict[str, Any] = {"condition": str(condition), "code": [round(float(v), 4) for v in code]}
        if can_read(self.editor.model):
            after = np.rint(apply(rendering.face.crop, rendering.edit)).astype(np.uint8)
            said["reading"] = _told(self.editor.read(replace(rendering.face, crop=after)))
        return said


def _told(reading: FaceReading) -> dict[str, Any]:
    code = reading.code
    return {**reading.to_json(), "code": None if code is None else [round(float(v), 4) for v in code]}


def _placed(face: Face, origin: np.ndarray, scale: np.ndarray) -> Face:
    """Return a face as it lies in a part of its photo from `origin` (x, y) on, scaled by (x, y); the crop stays."""
    found = face.detection
    x0, y0, x1, y1 = (float(v) for v in ((np.reshape(found.box, (2, 2)) - origin) * scale).ravel())
    there = Detection((x0, y0, x1, y1), found.confidence, (found.landmarks - origin) * scale)
    return replace(face, detection=there, alignment=estimate_alignment(there.landmarks))
