"""Follow faces through a film: search the whole picture now and then, else look only where each face was.

A look goes through a window, an upright square round the face's last place, enlarged or shrunk to one size; so a look
costs the same for a face of any size, tilted faces are found as well as upright ones, and all windows of a frame are
searched together. A window stays where it is until its face leaves its middle: a still face is seen through the very
same pixels in each frame, and its landmarks do not jump. A face that the search finds late is followed backwards through
the frames since the last search.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from mien.errors import FaceError
from mien.faces import Alignment, Detection, Detector, estimate_alignment
from mien.films import Frame
from mien.images import resize

#: Side of a window: in pixels, and in sides of the aligned crop that it lies round.
_WINDOW_PIXELS, _WINDOW_SIDES = 160, 1.6
#: Seconds between two searches of the whole picture: as a rule, and while a face is missing.
_SEARCH_SECONDS, _MISSING_SECONDS = 0.4, 0.1
#: A face that is not seen for longer has left; it may come back as another one.
_PATIENCE_SECONDS = 0.4
#: The whole picture is searched at the scale at which the smallest face has this side in pixels.
_SEARCHED_FACE = 20.0
#: Unless told otherwise, the smallest face has this share of the picture's longer side.
_SMALLEST_SHARE = 1 / 32
#: A window is moved when its face is off its middle by this share of its side, off its size, or tilted by so many radians.
_OFF_MIDDLE, _OFF_SIZE, _OFF_ROLL = 0.08, 1.18, 0.14
#: What is seen in the next frame is the same face within this distance, in sides of the crop, and this ratio of sizes.
_SAME_DISTANCE, _SAME_SIZE = 0.4, 1.6
#: What a search finds is a known face within this distance.
_KNOWN_DISTANCE = 0.5
#: Two faces nearer to each other than this are one that was found twice.
_TWICE_DISTANCE = 0.3
#: A cut changes a picture of a few pixels by this many levels, and this many times as much as the frames before it.
_CUT_LEVELS, _CUT_TIMES, _CUT_SIZE = 25.0, 4.0, (32, 18)


@dataclass(frozen=True, eq=False)
class Sighting:
    """A face in one frame."""

    index: int
    """Number of the frame, from 0."""
    seconds: float
    """When it is shown."""
    detection: Detection
    """Box, confidence and landmarks in pixels of the frame."""
    alignment: Alignment
    """From the frame to the unit square of the face's crop."""

    def distance(self, other: Sighting) -> float:
        """Return how far the middles of two faces lie apart, in sides of the smaller crop."""
        return math.dist(_middle(self.alignment), _middle(other.alignment)) / min(
            self.alignment.side, other.alignment.side
        )

    def is_like(self, other: Sighting, distance: float) -> bool:
        """Say whether two faces are near each other and of one size."""
        ratio = self.alignment.side / other.alignment.side
        return self.distance(other) < distance and 1 / _SAME_SIZE < ratio < _SAME_SIZE


@dataclass(eq=False)
class Track:
    """One face on its way through a film, as the detector saw it."""

    number: int
    """Faces are numbered from 1 as they are found."""
    sightings: list[Sighting]
    """In the order of the frames; frames in which the face was not seen are left out."""
    window: Alignment | None = field(default=None, repr=False)
    """Where it was looked for last."""

    @property
    def last(self) -> Sighting:
        """The latest sighting."""
        return self.sightings[-1]


class FaceTracker:
    """Follow all faces of a film, frame by frame; what was found stands in `tracks`, `seconds` and `cuts`."""

    def __init__(self, detector: Detector, *, smallest: float | None = None, look_back: bool = True) -> None:
        """Set up with a detector; `smallest` is the side in pixels of the smallest face that is searched for.

        `look_back` keeps the frames since the last search, up to half a second, so that a face that is found late is
        known from the frame on in which it came; a camera, whose past has been shown, does without.
        """
        self.tracks: list[Track] = []
        self.active: list[Track] = []
        self.seconds: list[float] = []
        self.cuts: list[int] = [0]
        self._detector, self._smallest, self._look_back = detector, smallest, look_back
        self._past: deque[Frame] = deque()
        self._frames, self._numbers = itertools.count(), itertools.count(1)
        self._searched = -math.inf
        self._thumbnail: np.ndarray | None = None
        self._usual_change = 0.0

    def update(self, pixels: np.ndarray, seconds: float) -> list[Track]:
        """Take the next frame, uint8 (height, width, 3) RGB; return the tracks whose face is seen in it."""
        frame = Frame(next(self._frames), seconds, pixels)
        self.seconds.append(seconds)
        if self._is_cut(pixels):
            self.cuts.append(frame.index)
            self.active = []
            self._past.clear()
            self._searched = -math.inf
        self._follow(frame, self.active)
        self._drop_doubles(frame.index)
        missing = any(track.last.index < frame.index for track in self.active)
        if seconds - self._searched >= (_MISSING_SECONDS if missing else _SEARCH_SECONDS):
            self._search(frame)
            self._searched = seconds
            self._past.clear()
        elif self._look_back:
            self._past.append(frame)
        self.active = [track for track in self.active if seconds - track.last.seconds <= _PATIENCE_SECONDS]
        return [track for track in self.active if track.last.index == frame.index]

    def forget(self) -> None:
        """Drop faces that have left, and times that have passed, where nobody will ask for them."""
        self.tracks, self.seconds, self.cuts = list(self.active), [], [0]
        for track in self.active:
            del track.sightings[:-1]

    def _is_cut(self, pixels: np.ndarray) -> bool:
        """Say whether a new shot begins with this frame."""
        small = Image.fromarray(pixels).resize(_CUT_SIZE, Image.Resampling.BOX, reducing_gap=1.0)
        thumbnail, before = np.asarray(small, np.int16), self._thumbnail
        self._thumbnail = thumbnail
        if before is None:
            return False
        change = float(np.abs(thumbnail - before).mean())
        cut = change > max(_CUT_LEVELS, _CUT_TIMES * self._usual_change)
        self._usual_change = change if cut else 0.8 * self._usual_change + 0.2 * change
        return cut

    def _follow(self, frame: Frame, tracks: list[Track]) -> None:
        """Look for the faces of tracks in another frame, before or after; adds sightings where they are."""
        windows = [_window(track.last, track.window) for track in tracks]
        for track, window, seen in zip(tracks, windows, self._look(frame, windows), strict=True):
            same = [one for one in seen if one.is_like(track.last, _SAME_DISTANCE)]
            if same:
                track.sightings.append(min(same, key=track.last.distance))
                track.window = window

    def _look(self, frame: Frame, windows: list[Alignment]) -> list[list[Sighting]]:
        """Return the faces that each window shows, in pixels of the frame."""
        if not windows:
            return []
        crops = [_cut(frame.pixels, window) for window in windows]
        # Within a window its face has a known size: nothing much smaller needs to be looked for.
        found = self._detector.detect(crops, minimum_size=0.6 * _WINDOW_PIXELS / _WINDOW_SIDES)
        return [
            _sightings(frame, [_from_window(detection, window) for detection in detections])
            for detections, window in zip(found, windows, strict=True)
        ]

    def _search(self, frame: Frame) -> None:
        """Search the whole frame for faces that are not followed, and follow them."""
        pixels = frame.pixels
        height, width = pixels.shape[:2]
        smallest = max(_SEARCHED_FACE, _SMALLEST_SHARE * max(height, width)) if not self._smallest else self._smallest
        shrink = min(1.0, _SEARCHED_FACE / smallest)
        small = resize(pixels, (max(1, round(height * shrink)), max(1, round(width * shrink))))
        unit = np.array([width / small.shape[1], height / small.shape[0]])
        found = self._detector.detect([small], minimum_size=smallest * shrink)[0]
        seen = _sightings(frame, [_scaled(detection, unit) for detection in found])
        # Once more through a window: what is a face only at one size is none, and these landmarks are finer.
        looks = self._look(frame, [_window(one, None) for one in seen])
        for first, finer in zip(seen, looks, strict=True):
            same = [one for one in finer if one.is_like(first, _SAME_DISTANCE)]
            if same:
                self._take(frame, min(same, key=first.distance))

    def _take(self, frame: Frame, sighting: Sighting) -> None:
        """Add what a search found to the track to which it belongs, or begin one."""
        near = [track for track in self.active if track.last.distance(sighting) < _KNOWN_DISTANCE]
        if any(track.last.index == sighting.index for track in near):
            return
        if near:
            track = min(near, key=lambda track: track.last.distance(sighting))
            track.sightings.append(sighting)
            track.window = None
            return
        track = Track(next(self._numbers), [sighting])
        # Through the very window that the next frames will be seen through, or the first one would stand apart.
        self._follow(frame, [track])
        del track.sightings[:-1]
        window = track.window
        for earlier in reversed(self._past):
            self._follow(earlier, [track])
            if track.last.index != earlier.index:
                break
        track.sightings.reverse()
        track.window = window
        self.tracks.append(track)
        self.active.append(track)

    def _drop_doubles(self, index: int) -> None:
        """Let only one of two tracks keep a face that both think theirs: the one that has had its own for longer."""
        seen = sorted((t for t in self.active if t.last.index == index), key=lambda t: len(t.sightings), reverse=True)
        for older, younger in itertools.combinations(seen, 2):
            if younger.last.index == older.last.index == index and older.last.distance(younger.last) < _TWICE_DISTANCE:
                younger.sightings.pop()
                if not younger.sightings:
                    self.tracks.remove(younger)
                    self.active.remove(younger)


def _sightings(frame: Frame, detections: list[Detection]) -> list[Sighting]:
    sightings = []
    for detection in detections:
        with contextlib.suppress(FaceError):  # five points that form no face
            alignment = estimate_alignment(detection.landmarks)
            sightings.append(Sighting(frame.index, frame.seconds, detection, alignment))
    return sightings


def _middle(alignment: Alignment) -> tuple[float, float]:
    x, y = alignment.to_photo(np.array([[0.5, 0.5]]))[0]
    return float(x), float(y)


def _window(sighting: Sighting, before: Alignment | None) -> Alignment:
    """Return the window through which to look for a face again: the one before, while the face stands well in it."""
    face = sighting.alignment
    if before is not None:
        off = np.abs(before.to_crop(face.to_photo(np.array([[0.5, 0.5]]))) - 0.5).max()
        size = face.side * _WINDOW_SIDES / before.side
        turn = before.matrix[:, :2] @ np.linalg.inv(face.matrix[:, :2])
        roll = abs(math.atan2(turn[1, 0], turn[0, 0]))
        if off < _OFF_MIDDLE and 1 / _OFF_SIZE < size < _OFF_SIZE and roll < _OFF_ROLL:
            return before
    matrix = face.matrix / _WINDOW_SIDES
    matrix[:, 2] += 0.5 - 0.5 / _WINDOW_SIDES
    return Alignment(matrix)


def _cut(pixels: np.ndarray, window: Alignment) -> np.ndarray:
    """Return what a window shows, uint8 (160, 160, 3); black beyond the frame, as detectors take it."""
    # Shrunk first by whole pixels, so that a large face is not aliased, then turned: both in 8 bits, which suffices here.
    x0, y0 = np.floor(window.corners().min(axis=0)).astype(int)
    x1, y1 = np.ceil(window.corners().max(axis=0)).astype(int)
    height, width = pixels.shape[:2]
    left, top = min(max(0, x0), width - 1), min(max(0, y0), height - 1)
    region = Image.fromarray(np.ascontiguousarray(pixels[top : max(top + 1, y1), left : max(left + 1, x1)]))
    factor = max(1, int(window.side / _WINDOW_PIXELS))
    if factor > 1:
        region = region.reduce(factor)
    to_region = window.inverse
    to_region[:, :2] /= _WINDOW_PIXELS
    to_region[:, 2] -= [left, top]
    coefficients = tuple(float(value) for value in (to_region / factor).ravel())
    size = (_WINDOW_PIXELS, _WINDOW_PIXELS)
    return np.asarray(region.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))


def _from_window(detection: Detection, window: Alignment) -> Detection:
    """Turn what was found in a window into pixels of the frame; the box stays upright there."""
    x0, y0, x1, y1 = (value / _WINDOW_PIXELS for value in detection.box)
    (x, y) = window.to_photo(np.array([[(x0 + x1) / 2, (y0 + y1) / 2]]))[0]
    half_width, half_height = (x1 - x0) / 2 * window.side, (y1 - y0) / 2 * window.side
    box = (float(x - half_width), float(y - half_height), float(x + half_width), float(y + half_height))
    return Detection(box, detection.confidence, window.to_photo(detection.landmarks / _WINDOW_PIXELS))


def _scaled(detection: Detection, unit: np.ndarray) -> Detection:
    x0, y0, x1, y1 = (float(value) for value in np.array(detection.box) * np.tile(unit, 2))
    return Detection((x0, y0, x1, y1), detection.confidence, detection.landmarks * unit)
