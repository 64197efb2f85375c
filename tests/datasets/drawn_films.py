"""Small films of drawn faces, of which every frame is known: who is shown, with which expression, and its number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from mien.datasets import drawn

SIZE = 64
#: Grey levels between the marks of two frames: more than a lossy codec blurs.
_STEP = 12


def face(expression: str, person: int = 1) -> np.ndarray:
    """Draw one person as a portrait, uint8 (64, 64, 3)."""
    return drawn.draw(drawn.DrawnFace(drawn.identity(person), drawn.express({expression: 1.0})), SIZE)


def marked(image: np.ndarray, number: int) -> np.ndarray:
    """Write a frame's number into a picture, as the grey of its upper left corner."""
    image = image.copy()
    image[:16, :16] = _STEP * number
    return image


def read_mark(image: np.ndarray) -> int:
    """Return the number that `marked` wrote."""
    return round(float(image[4:12, 4:12].mean()) / _STEP)


def write_film(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames as a film: `.avi` without loss, anything else with it."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    codec, pixels = ("ffv1", "bgr0") if path.suffix == ".avi" else ("mpeg4", "yuv420p")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if codec == "mpeg4":
            stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode(None))
