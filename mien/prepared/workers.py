"""Processes on the cores of this machine, each with its own pipe.

Not `concurrent.futures`: its processes outlive a parent that is killed, it shares one queue, and whoever is free takes
what is next. Here each process prefers the part after the one it had last, since the frames of a film are read fast in
rising order and slowly otherwise; where that part is taken it starts in the middle of a stretch that nobody works on.
A process ends at once when its parent does, and one that is killed is an error and not a wait without end.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import traceback
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

from mien.errors import DataError, MienError
from mien.prepared.lock import FolderLock
from mien.prepared.parts import Job, Maker, PartJob, Told
from mien.shards import Shard

#: Parts that may wait for each process, so that stretches are long; and bytes of rows that may wait in all, since rows
#: of Parquet files carry their images.
_PARTS_WAITING, _BYTES_WAITING = 16, 256_000_000

#: Seconds that processes are given to end before they are killed.
_GRACE = 5.0


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    #: This end is never written to: that it closes, however this process ends, is the message.
    lifeline: Connection
    job: Job | None = None
    last: int = -2


class Workers:
    """An engine of `count` processes; they start when there is work for them."""

    def __init__(self, maker: Maker, told: Told, count: int, lock: FolderLock) -> None:
        self._maker, self._told, self._count, self._lock = maker, told, count, lock
        self._workers: list[_Worker] = []
        self._merges: deque[Job] = deque()
        self._parts: dict[int, tuple[PartJob, memoryview]] = {}
        self._context = multiprocessing.get_context("spawn")  # threads, torch's too, do not survive a fork

    def has_room(self) -> bool:
        """See `Engine`."""
        waiting = len(self._parts)
        size = sum(len(packed) for _, packed in self._parts.values())
        return waiting < self._count or (waiting < self._count * _PARTS_WAITING and size < _BYTES_WAITING)

    def submit(self, job: Job) -> None:
        """See `Engine`."""
        if isinstance(job, PartJob):
            # Packed once, now: small, and what cannot travel is told before anything else happens.
            self._parts[job.number] = (job, _pack(job))
        else:
            self._merges.append(job)
        self._hand_out()

    def results(self) -> list[Shard]:
        """See `Engine`."""
        done: list[Shard] = []
        while not done:
            busy = {worker.connection: worker for worker in self._workers if worker.job}
            for connection in multiprocessing.connection.wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                answer = self._receive(worker)
                if isinstance(answer, int):
                    self._told(answer)
                elif isinstance(answer, Shard):
                    worker.job = None
                    done.append(answer)
                else:
                    raise answer
        self._hand_out()
        return done

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.lifeline.close()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(_GRACE)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()

    def _hand_out(self) -> None:
        """Give work to processes that have none, starting some where there are too few."""
        while self._merges or self._parts:
            worker = next((worker for worker in self._workers if not worker.job), None)
            if worker is None and len(self._workers) == self._count:
                return
            worker = worker or self._start()
            if self._merges:
                worker.job = self._merges.popleft()
                packed = _pack(worker.job)
            else:
                worker.last = self._choose(worker)
                worker.job, packed = self._parts.pop(worker.last)
            try:
                worker.connection.send_bytes(packed)
            except OSError:
                raise self._died(worker) from None

    def _choose(self, worker: _Worker) -> int:
        """Return the number of the part that a process should take next."""
        if worker.last + 1 in self._parts:
            return worker.last + 1
        stretches: list[list[int]] = []
        for number in sorted(self._parts):
            if stretches and stretches[-1][-1] == number - 1:
                stretches[-1].append(number)
            else:
                stretches.append([number])
        longest = max(stretches, key=len)
        somebody_comes = any(other.job and other.last == longest[0] - 1 for other in self._workers)
        return longest[len(longest) // 2] if somebody_comes else longest[0]

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        end, lifeline = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_serve, args=(self._maker, theirs, end, self._lock), daemon=True)
        process.start()
        theirs.close()
        end.close()
        worker = _Worker(process, ours, lifeline)
        self._workers.append(worker)
        return worker

    def _receive(self, worker: _Worker) -> Any:
        try:
            return worker.connection.recv()
        except (EOFError, OSError):
            raise self._died(worker) from None

    def _died(self, worker: _Worker) -> DataError:
        worker.process.join(_GRACE)
        code = worker.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        what = ""
        if isinstance(worker.job, PartJob):
            what = f" while it prepared `{worker.job.rows[0].key}` to `{worker.job.rows[-1].key}`"
        return DataError(
            f"a worker process {how}{what}",
            hint="perhaps memory ran out: try fewer workers; the same command goes on from there "
            "(in a program of your own, call it below `if __name__ == '__main__':`)",
        )


def _pack(job: Job) -> memoryview:
    """Turn a job into bytes as `Connection.send` would."""
    try:
        return ForkingPickler.dumps(job)  # type: ignore[return-value]
    except Exception as error:
        raise ValueError(
            f"the samples cannot go to other processes ({error}): let `Sample.read` be a `functools.partial` of a "
            "module's function, or prepare with workers=1"
        ) from error


def _serve(maker: Maker, connection: Connection, lifeline: Connection, lock: object) -> None:
    """Do jobs until the parent ends; `lock` is held by being there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: object = maker.make(job, connection.send)
        except (MienError, OSError, ImportError) as error:
            answer = error
        except Exception:
            answer = RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
        connection.send(answer)


def _die_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)  # in the middle of whatever it is: every file is whole or not there
