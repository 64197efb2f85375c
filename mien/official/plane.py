"""GANmut's Gaussian space, a plane with a place for each expression, as a disc round its neutral.

The model learns for each expression a centre, tanh(mu) in [-1, 1]^2, and a covariance. Neutral is one of the centres and
need not lie in the middle, so a place has no intensity by itself. What people ask for is polar round neutral:

- the direction of an expression is that from neutral's centre to its own;
- intensity 0 is neutral's centre, intensity 1 the expression's, and between them the way is straight;
- between two neighbouring directions, the distance that intensity 1 stands for changes linearly with the angle.

The corners of the plane that lie further out than the centres cannot be asked for in this way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mien.errors import WeightsError


@dataclass(frozen=True, eq=False)
class GaussianPlane:
    """Centres and covariances as they were learned."""

    centres: np.ndarray
    """float64 (k, 2) in [-1, 1]: tanh(mu), neutral first."""
    covariances: np.ndarray
    """float64 (k, 2, 2)."""

    def __post_init__(self) -> None:
        if not (np.linalg.det(self.covariances) > 0).all():
            raise WeightsError("an expression of the model has no width on its plane", hint="take another checkpoint")
        if not (np.hypot(*(self.centres[1:] - self.centres[0]).T) > 0).all():
            raise WeightsError("an expression of the model lies upon its neutral", hint="take another checkpoint")

    @staticmethod
    def learned(mu: np.ndarray, angles: np.ndarray, axes: np.ndarray) -> GaussianPlane:
        """Make the plane of what the checkpoint holds: mu (k, 2), angles in radians (k,), axes (k, 2).

        The covariance is R(angle) diag(|axes|) R(angle)^T.
        """
        cos, sin = np.cos(angles.astype(np.float64)), np.sin(angles.astype(np.float64))
        turn = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
        widths = np.abs(axes.astype(np.float64))
        return GaussianPlane(np.tanh(mu.astype(np.float64)), (turn * widths[:, None, :]) @ turn.transpose(0, 2, 1))

    @property
    def angles_radians(self) -> tuple[float, ...]:
        """Direction of each expression after neutral, seen from neutral."""
        x, y = (self.centres[1:] - self.centres[0]).T
        return tuple(float(angle) for angle in np.arctan2(y, x) % (2 * math.pi))

    def reach(self, angles_radians: np.ndarray) -> np.ndarray:
        """Return the distance from neutral, on the plane, that intensity 1 stands for in each direction."""
        lengths = np.hypot(*(self.centres[1:] - self.centres[0]).T)
        return np.interp(angles_radians, self.angles_radians, lengths, period=2 * math.pi)

    def places(self, codes: np.ndarray) -> np.ndarray:
        """Return the places on the plane, float32 (n, 2) in [-1, 1], of codes on the disc (n, 2)."""
        codes = np.asarray(codes, np.float64)
        angles = np.arctan2(codes[:, 1], codes[:, 0])
        return np.clip(self.centres[0] + codes * self.reach(angles)[:, None], -1, 1).astype(np.float32)

    def codes(self, places: np.ndarray) -> np.ndarray:
        """Return the codes on the disc, float32 (n, 2), of places; what lies further out goes to the rim."""
        away = np.asarray(places, np.float64) - self.centres[0]
        codes = away / self.reach(np.arctan2(away[:, 1], away[:, 0]))[:, None]
        return (codes / np.maximum(1.0, np.hypot(*codes.T))[:, None]).astype(np.float32)

    def probabilities(self, places: np.ndarray) -> np.ndarray:
        """Return what edits to places were trained to look like, float64 (n, k): softmax of minus Mahalanobis squared."""
        away = np.asarray(places, np.float64)[:, None, :] - self.centres
        squared = np.einsum("nki,kij,nkj->nk", away, np.linalg.inv(self.covariances), away)
        shares = np.exp(squared.min(axis=1, keepdims=True) - squared)
        return shares / shares.sum(axis=1, keepdims=True)
