"""What stands beside the package: the page of the commands is current, and the examples do what they say."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image
from untrained import write_run

import mien
from mien.apps.cli import app
from mien.benchmark.report import PHOTOS_NOTE
from mien.datasets import drawn, folder
from mien.files import file_sha256
from mien.images import read_image, read_mark, read_photo
from mien.prepared import PreparedSet, prepare
from mien.provenance import DIGITAL_SOURCE_TYPE, parse_mark
from mien.shipped import DEFAULT, WEIGHTS

ROOT = Path(__file__).parent.parent
PORTRAIT = ROOT / "assets" / "astronaut.png"
COMMANDS = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("models") / "run").path


def run_example(name: str, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run an example as a script, in this process."""
    script = ROOT / "examples" / name
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").glob("*.jpg")), ids=lambda path: path.name)
def test_pictures_of_edited_faces_say_so(picture: Path) -> None:
    """Photos show faces; `scripts/write_images.py` draws those of the portrait, with the weights that ship."""
    mark = read_mark(picture)
    assert mark is not None and mark["digital_source_type"] == DIGITAL_SOURCE_TYPE
    if picture.name.startswith("astronaut-"):
        assert mark["model"] == f"{DEFAULT} {file_sha256(WEIGHTS / f'{DEFAULT}.safetensors')}", (
            "run scripts/write_images.py"
        )


@pytest.mark.parametrize("folder", sorted((ROOT / "docs" / "reports").glob("*/")), ids=lambda path: path.name)
def test_reports_show_the_portrait_and_no_face_of_a_dataset(folder: Path) -> None:
    """Figures with faces say of whom, and what says nothing is refused: only those of numbers need not."""
    for picture in folder.iterdir():
        if picture.suffix in (".jsonl", ".md", ".tex") or re.fullmatch(r"(fed|overview|sweep-\d)\.png", picture.name):
            continue
        with Image.open(picture) as opened:
            said = opened.info.get("Comment")
        assert said == PHOTOS_NOTE.format("astronaut.png"), "make the report with --show assets/astronaut.png"


# --- the page of the commands ------------------------------------------------------------------------------------


def test_the_page_of_the_commands_is_current() -> None:
    reference = runpy.run_path(str(ROOT / "scripts" / "write_cli_reference.py"))["reference"]
    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == reference(), "run `make docs`"


def test_the_page_names_every_command_and_option() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert re.findall(r"^## mien ([\w-]+)$", page, re.M) == list(COMMANDS)
    for name, command in COMMANDS.items():
        section = page.partition(f"## mien {name}\n")[2].partition("\n## ")[0]
        for option in (
            opt for p in command.params if p.param_type_name == "option" and p.name != "help" for opt in p.opts
        ):
            assert f"`{option}" in section, (name, option)


def commands_in(page: str) -> list[list[str]]:
    """Return the words of every `mien` command that a page shows to be typed, in a block or as an example."""
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    lines = [
        line for block in blocks for line in block.replace("\\\n", " ").splitlines()
    ]  # a backslash continues a line
    shown = [line for line in [*lines, *re.findall(r"For example `([^`]+)`", text)] if line.startswith("mien ")]
    words = [shlex.split(line, comments=True)[1:] for line in shown]
    return [line for line in words if not any(word.strip("[]").isupper() for word in line)]  # those are to be filled in


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_command_that_a_page_shows_is_understood(page: str) -> None:
    shown = commands_in(page)
    assert shown or page not in ("README.md", "docs/cli.md")
    for name, *arguments in shown:
        COMMANDS[name].make_context(name, arguments)  # fails for an unknown option, a missing one, a bad value


# --- examples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_an_example_tells_how_it_is_called(script: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "examples" / script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and f"python examples/{script}" in done.stdout, done.stderr


def test_a_reading_is_what_the_page_says() -> None:
    block = re.search(r"```json\n(.*?)```", (ROOT / "docs" / "editing.md").read_text("utf-8"), re.S)
    assert block is not None
    (told,) = json.loads(block[1])
    editor = mien.load()
    (face,) = editor.find(read_photo(PORTRAIT))
    said = {"face": 1, **face.to_json(), **editor.read(face).to_json()}
    seen, box = told.pop("expressions"), told.pop("box")
    assert said.keys() == {*told, "expressions", "box"} and box == pytest.approx(said["box"], abs=0.1)
    assert told == pytest.approx({key: said[key] for key in told}, abs=0.1)
    assert {name: said["expressions"][name] for name in seen if name != "..."} == pytest.approx(
        {name: share for name, share in seen.items() if name != "..."}, abs=2e-3
    )


def test_edit_portrait(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "edited.jpg"
    run_example("edit_portrait.py", PORTRAIT, out, "--model", model, monkeypatch=monkeypatch)
    assert re.search(r"^before: \w+ \d+%, .*\nafter: surprise:0.6\+happy:0.4 @ 0.9 -> ", capsys.readouterr().out)
    mark = read_mark(out)
    assert mark is not None and mark["condition"].startswith("surprise:0.6+happy:0.4")
    change = np.abs(read_image(out).astype(int) - read_image(PORTRAIT))
    assert change[:250, 100:350].max() > 30 and change[300:].mean() < 2  # JPEG's own loss is smaller


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_walk_round_the_disc(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    out = tmp_path / f"walk{suffix}"
    settings = ("--steps", 6, "--size", 64)
    run_example("walk_round_the_disc.py", PORTRAIT, out, "--model", model, *settings, monkeypatch=monkeypatch)
    with Image.open(out) as animation:
        assert (animation.n_frames, animation.size) == (6, (64, 64))  # pyright: ignore[reportAttributeAccessIssue]
        frames = []
        for index in range(6):
            animation.seek(index)
            frames.append(np.asarray(animation.convert("RGB")).astype(int))
    # Opposite points of the disc differ more than what the format loses.
    assert np.abs(frames[0] - frames[3]).max() > 30
    if suffix == ".webp":
        mark = parse_mark(read_photo(out).xmp)
        assert mark is not None and mark["digital_source_type"] == DIGITAL_SOURCE_TYPE
    else:
        assert b"Facial expression edited by AI" in out.read_bytes()


def test_balance_expressions(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rare = [row for row in drawn.read(count=70, size=32) if row.expression != "fear" or row.key.endswith("1/fear")]  # pyright: ignore
    prepare(rare, tmp_path / "set", dataset="drawn", size=32)
    settings = ("--model", model, "--per-expression", 12)
    run_example("balance_expressions.py", tmp_path / "set", tmp_path / "out", *settings, monkeypatch=monkeypatch)
    balanced = prepare(folder.read(tmp_path / "out"), tmp_path / "again", dataset="folder", size=32)
    before = PreparedSet.open(tmp_path / "set")
    for name in before.expressions:
        assert len(balanced.select("train", [name])) == (9 if name == "neutral" else 12), name
        assert len(balanced.select("validation", [name])) == len(before.select("validation", [name]))
    synthetic = sorted((tmp_path / "out/train/fear").glob("synthetic-*.png"))
    assert len(synthetic) == 11
    mark = read_mark(synthetic[0])
    assert mark is not None and mark["condition"].startswith("fear @ ")
    assert all(read_mark(path) is None for path in (tmp_path / "out/validation/fear").glob("*.png"))
    # A synthetic face is one of the neutral faces, moved: nearer to its origin than to anybody else.
    neutral = before.images(before.select("train", ["neutral"])).astype(int)
    distances = np.abs(read_image(synthetic[0]).astype(int) - neutral).mean(axis=(1, 2, 3))
    assert 0 < np.sort(distances)[0] < np.sort(distances)[1]
