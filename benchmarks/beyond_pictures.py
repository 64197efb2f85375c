"""Measure how much of a prepared set's crops lies beyond the pictures that they were cut from, by expression.

There the last pixels of the picture are repeated: streaks, which a critic may take for a part of an expression. Two
numbers for each: the share of all pixels, and the share of faces whose chin (the lowest tenth of the crop, in its middle
third) is beyond the picture for more than a half.

    python benchmarks/beyond_pictures.py --data DIR --source fer2013
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from record import record

from mien.batches import inside
from mien.expressions import VOCABULARY
from mien.prepared import PreparedSet

#: Points of a crop's side at which its frame is asked.
_GRID = 30


def beyond(frames: np.ndarray) -> np.ndarray:
    """Return where crops lie beyond their pictures: bool (n, _GRID, _GRID)."""
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, _GRID, _GRID], align_corners=False)
    parts = torch.from_numpy(frames).split(2000)
    return torch.cat([~inside(part, grid.expand(len(part), -1, -1, -1))[:, 0] for part in parts]).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared set")
    parser.add_argument("--source", required=True, help="dataset whose training images are counted")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    prepared = PreparedSet.open(given.data)
    rows = prepared.select("train")
    rows = rows[[prepared.sources[row] == given.source for row in rows]]
    if not len(rows):
        parser.error(f"no training image is of {given.source}; there are: {', '.join(sorted(set(prepared.sources)))}")
    if np.isnan(prepared.frames[rows]).any():
        parser.error("an earlier version prepared this set, and did not note where pictures end")
    outside = beyond(prepared.frames[rows])
    third, tenth = _GRID // 3, _GRID // 10
    chins = outside[:, -tenth:, third:-third].mean((1, 2)) > 0.5
    facts = {"data_sha256": prepared.hash, "source": given.source}
    labels = prepared.labels[rows]
    for name in (None, *(VOCABULARY[label] for label in sorted(set(labels.tolist())) if label >= 0)):
        chosen = labels == VOCABULARY.index(name) if name else np.ones(len(rows), bool)
        circumstances = {"n": int(chosen.sum()), "seed": 0, "expression": name, **facts}
        pixels, faces = float(outside[chosen].mean()), float(chins[chosen].mean())
        print(f"{name or 'all':9} {chosen.sum():6} faces: {pixels:.3f} of the pixels, {faces:.2f} of the chins beyond")
        record(given.out, "beyond-pictures-pixels", pixels, unit="share", **circumstances)
        record(given.out, "beyond-pictures-chins", faces, unit="share", **circumstances)


if __name__ == "__main__":
    main()
