"""What the tests of classifiers share: drawn faces, a judge that has learned them, and judges with random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mien.classifiers import ClassifierConfig, Recipe, train_classifier
from mien.classifiers.settings import configure
from mien.datasets import drawn
from mien.prepared import PreparedSet, prepare
from mien.runs import Run


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """Return 420 drawn faces of 60 persons, grey, 32 px; six persons are for validation."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    return prepare(drawn.read(count=420, size=32), folder, dataset="drawn", size=32, channels=1)


@pytest.fixture(scope="session")
def learned(faces: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the run of a tiny ResNet18 that has learned the drawn faces in four epochs."""
    config = ClassifierConfig("resnet18", image_size=32, image_channels=1, width=6, stem_stride=2)
    recipe = Recipe(epochs=4, batch_size=12, learning_rate=5e-3, warmup_steps=10, augmentation="none")
    return train_classifier("tiny", config, recipe, faces.path, tmp_path_factory.mktemp("judges") / "tiny")


@pytest.fixture
def write_judge(tmp_path: Path) -> Callable[..., Run]:
    """Return a function that writes the run of a judge with random weights; its keywords change the network."""

    def write(name: str = "judge", preset: str = "resnet18-small", **changes: object) -> Run:
        config, recipe = configure(preset, {"width": 4, "image_size": 32, **changes})
        torch.manual_seed(3)
        network = config.build()
        run = Run.open(
            tmp_path / name,
            {
                "format": 1,
                "preset": preset,
                "classifier": dataclasses.asdict(config),
                "recipe": dataclasses.asdict(recipe),
                "data": {"hash": "0" * 64, "dataset": "none"},
            },
        )
        run.save_checkpoint(40, {f"network.{key}": tensor for key, tensor in network.state_dict().items()})
        return run

    return write
