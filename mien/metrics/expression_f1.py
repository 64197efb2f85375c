"""Expression F1: does a judge see the expression that was asked for?

Tables I and II of Surani 2024 (arXiv 2406.11079). The same function on real images, their labels as what was asked for,
says how much of an error is the judge's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.errors import ConfigError
from mien.metrics.intervals import percentile_interval, resampled_sums
from mien.metrics.measurement import Measurement, measured


def expression_f1(
    asked: np.ndarray,
    seen: np.ndarray,
    faces: np.ndarray,
    expressions: Sequence[str],
    *,
    seed: int = 0,
    prefix: str = "expression",
) -> list[Measurement]:
    """Measure F1 of judged against requested expression: the mean over classes, then each class, then accuracy.

    `asked` and `seen`, integers (n,), count `expressions`; -1 in `seen` is anything else that a judge may see, which
    nobody can ask for. `faces` (n,) tells whose edit each is, in numbers or names. A class that was never asked for is
    undefined and not part of the mean. `prefix` begins the measures' names.
    """
    asked, seen, faces = (np.asarray(values) for values in (asked, seen, faces))
    k = len(expressions)
    if not len(asked) == len(seen) == len(faces):
        raise ConfigError(
            f"{len(asked)} requests, {len(seen)} judgements and {len(faces)} faces do not belong together",
            hint="give one of each for every edit",
        )
    matrices = _matrices_by_face(asked, seen, faces, k)
    matrix = matrices.sum(axis=0)
    scores, hits = _f1(matrix), np.trace(matrix)
    intervals = [(None, None)] * (k + 2)
    if len(matrices) >= 2:
        sums = resampled_sums(matrices, seed=seed)
        resampled = _f1(sums)
        accuracies = np.trace(sums, axis1=1, axis2=2) / sums.sum(axis=(1, 2))
        columns = [_mean_of_defined(resampled), *resampled.T, accuracies]
        intervals = [percentile_interval(column) for column in columns]
    counts = matrix.sum(axis=1)
    details = {"faces": len(matrices), "seen": [*expressions, "other"], "confusion": matrix.astype(int).tolist()}
    none = "no edit was judged"
    mean = float(_mean_of_defined(scores[None])[0])
    result = [measured(f"{prefix}-f1", mean, intervals[0], n=len(asked), better="higher", reason=none, details=details)]
    for index, name in enumerate(expressions):
        reason = f"nobody was asked to look {name}"
        result.append(
            measured(
                f"{prefix}-f1",
                float(scores[index]),
                intervals[1 + index],
                n=int(counts[index]),
                better="higher",
                reason=reason,
                expression=name,
            )
        )
    accuracy = float(hits / len(asked)) if len(asked) else None
    result.append(measured(f"{prefix}-accuracy", accuracy, intervals[-1], n=len(asked), better="higher", reason=none))
    return result


def f1_per_class(asked: np.ndarray, seen: np.ndarray, k: int) -> np.ndarray:
    """Return F1 = 2 TP / (2 TP + FP + FN) of each class, float64 (k,); NaN marks a class that was never asked for."""
    asked = np.asarray(asked)
    return _f1(_matrices_by_face(asked, np.asarray(seen), np.zeros(len(asked), int), k).sum(axis=0))


def _matrices_by_face(asked: np.ndarray, seen: np.ndarray, faces: np.ndarray, k: int) -> np.ndarray:
    """Count what was asked and seen on each face: float64 (faces, k, k + 1), the last column for what is none of k."""
    if len(asked) and (asked.min() < 0 or asked.max() >= k or seen.min() < -1 or seen.max() >= k):
        raise ConfigError(
            f"an expression beyond the {k} of this benchmark was asked for or judged",
            hint="give the numbers that count `expressions`, and -1 where the judge sees anything else",
        )
    names, unit = np.unique(faces, return_inverse=True)
    cell = (unit.reshape(-1) * k + asked) * (k + 1) + np.where(seen < 0, k, seen)
    counts = np.bincount(cell.astype(np.int64), minlength=len(names) * k * (k + 1))
    return counts.reshape(len(names), k, k + 1).astype(np.float64)


def _f1(matrix: np.ndarray) -> np.ndarray:
    """Return F1 of each class of confusion matrices (..., k, k + 1): float64 (..., k), NaN where none was asked for."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    asked, seen = matrix.sum(axis=-1), matrix[..., :-1].sum(axis=-2)
    # 2 TP + FP + FN = asked + seen, which is not 0 where the class was asked for.
    return np.where(asked > 0, 2 * hits / np.maximum(asked + seen, 1), np.nan)


def _mean_of_defined(scores: np.ndarray) -> np.ndarray:
    """Return the mean of each row over what is no NaN, NaN where that is nothing."""
    defined = np.isfinite(scores)
    count = defined.sum(axis=1)
    return np.where(count > 0, np.where(defined, scores, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
