"""MTCNN against one real portrait, hand-worked cases, torch's own area means, and another implementation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from portrait import ASTRONAUT, MIRRORED
from safetensors.numpy import load_file
from torch.nn import functional

from mien.detection_study import overlap
from mien.errors import ConfigError, WeightsError
from mien.faces import mtcnn as module
from mien.faces.cascade import shares
from mien.faces.mtcnn import MTCNN, _pool
from mien.images import resize

ROOT = Path(__file__).parent.parent.parent


def test_the_portrait_has_one_face_where_it_is(mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    (faces,) = mtcnn.detect([astronaut])
    assert len(faces) == 1
    x0, y0, x1, y1 = faces[0].box
    assert 160 < x0 < 190
    assert 50 < y0 < 80
    assert 255 < x1 < 285
    assert 165 < y1 < 195
    assert faces[0].confidence > 0.99
    assert np.abs(faces[0].landmarks - ASTRONAUT).max() < 4


def test_a_mirrored_photo_gives_mirrored_landmarks(mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    (plain,), (mirrored,) = mtcnn.detect([astronaut, np.ascontiguousarray(astronaut[:, ::-1])])
    expected = plain.landmarks[MIRRORED] * [-1, 1] + [astronaut.shape[1], 0]
    assert np.abs(mirrored.landmarks - expected).max() < 3


def test_large_photos_and_batches_give_the_same_faces(mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    large = resize(astronaut, (1536, 1536))
    grey = np.full_like(astronaut, 90)
    two = np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)
    found = mtcnn.detect([grey, large, astronaut, two, astronaut[:3, :3]])
    assert [len(faces) for faces in found] == [0, 1, 1, 2, 0]
    assert np.abs(found[1][0].landmarks / 3 - ASTRONAUT).max() < 4
    alone = mtcnn.detect([astronaut])[0][0]
    assert np.allclose(found[2][0].landmarks, alone.landmarks, atol=0.01)
    assert found[3][0].area >= found[3][1].area
    assert mtcnn.detect([]) == []


def test_smallest_face_is_respected(mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    assert len(mtcnn.detect([astronaut], minimum_size=60)[0]) == 1
    assert mtcnn.detect([astronaut], minimum_size=200) == [[]]


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (7, 6), (1, 1)])
def test_the_maxima_of_two_by_two_are_those_of_torch(size: tuple[int, int]) -> None:
    values = torch.randn(2, 5, *size, generator=torch.Generator().manual_seed(0))
    expected = functional.max_pool2d(values, 2, 2, ceil_mode=True)
    assert torch.equal(_pool(values), expected)
    assert torch.equal(_pool(values.contiguous(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize(
    ("count", "most", "workers", "lengths"),
    [(128, 16, 2, [16] * 8), (24, 16, 2, [12, 12]), (10, 16, 2, [5, 5]), (6, 16, 2, [6]), (7, 3, 1, [2, 2, 3])],
)
def test_a_batch_is_shared_evenly(count: int, most: int, workers: int, lengths: list[int]) -> None:
    parts = shares(count, most, workers)
    assert [part.stop - part.start for part in parts] == lengths
    assert [i for part in parts for i in range(count)[part]] == list(range(count))


def test_pnet_at_one_place_equals_pnet_on_that_window(mtcnn: MTCNN) -> None:
    image = torch.randn(1, 3, 31, 40, generator=torch.Generator().manual_seed(0))
    pnet = mtcnn._pnet
    seen = pnet(image)
    probability, classes = pnet.probability(seen), pnet.face(seen).softmax(dim=1)
    assert torch.allclose(probability, classes[:, 1], atol=1e-6)
    for row, column in ((0, 0), (4, 9), (9, 13)):
        one = pnet(image[:, :, 2 * row : 2 * row + 12, 2 * column : 2 * column + 12])
        assert one.shape == (1, 32, 1, 1)
        assert torch.allclose(pnet.probability(one)[0, 0, 0], probability[0, row, column], atol=1e-5)
        corrections = pnet.corrections(seen[:, :, row, column])
        assert torch.allclose(corrections, pnet.box(one)[:, :, 0, 0], atol=1e-5)


def test_altered_or_missing_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "mtcnn.safetensors"
    monkeypatch.setattr(module, "_WEIGHTS", copy)
    with pytest.raises(WeightsError, match="cannot read"):
        MTCNN()
    original = ROOT / "mien" / "weights" / "mtcnn.safetensors"
    copy.write_bytes(original.read_bytes()[:-1] + b"\x07")
    copy.with_suffix(".json").write_bytes(original.with_suffix(".json").read_bytes())
    with pytest.raises(WeightsError, match="not the file"):
        MTCNN()


def test_weights_equal_those_of_the_wheel() -> None:
    for package in ("mtcnn", "joblib", "lz4"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"`{package}` is not installed: pip install --no-deps mtcnn==1.0.0; pip install joblib lz4")
    joblib = importlib.import_module("joblib")
    spec = importlib.util.spec_from_file_location("convert_mtcnn", ROOT / "scripts" / "convert_mtcnn.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    ours = load_file(ROOT / "mien" / "weights" / "mtcnn.safetensors")
    assert {n: t.tobytes() for n, t in script.read_wheel(script.source_folder()).items()} == {
        n: t.tobytes() for n, t in ours.items()
    }
    # Independent of the script's own mapping: Keras' kernel[i, j, c_in, c_out] is PyTorch's kernel[c_out, c_in, i, j].
    first = joblib.load(script.source_folder() / "onet.lz4")
    assert ours["onet.conv1.weight"][7, 2, 0, 1] == first[0][0, 1, 2, 7]
    assert ours["onet.dense.weight"][11, 100] == first[12][100, 11]


def test_batches_and_single_images_give_the_same_faces(mtcnn: MTCNN, astronaut: np.ndarray) -> None:
    images = [np.ascontiguousarray(astronaut[i : i + 256, 90 + i : 346 + i]) for i in range(0, 40, 4)]
    for together, image in zip(mtcnn.detect(images), images, strict=True):
        (alone,) = mtcnn.detect([image])
        assert len(together) == len(alone) == 1
        assert np.abs(together[0].landmarks - alone[0].landmarks).max() < 1e-3
        assert together[0].confidence == pytest.approx(alone[0].confidence, abs=1e-4)


def test_several_threads_find_what_one_finds_and_leave_the_number_of_threads_as_it_was(
    mtcnn: MTCNN, astronaut: np.ndarray
) -> None:
    photos = [np.roll(astronaut, 8 * shift, axis=1)[:, :480] for shift in range(8)]
    alone = mtcnn.detect(photos)
    torch.set_num_threads(2)
    try:
        together = mtcnn.detect(photos)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert [len(faces) for faces in together] == [len(faces) for faces in alone] and all(alone)
    for (one, *_), (other, *_) in zip(alone, together, strict=True):
        assert np.allclose(one.landmarks, other.landmarks, atol=0.01)


def test_one_threshold_sets_the_three_stages() -> None:
    # The first two only propose: they may not throw away what the last is to judge.
    assert MTCNN(threshold=0.9).thresholds == (0.6, 0.7, 0.9)
    assert MTCNN(threshold=0.3).thresholds == (0.3, 0.3, 0.3)
    assert MTCNN(thresholds=(0.5, 0.6, 0.8), minimum_size=30).settings == {
        "thresholds": [0.5, 0.6, 0.8], "minimum_size": 30, "scale_factor": 0.709, "longest_side": 1280,
    }  # fmt: skip


@pytest.mark.parametrize(
    "option",
    [
        {"thresholds": (0.6, 0.7, 70.0)},
        {"threshold": 1.5},
        {"scale_factor": 1.0},
        {"minimum_size": 0},
        {"longest_side": 3},
    ],
)
def test_settings_out_of_range_are_refused(option: dict) -> None:
    with pytest.raises(ConfigError, match="threshold" if "threshold" in next(iter(option)) else next(iter(option))):
        MTCNN(**option)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return facenet-pytorch's MTCNN, with what it needs of torchvision where that cannot be imported."""
    if importlib.util.find_spec("facenet_pytorch") is None:
        pytest.skip("`facenet_pytorch` is not installed: pip install --no-deps facenet-pytorch==2.6.0")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    stand_in = importlib.import_module("facenet_stand_in").stand_in
    for name, stub in stand_in().items():
        monkeypatch.setitem(sys.modules, name, stub)
    return importlib.import_module("facenet_pytorch").MTCNN(keep_all=True, thresholds=[0.6, 0.7, 0.7])


def test_boxes_agree_with_another_implementation(mtcnn: MTCNN, astronaut: np.ndarray, other: Any) -> None:
    images = [astronaut, np.ascontiguousarray(astronaut[:300, 60:400]), resize(astronaut, (384, 384))]
    for image, faces in zip(images, mtcnn.detect(images), strict=True):
        boxes, confidences, points = other.detect(Image.fromarray(image), landmarks=True)
        assert len(boxes) == len(faces) == 1
        assert overlap(np.array(faces[0].box), boxes[0]) > 0.9
        assert np.abs(faces[0].landmarks - points[0]).max() < 3
        assert faces[0].confidence == pytest.approx(confidences[0], abs=0.02)
