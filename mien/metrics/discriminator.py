"""Discriminator F1: can a critic tell edited faces from real ones?

Table V of Surani 2024 (arXiv 2406.11079), with what it leaves open: a critic's score has no natural zero, so the
threshold is calibrated on one half of the faces and used on the other; both kinds count alike, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mien.metrics.intervals import join_units, percentile_interval, resampled_counts, resampled_sums
from mien.metrics.measurement import Measurement, measured


def discriminator_f1(
    real_scores: np.ndarray,
    generated_scores: np.ndarray,
    *,
    seed: int = 0,
    real_units: np.ndarray | None = None,
    generated_units: np.ndarray | None = None,
) -> list[Measurement]:
    """Measure F1 of a critic's scores (n,) and (m,), higher for more real: the mean, of real, of generated, and AUC.

    F1 is that of the half of the faces on which the threshold was not chosen; the interval holds the threshold fixed.
    AUC, the chance that a real face scores above an edited one (ties count half), is that of all faces and needs no
    threshold. For a generator lower is better, and 0.5 is a critic that cannot tell. Units tell which samples share a
    face, also between the two sets if both are given: a face is in one half only.
    """
    real, generated = np.asarray(real_scores, np.float64), np.asarray(generated_scores, np.float64)
    units = join_units(real_units, generated_units, len(real), len(generated))
    count = int(units.max()) + 1 if len(units) else 0
    scores, is_real = np.concatenate([real, generated]), np.arange(len(units)) < len(real)
    details = {"real": len(real), "generated": len(generated)}
    n = len(scores)
    if not np.isfinite(scores).all():
        return _undefined(n, "the critic's scores hold values that are no numbers", details)
    calibrating = _random_half(units, is_real, count, seed)[units]
    halves = [is_real & calibrating, ~is_real & calibrating, is_real & ~calibrating, ~is_real & ~calibrating]
    if not all(half.any() for half in halves):
        return _undefined(n, "a half without real or without edited faces: two faces of each are needed", details)
    threshold = best_threshold(scores[halves[0]], scores[halves[1]])
    details = {**details, "threshold": threshold}
    tested = np.flatnonzero(~calibrating)
    called = scores[tested] >= threshold
    # Of each face: real samples, real ones called real, generated samples, generated ones called generated.
    columns = np.stack([halves[2][tested], halves[2][tested] & called, halves[3][tested], halves[3][tested] & ~called])
    names, unit = np.unique(units[tested], return_inverse=True)
    parts = np.stack([np.bincount(unit.reshape(-1), weights=c, minlength=len(names)) for c in columns], axis=1)
    values = _balanced_f1(parts.sum(axis=0)[None])[0]
    resampled = _balanced_f1(resampled_sums(parts, seed=seed)) if len(parts) >= 2 else np.full((1, 3), np.nan)
    measures = ("discriminator-f1", "discriminator-f1-real", "discriminator-f1-generated")
    result = [
        measured(
            name,
            float(values[i]),
            percentile_interval(resampled[:, i]),
            n=len(tested),
            better="lower",
            reason="no face was called so",
            details=details,
        )
        for i, name in enumerate(measures)
    ]
    draws = resampled_counts(count, 1000, seed)
    interval = percentile_interval(resampled_areas(real, generated, units, draws)) if count >= 2 else (None, None)
    value = area_under_curve(real, generated)
    auc = measured("discriminator-auc", value, interval, n=n, better="lower", reason="no scores", details=details)
    return [*result, auc]


def best_threshold(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the threshold that maximises the mean of both balanced F1; of equal ones the lowest.

    Candidates lie halfway between neighbouring scores, and one so far below them that other faces, too, are all real.
    """
    levels = np.unique(np.concatenate([real, generated]))
    everything_real = levels[:1] - (levels[-1] - levels[0]) - 1.0
    candidates = np.concatenate([everything_real, (levels[:-1] + levels[1:]) / 2])
    called_real = len(real) - np.searchsorted(np.sort(real), candidates, side="left")
    called_generated = np.searchsorted(np.sort(generated), candidates, side="left")
    full = np.ones(len(candidates))
    sums = np.stack([full * len(real), called_real, full * len(generated), called_generated], axis=1)
    return float(candidates[np.argmax(_balanced_f1(sums)[:, 0])])


def area_under_curve(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the chance that a real score exceeds a generated one, ties counting half (Mann & Whitney 1947)."""
    ordered = np.sort(generated)
    below = np.searchsorted(ordered, real, side="left")
    upto = np.searchsorted(ordered, real, side="right")
    return float((below + upto).mean() / 2.0 / len(ordered))


def _balanced_f1(sums: np.ndarray) -> np.ndarray:
    """Return mean, real and generated F1 of rows (real, of them called real, generated, of them called generated).

    With t and f the shares of real and of generated samples called real, both kinds weighing alike, the F1 of real is
    2 t / (1 + t + f), and that of generated ones the same with 1 - f and 1 - t.
    """
    defined = (sums[:, 0] > 0) & (sums[:, 2] > 0)
    t = np.where(defined, sums[:, 1] / np.maximum(sums[:, 0], 1), np.nan)
    f = np.where(defined, 1 - sums[:, 3] / np.maximum(sums[:, 2], 1), np.nan)
    of_real, of_generated = 2 * t / (1 + t + f), 2 * (1 - f) / (3 - t - f)
    return np.stack([(of_real + of_generated) / 2, of_real, of_generated], axis=1)


def resampled_areas(
    real: np.ndarray, generated: np.ndarray, units: np.ndarray, draws: Iterable[np.ndarray]
) -> np.ndarray:
    """Return the area of each resample; NaN where one has no real or no edited face.

    `units` (n + m,) tell whose the scores are; `draws` are blocks of `resampled_counts`, and each resample weighs the
    scores by how often their face came. With equal draws the areas of parts of the faces can be averaged.
    """
    order = np.argsort(generated, kind="stable")
    below, upto = (np.searchsorted(generated[order], real, side=side) for side in ("left", "right"))
    areas = []
    for counts in draws:
        of_real, of_generated = counts[:, units[: len(real)]], counts[:, units[len(real) :][order]]
        heaped = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(of_generated, axis=1)], axis=1)
        won = (of_real * (heaped[:, below] + heaped[:, upto])).sum(axis=1) / 2.0
        pairs = of_real.sum(axis=1) * heaped[:, -1]
        areas.append(np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan))
    return np.concatenate(areas)


def _random_half(units: np.ndarray, is_real: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Choose half of the faces, bool (count,): half of those in both sets, and half of those in one of them only."""
    has_real = np.bincount(units[is_real], minlength=count) > 0
    has_generated = np.bincount(units[~is_real], minlength=count) > 0
    generator = np.random.default_rng(seed)
    chosen = np.zeros(count, bool)
    for stratum in (has_real & has_generated, has_real & ~has_generated, has_generated & ~has_real):
        members = generator.permutation(np.flatnonzero(stratum))
        chosen[members[: (len(members) + 1) // 2]] = True
    return chosen


def _undefined(n: int, reason: str, details: Mapping[str, Any]) -> list[Measurement]:
    names = ("discriminator-f1", "discriminator-f1-real", "discriminator-f1-generated", "discriminator-auc")
    return [Measurement(name, None, None, None, n, "lower", None, reason, details) for name in names]
