"""A photo that is open in the studio: its faces, what a page shows of it, and the edits that were made last."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from mien.conditions import Condition
from mien.editing.edits import Start
from mien.editing.photo import PROFILE, Editor, Face, Rendering
from mien.editing.reading import FaceReading
from mien.errors import FaceError
from mien.faces import Detection, estimate_alignment
from mien.images import Photo, resize

#: Longest side of what is shown, in pixels: more than most pages have room for.
_SHOWN_SIDE = 1280
#: Side of a face's surroundings, in sides of its crop.
_SURROUNDINGS = 1.5


@dataclass(frozen=True)
class FaceWish:
    """What is wished of one face."""

    condition: Condition
    """The expression."""
    start: Start | float = "auto"
    """Where the edit starts from; see `mien.editing.edits`."""


class View(NamedTuple):
    """A part of a photo at the size of a screen."""

    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 of the part, in pixels of the photo."""
    pixels: np.ndarray
    """uint8 (height, width, 3), on white where the photo is transparent."""
    faces: dict[int, Face]
    """The photo's faces as they lie there, by number; what the model sees of them is cut from the photo itself."""


class Done(NamedTuple):
    """An edit of a face."""

    wish: FaceWish
    """What was wished."""
    rendering: Rendering
    """The edit."""
    said: dict[str, Any]
    """What is to be said of it."""


@dataclass(frozen=True, eq=False)
class OpenPhoto:
    """A photo with its faces, what of it was looked at, and the last edit of each face."""

    name: str
    """Name of the file."""
    photo: Photo
    """The photo itself."""
    shown: Photo
    """The same laid on white, where it is transparent."""
    faces: Mapping[int, Face]
    """Its faces by number, from 1, the largest first."""
    readings: Mapping[int, FaceReading]
    """What the critic sees in each face; empty where the model has none."""
    done: dict[int, Done] = field(default_factory=dict)
    """The last edit of each face that was edited."""
    _views: dict[int, View] = field(default_factory=dict)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def describe(self) -> dict[str, Any]:
        """Describe photo and faces for programs; boxes are in pixels of the photo."""
        height, width = self.photo.pixels.shape[:2]
        return {
            "name": self.name,
            "width": width,
            "height": height,
            "transparent": self.photo.alpha is not None,
            "frames": self.photo.frames,
            "faces": list(self.describe_faces().values()),
        }

    def describe_faces(self) -> dict[int, dict[str, Any]]:
        """Describe the faces by their numbers."""
        faces = {n: {**face.to_json(), "profile": face.frontality < PROFILE} for n, face in self.faces.items()}
        for number, reading in self.readings.items():
            faces[number]["reading"] = told(reading)
        return faces

    def view(self, number: int) -> View:
        """Return the surroundings of the face of that number, or the whole photo for 0; `FaceError` for another."""
        with self._looking:
            if number not in self._views:
                looked = self._look(number)
                for other in self._views.keys() - {0}:  # one face is looked at after the other
                    del self._views[other]
                self._views[number] = looked
            return self._views[number]

    def face(self, number: int) -> Face:
        """Return the face of a number from 1, the largest first; `FaceError` where there is none."""
        if number not in self.faces:
            raise FaceError(f"there is no face {number}", hint=f"the photo has {len(self.faces)}")
        return self.faces[number]

    def render(self, editor: Editor, number: int, wish: FaceWish) -> Rendering:
        """Render a face as it is wished; `ConditionError` where the model cannot."""
        return editor.render(self.face(number), [wish.condition], wish.start)[0]

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
        pixels = resize(np.ascontiguousarray(self.shown.pixels[y0:y1, x0:x1]), size)
        faces = {number: _placed(face, np.array([x0, y0]), scale) for number, face in self.faces.items()}
        return View((x0, y0, x1, y1), pixels, faces)


def told(reading: FaceReading) -> dict[str, Any]:
    """Describe what a critic sees for a page, with the place on the disc."""
    code = reading.code
    return {**reading.to_json(), "code": None if code is None else [round(float(v), 4) for v in code]}


def _placed(face: Face, origin: np.ndarray, scale: np.ndarray) -> Face:
    """Return a face as it lies in a part of its photo from `origin` (x, y) on, scaled by (x, y); the crop stays."""
    found = face.detection
    x0, y0, x1, y1 = (float(v) for v in ((np.reshape(found.box, (2, 2)) - origin) * scale).ravel())
    there = Detection((x0, y0, x1, y1), found.confidence, (found.landmarks - origin) * scale)
    return replace(face, detection=there, alignment=estimate_alignment(there.landmarks))
