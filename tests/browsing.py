"""A browser as far as the tests of local pages need one: it opens the printed address and keeps the cookie."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from typing import Any

from mien.apps.pages import LocalServer


class Browser:
    """Ask a local page."""

    def __init__(self, server: LocalServer) -> None:
        self.place = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(server.address, timeout=20) as answer:
            self.page = answer.read().decode()
            self.kind: str = answer.headers["Content-Type"]
            self.cookie: str = answer.headers["Set-Cookie"].partition(";")[0]

    def ask(self, path: str, body: Any = None, **headers: str) -> Any:
        """Return the open answer; a body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.place + path, data, {"Cookie": self.cookie, **headers})
        return urllib.request.urlopen(request, timeout=30)

    def fetch(self, path: str, body: Any = None, **headers: str) -> tuple[bytes, Any]:
        """Return content and headers of the answer."""
        with self.ask(path, body, **headers) as answer:
            return answer.read(), answer.headers

    def json(self, path: str, body: Any = None) -> Any:
        """Return the JSON of the answer."""
        return json.loads(self.fetch(path, body)[0])

    @staticmethod
    @contextmanager
    def on(server: LocalServer) -> Iterator[Browser]:
        """Give a browser on a server that runs meanwhile, whatever its own `serve_forever` has become."""
        thread = threading.Thread(target=BaseServer.serve_forever, args=(server,), daemon=True)
        thread.start()
        try:
            yield Browser(server)
        finally:
            server.shutdown()
            thread.join()
