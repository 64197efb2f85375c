"""The faces of a film, ready to be edited: found in a first pass over it, smoothed, faded in and out.

Only landmarks are kept, so a long film needs no more memory than a short one but for these. A face that comes into the
picture or leaves it is faded over a quarter of a second, so that nothing pops; at a cut it is there at once, as the rest
of the picture is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.editing.photo import Editor
from mien.editing.reading import can_read
from mien.editing.smoothing import smooth
from mien.editing.tracking import FaceTracker, Track
from mien.errors import ConditionError, FaceError
from mien.films import count_frames, read_frames
from mien.images import resize

#: Takes how many frames are done, and how many there are.
Report = Callable[[int, int], None]

#: Seconds over which an edit comes and goes with its face.
_FADE_SECONDS = 0.25
#: A face that was seen in fewer frames is none, unless its shot has no more.
_FEWEST_FRAMES = 3
#: A face's own expression is read every so many frames, and the readings are averaged over time.
_READ_EVERY, _READ_SECONDS = 5, 0.5

#: A face's own expression: a time in seconds, the probabilities, and x and y on the disc.
_Reading = tuple[float, np.ndarray]


@dataclass(frozen=True, eq=False)
class FilmFace:
    """One face on its way through a film, in every frame from its first to its last."""

    number: int
    """From 1, the face that fills most of the film first: its area, summed over the frames."""
    first: int
    """Number of its first frame."""
    landmarks: np.ndarray
    """float64 (frames, 5, 2), smoothed in time, pixels of the upright frame."""
    weights: np.ndarray
    """float64 (frames,): how much of the edit is shown, 0 to 1."""
    expressed: np.ndarray
    """float64 (frames, k): what the critic sees in the face itself, in the order of the model's expressions, smoothed in
    time; no columns where it was not asked."""
    standing: np.ndarray
    """float64 (frames, 2): where on the disc it stands by itself, smoothed in time; zeros where the space is no disc."""
    confidence: float
    """The detector's, the mean over the frames in which it saw the face."""

    @property
    def last(self) -> int:
        """Number of its last frame."""
        return self.first + len(self.landmarks) - 1

    @property
    def presence(self) -> float:
        """How much of the film it fills: area of its landmarks' boxes, summed over frames."""
        return float(np.ptp(self.landmarks, axis=1).prod(axis=1).sum())

    def in_frame(self, index: int) -> bool:
        """Say whether a frame shows it, and more than nothing of the edit."""
        return self.first <= index <= self.last and self.weights[index - self.first] > 0


@dataclass(frozen=True, eq=False)
class FilmFaces:
    """All faces of a film, and its times."""

    seconds: np.ndarray
    """float64 (frames,): when each frame is shown, from the start of the film."""
    cuts: tuple[int, ...]
    """Numbers of the frames with which shots begin, the first one included."""
    faces: tuple[FilmFace, ...]
    """The one that fills most of the film first."""
    stamps: tuple[int | None, ...] = ()
    """Of each frame what `mien.films.FrameReader` finds it by."""

    def choose(self, which: str | int) -> FilmFaces:
        """Keep `all` faces, in each frame the `largest`, or the face with a number; faded where they come and go.

        The largest is the one that fills most of the film, so that it does not change when two are of one size.
        Raises `FaceError` for a number that no face has.
        """
        if which == "all":
            return self
        if which == "largest":
            return self._foremost()
        try:
            number = int(which)
        except ValueError:
            raise ConditionError(
                f"`{which}` chooses no face", hint="give `all`, `largest`, or a number from 1"
            ) from None
        chosen = tuple(face for face in self.faces if face.number == number)
        if not chosen:
            raise FaceError(
                f"there is no face {number}",
                hint=f"the film has {len(self.faces)}; `mien video FILM --list` shows them",
            )
        return replace(self, faces=chosen)

    def _foremost(self) -> FilmFaces:
        taken = np.zeros(len(self.seconds), bool)
        chosen = []
        for face in self.faces:
            span = slice(face.first, face.last + 1)
            shown = ~taken[span]
            taken[span] = True
            if shown.any():
                weights = fade_weights(self.seconds, self.cuts, face.first, shown)
                chosen.append(replace(face, weights=np.minimum(face.weights, weights)))
        return replace(self, faces=tuple(chosen))


def find_faces(
    editor: Editor,
    film: Path | str,
    *,
    smallest: float | None = None,
    read: bool = True,
    report: Report = lambda *_: None,
) -> FilmFaces:
    """Follow the faces of a film from its first frame to its last.

    `smallest` is the side in pixels of the smallest face, by default a thirty-second of the picture's longer side; `read`
    asks the critic, if the model has one, which expression each face shows by itself, and how strong. Raises `FilmError`
    and, where no frame shows a face, `FaceError`.
    """
    tracker = FaceTracker(editor.detector, smallest=smallest)
    readings: dict[int, list[_Reading]] = {}
    read = read and can_read(editor.model)
    total = count_frames(film)
    start = last = 0.0
    size = (0, 0)
    stamps: list[int | None] = []
    for frame in read_frames(film):
        if frame.index == 0:
            start, size = frame.seconds, frame.pixels.shape[:2]
        # Times must rise; a broken film's may not.
        last = max(frame.seconds - start, last + 1e-3 if frame.index else 0.0)
        pixels = resize(frame.pixels, size) if frame.pixels.shape[:2] != size else frame.pixels
        for track in tracker.update(pixels, last):
            if read and (len(track.sightings) % _READ_EVERY == 0 or track.number not in readings):
                reading = editor.read(editor.align(pixels, track.last.detection))
                place = (0.0, 0.0) if reading.code is None else reading.code
                values = np.array([*reading.expressions.values(), *place], np.float64)
                readings.setdefault(track.number, []).append((last, values))
        stamps.append(frame.stamp)
        report(frame.index + 1, total)
    seconds, cuts = np.array(tracker.seconds), tuple(tracker.cuts)
    faces = [
        _face(track, seconds, cuts, readings.get(track.number, []))
        for track in tracker.tracks
        if len(track.sightings) >= min(_FEWEST_FRAMES, _length_of_shot(track.sightings[0].index, cuts, len(seconds)))
    ]
    if not faces:
        raise FaceError(
            f"no face found in `{film}` by {editor.detector_name}",
            hint="lower the detector's threshold (`--threshold 0.5`); `mien video` can search for smaller faces, too "
            "(`--smallest 20`)",
        )
    faces.sort(key=lambda face: face.presence, reverse=True)
    numbered = tuple(replace(face, number=rank) for rank, face in enumerate(faces, 1))
    return FilmFaces(seconds, cuts, numbered, tuple(stamps))


def fade_weights(seconds: np.ndarray, cuts: Sequence[int], first: int, shown: np.ndarray) -> np.ndarray:
    """Return the weight, 0 to 1, of an edit in the frames from `first` on, of which `shown` (frames,) says which show it.

    It rises after each beginning and falls before each end, except where a shot begins or ends there.
    """
    weights = shown.astype(np.float64)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(int)))
    ends = {*cuts, len(seconds)}
    for begin, end in edges.reshape(-1, 2):
        times = seconds[first + begin : first + end]
        for moment, at_cut in ((times[0], first + begin in ends), (times[-1], first + end in ends)):
            if not at_cut:
                share = (np.abs(times - moment) / _FADE_SECONDS).clip(0, 1)
                weights[begin:end] *= share * share * (3 - 2 * share)
    return weights


def _length_of_shot(index: int, cuts: Sequence[int], count: int) -> int:
    begin = max(cut for cut in cuts if cut <= index)
    end = min((cut for cut in cuts if cut > index), default=count)
    return end - begin


def _face(track: Track, seconds: np.ndarray, cuts: Sequence[int], readings: list[_Reading]) -> FilmFace:
    """Smooth what was seen of one face."""
    first, last = track.sightings[0].index, track.sightings[-1].index
    times = seconds[first : last + 1]
    seen = np.zeros(len(times), bool)
    raw = np.zeros((len(times), 5, 2))
    for sighting in track.sightings:
        seen[sighting.index - first] = True
        raw[sighting.index - first] = sighting.detection.landmarks
    own = _averaged(times, readings)
    return FilmFace(
        number=track.number,
        first=first,
        landmarks=smooth(times, raw, seen),
        weights=fade_weights(seconds, cuts, first, np.ones(len(times), bool)),
        expressed=own[:, :-2],
        standing=own[:, -2:],
        confidence=float(np.mean([sighting.detection.confidence for sighting in track.sightings])),
    )


def _averaged(times: np.ndarray, readings: list[_Reading]) -> np.ndarray:
    """Return readings as smooth curves (times, values), by Gaussian weights in time; of none, a place in the centre."""
    total, weights = np.zeros((len(times), len(readings[0][1]) if readings else 2)), np.zeros((len(times), 1))
    for moment, values in readings:
        weight = np.exp(-0.5 * ((times - moment) / _READ_SECONDS) ** 2)[:, None] + 1e-12
        total += weight * values
        weights += weight
    return total / np.maximum(weights, 1e-12)
