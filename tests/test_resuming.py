"""A run that is killed, at whatever moment, and resumed by the same call equals an unbroken one to the bit."""

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

import pytest
import torch
from torch import Tensor

from mien.batches import Batches
from mien.errors import RunError
from mien.expressions import BASIC
from mien.methods.ganmut import GANmut, GANmutConfig
from mien.prepared import PreparedSet
from mien.runs import Run
from mien.stepping import TrainConfig, Trainer
from mien.training import Progress

CPU = torch.device("cpu")


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


CHILD = """
import json, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from mien.settings import config_from_mapping
from mien.methods.ganmut import GANmutConfig
from mien.training import TrainConfig, train
method, loop, data, out = sys.argv[1:]
train("test", "ganmut", config_from_mapping(GANmutConfig, json.loads(method)),
      config_from_mapping(TrainConfig, json.loads(loop)), Path(data), Path(out),
      lambda progress: print(progress.step, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(int(os.environ.get("MIEN_KILLS", "1"))))  # 20 of them: MIEN_KILLS=20
def test_a_run_killed_at_a_random_moment_and_resumed_equals_an_unbroken_one_to_the_bit(
    attempt: int,
    start: Callable[..., Run],
    prepared: PreparedSet,
    tiny_ganmut: GANmutConfig,
    tiny_loop: TrainConfig,
    tmp_path: Path,
) -> None:
    unbroken = start(tmp_path / "unbroken", log_every=1)
    seed = int.from_bytes(os.urandom(4), "big")
    moment = random.Random(seed)
    settings = [json.dumps(dataclasses.asdict(c)) for c in (tiny_ganmut, dataclasses.replace(tiny_loop, log_every=1))]
    broken = tmp_path / "broken"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *settings, str(prepared.path), str(broken)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    times = []
    for _ in range(moment.randint(2, 14)):
        child.stdout.readline()
        times.append(time.perf_counter())
    time.sleep(moment.uniform(0, 2) * (times[-1] - times[0]) / (len(times) - 1))  # somewhere in the next two steps
    child.send_signal(signal.SIGKILL)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, f"moment {seed} came too late"
    assert 0 < len(Run.read(broken).stats()) < tiny_loop.steps
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

        def counted(source: Any, target: Any, fatal: int = stopped + 1) -> None:
            nonlocal calls
            calls += 1
            if calls == fatal and not after:
                raise KeyboardInterrupt
            replace(source, target)
            if calls == fatal:
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
    assert stopped == 7  # configuration, machine, stats, and twice a checkpoint with its record


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Tests that run in the background inherit that Ctrl-C means nothing."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_finishes_a_step_and_keeps_it_and_the_run_goes_on_to_the_same_end(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    unbroken = start(tmp_path / "unbroken", log_every=1)
    before = signal.getsignal(signal.SIGINT)

    def interrupt(progress: Progress) -> None:
        if progress.step == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="after step 6 of 23; the same command goes on"):
        start(tmp_path / "run", interrupt, log_every=1, checkpoint_every=100)
    assert Run.read(tmp_path / "run").step == 6 and signal.getsignal(signal.SIGINT) == before
    goes_on = start(tmp_path / "run", log_every=1)  # with other checkpoints: they decide nothing of what is learned
    assert_same(goes_on, unbroken)


@pytest.mark.usefixtures("interruptible")
def test_a_second_ctrl_c_ends_at_once(start: Callable[..., Run], tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stop:
        start(tmp_path / "run", interrupt, log_every=1, checkpoint_every=100)
    assert not str(stop.value) and Run.read(tmp_path / "run").step == 0


@pytest.mark.usefixtures("interruptible")
def test_a_run_in_the_background_is_not_stopped_and_one_that_ends_with_ctrl_c_has_ended(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    def interrupt_last(progress: Progress) -> None:
        if progress.step == progress.steps:
            signal.raise_signal(signal.SIGINT)

    assert start(tmp_path / "ended", interrupt_last).step == 23
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `nohup ... &` starts it
    assert start(tmp_path / "behind", lambda progress: signal.raise_signal(signal.SIGINT)).step == 23


def test_a_run_is_not_made_longer_and_the_hint_says_what_does(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    with pytest.raises(RunError, match="steps: 23 there, 30 now") as error:
        start(tmp_path / "run", steps=30)
    assert f"--init {run.path}" in error.value.hint
    with pytest.raises(RunError, match="seed") as error:
        start(tmp_path / "run", seed=9)
    assert "--init" not in error.value.hint


def test_a_second_training_is_kept_out_of_the_folder_of_the_first(start: Callable[..., Run], tmp_path: Path) -> None:
    unbroken, refusals = start(tmp_path / "unbroken"), []

    def try_again(progress: Progress) -> None:
        if progress.step == 8:
            with pytest.raises(RunError, match="another process is training into") as error:
                start(tmp_path / "run", lambda progress: pytest.fail("a step"))
            refusals.append(error.value.hint)

    assert_same(start(tmp_path / "run", try_again), unbroken)
    assert refusals == ["wait until it is done, or choose another --out"]
    assert not (tmp_path / "run" / "training.lock").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_stopped_process_keeps_others_out_and_a_killed_one_does_not(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    unbroken, out = start(tmp_path / "unbroken"), tmp_path / "run"
    settings = [json.dumps(dataclasses.asdict(config)) for config in (tiny_ganmut, tiny_loop)]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *settings, str(prepared.path), str(out)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "4\n"
    child.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(RunError, match="another process is training into"):
            start(out)
    finally:
        child.kill()
        child.stdout.close()
    assert child.wait() == -signal.SIGKILL and (out / "training.lock").exists()
    assert_same(start(out), unbroken)
    assert not (out / "training.lock").exists()


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
    trainer = trainer or Trainer(GANmut(config), TrainConfig(), CPU)
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
        fresh = Trainer(GANmut(tiny_ganmut), TrainConfig(), CPU)
        fresh.load_state(tensors)
        results.append(trainer_after(2, tiny_ganmut, prepared, fresh).state())
    unbroken = trainer_after(2, tiny_ganmut, prepared, trainer).state()
    assert results[0].keys() == unbroken.keys()
    assert all(torch.equal(results[0][name], unbroken[name]) for name in unbroken)
    assert not torch.equal(results[1]["method.axes"], unbroken["method.axes"])
