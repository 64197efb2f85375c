"""Train all that ships, in order: GANmut, judges, StarGAN; resumable at any point, with one table at the end.

    scripts/train_released.sh --data DATA --out OUT                # until all is done
    scripts/train_released.sh --data DATA --out OUT --minutes 9    # in pieces: exit code 75 says "call me again"
    scripts/train_released.sh --out OUT --rehearse                 # the whole chain in miniature, on drawn faces

DATA holds prepared sets (`mien prepare`): `fer2013-48`, `fer2013-64` and `mixed-128`, the last from FER2013 and
faces-wild; the last two without faces behind hands (`mien combine ... --leave-out fer2013-covered`). Each part has its run
folder under OUT/runs; when it is done its weights lie in OUT/weights, and the facts that the table is made of in
OUT/done. A part that is there is not trained again; a broken one is resumed. A time limit is kept by checkpoints, and
costs no step of a generator, of a judge those since its last checkpoint.

Needs torch, numpy, pillow, safetensors, lightning-fabric (or lightning) and jaxtyping; not mien's command line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where mien is not installed

from mien.classifiers import export_classifier, load_guide, train_classifier
from mien.classifiers.settings import configure as configure_judge
from mien.datasets import READERS
from mien.errors import MienError
from mien.files import write_text
from mien.prepared import PreparedSet, prepare
from mien.presets import configure, find_preset
from mien.pretrained import export, starting_point, training_seconds
from mien.runs import Run, describe_machine
from mien.training import train

CALL_AGAIN = 75
#: What is not worth beginning: reading the data and warming up would take it all.
LEAST_SECONDS = 20.0


@dataclass(frozen=True)
class Part:
    """One thing that is trained."""

    name: str
    """Of its run folder and weights."""
    data: str
    """Folder of its prepared set, in DATA."""
    preset: str
    """Row of the table of presets, or of judges."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the preset."""
    rehearsal: Mapping[str, Any] = field(default_factory=dict)
    """What differs besides in a rehearsal."""
    epochs: int | None = None
    """Passes over the data, which set the number of steps; None: as the preset says."""
    judge: bool = False
    """Whether it is a classifier."""
    after: str | None = None
    """The part whose networks it starts from."""
    guide: str | None = None
    """The classifier that guides it."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the parts that must be done before."""
        return tuple(name for name in (self.after, self.guide) if name)


_SMALL = {"generator_channels": 8, "generator_blocks": 1, "critic_channels": 8, "batch_size": 16, "steps": 6}
_SMALL |= {"log_every": 2, "checkpoint_every": 4, "sample_every": 6, "precision": "32-true"}
_SMALL_128 = {**_SMALL, "batch_size": 12, "steps": 4}
_SMALL_JUDGE = {"width": 4, "epochs": 1, "batch_size": 32, "log_every": 1, "checkpoint_every": 2}

PARTS = (
    # Expressions first, then realism: what ships is the second part.
    Part("ganmut-fer2013-first", "fer2013-64", "ganmut-fer2013", {}, _SMALL),
    Part("ganmut-fer2013", "fer2013-64", "ganmut-fer2013-finish", {}, _SMALL, after="ganmut-fer2013-first"),
    # The same networks go on at twice their side, told what their edits look like by a classifier that judges nobody.
    Part("guide", "mixed-128", "resnet18-guide", {"precision": "bf16-mixed"}, _SMALL_JUDGE, judge=True),
    Part("ganmut-mixed-128", "mixed-128", "ganmut-mixed-128", {}, _SMALL_128, after="ganmut-fer2013", guide="guide"),
    Part("judge-resnet18", "fer2013-48", "resnet18-small", {"precision": "bf16-mixed"}, _SMALL_JUDGE, judge=True),
    Part("judge-vgg16", "fer2013-48", "vgg16_bn-small", {"precision": "bf16-mixed"}, _SMALL_JUDGE, judge=True),
    Part(
        "stargan-fer2013",
        "fer2013-48",
        "stargan-fer2013",
        # Last, since it ships for comparison and takes most of the time. The paper's 400 epochs, in batches that keep a GPU
        # busy; the learning rate grows with the root of the batch.
        {"batch_size": 256, "learning_rate": 5e-4, "precision": "bf16-mixed", "ema_decay": 0.999},
        {**_SMALL, "steps": 4},
        epochs=400,
    ),
)


class OutOfTimeError(Exception):
    """The time limit came before the end; a checkpoint says where to go on."""


def rehearse(data: Path) -> None:
    """Draw the faces that a rehearsal is held with, where they are not there yet."""
    for name, size, count in (("fer2013-48", 48, 140), ("fer2013-64", 64, 140), ("mixed-128", 128, 84)):
        prepare(READERS["drawn"](None, count=count, size=size), data / name, dataset="drawn", size=size)


def train_part(part: Part, data: Path, runs: Path, small: bool, until: float) -> Run:
    """Train a part, or go on with it; raises `OutOfTimeError` at the time `until`, of the clock `time.monotonic`."""
    settings = {**part.settings, **(part.rehearsal if small else {})}
    if small and part.judge:
        settings["precision"] = "32-true"
    say = _teller(part.name)
    if part.judge:
        network, recipe = configure_judge(part.preset, settings)

        def report(progress: Any) -> None:
            say(progress)
            if time.monotonic() > until and progress.step < progress.steps:
                raise OutOfTimeError

        return train_classifier(part.preset, network, recipe, data / part.data, runs / part.name, report=report)
    preset = find_preset(part.preset)
    method, loop = configure(preset, settings)
    if part.epochs is not None and not small:
        count = len(PreparedSet.open(data / part.data).select("train", method.expressions))
        loop = dataclasses.replace(loop, steps=part.epochs * (count // loop.batch_size))
    minutes = max(0.0, until - time.monotonic()) / 60
    init = starting_point(runs / part.after) if part.after else None
    guides = [load_guide(runs / part.guide)] if part.guide else []
    run = train(
        part.preset, preset.method, method, loop, data / part.data, runs / part.name, say, init, minutes=minutes,
        guides=guides,
    )  # fmt: skip
    if run.step < loop.steps:
        raise OutOfTimeError
    return run


def _teller(name: str) -> Callable[[Any], None]:
    """Return what reports progress on stderr, once in ten seconds."""
    told = -math.inf

    def say(progress: Any) -> None:
        nonlocal told
        if progress.step == progress.steps or time.monotonic() - told > 10:
            told = time.monotonic()
            rate = f"{progress.images_per_second:.0f} images/s"
            print(f"{name} {progress.step}/{progress.steps} {rate}", file=sys.stderr, flush=True)

    return say


def finish(part: Part, run: Run, weights: Path) -> dict[str, Any]:
    """Write a part's weights; return the facts for the table."""
    path = (export_classifier if part.judge else export)(run, weights / f"{part.name}.safetensors")
    batch = run.configuration["recipe" if part.judge else "train_config"]["batch_size"]
    seconds = training_seconds(run.stats(), batch)
    images = run.step * batch
    return {
        "part": part.name,
        "preset": part.preset,
        "steps": run.step,
        "images": images,
        "seconds": round(seconds, 1),
        "images_per_second": round(images / seconds, 1) if seconds else None,
        "bytes": path.stat().st_size,
        "machine": describe_machine(),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print what was trained, in order."""
    print(f"{'part':24} {'steps':>8} {'images':>11} {'minutes':>8} {'images/s':>9} {'MB':>6}")
    for row in rows:
        rate = f"{row['images_per_second']:.0f}" if row["images_per_second"] else "-"
        size = row["bytes"] / 1e6
        print(f"{row['part']:24} {row['steps']:8} {row['images']:11} {row['seconds'] / 60:8.1f} {rate:>9} {size:6.1f}")
    print(f"{sum(row['seconds'] for row in rows) / 60:.1f} minutes of training in all")


def main() -> int:
    """Train what is not trained yet; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the prepared sets; a rehearsal draws its own")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this time, with exit code 75")
    parser.add_argument("--rehearse", action="store_true", help="the whole chain in miniature")
    parser.add_argument("--only", action="append", choices=[part.name for part in PARTS], help="repeatable")
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    if given.data is None and not given.rehearse:
        parser.error("--data is needed, except for --rehearse")
    data = given.data or given.out / "data"
    if given.rehearse:
        rehearse(data)
    rows = []
    for part in (part for part in PARTS if not given.only or part.name in given.only):
        done = given.out / "done" / f"{part.name}.json"
        if not done.exists():
            missing = [name for name in part.needs if not (given.out / "done" / f"{name}.json").exists()]
            if missing:
                print(f"error: {part.name} needs {missing[0]}, which is not done: train it first", file=sys.stderr)
                return 2
            try:
                if until - time.monotonic() < LEAST_SECONDS and rows and not given.rehearse:
                    raise OutOfTimeError
                run = train_part(part, data, given.out / "runs", given.rehearse, until)
            except OutOfTimeError:
                print(f"time is up in {part.name}; the same command goes on", file=sys.stderr)
                return CALL_AGAIN
            done.parent.mkdir(parents=True, exist_ok=True)
            write_text(done, json.dumps(finish(part, run, given.out / "weights"), indent=2) + "\n")
        rows.append(json.loads(done.read_text(encoding="utf-8")))
    print_table(rows)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MienError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")
    except KeyboardInterrupt:
        sys.exit(130)
