"""Conditions, and the spaces that turn them into the numbers a generator was trained on.

A `Condition` is what a person asks for: expressions with shares and an intensity, or a point of the disc. A space belongs
to a trained model: it knows the model's expressions and answers `code(condition)`, a float32 vector. Two kinds exist:
`LabelSpace` (StarGAN: one number per expression) and `DiscSpace` (GANmut: angle = kind, radius = intensity, centre =
neutral). Neither needs torch, so that an exported model can be used without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import ConditionError, WeightsError
from mien.expressions import NEUTRAL, parse_expression

#: Two unit vectors whose weighted sum is shorter than this point to no direction that a person could have meant.
_SHORTEST_SUM = 0.15


@dataclass(frozen=True)
class Condition:
    """What a face should express; made by `named`, `blend`, `polar` or `parse`.

    Either `shares` is set (names with weights above zero, summing to 1) or `angle_radians` is.
    """

    shares: tuple[tuple[str, float], ...]
    """Expressions and their shares; empty where an angle is given."""
    intensity: float
    """How far from neutral, 0 to 1: the radius rho of the disc."""
    angle_radians: float | None = None
    """Direction theta on the disc, where the caller gives it directly."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.intensity) and 0.0 <= self.intensity <= 1.0):
            raise ConditionError(f"intensity {self.intensity:g} is out of range", hint="give a number from 0 to 1")
        if self.angle_radians is not None and not math.isfinite(self.angle_radians):
            raise ConditionError(f"angle {self.angle_radians} is not a finite number", hint="give degrees, e.g. 135")

    @staticmethod
    def named(expression: str, intensity: float = 0.9) -> Condition:
        """Ask for one expression by name."""
        return Condition(((parse_expression(expression), 1.0),), intensity)

    @staticmethod
    def blend(weights: Mapping[str, float], intensity: float = 0.9) -> Condition:
        """Ask for a mixture; weights are positive and are scaled to sum to 1."""
        names = [(parse_expression(name), float(weight)) for name, weight in weights.items()]
        total = sum(weight for _, weight in names)
        if not names or not math.isfinite(total) or total <= 0 or any(weight < 0 for _, weight in names):
            raise ConditionError("a blend needs weights above zero", hint="for example `happy:0.6,surprise:0.4`")
        return Condition(tuple((name, weight / total) for name, weight in names if weight > 0), intensity)

    @staticmethod
    def polar(angle_radians: float, intensity: float) -> Condition:
        """Ask for a point of the disc: direction theta in radians, radius rho."""
        angle = float(angle_radians)
        return Condition((), intensity, angle % (2 * math.pi) if math.isfinite(angle) else angle)

    @staticmethod
    def parse(text: str, intensity: float = 0.9) -> Condition:
        """Read `happy` or `happy:0.6,surprise:0.4`, as the command line takes it."""
        weights: dict[str, float] = {}
        for part in text.split(","):
            name, colon, weight = part.partition(":")
            try:
                known = parse_expression(name)
                weights[known] = weights.get(known, 0.0) + (float(weight) if colon else 1.0)
            except ValueError:
                raise ConditionError(
                    f"`{part.strip()}` is not `name:share`", hint="for example `happy:0.6,surprise:0.4`"
                ) from None
        return Condition.blend(weights, intensity)

    def __str__(self) -> str:
        if self.angle_radians is not None:
            return f"{math.degrees(self.angle_radians):.0f} deg @ {self.intensity:g}"
        return "+".join(n if s == 1 else f"{n}:{s:.2g}" for n, s in self.shares) + f" @ {self.intensity:g}"


def _known(name: str, expressions: Sequence[str]) -> int:
    return expressions.index(parse_expression(name, expressions))


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


@dataclass(frozen=True)
class DiscSpace:
    """GANmut's disc: every expression but neutral has a learned direction, the centre is neutral."""

    expressions: tuple[str, ...]
    """Names, neutral first; the others in the order of `angles_radians`."""
    angles_radians: tuple[float, ...]
    """Learned direction theta of each expression after neutral."""
    neutral_radius: float = 0.2
    """Codes nearer to the centre than this are neutral (the papers' threshold T)."""

    def __post_init__(self) -> None:
        if self.expressions[0] != NEUTRAL or len(self.angles_radians) != len(self.expressions) - 1:
            raise WeightsError("a disc needs neutral first and one angle for each other expression")
        if not np.isfinite(self.angles_radians).all():
            raise WeightsError(
                "the model's disc holds angles that are not numbers: its training diverged",
                hint="take an earlier checkpoint of the run, or train again with a lower learning rate",
            )

    size = 2

    def angle(self, expression: str) -> float:
        """Return the learned direction, in radians within [0, 2 pi), of an expression; neutral has none."""
        index = _known(expression, self.expressions)
        if index == 0:
            raise ConditionError("neutral is the centre of the disc and has no direction")
        return self.angles_radians[index - 1] % (2 * math.pi)

    def angle_of(self, condition: Condition) -> float:
        """Return the direction of a condition: for a blend, that of the weighted sum of its unit vectors.

        Raises `ConditionError` where the expressions of a blend lie opposite each other and cancel out.
        """
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

    def code(self, condition: Condition) -> np.ndarray:
        """Return the float32 code z = rho (cos theta, sin theta), shape (2,); a neutral share draws rho inwards."""
        theta = self.angle_of(condition)
        neutral = sum(share for name, share in condition.shares if _known(name, self.expressions) == 0)
        rho = condition.intensity * (1.0 - neutral)
        return np.array([rho * math.cos(theta), rho * math.sin(theta)], np.float32)

    def shares(self, code: np.ndarray) -> dict[str, float]:
        """Say in names what a code of shape (2,) means: neutral's share falls with the radius, neighbours share the rest.

        Between two neighbouring directions the shares are linear in the angle.
        """
        rho = min(1.0, float(np.hypot(*code)))
        theta = math.atan2(float(code[1]), float(code[0])) % (2 * math.pi)
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
        return {
            "kind": "disc",
            "expressions": list(self.expressions),
            "angles_radians": list(self.angles_radians),
            "neutral_radius": self.neutral_radius,
        }


Space = LabelSpace | DiscSpace


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
    raise WeightsError(f"unknown kind of conditional space `{kind}`", hint="the weights may come from a newer mien")
