"""A run folder as `mien train` leaves it, of an untrained model: what tests of commands and examples edit with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from mien.methods.ganmut import GANmut, GANmutConfig
from mien.runs import Run
from mien.training import FORMAT, TrainConfig


def write_run(folder: Path) -> Run:
    """Write the run of a small grey model whose edits are visible: its weights are larger than training starts with."""
    config = GANmutConfig(
        image_size=32, image_channels=1, generator="warp", generator_channels=8, generator_blocks=1,
        critic_channels=8, critic_layers=3, axes="spread", both_sides=True, soft_light=0.05,
        wipes=True,
    )  # fmt: skip
    torch.manual_seed(0)
    method = GANmut(config)
    torch.nn.init.normal_(method.generator.to_displacement.weight, std=0.3)
    torch.nn.init.normal_(method.generator.to_residual.weight, std=0.3)
    torch.nn.init.normal_(method.generator.to_wipe.weight, std=0.3)
    run = Run.open(
        folder,
        {
            "format": FORMAT,
            "preset": "smoke",
            "method": "ganmut",
            "method_config": dataclasses.asdict(config),
            "train_config": dataclasses.asdict(TrainConfig(steps=1)),
            "data": {"hash": "0" * 64, "dataset": "drawn"},
        },
    )
    run.append_stats({"step": 1, "images_per_second": 10.0})
    run.save_checkpoint(1, {f"method.{name}": tensor for name, tensor in method.state_dict().items()})
    return run
