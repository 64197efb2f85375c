"""What the pages of this machine share: a server for whoever started it, and conditions as a page sends them.

The server listens on 127.0.0.1 alone, wants the key of the address that it printed (other people may be logged in on the
machine), and answers only pages of its own, since what it shows are somebody's pictures.
"""

from __future__ import annotations

import abc
import contextlib
import hmac
import io
import json
import math
import re
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from mien.conditions import HALVES, Condition
from mien.errors import ConditionError, ConfigError, MienError

#: What a page asks for in JSON is a few hundred bytes.
LONGEST_JSON = 16_384
#: Bytes of a file that are in memory at once.
_PIECE = 1 << 20


class LocalServer(ThreadingHTTPServer):
    """A server on this machine, whose page opens at `address`."""

    daemon_threads = True

    def __init__(self, port: int, handler: type[LocalPage], shared: dict[str, Any]) -> None:
        """Bind a port, whose handlers have `shared` as attributes; port 0 takes a free one.

        Raises `ConfigError` where the port is taken.
        """
        self.key = secrets.token_urlsafe(16)
        try:
            super().__init__(("127.0.0.1", port), type("_Bound", (handler,), shared))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used: {error.strerror}", hint="give another `--port`") from None

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.port}/?key={self.key}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that have gone."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let a closed terminal, and a polite `kill`, end the block as Ctrl-C does, so that it can put things away."""
    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [signal.signal(each, signal.default_int_handler) for each in known]
    try:
        yield
    finally:
        for each, handler in zip(known, before, strict=True):
            signal.signal(each, handler)


#: What a page may send of what a face shall express.
WISHES = ("expression", "angle", *HALVES)


def condition_of(given: Mapping[str, Any]) -> Condition:
    """Read `{"expression": "happy", "intensity": 0.8}`, `{"angle": 135, ...}` or `{"upper": {...}, "lower": {...}}`.

    Raises `ConditionError`, `ValueError`, `TypeError` or `ArithmeticError` for what makes no sense.
    """
    halves = {name: given[name] for name in HALVES if given.get(name) is not None}
    if halves:
        nested = any(not isinstance(half, dict) or any(name in half for name in HALVES) for half in halves.values())
        if nested or "expression" in given or "angle" in given:
            example = '{"upper": {"expression": "sad"}, "lower": {"expression": "happy"}}'
            raise ConditionError(
                "halves of a face need an object each, and nothing beside", hint=f"for example {example}"
            )
        return Condition.of_halves(**{name: condition_of(half) for name, half in halves.items()})
    intensity = float(given.get("intensity", 0.9))
    if "expression" in given:
        return Condition.parse(str(given["expression"]), intensity)
    if "angle" in given:
        return Condition.polar(math.radians(float(given["angle"])), intensity)
    raise ValueError("neither an expression nor an angle")


def _part(asked: str, size: int) -> tuple[int, int]:
    """Return from where to where (excluded) a file is asked for by a header `Range`; all of it where that says nothing."""
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", asked.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:  # the last so many bytes
        return (max(0, size - int(found[2])), size) if int(found[2]) else (0, size)
    begin, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    return (begin, end) if begin < end else (0, size)


class LocalPage(BaseHTTPRequestHandler, abc.ABC):
    """Answer a page of this machine: `get` and `post` do the work, and what they raise becomes an answer."""

    protocol_version = "HTTP/1.1"
    server: LocalServer

    def do_GET(self) -> None:
        """Answer with what `get` makes of the path."""
        self._answer(self.get)

    def do_POST(self) -> None:
        """Answer with what `post` makes of the path and the body."""
        self._answer(self.post)

    @abc.abstractmethod
    def get(self, path: str, query: dict[str, str]) -> None:
        """Answer a request for a path."""

    @abc.abstractmethod
    def post(self, path: str, query: dict[str, str]) -> None:
        """Answer a request that brings a body, which `body` reads."""

    def body(self, longest: int) -> bytes:
        """Return the body; `ValueError` where there is none, or more than `longest` bytes."""
        length = self._length(longest)
        self._unread = False
        return self.rfile.read(length)

    def body_into(self, file: Path, longest: int) -> None:
        """Write the body to a file, piece by piece; `ValueError` where there is none, too much, or not all of it."""
        left = self._length(longest)
        with file.open("xb") as out:
            while left and (piece := self.rfile.read(min(left, _PIECE))):
                out.write(piece)
                left -= len(piece)
        if left:
            raise ValueError("the file did not arrive whole")
        self._unread = False

    def json_body(self, longest: int = LONGEST_JSON) -> dict[str, Any]:
        """Return the body's JSON object; `ValueError` where it is none."""
        given = json.loads(self.body(longest))
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

    def send_file(self, file: Path, kind: str, **headers: str) -> None:
        """Send a file, or the part of it that a player asks for; in names of headers `_` stands for `-`."""
        with file.open("rb") as content:
            size = content.seek(0, io.SEEK_END)
            begin, end = _part(self.headers.get("Range", ""), size)
            whole = end - begin == size
            self.send_response(HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT)
            told = {} if whole else {"Content_Range": f"bytes {begin}-{end - 1}/{size}"}
            told |= {"Content_Type": kind, "Content_Length": str(end - begin), "Accept_Ranges": "bytes", **headers}
            for name, value in told.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_private_headers()
            content.seek(begin)
            while begin < end:
                piece = content.read(min(_PIECE, end - begin))
                self.wfile.write(piece)
                begin += len(piece)

    def send_page(self, page: bytes) -> None:
        """Send the page, and with it the key, which the page's own requests bring back as a cookie."""
        cookie = f"{self._cookie_name()}={self.server.key}; HttpOnly; SameSite=Strict; Path=/"
        self.send(page, "text/html; charset=utf-8", Set_Cookie=cookie)

    def send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send a value as JSON."""
        self.send(json.dumps(value).encode(), "application/json", status)

    def send_problem(self, error: Exception, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        """Send an error and its hint as JSON."""
        hint = getattr(error, "hint", "")
        self.send_json({"error": f"{error}; {hint}" if hint else str(error)}, status)

    def end_private_headers(self) -> None:
        """End the headers with those that keep an answer from other pages and from caches."""
        if self._unread:  # what is left of the body is no request
            self.close_connection = True
            self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a line for each request would bury what matters."""

    def _answer(self, work: Callable[[str, dict[str, str]], None]) -> None:
        self._unread = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        path, _, text = self.path.partition("?")
        query = {name: values[-1] for name, values in parse_qs(text).items()}
        if refusal := self._refusal(path, query):
            self.send(refusal.encode(), "text/plain; charset=utf-8", HTTPStatus.FORBIDDEN)
            return
        try:
            work(path, query)
        except MienError as error:
            self.send_problem(error, self.status_of(error))
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            self.send_problem(error)
        except ConnectionError:
            raise
        except OSError as error:
            if self.command == "POST":  # of a GET, a part may be on its way
                self.send_problem(ConfigError(f"a file cannot be written: {error.strerror}", hint="is the disk full?"))
            else:
                raise

    def status_of(self, error: MienError) -> HTTPStatus:
        """Return with which status an error is told."""
        return HTTPStatus.BAD_REQUEST

    def _length(self, longest: int) -> int:
        """Return how long the body is."""
        length = int(self.headers.get("Content-Length", 0))
        if length <= 0:
            raise ValueError("nothing was sent, or an empty file")
        if length > longest:
            raise ValueError(f"{length} bytes are too many: {longest} at most")
        return length

    def _refusal(self, path: str, query: dict[str, str]) -> str:
        """Say why a request is refused: it comes by another name, from a page of somebody else, or without the key."""
        names = {f"{name}:{self.server.port}" for name in ("127.0.0.1", "localhost")}
        if self.server.port == 80:  # which browsers leave out
            names |= {"127.0.0.1", "localhost"}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in names or not (origin is None or origin.removeprefix("http://") in names):
            return "This page answers its own machine alone."
        # By hand, for what other programs of this machine leave in a browser need not be well-formed.
        cookies = (each.strip().partition("=") for each in self.headers.get("Cookie", "").split(";"))
        keys = [value for name, _, value in cookies if name == self._cookie_name()]
        if path == "/" and self.command == "GET":
            keys.append(query.get("key", ""))
        if any(hmac.compare_digest(each.encode(), self.server.key.encode()) for each in keys):
            return ""
        return "Open the whole address that was printed in the terminal, with its key."

    def _cookie_name(self) -> str:
        return f"mien{self.server.port}"  # a browser does not tell ports apart
