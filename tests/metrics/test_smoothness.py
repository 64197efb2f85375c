"""Smoothness and rank correlation against curves worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.metrics.measurement import Measurement
from mien.metrics.smoothness import rank_correlation, smoothness, smoothness_ratio

LINE = np.linspace(0.1, 0.9, 10)
STEP = np.array([0.1] * 5 + [0.9] * 5)
FALL = LINE[::-1]
FLAT = np.full(10, 0.3)


def by_name(made: list[Measurement]) -> dict[tuple[str, str | None], Measurement]:
    return {(m.measure, m.expression): m for m in made}


def test_a_straight_line_has_the_least_ratio_and_a_step_has_one() -> None:
    overshoot = np.array([0.0, 0.9, 0.3])  # rises by .9 on a range of .3
    assert smoothness_ratio(LINE) == pytest.approx(1 / 9)
    assert smoothness_ratio(STEP) == pytest.approx(1.0)
    assert smoothness_ratio(overshoot) == pytest.approx(3.0)
    assert np.isnan(smoothness_ratio(np.stack([FALL, FLAT, 0.3 + LINE / 20]))).all()


def test_no_curve_of_ten_points_goes_below_a_ninth() -> None:
    curves = np.random.default_rng(0).random((5000, 10)).cumsum(axis=1)
    assert smoothness_ratio(curves).min() >= 1 / 9


def test_per_face_and_mean_curve_by_hand() -> None:
    early = np.array([0.1, 0.9, 0.9])
    late = np.array([0.1, 0.1, 0.9])
    made = by_name(smoothness(np.stack([early, late])[:, None], ["happy"]))
    assert made["smoothness-per-face", "happy"].value == pytest.approx(1.0)  # each jumps
    assert made["smoothness-mean-curve", "happy"].value == pytest.approx(0.5)  # .1 .5 .9: the mean does not
    assert made["smoothness-per-face", None].details["minimum"] == pytest.approx(0.5)


def test_undefined_curves_are_counted_and_in_no_mean() -> None:
    curves = np.stack([np.stack([LINE, FLAT, FALL]), np.stack([STEP, FLAT, FALL]), np.stack([FALL, FLAT, FALL])])
    made = by_name(smoothness(curves, ["happy", "sad", "fear"]))
    happy = made["smoothness-per-face", "happy"]
    assert happy.value == pytest.approx((1 / 9 + 1) / 2) and happy.n == 2
    assert made["smoothness-per-face", None].value is None  # two of nine curves are too few for all
    assert "2 of 9 curves" in made["smoothness-per-face", None].undefined
    assert made["smoothness-per-face", None].details["expressions"] == ["happy"]
    assert made["smoothness-per-face", None].details["undefined_curves"] == 7
    assert made["smoothness-per-face", "sad"].value is None
    assert "0.05" in made["smoothness-per-face", "sad"].undefined
    assert made["smoothness-defined-share", None].value == pytest.approx(2 / 9)
    assert made["smoothness-defined-share", "happy"].value == pytest.approx(2 / 3)
    assert made["smoothness-mean-curve", "fear"].value is None
    assert made["intensity-rank-correlation", "sad"].undefined
    assert made["intensity-rank-correlation", "fear"].value == pytest.approx(-1.0)
    # The mean over expressions is over those that have a correlation, happy and fear.
    happy_rank = float(rank_correlation(np.stack([LINE, STEP, FALL])).mean())
    assert made["intensity-rank-correlation", None].value == pytest.approx((happy_rank - 1) / 2)


def test_values_that_are_no_numbers_make_their_curve_undefined() -> None:
    curves = np.stack([LINE, LINE, np.where(np.arange(10) == 4, np.nan, LINE)])[:, None]
    made = by_name(smoothness(curves, ["happy"]))
    assert made["smoothness-per-face", None].details["not_numbers"] == 1
    assert made["smoothness-defined-share", None].value == pytest.approx(2 / 3)
    assert made["smoothness-mean-curve", "happy"].value == pytest.approx(1 / 9)
    assert made["smoothness-mean-curve", "happy"].n == 2
    nothing = smoothness(np.full((4, 1, 10), np.nan), ["happy"])
    assert {m.value for m in nothing if m.measure != "smoothness-defined-share"} == {None}


def test_spearman_by_hand_with_ties() -> None:
    # Ranks of .2 .1 .3 .3: 2 1 3.5 3.5; of the radii: 1 2 3 4. Products about the means 3.5, squares 4.5 and 5.
    assert rank_correlation(np.array([0.2, 0.1, 0.3, 0.3])) == pytest.approx(3.5 / np.sqrt(4.5 * 5.0))
    # Without ties 1 - 6 sum d^2 / (n (n^2 - 1)): ranks 1 3 2 5 4, d^2 = 0 1 1 1 1.
    assert rank_correlation(np.array([0.0, 0.5, 0.4, 0.9, 0.8])) == pytest.approx(1 - 6 * 4 / (5 * 24))
    both = rank_correlation(np.stack([LINE**3, FALL, FLAT]))
    assert both[:2] == pytest.approx([1.0, -1.0]) and np.isnan(both[2])


def test_intervals_draw_faces() -> None:
    alike = np.repeat(LINE[None, None], 20, axis=0)
    for one in smoothness(alike, ["happy"]):
        assert one.low == pytest.approx(one.value) == one.high
    noisy = alike + np.random.default_rng(0).normal(0, 0.05, (20, 1, 10))
    per_face = smoothness(noisy, ["happy"], seed=3)[0]
    assert per_face.low is not None and per_face.low < per_face.value < per_face.high  # pyright: ignore
    assert smoothness(noisy, ["happy"], seed=3) == smoothness(noisy, ["happy"], seed=3)
    assert smoothness(noisy[:1], ["happy"])[0].low is None


@pytest.mark.parametrize("shape", [(3, 10), (3, 2, 10), (3, 1, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="are not"):
        smoothness(np.zeros(shape), ["happy"])
    with pytest.raises(ConfigError, match="neutral"):
        smoothness(np.zeros((3, 1, 10)), ["neutral"])


def test_a_few_curves_that_happen_to_rise_make_no_number_for_all() -> None:
    flat, rising = np.full((4, 1, 5), 0.2), np.linspace(0.1, 0.9, 5)
    curves = np.concatenate([flat, flat[:, :, ::-1]], axis=1)  # (4 faces, 2 expressions, 5 radii)
    curves[0, 0] = rising

    def overall(curves: np.ndarray) -> Measurement:
        return next(m for m in smoothness(curves, ("happy", "sad")) if m.measure == "smoothness-per-face")

    assert overall(curves).value is None
    assert "1 of 8 curves" in overall(curves).undefined
    curves[:, 0] = rising
    assert overall(curves).value == pytest.approx(0.25)  # four of eight rise, in equal steps
