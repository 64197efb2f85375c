"""Measure how much landmarks shake in a still film, and how far they stray from an even way in a moving one.

The film is made here: the portrait of assets/, still or carried sideways, under noise of four levels, in H.264 at several
crf. Lines in results.jsonl, for each crf: the standard deviation over time of the coordinate that moves most, and its whole
range, in a still film; the RMS distance from the way in a moving one. The aligned crop has a side of 128 pixels.

    python benchmarks/film_jitter.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from record import record

from mien.editing.smoothing import smooth
from mien.editing.tracking import FaceTracker
from mien.faces import Detector, load_detector
from mien.films import read_frames

ROOT = Path(__file__).parent.parent
FRAMES, RATE, NOISE_LEVELS = 75, 25, 4.0


def make_film(path: Path, crf: int, pixels_a_frame: float, seed: int) -> None:
    """Write the film: the portrait moves to the right by so many pixels a frame."""
    random = np.random.default_rng(seed)
    portrait = Image.open(ROOT / "assets" / "astronaut.png").convert("RGB")
    size = (512 + round(FRAMES * pixels_a_frame / 16) * 16, 512)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE, options={"crf": str(crf), "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(FRAMES):
            there = (1, 0, -pixels_a_frame * index, 0, 1, 0)
            frame = np.asarray(portrait.transform(size, Image.Transform.AFFINE, there, Image.Resampling.BICUBIC))
            noisy = (frame + random.normal(0, NOISE_LEVELS, frame.shape)).clip(0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))
        out.mux(stream.encode(None))


def follow(detector: Detector, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return landmarks (frames, 5, 2) as the detector gives them, and smoothed."""
    tracker = FaceTracker(detector)
    for frame in read_frames(path):
        tracker.update(frame.pixels, frame.seconds)
    (track,) = tracker.tracks
    raw = np.stack([sighting.detection.landmarks for sighting in track.sightings])
    if len(raw) != FRAMES:
        raise SystemExit(f"the face was seen in {len(raw)} frames of {FRAMES}")
    return raw, smooth(np.array(tracker.seconds), raw, np.ones(FRAMES, bool))


def strays(landmarks: np.ndarray, pixels_a_frame: float) -> float:
    """Return the RMS distance, per coordinate, of landmarks from their even way."""
    way = np.arange(FRAMES)[:, None, None] * np.array([pixels_a_frame, 0.0])
    off = landmarks - way
    return float(np.sqrt(((off - off.mean(axis=0)) ** 2).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crf", default="18,28,35")
    parser.add_argument("--speed", type=float, default=4.4, help="pixels a frame of the moving film")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    detector = load_detector("mtcnn")
    for crf in (int(each) for each in given.crf.split(",")):
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "film.mp4"
                make_film(path, crf, 0.0, seed)
                raw, still = follow(detector, path)
                make_film(path, crf, given.speed, seed)
                raw_moving, moving = follow(detector, path)
            deviation, before = float(still.std(axis=0).max()), float(raw.std(axis=0).max())
            reach, stray = float(np.ptp(still, axis=0).max()), strays(moving, given.speed)
            print(
                f"crf {crf} seed {seed}: still {deviation:.3f} px (detector {before:.3f}), within {reach:.3f}", end="; "
            )
            print(f"moving {stray:.3f} px (detector {strays(raw_moving, given.speed):.3f})", flush=True)
            facts = {"crf": crf, "noise_levels": NOISE_LEVELS, "frames": FRAMES}
            record(
                given.out, "film-jitter", deviation, unit="px", n=FRAMES, seed=seed, detector=round(before, 4),
                within=round(reach, 4), **facts,
            )  # fmt: skip
            record(given.out, "film-stray", stray, unit="px", n=FRAMES, seed=seed, speed=given.speed, **facts)


if __name__ == "__main__":
    main()
