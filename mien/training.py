"""THE loop. It knows no method, dataset or device: a method yields losses, Fabric gives the device and the precision.

What is logged is what is optimised: the loop sums the terms that a method yields, steps that player and logs the terms.
Before each step all random generators are seeded from (seed, step); with that a resumed run equals an unbroken one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.batches import Augmentation, Batches, seed_of
from mien.conditions import Condition
from mien.edit_maps import apply_edit
from mien.errors import ConfigError, RunError
from mien.expressions import VOCABULARY
from mien.guiding import Guide, check_guides
from mien.images import to_uint8
from mien.methods import METHODS, Method
from mien.methods.base import Anchored, Part
from mien.prepared import PreparedSet
from mien.processes import average, leads, make_fabric, part_ways, wait_for_all
from mien.runs import Run, describe_machine, held, require_anchor
from mien.settings import config_from_mapping, require
from mien.starting import StartingPoint, noted_start
from mien.stepping import FREE_SETTINGS, TrainConfig, Trainer, enough_memory, take_step, under

FORMAT = 1
#: What a run's configuration says besides its format.
_DESCRIPTION = ("preset", "method", "method_config", "train_config", "data")


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
    """`player/term`, averaged since the last report; and what the run's watch said last."""


#: Says in numbers how good a method is as it stands, each under a name of its own: `judged/f1`.
Watch = Callable[[Method], Mapping[str, float]]


@torch.no_grad()
def edited_to(method: Method, faces: Tensor, name: str, intensity: float) -> Tensor:
    """Return faces (n, c, h, w) in [-1, 1] as a method edits them to an expression."""
    code = torch.from_numpy(method.space().code(Condition.named(name, intensity))).to(faces.device)
    return apply_edit(faces, method.render(faces, code.expand(len(faces), -1)))


@torch.no_grad()
def sample_grid(method: Method, faces: Tensor, intensity: float = 0.9) -> np.ndarray:
    """Return a picture (uint8 HWC): one row per face, first as it is, then with each of the method's expressions."""
    columns = [faces, *(edited_to(method, faces, name, intensity) for name in method.space().expressions)]
    pixels = to_uint8(torch.cat(columns, dim=3))
    return np.concatenate(list(pixels), axis=0)


@enough_memory("lower batch_size, or set accumulate=2 or more, in a new --out: a batch is then taken in so many parts")
def train(
    preset: str,
    method_name: str,
    method_config: Any,
    config: TrainConfig,
    data: Path,
    out: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    init: StartingPoint | None = None,
    *,
    devices: int = 1,
    minutes: float = math.inf,
    workers: int = 2,
    watch: Watch | None = None,
    guides: Sequence[Guide] = (),
) -> Run:
    """Train a method on a prepared set into a run folder; the same call resumes what an earlier one left.

    `init` (`mien.pretrained.starting_point`) holds the averaged generator and the critic that a new run starts from.
    With several `devices` the program that calls this is started once for each (see `mien.processes`), and all of them
    come back from here. After `minutes` it stops with a checkpoint: `Run.step` then is less than `config.steps`.
    `workers` processes read ahead where the set is larger than what is kept in memory. `watch` is shown the averaged
    method whenever samples are drawn, and what it says is logged. None of the four changes what is learned, beyond the
    order in which numbers are added up; `guides` do, who tell the generator what its edits look like.

    The first Ctrl-C finishes a step, writes a checkpoint and ends in `KeyboardInterrupt`. Raises `RunError` where the
    folder belongs to another configuration, another process trains into it, the losses are no longer finite, or memory
    is too little.
    """
    deadline = time.monotonic() + 60 * minutes
    check_guides(guides, method_config)
    prepared = PreparedSet.open(data)
    configuration = {
        "format": FORMAT,
        "preset": preset,
        "method": method_name,
        "method_config": dataclasses.asdict(method_config),
        "train_config": dataclasses.asdict(config),
        "data": prepared.origin,
        "guides": [guide.facts for guide in guides],
    }
    fabric = make_fabric(config.precision, devices)
    torch.manual_seed(config.seed)
    method = METHODS[method_name](method_config)
    method.guides = [guide.logits(method_config.expressions, fabric.device) for guide in guides]
    if init is not None:  # also where a checkpoint follows: a run killed before its first one must start as it did
        init.fill(method)
    anchored = _check_anchor(method_config, init, out)
    batches = _batches(prepared, method, config, fabric, workers)
    shows = _Shows(_sample_faces(prepared, method_config.expressions, batches), watch)
    # Only now: what settings, data or a missing package can make fail was tried; a run that cannot start leaves no folder.
    leading = leads(devices)
    with held(out) if leading else contextlib.nullcontext():
        if leading:
            configuration["init"] = noted_start(init, out)
            defaults = {"method_config": type(method_config)(), "train_config": TrainConfig()}
            run = Run.open(out, configuration, defaults, FREE_SETTINGS)
            run.note_machine(describe_machine())
            if anchored:
                state = method.state_dict().items()
                run.keep_anchor({name: tensor for name, tensor in state if not name.startswith("critic.")})
        fabric.launch()
        wait_for_all(fabric)  # the others read what the leader has written, or found
        run = Run.read(out)
        if anchored:
            assert isinstance(method, Anchored)  # it has the setting
            method.hold(run.anchor(), fabric.device)
        checkpoint = run.latest_checkpoint()
        trainer = Trainer(method, config, fabric.device)
        start = 0
        if checkpoint is not None:
            start, tensors = checkpoint
            trainer.load_state(tensors)
        if leading:
            run.forget_stats_after(start)
        with _interruptible() as asked:
            _loop(trainer, config, run, batches, shows, fabric, start, report, deadline, asked)
        part_ways(fabric)
    if asked.is_set() and run.step < config.steps:
        raise KeyboardInterrupt(f"after step {run.step} of {config.steps}; the same command goes on")
    return run


def _check_anchor(config: Any, init: StartingPoint | None, out: Path) -> bool:
    """Say whether a run stays near what it goes on from; `ConfigError` where it has nothing such, or alters it."""
    weight = getattr(config, "lambda_anchor", 0.0)
    require_anchor(weight, init is not None, out)
    if weight and init is not None and (altered := init.altered(config)):
        raise ConfigError(
            f"lambda_anchor holds edits near those of {init.name}, which this run's settings change",
            hint="say " + " ".join(f"--set {setting}" for setting in altered),
        )
    return weight > 0


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Give what the first Ctrl-C sets, so that a step is finished and kept; the second one ends at once, as usual."""
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    # The main thread alone may listen, and what runs in the background is not to.
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield asked
        return

    def stop(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _batches(prepared: PreparedSet, method: Method, config: TrainConfig, fabric: Any, workers: int) -> Batches:
    """Return the batches of a run, after checking that their size fits method and devices."""
    settings, least = method.config, method.smallest_batch
    require(config.batch_size >= least, "batch_size", config.batch_size, f"{least} or more with this method's settings")
    parts = config.accumulate * fabric.world_size
    divides = config.batch_size % parts == 0
    require(divides, "batch_size", config.batch_size, f"a multiple of {parts}: accumulated parts x devices")
    batches = Batches(
        prepared,
        settings.expressions,
        image_size=settings.image_size,
        image_channels=settings.image_channels,
        seed=config.seed,
        device=fabric.device,
        batch_size=config.batch_size,
        balance=config.balance,
        augmentation=Augmentation() if config.augmentation else None,
        workers=workers,
        frames=getattr(settings, "hide_beyond", False),
    )
    batches.require_every_expression()
    return batches


def _loop(
    trainer: Trainer,
    config: TrainConfig,
    run: Run,
    batches: Batches,
    shows: _Shows,
    fabric: Any,
    start: int,
    report: Callable[[Progress], None],
    deadline: float,
    asked: threading.Event,
) -> None:
    losses = _Losses(start)
    steps = range(start, config.steps)
    here = [
        Part(fabric.global_rank + fabric.world_size * k, config.accumulate * fabric.world_size)
        for k in range(config.accumulate)
    ]
    for step, parts in zip(steps, batches.stream(steps, here), strict=True):
        torch.manual_seed(seed_of("method", config.seed, step))
        for player, terms in take_step(trainer, parts, step, fabric):
            losses.add(player, terms)
        if trainer.average:
            trainer.average.update(step)
        done = step + 1
        saves = done % config.checkpoint_every == 0 or done == config.steps
        # Several processes have to agree, which they do where losses are read.
        saves |= asked.is_set() and fabric.world_size == 1
        line, stops = None, False
        # Every checkpoint ends a line of losses: so a resumed run logs the same lines, and none is kept of broken losses.
        if done % config.log_every == 0 or saves:
            line, late = losses.take(done, config, fabric, time.monotonic() > deadline or asked.is_set())
            stops = late and done < config.steps
            _check_finite(done, [name for name, value in line.losses.items() if not math.isfinite(value)])
            if fabric.is_global_zero:
                run.append_stats({"step": done, **line.losses, "images_per_second": line.images_per_second})
        if fabric.is_global_zero and (done % config.sample_every == 0 or done == config.steps):
            with losses.paused():
                shows.write(run, trainer, done)
        if fabric.is_global_zero and line is not None:
            report(dataclasses.replace(line, losses={**line.losses, **shows.judged}))
        if fabric.is_global_zero and (saves or stops):
            tensors = trainer.state()
            _check_finite(done, [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()])
            run.save_checkpoint(done, tensors)
        if stops:
            return


class _Losses:
    """What the moves since the last line of the log have cost; it stays on the device until that line is due."""

    def __init__(self, step: int) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._since, self._last = time.perf_counter(), step

    def add(self, player: str, terms: Mapping[str, Tensor]) -> None:
        """Count a player's move."""
        for term, value in terms.items():
            name = f"{player}/{term}"
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside the block out of the rate."""
        before = time.perf_counter()
        yield
        self._since += time.perf_counter() - before

    def take(self, done: int, config: TrainConfig, fabric: Any, over: bool) -> tuple[Progress, bool]:
        """Return the means since the last line, and begin anew; and whether time is over for any of the processes.

        All of them agree on it, though their clocks may not.
        """
        ends = torch.tensor(float(over), device=fabric.device)
        *totals, late = average(fabric, torch.stack([*self._sums.values(), ends])).tolist()
        means = {name: total / self._counts[name] for name, total in zip(self._sums, totals, strict=True)}
        now = time.perf_counter()
        rate = (done - self._last) * config.batch_size / (now - self._since)
        self._sums, self._counts, self._since, self._last = {}, {}, now, done
        return Progress(done, config.steps, rate, means), late > 0


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
        rows = prepared.select(split, expressions, photos=split == "validation")
        if len(rows) >= count:
            break
    rounds = [rows[prepared.labels[rows] == VOCABULARY.index(name)] for name in expressions]
    order = [int(group[i]) for i in range(count) for group in rounds if i < len(group)]
    chosen = sorted(order[:count])
    raw = torch.from_numpy(np.ascontiguousarray(prepared.images(np.array(chosen)))).to(batches.device)
    return batches.fit(raw.permute(0, 3, 1, 2))


class _Shows:
    """What a run shows of itself from time to time: a grid of edited faces, and how they are judged."""

    def __init__(self, faces: Tensor, watch: Watch | None) -> None:
        self._faces, self._watch = faces, watch
        #: What was said last, as far as it is shown in a line.
        self.judged: dict[str, float] = {}

    def write(self, run: Run, trainer: Trainer, step: int) -> None:
        from PIL import Image

        with trainer.averaged() as method:
            grid = sample_grid(method, self._faces)
            said = dict(self._watch(method)) if self._watch else {}
        Image.fromarray(grid.squeeze()).save(run.path / "samples" / f"step-{step:07d}.png")
        if said:
            run.append_stats({"step": step, **said})
            self.judged = dict(list(said.items())[:1])


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
        method.load_state_dict(under("method.", tensors))
    except RuntimeError:  # its message lists every tensor
        raise RunError(
            f"the checkpoints of {run.path} hold other networks than its config.json describes",
            hint="restore config.json from a copy",
        ) from None
    with torch.no_grad():
        parameters = dict(method.named_parameters())
        for name, tensor in under("average.", tensors).items():
            parameters[name].copy_(tensor)
    return method.eval().requires_grad_(False), step
