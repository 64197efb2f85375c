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
    halved = whole[whole.index("const sides =") : whole.index("const bare =")]
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


#: The page's own functions, from wishes to keyframes, and what they stand on.
STAGE = """
const elements = {start: {value: "auto"}, intensity: {value: 0.9}, strength: {}, reset: {}, watch: {}};
const by = id => elements[id] ??= {};
const copy = value => JSON.parse(JSON.stringify(value)), same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const intensity = value => Math.round(value * 100) / 100, tell = () => {}, paint = () => {}, update = () => {};
const base = () => "", shows = () => true;
let half = "", chosen = 1, held = {}, said = {}, good = {}, saidAt = null;
const halves = {upper: {expression: "sad", intensity: 0.9}, lower: {expression: "happy", intensity: 0.3}};
"""


def played(film: bool, wishes: Any, actions: str) -> Any:
    """Return the wishes of a photo's or a film's first face after some actions on the page."""
    page = script("studio.html")
    parts = [
        page[page.index("const sides =") : page.index("// --- keyframes of a film's face")],
        page[page.index("const moment = () =>") : page.index("function timeline()")],
        page[page.index('by("intensity").oninput') : page.index('by("start").onchange')],
        re.findall(r'by\("reset"\)\.onclick.*', page)[0],
    ]
    photo = f"let photo = {{film: {json.dumps(film)}, at: 0, seconds: [0, 1, 2]}}, wishes = {json.dumps(wishes)};"
    return json.loads(node("\n".join([STAGE, photo, *parts, actions, "console.log(JSON.stringify(wishes));"])))


def plain(wish: Any) -> Any:
    """Return a wish, or the halves of one, without what is the face's own."""
    own = {key: plain(value) if isinstance(value, dict) else value for key, value in wish.items()}
    return {key: value for key, value in own.items() if key != "start"}


@pytest.mark.parametrize(
    ("before", "half", "given", "after"),
    [
        (None, "upper", HAPPY, {"upper": HAPPY}),
        (ASIDE, "lower", HAPPY, {"upper": ASIDE, "lower": HAPPY}),
        (HALVES, "lower", HAPPY, {"upper": HALVES["upper"], "lower": HAPPY}),
        (HALVES, "lower", None, {"upper": HALVES["upper"]}),
        (HAPPY, "upper", None, {"lower": HAPPY}),
        ({"upper": HAPPY, "start": "auto"}, "lower", HAPPY, HAPPY),
        ({"upper": HAPPY, "start": "auto"}, "upper", None, None),
        (None, "upper", None, None),
        (HALVES, "", HAPPY, HAPPY),
        (HALVES, "", None, None),
    ],
)
def test_the_studio_changes_one_half_and_leaves_the_other(before: Any, half: str, given: Any, after: Any) -> None:
    actions = f"half = {json.dumps(half)}; wish({json.dumps(given)});"
    found = played(False, {"1": before} if before else {}, actions)
    if after is None:
        assert found == {}
        return
    assert found == {"1": {**plain(after), "start": "auto"}}


def test_undo_takes_back_the_whole_face() -> None:
    assert played(False, {"1": HALVES, "2": HAPPY}, 'half = "upper"; by("reset").onclick();') == {"2": HAPPY}


@pytest.mark.parametrize(
    ("half", "upper", "lower"),
    [("", 0.6, 0.2), ("upper", 0.6, 0.3), ("lower", 0.9, 0.6)],
    ids=["both", "upper", "lower"],
)
def test_the_intensity_is_that_of_the_half_and_of_both_in_proportion(half: str, upper: float, lower: float) -> None:
    change = 'by("intensity").oninput({target: {value: "0.6"}});'
    found = played(False, {}, f"wishes = {{1: {{...halves, start: 'auto'}}}}; half = {json.dumps(half)}; {change}")
    assert [found["1"][side]["intensity"] for side in ("upper", "lower")] == [upper, lower]


SAD = {"expression": "sad", "intensity": 0.9}


@pytest.mark.parametrize(
    ("keys", "half", "given", "after"),
    [
        (
            [{"upper": SAD}, {"upper": ASIDE}], "lower", HAPPY,
            [{"upper": SAD, "lower": HAPPY}, {"upper": ASIDE, "lower": HAPPY}],
        ),
        (
            [{"upper": SAD, "lower": HAPPY}, {"upper": ASIDE, "lower": SAD}], "lower", None,
            [{"upper": SAD}, {"upper": ASIDE}],
        ),
        ([SAD, ASIDE], "upper", None, [{"lower": SAD}, {"lower": ASIDE}]),
        ([{"upper": SAD}, {"upper": ASIDE}], "", HAPPY, [HAPPY, {"upper": ASIDE, "lower": HAPPY}]),
        ([SAD, ASIDE], "upper", HAPPY, [{"upper": HAPPY, "lower": SAD}, ASIDE]),
    ],
)  # fmt: skip
def test_all_keyframes_of_a_face_come_to_have_the_same_halves(keys: Any, half: str, given: Any, after: Any) -> None:
    before = [{**key, "seconds": 2 * place, "start": "auto"} for place, key in enumerate(keys)]
    found = played(True, {"1": before}, f"half = {json.dumps(half)}; wish({json.dumps(given)});")["1"]
    assert found == [{**plain(each), "seconds": 2 * place, "start": "auto"} for place, each in enumerate(after)]


def test_between_keyframes_a_half_waits_for_what_the_other_one_is_there() -> None:
    keys = [{"upper": SAD, "seconds": 0, "start": "auto"}, {"upper": ASIDE, "seconds": 2, "start": "auto"}]
    asked = f"photo.at = 1; half = 'lower'; wish({json.dumps(HAPPY)});"
    assert played(True, {"1": keys}, asked) == {"1": keys}
    there = {"upper": {"expression": "sad", "intensity": 0.6}}
    known = f"said = {{1: {{wish: {json.dumps(there)}}}}}; good = copy(wishes); saidAt = base();"
    found = played(True, {"1": keys}, known + asked)["1"]
    assert [each["seconds"] for each in found] == [0, 1, 2]
    assert found[1]["upper"] == there["upper"] and all(each["lower"]["expression"] == "happy" for each in found)


def live_page(calls: str) -> Any:
    page = script("live.html")
    functions = page[page.index("const sides =") : page.index("// One request at a time")]
    place = page[page.index("function place(") : page.index("function draw(state)")]
    return json.loads(node(f"let half = '';\n{functions}\n{place}\n{calls}"))


@pytest.mark.parametrize(
    ("half", "before", "after"),
    [
        ("", plain(HALVES), plain(HAPPY)),
        ("upper", plain(ASIDE), {"upper": plain(HAPPY), "lower": plain(ASIDE)}),
        ("lower", plain(HALVES), {"upper": HALVES["upper"], "lower": plain(HAPPY)}),
        ("lower", {"upper": plain(ASIDE)}, {"upper": plain(ASIDE), "lower": plain(HAPPY)}),
    ],
)
def test_the_live_page_changes_one_half_and_leaves_the_other(half: str, before: Any, after: Any) -> None:
    given = json.dumps(plain(HAPPY))
    said = live_page(f"half = {json.dumps(half)}; console.log(JSON.stringify(wanted({json.dumps(before)}, {given})));")
    assert said == after


def test_wishes_of_the_live_page_that_wait_become_one() -> None:
    calls = (
        "let next = later(null, {expression: 'sad', intensity: 0.2}); next = later(next, {upper: {angle: 9}});"
        "next = later(next, {shown: false}); console.log(JSON.stringify(next));"
    )
    assert live_page(calls) == {"intensity": 0.2, "upper": {"angle": 9}, "shown": False}


def test_where_a_half_is_on_the_disc_of_the_live_page() -> None:
    wishes = [
        {"expression": "sad", "intensity": 0.5}, {"angle": 180, "intensity": 1},
        {"expression": "neutral", "intensity": 1}, {"expression": "sad:0.5,fear:0.5", "intensity": 1},
    ]  # fmt: skip
    calls = f"console.log(JSON.stringify({json.dumps(wishes)}.map(wish => place(wish, {{sad: 90}}))));"
    sad, aside, neutral, blend = live_page(calls)
    assert sad == pytest.approx([0, 0.5]) and aside == pytest.approx([-1, 0]) and neutral == [0, 0] and blend is None
