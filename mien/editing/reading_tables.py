"""What was read from many faces as a table: CSV, a line for each face of a photo or of a frame.

Columns: what the critic sees most (`expression`, `confidence`), `intensity`, `angle_degrees`, the place on the disc (`x`,
`y`), a probability for each expression (`p_happy`, ...), the detector's box in pixels, and `frontality`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.editing.photo import Face
from mien.editing.reading import FaceReading
from mien.files import write_text


def table_row(face: Face, reading: FaceReading) -> dict[str, Any]:
    """Describe what was read from a face, flat."""
    told = reading.to_json()
    shares = {f"p_{name}": share for name, share in told.pop("expressions").items()}
    code = reading.code
    place = {} if code is None else {"x": round(float(code[0]), 4), "y": round(float(code[1]), 4)}
    box = {
        f"box_{name}": round(float(v), 1) for name, v in zip(("x0", "y0", "x1", "y1"), face.detection.box, strict=True)
    }
    return told | place | shares | box | {"frontality": round(face.frontality, 3)}


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of one kind as CSV, whole or not at all; None is an empty cell."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())
