"""Alignment and crops against closed forms, hand-worked cases and one real portrait."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image
from portrait import ASTRONAUT

from mien.errors import FaceError
from mien.faces import FACE_TEMPLATE, Alignment, crop_face, estimate_alignment


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    cosine, sine = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def square_alignment(x0: float, y0: float, side: float) -> Alignment:
    """An upright square of the photo."""
    return Alignment(np.array([[1 / side, 0.0, -x0 / side], [0.0, 1 / side, -y0 / side]]))


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


def test_the_frame_tells_where_the_picture_ends_in_the_crop() -> None:
    """White pictures of a black surrounding: what is white in the crop is where the frame's map stays within 0 and 1."""
    surrounded = np.zeros((300, 300, 3), np.uint8)
    surrounded[100:180, 110:200] = 255  # a picture 90 wide, 80 high
    for degrees, scale in ((0, 1 / 90), (20, 1 / 120), (-33, 1 / 100)):
        inverse = Alignment(similarity(scale, degrees, (0.0, 0.0))).inverse
        shift = np.array([0.45, 0.6]) - similarity(scale, degrees, (0, 0))[:, :2] @ [45, 40]
        alignment = Alignment(similarity(scale, degrees, (shift[0], shift[1])))
        frame = alignment.frame(90, 80)
        assert frame is not None and np.isclose(inverse[0, 0] / 90, frame[0])
        moved = shift - alignment.matrix[:, :2] @ [110, 100]
        crop = crop_face(surrounded, Alignment(np.column_stack([alignment.matrix[:, :2], moved])), 64)[..., 0]
        x, y = np.meshgrid(*[(np.arange(64) + 0.5) / 64] * 2)
        u, v = (a * x + b * y + c for a, b, c in (frame[:3], frame[3:]))
        within = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
        assert 0.3 < within.mean() < 0.9
        assert ((crop > 127) != within).mean() < 0.01


def test_a_crop_inside_its_picture_has_no_frame() -> None:
    assert square_alignment(10, 20, 50).frame(100, 100) is None
    assert square_alignment(0, 0, 100).frame(100, 100) is None
    assert square_alignment(60, 20, 50).frame(100, 100) == pytest.approx((0.5, 0, 0.6, 0, 0.5, 0.2))  # 10 px beyond


def test_template_is_symmetric_and_inside() -> None:
    assert np.allclose(FACE_TEMPLATE[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0], FACE_TEMPLATE)
    assert (FACE_TEMPLATE > 0.2).all()
    assert (FACE_TEMPLATE < 0.8).all()


# ---------------------------------------------------------------------------------------------------- crops


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


@pytest.mark.parametrize("side", [512, 600, 777])
def test_a_photo_of_another_resolution_gives_the_same_crop(astronaut: np.ndarray, side: int) -> None:
    """Wherever the crop's grid falls between the pixels; interpolating on that grid itself cost 1.0 to 1.6 levels."""
    large = np.asarray(Image.fromarray(astronaut).resize((1024, 1024), Image.Resampling.BICUBIC))
    small = np.asarray(Image.fromarray(large).resize((side, side), Image.Resampling.LANCZOS))
    matrix = np.column_stack([similarity(1 / 260, 4, (0, 0))[:, :2], [-1.11, -0.43]])
    crops = [
        crop_face(photo, Alignment(matrix * [[1024 / len(photo), 1024 / len(photo), 1.0]]), 52).astype(int)
        for photo in (large, small)
    ]
    assert np.ptp(crops[0]) > 150
    assert np.abs(crops[0] - crops[1]).mean() < 0.85
