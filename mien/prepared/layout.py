"""The names of a prepared set's files, and the version of what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.errors import DataError

FORMAT, VERSION = "mien prepared set", 1
MANIFEST, REJECTED = "manifest.json", "rejected.csv"
#: There only while the set is being made.
RECIPE, LOCK = "preparing.json", "preparing.lock"


def check_version(description: Any, path: Path) -> None:
    """Raise `DataError` where a manifest or recipe is none that this version of the package can read."""
    found = (description.get("format"), description.get("version")) if isinstance(description, dict) else ()
    if found != (FORMAT, VERSION):
        words = ", version ".join(map(str, found)) or "something else"
        raise DataError(
            f"`{path}` holds {words}, not {FORMAT}, version {VERSION}",
            hint="prepare the dataset anew with `mien prepare`, in another folder",
        )
