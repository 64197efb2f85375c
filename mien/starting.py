"""Where a fine-tuned run starts: networks that were trained before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mien.errors import RunError
from mien.methods import Method
from mien.runs import Run


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """Networks that a new run starts from, in place of random ones; made by `mien.pretrained.starting_point`."""

    name: str
    """Where they come from, for messages."""
    facts: dict[str, Any]
    """The same for the run's configuration."""
    state: dict[str, Tensor]
    """The method's tensors."""
    both_sides: bool = False
    """Whether its edits are the same on both sides of a face, which no tensor tells."""

    def noted(self, out: Path) -> dict[str, Any]:
        """Say what the run in `out` starts from; one that was started says it itself: its origin may have gone on."""
        if (out / "config.json").exists() and (noted := Run.read(out).configuration.get("init")):
            return noted
        return self.facts

    def fill(self, method: Method) -> None:
        """Copy the networks into a method, whose must be the same."""
        try:
            method.load_state_dict(self.state)
        except RuntimeError:
            raise RunError(
                f"{self.name} holds other networks than this configuration",
                hint="give the sizes and expressions that it has",
            ) from None
