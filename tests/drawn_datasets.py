"""Drawn faces, written as published datasets lie on disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mien.datasets import READERS, Sample
from mien.expressions import FER2013_ORDER, FERPLUS_ORDER


def drawn(count: int, seed: int) -> list[tuple[str, Sample]]:
    """Return drawn faces with their split: every third person is held out."""
    rows = [row for row in READERS["drawn"](None, count=count, size=48, seed=seed) if isinstance(row, Sample)]
    return [("validation" if index // 7 % 3 == 2 else "train", row) for index, row in enumerate(rows)]


def png(sample: Sample) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(sample.read()).save(buffer, "PNG")
    return buffer.getvalue()


def write_fer2013(folder: Path) -> Path:
    """Write drawn faces as FER2013 lies on disk: Parquet with FER+'s names, all ten votes for what was drawn."""
    folder.mkdir()
    tables: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for number, (split, sample) in enumerate(drawn(126, seed=0)):
        votes = [10 if name == sample.expression else 0 for name in FERPLUS_ORDER]
        label = FER2013_ORDER.index(str(sample.expression))
        row = {"image": {"bytes": png(sample), "path": None}, "label": label, "votes": votes}
        tables[split].append({**row, "name": f"fer{number:07d}"})
    for split, rows in tables.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    return folder


def write_class_folders(folder: Path) -> Path:
    """Write other drawn faces as class folders."""
    for number, (split, sample) in enumerate(drawn(126, seed=1)):
        place = folder / split / str(sample.expression)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(png(sample))
    return folder
