"""Confidence intervals: the bootstrap over faces, and a first-order one for distances that duplicates would bias.

The unit that is drawn is always a face, with all its edits: edits of one face are alike, and counting them as if they
were independent would make every interval too narrow. Everything is decided by the seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np

from mien.errors import ConfigError

Interval = tuple[float | None, float | None]

#: How many numbers a block of resamples may hold: 16 MB of float64.
_BLOCK_NUMBERS = 2_000_000

#: Fewest units whose spread says something about a standard error.
_FEWEST_UNITS = 5


def bootstrap(
    statistic: Callable[[np.ndarray], float | None],
    n_units: int,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap's interval of a statistic of units drawn with replacement.

    `statistic` takes indices of units, int64 (n_units,), and returns its value, or None where that is not defined. Such
    resamples are left out; where they are more than half, and for fewer than two units, there is no interval:
    (None, None). Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    if n_units < 2:
        return None, None
    values = [statistic(indices) for indices in _draws(n_units, resamples, seed)]
    return percentile_interval(np.array([math.nan if v is None else v for v in values], np.float64), confidence)


def resampled_counts(n_units: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield, in blocks of resamples, how often each unit was drawn: float64 (block, n_units).

    They are the draws of `bootstrap` with the same seed: a statistic of weighted units gets the same interval from them
    without a loop over resamples.
    """
    block = max(1, _BLOCK_NUMBERS // max(1, n_units))
    counts: list[np.ndarray] = []
    for indices in _draws(n_units, resamples, seed):
        counts.append(np.bincount(indices, minlength=n_units))
        if len(counts) == block:
            yield np.array(counts, np.float64)
            counts = []
    if counts:
        yield np.array(counts, np.float64)


def resampled_sums(per_unit: np.ndarray, *, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Return the sums over each resample's units of what each unit contributes.

    `per_unit` is (n_units, ...); the sums are float64 (resamples, ...). Means, shares and confusion matrices are
    functions of such sums.
    """
    flat = np.asarray(per_unit, np.float64).reshape(len(per_unit), -1)
    sums = [counts @ flat for counts in resampled_counts(len(flat), resamples, seed)]
    return np.concatenate(sums).reshape(-1, *np.shape(per_unit)[1:])


def percentile_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Return the middle `confidence` of resampled values, (None, None) where more than half are not defined."""
    defined = values[np.isfinite(values)]
    if not len(defined) or 2 * len(defined) < len(values):
        return None, None
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high)


def linear_interval(
    value: float, contributions: np.ndarray, units: np.ndarray, *, confidence: float = 0.95, least: float = -math.inf
) -> Interval:
    """Return value -+ z * standard error of a statistic from what each sample contributes to it, to first order.

    `contributions` (n,) are the influence function's values over n (the infinitesimal jackknife; Jaeckel 1972, "The
    infinitesimal jackknife"); those of one unit, `units` (n,), are added up before they are squared. The interval ends
    at `least`; fewer than five units have none.
    """
    names, unit = np.unique(units, return_inverse=True)
    if len(names) < _FEWEST_UNITS:
        return None, None
    sums = np.bincount(unit.reshape(-1), weights=contributions)
    variance = len(sums) / (len(sums) - 1) * float((sums**2).sum())
    half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * math.sqrt(variance)
    return max(least, value - half), max(least, value + half)


def join_units(first: np.ndarray | None, second: np.ndarray | None, n: int, m: int) -> np.ndarray:
    """Number the faces that n and m samples show, int64 (n + m,), from 0 without gaps.

    A name stands for one face in both sets where both name theirs. A set without names has as many faces as samples, and
    none of them is in the other.
    """
    names = [np.arange(size) if units is None else np.asarray(units) for units, size in ((first, n), (second, m))]
    if (len(names[0]), len(names[1])) != (n, m):
        raise ConfigError(
            f"{len(names[0])} and {len(names[1])} units do not belong to {n} and {m} samples",
            hint="give one unit, the face's number or name, for every sample",
        )
    if first is not None and second is not None:
        return np.unique(np.concatenate(names), return_inverse=True)[1].reshape(-1)
    numbers = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in names]
    return np.concatenate([numbers[0], numbers[1] + len(np.unique(numbers[0]))])


def _draws(n_units: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield generator.integers(n_units, size=n_units)
