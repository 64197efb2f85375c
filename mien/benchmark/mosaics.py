"""The pictures of a report: faces side by side, and what a judge sees all over the disc.

Each returns uint8 pixels (height, width, 3), or None where the benchmark has nothing to show.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mien.benchmark.outcome import ContestantFacts, Outcome
from mien.errors import MienError
from mien.expressions import NEUTRAL
from mien.images import read_image
from mien.plots import EXPRESSION_COLOURS

_PAPER, _INK, _QUIET, _FAINT = (255, 255, 255), (40, 40, 46), (120, 120, 128), (226, 226, 231)
_TILE, _GAP, _HEAD = 112, 4, 34
#: Radius of the disc's rim in pixels, and side of a face on it.
_DISC, _FACE = 300, 74


def grid_picture(outcome: Outcome, example: int) -> np.ndarray | None:
    """Draw one example face by every model (rows) with every expression (columns): Surani's figure 10."""
    if outcome.originals is None or example >= len(outcome.originals):
        return None
    rows = [(facts.name, outcome.edited[facts.name][example]) for facts in outcome.contestants
            if facts.name in outcome.edited]  # fmt: skip
    if not rows:
        return None
    return _grid(outcome.originals[example], rows, outcome.expressions)


def sweep_picture(outcome: Outcome, contestant: str) -> np.ndarray | None:
    """Draw the first example face with rising intensity (columns) of each expression (rows), the original at the left."""
    swept = outcome.swept.get(contestant)
    names = [name for name in outcome.expressions if name != NEUTRAL]
    if swept is None or not len(swept) or outcome.originals is None or not len(outcome.originals):
        return None
    steps = swept.shape[1]
    heads = [f"{step / steps:.2g}" for step in range(1, steps + 1)]
    return _grid(outcome.originals[0], list(zip(names, swept, strict=False)), heads)


def gamut_picture(
    outcome: Outcome, contestant: str, judge: str, *, with_faces: bool = True
) -> np.ndarray | None:  # fmt: skip
    """Draw the first example face all over the disc, and beside it what the judge sees there (Surani's figure 4).

    Colour is the expression with the highest mean probability, and the paler the lower that is; between the measured
    codes, which are dots, it is interpolated. Lines at the rim are the directions that the model learned.
    """
    facts = next((facts for facts in outcome.contestants if facts.name == contestant), None)
    codes, seen = outcome.gamut_codes.get(contestant), outcome.gamuts.get((contestant, judge))
    if facts is None or codes is None or seen is None or not len(codes) or len(codes) != len(seen):
        return None  # a model without a disc, or one that could not be asked for all of it
    if not (np.isfinite(seen).all() and np.isfinite(codes).all()):
        return None
    walked = outcome.walked.get(contestant) if with_faces else None
    half, key_height = _DISC + 104, 40
    width = (4 if walked is not None else 2) * half
    page = Image.new("RGB", (width, 2 * half + key_height), _PAPER)
    pen = ImageDraw.Draw(page)
    right = width - half
    if walked is not None:
        pen.ellipse(_around(half, half, _DISC), outline=_FAINT, width=2)
        _draw_directions(pen, facts, half, half, _DISC + _FACE / 2 + 2)
        mask = Image.new("L", (_FACE * 4, _FACE * 4))
        ImageDraw.Draw(mask).ellipse([0, 0, _FACE * 4 - 1, _FACE * 4 - 1], fill=255)
        mask = mask.resize((_FACE, _FACE), Image.Resampling.LANCZOS)
        for index in places_apart(codes, _FACE / _DISC * 1.03):
            angle, radius = codes[index]
            x, y = _at(half, half, angle, radius, _DISC)
            page.paste(_tile(walked[index], _FACE), (round(x - _FACE / 2), round(y - _FACE / 2)), mask)
    _paste_disc(page, codes, seen, outcome.expressions, right, half)
    words = f"judged by {_fitted(judge, _font(19), 1.4 * half)}"
    pen.text((right, 6), words, fill=_QUIET, font=_font(19), anchor="mt")
    _draw_directions(pen, facts, right, half, _DISC)
    for angle, radius in codes:
        x, y = _at(right, half, angle, radius, _DISC)
        pen.ellipse(_around(x, y, 1.5), fill=(70, 70, 78))
    _draw_key(
        pen, sorted({int(index) for index in seen.argmax(1)}), outcome.expressions, right, 2 * half + key_height / 2
    )
    return np.array(page)


def samples_picture(facts: ContestantFacts) -> np.ndarray | None:
    """Draw a run's first, middle and last sample pictures above each other; what cannot be read is left out."""
    if not facts.samples:
        return None
    chosen = sorted({0, (len(facts.samples) - 1) // 2, len(facts.samples) - 1})
    shown = [(facts.samples[index], _read(Path(facts.samples[index]))) for index in chosen]
    pictures = [(path.stem, picture) for path, picture in shown if picture is not None]
    if not pictures:
        return None
    width = min(1000, max(picture.width for _, picture in pictures))
    pictures = [(name, _limited(picture, width, 700)) for name, picture in pictures]
    height = sum(picture.height + _HEAD + 8 for _, picture in pictures)
    page = Image.new("RGB", (max(width, 240), height), _PAPER)
    pen, y = ImageDraw.Draw(page), 0
    for name, picture in pictures:
        pen.text((2, y + _HEAD / 2), _sample_title(name), fill=_INK, font=_font(16), anchor="lm")
        page.paste(picture, (0, y + _HEAD))
        y += picture.height + _HEAD + 8
    return np.array(page)


def places_apart(codes: np.ndarray, distance: float) -> list[int]:
    """Choose codes (angle, radius) at least `distance` apart on the unit disc: evenly on each ring, inner rings first."""
    chosen: list[int] = []
    points = np.stack([codes[:, 1] * np.cos(codes[:, 0]), codes[:, 1] * np.sin(codes[:, 0])], axis=1)
    rings = np.round(codes[:, 1], 4)
    for radius in np.unique(rings):
        ring = np.flatnonzero(rings == radius)
        ring = ring[np.argsort(codes[ring, 0], kind="stable")]
        strides = [stride for stride in range(1, len(ring) + 1) if len(ring) % stride == 0]
        candidates = [ring[::stride] for stride in strides]
        chosen += next((c.tolist() for c in candidates if _clear(points, c, chosen, distance)), [])
    return chosen


def between_codes(codes: np.ndarray, seen: np.ndarray, angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Interpolate what is seen at codes (angle, radius): along each ring of codes, then from ring to ring.

    `seen` is (codes, k), the answer (*angles.shape, k); inside of the first ring and outside of the last it stays as
    there.
    """
    rings = np.round(codes[:, 1].astype(np.float64), 4)
    levels = np.unique(rings)
    turn = 2 * np.pi
    on_rings = np.empty((len(levels), *angles.shape, seen.shape[1]))
    for index, level in enumerate(levels):
        ring = np.flatnonzero(rings == level)
        for column in range(seen.shape[1]):
            values = seen[ring, column].astype(np.float64)
            on_rings[index, ..., column] = np.interp(angles % turn, codes[ring, 0] % turn, values, period=turn)
    place = np.interp(radii, levels, np.arange(len(levels)))
    inner = np.minimum(place.astype(int), max(0, len(levels) - 2))
    outer, share = np.minimum(inner + 1, len(levels) - 1), (place - inner)[..., None]
    rows, columns = np.indices(angles.shape)
    return (1 - share) * on_rings[inner, rows, columns] + share * on_rings[outer, rows, columns]


# -------------------------------------------------------------------------------------------------------------- pieces


def _clear(points: np.ndarray, ring: np.ndarray, before: Sequence[int], distance: float) -> bool:
    """Tell whether the points of a ring are clear of each other and of those before."""
    own = points[ring]
    others = np.concatenate([own, points[list(before)]]) if before else own
    gaps = np.hypot(*(own[:, None] - others[None]).transpose(2, 0, 1))
    gaps[np.arange(len(own)), np.arange(len(own))] = np.inf
    return bool(gaps.min() >= distance) if gaps.size else True


def _grid(original: np.ndarray, rows: Sequence[tuple[str, np.ndarray]], heads: Sequence[str]) -> np.ndarray:
    """Draw named rows of pictures, each after the original."""
    font = _font(15)
    names = [_fitted(name, font, 210) for name, _ in rows]
    left = max(60, math.ceil(max(font.getlength(name) for name in names))) + 14
    columns = max(len(pictures) for _, pictures in rows)
    first = left + _TILE + 4 * _GAP  # a wider gap sets the original apart
    width = first + columns * (_TILE + _GAP)
    page = Image.new("RGB", (width, _HEAD + len(rows) * (_TILE + _GAP)), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((left + _TILE / 2, _HEAD / 2), "original", fill=_QUIET, font=font, anchor="mm")
    for column, head in enumerate(heads[:columns]):
        x = first + column * (_TILE + _GAP) + _TILE / 2
        pen.text((x, _HEAD / 2), head, fill=_colour(head, _INK), font=font, anchor="mm")
    for row, (name, (_, pictures)) in enumerate(zip(names, rows, strict=True)):
        y = _HEAD + row * (_TILE + _GAP)
        pen.text((left - 12, y + _TILE / 2), name, fill=_colour(name, _INK), font=font, anchor="rm")
        page.paste(_tile(original, _TILE), (left, y))
        for column, picture in enumerate(pictures):
            page.paste(_tile(picture, _TILE), (first + column * (_TILE + _GAP), y))
    return np.array(page)


def _paste_disc(
    page: Image.Image, codes: np.ndarray, seen: np.ndarray, expressions: Sequence[str], x: float, y: float
) -> None:
    """Colour the disc by what is seen, each pixel a mean of the codes near it."""
    side, scale = 2 * _DISC, 2
    place = (np.arange(side // scale) + 0.5) * scale - _DISC
    across, up = np.meshgrid(place / _DISC, -place / _DISC)
    mixed = between_codes(codes, seen, np.arctan2(up, across), np.hypot(across, up))
    colours = np.array([_colour(name, _QUIET) for name in expressions], np.float64)
    strength = np.clip(mixed.max(axis=-1, keepdims=True), 0, 1)
    pixels = 255 - (255 - colours[mixed.argmax(axis=-1)]) * strength
    disc = Image.fromarray(pixels.round().astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    mask = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(mask).ellipse([0, 0, 2 * side - 1, 2 * side - 1], fill=255)
    page.paste(disc, (round(x - _DISC), round(y - _DISC)), mask.resize((side, side), Image.Resampling.LANCZOS))


def _draw_directions(pen: ImageDraw.ImageDraw, facts: ContestantFacts, x: float, y: float, rim: float) -> None:
    """Draw the learned directions from the rim outwards, their names beside them."""
    font = _font(19)
    for name, degrees in facts.angles_degrees.items():
        angle, colour = math.radians(degrees), _colour(name, _INK)
        start, end = _at(x, y, angle, 1.0, rim), _at(x, y, angle, 1.0, rim + 12)
        pen.line([start, end], fill=colour, width=4)
        side = "m" if abs(math.cos(angle)) < 0.35 else "l" if math.cos(angle) > 0 else "r"
        height = "m" if side != "m" else ("d" if math.sin(angle) > 0 else "a")
        pen.text(_at(x, y, angle, 1.0, rim + 17), name, fill=colour, font=font, anchor=side + height)


def _draw_key(pen: ImageDraw.ImageDraw, seen: Sequence[int], expressions: Sequence[str], x: float, y: float) -> None:
    """Name the colours that occur, centred."""
    font = _font(19)
    names = [expressions[index] for index in seen]
    widths = [20 + font.getlength(name) + 18 for name in names]
    start = x - sum(widths) / 2
    for name, width in zip(names, widths, strict=True):
        pen.rectangle([start, y - 7, start + 14, y + 7], fill=_colour(name, _QUIET))
        pen.text((start + 20, y), name, fill=_INK, font=font, anchor="lm")
        start += width


def _at(x: float, y: float, angle: float, radius: float, scale: float) -> tuple[float, float]:
    """Return a pixel of the disc; angles run counter-clockwise from the right, as on paper."""
    return x + scale * radius * math.cos(angle), y - scale * radius * math.sin(angle)


def _around(x: float, y: float, radius: float) -> list[float]:
    return [x - radius, y - radius, x + radius, y + radius]


def _tile(pixels: np.ndarray, side: int) -> Image.Image:
    """Return a face as RGB of this size, whatever its channels."""
    face = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)).convert("RGB")
    return face if face.size == (side, side) else face.resize((side, side), Image.Resampling.BICUBIC)


def _read(path: Path) -> Image.Image | None:
    try:
        return Image.fromarray(read_image(path))
    except MienError:
        return None


def _limited(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Shrink a picture that is wider than the page; of a long one its upper part is shown."""
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    return picture.crop((0, 0, picture.width, min(height, picture.height)))


def _sample_title(stem: str) -> str:
    """Return `step 200` of `step-0000200`; other names as they are."""
    kind, _, number = stem.partition("-")
    return f"{kind} {int(number):,}" if kind == "step" and number.isdecimal() else stem


def _colour(name: str, otherwise: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the colour of an expression."""
    return ImageColor.getrgb(EXPRESSION_COLOURS[name])[:3] if name in EXPRESSION_COLOURS else otherwise


def _fitted(name: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return a name, or as much of its end as fits, since names of runs differ there."""
    plain = " ".join(name.split())
    if font.getlength(plain) <= width:
        return plain
    while plain and font.getlength(f"…{plain}") > width:
        plain = plain[1:]
    return f"…{plain}"


@functools.cache
def _font(points: int) -> ImageFont.FreeTypeFont:
    """Return the font of the plots, which has Greek and Cyrillic too; Pillow's own has Latin letters only."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), points)
