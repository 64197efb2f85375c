"""Write animations: GIF and WebP, through Pillow, with times, looping, and a mark.

All frames stay in memory until the end, which is why an animation has a size that it may not pass; films of any length:
film_writing.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.errors import FilmError
from mien.images import LONGEST_SIDES
from mien.provenance import EditMark, merge_mark

ANIMATION_SUFFIXES = (".gif", ".webp")

#: More pixels than this in all frames together are refused: 600 MB of memory as RGB, a minute of 512 x 512.
MAX_PIXELS = 200_000_000


class AnimationWriter:
    """Collect frames and write them as one GIF or WebP, which repeats for ever."""

    def __init__(
        self, file: Path, suffix: str, *, mark: EditMark | None = None, colours_of: list[np.ndarray] | None = None
    ) -> None:
        """Set up; a GIF takes its 256 colours from `colours_of`, or for each frame from that frame."""
        self._file, self._kind, self._mark = file, suffix.lower().lstrip("."), mark
        self._frames: list[Image.Image] = []
        self._milliseconds: list[int] = []
        self._palette: Image.Image | None = None
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        if colours_of is not None and self._kind == "gif":
            side_by_side = np.concatenate(colours_of, axis=1)
            self._palette = Image.fromarray(side_by_side).quantize(256, Image.Quantize.MEDIANCUT)

    def write(self, pixels: np.ndarray, seconds: float) -> None:
        """Add uint8 (height, width, 3) RGB that is shown from `seconds` on."""
        height, width = pixels.shape[:2]
        if max(height, width) > (most := LONGEST_SIDES[self._kind.upper()]):
            raise FilmError(
                f"{self._kind.upper()} has no room for {width} x {height} pixels, {most} a side at most",
                hint="write a film (.mp4, .webm), or smaller frames",
            )
        if (len(self._frames) + 1) * height * width > MAX_PIXELS:
            raise FilmError(
                f"{len(self._frames)} frames and more are too many for an animation of this size",
                hint="write a film (.mp4, .webm), or fewer or smaller frames",
            )
        image = Image.fromarray(pixels)
        if self._kind == "gif":
            image = self._in_colours(pixels, image)
        self._frames.append(image)
        self._milliseconds.append(round(seconds * 1000))

    def _in_colours(self, pixels: np.ndarray, image: Image.Image) -> Image.Image:
        """Reduce a frame to 256 colours; with one palette for all, a pixel that did not change keeps its colour.

        Dots of the dither would swarm over a background that stands still otherwise.
        """
        if self._palette is None:
            return image.quantize(256)
        reduced = image.quantize(palette=self._palette)
        if self._before is not None:
            before, numbers = self._before
            still = (before == pixels).all(axis=-1)
            reduced.putdata(np.where(still, numbers, np.asarray(reduced)).ravel())
        self._before = pixels, np.asarray(reduced)
        return reduced

    def close(self, seconds: float | None = None) -> None:
        """Write the file; `seconds` is when the last frame ends, else it is shown as long as the one before."""
        if not self._frames:
            return
        steps = np.diff(self._milliseconds).tolist()
        last = steps[-1] if steps else 100
        if seconds is not None:
            last = max(10, round(seconds * 1000) - self._milliseconds[-1])
        options: dict[str, Any] = {"duration": [*steps, last], "loop": 0}
        if self._kind == "gif":
            options |= {"comment": self._mark.describe()} if self._mark else {}
            options |= {"disposal": 1, "optimize": False}
        else:
            options |= {"xmp": merge_mark(None, self._mark)} if self._mark else {}
            options |= {"quality": 90, "method": 3}
        first, *others = self._frames
        first.save(self._file, format=self._kind.upper(), save_all=True, append_images=others, **options)
