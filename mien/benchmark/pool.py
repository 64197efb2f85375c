"""Held-out photos by what people see in them: what the oracle answers with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mien.conditions import Condition
from mien.expressions import NEUTRAL

#: Photos among which the oracle draws: a quarter of those that show what was asked, the nearest to it. Fewer would be the
#: same few faces again and again, which a Frechet distance sees; all of them hold faces on which people disagree.
_NEAREST_SHARE, _FEWEST = 0.25, 8


@dataclass(frozen=True, eq=False)
class Pool:
    """Photos that are not edited in this benchmark."""

    images: np.ndarray
    """float32 (n, c, h, w) in [-1, 1]."""
    shares: np.ndarray
    """What people see in each: float64 (n, k), rows that sum to 1."""
    expressions: tuple[str, ...]
    """Names of the k columns."""

    def choose(self, key: str, condition: Condition, seed: int) -> int | None:
        """Return which of the photos nearest to a condition it is, by the key of the face that asks; None: there is none.

        What is asked is a distribution: the condition's shares times its intensity, and neutral for the rest.
        """
        wanted = np.zeros(len(self.expressions))
        for name, share in condition.shares:
            wanted[self.expressions.index(name)] += share * condition.intensity
        if NEUTRAL in self.expressions:
            wanted[self.expressions.index(NEUTRAL)] += 1 - condition.intensity
        leading = int(np.argmax(wanted))
        candidates = np.flatnonzero(self.shares.argmax(1) == leading)
        if not len(candidates):
            return None
        distance = np.abs(self.shares[candidates] - wanted).sum(1)
        count = max(_FEWEST, int(_NEAREST_SHARE * len(candidates)))
        nearest = candidates[np.argsort(distance, kind="stable")[:count]]
        digest = hashlib.blake2b(f"{seed}/{key}/{condition}".encode(), digest_size=8).digest()
        return int(nearest[int.from_bytes(digest, "little") % len(nearest)])
