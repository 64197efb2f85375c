"""A browser as far as the tests of local pages need one: it opens the printed address and keeps the cookie."""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from typing import Any

import numpy as np
import pytest

from mien.apps.pages import LocalServer
from mien.images import read_image


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


def told(page: Browser, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    """Return status and error of a request that is refused."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        page.fetch(path, body, **headers)
    content = caught.value.read().decode()
    return caught.value.code, json.loads(content)["error"] if content.startswith("{") else ""


def decoded(address: str) -> np.ndarray:
    """Return the pixels of a JPEG that came as an address."""
    assert address.startswith("data:image/jpeg;base64,")
    return read_image(base64.b64decode(address.partition(",")[2]))
