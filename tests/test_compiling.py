"""Compiled networks learn what the others learn; penalties, which compiled code cannot differentiate, stay as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# A minute each on a cold cache, and a C++ compiler: `make test PYTEST_ARGS="-m compiler"`.
pytestmark = pytest.mark.compiler

#: In a process of its own: here signatures are checked while they run, which compiling does not survive.
CHILD = """
import dataclasses, json, sys, torch
torch.set_num_threads(1)
from mien.methods.base import Batch
from mien.methods.ganmut import GANmut, GANmutConfig
from mien.processes import make_fabric
from mien.stepping import TrainConfig, Trainer, take_step
from mien.training import sample_grid
config = GANmutConfig(image_size=16, image_channels=1, generator=sys.argv[1], generator_channels=8, generator_blocks=1,
    critic_channels=8, critic_layers=2, critic_steps=1, num_free_codes=2, axes="spread", penalty="gradient",
    lambda_detour=16.0, detour_to=("happy", "sad", "surprise"), lambda_lips=16.0, lips_of=("fear", "disgust", "anger"),
    lambda_strokes=300.0)
generator = torch.Generator().manual_seed(0)
batch = Batch(torch.rand(8, 1, 16, 16, generator=generator) * 2 - 1, torch.arange(8) % 7)
for compile in (False, True):
    torch.manual_seed(0)
    trainer = Trainer(GANmut(config), TrainConfig(batch_size=8, compile=compile), torch.device("cpu"))
    for step in range(2):
        torch.manual_seed(step)
        for player, terms in take_step(trainer, [batch], step, make_fabric("32-true")):
            print(json.dumps([player, {name: value.item() for name, value in terms.items()}]))
    print("sampled", sample_grid(trainer.method, batch.images[:2]).shape)
"""


@pytest.mark.parametrize("generator", ["residual", "warp"])
def test_compiled_networks_give_the_same_losses(generator: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, generator], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    moves: list[Any] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    eager, compiled = moves[:4], moves[4:]
    assert len(eager) == len(compiled) == 4
    for (player, wanted), (same, found) in zip(eager, compiled, strict=True):
        assert player == same
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert any("penalty" in terms for _, terms in compiled)
