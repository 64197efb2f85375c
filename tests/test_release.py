"""What `scripts/release.py` calls the runs that guided a chain of trainings, and that the last command still trains so."""

from __future__ import annotations

import dataclasses
import json
import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mien import presets
from mien.classifiers.settings import configure
from mien.methods import METHODS
from mien.runs import Run
from mien.settings import config_from_mapping
from mien.shipped import WEIGHTS, shipped
from mien.stepping import TrainConfig

release = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "release.py"))


def guide(name: str, **changed: Any) -> Run:
    network, recipe = configure("resnet18-guide", changed)
    settings = {"classifier": dataclasses.asdict(network), "recipe": dataclasses.asdict(recipe)}
    return Run(Path(name), {"preset": "resnet18-guide", **settings})


@pytest.fixture(autouse=True)
def hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name of a run's folder be the hash of its guide."""
    known = release["guide_places"].__globals__
    monkeypatch.setitem(known, "load_guide", lambda path: SimpleNamespace(sha256=path.name))


def called(guides: list[Run], commands: list[str], known: dict[str, str]) -> dict[str, str]:
    places = release["guide_places"](guides, commands, known)
    return {digest: word for digest, (word, _) in places.items()}


def test_guides_are_called_as_before_or_by_a_number_that_is_free() -> None:
    first, second = guide("aaa"), guide("bbb", epochs="9")
    told = release["judge_command"](first, "DATA", "GUIDE1")
    commands = [
        "mien prepare fer2013 SOURCE --out DATA",
        told,
        "mien train smoke --data DATA --out PART1 --guide GUIDE1",
    ]
    before = {"commands": commands, "training": {"guides": [{"name": "guide", "sha256": "aaa"}]}}
    known = release["known_guides"](before)
    assert known == {"aaa": "GUIDE1"}
    assert called([first, second], [], {}) == {"aaa": "GUIDE1", "bbb": "GUIDE2"}
    assert called([first], commands, known) == {"aaa": "GUIDE1"}
    assert called([second, first], commands, known) == {"bbb": "GUIDE2", "aaa": "GUIDE1"}
    # Trained by the very command of the first, elsewhere: another guide all the same, also the next time.
    assert called([guide("ccc")], commands, known) == {"ccc": "GUIDE2"}
    commands.append(release["judge_command"](guide("ccc"), "DATA", "GUIDE2"))
    origin = {"guides": before["training"]["guides"]}  # pyright: ignore[reportArgumentType, reportCallIssue]
    later = {"commands": commands, "training": {"init": origin, "guides": [{"name": "guide", "sha256": "ccc"}]}}
    assert called([guide("ccc"), first], commands, release["known_guides"](later)) == {"ccc": "GUIDE2", "aaa": "GUIDE1"}
    with pytest.raises(SystemExit, match="1 guides are noted"):
        release["known_guides"](before | {"commands": commands})


def test_a_run_names_those_of_its_guides_alone() -> None:
    places = release["guide_places"]([guide("aaa"), guide("bbb")], [], {})
    run = Run(Path("run"), {"guides": [{"name": "guide", "sha256": "bbb"}]})
    assert release["guides_of_run"](run, places).keys() == {"bbb"}
    with pytest.raises(SystemExit, match="was guided by ddd"):
        release["guides_of_run"](Run(Path("run"), {"guides": [{"sha256": "ddd"}]}), places)


@pytest.mark.parametrize("name", shipped())
def test_the_last_command_of_shipped_weights_says_the_settings_that_they_were_trained_with(name: str) -> None:
    """Where a preset gets other settings, the JSON has to say the former ones: it tells what differed then."""
    told = json.loads((WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
    words = shlex.split(told["commands"][-1], comments=True)
    changed = dict(words[place + 1].split("=", 1) for place, word in enumerate(words) if word == "--set")
    method_config, train_config = presets.configure(presets.find_preset(words[2]), changed)
    assert method_config == config_from_mapping(METHODS[told["method"]].Config, told["method_config"])
    assert train_config == config_from_mapping(TrainConfig, told["training"]["train_config"])
