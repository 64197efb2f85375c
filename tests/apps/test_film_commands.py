"""The commands that move, as people meet them: what they write and say, and what they refuse without leaving a trace."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Browser
from films_made import planes, scene, times, write_film
from PIL import Image

from mien.apps.live import run, serve
from mien.conditions import Condition
from mien.editing.live import LiveEditor, Wish, film_source
from mien.errors import FilmError
from mien.film_marks import read_film_mark
from mien.films import read_frames
from mien.images import read_mark


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory, portrait: Image.Image) -> Path:
    """Return eight frames of the portrait, moving."""
    canvas = np.full((240, 320, 3), 128, np.uint8)
    frames = []
    for index in range(8):
        frames.append(canvas.copy())
        frames[-1][8:232, 20 + 4 * index : 236 + 4 * index] = np.asarray(portrait)
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", frames, sounds=["aac"])


@pytest.fixture
def own(film: Path, tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    return path


def test_a_film_is_edited(mien: Callable[..., Any], model: Path, own: Path) -> None:
    out = own.with_name("out.mp4")
    said = mien("video", own, "-e", "happy", "-i", "0.8", "-m", model, "-o", out, "--crf", "12")
    assert said.code == 0 and said.out == f"{out}\n", said
    assert "8 of 8 frames, 1 of 1 faces -> happy @ 0.8" in said.err and "editing 8/8" in said.err
    assert times(out) == times(own)
    always = planes(out)
    change = [np.abs(a[0].astype(int) - b[0]) for a, b in zip(planes(own), always, strict=True)]
    assert all(np.percentile(each[60:160, 80:200], 90) > 8 and each[:, 290:].mean() < 2 for each in change)
    mark = read_film_mark(out)
    assert mark is not None and mark["condition"] == "happy @ 0.8"
    said = mien("video", own, "--for", "1:sad@0.5", "-m", model, "-o", out)
    assert said.code == 0 and "8 of 8 frames, 1 of 1 faces -> face 1: sad @ 0.5" in said.err
    mark = read_film_mark(out)
    assert mark is not None and mark["condition"] == "face 1: sad @ 0.5"
    said = mien(
        "video", own, "--for", "1@0.04:happy@0", "--for", "1@0.24:happy@0.8", "-m", model, "-o", out, "--crf", "12"
    )
    assert said.code == 0 and "1 of 1 faces -> face 1: 0.04 s: happy @ 0, 0.24 s: happy @ 0.8" in said.err, said
    missing = [np.abs(a[0].astype(int) - b[0]).mean() for a, b in zip(always, planes(out), strict=True)]
    assert missing[7] < 0.5 * missing[1] and missing[7] < missing[4] < missing[1]
    assert mien("video", own, "-e", "sad", "-m", model, "-o", out, "--no-mark").code == 0
    assert read_film_mark(out) is None


def test_keyframes_and_an_animation_as_output(mien: Callable[..., Any], model: Path, own: Path) -> None:
    out = own.parent / "new" / "out.webp"
    said = mien("video", own, "--at", "0:neutral", "--at", "0.2:surprise@0.9", "-m", model, "-o", out)
    assert said.code == 0 and "an animation has no sound" in said.err, said
    with Image.open(out) as image:
        assert getattr(image, "n_frames", 1) == 8
    mark = read_mark(out)
    assert mark is not None and mark["condition"] == "0 s: neutral @ 0.9, 0.2 s: surprise @ 0.9"


def test_the_faces_of_a_film_are_listed(mien: Callable[..., Any], model: Path, own: Path) -> None:
    said = mien("video", own, "--list", "-m", model)
    head, row = said.out.splitlines()
    assert head.split("\t") == ["face", "from_seconds", "to_seconds", "x", "y", "side"]
    number, begin, end, x, y, side = (float(value) for value in row.split("\t"))
    assert (number, begin, end) == (1, 0, 0.28)
    assert 100 < x < 190 and 80 < y < 150 and 60 < side < 130
    assert sorted(path.name for path in own.parent.iterdir()) == ["film.mp4"]


def test_what_cannot_be_done_is_refused_before_the_work(refused: Callable[..., None], model: Path, own: Path) -> None:
    def ask(*arguments: object, error: str, hint: str) -> None:
        refused("video", *arguments, "-m", model, error=error, hint=hint)

    out = own.with_name("out.mp4")
    ask(own, "-e", "happy", "-o", own, error="is the film itself", hint="another --out")
    ask(own, "-e", "happy", "-o", out.with_suffix(".avi"), error="`.avi`", hint=".mp4")
    ask(own, "-e", "happy", error="either --out or --list", hint="mien video")
    ask(own.with_name("none.mp4"), "-e", "happy", "-o", out, error="no such file", hint="path")
    ask(own, "-o", out, error="either --expression or --angle", hint="happy")
    ask(own, "--at", "2:happy", "--at", "1:sad", "-o", out, error="at 1 s comes after the one at 2 s", hint="order")
    ask(own, "--at", "1:hapy", "-o", out, error="unknown expression `hapy`", hint="did you mean")
    ask(own, "-e", "sad", "--at", "1:happy", "-o", out, error="--at stands for", hint="--at")
    ask(own, "--for", "1:sad", "--at", "1:happy", "-o", out, error="--at stands for", hint="--for 1@2.5:surprise")
    ask(own, "--for", "1:sad", "-f", "2", "-o", out, error="--for stands for", hint="--for 1:happy")
    ask(own, "--for", "1@x:sad", "-o", out, error="FACE@SECONDS:NAMES", hint="--for 1@2.5:surprise")
    ask(own, "-e", "happy", "--profiles", "often", "-o", out, error="`often`", hint="skip")
    ask(own, "-e", "happy", "--detector", "eyes", "-o", out, error="unknown detector", hint="mtcnn")


def test_a_face_that_the_film_does_not_have_is_told(mien: Callable[..., Any], model: Path, own: Path) -> None:
    said = mien("video", own, "-e", "happy", "-f", "4", "-m", model, "-o", own.with_name("out.mp4"))
    assert said.code == 2 and "error: there is no face 4\nhint: the film has 1" in said.err
    said = mien("video", own, "--for", "4:happy", "-m", model, "-o", own.with_name("out.mp4"))
    assert said.code == 2 and "error: there is no face 4\nhint: the film has 1" in said.err
    assert [path.name for path in own.parent.iterdir()] == ["film.mp4"]


def test_films_that_hold_no_face_or_nothing_are_refused(
    mien: Callable[..., Any], refused: Callable[..., None], model: Path, tmp_path: Path
) -> None:
    grey = write_film(tmp_path / "grey.mp4", [scene({})] * 3)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no film")
    out = tmp_path / "out.mp4"
    said = mien("video", grey, "-e", "happy", "-m", model, "-o", out)
    assert said.code == 2 and said.out == "" and not out.exists()
    error, hint = said.err.splitlines()[-2:]  # after the progress of the search
    assert error.startswith("error: no face found in") and "--threshold" in hint
    for name in ("empty.mp4", "text.mp4"):
        refused("video", tmp_path / name, "-e", "happy", "-m", model, "-o", out, error="read as a film", hint="play")


def test_a_full_disk_is_one_line_and_leaves_nothing(model: Path, own: Path) -> None:
    """The limit on a file's size stands for the disk: writing fails after 4000 bytes."""
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "from mien.apps.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "video", own, "-e", "happy", "-m", model, "-o", own.with_name("out.mp4")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: cannot write `") and "out.mp4" in error and "space" in hint, done.stderr
    assert sorted(path.name for path in own.parent.iterdir()) == ["film.mp4"]


def test_ctrl_c_is_one_line_and_leaves_nothing(model: Path, tmp_path: Path, portrait: Image.Image) -> None:
    film = write_film(tmp_path / "film.mp4", [np.asarray(portrait)] * 600)
    command = [sys.executable, "-m", "mien.apps.cli", "video", film, "-e", "happy", "-m", model]
    # A shell that starts the tests in the background has them ignore Ctrl-C, and what they start, too.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command += ["-o", tmp_path / "out.mp4"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listening) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("finding faces 1/600")
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130 and said.splitlines()[-1] == "stopped" and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(("suffix", "path"), [(".gif", "disc"), (".webp", "sweep"), (".mp4", "disc")])
def test_a_photo_is_animated(mien: Callable[..., Any], model: Path, photo: Path, suffix: str, path: str) -> None:
    out = photo.with_name(f"out{suffix}")
    wanted = ["-e", "surprise"] if path == "sweep" else []
    said = mien("animate", photo, "--path", path, *wanted, "--seconds", "0.4", "--size", "120", "-m", model, "-o", out)
    assert said.code == 0 and said.out == f"{out}\n", said
    if suffix == ".mp4":
        assert [frame.pixels.shape for frame in read_frames(out)] == [(120, 116, 3)] * 10
        assert (read_film_mark(out) or {})["condition"] == "disc @ 0.9"
    else:
        with Image.open(out) as image:
            assert getattr(image, "n_frames", 1) == (8 if suffix == ".gif" else 10)


def test_animations_that_make_no_sense_are_refused(refused: Callable[..., None], model: Path, photo: Path) -> None:
    def ask(*arguments: object, error: str, hint: str) -> None:
        refused("animate", photo, *arguments, "-m", model, error=error, hint=hint)

    out = photo.with_name("out.gif")
    ask("--path", "sweep", "-o", out, error="either --expression or --angle", hint="happy")
    ask("--path", "disc", "-e", "happy", "-o", out, error="no --expression", hint="sweep")
    ask("--path", "maze", "-e", "happy", "-o", out, error="no path `maze`", hint="disc")
    ask("-f", "all", "-o", out, error="one face", hint="largest")
    ask("--from", "here", "-o", out, error="cannot start from `here`", hint="neutral")
    ask("-o", out.with_suffix(".tiff"), error="`.tiff`", hint=".mp4")


# --- live --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(model: Path, film: Path) -> Iterator[Browser]:
    """Return a browser on a running page that shows the film as a camera."""
    import mien

    live = LiveEditor(mien.load(str(model)), film_source(film), Wish(Condition.named("happy", 0.8)))
    server = serve(live, 0)
    live.start()
    thread = threading.Thread(target=run, args=(server, live))
    thread.start()
    yield Browser(server)
    live.stop()
    thread.join(timeout=10)


def test_the_page_shows_pictures_that_change_with_the_wish(page: Browser) -> None:
    assert page.kind.startswith("text/html") and "/stream" in page.page
    state = page.json("/state")
    assert state["condition"] == "happy @ 0.8" and set(state["angles"]) == set(state["expressions"]) - {"neutral"}
    picture, headers = page.fetch("/picture")
    assert headers["Content-Type"] == "image/jpeg" and picture[:2] == b"\xff\xd8"
    answer = page.json("/condition", {"angle": 90, "intensity": 1.0})
    assert answer["condition"] == "90 deg @ 1" and answer["code"] == pytest.approx([0, 1], abs=1e-6)
    assert page.json("/condition", {"shown": False})["shown"] is False
    with page.ask("/stream") as stream:
        assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        first = stream.read(30_000)
    assert first.count(b"--picture") >= 2 and first.count(b"\xff\xd8\xff") >= 2


@pytest.mark.parametrize(
    "body",
    [{"expression": "hapy"}, {"expression": "happy", "intensity": 7}, {"angle": "left"}, ["happy"], "x" * 20_000],
)
def test_a_wish_that_makes_no_sense_changes_nothing(page: Browser, body: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        page.fetch("/condition", body)
    assert caught.value.code == 400 and json.loads(caught.value.read())["error"]
    assert page.json("/state")["condition"] == "happy @ 0.8"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Cookie": "mien=1"}],
)
def test_pages_of_others_and_other_people_see_nothing(page: Browser, headers: dict[str, str]) -> None:
    for path, body in (("/picture", None), ("/condition", {"intensity": 0.1}), ("/", None), ("/?key=guessed", None)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            page.fetch(path, body, **headers)
        assert caught.value.code == 403
    with pytest.raises(urllib.error.HTTPError) as caught:
        page.fetch("/secrets")
    assert caught.value.code == 404


def test_a_port_that_is_taken_and_a_camera_that_is_not_there_are_told(
    refused: Callable[..., None], model: Path, film: Path, page: Browser
) -> None:
    port = page.place.rpartition(":")[2]
    refused("live", "--film", film, "--port", port, "-m", model, error=f"port {port} cannot be used", hint="--port")
    refused("live", "--camera", "87", "-m", model, error="cannot open camera 87", hint="--film")
    refused("live", "--film", film.with_name("none.mp4"), "-m", model, error="no such file", hint="path")


def test_the_end_of_the_camera_ends_the_page(model: Path) -> None:
    import mien

    live = LiveEditor(mien.load(str(model)), lambda: iter([scene({})] * 3), Wish(Condition.named("happy")))
    server = serve(live, 0)
    live.start()
    with pytest.raises(FilmError, match="no more frames"):
        run(server, live)


def test_a_step_that_no_blend_has_is_refused_before_the_faces_are_looked_for(
    mien: Callable[..., Any], model: Path, own: Path
) -> None:
    out = own.with_name("out.mp4")
    said = mien("video", own, "-e", "happy,fear", "--from", "keep", "-m", model, "-o", out)
    assert said.code == 2 and "lie opposite each other" in said.err and "finding faces" not in said.err
    assert not out.exists()
