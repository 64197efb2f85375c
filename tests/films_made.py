"""Films whose truth is known, written by PyAV alone; a detector that knows their faces, and a model that brightens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from mien.expressions import BASIC
from mien.faces import FACE_TEMPLATE, Detection
from mien.spaces import DiscSpace

#: Colours of faces, far from each other and from grey, with room for a quarter of the range above them.
COLOURS = {"red": (190, 30, 30), "green": (30, 180, 40), "blue": (40, 40, 190)}


def scene(faces: dict[str, tuple[float, float, float]], size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Return a grey picture (height, width, 3) with a square for each face, by colour: middle x, middle y, side.

    Edges between pixels are blended, so that a square stands where it says to a fraction of a pixel.
    """
    pixels = np.full((*size, 3), 128.0)
    for colour, (x, y, side) in faces.items():
        cover = [
            (np.minimum(np.arange(count) + 1, middle + side / 2) - np.maximum(np.arange(count), middle - side / 2))
            for count, middle in ((size[0], y), (size[1], x))
        ]
        share = cover[0].clip(0, 1)[:, None, None] * cover[1].clip(0, 1)[None, :, None]
        pixels = (1 - share) * pixels + share * np.array(COLOURS[colour])
    return pixels.round().astype(np.uint8)


def landmarks_of(x: float, y: float, side: float) -> np.ndarray:
    """Return where `Squares` sees the landmarks of a square."""
    return (FACE_TEMPLATE - 0.5) * side + [x, y]


class Squares:
    """A detector of the squares of `scene`; `blind` says at which calls it sees nothing."""

    settings: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, blind: Callable[[int], bool] = lambda call: False) -> None:
        self.calls, self.searched, self._blind = 0, 0, blind

    def detect(self, images: Sequence[np.ndarray], minimum_size: float | None = None) -> list[list[Detection]]:
        self.calls += 1
        self.searched += sum(image.shape[0] * image.shape[1] for image in images)
        if self._blind(self.calls - 1):
            return [[] for _ in images]
        return [self._one(image.astype(float), minimum_size or 0) for image in images]

    def _one(self, image: np.ndarray, smallest: float) -> list[Detection]:
        found = []
        for colour in COLOURS.values():
            towards = np.array(colour, float) - 128
            share = (((image - 128) @ towards) / (towards @ towards)).clip(0, 1)
            # A square covers its sides' product; colours of other squares point elsewhere.
            straight = np.linalg.norm(image - 128 - share[..., None] * towards, axis=-1) < 40
            cover = np.where(straight & (share > 0.1), share, 0)
            side = float(np.sqrt(cover.sum()))
            if side < max(smallest, 4):
                continue
            rows, columns = np.indices(cover.shape) + 0.5
            x, y = float((cover * columns).sum() / cover.sum()), float((cover * rows).sum() / cover.sum())
            if not (side / 2 - 2 <= x <= image.shape[1] - side / 2 + 2):  # cut by the edge
                continue
            box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
            found.append(Detection(box, 0.9, landmarks_of(x, y, side)))
        return sorted(found, key=lambda face: face.area, reverse=True)


class Brightener:
    """A model whose edit adds as much light as its code is long: 1 is 63.75 levels, everywhere in the crop."""

    name, sha256, description, image_size, image_channels = "brightener", "0" * 64, {}, 16, 1
    space = DiscSpace(BASIC, tuple(i * np.pi / 3 for i in range(6)))

    def render(self, images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        strength = np.hypot(codes[:, 0], codes[:, 1])[:, None, None, None]
        shape = (len(images), 1, 16, 16)
        return np.zeros((len(images), 2, 16, 16), np.float32), np.broadcast_to(0.5 * strength, shape).astype(np.float32)

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        neutral = np.eye(7, dtype=np.float32)[:1]
        return np.repeat(neutral, len(images), axis=0), np.zeros((len(images), 2), np.float32)


def darkened_where_neutral(images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Render as a `Brightener` that makes neutral faces darker by 51 levels, so that what is taken away shows."""
    maps, light = Brightener().render(images, codes)
    return maps, np.where(np.hypot(codes[:, 0], codes[:, 1])[:, None, None, None] > 0, light, np.float32(-0.4))


def seen_as_happy(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read as a critic that sees every face smile, in the middle of the disc."""
    return np.repeat(np.eye(7, dtype=np.float32)[1:2], len(images), axis=0), np.zeros((len(images), 2), np.float32)


def write_film(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    times: Sequence[int] | None = None,
    unit: Fraction = Fraction(1, 25),
    rate: int = 25,
    sounds: Sequence[str] = (),
    rotation: int = 0,
    matrix: int = 5,
    **metadata: str,
) -> Path:
    """Write a film nearly without loss, with tones of one second and a half as its sound."""
    with av.open(str(path), "w") as out:
        out.metadata.update(metadata)
        picture: Any = out.add_stream("libx264", rate=rate)
        picture.codec_context.time_base = unit
        picture.options = {"crf": "1", "preset": "ultrafast"}
        if rotation:
            picture.set_display_rotation(rotation)
        tracks: list[Any] = []
        for number, name in enumerate(sounds):
            track: Any = out.add_stream(name, rate=48_000)
            track.codec_context.layout = "mono"
            track.metadata["language"] = ("eng", "hrv")[number % 2]
            tracks.append(track)
        for index, pixels in enumerate(frames):
            if index == 0:
                picture.height, picture.width = pixels.shape[:2]
                picture.pix_fmt = "yuv420p"
                picture.codec_context.colorspace = matrix
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p", dst_colorspace=matrix)
            frame.pts, frame.time_base = (times[index] if times else index), unit
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        for number, track in enumerate(tracks):
            wave = 0.3 * np.sin(2 * np.pi * (440 + 110 * number) * np.arange(72_000) / 48_000)
            layout = track.codec_context.format.name
            kind = {"flt": np.float32, "s16": np.int16, "s32": np.int32}[layout.removesuffix("p")]
            samples = (wave if kind is np.float32 else wave * np.iinfo(kind).max).astype(kind)[None]
            sound = av.AudioFrame.from_ndarray(samples, layout, "mono")
            sound.sample_rate, sound.pts, sound.time_base = 48_000, 0, Fraction(1, 48_000)
            out.mux(track.encode(sound))
            out.mux(track.encode(None))
    return path


def write_gif(path: Path, frames: Iterable[np.ndarray]) -> Path:
    """Write a GIF, 25 frames in a second; pictures of few colours are kept as they are."""
    first, *others = [Image.fromarray(pixels) for pixels in frames]
    first.save(path, save_all=True, append_images=others, duration=40, loop=0)
    return path


def planes(path: Path) -> list[list[np.ndarray]]:
    """Return luma and chromas of every frame, as the decoder gives them."""
    with av.open(str(path)) as film:
        return [
            [np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height, : p.width].copy() for p in frame.planes]
            for frame in film.decode(video=0)
        ]


def times(path: Path) -> list[Fraction]:
    """Return when each frame is shown."""
    with av.open(str(path)) as film:
        return [frame.pts * frame.time_base for frame in film.decode(video=0)]


def sound_packets(path: Path) -> list[list[bytes]]:
    """Return the packets of each sound track."""
    with av.open(str(path)) as film:
        tracks = film.streams.audio
        found: dict[int, list[bytes]] = {track.index: [] for track in tracks}
        for packet in film.demux(*tracks) if tracks else ():
            if packet.size:
                found[packet.stream.index].append(bytes(packet))
        return list(found.values())
