"""What a benchmark does, in numbers: two benchmarks can be compared where their protocols and their data are equal."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from mien.settings import check_choices, require


@dataclass(frozen=True)
class Protocol:
    """How many faces are edited to what; the defaults take two judges in under five minutes on two cores."""

    split: str = "validation"
    """Faces are taken from this split: people that no generator of the benchmark may have been trained on."""
    origin: Literal["neutral", "any"] = "neutral"
    """Expression of the faces that are edited. Of `any`, a pooled FED is fooled by doing nothing (docs/metrics.md)."""
    faces: int = 500
    """Faces that are edited to every expression."""
    intensity: float = 0.9
    """How strong those edits are."""
    start: Literal["direct", "auto"] = "direct"
    """`direct` measures the generator, `auto` the editor, which first takes away what the face shows."""
    sweep_faces: int = 60
    """Neutral faces on which intensity rises in ten steps: smoothness and rank correlation."""
    sweep_steps: int = 10
    """Steps of intensity, rho = 1/steps, 2/steps ... 1 (Surani's 0.1 to 1.0)."""
    gamut_faces: int = 24
    """Neutral faces that are led over the whole disc: coverage of the mixtures that people see."""
    gamut_angles: int = 24
    """Directions of that walk, evenly spread."""
    gamut_radii: tuple[float, ...] = (0.35, 0.7, 1.0)
    """Its radii; the centre is walked too."""
    examples: int = 4
    """Faces shown in the figures."""
    seed: int = 0
    """Chooses faces, halves and resamples."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("faces", "sweep_faces", "gamut_faces", "examples"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(self.sweep_steps >= 2, "sweep_steps", self.sweep_steps, "2 or more")
        require(self.gamut_angles >= 3, "gamut_angles", self.gamut_angles, "3 or more")
        require(0 < self.intensity <= 1, "intensity", self.intensity, "above 0 and at most 1")
        inside = bool(self.gamut_radii) and all(0 < radius <= 1 for radius in self.gamut_radii)
        require(inside, "gamut_radii", self.gamut_radii, "above 0 and at most 1, at least one")

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dataclasses.asdict(self)
