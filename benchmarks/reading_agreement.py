"""Measure whether what `mien read` sees agrees with people: with FER+'s votes on FER2013's validation faces.

Three ways of reading are compared: the class head (what ships), the coordinate head, and inversion: the code of a grid
whose edit would change the face least. For each: the share of faces whose top name is the annotators' majority, the same
among faces that are not neutral, and the rank correlation of the intensity with the share of votes for anything but
neutral.

    python benchmarks/reading_agreement.py --data DIR        # a prepared set with votes (`labels=ferplus` or `both`)
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from record import record

from mien.editing.reading import read_images
from mien.expressions import BASIC, VOCABULARY
from mien.prepared import PreparedSet
from mien.pretrained import Model, load_model
from mien.spaces import DiscSpace

#: Radii and number of directions of the grid that inversion searches; the centre is one more.
_RADII, _DIRECTIONS = (0.25, 0.5, 0.75, 1.0), 16


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation; equal values share their mean rank."""

    def ranks(values: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def by_inversion(model: Model, images: np.ndarray) -> np.ndarray:
    """Return for each image the code of the grid whose edit is smallest: mean displacement plus mean light (no wipe)."""
    angles = [2 * math.pi * k / _DIRECTIONS for k in range(_DIRECTIONS)]
    codes = [(0.0, 0.0), *((r * math.cos(a), r * math.sin(a)) for r in _RADII for a in angles)]
    sizes = []
    for code in codes:
        displacement, delta, *_ = model.render(images, np.tile(np.array(code, np.float32), (len(images), 1)))
        sizes.append(np.hypot(displacement[:, 0], displacement[:, 1]).mean((1, 2)) + np.abs(delta).mean((1, 2, 3)))
    return np.array(codes)[np.argmin(sizes, axis=0)]


def named(codes: np.ndarray, space: DiscSpace) -> tuple[np.ndarray, np.ndarray]:
    """Return for codes (n, 2) the index of the name, neutral below the space's radius, and the radius."""
    directions = np.array([[math.cos(space.angle(n)), math.sin(space.angle(n))] for n in space.expressions[1:]])
    radius = np.hypot(codes[:, 0], codes[:, 1])
    return np.where(radius < space.neutral_radius, 0, 1 + (codes @ directions.T).argmax(1)), radius


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared set with votes")
    parser.add_argument("--model", default=None, help="shipped name, run folder or file; default: the shipped one")
    parser.add_argument("--faces", type=int, default=None, help="number of validation faces; default: all")
    parser.add_argument("--inversion-faces", type=int, default=400, help="of these, how many are inverted (slow)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    prepared, model = PreparedSet.open(given.data), load_model(given.model)
    space = model.space
    if not isinstance(space, DiscSpace) or space.expressions != BASIC or prepared.size != model.image_size:
        parser.error(f"the model must have a disc of {', '.join(BASIC)}, and the set images of {model.image_size} px")
    rows = np.random.default_rng(given.seed).permutation(prepared.select("validation", BASIC))[: given.faces]
    images = prepared.images(rows).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    votes = prepared.shares[rows][:, [VOCABULARY.index(name) for name in BASIC]].astype(np.float64)
    votes /= votes.sum(1, keepdims=True)
    majority, expressive = votes.argmax(1), 1 - votes[:, 0]

    readings = [
        reading for start in range(0, len(images), 256) for reading in read_images(model, images[start : start + 256])
    ]
    heads = {"class head": np.array([[BASIC.index(r.expression), r.intensity] for r in readings])}
    _, codes = model.read(images[: given.faces])
    codes = space.points(codes)
    heads["coordinate head"] = np.stack(named(codes, space), axis=1)
    part = images[: given.inversion_faces]
    heads["inversion"] = np.stack(named(by_inversion(model, part), space), axis=1)

    facts = {"data_hash": prepared.hash, "model_sha256": model.sha256, "seed": given.seed}
    for way, seen in heads.items():
        n = len(seen)
        agree = seen[:, 0] == majority[:n]
        moved = majority[:n] > 0
        numbers = {
            "reading-agreement": float(agree.mean()),
            "reading-agreement-not-neutral": float(agree[moved].mean()),
            "reading-intensity-rank-correlation": rank_correlation(seen[:, 1], expressive[:n]),
        }
        for name, value in numbers.items():
            record(given.out, name, value, n=int(moved.sum()) if "not-neutral" in name else n, way=way, **facts)
        print(f"{way} ({n} faces): " + ", ".join(f"{name} {value:.3f}" for name, value in numbers.items()))


if __name__ == "__main__":
    main()
