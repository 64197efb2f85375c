"""Read the faces of a film: which expression the model's critic sees in each frame, how strong, and where on the disc.

Faces are found and smoothed in a first pass (film_faces.py) and cut out and read in a second one, each frame by itself:
nothing is averaged over time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.editing.film_faces import FilmFaces, Report, find_faces
from mien.editing.film_rendering import face_in_frame
from mien.editing.photo import Editor, Face
from mien.editing.reading import FaceReading, can_read
from mien.editing.reading_tables import table_row
from mien.errors import ConditionError, FaceError
from mien.films import read_frames
from mien.images import resize


@dataclass(frozen=True, eq=False)
class FrameReading:
    """What is read from one face in one frame."""

    frame: int
    """Number of the frame, from 0."""
    seconds: float
    """When it is shown, from the start of the film."""
    number: int
    """Number of the face, as `find_faces` gives."""
    face: Face
    """The face there, aligned and cropped."""
    reading: FaceReading
    """What the critic sees."""

    def to_json(self) -> dict[str, Any]:
        """Describe it for programs, flat; see `mien.editing.reading_tables`."""
        when = {"frame": self.frame, "seconds": round(self.seconds, 4), "face": self.number}
        return when | table_row(self.face, self.reading)


def read_film(
    editor: Editor,
    film: Path | str,
    *,
    faces: str | int = "all",
    smallest: float | None = None,
    found: FilmFaces | None = None,
    report: Report = lambda *_: None,
) -> Iterator[FrameReading]:
    """Yield what the critic sees in the faces of a film, frame by frame, the face that fills most of the film first.

    `faces` is `all`, `largest` or a number as `find_faces` gives; `found` is what that returned, where it is known
    already, and `smallest` goes to it otherwise. Raises `ConditionError` for a model without a critic, `FilmError`, and
    `FaceError` where no frame shows a face.
    """
    if not can_read(editor.model):
        raise ConditionError(
            "this model has no critic to read faces with", hint="use a model that came with its critic"
        )
    everyone = found or find_faces(editor, film, smallest=smallest, read=False)
    chosen = everyone.choose(faces)
    size = None
    for frame in read_frames(film):
        if frame.index >= len(chosen.seconds):  # a broken film may give more frames the second time
            return
        size = size or frame.pixels.shape[:2]
        pixels = resize(frame.pixels, size) if frame.pixels.shape[:2] != size else frame.pixels
        for face in chosen.faces:
            if not face.first <= frame.index <= face.last:
                continue
            with contextlib.suppress(FaceError):  # landmarks between two sightings that form no face
                there = face_in_frame(editor, face, frame.index, pixels)
                moment = float(chosen.seconds[frame.index])
                yield FrameReading(frame.index, moment, face.number, there, editor.read(there))
        report(frame.index + 1, len(chosen.seconds))


@dataclass(frozen=True)
class FaceSummary:
    """What is read from one face, on average over the film."""

    number: int
    """Number of the face."""
    begin: float
    """When it is first seen, in seconds."""
    end: float
    """When it is last seen."""
    frames: int
    """In how many frames it is seen."""
    expressions: dict[str, float]
    """Mean probability of each expression."""
    intensity: float
    """Mean intensity, 0 to 1."""

    def __str__(self) -> str:
        order = sorted(self.expressions, key=lambda name: -self.expressions[name])
        shares = ", ".join(f"{name} {self.expressions[name]:.2f}" for name in order if self.expressions[name] >= 0.01)
        when = f"{self.begin:.2f} to {self.end:.2f} s, {self.frames} frames"
        return f"face {self.number} ({when}): {shares}; intensity {self.intensity:.2f}"


def summarise(readings: Iterable[FrameReading]) -> list[FaceSummary]:
    """Return the means over time of each face, in the order of their numbers."""
    of_face: dict[int, list[FrameReading]] = {}
    for each in readings:
        of_face.setdefault(each.number, []).append(each)
    return [_summary(number, of_face[number]) for number in sorted(of_face)]


def _summary(number: int, readings: Sequence[FrameReading]) -> FaceSummary:
    names = readings[0].reading.expressions
    means = {name: float(np.mean([each.reading.expressions[name] for each in readings])) for name in names}
    strength = float(np.mean([each.reading.intensity for each in readings]))
    return FaceSummary(number, readings[0].seconds, readings[-1].seconds, len(readings), means, strength)
