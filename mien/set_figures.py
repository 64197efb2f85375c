"""Two pictures of a prepared set: how its images are distributed, and some of its faces.

Both return uint8 pixels (height, width, 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.expressions import VOCABULARY
from mien.prepared import PreparedSet

_PAPER, _INK, _QUIET, _FAINT = (255, 255, 255), (40, 40, 46), (120, 120, 128), (240, 240, 243)
#: Colours of sources, told apart also by people who do not see red and green; the last is for all the others.
_COLOURS = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (150, 150, 156),
)  # fmt: skip

Counts = Mapping[str, Mapping[str, Mapping[str, int]]]

_MARGIN, _ROW, _BAR, _NAMES, _PANEL, _NUMBERS = 36, 44, 28, 150, 360, 150


def distribution_figure(counts: Counts, title: str) -> np.ndarray:
    """Draw a panel for each split, in it a bar for each expression, its parts coloured by source.

    `counts` is split -> expression -> source -> images. Bars of one panel share a scale; the number and the share of the
    split stand beside each.
    """
    rows = [name for name in (*VOCABULARY, "unlabelled") if any(name in split for split in counts.values())]
    totals: dict[str, int] = {}
    for split in counts.values():
        for sources in split.values():
            for source, count in sources.items():
                totals[source] = totals.get(source, 0) + count
    order = sorted(totals, key=lambda source: (-totals[source], source))
    colours = {source: _COLOURS[min(place, len(_COLOURS) - 1)] for place, source in enumerate(order)}

    top = 112
    width = 2 * _MARGIN + _NAMES + len(counts) * (_PANEL + _NUMBERS)
    height = top + len(rows) * _ROW + (76 if len(order) > 1 else _MARGIN)
    large, font, small = (ImageFont.load_default(points) for points in (26, 20, 17))
    width = max(width, 2 * _MARGIN + round(large.getlength(title)))
    page = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_MARGIN, 26), title, fill=_INK, font=large, anchor="lt")
    for row, name in enumerate(rows):
        y = top + row * _ROW + _ROW // 2
        pen.text((_MARGIN + _NAMES - 16, y), name, fill=_INK, font=font, anchor="rm")
    for panel, (split, expressions) in enumerate(counts.items()):
        left = _MARGIN + _NAMES + panel * (_PANEL + _NUMBERS)
        total = sum(sum(sources.values()) for sources in expressions.values())
        most = max(sum(sources.values()) for sources in expressions.values())
        pen.text((left, 92), f"{split}  {total:,}", fill=_QUIET, font=font, anchor="lm")
        for row, name in enumerate(rows):
            y = top + row * _ROW + (_ROW - _BAR) // 2
            sources = expressions.get(name, {})
            end = _draw_bar(pen, (left, y), sources, _PANEL / most, colours, order)
            count = sum(sources.values())
            text = f"{count:,}  {_percent(count, total)}" if count else "none"
            pen.text((end + 10, y + _BAR / 2), text, fill=_QUIET, font=small, anchor="lm")
        pen.line([(left - 2, top), (left - 2, top + len(rows) * _ROW)], fill=_QUIET, width=2)
    if len(order) > 1:
        _draw_legend(pen, (_MARGIN + _NAMES, height - 40), width, [(name, colours[name]) for name in order], small)
    return np.array(page)


def contact_sheet(
    prepared: PreparedSet, expression: str, *, columns: int = 8, rows: int = 8, tile: int = 96
) -> np.ndarray:
    """Draw faces of an expression side by side: a choice by a hash of their keys, the same in every run.

    `tile` is the side of one face in pixels. The title says how many were chosen from, in which splits.
    """
    chosen = prepared.select(expressions=[expression])
    shown = sorted(chosen.tolist(), key=lambda index: _chance(prepared.keys[index]))[: columns * rows]
    gap, top = 4, 56
    used_rows = max(1, -(-len(shown) // columns))
    page = Image.new("RGB", (columns * (tile + gap) + gap, top + used_rows * (tile + gap)), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((gap + 4, top / 2), expression, fill=_INK, font=ImageFont.load_default(26), anchor="lm")
    splits = prepared.splits[chosen].tolist()
    parts = [f"{splits.count(split):,} {split}" for split in dict.fromkeys(("train", "validation", "test", *splits))]
    words = f"{len(shown)} of {len(chosen):,}:  " + "   ".join(part for part in parts if not part.startswith("0 "))
    pen.text((page.width - gap - 4, top / 2), words, fill=_QUIET, font=ImageFont.load_default(17), anchor="rm")
    for place, pixels in enumerate(prepared.images(shown)):
        face = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        row, column = divmod(place, columns)
        where = (gap + column * (tile + gap), top + row * (tile + gap))
        page.paste(face.convert("RGB").resize((tile, tile), Image.Resampling.BICUBIC), where)
    return np.array(page)


def _draw_bar(
    pen: ImageDraw.ImageDraw,
    start: tuple[int, int],
    sources: Mapping[str, int],
    scale: float,
    colours: Mapping[str, tuple[int, int, int]],
    order: list[str],
) -> float:
    """Draw the parts of a bar one after the other; return where it ends."""
    x, y = float(start[0]), start[1]
    for source in order:
        if count := sources.get(source, 0):
            end = x + max(2.0, count * scale)  # what is there is seen
            pen.rectangle([x, y, end - 1, y + _BAR - 1], fill=colours[source])
            x = end
    return x


def _draw_legend(
    pen: ImageDraw.ImageDraw,
    start: tuple[int, int],
    width: int,
    entries: list[tuple[str, tuple[int, int, int]]],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Name the colours, side by side; sources that share the last colour share an entry."""
    named = [entry for place, entry in enumerate(entries) if place < len(_COLOURS) - 1]
    others = len(entries) - len(named)
    if others:
        named.append((entries[-1][0] if others == 1 else f"{others} other sources", _COLOURS[-1]))
    x, y = start
    for name, colour in named:
        pen.rectangle([x, y - 8, x + 16, y + 8], fill=colour)
        pen.text((x + 26, y), name, fill=_INK, font=font, anchor="lm")
        x += 26 + round(pen.textlength(name, font=font)) + 32
        if x > width:
            return


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f}%" if share >= 9.5 else f"{share:.1f}%"


def _chance(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
