"""The page of `mien live`: the edited pictures, and what a person wishes of them, between a browser and this machine.

Each browser gets the latest picture when it is done with the one before.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from mien.apps.pages import WISHES, LocalPage, LocalServer, condition_of
from mien.editing.live import LiveEditor, Wish

_PAGE = Path(__file__).with_name("live.html")


def serve(live: LiveEditor, port: int) -> LocalServer:
    """Return a server for the page, bound to this machine; port 0 takes a free one.

    Raises `ConfigError` where the port is taken.
    """
    return LocalServer(port, _Page, {"live": live})


def run(server: LocalServer, live: LiveEditor) -> None:
    """Answer browsers until the source ends, whose error is raised, or until Ctrl-C."""
    server.timeout = 0.5
    try:
        while not live.ended:
            server.handle_request()
    finally:
        live.stop()
        server.server_close()
    if live.error is not None:
        raise live.error


class _Page(LocalPage):
    """Answer the page: itself, the pictures, the state, and the wishes."""

    live: LiveEditor

    def get(self, path: str, query: dict[str, str]) -> None:
        """Serve the page, `/stream`, `/picture` or `/state`."""
        if path == "/":
            self.send_page(_PAGE.read_bytes())
        elif path == "/state":
            self.send_json(self.live.describe())
        elif path == "/picture":
            picture, _ = self.live.pictures.get(timeout=10)
            self.send(picture or b"", "image/jpeg", HTTPStatus.OK if picture else HTTPStatus.SERVICE_UNAVAILABLE)
        elif path == "/stream":
            with contextlib.suppress(OSError):  # the browser has gone
                self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def post(self, path: str, query: dict[str, str]) -> None:
        """Take a wish: of an expression (`mien.apps.pages.condition_of`), of another intensity, or `{"shown": false}`."""
        given, wish = self.json_body(), self.live.wish
        if any(key in given for key in WISHES):
            wish = Wish(condition_of({"intensity": wish.condition.intensity, **given}), wish.shown)
        elif "intensity" in given:
            wish = wish.at(float(given["intensity"]))
        self.live.ask(replace(wish, shown=bool(given.get("shown", wish.shown))))
        self.send_json(self.live.describe())

    def _stream(self) -> None:
        """Send pictures as they come, each of which replaces the one before (MJPEG)."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_private_headers()
        number = 0
        while not self.live.ended:
            picture, newest = self.live.pictures.get(number)
            if newest > number:
                number = newest
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
