"""The names of a prepared set's files, and the version of what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.errors import DataError

#: Version 2 notes where pictures end in their crops; sets of version 1 can be read, but not continued.
FORMAT, VERSION = "mien prepared set", 2
_READABLE = (1, VERSION)
MANIFEST, REJECTED = "manifest.json", "rejected.csv"
#: There only while the set is being made.
RECIPE, LOCK = "preparing.json", "preparing.lock"


def check_version(description: Any, path: Path) -> None:
    """Raise `DataError` where a manifest or recipe is none that this version of the package can read."""
    found = (description.get("format"), description.get("version")) if isinstance(description, dict) else ()
    if found not in [(FORMAT, version) for version in _READABLE]:
        words = ", version ".join(map(str, found)) or "something else"
        raise DataError(
            f"`{path}` holds {words}, not {FORMAT}, version {VERSION}",
            hint="prepare the dataset anew with `mien prepare`, in another folder",
        )
