"""Lists of images that are to be left out of a prepared set: one's own, and those that ship.

A list of one's own is a text file with a key in each line, or a CSV file with a column `key`, such as the `rejected.csv` of
a prepared set.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mien.errors import DataError

#: Lists that ship, each a file of `mien.datasets`.
SHIPPED = {"fer2013-covered": "FER2013's training faces behind hands, and drawings"}

#: Why an image is on a list that ships.
_REASONS = {
    "seen": "a hand covers the face",
    "guessed": "a hand covers the face, a classifier says",
    "drawing": "it is a drawing",
}

#: FER2013's keys, as FER+ names its images and as Kaggle's file numbers them.
_FER2013 = re.compile(r"(?:.*/)?train/(?:fer)?(\d{7})")


@dataclass(frozen=True)
class LeaveOut:
    """Images that are to be left out."""

    name: str
    """What the list is called, for the manifest."""
    reasons: Mapping[str, str]
    """Why, by key; of a list that ships, by FER2013's number."""
    shipped: bool = False
    """Whether it is one of `SHIPPED`, by FER2013's numbers instead of keys."""

    @property
    def sha256(self) -> str:
        """Hash of what it names, in any order."""
        return hashlib.sha256("\n".join(sorted(self.reasons)).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def takes(self) -> str:
        """What it goes by, for somebody whose images it does not find."""
        if self.shipped:
            return "it goes by FER2013's numbers: prepare FER2013 from Kaggle's file, or from Parquet with FER+'s names"
        return "it takes the keys of the sets, as their `samples.csv` have them, or of the combination"

    def reason(self, key: str, source: str) -> str | None:
        """Return why an image is to be left out, by a key and its source, or None where it is not."""
        if not self.shipped:
            return self.reasons.get(key)
        found = _FER2013.fullmatch(key) if re.fullmatch(r"fer2013(-\d+)?", source) else None
        return self.reasons.get(str(int(found[1]))) if found else None


def read_leave_out(given: str | Path) -> LeaveOut:
    """Read a list: the name of one that ships, or a file.

    Raises `DataError` where there is no such list, or where it names nothing.
    """
    if str(given) in SHIPPED:
        lines = csv.DictReader((files("mien.datasets") / f"{given}.csv").read_text(encoding="utf-8").splitlines())
        return LeaveOut(str(given), {row["number"]: _REASONS[row["why"]] for row in lines}, shipped=True)
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")  # a spreadsheet may begin with a mark
    except OSError as error:
        shipped = ", ".join(f"`{name}` ({what})" for name, what in SHIPPED.items())
        raise DataError(
            f"`{path}` cannot be read: {error.strerror or error}",
            hint=f"give a file with a key in each line, or a list that ships: {shipped}",
        ) from error
    try:
        keys = _keys([line for line in text.splitlines() if line.strip()])
    except csv.Error as error:
        raise DataError(f"`{path}` is no list: {error}", hint="give a text file with a key in each line") from error
    if not keys:
        raise DataError(
            f"`{path}` names no image", hint="give a key in each line, as `samples.csv` of the set has them"
        )
    return LeaveOut(path.name, dict.fromkeys(keys, f"on the list `{path.name}`"))


def _keys(lines: list[str]) -> list[str]:
    header = next(csv.reader(lines[:1]), [])
    if "key" not in header:
        return [line.strip() for line in lines]
    place = header.index("key")
    return [row[place] for row in csv.reader(lines[1:]) if len(row) > place]
