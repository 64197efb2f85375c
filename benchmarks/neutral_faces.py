"""What benchmarks of single edits share: their options, and the neutral faces that they edit."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mien.expressions import NEUTRAL
from mien.prepared import PreparedSet


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what such a benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared set")
    parser.add_argument("--model", default=None, help="shipped name, run folder or file; default: the shipped one")
    parser.add_argument("--faces", type=int, default=100, help="number of neutral validation faces")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    return parser


def neutral_images(prepared: PreparedSet, count: int, seed: int) -> np.ndarray:
    """Draw neutral validation faces of a set, float32 (n, c, h, w) in [-1, 1]."""
    neutral = prepared.select("validation", (NEUTRAL,))
    rows = np.sort(np.random.default_rng(seed).permutation(neutral)[:count])
    return prepared.images(rows).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
