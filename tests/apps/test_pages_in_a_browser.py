"""The pages in a real browser: what is clicked reaches the machine, and what it answers is shown.

Marked `browser`: `pip install PySide6`, then `pytest -m browser`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Browser
from PIL import Image

import mien as package
from mien.apps import live, studio
from mien.conditions import Condition
from mien.editing.live import LiveEditor, Wish
from mien.editing.studio import Studio
from mien.images import read_image

DRIVER = Path(__file__).parent.parent / "browser_driven.py"
pytestmark = pytest.mark.browser

CLICK = "document.querySelector('{}').click(), true"
SAYS = "document.getElementById('said').textContent.startsWith('{}')"
SAID = "document.getElementById('said').textContent === '{}'"


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that opens an address, takes steps, and returns the last value and what the window showed."""

    def through(address: str, steps: list[str]) -> tuple[Any, np.ndarray]:
        shown = tmp_path / "shown.png"
        command = [sys.executable, str(DRIVER), address, str(shown), "1180", "900"]
        done = subprocess.run(
            command, input=json.dumps(steps), capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode == 3:
            pytest.skip("PySide6 is not installed")
        assert done.returncode == 0, done.stderr
        values = json.loads(done.stdout)
        assert len(values) == len(steps), (steps[len(values)], done.stderr)
        return values[-1], read_image(shown)

    return through


@pytest.fixture
def studio_page(portrait: Image.Image, tmp_path: Path) -> Iterator[str]:
    portrait.save(tmp_path / "portrait.png")
    opened = Studio(package.load())
    opened.open((tmp_path / "portrait.png").read_bytes(), "portrait.png")
    server = studio.serve(opened, 0, [])
    with Browser.on(server):
        yield server.address
    server.server_close()


def test_the_halves_of_a_face_are_edited_by_clicking(studio_page: str, browse: Callable[..., Any]) -> None:
    command, shown = browse(
        studio_page,
        [
            "document.querySelectorAll('#names img').length === 8",
            CLICK.format("[data-half=upper]"),
            CLICK.format("[data-name=anger]"),
            SAID.format("upper half anger @ 0.9"),
            CLICK.format("[data-half=lower]"),
            CLICK.format("[data-name=happy]"),
            SAID.format("upper half anger @ 0.9, lower half happy @ 0.9"),
            "!document.getElementById('dot').hasAttribute('hidden')",
            "document.getElementById('command').textContent",
        ],
    )
    assert command == "mien edit portrait.png --expression upper=anger@0.9/lower=happy@0.9 -o portrait-edited.png"
    assert shown[100:500, 100:700].std() > 20, "the portrait is there"


def test_undo_and_the_whole_face(studio_page: str, browse: Callable[..., Any]) -> None:
    said, _ = browse(
        studio_page,
        [
            "document.querySelectorAll('#names img').length === 8",
            CLICK.format("[data-half=lower]"),
            CLICK.format("[data-name=surprise]"),
            SAID.format("lower half surprise @ 0.9"),
            CLICK.format("#reset"),
            SAID.format("as it is"),
            CLICK.format("#halves button"),
            CLICK.format("[data-name=sad]"),
            SAID.format("sad @ 0.9"),
            "document.getElementById('said').textContent",
        ],
    )
    assert said == "sad @ 0.9"


def test_what_is_said_in_words(studio_page: str, browse: Callable[..., Any]) -> None:
    say = "words.value = '{}', words.form.requestSubmit(), true"  # an element with an id is a variable of the page
    command, _ = browse(
        studio_page,
        [
            "document.querySelectorAll('#names img').length === 8",
            say.format("a bit grumpy"),
            "document.getElementById('error').textContent.includes('grumpy')",
            say.format("a bit fearful, mostly surprised"),
            SAID.format("fear:0.3+surprise:0.7 @ 0.9"),
            "document.getElementById('error').textContent === ''",
            "document.querySelector('#shares [name=surprise]').value === '0.7'",
            CLICK.format("[data-half=lower]"),
            say.format("slightly happy"),
            SAID.format("upper half fear:0.3+surprise:0.7 @ 0.9, lower half happy @ 0.3"),
            "document.getElementById('command').textContent",
        ],
    )
    assert "upper=fear:0.3,surprise:0.7@0.9/lower=happy@0.3" in command


def test_the_live_page_shows_what_it_was_told(portrait: Image.Image, browse: Callable[..., Any]) -> None:
    editor = LiveEditor(
        package.load(), lambda: repeat(np.asarray(portrait)), Wish(Condition.parse("upper=sad@0.8/lower=happy@0.3"))
    )
    say = "words.value = '{}', words.onkeydown({{key: 'Enter', target: words}}), true"
    editor.start()
    server = live.serve(editor, 0)
    try:
        with Browser.on(server):
            strength, _ = browse(
                server.address,
                [
                    SAYS.format("upper half sad @ 0.8, lower half happy @ 0.3"),
                    "document.getElementById('dot').hasAttribute('hidden')",
                    CLICK.format("[data-half=lower]"),
                    "document.getElementById('strength').textContent === '0.30'",
                    "[...document.querySelectorAll('#names button')].find(b => b.textContent === 'fear').click(), true",
                    SAYS.format("upper half sad @ 0.8, lower half fear @ 0.3"),
                    say.format("grumpy"),
                    "document.getElementById('error').textContent.includes('grumpy')",
                    say.format("slightly happy and surprised"),
                    SAYS.format("upper half sad @ 0.8, lower half happy:0.5+surprise:0.5 @ 0.3"),
                    "document.getElementById('error').textContent === ''",
                    say.format("upper=angry/lower=happy"),
                    SAYS.format("upper half anger @ 0.9, lower half happy @ 0.9"),
                    say.format("slightly happy and surprised"),
                    SAYS.format("upper half anger @ 0.9, lower half happy:0.5+surprise:0.5 @ 0.3"),
                    "document.getElementById('strength').textContent",
                ],
            )
        assert strength == "0.30"
    finally:
        editor.stop()
        server.server_close()
