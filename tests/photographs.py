"""Made-up photographs for tests of sets: no two alike, with the spectrum that photographs have, and copies of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.datasets import Sample
from mien.prepared import PreparedSet, prepare

SIZE = 48


def photograph(number: int, size: int = SIZE, colour: bool = False) -> np.ndarray:
    """Return uint8 (size, size, 3): noise whose amplitude falls with frequency, another for each number."""
    random = np.random.default_rng(number)
    channels = []
    for _ in range(3 if colour else 1):
        frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)) * size
        spectrum = np.fft.fft2(random.normal(size=(size, size))) / np.maximum(frequency, 1)
        plane = np.fft.ifft2(spectrum).real
        channels.append(128 + 40 * (plane - plane.mean()) / plane.std())
    pixels = np.clip(np.stack(channels, axis=-1), 0, 255).round().astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if not colour else pixels


def recompressed(pixels: np.ndarray) -> np.ndarray:
    """Return what a JPEG of low quality makes of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
    return np.array(Image.open(buffer).convert("RGB"))


def brighter(pixels: np.ndarray) -> np.ndarray:
    """Return a picture with more light and less contrast."""
    return np.clip(pixels * 0.8 + 45, 0, 255).astype(np.uint8)


def sample(
    key: str, pixels: np.ndarray, split: str = "train", expression: str | None = "happy", **known: Any
) -> Sample:
    """Return a sample that shows these pixels."""
    return Sample(key, lambda: pixels, expression, split, **{"source": "test", **known})


def write_set(out: Path, samples: Sequence[Sample], *, dataset: str = "test", size: int = SIZE) -> PreparedSet:
    """Prepare samples as they are."""
    return prepare(samples, out, dataset=dataset, size=size)
