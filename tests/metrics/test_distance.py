"""Change inside and outside the face, in grey levels, by hand; and the ellipse lies where faces are aligned to."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.faces.align import FACE_TEMPLATE
from mien.metrics.distance import FACE_CENTRE, FACE_HALF_AXES, change_measures, face_mask, image_change, mirror_error


def test_a_change_of_known_size_at_a_known_place() -> None:
    mask = face_mask(32)
    originals = np.zeros((3, 2, 32, 32), np.float32)
    edited = originals.copy()
    edited[1][:, mask] = 0.2
    edited[2, 0][~mask] = -0.4  # of one of two channels
    inside, outside = image_change(originals, edited, mask)
    assert inside == pytest.approx([0, 0.2 * 127.5, 0], abs=1e-5)
    assert outside == pytest.approx([0, 0, 0.2 * 127.5], abs=1e-5)


def test_the_ellipse_is_where_the_template_says() -> None:
    (left, right, nose, mouth_left, mouth_right), centre = FACE_TEMPLATE, np.array(FACE_CENTRE)
    half = np.array(FACE_HALF_AXES)
    for point in FACE_TEMPLATE:
        assert (((point - centre) / half) ** 2).sum() < 0.8
    between, down = right[0] - left[0], mouth_left[1] - left[1]
    assert FACE_CENTRE[0] == nose[0] == (mouth_left[0] + mouth_right[0]) / 2
    assert 2 * FACE_HALF_AXES[0] == pytest.approx(2.2 * between, abs=0.01)
    assert FACE_CENTRE[1] + FACE_HALF_AXES[1] == pytest.approx(mouth_left[1] + 2 / 3 * down, abs=0.01)
    assert FACE_CENTRE[1] - FACE_HALF_AXES[1] == pytest.approx(0.10)


@pytest.mark.parametrize("size", [48, 64, 128])
def test_the_mask_has_the_ellipse_s_area_and_is_symmetric(size: int) -> None:
    mask = face_mask(size)
    assert mask.mean() == pytest.approx(np.pi * FACE_HALF_AXES[0] * FACE_HALF_AXES[1], abs=0.01)
    assert (mask == mask[:, ::-1]).all()


def test_means_and_intervals_count_faces() -> None:
    inside, outside = np.array([1.0, 3.0, 5.0, 7.0]), np.zeros(4)
    background, face = change_measures(inside, outside, np.array([0, 0, 1, 1]))
    assert (background.measure, background.value, background.low, background.high) == ("background-change", 0, 0, 0)
    assert (face.measure, face.value, face.n, face.details["faces"]) == ("face-change", 4.0, 4, 2)
    assert (face.low, face.high) == (2.0, 6.0)  # of two faces, one drawn twice


def test_mirror_error_is_a_mean_over_edits_with_its_faces_and_reason() -> None:
    found = mirror_error(np.array([1.0, 3.0, 5.0, 7.0]), np.array([0, 0, 1, 1]))
    assert (found.measure, found.value, found.low, found.high, found.n) == ("mirror-error", 4.0, 2.0, 6.0, 4)
    assert mirror_error(np.zeros(0), np.zeros(0), reason="it edits nothing").undefined == "it edits nothing"
    assert "1 of 2" in str(mirror_error(np.array([1.0, np.inf]), np.arange(2)).undefined)


def test_nothing_and_broken_edits_are_undefined() -> None:
    assert [m.value for m in change_measures(np.zeros(0), np.zeros(0), np.zeros(0))] == [None, None]
    originals = np.zeros((2, 1, 16, 16), np.float32)
    edited = originals.copy()
    edited[1] = np.nan
    made = change_measures(*image_change(originals, edited, face_mask(16)), np.arange(2))
    assert [m.undefined for m in made] == ["1 of 2 edits hold values that are no numbers"] * 2


def test_what_does_not_belong_together_is_refused() -> None:
    images = np.zeros((2, 3, 16, 16))
    with pytest.raises(ConfigError, match="do not belong together"):
        image_change(images, images[:1], face_mask(16))
    with pytest.raises(ConfigError, match="do not belong together"):
        image_change(images, images, face_mask(32))
    with pytest.raises(ConfigError, match="no inside or no outside"):
        image_change(images, images, np.ones((16, 16), bool))
    with pytest.raises(ConfigError, match="changes and faces"):
        change_measures(np.zeros(3), np.zeros(3), np.zeros(2))
