"""What is computed on a GPU is what the processor computes, to rounding: `make test PYTEST_ARGS="-m gpu"`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_stepping import cases, made, source_of
from test_training_released import (  # is held on the GPU too, where it is a test of this file  # noqa: F401
    test_the_rehearsal_trains_everything_in_pieces_and_then_once_more_nothing,
)

from mien.batches import Batches
from mien.benchmark.protocol import Protocol
from mien.benchmark.running import benchmark
from mien.classifiers import load_judge
from mien.classifiers import settings as judge_settings
from mien.classifiers.training import train_classifier
from mien.datasets import READERS
from mien.errors import MienError
from mien.faces.detectors import load_detector
from mien.images import read_image
from mien.loading import open_model
from mien.methods.ganmut import GANmutConfig
from mien.prepared import PreparedSet, prepare
from mien.pretrained import export
from mien.processes import make_fabric
from mien.runs import Run
from mien.stepping import TrainConfig, Trainer, take_step

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]

ASTRONAUT = Path(__file__).parent.parent / "assets" / "astronaut.png"
DRAWS = ("rand", "randn", "randint", "randperm")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Compute in float32 as the processor does, not with the ten bits that a GPU multiplies faster."""
    kept = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = kept


@pytest.fixture
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw random numbers on the processor, wherever they are asked for: a GPU draws others from the same seed."""

    def on_the_processor(draw: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        return lambda *given, device="cpu", **more: draw(*given, **more).to(device)

    for name in DRAWS:
        monkeypatch.setattr(torch, name, on_the_processor(getattr(torch, name)))


def losses_and_gradients(name: str, config: Any, prepared: PreparedSet, device: torch.device, fabric: Any) -> list[Any]:
    """Take a step in which nobody moves; return each player's name, losses and gradients."""
    torch.manual_seed(0)
    trainer = Trainer(made(name, config, device), TrainConfig(batch_size=8), device)
    for optimizer in trainer.optimizers.values():
        optimizer.step = lambda: None  # type: ignore[method-assign]
    batch = source_of(prepared, config).draw(0)
    here = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    here = {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in here.items()}
    torch.manual_seed(1)
    found = []
    for player, losses in take_step(trainer, [type(batch)(**here)], 0, fabric):
        gradients = [p.grad.cpu().clone() for p in trainer.parameters[player] if p.grad is not None]
        found.append((player, {key: value.item() for key, value in losses.items()}, gradients))
    return found


@pytest.mark.usefixtures("same_draws")
@pytest.mark.parametrize("number", range(4))
def test_a_step_has_the_losses_and_gradients_of_the_processor(
    number: int, prepared: PreparedSet, tiny_ganmut: GANmutConfig
) -> None:
    name, config = list(cases(tiny_ganmut))[number]
    fabric = make_fabric("32-true")
    assert fabric.device.type == "cuda"
    wanted = losses_and_gradients(name, config, prepared, torch.device("cpu"), fabric)
    found = losses_and_gradients(name, config, prepared, fabric.device, fabric)
    assert [player for player, *_ in found] == [player for player, *_ in wanted] == ["critic", "generator"]
    for (_, said, gradients), (_, losses, expected) in zip(found, wanted, strict=True):
        assert said == pytest.approx(losses, rel=1e-3, abs=1e-4)
        assert len(gradients) == len(expected) > 0
        one, other = (torch.cat([gradient.flatten() for gradient in each]) for each in (gradients, expected))
        # As a whole: where a sum is near zero an activation may fall to its other side.
        assert (one - other).norm() <= 1e-2 * other.norm()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_goes_on_where_it_was_stopped_and_its_model_edits_alike_on_the_processor(
    precision: Any, start: Callable[..., Run], tmp_path: Path
) -> None:
    def stop(progress: Any) -> None:
        if progress.step >= 8:
            raise KeyboardInterrupt

    unbroken = start(tmp_path / "unbroken", precision=precision)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "broken", stop, precision=precision)
    broken = start(tmp_path / "broken", precision=precision)
    for one, other in zip(unbroken.stats(), broken.stats(), strict=True):
        assert one["step"] == other["step"]
        for key in one.keys() - {"images_per_second", "seconds"}:
            assert one[key] == pytest.approx(other[key], rel=0.05, abs=0.05), key  # sums on a GPU have no fixed order
    weights = export(unbroken, tmp_path / "model.safetensors")
    faces = np.random.default_rng(0).uniform(-1, 1, (3, 1, 16, 16)).astype(np.float32)
    codes = np.array([[0.0, 0.0], [0.6, 0.2], [-0.3, 0.9]], np.float32)
    there, here = (open_model(weights, device=device) for device in ("cuda", "cpu"))
    for edit, wanted in zip(there.render(faces, codes), here.render(faces, codes), strict=True):
        assert np.abs(edit - wanted).max() < 1e-3
    for read, wanted in zip(there.read(faces), here.read(faces), strict=True):
        assert np.abs(read - wanted).max() < 1e-3


def test_images_that_do_not_fit_are_read_ahead_and_give_the_same_batches(prepared: PreparedSet) -> None:
    where: Any = {"image_size": 16, "image_channels": 1, "batch_size": 8, "seed": 0, "device": "cuda"}
    resident = Batches(prepared, prepared.expressions, **where)
    streamed = Batches(prepared, prepared.expressions, resident_bytes=0, **where)
    for step, (batch,) in enumerate(streamed.stream(range(3))):
        wanted = resident.draw(step)
        assert batch.images.device.type == "cuda"
        assert torch.equal(batch.images, wanted.images) and torch.equal(batch.labels, wanted.labels)


@pytest.mark.parametrize("name", ["mtcnn", "retinaface"])
def test_faces_are_found_where_the_processor_finds_them(name: str) -> None:
    photo = read_image(ASTRONAUT)
    photos = [photo, np.full_like(photo, 90), photo[:, ::-1].copy()]
    try:
        here = load_detector(name, "cpu").detect(photos)
    except MienError as error:  # without its weights
        pytest.skip(str(error))
    there = load_detector(name, "cuda").detect(photos)
    assert [len(faces) for faces in there] == [len(faces) for faces in here] == [1, 0, 1]
    for faces, wanted in ((there[0], here[0]), (there[2], here[2])):
        assert np.abs(np.asarray(faces[0].box) - wanted[0].box).max() < 0.5
        assert np.abs(faces[0].landmarks - wanted[0].landmarks).max() < 0.5


def test_judges_see_the_same_and_can_be_trained(prepared: PreparedSet, tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (5, 1, 48, 48)).astype(np.float32)
    there, here = (load_judge("judge-resnet18").to(device).judge(images) for device in ("cuda", "cpu"))
    assert np.abs(there.probabilities - here.probabilities).max() < 1e-3
    network, recipe = judge_settings.configure("resnet18-small", {"width": 4, "epochs": 2, "batch_size": 16})
    run = train_classifier("resnet18-small", network, recipe, prepared.path, tmp_path / "judge")
    assert run.step == recipe.epochs * (len(prepared.select("train")) // 16)


def test_a_benchmark_says_the_same(tmp_path: Path) -> None:
    prepared = prepare(READERS["drawn"](None, count=210, size=32), tmp_path / "set", dataset="drawn", size=32)
    protocol = Protocol(faces=3, sweep_faces=2, gamut_faces=1, gamut_angles=3, gamut_radii=(1.0,), examples=1)
    said = {}
    for device in ("cpu", "cuda"):
        outcome = benchmark(
            ["ganmut-mixed-128"], ["judge-resnet18"], prepared.path, tmp_path / device, protocol, device=device
        )
        said[device] = {
            (line.contestant, line.judge, line.measurement.measure, line.measurement.expression): line.measurement.value
            for line in outcome.lines
        }
    assert said["cuda"].keys() == said["cpu"].keys()
    for key, value in said["cpu"].items():
        assert said["cuda"][key] == (None if value is None else pytest.approx(value, rel=0.02, abs=0.02)), key
