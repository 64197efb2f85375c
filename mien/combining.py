"""Make one prepared set of several, or a cleaner one of one: keys stay unique, nobody is on both sides of a split.

What happens, in this order:

1. Each set gets a name: its only source, or else its dataset; sets of one name are numbered. Of several sets, keys begin
   with it (`fer2013/train/fer0000123`); the samples of two sets that share their only source get it as their source too.
2. A subject who is in several splits goes, with all images, to the last of them: test before validation before train.
   So what anyone held out is never trained on. Equal names are one person, except that names without a letter, `12`,
   are so only within one source. Edited faces (`mien.augmenting`) of whoever is held out are left out.
3. Images of a later split that repeat one of an earlier split are left out, if that is wanted (`mien.duplicates`).
4. Images on a list are left out, if one is given (`mien.leaving_out`).
5. The training split is balanced, if that is wanted: the largest groups lose images until none has more than `ratio`
   times as many as the smallest. Which ones go is decided by a hash of seed and key, so that adding images hardly changes
   it; edited faces go first. Validation and test stay as they are: they say what the data is like.

Pixels come through unchanged but for two changes: beside RGB, grey becomes RGB; and `size` resizes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets import SPLITS, Rejected, Row
from mien.datasets.sample import TRAIN
from mien.duplicates import find_duplicates, is_leak
from mien.errors import ConfigError, DataError
from mien.expressions import VOCABULARY
from mien.leaving_out import LeaveOut
from mien.prepared import EDITED, PreparedSet, original_key, prepare

#: What the training split can be balanced by.
BALANCES = ("none", "sources", "expressions")

#: Told how many images are done, of how many where that is known, and what was done: read, compared, written.
Report = Callable[[int, int | None, str], None]


def combine(
    sets: Sequence[PreparedSet | Path | str],
    out: Path | str,
    *,
    balance: str = "none",
    ratio: float = 1.0,
    size: int | None = None,
    seed: int = 0,
    without_leaks: bool = False,
    leave_out: LeaveOut | None = None,
    report: Report | None = None,
) -> PreparedSet:
    """Write several prepared sets as one, or one without its leaks; resumes what was interrupted, as `prepare` does.

    `balance` is one of `BALANCES`: by the sets given, or by expression (images without a label are left alone). `size`
    resizes all images. The manifest's recipe tells the parents with their hashes, and the subjects that were moved; what
    was left out is in `rejected.csv` with the reason.

    Raises `DataError` for sets that do not go together, and `ConfigError` for settings that make no sense.
    """
    opened = [given if isinstance(given, PreparedSet) else PreparedSet.open(given) for given in sets]
    _check(opened, Path(out), balance, ratio, size)
    rows = _list_rows(opened)
    moved = _join_subjects(rows)
    if without_leaks:
        _leave_out_leaks(opened, rows, report)
    listed = _leave_out_listed(rows, leave_out) if leave_out else {}
    _balance(rows, balance, ratio, seed)
    options = {
        "parents": [
            {"name": name, "dataset": parent.manifest["dataset"], "hash": parent.hash, "count": len(parent)}
            for name, parent in zip(_names(opened), opened, strict=True)
        ],
        "balance": balance, "ratio": ratio, "seed": seed, "without_leaks": without_leaks, "moved_subjects": moved,
        **listed,
    }  # fmt: skip
    return prepare(
        _Rows(rows),
        out,
        dataset="combination",
        size=size or opened[0].size,
        channels=3 if any(parent.channels == 3 for parent in opened) else 1,
        options=options,
        source=", ".join(str(parent.path) for parent in opened),
        detectors=list(dict.fromkeys(name for parent in opened for name in parent.detectors)),
        report=(lambda done, total: report(done, total, "written")) if report else None,
    )


@dataclass(slots=True)
class _Image:
    """An image of one of the sets, and what becomes of it."""

    parent: PreparedSet
    """The set it lies in."""
    index: int
    """Where in that set."""
    key: str
    """Its name in the combination."""
    source: str
    """Its source in the combination."""
    split: str
    """Its split in the combination."""
    reason: str = ""
    """Why it is left out; empty where it is not."""

    @property
    def person(self) -> tuple[str, str] | None:
        """Who is shown: equal for the same person."""
        return self.parent.person(self.index)

    @property
    def edited(self) -> bool:
        """Whether a model has edited it."""
        return EDITED in self.parent.keys[self.index]

    @property
    def expression(self) -> str | None:
        """Its expression, where it has a label."""
        label = int(self.parent.labels[self.index])
        return VOCABULARY[label] if label >= 0 else None

    def listed(self, leave_out: LeaveOut) -> str | None:
        """Return why it is on a list, by its own set's key or by the combination's, or None where it is not."""
        source = self.parent.sources[self.index]
        keys = (self.key, self.parent.keys[self.index])
        # An edited face goes with the photo that it was made from.
        reasons = (leave_out.reason(form(key), source) for form in (str, original_key) for key in keys)
        return next(filter(None, reasons), None)

    def row(self) -> Row:
        """Return the row of the combination that it becomes."""
        if self.reason:
            return Rejected(self.key, self.reason)
        return replace(self.parent.sample(self.index), key=self.key, split=self.split, source=self.source)


class _Rows:
    """The rows of the combination: their number is known, and each is made only when it is asked for."""

    def __init__(self, images: list[_Image]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Row]:
        return (image.row() for image in self._images)


def _check(sets: list[PreparedSet], out: Path, balance: str, ratio: float, size: int | None) -> None:
    """Refuse what cannot be combined, or not so."""
    if balance not in BALANCES:
        raise ConfigError(f"unknown balance `{balance}`", hint=f"known: {', '.join(BALANCES)}")
    if not ratio >= 1:
        raise ConfigError(
            f"ratio {ratio} is less than 1", hint="1 makes all groups equal, 3 lets one be thrice another"
        )
    if not sets:
        raise ConfigError("nothing to combine", hint="give the folders of prepared sets")
    if balance == "sources" and len(sets) < 2:
        raise ConfigError("one set cannot be balanced by sources", hint="give several sets, or balance by expressions")
    known: dict[str, Path] = {}
    for prepared in sets:
        if prepared.hash in known:
            raise DataError(
                f"`{known[prepared.hash]}` and `{prepared.path}` hold the same data", hint="give each set once"
            )
        known[prepared.hash] = prepared.path
        if out.resolve() == prepared.path.resolve() or prepared.path.resolve() in out.resolve().parents:
            raise DataError(f"`{out}` lies in the set `{prepared.path}`", hint="give another folder")
    sizes = sorted({prepared.size for prepared in sets})
    if len(sizes) > 1 and size is None:
        raise DataError(
            f"the sets have images of {' and '.join(map(str, sizes))} pixels",
            hint=f"`--size {sizes[0]}` resizes all; better is to prepare the datasets at one size",
        )


def _names(sets: list[PreparedSet]) -> list[str]:
    """Name each set by its only source, or else by its dataset; number those that would have the same name."""
    names = []
    for prepared in sets:
        sources = set(prepared.sources)
        names.append(sources.pop() if len(sources) == 1 else str(prepared.manifest["dataset"]))
    shared = {name for name, count in Counter(names).items() if count > 1}
    return [f"{name}-{names[: i + 1].count(name)}" if name in shared else name for i, name in enumerate(names)]


def _list_rows(sets: list[PreparedSet]) -> list[_Image]:
    rows = []
    for name, prepared in zip(_names(sets), sets, strict=True):
        alone, one_source = len(sets) == 1, len(set(prepared.sources)) == 1
        splits = prepared.splits.tolist()
        for index, (key, source) in enumerate(zip(prepared.keys, prepared.sources, strict=True)):
            rows.append(
                _Image(
                    prepared,
                    index,
                    key if alone else f"{name}/{key}",
                    name if one_source and not alone else source,
                    splits[index],
                )
            )
    return rows


def _join_subjects(rows: list[_Image]) -> list[str]:
    """Move everybody who is in several splits to the last of them; return who was moved, sorted."""
    last: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.person and not row.edited:
            last[row.person] = max(last.get(row.person, TRAIN), row.split, key=SPLITS.index)
    moved = set()
    for row in rows:
        if row.person and row.split != last.get(row.person, row.split):
            row.split = last[row.person]
            moved.add(row.person[0])
        if row.edited and row.split != TRAIN:
            row.reason = f"an edited face of somebody in {row.split}"
    return sorted(moved)


def _leave_out_leaks(sets: list[PreparedSet], rows: list[_Image], report: Report | None) -> None:
    splits = np.array([row.split for row in rows])
    for pair in find_duplicates(sets, splits, report=report):
        if is_leak(pair, splits):
            earlier = rows[pair.earlier]
            rows[pair.index].reason = f"the {earlier.split} split has this picture too ({pair.kind}): `{earlier.key}`"


def _leave_out_listed(rows: list[_Image], leave_out: LeaveOut) -> dict[str, Any]:
    """Leave out the images on a list; return what the recipe says of it."""
    listed = [row for row in rows if row.listed(leave_out)]
    if not listed:
        raise DataError(f"none of the sets' images is on the list `{leave_out.name}`", hint=leave_out.takes)
    if not leave_out.shipped:
        own = Counter(row.parent.keys[row.index] for row in listed if row.key not in leave_out.reasons)
        for key, count in own.items():
            if count > 1:
                raise DataError(
                    f"`{key}`, of the list `{leave_out.name}`, is the key of {count} images, in different sets",
                    hint="say which one, by the combination's key: the set's name, `/`, and that key",
                )
    for row in listed:
        row.reason = row.reason or row.listed(leave_out) or ""
    if all(row.reason for row in rows):
        raise DataError(f"the list `{leave_out.name}` leaves no image", hint="give a shorter one")
    return {"leave_out": {"list": leave_out.name, "sha256": leave_out.sha256, "images": len(listed)}}


def _balance(rows: list[_Image], balance: str, ratio: float, seed: int) -> None:
    """Leave out training images of the largest groups until none is more than `ratio` times the smallest."""
    if balance == "none":
        return
    groups: dict[Any, list[_Image]] = {}
    for row in rows:
        group = row.expression if balance == "expressions" else id(row.parent)
        if row.split == TRAIN and not row.reason and group is not None:
            groups.setdefault(group, []).append(row)
    if not groups:
        raise DataError("there are no training images to balance", hint="leave `--balance` out")
    most = int(ratio * min(map(len, groups.values())))
    for group in groups.values():
        for row in sorted(group, key=lambda row: (row.edited, _chance(seed, row.key)))[most:]:
            row.reason = f"left out to balance {balance}"


def _chance(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}/{key}".encode("utf-8", "surrogateescape")).digest()
