"""Progress on stderr: rich's bar where stderr is a terminal, else a line every few seconds, as suits a log file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

#: Seconds between two lines where there is no terminal.
_PAUSE = 5.0
#: Seconds over which a rate is taken: what a resumed run only looks through is forgotten after them.
_RATE_SECONDS = 60.0


class Rate:
    """Say how fast something goes, and how long it will take where the total is known."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._seen = deque([(time.monotonic(), 0)])

    def tell(self, done: int, total: int | None = None) -> str:
        """Take how many are done by now; return for example `31 images/s, 4 min left`, or nothing at first."""
        now = time.monotonic()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        start, before = self._seen[0]
        if now - start < 1 or done == before:
            return ""
        rate = (done - before) / (now - start)
        said = f"{rate:.0f} {self._unit}/s" if rate >= 10 else f"{rate:.1f} {self._unit}/s"
        return said if total is None or total <= done else f"{said}, {in_words((total - done) / rate)} left"


def in_words(seconds: float) -> str:
    """Say how long something takes: seconds, minutes, hours or days."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86400:,.0f} days"


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


@contextlib.contextmanager
def frames_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Give what takes how many frames are done, of how many, and shows them with their rate and the time left."""
    with ProgressBar(title) as bar:
        rate = Rate("frames")
        yield lambda done, total: bar.advance(done, total, rate.tell(done, total))
