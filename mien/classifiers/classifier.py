"""A trained classifier as a file, and what it says of images: the judge of the metrics.

The file is safetensors in half precision, its tensors named as torchvision names them, with a JSON beside it, as for
generators (`mien.pretrained`): where it comes from, what was measured, and the SHA-256 that is checked at every load.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.classifiers.networks import ExpressionNetwork
from mien.classifiers.published import from_published, to_published
from mien.classifiers.settings import ClassifierConfig
from mien.classifiers.training import network_tensors
from mien.errors import ConfigError, ImageError, MienError, RunError, WeightsError
from mien.files import file_sha256, write_text
from mien.guiding import Guide
from mien.images import fit_images
from mien.lineage import edited_faces
from mien.networks import count_parameters
from mien.runs import Run, read_tensors, write_tensors
from mien.settings import config_from_mapping
from mien.shipped import WEIGHTS, shipped_judges

FORMAT = 1

#: The layer whose activations `Judged.features` holds.
LAYER = "pool"
#: A run's newest report, which `mien train-judge` writes.
REPORT = "report.json"


@dataclass(frozen=True)
class Judged:
    """What a classifier says of n images."""

    probabilities: np.ndarray
    """Of each of its k expressions, float32 (n, k)."""
    features: np.ndarray
    """Pooled activations of its last convolution, float32 (n, d)."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained expression classifier; made by `load_classifier`."""

    network: ExpressionNetwork
    """In evaluation mode, without gradients."""
    config: ClassifierConfig
    """What it is made of."""
    name: str
    """Name of the file or run."""
    sha256: str
    """Of the tensors."""
    description: Mapping[str, Any]
    """The JSON beside the tensors; for a run folder, its configuration."""
    device: str = "cpu"
    """Where the network lies."""

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.config.expressions

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the tensors in half precision: the same for a run and for what was exported from it."""
        digest = hashlib.sha256()
        for name, tensor in sorted(to_published(self.network).items()):
            half = tensor.half() if tensor.is_floating_point() else tensor
            digest.update(name.encode() + half.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: str) -> Classifier:
        """Move the network to a device."""
        return dataclasses.replace(self, network=self.network.to(device), device=device)

    def judge(self, images: np.ndarray, *, mirror: bool = True, batch_size: int = 128) -> Judged:
        """Judge images, float32 (n, c, h, w) in [-1, 1] of any size, grey or RGB.

        With `mirror`, probabilities and features are the means over each image and its mirror image. An image that holds
        NaN is judged to be NaN. Raises `ImageError` for arrays of another shape.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
            raise ImageError(
                f"images of shape {images.shape} cannot be judged", hint="give (n, c, h, w), with one plane or three"
            )
        probabilities, features = [], []
        with torch.inference_mode():
            for start in range(0, max(len(images), 1), batch_size):  # of no images, an empty batch tells the shapes
                part = self._fit(images[start : start + batch_size])
                views = [part, part.flip(3)] if mirror else [part]
                pooled = [self.network.features(view) for view in views]
                seen = [self.network.head(vector).softmax(1) for vector in pooled]
                probabilities.append(torch.stack(seen).mean(0).cpu().numpy())
                features.append(torch.stack(pooled).mean(0).cpu().numpy())
        return Judged(np.concatenate(probabilities), np.concatenate(features))

    def _fit(self, images: np.ndarray) -> Tensor:
        part = torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(self.device)
        part = fit_images(part, self.config.image_size, self.config.image_channels)
        return part.clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def load_classifier(source: str | Path) -> Classifier:
    """Load a classifier: a shipped judge by its name, a run of `mien train-judge`, or a .safetensors file.

    Raises `WeightsError` where nothing is found, the hash does not match, or the tensors are not finite.
    """
    path = WEIGHTS / f"{source}.safetensors" if str(source) in shipped_judges() else Path(source)
    if not path.exists():
        known = ", ".join(shipped_judges()) or "none shipped"
        raise WeightsError(
            f"no judge `{source}`", hint=f"give a run of `mien train-judge`, a .safetensors file, or one of: {known}"
        )
    found = _from_run(Run.read(path)) if path.is_dir() else _from_file(path)
    broken = [name for name, tensor in found.network.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(f"{path} holds values that are not numbers (in {broken[0]})", hint="train it again")
    return found


def load_guide(source: str | Path) -> Guide:
    """Load a classifier that is to guide a generator's training; `source` and errors as for `load_judge`."""
    found = _from_photos_alone(load_classifier(source), "guide")
    sizes = (found.config.image_size, found.config.image_channels)
    return Guide(found.name, found.fingerprint, found.network, found.expressions, *sizes)


def load_judge(source: str | Path) -> Classifier:
    """Load a classifier that is to judge generators; `source` and errors as for `load_classifier`.

    Raises `ConfigError` for one that has learned from edited faces: it has met a generator.
    """
    return _from_photos_alone(load_classifier(source), "judge")


def _from_photos_alone(found: Classifier, role: str) -> Classifier:
    if edited := edited_faces(found.description):
        raise ConfigError(
            f"{role} `{found.name}` has learned from {edited:,} edited faces (`mien augment`)",
            hint="take a classifier that was trained on photos alone",
        )
    return found


def _from_run(run: Run) -> Classifier:
    if "classifier" not in run.configuration:
        raise RunError(f"{run.path} is the run of a generator, not of a judge", hint="`mien train-judge` trains judges")
    missing = [name for name in ("preset", "recipe", "data") if name not in run.configuration]
    if missing:
        raise RunError(f"{run.path / 'config.json'} lacks {', '.join(missing)}", hint="restore it from a copy")
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        raise RunError(f"{run.path} has no checkpoint yet", hint="let `mien train-judge` run until it writes one")
    step, tensors = checkpoint
    path = run.path / "checkpoints" / f"step-{step:07d}.safetensors"
    description = {**run.configuration, "step": step}
    return _built(dict(network_tensors(tensors)), description, run.path.resolve().name, file_sha256(path))


def _from_file(path: Path) -> Classifier:
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path} is no .safetensors file", hint="`mien export` writes one from a run")
    beside = path.with_suffix(".json")
    try:
        description = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"{path} has no {beside.name} beside it", hint="copy both files; the JSON says how it is built"
        ) from None
    except ValueError as error:
        raise WeightsError(f"{beside} is broken: {error}", hint="restore it from a copy") from None
    if not isinstance(description, dict) or "classifier" not in description:
        raise WeightsError(f"{path} is no judge", hint="`mien train-judge` makes judges, `mien export` writes them")
    if (found := description.get("format")) != FORMAT:
        raise WeightsError(f"{beside} has format {found}, this mien reads {FORMAT}", hint="update mien")
    digest = file_sha256(path)
    if digest != description.get("sha256"):
        raise WeightsError(
            f"{path} does not match the hash in {beside.name}: it was altered or is damaged",
            hint="copy both files again from where they come from",
        )
    return _built({name: tensor.float() for name, tensor in read_tensors(path).items()}, description, path.stem, digest)


def _built(tensors: dict[str, Tensor], description: Mapping[str, Any], name: str, digest: str) -> Classifier:
    try:
        config = config_from_mapping(ClassifierConfig, description["classifier"])
        network = config.build()
        network.load_state_dict(from_published(tensors, network))
    except (RuntimeError, MienError):  # a long list of tensors, or settings of another version
        raise WeightsError(
            f"`{name}` holds other tensors or settings than this version builds", hint="take the version that wrote it"
        ) from None
    network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Classifier(network, config, name, digest, description)


def export_classifier(run: Run, out: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Write a run's classifier in half precision, and the JSON beside it; `out` ends in .safetensors.

    What the run's report measured of these weights goes into the JSON, and `facts` do.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out} does not end in .safetensors", hint="name the file NAME.safetensors")
    found = _from_run(run)
    tensors = to_published(found.network)
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    if broken := [name for name, tensor in half.items() if not torch.isfinite(tensor).all()]:
        raise WeightsError(f"{run.path} holds values beyond half precision (in {broken[0]})", hint="train it again")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(out, half)
    steps = found.description["step"]
    description = {
        "format": FORMAT,
        "classifier": dataclasses.asdict(found.config),
        "parameters": count_parameters(found.network),
        "training": {
            **{key: found.description.get(key) for key in ("preset", "recipe", "data", "init")},
            "machine": run.machine(),
            "steps": steps,
            "images": steps * found.description["recipe"]["batch_size"],
        },
        "measured": _measured(run, found.sha256),
        **(facts or {}),
        "sha256": file_sha256(out),
    }
    write_text(out.with_suffix(".json"), json.dumps(description, indent=2) + "\n")
    return out


def _measured(run: Run, sha256: str) -> dict[str, Any] | None:
    """Return what the run's report says of the weights with this hash; of others, nothing."""
    try:
        report = json.loads((run.path / REPORT).read_text(encoding="utf-8"))
        if report["sha256"] != sha256:
            return None
        whole = {score["measure"]: score["value"] for score in report["scores"] if score["expression"] is None}
        kept = ("split", "n", "data_hash", "calibration_error")
        return {**{key: report[key] for key in kept}, **whole}
    except (OSError, ValueError, KeyError, TypeError):
        return None
