"""Smoothing in time, against motions that are known: stillness, straight lines, nods, gaps and slips."""

from __future__ import annotations

import numpy as np
import pytest

from mien.editing.smoothing import OneEuroFilter, smooth
from mien.faces import FACE_TEMPLATE

FACE = FACE_TEMPLATE * 110 + [300, 200]
SECONDS = np.arange(150) / 25
STILL = np.repeat(FACE[None], 150, axis=0)
ALL = np.ones(150, bool)


def noisy(truth: np.ndarray, seed: int = 1) -> np.ndarray:
    """Add what a detector's landmarks shake by: each by itself, and all together."""
    random = np.random.default_rng(seed)
    return truth + random.normal(0, 0.12, truth.shape) + random.normal(0, 0.12, (len(truth), 1, 2))


def moving(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return STILL + np.stack([x, y], axis=1)[:, None]


@pytest.mark.parametrize("seed", range(5))
def test_a_still_face_shakes_by_less_than_a_tenth_of_a_pixel(seed: int) -> None:
    raw = noisy(STILL, seed)
    assert raw.std(axis=0).mean() > 0.15
    assert smooth(SECONDS, raw, ALL).std(axis=0).max() < 0.1


@pytest.mark.parametrize("seed", range(8))
def test_a_detector_that_wavers_between_two_answers_does_not_shake_a_still_face(seed: int) -> None:
    """As MTCNN does: hardly any noise, and landmarks up to two pixels apart, each held for some frames."""
    random = np.random.default_rng(seed)
    other = np.cumsum(random.random(150) < 0.15) % 2
    apart = random.normal(0, 0.7, (5, 2))
    raw = STILL + other[:, None, None] * apart + random.normal(0, 0.02, STILL.shape)
    assert raw.std(axis=0).max() > 0.3
    assert smooth(SECONDS, raw, ALL).std(axis=0).max() < 0.1


def test_the_first_frames_of_a_film_do_not_move_a_still_face() -> None:
    """A film's first picture is compressed otherwise than those after it, which repeat it."""
    raw = STILL.copy()
    raw[:7] += [0.35, -0.25]
    smoothed = smooth(SECONDS, raw, ALL)
    assert smoothed.std(axis=0).max() < 0.1 and np.ptp(smoothed, axis=0).max() < 0.1


def test_even_motion_passes_exactly_at_the_ends_too() -> None:
    truth = moving(120 * SECONDS, -45 * SECONDS)
    assert smooth(SECONDS, truth, ALL) == pytest.approx(truth, abs=1e-6)


def test_even_motion_passes_exactly_when_the_frames_are_uneven() -> None:
    seconds = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.08, 150))
    truth = STILL + seconds[:, None, None] * [120, 30]
    assert smooth(seconds, truth, ALL) == pytest.approx(truth, abs=1e-6)


def test_a_moving_face_does_not_lag() -> None:
    truth = moving(120 * SECONDS, 30 * SECONDS)
    error = smooth(SECONDS, noisy(truth), ALL) - truth
    # Not behind along the way, and steadier than what was seen.
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.03 and np.sqrt((error**2).mean()) < 0.08


@pytest.mark.parametrize(("hertz", "pixels", "most"), [(0.5, 1, 0.6), (0.5, 20, 0.2), (1, 10, 0.25), (2, 10, 0.7)])
def test_a_nod_is_followed(hertz: float, pixels: float, most: float) -> None:
    truth = moving(0 * SECONDS, pixels * np.sin(2 * np.pi * hertz * SECONDS))
    error = smooth(SECONDS, noisy(truth), ALL) - truth
    assert np.sqrt((error**2).mean()) < most


def test_a_speaking_mouth_does_not_unfix_the_eyes() -> None:
    truth = STILL.copy()
    truth[:, 3:, 1] += 4 * np.abs(np.sin(2 * np.pi * 3 * SECONDS))[:, None]
    assert smooth(SECONDS, noisy(truth), ALL)[:, :2].std(axis=0).max() < 0.15


def test_frames_in_which_the_face_was_missed_are_filled_in() -> None:
    truth = moving(100 * SECONDS, 0 * SECONDS)
    seen = np.random.default_rng(3).random(150) > 0.2
    seen[60:68] = False
    seen[[0, -1]] = True  # a track begins and ends with a sighting
    raw = np.where(seen[:, None, None], noisy(truth), np.nan)
    assert np.abs(smooth(SECONDS, raw, seen) - truth).max() < 0.4


def test_a_slip_of_the_detector_is_left_out() -> None:
    raw = noisy(STILL)
    raw[70] += 40
    assert np.abs(smooth(SECONDS, raw, ALL) - FACE).max() < 0.5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_short_films_are_smoothed_as_far_as_they_go(count: int) -> None:
    truth = moving(100 * SECONDS, 0 * SECONDS)[:count]
    assert smooth(SECONDS[:count], truth, ALL[:count]) == pytest.approx(truth, abs=1e-6)


def test_one_euro_is_the_filter_of_its_paper() -> None:
    """By hand, for one step of 0.04 s: the speed by a cutoff of 1 Hz, the place by 0.8 Hz + 8 * speed."""
    start, moved = FACE, FACE + np.array([2.0, 0.0])
    follow = OneEuroFilter()
    assert np.array_equal(follow(1.0, start), start)
    share = 1 / (1 + 1 / (2 * np.pi * 1.0 * 0.04))
    speed = share * 2.0 / 0.04 / np.ptp(FACE, axis=0).max()
    share = 1 / (1 + 1 / (2 * np.pi * (0.8 + 8 * speed) * 0.04))
    assert follow(1.04, moved) == pytest.approx(start + np.array([2.0 * share, 0.0]))


def test_one_euro_calms_what_is_still_and_follows_what_moves() -> None:
    calm = OneEuroFilter()
    raw = noisy(STILL)
    smoothed = np.stack([calm(time, points) for time, points in zip(SECONDS, raw, strict=True)])
    assert smoothed[25:].std(axis=0).mean() < 0.4 * raw.std(axis=0).mean()
    quick = OneEuroFilter()
    truth = moving(100 * SECONDS, 0 * SECONDS)
    behind = [time_points[0] for time_points in [quick(t, p) - p for t, p in zip(SECONDS, truth, strict=True)]]
    assert np.abs(behind[-1]).max() < 4  # the way of one frame
