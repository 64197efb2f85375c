"""Train an expression classifier on a prepared set, into a run folder; the same call resumes it.

The same rules as for the generators' loop: everything random follows from (seed, step), so that a resumed run equals an
unbroken one. The last epoch's weights are the result: none is picked by its validation score, which would flatter it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.batches import Augmentation, Batches, seed_of
from mien.classifiers.networks import ExpressionNetwork
from mien.classifiers.published import edits_of, start_from
from mien.classifiers.settings import ClassifierConfig, Recipe
from mien.errors import ConfigError, RunError
from mien.methods.base import Batch
from mien.prepared import PreparedSet
from mien.processes import make_fabric
from mien.runs import Run, describe_machine, held
from mien.stepping import enough_memory, load_moments, moments

FORMAT = 1

#: By the recipe's names; `strong` also changes light and covers, see `_Training._step`.
_AUGMENTATIONS = {
    "none": None,
    "light": Augmentation(),
    "strong": Augmentation(probability=0.9, rotation_degrees=12, zoom=(0.95, 1.2)),
}


@dataclass(frozen=True)
class JudgeProgress:
    """What the training reports while it runs."""

    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    images_per_second: float
    """Since the last report."""
    seconds_left: float
    """At that rate."""
    loss: float
    """Cross-entropy, averaged since the last report."""


@enough_memory("lower batch_size, or width or image_size of the network, in a new --out")
def train_classifier(
    preset: str,
    config: ClassifierConfig,
    recipe: Recipe,
    data: Path,
    out: Path,
    init: Path | None = None,
    report: Callable[[JudgeProgress], None] = lambda progress: None,
) -> Run:
    """Train a classifier into a run folder; the same call resumes what an earlier one left.

    `init` is a file from which the body starts: torchvision's weights (.pth or .safetensors), or an exported judge.

    Raises `RunError` where the folder belongs to another configuration, another process trains into it, the loss is no
    longer finite, or memory is too little.
    """
    if recipe.unfreeze_after and init is None:
        raise ConfigError(
            f"unfreeze_after is {recipe.unfreeze_after!r}, but the body has learned nothing yet",
            hint="give weights to start from (--init), or leave unfreeze_after empty",
        )
    prepared = PreparedSet.open(data)
    fabric = make_fabric(recipe.precision)
    torch.manual_seed(recipe.seed)
    network = config.build()
    configuration: dict[str, Any] = {
        "format": FORMAT,
        "preset": preset,
        "classifier": dataclasses.asdict(config),
        "recipe": dataclasses.asdict(recipe),
        "data": prepared.origin,
        # Also where there is none: a run killed before its first checkpoint must not start anew from elsewhere.
        "init": None if init is None else {"file": init.name, "sha256": start_from(network, init), **edits_of(init)},
    }
    batches = Batches(
        prepared,
        config.expressions,
        image_size=config.image_size,
        image_channels=config.image_channels,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        balance=recipe.balance,
        augmentation=_AUGMENTATIONS[recipe.augmentation],
        device=fabric.device,
    )
    batches.require_every_expression()
    # Only now: what settings, data or weights can make fail was tried; a run that cannot start leaves no folder.
    with held(out):
        run = Run.open(out, configuration, {"classifier": ClassifierConfig(), "recipe": Recipe()})
        run.note_machine(describe_machine())
        _Training(network, recipe, batches, run, fabric).go(report)
    return run


class _Training:
    """A network with its optimiser: the state that a checkpoint holds."""

    def __init__(self, network: ExpressionNetwork, recipe: Recipe, batches: Batches, run: Run, fabric: Any) -> None:
        self.network = network.to(fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe, self.batches, self.run, self.fabric = recipe, batches, run, fabric
        self.steps_per_epoch = len(batches.rows) // recipe.batch_size
        self.steps = recipe.epochs * self.steps_per_epoch
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]  # biases and norms: decay does them no good
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.learning_rate,
            fused=fabric.device.type in ("cuda", "cpu"),
        )

    def go(self, report: Callable[[JudgeProgress], None]) -> None:
        """Take all steps that are left, with checkpoints between."""
        start = 0
        if (checkpoint := self.run.latest_checkpoint()) is not None:
            start, tensors = checkpoint
            self._load(tensors)
        self.run.forget_stats_after(start)
        total, counted, since = torch.zeros((), device=self.fabric.device), 0, time.perf_counter()
        for step in range(start, self.steps):
            self._set_frozen(step // self.steps_per_epoch)
            total += self._step(step)
            counted += 1
            done = step + 1
            saves = done % self.recipe.checkpoint_every == 0 or done == self.steps
            if done % self.recipe.log_every == 0 or saves:
                loss, elapsed = float(total) / counted, time.perf_counter() - since
                _check_finite(done, [] if math.isfinite(loss) else ["the loss"])
                rate = counted * self.recipe.batch_size / elapsed
                self.run.append_stats({"step": done, "loss": loss, "images_per_second": rate})
                report(JudgeProgress(done, self.steps, rate, (self.steps - done) * elapsed / counted, loss))
                total.zero_()
                counted, since = 0, time.perf_counter()
            if saves:
                tensors = self._state()
                _check_finite(done, [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()])
                self.run.save_checkpoint(done, tensors)

    def _step(self, step: int) -> Tensor:
        torch.manual_seed(seed_of("classifier", self.recipe.seed, step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * learning_rate_share(self.recipe, step, self.steps)
        batch = self.batches.draw(step)
        images = change_light(cover(batch.images)) if self.recipe.augmentation == "strong" else batch.images
        with self.fabric.autocast():
            logits = self.network(images.to(memory_format=torch.channels_last))
        loss = F.cross_entropy(
            logits.float(), _targets(batch, self.recipe.soft_labels), label_smoothing=self.recipe.label_smoothing
        )
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimizer.step()
        return loss.detach()

    def _set_frozen(self, epoch: int) -> None:
        """Let learn what the recipe lets learn in this epoch; frozen norms keep their statistics."""
        network, stages = self.network.train(), self.recipe.unfreeze_after
        if not stages:
            return
        thawed = sum(epoch >= after for after in stages)
        whole = thawed == 2
        network.requires_grad_(whole)
        learning = [*network.head_modules(), *([network.last_block()] if thawed else [])]
        for module in learning:
            module.requires_grad_(True)
        if not whole:
            inside = {id(part) for module in learning for part in module.modules()}
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d) and id(module) not in inside:
                    module.eval()

    def _state(self) -> dict[str, Tensor]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            tensors |= moments(self.optimizer, name, parameter)
        return tensors

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        self.network.load_state_dict(dict(network_tensors(tensors)))
        for name, parameter in self.network.named_parameters():
            load_moments(self.optimizer, name, parameter, tensors)


def _check_finite(done: int, broken: list[str]) -> None:
    """Raise `RunError` with the first name of what is broken, if anything is."""
    if broken:
        raise RunError(
            f"training diverged before step {done}: {broken[0]} is not finite",
            hint="lower learning_rate; the last checkpoint is whole",
        )


def network_tensors(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the network's tensors of a checkpoint."""
    for name, tensor in tensors.items():
        if name.startswith("network."):
            yield name.removeprefix("network."), tensor


def learning_rate_share(recipe: Recipe, step: int, steps: int) -> float:
    """Return which share of the largest learning rate a step has."""
    done = step / steps
    rise = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    if recipe.schedule == "cosine":
        return rise * (0.5 + 0.5 * math.cos(math.pi * done))
    if recipe.schedule == "steps":
        return rise * (1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01)
    return rise


def soft_targets(shares: Tensor, labels: Tensor) -> Tensor:
    """Return what people voted, (n, k), where none of their votes went to more than to the label; else the label alone.

    FER2013's own labels and FER+'s votes contradict each other on a third of the faces: who learns the labels must not be
    taught the votes there.
    """
    alone = F.one_hot(labels, shares.shape[1]).to(shares)
    agree = shares.gather(1, labels[:, None]) >= shares.amax(1, keepdim=True) - 1e-6
    return torch.where(agree, shares, alone)


def _targets(batch: Batch, soft: bool) -> Tensor:
    return soft_targets(batch.shares, batch.labels) if soft and batch.shares is not None else batch.labels


def change_light(images: Tensor) -> Tensor:
    """Change contrast (0.7 to 1.3) and brightness (-0.25 to 0.25) of each image of [-1, 1]; the range is kept."""
    contrast = torch.rand(len(images), 1, 1, 1, device=images.device) * 0.6 + 0.7
    brightness = torch.rand(len(images), 1, 1, 1, device=images.device) * 0.5 - 0.25
    return (images * contrast + brightness).clamp(-1, 1)


def cover(images: Tensor, probability: float = 0.5) -> Tensor:
    """Cover a random square of some of the images with grey: a quarter to a half of the side (Zhong et al. 2020)."""
    count, _, height, width = images.shape

    def uniform() -> Tensor:
        return torch.rand(count, 1, 1, device=images.device)

    side = (uniform() * 0.25 + 0.25) * (uniform() < probability)
    y = torch.arange(height, device=images.device)[None, :, None] / height
    x = torch.arange(width, device=images.device)[None, None, :] / width
    inside = ((y - uniform()).abs() < side / 2) & ((x - uniform()).abs() < side / 2)
    return images.masked_fill(inside[:, None], 0.0)
