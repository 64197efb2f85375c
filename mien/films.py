"""Films: frames with their times; through PyAV, that is, ffmpeg's libraries (the extra `video`). Writing: film_writing.py.

A frame is uint8 (height, width, 3) RGB, turned upright where the film says how it was held. Frames are counted from 0 in
the order in which they are shown. A frame that cannot be decoded is left out, so numbers count what can be seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import FilmError

FILM_SUFFIXES = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a film."""

    index: int
    """Its number, from 0."""
    seconds: float
    """When it is shown, from the start of the film."""
    pixels: np.ndarray
    """uint8 (height, width, 3), RGB, upright."""


def read_frames(path: Path | str) -> Iterator[Frame]:
    """Yield the frames of a film in the order in which they are shown.

    Raises `FilmError` where the file is no film or holds no picture track; a film that is broken off ends there.
    """
    with open_film(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for index, frame in enumerate(decode(container, stream)):
            yield Frame(index, float(frame.time or 0.0), upright(frame))


@contextlib.contextmanager
def open_film(path: Path | str) -> Iterator[Any]:
    """Open a file as PyAV's input container, closed when the block ends; `FilmError` where it holds no pictures."""
    import av.error

    path = Path(path)
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if not path.exists():
            raise FilmError(f"no such file: `{path}`", hint="check the path") from None
        reason = getattr(error, "strerror", None) or str(error)
        raise FilmError(
            f"`{path}` cannot be read as a film: {reason}", hint="play it once to see that it is whole"
        ) from None
    with container:
        if not container.streams.video:
            raise FilmError(f"`{path}` holds no pictures", hint="give a film with a video track")
        yield container


def decode(container: Any, stream: Any) -> Iterator[Any]:
    """Yield PyAV's frames of a stream, leaving out what cannot be decoded."""
    for packet in packets(container, stream):
        yield from decode_packet(packet)


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """Yield PyAV's packets of some streams, in the order of the file, as far as it can be read."""
    import av.error

    with contextlib.suppress(av.error.FFmpegError):  # the file is broken off: nothing can be read from here on
        yield from container.demux(*streams)


def decode_packet(packet: Any) -> list[Any]:
    """Return PyAV's frames of a packet; none where it cannot be decoded."""
    import av.error

    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


def upright(frame: Any) -> np.ndarray:
    """Return a frame's pixels, turned as the film says that it was held."""
    pixels = frame.to_ndarray(format="rgb24")
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def count_frames(path: Path | str) -> int:
    """Return how many frames a film has, by counting its packets: fast, since nothing is decoded."""
    with open_film(path) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


class _Cursor:
    """A film that was opened and read up to some frame."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._frames = read_frames(path)
        self.next = 0

    def read(self, index: int) -> np.ndarray | None:
        for frame in self._frames:
            self.next = frame.index + 1
            if frame.index == index:
                return frame.pixels
        return None

    def close(self) -> None:
        self._frames.close()  # type: ignore[attr-defined]


_cursor: _Cursor | None = None


def read_frame(path: Path | str, index: int) -> np.ndarray:
    """Return one frame, uint8 (height, width, 3) RGB; fast for rising numbers of one film, else it starts anew.

    Each process keeps the film that it read last open. Raises `FilmError` where the film has no such frame.
    """
    global _cursor
    path = Path(path)
    if _cursor is None or _cursor.path != path or _cursor.next > index:
        if _cursor is not None:
            _cursor.close()
        _cursor = _Cursor(path)
    pixels = _cursor.read(index)
    if pixels is None:
        raise FilmError(f"`{path}` has no frame {index}", hint="the film may be broken off")
    return pixels
