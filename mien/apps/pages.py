"""What the pages of this machine share: a server that nobody else can see, and conditions as a page sends them.

The server listens on 127.0.0.1 alone and answers only pages of its own, since what it shows are somebody's pictures.
"""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mien.errors import ConfigError, MienError
from mien.spaces import Condition

#: What a page asks for in JSON is a few hundred bytes.
LONGEST_JSON = 16_384


def bind(handler: type[LocalPage], port: int, **shared: Any) -> ThreadingHTTPServer:
    """Return a server on this machine's port whose handlers have `shared` as attributes; port 0 takes a free one.

    Raises `ConfigError` where the port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), type("_Bound", (handler,), shared))
    except OSError as error:
        raise ConfigError(f"port {port} cannot be used: {error.strerror}", hint="give another `--port`") from None
    server.daemon_threads = True
    return server


def address(server: ThreadingHTTPServer) -> str:
    """Return where a browser finds the page."""
    return f"http://127.0.0.1:{server.server_address[1]}"


def condition_of(given: dict[str, Any], before: Condition | None = None) -> Condition:
    """Read `{"expression": "happy", "intensity": 0.8}` or `{"angle": 135, ...}`; what it leaves out is as `before`.

    Raises `ConditionError`, `ValueError` or `TypeError` for what makes no sense.
    """
    intensity = float(given.get("intensity", before.intensity if before else 0.9))
    if "expression" in given:
        return Condition.parse(str(given["expression"]), intensity)
    if "angle" in given:
        return Condition.polar(math.radians(float(given["angle"])), intensity)
    if before is None:
        raise ValueError("neither an expression nor an angle")
    return Condition(before.shares, intensity, before.angle_radians)


class LocalPage(BaseHTTPRequestHandler):
    """Answer pages of this machine: `get` and `post` do the work, and what they raise becomes an answer."""

    protocol_version = "HTTP/1.1"
    _unread = False

    def do_GET(self) -> None:
        """Answer with what `get` makes of the path, or with `404`."""
        self._answer(self.get)

    def do_POST(self) -> None:
        """Answer with what `post` makes of the path and the body."""
        self._answer(self.post)

    def get(self, path: str, query: str) -> None:
        """Answer a request for a path."""
        raise NotImplementedError

    def post(self, path: str, query: str) -> None:
        """Answer a request that brings a body, which `body` reads."""
        raise NotImplementedError

    def answer_error(self, error: Exception) -> None:
        """Answer with what went wrong in a request."""
        self.send_problem(error, HTTPStatus.BAD_REQUEST)

    def send_problem(self, error: Exception, status: HTTPStatus) -> None:
        """Send an error and its hint as JSON."""
        hint = getattr(error, "hint", "")
        self.send_json({"error": f"{error}; {hint}" if hint else str(error)}, status)

    def body(self, longest: int) -> bytes:
        """Return the body; `ValueError` where there is none, or more than `longest` bytes."""
        length = int(self.headers.get("Content-Length", 0))
        if not 0 < length <= longest:
            raise ValueError(f"a body of {length} bytes, where 1 to {longest} are expected")
        self._unread = False
        return self.rfile.read(length)

    def json_body(self) -> dict[str, Any]:
        """Return the body's JSON object; `ValueError` where it is none."""
        given = json.loads(self.body(LONGEST_JSON))
        if not isinstance(given, dict):
            raise ValueError("not a JSON object")
        return given

    def send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> None:
        """Send a whole answer; in names of headers `_` stands for `-`."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_private_headers()
        self.wfile.write(body)

    def send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send a value as JSON."""
        self.send(json.dumps(value).encode(), "application/json", status)

    def end_private_headers(self) -> None:
        """End the headers with those that keep an answer from other pages and from caches."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a line for each request would bury what matters."""

    def _answer(self, work: Any) -> None:
        if not self._is_own():
            return
        path, _, query = self.path.partition("?")
        self._unread = self.command == "POST"
        try:
            work(path, query)
        except (ValueError, TypeError, MienError) as error:
            self.close_connection = self.close_connection or self._unread  # what is left of the body is no request
            self.answer_error(error)
        except ConnectionError:  # the browser has gone
            self.close_connection = True

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
