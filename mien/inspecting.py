"""Look into a prepared set: what it holds, how it is distributed, and whether its splits are clean.

`inspect` counts and searches, and returns what it found as one value; `write_report` puts it into a folder:

    report.json              everything that was counted
    distribution.png         images per expression, split by split
    faces-<expression>.png   some faces of each expression, the same ones in every run
    duplicates.csv           each image that repeats an earlier one, the leaks between splits first
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.datasets import SPLITS
from mien.duplicates import KINDS, Duplicate, find_duplicates, is_leak
from mien.errors import DataError
from mien.expressions import VOCABULARY
from mien.prepared import PreparedSet
from mien.set_figures import contact_sheet, distribution_figure
from mien.shards import read_json, write_csv, write_file, write_json

#: What images without a label are counted under.
UNLABELLED = "unlabelled"

_FORMAT = "mien inspection"
_REPORT = "report.json"
_CSV_COLUMNS = ("key", "split", "expression", "earlier_key", "earlier_split", "earlier_expression")


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a prepared set holds; made by `inspect`."""

    prepared: PreparedSet
    """The set."""
    counts: dict[str, dict[str, dict[str, int]]]
    """Images by split, then expression, then source; only those that occur."""
    intensity: dict[str, float]
    """Mean intensity by expression, of the images whose intensity is known."""
    beyond: dict[str, float]
    """Mean share of an image beyond the picture that it was cut from, by expression, of the images where it is known."""
    rejected: list[tuple[str, int]]
    """Why rows of the dataset were left out, without numbers and names, and how often; the most frequent first."""
    subjects: int
    """People, as far as they are known."""
    subjects_in_several_splits: list[str]
    """Those who are on more than one side, sorted."""
    duplicates: list[Duplicate]
    """Images that repeat an earlier one, in the same split or another."""
    near: bool
    """Whether not only the same pixels were looked for."""

    @property
    def leaks(self) -> list[Duplicate]:
        """Duplicates whose two images lie in different splits."""
        return [pair for pair in self.duplicates if is_leak(pair, self.prepared.splits)]

    @property
    def clean(self) -> bool:
        """Whether no picture and nobody is in more than one split."""
        return not self.leaks and not self.subjects_in_several_splits

    def relabelled(self, pairs: list[Duplicate]) -> int:
        """Count the duplicates whose two images have different labels."""
        labels = self.prepared.labels
        return sum(bool(labels[pair.index] != labels[pair.earlier]) for pair in pairs)

    def to_json(self) -> dict[str, Any]:
        """Return everything that was counted, without the list of duplicates."""
        prepared, leaks = self.prepared, self.leaks
        within = [pair for pair in self.duplicates if not is_leak(pair, prepared.splits)]
        return {
            "format": _FORMAT,
            "path": str(prepared.path),
            "hash": prepared.hash,
            "dataset": prepared.manifest["dataset"],
            "size": prepared.size,
            "channels": prepared.channels,
            "count": len(prepared),
            "counts": self.counts,
            "edited_faces": int(prepared.edited.sum()),
            "mean_intensity": self.intensity,
            "mean_share_beyond_picture": self.beyond,
            "rejected": prepared.manifest["rejected"],
            "reasons": [{"reason": reason, "count": count} for reason, count in self.rejected],
            "subjects": self.subjects,
            "subjects_in_several_splits": self.subjects_in_several_splits,
            "duplicates_between_splits": self._summary(leaks),
            "duplicates_within_splits": self._summary(within),
        }

    def _summary(self, pairs: list[Duplicate]) -> dict[str, int | None]:
        kinds = Counter(pair.kind for pair in pairs)
        known = {kind: kinds[kind] if self.near or kind == "same" else None for kind in KINDS}
        return {**known, "different_labels": self.relabelled(pairs)}


def inspect(
    prepared: PreparedSet, *, near: bool = True, report: Callable[[int, int, str], object] | None = None
) -> Inspection:
    """Count what a prepared set holds and search it for pictures and people that are in it more than once.

    Without `near`, only the same pixels are searched for, which takes a time in proportion to the number of images, and
    not to its square. `report` is told how many images were read or compared, of how many, and which of the two.
    """
    labels = prepared.labels.tolist()
    names = [VOCABULARY[label] if label >= 0 else UNLABELLED for label in labels]
    found = Counter(zip(prepared.splits.tolist(), names, prepared.sources, strict=True))
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split, name, source in sorted(found, key=lambda cell: (SPLITS.index(cell[0]), _place(cell[1]), cell[2])):
        counts.setdefault(split, {}).setdefault(name, {})[source] = found[split, name, source]
    sides: dict[tuple[str, str], set[str]] = {}
    for index, split in enumerate(prepared.splits.tolist()):
        if person := prepared.person(index):
            sides.setdefault(person, set()).add(split)
    return Inspection(
        prepared=prepared,
        counts=counts,
        intensity=_means(prepared, prepared.intensity),
        beyond=_means(prepared, prepared.beyond(range(len(prepared)))),
        rejected=Counter(_kind_of(reason) for _, reason in prepared.rejected()).most_common(),
        subjects=len(sides),
        subjects_in_several_splits=sorted({subject for (subject, _), splits in sides.items() if len(splits) > 1}),
        duplicates=find_duplicates([prepared], near=near, report=report),
        near=near,
    )


def _means(prepared: PreparedSet, values: np.ndarray) -> dict[str, float]:
    """Return the mean of each expression's values that are known (not NaN), where there are some."""
    known = ~np.isnan(values)
    rows = {name: known & (prepared.labels == label) for label, name in enumerate(VOCABULARY)}
    return {name: round(float(values[chosen].mean()), 4) for name, chosen in rows.items() if chosen.any()}


def check_report_folder(out: Path, prepared: PreparedSet) -> None:
    """Raise `DataError` where a report cannot go: into the set itself, or over what is no report."""
    if out.resolve() == prepared.path.resolve() or prepared.path.resolve() in out.resolve().parents:
        raise DataError(f"`{out}` lies in the prepared set", hint="give another folder for the report")
    if out.exists() and not out.is_dir():
        raise DataError(f"`{out}` is a file", hint="give a folder for the report")
    if out.is_dir() and any(out.iterdir()) and not (out / _REPORT).exists():
        raise DataError(f"`{out}` is not empty and holds no report", hint="give a new or an empty folder")
    earlier = read_json(out / _REPORT)
    if earlier is not None and not (isinstance(earlier, dict) and earlier.get("format") == _FORMAT):
        raise DataError(f"`{out / _REPORT}` is of another kind", hint="give a new or an empty folder")


def write_report(inspection: Inspection, out: Path | str) -> None:
    """Write the report into a folder, over an earlier report if there is one.

    Raises `DataError` where the folder holds something else.
    """
    out, prepared = Path(out), inspection.prepared
    check_report_folder(out, prepared)
    out.mkdir(parents=True, exist_ok=True)
    for earlier in out.glob("faces-*.png"):  # of expressions that there may be no more
        earlier.unlink()
    write_json(out / _REPORT, inspection.to_json())
    colours = "grey" if prepared.channels == 1 else "RGB"
    title = f"{prepared.path.resolve().name}: {len(prepared):,} images, {prepared.size} px, {colours}"
    write_file(out / "distribution.png", [_png(distribution_figure(inspection.counts, title))])
    for name in prepared.expressions:
        write_file(out / f"faces-{name}.png", [_png(contact_sheet(prepared, name))])
    rows = sorted(inspection.duplicates, key=lambda pair: not is_leak(pair, prepared.splits))
    header = (*_CSV_COLUMNS, "kind", "correlation", "leak", "labels_differ")
    write_csv(out / "duplicates.csv", header, [_duplicate_cells(prepared, pair) for pair in rows])


def _duplicate_cells(prepared: PreparedSet, pair: Duplicate) -> list[str]:
    cells = []
    for index in (pair.index, pair.earlier):
        label = int(prepared.labels[index])
        cells += [prepared.keys[index], str(prepared.splits[index]), VOCABULARY[label] if label >= 0 else ""]
    differ = prepared.labels[pair.index] != prepared.labels[pair.earlier]
    leak = is_leak(pair, prepared.splits)
    return [*cells, pair.kind, f"{pair.correlation:.3f}", *("yes" if answer else "no" for answer in (leak, differ))]


def _place(name: str) -> int:
    """Return where an expression stands in tables: in the vocabulary's order, the unlabelled last."""
    return VOCABULARY.index(name) if name in VOCABULARY else len(VOCABULARY)


def _kind_of(reason: str) -> str:
    """Take names and numbers out of a reason, so that equal reasons are counted as one."""
    return re.sub(r"\d+(?:\.\d+)?", "N", re.sub(r"`[^`]*`", "`...`", reason))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
