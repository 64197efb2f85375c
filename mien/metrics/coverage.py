"""Gamut coverage: which mixed expressions of real people does the disc reach?

Ten people who look at one face often do not agree: FER+ (Barsoum et al. 2016, arXiv 1608.01041) keeps their votes. Such
a distribution is what a mixed expression is to people, and what a judge says of an edit is one of the same kind.
Distances are Jensen-Shannon's: the root of the divergence in bits, a metric from 0 to 1 (Endres & Schindelin 2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mien.errors import ConfigError
from mien.expressions import NEUTRAL, compound_name
from mien.metrics.intervals import percentile_interval, resampled_counts, resampled_sums
from mien.metrics.measurement import Measurement, measured

#: How many numbers a block of distances may hold: 32 MB of float64.
_BLOCK_NUMBERS = 4_000_000

#: Of how many real mixtures at most the nearest other is looked for: a median needs no more.
_MOST_NEIGHBOURS = 1000

#: Resamples of the edited faces, for each of which the real ones are resampled five times.
_WALKS = 200

#: Distance below which two distributions are the same one, rounding apart.
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Compound:
    """A mixture of two expressions that people see in real faces."""

    name: str
    """As psychology names it, the stronger expression last: `fearfully surprised`."""
    pair: tuple[str, str]
    """The two expressions, the weaker one first."""
    faces: int
    """In how many faces people see it."""
    mixture: np.ndarray
    """The mean of these faces' votes, float64 (k,)."""


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the distance of each distribution (a, k) from each of (b, k): float64 (a, b), 0 to 1."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    own, other = _entropy(first), _entropy(second)
    block = max(1, _BLOCK_NUMBERS // max(1, second.size))
    rows = [
        _entropy((first[start : start + block, None] + second[None]) / 2.0)
        - (own[start : start + block, None] + other) / 2
        for start in range(0, len(first), block)
    ]
    return np.sqrt(np.clip(np.concatenate(rows), 0.0, 1.0)) if rows else np.zeros((0, len(second)))


def find_compounds(
    votes: np.ndarray, expressions: Sequence[str], *, least_share: float = 0.2, least_faces: int = 10
) -> list[Compound]:
    """Return the mixtures that people see in at least `least_faces` faces, the most frequent first.

    A face, votes (n, k), shows one where its two largest shares besides neutral are `least_share` or more.
    """
    votes = _distributions(votes, expressions)
    others = [index for index, name in enumerate(expressions) if name != NEUTRAL]
    order = np.argsort(-votes[:, others], axis=1, kind="stable")[:, :2]
    two = np.sort(np.array(others)[order], axis=1)
    enough = np.take_along_axis(votes, two, axis=1).min(axis=1) >= least_share - 1e-9
    result = []
    for pair in combinations(others, 2):
        chosen = votes[enough & (two == pair).all(axis=1)]
        if len(chosen) >= max(1, least_faces):
            mixture = chosen.mean(axis=0)
            weaker, stronger = sorted(pair, key=lambda index: mixture[index])
            names = expressions[weaker], expressions[stronger]
            result.append(Compound(compound_name(*names), names, len(chosen), mixture))
    return sorted(result, key=lambda compound: (-compound.faces, compound.name))


def compound_distances(
    votes: np.ndarray,
    judged: np.ndarray,
    codes: np.ndarray,
    expressions: Sequence[str],
    *,
    seed: int = 0,
    least_share: float = 0.2,
    least_faces: int = 10,
) -> list[Measurement]:
    """Measure for each compound how near the disc comes, and where: `compound-distance`, the mean first.

    `votes` (n, k) are real faces', `judged` (faces, codes, k) what the judge sees in edits of neutral faces at `codes`
    (codes, 2). A compound's details hold the code whose mean over faces is nearest to it. The interval draws edited
    faces; the compounds stand as they are.
    """
    judged = _judged(judged, codes, expressions)
    reason = _unmeasurable(votes, judged)
    compounds = [] if reason else find_compounds(votes, expressions, least_share=least_share, least_faces=least_faces)
    reason = reason or f"no compound is seen in {least_faces} faces or more"
    if not compounds:
        return [Measurement("compound-distance", None, None, None, 0, "lower", None, reason)]
    mixtures = np.stack([compound.mixture for compound in compounds])
    distances = jensen_shannon(mixtures, judged.mean(axis=0))
    nearest = distances.argmin(axis=1)
    values = distances.min(axis=1)
    resampled = np.full((1, len(compounds)), np.nan)
    if len(judged) >= 2:
        sums = resampled_sums(judged, seed=seed) / len(judged)
        resampled = np.stack([jensen_shannon(mixtures, reached).min(axis=1) for reached in sums])
    faces = sum(compound.faces for compound in compounds)
    details = {"compounds": [compound.name for compound in compounds], "edited_faces": len(judged)}
    interval = percentile_interval(resampled.mean(axis=1))
    result = [
        measured(
            "compound-distance", float(values.mean()), interval, n=faces, better="lower", reason=reason, details=details
        )
    ]
    for index, compound in enumerate(compounds):
        place = int(nearest[index])
        details = {
            "pair": list(compound.pair),
            "code": [float(number) for number in codes[place]],
            "seen": dict(zip(expressions, judged[:, place].mean(axis=0).tolist(), strict=True)),
            "voted": dict(zip(expressions, compound.mixture.tolist(), strict=True)),
        }
        result.append(
            measured(
                "compound-distance",
                float(values[index]),
                percentile_interval(resampled[:, index]),
                n=compound.faces,
                better="lower",
                reason=reason,
                expression=compound.name,
                details=details,
            )
        )
    return result


def gamut_coverage(
    votes: np.ndarray, judged: np.ndarray, expressions: Sequence[str], *, seed: int = 0, radius: float | None = None
) -> list[Measurement]:
    """Measure how much of the real faces' mixtures the disc reaches: `gamut-coverage` and `gamut-distance`.

    Coverage is the share of real faces whose votes lie within `radius` of the judge's mean at some code, as the recall of
    Kynkaanniemi et al. 2019 (arXiv 1904.06991); without one, the radius is the median distance of a distinct real
    mixture from its nearest other. The distance is the mean over real faces to the nearest code, without any radius.
    Faces that most people call neutral, and those without votes, are left out. The interval draws real faces and edited
    ones, each by themselves; with one edited face there is none. `votes` (n, k), `judged` (faces, codes, k) as in
    `compound_distances`.
    """
    judged = _judged(judged, None, expressions)
    reason = _unmeasurable(votes, judged)
    mixtures = np.zeros((0, len(expressions)))
    if not reason:
        mixtures = _distributions(votes, expressions)
        if NEUTRAL in expressions:
            mixtures = mixtures[mixtures.argmax(axis=1) != list(expressions).index(NEUTRAL)]
        # Votes of ten people repeat: each mixture is measured once and counts as often as it was found.
        _, first, of_face = np.unique(mixtures.round(6), axis=0, return_index=True, return_inverse=True)
        distinct = mixtures[first]
        reason = "" if len(distinct) >= 2 else "fewer than two different mixtures that are not neutral"
    if reason:
        return [
            Measurement("gamut-coverage", None, None, None, len(mixtures), "higher", None, reason),
            Measurement("gamut-distance", None, None, None, len(mixtures), "lower", None, reason),
        ]
    if radius is None:
        radius = float(np.median(_nearest_other(distinct, seed)))
    of_face = of_face.reshape(-1)
    distance = jensen_shannon(distinct, judged.mean(axis=0)).min(axis=1)[of_face]
    unanimous = float((mixtures.max(axis=1) > 1.0 - _SAME).mean())
    details = {
        "radius": radius,
        "unanimous": unanimous,
        "distinct": len(distinct),
        "codes": judged.shape[1],
        "edited_faces": len(judged),
    }
    parts = np.stack([distance <= radius + _SAME, distance], axis=1).astype(np.float64)
    means = _resampled_coverage(distinct, of_face, judged, radius, seed)
    value = parts.mean(axis=0)
    coverage, far = percentile_interval(means[:, 0]), percentile_interval(means[:, 1])
    return [
        measured(
            "gamut-coverage", float(value[0]), coverage, n=len(parts), better="higher", reason=reason, details=details
        ),
        measured("gamut-distance", float(value[1]), far, n=len(parts), better="lower", reason=reason, details=details),
    ]


def _resampled_coverage(
    distinct: np.ndarray, of_face: np.ndarray, judged: np.ndarray, radius: float, seed: int
) -> np.ndarray:
    """Return coverage and distance of resamples of the edited faces, and for each of real ones: (resamples, 2)."""
    if len(judged) < 2:
        return np.full((1, 2), np.nan)
    reached = resampled_sums(judged, resamples=_WALKS, seed=seed + 1) / len(judged)  # not the draws of the real faces
    nearest = np.stack([jensen_shannon(distinct, walk).min(axis=1) for walk in reached])
    found, done = [], 0
    for counts in resampled_counts(len(of_face), 1000, seed):
        times = np.stack([np.bincount(of_face, weights=row, minlength=len(distinct)) for row in counts]) / len(of_face)
        walks = nearest[(done + np.arange(len(counts))) % _WALKS]
        found.append(np.stack([(times * (walks <= radius + _SAME)).sum(axis=1), (times * walks).sum(axis=1)], axis=1))
        done += len(counts)
    return np.concatenate(found)


def _entropy(distributions: np.ndarray) -> np.ndarray:
    """Return the entropy in bits along the last axis; nothing has none."""
    positive = distributions > 0
    return -(distributions * np.log2(np.where(positive, distributions, 1.0))).sum(axis=-1)


def _nearest_other(distinct: np.ndarray, seed: int) -> np.ndarray:
    """Return the distance from their nearest other of at most 1000 of the distributions, which the seed chooses."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(distinct))[:_MOST_NEIGHBOURS])
    distances = jensen_shannon(distinct[chosen], distinct)
    distances[np.arange(len(chosen)), chosen] = np.inf
    return distances.min(axis=1)


def _distributions(votes: np.ndarray, expressions: Sequence[str]) -> np.ndarray:
    """Return the rows that hold votes, float64, each with the sum of 1."""
    votes = np.asarray(votes, np.float64)
    if votes.ndim != 2 or votes.shape[1] != len(expressions):
        raise ConfigError(
            f"votes of shape {votes.shape} are not (faces, {len(expressions)})",
            hint="give each face's share of every expression",
        )
    totals = votes.sum(axis=1, keepdims=True)
    return (votes / np.where(totals > 0, totals, 1.0))[totals[:, 0] > 0]


def _judged(judged: np.ndarray, codes: np.ndarray | None, expressions: Sequence[str]) -> np.ndarray:
    judged = np.asarray(judged, np.float64)
    right = judged.ndim == 3 and judged.shape[2] == len(expressions) and 0 not in judged.shape
    if not right or (codes is not None and np.shape(codes) != (judged.shape[1], 2)):
        raise ConfigError(
            f"judged distributions of shape {judged.shape} are not (faces, codes, {len(expressions)})",
            hint="give what the judge sees in every face at every code, over the same expressions as the votes",
        )
    return judged


def _unmeasurable(votes: np.ndarray, judged: np.ndarray) -> str:
    """Say in one line why nothing can be measured; nothing where it can."""
    if not np.isfinite(judged).all():
        return "what the judge saw holds values that are no numbers"
    votes = np.asarray(votes, np.float64)
    if not ((votes > 0).sum(axis=1) > 1).any():
        return "the data has no votes: every face has one label"
    return ""
