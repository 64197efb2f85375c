"""Told from photos: against the closed form on Gaussians, and what must not matter."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.metrics.two_sample import FEWEST, conditional_two_sample_auc

NAME = "conditional-two-sample-auc-pool"


def gaussians(shift: float, n: int, m: int, dimension: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return samples with covariance A A^T whose means are `shift` apart, as that covariance measures."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dimension, dimension)) + 2 * np.eye(dimension)
    step = np.zeros(dimension)
    step[0] = shift
    return rng.normal(size=(n, dimension)) @ mixing.T, (rng.normal(size=(m, dimension)) + step) @ mixing.T


def measure(real: np.ndarray, generated: np.ndarray, **options):
    zeros = [np.zeros(len(each), int) for each in (real, generated)]
    return conditional_two_sample_auc(real, zeros[0], generated, zeros[1], ("happy",), layer="pool", **options)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
def test_of_gaussians_it_is_the_closed_form(shift: float) -> None:
    # The best classifier of two Gaussians that are d apart has the area Phi(d / sqrt 2).
    mean, _ = measure(*gaussians(shift, 6000, 4000))
    best = NormalDist().cdf(shift / math.sqrt(2))
    assert mean.value == pytest.approx(best, abs=0.02)
    assert mean.value is not None and mean.value < best + 0.01  # a ridge can only lose
    assert mean.measure == NAME and mean.better == "lower" and mean.n == 10_000


def test_scale_and_shift_of_the_features_do_not_matter() -> None:
    real, generated = gaussians(1.0, 200, 150)
    factors, offset = np.array([1.0, 1e-4, 300.0, 7.0]), np.array([0.0, 5.0, -900.0, 1.0])
    plain, moved = measure(real, generated)[0], measure(real * factors + offset, generated * factors + offset)[0]
    assert moved.value == pytest.approx(plain.value, abs=1e-9)


def test_the_mean_is_that_of_the_expressions_which_are_told_apart_each() -> None:
    # Swapped expressions: all photos together look like all edits together, but none as was asked.
    a, b = gaussians(3.0, 400, 400)
    labels = np.repeat([0, 1], 200)
    real, swapped = np.concatenate([a[:200], b[:200]]), np.concatenate([b[200:], a[200:]])
    found = conditional_two_sample_auc(real, labels, swapped, labels, ("happy", "sad"), layer="pool")
    mean, happy, sad = found
    assert happy.value is not None and sad.value is not None and mean.value is not None
    assert min(happy.value, sad.value) > 0.95
    assert mean.value == pytest.approx((happy.value + sad.value) / 2)
    assert mean.low is not None and mean.high is not None and mean.low <= mean.value <= mean.high
    together = measure(real, swapped)[0]
    assert together.value is not None and together.value < 0.6
    # More expressions that cannot be measured change nothing.
    more = conditional_two_sample_auc(real, labels, swapped, labels, ("happy", "sad", "fear"), layer="pool")
    assert more[0] == mean and more[3].value is None and "0 faces of photos of fear" in more[3].undefined


def test_a_face_is_never_scored_by_what_was_learned_from_itself() -> None:
    # Each face has a direction of its own, which photo and edit of it share with the sign turned round: whoever learned
    # from the same face knows, others cannot.
    rng = np.random.default_rng(0)
    own = np.eye(60).repeat(3, axis=0)
    real, generated = own + 0.01 * rng.normal(size=own.shape), -own + 0.01 * rng.normal(size=own.shape)
    faces = np.arange(60).repeat(3)
    apart = measure(real, generated, real_units=faces, generated_units=faces)[0]
    mixed = measure(real, generated)[0]
    assert mixed.value is not None and mixed.value > 0.99
    assert apart.value is not None and apart.value < 0.75


def test_two_runs_are_equal_and_the_seed_deals_the_faces_out() -> None:
    real, generated = gaussians(0.5, 60, 60)
    first, again, other = (measure(real, generated, seed=seed)[0] for seed in (1, 1, 2))
    assert first == again
    assert first.value != other.value


def test_too_few_faces_are_undefined_and_said() -> None:
    real, generated = gaussians(1.0, 40, 40)
    faces = np.arange(40) % (FEWEST - 1)  # many pictures of few faces
    mean, only = measure(real, generated, generated_units=faces)
    assert mean.value is None and only.value is None
    assert only.undefined == "40 faces of photos of happy and 4 of edits; 5 of each are needed"
    broken = generated.copy()
    broken[3, 1] = np.nan
    assert "no numbers" in measure(real, broken)[1].undefined
    assert measure(np.zeros((0, 4)), np.zeros((0, 4)))[0].value is None


def test_features_that_are_all_alike_cannot_be_told_apart() -> None:
    assert measure(np.ones((30, 5)), np.ones((30, 5)))[0].value == 0.5


def test_photos_that_are_handed_back_are_told_by_nothing() -> None:
    # Every edit is one of the photos, some often: by the photo's own unit it is scored as often for it as against it.
    rng = np.random.default_rng(0)
    photos, handed = rng.normal(size=(60, 40)), rng.integers(60, size=300)
    values = measure(photos, photos[handed], real_units=np.arange(60), generated_units=handed)[0]
    assert values.value is not None and 0.35 < values.value < 0.65
    # Without, a photo is learned as a photo and met again as an edit.
    leaked = measure(photos, photos[rng.permutation(60)])[0]
    assert leaked.value is not None and leaked.value < 0.2


@pytest.mark.parametrize(("n", "m"), [(10, 10), (15, 200)])
def test_samples_of_one_distribution_are_not_told_apart_however_few(n: int, m: int) -> None:
    values = [measure(*gaussians(0.0, n, m, 1, seed))[0].value for seed in range(60)]
    assert np.mean([value for value in values if value is not None]) == pytest.approx(0.5, abs=0.04)


def test_a_feature_that_only_differs_between_the_kinds_tells_all() -> None:
    noise = np.random.default_rng(0).normal(size=(2, 50, 5))
    real, generated = (np.concatenate([noise[k], np.full((50, 1), 0.1 * k)], axis=1) for k in (0, 1))
    assert measure(real, generated)[0].value == 1.0


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 and 20 labels"):
        conditional_two_sample_auc(
            np.zeros((20, 3)), np.zeros(3), np.zeros((20, 3)), np.zeros(20), ("happy",), layer="pool"
        )


def test_features_of_other_layers_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be compared"):
        measure(np.zeros((20, 3)), np.zeros((20, 4)))
