"""What an estimate counts, against operations that are really counted and sums done by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mien.benchmark.protocol import Protocol
from mien.classifiers.settings import ClassifierConfig
from mien.experiments import speed, timing
from mien.experiments.plan import Plan
from mien.experiments.steps import Bench, Combine, Prepare, Source, Train, TrainJudge
from mien.methods.base import Batch
from mien.methods.ganmut import GANmut, GANmutConfig


class Counter(TorchDispatchMode):
    """Counts the operations of all that happens, backward passes and their own backward passes too."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.operations += count(*args, **(kwargs or {}), out_val=out)
        return out


@pytest.mark.parametrize(
    "changes",
    [
        {"critic_steps": 5, "penalty": "gradient", "penalty_interval": 1},
        {"critic_steps": 1, "penalty": "r1", "penalty_interval": 4, "rec_share": 0.5, "adversarial": "non-saturating"},
    ],
)
def test_passes_of_a_training_step_are_those_that_it_takes(changes: dict[str, Any]) -> None:
    config = GANmutConfig(
        image_size=32, image_channels=1, generator_channels=8, generator_blocks=1, critic_channels=16, critic_layers=3,
        num_free_codes=3, **changes,
    )  # fmt: skip
    torch.manual_seed(0)
    method, count, cycle = GANmut(config), 8, changes["critic_steps"] * changes["penalty_interval"]
    batch = Batch(torch.rand(count, 1, 32, 32), torch.arange(count) % 7, torch.eye(7)[torch.arange(count) % 7])
    with Counter() as counter:
        for step in range(cycle):
            for _, terms in method.updates(batch, step):
                torch.stack(list(terms.values())).sum().backward()
    work = speed.networks("ganmut", config, "cpu")
    generator, critic = timing.passes(config)
    expected = generator * work.generator + critic * work.critic
    assert expected == pytest.approx(counter.operations / cycle / count, rel=0.15)


def test_passes_of_the_official_setting_by_hand() -> None:
    # Per step: an edit, and every fifth step 2 + 3 more; the critic 6 + 6, and every fifth step 2 + 1 more.
    assert timing.passes(GANmutConfig(critic_steps=5, rec_share=1.0)) == (1 + 5 / 5, 12 + 3 / 5)
    assert timing.passes(GANmutConfig(critic_steps=1, rec_share=0.5, penalty_interval=8)) == (4.5, 6 + 6 / 8 + 2.5)
    assert timing.passes(GANmutConfig(critic_steps=1, rec_share=1.0, penalty="none")) == (6, 9)


def test_edits_of_the_default_protocol_by_hand() -> None:
    assert timing.edits_of(Protocol()) == 500 * 7 + 60 * 6 * 10 + 24 * (24 * 3 + 1)


def test_images_are_counted_as_their_readers_yield_them(tmp_path: Path) -> None:
    drawn = Source("Drawn", "drawn", tmp_path, {"count": 40, "size": 16})
    counts = timing.images_of(drawn, tmp_path / "none")
    assert counts["cut"] == 40 and counts["scenes"] == 0
    assert timing.images_of(dataclasses.replace(drawn, share=0.25), tmp_path / "none")["cut"] == 10
    (tmp_path / "list.csv").write_text("path,expression,split\na.png,happy,train\nb.png,sad,val\nc.png,fun,train\n")
    scenes = Source("Scenes", "folder", tmp_path, {"face": "largest"})
    assert timing.images_of(scenes, tmp_path / "none") == {"cut": 0, "scenes": 2, "train": 1}


@pytest.fixture
def known_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that finds 10 faces, does 1000 operations and judges 100 images a second."""
    work = speed.Work(generator=100.0, critic=10.0, operations_per_second=1000.0)
    monkeypatch.setattr(speed, "networks", lambda *arguments: work)
    monkeypatch.setattr(speed, "faces_per_second", lambda detector, device: 10.0)
    monkeypatch.setattr(speed, "judging_seconds", lambda config, device: 0.01)
    monkeypatch.setattr(timing, "training_device", lambda: "cpu")


@pytest.mark.usefixtures("known_speeds")
def test_seconds_of_every_kind_of_step_by_hand(tmp_path: Path) -> None:
    source = Source("Drawn", "drawn", tmp_path, {"count": 40, "size": 16})
    sets = [Prepare(source, tmp_path / name, "mtcnn", 16) for name in ("a", "b")]
    both = Combine("both", (sets[0].out, sets[1].out), tmp_path / "both")
    judge = TrainJudge("resnet18-small", both.out, tmp_path / "judge", ("epochs=2",))
    train = Train(
        "Drawn", "smoke", both.out, tmp_path / "run",
        ("steps=50", "batch_size=4", "penalty_interval=8", "rec_share=1", "num_free_codes=2"),
    )  # fmt: skip
    bench = Bench(
        (("Drawn", str(train.out)),), both.out, (str(judge.out),), tmp_path / "report",
        ("faces=10", "sweep_faces=1", "sweep_steps=10", "gamut_faces=1", "gamut_angles=4", "gamut_radii=1"),
    )  # fmt: skip
    plan = Plan("test", tmp_path, (*sets, both, judge, train, bench))
    seconds = timing.estimate(plan)
    trained = 2 * timing.images_of(source, tmp_path / "none")["train"]
    edits = 10 * 7 + 60 + 5
    assert seconds == pytest.approx(
        [
            4.0, 4.0, 80 / 300,
            3 * 2 * trained * 0.01,
            50 * 4 * (6 * 100 + (6 + 6 / 8 + 3) * 10) / 1000,
            # The model and its untrained twin render; these, the identity and the oracle are judged.
            edits * (2 * 0.1 + 4 * (0.004 + 0.01)),
        ]
    )  # fmt: skip


def test_speeds_are_those_of_networks_that_really_run() -> None:
    config = ClassifierConfig(image_size=32, image_channels=1, width=4, stem_stride=1)
    wide = dataclasses.replace(config, width=32)
    assert 0 < speed.judging_seconds(config, "cpu") < speed.judging_seconds(wide, "cpu")


def test_retinaface_is_guessed_where_its_weights_are_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "on_this_machine", lambda: False)
    monkeypatch.setattr(speed, "FaceAligner", lambda *arguments: lambda images, faces: None)
    monkeypatch.setattr(speed, "_seconds", lambda trial, device: trial() or 0.5)
    speed.faces_per_second.cache_clear()
    try:
        assert speed.faces_per_second("mtcnn", "cpu") == 64
        assert speed.faces_per_second("retinaface", "cpu") == pytest.approx(64 * 777 / 205)
    finally:
        speed.faces_per_second.cache_clear()
