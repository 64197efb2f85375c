"""The page of `mien studio`: photos, their faces, and what a person wishes of them, between a browser and this machine.

    GET  /                                        the page
    GET  /studio                                  the model, its space, and the photos that are open
    POST /photos?name=portrait.jpg                a file; answers with its key and its faces
    GET  /photos/KEY                              the same again
    GET  /photos/KEY/before?view=0                JPEG of the whole photo (0) or of the surroundings of a face (1, ...)
    POST /photos/KEY/after                        {"wishes": {"1": {"expression": "happy", "intensity": 0.8}}, "view": 0}
    POST /photos/KEY/save                         {"wishes": ..., "format": "png"}; answers with the file
    GET  /photos/KEY/faces/1/expressions?start=auto   small pictures of the face with each expression
    GET  /photos/KEY/faces/1/gamut.png, sweep.png     figures of the face

A wish is `{"expression": "fear:0.3,surprise:0.7", "intensity": 0.8}` or `{"angle": 135, "intensity": 0.8}` (degrees),
with `"start"` as `mien edit --from` has it. Errors are `{"error": ...}` with status 400, and 404 where a photo is not
open any more. Requests carry the key of the printed address as a cookie (`mien.apps.pages`).
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

from mien.apps.pages import LocalPage, LocalServer, condition_of
from mien.editing.edits import parse_start
from mien.editing.studio import FaceWish, OpenPhoto, Studio
from mien.errors import ClosedPhotoError, ConditionError, ImageError, MienError
from mien.images import WRITABLE_SUFFIXES

_PAGE = Path(__file__).with_name("studio.html")
#: Longest file that is taken: what fits the limit of pixels as JPEG or 8-bit PNG is shorter.
_LONGEST_FILE = 1 << 29
_THUMBNAIL, _THUMBNAIL_INTENSITY = 96, 0.9
_QUALITY = 88


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
            self.send_json({**self.studio.describe(), "options": self.options})
        elif found := re.fullmatch(r"/photos/([\w-]+)", path):
            self._send_photo(found[1])
        elif found := re.fullmatch(r"/photos/([\w-]+)/before", path):
            photo = self.studio.photo(found[1])
            self.send(_jpeg(photo.view(int(query.get("view", 0))).pixels, photo), "image/jpeg")
        elif found := re.fullmatch(r"/photos/([\w-]+)/faces/(\d+)/expressions", path):
            photo, start = self.studio.photo(found[1]), parse_start(query.get("start", "auto"))
            pictures = self.studio.thumbnails(found[1], int(found[2]), _THUMBNAIL_INTENSITY, start, _THUMBNAIL)
            self.send_json({name: _data_url(picture, photo) for name, picture in pictures.items()})
        elif found := re.fullmatch(r"/photos/([\w-]+)/faces/(\d+)/(gamut|sweep)\.png", path):
            self.send(self.studio.figure(found[1], int(found[2]), found[3]), "image/png")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def post(self, path: str, query: dict[str, str]) -> None:
        """Take a photo, or what is wished of one."""
        if path == "/photos":
            name = Path(query.get("name", "")).name or "photo"
            self._send_photo(self.studio.open(self.body(_LONGEST_FILE), name))
        elif found := re.fullmatch(r"/photos/([\w-]+)/after", path):
            given, photo = self.json_body(), self.studio.photo(found[1])
            pixels, said = self.studio.preview(found[1], _wishes(given), int(given.get("view", 0)))
            self.send_json({"picture": _data_url(pixels, photo), "faces": said})
        elif found := re.fullmatch(r"/photos/([\w-]+)/save", path):
            given, photo = self.json_body(), self.studio.photo(found[1])
            suffix = f".{given.get('format', 'png')}"
            if suffix not in WRITABLE_SUFFIXES:
                raise ImageError(f"cannot write `{suffix}`", hint=f"give one of {', '.join(WRITABLE_SUFFIXES)}")
            content = self.studio.save(found[1], _wishes(given), suffix)
            file = quote(f"{Path(photo.name).stem}-edited{suffix}", errors="replace")
            kind = "image/jpeg" if suffix == ".jpg" else f"image/{suffix[1:]}"
            self.send(content, kind, Content_Disposition=f"attachment; filename*=UTF-8''{file}")
        else:
            self.close_connection = True
            self.send_error(HTTPStatus.NOT_FOUND)

    def status_of(self, error: MienError) -> HTTPStatus:
        """Say by 404 that a photo is not open any more, which the page tells from other errors."""
        return HTTPStatus.NOT_FOUND if isinstance(error, ClosedPhotoError) else HTTPStatus.BAD_REQUEST

    def _send_photo(self, key: str) -> None:
        self.send_json({"key": key, **self.studio.photo(key).describe()})


def _wishes(given: Mapping[str, Any]) -> dict[int, FaceWish]:
    """Read what is wished of each face."""
    wishes = given.get("wishes", {})
    if not isinstance(wishes, dict) or not all(isinstance(wish, dict) for wish in wishes.values()):
        raise ConditionError("`wishes` is no object of objects", hint='for example {"1": {"expression": "happy"}}')
    return {
        int(number): FaceWish(condition_of(wish), parse_start(str(wish.get("start", "auto"))))
        for number, wish in wishes.items()
    }


def _jpeg(pixels: np.ndarray, photo: OpenPhoto) -> bytes:
    """Encode what is shown of a photo, whose colours mean what its own profile says."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, icc_profile=photo.photo.icc_profile)
    return buffer.getvalue()


def _data_url(pixels: np.ndarray, photo: OpenPhoto) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(_jpeg(pixels, photo)).decode()}"
