"""Time the parts of one edit on the CPU: find the face, read it, render an expression, paste it into the photo.

Medians over `--repeats` after two rounds of warm-up, of a 512 x 512 portrait with one face; one line for each part goes
to results.jsonl. In the same run, for comparison: one pass of a generator of GANmut's official size (8.4 M parameters,
128 x 128 RGB; the layers of the official code in this project's words, untrained), which is what its demo does with a
crop.

    python benchmarks/edit_speed.py --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import record

import mien
from mien.networks import ResidualGenerator

ROOT = Path(__file__).parent.parent
WARM_UP = 2


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Return the median time of a piece of work, after a warm-up."""
    times = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="shipped name, run folder or file; default: the one that ships")
    parser.add_argument("--photo", type=Path, default=ROOT / "assets" / "astronaut.png")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    torch.set_num_threads(given.threads)
    editor = mien.load(given.model)
    photo = mien.read_photo(given.photo)
    conditions = [mien.Condition.named("happy", 0.9)]
    face = editor.find(photo)[0]
    renderings = editor.render(face, conditions)
    official = torch.inference_mode()(ResidualGenerator(3, 2).eval())
    crop, code = torch.zeros(1, 3, 128, 128), torch.zeros(1, 2)
    parts: dict[str, Callable[[], Any]] = {
        "find": lambda: editor.find(photo),
        "read": lambda: editor.read(face),
        "render": lambda: editor.render(face, conditions),
        "render-direct": lambda: editor.render(face, conditions, "direct"),
        "paste": lambda: editor.paste(photo, renderings),
        "whole": lambda: editor.edit(photo, conditions[0], faces="largest"),
        "official-size-generator": lambda: official(crop, code),
    }
    height, width = photo.pixels.shape[:2]
    facts = {"model": editor.model.name, "model_sha256": editor.model.sha256, "photo": f"{width} x {height}"}
    for part, work in parts.items():
        seconds = median_seconds(work, given.repeats)
        # Nothing here is random: the seed stands for the reader who compares lines of all kinds.
        record(given.out, f"edit-{part}", seconds, unit="s", n=given.repeats, seed=0, **facts)
        print(f"{part}: {seconds * 1000:.1f} ms (median of {given.repeats}, {given.threads} threads)")


if __name__ == "__main__":
    main()
