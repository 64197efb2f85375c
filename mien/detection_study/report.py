"""Tell what a study found: as a table, as a picture, as JSON."""

from __future__ import annotations

import io
import json
import math
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.detection_study.measure import Finding
from mien.errors import DataError

_PAPER, _INK, _QUIET, _FAINT = (255, 255, 255), (40, 40, 46), (120, 120, 128), (232, 232, 236)
_FILES = ("study.json", "study.md", "study.png")
#: Told apart also by people who do not see red and green.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
_WIDTH, _HEIGHT = 900, 560
_LEFT, _TOP, _RIGHT, _BOTTOM = 96, 84, 250, 84


def table(findings: Sequence[Finding]) -> str:
    """Return the findings as a Markdown table; columns of which nothing is known are left out."""
    columns: list[tuple[str, Callable[[Finding], str | None]]] = [
        ("detector", lambda f: f.detector),
        ("threshold", lambda f: f"{f.threshold:g}"),
        ("padding", lambda f: None if f.padding is None else f"{f.padding:g}"),
        ("images", lambda f: str(f.images)),
        ("with a face", lambda f: f"{f.with_face:.1%}"),
        ("usable", lambda f: f"{f.usable:.1%}"),
        ("faces/image", lambda f: f"{f.faces_per_image:.2f}"),
        ("hits", lambda f: None if f.hits is None else f"{f.hits:.1%}"),
        ("false/image", lambda f: None if f.false_positives is None else f"{f.false_positives:.3f}"),
        ("landmarks off", lambda f: None if f.landmark_error is None else f"{f.landmark_error:.1%}"),
        ("images/s", lambda f: f"{f.images_per_second:.1f}"),
    ]
    cells = [[name, *(value(finding) or "" for finding in findings)] for name, value in columns]
    cells = [column for column in cells if any(column[1:])]
    widths = [max(len(cell) for cell in column) for column in cells]
    rows = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in zip(*cells, strict=True)
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([rows[0], rule, *rows[1:]])


def check_study_folder(out: Path) -> None:
    """Raise `DataError` where a study would go over files that are none of an earlier study."""
    if out.exists() and not out.is_dir():
        raise DataError(f"`{out}` is a file", hint="give a folder for the study")
    there = [name for name in _FILES if (out / name).exists()]
    if not there:
        return
    try:
        earlier = json.loads((out / "study.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = None
    if not (isinstance(earlier, dict) and "findings" in earlier):
        raise DataError(f"`{out / there[0]}` is there and of no earlier study", hint="give another folder")


def write_study(out: Path, findings: Sequence[Finding], facts: dict[str, object]) -> list[Path]:
    """Write study.json, study.md and study.png into a folder, each whole or not at all; return their paths.

    Goes over an earlier study; raises `DataError` where files of these names are something else.

    `facts` are what the numbers need to be understood: the data, the unreadable images, the machine.
    """
    check_study_folder(out)
    content = json.dumps({**facts, "findings": [asdict(finding) for finding in findings]}, indent=2, default=str)
    words = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    picture = io.BytesIO()
    Image.fromarray(figure(findings)).save(picture, "PNG")
    files = {
        "study.json": (content + "\n").encode(),
        "study.md": f"# Faces found\n\n{words}\n\n{table(findings)}\n".encode(),
        "study.png": picture.getvalue(),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        unfinished = out / f".{name}.{uuid.uuid4().hex[:8]}.part"
        try:
            unfinished.write_bytes(data)
            os.replace(unfinished, out / name)
        finally:
            unfinished.unlink(missing_ok=True)
    return [out / name for name in files]


def figure(findings: Sequence[Finding]) -> np.ndarray:
    """Draw the share of images with a face over the threshold, a line for each detector and padding.

    With known truth, false positives for each image are a dashed line of the same colour. uint8 (height, width, 3).
    """
    page = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    pen = ImageDraw.Draw(page)
    large, font, small = (ImageFont.load_default(points) for points in (24, 18, 15))
    pen.text((_LEFT, 24), f"Images with a face, of {findings[0].images:,}", fill=_INK, font=large)
    thresholds = sorted({finding.threshold for finding in findings})
    low, high = (thresholds[0], thresholds[-1]) if len(thresholds) > 1 else (0.0, 1.0)

    def place(threshold: float, share: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (threshold - low) / (high - low)
        return x, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(share, 1.0)

    for tenth in range(0, 11, 2):
        y = place(low, tenth / 10)[1]
        pen.line([(_LEFT, y), (_WIDTH - _RIGHT, y)], fill=_FAINT, width=2)
        pen.text((_LEFT - 12, y), f"{tenth * 10} %", fill=_QUIET, font=small, anchor="rm")
    for threshold in thresholds:
        x = place(threshold, 0)[0]
        pen.line([(x, _HEIGHT - _BOTTOM), (x, _HEIGHT - _BOTTOM + 6)], fill=_QUIET, width=2)
        pen.text((x, _HEIGHT - _BOTTOM + 12), f"{threshold:g}", fill=_QUIET, font=small, anchor="mt")
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    pen.text((middle, _HEIGHT - 20), "threshold", fill=_INK, font=font, anchor="mb")

    series: dict[tuple[str, float | None], list[Finding]] = {}
    for finding in findings:
        series.setdefault((finding.detector, finding.padding), []).append(finding)
    labels: list[tuple[float, str, tuple[int, int, int]]] = []
    for number, ((detector, padding), line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        line = sorted(line, key=lambda finding: finding.threshold)
        points = [place(finding.threshold, finding.with_face) for finding in line]
        _draw_line(pen, points, colour)
        labels.append((points[-1][1], detector + ("" if padding is None else f", padding {padding:g}"), colour))
        if line[0].false_positives is not None:
            points = [place(finding.threshold, finding.false_positives or 0.0) for finding in line]
            _draw_line(pen, points, colour, dashed=True)
            labels.append((points[-1][1], f"{detector}, false", colour))
    y = -math.inf
    for height, text, colour in sorted(labels):  # one below the other where they would meet
        y = max(height, y + 22)
        pen.text((_WIDTH - _RIGHT + 16, y), text, fill=colour, font=small, anchor="lm")
    return np.array(page)


def _draw_line(
    pen: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], dashed: bool = False
) -> None:
    """Draw a line with a dot at each measured point."""
    for start, end in pairwise(points):
        count = max(1, round(math.dist(start, end) / 8)) if dashed else 1
        steps = np.linspace(start, end, 2 * count if dashed else 2)
        for first, second in zip(steps[::2], steps[1::2], strict=True):
            pen.line([*first.tolist(), *second.tolist()], fill=colour, width=3)
    for x, y in points:
        pen.ellipse([x - 5, y - 5, x + 5, y + 5], fill=_PAPER if dashed else colour, outline=colour, width=2)
