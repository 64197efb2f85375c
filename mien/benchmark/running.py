"""One call: models, faces and judges in, everything that can be said about them out."""

from __future__ import annotations

import datetime
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.collecting import Collector
from mien.benchmark.contestants import Contestant, Oracle, open_contestants
from mien.benchmark.faces import Chosen, choose_faces, make_pool, read_faces
from mien.benchmark.folder import Folder
from mien.benchmark.measuring import Collected, Measurer
from mien.benchmark.outcome import ContestantFacts, JudgeFacts, Line, Outcome
from mien.benchmark.protocol import Protocol
from mien.benchmark.showing import draw_examples, faces_of_photos
from mien.classifiers import Classifier, load_judge
from mien.errors import ConfigError
from mien.prepared import PreparedSet
from mien.runs import describe_machine
from mien.version import VERSION

#: Called with the contestant's name, the part, edits done and edits in all.
Report = Callable[[str, str, int, int], None]


def benchmark(
    contestants: Sequence[str],
    judges: Sequence[str],
    data: Path,
    out: Path,
    protocol: Protocol | None = None,
    *,
    device: str = "cpu",
    show: Sequence[Path] = (),
    report: Report = lambda name, part, done, total: None,
    command: str = "",
) -> Outcome:
    """Compare contestants (`mien.benchmark.contestants`) on held-out faces of a prepared set, by the eyes of judges.

    What is slow is kept in `out`/work: the same call goes on where an earlier one stopped. Numbers depend on protocol,
    data, models and judges alone. The pictures show faces of the data, or those of the photos `show`.

    Raises `MienError` where something cannot be opened, or does not fit together.
    """
    protocol = protocol or Protocol()
    _check_device(device)
    _check_writable(out)
    if not contestants or not judges:
        raise ConfigError("a benchmark needs a model and a judge", hint="for example `mien bench RUN --judge JUDGE`")
    prepared = PreparedSet.open(data)
    opened_judges = _open_judges(judges, device)
    chosen = choose_faces(prepared, protocol, [judge.expressions for judge in opened_judges])
    opened = _open(contestants, device, lambda: Oracle(make_pool(prepared, chosen), protocol.seed))
    for contestant in opened:
        if isinstance(contestant, Folder):
            contestant.require(prepared.hash, protocol)
    shown = faces_of_photos(show, device) if show else read_faces(prepared, chosen, chosen.edited[: protocol.examples])
    circumstances = _circumstances(prepared, device, command)
    referee = _referee(opened, prepared)
    collector = Collector(
        prepared, chosen, opened_judges, referee, protocol, out / "work", commit=circumstances["commit"]
    )
    measurer, lines, found = _measure(opened, collector, report)
    return Outcome(
        protocol=protocol,
        circumstances={
            **circumstances,
            **_counts(chosen),
            "collected_commits": sorted(collector.commits),
            "shown": ", ".join(path.name for path in show),
        },
        expressions=chosen.expressions,
        contestants=tuple(_facts(contestant, of_the_data=not show) for contestant in opened),
        judges=tuple(
            JudgeFacts(judge.name, judge.sha256, judge.config.architecture, judge.expressions, judge.fingerprint)
            for judge in opened_judges
        ),
        lines=tuple(lines),
        label_counts=prepared.manifest["counts"],
        **_curves(found, measurer, opened_judges),
        **draw_examples(opened, shown, chosen.expressions, protocol, of_the_data=not show),
    )


def _facts(contestant: Contestant, *, of_the_data: bool) -> ContestantFacts:
    """Return a contestant's facts; without its run's sample pictures where no face of the data may be shown."""
    return contestant.facts if of_the_data else replace(contestant.facts, samples=())


def _check_device(device: str) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"there is no device `{device}` here", hint="give cpu, or cuda where a GPU is") from None


def _check_writable(out: Path) -> None:
    """Say before the work, not after it, that the report cannot be written."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file", hint="give a folder for the report")
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        raise ConfigError(f"nothing can be written to {nearest}", hint="give another folder for the report")


def _open_judges(sources: Sequence[str], device: str) -> list[Classifier]:
    judges = [load_judge(source).to(device) for source in sources]
    names = [judge.name for judge in judges]
    if len(set(judge.sha256 for judge in judges)) < len(judges):
        raise ConfigError("the same judge was given twice", hint="give judges that differ, best in architecture too")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two judges are called {twice}", hint="rename one of the files or folders")
    return judges


def _open(specifications: Sequence[str], device: str, oracle: Callable[[], Contestant]) -> list[Contestant]:
    if len(set(specifications)) < len(specifications):
        raise ConfigError("the same model was given twice", hint="give each model once")
    plain = [text for text in specifications if text != "oracle"]
    opened = iter(open_contestants(plain, device))
    return [oracle() if text == "oracle" else next(opened) for text in specifications]


def _curves(found: Sequence[Collected], measurer: Measurer, judges: Sequence[Classifier]) -> Mapping[str, Any]:
    """Return the curves of an `Outcome`."""
    curves, gamuts, fed_curves = {}, {}, {}
    for collected in found:
        for index, judge in enumerate(judges):
            key = (collected.name, judge.name)
            curves[key] = measurer.curves(collected, index, judge)
            gamut = measurer.gamut(collected, index, judge)
            if gamut.size:
                gamuts[key] = gamut.mean(0)
            fed_curves[key] = measurer.fed_points(collected, index)
    codes = {collected.name: collected.gamut["codes"] for collected in found if "codes" in collected.gamut}
    return {
        "curves": curves,
        "gamuts": gamuts,
        "gamut_codes": {name: places for name, places in codes.items() if places.size},
        "fed_curves": fed_curves,
    }


def _referee(contestants: Sequence[Contestant], prepared: PreparedSet) -> Contestant | None:
    """Return the first contestant that has a critic."""
    probe = np.zeros((1, prepared.channels, prepared.size, prepared.size), np.float32)
    return next((contestant for contestant in contestants if contestant.realness(probe) is not None), None)


def _measure(
    contestants: Sequence[Contestant], collector: Collector, report: Report
) -> tuple[Measurer, list[Line], list[Collected]]:
    """Let the judges see everything, and measure what they saw."""

    def told(name: str) -> Callable[[int, int, str], None]:
        return lambda done, total, part: report(name, part, done, total)

    referee = collector.referee
    measurer = Measurer(
        chosen=collector.chosen,
        judges=collector.judges,
        photos=collector.photos(told("photos")),
        referee=referee.facts.name if referee else "",
        referee_scores=collector.scores(referee, told("photos")) if referee else None,
        seed=collector.protocol.seed,
    )
    lines, found = measurer.of_photos(), []
    for contestant in contestants:
        report_of = told(contestant.facts.name)
        collected = Collected(
            contestant.facts.name,
            collector.edits(contestant, report_of),
            collector.sweep(contestant, report_of),
            collector.gamut(contestant, report_of),
            collector.scores(contestant, report_of),
        )
        lines += measurer.of_contestant(collected)
        found.append(collected)
    return measurer, lines, found


def _counts(chosen: Chosen) -> dict[str, int]:
    """Return how many faces there are and how many took part, which may be fewer than the protocol asks for."""
    return {
        "images": len(chosen.rows),
        "edited": len(chosen.edited),
        "swept": len(chosen.sweep),
        "walked": len(chosen.gamut),
    }


def _circumstances(prepared: PreparedSet, device: str, command: str) -> dict[str, Any]:
    return {
        "data_hash": prepared.hash,
        "dataset": "+".join(sorted(set(prepared.sources))) or prepared.manifest["dataset"],
        "data_size": prepared.size,
        "commit": source_commit(),
        "device": device,
        "machine": describe_machine(),
        "version": VERSION,
        "date": datetime.date.today().isoformat(),
        "command": command,
    }


def source_commit() -> str:
    """Return the commit of the source tree that runs, with `+` where it was changed; empty for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*arguments: str) -> str:
        try:
            return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True).stdout.strip()
        except OSError:
            return ""

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
