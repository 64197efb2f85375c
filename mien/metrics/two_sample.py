"""Told from photos: can a classifier that has met no generator learn to tell edits from photos of the same expression?

A classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", arXiv 1610.06545), here
on the features of a judge, for each expression apart, and by the area under the curve, since photos and edits differ in
number.
Where discriminator F1 asks the critic of some model, this asks a stranger who begins anew for every model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.metrics.discriminator import area_under_curve, resampled_areas
from mien.metrics.features import checked_features, checked_labels
from mien.metrics.intervals import join_units, percentile_interval, resampled_counts
from mien.metrics.measurement import Measurement, measured

#: Parts of the faces: each is scored by what was learned from the others.
FOLDS = 5
#: Faces of photos and of edits that an expression needs: one in each part.
FEWEST = FOLDS
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
    faces and scores the last fifth, five times; the area is the chance that a photo scores above an edit in the same
    fifth: 0.5 where they cannot be told apart, 1 where every one can, and lower is better. Units tell which samples share
    a face, also between the two sets if both are given; a face is in one part only. A photo that stands among the edits
    must have its own unit there, or what was learned of it is found again. The interval resamples faces and holds the
    scores fixed.

    An expression with fewer than five faces of either kind is undefined and not in the mean. Raises `ConfigError` where
    shapes do not fit together.
    """
    real, generated = checked_features(real, generated)
    real_labels, generated_labels = checked_labels(real_labels, generated_labels, real, generated)
    units = join_units(real_units, generated_units, len(real), len(generated))
    count = int(units.max()) + 1 if len(units) else 0
    of_real, of_generated = units[: len(real)], units[len(real) :]
    draws = list(resampled_counts(count, 1000, seed)) if count else []
    measure = f"conditional-two-sample-auc-{layer}"
    found, areas = [], []
    for index, name in enumerate(expressions):
        photos, edits = np.flatnonzero(real_labels == index), np.flatnonzero(generated_labels == index)
        own = of_real[photos], of_generated[edits]
        reason = _unmeasurable(real[photos], generated[edits], *own, name)
        value, interval = None, (None, None)
        if not reason:
            value, resampled = _area(real[photos], generated[edits], *own, draws, seed)
            areas.append(resampled)
            interval = percentile_interval(resampled)
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


def _area(
    real: np.ndarray,
    generated: np.ndarray,
    real_units: np.ndarray,
    generated_units: np.ndarray,
    draws: Sequence[np.ndarray],
    seed: int,
) -> tuple[float, np.ndarray]:
    """Return the mean area of the parts, each scored by what was learned from the others, and that of each resample."""
    fold_of = _folds(real_units, generated_units, seed)
    real_folds, generated_folds = fold_of[real_units], fold_of[generated_units]
    values, resampled = [], []
    for fold in range(FOLDS):
        photos, edits = real_folds == fold, generated_folds == fold
        if not photos.any() or not edits.any():
            continue
        weights = _discriminant(real[~photos], generated[~edits])
        scores = real[photos] @ weights, generated[edits] @ weights
        units = np.concatenate([real_units[photos], generated_units[edits]])
        values.append(area_under_curve(*scores))
        resampled.append(resampled_areas(*scores, units, draws))
    stacked = np.stack(resampled)
    known = np.isfinite(stacked)
    sums = np.where(known, stacked, 0.0).sum(axis=0)
    return float(np.mean(values)), np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan)


def _discriminant(real: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """Return Fisher's direction, by features that vary by 1 within the kinds."""
    means = real.mean(axis=0), generated.mean(axis=0)
    within = np.concatenate([real - means[0], generated - means[1]])
    spread = within.std(axis=0)
    between = means[0] - means[1]
    largest = np.maximum(np.abs(means[0]), np.abs(means[1]))
    # What never changes within the kinds tells all where they differ, and nothing where they do not.
    spread = np.where(spread > 1e-9 * largest, spread, np.where(between != 0, np.abs(between), 1.0))
    within /= spread
    covariance = within.T @ within / len(within)
    covariance[np.diag_indices_from(covariance)] += _RIDGE
    return np.linalg.solve(covariance, between / spread) / spread


def _folds(real_units: np.ndarray, generated_units: np.ndarray, seed: int) -> np.ndarray:
    """Deal the faces out, those in both sets, in the first and in the second alike: fold of each unit, int64."""
    generator = np.random.default_rng(seed)
    shared = np.intersect1d(real_units, generated_units)
    strata = (shared, np.setdiff1d(real_units, shared), np.setdiff1d(generated_units, shared))
    folds = np.zeros(int(max(real_units.max(), generated_units.max())) + 1, np.int64)
    dealt = 0
    for members in strata:
        folds[generator.permutation(members)] = (dealt + np.arange(len(members))) % FOLDS
        dealt += len(members)
    return folds
