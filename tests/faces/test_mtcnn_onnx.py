"""The detector without torch finds what the one with torch finds, and its arithmetic agrees with plain loops."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from mien.datasets import drawn
from mien.errors import ConfigError, WeightsError
from mien.faces import detectors, load_detector, mtcnn_onnx
from mien.faces.mtcnn import MTCNN
from mien.faces.mtcnn_onnx import PortableMTCNN
from mien.images import resize

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def detector() -> PortableMTCNN:
    return PortableMTCNN()


def drawn_faces() -> list[np.ndarray]:
    """Return four people of 160 px, each with another expression."""
    names = ("happy", "fear", "anger", "neutral")
    faces = [drawn.DrawnFace(drawn.identity(seed), drawn.express({name: 1.0})) for seed, name in enumerate(names)]
    return [drawn.draw(face, 160) for face in faces]


def test_it_finds_what_the_detector_with_torch_finds(
    detector: PortableMTCNN, mtcnn: MTCNN, astronaut: np.ndarray
) -> None:
    two = np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)
    grey = np.full((90, 120, 3), 90, np.uint8)
    images = [astronaut, resize(astronaut, (1500, 1402)), two, astronaut[:3, :3], grey, *drawn_faces()]
    ours, theirs = detector.detect(images), mtcnn.detect(images)
    assert [len(faces) for faces in ours] == [len(faces) for faces in theirs] == [1, 1, 2, 0, 0, 1, 1, 1, 1]
    for one, other in zip(*map(itertools.chain.from_iterable, (ours, theirs)), strict=True):
        assert np.abs(np.subtract(one.box, other.box)).max() < 0.05
        assert np.abs(one.landmarks - other.landmarks).max() < 0.05
        assert abs(one.confidence - other.confidence) < 1e-3
    assert detector.detect([]) == []


def test_options_mean_the_same(detector: PortableMTCNN, astronaut: np.ndarray) -> None:
    assert len(detector.detect([astronaut], minimum_size=60)[0]) == 1
    assert detector.detect([astronaut], minimum_size=200) == [[]]
    options = {"threshold": 0.4, "minimum_size": 30.0, "scale_factor": 0.6, "longest_side": 400}
    assert PortableMTCNN(**options).settings == MTCNN(**options).settings  # pyright: ignore[reportArgumentType]
    for wrong in ({"threshold": 1.5}, {"scale_factor": 1.0}, {"minimum_size": 0.0}, {"longest_side": 5}):
        with pytest.raises(ConfigError):
            PortableMTCNN(**wrong)  # pyright: ignore[reportArgumentType]


def test_it_stands_in_where_torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(load_detector("mtcnn"), MTCNN)
    assert isinstance(load_detector("mtcnn-onnx"), PortableMTCNN)
    monkeypatch.setattr(detectors, "installed", lambda package: False)
    assert isinstance(load_detector("mtcnn", threshold=0.5), PortableMTCNN)
    with pytest.raises(ConfigError, match="no option `speed`"):
        load_detector("mtcnn", speed=2)


def test_altered_or_missing_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "mtcnn.safetensors"
    monkeypatch.setattr(mtcnn_onnx, "_WEIGHTS", copy)
    with pytest.raises(WeightsError, match="cannot read"):
        PortableMTCNN()
    original = ROOT / "mien" / "weights" / "mtcnn.safetensors"
    copy.write_bytes(original.read_bytes()[:-1] + b"\x07")
    copy.with_suffix(".json").write_bytes(original.with_suffix(".json").read_bytes())
    with pytest.raises(WeightsError, match="not the file"):
        PortableMTCNN()
