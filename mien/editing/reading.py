"""Read a face into the space: which expression the model's critic sees, how strong, and where on the disc that is.

The critic has two heads that could say it. Its coordinate head (GANmut's equation 5) is trained on edited faces only and
reads real ones poorly; neither did it help to search for the code whose edit changes the face least (docs/log.md has the
numbers). What agrees best with people is the class head, trained on real faces: its probabilities weigh the directions
of the expressions, and what it does not call neutral is the intensity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.editing.model import ExpressionModel
from mien.expressions import NEUTRAL
from mien.spaces import DiscSpace, Space


@dataclass(frozen=True, eq=False)
class FaceReading:
    """What a model's critic sees in a face."""

    expressions: dict[str, float]
    """Probability of each of the model's expressions; they sum to 1."""
    intensity: float
    """How strong the expression is, 0 (neutral) to 1: the probability of anything but neutral."""
    code: np.ndarray | None
    """Place on the disc, float32 (2,), within the unit circle; None where the space is no disc."""

    @property
    def expression(self) -> str:
        """The most probable expression."""
        return max(self.expressions, key=lambda name: self.expressions[name])

    @property
    def confidence(self) -> float:
        """Probability of the most probable expression."""
        return max(self.expressions.values())

    @property
    def angle_degrees(self) -> float | None:
        """Direction on the disc, 0 to 360; None where the space is no disc or the face stands in its centre."""
        if self.code is None or not self.code.any():
            return None
        return math.degrees(math.atan2(self.code[1], self.code[0])) % 360

    def describe(self) -> str:
        """Say it in a line: names from the most probable on, intensity and angle."""
        order = sorted(self.expressions, key=lambda name: -self.expressions[name])
        shares = ", ".join(f"{name} {self.expressions[name]:.2f}" for name in order if self.expressions[name] >= 0.01)
        angle = self.angle_degrees
        return f"{shares}; intensity {self.intensity:.2f}" + (f", angle {angle:.0f}°" if angle is not None else "")

    def to_json(self) -> dict[str, Any]:
        """Describe the reading for programs; angles in degrees."""
        angle = self.angle_degrees
        return {
            "expression": self.expression,
            "confidence": round(self.confidence, 4),
            "intensity": round(self.intensity, 4),
            "angle_degrees": None if angle is None else round(angle, 1),
            "expressions": {name: round(share, 4) for name, share in self.expressions.items()},
        }


def can_read(model: ExpressionModel) -> bool:
    """Say whether a model has a critic; a model that came without one says so in `can_read`."""
    return bool(getattr(model, "can_read", True))


def read_images(model: ExpressionModel, images: np.ndarray) -> list[FaceReading]:
    """Read images, float32 (n, c, h, w) in [-1, 1], of the model's size and channels."""
    probabilities, _ = model.read(images)
    return [_reading(model.space, row.astype(np.float64)) for row in probabilities]


def _reading(space: Space, probabilities: np.ndarray) -> FaceReading:
    shares = {name: float(p) for name, p in zip(space.expressions, probabilities, strict=True)}
    intensity = min(1.0, max(0.0, 1.0 - shares.get(NEUTRAL, 0.0)))
    if not isinstance(space, DiscSpace):
        return FaceReading(shares, intensity, None)
    directions = np.array(
        [[math.cos(space.angle(name)), math.sin(space.angle(name))] for name in space.expressions[1:]]
    )
    towards = probabilities[1:] @ directions
    length = float(np.hypot(*towards))
    code = towards / length * intensity if length > 0 else np.zeros(2)
    return FaceReading(shares, intensity, code.astype(np.float32))
