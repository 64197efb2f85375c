"""What all tests share: shapes in signatures are checked, one thread, real data by environment, a tiny prepared set."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Sums are bit for bit the same only for the same number of threads, here and in the processes that tests start; and
# tests that run side by side must not fight for cores. Set before torch is imported, which reads it once.
os.environ["OMP_NUM_THREADS"] = "1"

import jaxtyping
import numpy as np
import pytest
import torch

# The modules whose signatures carry shapes. The numeric tower lets an int stand where a float is declared.
jaxtyping.install_import_hook(
    [
        "mien.critics",
        "mien.edit_maps",
        "mien.face_windows",
        "mien.networks",
        "mien.losses",
        "mien.methods",
        "mien.classifiers.networks",
    ],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

from mien.datasets import Sample  # noqa: E402
from mien.expressions import BASIC  # noqa: E402
from mien.methods.ganmut import GANmutConfig  # noqa: E402
from mien.methods.ganmut_gaussian import GaussianGANmutConfig  # noqa: E402
from mien.methods.stargan import StarGANConfig  # noqa: E402
from mien.prepared import PreparedSet, prepare  # noqa: E402
from mien.runs import Run  # noqa: E402
from mien.training import Progress, TrainConfig, train  # noqa: E402

# Configurations check their values themselves, with errors for people: those errors are what the tests look at.
for _kind in (GANmutConfig, GaussianGANmutConfig, StarGANConfig):
    _kind.__init__ = inspect.unwrap(_kind.__init__)

torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs, here and in the processes that tests start, unless it is the tests of GPUs that are asked for: `-m gpu`.

    What is promised to the bit, or for several processes, is promised for the processor.
    """
    if "gpu" not in re.sub(r"not\s+gpu", "", config.getoption("markexpr")):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first: a file stays with one process, and the last one to end decides."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data (`fer2013/`, `faces-wild/`), or skip the test."""
    folder = os.environ.get("MIEN_TEST_DATA")
    if not folder:
        pytest.skip("MIEN_TEST_DATA is not set: it names a folder that holds fer2013/ and faces-wild/")
    return Path(folder)


def noise_samples(count: int, size: int, colour: bool = False) -> list[Sample]:
    """Return images of noise, the same ones always: every sixth is for validation, expressions follow one another."""
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (count, size, size, 3 if colour else 1), np.uint8)
    pixels = np.broadcast_to(pixels, (count, size, size, 3))
    return [
        Sample(f"noise-{i}", lambda i=i: pixels[i], BASIC[i % 7], "validation" if i % 6 == 5 else "train", "noise")
        for i in range(count)
    ]


@pytest.fixture(scope="session")
def make_prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PreparedSet]:
    """Return a function that prepares samples, by default 84 grey images of noise, 16 px, all seven expressions."""

    def make(samples: list[Sample] | None = None, size: int = 16, channels: int = 1) -> PreparedSet:
        folder = tmp_path_factory.mktemp("prepared") / "set"
        rows = noise_samples(84, size, channels == 3) if samples is None else samples
        return prepare(rows, folder, dataset="noise", size=size, channels=channels)  # pyright: ignore[reportArgumentType]

    return make


@pytest.fixture(scope="session")
def prepared(make_prepared: Callable[..., PreparedSet]) -> PreparedSet:
    """Return the default set of `make_prepared`."""
    return make_prepared()


@pytest.fixture
def tiny_ganmut() -> GANmutConfig:
    """Return GANmut small enough for a step in a few milliseconds, with every loss term switched on."""
    return GANmutConfig(
        image_size=16, image_channels=1, generator="warp", generator_channels=8, generator_blocks=1,
        critic_channels=8, critic_layers=2, critic_steps=2, num_free_codes=2, axes="spread", penalty="r1",
        penalty_interval=2, adversarial="non-saturating", lambda_bend=1.0, lambda_fold=1.0, lambda_mask=1.0,
        learning_rate=1e-3,
    )  # fmt: skip


@pytest.fixture
def tiny_loop() -> TrainConfig:
    """Return a loop in which nothing divides anything else: checkpoints, samples and losses fall on different steps."""
    return TrainConfig(
        steps=23,
        batch_size=8,
        seed=5,
        balance=0.5,
        ema_decay=0.9,
        decay_share=0.5,
        log_every=4,
        sample_every=9,
        checkpoint_every=5,
    )


@pytest.fixture
def start(prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig) -> Callable[..., Run]:
    """Return a function that trains tiny GANmut in a folder; its keywords change settings of the loop."""

    def start(out: Path, report: Callable[[Progress], None] = lambda _: None, **changes: Any) -> Run:
        config = dataclasses.replace(tiny_loop, **changes)
        return train("test", "ganmut", tiny_ganmut, config, prepared.path, out, report)

    return start
