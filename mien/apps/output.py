"""What the commands put out: words on stderr, pictures that are checked before the work and written whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

#: Kinds of pictures that can be written, by suffix.
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def say(text: str) -> None:
    """Print a line to stderr: talk, as against data."""
    print(text, file=sys.stderr)


def edited_note(prepared: Any) -> str:
    """Return what a person who trains on a prepared set is to know of its edited faces; nothing where there are none."""
    count = int(prepared.edited.sum())
    return f"{count:,} of the {len(prepared):,} images of {prepared.path} are edited faces" if count else ""


def say_start(model: Any, start: str) -> None:
    """Say that edits start from the faces as they are, where `auto` was asked of a model that cannot read them."""
    from mien.editing.reading import can_read

    if start == "auto" and not can_read(model):
        say(f"{model.name} has no critic to read faces with: edits start from the faces as they are (`--from direct`)")


def check_picture(out: Path, photo: Path) -> None:
    """Refuse a file name that could not be written, before the work and not after it."""
    from mien.errors import ImageError

    if out.suffix.lower() not in PICTURES:
        raise ImageError(f"cannot write `{out}`: unknown suffix", hint=f"end --out in {', '.join(PICTURES)}")
    if out.exists() and photo.exists() and out.samefile(photo):
        raise ImageError(f"{out} is the photo itself", hint="give another --out, so that the original stays")


def write_picture(out: Path, pixels: Any, like: Any, mark: Any) -> None:
    """Write uint8 pixels, with the metadata of `like` and the mark if there are such; makes the folder."""
    from mien.images import write_photo

    out.parent.mkdir(parents=True, exist_ok=True)
    write_photo(out, pixels, like=like, mark=mark)
