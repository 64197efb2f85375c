"""THE loop. It knows no method, dataset or device: a method yields losses, Fabric gives the device and the precision.

What is logged is what is optimised: the loop sums the terms that a method yields, steps that player and logs the terms.
Before each step all random generators are seeded from (seed, step); with that a resumed run equals an unbroken one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mien.batches import Augmentation, Batches, seed_of
from mien.errors import RunError
from mien.expressions import VOCABULARY
from mien.images import to_uint8
from mien.methods import METHODS, Method
from mien.methods.base import check_choices, config_from_mapping, require
from mien.networks import apply_edit
from mien.prepared import PreparedSet
from mien.runs import Run, describe_machine
from mien.spaces import Condition
from mien.starting import StartingPoint

FORMAT = 1
#: What a run's configuration says besides its format.
_DESCRIPTION = ("preset", "method", "method_config", "train_config", "data")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the loop, the same for every method."""

    steps: int = 20_000
    """Critic steps in all."""
    batch_size: int = 16
    """Images in a batch."""
    seed: int = 0
    """From this and the step number follows everything random."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """`bf16-mixed` runs convolutions in bfloat16; penalties stay in float32."""
    balance: float = 0.0
    """Images are drawn with weight count^-balance of their class: 0 as they come, 1 every class alike."""
    augmentation: bool = True
    """Random rotation, shift, zoom and mirroring (`mien.batches.Augmentation`)."""
    ema_decay: float = 0.0
    """Decay of the moving average of the generator and its space; 0: no average."""
    log_every: int = 50
    """Steps between lines of stats.jsonl; losses leave the device only then."""
    sample_every: int = 1000
    """Steps between sample grids."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("steps", "batch_size", "log_every", "sample_every", "checkpoint_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "at least 0 and below 1")
        require(0 <= self.balance <= 10, "balance", self.balance, "from 0 to 10")
        require(abs(self.seed) < 2**63, "seed", self.seed, "a whole number of 63 bits")


@dataclass(frozen=True)
class Progress:
    """What the loop reports while it runs."""

    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    images_per_second: float
    """Since the last report."""
    losses: Mapping[str, float]
    """`player/term`, averaged since the last report."""


def _fabric(precision: str) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError:  # the whole `lightning` package carries the same class
        from lightning.fabric import Fabric  # type: ignore[import-not-found]
    return Fabric(accelerator="auto", devices=1, precision=precision)  # type: ignore[arg-type]


class Average:
    """Moving average of the generator player's tensors (learned axes included), in float32."""

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.parameters = parameters
        self.tensors = {name: tensor.detach().clone() for name, tensor in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the parameters; faster at first, so that it forgets how they were initialised."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in self.tensors.items():
            tensor.lerp_(self.parameters[name], 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in the place of the parameters inside the block."""
        kept = {name: tensor.detach().clone() for name, tensor in self.parameters.items()}
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(self.tensors[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in self.parameters.items():
                    tensor.copy_(kept[name])


def generator_names(method: Method) -> list[str]:
    """Return the names of the parameters that the generator player owns: what is averaged and shipped."""
    owned = {id(parameter) for parameter in method.players()["generator"]}
    return [name for name, parameter in method.named_parameters() if id(parameter) in owned]


class Trainer:
    """A method with its optimisers and average: the state that a checkpoint holds."""

    def __init__(self, method: Method, config: TrainConfig, device: torch.device) -> None:
        self.method = method.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        settings = method.config
        self.optimizers = {
            player: torch.optim.Adam(
                parameters, lr=settings.learning_rate, betas=settings.betas, fused=device.type == "cuda"
            )
            for player, parameters in method.players().items()
        }
        parameters = dict(method.named_parameters())
        averaged = {name: parameters[name] for name in generator_names(method)}
        self.average = Average(averaged, config.ema_decay) if config.ema_decay else None

    def state(self) -> dict[str, Tensor]:
        """Return every tensor of the state under a flat name."""
        tensors = {f"method.{name}": tensor for name, tensor in self.method.state_dict().items()}
        if self.average:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.tensors.items()}
        for name, parameter, optimizer in self._optimized():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{key}.{name}"] = torch.as_tensor(value)
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self.method.load_state_dict(_under("method.", tensors))
        if self.average:
            for name, tensor in _under("average.", tensors).items():
                self.average.tensors[name].copy_(tensor)
        for name, parameter, optimizer in self._optimized():
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if (saved := tensors.get(f"adam.{key}.{name}")) is not None:
                    on_device = key != "step" or parameter.device.type == "cuda"
                    layout = parameter if key != "step" else saved
                    value = torch.empty_like(layout, device=parameter.device if on_device else "cpu").copy_(saved)
                    optimizer.state[parameter][key] = value

    def _optimized(self) -> Iterator[tuple[str, torch.nn.Parameter, torch.optim.Optimizer]]:
        names = {id(parameter): name for name, parameter in self.method.named_parameters()}
        for player, parameters in self.method.players().items():
            for parameter in parameters:
                yield names[id(parameter)], parameter, self.optimizers[player]

    @contextlib.contextmanager
    def averaged(self) -> Iterator[Method]:
        """Give the method as it is shipped: with the average, where there is one."""
        with self.average.applied() if self.average else contextlib.nullcontext():
            yield self.method


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def sample_grid(method: Method, faces: Tensor, intensity: float = 0.9) -> np.ndarray:
    """Return a picture (uint8 HWC): one row per face, first as it is, then with each of the method's expressions."""
    space = method.space()
    columns = [faces]
    for name in space.expressions:
        code = torch.from_numpy(space.code(Condition.named(name, intensity))).to(faces.device)
        columns.append(apply_edit(faces, method.render(faces, code.expand(len(faces), -1))))
    pixels = to_uint8(torch.cat(columns, dim=3))
    return np.concatenate(list(pixels), axis=0)


def train(
    preset: str,
    method_name: str,
    method_config: Any,
    config: TrainConfig,
    data: Path,
    out: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    init: StartingPoint | None = None,
) -> Run:
    """Train a method on a prepared set into a run folder; the same call resumes what an earlier one left.

    `init` (`mien.pretrained.starting_point`) holds the averaged generator and the critic that a new run starts from.

    Raises `RunError` where the folder belongs to another configuration, or when the losses are no longer finite.
    """
    prepared = PreparedSet.open(data)
    configuration = {
        "format": FORMAT,
        "preset": preset,
        "method": method_name,
        "method_config": dataclasses.asdict(method_config),
        "train_config": dataclasses.asdict(config),
        "data": {"hash": prepared.hash, "dataset": prepared.manifest["dataset"]},
    }
    if init is not None:
        configuration["init"] = init.noted(out)
    fabric = _fabric(config.precision)
    torch.manual_seed(config.seed)
    method = METHODS[method_name](method_config)
    if init is not None:  # also where a checkpoint follows: a run killed before its first one must start as it did
        init.fill(method)
    least = method.smallest_batch
    require(config.batch_size >= least, "batch_size", config.batch_size, f"{least} or more with this method's settings")
    batches = Batches(
        prepared,
        method_config.expressions,
        image_size=method_config.image_size,
        image_channels=method_config.image_channels,
        seed=config.seed,
        device=fabric.device,
        batch_size=config.batch_size,
        balance=config.balance,
        augmentation=Augmentation() if config.augmentation else None,
    )
    batches.require_every_expression()
    faces = _sample_faces(prepared, method_config.expressions, batches)
    # Only now: what settings, data or a missing package can make fail was tried; a run that cannot start leaves no folder.
    run = Run.open(out, configuration)
    run.note_machine(describe_machine())
    checkpoint = run.latest_checkpoint()
    trainer = Trainer(method, config, fabric.device)
    start = 0
    if checkpoint is not None:
        start, tensors = checkpoint
        trainer.load_state(tensors)
    run.forget_stats_after(start)
    _loop(trainer, config, run, batches, faces, fabric, start, report)
    return run


def _loop(
    trainer: Trainer,
    config: TrainConfig,
    run: Run,
    batches: Batches,
    faces: Tensor,
    fabric: Any,
    start: int,
    report: Callable[[Progress], None],
) -> None:
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    since, last = time.perf_counter(), start
    for step in range(start, config.steps):
        torch.manual_seed(seed_of("method", config.seed, step))
        batch = batches.draw(step)
        updates = trainer.method.updates(batch, step)
        while True:
            with fabric.autocast():
                move = next(updates, None)
            if move is None:
                break
            player, terms = move
            optimizer = trainer.optimizers[player]
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(torch.stack(list(terms.values())).sum())
            optimizer.step()
            for term, value in terms.items():
                name = f"{player}/{term}"
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach()
                counts[name] = counts.get(name, 0) + 1
        if trainer.average:
            trainer.average.update(step)
        done = step + 1
        saves = done % config.checkpoint_every == 0 or done == config.steps
        # Every checkpoint ends a line of losses: so a resumed run logs the same lines, and none is kept of broken losses.
        if done % config.log_every == 0 or saves:
            losses = {name: float(total) / counts[name] for name, total in sums.items()}
            elapsed = time.perf_counter() - since
            _log(run, config, done, losses, (done - last) * config.batch_size / elapsed, report)
            sums.clear()
            counts.clear()
            since, last = time.perf_counter(), done
        if done % config.sample_every == 0 or done == config.steps:
            _write_samples(run, trainer, faces, done)
        if saves:
            tensors = trainer.state()
            _check_finite(done, [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()])
            run.save_checkpoint(done, tensors)


def _log(
    run: Run,
    config: TrainConfig,
    done: int,
    losses: dict[str, float],
    rate: float,
    report: Callable[[Progress], None],
) -> None:
    _check_finite(done, [name for name, value in losses.items() if not math.isfinite(value)])
    run.append_stats({"step": done, **losses, "images_per_second": rate})
    report(Progress(done, config.steps, rate, losses))


def _check_finite(done: int, broken: list[str]) -> None:
    """Raise `RunError` with the first names of what is broken, if anything is."""
    if broken:
        raise RunError(
            f"training diverged before step {done}: {', '.join(broken[:3])} is not finite",
            hint="lower learning_rate or set penalty=r1; the last checkpoint is whole",
        )


def _sample_faces(prepared: PreparedSet, expressions: tuple[str, ...], batches: Batches, count: int = 8) -> Tensor:
    """Pick the faces of the sample grids: the first of each expression of the validation split, or of training."""
    for split in ("validation", "train"):
        rows = prepared.select(split=split, expressions=expressions)
        if len(rows) >= count:
            break
    rounds = [rows[prepared.labels[rows] == VOCABULARY.index(name)] for name in expressions]
    order = [int(group[i]) for i in range(count) for group in rounds if i < len(group)]
    chosen = sorted(order[:count])
    raw = torch.from_numpy(np.ascontiguousarray(prepared.images(np.array(chosen)))).to(batches.device)
    return batches.fit(raw.permute(0, 3, 1, 2))


def _write_samples(run: Run, trainer: Trainer, faces: Tensor, step: int) -> None:
    from PIL import Image

    with trainer.averaged() as method:
        grid = sample_grid(method, faces)
    Image.fromarray(grid.squeeze()).save(run.path / "samples" / f"step-{step:07d}.png")


def trained_method(run: Run) -> tuple[Method, int]:
    """Rebuild a run's method with its averaged generator, from the newest checkpoint; return it and its step."""
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        raise RunError(f"{run.path} has no checkpoint yet", hint="let `mien train` run until it has written one")
    step, tensors = checkpoint
    kind = METHODS.get(str(run.configuration.get("method")))
    missing = [name for name in _DESCRIPTION if name not in run.configuration]
    if kind is None or missing:
        wrong = f"lacks {', '.join(missing)}" if missing else f"names no method: {run.configuration['method']!r}"
        raise RunError(f"{run.path / 'config.json'} {wrong}", hint="restore it from a copy")
    method = kind(config_from_mapping(kind.Config, run.configuration["method_config"]))
    try:
        method.load_state_dict(_under("method.", tensors))
    except RuntimeError:  # its message lists every tensor
        raise RunError(
            f"the checkpoints of {run.path} hold other networks than its config.json describes",
            hint="restore config.json from a copy",
        ) from None
    with torch.no_grad():
        parameters = dict(method.named_parameters())
        for name, tensor in _under("average.", tensors).items():
            parameters[name].copy_(tensor)
    return method.eval().requires_grad_(False), step
