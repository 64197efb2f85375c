"""What the tests of the commands share: the command line in this process, a tiny model, a portrait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from untrained import write_run

from mien.apps.cli import main

ASTRONAUT = Path(__file__).parent.parent.parent / "assets" / "astronaut.png"


class Said(NamedTuple):
    """What a command left behind in the terminal."""

    code: int
    out: str
    err: str


def tree(folder: Path) -> dict[str, int]:
    """Return every file and folder below a folder, with sizes."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*")}


@pytest.fixture
def mien(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return a function that runs the command line in this process."""

    def call(*arguments: object) -> Said:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Said(stopped.value.code, said.out, said.err)  # pyright: ignore[reportArgumentType]

    return call


@pytest.fixture
def refused(mien: Callable[..., Said], tmp_path: Path) -> Callable[..., None]:
    """Return a function that runs a command which must fail as promised and leave nothing behind."""

    def call(*arguments: object, error: str, hint: str = "") -> None:
        before = tree(tmp_path)
        said = mien(*arguments)
        assert said.code == 2 and said.out == "", said
        lines = said.err.splitlines()
        assert [line.split(":")[0] for line in lines] == ["error", "hint"], said.err
        assert error in lines[0] and hint in lines[1], said.err
        assert tree(tmp_path) == before

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the exported file of an untrained model; the run lies beside it, in `run`."""
    folder = tmp_path_factory.mktemp("model")
    write_run(folder / "run")
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(folder / "run"), "--out", str(folder / "tiny.safetensors")])
    assert stopped.value.code == 0
    return folder / "tiny.safetensors"


@pytest.fixture(scope="session")
def portrait() -> Image.Image:
    """Return the astronaut's head in colour, 216 x 224 pixels: quick to search."""
    return Image.open(ASTRONAUT).convert("RGB").crop((116, 4, 332, 228))


@pytest.fixture
def photo(portrait: Image.Image, tmp_path: Path) -> Path:
    portrait.save(tmp_path / "portrait.png")
    return tmp_path / "portrait.png"
