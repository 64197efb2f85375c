"""The page of `mien studio`: photos and films, their faces, and what a person wishes of them, between a browser and this
machine.

    GET  /                                        the page
    GET  /studio                                  the model, its space, and what is open
    POST /photos?name=portrait.jpg                a file; answers with its key and its faces
    GET  /photos/KEY                              the same again
    GET  /photos/KEY/before?view=0                JPEG of the whole photo (0) or of the surroundings of a face (1, ...)
    POST /photos/KEY/after                        {"wishes": {"1": {"expression": "happy", "intensity": 0.8}}, "view": 0}
    POST /photos/KEY/save                         {"wishes": ..., "format": "png"}; answers with the file
    GET  /photos/KEY/faces/1/expressions?start=auto   small pictures of the face with each expression; `half=upper`
    GET  /photos/KEY/faces/1/gamut.png, sweep.png     figures of the face, ?start=auto

    POST /films?name=talk.mp4                     a file; answers with its key while its faces are being found
    GET  /films/KEY                               the film, and its faces and times once they are known
    GET  /films/KEY/work                          how far the finding of faces is, and the writing
    GET  /films/KEY/frames/12                     the faces of a frame; below it `before`, `after`, `faces` as of a photo
    POST /films/KEY/write                         {"wishes": ..., "start": "auto", "format": "mp4"}; begins to write it
    POST /films/KEY/stop                          stops that
    GET  /films/KEY/edited                        the film that was written

A wish is `{"expression": "fear:0.3,surprise:0.7", "intensity": 0.8}` or `{"angle": 135, "intensity": 0.8}` (degrees), or
`{"upper": ..., "lower": ...}`, of which one may be missing, with `"start"` as `mien edit --from` has it. Of a film's face
it is a list of these, each at its `"seconds"`, and the start is the whole film's. Errors are `{"error": ...}` with status
400, and 404 where a photo or film is not open any more.
Requests carry the key of the printed address as a cookie (`mien.apps.pages`).
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from mien.apps.pages import LONGEST_JSON, LocalPage, LocalServer, condition_of
from mien.conditions import Condition
from mien.editing.edits import parse_start
from mien.editing.keyframes import Keyframe, Keyframes
from mien.editing.open_films import FilmWish, OpenFrame
from mien.editing.open_photos import FaceWish, OpenPhoto
from mien.editing.studio import Studio
from mien.errors import ClosedPhotoError, ConditionError, FilmError, ImageError, MienError
from mien.films import FILM_SUFFIXES, is_film
from mien.images import WRITABLE_SUFFIXES

_PAGE = Path(__file__).with_name("studio.html")
#: Longest files that are taken: what fits the limit of pixels as JPEG or 8-bit PNG is shorter; films are copied.
_LONGEST_PHOTO, _LONGEST_FILM = 1 << 29, 1 << 36
#: Keyframes are a hundred bytes each.
_LONGEST_WISHES = 1 << 20
_THUMBNAIL, _THUMBNAIL_INTENSITY = 96, 0.9
_QUALITY = 88
#: What films are written as, and what that is called.
_FILM_KINDS = {".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska", ".gif": "image/gif"}
#: What the page takes for films.
_OPENED_FILMS = tuple(suffix for suffix in FILM_SUFFIXES if is_film(Path(f"film{suffix}")))


def serve(studio: Studio, port: int, options: Sequence[str] = ()) -> LocalServer:
    """Return a server for the page, bound to this machine; `serve_forever` runs it. Port 0 takes a free one.

    `options` are those that `mien edit` needs to do the same: the model, the detector's threshold, and so on. Raises
    `ConfigError` where the port is taken.
    """
    return LocalServer(port, _Page, {"studio": studio, "options": list(options)})


class _Page(LocalPage):
    """Answer the page."""

    studio: Studio
    options: list[str]

    def get(self, path: str, query: dict[str, str]) -> None:
        """Serve the page, what is open, and pictures of it."""
        if path == "/":
            self.send_page(_PAGE.read_bytes())
        elif path == "/studio":
            self.send_json({**self.studio.describe(), "options": self.options, "films": _OPENED_FILMS})
        elif path == "/wish":  # in words, which become numbers
            self.send_json(Condition.parse(query.get("said", "")).to_json())
        elif found := re.fullmatch(r"/photos/([\w-]+)", path):
            self._send_photo(found[1])
        elif found := re.fullmatch(r"/films/([\w-]+)(/work|/edited|)", path):
            self._get_film(found[1], found[2], query)
        elif (found := self._picture(path)) is not None:
            self._get_picture(*found, query)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def post(self, path: str, query: dict[str, str]) -> None:
        """Take a photo or a film, or what is wished of one."""
        if path == "/photos":
            self._send_photo(self.studio.open(self.body(_LONGEST_PHOTO), _name(query)))
        elif path == "/films":
            self._take_film(_name(query))
        elif found := re.fullmatch(r"/films/([\w-]+)/(write|stop)", path):
            film = self.studio.film(found[1])
            if found[2] == "stop":
                film.stop()
            else:
                given = self.json_body(_LONGEST_WISHES)
                film.write(_film_wish(given), _suffix(given, "mp4", _FILM_KINDS))
            self.send_json(film.work())
        elif (found := self._picture(path)) is not None and found[1] in ("after", "save"):
            self._post_wishes(*found)
        else:
            self.close_connection = True
            self.send_error(HTTPStatus.NOT_FOUND)

    def _picture(self, path: str) -> tuple[OpenPhoto, str] | None:
        """Return the photo, or the frame of a film, that a path names, and what of it is asked for."""
        if found := re.fullmatch(r"/photos/([\w-]+)/(.+)", path):
            return self.studio.photo(found[1]), found[2]
        if found := re.fullmatch(r"/films/([\w-]+)/frames/(\d{1,9})(?:/(.+))?", path):
            return self.studio.film(found[1]).frame(int(found[2])), found[3] or ""
        return None

    def _get_picture(self, picture: OpenPhoto, asked: str, query: dict[str, str]) -> None:
        if asked == "" and isinstance(picture, OpenFrame):
            self.send_json(picture.describe())
        elif asked == "before":
            self.send(_jpeg(picture.view(int(query.get("view", 0))).pixels, picture), "image/jpeg")
        elif found := re.fullmatch(r"faces/(\d+)/expressions", asked):
            start = parse_start(query.get("start", "auto"))
            asked_of = picture, int(found[1]), _THUMBNAIL_INTENSITY, start, _THUMBNAIL
            pictures = self.studio.thumbnails(*asked_of, query.get("half", ""))
            self.send_json({name: _data_url(pixels, picture) for name, pixels in pictures.items()})
        elif found := re.fullmatch(r"faces/(\d+)/(gamut|sweep)\.png", asked):
            start = parse_start(query.get("start", "auto"))
            self.send(self.studio.figure(picture, int(found[1]), found[2], start), "image/png")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _post_wishes(self, picture: OpenPhoto, asked: str) -> None:
        """Answer with a photo or a frame after the edits that are wished, or with the photo's file."""
        given = self.json_body(_LONGEST_WISHES if isinstance(picture, OpenFrame) else LONGEST_JSON)
        if isinstance(picture, OpenFrame):
            if asked != "after":
                raise FilmError("a film is not saved frame by frame", hint="ask for `write`")
            wishes = picture.wishes(self.studio.editor, _film_wish(given))
        else:
            wishes = _wishes(given)
        if asked == "after":
            pixels, said = self.studio.preview(picture, wishes, int(given.get("view", 0)))
            self.send_json({"picture": _data_url(pixels, picture), "faces": said})
            return
        suffix = _suffix(given, "png", WRITABLE_SUFFIXES)
        content = self.studio.save(picture, wishes, suffix)
        kind = "image/jpeg" if suffix == ".jpg" else f"image/{suffix[1:]}"
        self.send(content, kind, Content_Disposition=_attachment(picture.name, suffix))

    def _get_film(self, key: str, asked: str, query: dict[str, str]) -> None:
        film = self.studio.film(key)
        if asked == "/edited":
            file, _ = film.written()
            suffix = file.suffix
            shown = {} if "watch" in query else {"Content_Disposition": _attachment(film.name, suffix)}
            self.send_file(file, _FILM_KINDS[suffix], **shown)
        else:
            self.send_json(film.work() if asked else {"key": key, **film.describe()})

    def _take_film(self, name: str) -> None:
        copy = self.studio.incoming(name)
        try:
            self.body_into(copy, _LONGEST_FILM)
            key = self.studio.open_film(copy, name, owned=True)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        self._get_film(key, "", {})

    def status_of(self, error: MienError) -> HTTPStatus:
        """Say by 404 that a photo or film is not open any more, which the page tells from other errors."""
        return HTTPStatus.NOT_FOUND if isinstance(error, ClosedPhotoError) else HTTPStatus.BAD_REQUEST

    def _send_photo(self, key: str) -> None:
        self.send_json({"key": key, **self.studio.photo(key).describe()})


def _name(query: dict[str, str]) -> str:
    return Path(query.get("name", "")).name or "photo"


def _suffix(given: Mapping[str, Any], usual: str, known: Mapping[str, str] | Sequence[str]) -> str:
    suffix = f".{given.get('format', usual)}"
    if suffix not in known:
        raise ImageError(f"cannot write `{suffix}`", hint=f"give one of {', '.join(known)}")
    return suffix


def _attachment(name: str, suffix: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(f'{Path(name).stem}-edited{suffix}', errors='replace')}"


def _wishes(given: Mapping[str, Any]) -> dict[int, FaceWish]:
    """Read what is wished of each face of a photo."""
    wishes = given.get("wishes", {})
    if not isinstance(wishes, dict) or not all(isinstance(wish, dict) for wish in wishes.values()):
        raise ConditionError("`wishes` is no object of objects", hint='for example {"1": {"expression": "happy"}}')
    return {
        int(number): FaceWish(condition_of(wish), parse_start(str(wish.get("start", "auto"))))
        for number, wish in wishes.items()
    }


def _film_wish(given: Mapping[str, Any]) -> FilmWish:
    """Read what is wished of each face of a film, over time."""
    wishes = given.get("wishes", {})
    lists = isinstance(wishes, dict) and all(isinstance(path, list) for path in wishes.values())
    if not lists or not all(isinstance(wish, dict) for path in wishes.values() for wish in path):
        example = '{"1": [{"seconds": 0, "expression": "happy"}]}'
        raise ConditionError("`wishes` is no object of lists of objects", hint=f"for example {example}")
    paths = {
        int(number): Keyframes(tuple(Keyframe(float(wish.get("seconds", 0)), condition_of(wish)) for wish in path))
        for number, path in wishes.items()
    }
    return FilmWish(paths, parse_start(str(given.get("start", "auto"))))


def _jpeg(pixels: np.ndarray, photo: OpenPhoto) -> bytes:
    """Encode what is shown of a photo, whose colours mean what its own profile says."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, icc_profile=photo.photo.icc_profile)
    return buffer.getvalue()


def _data_url(pixels: np.ndarray, photo: OpenPhoto) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(_jpeg(pixels, photo)).decode()}"
