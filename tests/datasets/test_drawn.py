"""Drawn faces: the picture shows what its parameters say."""

from __future__ import annotations

import numpy as np
import pytest

from mien.datasets import Sample, drawn
from mien.datasets.drawn import CROP, DIRECTIONS, DrawnFace, Muscles, draw, express, identity, landmarks
from mien.errors import ConfigError
from mien.expressions import BASIC

PEOPLE = range(3)


def test_every_basic_expression_has_a_direction_and_neutral_has_none() -> None:
    assert tuple(DIRECTIONS) == BASIC
    assert DIRECTIONS["neutral"] == Muscles()


def test_intensities_scale_and_blends_add() -> None:
    # Worked by hand: happy lifts the corners by 1, sad lowers them by 1; only sad tilts the brows, by 1.
    both = express({"happy": 0.5, "sad": 0.25})
    assert both.corner_lift == pytest.approx(0.25)
    assert both.brow_tilt == pytest.approx(0.25)
    assert both.cheek_raise == pytest.approx(0.5)
    assert express({"happy": 0.0, "neutral": 1.0}) == Muscles()


def test_same_face_same_bytes_and_other_people_other_faces() -> None:
    face = DrawnFace(identity(5), express({"fear": 0.7}))
    np.testing.assert_array_equal(draw(face, 48), draw(DrawnFace(identity(5), express({"fear": 0.7})), 48))
    assert identity(5) != identity(6)
    assert np.abs(draw(face, 48).astype(int) - draw(DrawnFace(identity(6), face.muscles), 48)).mean() > 5


def test_a_stronger_expression_is_further_from_neutral() -> None:
    for person in PEOPLE:
        neutral = draw(DrawnFace(identity(person), Muscles()), 48, CROP).astype(float)
        for name in BASIC[1:]:
            steps = [DrawnFace(identity(person), express({name: i})) for i in (0.0, 0.25, 0.5, 0.75, 1.0)]
            distances = [np.abs(draw(face, 48, CROP) - neutral).mean() for face in steps]
            assert distances == sorted(distances), name
            assert distances[0] == 0
            assert distances[-1] > 2, name


def test_expressions_are_further_apart_than_a_step_of_intensity() -> None:
    # At 48 pixels each face of full intensity is nearest to a weaker one of its own expression, not to another's.
    for person in PEOPLE:
        strong = {n: draw(DrawnFace(identity(person), express({n: 1.0})), 48, CROP).astype(float) for n in BASIC}
        weaker = {n: draw(DrawnFace(identity(person), express({n: 0.75})), 48, CROP).astype(float) for n in BASIC}
        for name, image in strong.items():
            nearest = min(BASIC, key=lambda other, image=image: np.abs(weaker[other] - image).mean())
            assert nearest == name


def test_landmarks_move_as_the_muscles_say() -> None:
    rest = landmarks(DrawnFace(identity(1), Muscles()), 100)
    assert rest[0, 0] + rest[1, 0] == pytest.approx(100)  # symmetric about the middle
    smile = landmarks(DrawnFace(identity(1), express({"happy": 1.0})), 100)
    assert (smile[3:, 1] < rest[3:, 1]).all()  # corners up
    assert smile[4, 0] - smile[3, 0] > rest[4, 0] - rest[3, 0]  # and apart
    frown = landmarks(DrawnFace(identity(1), express({"sad": 1.0})), 100)
    assert (frown[3:, 1] > rest[3:, 1]).all()
    np.testing.assert_array_equal(smile[:2], rest[:2])  # eyes stay


def test_landmarks_lie_where_the_picture_has_them() -> None:
    # The pupil is the darkest thing near an eye: its centre of darkness must be at the landmark, in both windows.
    for person in PEOPLE:
        face = DrawnFace(identity(person), express({"surprise": 1.0}))
        for window in (drawn.PORTRAIT, CROP):
            image = draw(face, 256, window).mean(axis=2)
            y, x = np.mgrid[:256, :256] + 0.5
            for eye in landmarks(face, 256, window)[:2]:
                near = np.hypot(x - eye[0], y - eye[1]) < 0.02 * 256 / window.side
                dark = near & (image < 40)
                assert abs(x[dark].mean() - eye[0]) < 1.5
                assert abs(y[dark].mean() - eye[1]) < 2.5


def test_box_holds_the_landmarks() -> None:
    for person in PEOPLE:
        face = DrawnFace(identity(person), express({"surprise": 1.0}))
        left, top, right, bottom = drawn.box(face, 64)
        points = landmarks(face, 64)
        assert left < points[:, 0].min() < points[:, 0].max() < right
        assert top < points[:, 1].min() < points[:, 1].max() < bottom
        assert 0 <= left < right <= 64
        assert 0 <= top < bottom <= 64


def test_reader_shows_each_person_with_all_expressions() -> None:
    items = [item for item in drawn.read(count=140, size=16) if isinstance(item, Sample)]
    assert len({item.key for item in items}) == 140
    assert [item.expression for item in items[:7]] == list(BASIC)
    assert all((item.intensity == 0) == (item.expression == "neutral") for item in items)
    assert all(0.3 <= (item.intensity or 0) <= 1 for item in items if item.expression != "neutral")
    splits = {item.subject: item.split for item in items}
    assert sum(split == "validation" for split in splits.values()) == 2
    assert all(splits[item.subject] == item.split for item in items)
    assert items[3].read().shape == (16, 16, 3)


def test_reader_draws_the_same_whatever_the_count() -> None:
    short = [item for item in drawn.read(count=8, size=16, seed=3) if isinstance(item, Sample)]
    long = [item for item in drawn.read(count=30, size=16, seed=3) if isinstance(item, Sample)]
    for a, b in zip(short, long, strict=False):
        assert (a.key, a.intensity) == (b.key, b.intensity)
        np.testing.assert_array_equal(a.read(), b.read())


@pytest.mark.parametrize("wrong", [{"count": 0}, {"size": 8}, {"seed": -1}])
def test_reader_refuses_nonsense(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        drawn.read(None, **wrong)
