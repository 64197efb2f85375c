"""Frechet emotion distance: how far the edited faces, as a judge describes them, are from real ones.

The Frechet distance of Heusel et al. 2017 (arXiv 1706.08500) between Gaussians fitted to features of an expression
classifier, table III of Surani 2024 (arXiv 2406.11079). Its estimate grows as samples shrink, so the sample size is part
of each measure's name.

Legend: a, b matrices whose rows are samples without their mean, divided by sqrt(n - 1), so that a^T a is the unbiased
covariance S1, and b^T b is S2; u, s, v their common singular vectors and values, a b^T = u diag(s) v^T; d numbers in a
feature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import ConfigError
from mien.metrics.features import checked_features, checked_labels
from mien.metrics.intervals import join_units, linear_interval
from mien.metrics.measurement import Measurement, measured

#: Samples for each number of a feature below which the distance is no straight line in 1 / n.
_SAMPLES_PER_DIMENSION = 4


@dataclass(frozen=True, eq=False)
class _Distance:
    """A Frechet distance and what each sample contributes to it, to first order."""

    value: float
    """||mean difference||^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))."""
    real: np.ndarray
    """The influence of each real sample over n, float64 (n,)."""
    generated: np.ndarray
    """The influence of each generated sample over m, float64 (m,)."""


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Return ||mean difference||^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)) of samples (n, d) and (m, d), in float64.

    The last trace is the sum of the singular values of a b^T: no root of a matrix is taken, nothing is squared first,
    and samples fewer than d need no correction. What is below the rounding of these sums is 0.
    """
    real, generated = checked_features(real, generated)
    if min(len(real), len(generated)) < 2:
        raise ConfigError("a covariance needs at least two samples", hint="measure more images")
    a, b = (_centred(samples) for samples in (real, generated))
    # The triangle of a QR decomposition has the same covariance in at most d rows.
    a, b = (np.linalg.qr(rows, mode="r") if len(rows) > rows.shape[1] else rows for rows in (a, b))
    return _sum(real, generated, a, b, np.linalg.svd(a @ b.T, compute_uv=False))


def fed(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    layer: str,
    real_units: np.ndarray | None = None,
    generated_units: np.ndarray | None = None,
) -> Measurement:
    """Measure the Frechet distance of features (n, d) and (m, d) of one layer of a judge, as `fed-LAYER-nN`.

    N is the smaller of n and m. Units tell which samples share a face, also between the two sets if both are given;
    without them each sample is its own. The interval is for the distance that samples of this size have on average, by
    its influence function: drawn with replacement, duplicates shrink the covariance and push every resample upwards.
    """
    real, generated = checked_features(real, generated)
    n = min(len(real), len(generated))
    reason = _unmeasurable(real, generated)
    details = {"real": len(real), "generated": len(generated), "dimension": real.shape[1]}
    if n <= real.shape[1]:
        details["rank_deficient"] = f"{n} samples do not fill {real.shape[1]} dimensions"
    units = join_units(real_units, generated_units, len(real), len(generated))
    value, interval = None, (None, None)
    if not reason:
        distance = _distance(real, generated)
        value = distance.value
        interval = linear_interval(value, np.concatenate([distance.real, distance.generated]), units, least=0.0)
    return measured(f"fed-{layer}-n{n}", value, interval, n=n, better="lower", reason=reason, details=details)


def conditional_fed(
    real: np.ndarray,
    real_labels: np.ndarray,
    generated: np.ndarray,
    asked: np.ndarray,
    expressions: Sequence[str],
    *,
    layer: str,
    real_units: np.ndarray | None = None,
    generated_units: np.ndarray | None = None,
) -> list[Measurement]:
    """Measure the distance of edits asked to show an expression from real faces that show it: the mean, then each.

    The pooled distance asks only whether all edits together look like all faces together, and a copy of the input may.
    `real_labels` (n,) and `asked` (m,) count `expressions`. N in the mean's name is the smallest class's sample size.
    """
    real, generated = checked_features(real, generated)
    real_labels, asked = checked_labels(real_labels, asked, real, generated)
    units = join_units(real_units, generated_units, len(real), len(generated))
    total, used, each = np.zeros(len(real) + len(generated)), [], []
    for index, name in enumerate(expressions):
        chosen_real, chosen = real_labels == index, asked == index
        n = int(min(chosen_real.sum(), chosen.sum()))
        reason = _unmeasurable(real[chosen_real], generated[chosen], name)
        value, interval = None, (None, None)
        if not reason:
            distance = _distance(real[chosen_real], generated[chosen])
            value = distance.value
            both, parts = np.concatenate([chosen_real, chosen]), np.concatenate([distance.real, distance.generated])
            interval = linear_interval(value, parts, units[both], least=0.0)
            total[both] += parts
            used.append((name, n, value))
        each.append(
            measured(
                f"conditional-fed-{layer}-n{n}", value, interval, n=n, better="lower", reason=reason, expression=name
            )
        )
    mean, interval, reason = None, (None, None), "no expression has two real faces and two edits"
    if used:
        mean = float(np.mean([value for _, _, value in used]))
        interval = linear_interval(mean, total / len(used), units, least=0.0)
    least = min((n for _, n, _ in used), default=0)
    details = {"expressions": [name for name, _, _ in used], "dimension": real.shape[1]}
    n = sum(n for _, n, _ in used)
    name = f"conditional-fed-{layer}-n{least}"
    return [measured(name, mean, interval, n=n, better="lower", reason=reason, details=details), *each]


def fed_curve(
    real: np.ndarray, generated: np.ndarray, sizes: Sequence[int], *, seed: int = 0, repeats: int = 5
) -> list[tuple[int, float, float]]:
    """Return sample size, mean distance and its standard deviation over `repeats` draws of that size from both sets.

    It shows how much of a distance is the size of the sample. Sizes that the sets do not hold are left out.
    """
    real, generated = checked_features(real, generated)
    generator = np.random.default_rng(seed)
    curve = []
    for size in sizes:
        if 2 <= size <= min(len(real), len(generated)):
            values = [
                frechet_distance(
                    real[generator.choice(len(real), size, replace=False)],
                    generated[generator.choice(len(generated), size, replace=False)],
                )
                for _ in range(repeats)
            ]
            curve.append((int(size), float(np.mean(values)), float(np.std(values))))
    return curve


def extrapolated_fed(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    layer: str,
    seed: int = 0,
    real_units: np.ndarray | None = None,
    generated_units: np.ndarray | None = None,
) -> Measurement:
    """Measure the distance that endless samples would have, as `fed-LAYER-extrapolated`.

    The estimate is a straight line in 1 / n where n is well above d (Chong & Forsyth 2020, arXiv 1911.07023); it is put
    through the whole sets, their halves and their quarters. Below four samples for each number of the feature the
    measure is undefined. It may come out slightly below 0 where the two are alike: to clip it would be a bias again.
    """
    real, generated = checked_features(real, generated)
    n, dimension = min(len(real), len(generated)), real.shape[1]
    reason = _unmeasurable(real, generated)
    if not reason and n < _SAMPLES_PER_DIMENSION * dimension:
        reason = f"{n} samples of {dimension} dimensions; the line in 1 / n begins at {_SAMPLES_PER_DIMENSION} for each"
    value, interval = None, (None, None)
    if not reason:
        units = join_units(real_units, generated_units, len(real), len(generated))
        value, contributions = _extrapolate(real, generated, np.random.default_rng(seed))
        interval = linear_interval(value, contributions, units)
    details = {"real": len(real), "generated": len(generated), "dimension": dimension}
    measure = f"fed-{layer}-extrapolated"
    return measured(measure, value, interval, n=n, better="lower", reason=reason, details=details)


def _unmeasurable(real: np.ndarray, generated: np.ndarray, name: str = "") -> str:
    """Say in one line why two sets have no distance; nothing where they have one."""
    shown = f" of {name}" if name else ""
    if min(len(real), len(generated)) < 2:
        return f"{len(real)} real faces{shown} and {len(generated)} edits; a covariance needs two of each"
    if not (np.isfinite(real).all() and np.isfinite(generated).all()):
        return f"features{shown} hold values that are no numbers"
    return ""


def _centred(samples: np.ndarray) -> np.ndarray:
    return (samples - samples.mean(axis=0)) / math.sqrt(len(samples) - 1)


def _sum(real: np.ndarray, generated: np.ndarray, a: np.ndarray, b: np.ndarray, s: np.ndarray) -> float:
    """Add up the distance's terms; what is below their rounding is 0."""
    shift = real.mean(axis=0) - generated.mean(axis=0)
    spread = float((a**2).sum() + (b**2).sum())
    distance = float(shift @ shift) + spread - 2.0 * float(s.sum())
    size = spread + float((real.mean(axis=0) ** 2).sum())
    return distance if distance > np.finfo(np.float64).eps * real.shape[1] * size else 0.0


def _distance(real: np.ndarray, generated: np.ndarray) -> _Distance:
    """Return the distance with each sample's influence.

    The derivative of the sum of singular values of a b^T along row i of a is half of (u diag(s) u^T)_ii; the mean's part
    in the covariance has no first-order effect.
    """
    a, b = _centred(real), _centred(generated)
    (q, a_small), (r, b_small) = (np.linalg.qr(rows) if len(rows) > rows.shape[1] else (None, rows) for rows in (a, b))
    u, s, vt = np.linalg.svd(a_small @ b_small.T, full_matrices=False)
    u = u if q is None else q @ u
    v = vt.T if r is None else r @ vt.T
    shift = real.mean(axis=0) - generated.mean(axis=0)

    def influence(rows: np.ndarray, direction: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        n = len(rows)
        squares = n * (rows**2).sum(axis=1)
        common = n * (vectors**2 @ s) - s.sum()
        return (2.0 * math.sqrt(n - 1) * (rows @ direction) + squares - squares.mean() - common) / n

    value = _sum(real, generated, a, b, s)
    return _Distance(value, influence(a, shift, u), influence(b, -shift, v))


def _extrapolate(real: np.ndarray, generated: np.ndarray, generator: np.random.Generator) -> tuple[float, np.ndarray]:
    """Return where the line through distances over 1 / n meets 0, and what each sample contributes to that."""
    orders = generator.permutation(len(real)), generator.permutation(len(generated))
    inverses, values, contributions = [], [], []
    for parts in (1, 2, 4):
        for r, g in zip(*(np.array_split(order, parts) for order in orders), strict=True):
            distance = _distance(real[r], generated[g])
            contribution = np.zeros(len(real) + len(generated))
            contribution[r], contribution[len(real) + g] = distance.real, distance.generated
            # Each set's bias falls with its own size; the mean of the inverses stands for both.
            inverses.append((1 / len(r) + 1 / len(g)) / 2)
            values.append(distance.value)
            contributions.append(contribution)
    # Least squares with weight n for each part, whose variance goes like 1 / n: the intercept is linear in the values.
    x, w = np.array(inverses), 1.0 / np.array(inverses)
    mean = (w * x).sum() / w.sum()
    shares = w / w.sum() - mean * w * (x - mean) / (w * (x - mean) ** 2).sum()
    return float(shares @ np.array(values)), shares @ np.array(contributions)
