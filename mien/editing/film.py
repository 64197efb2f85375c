"""Edit the faces of a film: find and smooth in a first pass (film_faces.py), render and write in a second one.

Frames go through one by one; sound, times, shape and colours of the film stay (mien.film_writing). A frame without an
edited face goes from the decoder to the encoder as it is. A face that turns to profile loses the edit on the way, since
the model has seen next to no profiles.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.animations import ANIMATION_SUFFIXES, AnimationWriter
from mien.conditions import Condition
from mien.editing.edits import Start, in_words, reads_first
from mien.editing.film_faces import FilmFace, FilmFaces, Report, find_faces
from mien.editing.film_rendering import check_film_wishes, face_in_frame, frontal_share, render_in_frame
from mien.editing.keyframes import Keyframes, as_keyframes
from mien.editing.kinds import check_film
from mien.editing.many import Profiles
from mien.editing.photo import Editor, Face, Rendering
from mien.errors import ConditionError, FaceError, FilmError
from mien.film_writing import FilmWriter, kind_of, unfinished
from mien.films import decode_packet, open_film, packets, upright
from mien.provenance import EditMark
from mien.warping import scale

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
    wanted: Condition | Keyframes | Mapping[int, Condition | Keyframes],
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
    already. `wanted` may also say by these numbers what each face shall express; the others then stay as they are, and
    `faces` has no part in it. `start` is that of `Editor.render`, with what the critic sees averaged over time. Faces
    that turn to profile lose the edit on the way unless `profiles` is `edit`. `crf` is the encoder's quality, lower is
    better. Raises `FilmError`, `ConditionError`, and `FaceError` where no frame shows a face.
    """
    source, out = Path(source), Path(out)
    check_film(source)
    check_film_out(source, out)
    paths = {n: as_keyframes(each) for n, each in (wanted if isinstance(wanted, Mapping) else {0: wanted}).items()}
    if not paths:
        raise ConditionError("no face is to be edited", hint="say for one face at least what it shall express")
    check_film_wishes(editor, paths.values(), start)
    everyone = found or find_faces(editor, source, smallest=smallest, read=reads_first(start))
    if isinstance(wanted, Mapping):
        chosen = replace(everyone, faces=tuple(everyone.choose(number).faces[0] for number in sorted(paths)))
    else:
        chosen = everyone.choose(faces)
        paths = {face.number: paths[0] for face in chosen.faces}
    painter = _Painter(editor, chosen, paths, start, profiles)
    written = editor.mark(in_words(wanted)) if mark else None
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
    """Edit the frames of a film, one after the other, as its faces and their keyframes say."""

    def __init__(
        self, editor: Editor, chosen: FilmFaces, wanted: Mapping[int, Keyframes], start: Start, profiles: Profiles
    ) -> None:
        self._editor, self.chosen, self._wanted = editor, chosen, wanted
        self._start: Start = start
        self._profiles: Profiles = profiles
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
        renderings, turned = [], False
        for face in visible:
            with contextlib.suppress(FaceError):  # landmarks between two sightings that form no face
                there = face_in_frame(self._editor, face, index, pixels)
                frontal = frontal_share(there, self._profiles)
                turned |= frontal < 0.5
                if frontal > 0:
                    renderings.append(self._render(face, index, there, frontal))
        self.turned += turned
        if not renderings:
            return None
        self.edited += 1
        return _Painted(pixels, self._editor.paste(pixels, renderings), _reach(renderings, pixels.shape))

    def _render(self, face: FilmFace, index: int, there: Face, frontal: float) -> Rendering:
        condition = self._wanted[face.number].at(float(self.chosen.seconds[index]), self._editor.space)
        whole = render_in_frame(self._editor, face, index, there, condition, self._start)
        return replace(whole, edit=scale(whole.edit, frontal * float(face.weights[index - face.first])))


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


def _reach(renderings: list[Rendering], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the box (x0, y0, x1, y1) that the crops of renderings lie in, within the frame."""
    corners = np.concatenate([rendering.face.alignment.corners() for rendering in renderings])
    x0, y0 = (max(0, math.floor(value)) for value in corners.min(axis=0))
    x1, y1 = (min(limit, math.ceil(value)) for value, limit in zip(corners.max(axis=0), shape[1::-1], strict=True))
    return x0, y0, max(x0, x1), max(y0, y1)
