"""The run folder: everything that a training leaves on disk, and the way back into it.

    RUN/
      config.json                     method, settings, data hash: what the same command must match to resume
      machine.json                    processor and versions that it was trained on
      stats.jsonl                     one line every `log_every` steps
      samples/step-0001000.png        fixed validation faces, edited
      checkpoints/step-0001000.*      .safetensors (all tensors) and .json (step, sha256)
      anchor.*                        what the run began with, where `lambda_anchor` holds it near that; .json (sha256)
      training.lock                   locked while a process trains here; what a killed one leaves keeps nobody out

Nothing is pickled. A checkpoint is written under another name and renamed, its JSON after it: what has a JSON is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, DataError, RunError
from mien.files import file_sha256, write_bytes, write_text
from mien.prepared.lock import FolderLock
from mien.settings import setting_as_text

if TYPE_CHECKING:
    from torch import Tensor

#: Names in a run folder.
_CONFIG, _LOCK, _ANCHOR = "config.json", "training.lock", "anchor.safetensors"
#: The parts of a configuration that `--set` changes.
_SETTINGS = ("method_config", "train_config", "classifier", "recipe")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, atomically."""
    from safetensors.torch import save

    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, save(whole, metadata=dict(metadata or {})))  # `save_file` would make it private to the user


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file on the CPU; a broken one is a `RunError`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} is no readable safetensors file: {error}", hint="restore it from a copy") from None


def describe_machine() -> dict[str, str]:
    """Name processor, GPU, threads and torch, so that a speed or a result can say where it was measured."""
    processor = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    try:
        import torch
    except ImportError:
        return {"processor": processor, "gpu": "unknown", "threads": str(os.cpu_count()), "torch": "none"}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"processor": processor, "gpu": gpu, "threads": str(torch.get_num_threads()), "torch": torch.__version__}


class Run:
    """A run folder; `open` makes one or finds one that the same configuration made."""

    def __init__(self, path: Path, configuration: dict[str, Any]) -> None:
        self.path = path
        self.configuration = configuration

    @staticmethod
    def open(
        path: Path,
        configuration: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        free: Collection[str] = (),
    ) -> Run:
        """Create the folder, or resume it; raises `RunError` where another configuration wrote it.

        `defaults` has dataclasses by section: a setting that an older version did not know counts as its default. `free`
        names settings that may be others than before, since they decide nothing of what is learned.
        """
        wanted = json.loads(json.dumps(configuration))
        _refuse_what_is_no_run(path)
        if (path / _CONFIG).exists():
            before = Run.read(path)
            if different := before.differences(wanted, defaults, free):
                longer = any(each.startswith("steps:") for each in different)
                hint = f"; to train on from it, begin a new run with `--init {path}`" if longer else ""
                settings = _as_options(before._counted(wanted, defaults, free), wanted)
                more = f"; and {len(different) - 3} more" if len(different) > 3 else ""
                raise RunError(
                    f"{path} was written by another configuration ({'; '.join(different[:3])}{more})",
                    hint=f"choose another --out, or repeat the first command's settings to resume it{settings}{hint}",
                )
        else:
            path.mkdir(parents=True, exist_ok=True)
            write_text(path / _CONFIG, json.dumps(wanted, indent=2) + "\n")
        for folder in ("samples", "checkpoints"):  # after the configuration: a kill between the two leaves a run folder
            (path / folder).mkdir(exist_ok=True)
        return Run(path, wanted)

    @staticmethod
    def read(path: Path) -> Run:
        """Open a run folder that exists."""
        file = path / _CONFIG
        if not file.exists():
            raise RunError(f"{path} is no run folder", hint="a run folder holds config.json; `mien train` makes one")
        try:
            configuration = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:  # no JSON, or no UTF-8
            raise RunError(f"{file} is broken: {error}", hint="restore it from a copy") from None
        if not isinstance(configuration, dict):
            raise RunError(f"{file} is broken: it holds no table of settings", hint="restore it from a copy")
        return Run(path, configuration)

    def differences(
        self,
        configuration: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
        free: Collection[str] = (),
    ) -> list[str]:
        """Say in what another configuration differs, setting by setting; without any, its command resumes this run.

        `defaults` and `free` as in `open`.
        """
        wanted = json.loads(json.dumps(configuration))
        found = self._counted(wanted, defaults, free)
        return [each for key in wanted for each in _differences(key, found.get(key), wanted[key])]

    def _counted(
        self, wanted: Mapping[str, Any], defaults: Mapping[str, Any] | None, free: Collection[str]
    ) -> dict[str, Any]:
        """Return this run's configuration as it counts beside another one."""
        found = dict(self.configuration)
        if isinstance(found.get("data"), dict):  # its hash decides; what older versions did not note follows from it
            found["data"] = wanted.get("data", {}) | found["data"]
        if _hashes(found) == _hashes(wanted):  # their names and order decide nothing; older versions had none
            found["guides"] = wanted.get("guides")
        for section, settings in (defaults or {}).items():
            if isinstance(found.get(section), dict):
                found[section] = json.loads(json.dumps(dataclasses.asdict(settings))) | found[section]
                found[section] |= {name: value for name, value in wanted.get(section, {}).items() if name in free}
        return found

    def note_machine(self, facts: Mapping[str, str]) -> None:
        """Keep what the run was trained on; it may be resumed elsewhere, so this is no part of the configuration."""
        if facts not in (before := self.machine()):
            write_text(self.path / "machine.json", json.dumps([*before, dict(facts)], indent=2) + "\n")

    def machine(self) -> list[dict[str, str]]:
        """Return the machines that the run was trained on, in their order."""
        path = self.path / "machine.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        except ValueError as error:
            raise RunError(
                f"{path} is broken: {error}", hint="delete it; only the notes on machines are lost"
            ) from None

    # --- stats ---------------------------------------------------------------------------------------------------

    @property
    def stats_path(self) -> Path:
        """Where the losses are logged."""
        return self.path / "stats.jsonl"

    def append_stats(self, stats: Mapping[str, float]) -> None:
        """Append one line of losses."""
        with self.stats_path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(stats) + "\n")

    def stats(self) -> list[dict[str, float]]:
        """Read what was logged; a half-written last line, left by a kill, is left out, and whatever else is no line."""
        lines = []
        if self.stats_path.exists():
            for line in self.stats_path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    found = json.loads(line)
                except ValueError:  # no JSON, or a number of more digits than Python reads
                    continue
                lines += [found] if isinstance(found, dict) else []
        return lines

    def forget_stats_after(self, step: int) -> None:
        """Drop what was logged after a checkpoint's step, since those steps are taken again."""
        kept = [line for line in self.stats() if line.get("step", 0) <= step]
        write_text(self.stats_path, "".join(json.dumps(line) + "\n" for line in kept))

    # --- the anchor ----------------------------------------------------------------------------------------------

    def keep_anchor(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep what the run begins with, and its hash; one that goes on from a checkpoint has them already."""
        if self.step:
            return
        write_tensors(self._anchor, tensors)
        write_text(self._anchor.with_suffix(".json"), json.dumps({"sha256": file_sha256(self._anchor)}) + "\n")

    def anchor(self) -> dict[str, Tensor]:
        """Read what `keep_anchor` wrote; `RunError` where it is missing or its hash is another."""
        wanted = _record(self._anchor.with_suffix(".json")).get("sha256")
        if not self._anchor.is_file() or file_sha256(self._anchor) != wanted:
            raise RunError(
                f"{self._anchor}, which the run is to stay near, is missing or damaged",
                hint=f"restore it and its .json from a copy, or begin a new run with `--init {self.path}`",
            )
        return read_tensors(self._anchor)

    @property
    def _anchor(self) -> Path:
        return self.path / _ANCHOR

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def save_checkpoint(self, step: int, tensors: Mapping[str, Tensor], keep: int = 2) -> Path:
        """Write a checkpoint; of the older ones the newest `keep` - 1 stay."""
        path = self.path / "checkpoints" / f"step-{step:07d}.safetensors"
        write_tensors(path, tensors)
        record = {"step": step, "sha256": file_sha256(path)}
        write_text(path.with_suffix(".json"), json.dumps(record) + "\n")
        for old in checkpoint_records(self.path)[:-keep]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)
        return path

    @property
    def step(self) -> int:
        """Step of the newest checkpoint; 0 where there is none yet."""
        records = checkpoint_records(self.path)
        return _step_of(records[-1]) if records else 0

    def latest_checkpoint(self) -> tuple[int, dict[str, Tensor]] | None:
        """Read the newest checkpoint; raises `RunError` where its hash does not match."""
        records = checkpoint_records(self.path)
        if not records:
            return None
        path = records[-1].with_suffix(".safetensors")
        record = _record(records[-1])
        step, wanted = record.get("step"), record.get("sha256")
        if not isinstance(step, int) or not path.exists() or file_sha256(path) != wanted:
            raise RunError(
                f"{path} does not match the hash in {records[-1].name}: it was altered or is damaged",
                hint=f"delete {records[-1]} to go on from the checkpoint before it",
            )
        return step, read_tensors(path)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep a run folder, which may be a new one, to this process inside the block, without what a killed one left there.

    Raises `RunError` where another process trains into it, or it is no run folder.
    """
    _refuse_what_is_no_run(path)
    path.mkdir(parents=True, exist_ok=True)
    try:
        lock = FolderLock(path / _LOCK)
    except DataError:
        raise RunError(
            f"another process is training into {path}", hint="wait until it is done, or choose another --out"
        ) from None
    with lock:
        for unfinished in (*path.glob(".*.tmp"), *path.glob("checkpoints/.*.tmp")):
            unfinished.unlink(missing_ok=True)
        yield


def require_anchor(weight: float, starts: bool, path: Path) -> None:
    """Raise `ConfigError` where a run in `path` is to stay near what it goes on from, and goes on from nothing."""
    if weight and not starts and not checkpoint_records(path):
        raise ConfigError(
            "lambda_anchor holds a run near the model that it goes on from, and there is none",
            hint="name one with --init, or say lambda_anchor=0",
        )


def _refuse_what_is_no_run(path: Path) -> None:
    """Raise `RunError` for a file, and for a folder of other things than a run that was killed at its very start left."""
    if (path / _CONFIG).exists() or not path.exists():
        return
    begun = (_LOCK, f".{_CONFIG}.")
    if not path.is_dir() or not all(entry.name.startswith(begun) for entry in path.iterdir()):
        raise RunError(f"{path} exists and is no run folder", hint="choose an empty or new folder for --out")


def _record(path: Path) -> dict[str, Any]:
    """Return what the JSON beside tensors says; nothing where it is missing or broken."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def checkpoint_records(path: Path) -> list[Path]:
    """Return the JSON files of a run folder's checkpoints, the newest last."""
    records = (path / "checkpoints").glob("step-*.json")
    return sorted((record for record in records if record.stem.removeprefix("step-").isdecimal()), key=_step_of)


def _step_of(record: Path) -> int:
    """Return the step of a checkpoint, which its name fills up to seven digits: as text, later ones would come first."""
    return int(record.stem.removeprefix("step-"))


def _hashes(configuration: Mapping[str, Any]) -> list[Any]:
    """Return the hashes of those who guide a run, sorted."""
    return sorted(str(guide.get("sha256")) for guide in configuration.get("guides") or [])


def _differences(key: str, found: Any, wanted: Any) -> list[str]:
    """Name the values that differ, going into settings."""
    if found == wanted:
        return []
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = {**found, **wanted}
        return [each for name in names for each in _differences(name, found.get(name), wanted.get(name))]
    return [f"{key}: {found} there, {wanted} now"]


def _as_options(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return a run's own settings as options of a command, where nothing but settings differs, and all are known."""
    sections = [key for key in wanted if found.get(key) != wanted[key]]
    if not all(key in _SETTINGS and isinstance(found.get(key), dict) for key in sections):
        return ""
    if any(found[key].keys() != wanted[key].keys() for key in sections):  # another version's: no option sets them
        return ""
    own = {name: value for key in sections for name, value in found[key].items() if wanted[key][name] != value}
    return ": `" + " ".join(f"--set {name}={setting_as_text(own[name])}" for name in own) + "`" if own else ""
