"""Films on the page of `mien studio`, over HTTP as a browser asks."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from browsing import Browser, decoded, told
from PIL import Image

import mien as package
from mien.apps.pages import ended_by_signals
from mien.apps.studio import serve
from mien.editing.studio import Studio
from mien.film_marks import read_film_mark
from mien.images import read_image

HAPPY = {"1": [{"seconds": 0, "expression": "happy", "intensity": 1}]}


@pytest.fixture(scope="module")
def studio(model: Path) -> Iterator[Studio]:
    studio = Studio(package.load(str(model)))
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def page(studio: Studio) -> Iterator[Browser]:
    server = serve(studio, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Browser(server)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, portrait: Image.Image) -> Path:
    """Eight frames of a portrait that stands still."""
    path = tmp_path_factory.mktemp("film") / "my talk.mp4"
    with av.open(str(path), "w") as out:
        picture: Any = out.add_stream("libx264", rate=4)
        picture.width, picture.height, picture.pix_fmt, picture.options = 320, 320, "yuv420p", {"crf": "4"}
        frame = av.VideoFrame.from_image(portrait.convert("RGB").resize((320, 320)))
        for index in range(8):
            frame.pts = index
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
    return path


def until(page: Browser, key: str, kind: str) -> dict[str, Any]:
    for _ in range(600):
        work = page.json(f"/films/{key}/work")
        if work[kind]["state"] != "running":
            return work
        time.sleep(0.05)
    raise AssertionError(f"{kind} takes too long")


@pytest.fixture(scope="module")
def opened(page: Browser, film: Path) -> dict[str, Any]:
    begun = page.json("/films?name=my%20talk.mp4", film.read_bytes())
    assert begun["film"] and begun["name"] == "my talk.mp4"
    assert until(page, begun["key"], "finding")["finding"]["state"] == "done"
    return page.json(f"/films/{begun['key']}")


def test_a_film_is_opened_and_its_frames_are_shown_and_edited(
    page: Browser, film: Path, opened: dict[str, Any]
) -> None:
    key = opened["key"]
    assert opened["seconds"] == pytest.approx(np.arange(8) / 4) and opened["faces"] == [{"first": 0, "last": 7}]
    assert {"key": key, "name": "my talk.mp4", "film": True} in page.json("/studio")["open"]
    frame = page.json(f"/films/{key}/frames/3")
    assert frame["index"] == 3 and frame["seconds"] == pytest.approx(0.75)
    x0, y0, x1, y1 = (round(v) for v in frame["faces"]["1"]["box"])
    before, headers = page.fetch(f"/films/{key}/frames/3/before?view=0")
    assert headers["Content-Type"] == "image/jpeg"
    answer = page.json(f"/films/{key}/frames/3/after", {"wishes": HAPPY, "start": "direct"})
    change = np.abs(decoded(answer["picture"]).astype(int) - read_image(before)).mean(axis=2)
    assert change[y0:y1, x0:x1].mean() > 4 and change[:8].mean() < 2
    assert answer["faces"]["1"]["condition"] == "happy @ 1"
    assert answer["faces"]["1"]["wish"] == {"expression": "happy", "intensity": 1}
    pictures = page.json(f"/films/{key}/frames/3/faces/1/expressions?start=direct")
    assert decoded(pictures["happy"]).shape == (96, 96, 3)
    content, _ = page.fetch(f"/films/{key}/frames/3/faces/1/sweep.png")
    assert read_image(content).shape[0] > 500


def test_between_keyframes_the_wish_is_between(page: Browser, opened: dict[str, Any]) -> None:
    keys = {"1": [{"seconds": 0, "expression": "happy", "intensity": 0}, {"seconds": 1, "expression": "happy"}]}
    seen = []
    for index in (0, 2, 4, 7):
        said = page.json(f"/films/{opened['key']}/frames/{index}/after", {"wishes": keys, "start": "direct"})["faces"][
            "1"
        ]
        seen.append(np.hypot(*said["code"]))
    assert seen == pytest.approx([0, 0.45, 0.9, 0.9], abs=1e-3)


def test_a_film_is_written_watched_and_downloaded(page: Browser, opened: dict[str, Any], tmp_path: Path) -> None:
    key = opened["key"]
    assert told(page, f"/films/{key}/edited")[0] == 404
    begun = page.json(f"/films/{key}/write", {"wishes": HAPPY, "start": "direct", "format": "mp4"})
    assert begun["writing"]["state"] in ("running", "done")
    assert until(page, key, "writing")["written"] == {"frames": 8, "edited": 8, "notes": []}
    whole, headers = page.fetch(f"/films/{key}/edited")
    assert headers["Content-Disposition"].endswith("my%20talk-edited.mp4") and headers["Content-Type"] == "video/mp4"
    out = tmp_path / "out.mp4"
    out.write_bytes(whole)
    assert (read_film_mark(out) or {})["condition"] == "face 1: happy @ 1"
    for asked, start, end in (
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, len(whole)),
        ("bytes=-7", len(whole) - 7, len(whole)),
    ):
        with page.ask(f"/films/{key}/edited?watch=1", Range=asked) as answer:  # as a player asks
            assert answer.status == 206 and answer.read() == whole[start:end]
            assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole)}"
            assert "Content-Disposition" not in answer.headers
    for asked in ("bytes=20-10", "bytes=-0", "bytes=", "lines=1-2", f"bytes={len(whole)}-"):
        assert page.fetch(f"/films/{key}/edited", Range=asked)[0] == whole
    assert page.json(f"/films/{key}/stop", {})["writing"]["state"] == "done"  # there is nothing to stop any more


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("frames/0/after", {"wishes": {"1": {"expression": "happy"}}}, "lists"),
        ("frames/0/after", {"wishes": {"1": [{"expression": "hapy"}]}}, "happy"),
        ("frames/0/after", {"wishes": {"1": []}}, "no keyframes"),
        ("frames/0/after", {"wishes": {"1": [{"seconds": -1, "expression": "happy"}]}}, "in no film"),
        ("frames/0/after", {"wishes": {"1": [{"seconds": 1, "expression": "sad"}] * 2}}, "two keyframes at 1 s"),
        ("frames/0/after", {"wishes": {"2": [{"expression": "happy"}]}}, "no face 2"),
        ("frames/0/after", {"wishes": HAPPY, "start": "anywhere"}, "anywhere"),
        ("frames/0/after", {"wishes": {}, "view": 9}, "no face 9"),
        ("frames/8/after", {"wishes": HAPPY}, "no frame 8"),
        ("frames/0/save", {"wishes": HAPPY}, "frame by frame"),
        ("write", {"wishes": {}}, "choose an expression"),
        ("write", {"wishes": HAPPY, "format": "avi"}, ".avi"),
        ("write", {"wishes": {"7": HAPPY["1"]}}, "no face 7"),
    ],
)
def test_what_makes_no_sense_is_told(page: Browser, opened: dict[str, Any], path: str, body: Any, said: str) -> None:
    code, error = told(page, f"/films/{opened['key']}/{path}", body)
    assert code == 400 and said in error


def test_what_is_no_film_or_not_open_is_told_and_no_copy_stays(page: Browser, studio: Studio) -> None:
    place = studio.incoming("a.mp4").parent
    before = set(place.iterdir())
    code, error = told(page, "/films?name=a.mp4", b"no film")
    assert code == 400 and "cannot be read as a film" in error
    assert told(page, "/films?name=a.mp4", b"")[0] == 400
    assert set(place.iterdir()) == before
    for path in ("", "/work", "/edited", "/frames/0", "/frames/0/before"):
        code, error = told(page, f"/films/unknown{path}")
        assert code == 404 and "open it again" in error
    for path in ("/films/unknown/write", "/films/unknown/stop", "/films/unknown/frames/0/after"):
        assert told(page, path, {"wishes": HAPPY})[0] == 404


def test_a_film_that_does_not_arrive_whole_is_no_film(page: Browser, studio: Studio) -> None:
    place = studio.incoming("a.mp4").parent
    before = set(place.iterdir())
    host, port = "127.0.0.1", int(page.place.rpartition(":")[2])
    with socket.create_connection((host, port), timeout=10) as connection:
        head = f"POST /films?name=a.mp4 HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {page.cookie}\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\nhalf".encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"400" in answer.partition(b"\r\n")[0] and b"did not arrive whole" in answer
    assert set(place.iterdir()) == before


def test_a_full_disk_is_told(page: Browser, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mien.apps.studio._Page.body_into", full)
    code, error = told(page, "/films?name=a.mp4", film.read_bytes())
    assert code == 400 and "No space left on device" in error


def test_the_command_opens_films_beside_photos_and_puts_everything_away(
    mien: Callable[..., Any], model: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[Any] = []

    def stop(server: Any) -> None:
        with Browser.on(server) as browser:
            seen.extend(browser.json("/studio")["open"])
            until(browser, seen[0]["key"], "finding")
            assert list(tmp_path.glob("mien-studio-*"))
        signal.raise_signal(signal.SIGTERM)  # as `kill`, and as a terminal that is closed

    monkeypatch.setattr("mien.apps.pages.LocalServer.serve_forever", stop)
    before = signal.getsignal(signal.SIGTERM)
    said = mien("studio", film, broken, "-m", model, "--port", "0")
    assert said.code == 130 and [(each["name"], each["film"]) for each in seen] == [("my talk.mp4", True)]
    assert "broken.mp4: not opened" in said.err and film.exists()
    assert not list(tmp_path.glob("mien-studio-*")) and signal.getsignal(signal.SIGTERM) == before


def test_signals_are_as_before_after_the_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_pages_of_others_see_nothing_of_films(page: Browser, opened: dict[str, Any]) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Cookie": ""}):
        for path, body in ((f"/films/{opened['key']}/frames/0/before", None), ("/films?name=a.mp4", b"x")):
            with pytest.raises(urllib.error.HTTPError) as caught:
                page.fetch(path, body, **headers)
            assert caught.value.code == 403
    assert json.loads(page.fetch("/studio")[0])["films"]
