"""The run folder: nothing half-written is ever taken for whole, and another configuration never goes on with it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from mien.errors import RunError
from mien.files import file_sha256, write_text, write_together
from mien.runs import Run, held, read_tensors, write_tensors

CONFIGURATION: dict[str, Any] = {
    "method": "ganmut", "method_config": {"noise": 0.075, "betas": (0.5, 0.999)}, "data": {"hash": "abc"},
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.open(tmp_path / "run", CONFIGURATION)


def test_a_new_run_has_its_folders_and_its_configuration(run: Run) -> None:
    assert {entry.name for entry in run.path.iterdir()} == {"config.json", "samples", "checkpoints"}
    assert json.loads((run.path / "config.json").read_text()) == json.loads(json.dumps(CONFIGURATION))
    assert Run.read(run.path).configuration == run.configuration


def test_the_same_configuration_opens_it_again(run: Run) -> None:
    run.append_stats({"step": 1, "loss": 0.5})
    assert Run.open(run.path, CONFIGURATION).stats() == [{"step": 1, "loss": 0.5}]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": "stargan"}, "method: ganmut there, stargan now"),
        ({"method_config": {"noise": 0.1, "betas": (0.5, 0.999)}}, "noise: 0.075 there, 0.1 now"),
        ({"method_config": {"noise": 0.075, "betas": (0.0, 0.99)}}, r"betas: \[0.5, 0.999\] there, \[0.0, 0.99\] now"),
        ({"data": {"hash": "xyz"}}, "hash: abc there, xyz now"),
        ({"method_config": {**CONFIGURATION["method_config"], "new": 1}}, "new: None there, 1 now"),
    ],
)
def test_another_configuration_is_refused_naming_the_difference(run: Run, change: dict[str, Any], named: str) -> None:
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(RunError, match=named) as error:
        Run.open(run.path, {**CONFIGURATION, **change})
    assert error.value.hint.startswith("choose another --out")
    assert ("--set" in error.value.hint) == ("method_config" in change and "new" not in change["method_config"])
    assert (run.path / "config.json").read_bytes() == before


@dataclass(frozen=True)
class Newer:
    """Settings, of which a run may lack the later ones."""

    noise: float = 0.075
    names: tuple[str, ...] = ("sad", "anger")
    lips: float = 0.0
    log_every: int = 50


def test_a_run_that_lacks_newer_settings_is_told_all_of_them(tmp_path: Path) -> None:
    """As after an upgrade, where a preset has settings that it had not when the run was configured."""
    before = {"method": "ganmut", "method_config": {"noise": 0.075}, "recipe": {"seed": 3, "names": ["fear"]}}
    path = Run.open(tmp_path / "run", before).path
    found = {"noise": 0.1, "names": ("sad", "anger"), "lips": 48.0, "log_every": 10}
    now = {"method": "ganmut", "method_config": found, "recipe": {"seed": 4, "names": ("sad", "fear")}}
    with pytest.raises(RunError) as error:
        Run.open(path, now, {"method_config": Newer()}, free=("log_every",))
    assert "noise: 0.075 there, 0.1 now; lips: 0.0 there, 48.0 now; seed: 3 there, 4 now; and 1 more)" in str(
        error.value
    )
    options = "--set noise=0.075 --set lips=0.0 --set seed=3 --set names=fear"
    assert error.value.hint == f"choose another --out, or repeat the first command's settings to resume it: `{options}`"
    resumed = {"method_config": {**found, "noise": 0.075, "lips": 0.0}, "recipe": before["recipe"]}
    Run.open(path, {**now, **resumed}, {"method_config": Newer()}, free=("log_every",))
    for other in ({"method": "stargan"}, {"recipe": {"seed": 3}}):  # what no option would change
        with pytest.raises(RunError) as error:
            Run.open(path, {**now, **other}, {"method_config": Newer()}, free=("log_every",))
        assert "--set" not in error.value.hint


def test_a_folder_or_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"x")
    for path in (tmp_path / "photos", tmp_path / "photos" / "me.jpg"):
        with pytest.raises(RunError, match="is no run folder"):
            Run.open(path, CONFIGURATION)
    assert [entry.name for entry in (tmp_path / "photos").iterdir()] == ["me.jpg"]
    with pytest.raises(RunError, match="is no run folder") as error:
        Run.read(tmp_path / "photos")
    assert "`mien train` makes one" in error.value.hint


def test_what_a_kill_while_the_folder_was_made_leaves_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for left in (".config.json.tmp", ".config.json.0123abcd.tmp", "training.lock"):
        (tmp_path / "run" / left).write_text('{"meth')
    assert Run.open(tmp_path / "run", CONFIGURATION).configuration["method"] == "ganmut"
    (tmp_path / "run" / "samples").rmdir()  # killed just after the configuration
    Run.open(tmp_path / "run", CONFIGURATION)
    assert (tmp_path / "run" / "samples").is_dir()


@pytest.mark.parametrize("content", [b"{", b"[1]", b"null", b"\xff\xfe"])
def test_a_broken_configuration_is_an_error_for_people(run: Run, content: bytes) -> None:
    (run.path / "config.json").write_bytes(content)
    with pytest.raises(RunError, match=r"config\.json is broken"):
        Run.open(run.path, CONFIGURATION)


def test_a_broken_list_of_machines_is_an_error_for_people(run: Run) -> None:
    (run.path / "machine.json").write_text("{")
    with pytest.raises(RunError, match=r"machine\.json is broken"):
        run.machine()


def test_a_half_written_last_line_of_stats_is_left_out(run: Run) -> None:
    assert run.stats() == []
    for step in (10, 20, 30):
        run.append_stats({"step": step, "loss": 1 / step})
    with run.stats_path.open("a") as stream:
        stream.write('{"step": 40, "lo')
    assert [line["step"] for line in run.stats()] == [10, 20, 30]
    run.forget_stats_after(20)
    assert run.stats_path.read_text() == '{"step": 10, "loss": 0.1}\n{"step": 20, "loss": 0.05}\n'
    run.append_stats({"step": 30, "loss": 0.0})
    assert [line["step"] for line in run.stats()] == [10, 20, 30]


def test_checkpoints_come_back_as_they_were_and_the_newest_two_stay(run: Run) -> None:
    assert run.latest_checkpoint() is None
    for step in (5, 10, 100):
        run.save_checkpoint(step, {"a": torch.full((2, 3), step / 3), "adam.step": torch.tensor(float(step))})
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 100
    assert torch.equal(latest[1]["a"], torch.full((2, 3), 100 / 3))
    assert latest[1]["adam.step"].item() == 100.0
    names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    assert names == [f"step-{step:07d}.{kind}" for step in (10, 100) for kind in ("json", "safetensors")]


def test_the_newest_checkpoint_is_that_of_the_most_steps_however_many_digits_they_have(run: Run) -> None:
    """Names have seven digits, to which the eighth comes: as text, ten million lies before nine."""
    for step in (9_999_999, 10_000_000, 10_000_001, 100_000_000):
        path = run.save_checkpoint(step, {"a": torch.tensor([float(step)])})
        assert path.is_file() and run.step == step
        latest = run.latest_checkpoint()
        assert latest is not None
        assert (latest[0], latest[1]["a"].item()) == (step, step)
    names = {path.name for path in (run.path / "checkpoints").iterdir()}
    assert names == {f"step-{step}.{kind}" for step in (10_000_001, 100_000_000) for kind in ("json", "safetensors")}


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "record", "no hash"])
def test_a_tampered_checkpoint_is_refused_and_the_one_before_it_can_be_used(run: Run, damage: str) -> None:
    for step in (1, 2):
        path = run.save_checkpoint(step, {"a": torch.full((64,), float(step))})
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "remove":
        path.unlink()
    else:
        path.with_suffix(".json").write_text('{"step": 2, "sha' if damage == "record" else '{"step": 2}')
    with pytest.raises(RunError, match="altered or is damaged") as error:
        run.latest_checkpoint()
    assert error.value.hint == f"delete {path.with_suffix('.json')} to go on from the checkpoint before it"
    path.with_suffix(".json").unlink()
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 1


def test_a_checkpoint_without_its_record_does_not_count(run: Run) -> None:
    """A kill between the tensors and their JSON leaves tensors that nobody vouches for."""
    run.save_checkpoint(1, {"a": torch.ones(1)})
    write_tensors(run.path / "checkpoints" / "step-0000002.safetensors", {"a": torch.zeros(1)})
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 1


def test_hashes_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_writing_fails_without_touching_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "x.json", "old")
    write_tensors(tmp_path / "x.safetensors", {"a": torch.ones(2)})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "x.json", "new")
    with pytest.raises(KeyboardInterrupt):
        write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(2)})
    assert (tmp_path / "x.json").read_text() == "old"
    assert torch.equal(read_tensors(tmp_path / "x.safetensors")["a"], torch.ones(2))


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()  # a file cannot take a folder's place
    (tmp_path / "x.safetensors").mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / "x.json", "new")
    with pytest.raises(OSError):
        write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(2)})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.json", "x.safetensors"]


@pytest.mark.parametrize("wrong", ["x.json", "x.safetensors"])
def test_files_that_belong_together_are_written_together_or_not_at_all(tmp_path: Path, wrong: str) -> None:
    (tmp_path / wrong).mkdir()
    with pytest.raises(IsADirectoryError):
        write_together({tmp_path / "x.json": b"json", tmp_path / "x.safetensors": b"tensors"})
    assert [entry.name for entry in tmp_path.iterdir()] == [wrong]


def test_of_files_that_belong_together_none_stays_where_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, names = os.replace, []

    def fails(source: Path, target: Path) -> None:
        names.append(target.name)
        if target.suffix == ".safetensors":
            raise OSError("no space left")
        replace(source, target)

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError):
        write_together({tmp_path / "x.json": b"json", tmp_path / "x.safetensors": b"tensors"})
    assert names == ["x.json", "x.safetensors"] and list(tmp_path.iterdir()) == []


def test_two_that_write_one_file_at_once_do_not_write_into_each_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writes all of it while the first is about to rename; each then gives the file its own content."""
    replace = os.replace

    def interrupted(source: Path, target: Path) -> None:
        monkeypatch.setattr("os.replace", replace)
        write_text(tmp_path / "x.json", "second")
        assert (tmp_path / "x.json").read_text() == "second"
        replace(source, target)

    monkeypatch.setattr("os.replace", interrupted)
    write_text(tmp_path / "x.json", "first")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("x.json", "first")]


# --- one process at a time ---------------------------------------------------------------------------------------


def test_a_folder_that_is_held_keeps_others_out_until_it_is_given_back(run: Run) -> None:
    before = {entry.name for entry in run.path.iterdir()}
    with held(run.path):
        with pytest.raises(RunError, match="another process is training into") as error, held(run.path):
            pytest.fail("two at once")
        assert "wait until it is done" in error.value.hint
    assert {entry.name for entry in run.path.iterdir()} == before
    with held(run.path):
        pass


def test_what_a_killed_process_left_is_cleared_away_and_its_lock_keeps_nobody_out(run: Run) -> None:
    run.save_checkpoint(1, {"a": torch.ones(1)})
    kept = {path.name for path in run.path.rglob("*")}
    (run.path / "training.lock").touch()
    (run.path / ".stats.jsonl.0123abcd.tmp").write_text("{")
    (run.path / "checkpoints" / ".step-0000002.safetensors.0123abcd.tmp").write_bytes(b"half")
    (run.path / "checkpoints" / ".step-0000002.safetensors.tmp").write_bytes(b"of an older version")
    with held(run.path):
        assert {path.name for path in run.path.rglob("*")} == kept | {"training.lock"}
    assert {path.name for path in run.path.rglob("*")} == kept


def test_a_folder_of_something_else_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / ".me.tmp").write_bytes(b"x")
    with pytest.raises(RunError, match="is no run folder"), held(tmp_path / "photos"):
        pytest.fail("held")
    assert [entry.name for entry in (tmp_path / "photos").iterdir()] == [".me.tmp"]


def test_a_file_that_is_no_safetensors_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"pickle?")
    for name in ("x.safetensors", "absent.safetensors"):
        with pytest.raises(RunError, match="no readable safetensors file"):
            read_tensors(tmp_path / name)
