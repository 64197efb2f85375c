"""Promises about the repository itself: its size, its origins, its words, and that nothing is ever unpickled."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mien.methods import METHODS
from mien.presets import PRESETS
from mien.pretrained import shipped

ROOT = Path(__file__).parent.parent
WEIGHTS = "mien/weights/"
#: A file of somebody's own machine: below a home, a mount or a scratch folder, on any system.
PRIVATE_PATH = re.compile(
    r"(?<![\w.:/*~-])/(?:home|Users|root|tmp|mnt|media|scratch|work|workspace)/[\w.-]+|\b[A-Z]:\\+Users\b"
)
PICKLERS = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}


@pytest.fixture(scope="module")
def files() -> list[str]:
    """Return what the repository holds, with what is new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("these are checks of a git checkout, and this is none")
    return [name for name in sorted(set(listed.split("\0"))) if (ROOT / name).is_file()]


def text_of(name: str) -> str:
    content = (ROOT / name).read_bytes()
    return "" if b"\0" in content else content.decode()


def pages() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    }


def test_only_weights_are_large(files: list[str]) -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in files}
    assert [name for name, size in sizes.items() if size > 1e6 and not name.startswith(WEIGHTS)] == []
    assert sum(size for name, size in sizes.items() if name.startswith(WEIGHTS)) <= 33e6


def test_no_file_names_a_private_path(files: list[str]) -> None:
    found = {name: match[0] for name in files if (match := PRIVATE_PATH.search(text_of(name)))}
    assert found == {}


@pytest.mark.parametrize("text", ["see {}home/ada/x", '"{}root/.cache"', "open('{}tmp/a.png')", "C:{0}Users{0}ada"])
def test_a_private_path_is_recognised(text: str) -> None:
    # The slash comes in last, or this file would name such paths itself.
    assert PRIVATE_PATH.search(text.format("\\" if "Users" in text else "/"))


@pytest.mark.parametrize("text", ["https://example.org/home/ada", "data/home/x", "either home/work or /data/"])
def test_other_paths_are_not_private(text: str) -> None:
    assert not PRIVATE_PATH.search(text)


def test_notice_tells_the_origin_of_every_weight_and_asset(files: list[str]) -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    foreign = [name for name in files if name.startswith((WEIGHTS, "assets/"))]
    assert foreign
    assert [name for name in foreign if name not in notice] == []


def test_licence_is_the_whole_of_apache_2() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.lstrip().startswith("Apache License\n                           Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in licence


def test_every_preset_that_the_documents_name_exists() -> None:
    families = "|".join(METHODS)
    known = {*PRESETS, *shipped()}
    for page, text in pages().items():
        trained = re.findall(r"mien train ([a-z][\w-]*)", text)
        quoted = re.findall(rf"`((?:{families})-[\w-]+)`", text)
        assert set(trained) <= set(PRESETS), page
        assert set(quoted) <= known, page


def test_every_page_that_the_documents_link_exists() -> None:
    for page, text in pages().items():
        targets = [target for target in re.findall(r"\]\(([^)#\s\"]+)[^)]*\)", text) if "://" not in target]
        missing = [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()]
        assert missing == [], page


def unpickling(source: str) -> list[str]:
    """Return the places of a program that could run code out of a data file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            allowed = [keyword.value for keyword in node.keywords if keyword.arg == "allow_pickle"]
            if ast.unparse(node.func) == "torch.load" or any(ast.unparse(value) != "False" for value in allowed):
                found.append(ast.unparse(node))
    return found


def test_the_package_unpickles_only_through_torchs_restricted_reader_in_known_places() -> None:
    found = {path.name: unpickling(path.read_text("utf-8")) for path in (ROOT / "mien").rglob("*.py")}
    known = {
        # RetinaFace as it was published: only where its hash is the pinned one, which test_retinaface_weights.py shows.
        "retinaface_weights.py": ["torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)"],
        # State dicts that somebody names, torchvision's or of official code: test_pickled.py shows that nothing runs.
        "pickled.py": ["torch.load(path, map_location='cpu', weights_only=True)"],
    }
    assert {name: places for name, places in found.items() if places} == known


@pytest.mark.parametrize(
    "program",
    ["import pickle", "from joblib import load", "x = torch.load(f)", "np.load(f, allow_pickle=True)"],
)
def test_unpickling_is_recognised(program: str) -> None:
    assert unpickling(program)
    assert not unpickling("'''import pickle'''; np.load(f, allow_pickle=False)")


def test_every_dependency_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    extras = project["optional-dependencies"].values()
    for requirement in map(Requirement, [*project["dependencies"], *(line for extra in extras for line in extra)]):
        if requirement.name == "mien":  # what tests need besides: the other extras
            continue
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement
