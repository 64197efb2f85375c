"""A film that is open in the studio: its faces are found while the page waits, single frames are edited at once, and the
whole film is written while the page shows how far that is.

What a page wishes of a face are keyframes; what it sees of a frame is what the film will show there, but for compression.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.editing.edits import Start
from mien.editing.film import FilmEdit, edit_film
from mien.editing.film_faces import FilmFace, FilmFaces, Report, find_faces
from mien.editing.film_rendering import check_film_wishes, face_in_frame, frontal_share, render_in_frame
from mien.editing.keyframes import Keyframes
from mien.editing.open_photos import FaceWish, OpenPhoto
from mien.editing.photo import Editor, Face, Rendering
from mien.editing.reading import can_read
from mien.errors import ClosedPhotoError, ConditionError, FaceError, FilmError, MienError
from mien.films import FrameReader
from mien.images import Photo
from mien.warping import scale

#: Frames that are kept as they were last looked at.
_KEPT = 3


class _Stopped(Exception):  # noqa: N818  # no error
    """Ends work that was told to stop."""


class Work:
    """Something that takes long, on a thread of its own: how far it is, what came of it, and how to stop it."""

    def __init__(self, task: Callable[[Report], Any]) -> None:
        """Begin; `task` is given a function that it calls with how much is done, and of how much."""
        self.state = "running"  # then `done`, `failed` or `stopped`
        self.error, self.result = "", None
        self._task, self._done, self._total = task, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def describe(self) -> dict[str, Any]:
        """Describe it for a page."""
        return {"state": self.state, "done": self._done, "total": self._total, "error": self.error}

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._stop.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _run(self) -> None:
        state = "failed"
        try:
            self.result = self._task(self._report)
            state = "done"
        except _Stopped:
            state = "stopped"
        except MienError as error:
            self.error = f"{error}; {error.hint}" if error.hint else str(error)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            raise  # the terminal shows where it came from
        finally:
            self.state = state

    def _report(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._done, self._total = done, total


@dataclass(frozen=True, eq=False)
class FilmWish:
    """What is wished of a film."""

    faces: Mapping[int, Keyframes]
    """What each face shall express, by its number; the others stay as they are."""
    start: Start = "auto"
    """Where the edits start from; see `mien.editing.edits`."""


@dataclass(frozen=True, eq=False)
class OpenFrame(OpenPhoto):
    """One frame of a film as a photo, with those of the film's faces that it shows."""

    index: int = 0
    """Its number, from 0."""
    seconds: float = 0.0
    """When it is shown, from the start of the film."""
    of_film: Mapping[int, FilmFace] = field(default_factory=dict)
    """Those faces on their way through the film."""
    everyone: frozenset[int] = frozenset()
    """Numbers of all faces of the film."""

    def describe(self) -> dict[str, Any]:
        """Describe the frame and its faces by their numbers; boxes are in pixels."""
        return {"index": self.index, "seconds": round(self.seconds, 4), "faces": self.describe_faces()}

    def wishes(self, editor: Editor, wish: FilmWish) -> dict[int, FaceWish]:
        """Return what is wished of those faces that the frame shows; `FaceError` for one that the film has not."""
        if unknown := wish.faces.keys() - self.everyone:
            raise FaceError(f"there is no face {min(unknown)}", hint=f"the film has {len(self.everyone)}")
        check_film_wishes(editor, wish.faces.values(), wish.start)
        return {
            number: FaceWish(path.at(self.seconds, editor.space), wish.start)
            for number, path in wish.faces.items()
            if number in self.faces
        }

    def render(self, editor: Editor, number: int, wish: FaceWish) -> Rendering:
        """Render a face as the film will show it here: faded where it comes, goes, or turns aside."""
        there, face = self.face(number), self.of_film[number]
        assert isinstance(wish.start, str)
        whole = render_in_frame(editor, face, self.index, there, wish.condition, wish.start)
        share = frontal_share(there, "skip") * float(face.weights[self.index - face.first])
        return replace(whole, edit=scale(whole.edit, share))


class OpenFilm:
    """A film, its faces once they are found, and the edited film once it is written."""

    def __init__(self, editor: Editor, path: Path, name: str, folder: Path, *, owned: bool, mark: bool) -> None:
        """Open a film and begin to find its faces; raises `FilmError` for what is none.

        `folder` takes what is written, and `owned` says that the film itself is a copy that goes when it is closed.
        """
        self.name, self.path = name, path
        self._editor, self._folder, self._owned, self._mark = editor, folder, owned, mark
        self._reader = FrameReader(path)
        first = self._reader.read(0)
        if first is None:
            self._reader.close()
            raise FilmError(f"the first frame of `{name}` cannot be read", hint="play it once to see that it is whole")
        self.size = first.shape[:2]
        self._frames: dict[int, OpenFrame] = {}
        self._closed = self._numbered = False
        self._reading, self._changing = threading.Lock(), threading.Lock()
        self.finding = Work(self._find)
        self.writing: Work | None = None

    @property
    def found(self) -> FilmFaces:
        """Its faces; `FilmError` where they are not found yet, or never will be."""
        if not isinstance(self.finding.result, FilmFaces):
            raise FilmError(self.finding.error or "the faces of this film are not found yet", hint="")
        return self.finding.result

    def describe(self) -> dict[str, Any]:
        """Describe the film for a page: how far the work on it is, and its faces and times once they are known."""
        said: dict[str, Any] = {"name": self.name, "film": True, **self.work()}
        if isinstance(self.finding.result, FilmFaces):
            found = self.finding.result
            said |= {
                "height": self.size[0],
                "width": self.size[1],
                "seconds": [round(float(moment), 4) for moment in found.seconds],
                "faces": [{"first": face.first, "last": face.last} for face in found.faces],
            }
        return said

    def work(self) -> dict[str, Any]:
        """Say how far the finding of faces is, and the writing of the edited film, where that was asked for."""
        writing = self.writing
        said = {"finding": self.finding.describe(), "writing": writing and writing.describe()}
        if writing is not None and writing.state == "done":
            _, done = self.written()
            said["written"] = {"frames": done.frames, "edited": done.edited, "notes": list(done.notes)}
        return said

    def frame(self, index: int) -> OpenFrame:
        """Return a frame with its faces; raises `FilmError` where there is none, or the faces are not found yet."""
        found = self.found
        if not 0 <= index < len(found.seconds):
            raise FilmError(f"there is no frame {index}", hint=f"the film has {len(found.seconds)}, from 0")
        with self._reading:
            if self._closed:
                raise ClosedPhotoError("this film is not open any more", hint="open it again")
            if index not in self._frames:
                if not self._numbered:  # from now on as the faces are, which are those of frames that can be decoded
                    self._reader.close()
                    self._reader, self._numbered = FrameReader(self.path, found.stamps), True
                pixels = self._reader.read(index)
                if pixels is None:
                    raise FilmError(f"frame {index} cannot be read", hint="the film may be damaged; try another moment")
                while len(self._frames) >= _KEPT:
                    del self._frames[next(iter(self._frames))]
                self._frames[index] = self._opened(found, index, pixels)
            return self._frames[index]

    def write(self, wish: FilmWish, suffix: str) -> None:
        """Begin to write the edited film; raises `FilmError` while another is being written.

        Raises `ConditionError` or `FaceError` for what cannot be wished.
        """
        found = self.found
        if not wish.faces:
            raise ConditionError("no face of this film is to be edited", hint="choose an expression first")
        for number in wish.faces:
            found.choose(number)
        check_film_wishes(self._editor, wish.faces.values(), wish.start)
        out = self._folder / f"{secrets.token_hex(8)}{suffix}"

        def task(report: Report) -> tuple[Path, FilmEdit]:
            settings: dict[str, Any] = {"start": wish.start, "mark": self._mark, "found": found, "report": report}
            return out, edit_film(self._editor, self.path, out, wish.faces, **settings)

        with self._changing:
            if self._closed:
                raise ClosedPhotoError("this film is not open any more", hint="open it again")
            if self.writing is not None and self.writing.state == "running":
                raise FilmError("this film is being written", hint="wait for it, or stop it")
            self._remove_written()
            self.writing = Work(task)

    def written(self) -> tuple[Path, FilmEdit]:
        """Return the file that was written and what was done; `ClosedPhotoError` where there is none."""
        if self.writing is None or self.writing.state != "done":
            raise ClosedPhotoError("no edited film is written", hint="save it first")
        return self.writing.result  # type: ignore[return-value]  # what the task returned

    def stop(self) -> None:
        """Stop what is being done: the writing, of which nothing is left, or the finding of faces."""
        self.finding.stop()
        with self._changing:
            if self.writing is not None:
                self.writing.stop()

    def close(self) -> None:
        """Stop all work, and remove what was copied and written."""
        self.stop()
        with self._reading:
            self._closed = True
            self._reader.close()
        self._remove_written()
        self._drop_copy()

    def _find(self, report: Report) -> FilmFaces:
        """Find the faces; a film in which there are none, or that is stopped, frees its copy at once."""
        try:
            return find_faces(self._editor, self.path, report=report)
        except BaseException as error:
            self._drop_copy()
            if isinstance(error, MienError):  # which names the copy
                raise type(error)(str(error).replace(str(self.path), self.name), hint=error.hint) from None
            raise

    def _drop_copy(self) -> None:
        if self._owned:
            self.path.unlink(missing_ok=True)

    def _opened(self, found: FilmFaces, index: int, pixels: np.ndarray) -> OpenFrame:
        """Cut the faces out of a frame, and read them."""
        of_film: dict[int, FilmFace] = {}
        faces: dict[int, Face] = {}
        for face in found.faces:
            if face.first <= index <= face.last:
                try:
                    faces[face.number] = face_in_frame(self._editor, face, index, pixels)
                except FaceError:  # landmarks between two sightings that form no face
                    continue
                of_film[face.number] = face
        readings = {n: self._editor.read(face) for n, face in faces.items()} if can_read(self._editor.model) else {}
        photo, moment = Photo(pixels), float(found.seconds[index])
        everyone = frozenset(face.number for face in found.faces)
        return OpenFrame(
            self.name, photo, photo, faces, readings, index=index, seconds=moment, of_film=of_film, everyone=everyone
        )

    def _remove_written(self) -> None:
        if self.writing is not None and self.writing.state == "done":
            self.written()[0].unlink(missing_ok=True)
