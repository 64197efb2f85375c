"""ONNX files of untrained models, made once in a session: an export takes seconds."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

import torch
from untrained import write_run

from mien.exporting import export_onnx
from mien.methods.stargan import StarGAN, StarGANConfig
from mien.runs import Run
from mien.training import FORMAT, TrainConfig


def write_stargan_run(folder: Path) -> Run:
    """Write the run of a small StarGAN in colour, with the generator that paints."""
    config = StarGANConfig(
        image_size=16, image_channels=3, generator="residual", generator_channels=4, generator_blocks=1,
        critic_channels=4, critic_layers=2,
    )  # fmt: skip
    torch.manual_seed(1)
    method = StarGAN(config)
    settings = {
        "format": FORMAT, "preset": "smoke-stargan", "method": "stargan",
        "method_config": dataclasses.asdict(config), "train_config": dataclasses.asdict(TrainConfig(steps=1)),
        "data": {"hash": "0" * 64, "dataset": "drawn"},
    }  # fmt: skip
    run = Run.open(folder, settings)
    run.append_stats({"step": 1, "images_per_second": 10.0})
    run.save_checkpoint(1, {f"method.{name}": tensor for name, tensor in method.state_dict().items()})
    return run


@functools.cache
def ganmut_onnx() -> bytes:
    """Return the file of the GANmut of `untrained.write_run`: grey, 32 px, displacement and light."""
    return _exported(write_run)


@functools.cache
def stargan_onnx() -> bytes:
    """Return the file of the StarGAN above."""
    return _exported(write_stargan_run)


def _exported(write) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        run = write(Path(folder) / "run")
        return export_onnx(run.path, Path(folder) / "model.onnx").read_bytes()
