"""Time `mien video` on a long film of 720 lines, and watch its memory: frames per second, and the highest use.

The film is made here: the portrait of assets/ walks, turns and comes nearer before a still background, with noise, in
H.264 with sound. One line each for speed and memory goes to results.jsonl. Memory is that of this process at its highest,
after a short film and after the long one: the difference is what grows with length.

    python benchmarks/film_speed.py --minutes 10 --threads 2
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from record import record

import mien
from mien.editing.film import edit_film
from mien.editing.film_faces import find_faces

ROOT = Path(__file__).parent.parent
SIZE, RATE = (1280, 720), 25
#: Frames until the portrait's way begins anew.
ROUND = 125


def pictures(count: int) -> Iterator[np.ndarray]:
    """Yield frames, uint8 (720, 1280, 3): a way of five seconds, over and over."""
    portrait = Image.open(ROOT / "assets" / "astronaut.png").convert("RGB")
    random = np.random.default_rng(0)
    ground = Image.fromarray(random.integers(90, 160, (9, 16, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    noise = random.normal(0, 2, (SIZE[1] * 2, SIZE[0], 3)).round().astype(np.int16)
    way = []
    for index in range(min(count, ROUND)):
        turn = 2 * math.pi * index / ROUND
        side = 512 * (1.1 + 0.2 * math.sin(turn))
        x, y = 640 + 250 * math.sin(turn) - side / 2, 380 + 30 * math.sin(3 * turn) - side / 2
        tilt = 0.1 * math.sin(2 * turn)
        cosine, sine = 512 / side * math.cos(tilt), 512 / side * math.sin(tilt)
        middle = np.array([x + side / 2, y + side / 2])
        corner = 256 - np.array([[cosine, sine], [-sine, cosine]]) @ middle
        there = (cosine, sine, float(corner[0]), -sine, cosine, float(corner[1]))
        frame = ground.copy()
        mask = Image.new("L", portrait.size, 255).transform(SIZE, Image.Transform.AFFINE, there)
        frame.paste(portrait.transform(SIZE, Image.Transform.AFFINE, there, Image.Resampling.BICUBIC), (0, 0), mask)
        way.append(np.asarray(frame))
    for index in range(count):
        start = int(random.integers(0, SIZE[1]))
        yield (way[index % ROUND] + noise[start : start + SIZE[1]]).clip(0, 255).astype(np.uint8)


def make_film(path: Path, count: int) -> None:
    """Write the film, with a tone as its sound."""
    with av.open(str(path), "w") as out:
        picture: Any = out.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = *SIZE, "yuv420p"
        sound: Any = out.add_stream("aac", rate=48_000)
        sound.codec_context.layout = "mono"
        samples = 48_000 // RATE
        for index, pixels in enumerate(pictures(count)):
            out.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            tone = 0.1 * np.sin(2 * np.pi * 440 * (np.arange(samples) + index * samples) / 48_000)
            heard = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], "fltp", "mono")
            heard.sample_rate, heard.pts = 48_000, index * samples
            out.mux(sound.encode(heard))
        out.mux(picture.encode(None))
        out.mux(sound.encode(None))


def make_apart(path: Path, count: int) -> None:
    """Write the film in a process of its own, whose memory does not count."""
    process = multiprocessing.get_context("spawn").Process(target=make_film, args=(path, count))
    process.start()
    process.join()


def highest_megabytes() -> float:
    """Return the highest memory that this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024 * 1024 if sys.platform == "darwin" else 1024)


def timed(editor: mien.Editor, film: Path, out: Path) -> dict[str, float]:
    """Edit a film; return the seconds of both passes, those of the processor in all, frames, and memory."""
    start, processor = time.perf_counter(), time.process_time()
    found = find_faces(editor, film)
    between = time.perf_counter()
    done = edit_film(editor, film, out, mien.Condition.named("happy", 0.9), found=found)
    end = time.perf_counter()
    return {
        "frames": done.frames,
        "edited": done.edited,
        "find_seconds": round(between - start, 2),
        "edit_seconds": round(end - between, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
        "highest_mb": round(highest_megabytes(), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="shipped name, run folder or file; default: the one that ships")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    load = os.getloadavg()[0]  # others at work on this machine make it slower
    torch.set_num_threads(given.threads)
    editor = mien.load(given.model)
    count = round(given.minutes * 60 * RATE)
    with tempfile.TemporaryDirectory() as folder:
        film, out = Path(folder) / "film.mp4", Path(folder) / "out.mp4"
        make_apart(film, 2 * ROUND)
        short = timed(editor, film, out)
        make_apart(film, count)
        long = timed(editor, film, out)
    seconds = long["find_seconds"] + long["edit_seconds"]
    facts = {
        "model": editor.model.name,
        "film": f"{SIZE[0]} x {SIZE[1]}, one face",
        "minutes": given.minutes,
        "threads": given.threads,
        "load_average": round(load, 1),
        **{key: long[key] for key in ("find_seconds", "edit_seconds", "processor_seconds", "edited")},
    }
    frames = int(long["frames"])
    record(given.out, "film-speed", frames / seconds, unit="frames/s", n=frames, seed=0, **facts)
    record(
        given.out, "film-memory", long["highest_mb"], unit="MB", n=frames, seed=0, **facts,
        highest_mb_after_ten_seconds=short["highest_mb"],
    )  # fmt: skip
    print(f"{frames / seconds:.1f} frames/s ({given.minutes:g} minutes of film, {given.threads} threads)")
    print(
        f"memory at its highest: {short['highest_mb']} MB after {2 * ROUND} frames, {long['highest_mb']} MB after {frames}"
    )


if __name__ == "__main__":
    main()
