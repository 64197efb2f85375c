"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _temporary(path: Path) -> Path:
    """Return a name for what is not whole yet, each time another one: two may write the same file at once."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def write_bytes(path: Path, content: bytes) -> None:
    """Write under another name and rename; what cannot be written whole (a full disk) leaves nothing behind."""
    write_together({path: content})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together as `write_bytes` does: none of them appears before all of them are written."""
    temporaries = {path: _temporary(path) for path in files}
    appeared: list[Path] = []
    try:
        for path, content in files.items():
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            temporaries[path].write_bytes(content)
        for path, temporary in temporaries.items():
            is_new = not path.exists()
            os.replace(temporary, path)
            appeared += [path] if is_new else []
    except BaseException:
        for path in (*temporaries.values(), *appeared):
            path.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it is either the old one or the new one, never half."""
    write_bytes(path, text.encode("utf-8"))
