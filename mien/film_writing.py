"""Write films: frames of one film, changed or not, into another, with sound, times, colours and a mark.

What is not changed is not converted: a frame's planes of luma and chroma go to the encoder as they came from the decoder,
and an edit is added to them as a difference. Sound is copied bit for bit where the container takes it. A film is written
under a temporary name and renamed when it is whole. Animations (GIF, WebP): animations.py.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mien.errors import FilmError
from mien.film_marks import append_xmp, mark_metadata
from mien.films import decode_packet
from mien.provenance import EditMark


class _Kind(NamedTuple):
    """What a kind of file is made of."""

    container: str
    video: str
    audio: str
    """Encoder of sound that cannot be copied."""
    copied: frozenset[str] | None
    """Codecs of sound that are copied; None: all of them."""
    crf: int
    """Quality of the picture if none is asked for; lower is better and larger."""
    options: dict[str, str]
    """For the picture's encoder."""


_IN_MP4 = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
_IN_MOV = frozenset({"aac", "ac3", "alac", "eac3", "mp3", "pcm_f32le", "pcm_s16be", "pcm_s16le", "pcm_s24le"})
_H264 = {"preset": "veryfast"}
_VP9 = {"deadline": "good", "cpu-used": "5", "row-mt": "1", "b": "0"}

#: Kinds of films that can be written, by suffix.
KINDS = {
    ".mp4": _Kind("mp4", "libx264", "aac", _IN_MP4, 18, _H264),
    ".m4v": _Kind("mp4", "libx264", "aac", _IN_MP4, 18, _H264),
    ".mov": _Kind("mov", "libx264", "aac", _IN_MOV, 18, _H264),
    ".mkv": _Kind("matroska", "libx264", "aac", None, 18, _H264),
    ".webm": _Kind("webm", "libvpx-vp9", "libopus", frozenset({"opus", "vorbis"}), 30, _VP9),
}

#: What so many channels usually are.
_LAYOUTS = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}

#: By this share of a frame, the first frame of an even film may be moved against the sound.
_OFF_BEAT = 0.05

#: Silence in the source that is longer than this stays silence.
_GAP_SECONDS = 0.1

#: ffmpeg's numbers of colour matrices -> the shares of red and blue in luma (ITU-T H.273, table 4); else BT.601's.
_LUMA = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_LUMA_601 = (0.299, 0.114)
#: ffmpeg's numbers: BT.601's matrix, values of 16..235, values of 0..255.
_MATRIX_601, _NARROW, _FULL = 6, 1, 2


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, renamed to it when the block ends well, removed when it does not.

    Raises `FilmError` where the file cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, _ffmpeg_error()) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FilmError(f"cannot write `{path}`: {reason}", hint="check folder, permissions and free space") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _ffmpeg_error() -> type[Exception]:
    """Return PyAV's error, where it is in use: animations do without it."""
    return sys.modules["av.error"].FFmpegError if "av.error" in sys.modules else OSError


class FilmWriter:
    """Write a film frame by frame, like a source or from pixels alone; `close` ends it."""

    def __init__(self, file: Path, suffix: str, *, crf: int | None = None, mark: EditMark | None = None) -> None:
        """Open `file` for a film of the kind that `suffix` names; `FilmError` where no such film can be written."""
        import av

        self._kind = kind_of(suffix)
        self._file, self._mark, self._crf = file, mark, self._kind.crf if crf is None else crf
        # An index at the front lets a browser start before it has the whole file.
        options = {"movflags": "+faststart"} if self._kind.container in ("mp4", "mov") else {}
        self._out = av.open(str(file), "w", format=self._kind.container, options=options)
        self._picture: Any = None
        self._aspect: Fraction | None = None
        self._begun = False
        self._rate: Fraction | None = None
        self._sounds: dict[int, _Sound] = {}
        self._waiting: list[Any] = []
        self._last = -1
        self._start = Fraction(0)

    def take_over(self, source: Any, rate: Fraction | None = None) -> list[str]:
        """Take metadata and sound tracks of PyAV's input container; return what had to be changed, in lines.

        `rate` is given where frames come evenly, so many in a second; else each keeps its own time.
        """
        said = []
        self._start, self._rate = Fraction(source.start_time or 0, 1_000_000), rate
        picture = source.streams.video[0]
        self._aspect = picture.sample_aspect_ratio
        self._picture = self._out.add_stream(self._kind.video, rate=rate or picture.average_rate or 25)
        for key in ("title", "artist", "date", "creation_time", "copyright", "comment"):
            if key in source.metadata:
                self._out.metadata[key] = source.metadata[key]
        for number, track in enumerate(source.streams.audio, 1):
            codec = track.codec_context.codec.canonical_name
            copied = self._kind.copied is None or codec in self._kind.copied
            try:
                sound = self._out.add_stream_from_template(track) if copied else self._encoder(track)
            except ValueError:  # this build knows how to read it, and neither to copy nor to write it
                said.append(f"sound track {number} ({codec}) is left out")
                continue
            if track.language:
                sound.metadata["language"] = track.language
            if not copied:
                said.append(f"sound track {number}: {codec} -> {sound.codec_context.name}")
            self._sounds[track.index] = _Sound(sound, copied, self._start)
        if source.streams.subtitles:
            said.append("subtitles are left out")
        if len(source.streams.video) > 1:
            said.append("of several picture tracks, the first is taken")
        return said

    def _encoder(self, track: Any) -> Any:
        # Opus knows few rates; 48 kHz is what it works at.
        rate = 48_000 if self._kind.audio == "libopus" else track.codec_context.sample_rate
        sound: Any = self._out.add_stream(self._kind.audio, rate=rate)
        layout = track.codec_context.layout
        # Uncompressed sound often says how many channels it has, and not which ones.
        sound.codec_context.layout = _LAYOUTS.get(layout.nb_channels, layout) if "channel" in layout.name else layout
        return sound

    def write_sound(self, packet: Any) -> None:
        """Write a packet of a sound track of the source."""
        if packet.stream.index in self._sounds:
            self._mux(self._sounds[packet.stream.index].packets(packet))

    def write(
        self, frame: Any, before: np.ndarray | None = None, after: np.ndarray | None = None, box: Box | None = None
    ) -> None:
        """Write PyAV's frame of the source, upright, changed as pixels `before` and `after` (RGB) differ within a box."""
        planes, matrix, full = _planes(frame)
        if before is not None and after is not None and box is not None:
            _add_difference(planes, before, after, box, _LUMA.get(matrix, _LUMA_601), full)
        self._write(planes, frame, matrix, full)

    def write_pixels(self, pixels: np.ndarray, seconds: float, rate: Fraction | int) -> None:
        """Write uint8 (height, width, 3) RGB at a time; `rate` is in frames per second, and the same for all."""
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._rate = Fraction(rate)
        frame.time_base = 1 / self._rate
        frame.pts = round(seconds * self._rate)
        planes, matrix, full = _planes(frame)
        self._write(planes, frame, matrix, full)

    def _write(self, planes: Planes, like: Any, matrix: int, full: bool) -> None:
        import av

        height, width = planes[0].shape
        if self._picture is None:
            self._picture = self._out.add_stream(self._kind.video, rate=self._rate or 25)
        if not self._begun:
            self._begin(width, height, like, matrix, full)
        context = self._picture.codec_context
        if (width, height) != (context.width, context.height):
            raise FilmError("the film's pictures change their size", hint="convert it to one size first")
        stacked = np.concatenate([plane.ravel() for plane in planes]).reshape(height * 3 // 2, width)
        frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
        frame.time_base = context.time_base
        frame.pts = self._last = max(self._last + 1, self._time(like))
        frame.color_range = _FULL if full else _NARROW
        frame.colorspace = matrix
        self._mux(self._picture.encode(frame))

    def _time(self, frame: Any) -> int:
        """Return when a frame is shown; a frame without a time comes one frame after the last."""
        context = self._picture.codec_context
        if frame.pts is None or frame.time_base is None:
            return self._last + max(1, round(1 / ((context.framerate or 25) * context.time_base)))
        return round((frame.pts * frame.time_base - self._start) / context.time_base)

    def _begin(self, width: int, height: int, like: Any, matrix: int, full: bool) -> None:
        """Set up the picture's encoder as the first frame is."""
        picture, context = self._picture, self._picture.codec_context
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.options = self._kind.options | {"crf": str(self._crf)}
        if self._rate and like.pts is not None and like.time_base:
            first = (like.pts * like.time_base - self._start) * self._rate
            if abs(first - round(first)) > _OFF_BEAT:  # sound began earlier, and not by whole frames
                self._rate = None
        # Films of even frames are marked as such: players and cutting programs trust the rate in the picture's stream.
        context.time_base = 1 / self._rate if self._rate else like.time_base or Fraction(1, 1000)
        context.thread_type = "AUTO"
        if self._aspect and self._aspect != 1:
            sideways = (like.rotation or 0) % 180 == 90
            context.sample_aspect_ratio = 1 / self._aspect if sideways else self._aspect
        context.color_range, context.colorspace = _FULL if full else _NARROW, matrix
        context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
        self._out.metadata.update(mark_metadata(self._mark, self._out.metadata.get("comment"), self._kind.container))
        self._begun = True

    def _mux(self, packets: list[Any]) -> None:
        # No packet may be written before all tracks are set up, and the picture's is with its first frame.
        self._waiting += packets
        if self._begun:
            for packet in self._waiting:
                self._out.mux(packet)
            self._waiting = []

    def close(self) -> None:
        """Write what the encoders hold back, end the file, and put the mark into it."""
        for sound in self._sounds.values():
            self._mux(sound.rest())
        if self._begun:
            self._mux(self._picture.encode(None))
        self._out.close()
        if self._mark is not None and self._kind.container == "mp4":
            append_xmp(self._file, self._mark)

    def abandon(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(Exception):  # what cannot be ended is thrown away
            self._out.close()


class _Sound:
    """A sound track on its way from the source to the film."""

    def __init__(self, stream: Any, copied: bool, start: Fraction) -> None:
        self._stream, self._copied, self._start = stream, copied, start
        self._last = self._heard = -1

    def packets(self, packet: Any) -> list[Any]:
        """Return what is to be written for a packet of the source: itself, or what its sound becomes."""
        if not self._copied:
            return [made for frame in decode_packet(packet) for made in self._stream.encode(self._in_time(frame))]
        if packet.dts is None or not packet.size:
            return []
        offset = round(self._start / packet.time_base)
        # A broken film's times may run backwards, which no container takes.
        packet.dts, late = max(packet.dts - offset, self._last + 1), (packet.pts or packet.dts) - packet.dts
        packet.pts = packet.dts + max(0, late)
        self._last = packet.dts
        packet.stream = self._stream
        return [packet]

    def _in_time(self, frame: Any) -> Any:
        """Let sound follow on sound; the file's own times, often rounded, count where there is a gap."""
        rate = frame.sample_rate
        said = self._heard if frame.pts is None else round((frame.pts * frame.time_base - self._start) * rate)
        if self._heard < 0 or said - self._heard > _GAP_SECONDS * rate:
            self._heard = max(0, said)
        frame.pts, frame.time_base = self._heard, Fraction(1, rate)
        self._heard += frame.samples
        return frame

    def rest(self) -> list[Any]:
        """Return what the encoder holds back."""
        return [] if self._copied or self._heard < 0 else self._stream.encode(None)


Box = tuple[int, int, int, int]
Planes = list[np.ndarray]


def kind_of(suffix: str, besides: Sequence[str] = ()) -> _Kind:
    """Return what a film with a suffix is made of; `FilmError` where this program or this build cannot write it.

    Its hint names `besides`, too: what the caller writes by other means.
    """
    import av

    if suffix.lower() not in KINDS:
        raise FilmError(f"no film can be written as `{suffix}`", hint=f"known: {', '.join([*KINDS, *besides])}")
    kind = KINDS[suffix.lower()]
    if kind.video not in av.codecs_available:
        raise FilmError(f"this build of PyAV has no encoder {kind.video}", hint="`pip install av` brings one that has")
    return kind


def _planes(frame: Any) -> tuple[Planes, int, bool]:
    """Return luma and both chromas of PyAV's frame, upright copies of even size; its matrix; whether 0..255 is used."""
    full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    matrix = int(frame.colorspace)
    turns = round((frame.rotation or 0) / 90) % 4
    if frame.format.is_rgb or frame.format.name in ("pal8", "gray"):
        frame = frame.reformat(format="yuv420p", dst_colorspace=5, dst_color_range=_NARROW)
        matrix, full = _MATRIX_601, False
    elif frame.format.name not in ("yuv420p", "yuvj420p"):
        frame = frame.reformat(format="yuvj420p" if full else "yuv420p")
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        planes.append(np.rot90(rows, turns).copy())
    # 4:2:0 needs even sides: an odd picture repeats its last line.
    (height, width), (half_height, half_width) = planes[0].shape, planes[1].shape
    planes[0] = np.pad(planes[0], ((0, 2 * half_height - height), (0, 2 * half_width - width)), mode="edge")
    return planes, matrix, full


def _add_difference(
    planes: Planes, before: np.ndarray, after: np.ndarray, box: Box, shares: tuple[float, float], full: bool
) -> None:
    """Add the difference of two RGB pictures within a box (x0, y0, x1, y1) to planes of luma and chroma, in place."""
    x0, y0 = (value - value % 2 for value in box[:2])
    x1, y1 = min(box[2] + box[2] % 2, before.shape[1]), min(box[3] + box[3] % 2, before.shape[0])
    change = after[y0:y1, x0:x1].astype(np.float32) - before[y0:y1, x0:x1]
    change = np.pad(change, ((0, (y1 - y0) % 2), (0, (x1 - x0) % 2), (0, 0)), mode="edge")
    red, blue = shares
    luma = change @ np.array([red, 1 - red - blue, blue], np.float32)
    # ITU-T H.273, eq. 38-40: differences of chroma, halved in both directions.
    chromas = [(change[..., 2] - luma) / (2 * (1 - blue)), (change[..., 0] - luma) / (2 * (1 - red))]
    halved = [c.reshape(len(c) // 2, 2, -1, 2).mean(axis=(1, 3)) for c in chromas]
    scales = (1.0, 1.0) if full else (219 / 255, 224 / 255)
    for plane, added, scale, step in zip(
        planes, [luma, *halved], (scales[0], scales[1], scales[1]), (1, 2, 2), strict=True
    ):
        region = plane[y0 // step : y0 // step + len(added), x0 // step : x0 // step + added.shape[1]]
        region[...] = np.rint(region + added[: len(region), : region.shape[1]] * scale).clip(0, 255)
