"""The steps of an experiment: each is a `mien` command that a person could type, and knows by its product when it is done.

A product counts only where it is whole and was made with these settings from this data: manifests, configurations and
hashes say so. What another setting made is not done; its command then says what does not fit.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from mien.benchmark.protocol import Protocol
from mien.classifiers import settings as judges
from mien.errors import MienError
from mien.files import file_sha256
from mien.official.specification import KINDS, parse_specification
from mien.presets import configure, find_preset
from mien.runs import Run, checkpoint_records
from mien.settings import config_from_mapping
from mien.shipped import WEIGHTS, shipped, shipped_judges
from mien.stepping import FREE_SETTINGS, TrainConfig


class Step(Interface):
    """One command of an experiment."""

    @property
    def title(self) -> str:
        """What it does, in a few words."""
        ...

    @property
    def out(self) -> Path:
        """The folder that it makes."""
        ...

    @property
    def command(self) -> tuple[str, ...]:
        """What a person types after `mien`."""
        ...

    def finished(self) -> bool:
        """Say whether its product is there, whole, and made with these settings."""
        ...


@dataclass(frozen=True)
class Source:
    """A dataset as it lies on disk."""

    name: str
    """How tables call it, for example `Aff-Wild2`."""
    dataset: str
    """Key of `mien.datasets.READERS`."""
    path: Path
    """Where it lies."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of its reader."""
    share: float = 1.0
    """Share of its rows that is taken."""


@dataclass(frozen=True)
class Prepare:
    """Find and cut out the faces of a dataset."""

    source: Source
    """The dataset."""
    out: Path
    """The prepared set."""
    detector: str
    """`none` takes images as they are cut."""
    size: int
    """Side of the images in pixels."""
    device: str = "cpu"
    """Where the detector runs."""

    @property
    def title(self) -> str:
        """See `Step`."""
        return f"prepare {self.source.name}" + ("" if self.detector == "none" else f", faces by {self.detector}")

    @property
    def command(self) -> tuple[str, ...]:
        """See `Step`."""
        source = self.source
        command = ["prepare", source.dataset, str(source.path), "--out", str(self.out), "--size", str(self.size)]
        command += ["--detector", self.detector]
        for name, value in source.options.items():
            command += ["--option", f"{name}={_typed(value)}"]
        if source.share < 1:
            command += ["--share", str(source.share)]
        if self.device != "cpu" and self.detector != "none":
            command += ["--device", self.device]
        return tuple(command)

    def finished(self) -> bool:
        """See `Step`."""
        recipe = (read_manifest(self.out) or {}).get("recipe", {})
        options = dict(self.source.options) | ({"share": self.source.share} if self.source.share < 1 else {})
        found_by = (recipe.get("detector") or {"name": "none"})["name"] if recipe else None
        made = (recipe.get("dataset"), recipe.get("size"), recipe.get("options"), found_by)
        return made == (self.source.dataset, self.size, options, self.detector)


@dataclass(frozen=True)
class Combine:
    """Join prepared sets, and leave out pictures of validation that training has too."""

    name: str
    """How tables call the combination."""
    parents: tuple[Path, ...]
    """The prepared sets."""
    out: Path
    """The combination."""

    @property
    def title(self) -> str:
        """See `Step`."""
        return f"combine {' and '.join(path.name for path in self.parents)}"

    @property
    def command(self) -> tuple[str, ...]:
        """See `Step`."""
        return ("combine", *map(str, self.parents), "--without-leaks", "--out", str(self.out))

    def finished(self) -> bool:
        """See `Step`."""
        own = read_manifest(self.out)
        options = (own or {}).get("recipe", {}).get("options", {})
        parents = [(read_manifest(path) or {}).get("hash") for path in self.parents]
        joined = [parent.get("hash") for parent in options.get("parents", [])]
        return own is not None and options.get("without_leaks") is True and joined == parents


@dataclass(frozen=True)
class Train:
    """Train a generator."""

    name: str
    """How tables call it: data, detector, size."""
    preset: str
    """Row of `mien.presets`."""
    data: Path
    """A prepared set."""
    out: Path
    """The run folder."""
    settings: tuple[str, ...] = ()
    """`key=value`: what differs from the preset."""

    @property
    def title(self) -> str:
        """See `Step`."""
        return f"train {self.name}"

    @property
    def command(self) -> tuple[str, ...]:
        """See `Step`."""
        changed = [word for setting in self.settings for word in ("--set", setting)]
        return ("train", self.preset, "--data", str(self.data), "--out", str(self.out), *changed)

    def configuration(self) -> tuple[Any, TrainConfig]:
        """Return the method's and the loop's configuration; raises `ConfigError` for settings that do not exist."""
        pairs = (setting.partition("=") for setting in self.settings)
        return configure(find_preset(self.preset), {key: value for key, _, value in pairs})

    def finished(self) -> bool:
        """See `Step`."""
        run = _read_run(self.out)
        if run is None or not _learns_from(run, self.data):
            return False
        method, loop = self.configuration()
        sections = {"method_config": method, "train_config": loop}
        defaults = {"method_config": type(method)(), "train_config": TrainConfig()}
        return _made_with(run, self.preset, sections, defaults, init=None) and run.step >= loop.steps


@dataclass(frozen=True)
class TrainJudge:
    """Train a classifier that measures the generators."""

    preset: str
    """Row of `mien.classifiers.settings.PRESETS`."""
    data: Path
    """A prepared set."""
    out: Path
    """The run folder."""
    settings: tuple[str, ...] = ()
    """`key=value`: what differs from the preset."""
    init: Path | None = None
    """Weights that it starts from."""

    @property
    def title(self) -> str:
        """See `Step`."""
        return f"train the judge {self.out.name}"

    @property
    def command(self) -> tuple[str, ...]:
        """See `Step`."""
        changed = [word for setting in self.settings for word in ("--set", setting)]
        start = [] if self.init is None else ["--init", str(self.init)]
        return ("train-judge", self.preset, "--data", str(self.data), "--out", str(self.out), *start, *changed)

    def configuration(self) -> tuple[judges.ClassifierConfig, judges.Recipe]:
        """Return network and recipe; raises `ConfigError` for settings that do not exist."""
        pairs = (setting.partition("=") for setting in self.settings)
        return judges.configure(self.preset, {key: value for key, _, value in pairs})

    def finished(self) -> bool:
        """See `Step`; the run's report is written last."""
        run = _read_run(self.out)
        if run is None or not _learns_from(run, self.data):
            return False
        network, recipe = self.configuration()
        sections = {"classifier": network, "recipe": recipe}
        defaults = {"classifier": judges.ClassifierConfig(), "recipe": judges.Recipe()}
        init = None if self.init is None else {"file": self.init.name, "sha256": _sha256(self.init)}
        same = _made_with(run, self.preset, sections, defaults, init)
        return same and run.step > 0 and (self.out / "report.json").is_file()


@dataclass(frozen=True)
class Bench:
    """Measure all generators, and write the report."""

    models: tuple[tuple[str, str], ...]
    """Title and source of each, as `mien bench` takes them."""
    data: Path
    """The prepared set whose held-out faces are edited."""
    judges: tuple[str, ...]
    """Runs or names of judges."""
    out: Path
    """The report's folder."""
    settings: tuple[str, ...] = ()
    """`key=value`: what differs from the protocol's defaults."""
    show: tuple[Path, ...] = ()
    """Photos that the report shows instead of the dataset's faces."""
    device: str = "cpu"
    """Where it is computed."""

    @property
    def title(self) -> str:
        """See `Step`."""
        return f"measure {len(self.models)} models and the baselines"

    @property
    def command(self) -> tuple[str, ...]:
        """See `Step`."""
        models = [f"{title}={source}" for title, source in self.models]
        words = [word for judge in self.judges for word in ("--judge", judge)]
        words += [word for setting in self.settings for word in ("--set", setting)]
        words += [word for photo in self.show for word in ("--show", str(photo))]
        words += [] if self.device == "cpu" else ["--device", self.device]
        return ("bench", *models, "--data", str(self.data), "--baselines", *words, "--out", str(self.out))

    def finished(self) -> bool:
        """See `Step`; the page is written last, and the numbers say of which weights, judges and data they are."""
        if not (self.out / "report.html").is_file():
            return False
        try:
            lines = [json.loads(line) for line in (self.out / "results.jsonl").read_text("utf-8").splitlines() if line]
            measured = {line["contestant"]: line["model_sha256"] for line in lines}
            measured_by = {line["judge_sha256"] for line in lines} - {None}
            same_data = {line["data_hash"] for line in lines} == {(read_manifest(self.data) or {}).get("hash")}
            protocol = lines[0]["protocol"] if lines else {}
        except (OSError, ValueError, KeyError, TypeError):
            return False
        models = {title: _weights_of(source) for title, source in self.models}
        same_models = None not in models.values() and models.items() <= measured.items()
        same_judges = {_weights_of(judge) for judge in self.judges} == measured_by
        same_protocol = protocol == json.loads(json.dumps(self.protocol().to_json()))
        return same_data and same_models and same_judges and same_protocol

    def protocol(self) -> Protocol:
        """Return how it is measured; raises `ConfigError` for settings that do not exist."""
        pairs = (setting.partition("=") for setting in self.settings)
        return config_from_mapping(Protocol, {key: value for key, _, value in pairs})


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return a finished prepared set's manifest, or None where there is none, or another version's."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        return manifest if isinstance(manifest["recipe"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _typed(value: Any) -> str:
    """Return a value as a person types it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _read_run(path: Path) -> Run | None:
    try:
        return Run.read(path)
    except MienError:
        return None


def _learns_from(run: Run, data: Path) -> bool:
    """Say whether a run learns from the data that lies there now."""
    return run.configuration.get("data", {}).get("hash") == (read_manifest(data) or {}).get("hash")


def _made_with(
    run: Run, preset: str, sections: Mapping[str, Any], defaults: Mapping[str, Any], init: dict[str, Any] | None
) -> bool:
    """Say whether a run was made with these settings, all of them, by the rule by which its command would resume it."""
    settings = {name: dataclasses.asdict(section) for name, section in sections.items()}
    return not run.differences({"preset": preset, **settings, "init": init}, defaults, FREE_SETTINGS)


def _sha256(path: Path) -> str | None:
    """Return the hash of a file; None where there is none."""
    return file_sha256(path) if path.is_file() else None


def _weights_of(source: str) -> str | None:
    """Return the hash of the weights that a run, a file or what ships has now, as results tell it; None without any."""
    if source.partition(":")[0] in KINDS:
        return _official_weights_of(source)
    ships = source in (*shipped(), *shipped_judges())
    path = WEIGHTS / f"{source}.safetensors" if ships else Path(source)
    if path.is_dir():
        found = checkpoint_records(path)
    else:
        found = [path.with_suffix(".json")] if path.suffix == ".safetensors" and path.is_file() else []
    try:
        return json.loads(found[-1].read_text(encoding="utf-8"))["sha256"] if found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _official_weights_of(source: str) -> str | None:
    """Return the hash of an official generator's checkpoint; one that was converted tells it of what it was before."""
    try:
        path = parse_specification(source).generator
        if path.suffix != ".safetensors":
            return _sha256(path)
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["files"]["generator"]["sha256"]
    except (MienError, OSError, ValueError, KeyError, TypeError):
        return None
