"""Rows that can go to other processes, for the tests of preparing; run as a program, it prepares them slowly.

python prepared_rows.py OUT WORKERS LOG
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from mien.datasets import Rejected, Row, Sample
from mien.errors import FilmError, ImageError
from mien.prepared import PreparedSet, prepare

SIZE = 16
#: Forty rows in shards of ten and parts of three: the last part of a shard has one row, the last shard is whole.
COUNT, SHARD, PART = 40, 10, 3


def noise(index: int, colour: bool, pause: float = 0.0, log: Path | None = None) -> np.ndarray:
    """Return a picture that only this index gives, and note in `log` that it was asked for."""
    if log is not None:
        with log.open("a") as file:
            file.write(f"{index}\n")
    time.sleep(pause)
    pixels = np.random.default_rng(index).integers(0, 256, (SIZE, SIZE, 3 if colour else 1), np.uint8)
    return np.repeat(pixels, 1 if colour else 3, axis=2)


def broken(film: bool) -> np.ndarray:
    """Fail as a reader of pictures or of films does."""
    raise FilmError("the film is broken off") if film else ImageError("cut short")


def kill_once(index: int, mark: Path) -> np.ndarray:
    """Kill this process with the signal that nobody can catch; the second time return a picture."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noise(index, False)


def mistake() -> np.ndarray:
    """Fail as a program does that has one."""
    raise ZeroDivisionError("an average of nothing")


def rows(colour: bool = False, pause: float = 0.0, log: Path | None = None) -> list[Row]:
    """Return rows among which are rejected, broken and repeated ones, near each other and in different shards."""
    result: list[Row] = []
    for i in range(COUNT):
        split = "validation" if i % 5 == 4 else "train"
        picture = partial(noise, i, colour, pause, log)
        result.append(Sample(f"row-{i:02d}", picture, ("happy", "sad")[i % 2], split, "test", subject=f"who-{i // 3}"))
    result[2] = Rejected("row-02", "label 9 is not one of 0 to 6")
    for i in (0, 13):
        result[i] = Sample(f"row-{i:02d}", partial(broken, film=i == 13), "happy", "train", "test")
    for i, other in ((4, 3), (25, 6)):
        result[i] = Sample(f"row-{other:02d}", partial(noise, i, colour), "sad", "train", "test")
    return result


def make(out: Path, items: list[Row] | None = None, **changes: object) -> PreparedSet:
    """Prepare the rows in small shards and parts."""
    settings = {"dataset": "test", "size": SIZE, "shard_size": SHARD, "part_size": PART, **changes}
    return prepare(rows() if items is None else items, out, **settings)  # pyright: ignore[reportArgumentType]


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def same_and_new(index: int) -> np.ndarray:
    """Return white where the last picture that this process gave was the one before this, else black."""
    global _last
    level = 255 if index == _last + 1 else 0
    _last = index
    return np.full((SIZE, SIZE, 3), level, np.uint8)


_last = -2

if __name__ == "__main__":
    make(
        Path(sys.argv[1]),
        rows(pause=0.02, log=Path(sys.argv[3])),
        workers=int(sys.argv[2]),
        report=lambda done, _: print(done, flush=True),
    )
