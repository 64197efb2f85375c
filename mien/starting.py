"""Where a fine-tuned run starts: networks that were trained before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mien.errors import RunError
from mien.methods import Method
from mien.networks import grown
from mien.runs import Run


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """Networks that a new run starts from, in place of random ones; made by `mien.pretrained.starting_point`."""

    name: str
    """Where they come from, for messages."""
    facts: dict[str, Any]
    """The same for the run's configuration: name, hash of the weights and, where they are known, of the data."""
    state: dict[str, Tensor]
    """The method's tensors."""
    both_sides: bool = False
    """Whether its edits are the same on both sides of a face, which no tensor tells."""

    def fill(self, method: Method) -> None:
        """Copy the networks into a method, whose must be the same, or of twice the side with one enhancer more."""
        had = len({name.split(".")[2] for name in self.state if name.startswith("generator.enhancers.")})
        grows = getattr(method.config, "enhancers", 0) == had + 1
        try:
            method.load_state_dict(grown(method.generator, method.critic, self.state) if grows else self.state)
        except (RuntimeError, KeyError, IndexError):
            raise RunError(
                f"{self.name} holds other networks than this configuration",
                hint="give the sizes and expressions that it has; to go on at twice its image_size, say enhancers="
                f"{had + 1}",
            ) from None


def noted_start(init: StartingPoint | None, out: Path) -> dict[str, Any] | None:
    """Return what the configuration of the run in `out` says that it starts from; None for random networks.

    A run with a checkpoint goes on from that: it needs no `init`, and its origin may have gone on. One without begins
    anew, and must do so from where it did before. Raises `RunError` where it would begin elsewhere.
    """
    facts = None if init is None else init.facts
    if not (out / "config.json").exists():
        return facts
    run = Run.read(out)
    note = run.configuration.get("init")
    goes_on = run.step > 0 and (note is not None or init is None)
    if not goes_on and not _same(note, facts):
        raise RunError(
            f"{out} was written by another configuration (it starts from {_in_words(note)}, now {_in_words(facts)})",
            hint="choose another --out, or repeat the first command's --init to resume it",
        )
    return note


def _same(note: Any, facts: dict[str, Any] | None) -> bool:
    """Compare what a run noted with what it would note now; older versions noted less."""
    if facts is None or not isinstance(note, dict):
        return note == facts
    return all(facts.get(key) == value for key, value in note.items())


def _in_words(facts: Any) -> str:
    if not isinstance(facts, dict):
        return "random networks"
    step = f" at step {facts['step']}" if "step" in facts else ""
    digest = f" ({facts['sha256'][:12]})" if "sha256" in facts else ""
    return f"`{facts.get('model', facts.get('preset'))}`{step}{digest}"
