"""A preparation that ends at whatever moment goes on with the same call, loses little, and writes the same bytes."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prepared_rows import COUNT, PART, contents, make, rows

import mien.prepared.lock
from mien.errors import DataError
from mien.prepared import PreparedSet

PROGRAM = Path(__file__).with_name("prepared_rows.py")


def start(out: Path, workers: int, log: Path) -> subprocess.Popen[str]:
    """Start a slow preparation in a process, and a session, of its own; it prints how many rows are done."""
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(out), str(workers), str(log)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that starts the tests in the background has them ignore Ctrl-C, and what they start, too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path: Path, workers: int) -> None:
    make(tmp_path / "whole")
    seed = int.from_bytes(os.urandom(4), "big")
    moment = random.Random(seed)
    log, kills = tmp_path / "log", 0
    while kills < 3:
        child = start(tmp_path / "set", workers, log)
        assert child.stdout is not None
        for _ in range(moment.randint(1, 4)):
            child.stdout.readline()
        time.sleep(moment.uniform(0, 0.05))
        child.kill()  # this process alone: its workers must see it themselves
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL, f"seed {seed}"
        kills += 1
        if (tmp_path / "set" / "manifest.json").exists():
            break
    with pytest.raises(DataError, match="not finished"):
        PreparedSet.open(tmp_path / "set")
    make(tmp_path / "set", rows(log=log))
    assert contents(tmp_path / "set") == contents(tmp_path / "whole"), f"seed {seed}"
    made = Counter(log.read_text().split())
    # Each kill costs each process at most the part that it was at.
    assert sum(made.values()) - len(made) <= kills * workers * PART, f"seed {seed}"


class Killed:
    """Do something in a forked process that is killed, as by `kill -9`, before or after its n-th change of a file."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work

    def at(self, change: int, after: bool) -> bool:
        """Return whether there were so many changes."""
        child = os.fork()
        if child == 0:
            self._patch(change, after)
            try:
                self._work()
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    def _patch(self, change: int, after: bool) -> None:
        done = 0

        def counted(act: Callable[..., Any]) -> Callable[..., Any]:
            def acting(*arguments: Any, **named: Any) -> Any:
                nonlocal done
                done += 1
                if done == change and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = act(*arguments, **named)
                if done == change:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return acting

        for place, name in ((os, "replace"), (os, "mkdir"), (Path, "unlink"), (os, "rmdir")):
            setattr(place, name, counted(getattr(place, name)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_change_of_a_file_is_survived(tmp_path: Path, after: bool) -> None:
    def short(out: Path) -> PreparedSet:
        return make(out, rows()[:7], shard_size=4, part_size=2)

    short(tmp_path / "whole")
    change = 1
    while Killed(partial(short, tmp_path / f"set-{change}")).at(change, after):
        short(tmp_path / f"set-{change}")
        assert contents(tmp_path / f"set-{change}") == contents(tmp_path / "whole"), change
        change += 1
    # The folder and the recipe; of four parts and two shards each four files; the parts' files go; the list of the
    # rejected, the manifest; what only an unfinished set needs goes.
    assert change > 2 + 6 * 4 + 4 * 4 + 2 + 2


def test_a_second_run_into_one_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mien.prepared.lock, "_PATIENCE", 0.1)
    child = start(tmp_path / "set", 1, tmp_path / "log")
    assert child.stdout is not None
    child.stdout.readline()
    with pytest.raises(DataError, match="another run is writing to") as caught:
        make(tmp_path / "set")
    assert "wait" in caught.value.hint
    child.communicate()
    assert child.returncode == 0  # it was not disturbed
    make(tmp_path / "whole")
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_stops_at_once_and_the_same_call_goes_on(tmp_path: Path, workers: int) -> None:
    child = start(tmp_path / "set", workers, tmp_path / "log")
    assert child.stdout is not None
    child.stdout.readline()
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    child.communicate(timeout=10)
    assert child.returncode == -signal.SIGINT or child.returncode == 1
    assert not (tmp_path / "set" / "preparing.lock").exists()
    assert not list((tmp_path / "set").glob("*.partial"))
    make(tmp_path / "whole")
    assert contents(make(tmp_path / "set").path) == contents(tmp_path / "whole")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_and_the_same_call_goes_on(tmp_path: Path, workers: int) -> None:
    # A limit on the size of files stands for the disk: parts fit, the shard that is made of them does not.
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, most))
    try:
        with pytest.raises(DataError, match=r"shard-0000\d\.images\.npy` cannot be written: File too large") as caught:
            make(tmp_path / "set", workers=workers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert "free some space" in caught.value.hint
    assert not list((tmp_path / "set").glob("*.partial"))
    make(tmp_path / "whole")
    assert contents(make(tmp_path / "set").path) == contents(tmp_path / "whole")


def test_progress_of_a_resumed_run_ends_at_all_rows(tmp_path: Path) -> None:
    def stop(done: int, _: int | None) -> None:
        if done >= 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set", report=stop)
    seen: list[int] = []
    make(tmp_path / "set", report=lambda done, total: seen.append(done) if total == COUNT else None)
    assert seen == sorted(seen) and seen[-1] == COUNT
    again: list[int] = []
    make(tmp_path / "set", report=lambda done, _: again.append(done))  # it is finished: only looked through
    assert again[-1] == COUNT


def test_parts_of_another_size_are_made_again(tmp_path: Path) -> None:
    def stop(done: int, _: int | None) -> None:
        if done >= 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set", report=stop)
    make(tmp_path / "set", part_size=4)
    make(tmp_path / "whole")
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def test_other_rows_do_not_go_on_with_a_part(tmp_path: Path) -> None:
    def stop(done: int, _: int | None) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "set", report=stop)
    items = rows()
    items[1], items[7] = items[7], items[1]
    before = contents(tmp_path / "set")
    with pytest.raises(DataError, match="other rows"):
        make(tmp_path / "set", items)
    assert contents(tmp_path / "set") == before
