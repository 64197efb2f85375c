"""Photos that are open in the studio: found once, edited at the size of a screen, saved at their own.

What a page wishes of each face comes as a whole with every request; all that is kept between two requests is what would
come out the same again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mien.editing.edits import Start
from mien.editing.figures import gamut_figure, sweep_figure
from mien.editing.photo import PROFILE, Editor, Face, Rendering
from mien.editing.reading import FaceReading, can_read
from mien.errors import ClosedPhotoError, ConditionError, FaceError
from mien.faces import Detection, crop_face, estimate_alignment
from mien.images import Photo, encode_photo, read_photo, resize
from mien.spaces import Condition, DiscSpace, angles_in_degrees
from mien.warping import apply

#: Longest side of what is shown, in pixels: more than most pages have room for.
_SHOWN_SIDE = 1280
#: Photos that stay open, and their pixels together (3 bytes each); a further one closes those used least recently.
_MOST_OPEN, _MOST_PIXELS = 24, 340_000_000
#: Side of a face's surroundings, in sides of its crop.
_SURROUNDINGS = 1.5
_FIGURES = {"gamut": gamut_figure, "sweep": sweep_figure}


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
    faces: list[Face]
    """The photo's faces as they lie there; what the model sees of them is cut from the photo itself."""


class _Done(NamedTuple):
    """The last edit of a face."""

    wish: FaceWish
    rendering: Rendering
    said: dict[str, Any]


@dataclass(frozen=True, eq=False)
class OpenPhoto:
    """A photo with its faces, and what of it was looked at."""

    name: str
    """Name of the file."""
    photo: Photo
    """The photo itself."""
    shown: Photo
    """The same laid on white, where it is transparent."""
    faces: list[Face]
    """Its faces, largest first."""
    readings: list[FaceReading] | None
    """What the critic sees in each face; None where the model has none."""
    _views: dict[int, View] = field(default_factory=dict)
    _done: dict[int, _Done] = field(default_factory=dict)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def describe(self) -> dict[str, Any]:
        """Describe photo and faces for programs; boxes are in pixels of the photo."""
        height, width = self.photo.pixels.shape[:2]
        faces = [{**face.to_json(), "profile": face.frontality < PROFILE} for face in self.faces]
        for face, reading in zip(faces, self.readings or [], strict=False):
            face["reading"] = _told(reading)
        return {
            "name": self.name,
            "width": width,
            "height": height,
            "transparent": self.photo.alpha is not None,
            "frames": self.photo.frames,
            "faces": faces,
        }

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
        pixels = resize(np.ascontiguousarray(self.shown.pixels[y0:y1, x0:x1]), size)
        return View((x0, y0, x1, y1), pixels, [_placed(face, np.array([x0, y0]), scale) for face in self.faces])


class Studio:
    """Hold the photos that are open, and edit them with one model; may be called from several threads."""

    def __init__(self, editor: Editor, *, mark: bool = True) -> None:
        """Set up with an editor; `mark` says whether saved pictures carry the mark of an AI edit."""
        self.editor, self.mark = editor, mark
        self._open: dict[str, OpenPhoto] = {}
        self._used: list[str] = []  # keys, the one used last at the end
        self._changing = threading.Lock()
        # One after the other, since each uses all cores; to find faces takes long, and must not keep edits waiting.
        self._finding, self._rendering = threading.Lock(), threading.Lock()

    def describe(self) -> dict[str, Any]:
        """Describe model and space for a page, angles in degrees, and which photos are open."""
        space = self.editor.space
        with self._changing:
            opened = [{"key": key, "name": photo.name} for key, photo in self._open.items()]
        return {
            "model": self.editor.model.name,
            "expressions": list(space.expressions),
            "angles": angles_in_degrees(space),
            "reads": can_read(self.editor.model),
            "marks": self.mark,
            "open": opened,
        }

    def open(self, source: bytes | Path, name: str) -> str:
        """Open a photo, find and read its faces; return the key by which it is asked for.

        Raises `ImageError` for what is no photo and `FaceError` where no face is found.
        """
        photo = read_photo(source, name)
        with self._finding:
            (faces,) = self.editor.find_many([photo])
        if not faces:
            raise FaceError(
                f"no face found in `{name}`",
                hint="turn the photo upright, use a larger face, or start with `mien studio --threshold 0.5`",
            )
        readings = [self.editor.read(face) for face in faces] if can_read(self.editor.model) else None
        key = secrets.token_urlsafe(12)
        with self._changing:
            self._open[key] = OpenPhoto(name, photo, photo.opaque(), faces, readings)
            self._used.append(key)
            while len(self._open) > 1 and (len(self._open) > _MOST_OPEN or self._pixels() > _MOST_PIXELS):
                del self._open[self._used.pop(0)]
        return key

    def photo(self, key: str) -> OpenPhoto:
        """Return an open photo; raises `ClosedPhotoError` where there is none of that key."""
        with self._changing:
            if key not in self._open:
                raise ClosedPhotoError("this photo is not open any more", hint="open it again")
            self._used.remove(key)
            self._used.append(key)
            return self._open[key]

    def preview(
        self, key: str, wishes: Mapping[int, FaceWish], view: int = 0
    ) -> tuple[np.ndarray, dict[int, dict[str, Any]]]:
        """Return a view with some faces edited, and what is now to be said of each of these.

        `wishes` are by the number of the face, from 1; `view` is 0 for the whole photo or the number of a face. A face
        whose wish the space cannot express stays as it is; its `error` says why.
        """
        photo = self.photo(key)
        shown, said = photo.view(view), dict[int, dict[str, Any]]()
        renderings = []
        for number, wish in wishes.items():
            photo.face(number)
            try:
                done = self._done(photo, number, wish)
            except ConditionError as error:
                said[number] = {"condition": str(wish.condition), "error": str(error)}
                continue
            said[number] = done.said
            renderings.append(replace(done.rendering, face=shown.faces[number - 1]))
        return self.editor.paste(shown.pixels, renderings), said

    def save(self, key: str, wishes: Mapping[int, FaceWish], suffix: str) -> bytes:
        """Return the edited photo at its own size as a file of that suffix, with what the photo's own file held.

        Raises `ConditionError` where the space cannot express a wish.
        """
        photo = self.photo(key)
        renderings = [self._done(photo, number, wish).rendering for number, wish in wishes.items()]
        mark = None
        if self.mark and wishes:
            asked = "; ".join(str(wishes[number].condition) for number in sorted(wishes))
            mark = self.editor.mark(asked)
        return encode_photo(f"photo{suffix}", self.editor.paste(photo.photo, renderings), photo.photo, mark)

    def thumbnails(self, key: str, number: int, intensity: float, start: Start, size: int) -> dict[str, np.ndarray]:
        """Return a face with each of the model's expressions, and as it is in the `photo`, uint8 (size, size, 3)."""
        photo = self.photo(key)
        face, names = photo.face(number), self.editor.space.expressions
        with self._rendering:
            renderings = self.editor.render(face, [Condition.named(name, intensity) for name in names], start)
        pictures = self.editor.preview(photo.shown, renderings, size)
        before = crop_face(photo.shown.pixels, face.alignment, size)
        return {"photo": before, **dict(zip(names, pictures, strict=True))}

    def figure(self, key: str, number: int, kind: str) -> bytes:
        """Return a PNG file of what the model can do with a face: `gamut`, the disc, or `sweep`, rising intensity."""
        photo = self.photo(key)
        if kind not in _FIGURES:
            raise ConditionError(f"there is no figure `{kind}`", hint=f"known: {', '.join(_FIGURES)}")
        face = photo.face(number)
        with self._rendering:
            pixels = _FIGURES[kind](self.editor, photo.shown, face)
        mark = self.editor.mark(kind) if self.mark else None
        return encode_photo("figure.png", pixels, replace(photo.shown, pixels=pixels), mark)

    def _pixels(self) -> int:
        return sum(photo.photo.pixels.size // 3 for photo in self._open.values())

    def _done(self, photo: OpenPhoto, number: int, wish: FaceWish) -> _Done:
        """Return the edit of a face, which is made anew where the wish is another than last time."""
        last = photo._done.get(number)
        if last is not None and last.wish == wish:
            return last
        with self._rendering:
            (rendering,) = self.editor.render(photo.face(number), [wish.condition], wish.start)
            done = photo._done[number] = _Done(wish, rendering, self._said(rendering))
        return done

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
