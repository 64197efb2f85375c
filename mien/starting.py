"""Where a fine-tuned run starts: networks that were trained before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mien.errors import RunError
from mien.methods import Method
from mien.networks import MAX_LIGHT, WarpGenerator
from mien.resizing import grown, resampled, with_light, with_mouth, with_wipe
from mien.runs import Run
from mien.settings import setting_as_text

#: Settings that shape networks; their side does not.
_SIZES = (
    "expressions", "image_channels", "enhancers", "generator", "generator_channels", "generator_blocks", "wipes",
    "critic_channels", "critic_layers",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """Networks that a new run starts from, in place of random ones; made by `mien.pretrained.starting_point`."""

    name: str
    """Where they come from, for messages."""
    facts: dict[str, Any]
    """The same for the run's configuration: name, hash of the weights and, where they are known, of the data."""
    state: dict[str, Tensor]
    """The method's tensors."""
    settings: Mapping[str, Any]
    """Its method's configuration, which tells what no tensor does."""

    @property
    def max_light(self) -> float:
        """Return the bound of the light that the generator adds, which older configurations do not say."""
        return self.settings.get("max_light", MAX_LIGHT)

    def altered(self, config: Any) -> list[str]:
        """Return the settings, as they were, without which the same networks do something else in a run."""
        growth = getattr(config, "enhancers", 0) - self.settings.get("enhancers", 0)
        had = {
            "image_size": self.settings.get("image_size", config.image_size) * 2**growth,
            "soft_light": self.settings.get("soft_light", 0.0),
            "both_sides": self.settings.get("both_sides", False),
            "max_light": max(self.max_light, getattr(config, "max_light", MAX_LIGHT)),  # a higher bound changes nothing
        }
        differ = {name: value for name, value in had.items() if getattr(config, name, value) != value}
        return [f"{name}={setting_as_text(value)}" for name, value in differ.items()]

    def fill(self, method: Method) -> None:
        """Copy the networks into a method, whose must be the same but for an enhancer more, or the side of their images.

        It may begin to wipe, and to have mouths judged, with what is new so far, and to add more light; where it may add
        less, strong light is lost. At twice the side with one enhancer more the networks go on where they stood (`grown`);
        any other side takes some learning until they are where they were (`resampled`).
        """
        config = method.config
        grows = getattr(config, "enhancers", 0) == self.settings.get("enhancers", 0) + 1
        begins = getattr(config, "wipes", False) and not self.settings.get("wipes", False)
        free = {"enhancers": grows, "wipes": begins}
        if list(self.settings.get("expressions", config.expressions)) != list(config.expressions):
            raise self._other_networks(config, free)  # as many, in another order, would fit
        try:
            state: Mapping[str, Tensor] = self.state
            if grows:
                assert isinstance(method.generator, WarpGenerator)  # no other has enhancers
                state = grown(method.generator, method.critic, state)
            if begins:
                assert isinstance(method.generator, WarpGenerator)  # no other wipes
                state = with_wipe(method.generator, state)
            if (bound := getattr(config, "max_light", MAX_LIGHT)) != self.max_light:
                state = with_light(self.max_light, bound, state)
            method.load_state_dict(with_mouth(method.critic, resampled(method.critic, state)))
        except (RuntimeError, KeyError, IndexError):
            raise self._other_networks(config, free) from None

    def _other_networks(self, config: Any, free: Mapping[str, bool]) -> RunError:
        """Return what to say of networks that do not fit; those settings that are `free` may differ."""
        side, had = self.settings.get("image_size", 0), self.settings.get("enhancers", 0)
        others = [name for name in _SIZES if name in self.settings and not free.get(name)]
        differ = [name for name in others if self.settings[name] != getattr(config, name, None)]
        same = " ".join(f"--set {name}={setting_as_text(self.settings[name])}" for name in differ)
        hint = f"say {same}" if same else "take a preset of its method"
        if same and not free["enhancers"] and self.settings.get("generator") == "warp":
            hint += f"; to go on at twice its side, --set image_size={2 * side} --set enhancers={had + 1}"
        return RunError(f"{self.name} holds other networks than this configuration", hint=hint)


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
