"""The loop: what is logged is optimised, what is broken is not kept, and the average is what ships."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.batches import Batches
from mien.datasets import Sample
from mien.edit_maps import Edit
from mien.errors import ConfigError, MienError, RunError
from mien.expressions import BASIC
from mien.methods import METHODS
from mien.methods.base import Batch, Method, Reading
from mien.methods.ganmut import GANmut, GANmutConfig
from mien.prepared import PreparedSet
from mien.processes import make_fabric
from mien.runs import Run
from mien.spaces import LabelSpace
from mien.stepping import Average, TrainConfig, Trainer, generator_names, take_step
from mien.training import Progress, sample_grid, train, trained_method

CPU = torch.device("cpu")

# --- the steps ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class LinearConfig:
    """Settings of `Linear`."""

    expressions: tuple[str, ...] = BASIC
    image_size: int = 16
    image_channels: int = 1
    learning_rate: float = 0.125
    betas: tuple[float, ...] = (0.5, 0.999)


class Linear(Method):
    """Losses of constant slope, on which Adam walks exactly one learning rate each step, whatever the slope."""

    Config = LinearConfig

    def __init__(self, config: LinearConfig) -> None:
        super().__init__()
        self.config = config
        self.up, self.down = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"critic": [self.up], "generator": [self.down]}

    def updates(self, batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        yield "critic", {"first": -3 * self.up, "second": 1 * self.up}
        assert self.up.item() == pytest.approx(0.125 * (step + 1))  # the player has moved when the method goes on
        if step % 2:
            yield "generator", {"only": 5 * self.down}

    def space(self) -> LabelSpace:
        return LabelSpace(self.config.expressions)

    def render(self, images: Tensor, codes: Tensor) -> Edit:
        return Edit(torch.zeros(len(images), 2, 16, 16), torch.zeros_like(images))

    def read(self, images: Tensor) -> Reading:
        raise NotImplementedError


def test_each_player_steps_on_the_sum_of_its_terms_and_the_terms_are_logged(
    prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "linear", Linear)
    config = TrainConfig(steps=8, batch_size=4, log_every=4, augmentation=False)
    run = train("test", "linear", LinearConfig(), config, prepared.path, tmp_path / "run")
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[1]["method.up"].item() == pytest.approx(8 * 0.125)
    assert latest[1]["method.down"].item() == pytest.approx(-4 * 0.125)
    first, second = run.stats()
    # Over steps 0 to 3 `up` is 0, 1, 2, 3 eighths when its loss is taken: on average 3/16; `down` moves every other step.
    assert first["critic/first"] == pytest.approx(-3 * 3 / 16)
    assert first["critic/second"] == pytest.approx(3 / 16)
    assert first["generator/only"] == pytest.approx(5 * -1 / 16)
    assert second["critic/second"] == pytest.approx(11 / 16)
    assert (first["step"], second["step"]) == (4, 8)


def test_progress_is_reported_as_it_is_logged(start: Callable[..., Run], tmp_path: Path) -> None:
    heard: list[Progress] = []
    run = start(tmp_path / "run", heard.append, steps=6)
    assert [progress.step for progress in heard] == [4, 5, 6]  # every 4, at the checkpoint, at the end
    assert all(progress.steps == 6 and progress.images_per_second > 0 for progress in heard)
    assert [dict(progress.losses) for progress in heard] == [
        {k: v for k, v in line.items() if k not in ("step", "images_per_second")} for line in run.stats()
    ]
    assert set(heard[0].losses) >= {"critic/adv", "critic/penalty", "generator/rho", "generator/rec"}


def test_official_bug_3_the_learning_rate_is_the_settings_from_first_to_last_step(
    start: Callable[..., Run], tiny_ganmut: GANmutConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official decay takes off a hundred-thousandth, a hundred times: ours does not pretend."""
    rates: list[float] = []
    step = torch.optim.Adam.step

    def watched(self: torch.optim.Adam, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    start(tmp_path / "run", decay_share=0.0)
    assert len(rates) == 23 + 11  # the critic each step, the generator every second
    assert set(rates) == {tiny_ganmut.learning_rate}
    assert not any("decay" in f.name for f in dataclasses.fields(GANmutConfig))


def test_losses_that_are_no_numbers_end_the_run_and_leave_no_broken_checkpoint(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig, tmp_path: Path
) -> None:
    wild = dataclasses.replace(tiny_ganmut, learning_rate=1e30)
    config = TrainConfig(steps=23, batch_size=8, log_every=100, checkpoint_every=2)
    with pytest.raises(RunError, match="training diverged before step") as error:
        train("test", "ganmut", wild, config, prepared.path, tmp_path / "run")
    assert "lower learning_rate" in error.value.hint
    latest = Run.read(tmp_path / "run").latest_checkpoint()
    assert latest is None or all(torch.isfinite(tensor).all() for tensor in latest[1].values())


def test_a_state_that_is_no_number_is_not_saved_even_where_the_losses_still_are(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = GANmut.updates

    def poisoned(self: GANmut, batch: Batch, step: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
        yield from updates(self, batch, step)
        if step == 9:  # the last move of this step went wrong: its losses, taken before it, are fine
            with torch.no_grad():
                self.axes[0] = torch.nan

    monkeypatch.setattr(GANmut, "updates", poisoned)
    with pytest.raises(RunError, match=r"before step 10: method\.axes, average\.axes is not finite"):
        start(tmp_path / "run")
    latest = Run.read(tmp_path / "run").latest_checkpoint()
    assert latest is not None
    assert latest[0] == 5


TOO_MUCH = 1 << 60


def of_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB")


@pytest.mark.parametrize(
    "allocate",
    [of_a_gpu, lambda: torch.empty(TOO_MUCH), lambda: np.empty(TOO_MUCH, np.uint8)],
    ids=["gpu", "torch", "numpy"],
)
def test_too_little_memory_is_an_error_for_people(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allocate: Callable[[], Any]
) -> None:
    monkeypatch.setattr("mien.training.take_step", lambda *_: allocate())
    with pytest.raises(RunError, match="needs more memory than there is") as error:
        start(tmp_path / "run")
    assert "lower batch_size, or set accumulate=2" in error.value.hint
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    assert {"batch_size", "accumulate"} <= names
    assert not (tmp_path / "run" / "training.lock").exists()


def test_other_errors_of_torch_are_not_taken_for_it(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.training.take_step", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        start(tmp_path / "run")


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"batch_size": 0},
        {"ema_decay": 1.0},
        {"decay_share": 1.5},
        {"balance": -1.0},
        {"balance": math.inf},
        {"seed": 10**30},
        {"precision": "16"},
    ],
)
def test_settings_of_the_loop_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig(**settings)
    assert next(iter(settings)) in error.value.hint


def test_the_learning_rate_falls_evenly_over_its_share_and_moves_by_no_more(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig
) -> None:
    """By hand: 10 steps, the last 4 fall, from 1 by quarters. Adam's first move is as long as its learning rate."""
    trainer = Trainer(GANmut(tiny_ganmut), TrainConfig(steps=10, batch_size=8, decay_share=0.4), CPU)
    rates = []
    for step in range(10):
        trainer.set_learning_rate(step)
        rates.append([group["lr"] for each in trainer.optimizers.values() for group in each.param_groups])
    base = tiny_ganmut.learning_rate
    assert np.allclose(rates, base * np.array([1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])[:, None])

    faster = dataclasses.replace(tiny_ganmut, critic_rate=3.0)
    other = Trainer(GANmut(faster), TrainConfig(steps=10, batch_size=8, decay_share=0.4), CPU)
    other.set_learning_rate(8)
    found = {player: optimizer.param_groups[0]["lr"] for player, optimizer in other.optimizers.items()}
    assert found == {"critic": pytest.approx(1.5 * base), "generator": pytest.approx(0.5 * base)}

    batches = Batches(
        prepared, tiny_ganmut.expressions, image_size=16, image_channels=1, batch_size=8, seed=0, device=CPU
    )
    before = [parameter.detach().clone() for parameter in trainer.parameters["critic"]]
    list(take_step(trainer, [batches.draw(0)], 8, make_fabric("32-true")))
    moves = zip(trainer.parameters["critic"], before, strict=True)
    assert max((now.detach() - then).abs().max().item() for now, then in moves) == pytest.approx(base / 2, rel=1e-3)


def test_a_critic_that_is_spared_what_lies_beyond_learns_something_else(
    make_prepared: Callable[..., PreparedSet], tiny_ganmut: GANmutConfig, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 256, (16, 16, 1), np.uint8), 3, axis=2)
    rows = [
        Sample(f"{i}", lambda: image, BASIC[i % 7], "train", "x", frame=(1.0, 0.0, 0.0, 0.0, 2.0, 0.0))
        for i in range(16)  # the lower half of each is beyond its picture
    ]
    data, loop = make_prepared(rows).path, TrainConfig(steps=2, batch_size=8)
    ends = []
    for hides in (True, False):
        config = dataclasses.replace(tiny_ganmut, hide_beyond=hides)
        run = train("test", "ganmut", config, loop, data, tmp_path / f"{hides}")
        found = run.latest_checkpoint()
        assert found is not None
        ends.append(found[1])
    assert any(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0] if "critic" in name)


# --- the average -------------------------------------------------------------------------------------------------


def test_the_average_by_hand() -> None:
    parameter = torch.tensor([0.0])
    average = Average({"a": parameter}, decay=0.25)
    parameter.fill_(10.0)
    average.update(0)  # early on it forgets faster: decay 1/10
    assert average.tensors["a"].item() == pytest.approx(9.0)
    parameter.fill_(1.0)
    average.update(1)  # 2/11
    assert average.tensors["a"].item() == pytest.approx(9 * 2 / 11 + 9 / 11)
    average.tensors["a"].fill_(8.0)
    average.update(50)  # 51/60 is above 0.25
    assert average.tensors["a"].item() == pytest.approx(0.25 * 8 + 0.75 * 1)


def test_the_average_is_of_the_generator_and_its_axes_and_not_of_the_critic(tiny_ganmut: GANmutConfig) -> None:
    names = generator_names(GANmut(tiny_ganmut))
    assert "axes" in names
    assert any(name.startswith("generator.") for name in names)
    assert not any(name.startswith("critic.") for name in names)


def test_the_average_stands_in_only_inside_its_block(tiny_ganmut: GANmutConfig) -> None:
    trainer = Trainer(GANmut(tiny_ganmut), TrainConfig(ema_decay=0.9), CPU)
    assert trainer.average is not None
    axes = trainer.method.get_parameter("axes")
    own = axes.detach().clone()
    trainer.average.tensors["axes"].fill_(0.5)
    with pytest.raises(ZeroDivisionError), trainer.averaged() as method:
        assert torch.equal(method.get_parameter("axes"), torch.full((6, 2), 0.5))
        raise ZeroDivisionError
    assert torch.equal(axes, own)


def test_a_trained_method_has_the_averaged_generator_and_axes_and_the_critic_as_it_is(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    run = start(tmp_path / "run", steps=4)
    latest = run.latest_checkpoint()
    assert latest is not None
    method, step = trained_method(run)
    assert step == 4
    assert not method.training
    for name, parameter in method.named_parameters():
        kind = "method" if name.startswith("critic.") else "average"
        assert torch.equal(parameter, latest[1][f"{kind}.{name}"])
        assert not parameter.requires_grad
    assert not torch.equal(latest[1]["average.axes"], latest[1]["method.axes"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": None}, "lacks method"),
        ({"train_config": None}, "lacks train_config"),
        ({"method": "cyclegan"}, "names no method: 'cyclegan'"),
        ({"method": ["ganmut"]}, r"names no method: \['ganmut'\]"),
        ({"method": "stargan", "method_config": {}}, "hold other networks"),
    ],
)
def test_a_configuration_that_describes_no_run_is_an_error_for_people(
    start: Callable[..., Run], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    run = start(tmp_path / "run", steps=1)
    changed = {key: value for key, value in {**run.configuration, **change}.items() if value is not None}
    with pytest.raises(RunError, match=message):
        trained_method(Run(run.path, changed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 2}, "batch_size is 2"),  # two free codes leave no room for a labelled one
        ({"batch_size": 5000}, "a batch needs 5000"),
    ],
)
def test_a_run_that_cannot_start_leaves_no_folder_behind(
    start: Callable[..., Run], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(MienError, match=message) as error:
        start(tmp_path / "run", **changes)
    assert error.value.hint
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_checkpoint_gives_no_method(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no checkpoint yet"):
        trained_method(Run.open(tmp_path / "run", {"method": "ganmut"}))


# --- sample grids ------------------------------------------------------------------------------------------------


def test_official_bug_10_grids_show_photo_and_edits_in_the_same_colours() -> None:
    """The official grid flips the channels of the fakes and not of the photos."""
    method = Linear(LinearConfig(expressions=("neutral", "happy"), image_channels=3))
    faces = torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1, 1).expand(2, 3, 16, 16)
    grid = sample_grid(method, faces)
    assert grid.shape == (2 * 16, 3 * 16, 3)
    assert grid.dtype == np.uint8
    assert (grid == np.array([255, 128, 0])).all()


def test_grids_show_validation_faces_of_every_expression_with_a_column_for_each(
    start: Callable[..., Run], prepared: PreparedSet, tmp_path: Path
) -> None:
    from PIL import Image

    run = start(tmp_path / "run", steps=1)
    grid = np.asarray(Image.open(run.path / "samples" / "step-0000001.png"))
    assert grid.shape == (8 * 16, (1 + 7) * 16)
    faces = grid.reshape(8, 16, 8, 16)[:, :, 0]
    validation = prepared.select(split="validation")
    firsts = [validation[prepared.labels[validation] == label][:1] for label in range(7)]
    shown = {face.tobytes() for face in faces}
    assert all(prepared.images(first).tobytes() in shown for first in firsts)
