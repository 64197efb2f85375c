"""Measure the face detectors: how many faces they find, how fast, and how far they agree with another implementation.

    python benchmarks/detect_speed.py --data DATA --threads 2 [--parts batching,recall,compare,film,facenet]

DATA holds fer2013/ and faces-wild/ as Parquet; without `--data`, $MIEN_TEST_DATA does. RetinaFace needs its weights, the
part `facenet` needs facenet-pytorch (see facenet_stand_in.py). Times are the least of `--repeats`, since whatever else
runs on a machine only adds to them; detection alone is timed, not decoding. On a machine that is never quiet, `--clock
cpu --threads 1` counts the processor's time of this process instead of that on the wall. One line for each number goes to
results.jsonl, and a table to stdout. What is compared is always run in turn, so that a busy moment meets both.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_stand_in import stand_in
from PIL import Image, ImageFilter
from record import record

from mien.datasets import drawn
from mien.detection_study import overlap
from mien.faces import Detection, Detector, FaceAligner, load_detector
from mien.films import read_frames
from mien.images import read_image, resize

ROOT = Path(__file__).parent.parent
PARTS = ("batching", "recall", "compare", "film", "facenet")
SEED = 0
#: Sides of the scenes, and of the images of faces set into them: the faces are then 105 to 135 pixels wide, as in LFW.
SCENE, INSERT = 350, (140, 175)


def read_images(path: Path, count: int) -> list[np.ndarray]:
    """Decode images of a Parquet file, evenly spaced."""
    parquet = importlib.import_module("pyarrow.parquet")
    column = parquet.read_table(path, columns=["image"])["image"]
    places = np.linspace(0, len(column) - 1, count).round().astype(int)
    return [read_image(column[int(place)].as_py()["bytes"]) for place in places]


def make_scenes(faces: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Set each image of a face, softly, into blurred surroundings: scenes with context, as LFW's.

    The surroundings are the image itself, stretched and upside down, so that they are no second face.
    """
    random = np.random.default_rng(SEED)
    scenes = []
    for face in faces:
        side = int(random.integers(*INSERT))
        scene = Image.fromarray(resize(face[::-1], (SCENE, SCENE))).filter(ImageFilter.GaussianBlur(16))
        x, y = (int(v) for v in random.integers(60, SCENE - side - 60 + 1, 2))
        mask = Image.new("L", (side, side), 0)
        mask.paste(255, (side // 10, side // 10, side - side // 10, side - side // 10))
        scene.paste(
            Image.fromarray(resize(face, (side, side))), (x, y), mask.filter(ImageFilter.GaussianBlur(side / 20))
        )
        scenes.append(np.array(scene))
    return scenes


def least_seconds(works: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Run pieces of work in turn, once to warm up, and return the least time of each."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(1 + repeats):
        for name, work in works.items():
            start = clock()
            work()
            times[name].append(clock() - start)
    return {name: min(each[1:]) for name, each in times.items()}


#: Seconds, on the wall or of this process' processors; `main` chooses.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = CLOCKS["wall"]


class Bench:
    """What the parts share: data, detectors, repeats, and where the numbers go."""

    def __init__(self, data: Path, repeats: int, out: Path) -> None:
        self.repeats, self.out = repeats, out
        self.wild, self.fer = data / "faces-wild" / "train.parquet", data / "fer2013" / "validation.parquet"
        self.scenes = make_scenes(read_images(self.wild, 128))

    def tell(self, name: str, value: float, unit: str, n: int, **facts: Any) -> None:
        """Print a number and record it."""
        load = os.getloadavg()[0]
        told = "".join(f"  {key} {fact}" for key, fact in facts.items())
        print(f"{name:32} {value:10.4g} {unit:9} n {n}{told}", flush=True)
        kind = next(name for name, each in CLOCKS.items() if each is clock)
        record(self.out, name, value, unit=unit, n=n, seed=SEED, clock=kind, load=round(load, 1), **facts)


def batching(bench: Bench) -> None:
    """Time MTCNN on 128 scenes: all at once, against image by image."""
    detector = load_detector("mtcnn")

    def one_by_one() -> None:
        for scene in bench.scenes:
            detector.detect([scene])

    works: dict[str, Callable[[], Any]] = {"batched": lambda: detector.detect(bench.scenes), "single": one_by_one}
    if (other := facenet()) is not None:
        pictures = [Image.fromarray(scene) for scene in bench.scenes]

        def other_one_by_one() -> None:
            for picture in pictures:
                other.detect(picture, landmarks=True)

        works["facenet-pytorch"] = other_one_by_one
    seconds = least_seconds(works, bench.repeats)
    count = len(bench.scenes)
    for name, each in seconds.items():
        bench.tell(f"mtcnn-{name}", count / each, "images/s", count, images="350 px scenes")
    for name in list(seconds)[1:]:
        bench.tell(f"mtcnn-batched-against-{name}", seconds[name] / seconds["batched"], "times", count)


def recall(bench: Bench) -> None:
    """Count the images of faces-wild (128 px, continued as for `mien prepare`) in which MTCNN finds a face."""
    images = read_images(bench.wild, 2000)
    found, _ = search("mtcnn", images, "cut", 1)
    bench.tell(
        "mtcnn-recall", float(np.mean([bool(each) for each in found])), "share", len(images), images="faces-wild"
    )


def search(name: str, images: list[np.ndarray], face: str, repeats: int) -> tuple[list[list[Detection]], float]:
    """Find faces as `mien prepare` does, 32 images at once; return them with the least time."""
    aligner = FaceAligner(name, 64)
    batches = [images[start : start + 32] for start in range(0, len(images), 32)]
    found: list[list[Detection]] = []

    def work() -> None:
        found[:] = [each for batch in batches for each in aligner.find(batch, [face] * len(batch))]

    aligner.find(images[:1], [face])
    return found, min(timed(work) for _ in range(repeats))


def timed(work: Callable[[], Any]) -> float:
    start = clock()
    work()
    return clock() - start


def compare(bench: Bench) -> None:
    """Hold both detectors against each other on faces cut out and on scenes: rate, speed, distance of landmarks."""
    for kind, images, face in (
        ("faces-wild", read_images(bench.wild, 1000), "cut"),
        ("fer2013", read_images(bench.fer, 1000), "cut"),
        ("350 px scenes", bench.scenes, "largest"),
    ):
        found = {}
        for name in ("mtcnn", "retinaface"):
            found[name], seconds = search(name, images, face, max(1, bench.repeats - 1))
            rate = float(np.mean([bool(each) for each in found[name]]))
            bench.tell(f"{name}-rate", rate, "share", len(images), images=kind)
            bench.tell(f"{name}-speed", len(images) / seconds, "images/s", len(images), images=kind)
        both = [(m[0], r[0]) for m, r in zip(found["mtcnn"], found["retinaface"], strict=True) if m and r]
        apart = [landmark_distance(*pair) for pair in both]
        bench.tell("detectors-apart", float(np.median(apart)), "eyes", len(both), images=kind)


def landmark_distance(first: Detection, second: Detection) -> float:
    """Return the mean distance of landmarks, as a share of the first face's distance between the eyes."""
    eyes = np.linalg.norm(first.landmarks[1] - first.landmarks[0])
    return float(np.linalg.norm(first.landmarks - second.landmarks, axis=1).mean() / eyes)


def write_film(path: Path, frames: int = 48) -> None:
    """Write a film, 1280 x 720: the demo portrait and a drawn face move about, and leave the picture for a quarter."""
    av = importlib.import_module("av")
    portrait = resize(read_image(ROOT / "assets" / "astronaut.png"), (420, 420))
    people = [face for _, _, _, face in drawn.faces(7)]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=Fraction(24))
        stream.width, stream.height, stream.bit_rate = 1280, 720, 8_000_000
        for index in range(frames):
            picture = np.full((720, 1280, 3), (70, 90, 80), np.uint8)
            if index < 0.75 * frames:
                x, y = 60 + 8 * index, 140 + round(60 * np.sin(index / 6))
                picture[y : y + 420, x : x + 420] = portrait
                picture[300:540, 960:1200] = drawn.draw(people[index // 8 % 7], 240)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())


def film(bench: Bench) -> None:
    """Search every frame of a 720p film, decoded as it goes, eight frames at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_film(path)
        for name in ("mtcnn", "retinaface"):
            detector = load_detector(name)
            detector.detect([np.zeros((720, 1280, 3), np.uint8)])
            counts: list[int] = []
            seconds = min(timed(partial(search_film, detector, path, counts)) for _ in range(max(1, bench.repeats - 1)))
            bench.tell(f"{name}-film-speed", len(counts) / seconds, "frames/s", len(counts), film="1280 x 720")
            share = float(np.mean([count > 0 for count in counts]))
            bench.tell(f"{name}-film-rate", share, "share", len(counts), film="1280 x 720, faces in 0.75 of it")


def search_film(detector: Detector, path: Path, counts: list[int]) -> None:
    """Count the faces of each frame."""
    counts.clear()
    waiting: list[np.ndarray] = []

    def flush() -> None:
        counts.extend(len(faces) for faces in detector.detect(waiting))
        waiting.clear()

    for frame in read_frames(path):
        waiting.append(frame.pixels)
        if len(waiting) == 8:
            flush()
    flush()


def facenet() -> Any:
    """Return facenet-pytorch's MTCNN with the thresholds of ours, or None where it is not installed."""
    if importlib.util.find_spec("facenet_pytorch") is None:
        return None
    sys.modules.update(stand_in())
    return importlib.import_module("facenet_pytorch").MTCNN(keep_all=True, thresholds=[0.6, 0.7, 0.7])


def agreement(bench: Bench) -> None:
    """Match the largest faces that both implementations of MTCNN find in the scenes: overlap of boxes, landmarks."""
    other = facenet()
    if other is None:
        print("facenet: skipped, facenet_pytorch is not installed")
        return
    overlaps, apart, alone = [], [], 0
    for scene, faces in zip(bench.scenes, load_detector("mtcnn").detect(bench.scenes), strict=True):
        boxes, _, points = other.detect(Image.fromarray(scene), landmarks=True)
        theirs = [] if boxes is None else list(zip(boxes, points, strict=True))
        alone += abs(len(faces) - len(theirs))
        for face in faces:
            best, landmarks = max(theirs, key=lambda each: overlap(np.array(face.box), each[0]), default=(None, None))
            if best is not None and overlap(np.array(face.box), best) > 0.5:
                overlaps.append(overlap(np.array(face.box), best))
                apart.append(landmark_distance(face, Detection(face.box, 1.0, np.asarray(landmarks, np.float64))))
    bench.tell("mtcnn-facenet-overlap", float(np.mean(overlaps)), "IoU", len(overlaps), least=round(min(overlaps), 3))
    bench.tell("mtcnn-facenet-apart", float(np.median(apart)), "eyes", len(apart))
    bench.tell("mtcnn-facenet-unmatched", alone, "faces", len(bench.scenes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MIEN_TEST_DATA"))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data, a folder that holds fer2013/ and faces-wild/, or set MIEN_TEST_DATA")
    if unknown := set(given.parts.split(",")) - set(PARTS):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")

    global clock
    clock = CLOCKS[given.clock]
    torch.set_num_threads(given.threads)
    bench = Bench(Path(given.data), given.repeats, given.out)
    works = {"batching": batching, "recall": recall, "compare": compare, "film": film, "facenet": agreement}
    for part in given.parts.split(","):
        works[part](bench)


if __name__ == "__main__":
    main()
