"""Edit the faces of a film: find and smooth in a first pass (film_faces.py), render and write in a second one.

Frames go through one by one; sound, times, shape and colours of the film stay (mien.film_writing). A frame without an
edited face goes from the decoder to the encoder as it is. A face that turns to profile loses the edit on the way, since
the model has seen next to no profiles.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.animations import ANIMATION_SUFFIXES, AnimationWriter
from mien.editing.edits import Start, parse_start
from mien.editing.film_faces import FilmFace, FilmFaces, Report, find_faces
from mien.editing.keyframes import Keyframes
from mien.editing.many import Profiles
from mien.editing.photo import PROFILE, Editor, Rendering
from mien.editing.reading import can_read
from mien.errors import ConditionError, FaceError, FilmError
from mien.expressions import NEUTRAL
from mien.faces import Detection
from mien.film_writing import FilmWriter, kind_of, unfinished
from mien.films import decode_packet, open_film, packets, upright
from mien.provenance import EditMark
from mien.spaces import Condition, DiscSpace
from mien.warping import scale

#: Between `PROFILE` and this frontality (see `mien.editing.Face`) an edit fades out.
_TURNED = PROFILE + 0.2

#: Containers count time in thousandths of a second, or more finely.
_ROUNDED_SECONDS = 0.0011


@dataclass(frozen=True)
class FilmEdit:
    """What was done to a film."""

    frames: int
    """How many frames were written."""
    edited: int
    """How many of them show an edited face."""
    faces: int
    """How many faces were edited; one that leaves and comes back counts twice."""
    notes: tuple[str, ...]
    """What is not as it was in the film, in lines: sound that was converted, faces in profile."""


def check_film_out(source: Path | str, out: Path | str) -> None:
    """Refuse, before the work, a file that could not be written, or that is the film itself."""
    source, out = Path(source), Path(out)
    if out.suffix.lower() not in ANIMATION_SUFFIXES:
        kind_of(out.suffix, besides=ANIMATION_SUFFIXES)
    if out.is_dir():
        raise FilmError(f"`{out}` is a folder", hint="give the name of a file")
    if out.exists() and source.exists() and out.samefile(source):
        raise FilmError(f"{out} is the film itself", hint="give another --out, so that the original stays")


def edit_film(
    editor: Editor,
    source: Path | str,
    out: Path | str,
    wanted: Condition | Keyframes,
    *,
    faces: str | int = "all",
    start: Start = "auto",
    profiles: Profiles = "skip",
    smallest: float | None = None,
    crf: int | None = None,
    mark: bool = True,
    found: FilmFaces | None = None,
    report: Report = lambda *_: None,
) -> FilmEdit:
    """Give faces of a film another expression and write it to `out`, whole or not at all.

    `faces` is `all`, `largest`, or a number as `find_faces` gives; `found` is what that returned, where it is known
    already. `start` is that of `Editor.render`, with what the critic sees averaged over time. Faces that turn to profile
    lose the edit on the way unless `profiles` is `edit`. `crf` is the encoder's quality, lower is better. Raises
    `FilmError`, `ConditionError`, and `FaceError` where no frame shows a face.
    """
    source, out = Path(source), Path(out)
    check_film_out(source, out)
    wanted = Keyframes.constant(wanted) if isinstance(wanted, Condition) else wanted
    wanted.check(editor.space)
    if parse_start(start) == "keep" and not isinstance(editor.space, DiscSpace):
        raise ConditionError("this model's space is no disc to move on", hint="start from `auto` or `direct`")
    if start == "keep" and not can_read(editor.model):
        raise ConditionError("this model has no critic to read faces with", hint="start from `auto` or `direct`")
    everyone = found or find_faces(editor, source, smallest=smallest, read=start != "direct")
    painter = _Painter(editor, everyone.choose(faces), wanted, start, profiles)
    written = editor.mark(str(wanted)) if mark else None
    out.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(out) as file:
        if out.suffix.lower() in ANIMATION_SUFFIXES:
            notes = _write_animation(source, file, out.suffix, painter, written, report)
        else:
            notes = _write_film(source, file, out.suffix, painter, crf, written, report)
    if painter.turned:
        notes.append(f"in {painter.turned} frames a face is seen from the side, where edits are poor: faded out")
    return FilmEdit(painter.frames, painter.edited, len(painter.faces), tuple(notes))


@dataclass(frozen=True, eq=False)
class _Painted:
    """A frame as RGB, before and after its edit, and where they may differ."""

    before: np.ndarray
    after: np.ndarray
    box: tuple[int, int, int, int]


class _Painter:
    """Edit the frames of a film, one after the other, as its faces and keyframes say."""

    def __init__(self, editor: Editor, chosen: FilmFaces, wanted: Keyframes, start: Start, profiles: Profiles) -> None:
        self._editor, self.chosen, self._wanted = editor, chosen, wanted
        self._start, self._profiles = start, profiles
        self.faces = chosen.faces
        self.frames = self.edited = self.turned = 0

    def paint(self, index: int, frame: Any) -> _Painted | None:
        """Edit PyAV's frame with its number; None where it stays as it is."""
        self.frames += 1
        if index >= len(self.chosen.seconds):  # a broken film may give more frames the second time
            return None
        visible = [face for face in self.faces if face.in_frame(index)]
        if not visible:
            return None
        pixels = upright(frame)
        condition = self._wanted.at(float(self.chosen.seconds[index]), self._editor.space)
        renderings, turned = [], False
        for face in visible:
            with contextlib.suppress(FaceError):  # landmarks between two sightings that form no face
                rendering, frontal = self._render(face, index, pixels, condition)
                turned |= frontal < 0.5
                if rendering is not None:
                    renderings.append(rendering)
        self.turned += turned
        if not renderings:
            return None
        self.edited += 1
        return _Painted(pixels, self._editor.paste(pixels, renderings), _reach(renderings, pixels.shape))

    def _render(
        self, face: FilmFace, index: int, pixels: np.ndarray, condition: Condition
    ) -> tuple[Rendering | None, float]:
        """Return a face's edit in one frame, None where nothing of it is shown, and how much its turning leaves of it."""
        at = index - face.first
        aligned = self._editor.align(pixels, Detection(_box(face.landmarks[at]), face.confidence, face.landmarks[at]))
        frontal = self._frontal_share(aligned.frontality)
        weight = float(face.weights[at]) * frontal
        if weight == 0:
            return None, frontal
        start: Start | float = "direct"
        if self._start == "auto" and NEUTRAL in self._editor.space.expressions:
            start = float(face.expressed[at])
        if self._start == "keep":
            assert isinstance(self._editor.space, DiscSpace)  # asked for when the film was opened
            x, y = face.standing[at] + self._editor.space.point(condition)
            condition = Condition.polar(math.atan2(y, x), min(1.0, math.hypot(x, y)))
        (rendering,) = self._editor.render(aligned, [condition], start)
        return replace(rendering, edit=scale(rendering.edit, weight)), frontal

    def _frontal_share(self, frontality: float) -> float:
        if self._profiles == "edit":
            return 1.0
        share = min(1.0, max(0.0, (frontality - PROFILE) / (_TURNED - PROFILE)))
        return share * share * (3 - 2 * share)


def _write_film(
    source: Path, file: Path, suffix: str, painter: _Painter, crf: int | None, mark: EditMark | None, report: Report
) -> list[str]:
    total = len(painter.chosen.seconds)
    with open_film(source) as container:
        writer = FilmWriter(file, suffix, crf=crf, mark=mark)
        try:
            rate = _even_rate(painter.chosen.seconds, container.streams.video[0].average_rate)
            notes = writer.take_over(container, rate)
            for frame in _frames(container, writer):
                painted = painter.paint(painter.frames, frame)
                if painted is None:
                    writer.write(frame)
                else:
                    writer.write(frame, painted.before, painted.after, painted.box)
                report(painter.frames, total)
            writer.close()
        except BaseException:
            writer.abandon()
            raise
    return notes


def _even_rate(seconds: np.ndarray, rate: Fraction | None) -> Fraction | None:
    """Return the rate of a film whose frames come evenly, but for what its container rounds; else None."""
    if not rate or np.abs(seconds - np.arange(len(seconds)) / float(rate)).max() > _ROUNDED_SECONDS:
        return None
    return Fraction(rate)


def _frames(container: Any, writer: FilmWriter) -> Iterator[Any]:
    """Yield the frames of a film, all of the first one's size, and hand its sound to the writer on the way."""
    picture = container.streams.video[0]
    picture.thread_type = "AUTO"
    size = None
    for packet in packets(container, picture, *container.streams.audio):
        if packet.stream.type == "audio":
            writer.write_sound(packet)
            continue
        for frame in decode_packet(packet):
            size = size or (frame.width, frame.height)
            yield frame if size == (frame.width, frame.height) else frame.reformat(width=size[0], height=size[1])


def _write_animation(
    source: Path, file: Path, suffix: str, painter: _Painter, mark: EditMark | None, report: Report
) -> list[str]:
    seconds = painter.chosen.seconds
    with open_film(source) as container:
        writer = AnimationWriter(file, suffix, mark=mark)
        picture = container.streams.video[0]
        for packet in packets(container, picture):
            for frame in decode_packet(packet):
                painted = painter.paint(painter.frames, frame)
                pixels = upright(frame) if painted is None else painted.after
                writer.write(pixels, float(seconds[min(painter.frames, len(seconds)) - 1]))
                report(painter.frames, len(seconds))
        writer.close()
        return ["an animation has no sound"] if container.streams.audio else []


def _box(landmarks: np.ndarray) -> tuple[float, float, float, float]:
    """Return a box round a face, from its landmarks."""
    (x0, y0), (x1, y1) = landmarks.min(axis=0), landmarks.max(axis=0)
    return (
        float(1.5 * x0 - 0.5 * x1),
        float(1.5 * y0 - 0.5 * y1),
        float(1.5 * x1 - 0.5 * x0),
        float(1.5 * y1 - 0.5 * y0),
    )


def _reach(renderings: list[Rendering], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the box (x0, y0, x1, y1) that the crops of renderings lie in, within the frame."""
    corners = np.concatenate([rendering.face.alignment.corners() for rendering in renderings])
    x0, y0 = (max(0, math.floor(value)) for value in corners.min(axis=0))
    x1, y1 = (min(limit, math.ceil(value)) for value, limit in zip(corners.max(axis=0), shape[1::-1], strict=True))
    return x0, y0, max(x0, x1), max(y0, y1)
