"""What is open in the studio: photos, found once and edited at the size of a screen, and films, edited frame by frame.

What a page wishes of each face comes as a whole with every request; all that is kept between two requests is what would
come out the same again.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.conditions import HALVES, Condition
from mien.editing.edits import Start
from mien.editing.figures import gamut_figure, sweep_figure
from mien.editing.open_films import OpenFilm
from mien.editing.open_photos import Done, FaceWish, OpenPhoto, told
from mien.editing.photo import Editor, Rendering
from mien.editing.reading import can_read
from mien.errors import ClosedPhotoError, ConditionError, ConfigError, FaceError, FilmError
from mien.faces import crop_face
from mien.images import encode_photo, read_photo
from mien.spaces import angles_in_degrees, place_of
from mien.warping import apply

#: Photos that stay open, and their pixels together (3 bytes each); a further one closes those used least recently.
_MOST_OPEN, _MOST_PIXELS = 24, 340_000_000
#: Films that stay open; those that came by the page are copies on the disk.
_MOST_FILMS = 6
_FIGURES = {"gamut": gamut_figure, "sweep": sweep_figure}


class Studio:
    """Hold what is open, and edit it with one model; may be called from several threads. `close` ends all work on films."""

    def __init__(self, editor: Editor, *, mark: bool = True) -> None:
        """Set up with an editor; `mark` says whether what is saved carries the mark of an AI edit."""
        self.editor, self.mark = editor, mark
        self._open: dict[str, OpenPhoto | OpenFilm] = {}
        self._used: list[str] = []  # keys, the one used last at the end
        self._changing = threading.Lock()
        # One after the other, since each uses all cores; to find faces takes long, and must not keep edits waiting.
        self._finding, self._rendering = threading.Lock(), threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def describe(self) -> dict[str, Any]:
        """Describe model and space for a page, angles in degrees, and which photos are open."""
        space = self.editor.space
        with self._changing:
            opened = [
                {"key": key, "name": each.name, "film": isinstance(each, OpenFilm)}
                for key, each in self._open.items()
                if not _is_dead(each)
            ]
            films = [each for each in self._open.values() if isinstance(each, OpenFilm)]
        return {
            "model": self.editor.model.name,
            "expressions": list(space.expressions),
            "angles": angles_in_degrees(space),
            "reads": can_read(self.editor.model),
            "marks": self.mark,
            "open": opened,
            "failed": [film.finding.error for film in films if film.finding.state == "failed"],
        }

    def open(self, source: bytes | Path, name: str) -> str:
        """Open a photo, find and read its faces; return the key by which it is asked for.

        Raises `ImageError` for what is no photo and `FaceError` where no face is found.
        """
        photo = read_photo(source, name)
        with self._finding:
            (faces,) = self.editor.find_many([photo])
        if not faces:
            raise FaceError(
                f"no face found in `{name}`",
                hint="turn the photo upright, use a larger face, or start with `mien studio --threshold 0.5`",
            )
        numbered = dict(enumerate(faces, 1))
        readings = {n: self.editor.read(face) for n, face in numbered.items()} if can_read(self.editor.model) else {}
        return self._keep(OpenPhoto(name, photo, photo.opaque(), numbered, readings))

    def open_film(self, path: Path, name: str, *, owned: bool = False) -> str:
        """Open a film and begin to find its faces; return the key by which it is asked for.

        `owned` says that the file is a copy, made by `incoming`, that goes with the film. Raises `FilmError` for what is
        no film, and `ConfigError` where the package is missing that reads them.
        """
        try:
            film = OpenFilm(self.editor, path, name, self._place(), owned=owned, mark=self.mark)
        except BaseException as error:
            if owned:
                path.unlink(missing_ok=True)
            if isinstance(error, ModuleNotFoundError) and error.name == "av":
                raise ConfigError("films need the package `av`", hint="`pip install 'mien[video]'` brings it") from None
            if isinstance(error, FilmError):  # which names the copy
                raise FilmError(str(error).replace(str(path), name), hint=error.hint) from None
            raise
        return self._keep(film)

    def incoming(self, name: str) -> Path:
        """Return where to put a film that comes by the page, so that `open_film` may own it."""
        return self._place() / f"{secrets.token_hex(8)}{Path(name).suffix.lower()}"

    def photo(self, key: str) -> OpenPhoto:
        """Return an open photo; raises `ClosedPhotoError` where there is none of that key."""
        found = self._find(key)
        if not isinstance(found, OpenPhoto):
            raise ClosedPhotoError("this photo is not open any more", hint="open it again")
        return found

    def film(self, key: str) -> OpenFilm:
        """Return an open film; raises `ClosedPhotoError` where there is none of that key."""
        found = self._find(key)
        if not isinstance(found, OpenFilm):
            raise ClosedPhotoError("this film is not open any more", hint="open it again")
        return found

    def close(self) -> None:
        """Stop all work on films, and remove their copies."""
        with self._changing:
            everything = list(self._open.values())
            self._open.clear()
            self._used.clear()
        for each in everything:
            if isinstance(each, OpenFilm):
                each.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def preview(
        self, photo: OpenPhoto, wishes: Mapping[int, FaceWish], view: int = 0
    ) -> tuple[np.ndarray, dict[int, dict[str, Any]]]:
        """Return a view of a photo, or of a film's frame, with some faces edited, and what is now to be said of each.

        `wishes` are by the number of the face, from 1; `view` is 0 for the whole photo or the number of a face. A face
        whose wish the space cannot express stays as it is; its `error` says why.
        """
        shown, said = photo.view(view), dict[int, dict[str, Any]]()
        renderings = []
        for number, wish in wishes.items():
            photo.face(number)
            try:
                done = self._done(photo, number, wish)
            except ConditionError as error:
                said[number] = {"condition": str(wish.condition), "error": str(error)}
                continue
            said[number] = done.said
            renderings.append(replace(done.rendering, face=shown.faces[number]))
        return self.editor.paste(shown.pixels, renderings), said

    def save(self, photo: OpenPhoto, wishes: Mapping[int, FaceWish], suffix: str) -> bytes:
        """Return the edited photo at its own size as a file of that suffix, with what the photo's own file held.

        Raises `ConditionError` where the space cannot express a wish.
        """
        renderings = [self._done(photo, number, wish).rendering for number, wish in wishes.items()]
        mark = None
        if self.mark and wishes:
            asked = "; ".join(str(wishes[number].condition) for number in sorted(wishes))
            mark = self.editor.mark(asked)
        return encode_photo(f"photo{suffix}", self.editor.paste(photo.photo, renderings), photo.photo, mark)

    def thumbnails(
        self, photo: OpenPhoto, number: int, intensity: float, start: Start, size: int, half: str = ""
    ) -> dict[str, np.ndarray]:
        """Return a face, or its `upper` or `lower` half, with each of the model's expressions, and as it is in the `photo`.

        Each is uint8 (size, size, 3).
        """
        if half and half not in HALVES:
            raise ConditionError(f"a face has no {half} half", hint=f"give one of {', '.join(HALVES)}")
        face, names = photo.face(number), self.editor.space.expressions
        wanted = [Condition.named(name, intensity) for name in names]
        if half:
            wanted = [Condition.of_halves(**{half: condition}) for condition in wanted]
        with self._rendering:
            renderings = self.editor.render(face, wanted, start)
        pictures = self.editor.preview(photo.shown, renderings, size)
        before = crop_face(photo.shown.pixels, face.alignment, size)
        return {"photo": before, **dict(zip(names, pictures, strict=True))}

    def figure(self, photo: OpenPhoto, number: int, kind: str, start: Start = "auto") -> bytes:
        """Return a PNG file of what the model can do with a face: `gamut`, the disc, or `sweep`, rising intensity."""
        if kind not in _FIGURES:
            raise ConditionError(f"there is no figure `{kind}`", hint=f"known: {', '.join(_FIGURES)}")
        face = photo.face(number)
        with self._rendering:
            pixels = _FIGURES[kind](self.editor, photo.shown, face, start=start)
        mark = self.editor.mark(kind) if self.mark else None
        return encode_photo("figure.png", pixels, replace(photo.shown, pixels=pixels), mark)

    def _find(self, key: str) -> OpenPhoto | OpenFilm:
        with self._changing:
            if key not in self._open:
                raise ClosedPhotoError("this is not open any more", hint="open it again")
            self._used.remove(key)
            self._used.append(key)
            return self._open[key]

    def _keep(self, opened: OpenPhoto | OpenFilm) -> str:
        """Keep what was opened, and close what was used least recently where there is too much of its kind."""
        key, closed = secrets.token_urlsafe(12), list[OpenFilm]()
        with self._changing:
            self._open[key] = opened
            self._used.append(key)
            while (oldest := self._too_much(key)) is not None:
                self._used.remove(oldest)
                if isinstance(film := self._open.pop(oldest), OpenFilm):
                    closed.append(film)
        for film in closed:  # which waits for its work to end
            film.close()
        return key

    def _too_much(self, newest: str) -> str | None:
        """Return the key of what is to be closed, if anything is."""
        photos = [key for key in self._used if isinstance(self._open[key], OpenPhoto)]
        films = [key for key in self._used if isinstance(self._open[key], OpenFilm)]
        pixels = sum(each.photo.pixels.size // 3 for each in self._open.values() if isinstance(each, OpenPhoto))
        if dead := [key for key in films if key != newest and _is_dead(self._open[key])]:
            return dead[0]
        if (len(photos) > _MOST_OPEN or pixels > _MOST_PIXELS) and photos[0] != newest:
            return photos[0]
        return films[0] if len(films) > _MOST_FILMS else None

    def _place(self) -> Path:
        with self._changing:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="mien-studio-")
            return Path(self._folder.name)

    def _done(self, photo: OpenPhoto, number: int, wish: FaceWish) -> Done:
        """Return the edit of a face, which is made anew where the wish is another than last time."""
        last = photo.done.get(number)
        if last is not None and last.wish == wish:
            return last
        with self._rendering:
            rendering = photo.render(self.editor, number, wish)
            done = photo.done[number] = Done(wish, rendering, self._said(rendering))
        return done

    def _said(self, rendering: Rendering) -> dict[str, Any]:
        """Say what was asked of a face, where that is in the space, and what the critic sees there after the edit."""
        space, condition = self.editor.space, rendering.condition
        said: dict[str, Any] = {"condition": str(condition), "code": place_of(space, condition)}
        said["wish"] = condition.to_json()
        if can_read(self.editor.model):
            after = np.rint(apply(rendering.face.crop, rendering.edit)).astype(np.uint8)
            said["reading"] = told(self.editor.read(replace(rendering.face, crop=after)))
        return said


def _is_dead(opened: OpenPhoto | OpenFilm) -> bool:
    """Say whether this is a film in which no faces were found, or are not to be."""
    return isinstance(opened, OpenFilm) and opened.finding.state in ("failed", "stopped")
