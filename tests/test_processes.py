"""Two processes are one with the whole batch; when one of them ends, the other does not wait for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mien.errors import ConfigError
from mien.processes import knows_bfloat16, leads, make_fabric
from mien.runs import Run

slow = pytest.mark.slow

SETTINGS = "image_size=16 critic_layers=2 generator_channels=8 critic_channels=8 batch_size=8 log_every=1 ema_decay=0.9"


def command(prepared: Path, out: Path, *more: object, torchrun: bool = False) -> list[str]:
    """Return a command line of training; under torchrun it starts two processes itself."""
    start = ["-m", "mien.apps.cli"]
    if torchrun:
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *start]
    settings = [word for pair in SETTINGS.split() for word in ("--set", pair)]
    return [
        sys.executable, *start, "train", "smoke", "--data", str(prepared), "--out", str(out), *settings,
        *map(str, more),
    ]  # fmt: skip


def train(prepared: Path, out: Path, *more: object, torchrun: bool = False, code: int = 0) -> Run:
    done = subprocess.run(
        command(prepared, out, *more, torchrun=torchrun),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.strip().splitlines()[-1:] == ([str(out)] if code == 0 else [])
    return Run.read(out)


def losses(run: Run) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if name != "images_per_second"} for line in run.stats()]


@slow
@pytest.mark.parametrize("torchrun", [False, True])
def test_two_processes_give_the_losses_and_gradients_of_one_with_the_whole_batch(
    prepared: Any, tmp_path: Path, torchrun: bool
) -> None:
    """Rounding differs, and grows from step to step as it does in every such training: so the first steps are compared.

    Adam's first moments after one step are (1 - beta_1) times the gradient, which shows its size too.
    """
    alone = train(prepared.path, tmp_path / "alone", "--set", "steps=1")
    how = () if torchrun else ("--devices", 2)
    both = train(prepared.path, tmp_path / "both", "--set", "steps=1", *how, torchrun=torchrun)
    (_, wanted), (_, found) = alone.latest_checkpoint() or (0, {}), both.latest_checkpoint() or (0, {})
    moments = [name for name in wanted if name.startswith("adam.exp_avg.")]
    assert len(moments) > 20
    largest = max(wanted[name].abs().max().item() for name in moments)
    for name in moments:
        assert (found[name] - wanted[name]).abs().max() < 1e-3 * wanted[name].abs().max() + 1e-6 * largest, name
    assert losses(both) == [pytest.approx(line, rel=1e-4, abs=1e-5) for line in losses(alone)]


@slow
def test_a_run_goes_on_with_another_number_of_devices(prepared: Any, tmp_path: Path) -> None:
    """Stopped by the clock after a step, taken up again by two processes, then by one: the losses are those of one."""
    steps = ("--set", "steps=3")
    alone = train(prepared.path, tmp_path / "alone", *steps)
    train(prepared.path, tmp_path / "run", *steps, "--minutes", 0, code=75)
    train(prepared.path, tmp_path / "run", *steps, "--minutes", 0, "--devices", 2, code=75)
    run = train(prepared.path, tmp_path / "run", *steps)
    assert [line["step"] for line in run.stats()] == [1, 2, 3]
    assert losses(run) == [pytest.approx(line, rel=1e-2, abs=1e-3) for line in losses(alone)]


@slow
@pytest.mark.parametrize("victim", ["leader", "other"])
def test_when_a_process_is_killed_the_others_end_soon(prepared: Any, tmp_path: Path, victim: str) -> None:
    if sys.platform != "linux":
        pytest.skip("needs /proc to find the processes")
    out = tmp_path / "run"
    leader = subprocess.Popen(
        command(prepared.path, out, "--devices", 2, "--set", "steps=100000"),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        until = time.monotonic() + 400
        while not (out / "stats.jsonl").exists():
            assert leader.poll() is None and time.monotonic() < until
            time.sleep(0.2)
        children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
        other = next(int(pid) for pid in children if b"mien" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(leader.pid if victim == "leader" else other, signal.SIGKILL)
        _, talk = leader.communicate(timeout=120)
        assert leader.returncode != 0
        if victim == "other":
            assert "error: another process of this training has ended" in talk or leader.returncode == -signal.SIGKILL
        until = time.monotonic() + 30
        while _alive(other):
            assert time.monotonic() < until, "the other process lives on"
            time.sleep(0.2)
    finally:
        leader.kill()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_process_leads_and_needs_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert leads(1)
    assert not leads(2)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert leads(2)


def test_more_gpus_than_there_are_is_an_error_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="3 devices are asked for, and this machine has 2") as error:
        make_fabric("32-true", 3)
    assert "--devices 2" in error.value.hint


def test_a_batch_that_cannot_be_shared_evenly_is_refused(start: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size is 8") as error:
        start(tmp_path / "run", accumulate=3)
    assert "a multiple of 3" in error.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is asked instead of the processor")
@pytest.mark.parametrize(
    ("capabilities", "known"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True, "amx_bf16": False}, False)],
)
def test_bfloat16_is_known_by_its_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], known: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert knows_bfloat16() is known
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # older versions of torch do not tell
    assert knows_bfloat16() is False
