"""Tasks on a Ray cluster, or on a Ray of this machine's own (the extra `ray`).

Every task writes its parts into the folder itself, which all machines must see under one path; what comes back through
Ray are records of some hundred bytes. So there is no data that flows, and no use for Ray Data: its pipelines end before
the next begins, where here a task goes out as soon as another is done, and its threads do not survive an error.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import traceback
from collections.abc import Hashable, Sequence
from typing import Any

from mien import errors
from mien.errors import ConfigError, MienError
from mien.prepared.parts import Job, Maker, PartJob, Told
from mien.shards import Shard, shard_from_json

#: Neighbouring parts that make a task: a film is opened, and read up to its place, once for them.
_PARTS_IN_TASK = 4
#: Tasks for each core that are under way or wait.
_TASKS_PER_CORE = 3
#: Share of a GPU that a task asks for whose detector runs on one: Ray shows a GPU only to tasks that ask.
_GPU_SHARE = 0.25


class RayTasks:
    """An engine of Ray tasks; `workers` are the cores of a Ray that is started here, `address` names a running one."""

    def __init__(self, maker: Maker, told: Told, workers: int, address: str | None) -> None:
        self._told = told
        self._ours = _connect(workers, address)
        import ray

        self._room = max(1, int(ray.cluster_resources().get("CPU", 1))) * _TASKS_PER_CORE
        on_gpu = str(getattr(maker.crop, "device", "cpu")).startswith("cuda")
        self._do = ray.remote(num_cpus=1, num_gpus=_GPU_SHARE if on_gpu else 0)(_do)
        self._maker = ray.put(maker)
        self._next: list[PartJob] = []
        self._under_way: dict[Any, dict[str, int]] = {}

    def has_room(self) -> bool:
        """See `Engine`."""
        return len(self._under_way) < self._room

    def submit(self, job: Job) -> None:
        """See `Engine`."""
        if not isinstance(job, PartJob):
            self._send([job])
            return
        if self._next and job.number != self._next[-1].number + 1:
            self._send_parts()
        self._next.append(job)
        if len(self._next) == _PARTS_IN_TASK:
            self._send_parts()

    def results(self) -> list[Shard]:
        """See `Engine`."""
        import ray

        self._send_parts()
        done: list[Shard] = []
        ready, _ = ray.wait(list(self._under_way), num_returns=1)
        for reference in ready:
            rows = self._under_way.pop(reference)
            answer = json.loads(_answer(reference))
            if "error" in answer:
                raise _error(*answer["error"])
            done += map(shard_from_json, answer["shards"])
            self._told(sum(rows.values()))
        return done

    def _send_parts(self) -> None:
        if self._next:
            self._send(list(self._next))
            self._next = []

    def _send(self, jobs: Sequence[Job]) -> None:
        rows = {job.name: len(job.rows) for job in jobs if isinstance(job, PartJob)}
        self._under_way[self._do.remote(self._maker, jobs)] = rows

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._ours:
            ray.shutdown()
        else:
            for reference in self._under_way:
                ray.cancel(reference, force=True)


def _connect(workers: int, address: str | None) -> bool:
    """Connect to a Ray, or start one; return whether it is ours to be shut down."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "include_dashboard": False}
    try:
        if address:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init(address="local", num_cpus=max(1, workers), **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"no Ray at `{address or 'local'}`: {error}", hint="start one with `ray start --head`, or give no address"
        ) from error
    return True


def _do(maker: Maker, jobs: Sequence[Job]) -> str:
    """Do jobs in a task, one after the other: their records, or the error, as JSON."""
    try:
        maker = _kept(maker) if isinstance(maker.crop, Hashable) else maker
        return json.dumps({"shards": [maker.make(job, lambda _: None).to_json() for job in jobs]})
    except MienError as error:
        return json.dumps({"error": [type(error).__name__, str(error), error.hint]})
    except ImportError as error:
        message = f"`{error.name}` is not installed on a machine of the cluster"
        return json.dumps({"error": ["ConfigError", message, "install the same there as here"]})
    except Exception:
        return json.dumps({"error": ["", traceback.format_exc(), ""]})


@functools.lru_cache(maxsize=1)
def _kept(maker: Maker) -> Maker:
    """Return the first maker that was equal to this one: its detector is loaded already in this process."""
    return maker


def _answer(reference: Any) -> str:
    """Return what a task said; `DataError` where its process or machine died again and again."""
    import ray
    import ray.exceptions

    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        raise errors.DataError(
            f"a Ray task could not be done: {str(error).strip().splitlines()[0]}",
            hint="perhaps memory ran out on a machine, or it does not see the folder; the same command goes on",
        ) from error


def _error(kind: str, message: str, hint: str) -> Exception:
    """Rebuild an error of a task: one of `mien.errors` by its name, or what must not happen with its trace."""
    return getattr(errors, kind)(message, hint) if kind else RuntimeError(f"in a Ray task:\n{message}")
