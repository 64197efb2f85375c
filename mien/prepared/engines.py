"""Who does the jobs of a preparation: what every engine offers, and the simplest one, this process."""

from __future__ import annotations

from typing import Protocol

from mien.errors import ConfigError
from mien.prepared.lock import FolderLock
from mien.prepared.parts import Job, Maker, Told
from mien.shards import Shard

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Takes jobs and gives results, in any order; ends, with all that it started, when its block does."""

    def has_room(self) -> bool:
        """Say whether another part should be given now; if not, results are to be taken first."""
        ...

    def submit(self, job: Job) -> None:
        """Take a job."""
        ...

    def results(self) -> list[Shard]:
        """Wait until at least one job is done, and return the records; raises what a job raised."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: object) -> None: ...


class InProcess:
    """Does one job after the other in this process."""

    def __init__(self, maker: Maker, told: Told) -> None:
        self._maker, self._told = maker, told
        self._jobs: list[Job] = []

    def has_room(self) -> bool:
        """See `Engine`."""
        return not self._jobs

    def submit(self, job: Job) -> None:
        """See `Engine`."""
        self._jobs.append(job)

    def results(self) -> list[Shard]:
        """See `Engine`."""
        return [self._maker.make(self._jobs.pop(0), self._told)]

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def choose_engine(
    name: str, workers: int, ray_address: str | None, maker: Maker, told: Told, lock: FolderLock
) -> Engine:
    """Return the engine of that name; `ConfigError` for an unknown one."""
    if name == "ray":
        from mien.prepared.on_ray import RayTasks

        return RayTasks(maker, told, workers, ray_address)
    if name != "local":
        raise ConfigError(f"unknown engine `{name}`", hint=f"known: {', '.join(ENGINES)}")
    if workers <= 1:
        return InProcess(maker, told)
    from mien.prepared.workers import Workers

    return Workers(maker, told, workers, lock)
