"""Look whether an experiment can be done, and do it: step by step, each as a program of its own.

A step runs as the command that it is, in the same interpreter: what a person could type is what is done, and memory and
GPU are free again after it. The same call goes on where an earlier one stopped.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mien.classifiers import load_judge
from mien.datasets import READERS
from mien.errors import ConfigError, DataError, ImageError, RunError, WeightsError
from mien.experiments.plan import Plan
from mien.experiments.steps import Bench, Prepare, Source, Step, Train, TrainJudge
from mien.faces import DETECTORS
from mien.faces.retinaface_weights import published_tensors
from mien.packages import need
from mien.prepared.lock import FolderLock

#: Seconds that a step is given to end by itself after Ctrl-C, before it is told, and before it is killed.
_PATIENCE = 5.0, 30.0


def check(plan: Plan) -> None:
    """Try everything that can be known before hours are spent: datasets, settings, judges, photos, checkpoints.

    Raises the first `MienError`, and `ModuleNotFoundError` where what reports are made with is not installed; writes
    nothing, and fetches nothing.
    """
    if any(isinstance(step, Bench) and not step.finished() for step in plan.steps):
        need("jinja2", "matplotlib")
    if plan.out.exists() and not plan.out.is_dir():
        raise ConfigError(f"`{plan.out}` is a file", hint="give a folder for the experiment")
    made = {step.out for step in plan.steps}
    for step in plan.steps:
        if isinstance(step, Prepare) and not step.finished():
            if step.detector not in ("none", *DETECTORS):
                raise ConfigError(f"unknown detector `{step.detector}`", hint=f"known: {', '.join(DETECTORS)}")
            _check_source(step.source)
        elif isinstance(step, Train | TrainJudge):
            step.configuration()
            if isinstance(step, TrainJudge) and step.init is not None and not step.init.is_file():
                raise WeightsError(f"no weights `{step.init}`", hint="leave them out, or name the file")
        elif isinstance(step, Bench):
            _check_bench(step, made)


#: Told of a step when it begins (None), when it has ended (after how many seconds), and of one done already (0).
Report = Callable[[Step, float | None], None]


def run(plan: Plan, report: Report) -> None:
    """Do every step that is not done yet.

    Raises `RunError` with the step's command where a step fails, `WeightsError` where a detector's weights cannot be had,
    and `KeyboardInterrupt` when the step has ended.
    """
    if any(isinstance(step, Prepare) and step.detector == "retinaface" and not step.finished() for step in plan.steps):
        published_tensors()  # fetched now, where they must be, and not after hours
    plan.out.mkdir(parents=True, exist_ok=True)
    with FolderLock(plan.out / ".experiment.lock") as lock:
        for step in plan.steps:
            where = plan.number(step)
            if step.finished():
                report(step, 0.0)
                continue
            report(step, None)
            begun = time.monotonic()
            code = _run(step, lock)
            again = "the same command goes on from there"
            if code:
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
                raise RunError(
                    f"{where}, {step.title}, {how}; its own words stand above",
                    hint=f"mend it, and {again}; alone it is `{as_typed(step)}`",
                )
            if not step.finished():
                raise RunError(
                    f"{where}, {step.title}, has ended, but `{step.out}` is not what it should be",
                    hint=f"delete `{step.out}` if another experiment made it, and {again}",
                )
            report(step, time.monotonic() - begun)


def as_typed(step: Step) -> str:
    """Return a step's command as a shell takes it."""
    return shlex.join(["mien", *step.command])


def _run(step: Step, lock: FolderLock) -> int:
    """Run a step to its end and return its exit code; what it prints goes to stderr, for it is talk here."""
    command = [sys.executable, "-m", "mien.apps.cli", *step.command]
    # It holds the lock too: where this process is killed, the next one waits for the step and does not start it twice.
    held = () if os.name == "nt" or (file := lock.fileno()) is None else (file,)
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    process = subprocess.Popen(command, stdout=2, stdin=subprocess.DEVNULL, pass_fds=held)
    try:
        return process.wait()
    except KeyboardInterrupt:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a step end that was interrupted: Ctrl-C reaches it as well, a signal to this process alone does not."""
    patience, more = _PATIENCE
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
        return
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(more)
        return
    process.kill()
    process.wait()


def _check_source(source: Source) -> None:
    """Read the first row of a dataset, which also finds everything that its reader needs."""
    first = next(iter(READERS[source.dataset](source.path, **source.options)), None)
    if first is None:
        raise DataError(f"{source.name} at `{source.path}` holds no images", hint="check that this is the right folder")


def _check_bench(step: Bench, made: set[Path]) -> None:
    step.protocol()
    for judge in step.judges:
        if Path(judge) not in made:
            load_judge(judge)
    for photo in step.show:
        if not photo.is_file():
            raise ImageError(f"no such photo: `{photo}`", hint="`--show` takes a photo with a face")
    for _, source in step.models:
        kind, colon, file = source.partition(":")
        if kind.startswith("official-") and colon and not Path(file).is_file():
            raise WeightsError(f"no checkpoint `{file}`", hint="give the file that its authors publish, `G.ckpt`")
