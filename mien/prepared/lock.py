"""One run at a time in a folder: a lock that goes when the last process that holds it dies, however it dies."""

from __future__ import annotations

import contextlib
import multiprocessing.reduction
import os
import time
from pathlib import Path
from typing import Any

from mien.errors import DataError

#: Seconds that the processes of a run that was killed a moment ago are given to die, too.
_PATIENCE = 3.0


class FolderLock:
    """A file that is locked while it is open; pickled into a process that is being started, that one holds it too."""

    def __init__(self, path: Path) -> None:
        """Take the lock; raises `DataError` where another run has it."""
        self.path = path
        self._file: int | None = None
        until = time.monotonic() + _PATIENCE
        while (file := _try_lock(path)) is None:
            if time.monotonic() > until:
                raise DataError(
                    f"another run is writing to `{path.parent}`", hint="wait until it is done, or give another folder"
                )
            time.sleep(0.05)
        self._file = file

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if self._file is not None:
            # While it is still held: what is removed is this file and not that of the next run.
            with contextlib.suppress(OSError):  # Windows removes no open file; an empty one may stay
                self.path.unlink()
            os.close(self._file)
            self._file = None

    def fileno(self) -> int | None:
        """Return the locked file, for a program that is started and shall hold the lock too; None after `release`."""
        return self._file

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._file is None or os.name == "nt":
            return _inherit, (None,)
        return _inherit, (multiprocessing.reduction.DupFd(self._file),)


def _inherit(duplicate: Any) -> int | None:
    """Keep a starting process's copy of the open file: as long as it is open, the lock is held."""
    return None if duplicate is None else duplicate.detach()


def _try_lock(path: Path) -> int | None:
    """Open and lock the file; None where somebody else holds it, or removed it in between."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(file) or not _is_still(path, file):
            os.close(file)
            return None
    except BaseException:
        os.close(file)
        raise
    return file


def _lock(file: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, as some network ones are: better unguarded than not at all
        return True
    return True


def _is_still(path: Path, file: int) -> bool:
    """Say whether the open file is the one at that path, and not one that its owner has removed since."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
