"""The page of `mien studio`, over HTTP as a browser asks."""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

import mien as package
from mien.apps import studio as page_of_studio
from mien.apps.studio import serve
from mien.editing.studio import Studio
from mien.images import read_image, read_mark, read_photo

PAGE = Path(page_of_studio.__file__).with_name("studio.html").read_text()


@pytest.fixture(scope="module")
def page(model: Path) -> Iterator[str]:
    server = serve(Studio(package.load(str(model))), 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, portrait: Image.Image) -> Path:
    path = tmp_path_factory.mktemp("photo") / "my portrait.png"
    portrait.save(path)
    return path


@pytest.fixture(scope="module")
def opened(page: str, photo: Path) -> dict[str, Any]:
    return json.loads(fetch(f"{page}/photos?name={quote(photo.name)}", photo.read_bytes())[0])


def fetch(address: str, body: Any = None, **headers: str) -> tuple[bytes, Any]:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=30) as answer:
        return answer.read(), answer.headers


def refused(address: str, body: Any = None, **headers: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(address, body, **headers)
    content = caught.value.read().decode()
    return caught.value.code, json.loads(content)["error"] if content.startswith("{") else ""


def decoded(address: str) -> np.ndarray:
    assert address.startswith("data:image/jpeg;base64,")
    return read_image(base64.b64decode(address.partition(",")[2]))


def test_the_page_is_whole(page: str) -> None:
    content, headers = fetch(f"{page}/")
    assert headers["Content-Type"].startswith("text/html") and content.decode() == PAGE
    state = json.loads(fetch(f"{page}/studio")[0])
    assert state["expressions"][0] == "neutral" and set(state["angles"]) == set(state["expressions"][1:])


def test_the_script_asks_for_elements_that_the_page_has_and_for_nothing_elsewhere() -> None:
    asked = set(re.findall(r'by\("(\w+)"\)', PAGE))
    had = re.findall(r'\bid="(\w+)"', PAGE)
    assert len(asked) > 20 and asked <= set(had) and len(had) == len(set(had))
    elsewhere = [place for place in re.findall(r"https?://[^\s\"']+", PAGE) if "w3.org" not in place]
    assert not elsewhere


def test_a_photo_is_opened_edited_and_saved(page: str, photo: Path, opened: dict[str, Any]) -> None:
    assert opened["name"] == "my portrait.png" and len(opened["faces"]) == 1
    x0, y0, x1, y1 = opened["faces"][0]["box"]
    assert json.loads(fetch(f"{page}/photos/{opened['key']}")[0]) == opened
    assert opened["key"] in json.loads(fetch(f"{page}/studio")[0])["open"]
    before, headers = fetch(f"{page}/photos/{opened['key']}/before?view=0")
    assert headers["Content-Type"] == "image/jpeg"
    wish = {"wishes": {"1": {"expression": "happy", "intensity": 1, "start": "direct"}}}
    answer = json.loads(fetch(f"{page}/photos/{opened['key']}/after", wish)[0])
    change = np.abs(decoded(answer["picture"]).astype(int) - read_image(before)).mean(axis=2)
    inside = change[round(y0) : round(y1), round(x0) : round(x1)]
    assert inside.mean() > 5 and change[:8].mean() < 2
    assert answer["faces"]["1"]["condition"] == "happy @ 1"
    assert sum(answer["faces"]["1"]["reading"]["expressions"].values()) == pytest.approx(1, abs=0.01)

    saved, headers = fetch(f"{page}/photos/{opened['key']}/save", {**wish, "format": "png"})
    assert headers["Content-Disposition"].endswith("my%20portrait-edited.png")
    picture = read_photo(saved)
    assert picture.pixels.shape == read_image(photo).shape
    assert np.array_equal(picture.pixels[:8], read_image(photo)[:8])


def test_the_command_that_the_page_shows_writes_the_same_picture(
    page: str, photo: Path, opened: dict[str, Any], mien: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    assert mien("edit", photo, "--angle", "40.5", "--intensity", "0.7", "-m", model, "-o", out).code == 0
    body = {"wishes": {"1": {"angle": 40.5, "intensity": 0.7}}, "format": "png"}
    saved = fetch(f"{page}/photos/{opened['key']}/save", body)[0]
    assert np.array_equal(read_image(saved), read_image(out))
    (tmp_path / "saved.png").write_bytes(saved)
    assert read_mark(tmp_path / "saved.png") == read_mark(out)


def test_small_pictures_and_figures(page: str, opened: dict[str, Any]) -> None:
    face = f"{page}/photos/{opened['key']}/faces/1"
    pictures = json.loads(fetch(f"{face}/expressions?start=direct")[0])
    assert len(pictures) == 8 and all(decoded(picture).shape == (96, 96, 3) for picture in pictures.values())
    content, headers = fetch(f"{face}/sweep.png")
    assert headers["Content-Type"] == "image/png" and read_image(content).shape[0] > 500


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("after", {"wishes": {"1": {"expression": "hapy"}}}, "happy"),
        ("after", {"wishes": {"1": {"expression": "happy", "intensity": 7}}}, "out of range"),
        ("after", {"wishes": {"1": {"angle": "left"}}}, "left"),
        ("after", {"wishes": {"1": {}}}, "neither"),
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
def test_what_makes_no_sense_is_told(page: str, opened: dict[str, Any], path: str, body: Any, said: str) -> None:
    code, error = refused(f"{page}/photos/{opened['key']}/{path}", body)
    assert code == 400 and said in error and error


def test_what_is_no_photo_or_not_open_is_told(page: str, opened: dict[str, Any]) -> None:
    assert refused(f"{page}/photos?name=a.png", b"no picture")[0] == 400
    for path in ("", "/before", "/faces/1/expressions"):
        code, error = refused(f"{page}/photos/unknown{path}")
        assert code == 404 and "open it again" in error
    for path in ("/secrets", "/photos/../page.html", f"/photos/{opened['key']}/faces/1/map.png"):
        assert refused(page + path)[0] == 404
    assert refused(f"{page}/elsewhere", {"a": 1})[0] == 404


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_pages_of_others_see_nothing(page: str, opened: dict[str, Any], headers: dict[str, str]) -> None:
    for path, body in ((f"/photos/{opened['key']}/before", None), ("/photos", b"x"), ("/studio", None)):
        assert refused(page + path, body, **headers)[0] == 403


def test_a_photo_without_a_face_and_a_port_that_is_taken_end_the_command(
    page: str, refused: Callable[..., None], model: Path, photo: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.png"
    Image.new("RGB", (200, 200), "grey").save(empty)
    refused("studio", empty, "-m", model, error="no face found in `empty.png`", hint="--threshold")
    refused("studio", tmp_path / "none.png", "-m", model, error="No such file", hint="path")
    port = page.rpartition(":")[2]
    refused("studio", photo, "-m", model, "--port", port, error=f"port {port} cannot be used", hint="--port")
