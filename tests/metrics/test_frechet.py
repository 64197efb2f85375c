"""The Frechet distance against closed forms, another way to take the root, and torchmetrics where it is there."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.metrics.frechet import conditional_fed, extrapolated_fed, fed, fed_curve, frechet_distance


def with_moments(samples: np.ndarray, mean: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return samples (n, d) moved so that their mean and unbiased covariance are exactly these."""
    centred = samples - samples.mean(axis=0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred.T))).T
    return white * deviations + mean


def by_eigenvalues(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the distance by the eigenvalues of the product of covariances, which is not symmetric."""
    s1, s2 = np.cov(real.T), np.cov(generated.T)
    root = np.sqrt(np.maximum(np.linalg.eigvals(s1 @ s2).real, 0.0)).sum()
    return float(((real.mean(0) - generated.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2.0 * root)


def test_the_closed_form_of_diagonal_gaussians() -> None:
    generator = np.random.default_rng(0)
    m1, m2, d1, d2 = np.array([1.0, 0, -2]), np.array([0.0, 0.5, 1]), np.array([1.0, 2, 3]), np.array([2.0, 0.5, 3])
    first = with_moments(generator.normal(size=(40, 3)), m1, d1)
    second = with_moments(generator.normal(size=(25, 3)), m2, d2)
    expected = ((m1 - m2) ** 2).sum() + ((d1 - d2) ** 2).sum()
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(60, 80), (60, 9), (7, 9), (2, 2)])
def test_any_covariances_and_fewer_samples_than_dimensions(n: int, m: int) -> None:
    generator = np.random.default_rng(n)
    mix = generator.normal(size=(12, 12))
    real, generated = generator.normal(size=(n, 12)) @ mix, generator.normal(1.0, 1.0, (m, 12))
    # The reference loses half of the digits where eigenvalues are 0.
    assert frechet_distance(real, generated) == pytest.approx(by_eigenvalues(real, generated), rel=1e-6)


def test_the_same_features_have_no_distance_at_all() -> None:
    features = np.random.default_rng(1).normal(5.0, 1.0, (50, 20))
    assert frechet_distance(features, features) == 0.0
    assert frechet_distance(features, features[::-1]) == 0.0
    assert fed(features, features, layer="x").value == 0.0
    assert frechet_distance(features, features + 1e-3) == pytest.approx(20e-6, rel=1e-6)


def test_torchmetrics_gives_the_same() -> None:
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed; the eigenvalues above stand for it")
    import torch
    from torchmetrics.image.fid import _compute_fid  # pyright: ignore[reportMissingImports]

    generator = np.random.default_rng(2)
    real, generated = generator.normal(size=(90, 16)), generator.normal(0.5, 2.0, (70, 16))
    moments = [torch.tensor(v) for x in (real, generated) for v in (x.mean(0), np.cov(x.T))]
    assert frechet_distance(real, generated) == pytest.approx(float(_compute_fid(*moments)), rel=1e-6)


def draw(generator: np.random.Generator, n: int, faces: int, edits: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return real features and those of edits, the edits of one face alike."""
    shared = generator.normal(size=(faces, d)).repeat(edits, axis=0)
    generated = np.sqrt(0.8) * shared + np.sqrt(0.2) * generator.normal(size=(faces * edits, d))
    return generator.normal(size=(n, d)), 1.2 * generated + 2.0 / np.sqrt(d)


@pytest.mark.parametrize(("n", "faces", "edits", "d"), [(120, 120, 1, 8), (60, 50, 4, 8), (40, 40, 1, 64)])
def test_the_interval_covers_the_mean_distance_of_samples_of_this_size(n: int, faces: int, edits: int, d: int) -> None:
    generator = np.random.default_rng(4)
    units = np.repeat(np.arange(faces), edits)
    made = [fed(*draw(generator, n, faces, edits, d), layer="x", generated_units=units) for _ in range(200)]
    truth = np.mean([m.value for m in made if m.value is not None])
    covered = np.mean([m.low <= truth <= m.high for m in made])  # pyright: ignore[reportOptionalOperand]
    widths = np.mean([(m.high - m.low) / 3.92 for m in made])  # pyright: ignore[reportOptionalOperand]
    assert covered >= 0.92
    assert widths < 1.35 * np.std([m.value for m in made if m.value is not None])  # nor is it far too wide


def test_the_influences_are_derivatives() -> None:
    # Counted twice, a sample moves the distance by its influence over n, in the limit of many.
    generator = np.random.default_rng(5)
    real, generated = generator.normal(size=(400, 3)), generator.normal(0.3, 1.5, (400, 3))
    from mien.metrics.frechet import _distance

    distance = _distance(real, generated)
    for index in (0, 17):
        weighted = np.concatenate([np.repeat(real, 50, axis=0), real[[index]]])
        change = frechet_distance(weighted, generated) - frechet_distance(np.repeat(real, 50, axis=0), generated)
        assert change * 50 == pytest.approx(distance.real[index], rel=0.02, abs=2e-5)
    assert distance.real.sum() == pytest.approx(0.0, abs=1e-9)
    assert distance.generated.sum() == pytest.approx(0.0, abs=1e-9)


def test_the_name_tells_layer_and_size_and_the_details_a_lack_of_samples() -> None:
    generator = np.random.default_rng(6)
    few = fed(generator.normal(size=(9, 20)), generator.normal(size=(30, 20)), layer="features")
    assert few.measure == "fed-features-n9" and few.n == 9
    assert few.details["rank_deficient"] == "9 samples do not fill 20 dimensions"
    many = fed(generator.normal(size=(30, 4)), generator.normal(size=(30, 4)), layer="features")
    assert "rank_deficient" not in many.details


def test_one_image_and_broken_features_are_undefined() -> None:
    features = np.random.default_rng(7).normal(size=(9, 3))
    assert fed(features[:1], features, layer="x").undefined.startswith("1 real faces")
    broken = features.copy()
    broken[3, 1] = np.nan
    assert fed(features, broken, layer="x").undefined == "features hold values that are no numbers"
    assert fed(features, np.zeros((9, 3)), layer="x").value is not None  # a constant output is far, and so it is told
    with pytest.raises(ConfigError, match="cannot be compared"):
        fed(features, features[:, :2], layer="x")
    with pytest.raises(ConfigError, match="at least two"):
        frechet_distance(features[:1], features)


def test_the_curve_falls_towards_the_truth_and_its_extrapolation_meets_it() -> None:
    generator = np.random.default_rng(8)
    values = []
    for _ in range(40):
        real, generated = generator.normal(size=(400, 6)), generator.normal(0.0, 1.1, (400, 6))
        made = extrapolated_fed(real, generated, layer="x")
        assert made.measure == "fed-x-extrapolated" and made.low is not None and made.low < made.value  # pyright: ignore
        values.append((frechet_distance(real, generated), made.value))
    plain, extrapolated = np.mean(values, axis=0)
    truth = 6 * 0.1**2
    assert plain - truth > 0.07
    assert abs(extrapolated - truth) < 0.02
    curve = fed_curve(real, generated, [25, 100, 400, 5000], repeats=4)
    assert [size for size, _, _ in curve] == [25, 100, 400]
    assert curve[0][1] > curve[1][1] > curve[2][1] == pytest.approx(frechet_distance(real, generated))
    assert fed_curve(real, generated, [100], seed=1) == fed_curve(real, generated, [100], seed=1)
    assert "the line in 1 / n begins" in extrapolated_fed(real[:20], generated, layer="x").undefined


def test_the_conditional_distance_sees_a_generator_that_returns_its_input() -> None:
    generator = np.random.default_rng(9)
    places = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    labels = np.repeat([0, 1, 2], 40)
    real = places[labels] + generator.normal(size=(120, 2))
    others = places[labels] + generator.normal(size=(120, 2))
    names = ("neutral", "happy", "sad")
    asked_else = (labels + 1) % 3  # the same pictures, said to be something else
    right = conditional_fed(real, labels, others, labels, names, layer="x")
    wrong = conditional_fed(real, labels, others, asked_else, names, layer="x")
    assert [m.measure for m in right] == ["conditional-fed-x-n40"] * 4
    assert right[0].value == pytest.approx(np.mean([m.value for m in right[1:]]))  # pyright: ignore
    assert right[1].value == pytest.approx(frechet_distance(real[:40], others[:40]))
    assert right[0].high < 0.5 and wrong[0].low > 20  # pyright: ignore[reportOptionalOperand]
    assert fed(real, others, layer="x").value < 0.5  # pyright: ignore[reportOptionalOperand]


def test_a_class_without_samples_is_undefined_and_not_in_the_mean() -> None:
    generator = np.random.default_rng(10)
    real, generated = generator.normal(size=(20, 2)), generator.normal(size=(20, 2))
    asked = np.repeat([0, 1], [19, 1])
    made = conditional_fed(real, np.repeat([0, 1], 10), generated, asked, ("neutral", "happy"), layer="x")
    assert made[2].undefined == "10 real faces of happy and 1 edits; a covariance needs two of each"
    assert made[0].value == made[1].value and made[0].details["expressions"] == ["neutral"]
    nothing = conditional_fed(real, np.zeros(20, int), generated, np.ones(20, int), ("a", "b"), layer="x")
    assert [m.value for m in nothing] == [None] * 3
