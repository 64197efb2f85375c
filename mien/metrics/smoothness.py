"""Smoothness: does the expression grow evenly with the intensity, or jump?

Table IV of Surani 2024 (arXiv 2406.11079): the largest increase of the judge's probability between neighbouring
intensities over its whole range. Ten points have nine increments, the largest of which is at least a ninth of the range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mien.errors import ConfigError
from mien.expressions import NEUTRAL
from mien.metrics.intervals import percentile_interval, resampled_sums
from mien.metrics.measurement import Better, Measurement, measured

#: Rise of the judge's probability from the first to the last intensity, up to which a curve has no smoothness: it would
#: be divided by noise.
LEAST_RANGE = 0.05


#: Share of the curves that must rise for a mean over all of them.
_LEAST_SHARE = 0.5


def smoothness(
    curves: np.ndarray, expressions: Sequence[str], *, seed: int = 0, least_range: float = LEAST_RANGE
) -> list[Measurement]:
    """Measure four things of the judge's probability of what was asked for, curves (faces, expressions, radii).

    `smoothness-per-face`: the ratio of each curve, its mean over faces, then over expressions. `smoothness-mean-curve`:
    the ratio of each expression's mean curve, then the mean. `smoothness-defined-share`: of how many curves the range
    exceeds `least_range`; the others have no ratio and are in no mean, and where less than half has one, there is no mean
    over all. `intensity-rank-correlation`: Spearman's, of
    radius and probability. Each is given over all expressions first, then for each one. The radii grow, from near
    neutral; a curve with a value that is no number is undefined.
    """
    curves = np.asarray(curves, np.float64)
    if curves.ndim != 3 or curves.shape[1] != len(expressions) or curves.shape[2] < 2:
        raise ConfigError(
            f"curves of shape {curves.shape} are not (faces, {len(expressions)} expressions, two radii or more)",
            hint="give the judge's probability for every face, expression and intensity",
        )
    if NEUTRAL in expressions:
        raise ConfigError("neutral does not grow with the intensity", hint="leave neutral out of the expressions")
    finite = np.asarray(np.isfinite(curves).all(axis=2))
    ratios = np.where(finite, smoothness_ratio(np.where(finite[..., None], curves, 0.0), least_range), np.nan)
    correlations = rank_correlation(curves)
    defined = np.isfinite(ratios).astype(np.float64)
    details = {
        "faces": len(curves),
        "minimum": 1.0 / (curves.shape[2] - 1),
        "least_range": least_range,
        "undefined_curves": int((~np.isfinite(ratios)).sum()),
        "not_numbers": int((~finite).sum()),
    }
    if np.isfinite(ratios).any():
        details["median"] = float(np.nanmedian(ratios))
    flat = f"the judge's probability rises by more than {least_range} on no curve"
    still = "the judge's probability is the same at every intensity, or no number"
    per_face = _of_means("smoothness-per-face", ratios, expressions, "lower", flat, details, seed)
    rising = int(defined.sum())
    if 0 < rising < _LEAST_SHARE * ratios.size:  # the few may be accidents: no number for all
        few = f"the judge's probability rises by more than {least_range} on {rising} of {ratios.size} curves only"
        per_face[0] = replace(per_face[0], value=None, low=None, high=None, undefined=few)
    return [
        *per_face,
        *_of_mean_curves(curves, finite, expressions, details, seed),
        *_of_means("smoothness-defined-share", defined, expressions, "higher", "there are no curves", {}, seed),
        *_of_means("intensity-rank-correlation", correlations, expressions, "higher", still, {}, seed),
    ]


def smoothness_ratio(curves: np.ndarray, least_range: float = LEAST_RANGE) -> np.ndarray:
    """Return max_j (p_(j+1) - p_j) / (p_last - p_first) of curves (..., radii): NaN where the range is too small."""
    rise = curves[..., -1] - curves[..., 0]
    largest = np.diff(curves, axis=-1).max(axis=-1)
    enough = rise > least_range
    return np.where(enough, largest / np.where(enough, rise, 1.0), np.nan)


def rank_correlation(curves: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of curves (..., radii) with the order of their radii.

    Equal values share the mean of their ranks. NaN for a curve that is constant or holds what is no number.
    """
    curves = np.asarray(curves, np.float64)
    # A value's mean rank is how many are below it, and half of those that equal it.
    below = (curves[..., None, :] < curves[..., :, None]).sum(axis=-1)
    equal = (curves[..., None, :] == curves[..., :, None]).sum(axis=-1)
    ranks = below + (equal - 1) / 2.0
    ranks -= ranks.mean(axis=-1, keepdims=True)
    radii = np.arange(curves.shape[-1]) - (curves.shape[-1] - 1) / 2.0
    size = np.sqrt((ranks**2).sum(axis=-1) * (radii**2).sum())
    usable = (size > 0) & np.isfinite(curves).all(axis=-1)
    return np.where(usable, (ranks * radii).sum(axis=-1) / np.where(usable, size, 1.0), np.nan)


def _of_means(
    measure: str,
    values: np.ndarray,
    expressions: Sequence[str],
    better: Better,
    reason: str,
    details: Mapping[str, Any],
    seed: int,
) -> list[Measurement]:
    """Measure the means over faces of values (faces, expressions), NaN left out, and first the mean of these means."""
    defined = np.isfinite(values)
    parts = np.stack([np.where(defined, values, 0.0), defined.astype(np.float64)], axis=1)
    resampled = None
    if len(values) >= 2:
        sums = resampled_sums(parts, seed=seed)
        resampled = _ratio(sums[:, 0], sums[:, 1])
    total = parts.sum(axis=0)
    return _measurements(measure, _ratio(total[0], total[1]), resampled, total[1], expressions, better, reason, details)


def _of_mean_curves(
    curves: np.ndarray, finite: np.ndarray, expressions: Sequence[str], details: Mapping[str, Any], seed: int
) -> list[Measurement]:
    least_range = details["least_range"]
    kept = np.where(finite[..., None], curves, 0.0)
    parts = np.concatenate([kept, finite[..., None].astype(np.float64)], axis=2)
    total = parts.sum(axis=0)
    resampled = None
    if len(curves) >= 2:
        sums = resampled_sums(parts, seed=seed)
        resampled = smoothness_ratio(_ratio(sums[..., :-1], sums[..., -1:]), least_range)
    values = smoothness_ratio(_ratio(total[..., :-1], total[..., -1:]), least_range)
    reason = f"the mean of the judge's probability rises by no more than {least_range}"
    shown = {name: value for name, value in details.items() if name in ("faces", "minimum", "least_range")}
    return _measurements(
        "smoothness-mean-curve", values, resampled, total[..., -1], expressions, "lower", reason, shown
    )


def _measurements(
    measure: str,
    values: np.ndarray,
    resampled: np.ndarray | None,
    counts: np.ndarray,
    expressions: Sequence[str],
    better: Better,
    reason: str,
    details: Mapping[str, Any],
) -> list[Measurement]:
    """Return the mean over expressions (those that are defined), then each, of values (expressions,)."""
    used = [name for name, value in zip(expressions, values, strict=True) if np.isfinite(value)]
    columns = [None] * (len(expressions) + 1) if resampled is None else [_mean_of_defined(resampled), *resampled.T]
    intervals = [(None, None) if column is None else percentile_interval(column) for column in columns]
    mean = float(_mean_of_defined(values[None])[0])
    result = [
        measured(
            measure,
            mean,
            intervals[0],
            n=int(counts.sum()),
            better=better,
            reason=reason,
            details={**details, "expressions": used},
        )
    ]
    for index, name in enumerate(expressions):
        result.append(
            measured(
                measure,
                float(values[index]),
                intervals[index + 1],
                n=int(counts[index]),
                better=better,
                reason=reason,
                expression=name,
            )
        )
    return result


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the denominator is 0."""
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1.0), np.nan)


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1))
