"""Let the face of one photo walk through the space of expressions: an animation that repeats without a seam.

The face is found once, its expressions are rendered in batches, and only the region of the face changes from frame to
frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from mien.animations import ANIMATION_SUFFIXES, AnimationWriter
from mien.conditions import Condition
from mien.editing.edits import Start, check_start
from mien.editing.film import check_film_out
from mien.editing.photo import Editor, Face
from mien.errors import ConditionError
from mien.faces import Detection
from mien.film_writing import FilmWriter, unfinished
from mien.images import Photo, resize
from mien.provenance import EditMark
from mien.spaces import DiscSpace, Space

#: Ways through the space.
PATHS = ("disc", "sweep")

#: Frames in a second: a GIF counts time in hundredths of a second, and players slow down faster ones.
_RATES = {".gif": 20, ".webp": 25}
_FILM_RATE = 25
#: Expressions that are rendered at once, and frames whose colours a GIF's palette is made of.
_AT_ONCE, _SAMPLES = 16, 6


def walk(path: str, space: Space, count: int, wanted: Condition | None = None) -> list[Condition]:
    """Return the conditions of `count` frames, whose last leads on to the first.

    `disc` goes once round the disc at the intensity of `wanted`; `sweep` goes from neutral to `wanted` and back. Raises
    `ConditionError` for another path, and where the space or the condition does not suit it.
    """
    if path not in PATHS:
        raise ConditionError(f"there is no path `{path}`", hint=f"give one of {', '.join(PATHS)}")
    turns = 2 * math.pi * np.arange(count) / count
    if path == "disc":
        if not isinstance(space, DiscSpace):
            raise ConditionError("this model's space is no disc to walk round", hint="give `--path sweep`")
        return [Condition.polar(turn, wanted.intensity if wanted else 0.9) for turn in turns]
    if wanted is None:
        raise ConditionError("a sweep needs an expression to go to", hint="for example `--expression happy`")
    strengths = wanted.intensity * (1 - np.cos(turns)) / 2
    return [wanted.at_intensity(float(strength)) for strength in strengths]


def animate_photo(
    editor: Editor,
    photo: Photo,
    face: Face,
    conditions: Sequence[Condition],
    out: Path | str,
    *,
    seconds: float = 4.0,
    size: int = 640,
    start: Start | float = "auto",
    mark: EditMark | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write one face with one condition after the other, evenly over `seconds`, as GIF, WebP or film.

    The picture is shrunk so that its longer side has `size` pixels; a smaller one stays as it is. Raises `FilmError`.
    """
    out = Path(out)
    check_film_out(photo.path or "", out)
    if isinstance(start, str):
        check_start(editor.model, start)
    pixels, small = _shrunk(editor, photo.pixels, face, size)
    rate = Fraction(len(conditions)) / Fraction(seconds).limit_denominator(1000)
    out.parent.mkdir(parents=True, exist_ok=True)
    frames = _frames(editor, pixels, small, conditions, start)
    with unfinished(out) as file:
        if out.suffix.lower() in ANIMATION_SUFFIXES:
            samples = conditions[:: max(1, len(conditions) // _SAMPLES)]
            colours = list(_frames(editor, pixels, small, samples, start)) if out.suffix.lower() == ".gif" else None
            animation = AnimationWriter(file, out.suffix, mark=mark, colours_of=colours)
            for index, frame in enumerate(frames):
                animation.write(frame, float(index / rate))
                report(index + 1, len(conditions))
            animation.close(seconds)
            return
        film = FilmWriter(file, out.suffix, mark=mark)
        try:
            for index, frame in enumerate(frames):
                film.write_pixels(frame, float(index / rate), rate)
                report(index + 1, len(conditions))
            film.close()
        except BaseException:
            film.abandon()
            raise


def frames_for(seconds: float, suffix: str) -> int:
    """Return how many frames an animation of a kind has."""
    return max(2, round(seconds * _RATES.get(suffix.lower(), _FILM_RATE)))


def _frames(
    editor: Editor, pixels: np.ndarray, face: Face, conditions: Sequence[Condition], start: Start | float
) -> Iterator[np.ndarray]:
    for first in range(0, len(conditions), _AT_ONCE):
        for rendering in editor.render(face, conditions[first : first + _AT_ONCE], start):
            yield editor.paste(pixels, [rendering])


def _shrunk(editor: Editor, pixels: np.ndarray, face: Face, size: int) -> tuple[np.ndarray, Face]:
    """Return the picture at the size of the animation, and the face in it."""
    height, width = pixels.shape[:2]
    scale = min(1.0, size / max(height, width))
    # Even sides, as films need them; so all kinds have one size.
    sides = max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)
    small = resize(pixels, sides)
    unit = np.array([sides[1] / width, sides[0] / height])
    x0, y0, x1, y1 = (float(value) for value in np.array(face.detection.box) * np.tile(unit, 2))
    detection = Detection((x0, y0, x1, y1), face.detection.confidence, face.detection.landmarks * unit)
    return small, editor.align(small, detection)
