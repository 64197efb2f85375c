"""Write a prepared set: rows of a dataset become jobs, parts, shards and at last a manifest.

This process reads the rows, in order and only as many as are needed next, and sees to it that the result does not depend
on who does the jobs: keys that occur twice, the boundaries of parts and shards, whether a set is grey.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.datasets.sample import SPLITS, Row, Sample
from mien.errors import DataError
from mien.expressions import VOCABULARY
from mien.prepared.engines import Engine, choose_engine
from mien.prepared.layout import FORMAT, LOCK, MANIFEST, RECIPE, REJECTED, VERSION, check_version
from mien.prepared.lock import FolderLock
from mien.prepared.parts import Channels, Crop, Maker, MergeJob, PartJob
from mien.prepared.reading import PreparedSet
from mien.shards import (
    Shard,
    hash_rows,
    identify_row,
    join_csv,
    read_columns,
    read_csv,
    read_json,
    rejected_name,
    remove_shard,
    shard_name,
    whole_shard,
    write_json,
)

#: Told as rows get done: how many, and how many there are where that is known.
Report = Callable[[int, int | None], None]


def prepare(
    samples: Iterable[Row],
    out: Path | str,
    *,
    dataset: str,
    size: int,
    channels: Channels = "auto",
    options: Mapping[str, Any] | None = None,
    source: str = "",
    detector: Mapping[str, Any] | None = None,
    detectors: Sequence[str] | None = None,
    crop: Crop | None = None,
    shard_size: int = 4096,
    part_size: int = 256,
    workers: int = 1,
    engine: str = "local",
    ray_address: str | None = None,
    report: Report | None = None,
) -> PreparedSet:
    """Write the rows of a dataset as a prepared set, or continue where an interrupted run stopped.

    Without `crop`, an image's central square is resized to `size`. `channels` is 1, 3, or `auto`: 1 where the whole
    first shard is grey. `options`, `source` and `detector` are recorded as they are; all but `source` belong to the
    recipe, as do size, channels and shard_size. `detectors` names who found the faces, where `detector` does not. A set
    that is already finished is checked against `samples` without decoding any.

    Who does the work changes nothing in the result: `workers` processes (0 and 1 mean this one), or with `engine="ray"`
    the cluster at `ray_address` (None: one of `workers` processes on this machine). Samples and `crop` must be such as
    can be pickled then. `part_size` rows are the unit of work, and what each process loses when it is killed; a part
    also bounds the batches that a detector sees, whose sums may differ in the last bit with the size of the batch.

    Raises `DataError`, and changes nothing, where `out` holds something else, a set of another recipe, or a set made of
    other rows, or where another run is writing there; where not one sample can be used; and, so that the same call goes
    on later, where the disk is full or a worker process died.
    """
    if size < 8 or channels not in (1, 3, "auto") or shard_size < 1 or part_size < 1:
        raise ValueError(f"size {size}, channels {channels}, shard_size {shard_size}, part_size {part_size}")
    out = Path(out)
    recipe = _as_read_back({
        "format": FORMAT, "version": VERSION, "dataset": dataset, "options": dict(options or {}), "size": size,
        "channels": channels, "detector": dict(detector) if detector else None, "shard_size": shard_size,
    })  # fmt: skip
    state = _State(out, recipe, part_size, len(samples) if isinstance(samples, Sized) else None, report)
    rows = iter(samples)
    if _check_folder(out, recipe):
        state.compare(rows)
        _remove_scaffold(out)  # where a run was killed after its last step but one
        return PreparedSet.open(out)
    read_already = list(itertools.islice(rows, 1))  # a dataset that cannot be read makes no folder
    with _held(out, recipe) as lock:
        maker = Maker(out, size, crop)
        with choose_engine(engine, workers, ray_address, maker, state.advance, lock) as chosen:
            state.make(itertools.chain(read_already, rows), chosen)
        found_by = detectors if detectors is not None else [detector["name"]] if detector else []
        _finish(out, recipe, source, found_by, state.shards_in_order())
    return PreparedSet.open(out)


def _as_read_back(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe as JSON will give it back: tuples are lists, paths are text."""
    return json.loads(json.dumps(recipe, default=str))


def _check_folder(out: Path, recipe: dict[str, Any], incomplete: Collection[str] = ()) -> bool:
    """Say whether the set is finished already, after checking that this recipe made what lies in `out`.

    Of a recipe's `incomplete` tables only those entries are compared that are given.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise DataError(f"`{out}` is a file", hint="give a folder for the prepared set")
    manifest = read_json(out / MANIFEST)
    existing = manifest or read_json(out / RECIPE)
    if existing is None:
        if any(not path.name.startswith("preparing.") for path in out.iterdir()):
            raise DataError(f"`{out}` is not empty and holds no prepared set", hint="give a new or an empty folder")
        return False
    check_version(existing, out)
    made_with = existing.get("recipe", existing)
    for name, value in recipe.items():
        found = made_with.get(name)
        if name in incomplete and isinstance(found, dict):
            found = {key: entry for key, entry in found.items() if key in value}
        if found != value:
            raise DataError(
                f"`{out}` was prepared with {_difference(name, found, value)}",
                hint="give another folder, or delete this one to prepare it anew",
            )
    return manifest is not None


def _difference(name: str, found: Any, wanted: Any) -> str:
    """Say in what an entry of a recipe differs; of a table, only the first entry that does."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        key = next(
            key for key in (*wanted, *found) if (key in found, found.get(key)) != (key in wanted, wanted.get(key))
        )
        return f"{name}: {_difference(key, found.get(key), wanted.get(key))}"
    return f"{name} {json.dumps(found)}, not {json.dumps(wanted)}"


def check_place(out: Path | str, dataset: str, options: Mapping[str, Any]) -> None:
    """Raise `DataError` for a folder into which no such set can be prepared, before the work that decides what goes there.

    Of its `options` those that are known by then; a set that is there already, whole or not, may have others besides.
    """
    _check_folder(
        Path(out), _as_read_back({"version": VERSION, "dataset": dataset, "options": dict(options)}), {"options"}
    )


@contextlib.contextmanager
def _held(out: Path, recipe: dict[str, Any]) -> Iterator[FolderLock]:
    """Make the folder and note the recipe in it, and keep other runs out."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FolderLock(out / LOCK) as lock:
            if _check_folder(out, recipe):  # while this run waited for the lock
                raise DataError(f"another run has just finished `{out}`", hint="the same command checks it")
            _remove_unfinished(out)
            if not (out / RECIPE).exists():
                write_json(out / RECIPE, recipe)
            try:
                yield lock
            finally:
                _remove_unfinished(out)  # of workers that were ended while they wrote
    finally:
        # Where nothing was made, an unknown detector for example, nothing stays.
        if {path.name for path in out.iterdir()} <= {RECIPE}:
            (out / RECIPE).unlink(missing_ok=True)
            out.rmdir()


def _remove_unfinished(out: Path) -> None:
    """Remove files that somebody had begun to write: what is whole has its own name."""
    for leftover in out.glob("*.partial"):
        leftover.unlink(missing_ok=True)


@dataclass
class _Open:
    """A shard that is being made."""

    parts: list[str] = field(default_factory=list)
    """Names of its parts."""
    missing: set[str] = field(default_factory=set)
    """Those that are not on disk yet."""
    rows_sha256: str = ""
    """Hash of its rows; empty until all of them were read."""
    merging: bool = False
    """Whether its parts have been given to be merged."""


class _State:
    """How far a preparation has come."""

    def __init__(self, out: Path, recipe: dict[str, Any], part_size: int, total: int | None, report: Report | None):
        self._out, self._part_size, self._total, self._report = out, part_size, total, report
        self._shard_size, self._channels = recipe["shard_size"], recipe["channels"]
        self._done = 0
        self._keys: set[str] = set()
        self._open: dict[str, _Open] = {}
        self._shards: dict[str, Shard] = {}

    def shards_in_order(self) -> list[Shard]:
        """Return the records of all shards."""
        return [self._shards[shard_name(index)] for index in range(len(self._shards))]

    def advance(self, rows: int) -> None:
        """Note that so many more rows are done, and tell it."""
        self._done += rows
        if self._report:
            self._report(self._done, self._total)

    def compare(self, rows: Iterator[Row]) -> None:
        """Check that the finished set was made of these rows; raises `DataError`."""
        for description in read_json(self._out / MANIFEST)["shards"]:
            digest = hashlib.sha256()
            for part in self._parts(rows):
                self._note(part, digest)
                self.advance(len(part))
            if digest.hexdigest() != description["rows_sha256"]:
                raise _changed(self._out)
        if next(rows, None) is not None:
            raise _changed(self._out)

    def make(self, rows: Iterator[Row], engine: Engine) -> None:
        """Make all shards that are not there yet."""
        for job in self._jobs(rows):
            while not engine.has_room():
                self._take(engine)
            self._merge_complete(engine)
            engine.submit(job)
        self._merge_complete(engine)
        while self._open:
            self._take(engine)

    def _jobs(self, rows: Iterator[Row]) -> Iterator[PartJob]:
        """Read rows, and yield a job for every part that is not on disk yet."""
        for index in itertools.count():
            name, digest, shard = shard_name(index), hashlib.sha256(), _Open()
            whole = whole_shard(self._out, name)
            place = -1
            for place, part in enumerate(self._parts(rows)):
                repeated = self._note(part, digest)
                part_name = f"{name}.part-{place:03d}"
                if not whole:
                    self._open[name] = shard
                    shard.parts.append(part_name)
                    if not self._is_there(part_name, part):
                        shard.missing.add(part_name)
                        number = index * -(-self._shard_size // self._part_size) + place
                        yield PartJob(part_name, number, part, repeated, self._channels_for(name) or "auto")
                        continue
                self.advance(len(part))
            shard.rows_sha256 = digest.hexdigest()
            if whole:
                if whole.rows_sha256 != shard.rows_sha256:
                    raise _changed(self._out)
                self._shards[name] = whole
            if place < 0:
                return

    def _parts(self, rows: Iterator[Row]) -> Iterator[tuple[Row, ...]]:
        """Read the rows of one shard, part by part."""
        shard_rows = itertools.islice(rows, self._shard_size)
        while part := tuple(itertools.islice(shard_rows, self._part_size)):
            yield part

    def _note(self, part: tuple[Row, ...], digest: Any) -> frozenset[int]:
        """Hash rows, remember their keys, and return which samples have a key that occurred before."""
        repeated = set()
        for index, row in enumerate(part):
            digest.update(identify_row(row))
            if row.key in self._keys and isinstance(row, Sample):
                repeated.add(index)
            self._keys.add(row.key)
        return frozenset(repeated)

    def _is_there(self, name: str, rows: tuple[Row, ...]) -> bool:
        """Say whether a part is on disk, whole and of so many rows; raises `DataError` where they were others."""
        part = whole_shard(self._out, name)
        if part is None or part.rows != len(rows):
            return False
        if part.rows_sha256 != hash_rows(rows):
            raise _changed(self._out)
        return True

    def _channels_for(self, name: str) -> Channels | None:
        """Return the channels of a shard: with `auto`, the first one with images decides, None until it is there."""
        if self._channels != "auto":
            return self._channels
        for before in map(shard_name, itertools.count()):
            if before == name:
                return "auto"
            if before not in self._shards:
                return None
            if self._shards[before].count:
                return self._shards[before].channels
        raise AssertionError("counting has no end")

    def _merge_complete(self, engine: Engine) -> None:
        """Have every shard merged of which all parts are there, and the channels known."""
        for name, shard in self._open.items():
            channels = self._channels_for(name)
            if shard.rows_sha256 and not shard.missing and not shard.merging and channels:
                shard.merging = True
                engine.submit(MergeJob(name, tuple(shard.parts), channels, shard.rows_sha256))

    def _take(self, engine: Engine) -> None:
        """Wait for results and note them."""
        for result in engine.results():
            shard_of = result.name.partition(".")[0]
            if result.name == shard_of:
                self._shards[shard_of] = result
                del self._open[shard_of]
            else:
                self._open[shard_of].missing.discard(result.name)
        self._merge_complete(engine)


def _finish(out: Path, recipe: dict[str, Any], source: str, detectors: Sequence[str], shards: list[Shard]) -> None:
    """Write the list of what was rejected and the manifest: from then on the set is whole."""
    reasons = [out / rejected_name(shard.name) for shard in shards]
    rows = sum(shard.rows for shard in shards)
    if not any(shard.count for shard in shards):
        first = next((row for path in reasons for row in read_csv(path)), None)
        for shard in shards:
            remove_shard(out, shard.name)
        _remove_scaffold(out)
        example = f"; the first is `{first['key']}`: {first['reason']}" if first else ""
        hint = "check that this is the right folder, and the detector's threshold if one was used"
        raise DataError(f"none of the {rows} rows of `{recipe['dataset']}` could be used{example}", hint)
    _, rejected_sha256 = join_csv(out / REJECTED, reasons)
    found: Counter[tuple[str, int]] = Counter()
    for shard in shards:
        columns = read_columns(out, [shard])
        found.update(zip(columns["splits"].tolist(), columns["labels"].tolist(), strict=True))
    content = [recipe["dataset"], recipe["size"], [shard.sha256 for shard in shards]]
    manifest = {
        **{name: recipe[name] for name in ("format", "version", "dataset", "size")},
        "source": source,
        "detectors": list(detectors),
        "channels": next(shard.channels for shard in shards if shard.count),
        "count": sum(shard.count for shard in shards),
        "counts": {split: {word: found[split, i] for i, word in enumerate(VOCABULARY)} for split in SPLITS},
        "rejected": rows - sum(shard.count for shard in shards),
        "hash": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        "recipe": recipe,
        "sha256": {REJECTED: rejected_sha256},
        "shards": [shard.to_manifest() for shard in shards],
    }
    write_json(out / MANIFEST, manifest)
    _remove_scaffold(out)


def _remove_scaffold(out: Path) -> None:
    """Remove what only an unfinished set needs."""
    for pattern in ("*.partial", "shard-*.part-*", "shard-*.json", "shard-*.rejected.csv", RECIPE, LOCK):
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)


def _changed(out: Path) -> DataError:
    return DataError(
        f"`{out}` was prepared from other rows: the dataset has changed since",
        hint="give another folder, or delete this one to prepare it anew",
    )
