"""Time training steps of presets on batches of noise: no dataset is needed, and the data does not change the speed.

A step is what the loop does between two batches: every move of every player with its optimiser, and the average. Lazy
penalties and generator steps come round at intervals, so whole rounds are timed, and the mean of all steps counts. Two
lines for each preset go to results.jsonl: seconds per step, and images per second.

    python benchmarks/train_speed.py --preset ganmut-fer2013-cpu --preset stargan-fer2013 --threads 2
"""

from __future__ import annotations

import argparse
import json
import math
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from record import record

from mien.methods import METHODS
from mien.methods.base import Batch
from mien.presets import PRESETS, configure, find_preset
from mien.training import TrainConfig, Trainer


def noise(config: Any, batch_size: int) -> Batch:
    """Return a batch of noise with labels and votes."""
    labels = torch.randint(len(config.expressions), (batch_size,))
    shares = torch.nn.functional.one_hot(labels, len(config.expressions)).float()
    images = torch.rand(batch_size, config.image_channels, config.image_size, config.image_size) * 2 - 1
    return Batch(images, labels, shares)


def take_step(trainer: Trainer, batch: Batch, step: int, config: TrainConfig) -> None:
    """Take one step as the loop does, without logs, samples and checkpoints."""
    updates = trainer.method.updates(batch, step)
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16-mixed"):
            move = next(updates, None)
        if move is None:
            break
        player, terms = move
        trainer.optimizers[player].zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        trainer.optimizers[player].step()
    if trainer.average:
        trainer.average.update(step)


def seconds_per_step(preset: str, least_seconds: float, seed: int) -> tuple[float, int, int]:
    """Return the mean time of a step, how many were timed, and the batch size."""
    found = find_preset(preset)
    method_config, config = configure(found, {})
    torch.manual_seed(seed)
    trainer = Trainer(METHODS[found.method](method_config), config, torch.device("cpu"))
    batch = noise(method_config, config.batch_size)
    whole_round = math.lcm(method_config.critic_steps, method_config.penalty_interval)
    for step in range(whole_round):  # warm-up
        take_step(trainer, batch, step, config)
    steps, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < least_seconds or steps == 0:
        for step in range(whole_round):
            take_step(trainer, batch, step, config)
        steps += whole_round
    return spent / steps, steps, config.batch_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", choices=list(PRESETS), required=True, help="repeatable")
    parser.add_argument("--seconds", type=float, default=20.0, help="least time that each preset is timed for")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    torch.set_num_threads(given.threads)
    for preset in given.preset:
        seconds, steps, batch_size = seconds_per_step(preset, given.seconds, given.seed)
        settings = [dict(PRESETS[preset].method_settings), dict(PRESETS[preset].train_settings)]
        digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        facts = {"preset": preset, "settings_sha256": digest, "batch_size": batch_size, "n": steps, "seed": given.seed}
        record(given.out, "train-step", seconds, unit="s", **facts)
        record(given.out, "train-images-per-second", batch_size / seconds, unit="1/s", **facts)
        print(f"{preset}: {seconds:.3f} s per step, {batch_size / seconds:.1f} images/s ({given.threads} threads)")


if __name__ == "__main__":
    main()
