"""The scripts of the pages, by node where there is one: they parse, and the command that the studio shows is right."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import mien.apps

PAGES = Path(mien.apps.__file__).parent
NODE = shutil.which("node") or ""
pytestmark = pytest.mark.skipif(not NODE, reason="there is no node on the PATH")

HAPPY = {"expression": "happy", "intensity": 0.8, "start": "auto"}
ASIDE = {"angle": 135, "intensity": 0.5, "start": "auto"}
HALVES = {"upper": {"expression": "sad", "intensity": 0.9}, "lower": {"angle": 135, "intensity": 0.4}, "start": "auto"}
BLEND = {"expression": "happy:0.6,sad:0.4", "intensity": 1, "start": "auto"}


def node(source: str, *arguments: str) -> str:
    done = subprocess.run(
        [NODE, *arguments, "-"], input=source, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def script(page: str) -> str:
    found = re.search(r"<script>(.*)</script>", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found, page
    return found[1]


@pytest.mark.parametrize("page", ["studio.html", "live.html"])
def test_the_script_of_a_page_parses(page: str) -> None:
    node(script(page), "--check")
    with pytest.raises(AssertionError, match="SyntaxError"):
        node(f"{script(page)} }}", "--check")


@pytest.mark.parametrize(
    ("name", "faces", "wishes", "expected"),
    [
        ("my photo.jpg", 1, {1: HAPPY}, "mien edit 'my photo.jpg' --expression happy --intensity 0.8"),
        ("-a.png", 3, {2: ASIDE}, "mien edit ./-a.png --angle 135 --intensity 0.5 --face 2"),
        ("a.png", 3, {1: HAPPY, 3: BLEND}, "mien edit a.png --for 1:happy@0.8 --for 3:happy:0.6,sad:0.4@1"),
        (
            "a.png", 2, {1: HAPPY, 2: {**ASIDE, "start": "direct"}},
            "mien edit a.png --expression happy --intensity 0.8 --face 1",
        ),
        ("a.png", 1, {1: HALVES}, "mien edit a.png --expression upper=sad@0.9/lower=135@0.4"),
        (
            "a.png", 2, {1: {"upper": HAPPY, "start": "auto"}, 2: HALVES},
            "mien edit a.png --for 1:upper=happy@0.8 --for 2:upper=sad@0.9/lower=135@0.4",
        ),
        (
            "a.mp4", 1, {1: [{**HALVES, "seconds": 0}, {**HAPPY, "seconds": 2}]},
            "mien video a.mp4 --at 0:upper=sad@0.9/lower=135@0.4 --at 2:happy@0.8",
        ),
        (
            "a.mp4", 2, {1: [{**HAPPY, "seconds": 0}], 2: [{**ASIDE, "seconds": 3}]},
            "mien video a.mp4 --for 1:happy@0.8 --for 2:135@0.5",
        ),
        (
            "a.mp4", 2, {1: [{**HAPPY, "seconds": 0}, {**ASIDE, "seconds": 1.5}], 2: [{**HAPPY, "seconds": 0}]},
            "mien video a.mp4 --for 1@0:happy@0.8 --for 1@1.5:135@0.5 --for 2:happy@0.8",
        ),
        (
            "a.mp4", 2, {1: [{**HAPPY, "seconds": 0}, {**ASIDE, "seconds": 1.5}]},
            "mien video a.mp4 --at 0:happy@0.8 --at 1.5:135@0.5 --face 1",
        ),
    ],
)  # fmt: skip
def test_the_studio_shows_the_command_for_all_faces_that_it_can_be_said_for(
    name: str, faces: int, wishes: dict[int, Any], expected: str
) -> None:
    whole = script("studio.html")
    halved = whole[whole.index("const halved =") : whole.index("const bare =")]
    function = halved + whole[whole.index("function command(now) {") : whole.index("function build()")]
    chosen = min(wishes)
    photo = {"name": name, "film": name.endswith(".mp4"), "faces": [{}] * faces}
    given = {"photo": photo, "wishes": wishes, "chosen": chosen, "studio": {"options": ["--no-mark"]}}
    facts = "".join(f"const {key} = {json.dumps(value)};\n" for key, value in given.items())
    shown = 'const by = id => ({value: {start: "auto", format: "png"}[id]});\n'
    asked = f"const now = [wishes[{chosen}]].flat()[0];\n"
    stem = Path(name).stem
    out = f"./{stem}-edited.png" if stem.startswith("-") else f"{stem}-edited.png"
    out = f"'{out}'" if " " in out else out
    assert node(f"{facts}{shown}{asked}{function}\nconsole.log(command(now));") == f"{expected} --no-mark -o {out}"


@pytest.mark.parametrize(
    ("before", "half", "given", "after"),
    [
        (None, "upper", HAPPY, {"upper": HAPPY}),
        (ASIDE, "lower", HAPPY, {"upper": ASIDE, "lower": HAPPY}),
        (HALVES, "lower", HAPPY, {"upper": HALVES["upper"], "lower": HAPPY}),
        (HALVES, "lower", None, {"upper": HALVES["upper"]}),
        (HAPPY, "upper", None, {"lower": HAPPY}),
        ({"upper": HAPPY, "start": "auto"}, "upper", None, None),
        (None, "upper", None, None),
    ],
)
def test_the_studio_changes_one_half_and_leaves_the_other(before: Any, half: str, given: Any, after: Any) -> None:
    whole = script("studio.html")
    functions = whole[whole.index("const halved =") : whole.index("function wish(given")]
    facts = "".join(
        f"const {name} = {json.dumps(value)};\n"
        for name, value in {"before": before, "half": half, "given": given}.items()
    )
    stub = "const copy = value => JSON.parse(JSON.stringify(value)), hand = () => before;\n"
    said = json.loads(node(f"{facts}{stub}{functions}\nconsole.log(JSON.stringify(withHalf(given)));"))
    wanted = after and {
        name: {key: value for key, value in own.items() if key not in ("start", "seconds")}
        for name, own in after.items()
    }
    assert said == wanted
