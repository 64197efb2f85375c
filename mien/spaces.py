"""The spaces that turn conditions (`mien.conditions`) into the numbers a generator was trained on.

A space belongs to a trained model: it knows the model's expressions and answers `code(condition)`, a float32 vector. Two
kinds exist: `LabelSpace` (StarGAN: one number per expression) and `DiscSpace` (GANmut: angle = kind, radius = intensity,
centre = neutral). Linear GANmut was trained on the points of that disc; for Gaussian GANmut a `GaussianPlane` says which
place of its plane each point of the disc is. None needs torch, so that an exported model can be used without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.conditions import Condition
from mien.errors import ConditionError, WeightsError
from mien.expressions import NEUTRAL, parse_expression

#: Two unit vectors whose weighted sum is shorter than this point to no direction that a person could have meant.
_SHORTEST_SUM = 0.15


def _known(name: str, expressions: Sequence[str]) -> int:
    return expressions.index(parse_expression(name, expressions))


def _check_whole(condition: Condition) -> None:
    if condition.halves:
        raise ConditionError(
            "halves of a face have no place in a space",
            hint="ask for that of each: `for _, half in condition.by_half()`",
        )


@dataclass(frozen=True)
class LabelSpace:
    """One number per expression, as StarGAN is conditioned.

    The paper knows no intensity: a code is one-hot. Below 1, intensity moves the code from the neutral label (where the
    model has one; otherwise from the zero vector) towards the expression; such codes are not seen in training.
    """

    expressions: tuple[str, ...]
    """Names in the order of the code's components."""

    @property
    def size(self) -> int:
        """Number of components of a code."""
        return len(self.expressions)

    def code(self, condition: Condition) -> np.ndarray:
        """Return the float32 code, shape (size,), of a condition; an angle means nothing here and is refused."""
        _check_whole(condition)
        if condition.angle_radians is not None:
            raise ConditionError(
                "this model is conditioned on names, not on angles", hint=f"give one of {', '.join(self.expressions)}"
            )
        code = np.zeros(self.size, np.float32)
        for name, share in condition.shares:
            code[_known(name, self.expressions)] += share * condition.intensity
        if NEUTRAL in self.expressions:
            code[self.expressions.index(NEUTRAL)] += 1.0 - condition.intensity
        return code

    def to_json(self) -> dict[str, Any]:
        """Describe the space so that `space_from_json` can rebuild it."""
        return {"kind": "labels", "expressions": list(self.expressions)}


def check_condition(space: Space, condition: Condition, as_step: bool = False) -> None:
    """Raise `ConditionError` where a space cannot express a condition; of halves or a blend, one of its parts.

    `as_step`: the condition is to be a step on the disc, where a blend needs a place, too.
    """
    for _, whole in condition.by_half():
        for name, _ in whole.shares:
            if name != NEUTRAL:
                _known(name, space.expressions)
        for part in [whole] if as_step else [part for _, part in whole.parts()]:
            space.code(part)


def place_of(space: Space, condition: Condition) -> list[float] | None:
    """Return the point of the disc, or the code, that a condition stands for; None for blends and halves."""
    if condition.blended or condition.halves:
        return None
    code = space.point(condition) if isinstance(space, DiscSpace) else space.code(condition)
    return [round(float(value), 4) for value in code]


Pair = tuple[float, float]


@dataclass(frozen=True)
class GaussianPlane:
    """Gaussian GANmut's space: the square [-1, 1]^2, where each expression has a centre and a covariance.

    Neutral is one of the centres and need not lie in the middle, so a place has no intensity by itself. What people ask
    for is polar round neutral: a disc, on which

    - the direction of an expression is that from neutral's centre to its own;
    - radius 0 is neutral's centre, radius 1 the expression's, and between them the way is straight;
    - between two neighbouring directions, the distance that radius 1 stands for changes linearly with the angle, and it
      ends at the edge of the square.

    What lies further out than the centres, towards the corners, cannot be asked for in this way.
    """

    centres: tuple[Pair, ...]
    """Place of each expression, neutral first: tanh(mu)."""
    covariances: tuple[tuple[Pair, Pair], ...]
    """2 x 2, in the same order."""

    def __post_init__(self) -> None:
        if len(self.centres) != len(self.covariances) or len(self.centres) < 2:
            raise WeightsError("a plane needs a centre and a covariance for each expression")
        if not (np.isfinite(self.centres).all() and np.isfinite(self.covariances).all()):
            raise _diverged("plane holds places")
        if not (np.linalg.det(self.covariances) > 0).all():
            raise WeightsError("an expression of the model has no width on its plane", hint="take another checkpoint")
        if not (np.hypot(*self._offsets.T) > 0).all():
            raise WeightsError("an expression of the model lies upon its neutral", hint="take another checkpoint")

    @staticmethod
    def learned(mu: np.ndarray, angles: np.ndarray, axes: np.ndarray) -> GaussianPlane:
        """Make the plane of what the generator learns: mu (k, 2), angles in radians (k,), axes (k, 2).

        The centre is tanh(mu), the covariance R(angle) diag(|axes|) R(angle)^T.
        """
        cos, sin = np.cos(angles.astype(np.float64)), np.sin(angles.astype(np.float64))
        turn = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
        widths = np.abs(axes.astype(np.float64))
        covariances = (turn * widths[:, None, :]) @ turn.transpose(0, 2, 1)
        return GaussianPlane.of_arrays(np.tanh(mu.astype(np.float64)), covariances)

    @staticmethod
    def of_arrays(centres: np.ndarray, covariances: np.ndarray) -> GaussianPlane:
        """Make a plane of centres (k, 2) and covariances (k, 2, 2)."""
        pairs = tuple((float(x), float(y)) for x, y in centres)
        return GaussianPlane(
            pairs, tuple(((float(a), float(b)), (float(c), float(d))) for (a, b), (c, d) in covariances)
        )

    @property
    def _offsets(self) -> np.ndarray:
        """From neutral's centre to the others', float64 (k - 1, 2)."""
        return np.array(self.centres[1:]) - np.array(self.centres[0])

    @property
    def angles_radians(self) -> tuple[float, ...]:
        """Direction of each expression after neutral, seen from neutral."""
        x, y = self._offsets.T
        return tuple(float(angle) for angle in np.arctan2(y, x) % (2 * math.pi))

    def reach(self, angles_radians: np.ndarray) -> np.ndarray:
        """Return the distance from neutral, on the plane, that radius 1 stands for in each direction, (n,)."""
        wanted = np.interp(angles_radians, self.angles_radians, np.hypot(*self._offsets.T), period=2 * math.pi)
        direction = np.stack([np.cos(angles_radians), np.sin(angles_radians)], axis=-1)
        room = (1 - np.sign(direction) * self.centres[0]) / np.abs(direction).clip(1e-9)
        return np.minimum(wanted, room.min(axis=-1)).clip(1e-9)

    def places(self, points: np.ndarray) -> np.ndarray:
        """Return the places on the plane, float32 (n, 2) in [-1, 1], of points of the disc (n, 2)."""
        points = np.asarray(points, np.float64)
        reach = self.reach(np.arctan2(points[:, 1], points[:, 0]))
        return np.clip(self.centres[0] + points * reach[:, None], -1, 1).astype(np.float32)

    def points(self, places: np.ndarray) -> np.ndarray:
        """Return the points of the disc, float32 (n, 2), of places; what lies further out goes to the rim."""
        away = np.asarray(places, np.float64) - self.centres[0]
        points = away / self.reach(np.arctan2(away[:, 1], away[:, 0]))[:, None]
        return (points / np.maximum(1.0, np.hypot(*points.T))[:, None]).astype(np.float32)

    def probabilities(self, places: np.ndarray) -> np.ndarray:
        """Return what edits to places were trained to look like, float64 (n, k): softmax of minus Mahalanobis squared."""
        away = np.asarray(places, np.float64)[:, None, :] - np.array(self.centres)
        squared = np.einsum("nki,kij,nkj->nk", away, np.linalg.inv(self.covariances), away)
        shares = np.exp(squared.min(axis=1, keepdims=True) - squared)
        return shares / shares.sum(axis=1, keepdims=True)


def _diverged(what: str) -> WeightsError:
    return WeightsError(
        f"the model's {what} that are not numbers: its training diverged",
        hint="take an earlier checkpoint of the run, or train again with a lower learning rate",
    )


@dataclass(frozen=True)
class DiscSpace:
    """GANmut's disc: every expression but neutral has a learned direction, the centre is neutral.

    What people ask for is a point of the disc; what the generator takes, the code, is that point itself or, where there
    is a plane, its place there.
    """

    expressions: tuple[str, ...]
    """Names, neutral first; the others in the order of `angles_radians`."""
    angles_radians: tuple[float, ...]
    """Learned direction theta of each expression after neutral."""
    neutral_radius: float = 0.2
    """Points nearer to the centre than this are neutral (the papers' threshold T)."""
    plane: GaussianPlane | None = None
    """Where the points lie on the plane of a Gaussian GANmut."""

    def __post_init__(self) -> None:
        if self.expressions[0] != NEUTRAL or len(self.angles_radians) != len(self.expressions) - 1:
            raise WeightsError("a disc needs neutral first and one angle for each other expression")
        if not np.isfinite(self.angles_radians).all():
            raise _diverged("disc holds angles")

    size = 2

    @staticmethod
    def on_plane(expressions: tuple[str, ...], plane: GaussianPlane) -> DiscSpace:
        """Make the disc round neutral of a Gaussian GANmut; its expressions are in the order of the plane's centres.

        No radius is neutral by definition there: what is nearer to neutral's Gaussian than to any other is.
        """
        return DiscSpace(expressions, plane.angles_radians, neutral_radius=0.0, plane=plane)

    def angle(self, expression: str) -> float:
        """Return the learned direction, in radians within [0, 2 pi), of an expression; neutral has none."""
        index = _known(expression, self.expressions)
        if index == 0:
            raise ConditionError("neutral is the centre of the disc and has no direction")
        return self.angles_radians[index - 1] % (2 * math.pi)

    def angle_of(self, condition: Condition) -> float:
        """Return the direction of a condition: for a blend, that of the weighted sum of its unit vectors.

        What is found there is what the model learned to be there, which may be an expression that the blend does not name;
        an editor mixes the edits of a blend's parts instead (`Condition.parts`).

        Raises `ConditionError` where the expressions of a blend lie opposite each other and cancel out.
        """
        _check_whole(condition)
        if condition.angle_radians is not None:
            return condition.angle_radians
        total = np.zeros(2)
        for name, share in condition.shares:
            if _known(name, self.expressions) != 0:
                total += share * np.array([math.cos(self.angle(name)), math.sin(self.angle(name))])
        outward = sum(share for name, share in condition.shares if name != NEUTRAL)
        if outward and math.hypot(total[0], total[1]) < _SHORTEST_SUM * outward:
            names = " and ".join(name for name, _ in condition.shares)
            raise ConditionError(
                f"{names} lie opposite each other on this disc and cancel out",
                hint="raise one of the shares, or choose a direction with `--angle`; `mien gamut` shows the disc",
            )
        return float(math.atan2(total[1], total[0])) % (2 * math.pi)

    def point(self, condition: Condition) -> np.ndarray:
        """Return the point rho (cos theta, sin theta), float32 (2,), of a condition; a neutral share draws rho inwards."""
        theta = self.angle_of(condition)
        neutral = sum(share for name, share in condition.shares if _known(name, self.expressions) == 0)
        rho = condition.intensity * (1.0 - neutral)
        return np.array([rho * math.cos(theta), rho * math.sin(theta)], np.float32)

    def code(self, condition: Condition) -> np.ndarray:
        """Return the float32 code, shape (2,), of a condition: its point, or that point's place on the plane."""
        return self.codes(self.point(condition)[None])[0]

    def codes(self, points: np.ndarray) -> np.ndarray:
        """Return the codes, float32 (n, 2), of points of the disc (n, 2)."""
        return np.asarray(points, np.float32) if self.plane is None else self.plane.places(points)

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Return the points of the disc, float32 (n, 2), of codes (n, 2); on a plane, what lies beyond goes to the rim."""
        return np.asarray(codes, np.float32) if self.plane is None else self.plane.points(codes)

    def shares(self, code: np.ndarray) -> dict[str, float]:
        """Say in names what a code of shape (2,) means: neutral's share falls with the radius, neighbours share the rest.

        Between two neighbouring directions the shares are linear in the angle. On a plane the Gaussians say it.
        """
        if self.plane is not None:
            return dict(zip(self.expressions, self.plane.probabilities(code[None])[0].tolist(), strict=True))
        return self.neighbours(code)

    def neighbours(self, point: np.ndarray) -> dict[str, float]:
        """Return neutral's share of a point of the disc, shape (2,), and those of the two directions beside it."""
        rho = min(1.0, float(np.hypot(*point)))
        theta = math.atan2(float(point[1]), float(point[0])) % (2 * math.pi)
        order = sorted((self.angle(name), name) for name in self.expressions[1:])
        result = dict.fromkeys(self.expressions, 0.0)
        result[NEUTRAL] = 1.0 - rho
        after = next((i for i, (angle, _) in enumerate(order) if angle >= theta), 0)
        (low, before_name), (high, after_name) = order[after - 1], order[after]
        width = (high - low) % (2 * math.pi) or 2 * math.pi
        towards = ((theta - low) % (2 * math.pi)) / width
        result[before_name] += rho * (1.0 - towards)
        result[after_name] += rho * towards
        return result

    def to_json(self) -> dict[str, Any]:
        """Describe the space so that `space_from_json` can rebuild it."""
        if self.plane is not None:
            # A kind of its own: a version of this package that knows no plane refuses it instead of giving other faces.
            centres, covariances = np.array(self.plane.centres), np.array(self.plane.covariances)
            return {
                "kind": "gaussian",
                "expressions": list(self.expressions),
                "centres": centres.tolist(),
                "covariances": covariances.tolist(),
            }
        return {
            "kind": "disc",
            "expressions": list(self.expressions),
            "angles_radians": list(self.angles_radians),
            "neutral_radius": self.neutral_radius,
        }


Space = LabelSpace | DiscSpace


def angles_in_degrees(space: Space) -> dict[str, float] | None:
    """Return the direction of each expression but neutral on the disc, in degrees; None where the space is no disc."""
    if not isinstance(space, DiscSpace):
        return None
    return {name: math.degrees(space.angle(name)) for name in space.expressions[1:]}


def space_from_json(description: Mapping[str, Any]) -> Space:
    """Rebuild a space from what its `to_json` wrote."""
    kind = description.get("kind")
    if kind == "labels":
        return LabelSpace(tuple(description["expressions"]))
    if kind == "disc":
        return DiscSpace(
            tuple(description["expressions"]),
            tuple(float(a) for a in description["angles_radians"]),
            float(description["neutral_radius"]),
        )
    if kind == "gaussian":
        plane = GaussianPlane.of_arrays(np.array(description["centres"]), np.array(description["covariances"]))
        return DiscSpace.on_plane(tuple(description["expressions"]), plane)
    raise WeightsError(f"unknown kind of conditional space `{kind}`", hint="the weights may come from a newer mien")
