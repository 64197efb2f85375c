"""The loop: what is logged is optimised, and a run that is killed and resumed equals an unbroken one to the bit."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.batches import Batches
from mien.errors import ConfigError, RunError
from mien.expressions import BASIC
from mien.methods import METHODS
from mien.methods.base import Batch, Method, Reading
from mien.methods.ganmut import GANmut, GANmutConfig
from mien.networks import Edit
from mien.prepared import PreparedSet
from mien.runs import Run
from mien.spaces import LabelSpace
from mien.training import (
    Average,
    Progress,
    TrainConfig,
    Trainer,
    generator_names,
    sample_grid,
    train,
    trained_method,
)

CPU = torch.device("cpu")

#: Nothing divides anything else: checkpoints, samples and lines of losses all fall on different steps.
TINY = TrainConfig(
    steps=23, batch_size=8, seed=5, balance=0.5, ema_decay=0.9, log_every=4, sample_every=9, checkpoint_every=5
)


@pytest.fixture
def start(prepared: PreparedSet, tiny_ganmut: GANmutConfig) -> Callable[..., Run]:
    """Return a function that trains tiny GANmut in a folder; its keywords change settings of the loop."""

    def start(out: Path, report: Callable[[Progress], None] = lambda _: None, **changes: Any) -> Run:
        config = dataclasses.replace(TINY, **changes)
        return train("test", "ganmut", tiny_ganmut, config, prepared.path, out, report)

    return start


def outcome(run: Run) -> tuple[int, dict[str, Tensor], list[dict[str, float]], dict[str, bytes]]:
    """Return all that a run has come to: step, tensors, losses (without the speed), sample grids."""
    latest = run.latest_checkpoint()
    assert latest is not None
    stats = [{k: v for k, v in line.items() if k != "images_per_second"} for line in run.stats()]
    samples = {path.name: path.read_bytes() for path in sorted((run.path / "samples").iterdir())}
    return *latest, stats, samples


def assert_same(one: Run, other: Run) -> None:
    (step, tensors, stats, samples), (step_, tensors_, stats_, samples_) = outcome(one), outcome(other)
    assert step == step_
    assert tensors.keys() == tensors_.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], tensors_[name])] == []
    assert stats == stats_
    assert samples == samples_


# --- resuming ----------------------------------------------------------------------------------------------------


CHILD = """
import json, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from mien.methods.base import config_from_mapping
from mien.methods.ganmut import GANmutConfig
from mien.training import TrainConfig, train
method, loop, data, out = sys.argv[1:]
train("test", "ganmut", config_from_mapping(GANmutConfig, json.loads(method)),
      config_from_mapping(TrainConfig, json.loads(loop)), Path(data), Path(out),
      lambda progress: print(progress.step, flush=True))
"""


@pytest.mark.slow
def test_a_run_killed_at_a_random_moment_and_resumed_equals_an_unbroken_one_to_the_bit(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tmp_path: Path
) -> None:
    unbroken = start(tmp_path / "unbroken", log_every=1)
    seed = int.from_bytes(os.urandom(4), "big")
    moment = random.Random(seed)
    settings = [json.dumps(dataclasses.asdict(c)) for c in (tiny_ganmut, dataclasses.replace(TINY, log_every=1))]
    broken = tmp_path / "broken"
    lines, pause = moment.randint(1, 18), moment.uniform(0, 0.1)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *settings, str(prepared.path), str(broken)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(lines):
        child.stdout.readline()
    time.sleep(pause)
    child.send_signal(signal.SIGKILL)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, f"moment {seed} came too late"
    assert 0 < len(Run.read(broken).stats()) < 23
    assert_same(start(broken, log_every=1), unbroken)


def test_a_run_stopped_between_checkpoints_resumes_to_the_same_end(start: Callable[..., Run], tmp_path: Path) -> None:
    unbroken = start(tmp_path / "unbroken")

    def stop_at(step: int) -> Callable[[Progress], None]:
        def report(progress: Progress) -> None:
            if progress.step >= step:
                raise KeyboardInterrupt

        return report

    for step in (4, 8, 12, 20):  # one run, interrupted again and again
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "broken", stop_at(step))
    assert_same(start(tmp_path / "broken"), unbroken)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_write_is_survived(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Every file of a run appears by `os.replace`; the run is stopped at each of them in turn, before or after it."""
    short = {"steps": 3, "checkpoint_every": 2, "log_every": 2, "sample_every": 3}
    unbroken = start(tmp_path / "unbroken", **short)
    replace = os.replace
    stopped = 0
    while True:
        calls = 0

        def counted(source: Any, target: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == stopped + 1 and not after:
                raise KeyboardInterrupt
            replace(source, target)
            if calls == stopped + 1:
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", counted)
        out = tmp_path / f"broken-{stopped}"
        try:
            start(out, **short)
        except KeyboardInterrupt:
            monkeypatch.setattr(os, "replace", replace)
            assert_same(start(out, **short), unbroken)
            stopped += 1
        else:
            break
    assert stopped == 6  # configuration, stats, and twice a checkpoint with its record


def test_the_same_call_on_a_finished_run_changes_nothing(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(tmp_path / "run", steps=3)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    start(tmp_path / "run", steps=3)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_another_configuration_does_not_go_on_with_a_run(start: Callable[..., Run], tmp_path: Path) -> None:
    start(tmp_path / "run", steps=2)
    for change, named in (({"steps": 3}, "steps: 2 there, 3 now"), ({"steps": 2, "seed": 6}, "seed: 5 there, 6 now")):
        with pytest.raises(RunError, match=named):
            start(tmp_path / "run", **change)


def test_a_tampered_checkpoint_does_not_resume(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(tmp_path / "run", steps=2)
    path = run.path / "checkpoints" / "step-0000002.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(RunError, match="altered or is damaged"):
        start(tmp_path / "run", steps=2)


def trainer_after(steps: int, config: GANmutConfig, prepared: PreparedSet, trainer: Trainer | None = None) -> Trainer:
    """Take steps by hand, from 0 or on with a trainer."""
    torch.manual_seed(0)
    trainer = trainer or Trainer(GANmut(config), TINY, CPU)
    source = Batches(prepared, BASIC, image_size=16, image_channels=1, batch_size=8, seed=0)
    for step in range(steps):
        torch.manual_seed(step)
        for player, terms in trainer.method.updates(source.draw(step), step):
            trainer.optimizers[player].zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            trainer.optimizers[player].step()
    return trainer


def test_official_bug_8_resuming_restores_the_optimisers_and_the_critic(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig
) -> None:
    """The official code restores the networks alone; going on without Adam's moments is going on elsewhere."""
    trainer = trainer_after(4, tiny_ganmut, prepared)
    state = {name: tensor.clone() for name, tensor in trainer.state().items()}
    without_adam = {name: tensor for name, tensor in state.items() if not name.startswith("adam.")}
    assert any(name.startswith("method.critic") for name in state)
    results = []
    for tensors in (state, without_adam):
        fresh = Trainer(GANmut(tiny_ganmut), TINY, CPU)
        fresh.load_state(tensors)
        results.append(trainer_after(2, tiny_ganmut, prepared, fresh).state())
    unbroken = trainer_after(2, tiny_ganmut, prepared, trainer).state()
    assert results[0].keys() == unbroken.keys()
    assert all(torch.equal(results[0][name], unbroken[name]) for name in unbroken)
    assert not torch.equal(results[1]["method.axes"], unbroken["method.axes"])


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
        yield "critic", {"first": -3 * self.up, "second": self.up}
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
    start(tmp_path / "run")
    assert len(rates) == 23 + 11  # the critic each step, the generator every second
    assert set(rates) == {tiny_ganmut.learning_rate}
    assert not any("decay" in f.name for f in dataclasses.fields(GANmutConfig))


def test_losses_that_are_no_numbers_end_the_run_and_leave_no_broken_checkpoint(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig, tmp_path: Path
) -> None:
    wild = dataclasses.replace(tiny_ganmut, learning_rate=1e30)
    config = dataclasses.replace(TINY, log_every=100, checkpoint_every=2)
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
    with pytest.raises(RunError, match="before step 10: method.axes, average.axes is not finite"):
        start(tmp_path / "run")
    latest = Run.read(tmp_path / "run").latest_checkpoint()
    assert latest is not None
    assert latest[0] == 5


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"batch_size": 0}, {"ema_decay": 1.0}, {"balance": -1.0}, {"precision": "16"}]
)
def test_settings_of_the_loop_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig(**settings)
    assert next(iter(settings)) in error.value.hint


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
    trainer = Trainer(GANmut(tiny_ganmut), TINY, CPU)
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
