"""Time the loader alone: images a second of batches from memory-mapped shards, with workers that read ahead, and resident.

The set is drawn or given; `--data` is a prepared set of `mien prepare`. A batch is ready when its images are floats on the
device, augmented. The first batches, while workers start, are not timed. By the clock, since workers are other processes.

    python benchmarks/loader_speed.py --data data/mixed-128 --workers 0 --workers 2 --workers 8
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from record import record

from mien.batches import Augmentation, Batches
from mien.datasets import Sample
from mien.expressions import BASIC
from mien.prepared import PreparedSet, prepare


def noise_set(folder: Path, count: int, size: int) -> PreparedSet:
    """Write a set of noise in colour: its size matters, not what it shows."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), np.uint8)
    samples = (Sample(f"{i}", lambda i=i: pixels[i % 64], BASIC[i % 7], "train", "noise") for i in range(count))
    return prepare(samples, folder / "noise", dataset="noise", size=size, channels=3)


def images_per_second(prepared: PreparedSet, workers: int | None, batch_size: int, steps: int, device: str) -> float:
    """Return the rate over all steps but the first ten; workers None: the set is kept on the device."""
    source = Batches(
        prepared,
        BASIC,
        image_size=prepared.size,
        image_channels=prepared.channels,
        batch_size=batch_size,
        seed=0,
        augmentation=Augmentation(),
        device=device,
        resident_bytes=0 if workers is not None else 1 << 62,
        workers=workers or 0,
    )
    start = 0.0
    for step, _ in enumerate(source.stream(range(steps + 10))):
        if step == 9:
            start = time.perf_counter()
    if device == "cuda":
        torch.cuda.synchronize()
    return steps * batch_size / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="default: 4096 images of noise, 128 px, RGB")
    parser.add_argument("--workers", type=int, action="append", help="repeatable; default: 0 and 2")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        prepared = PreparedSet.open(given.data) if given.data else noise_set(Path(folder), 4096, 128)
        facts = {"size": prepared.size, "channels": prepared.channels, "batch_size": given.batch_size, "device": device}
        for workers in (None, *(given.workers or (0, 2))):
            rate = images_per_second(prepared, workers, given.batch_size, given.steps, device)
            how = "resident" if workers is None else f"{workers} workers"
            record(given.out, "loader-images-per-second", rate, unit="1/s", n=given.steps, seed=0, how=how, **facts)
            print(f"{how}: {rate:.0f} images/s", flush=True)


if __name__ == "__main__":
    main()
