"""Append a measured number, with its circumstances, to a results file."""

from __future__ import annotations

import datetime
import json
import subprocess
from pathlib import Path
from typing import Any

from mien.runs import describe_machine


def commit() -> str:
    """Return the commit of the working tree, with `+` where tracked files differ from it, results apart."""

    def git(*arguments: str) -> str:
        root = Path(__file__).parent.parent
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + (
        "+" if git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results.jsonl") else ""
    )


def record(out: Path, name: str, value: float, *, unit: str = "", n: int, seed: int, **facts: Any) -> None:
    """Append one line: what was measured, how often, with what, where and when."""
    line = {
        "name": name,
        "value": round(value, 6),
        "unit": unit,
        "n": n,
        "seed": seed,
        **facts,
        "machine": describe_machine(),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }
    with out.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
