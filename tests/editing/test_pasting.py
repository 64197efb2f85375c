"""An edit comes back into the photo where it was made, fades out towards the crop's border, and ends there."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from mien.conditions import Condition
from mien.editing import Editor, Face, Rendering
from mien.faces import Alignment, Detection
from mien.warping import EditMaps

#: Share of the crop's side over which edits fade out (`mien.editing.photo`).
FADE = 0.05
SIZE = 128


def square(x0: float, y0: float, side: float, degrees: float = 0.0) -> Alignment:
    """Return the crop whose square begins at a place of the photo, turned about that place."""
    cosine, sine = np.cos(np.radians(degrees)) / side, np.sin(np.radians(degrees)) / side
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return Alignment(np.column_stack([turn, -turn @ [x0, y0]]))


def paste(photo: np.ndarray, alignment: Alignment, delta: np.ndarray) -> np.ndarray:
    """Add light, float (size, size) in grey levels, to the crop of a photo; an editor needs no model for that."""
    detection = Detection((0, 0, 1, 1), 1.0, np.zeros((5, 2)))
    face = Face(detection, alignment, np.zeros((SIZE, SIZE, 3), np.uint8))
    maps = EditMaps(np.zeros((2, *delta.shape), np.float32), (delta[None] / 127.5).astype(np.float32))
    return Editor.paste(cast(Any, None), photo, [Rendering(face, Condition.named("neutral"), maps)])


def places(photo: np.ndarray, alignment: Alignment) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pixels' centres lie in the crop's unit square."""
    height, width = photo.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = alignment.to_crop(np.stack([x, y], axis=-1).reshape(-1, 2)).T.reshape(2, height, width)
    return u, v


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 200, (300, 320, 3), np.uint8)


@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_an_edit_is_added_inside_and_nothing_changes_outside(noise: np.ndarray, degrees: float) -> None:
    alignment = square(90.3, 40.6, 180.0, degrees)
    before = noise.copy()
    pasted = paste(noise, alignment, np.full((SIZE, SIZE), -30.0))
    assert np.array_equal(noise, before)
    u, v = places(noise, alignment)
    depth = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    assert np.array_equal(pasted[depth <= 0], noise[depth <= 0])
    whole = depth >= FADE + 1.5 / SIZE  # and a pixel of the maps, between which the window is interpolated
    assert whole.sum() > 20_000
    assert np.array_equal(pasted[whole], noise[whole] - 30)
    # Half way through the fading on one side only, the smooth step is one half.
    half = (np.abs(np.minimum(u, 1 - u) - FADE / 2) < 0.002) & (np.abs(v - 0.5) < 0.4)
    assert half.any()
    assert np.abs(noise[half].astype(int) - pasted[half] - 15).max() <= 2


@pytest.mark.parametrize("side", [30.0, 200.0])
def test_a_smooth_edit_arrives_where_it_was_made(side: float) -> None:
    """Light of 40 u + 20 v (u, v in the unit square) must appear in the photo as the same function."""
    photo = np.full((260, 260, 3), 90, np.uint8)
    middle = (np.arange(SIZE) + 0.5) / SIZE
    alignment = square(21.4, 30.2, side)
    pasted = paste(photo, alignment, 40 * middle[None, :] + 20 * middle[:, None])
    u, v = places(photo, alignment)
    inside = (np.minimum(u, 1 - u) > 0.07) & (np.minimum(v, 1 - v) > 0.07)
    assert inside.sum() > 600
    assert np.abs(pasted[..., 0] - (90 + 40 * u + 20 * v))[inside].max() < 0.8


def test_a_face_beyond_the_photos_edge_is_pasted_as_far_as_it_is_there() -> None:
    photo = np.full((50, 60, 3), 100, np.uint8)
    light = np.full((SIZE, SIZE), 50.0)
    for x0, y0 in ((-20.0, -15.0), (45.0, 30.0)):
        alignment = square(x0, y0, 40.0)
        pasted = paste(photo, alignment, light)
        u, v = places(photo, alignment)
        depth = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
        assert pasted.shape == photo.shape and (depth > 0.1).sum() > 150
        assert (pasted[depth > 0.1] == 150).all() and (pasted[depth <= 0] == 100).all()
    assert np.array_equal(paste(photo, square(500, 500, 40.0), light), photo)
