"""Time training steps on batches of noise: no dataset is needed, and the data does not change the speed.

For each network, as the papers have it and with their losses (Wasserstein, gradient penalty, five critic steps), a step is
taken in three ways: `eager`, in float32 and with nothing switched on; `ours`, as `mien train` takes it (channels_last,
fused Adam, and precision=bf16-mixed on a GPU or processor with instructions for it); `compiled`, the
same with compile=yes. With --official the official code's own loop runs on the same batch. A step is what a loop does
between two batches. Whole rounds of five steps are timed, after one to warm up; on a CPU processor time counts, since
others may want the cores. Each way has a process of its own, whose largest memory is noted. FLOP are counted by torch from
the operators of a round (a multiplication and an addition are two), and the share of the machine's peak is measured
against products of large matrices in the same process, in the precision of the way.

    python benchmarks/train_speed.py --case ganmut-128 --official GANMUT_CHECKOUT --threads 2
    python benchmarks/train_speed.py --preset ganmut-fer2013-cpu          # a preset as it is trained, in place of a case
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import json
import math
import multiprocessing
import resource
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from official_training import official_seconds
from record import record
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mien.methods import METHODS
from mien.methods.base import Batch
from mien.methods.ganmut import GANmutConfig
from mien.methods.stargan import StarGANConfig
from mien.presets import PRESETS, configure, find_preset
from mien.processes import knows_bfloat16, make_fabric
from mien.stepping import TrainConfig, Trainer, take_step

_STARGAN = {"adversarial": "wasserstein", "penalty": "gradient", "critic_steps": 5, "image_channels": 3}
#: Name -> method, its settings, and batch size: the official sizes and losses.
CASES: dict[str, tuple[str, Any, int]] = {
    "stargan-48": ("stargan", StarGANConfig(**_STARGAN), 16),  # type: ignore[arg-type]
    "ganmut-64": ("ganmut", GANmutConfig(image_size=64, critic_layers=5), 16),
    "ganmut-128": ("ganmut", GANmutConfig(), 16),
}
WAYS = ("eager", "ours", "compiled")


@dataclasses.dataclass(frozen=True)
class Work:
    """What one process measures."""

    name: str
    """Of the case or preset."""
    way: str
    """One of `WAYS`, `official`, or `preset`."""
    batch_size: int
    """Images in a batch."""
    seconds: float
    """Least time that is timed."""
    threads: int
    """Of the CPU."""
    seed: int
    """Of networks and noise."""
    checkout: Path | None = None
    """Of the official code."""
    precision: str | None = None
    """Of `ours` and `compiled`; None: the one with which this machine is faster."""


def noise(config: Any, batch_size: int, device: torch.device | str) -> Batch:
    """Return a batch of noise with labels and votes."""
    labels = torch.randint(len(config.expressions), (batch_size,))
    shares = torch.nn.functional.one_hot(labels, len(config.expressions)).float()
    images = torch.rand(batch_size, config.image_channels, config.image_size, config.image_size) * 2 - 1
    return Batch(images.to(device), labels.to(device), shares.to(device))


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return how many FLOP a second this device does in products of large matrices: the best of ten."""
    side = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = math.inf
    for _ in range(10):
        start = now(device)
        torch.mm(a, b)
        best = min(best, now(device) - start)
    return 2 * side**3 / best


class Counting(TorchDispatchMode):
    """Add up the FLOP of all operators by torch's table; its `FlopCounterMode` cannot follow a gradient's gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.flop += count(*args, **(kwargs or {}), out_val=out)
        return out


def flop_per_image(method_name: str, config: Any, batch_size: int, steps: int) -> float:
    """Count the FLOP of a round of steps, per image: with tensors that have shapes and no values."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), Counting() as counter:
        method, batch = METHODS[method_name](config), noise(config, batch_size, "cpu")
        for step in range(steps):
            for _, terms in method.updates(batch, step):
                torch.stack(list(terms.values())).sum().backward()
    return counter.flop / (batch_size * steps)


def now(device: torch.device) -> float:
    """Return the time when the device has done what it was given.

    On a CPU it is processor time for each thread: on a shared machine clocks would time the others too.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


def _configuration(work: Work) -> tuple[str, Any, TrainConfig]:
    """Return method, its settings and the loop's."""
    if work.way == "preset":
        found = find_preset(work.name)
        return (found.method, *configure(found, {"batch_size": work.batch_size} if work.batch_size else {}))
    name, config, _ = CASES[work.name]
    faster = work.precision or ("bf16-mixed" if knows_bfloat16() else "32-true")
    precision: Any = faster if work.way in ("ours", "compiled") else "32-true"
    return name, config, TrainConfig(batch_size=work.batch_size, precision=precision, compile=work.way == "compiled")


def measure(work: Work) -> dict[str, Any]:
    """Time one way of taking steps; runs in a process of its own."""
    torch.set_num_threads(work.threads)
    torch.manual_seed(work.seed)
    name, config, loop = _configuration(work)
    fabric = make_fabric(loop.precision)
    device = fabric.device
    batch = noise(config, loop.batch_size, device)
    a_round = math.lcm(config.critic_steps, config.penalty_interval)
    if work.way == "official":
        assert work.checkout is not None
        given = (batch.images.cpu(), batch.labels.cpu())
        sizes = {"layers": config.critic_layers, "classes": len(config.expressions)}
        clock = functools.partial(now, device)
        seconds, steps = official_seconds(work.checkout, name, *given, **sizes, now=clock, rounds=1), 5
        if 5 * seconds < work.seconds:
            steps = 5 * math.ceil(work.seconds / (5 * seconds))
            seconds = official_seconds(work.checkout, name, *given, **sizes, now=clock, rounds=steps // 5)
    else:
        seconds, steps = _time_ours(Trainer(METHODS[name](config), loop, device), work, batch, a_round, fabric)
    flop = flop_per_image(name, config, loop.batch_size, a_round)
    reduced = loop.precision == "bf16-mixed"
    peak = peak_flops(device, torch.bfloat16 if reduced else torch.float32)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": seconds,
        "steps": steps,
        "batch_size": loop.batch_size,
        "precision": loop.precision,
        "images_per_second": loop.batch_size / seconds,
        "flop_per_image": flop,
        "peak_flops": peak,
        "share_of_peak": flop * loop.batch_size / seconds / peak,
        "memory_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else memory,
    }


def _time_ours(trainer: Trainer, work: Work, batch: Batch, a_round: int, fabric: Any) -> tuple[float, int]:
    """Return seconds per step, and how many steps were timed."""
    if work.way == "eager":
        trainer.method.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for optimizer in trainer.optimizers.values():
            optimizer.param_groups[0]["fused"] = False

    def take_round() -> None:
        for step in range(a_round):
            for _ in take_step(trainer, [batch], step, fabric):
                pass
            if trainer.average:
                trainer.average.update(step)

    take_round()
    steps, start = 0, now(fabric.device)
    while now(fabric.device) - start < work.seconds or not steps:
        take_round()
        steps += a_round
    return (now(fabric.device) - start) / steps, steps


def in_a_process(work: Work) -> dict[str, Any]:
    """Measure in a fresh process, so that memory is its own and nothing is warm."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, work).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=list(CASES), default=[], help="repeatable")
    parser.add_argument("--preset", action="append", choices=list(PRESETS), default=[], help="repeatable")
    parser.add_argument("--way", action="append", choices=WAYS, help="repeatable; default: eager and ours")
    parser.add_argument("--official", type=Path, action="append", default=[], help="checkout of GANmut or StarGAN")
    parser.add_argument("--batch-size", type=int, default=0, help="default: 16, or the preset's own")
    parser.add_argument("--seconds", type=float, default=20.0, help="least time that each way is timed for")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], help="of ours; default: what is faster here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    if given.precision and given.preset:
        parser.error("--precision is for cases; a preset says its own")
    torch.set_num_threads(given.threads)  # what the record says of the machine

    shared = {"seconds": given.seconds, "threads": given.threads, "seed": given.seed, "precision": given.precision}
    for preset in given.preset:
        settings = [dict(PRESETS[preset].method_settings), dict(PRESETS[preset].train_settings)]
        digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        _report(
            Work(preset, "preset", given.batch_size, **shared), given, {"preset": preset, "settings_sha256": digest}
        )
    for case in given.case:
        method, _, batch_size = CASES[case]
        # The two checkouts are told apart by what only GANmut's has.
        kinds = {"ganmut" if (path / "models").is_dir() else "stargan": path for path in given.official}
        ways = [*(["official"] if method in kinds else []), *(given.way or WAYS[:2])]
        rates = {}
        for way in ways:
            work = Work(case, way, given.batch_size or batch_size, **shared, checkout=kinds.get(method))
            rates[way] = _report(work, given, {"case": case, "way": way})
        if "official" in rates:
            for way in ways[1:]:
                print(f"    {way}: {rates[way] / rates['official']:.2f} times the official code")


def _report(work: Work, given: argparse.Namespace, facts: dict[str, Any]) -> float:
    """Measure, print and record; return the images per second."""
    found = in_a_process(work)
    facts |= {key: found[key] for key in ("batch_size", "precision")} | {"n": found["steps"], "seed": given.seed}
    record(given.out, "train-step", found["seconds"], unit="s", **facts)
    record(given.out, "train-images-per-second", found["images_per_second"], unit="1/s", **facts)
    record(given.out, "train-flop-per-image", found["flop_per_image"], unit="FLOP", **facts)
    peak = round(found["peak_flops"])
    record(given.out, "train-share-of-peak", found["share_of_peak"], unit="", peak_flops=peak, **facts)
    record(given.out, "train-memory", found["memory_bytes"], unit="B", **facts)
    print(
        f"{work.name} {work.way}: {found['seconds']:.3f} s per step, {found['images_per_second']:.1f} images/s, "
        f"{found['flop_per_image'] / 1e9:.2f} GFLOP per image, {found['share_of_peak']:.0%} of "
        f"{found['peak_flops'] / 1e9:.0f} GFLOP/s, {found['memory_bytes'] / 2**20:.0f} MiB",
        flush=True,
    )
    return found["images_per_second"]


if __name__ == "__main__":
    main()
