"""Detection, alignment and paste-back against closed forms, hand-worked cases and one real portrait."""

from __future__ import annotations

import importlib.util
import io
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from mien.errors import ConfigError, FaceError, WeightsError
from mien.faces import (
    FACE_TEMPLATE,
    Alignment,
    align_batch,
    crop_face,
    estimate_alignment,
    load_detector,
    mtcnn,
    paste_face,
)
from mien.faces.detection import suppress
from mien.faces.mtcnn import MTCNN, _CandidateCrops
from mien.images import read_image, resize

ROOT = Path(__file__).parent.parent
#: Eyes, nose and corners of the mouth of assets/astronaut.png, read off the enlarged picture by eye.
ASTRONAUT = np.array([[204.0, 101.0], [247.0, 103.0], [224.0, 129.0], [202.0, 140.0], [245.0, 141.0]])


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return read_image(ROOT / "assets" / "astronaut.png")


@pytest.fixture(scope="module")
def detector() -> MTCNN:
    return MTCNN()


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    cosine, sine = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def square_alignment(x0: float, y0: float, side: float) -> Alignment:
    """An upright square of the photo."""
    return Alignment(np.array([[1 / side, 0.0, -x0 / side], [0.0, 1 / side, -y0 / side]]))


# ---------------------------------------------------------------------------------------------------- detection


def test_the_portrait_has_one_face_where_it_is(detector: MTCNN, astronaut: np.ndarray) -> None:
    (faces,) = detector.detect([astronaut])
    assert len(faces) == 1
    x0, y0, x1, y1 = faces[0].box
    assert 160 < x0 < 190
    assert 50 < y0 < 80
    assert 255 < x1 < 285
    assert 165 < y1 < 195
    assert faces[0].confidence > 0.99
    assert np.abs(faces[0].landmarks - ASTRONAUT).max() < 4


def test_a_mirrored_photo_gives_mirrored_landmarks(detector: MTCNN, astronaut: np.ndarray) -> None:
    (plain,), (mirrored,) = detector.detect([astronaut, np.ascontiguousarray(astronaut[:, ::-1])])
    expected = plain.landmarks[[1, 0, 2, 4, 3]] * [-1, 1] + [astronaut.shape[1], 0]
    assert np.abs(mirrored.landmarks - expected).max() < 3


def test_large_photos_and_batches_give_the_same_faces(detector: MTCNN, astronaut: np.ndarray) -> None:
    large = resize(astronaut, (1536, 1536))
    grey = np.full_like(astronaut, 90)
    two = np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)
    found = detector.detect([grey, large, astronaut, two, astronaut[:3, :3]])
    assert [len(faces) for faces in found] == [0, 1, 1, 2, 0]
    assert np.abs(found[1][0].landmarks / 3 - ASTRONAUT).max() < 4
    alone = detector.detect([astronaut])[0][0]
    assert np.allclose(found[2][0].landmarks, alone.landmarks, atol=0.01)
    assert found[3][0].area >= found[3][1].area
    assert detector.detect([]) == []


def test_smallest_face_is_respected(detector: MTCNN, astronaut: np.ndarray) -> None:
    assert len(detector.detect([astronaut], minimum_size=60)[0]) == 1
    assert detector.detect([astronaut], minimum_size=200) == [[]]


def test_pnet_at_one_place_equals_pnet_on_that_window(detector: MTCNN) -> None:
    image = torch.randn(1, 3, 31, 40, generator=torch.Generator().manual_seed(0))
    probability, box = detector._pnet(image)
    for row, column in ((0, 0), (4, 9), (9, 13)):
        window = image[:, :, 2 * row : 2 * row + 12, 2 * column : 2 * column + 12]
        one, one_box = detector._pnet(window)
        assert one.shape == (1, 1, 1)
        assert torch.allclose(one[0, 0, 0], probability[0, row, column], atol=1e-5)
        assert torch.allclose(one_box[0, :, 0, 0], box[0, :, row, column], atol=1e-5)


def test_candidate_crops_are_area_means() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 9, 11, 3)).astype(np.float64)
    boxes = np.array([[2.0, 1.0, 8.0, 7.0], [0.3, 1.7, 7.9, 9.3], [-4.0, 5.0, 8.0, 17.0]])
    owners = np.array([1, 0, 1])
    cut = _CandidateCrops(torch.from_numpy(images).permute(0, 3, 1, 2).float()).cut(owners, boxes, 3)
    for crop, owner, (x0, y0, x1, y1) in zip(cut, owners, boxes, strict=True):
        for row in range(3):
            for column in range(3):
                left, right = (x0 + (x1 - x0) * k / 3 for k in (column, column + 1))
                top, bottom = (y0 + (y1 - y0) * k / 3 for k in (row, row + 1))
                # How much of each pixel the cell covers; beyond the image there is black.
                across = [max(0.0, min(right, x + 1) - max(left, x)) for x in range(11)]
                down = [max(0.0, min(bottom, y + 1) - max(top, y)) for y in range(9)]
                mean = np.einsum("y,x,yxc->c", down, across, images[owner]) / ((right - left) * (bottom - top))
                assert np.allclose(crop[:, row, column], (mean - 127.5) / 128, atol=1e-4)


def test_suppress_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [5, 0, 15, 10], [0, 0, 10, 10], [4, 4, 6, 6.0]])
    scores = np.array([0.6, 0.9, 0.8, 0.5, 0.7])
    groups = np.array([0, 0, 0, 1, 0])
    # Group 0 by score: box 1; box 2 overlaps it 40 / 140; box 4 (area 4) 4 / 80; box 0 overlaps box 1 80 / 100.
    assert suppress(boxes, scores, groups, 0.5).tolist() == [1, 2, 4, 3]
    assert suppress(boxes, scores, groups, 0.8).tolist() == [1, 2, 4, 0, 3]
    # Of the smaller: box 2 shares 40 / 80 with box 1; box 4 lies in box 1 wholly.
    assert suppress(boxes, scores, groups, 0.5, of_smaller=True).tolist() == [1, 2, 3]
    assert suppress(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), 0.5).tolist() == []


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="thresholds"):
        MTCNN(thresholds=(0.6, 0.7, 70.0))
    with pytest.raises(ConfigError, match="scale_factor"):
        MTCNN(scale_factor=1.0)
    assert isinstance(load_detector("mtcnn"), MTCNN)


def test_altered_or_missing_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "mtcnn.safetensors"
    monkeypatch.setattr(mtcnn, "_WEIGHTS", copy)
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


# ---------------------------------------------------------------------------------------------------- alignment


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"), [(0.01, 0, (0.2, -0.1)), (0.004, 31, (-1, 2)), (3, -170, (0, 0))]
)
def test_a_known_similarity_is_recovered(scale: float, degrees: float, shift: tuple[float, float]) -> None:
    truth = similarity(scale, degrees, shift)
    back = Alignment(truth).inverse
    found = estimate_alignment(apply(back, FACE_TEMPLATE))
    assert np.allclose(found.matrix, truth, atol=1e-9)
    assert found.side == pytest.approx(1 / scale)
    assert np.allclose(found.to_crop(found.to_photo(ASTRONAUT)), ASTRONAUT)
    assert np.allclose(apply(found.inverse, apply(found.matrix, ASTRONAUT)), ASTRONAUT)


def test_the_estimate_is_the_least_squares_optimum() -> None:
    # A similarity without reflection is linear in (a, b, tx, ty): x' = a x - b y + tx, y' = b x + a y + ty.
    rows, targets = [], []
    for (x, y), (u, v) in zip(ASTRONAUT, FACE_TEMPLATE, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        targets += [u, v]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
    fitted = estimate_alignment(ASTRONAUT).matrix
    # Umeyama minimises the same error, photo to template, so both must agree.
    assert np.allclose(fitted, [[a, -b, tx], [b, a, ty]], atol=1e-9)


def test_mirrored_landmarks_are_not_reflected() -> None:
    matrix = estimate_alignment(FACE_TEMPLATE + np.array([0.0, 0.02]) * np.arange(5)[:, None]).matrix
    assert np.linalg.det(matrix[:, :2]) > 0
    with pytest.raises(FaceError, match="do not form a face"):
        estimate_alignment(np.array([[0.5, 0.0], [0.5, 1.0], [0.0, 0.5], [0.5, 0.4], [0.5, 0.6]]) * 80)


def test_degenerate_landmarks_are_refused() -> None:
    for points in (np.full((5, 2), 7.0), np.full((5, 2), np.nan)):
        with pytest.raises(FaceError, match="one point"):
            estimate_alignment(points)


def test_template_is_symmetric_and_inside() -> None:
    assert np.allclose(FACE_TEMPLATE[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0], FACE_TEMPLATE)
    assert (FACE_TEMPLATE > 0.2).all()
    assert (FACE_TEMPLATE < 0.8).all()


# ---------------------------------------------------------------------------------------------------- crop and paste


@pytest.mark.parametrize("degrees", [0, 25, -90])
@pytest.mark.parametrize("side", [40.0, 97.3, 350.0])
def test_crop_of_a_linear_picture_is_that_linear_function(side: float, degrees: float) -> None:
    y, x = np.mgrid[:400, :420] + 0.5
    photo = np.stack([0.5 * x + 10, 0.5 * y + 20, 0.2 * x + 0.3 * y], axis=-1)
    centre = np.array([205.0, 190.0])
    rotated = similarity(1 / side, degrees, (0, 0))
    alignment = Alignment(np.column_stack([rotated[:, :2], 0.5 - rotated[:, :2] @ centre]))
    size = 64
    crop = crop_face(np.rint(photo).astype(np.uint8), alignment, size).astype(float)
    middle = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2) + 0.5
    u, v = alignment.to_photo(middle / size).T
    expected = np.stack([0.5 * u + 10, 0.5 * v + 20, 0.2 * u + 0.3 * v], axis=-1).reshape(size, size, 3)
    inside = ((u > 4) & (u < 416) & (v > 4) & (v < 396)).reshape(size, size)
    assert inside.mean() > 0.7
    assert np.abs(crop - expected)[inside].max() < 1.5  # the photo, the shrunk photo and the crop are each rounded
    assert abs((crop - expected)[inside].mean()) < 0.25  # and none is truncated, which would show as 0.5


def test_crop_of_whole_pixels_is_a_slice_and_repeats_the_edge() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (40, 50, 3), np.uint8)
    assert np.array_equal(crop_face(photo, square_alignment(7, 5, 16), 16), photo[5:21, 7:23])
    beyond = crop_face(photo, square_alignment(-6, 30, 16), 16)
    assert np.array_equal(beyond, np.pad(photo, ((0, 6), (6, 0), (0, 0)), mode="edge")[30:46, :16])


def test_shrinking_does_not_alias() -> None:
    photo = np.zeros((512, 512, 3), np.uint8)
    photo[:, ::2] = 200
    assert np.abs(crop_face(photo, square_alignment(0, 0, 512), 32)[:, 2:-2].astype(int) - 100).max() <= 2


def test_an_unedited_crop_returns_the_photo_exactly(astronaut: np.ndarray) -> None:
    alignment = estimate_alignment(ASTRONAUT)
    for size in (48, 128, 256):
        crop = crop_face(astronaut, alignment, size)
        assert np.array_equal(paste_face(astronaut, alignment, crop, crop), astronaut)


def test_an_edit_is_added_inside_and_nothing_changes_outside(astronaut: np.ndarray) -> None:
    before = astronaut.copy()
    alignment = estimate_alignment(ASTRONAUT)
    crop = crop_face(astronaut, alignment, 128).astype(np.float32)
    pasted = paste_face(astronaut, alignment, crop, crop - 30, feather=0.1)
    assert np.array_equal(astronaut, before)
    y, x = np.mgrid[:512, :512] + 0.5
    u, v = alignment.to_crop(np.stack([x, y], axis=-1).reshape(-1, 2)).T.reshape(2, 512, 512)
    depth = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    assert np.array_equal(pasted[depth <= 0], astronaut[depth <= 0])
    whole = depth >= 0.1
    assert whole.sum() > 5000
    assert np.array_equal(pasted[whole], np.maximum(astronaut[whole].astype(int) - 30, 0))
    # Half way through the feather on one side only, the smooth step is one half.
    half = (np.abs(np.minimum(u, 1 - u) - 0.05) < 0.002) & (np.abs(v - 0.5) < 0.35) & (astronaut.min(axis=-1) > 30)
    assert half.any()
    assert np.abs(astronaut[half].astype(int) - pasted[half] - 15).max() <= 2


@pytest.mark.parametrize("side", [30.0, 200.0])
def test_a_smooth_edit_arrives_where_it_was_made(side: float) -> None:
    # A crop's edit 40 u + 20 v (u, v in the unit square) must appear in the photo as the same function.
    photo = np.full((260, 260, 3), 90, np.uint8)
    alignment = square_alignment(21.4, 30.2, side)
    middle = (np.arange(64) + 0.5) / 64
    edit = (40 * middle[None, :] + 20 * middle[:, None])[..., None].repeat(3, axis=2)
    pasted = paste_face(photo, alignment, np.zeros((64, 64, 3)), edit)
    y, x = np.mgrid[:260, :260] + 0.5
    u, v = (x - 21.4) / side, (y - 30.2) / side
    inside = (np.minimum(u, 1 - u) > 0.13) & (np.minimum(v, 1 - v) > 0.13)
    assert np.abs(pasted[..., 0] - (90 + 40 * u + 20 * v))[inside].max() < 0.8


def test_crop_paste_crop_round_trip(astronaut: np.ndarray) -> None:
    alignment = estimate_alignment(ASTRONAUT)
    crop = crop_face(astronaut, alignment, 64).astype(np.float32)
    y, x = np.mgrid[:64, :64] / 64
    edited = (crop + 25 * np.sin(2 * np.pi * x)[..., None] * np.cos(2 * np.pi * y)[..., None]).clip(0, 255)
    again = crop_face(paste_face(astronaut, alignment, crop, edited), alignment, 64)
    assert np.abs(again - edited)[12:-12, 12:-12].mean() < 1.5


def test_a_face_beyond_the_photos_edge_is_pasted_as_far_as_it_is_there() -> None:
    photo = np.full((50, 60, 3), 100, np.uint8)
    for x0, y0 in ((-20.0, -15.0), (45.0, 30.0)):
        pasted = paste_face(photo, square_alignment(x0, y0, 40), np.zeros((32, 32, 3)), np.full((32, 32, 3), 50.0))
        assert pasted.shape == photo.shape
        assert pasted.max() == 150
    far = paste_face(photo, square_alignment(500, 500, 40), np.zeros((32, 32, 3)), np.full((32, 32, 3), 50.0))
    assert np.array_equal(far, photo)


def test_a_twelve_megapixel_photo_is_pasted_fast() -> None:
    photo = np.zeros((3000, 4000, 3), np.uint8)
    start = time.process_time()
    paste_face(photo, square_alignment(1000, 900, 700), np.zeros((128, 128, 3)), np.full((128, 128, 3), 50.0))
    assert time.process_time() - start < 1.0


# ---------------------------------------------------------------------------------------------------- pre-cropped sets


def test_align_batch_brings_landmarks_to_the_template(detector: MTCNN, astronaut: np.ndarray) -> None:
    tight = astronaut[55:180, 165:285]
    small = resize(tight, (60, 58))
    blank = np.full((64, 64, 3), 127, np.uint8)
    aligned = align_batch(detector, [tight, small, blank], size=112)
    assert aligned[2] == "no face found"
    whole = crop_face(astronaut, estimate_alignment(ASTRONAUT), 112)
    for crop in aligned[:2]:
        assert isinstance(crop, np.ndarray)
        assert (crop.shape, crop.dtype) == ((112, 112, 3), np.uint8)
        assert np.abs(crop.astype(int) - whole)[25:100, 20:92].mean() < 12  # the same face at the same place
        (face, *_) = detector.detect([np.pad(crop, ((40, 40), (40, 40), (0, 0)), mode="edge")])[0]
        assert np.abs((face.landmarks - 40) / 112 - FACE_TEMPLATE).max() < 0.05


def test_align_batch_refuses_what_is_mostly_outside(detector: MTCNN, astronaut: np.ndarray) -> None:
    (reason,) = align_batch(detector, [astronaut[75:165, 175:275]], size=48, largest_outside=0.0)
    assert isinstance(reason, str)
    assert "outside the picture" in reason
    assert align_batch(detector, [], size=48) == []


def test_most_of_fer2013_is_found(detector: MTCNN) -> None:
    folder = os.environ.get("MIEN_TEST_DATA")
    if not folder:
        pytest.skip("MIEN_TEST_DATA is not set: a folder that holds fer2013/validation.parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(Path(folder) / "fer2013" / "validation.parquet", columns=["image"]).slice(0, 128)
    images = [read_image(io.BytesIO(row["bytes"])) for row in table["image"].to_pylist()]
    crops = align_batch(detector, images, size=48)
    assert np.mean([isinstance(crop, np.ndarray) for crop in crops]) > 0.75


def test_a_detector_says_what_it_was_set_to() -> None:
    settings = MTCNN(thresholds=(0.5, 0.6, 0.8), minimum_size=30).settings
    assert settings == {
        "thresholds": [0.5, 0.6, 0.8], "minimum_size": 30, "scale_factor": 0.709, "longest_side": 1280,
    }  # fmt: skip
