"""Films: frames with their times; through PyAV, that is, ffmpeg's libraries (the extra `video`). Writing: film_writing.py.

A frame is uint8 (height, width, 3) RGB, turned upright where the film says how it was held. Frames are counted from 0 in
the order in which they are shown. One that cannot be decoded is left out: `read_frames` counts what can be seen, and
`read_frame`, which datasets with a label for each frame use, what the film holds.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import FilmError

#: Frames ahead from which looking for a key frame is worth while.
_JUMP = 48

FILM_SUFFIXES = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")


def is_film(path: Path) -> bool:
    """Say by its name whether a file that may be a photo is a film; a GIF counts as a photo."""
    return path.suffix.lower() in FILM_SUFFIXES and path.suffix.lower() != ".gif"


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a film."""

    index: int
    """Its number, from 0."""
    seconds: float
    """When it is shown, from the start of the film."""
    pixels: np.ndarray
    """uint8 (height, width, 3), RGB, upright."""
    stamp: int | None = None
    """The time stamp that the decoder gave it, by which it can be found again; None where it gave none."""


def read_frames(path: Path | str) -> Iterator[Frame]:
    """Yield the frames of a film in the order in which they are shown.

    Raises `FilmError` where the file is no film, holds no picture track or none that can be read; a film that is broken off
    ends there.
    """
    number = -1
    with open_film(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for number, frame in enumerate(decode(container, stream)):
            yield Frame(number, float(frame.time or 0.0), upright(frame), frame.pts)
    if number < 0:
        animated = Path(path).suffix.lower() == ".webp"  # ffmpeg 8 sees that there are pictures, and decodes none
        hint = "save an animated WebP as GIF or MP4" if animated else "play it once to see that it is whole"
        raise FilmError(f"`{path}` has no frame that can be read", hint=hint)


def _numbers(path: Path | str) -> dict[int, int]:
    """Return the number of each frame by its time stamp, from the packets alone: fast, since nothing is decoded.

    So a frame keeps its number where one before it cannot be decoded, or is jumped over. Frames that the film says not to
    show have none.
    """
    with open_film(path) as container:
        stamps = [packet.pts for packet in packets(container, container.streams.video[0]) if _shown(packet)]
    return {stamp: number for number, stamp in enumerate(sorted(set(stamps) - {None}))}


def _shown(packet: Any) -> bool:
    return bool(packet.size) and not packet.is_discard


def _numbered(frames: Iterable[Any], numbers: dict[int, int], first: int) -> Iterator[Frame]:
    """Yield PyAV's frames with their numbers; one with an unknown time stamp follows the one before it."""
    number = first - 1
    for frame in frames:
        number = numbers.get(frame.pts, number + 1)
        yield Frame(number, float(frame.time or 0.0), upright(frame))


@contextlib.contextmanager
def open_film(path: Path | str) -> Iterator[Any]:
    """Open a file as PyAV's input container, closed when the block ends; `FilmError` where it holds no pictures."""
    import av
    import av.error

    path = Path(path)
    # Tags in another encoding than UTF-8: PyAV 19 keeps their bytes, versions before it refuse the film unless told.
    tolerant: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
    try:
        container = av.open(str(path), **tolerant)
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
        return sum(_shown(packet) for packet in packets(container, container.streams.video[0]))


class FrameReader:
    """A film from which single frames are read; fast for rising numbers, since it stays open where the last one was.

    Far ahead, and backwards, it jumps to the last key frame before the frame that is asked for, where the kind of film
    knows its times (MPEG streams are read from their beginning).
    """

    def __init__(self, path: Path | str, stamps: Sequence[int | None] | None = None) -> None:
        """Open a film; raises `FilmError` where it is none.

        Frames are numbered as the film holds them; with `stamps`, as these were read (`Frame.stamp`), which differs where
        some cannot be decoded. Where stamps do not tell frames apart, frames are counted from the beginning.
        """
        self.path = Path(path)
        self.next = 0
        if stamps is None:
            self._numbers = _numbers(self.path)
        else:
            known = {stamp: number for number, stamp in enumerate(stamps) if stamp is not None}
            self._numbers = known if len(known) == len(stamps) else {}
        self._stamps = list(self._numbers)
        self._opened = contextlib.ExitStack()
        self._begin()

    def read(self, index: int) -> np.ndarray | None:
        """Return a frame, uint8 (height, width, 3) RGB; None where the film has none, or it cannot be decoded."""
        if index < self.next or (index - self.next > _JUMP and index < len(self._stamps)):
            self._jump(index)
            if self.next > index:  # it landed too late, or nobody knows where: from the beginning
                self._begin()
        for frame in self._frames:
            self.next = frame.index + 1
            if frame.index == index:
                return frame.pixels
            if frame.index > index:  # it cannot be decoded
                return None
        return None

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _begin(self) -> None:
        self.close()
        self._container = self._opened.enter_context(open_film(self.path))
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.next = 0
        self._frames: Iterator[Frame] = _numbered(decode(self._container, self._stream), self._numbers, 0)

    def _jump(self, index: int) -> None:
        """Go to the last key frame before a frame, from which the decoder can go on; `next` is then its number."""
        import av.error
        import av.format

        # MPEG streams tell other times after a jump.
        unsearchable = self._container.format.flags & av.format.Flags.ts_discont.value
        if unsearchable or index >= len(self._stamps):
            return
        self._begin()  # some decoders first give the frames that they had under way
        try:
            self._container.seek(self._stamps[index], stream=self._stream)
        except av.error.FFmpegError:  # a film that cannot be searched is read from its beginning
            return
        frames = decode(self._container, self._stream)
        first = next(frames, None)
        self.next = len(self._stamps) if first is None else self._numbers.get(first.pts, len(self._stamps))
        if first is not None:
            self._frames = _numbered(itertools.chain([first], frames), self._numbers, self.next)


_reader: FrameReader | None = None


def read_frame(path: Path | str, index: int) -> np.ndarray:
    """Return one frame, uint8 (height, width, 3) RGB; fast for rising numbers of one film (`FrameReader`).

    Each process keeps the film that it read last open. Raises `FilmError` where the film has no such frame, or it cannot
    be decoded.
    """
    global _reader
    path = Path(path)
    if _reader is None or _reader.path != path:
        if _reader is not None:
            _reader.close()
        _reader = None
        _reader = FrameReader(path)
    pixels = _reader.read(index)
    if pixels is None:
        raise FilmError(
            f"`{path}` has no frame {index} that can be decoded", hint="the film may be damaged or broken off"
        )
    return pixels
