"""Two pictures that show what a model can do with a face: the disc, and intensity step by step.

Both are drawn from renderings of one face and return uint8 pixels (height, width, 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.editing.photo import Editor, Face
from mien.errors import ConditionError
from mien.expressions import NEUTRAL
from mien.faces import crop_face
from mien.images import Photo
from mien.spaces import Condition, DiscSpace

_PAPER, _INK, _FAINT = (255, 255, 255), (40, 40, 46), (214, 214, 220)
#: A colour for each expression, told apart also by people who do not see red and green.
_COLOURS = {
    "happy": (230, 159, 0), "sad": (0, 114, 178), "surprise": (86, 180, 233), "fear": (120, 94, 160),
    "disgust": (0, 158, 115), "anger": (213, 94, 0), "contempt": (120, 120, 120),
}  # fmt: skip


def gamut_figure(
    editor: Editor, photo: Photo | np.ndarray, face: Face, *, tile: int = 144, rings: int = 3
) -> np.ndarray:
    """Draw the disc: directions round, intensity outwards, neutral in the centre, names at their learned angles.

    `tile` is the side of one face in pixels; each ring further out holds more faces. Angles run counter-clockwise from
    the right, as on paper.
    """
    space = editor.space
    if not isinstance(space, DiscSpace):
        raise ConditionError(
            "this model is conditioned on names and has no disc", hint="`mien sweep` shows what it can do"
        )
    step = tile * 1.12  # distance between rings
    places = [(0.0, 0.0, 0.0)]  # angle, radius in rings, intensity
    for ring in range(1, rings + 1):
        count = 6 * ring
        places += [(2 * math.pi * i / count, ring, ring / rings) for i in range(count)]
    conditions = [Condition.polar(angle, intensity) for angle, _, intensity in places]
    faces = editor.preview(photo, editor.render(face, conditions), tile)

    half = int(step * rings + tile * 1.35)
    page = Image.new("RGB", (2 * half, 2 * half), _PAPER)
    pen = ImageDraw.Draw(page)
    for ring in range(1, rings + 1):
        radius = step * ring
        pen.ellipse([half - radius, half - radius, half + radius, half + radius], outline=_FAINT, width=2)
    rim, dot, font = step * rings + tile * 0.62, tile / 20, ImageFont.load_default(tile / 6)
    labels = _spread([space.angle(name) for name in space.expressions[1:]], least=0.28)
    for name, label_angle in zip(space.expressions[1:], labels, strict=True):
        angle, colour = space.angle(name), _COLOURS.get(name, _INK)
        end = _at(half, angle, rim)
        pen.line([_at(half, 0, 0), end], fill=colour, width=max(1, tile // 36))
        pen.ellipse([end[0] - dot, end[1] - dot, end[0] + dot, end[1] + dot], fill=colour)
        text = _at(half, label_angle, rim + tile * 0.32)
        pen.text(text, f"{name}\n{math.degrees(angle):.0f}°", fill=colour, font=font, anchor="mm", align="center")
    mask = _round_mask(tile)
    for (angle, ring, _), picture in zip(places, faces, strict=True):
        x, y = _at(half, angle, step * ring)
        page.paste(Image.fromarray(picture), (round(x - tile / 2), round(y - tile / 2)), mask)
    return np.array(page)


def sweep_figure(
    editor: Editor,
    photo: Photo | np.ndarray,
    face: Face,
    *,
    intensities: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    expressions: Sequence[str] | None = None,
    tile: int = 160,
) -> np.ndarray:
    """Draw rows of expressions and columns of rising intensity; the photo as it is stands at the left of each row."""
    space = editor.space
    names = [name for name in expressions or space.expressions if name != NEUTRAL]
    if not names or not intensities:
        raise ConditionError(
            "a sweep needs an expression besides neutral, and an intensity", hint="neutral is what intensity 0 shows"
        )
    conditions = [Condition.named(name, intensity) for name in names for intensity in intensities]
    faces = editor.preview(photo, editor.render(face, conditions), tile)
    original = crop_face(photo.pixels if isinstance(photo, Photo) else photo, face.alignment, tile)

    left, top, gap = round(tile * 0.75), round(tile * 0.3), 4
    columns = len(intensities) + 1
    page = Image.new("RGB", (left + columns * (tile + gap), top + len(names) * (tile + gap)), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(tile / 8)
    for column, title in enumerate(["photo", *(f"{intensity:.2g}" for intensity in intensities)]):
        x = left + column * (tile + gap) + tile / 2
        pen.text((x, top / 2), title, fill=_INK, font=font, anchor="mm")
    for row, name in enumerate(names):
        y = top + row * (tile + gap)
        pen.text((left - 10, y + tile / 2), name, fill=_COLOURS.get(name, _INK), font=font, anchor="rm")
        tiles = [original, *faces[row * len(intensities) : (row + 1) * len(intensities)]]
        for column, picture in enumerate(tiles):
            page.paste(Image.fromarray(picture), (left + column * (tile + gap), y))
    return np.array(page)


def _at(half: float, angle: float, radius: float) -> tuple[float, float]:
    """Return the place on the page of a point given by angle (counter-clockwise) and distance from the centre."""
    return half + radius * math.cos(angle), half - radius * math.sin(angle)


def _spread(angles: Sequence[float], least: float) -> list[float]:
    """Move angles apart until neighbours are at least `least` radians from each other, so that labels do not overlap."""
    result = list(angles)
    for _ in range(50):
        order = sorted(range(len(result)), key=lambda i: result[i] % (2 * math.pi))
        for before, after in zip(order, [*order[1:], order[0]], strict=True):
            gap = (result[after] - result[before]) % (2 * math.pi)
            if gap < least:
                push = (least - gap) / 2
                result[before] -= push
                result[after] += push
    return result


def _round_mask(tile: int) -> Image.Image:
    """Return a mask with rounded corners, so that neighbours on the disc do not read as one picture."""
    mask = Image.new("L", (4 * tile, 4 * tile), 0)
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, 4 * tile - 1, 4 * tile - 1], radius=tile, fill=255)
    return mask.resize((tile, tile), Image.Resampling.LANCZOS)
