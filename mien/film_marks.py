"""The mark of an edit in films, as far as containers have a place for it.

An MP4 carries the XMP of `mien.provenance` in a box of its own, where programs look for it; Matroska and WebM carry tags;
and every film carries a sentence in its comment. What re-encodes a film, as most platforms do, drops all of them.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from mien.errors import FilmError, ImageError
from mien.films import open_film
from mien.images import read_mark
from mien.provenance import DIGITAL_SOURCE_TYPE, EditMark, merge_mark, parse_mark

#: The box of an MP4 that holds XMP (XMP specification, part 3, "MPEG-4").
_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
#: Key of a mark -> name of the tag in Matroska and WebM.
_TAGS = {"condition": "MIEN_CONDITION", "model": "MIEN_MODEL", "software": "MIEN_SOFTWARE"}


def mark_metadata(mark: EditMark | None, comment: str | None, container: str) -> dict[str, str]:
    """Return the mark as the metadata of ffmpeg's container; the film's own comment stays in front of it."""
    if mark is None:
        return {}
    said = mark.describe() if not comment else f"{comment} | {mark.describe()}"
    if container in ("matroska", "webm"):  # these take names of any kind
        tags = {tag: getattr(mark, key) for key, tag in _TAGS.items()}
        return {"comment": said, "DIGITAL_SOURCE_TYPE": DIGITAL_SOURCE_TYPE, **tags}
    return {"comment": said, "description": mark.describe()}


def append_xmp(file: Path, mark: EditMark) -> None:
    """Add the mark to an MP4 that is written, as the box at its end that the XMP specification names."""
    xmp = merge_mark(None, mark)
    with file.open("ab") as stream:
        stream.write(struct.pack(">I4s", 8 + len(_XMP_BOX) + len(xmp), b"uuid") + _XMP_BOX + xmp)


def read_film_mark(path: str | Path) -> dict[str, str] | None:
    """Return the provenance that a film carries (MP4, WebP: XMP, Matroska and WebM: tags), or None where there is none.

    A MOV and a GIF have the mark as a sentence for people alone: None.
    """
    path = Path(path)
    if path.suffix.lower() == ".webp":
        try:
            return read_mark(path)
        except ImageError as error:
            raise FilmError(str(error), hint=error.hint) from None
    if path.suffix.lower() in (".mp4", ".m4v"):
        with path.open("rb") as file:
            return parse_mark(_xmp(file))
    with open_film(path) as container:
        tags = {key.upper(): value for key, value in container.metadata.items()}
    if _TAGS["condition"] not in tags:
        return None
    found = {key: tags.get(tag, "") for key, tag in _TAGS.items()}
    return {"digital_source_type": tags.get("DIGITAL_SOURCE_TYPE", ""), **found}


def _xmp(file: BinaryIO) -> bytes | None:
    """Return the content of an MP4's box of XMP."""
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        rest = size - 8
        if size == 1:
            rest = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0] - 16
        if size == 0 or rest < 0:  # to the end of the file, or broken
            return None
        if kind == b"uuid" and file.read(16) == _XMP_BOX:
            return file.read(rest - 16)
        file.seek(rest - (16 if kind == b"uuid" else 0), os.SEEK_CUR)
    return None
