"""One drawn face: from who it is and what its muscles do to pixels, landmarks and a box.

Geometry is in units of a portrait's side, x to the right and y down, (0, 0) its top left corner. A `Window` says which
part of the portrait is wanted: all of it, as a photo that a detector looks at, or the crop to which faces are aligned.
Shapes are flat polygons drawn large and averaged down; light, and the folds that expressions make, are smooth and
computed at the final size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

#: Drawn this many times larger and averaged down, since Pillow draws hard edges.
_SUPERSAMPLING = 4

_EYE_X, _EYE_Y, _NOSE_Y, _MOUTH_Y = 0.12, 0.48, 0.617, 0.735
_LIP: Colour = (168, 74, 72)
_INSIDE: Colour = (62, 22, 24)
_TEETH: Colour = (240, 236, 228)


@dataclass(frozen=True)
class Identity:
    """Who is drawn: what no expression changes. Lengths are factors of the average, about 0.85 to 1.15."""

    skin: Colour
    """Colour of the skin in full light."""
    hair: Colour
    """Colour of hair and brows."""
    iris: Colour
    """Colour of the eyes."""
    background: Colour
    """Colour of the wall behind."""
    head_width: float
    """Width of the head."""
    head_height: float
    """Height of the head."""
    jaw: float
    """How much the jaw narrows, 0.05 (square) to 0.25 (pointed)."""
    eye_spacing: float
    """Distance between the eyes."""
    eye_size: float
    """Width of an eye."""
    brow_thickness: float
    """Thickness of the brows."""
    nose_length: float
    """From the line of the eyes to the tip."""
    nose_width: float
    """Width at the nostrils."""
    mouth_width: float
    """Width of the mouth at rest."""
    lip_fullness: float
    """Thickness of the lips."""
    hairline: float
    """How far the hair reaches down the forehead, 0 to 1."""
    hair_length: float
    """How far the hair reaches down the sides, 0 (ears) to 1 (shoulders)."""
    light_radians: float
    """Where the light comes from: 0 from the front, positive from the picture's right."""


@dataclass(frozen=True)
class Muscles:
    """What moves in a face; 0 is at rest, 1 (or -1) as far as an expression takes it."""

    brow_raise: float = 0.0
    """Both brows up; below zero, down onto the eyes."""
    brow_tilt: float = 0.0
    """Inner ends up, as in grief; below zero, down and together, as in anger."""
    lid_opening: float = 0.0
    """Eyes wide open; below zero, narrowed."""
    corner_lift: float = 0.0
    """Corners of the mouth up; below zero, down."""
    mouth_opening: float = 0.0
    """Jaw drops and lips part; below zero, lips are pressed together."""
    mouth_stretch: float = 0.0
    """Mouth wider; below zero, narrower and rounder."""
    nose_wrinkle: float = 0.0
    """Nose wrinkled and upper lip drawn up."""
    cheek_raise: float = 0.0
    """Cheeks up, with folds beside the mouth and the lower lids pushed up."""


@dataclass(frozen=True)
class DrawnFace:
    """A face that `draw` can draw, and of which `landmarks` and `box` are known."""

    identity: Identity
    """Who it is."""
    muscles: Muscles
    """What the face does."""


@dataclass(frozen=True)
class Window:
    """A square part of the portrait."""

    left: float
    """Its left edge, in units of the portrait's side."""
    top: float
    """Its top edge."""
    side: float
    """Its side."""


#: Head, neck and shoulders.
PORTRAIT = Window(0.0, 0.0, 1.0)
#: The crop in which an average face has its eyes and mouth where `mien.faces` aligns those of photos to.
CROP = Window(0.179, 0.232, 0.642)


# ----------------------------------------------------------------------------------------------------------- geometry


def landmarks(face: DrawnFace, size: int, window: Window = PORTRAIT) -> np.ndarray:
    """Return the five points of a face, float64 (5, 2) as x, y in pixels.

    Left eye, right eye (as seen in the picture), tip of the nose, left and right corner of the mouth. The centre of the
    top left pixel is at (0.5, 0.5).
    """
    eye, mouth = _eye_x(face), _Mouth.of(face)
    points = [
        (0.5 - eye, _EYE_Y), (0.5 + eye, _EYE_Y), (0.5, _nose_y(face)),
        (0.5 - mouth.half_width, mouth.corner_y), (0.5 + mouth.half_width, mouth.corner_y),
    ]  # fmt: skip
    return (np.array(points) - [window.left, window.top]) * (size / window.side)


def box(face: DrawnFace, size: int, window: Window = PORTRAIT) -> np.ndarray:
    """Return the face's box from hairline to chin, float64 (4,): left, top, right, bottom in pixels."""
    outline = _outline(face)
    left, right = outline[:, 0].min(), outline[:, 0].max()
    corners = np.array([(left, _EYE_Y - 0.2), (right, outline[:, 1].max())])
    return ((corners - [window.left, window.top]) * (size / window.side)).reshape(4)


def _eye_x(face: DrawnFace) -> float:
    return _EYE_X * face.identity.eye_spacing


def _nose_y(face: DrawnFace) -> float:
    length = (_NOSE_Y - _EYE_Y) * face.identity.nose_length
    return _EYE_Y + length - 0.012 * max(0.0, face.muscles.nose_wrinkle)


def _outline(face: DrawnFace) -> np.ndarray:
    """Return the outline of the head as points (n, 2); the chin falls as the jaw drops."""
    who = face.identity
    t = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    lower = np.clip(np.sin(t), 0, 1)
    width = 0.265 * who.head_width * (1 - who.jaw * lower**2)
    height = 0.36 * who.head_height + lower * (0.01 + 0.03 * max(0.0, face.muscles.mouth_opening))
    return np.stack([0.5 + width * np.cos(t), 0.515 + height * np.sin(t)], axis=1)


@dataclass(frozen=True)
class _Mouth:
    """The mouth's measures, which drawing and landmarks share."""

    half_width: float
    corner_y: float
    middle_y: float
    rise: float
    drop: float
    roundness: float

    @staticmethod
    def of(face: DrawnFace) -> _Mouth:
        m, who = face.muscles, face.identity
        opening = max(0.0, m.mouth_opening)
        return _Mouth(
            half_width=0.100 * who.mouth_width * (1 + 0.33 * m.mouth_stretch),
            corner_y=_MOUTH_Y - 0.038 * m.corner_lift + 0.02 * opening,
            middle_y=_MOUTH_Y + 0.012 * m.corner_lift - 0.014 * max(0.0, m.nose_wrinkle),
            rise=0.014 * opening + 0.012 * max(0.0, m.nose_wrinkle),
            drop=0.095 * opening,
            roundness=0.5 + 0.5 * min(1.0, max(0.0, 1 + m.mouth_stretch)),
        )

    def line(self, u: np.ndarray, offset: float) -> np.ndarray:
        """Return the curve from corner (u = -1) to corner (u = 1), its middle `offset` below the lips' line."""
        bow = (1 - u**2) ** self.roundness
        y = self.corner_y + (self.middle_y - self.corner_y) * (1 - u**2) + offset * bow
        return np.stack([0.5 + u * self.half_width, y], axis=1)


# ----------------------------------------------------------------------------------------------------------- drawing


def draw(face: DrawnFace, size: int, window: Window = PORTRAIT) -> np.ndarray:
    """Draw a face: uint8 (size, size, 3), RGB. The same arguments give the same bytes."""
    pen = _Pen(size * _SUPERSAMPLING, window)
    _draw_head(pen, face)
    for side in (-1, 1):
        _draw_eye(pen, face, side)
        _draw_brow(pen, face, side)
    _draw_nose(pen, face)
    _draw_mouth(pen, face)
    small = pen.image.resize((size, size), Image.Resampling.BOX)
    skin = np.asarray(pen.mask(_outline(face)).resize((size, size), Image.Resampling.BOX), np.float32) / 255
    light = 1 + skin * (_shade(face, size, window) - 1)
    shaded = np.asarray(small, np.float32) * light[..., None]
    return np.clip(np.rint(shaded), 0, 255).astype(np.uint8)


class _Pen:
    """A canvas that shows a window of the portrait, and on which one draws in the portrait's units."""

    def __init__(self, side: int, window: Window) -> None:
        self.window = window
        self.scale = side / window.side
        self.image = Image.new("RGB", (side, side))
        self._draw = ImageDraw.Draw(self.image)

    def _pixels(self, points: np.ndarray) -> list[tuple[float, float]]:
        return [(x, y) for x, y in ((points - [self.window.left, self.window.top]) * self.scale).tolist()]

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        self._draw.polygon(self._pixels(points), fill=colour)

    def ellipse(self, x: float, y: float, half_width: float, half_height: float, colour: Colour) -> None:
        corners = np.array([(x - half_width, y - half_height), (x + half_width, y + half_height)])
        self._draw.ellipse(self._pixels(corners), fill=colour)

    def line(self, points: np.ndarray, width: float, colour: Colour) -> None:
        self._draw.line(self._pixels(points), fill=colour, width=max(1, round(width * self.scale)), joint="curve")

    def mask(self, points: np.ndarray) -> Image.Image:
        """Return 255 within a polygon and 0 without, of the canvas's size."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(self._pixels(points), fill=255)
        return mask


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return a colour on the way from the first to the second."""
    a, b, c = (round((1 - share) * x + share * y) for x, y in zip(first, second, strict=True))
    return a, b, c


def _draw_head(pen: _Pen, face: DrawnFace) -> None:
    who = face.identity
    shadow = _mix(who.skin, (60, 30, 20), 0.35)
    outline = _outline(face)
    half_width = float(np.ptp(outline[:, 0]) / 2)
    pen.polygon(np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float), who.background)
    bottom = 0.5 + 0.5 * who.hair_length
    pen.ellipse(0.5, 0.42, half_width * 1.18, 0.36, who.hair)
    pen.polygon(np.array([(0.5 - half_width * 1.18, 0.42), (0.5 + half_width * 1.18, 0.42),
                          (0.5 + half_width * 1.12, bottom), (0.5 - half_width * 1.12, bottom)]), who.hair)  # fmt: skip
    pen.polygon(np.array([(0.38, 0.75), (0.62, 0.75), (0.64, 1.0), (0.36, 1.0)]), shadow)
    pen.polygon(
        np.array([(0.36, 0.955), (0.64, 0.955), (0.95, 1.0), (0.05, 1.0)]), _mix(who.background, (20, 30, 60), 0.6)
    )
    for side in (-1, 1):
        pen.ellipse(0.5 + side * half_width, 0.5, 0.028, 0.06, _mix(who.skin, shadow, 0.5))
    pen.polygon(outline, who.skin)
    # The fringe: the top of the head above an arch, whose height is the hairline.
    u = np.linspace(-1, 1, 25)
    arch = 0.205 + 0.05 * who.hairline + 0.10 * np.abs(u) ** 3
    cap = np.stack([0.5 + u * half_width * 1.06, arch], axis=1)
    crown = np.stack([0.5 + u[::-1] * half_width * 1.1, 0.36 - 0.28 * np.sqrt(1 - 0.98 * u**2)], axis=1)
    pen.polygon(np.concatenate([cap, crown]), who.hair)


def _draw_eye(pen: _Pen, face: DrawnFace, side: int) -> None:
    who, m = face.identity, face.muscles
    x, width = 0.5 + side * _eye_x(face), 0.060 * who.eye_size
    upper = max(0.003, 0.031 * (1 + 0.7 * m.lid_opening))
    lower = max(0.002, 0.020 * (1 + 0.35 * m.lid_opening) - 0.010 * m.cheek_raise - 0.006 * m.nose_wrinkle)
    u = np.linspace(-1, 1, 21)
    top = np.stack([x + u * width, _EYE_Y - upper * (1 - u**2) ** 0.8], axis=1)
    bottom = np.stack([x + u * width, _EYE_Y + lower * (1 - u**2)], axis=1)
    eye = _Pen(pen.image.width, pen.window)
    eye.ellipse(x, _EYE_Y, 0.2, 0.2, (236, 232, 228))
    eye.ellipse(x, _EYE_Y - 0.003, 0.029, 0.029, who.iris)
    eye.ellipse(x, _EYE_Y - 0.003, 0.014, 0.014, (14, 10, 10))
    eye.ellipse(x + 0.008, _EYE_Y - 0.011, 0.005, 0.005, (250, 250, 250))
    pen.image.paste(eye.image, mask=pen.mask(np.concatenate([top, bottom[::-1]])))
    pen.line(top, 0.010, _mix(who.hair, (20, 12, 10), 0.6))
    pen.line(bottom, 0.004, _mix(who.skin, (90, 40, 30), 0.45))
    pen.line(top[3:-3] - [0, 0.016], 0.004, _mix(who.skin, (70, 36, 26), 0.4))


def _draw_brow(pen: _Pen, face: DrawnFace, side: int) -> None:
    who, m = face.identity, face.muscles
    u = np.linspace(0, 1, 15)  # from the inner end to the outer
    knit = 0.02 * max(0.0, -m.brow_tilt) + 0.008 * max(0.0, m.nose_wrinkle)
    x = 0.048 - knit + u * (0.135 + 0.6 * knit) * (0.5 + 0.5 * who.eye_spacing)
    rest = _EYE_Y - 0.078 - 0.018 * np.sin(math.pi * (0.15 + 0.8 * u))
    raised = 0.045 * m.brow_raise * (0.75 + 0.5 * np.sin(math.pi * u)) if m.brow_raise > 0 else 0.034 * m.brow_raise
    tilted = m.brow_tilt * (0.040 * (1 - u) ** 1.5 - 0.014 * u)
    middle = rest - raised - tilted
    half = 0.012 * who.brow_thickness * (1 - 0.75 * u**1.5)
    edge = 0.5 + side * (x + _eye_x(face) - _EYE_X)
    brow = np.concatenate([np.stack([edge, middle - half], 1), np.stack([edge, middle + half], 1)[::-1]])
    pen.polygon(brow, _mix(who.hair, (16, 10, 8), 0.6))


def _draw_nose(pen: _Pen, face: DrawnFace) -> None:
    who, y, width = face.identity, _nose_y(face), 0.036 * face.identity.nose_width
    width *= 1 + 0.18 * max(0.0, face.muscles.nose_wrinkle)
    dark = _mix(who.skin, (50, 22, 18), 0.65)
    for side in (-1, 1):
        pen.ellipse(0.5 + side * width * 0.55, y + 0.012, 0.012, 0.0065, dark)


def _draw_mouth(pen: _Pen, face: DrawnFace) -> None:
    who, mouth = face.identity, _Mouth.of(face)
    lip = _mix(_LIP, who.skin, 0.35)
    full = who.lip_fullness * (1 + 0.65 * min(0.0, face.muscles.mouth_opening))
    u = np.linspace(-1, 1, 41)
    bow = np.stack([np.zeros_like(u), 0.005 * np.exp(-((u / 0.18) ** 2))], axis=1)
    top = mouth.line(u, -mouth.rise - 0.019 * full) + bow
    upper, lower = mouth.line(u, -mouth.rise), mouth.line(u, mouth.drop)
    bottom = mouth.line(u, mouth.drop + 0.024 * full)
    pen.polygon(np.concatenate([top, bottom[::-1]]), lip)
    if mouth.rise + mouth.drop > 0.004:
        pen.polygon(np.concatenate([upper, lower[::-1]]), _INSIDE)
        teeth = mouth.line(u, -mouth.rise + min(0.5 * (mouth.rise + mouth.drop), 0.024))
        pen.polygon(np.concatenate([upper[3:-3], teeth[3:-3][::-1]]), _TEETH)
    pen.line(upper, 0.005, _mix(_INSIDE, lip, 0.25))
    if mouth.drop > 0.004:
        pen.line(lower, 0.004, _mix(_INSIDE, lip, 0.5))


def _shade(face: DrawnFace, size: int, window: Window) -> np.ndarray:
    """Return the light on each pixel, float32 (size, size), about 1: a lit ellipsoid with folds and a nose.

    Smooth, so it is computed at the final size.
    """
    who, m = face.identity, face.muscles
    place = (np.arange(size, dtype=np.float32) + 0.5) * (window.side / size)
    x, y = np.meshgrid(window.left + place, window.top + place)
    across, down = (x - 0.5) / (0.29 * who.head_width), (y - 0.515) / (0.40 * who.head_height)
    inside = across**2 + down**2
    depth = np.sqrt(np.clip(1 - inside, 0, 1))
    light = 0.62 * math.sin(who.light_radians) * across - 0.30 * down + 0.85 * depth
    shade = 0.55 + 0.52 * np.clip(light, 0, None)

    def fold(points: list[tuple[float, float]], width: float, strength: float) -> None:
        """Darken (or, below zero, lighten) softly along a line."""
        if strength != 0:
            distance = np.min([_distance(x, y, a, b) for a, b in pairwise(points)], axis=0)
            shade[...] *= 1 - strength * np.exp(-((distance / width) ** 2))

    nose, mouth = _nose_y(face), _Mouth.of(face)
    dark_side = -1 if who.light_radians >= 0 else 1
    fold([(0.5, _EYE_Y), (0.5, nose - 0.01)], 0.014, -0.10)
    fold([(0.5 + dark_side * 0.028, _EYE_Y), (0.5 + dark_side * 0.036, nose)], 0.016, 0.16)
    fold([(0.5 - 0.03, nose + 0.014), (0.5 + 0.03, nose + 0.014)], 0.012, 0.22)
    fold([(0.44, mouth.middle_y + mouth.drop + 0.045), (0.56, mouth.middle_y + mouth.drop + 0.045)], 0.016, 0.12)
    wrinkle, cheeks = max(0.0, m.nose_wrinkle), max(0.0, m.cheek_raise)
    for side in (-1, 1):
        eye = 0.5 + side * _eye_x(face)
        fold([(eye - 0.05, _EYE_Y - 0.04), (eye + 0.05, _EYE_Y - 0.04)], 0.02, 0.13)
        wing, corner = (
            (0.5 + side * 0.05, nose - 0.005),
            (0.5 + side * (mouth.half_width + 0.022), mouth.corner_y - 0.01),
        )
        bend = (0.6 * wing[0] + 0.4 * corner[0] + side * 0.012, 0.5 * (wing[1] + corner[1]))
        fold([wing, bend, corner], 0.010, 0.05 + 0.22 * min(1.0, cheeks + 0.8 * wrinkle))
        fold([(eye - 0.03, _EYE_Y + 0.075), (eye + 0.03, _EYE_Y + 0.075)], 0.035, -0.10 * cheeks)
        fold([(0.5 + side * 0.012, _EYE_Y - 0.02), (0.5 + side * 0.045, _EYE_Y + 0.035)], 0.009, 0.26 * wrinkle)
        frown = max(0.0, -m.brow_tilt) + 0.6 * wrinkle
        fold([(0.5 + side * 0.014, _EYE_Y - 0.085), (0.5 + side * 0.012, _EYE_Y - 0.04)], 0.006, 0.30 * min(1.0, frown))
    for line in (0.155, 0.18):
        fold([(0.41, _EYE_Y - line), (0.59, _EYE_Y - line)], 0.006, 0.20 * min(1.0, max(0.0, m.brow_raise)))
    return shade


def _distance(x: np.ndarray, y: np.ndarray, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """Return each point's distance from the line between two points."""
    along = np.array(end) - np.array(start)
    t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
    return np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1])
