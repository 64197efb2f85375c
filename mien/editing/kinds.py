"""Which files are photos and which are films, said before a model is opened."""

from __future__ import annotations

import itertools
from pathlib import Path

from mien.errors import FilmError, ImageError
from mien.films import is_film, open_film, packets
from mien.images import is_still


def check_photo(path: Path) -> None:
    """Raise `ImageError` for what is a film by its name, whose commands are others."""
    if is_film(path):
        raise ImageError(f"`{path}` is a film", hint="`mien video` edits films, `mien read` reads them")


def check_film(path: Path | str) -> None:
    """Raise `FilmError` for what is no film, also for photos, of which ffmpeg makes films of one frame."""
    with open_film(path) as container:
        still = None if container.format.name == "gif" else is_still(Path(path))
        if still is None:
            return
        shown = (packet for packet in packets(container, container.streams.video[0]) if packet.size)
        if len(list(itertools.islice(shown, 2))) > 1:  # pictures in a row, as cameras send them
            return
    if still:
        hint = "`mien edit` edits photos, `mien animate` makes a film of one"
        raise FilmError(f"`{path}` is a photo, not a film", hint=hint)
    raise FilmError(f"`{path}` is an animation of a kind that cannot be read as a film", hint="save it as GIF or MP4")
