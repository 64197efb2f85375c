"""Trained models as files: safetensors with a JSON beside them, found by name, folder or path.

The layout of a hub is the same under other names: a folder with `model.safetensors`, `config.json` and, for people, a
`README.md` (`mien.hub`).

The JSON says everything that a number needs to be trusted: the training command, the data, steps, time, what was
measured, and the SHA-256 of the tensors, which is checked at every load. Nothing is unpickled. The models that ship with
the package lie in `mien/weights`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.errors import WeightsError
from mien.files import file_sha256, write_text, write_together
from mien.lineage import guides_of
from mien.methods import METHODS, Method
from mien.networks import count_parameters
from mien.runs import Run, read_tensors, write_tensors
from mien.settings import config_from_mapping
from mien.shipped import DEFAULT, FOLDER_CONFIG, FOLDER_WEIGHTS, WEIGHTS, shipped
from mien.spaces import Space
from mien.starting import StartingPoint
from mien.training import trained_method

__all__ = ["DEFAULT", "FORMAT", "WEIGHTS", "Model", "export", "exported_files", "load_model", "shipped", "write_model"]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Model:
    """A trained method with the description of where it comes from; arrays go in and out (`mien.editing.Editor`)."""

    method: Method
    """In evaluation mode, without gradients."""
    name: str
    """Name of the file or run."""
    sha256: str
    """Of the tensors; for a run folder, of its newest checkpoint."""
    description: Mapping[str, Any]
    """The JSON beside the tensors; for a run folder, its configuration."""
    device: str = "cpu"
    """Where the method lies."""

    @property
    def image_size(self) -> int:
        """Side of the crops that the method takes, in pixels."""
        return self.method.config.image_size

    @property
    def image_channels(self) -> int:
        """1 for a model of grey images, 3 for RGB."""
        return self.method.config.image_channels

    @property
    def space(self) -> Space:
        """The method's conditional space."""
        return self.method.space()

    def to(self, device: str) -> Model:
        """Move the method to a device."""
        return dataclasses.replace(self, method=self.method.to(device), device=device)

    def render(self, images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return an edit's maps for images (n, c, h, w) in [-1, 1] and codes (n, s), in the order of `EditMaps`.

        Displacement (n, 2, h, w), delta (n, c, h, w) and, where the model wipes detail away, wipe (n, 1, h, w).
        """
        with torch.inference_mode():
            edit = self.method.render(self._tensor(images), self._tensor(codes))
        return tuple(maps.float().cpu().numpy() for maps in edit if maps is not None)

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability of each expression (n, k) and the place in the space (n, s) of each image."""
        with torch.inference_mode():
            reading = self.method.read(self._tensor(images))
        return reading.probabilities.float().cpu().numpy(), reading.codes.float().cpu().numpy()

    def realness(self, images: np.ndarray) -> np.ndarray:
        """Return how real the critic finds each image, (n,): the mean over its patches, without unit or zero."""
        with torch.inference_mode():
            return self.method.critic(self._tensor(images)).realness.float().mean((1, 2, 3)).cpu().numpy()

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)


def load_model(source: str | Path | None = None) -> Model:
    """Load a model: a shipped one by its name (the default), a run folder, a .safetensors file or a hub's folder.

    Raises `WeightsError` where nothing is found, the hash does not match, or the tensors are not finite.
    """
    path = _find(source)
    if path.is_dir():
        run = Run.read(path)
        if "classifier" in run.configuration:
            raise WeightsError(f"{path} is a judge, which edits nothing", hint="give a run of `mien train`")
        method, step = trained_method(run)
        checkpoint = run.path / "checkpoints" / f"step-{step:07d}.safetensors"
        model = Model(method, path.name, file_sha256(checkpoint), {**run.configuration, "step": step})
    else:
        model = _load_file(path, _beside(path))
    broken = [name for name, tensor in model.method.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(
            f"{path} holds values that are not numbers (in {broken[0]}): its training diverged",
            hint="take an earlier checkpoint of the run, or train again with a lower learning rate",
        )
    return model


def exported_files(source: str | Path | None, folder: Path) -> tuple[Path, Path]:
    """Return tensors and JSON of a model, in the form in which models are given to others.

    A run is exported into `folder` first; of everything else the files are there already.
    """
    path = _find(source)
    if path.is_dir():
        path = export(Run.read(path), folder / f"{path.resolve().name}.safetensors")
    return path, _beside(path)


def _find(source: str | Path | None) -> Path:
    """Return the path of a run's folder, or of a file of tensors."""
    source = DEFAULT if source is None else source
    path = WEIGHTS / f"{source}.safetensors" if str(source) in shipped() else Path(source)
    if path.is_dir() and (path / FOLDER_WEIGHTS).is_file():
        return path / FOLDER_WEIGHTS
    if not path.exists():
        raise WeightsError(
            f"no model `{source}`",
            hint="give a run folder, a .safetensors or .onnx file, or one of: "
            f"{', '.join(shipped()) or 'none shipped'}",
        )
    return path


def _beside(path: Path) -> Path:
    """Return the path of the JSON that belongs to a file of tensors; in a hub's folder it has a name of its own."""
    of_folder = path.with_name(FOLDER_CONFIG)
    return of_folder if path.name == FOLDER_WEIGHTS and of_folder.is_file() else path.with_suffix(".json")


def _load_file(path: Path, beside: Path) -> Model:
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path} is no .safetensors file", hint="pickled checkpoints are not read; export the run")
    if not beside.is_file():
        raise WeightsError(f"{beside} is missing", hint="the JSON travels with the weights: copy both")
    try:
        description = json.loads(beside.read_text(encoding="utf-8"))
        found, wanted = description["format"], FORMAT
        if found != wanted:
            raise WeightsError(f"{beside} has format {found}, this mien reads {wanted}", hint="update mien")
        if str(method := description["method"]).startswith("official-"):
            raise WeightsError(f"{path} holds networks of the official code", hint=f"say `{method}:{path}`")
        kind = METHODS[method]
        if not isinstance(settings := description["method_config"], Mapping):
            raise TypeError(f"method_config is {settings!r}")
        method = kind(config_from_mapping(kind.Config, settings))
        wanted_hash = description["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{beside} is broken: {error!r}", hint="download or export the model again") from None
    digest = file_sha256(path)
    if digest != wanted_hash:
        raise WeightsError(
            f"{path} does not match its hash: it was altered or is damaged", hint="download or export it again"
        )
    method.critic.mouth = None  # needed in training alone, and not exported
    tensors = {name: tensor.float() for name, tensor in read_tensors(path).items()}
    try:
        method.load_state_dict(tensors)
    except RuntimeError:  # its message lists every tensor
        raise WeightsError(
            f"{path} holds other tensors than {beside.name} describes", hint="copy both files from the same export"
        ) from None
    name = str(description.get("name", path.stem))
    return Model(method.eval().requires_grad_(False), name, digest, description)


def export(run: Run, out: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Write a run's model in half precision: averaged generator, axes and critic, and the JSON beside them.

    A second critic of mouths, which only training needs, is left out: `--init` of the file begins with a new one. `out` is
    the path of the .safetensors file. `facts` (measured numbers, the licence of the data) go into the JSON.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out} does not end in .safetensors", hint="name the file NAME.safetensors")
    method, step = trained_method(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    method.critic.mouth = None
    write_tensors(out, {name: tensor.half() for name, tensor in method.state_dict().items()})
    settings = run.configuration
    stats = run.stats()
    description = {
        "format": FORMAT,
        "method": settings["method"],
        "method_config": dataclasses.asdict(method.config),
        "space": method.space().to_json(),
        "parameters": {name: count_parameters(getattr(method, name)) for name in ("generator", "critic")},
        "training": {
            "preset": settings["preset"],
            "train_config": settings["train_config"],
            "data": settings["data"],
            "init": settings.get("init"),
            "guides": settings.get("guides", []),
            "machine": run.machine(),
            "steps": step,
            "images": step * settings["train_config"]["batch_size"],
            "seconds": round(training_seconds(stats, settings["train_config"]["batch_size"])),
        },
        **(facts or {}),
        "sha256": file_sha256(out),
    }
    write_text(out.with_suffix(".json"), json.dumps(description, indent=2) + "\n")
    return out


def write_model(source: str | Path, out: Path) -> Path:
    """Write a model to a .safetensors file and the JSON beside it: a run is exported, of other models both are copied.

    Raises `WeightsError` for what `load_model` refuses: what is broken is not given on.
    """
    path = _find(source)
    if path.is_dir():
        return export(Run.read(path), out)
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out} does not end in .safetensors", hint="name the file NAME.safetensors")
    load_model(source)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_together({out.with_suffix(".json"): _beside(path).read_bytes(), out: path.read_bytes()})
    return out


def starting_point(source: str | Path) -> StartingPoint:
    """Return the networks of a run folder, a shipped model or a .safetensors file, for a new run to start from."""
    model = load_model(source)
    training = model.description.get("training", model.description)  # of a run, its configuration says it
    data = training.get("data") if isinstance(training, Mapping) else None
    facts: dict[str, Any] = {"model": model.name, "sha256": model.sha256}
    if isinstance(data, Mapping) and "hash" in data:
        facts["data_hash"] = data["hash"]
    if guides := guides_of(model.description):
        facts["guides"] = guides
    if "step" in model.description:  # a run
        facts |= {key: model.description[key] for key in ("preset", "method_config", "train_config", "step")}
    return StartingPoint(str(source), facts, model.method.state_dict(), dataclasses.asdict(model.method.config))


def training_seconds(stats: list[dict[str, float]], batch_size: int) -> float:
    """Add up the time that the logged steps took; pauses between resumed parts, and judging, do not count."""
    seconds, before = 0.0, 0.0
    for line in stats:
        if "images_per_second" not in line:  # what a watch said
            continue
        seconds += (line["step"] - before) * batch_size / line["images_per_second"]
        before = line["step"]
    return seconds
