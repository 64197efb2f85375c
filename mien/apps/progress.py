"""Progress on stderr: rich's bar where stderr is a terminal, else a line every few seconds, as suits a log file."""

from __future__ import annotations

import sys
import time
from typing import Any

#: Seconds between two lines where there is no terminal.
_PAUSE = 5.0


class ProgressBar:
    """Show how far something has come; inside the block, `advance` takes what is done, the total and a detail."""

    def __init__(self, title: str, total: int | None = None) -> None:
        self._title, self._total = title, total
        self._bar: Any = None
        self._told = -_PAUSE

    def __enter__(self) -> ProgressBar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
            times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[detail]}"))
            self._bar = Progress(*columns, *times, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, count="", detail="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, done: int, total: int | None = None, detail: str = "") -> None:
        """Say how many are done, of how many where that is known, and what else is worth a look."""
        total = total if total is not None else self._total
        count = str(done) if total is None else f"{done}/{total}"
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, count=count, detail=detail)
            return
        now = time.monotonic()
        if now - self._told >= _PAUSE or done == total:
            self._told = now
            print(f"{self._title} {count} {detail}".rstrip(), file=sys.stderr)
