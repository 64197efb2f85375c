"""Identity: worked by hand on small vectors, and on drawn people, whose identity is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.datasets.drawn import CROP, draw, faces
from mien.errors import ConfigError, WeightsError
from mien.metrics import identity
from mien.metrics.identity import describe, edge_histograms, identity_kept


def by_name(measurements, expression=None):
    return {m.measure.removeprefix("identity-"): m for m in measurements if m.expression == expression}


def turned(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


@pytest.fixture(scope="module")
def neutral() -> np.ndarray:
    """Return 40 drawn people without expression, float32 (40, 3, 52, 52)."""
    drawn = [face for _, expression, _, face in faces(280, seed=3) if expression == "neutral"]
    return np.moveaxis(np.stack([draw(face, 52, CROP) for face in drawn]).astype(np.float32) / 127.5 - 1, -1, 1)


@pytest.fixture(scope="module")
def features(neutral: np.ndarray) -> np.ndarray:
    return describe(neutral)


# ---------------------------------------------------------------------------------------------------------- measures


def test_three_people_worked_by_hand():
    # Edits at 10, 100 and 20 degrees: the first two are nearest to their own, the third is 160 off its own, and the
    # originals of both others, 20 and 70 off, are nearer.
    originals = np.array([turned(0), turned(90), turned(180)])
    edited = np.array([[turned(10)], [turned(100)], [turned(20)]])
    found = by_name(identity_kept(originals, edited))
    assert found["rank1"].value == pytest.approx(2 / 3)
    assert found["auc"].value == pytest.approx((1 + 1 + 0) / 3)
    cosines = [math.cos(math.radians(angle)) for angle in (10, 10, 160)]
    assert found["similarity"].value == pytest.approx(sum(cosines) / 3)
    # Strangers are 90, 90 and 180 degrees apart.
    assert found["similarity"].details["stranger_mean"] == pytest.approx(-1 / 3)
    assert found["rank1"].details["chance"] == pytest.approx(1 / 3)
    assert found["rank1"].n == 3


def test_a_tie_counts_in_parts():
    # The second original is the first one's picture again, under another name: its edits are as like the one as the other.
    originals = np.array([turned(0), turned(0), turned(90), turned(180)])
    found = by_name(identity_kept(originals, originals[:, None]))
    assert found["rank1"].value == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    assert found["auc"].value == pytest.approx((2.5 / 3 + 2.5 / 3 + 1 + 1) / 4)


def test_other_photos_of_the_same_person_are_no_strangers():
    originals = np.array([turned(0), turned(20), turned(90)])
    edited = np.array([[turned(19)], [turned(1)], [turned(90)]])  # each of the first two is nearer to the other
    alone = by_name(identity_kept(originals, edited))
    known = by_name(identity_kept(originals, edited, ["ann", "ann", "bob"]))
    assert alone["rank1"].value == pytest.approx(1 / 3)
    assert known["rank1"].value == 1
    assert known["rank1"].details["people"] == 2
    mean = (math.cos(math.radians(90)) + math.cos(math.radians(70))) / 2
    assert known["similarity"].details["stranger_mean"] == pytest.approx(mean, abs=1e-5)


def test_one_face_for_everybody_is_chance():
    # A collapsed generator: every edit shows the first person, who alone is recognised.
    originals = np.eye(8)
    found = by_name(identity_kept(originals, np.repeat(originals[:1], 8, axis=0)[:, None]))
    assert found["rank1"].value == pytest.approx(1 / 8)


def test_an_edit_without_features_is_lost_and_counted():
    originals = np.eye(4)
    edited = np.stack([originals, originals], axis=1)
    edited[0, 1], edited[1, 0] = 0, np.nan
    found = by_name(identity_kept(originals, edited))
    for measure in found.values():
        assert measure.value == pytest.approx(6 / 8)
        assert measure.details["edits_without_features"] == 2


@pytest.mark.parametrize("nothing", [0.0, np.nan, np.inf])
def test_constant_or_broken_output_is_undefined(nothing: float):
    found = identity_kept(np.eye(4), np.full((4, 3, 4), nothing))
    assert [m.value for m in found] == [None] * 3
    assert all("flat" in m.undefined for m in found)


def test_one_person_is_undefined():
    features = np.array([turned(0), turned(10)])
    assert all(m.value is None for m in identity_kept(features, features[:, None], ["ann", "ann"]))
    assert all(m.value is None for m in identity_kept(features[:1], features[:1, None]))


def test_an_original_without_features_is_left_out_with_its_edits():
    originals = np.concatenate([np.eye(3), np.zeros((1, 3))])
    edited = np.concatenate([np.eye(3), np.ones((1, 3))])[:, None]
    found = by_name(identity_kept(originals, edited))
    assert found["rank1"].value == 1
    assert (found["rank1"].n, found["rank1"].details["originals_without_features"]) == (3, 1)


def test_each_expression_is_measured():
    originals = np.eye(3)
    edited = np.stack([originals, np.roll(originals, 1, axis=0), np.zeros((3, 3))], axis=1)
    found = identity_kept(originals, edited, expressions=("happy", "sad", "fear"))
    assert by_name(found, "happy")["rank1"].value == 1
    assert by_name(found, "sad")["rank1"].value == 0
    assert by_name(found, "fear")["rank1"].value is None
    assert by_name(found)["rank1"].value == pytest.approx(1 / 3)


def test_intervals_draw_persons():
    # Each person's four photos are all recognised or none: for intervals, that is 20 cases and not 80.
    random = np.random.default_rng(0)
    originals = random.normal(size=(80, 300))
    people = np.repeat(np.arange(20), 4)
    edited = np.where((people % 2 == 0)[:, None], originals, -originals)[:, None]
    kept = by_name(identity_kept(originals, edited, people))["rank1"]
    assert kept.value == 0.5
    assert kept.low is not None and kept.high is not None
    expected = 2 * 1.96 * math.sqrt(0.25 / 20)
    assert kept.high - kept.low == pytest.approx(expected, rel=0.2)
    assert identity_kept(originals, edited, people) == identity_kept(originals, edited, people)


@pytest.mark.parametrize(
    ("originals", "edited", "faces", "expressions"),
    [
        (np.eye(3), np.zeros((2, 1, 3)), None, ()),
        (np.eye(3), np.zeros((3, 1, 4)), None, ()),
        (np.eye(3), np.zeros((3, 1, 3)), ["ann"], ()),
        (np.eye(3), np.zeros((3, 2, 3)), None, ("happy",)),
    ],
)
def test_what_does_not_belong_together_is_refused(originals, edited, faces, expressions):
    with pytest.raises(ConfigError) as error:
        identity_kept(originals, edited, faces, expressions=expressions)
    assert error.value.hint


# ---------------------------------------------------------------------------------------------------------- features


def test_an_edge_falls_into_its_direction():
    """Light grows along one diagonal only, so that all slope lies in the direction of 45 degrees and its neighbours."""
    ramp = np.add.outer(np.arange(52), np.arange(52)) / 51 - 1
    histograms = edge_histograms(ramp[None, None].astype(np.float32))[0]
    coarse = histograms[: 6 * 8 * 3].reshape(6, 8, 3)  # row, direction, column
    # Square roots of the slopes along 0, 45 and 90 degrees, and the same of the mirror image along 180, 135 and 90.
    side = math.sqrt(math.sqrt(0.5))
    expected = [side, 1, 2 * side, 1, side, 0, 0, 0]
    np.testing.assert_allclose(coarse[3, :, 1] / coarse[3, 1, 1], expected, atol=1e-3)


def test_unedited_faces_are_recognised_and_permuted_ones_are_not(features: np.ndarray):
    same = by_name(identity_kept(features, features[:, None]))
    assert same["rank1"].value == 1
    assert same["similarity"].value == pytest.approx(1)
    assert same["auc"].value == 1
    others = by_name(identity_kept(features, np.roll(features, 1, axis=0)[:, None]))
    assert others["rank1"].value == 0
    assert others["similarity"].value == pytest.approx(others["similarity"].details["stranger_mean"], abs=0.05)


def test_light_contrast_shift_and_size_keep_the_person(neutral: np.ndarray, features: np.ndarray):
    changed = {
        "brighter": neutral * 0.8 + 0.15,
        "less contrast": neutral * 0.5,
        "one pixel right": np.roll(neutral, 1, axis=3),
        "one pixel down": np.roll(neutral, 1, axis=2),
    }
    edited = np.stack([describe(images) for images in changed.values()], axis=1)
    for measure in identity_kept(features, edited, expressions=tuple(changed)):
        if measure.measure == "identity-rank1":
            assert measure.value is not None and measure.value > 0.95, measure
    assert (describe(neutral * 0.5) * features).sum(axis=1).min() > 0.999


def test_the_mirror_image_is_the_same_person(neutral: np.ndarray, features: np.ndarray):
    np.testing.assert_allclose(describe(neutral[..., ::-1]), features, atol=1e-4)


def test_the_same_face_at_another_size(features: np.ndarray):
    drawn = [face for _, expression, _, face in faces(280, seed=3) if expression == "neutral"]
    large = np.moveaxis(np.stack([draw(face, 104, CROP) for face in drawn]).astype(np.float32) / 127.5 - 1, -1, 1)
    assert (describe(large) * features).sum(axis=1).min() > 0.9


def test_a_drawn_person_is_found_with_another_expression(features: np.ndarray):
    shown = [(person, face) for person, expression, _, face in faces(280, seed=3) if expression == "sad"]
    sad = np.moveaxis(np.stack([draw(face, 52, CROP) for _, face in shown]).astype(np.float32) / 127.5 - 1, -1, 1)
    found = by_name(identity_kept(features, describe(sad)[:, None]))
    assert found["rank1"].value > 0.8  # chance: 1 in 40
    assert found["auc"].value > 0.95


def test_batches_do_not_matter(neutral: np.ndarray, features: np.ndarray):
    many = np.concatenate([neutral] * 4)  # more than one chunk
    np.testing.assert_array_equal(describe(many)[-40:], features)
    np.testing.assert_array_equal(np.concatenate([describe(neutral[i : i + 7]) for i in range(0, 40, 7)]), features)
    np.testing.assert_array_equal(describe(neutral[5:6])[0], features[5])


def test_grey_is_the_same_in_one_channel_and_in_three(neutral: np.ndarray):
    grey = neutral.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(describe(grey), describe(np.repeat(grey, 3, axis=1)), atol=1e-4)


def test_flat_and_broken_pictures_have_no_features(neutral: np.ndarray, features: np.ndarray):
    images = neutral[:4].copy()
    images[0] = 0.3
    images[1, 0, 5, 5] = np.nan
    images[2, 0, 5, 5] = np.inf
    described = describe(images)
    assert not described[:3].any()
    np.testing.assert_array_equal(described[3], features[3])
    assert describe(neutral[:0]).shape == (0, features.shape[1])


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 52, 52)), np.zeros((2, 2, 52, 52)), np.zeros((1, 1, 52, 48)), np.zeros((1, 1, 8, 8)),
     np.zeros((1, 3, 52, 52), np.uint8)],
)  # fmt: skip
def test_what_is_no_face_crop_is_refused(images: np.ndarray):
    with pytest.raises(ConfigError) as error:
        describe(images)
    assert error.value.hint


def test_an_altered_map_is_refused(tmp_path, monkeypatch, neutral: np.ndarray):
    altered = tmp_path / "identity.safetensors"
    altered.write_bytes(identity.WEIGHTS.read_bytes()[:-2] + b"\0\1")
    altered.with_suffix(".json").write_bytes(identity.WEIGHTS.with_suffix(".json").read_bytes())
    monkeypatch.setattr(identity, "WEIGHTS", altered)
    identity._projection.cache_clear()
    try:
        with pytest.raises(WeightsError, match="not the file"):
            describe(neutral[:1])
    finally:
        identity._projection.cache_clear()
