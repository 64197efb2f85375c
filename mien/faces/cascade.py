"""What MTCNN is whatever runs its networks: numbers, thresholds, weights, and the arithmetic of boxes.

Shared by `mien.faces.mtcnn` (torch) and `mien.faces.mtcnn_onnx` (onnxruntime). Needs neither.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from mien.errors import ConfigError, WeightsError

#: PNet sees a window of 12 pixels and moves by 2.
WINDOW, STRIDE = 12, 2
RNET_SIZE, ONET_SIZE = 24, 48

#: Overlaps above which the weaker box goes: within a scale, over scales and after RNet, after ONet (the authors' code).
OVERLAP_IN_SCALE, OVERLAP_OVER_SCALES, OVERLAP_LAST = 0.5, 0.7, 0.7

#: Pixels of photos that go through PNet together, and candidates that go through RNet or ONet together: bounds memory.
PIXELS_AT_ONCE, CANDIDATES_AT_ONCE = 4_000_000, 2048


def stage_thresholds(threshold: float | None, thresholds: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return what the three stages ask for so that a face is one from confidence `threshold` on, if that is given.

    The first two stages only propose; they must let through what the last one is to judge.
    """
    if threshold is not None:
        thresholds = (min(0.6, threshold), min(0.7, threshold), threshold)
    if not all(0 < each < 1 for each in thresholds):
        raise ConfigError(f"thresholds {thresholds} are out of range", hint="give three numbers between 0 and 1")
    return thresholds


def check_search(minimum_size: float, scale_factor: float, longest_side: int) -> None:
    """Refuse settings with which the pyramid of images would never end, or never begin."""
    if minimum_size <= 0 or longest_side < WINDOW:
        raise ConfigError(
            f"minimum_size {minimum_size}, longest_side {longest_side}",
            hint=f"give pixels: a minimum_size above 0, a longest_side of {WINDOW} or more",
        )
    if not 0.3 <= scale_factor <= 0.95:
        raise ConfigError(f"scale_factor {scale_factor} is out of range", hint="give a number from 0.3 to 0.95")


def correct(boxes: np.ndarray, corrections: np.ndarray) -> np.ndarray:
    """Move each edge by a share of the box's width or height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + corrections * np.tile(sides, 2)


def square(boxes: np.ndarray) -> np.ndarray:
    """Return squares with the same centres and the longer sides; never narrower than a pixel."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=1.0), 1.0) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def checked_weights(path: Path) -> bytes:
    """Read the weights, refused where they are not those that the JSON beside them describes."""
    try:
        data = path.read_bytes()
        expected = json.loads(path.with_suffix(".json").read_text("utf-8"))["sha256"]
    except OSError as error:
        raise WeightsError(f"cannot read the detector's weights: {error}", hint="install mien again") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise WeightsError(f"`{path}` is not the file that mien ships", hint="install mien again")
    return data
