"""Discriminator F1 and AUC against cases worked by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from mien.metrics.discriminator import area_under_curve, best_threshold, discriminator_f1
from mien.metrics.intervals import bootstrap


def test_the_area_by_counting_pairs() -> None:
    real, generated = np.array([3.0, 1.0, 2.0, 2.0]), np.array([2.0, 0.0, 2.5])
    pairs = [1.0 if r > g else 0.5 if r == g else 0.0 for r, g in product(real, generated)]
    assert area_under_curve(real, generated) == pytest.approx(sum(pairs) / 12)


def test_the_threshold_by_hand() -> None:
    # Between 1 and 4 all are told apart; below, the threshold would call a generated one real.
    assert best_threshold(np.array([5.0, 4.0]), np.array([1.0, 0.0])) == 2.5
    assert best_threshold(np.array([1.0, 1.0]), np.array([1.0])) < 1.0  # nothing to tell: all are called real
    # Always wrong: to call all real, mean F1 1/3, is the best that a threshold can do, and lies below unseen scores.
    assert best_threshold(np.array([0.0, 0.1]), np.array([1.0, 1.1])) == pytest.approx(-2.1)


def test_a_perfect_critic_and_one_that_is_always_wrong() -> None:
    high, low = np.linspace(1, 2, 20), np.linspace(-2, -1, 30)
    assert [m.value for m in discriminator_f1(high, low)] == [1.0, 1.0, 1.0, 1.0]
    wrong = discriminator_f1(low, high)
    assert wrong[3].value == 0.0 and wrong[3].measure == "discriminator-auc"
    assert wrong[0].value == pytest.approx(1 / 3)  # the best threshold calls all real: 2/3 and 0


def test_f1_on_the_other_half_by_hand() -> None:
    # Every half has the same scores: three of four real ones are above 0, one of four generated ones.
    real, generated = np.repeat([1.0, -1.0], [60, 20]), np.repeat([1.0, -1.0], [20, 60])
    made = discriminator_f1(real, generated, seed=1)
    threshold = made[0].details["threshold"]
    assert threshold == 0.0
    generator_half = made[0].n
    assert generator_half == 80
    # Whatever the split, F1 follows from the shares t and f of the tested half.
    assert made[0].value == pytest.approx((made[1].value + made[2].value) / 2)  # pyright: ignore
    assert made[1].value == pytest.approx(0.75, abs=0.1) and made[2].value == pytest.approx(0.75, abs=0.1)
    assert made[3].value == pytest.approx((60 * 60 + 0.5 * (60 * 20 + 20 * 60)) / 6400)


def test_how_many_there_are_of_a_kind_does_not_matter() -> None:
    real, generated = np.repeat([1.0, -1.0], [60, 20]), np.repeat([1.0, -1.0], [20, 60])
    ten = np.repeat(generated, 10)
    one, many = (
        discriminator_f1(real, scores, generated_units=units, seed=3)
        for scores, units in ((generated, np.arange(80)), (ten, np.repeat(np.arange(80), 10)))
    )
    assert [m.value for m in one] == pytest.approx([m.value for m in many])
    assert [(m.low, m.high) for m in one] == [(m.low, m.high) for m in many]  # edits of a face count as one


def test_a_critic_that_cannot_tell_has_one_half() -> None:
    generator = np.random.default_rng(0)
    made = [discriminator_f1(*generator.normal(size=(2, 300)), seed=seed) for seed in range(10)]
    assert np.mean([m[3].value for m in made]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([m[0].value for m in made]) == pytest.approx(0.47, abs=0.05)
    assert np.mean([m[3].low <= 0.5 <= m[3].high for m in made]) >= 0.85  # pyright: ignore[reportOptionalOperand]


def test_the_area_s_interval_is_that_of_the_plain_bootstrap_over_faces() -> None:
    generator = np.random.default_rng(1)
    faces = np.arange(25)
    real, generated = generator.normal(0.5, 1, 25).round(1), generator.normal(0, 1, 50).round(1)
    units = np.repeat(faces, 2)

    def area(indices: np.ndarray) -> float:
        edits = np.concatenate([np.flatnonzero(units == i) for i in indices])
        return area_under_curve(real[indices], generated[edits])

    made = discriminator_f1(real, generated, seed=4, real_units=faces, generated_units=units)[3]
    assert (made.low, made.high) == pytest.approx(bootstrap(area, 25, resamples=1000, seed=4))


def test_a_face_is_in_one_half_only() -> None:
    # The critic knows each face by heart: were a face in both halves, the threshold of one would fit the other's.
    made = discriminator_f1(np.arange(4.0), np.arange(4.0), real_units=np.arange(4), generated_units=np.arange(4))
    assert made[0].n == 4
    one = discriminator_f1(np.arange(2.0), np.arange(2.0), real_units=np.zeros(2), generated_units=np.zeros(2))
    assert "half without" in one[0].undefined


@pytest.mark.parametrize(
    ("real", "generated"), [([], []), ([1.0], [0.0, 1.0]), ([1.0, 2.0], []), ([1, np.nan], [0, 1])]
)
def test_too_few_and_broken_scores_are_undefined(real: list[float], generated: list[float]) -> None:
    made = discriminator_f1(np.array(real), np.array(generated))
    assert [m.value for m in made] == [None] * 4 and all(m.undefined for m in made)
