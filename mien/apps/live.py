"""The page of `mien live`: the edited pictures, and what a person wishes of them, between a browser and this machine.

The server listens on 127.0.0.1 alone and answers only pages of its own, since what it shows is somebody's camera. Each
browser gets the latest picture when it is done with the one before.
"""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mien.editing.live import LiveEditor, Wish
from mien.errors import FilmError, MienError
from mien.spaces import Condition

_PAGE = Path(__file__).with_name("live.html")
#: A request's body is a condition in JSON: a few dozen bytes.
_LONGEST_BODY = 4096


def serve(live: LiveEditor, port: int) -> ThreadingHTTPServer:
    """Return a server for the page, bound to this machine; `serve_forever` runs it. Port 0 takes a free one.

    Raises `FilmError` where the port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), type("_Bound", (_Handler,), {"live": live}))
    except OSError as error:
        raise FilmError(f"port {port} cannot be used: {error.strerror}", hint="give another `--port`") from None
    server.daemon_threads = True
    return server


def run(server: ThreadingHTTPServer, live: LiveEditor) -> None:
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


class _Handler(BaseHTTPRequestHandler):
    """Answer the page: itself, the pictures, the state, and the wishes."""

    live: LiveEditor
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve the page, `/stream`, `/picture` or `/state`."""
        if not self._is_own():
            return
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(_PAGE.read_bytes(), "text/html; charset=utf-8")
        elif path == "/state":
            self._send(json.dumps(self.live.describe()).encode(), "application/json")
        elif path == "/picture":
            picture, _ = self.live.pictures.get(timeout=10)
            self._send(picture or b"", "image/jpeg", HTTPStatus.OK if picture else HTTPStatus.SERVICE_UNAVAILABLE)
        elif path == "/stream":
            with contextlib.suppress(OSError):  # the browser has gone
                self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Take a wish: `{"expression": "happy", "intensity": 0.8}`, `{"angle": 135, ...}` or `{"shown": false}`."""
        if not self._is_own():
            return
        try:
            length = int(self.headers.get("Content-Length", 0))
            given = json.loads(self.rfile.read(length)) if 0 < length <= _LONGEST_BODY else None
            if not isinstance(given, dict):
                raise ValueError("a wish is a JSON object")
            self.live.ask(_wish(given, self.live.wish))
        except (ValueError, TypeError, MienError) as error:
            hint = getattr(error, "hint", "")
            answer = json.dumps({"error": f"{error}; {hint}" if hint else str(error)}).encode()
            self.close_connection = True  # what is left of the body is no request
            self._send(answer, "application/json", HTTPStatus.BAD_REQUEST)
            return
        self._send(json.dumps(self.live.describe()).encode(), "application/json")

    def _is_own(self) -> bool:
        """Refuse what comes from a page of somebody else: another name of this machine, or another origin."""
        port = self.server.server_address[1]  # type: ignore[index]
        own = {f"127.0.0.1:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in own and (origin is None or origin.removeprefix("http://") in own):
            return True
        self.close_connection = True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self._end_headers()
        self.wfile.write(body)

    def _end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()

    def _stream(self) -> None:
        """Send pictures as they come, each of which replaces the one before (MJPEG)."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self._end_headers()
        number = 0
        while not self.live.ended:
            picture, newest = self.live.pictures.get(number)
            if newest > number:
                number = newest
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a line for each request would bury what matters."""


def _wish(given: dict[str, Any], before: Wish) -> Wish:
    """Read what the page sent; what it leaves out stays as it was."""
    intensity = float(given.get("intensity", before.condition.intensity))
    shown = bool(given.get("shown", before.shown))
    if "expression" in given:
        return Wish(Condition.parse(str(given["expression"]), intensity), shown)
    if "angle" in given:
        return Wish(Condition.polar(math.radians(float(given["angle"])), intensity), shown)
    return Wish(replace(before.condition, intensity=intensity), shown)
