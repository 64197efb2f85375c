"""Experiments are done step by step, go on where they stopped, and find bad input before anything starts."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mien.errors import DataError, MienError, RunError, WeightsError
from mien.experiments import check, open_study, run, seed1
from mien.experiments.plan import Plan
from mien.experiments.running import as_typed

FACES = Path(__file__).parent.parent.parent / "assets" / "astronaut.png"


@dataclass(frozen=True)
class Noted:
    """A step whose command prints the presets, or fails; it is done when somebody wrote its product."""

    title: str
    out: Path
    command: tuple[str, ...] = ("--version",)

    def finished(self) -> bool:
        return self.out.exists()


def three(folder: Path, second: tuple[str, ...] = ("--version",)) -> Plan:
    steps = [Noted(name, folder / name) for name in ("one", "two", "three")]
    steps[1] = dataclasses.replace(steps[1], command=second)
    return Plan("test", folder, tuple(steps))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let steps make their products in this process; those that are called `fail` end with code 2."""
    order: list[str] = []

    def do(step: Noted, lock: object) -> int:
        order.append(step.title)
        if step.command == ("fail",):
            return 2
        step.out.mkdir()
        return 0

    monkeypatch.setattr("mien.experiments.running._run", do)
    return order


def silent(step: object, seconds: float | None) -> None:
    pass


def test_all_steps_are_done_once_and_told(done: list[str], tmp_path: Path) -> None:
    told: list[tuple[str, bool | None]] = []
    plan = three(tmp_path / "out")
    run(plan, lambda step, seconds: told.append((step.title, None if seconds is None else seconds > 0)))
    assert done == ["one", "two", "three"]
    assert told == [(name, begun) for name in done for begun in (None, True)]
    told.clear()
    run(plan, lambda step, seconds: told.append((step.title, None if seconds is None else seconds > 0)))
    assert done == ["one", "two", "three"] and told == [("one", False), ("two", False), ("three", False)]
    assert not (tmp_path / "out" / ".experiment.lock").exists()


def test_the_first_failure_stops_and_the_same_call_goes_on(done: list[str], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="step 2 of 3, two, ended with code 2") as failed:
        run(three(tmp_path, ("fail",)), silent)
    assert "`mien fail`" in failed.value.hint and done == ["one", "two"]
    done.clear()
    run(three(tmp_path), silent)
    assert done == ["two", "three"]


def test_a_product_that_is_another_ones_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mien.experiments.running._run", lambda step, lock: 0)
    with pytest.raises(RunError, match="has ended, but"):
        run(three(tmp_path), silent)


def test_two_at_once_are_refused(done: list[str], tmp_path: Path) -> None:
    from mien.prepared.lock import FolderLock

    with FolderLock(tmp_path / ".experiment.lock"), pytest.raises(DataError, match="another run is writing"):
        run(three(tmp_path), silent)
    assert done == []


def test_a_step_is_a_program_that_talks_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match="step 1 of 3, one, has ended, but"):
        run(three(tmp_path), silent)
    said = capfd.readouterr()
    assert said.out == "" and said.err.startswith("mien ")
    (tmp_path / "one").mkdir()
    with pytest.raises(RunError, match="step 2 of 3, two, ended with code 2"):
        run(three(tmp_path, ("prepare", "nonsense", "--out", "x")), silent)
    assert "unknown dataset `nonsense`" in capfd.readouterr().err


_INTERRUPTED = """
import signal
import sys
from pathlib import Path
from mien.experiments import run
from mien.experiments.plan import Plan
sys.path.insert(0, {tests!r})
from test_running import Noted
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where the tests run in the background of a shell
command = ("prepare", "drawn", "--option", "count=100000", "--size", "64", "--workers", "1", "--out", {out!r} + "/set")
try:
    run(Plan("test", Path({out!r}), (Noted("long", Path({out!r}) / "never", command),)), lambda step, seconds: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_ctrl_c_lets_the_step_end_and_leaves_nobody_behind(tmp_path: Path) -> None:
    program = _INTERRUPTED.format(tests=str(Path(__file__).parent), out=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    until = time.monotonic() + 120
    while not (tmp_path / "set" / "preparing.lock").exists() and not list(tmp_path.glob("set/*")):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all of them
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.splitlines()[-1] == "stopped; the same command goes on from there"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_weights_that_cannot_be_fetched_are_missed_at_once(
    done: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none() -> None:
        raise WeightsError("RetinaFace's weights cannot be fetched: no network", hint="connect")

    monkeypatch.setattr("mien.experiments.running.published_tensors", none)
    with pytest.raises(WeightsError):
        run(seed1(tmp_path, tmp_path, tmp_path / "out"), silent)
    assert done == [] and not (tmp_path / "out").exists()


# --- bad input ---------------------------------------------------------------------------------------------------


def faces(folder: Path) -> Path:
    """Write a list of one labelled face."""
    folder.mkdir()
    (folder / "list.csv").write_text(f"path,expression\n{FACES},happy\n")
    return folder


def bad_inputs() -> dict[str, Callable[[Path], Plan]]:
    def plan(folder: Path, **changes: object) -> Plan:
        # A single set of the reader that takes anything stands for both.
        whole = open_study(faces(folder / "fer"), folder / "fer", folder / "out", judges=("j",))
        prepares = [
            dataclasses.replace(step, source=dataclasses.replace(step.source, dataset="folder", options={}))
            for step in whole.steps[:2]
        ]
        bench = dataclasses.replace(whole.steps[-1], judges=())
        return Plan("test", folder / "out", (*prepares, dataclasses.replace(bench, **changes)))

    return {
        "no FER2013 at": lambda folder: open_study(folder / "none", folder / "none", folder / "out"),
        "no expression annotations": lambda folder: seed1(folder / "none", folder / "none", folder / "out"),
        "no judge `j`": lambda folder: plan(folder, judges=("j",)),
        "no such photo": lambda folder: plan(folder, show=(folder / "none.png",)),
        "no checkpoint": lambda folder: plan(folder, models=(("GANmut", "official-ganmut:none.ckpt"),)),
        "faces": lambda folder: plan(folder, settings=("faces=none",)),
        "unknown setting `stepps`": lambda folder: Plan(
            "test", folder / "out", open_study(folder, folder, folder / "out", settings=("stepps=1",)).steps[-3:-1]
        ),
    }


@pytest.mark.parametrize("error", bad_inputs())
def test_what_is_missing_is_found_before_anything_starts(error: str, tmp_path: Path) -> None:
    with pytest.raises(MienError, match=error) as found:
        check(bad_inputs()[error](tmp_path))
    assert found.value.hint and "\n" not in str(found.value)
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_for_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(MienError, match="is a file"):
        check(three(tmp_path / "out"))


def test_commands_can_be_typed_again(tmp_path: Path) -> None:
    report = open_study(tmp_path / "my faces", tmp_path, tmp_path / "out").steps
    assert as_typed(report[0]).startswith(f"mien prepare fer2013 '{tmp_path / 'my faces'}' --out")
    assert "'Combined / MTCNN / 52=" in as_typed(report[-1])
