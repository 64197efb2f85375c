"""Edit a camera's pictures as they come, or a film's as if it were one.

Two threads, neither of which waits for the other: the camera's keeps only its latest frame, and the editor takes that
when it is done with the one before. Without a future to look into, landmarks are smoothed online, and a face is edited
from the moment on in which it was found.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.conditions import Condition
from mien.editing.edits import Seen, Start, check_wish
from mien.editing.kinds import check_film
from mien.editing.photo import PROFILE, Editor
from mien.editing.reading import can_read
from mien.editing.smoothing import OneEuroFilter
from mien.editing.tracking import FaceTracker, Track
from mien.errors import FaceError, FilmError
from mien.films import read_frames, upright
from mien.spaces import angles_in_degrees, place_of
from mien.warping import scale

#: ffmpeg's name of cameras on each platform, and how it is told the number of one.
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
#: Seconds over which an edit comes with a face, and over which the expression of a face itself is averaged.
_FADE_SECONDS, _READ_SECONDS = 0.25, 1.0
_READ_EVERY = 5
_JPEG_QUALITY = 85

Source = Callable[[], Iterator[np.ndarray]]


def film_source(film: Path) -> Source:
    """Return what plays a film at its own speed, over and over; raises `FilmError` where it cannot be read."""
    check_film(film)  # say now, and not in a thread, that there is no such film

    def frames() -> Iterator[np.ndarray]:
        while True:
            start = time.monotonic()
            for frame in read_frames(film):
                time.sleep(max(0.0, start + frame.seconds - time.monotonic()))
                yield frame.pixels

    return frames


def camera_source(which: str) -> Source:
    """Return what reads a camera, by number or by the system's name for it; `FilmError` where there is none."""
    import av
    import av.error

    kind, place = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    name = place.format(which) if which.isdigit() or sys.platform == "win32" else which
    # macOS refuses to guess a rate.
    options = {"framerate": "30", "video_size": "1280x720"} if kind == "avfoundation" else {}
    try:
        container: Any = av.open(name, format=kind, options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "look at the list of cameras in the system's settings, or play a film as one: `--film FILE`"
        raise FilmError(f"cannot open camera {which} (`{name}`): {reason}", hint=hint) from None

    def frames() -> Iterator[np.ndarray]:
        with container:
            for frame in container.decode(video=0):
                yield upright(frame)

    return frames


@dataclass(frozen=True)
class Wish:
    """What the page asks for."""

    condition: Condition
    """The expression."""
    shown: bool = True
    """False shows the camera as it is."""
    asked: Condition | None = None
    """What was asked for last, of which `condition` is a weaker or a stronger form; None where it is that itself."""

    def at(self, intensity: float) -> Wish:
        """Return the same at another intensity; halves come back from 0 as they were asked for."""
        asked = self.asked or self.condition
        return replace(self, condition=asked.at_intensity(intensity), asked=asked)


class Latest:
    """A value that threads hand on: whoever waits gets the newest one, and misses those in between."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._value: Any = None
        self._number = 0

    def put(self, value: Any) -> None:
        """Hand on a new value."""
        with self._changed:
            self._value, self._number = value, self._number + 1
            self._changed.notify_all()

    def get(self, after: int = 0, timeout: float = 1.0) -> tuple[Any, int]:
        """Return the newest value and its number; the old number where nothing new came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > after, timeout)
            return self._value, self._number


class LiveEditor:
    """Edit the frames of a source as they come; `start` begins, `stop` ends."""

    def __init__(
        self, editor: Editor, source: Source, wish: Wish, *, faces: str = "all", start: Start = "auto"
    ) -> None:
        """Set up with an editor, a source of frames and a first wish; `faces` is `all` or `largest`.

        Raises `ConditionError` for what the model cannot express, or cannot start from.
        """
        check_wish(editor.model, wish.condition, start)
        self.editor, self.wish = editor, wish
        self.pictures = Latest()
        self.error: Exception | None = None
        self.rate = 0.0
        self.faces_seen = 0
        self._source, self._faces = source, faces
        self._start: Start = start
        self._frames = Latest()
        self._stopped = threading.Event()
        self._people: dict[int, _Person] = {}
        self._tracker = FaceTracker(editor.detector, look_back=False)

    def start(self) -> None:
        """Begin to read frames and to edit them, in threads of their own."""
        for work in (self._read, self._edit):
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether it was stopped, or stopped by itself; `error` says why."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End both threads."""
        self._stopped.set()

    def ask(self, wish: Wish) -> None:
        """Change what is wanted, from the next frame on; raises `ConditionError` where the space cannot express it."""
        check_wish(self.editor.model, wish.condition, self._start)
        self.wish = wish

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # a thread's end is told on the page and by the command
            self.error = error
            self._stopped.set()

    def _read(self) -> None:
        for pixels in self._source():
            if self._stopped.is_set():
                return
            self._frames.put(pixels)
        raise FilmError("the camera gives no more frames", hint="plug it in again, and start again")

    def _edit(self) -> None:
        number, before = 0, time.monotonic()
        while not self._stopped.is_set():
            pixels, newest = self._frames.get(number)
            if newest == number:
                continue
            number = newest
            now = time.monotonic()
            self.rate = 0.9 * self.rate + 0.1 / max(now - before, 1e-3)
            before = now
            buffer = io.BytesIO()
            Image.fromarray(self.edit(pixels, now)).save(buffer, "JPEG", quality=_JPEG_QUALITY)
            self.pictures.put(buffer.getvalue())

    def edit(self, pixels: np.ndarray, seconds: float) -> np.ndarray:
        """Return a frame with its faces edited as the page wishes."""
        tracks = self._tracker.update(pixels, seconds)
        self.faces_seen = len(tracks)
        # A camera runs for days: what has left is forgotten.
        self._tracker.forget()
        self._people = {t.number: self._people.get(t.number) or _Person(seconds) for t in self._tracker.active}
        wish = self.wish
        if not wish.shown:
            return pixels
        if self._faces == "largest" and tracks:
            tracks = [max(tracks, key=lambda track: track.last.alignment.side)]
        renderings = []
        for track in tracks:
            with contextlib.suppress(FaceError):  # five points that form no face once they are smoothed
                renderings.append(
                    self._people[track.number].render(self.editor, pixels, seconds, track, wish, self._start)
                )
        return self.editor.paste(pixels, [rendering for rendering in renderings if rendering is not None])

    def describe(self) -> dict[str, Any]:
        """Return what the page shows beside the picture."""
        space, condition = self.editor.space, self.wish.condition
        return {
            "expressions": list(space.expressions),
            "angles": angles_in_degrees(space),
            "condition": str(condition),
            "intensity": condition.intensity,
            "wish": condition.to_json(),
            "code": place_of(space, condition),
            "shown": self.wish.shown,
            "frames_per_second": round(self.rate, 1),
            "faces": self.faces_seen,
            "error": str(self.error) if self.error else None,
        }


class _Person:
    """What is remembered of a face while it is in the picture."""

    def __init__(self, seconds: float) -> None:
        self._since = seconds
        self._smooth = OneEuroFilter()
        self._expressed: dict[str, float] = {}
        self._frames = 0

    def render(self, editor: Editor, pixels: np.ndarray, seconds: float, track: Track, wish: Wish, start: Start) -> Any:
        """Return the edit of a face, faded in after it came; None where nothing is to be seen of it."""
        landmarks = self._smooth(seconds, track.last.detection.landmarks)
        face = editor.align(pixels, replace(track.last.detection, landmarks=landmarks))
        weight = min(1.0, (seconds - self._since) / _FADE_SECONDS)
        if face.frontality < PROFILE or weight <= 0:
            return None
        origin: Start | Seen = start
        if start == "auto" and can_read(editor.model):
            if self._frames % _READ_EVERY == 0:
                share = _READ_EVERY / (_READ_SECONDS * 10) if self._expressed else 1.0
                for name, now in editor.read(face).expressions.items():
                    self._expressed[name] = (1 - share) * self._expressed.get(name, 0.0) + share * now
            self._frames += 1
            origin = self._expressed
        (rendering,) = editor.render(face, [wish.condition], origin)
        return replace(rendering, edit=scale(rendering.edit, weight))
