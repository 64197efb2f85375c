"""Spaces: what a person asks for becomes the right numbers, and back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.conditions import Condition
from mien.errors import ConditionError, WeightsError
from mien.expressions import BASIC
from mien.spaces import DiscSpace, GaussianPlane, LabelSpace, check_condition, place_of, space_from_json

#: happy at 0, sad at 120, surprise at 240 degrees.
THREE = DiscSpace(("neutral", "happy", "sad", "surprise"), (0.0, 2 * math.pi / 3, 4 * math.pi / 3))

#: Neutral at (0.2, 0), happy 0.4 to its right, sad 0.3 above it. Neutral has the widths 4 and 1, turned by a right angle.
PLANE = GaussianPlane.learned(
    np.arctanh([[0.2, 0.0], [0.6, 0.0], [0.2, 0.3]]),
    np.array([math.pi / 2, 0.0, 0.0]),
    np.array([[4.0, 1.0], [1.0, -1.0], [1.0, 1.0]]),
)
ON_PLANE = DiscSpace.on_plane(("neutral", "happy", "sad"), PLANE)

angles = st.floats(0, 2 * math.pi, exclude_max=True)
intensities = st.floats(0, 1)


@st.composite
def discs(draw: st.DrawFn) -> DiscSpace:
    """Draw a disc of seven expressions whose directions are at least 3 degrees apart, in any order."""
    gaps = np.array(draw(st.lists(st.floats(0.1, 1), min_size=6, max_size=6)))
    around = draw(angles) + np.cumsum(gaps / gaps.sum()) * 2 * math.pi
    return DiscSpace(BASIC, tuple(draw(st.permutations([float(a) % (2 * math.pi) for a in around]))))


# --- the space of labels -----------------------------------------------------------------------------------------


def test_label_codes_are_one_hot_and_move_to_neutral_with_the_intensity() -> None:
    space = LabelSpace(("neutral", "happy", "sad"))
    assert space.code(Condition.named("sad", 1.0)).tolist() == [0, 0, 1]
    assert space.code(Condition.named("sad", 0.75)).tolist() == [0.25, 0, 0.75]
    assert space.code(Condition.named("neutral", 0.3)).tolist() == pytest.approx([1, 0, 0])
    assert space.code(Condition.parse("happy:3,sad:1", 1.0)).tolist() == [0, 0.75, 0.25]


def test_label_codes_without_neutral_shrink_with_the_intensity() -> None:
    assert LabelSpace(("happy", "sad")).code(Condition.named("sad", 0.5)).tolist() == [0, 0.5]


def test_a_space_of_labels_refuses_angles_and_strangers() -> None:
    space = LabelSpace(("happy", "sad"))
    with pytest.raises(ConditionError, match="not on angles"):
        space.code(Condition.polar(0.0, 1.0))
    with pytest.raises(ConditionError, match="unknown expression `fear`"):
        space.code(Condition.named("fear"))


# --- the disc ----------------------------------------------------------------------------------------------------


def test_codes_of_the_disc_by_hand() -> None:
    half_root = math.sqrt(3) / 2
    assert THREE.code(Condition.named("happy", 0.5)).tolist() == pytest.approx([0.5, 0.0])
    assert THREE.code(Condition.named("sad", 1.0)).tolist() == pytest.approx([-0.5, half_root], abs=1e-6)
    assert THREE.code(Condition.polar(math.pi / 2, 0.4)).tolist() == pytest.approx([0.0, 0.4], abs=1e-6)
    assert THREE.code(Condition.named("neutral", 0.9)).tolist() == [0, 0]
    # Half neutral draws inwards by half; equal parts of happy and sad point half-way between them.
    assert THREE.code(Condition.parse("happy,neutral", 0.8)).tolist() == pytest.approx([0.4, 0.0])
    middle = THREE.code(Condition.parse("happy,sad", 0.6))
    assert middle.tolist() == pytest.approx([0.6 * math.cos(math.pi / 3), 0.6 * math.sin(math.pi / 3)], abs=1e-6)
    assert middle.dtype == np.float32


@given(discs(), angles, intensities)
@settings(max_examples=60, deadline=None)
def test_polar_conditions_come_back_from_their_codes(space: DiscSpace, theta: float, rho: float) -> None:
    code = space.code(Condition.polar(theta, rho))
    assert np.hypot(*code) == pytest.approx(rho, abs=1e-6)
    if rho > 0.01:
        turn = (math.atan2(code[1], code[0]) - theta + math.pi) % (2 * math.pi) - math.pi
        assert turn == pytest.approx(0.0, abs=1e-4)


@given(discs(), st.sampled_from(BASIC), intensities)
@settings(max_examples=60, deadline=None)
def test_an_expressions_own_code_is_read_as_that_expression(space: DiscSpace, name: str, rho: float) -> None:
    shares = space.shares(space.code(Condition.named(name, rho)))
    expected = {"neutral": 1 - rho, name: rho} if name != "neutral" else {"neutral": 1.0}
    for other, share in shares.items():
        assert share == pytest.approx(expected.get(other, 0.0), abs=1e-3)


@given(discs(), angles, intensities)
@settings(max_examples=60, deadline=None)
def test_shares_are_a_distribution_over_neutral_and_two_neighbours(space: DiscSpace, theta: float, rho: float) -> None:
    shares = space.shares(space.code(Condition.polar(theta, rho)))
    assert tuple(shares) == BASIC
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= -1e-12
    assert sum(share > 1e-9 for share in list(shares.values())[1:]) <= 2


def test_shares_between_neighbours_are_linear_in_the_angle_and_cross_zero() -> None:
    third = THREE.shares(THREE.code(Condition.polar(math.radians(300), 0.9)))  # half-way from surprise round to happy
    assert third == pytest.approx({"neutral": 0.1, "happy": 0.45, "sad": 0.0, "surprise": 0.45}, abs=1e-5)
    quarter = THREE.shares(THREE.code(Condition.polar(math.radians(30), 1.0)))
    assert quarter == pytest.approx({"neutral": 0.0, "happy": 0.75, "sad": 0.25, "surprise": 0.0}, abs=1e-5)


def test_opposites_cancel_out_and_say_so() -> None:
    space = DiscSpace(("neutral", "happy", "sad", "fear"), (0.0, math.pi, 1.0))
    with pytest.raises(ConditionError, match="happy and sad lie opposite each other") as error:
        space.code(Condition.parse("happy,sad"))
    assert "--angle" in error.value.hint
    with pytest.raises(ConditionError, match="cancel out"):  # neutral beside them does not hide it
        space.code(Condition.parse("happy,sad,neutral:8"))
    assert space.angle_of(Condition.parse("happy:2,sad:1")) == pytest.approx(0.0, abs=1e-9)


def test_neutral_has_no_direction() -> None:
    with pytest.raises(ConditionError, match="centre of the disc"):
        THREE.angle("neutral")


def test_angles_are_given_within_one_turn() -> None:
    space = DiscSpace(("neutral", "happy", "sad"), (-math.pi / 2, 5 * math.pi))
    assert space.angle("happy") == pytest.approx(3 * math.pi / 2)
    assert space.angle("sad") == pytest.approx(math.pi)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_disc_with_angles_that_are_no_numbers_is_refused(bad: float) -> None:
    with pytest.raises(WeightsError, match="not numbers") as error:
        DiscSpace(("neutral", "happy", "sad"), (0.0, bad))
    assert "lower learning rate" in error.value.hint


@pytest.mark.parametrize(("names", "count"), [(("happy", "neutral", "sad"), 2), (("neutral", "happy", "sad"), 3)])
def test_a_disc_needs_neutral_first_and_an_angle_for_each_other(names: tuple[str, ...], count: int) -> None:
    with pytest.raises(WeightsError, match="neutral first"):
        DiscSpace(names, (0.5,) * count)


# --- the disc on a plane of Gaussians ------------------------------------------------------------------------------


@st.composite
def planes(draw: st.DrawFn) -> GaussianPlane:
    """Draw a plane of five expressions; all but neutral lie at least 5 degrees from each other, seen from neutral."""
    unit = st.floats(0.05, 1)
    neutral = np.array([draw(st.floats(-0.9, 0.9)), draw(st.floats(-0.9, 0.9))])
    gaps = np.array([draw(unit) for _ in range(4)])
    around = draw(angles) + np.cumsum(gaps / gaps.sum()) * 2 * math.pi
    directions = np.stack([np.cos(around), np.sin(around)], axis=1)
    room = ((1 - np.sign(directions) * neutral) / np.maximum(np.abs(directions), 1e-9)).min(axis=1)
    centres = np.vstack(
        [neutral, neutral + directions * (room * [draw(st.floats(0.1, 0.99)) for _ in range(4)])[:, None]]
    )
    widths = np.array([[draw(unit), draw(unit)] for _ in range(5)])
    return GaussianPlane.learned(np.arctanh(centres), np.array([draw(angles) for _ in range(5)]), widths)


def test_the_plane_by_hand() -> None:
    np.testing.assert_allclose(PLANE.centres, [[0.2, 0.0], [0.6, 0.0], [0.2, 0.3]], atol=1e-12)
    np.testing.assert_allclose(PLANE.covariances[0], [[1, 0], [0, 4]], atol=1e-12)
    np.testing.assert_allclose(PLANE.covariances[1], np.eye(2), atol=1e-12)  # widths have no sign
    np.testing.assert_allclose(PLANE.angles_radians, [0, math.pi / 2], atol=1e-12)
    half_way = 0.5 * np.array([math.cos(math.pi / 4), math.sin(math.pi / 4)])
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.5], half_way])
    places = [[0.2, 0.0], [0.6, 0.0], [0.2, 0.15], [0.2 + 0.35 * half_way[0], 0.35 * half_way[1]]]
    np.testing.assert_allclose(PLANE.places(points), places, atol=1e-6)
    np.testing.assert_allclose(PLANE.points(np.array(places)), points, atol=1e-6)
    np.testing.assert_allclose(PLANE.points(np.array([[1.0, 0.0]])), [[1.0, 0.0]], atol=1e-6)  # further out: the rim


def test_what_a_place_looks_like_by_hand() -> None:
    # At (0.2, 0.3): squared distances 0.09 / 4 to neutral, 0.16 + 0.09 to happy, and 0.
    shares = np.exp([-0.0225, -0.25, 0.0])
    shares /= shares.sum()
    np.testing.assert_allclose(PLANE.probabilities(np.array([[0.2, 0.3]]))[0], shares, atol=1e-12)
    assert list(ON_PLANE.shares(np.array([0.2, 0.3])).values()) == pytest.approx(shares.tolist())


def test_the_way_out_ends_at_the_edge_of_the_square() -> None:
    """Neutral near the right edge, both expressions to its left: to the right there is no room for their distance."""
    centres = np.array([[0.9, 0.0], [-0.5, 0.3], [-0.5, -0.3]])
    plane = GaussianPlane.of_arrays(centres, np.stack([np.eye(2)] * 3))
    right, up_right = np.array([[1.0, 0.0]]), np.array([[math.sqrt(0.5), math.sqrt(0.5)]])
    np.testing.assert_allclose(plane.places(right), [[1.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(plane.places(up_right), [[1.0, 0.1]], atol=1e-6)  # the direction is kept
    np.testing.assert_allclose(plane.places(0.5 * right), [[0.95, 0.0]], atol=1e-6)


def test_codes_on_the_plane_by_name_blend_and_angle() -> None:
    assert ON_PLANE.code(Condition.named("neutral", 0.9)).tolist() == pytest.approx([0.2, 0.0])
    assert ON_PLANE.code(Condition.named("happy", 0.5)).tolist() == pytest.approx([0.4, 0.0])
    assert ON_PLANE.code(Condition.named("sad", 1.0)).tolist() == pytest.approx([0.2, 0.3])
    assert ON_PLANE.code(Condition.parse("sad,neutral", 1.0)).tolist() == pytest.approx([0.2, 0.15])
    between = [0.2 + 0.35 * math.sqrt(0.5), 0.35 * math.sqrt(0.5)]
    for condition in (Condition.parse("happy,sad", 1.0), Condition.polar(math.pi / 4, 1.0)):
        assert ON_PLANE.code(condition).tolist() == pytest.approx(between)
        assert ON_PLANE.point(condition).tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    assert ON_PLANE.code(Condition.named("happy")).dtype == np.float32
    assert ON_PLANE.neutral_radius == 0.0


@given(planes(), angles, intensities)
@settings(max_examples=60, deadline=None)
def test_points_come_back_from_their_places_on_the_square(plane: GaussianPlane, theta: float, rho: float) -> None:
    space = DiscSpace.on_plane(("neutral", "happy", "sad", "fear", "anger"), plane)
    point = np.array([[rho * math.cos(theta), rho * math.sin(theta)]])
    codes = space.codes(point)
    assert np.abs(codes).max() <= 1
    np.testing.assert_allclose(space.points(codes), point, atol=1e-3)
    for name, centre in zip(space.expressions, plane.centres, strict=True):
        np.testing.assert_allclose(space.code(Condition.named(name, 1.0)), centre, atol=1e-5)


@pytest.mark.parametrize(
    ("centres", "covariances", "says"),
    [
        ([[0, 0], [0, 0], [0.5, 0]], [np.eye(2)] * 3, "lies upon its neutral"),
        ([[0, 0], [0.1, 0], [0.5, 0]], [np.eye(2), np.diag([1, 0]), np.eye(2)], "has no width"),
        ([[0, 0], [math.nan, 0], [0.5, 0]], [np.eye(2)] * 3, "diverged"),
        ([[0, 0], [0.1, 0], [0.5, 0]], [np.eye(2)] * 2, "a centre and a covariance for each"),
    ],
)
def test_a_plane_that_is_none_is_refused(centres: list, covariances: list, says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        GaussianPlane.of_arrays(np.array(centres, float), np.array(covariances, float))


def test_a_plane_has_a_centre_for_each_expression() -> None:
    with pytest.raises(WeightsError, match="one angle for each"):
        DiscSpace.on_plane(("neutral", "happy"), PLANE)


# --- spaces as JSON ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [THREE, ON_PLANE, LabelSpace(("happy", "sad"))])
def test_spaces_survive_json(space: DiscSpace | LabelSpace) -> None:
    assert space_from_json(json.loads(json.dumps(space.to_json()))) == space


def test_an_unknown_kind_of_space_is_refused() -> None:
    with pytest.raises(WeightsError, match="unknown kind of conditional space `sphere`"):
        space_from_json({"kind": "sphere"})


def test_a_blend_of_opposites_can_be_expressed_and_has_no_place() -> None:
    opposite = DiscSpace(("neutral", "happy", "sad"), (0.0, math.pi))
    blend = Condition.parse("happy,sad")
    check_condition(opposite, blend)
    assert place_of(opposite, blend) is None and place_of(opposite, Condition.named("sad", 0.5)) == pytest.approx(
        [-0.5, 0]
    )
    with pytest.raises(ConditionError):
        check_condition(opposite, Condition.parse("happy,fear"))


def test_halves_have_no_one_place_and_each_must_be_known() -> None:
    halves = Condition.parse("upper=sad/lower=happy,surprise")
    labels = LabelSpace(("neutral", "happy", "sad"))
    check_condition(THREE, halves)
    assert place_of(THREE, halves) is None
    for space in (THREE, labels):
        with pytest.raises(ConditionError, match="have no place"):
            space.code(halves)
        with pytest.raises(ConditionError, match="fear"):
            check_condition(space, Condition.parse("upper=sad/lower=fear"))
    with pytest.raises(ConditionError, match="angles"):
        check_condition(labels, Condition.parse("upper=90"))
    check_condition(THREE, Condition.parse("upper=90/lower=sad"), as_step=True)
    with pytest.raises(ConditionError, match="cancel out"):
        check_condition(
            DiscSpace(("neutral", "happy", "sad"), (0.0, math.pi)), Condition.parse("lower=happy,sad"), True
        )


def test_a_place_of_a_plane_is_between_its_neighbours_as_asked_and_names_that_are_unknown_are_refused() -> None:
    point = ON_PLANE.point(Condition.named("happy", 0.5))
    assert ON_PLANE.neighbours(point) == pytest.approx({"neutral": 0.5, "happy": 0.5, "sad": 0.0})
    with pytest.raises(ConditionError):
        check_condition(ON_PLANE, Condition.parse("happy,fear"))
