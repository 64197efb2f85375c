"""Pictures that show what a model can do with a face (the disc, and intensity step by step) and what it reads from one.

All return uint8 pixels (height, width, 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.conditions import Condition
from mien.editing.edits import FIGURE_STARTS, Start, parse_start
from mien.editing.photo import Editor, Face
from mien.editing.reading import FaceReading
from mien.errors import ConditionError
from mien.expressions import NEUTRAL
from mien.faces import crop_face
from mien.images import Photo
from mien.spaces import DiscSpace, Space

_PAPER, _INK, _FAINT = (255, 255, 255), (40, 40, 46), (214, 214, 220)
_QUIET, _PALE = (128, 128, 136), (240, 240, 243)
#: A colour for each expression, told apart also by people who do not see red and green.
_COLOURS = {
    "happy": (230, 159, 0), "sad": (0, 114, 178), "surprise": (86, 180, 233), "fear": (120, 94, 160),
    "disgust": (0, 158, 115), "anger": (213, 94, 0), "contempt": (120, 120, 120),
}  # fmt: skip


def gamut_figure(
    editor: Editor, photo: Photo | np.ndarray, face: Face, *, tile: int = 144, rings: int = 3, start: Start = "auto"
) -> np.ndarray:
    """Draw the disc: directions round, intensity outwards, neutral in the centre, names at their learned angles.

    `tile` is the side of one face in pixels; each ring further out holds more faces. Angles run counter-clockwise from
    the right, as on paper. `start` says what becomes of the expression that is there (`Editor.render`); not `keep`.
    """
    space = editor.space
    parse_start(start, FIGURE_STARTS)
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
    faces = editor.preview(photo, editor.render(face, conditions, start), tile)

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
    start: Start = "auto",
) -> np.ndarray:
    """Draw rows of expressions and columns of rising intensity; the photo as it is stands at the left of each row.

    `start` says what becomes of the expression that is there (`Editor.render`); not `keep`.
    """
    space = editor.space
    parse_start(start, FIGURE_STARTS)
    names = [name for name in expressions or space.expressions if name != NEUTRAL]
    if not names or not intensities:
        raise ConditionError(
            "a sweep needs an expression besides neutral, and an intensity", hint="neutral is what intensity 0 shows"
        )
    conditions = [Condition.named(name, intensity) for name in names for intensity in intensities]
    faces = editor.preview(photo, editor.render(face, conditions, start), tile)
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


def reading_figure(
    photo: Photo | np.ndarray, faces: Sequence[Face], readings: Sequence[FaceReading], space: Space, *, tile: int = 220
) -> np.ndarray:
    """Draw what was read from faces: a row for each, with its crop, the share of each name, and its place on the disc.

    `tile` is the side of a crop in pixels.
    """
    pixels = photo.pixels if isinstance(photo, Photo) else photo
    gap, bars = tile // 10, round(1.7 * tile)
    disc = isinstance(space, DiscSpace)
    width = 4 * gap + tile + bars + (round(1.5 * tile) if disc else 0)
    page = Image.new("RGB", (width, gap + len(faces) * (tile + gap)), _PAPER)
    pen = ImageDraw.Draw(page)
    for row, (face, reading) in enumerate(zip(faces, readings, strict=True)):
        top = gap + row * (tile + gap)
        page.paste(Image.fromarray(crop_face(pixels, face.alignment, tile)), (gap, top), _round_mask(tile))
        pen.text(
            (gap + tile / 12, top + tile / 14),
            str(row + 1),
            fill=_PAPER,
            font=_font(tile / 9),
            stroke_width=2,
            stroke_fill=_INK,
        )
        _draw_shares(pen, reading, (2 * gap + tile, top, bars, tile))
        if isinstance(space, DiscSpace):
            _draw_place(pen, reading, space, (4 * gap + tile + bars + 0.6 * tile, top + tile / 2), 0.38 * tile)
    return np.array(page)


def _draw_shares(pen: ImageDraw.ImageDraw, reading: FaceReading, area: tuple[int, int, int, int]) -> None:
    """Draw a bar for the probability of each expression into an area (left, top, width, height)."""
    left, top, width, height = area
    line = height / len(reading.expressions)
    names, room = 0.34 * width, 0.5 * width
    for index, (name, share) in enumerate(reading.expressions.items()):
        y = top + (index + 0.5) * line
        ink = _INK if name == reading.expression else _QUIET
        pen.text((left + names - 8, y), name, fill=ink, font=_font(0.55 * line), anchor="rm")
        pen.rectangle([left + names, y - 0.28 * line, left + names + room, y + 0.28 * line], fill=_PALE)
        length = max(1.0, room * share)
        colour = _COLOURS.get(name, _QUIET)
        pen.rectangle([left + names, y - 0.28 * line, left + names + length, y + 0.28 * line], fill=colour)
        pen.text((left + names + room + 8, y), f"{share:.0%}", fill=ink, font=_font(0.5 * line), anchor="lm")


def _draw_place(
    pen: ImageDraw.ImageDraw, reading: FaceReading, space: DiscSpace, centre: tuple[float, float], radius: float
) -> None:
    """Draw the disc with the names at their angles, and the face as a dot in it."""
    x, y = centre
    for share in (0.5, 1.0):
        r = radius * share
        pen.ellipse([x - r, y - r, x + r, y + r], outline=_FAINT, width=2)
    labels = _spread([space.angle(name) for name in space.expressions[1:]], least=0.45)
    for name, label in zip(space.expressions[1:], labels, strict=True):
        angle, colour = space.angle(name), _COLOURS.get(name, _INK)
        rim = (x + radius * math.cos(angle), y - radius * math.sin(angle))
        pen.line([centre, rim], fill=_FAINT, width=2)
        pen.ellipse([rim[0] - 4, rim[1] - 4, rim[0] + 4, rim[1] + 4], fill=colour)
        text = (x + 1.42 * radius * math.cos(label), y - 1.2 * radius * math.sin(label))
        pen.text(text, name, fill=colour, font=_font(0.17 * radius), anchor="mm")
    across, up = (float(v) for v in reading.code) if reading.code is not None else (0.0, 0.0)
    dot = (x + radius * across, y - radius * up)
    pen.ellipse([dot[0] - 8, dot[1] - 8, dot[0] + 8, dot[1] + 8], fill=_INK, outline=_PAPER, width=2)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, size))


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
