"""What the tests of faces share: a portrait, and both detectors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mien.faces.mtcnn import MTCNN
from mien.faces.retinaface import RetinaFace
from mien.images import read_image

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """Return a portrait, 512 x 512, in which one face looks at us."""
    return read_image(ROOT / "assets" / "astronaut.png")


@pytest.fixture(scope="session")
def mtcnn() -> MTCNN:
    return MTCNN()


@pytest.fixture(scope="session")
def published_weights() -> Path:
    """Return the published file of RetinaFace in `$MIEN_WEIGHTS`, or skip the test: tests never download."""
    folder = Path(os.environ.get("MIEN_WEIGHTS", ""))
    names = ("mobilenet0.25_Final.pth", "retinaface_mobilenet0.25.pth")
    found = [folder / name for name in names if os.environ.get("MIEN_WEIGHTS") and (folder / name).is_file()]
    if not found:
        pytest.skip("MIEN_WEIGHTS is not set: it names a folder that holds mobilenet0.25_Final.pth")
    return found[0]


@pytest.fixture(scope="session")
def retinaface(published_weights: Path) -> RetinaFace:
    return RetinaFace()
