"""Trained models as files: they come back as they were, and nothing altered, broken or pickled is ever loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.conditions import Condition
from mien.errors import RunError, WeightsError
from mien.files import file_sha256
from mien.methods.ganmut import GANmutConfig
from mien.portable import load_portable
from mien.prepared import PreparedSet
from mien.pretrained import export, load_model, shipped, training_seconds
from mien.runs import Run, read_tensors, write_tensors
from mien.shipped import DEFAULT, WEIGHTS
from mien.spaces import DiscSpace, space_from_json
from mien.training import TrainConfig, train, trained_method


@pytest.fixture(scope="module")
def run(prepared: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of three steps with an average."""
    method = GANmutConfig(
        image_size=16, image_channels=1, generator="warp", generator_channels=8, generator_blocks=1, critic_channels=8,
        critic_layers=2, critic_steps=1, axes="spread", num_free_codes=2, learning_rate=1e-2,
    )  # fmt: skip
    loop = TrainConfig(steps=3, batch_size=8, ema_decay=0.5)
    return train("test", "ganmut", method, loop, prepared.path, tmp_path_factory.mktemp("runs") / "a-run")


@pytest.fixture
def exported(run: Run, tmp_path: Path) -> Path:
    """Return the path of the run's exported model."""
    return export(run, tmp_path / "models" / "mine.safetensors", {"licence": "research only"})


def describe(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the JSON beside a model."""
    beside = path.with_suffix(".json")
    description = json.loads(beside.read_text())
    change(description)
    beside.write_text(json.dumps(description))


def test_an_exported_model_comes_back_as_it_was_to_half_precision(run: Run, exported: Path) -> None:
    model = load_model(exported)
    original, _ = trained_method(run)
    saved = original.state_dict()
    for name, tensor in model.method.state_dict().items():
        assert torch.equal(tensor, saved[name].half().float()), name
    images = torch.rand(4, 1, 16, 16) * 2 - 1
    for name in ("happy", "anger"):
        codes = torch.from_numpy(original.space().code(Condition.named(name))).expand(4, -1)
        for one, other in zip(original.render(images, codes)[:2], model.method.render(images, codes)[:2], strict=True):
            assert torch.allclose(one, other, atol=2e-3)
    assert (model.name, model.image_size, model.image_channels) == ("mine", 16, 1)
    assert model.sha256 == file_sha256(exported)
    assert not model.method.training
    assert not any(parameter.requires_grad for parameter in model.method.parameters())


def test_official_bug_8_the_critic_travels_with_the_generator(exported: Path) -> None:
    """The official discriminators were never published: nobody can read coordinates from a photo, or train on."""
    names = read_tensors(exported).keys()
    assert {name.split(".")[0] for name in names} == {"generator", "critic", "axes"}


def test_the_json_says_where_a_model_comes_from(run: Run, exported: Path, prepared: PreparedSet) -> None:
    said = json.loads(exported.with_suffix(".json").read_text())
    assert said["method"] == "ganmut"
    assert said["licence"] == "research only"
    assert said["training"]["data"]["hash"] == prepared.hash
    assert (said["training"]["preset"], said["training"]["steps"], said["training"]["images"]) == ("test", 3, 24)
    assert said["training"]["train_config"]["seed"] == 0
    assert space_from_json(said["space"]) == trained_method(run)[0].space()
    assert said["parameters"]["critic"] == 16 * 8 + 8 + 8 * 16 * 16 + 16 + 16 * 9 + 16 * 4 * 4 * (7 + 2)
    assert said["sha256"] == file_sha256(exported)


def test_a_run_folder_is_a_model(run: Run) -> None:
    model = load_model(run.path)
    original, _ = trained_method(run)
    assert all(torch.equal(t, original.state_dict()[name]) for name, t in model.method.state_dict().items())
    assert (model.name, model.description["step"]) == ("a-run", 3)
    assert model.sha256 == file_sha256(run.path / "checkpoints" / "step-0000003.safetensors")


def test_a_file_that_was_altered_is_refused(exported: Path) -> None:
    content = exported.read_bytes()
    exported.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsError, match="does not match its hash") as error:
        load_model(exported)
    assert "export it again" in error.value.hint


def test_axes_that_are_no_numbers_are_refused(exported: Path) -> None:
    tensors = read_tensors(exported)
    tensors["axes"][3, 1] = torch.nan
    write_tensors(exported, tensors)
    describe(exported, lambda said: said.update(sha256=file_sha256(exported)))
    with pytest.raises(WeightsError, match=r"not numbers \(in axes\): its training diverged"):
        load_model(exported)


def test_a_model_without_its_json_is_refused(exported: Path) -> None:
    exported.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"mine\.json is missing") as error:
        load_model(exported)
    assert "copy both" in error.value.hint


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda said: said.update(format=99), "has format 99, this mien reads 1"),
        (lambda said: said.pop("format"), "is broken: KeyError"),
        (lambda said: said.pop("sha256"), "is broken: KeyError"),
        (lambda said: said.update(method="stylegan"), "is broken: KeyError"),
        (lambda said: said.update(method_config=7), "is broken"),
        (lambda said: said["method_config"].update(generator_channels=12), "holds other tensors"),
    ],
)
def test_a_json_that_does_not_fit_is_refused(
    exported: Path, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    describe(exported, change)
    with pytest.raises(WeightsError, match=says) as error:
        load_model(exported)
    assert error.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_json_that_is_none_is_refused(exported: Path, text: str) -> None:
    exported.with_suffix(".json").write_text(text)
    with pytest.raises(WeightsError, match="is broken"):
        load_model(exported)


def test_official_bug_13_pickles_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "official-G.ckpt"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"is no \.safetensors file") as error:
        load_model(path)
    assert "pickled checkpoints are not read" in error.value.hint


def test_a_name_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no model `nobody`") as error:
        load_model("nobody")
    assert "give a run folder, a .safetensors or .onnx file, or one of: " in error.value.hint
    with pytest.raises(RunError, match="is no run folder"):
        load_model(tmp_path)


def test_export_wants_its_suffix_and_a_checkpoint(run: Run, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not end in \.safetensors"):
        export(run, tmp_path / "model.pt")
    with pytest.raises(RunError, match="has no checkpoint yet"):
        export(Run.open(tmp_path / "empty", {"method": "ganmut"}), tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_training_time_is_what_the_logged_steps_took() -> None:
    """10 steps of 8 images at 4 images a second, then 5 at 2: 20 s and 20 s, however long the pause between."""
    lines = [{"step": 10, "images_per_second": 4.0}, {"step": 15, "images_per_second": 2.0}]
    assert training_seconds(lines, 8) == pytest.approx(40.0)
    assert training_seconds([], 8) == 0.0


def test_half_precision_keeps_directions_to_a_twentieth_of_a_degree() -> None:
    """Axes are free in their length; small ones are rounded hardest."""
    for length in (1e-3, 1.0, 30.0):
        angle = torch.linspace(0, 2 * torch.pi, 1000)
        axes = length * torch.stack([angle.cos(), angle.sin()], 1)
        rounded = axes.half().float()
        turn = torch.atan2(rounded[:, 1], rounded[:, 0]) - torch.atan2(axes[:, 1], axes[:, 0])
        turn = torch.remainder(turn + torch.pi, 2 * torch.pi) - torch.pi
        assert torch.rad2deg(turn).abs().max().item() < 0.05


@pytest.mark.parametrize("name", shipped())
def test_every_model_that_ships_loads_and_says_where_it_comes_from(name: str) -> None:
    model = load_model(name)
    assert model.description["training"]["steps"] > 0
    learned, said = model.method.space(), space_from_json(model.description["space"])
    assert learned.expressions == said.expressions
    if isinstance(learned, DiscSpace) and isinstance(said, DiscSpace):
        assert learned.angles_radians == pytest.approx(said.angles_radians, abs=0.01)  # half precision


def test_without_an_average_the_generator_is_shipped_as_it_is(
    tiny_ganmut: GANmutConfig, prepared: PreparedSet, tmp_path: Path
) -> None:
    config = TrainConfig(steps=2, batch_size=8)
    run = train("test", "ganmut", replace(tiny_ganmut, critic_steps=1), config, prepared.path, tmp_path / "run")
    latest = run.latest_checkpoint()
    assert latest is not None
    method, _ = trained_method(run)
    assert all(torch.equal(tensor, latest[1][f"method.{name}"]) for name, tensor in method.state_dict().items())


def test_the_twin_without_torch_holds_the_weights_that_ship() -> None:
    twin, shipped_model = load_portable(WEIGHTS / f"{DEFAULT}.onnx"), load_model(DEFAULT)
    assert twin.sha256 == shipped_model.sha256 and twin.space == shipped_model.space
    side = shipped_model.image_size
    image = np.random.default_rng(0).uniform(-1, 1, (1, 1, side, side)).astype(np.float32)
    code = np.array([[0.5, -0.5]], np.float32)
    for ours, theirs in zip(twin.render(image, code), shipped_model.render(image, code), strict=True):
        assert np.abs(ours - theirs).max() < 1e-4
