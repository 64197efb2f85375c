"""results.jsonl: one line for each number of a benchmark, with all that is needed to believe it or to measure it again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.benchmark.numbers import is_guided
from mien.benchmark.outcome import Line, Outcome
from mien.errors import DataError
from mien.files import write_text
from mien.metrics.measurement import Measurement

#: What every line says of where it comes from; edits may have been rendered and judged by earlier commits than the number
#: was computed by.
CIRCUMSTANCES = ("data_hash", "dataset", "commit", "collected_commits", "device", "machine", "version", "date")


@dataclass(frozen=True)
class Result:
    """A line of results.jsonl."""

    line: Line
    """The number: whose, by which judge."""
    circumstances: Mapping[str, Any]
    """Everything else that stands in the line: protocol, seed, hashes, data, machine, date."""


def write_results(outcome: Outcome, path: Path, *, append: bool = False) -> Path:
    """Write every number of a benchmark, whole or not at all.

    A file that exists is replaced; with `append` its lines stay and come first. Raises `DataError` where they are broken.
    """
    kept = ""
    if append and path.exists():
        read_results(path)
        kept = path.read_text(encoding="utf-8").rstrip("\n")
        kept = f"{kept}\n" if kept else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, kept + results_text(outcome))
    return path


def results_text(outcome: Outcome) -> str:
    """Return the lines of results.jsonl of a benchmark."""
    models = {facts.name: facts for facts in outcome.contestants}
    judges = {facts.name: facts for facts in outcome.judges}
    shared = {"protocol": outcome.protocol.to_json(), "seed": outcome.protocol.seed}
    shared |= {name: outcome.circumstances.get(name) for name in CIRCUMSTANCES}
    rows = []
    for line in outcome.lines:
        model, judge = models.get(line.contestant), judges.get(line.judge or "")
        whose = {"contestant": line.contestant, "judge": line.judge}
        of_model = {
            "kind": model.kind if model else None,
            "model_sha256": model.sha256 if model else None,
            "model_fingerprint": (model.fingerprint or None) if model else None,
            "parameters": model.parameters if model else None,
            "milliseconds": model.milliseconds if model else None,
            "judge_sha256": judge.sha256 if judge else None,
            **({"guided": True} if is_guided(model, judge) else {}),
        }
        rows.append(_plain({**whose, **line.measurement.to_json(), **of_model, **shared}))
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def read_results(path: Path) -> list[Result]:
    """Read results.jsonl; a line that is damaged, or holds a number that none can be, is a `DataError` that names it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", hint="`mien bench` writes results.jsonl anew") from None
    return [
        _parse(row, f"{path}, line {number}")
        for number, row in enumerate(text.split("\n"), start=1)  # `splitlines` would also split at U+2028 in a name
        if row.strip()
    ]


def _parse(row: str, where: str) -> Result:
    names = ("measure", "value", "low", "high", "n", "better", "expression", "undefined", "details")
    try:
        fields = json.loads(row)
        measurement = Measurement(**{name: fields.pop(name) for name in names})
        return Result(Line(fields.pop("contestant"), fields.pop("judge"), measurement), fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{where} is no result: {error}", hint="restore the file, or let `mien bench` write it"
        ) from None


def _plain(value: Any) -> Any:
    """Turn NumPy's numbers, paths and tuples into what JSON knows; a number that is none becomes null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
