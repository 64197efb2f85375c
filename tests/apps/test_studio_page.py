"""The page of `mien studio`, over HTTP as a browser asks."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from browsing import Browser, decoded, told
from PIL import Image

import mien as package
from mien.apps import studio as page_of_studio
from mien.apps.studio import serve
from mien.editing.studio import Studio
from mien.images import read_image, read_mark, read_photo

PAGE = Path(page_of_studio.__file__).with_name("studio.html").read_text()


@pytest.fixture(scope="module")
def page(model: Path) -> Iterator[Browser]:
    server = serve(Studio(package.load(str(model))), 0, ["--model", str(model)])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Browser(server)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, portrait: Image.Image) -> Path:
    path = tmp_path_factory.mktemp("photo") / "my portrait.png"
    portrait.save(path)
    return path


@pytest.fixture(scope="module")
def opened(page: Browser, photo: Path) -> dict[str, Any]:
    return page.json(f"/photos?name={quote(photo.name)}", photo.read_bytes())


def test_the_page_is_whole(page: Browser) -> None:
    assert page.kind.startswith("text/html") and page.page == PAGE
    state = page.json("/studio")
    assert state["options"][0] == "--model"
    assert state["expressions"][0] == "neutral" and set(state["angles"]) == set(state["expressions"][1:])


def test_the_script_asks_for_elements_that_the_page_has_and_for_nothing_elsewhere() -> None:
    asked = set(re.findall(r'by\("(\w+)"\)', PAGE))
    had = re.findall(r'\bid="(\w+)"', PAGE)
    assert len(asked) > 20 and asked <= set(had) and len(had) == len(set(had))
    elsewhere = [place for place in re.findall(r"https?://[^\s\"']+", PAGE) if "w3.org" not in place]
    assert not elsewhere


def test_a_photo_is_opened_edited_and_saved(page: Browser, photo: Path, opened: dict[str, Any]) -> None:
    assert opened["name"] == "my portrait.png" and len(opened["faces"]) == 1
    x0, y0, x1, y1 = opened["faces"][0]["box"]
    assert page.json(f"/photos/{opened['key']}") == opened
    assert {"key": opened["key"], "name": opened["name"], "film": False} in page.json("/studio")["open"]
    before, headers = page.fetch(f"/photos/{opened['key']}/before?view=0")
    assert headers["Content-Type"] == "image/jpeg"
    wish = {"wishes": {"1": {"expression": "happy", "intensity": 1, "start": "direct"}}}
    answer = page.json(f"/photos/{opened['key']}/after", wish)
    change = np.abs(decoded(answer["picture"]).astype(int) - read_image(before)).mean(axis=2)
    inside = change[round(y0) : round(y1), round(x0) : round(x1)]
    assert inside.mean() > 5 and change[:8].mean() < 2
    assert answer["faces"]["1"]["condition"] == "happy @ 1"
    assert sum(answer["faces"]["1"]["reading"]["expressions"].values()) == pytest.approx(1, abs=0.01)

    saved, headers = page.fetch(f"/photos/{opened['key']}/save", {**wish, "format": "png"})
    assert headers["Content-Disposition"].endswith("my%20portrait-edited.png")
    picture = read_photo(saved)
    assert picture.pixels.shape == read_image(photo).shape
    assert np.array_equal(picture.pixels[:8], read_image(photo)[:8])


def test_the_halves_of_a_face_come_back_as_they_were_sent(page: Browser, opened: dict[str, Any]) -> None:
    halves = {"upper": {"expression": "sad", "intensity": 0.9}, "lower": {"angle": 40.5, "intensity": 0.4}}
    answer = page.json(f"/photos/{opened['key']}/after", {"wishes": {"1": halves}})
    said = answer["faces"]["1"]
    assert (said["condition"], said["code"]) == ("upper half sad @ 0.9, lower half 40 deg @ 0.4", None)
    assert said["wish"] == halves


def test_the_command_that_the_page_shows_writes_the_same_picture(
    page: Browser, photo: Path, opened: dict[str, Any], mien: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    assert mien("edit", photo, "--angle", "40.5", "--intensity", "0.7", "-m", model, "-o", out).code == 0
    body = {"wishes": {"1": {"angle": 40.5, "intensity": 0.7}}, "format": "png"}
    saved = page.fetch(f"/photos/{opened['key']}/save", body)[0]
    assert np.array_equal(read_image(saved), read_image(out))
    (tmp_path / "saved.png").write_bytes(saved)
    assert read_mark(tmp_path / "saved.png") == read_mark(out)


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ("a bit fearful, mostly surprised", {"expression": "fear:0.3,surprise:0.7", "intensity": 0.9}),
        ("terrified", {"expression": "fear", "intensity": 1}),
        ("135@0.5", {"angle": 135, "intensity": 0.5}),
        (
            "upper=slightly sad/lower=happy",
            {"upper": {"expression": "sad", "intensity": 0.3}, "lower": {"expression": "happy", "intensity": 0.9}},
        ),
    ],
)
def test_words_come_back_as_a_wish(page: Browser, opened: dict[str, Any], words: str, wish: dict[str, Any]) -> None:
    assert page.json(f"/wish?{urlencode({'said': words})}") == wish
    answer = page.json(f"/photos/{opened['key']}/after", {"wishes": {"1": wish}})
    assert answer["faces"]["1"]["wish"] == wish


def test_words_that_say_nothing_are_refused(page: Browser) -> None:
    for asked, said in (("said=grumpy", "grumpy"), ("", "names no expression")):
        code, error = told(page, f"/wish?{asked}", None)
        assert code == 400 and said in error


def test_small_pictures_and_figures(page: Browser, opened: dict[str, Any]) -> None:
    face = f"/photos/{opened['key']}/faces/1"
    pictures = page.json(f"{face}/expressions?start=direct")
    assert len(pictures) == 8 and all(decoded(picture).shape == (96, 96, 3) for picture in pictures.values())
    upper = page.json(f"{face}/expressions?start=direct&half=upper")
    whole, halved, before = (
        decoded(each)[..., 0].astype(int) for each in (pictures["happy"], upper["happy"], upper["photo"])
    )
    assert np.abs(halved[:30] - whole[:30]).mean() < 2 < np.abs(halved[70:] - whole[70:]).mean()
    assert np.abs(halved[70:] - before[70:]).mean() < 2
    content, headers = page.fetch(f"{face}/sweep.png")
    assert headers["Content-Type"] == "image/png" and read_image(content).shape[0] > 500
    assert page.fetch(f"{face}/sweep.png?start=auto")[0] == content
    assert page.fetch(f"{face}/sweep.png?start=neutral")[0] != page.fetch(f"{face}/sweep.png?start=direct")[0]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("after", {"wishes": {"1": {"expression": "hapy"}}}, "happy"),
        ("after", {"wishes": {"1": {"expression": "happy", "intensity": 10**400}}}, "too large"),
        ("after", b'{"wishes": {}, "view": 1e999}', "infinity"),
        ("after", b"[" * 16_000, ""),
        ("after", b"", "nothing was sent"),
        ("after", {"wishes": {"1": {"expression": "happy", "intensity": 7}}}, "out of range"),
        ("after", {"wishes": {"1": {"angle": "left"}}}, "left"),
        ("after", {"wishes": {"1": {}}}, "neither"),
        ("after", {"wishes": {"1": {"upper": "happy"}}}, "an object each"),
        ("after", {"wishes": {"1": {"upper": {"lower": {"expression": "happy"}}}}}, "an object each"),
        ("after", {"wishes": {"1": {"upper": {"expression": "sad"}, "expression": "happy"}}}, "nothing beside"),
        ("after", {"wishes": {"2": {"expression": "happy"}}}, "no face 2"),
        ("after", {"wishes": {"one": {"expression": "happy"}}}, "one"),
        ("after", {"wishes": ["happy"]}, "wishes"),
        ("after", {"wishes": {"1": {"expression": "happy", "start": "anywhere"}}}, "anywhere"),
        ("after", {"wishes": {}, "view": 9}, "no face 9"),
        ("after", ["happy"], "JSON object"),
        ("after", b"{", ""),
        ("after", b"x" * 20_000, "20000"),
        ("save", {"wishes": {}, "format": "tif"}, ".tif"),
    ],
)
def test_what_makes_no_sense_is_told(page: Browser, opened: dict[str, Any], path: str, body: Any, said: str) -> None:
    code, error = told(page, f"/photos/{opened['key']}/{path}", body)
    assert code == 400 and said in error and error


def test_what_is_no_photo_or_not_open_is_told(page: Browser, opened: dict[str, Any]) -> None:
    assert told(page, "/photos?name=a.png", b"no picture")[0] == 400
    for path in ("", "/before", "/faces/1/expressions"):
        code, error = told(page, f"/photos/unknown{path}")
        assert code == 404 and "open it again" in error
    for path in ("/secrets", "/photos/../page.html", f"/photos/{opened['key']}/faces/1/map.png"):
        assert told(page, path)[0] == 404
    assert told(page, "/elsewhere", {"a": 1})[0] == 404


@pytest.mark.parametrize("other", ['theme={"mode":"dark"}', "name=John Smith", "flag", "path=x", "\xfc=1", 'a="\\'])
def test_cookies_of_other_programs_do_not_lock_the_page_out(page: Browser, other: str) -> None:
    for cookies in (f"{other}; {page.cookie}", f"{page.cookie}; {other}"):
        assert json.loads(page.fetch("/studio", Cookie=cookies)[0])["options"]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Cookie": ""}])
def test_pages_of_others_see_nothing(page: Browser, opened: dict[str, Any], headers: dict[str, str]) -> None:
    for path, body in ((f"/photos/{opened['key']}/before", None), ("/photos", b"x"), ("/studio", None)):
        assert told(page, path, body, **headers)[0] == 403


def test_a_body_that_nobody_read_is_no_request_and_a_client_that_is_gone_is_no_error(
    page: Browser, opened: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    host, port = "127.0.0.1", int(page.place.rpartition(":")[2])
    head = f"Host: {host}:{port}\r\nCookie: {page.cookie}\r\n"
    hidden = b"GET /studio HTTP/1.1\r\n\r\n"
    for line in ("GET /elsewhere", "GET /studio", "POST /elsewhere", "POST /photos/unknown"):
        for length in (f"Content-Length: {len(hidden)}", "Transfer-Encoding: chunked", "Content-Length: many"):
            with socket.create_connection((host, port), timeout=10) as connection:
                connection.sendall(f"{line} HTTP/1.1\r\n{head}{length}\r\n\r\n".encode() + hidden)
                answer = b"".join(iter(lambda: connection.recv(65536), b""))  # until the server closes
            assert answer.count(b"HTTP/1.1 ") == 1, line
    for sent in (b"GET /studio HT", f"GET /photos/{opened['key']}/before HTTP/1.1\r\n{head}\r\n".encode()):
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
            connection.sendall(sent)
    assert page.json("/studio")["options"]
    assert capfd.readouterr().err == ""


def test_of_several_photos_those_without_a_face_cost_only_themselves(
    mien: Callable[..., Any], model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty.png"
    Image.new("RGB", (200, 200), "grey").save(empty)
    opened: list[str] = []

    def stop(server: Any) -> None:
        with Browser.on(server) as browser:
            opened.extend(each["name"] for each in browser.json("/studio")["open"])
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.apps.pages.LocalServer.serve_forever", stop)
    said = mien("studio", photo, empty, "-m", model, "--port", "0")
    assert said.code == 130 and opened == [photo.name]
    assert f"{empty}: not opened: no face found in `empty.png`" in said.err and "/?key=" in said.err


def test_a_photo_without_a_face_and_a_port_that_is_taken_end_the_command(
    page: Browser, refused: Callable[..., None], model: Path, photo: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.png"
    Image.new("RGB", (200, 200), "grey").save(empty)
    refused("studio", empty, "-m", model, error="no face found in `empty.png`", hint="--threshold")
    refused("studio", tmp_path / "none.png", "-m", model, error="No such file", hint="path")
    port = page.place.rpartition(":")[2]
    refused("studio", photo, "-m", model, "--port", port, error=f"port {port} cannot be used", hint="--port")
