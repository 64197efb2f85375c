"""Told from photos: can a classifier that has met no generator learn to tell edits from photos of the same expression?

A classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", arXiv 1610.06545), here
on the features of a judge, for each expression apart, and by the area under the curve, since photos and edits differ in
number.
Where discriminator F1 asks the critic of some model, this asks a stranger who begins anew for every model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.errors import ConfigError
from mien.metrics.discriminator import area_under_curve, resampled_areas
from mien.metrics.intervals import join_units, percentile_interval
from mien.metrics.measurement import Measurement, measured

#: Parts of the faces: each is scored by what was learned from the others.
FOLDS = 5
#: Faces of photos and of edits that an expression needs: two in each part.
FEWEST = 2 * FOLDS
#: Added to the variances within the two kinds, which are 1: keeps the directions that few samples cannot tell from chance.
_RIDGE = 0.5


def conditional_two_sample_auc(
    real: np.ndarray,
    real_labels: np.ndarray,
    generated: np.ndarray,
    generated_labels: np.ndarray,
    expressions: Sequence[str],
    *,
    layer: str,
    seed: int = 0,
    real_units: np.ndarray | None = None,
    generated_units: np.ndarray | None = None,
) -> list[Measurement]:
    """Measure `conditional-two-sample-auc-LAYER`: of each expression, and the mean of those.

    `real` (n, d) are features of photos, `generated` (m, d) of edits; labels are indices of `expressions`, what photos
    show and what edits were asked for. Fisher's linear discriminant with a ridge is learned from four fifths of the
    faces and scores the last fifth, five times; the area is the chance that a photo scores above an edit: 0.5 where they
    cannot be told apart, 1 where every one can, and lower is better. Units tell which samples share a face, also between
    the two sets if both are given; a face is in one part only. The interval resamples faces and holds the scores fixed.

    An expression with fewer than ten faces of either kind is undefined and not in the mean.
    """
    real, generated = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ConfigError(
            f"features of shapes {real.shape} and {generated.shape} cannot be compared",
            hint="describe real and edited images with the same layer of the same judge",
        )
    real_labels, generated_labels = np.asarray(real_labels), np.asarray(generated_labels)
    units = join_units(real_units, generated_units, len(real), len(generated))
    count = int(units.max()) + 1 if len(units) else 0
    of_real, of_generated = units[: len(real)], units[len(real) :]
    measure = f"conditional-two-sample-auc-{layer}"
    found, areas = [], []
    for index, name in enumerate(expressions):
        photos, edits = np.flatnonzero(real_labels == index), np.flatnonzero(generated_labels == index)
        own = of_real[photos], of_generated[edits]
        reason = _unmeasurable(real[photos], generated[edits], *own, name)
        value, interval = None, (None, None)
        if not reason:
            scores = _scores(real[photos], generated[edits], *own, seed)
            value = area_under_curve(*scores)
            areas.append(resampled_areas(*scores, np.concatenate(own), count, seed))
            interval = percentile_interval(areas[-1])
        details = {"real": len(photos), "generated": len(edits)}
        found.append(
            measured(
                measure,
                value,
                interval,
                n=len(photos) + len(edits),
                better="lower",
                reason=reason,
                expression=name,
                details=details,
            )
        )
    values = [m.value for m in found if m.value is not None]
    mean = measured(
        measure,
        float(np.mean(values)) if values else None,
        percentile_interval(np.mean(areas, axis=0)) if values else (None, None),
        n=sum(m.n for m in found if m.value is not None),
        better="lower",
        reason=f"no expression has {FEWEST} faces of photos and of edits" if not values else "",
        details={"expressions": [m.expression for m in found if m.value is not None]},
    )
    return [mean, *found]


def _unmeasurable(
    real: np.ndarray, generated: np.ndarray, real_units: np.ndarray, generated_units: np.ndarray, name: str
) -> str:
    photos, edits = (len(np.unique(units)) for units in (real_units, generated_units))
    if min(photos, edits) < FEWEST:
        return f"{photos} faces of photos of {name} and {edits} of edits; {FEWEST} of each are needed"
    if not (np.isfinite(real).all() and np.isfinite(generated).all()):
        return f"features of {name} hold values that are no numbers"
    return ""


def _scores(
    real: np.ndarray, generated: np.ndarray, real_units: np.ndarray, generated_units: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Score photos and edits, higher for more like photos, each by what was learned from other faces."""
    fold_of = _folds(real_units, generated_units, seed)
    real_folds, generated_folds = fold_of[real_units], fold_of[generated_units]
    scores = np.zeros(len(real)), np.zeros(len(generated))
    for fold in range(FOLDS):
        weights, offset = _discriminant(real[real_folds != fold], generated[generated_folds != fold])
        for features, folds, into in ((real, real_folds, scores[0]), (generated, generated_folds, scores[1])):
            into[folds == fold] = features[folds == fold] @ weights - offset
    return scores


def _discriminant(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, float]:
    """Return Fisher's direction, by features that vary by 1 within the kinds, and the score halfway between the means."""
    means = real.mean(axis=0), generated.mean(axis=0)
    within = np.concatenate([real - means[0], generated - means[1]])
    spread = within.std(axis=0)
    largest = np.maximum(np.abs(means[0]), np.abs(means[1]))
    spread = np.where(spread > 1e-9 * largest, spread, 1.0)  # a feature that never changes tells nothing
    within /= spread
    covariance = within.T @ within / len(within)
    covariance[np.diag_indices_from(covariance)] += _RIDGE
    weights = np.linalg.solve(covariance, (means[0] - means[1]) / spread) / spread
    return weights, float(weights @ (means[0] + means[1]) / 2)


def _folds(real_units: np.ndarray, generated_units: np.ndarray, seed: int) -> np.ndarray:
    """Deal the faces out, those in both sets, in the first and in the second alike: fold of each unit, int64."""
    generator = np.random.default_rng(seed)
    shared = np.intersect1d(real_units, generated_units)
    strata = (shared, np.setdiff1d(real_units, shared), np.setdiff1d(generated_units, shared))
    folds = np.zeros(int(max(real_units.max(), generated_units.max())) + 1, np.int64)
    for members in strata:
        folds[generator.permutation(members)] = np.arange(len(members)) % FOLDS
    return folds
