"""Commands that measure models: bench."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.apps import given
from mien.apps.options import measuring as options
from mien.apps.options import shared
from mien.apps.output import say

if TYPE_CHECKING:
    from mien.benchmark.outcome import Outcome


def bench(
    models: options.Contestants = None,
    data: shared.Data = ...,  # type: ignore[assignment]
    judge: options.Judges = None,
    out: options.BenchOut = None,
    checkpoint: options.Checkpoints = None,
    baselines: options.Baselines = False,
    setting: options.ProtocolSettings = None,
    show: shared.Shown = None,
    pictures: options.WithPictures = True,
    requests: options.RequestsOut = None,
    device: options.BenchDevice = "cpu",
) -> None:
    """Compare models on held-out faces.

    Every model edits the same faces of the validation split to every expression; judges, trained on photos alone, say what
    they see. REPORT gets report.html, which explains each number and can be sent to anyone, results.jsonl, tables as
    Markdown and LaTeX, and the figures. The same command goes on where it was interrupted. A model is what `mien edit
    --model` takes, or `identity`, `oracle`, `untrained:MODEL`, and `folder:DIR` for pictures of another program, which
    finds with --write-requests what it shall make. `TITLE=MODEL` says how tables call it.

    Example: mien bench ganmut-mixed-128 runs/mine --data data/fer2013 --baselines --out reports/mine

    Example: mien bench --checkpoint official-ganmut:1800000-G.ckpt --data data/affectnet --out reports/official
    """
    from mien.benchmark.protocol import Protocol
    from mien.errors import ConfigError
    from mien.packages import need
    from mien.settings import config_from_mapping
    from mien.shipped import shipped_judges

    protocol = config_from_mapping(Protocol, given.settings(setting or [], "--set"))
    if requests is not None:
        _write_requests(requests, data, protocol)
        return
    if out is None:
        raise ConfigError("`--out` is missing", hint="name the report's folder, for example `--out reports/mine`")
    named = [*(models or []), *(checkpoint or [])]
    if baselines:
        named = _with_baselines(named)
    judges = list(judge or shipped_judges())
    need("jinja2", "matplotlib")  # for the report
    from mien.apps.progress import ProgressBar, Rate
    from mien.benchmark import benchmark
    from mien.benchmark.report import write_report

    rates: dict[str, Any] = {}
    with ProgressBar("measuring") as bar:

        def report(name: str, part: str, done: int, total: int) -> None:
            rate = rates.setdefault(f"{name}/{part}", Rate("images"))
            bar.advance(done, total, f"{name}: {part}  {rate.tell(done, total)}".rstrip())

        command = shlex.join(["mien", *sys.argv[1:]])
        outcome = benchmark(
            named, judges, data, out, protocol, device=device, show=show or (), report=report, command=command
        )
    say("writing the report")
    written = write_report(outcome, out, pictures=pictures)
    say(_in_short(outcome))
    print(written)


def _with_baselines(named: list[str]) -> list[str]:
    """Add the references, the untrained one of the first model that is named or of the one that ships."""
    from mien.benchmark.contestants import split_title
    from mien.shipped import DEFAULT

    models = (split_title(name)[1] for name in named)
    trained = [name for name in models if ":" not in name and name not in ("identity", "oracle")]
    wanted = [f"untrained:{(trained or [DEFAULT])[0]}", "identity", "oracle"]
    return [*named, *(name for name in wanted if name not in named)]


def _write_requests(folder: Path, data: Path, protocol: Any) -> None:
    from mien.benchmark.folder import write_requests
    from mien.benchmark.requests import requested
    from mien.prepared import PreparedSet

    prepared = PreparedSet.open(data)
    count = write_requests(folder, requested(prepared, protocol), prepared.hash, protocol)
    say(f"{count} pictures are asked for")
    print(folder / "requests.csv")


def _in_short(outcome: Outcome) -> str:
    """Return what a benchmark found in some lines: what was left out, and how often edits are recognised."""
    known = dict.fromkeys(name for counts in outcome.label_counts.values() for name, count in counts.items() if count)
    missing = [name for name in known if name not in outcome.expressions]
    lines = []
    if missing:
        lines = [f"left out, since not every judge knows it or no held-out face shows it: {', '.join(missing)}"]
    for contestant in outcome.contestants:
        found = [
            f"{line.measurement.value:.3f} ({line.judge})"
            for line in outcome.lines
            if line.contestant == contestant.name
            and (line.measurement.measure, line.measurement.expression) == ("expression-f1", None)
            and line.measurement.value is not None
        ]
        lines.append(f"{contestant.name}: expression F1 {', '.join(found) or 'undefined'}")
    return "\n".join(lines)
