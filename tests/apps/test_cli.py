"""The command line as people meet it: help, usage, data and training. Photos: test_photo_commands.py."""

from __future__ import annotations

import io
import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.apps import cli
from mien.apps.cli import app
from mien.apps.commands import COMMANDS
from mien.apps.progress import ProgressBar
from mien.expressions import BASIC
from mien.runs import Run
from mien.version import VERSION

# --- speed, help, usage ------------------------------------------------------------------------------------------


def test_help_is_there_in_half_a_second_of_processor_time() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([Path(sys.executable).with_name("mien"), "--help"], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0 and "prepare" in done.stdout
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from mien.apps.cli import main\n"
        "try: main(['edit', '--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "print('heavy:', *({'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "heavy:", done


def test_an_error_in_a_process_of_its_own_is_two_lines_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien.apps.cli", "edit", tmp_path / "none.jpg", "-e", "happy", "-o", "x.png"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: cannot read `.*none\.jpg`.*\nhint: .+\n", done.stderr), done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_every_command_is_listed_with_a_whole_sentence(mien: Callable[..., Any], arguments: list[str]) -> None:
    said = mien(*arguments)
    assert said.code == 0
    for command in app.registered_commands:
        name = command.callback.__name__.replace("_", "-")  # pyright: ignore[reportOptionalMemberAccess]
        assert re.search(rf"^  {name} +[A-Z].+\.$", said.out, re.M), said.out
    assert "...\n" not in said.out.partition("Commands:")[2]


def test_the_version(mien: Callable[..., Any]) -> None:
    assert mien("--version") == (0, f"mien {VERSION}\n", "")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("edit --foo", "--foo"),
        ("edt a.jpg", "edt"),
        ("edit", "PHOTO"),
        ("edit a.jpg -e happy", "--out"),
        ("edit a.jpg -e happy -i strong -o b.png", "--intensity"),
        ("edit a.jpg -e happy --threshold 2 -o b.png", "--threshold"),
        ("gamut a.jpg b.jpg -o b.png", "b.jpg"),
        ("gamut a.jpg --tile 5 -o b.png", "--tile"),
        ("gamut a.jpg --rings many -o b.png", "--rings"),
        ("prepare drawn", "--out"),
        ("prepare drawn --size 4 --out d", "--size"),
    ],
)
def test_wrong_usage_gets_a_line_and_a_hint(refused: Callable[..., None], line: str, error: str) -> None:
    refused(*line.split(), error=error, hint="--help` tells more")


def test_an_interruption_is_no_traceback(mien: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.presets.find_preset", interrupted)
    assert mien("train", "smoke", "--data", "d", "--out", "r") == (130, "", "stopped\n")
    monkeypatch.setattr("mien.datasets.READERS", {"drawn": lambda source, **options: interrupted("drawn")})
    named = {command.__name__.replace("_", "-"): command.__doc__ or "" for command in COMMANDS}
    said = {name for name, doc in named.items() if "same command" in " ".join(doc.split())}
    assert said - {"train", "experiment"} == set(cli._RESUMED)  # those two say it by themselves
    goes_on = "stopped; the same command goes on from there\n"
    assert mien("prepare", "drawn", "--out", "d") == (130, "", goes_on)


def test_a_missing_extra_is_named(mien: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, drawn: Path) -> None:
    for name in ("lightning_fabric", "lightning", "lightning.fabric"):
        monkeypatch.setitem(sys.modules, name, None)
    said = mien("train", "smoke", "--data", drawn, "--out", drawn.with_name("run"))
    assert said.code == 2 and re.fullmatch(
        r"error: `lightning.*` is not .*\nhint: `pip install 'mien\[train\]'.*\n", said.err
    )


# --- data and training -------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(mien: Callable[..., Any], tmp_path: Path) -> Path:
    """Return a prepared set of 84 drawn faces of 16 pixels: one person in ten is for validation."""
    out = tmp_path / "drawn"
    said = mien("prepare", "drawn", "--out", out, "--size", 16, "--option", "count=84")
    assert (said.code, said.out) == (0, f"{out}\n")
    assert "train: neutral 11, happy 11, sad 11, surprise 11, fear 11, disgust 11, anger 11" in said.err
    assert "validation: neutral 1," in said.err and "rejected" not in said.err
    return out


TINY = [
    f"--set={setting}"
    for setting in ("image_size=16", "generator_channels=8", "generator_blocks=1", "critic_channels=8", "critic_layers=2",
                    "batch_size=8", "num_free_codes=2", "steps=2")
]  # fmt: skip


def test_a_judge_looks_on_while_a_model_is_trained(
    mien: Callable[..., Any], refused: Callable[..., None], drawn: Path, tmp_path: Path
) -> None:
    command = ("train", "smoke", "--data", drawn, "--out", tmp_path / "run", *TINY)
    said = mien(*command, "--judge", "judge-vgg16")
    assert said.code == 0 and "judged/f1 0." in said.err
    (line,) = [line for line in Run.read(tmp_path / "run").stats() if "judged/f1" in line]
    assert line["step"] == 2 and set(line) == {"step", "judged/f1", *(f"judged/{name}" for name in BASIC)}
    assert mien("export", tmp_path / "run", "-o", tmp_path / "mine.safetensors").code == 0
    refused(*command[:5], tmp_path / "other", *TINY, "--judge", "judge-vgg", error="judge", hint="judge-vgg16")
    assert not (tmp_path / "other").exists()


def test_a_classifier_guides_a_training(
    mien: Callable[..., Any], refused: Callable[..., None], drawn: Path, tmp_path: Path
) -> None:
    command = ("train", "smoke", "--data", drawn, "--out", tmp_path / "run", *TINY)
    weight = ("--set", "lambda_guide=0.5")
    refused(*command, *weight, error="lambda_guide weighs what a guide says", hint="--guide")
    refused(*command, "--guide", "judge-vgg", error="judge-vgg", hint="judge-vgg16")
    refused(*command, "--guide", "judge-vgg16", "--set", "lambda_guide=0", error="lambda_guide is 0.0", hint="above 0")
    dry = json.loads(mien(*command, "--guide", "judge-vgg16", "--judge", "judge-resnet18", "--dry-run").out)
    assert [guide["name"] for guide in dry["guides"]] == ["judge-vgg16"] and dry["judges"] == ["judge-resnet18"]
    refused(*command, "--guide", "judge-vgg", "--dry-run", error="judge-vgg", hint="judge-vgg16")
    assert not (tmp_path / "run").exists()
    said = mien(*command, *weight, "--guide", "judge-vgg16", "--judge", "judge-vgg16")
    assert said.code == 0 and "generator/guide" in said.err
    assert "note: judge-vgg16 guides this model" in said.err


def test_three_commands_lead_from_a_dataset_to_an_edited_photo(
    mien: Callable[..., Any], refused: Callable[..., None], drawn: Path, photo: Path
) -> None:
    run, weights, out = (photo.with_name(name) for name in ("run", "mine.safetensors", "out.png"))
    said = mien("train", "smoke", "--data", drawn, "--out", run, *TINY)
    assert (said.code, said.out) == (0, f"{run}\n") and "training 2/2" in said.err
    assert f"all 2 steps are done; `mien edit PHOTO -e anger --model {run} -o FILE` tries the model" in said.err
    assert mien("train", "smoke", "--data", drawn, "--out", run, *TINY).code == 0  # there is nothing left to do
    assert mien("export", run, "-o", weights) == (0, f"{weights}\n", "")
    assert json.loads(weights.with_suffix(".json").read_text())["training"]["preset"] == "smoke"
    assert mien("edit", photo, "-e", "happy", "-m", weights, "-o", out).code == 0
    # The folder is the run's of that configuration, and no other's.
    other = ("train", "smoke", "--data", drawn, "--out", run, *TINY, "--set", "learning_rate=0.1")
    refused(*other, error="another configuration (learning_rate: ", hint="--out")
    refused(*other[:5], photo.parent, error="is no run folder", hint="new folder")


def test_a_dry_run_prints_the_whole_configuration_and_writes_nothing(mien: Callable[..., Any], tmp_path: Path) -> None:
    said = mien("train", "smoke", "--data", "d", "--out", tmp_path / "r", "--set", "steps=7", "--dry-run")
    whole = json.loads(said.out)
    assert said.code == 0 and whole["train"]["steps"] == 7 and whole["method"]["image_size"] == 32
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ("smok", "unknown preset `smok`", "did you mean `smoke`"),
        ("smoke --set step=2", "unknown setting `step`", "did you mean `steps`"),
        ("smoke --set steps", "is not key=value", "--set KEY=VALUE"),
        ("smoke --set steps=many", "steps='many' is not a whole number", "steps"),
        ("smoke --set steps=0", "steps is 0", "1 or more"),
        ("smoke", "no prepared set", "mien prepare"),
    ],
)
def test_a_training_that_cannot_begin_is_refused(
    refused: Callable[..., None], tmp_path: Path, arguments: str, error: str, hint: str
) -> None:
    folders = ("--data", tmp_path / "none", "--out", tmp_path / "run")
    refused("train", *arguments.split(), *folders, error=error, hint=hint)


def test_a_prepared_set_of_another_version_is_refused(refused: Callable[..., None], drawn: Path) -> None:
    manifest = drawn / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 2', '"version": 3'))
    run = drawn.with_name("run")
    refused("train", "smoke", "--data", drawn, "--out", run, *TINY, error="version 3", hint="mien prepare")
    again = ("prepare", "drawn", "--out", drawn, "--size", 16, "--option", "count=84")
    refused(*again, error="version 3", hint="another folder")


def test_rows_that_cannot_be_used_are_counted_and_listed(
    mien: Callable[..., Any], portrait: Image.Image, tmp_path: Path
) -> None:
    for name in ("train/happy", "test/anger"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        portrait.save(folder / "good.png")
    (tmp_path / "photos/train/happy/broken.jpg").write_bytes((folder / "good.png").read_bytes()[:5000])
    Image.new("RGB", (64, 64)).save(tmp_path / "photos/train/happy/wall.png")
    out = tmp_path / "set"
    said = mien("prepare", "folder", tmp_path / "photos", "--out", out, "--size", 32, "--detector", "mtcnn")
    assert said.code == 0 and "happy 1" in said.err and "test: anger 1" in said.err
    assert f"rejected: 2, see {out / 'rejected.csv'}" in said.err
    listed = (out / "rejected.csv").read_text()
    assert re.search(r"broken\.jpg.*cut short", listed) and re.search(r"wall\.png.*no face", listed)


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ("celeba .", "unknown dataset `celeba`", "known: affectnet, affwild2, fer2013, rafdb, folder, drawn"),
        ("fer2013", "`fer2013` needs the folder or file it lies in", "mien prepare fer2013 SOURCE"),
        ("fer2013 {}/none", "{}/none", "fer2013.csv"),
        ("folder {}", "no labelled images", "class folders"),
        ("drawn --detector dlib", "unknown detector `dlib`", "known: none, mtcnn"),
        ("drawn --option people=3", "`drawn` has no option `people`", "known: count, size, seed"),
        ("drawn --option count=few", "count=few is no whole number", "count=2100"),
        ("drawn --option count=0", "0 drawn faces", "at least one"),
        ("drawn --option count", "is not key=value", "--option KEY=VALUE"),
    ],
)
def test_a_dataset_that_cannot_be_prepared_is_refused(
    refused: Callable[..., None], tmp_path: Path, arguments: str, error: str, hint: str
) -> None:
    words = [word.format(tmp_path) for word in arguments.split()]
    refused("prepare", *words, "--out", tmp_path / "set", error=error.format(tmp_path), hint=hint)


def test_a_folder_that_holds_something_else_is_not_written_into(refused: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    refused("prepare", "drawn", "--out", tmp_path / "letters", error="holds no prepared set", hint="empty folder")
    refused("prepare", "drawn", "--out", tmp_path / "letters" / "a.txt", error="is a file", hint="folder")
    refused("prepare", "drawn", "--out", tmp_path / "letters" / "a.txt" / "b", error="a.txt", hint="")


def test_every_preset_is_listed_with_its_promise(mien: Callable[..., Any]) -> None:
    said = mien("presets")
    names = [line for line in said.out.splitlines() if not line.startswith(" ")]
    assert {"smoke", "stargan-fer2013", "ganmut-fer2013", "ganmut-affectnet"} <= set(names)
    assert said.out.count("    promise: ") == len(names)


# --- progress ----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_a_few_lines_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProgressBar("counting", 3) as bar:
        for done in (1, 2, 3):
            bar.advance(done, 3, "words")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "counting 1/3 words\ncounting 3/3 words\n")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar("counting") as bar:
        bar.advance(2, None, "words")
        bar.advance(3, 3, "words")
    assert "3/3" in terminal.getvalue() and "None" not in terminal.getvalue()
