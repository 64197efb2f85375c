"""Measure preparation: images per second, resuming after kill -9, memory, films, and what merging costs.

Rates are given by the clock and, since other work may share the machine, by the processor time of all processes. One line
for each measurement goes to results.jsonl.

    python benchmarks/prepare_speed.py --data DATA                   # all parts; DATA holds fer2013/ and faces-wild/
    python benchmarks/prepare_speed.py --data DATA --part rates --workers 1,2
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from record import record

from mien.datasets import READERS, Row, Sample
from mien.datasets.drawing import draw
from mien.datasets.drawn import faces
from mien.faces import FaceAligner
from mien.films import read_frame
from mien.images import Cropped, resize
from mien.prepared import Crop, prepare
from mien.shards import hash_file, merge_shards, whole_shard, write_shard

#: Dataset, detector, rows: the more a row costs, the fewer.
RATES = (
    ("fer2013", "none", 16384),
    ("fer2013", "mtcnn", 1024),
    ("faces-wild", "none", 8192),
    ("faces-wild", "mtcnn", 512),
)
KILLS, KILL_ROWS = 10, 8192
MEMORY_ROWS = 100_000
FILM_FRAMES, FILM_SIZE = 1024, (720, 1280)
FILM_RATES = (("none", FILM_FRAMES), ("mtcnn", 256))
MERGED, MERGED_SIDE = 4096, 128
LED_ROWS = 50_000


def rows_of(data: Path, dataset: str, count: int) -> Iterator[Row]:
    """Yield the first rows of a dataset, and where it has too few, the same ones again under other names."""
    reader = READERS["fer2013" if dataset == "fer2013" else "folder"]
    rounds = (
        replace(row, key=f"{turn}/{row.key}") if turn else row
        for turn in itertools.count()
        for row in reader(data / dataset)
    )
    return itertools.islice(rounds, count)


def shrink(images: list[np.ndarray], faces: list[str], size: int) -> list[Cropped | str]:
    """Crop as cheaply as can be: resize the whole image."""
    return [Cropped(resize(image, (size, size))) for image in images]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a piece of work takes, by the clock and of processor time with its child processes."""

    def processor() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used)

    start, before = time.perf_counter(), processor()
    work()
    return time.perf_counter() - start, processor() - before


def load() -> float:
    """Return how many processes wanted a core in the last minute, others' included: above the cores, clocks mislead."""
    return round(os.getloadavg()[0], 1)


def measure_rates(given: argparse.Namespace, folder: Path) -> None:
    for dataset, detector, count in RATES:
        for workers in given.workers:
            size = 48 if dataset == "fer2013" else 128
            crop: Crop | None = FaceAligner(detector, size) if detector != "none" else None
            out = folder / f"{dataset}-{detector}-{workers}"
            work = partial(
                prepare,
                rows_of(given.data, dataset, count),
                out,
                dataset=dataset,
                size=size,
                crop=crop,
                workers=workers,
            )
            seconds, processor = timed(work)
            facts = {"dataset": dataset, "detector": detector, "workers": workers, "size": size}
            facts |= {"per_processor_second": round(count / processor, 2), "load": load()}
            record(given.out, "prepare-rate", count / seconds, unit="images/s", n=count, seed=0, **facts)
            print(f"{dataset}, {detector}, {workers} workers: {count / seconds:.1f} images/s, "
                  f"{count / processor:.1f} per processor second", flush=True)  # fmt: skip


def measure_kills(given: argparse.Namespace, folder: Path) -> None:
    def program(out: Path) -> list[str]:
        options = ["--child", str(out), "--data", str(given.data), "--workers", "2"]
        return [sys.executable, __file__, *options]

    start = time.perf_counter()
    subprocess.run(program(folder / "whole"), check=True)
    unbroken = time.perf_counter() - start
    moment = random.Random(given.seed)
    equal = late = 0
    for turn in range(KILLS):
        out = folder / f"killed-{turn}"
        child = subprocess.Popen(program(out))
        time.sleep(unbroken * moment.uniform(0.05, 0.95))
        child.kill()
        late += child.wait() != -signal.SIGKILL
        subprocess.run(program(out), check=True)
        names = {path.name for path in (folder / "whole").iterdir()}
        same = {path.name for path in out.iterdir()} == names and all(
            hash_file(out / name) == hash_file(folder / "whole" / name) for name in names
        )
        equal += same
    facts = {"too_late": late, "rows": KILL_ROWS, "workers": 2, "seconds_unbroken": round(unbroken, 1)}
    record(given.out, "prepare-killed-equal", equal, unit="of n", n=KILLS, seed=given.seed, **facts)
    print(f"killed at {KILLS} moments ({late} too late): {equal} times equal to the byte", flush=True)


def run_child(given: argparse.Namespace) -> None:
    """Be what is killed."""
    rows = rows_of(given.data, "fer2013", KILL_ROWS)
    prepare(rows, given.child, dataset="fer2013", size=48, workers=given.workers[0], shard_size=2048)


class MemoryWatch:
    """Notes, several times a second, what this process and its children hold in memory."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, dict[int, int]]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        start, page = time.perf_counter(), os.sysconf("SC_PAGE_SIZE")
        while not self._end.wait(0.2):
            held = {}
            for process in (str(os.getpid()), *_children()):
                try:
                    held[int(process)] = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * page
                except (OSError, IndexError):
                    continue
            self.samples.append((time.perf_counter() - start, held))

    def peak(self, first: float = 0.0, last: float = 1.0) -> dict[int, int]:
        """Return the most that each process held within a share of the time."""
        end = self.samples[-1][0]
        within = [held for seconds, held in self.samples if first * end <= seconds <= last * end]
        return {process: max(held.get(process, 0) for held in within) for held in within for process in held}


def _children() -> list[str]:
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [process for path in lists for process in path.read_text().split()]


def measure_memory(given: argparse.Namespace, folder: Path) -> None:
    for name, crop in (("none", None), ("resize", partial(shrink, size=48))):
        rows = rows_of(given.data, "fer2013", MEMORY_ROWS)
        with MemoryWatch() as watch:
            prepare(rows, folder / name, dataset="fer2013", size=48, crop=crop, workers=2)
        here = os.getpid()
        peak, early = watch.peak(), watch.peak(0.2, 0.4)
        late = watch.peak(0.75, 0.95)
        workers = sorted((held for process, held in peak.items() if process != here), reverse=True)[:2]
        total = max(sum(held.values()) for _, held in watch.samples) / 1e6
        facts = {
            "crop": name,
            "parent_mb": round(peak[here] / 1e6, 1),
            "workers_mb": [round(held / 1e6, 1) for held in workers],
            "growth_mb": round((sum(late.values()) - sum(early.values())) / 1e6, 1),
        }
        record(given.out, "prepare-memory", total, unit="MB", n=MEMORY_ROWS, seed=0, **facts)
        print(f"{MEMORY_ROWS} images, crop {name}: at most {total:.0f} MB in all, {facts}", flush=True)


def write_film(path: Path) -> None:
    """Write a film of drawn portraits that move."""
    import av

    height, width = FILM_SIZE
    portraits = [draw(face, height) for _, _, _, face in faces(7)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000  # type: ignore
        for index in range(FILM_FRAMES):
            pixels = np.zeros((height, width, 3), np.uint8)
            left = (3 * index) % (width - height)
            pixels[:, left : left + height] = portraits[index // 30 % 7]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))  # type: ignore
        container.mux(stream.encode(None))  # type: ignore


def measure_films(given: argparse.Namespace, folder: Path) -> None:
    film = folder / "film.mp4"
    write_film(film)
    rows: list[Row] = [
        Sample(f"{i:05d}", partial(read_frame, film, i), "neutral", "train", "film", face="largest")
        for i in range(FILM_FRAMES)
    ]
    for detector, count in FILM_RATES:
        crop = FaceAligner(detector, 128) if detector != "none" else None
        for workers in given.workers:
            out = folder / f"film-{detector}-{workers}"
            work = partial(prepare, rows[:count], out, dataset="film", size=128, crop=crop, workers=workers)
            seconds, processor = timed(work)
            facts = {"frame": f"{FILM_SIZE[1]} x {FILM_SIZE[0]}", "codec": "mpeg4", "detector": detector}
            facts |= {"workers": workers, "per_processor_second": round(count / processor, 2), "load": load()}
            record(given.out, "prepare-film", count / seconds, unit="frames/s", n=count, seed=0, **facts)
            print(f"film, {detector}, {workers} workers: {count / seconds:.1f} frames/s, "
                  f"{count / processor:.1f} per processor second", flush=True)  # fmt: skip


def measure_merging(given: argparse.Namespace, folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (MERGED_SIDE, MERGED_SIDE, 3), np.uint8)
    parts = []
    for number in range(MERGED // 256):
        rows = [Sample(f"{number}/{i}", read_frame, "neutral", "train", "x") for i in range(256)]  # type: ignore
        name = f"shard-00000.part-{number:03d}"
        parts.append(write_shard(folder, name, [image] * 256, image.shape, rows, [], rows))  # type: ignore

    def merge() -> None:
        for part in parts:
            assert whole_shard(folder, part.name)
        merge_shards(folder, "shard-00000", parts, 3, "")

    seconds, processor = timed(merge)
    facts = {"side": MERGED_SIDE, "channels": 3, "processor_seconds": round(processor, 3), "load": load()}
    record(given.out, "prepare-merge", seconds, unit="s", n=MERGED, seed=0, **facts)
    seconds_hashed, _ = timed(partial(hash_file, folder / "shard-00000.images.npy"))
    rate = (folder / "shard-00000.images.npy").stat().st_size / seconds_hashed / 1e6
    record(given.out, "prepare-hash", rate, unit="MB/s", n=1, seed=0)
    print(f"merging a shard of {MERGED}: {seconds:.2f} s ({processor:.2f} of the processor); hashing: {rate:.0f} MB/s")


def measure_leading(given: argparse.Namespace, folder: Path) -> None:
    """Time what only the leading process can do: look through the rows, here of a set that is finished."""
    rows: list[Row] = [
        Sample(
            f"train/video-{i // 5000}/{i:05d}", partial(blank, i), "neutral", "train", "film", subject=f"{i // 5000}"
        )
        for i in range(LED_ROWS)
    ]
    options = {"dataset": "film", "size": 8}
    prepare(rows, folder / "set", **options)  # type: ignore
    seconds, processor = timed(partial(prepare, rows, folder / "set", **options))  # type: ignore
    rate = LED_ROWS / processor
    record(given.out, "prepare-leading", rate, unit="rows per processor second", n=LED_ROWS, seed=0)
    print(f"the leading process: {rate:.0f} rows per processor second ({seconds:.1f} s by the clock)", flush=True)


def blank(index: int) -> np.ndarray:
    """Return the cheapest picture."""
    return np.full((8, 8, 3), index % 256, np.uint8)


PARTS = {
    "rates": measure_rates,
    "kills": measure_kills,
    "memory": measure_memory,
    "films": measure_films,
    "merging": measure_merging,
    "leading": measure_leading,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MIEN_TEST_DATA"))
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--workers", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=Path, default=None, help="folder for what is prepared, and removed again")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    if given.data is None:
        parser.error("--data or MIEN_TEST_DATA must name a folder that holds fer2013/ and faces-wild/")
    given.data = Path(given.data)
    if given.child:
        run_child(given)
        return
    for part in given.part or PARTS:
        with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
            PARTS[part](given, Path(folder))


if __name__ == "__main__":
    main()
