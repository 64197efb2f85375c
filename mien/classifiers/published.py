"""The networks in torchvision's names, and weights learned on ImageNet as a start.

torchvision's files differ in three ways from what is learned here. VGG's convolutions have another name. Their first
convolution takes colour, which for grey images is summed over its three planes: what it would answer to a grey image
given three times. And they take images whose planes were brought to ImageNet's mean 0 and deviation 1, where images here
are in [-1, 1]: the first convolution takes that over, so that frozen layers see what they have learned from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mien.classifiers.networks import VGG, ExpressionNetwork
from mien.errors import WeightsError
from mien.files import file_sha256
from mien.lineage import edited_faces
from mien.pickled import read_pickled
from mien.runs import read_tensors

#: Mean and standard deviation of ImageNet's planes, red first, of images in [0, 1].
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Here and at torchvision.
_BODY, _PUBLISHED_BODY = "body.", "features."


def to_published(network: ExpressionNetwork) -> dict[str, Tensor]:
    """Return the state dict in torchvision's names."""
    return {_renamed(name, network, _BODY, _PUBLISHED_BODY): tensor for name, tensor in network.state_dict().items()}


def from_published(tensors: Mapping[str, Tensor], network: ExpressionNetwork) -> dict[str, Tensor]:
    """Return a state dict in torchvision's names, or the network's own, in the network's own."""
    return {_renamed(name, network, _PUBLISHED_BODY, _BODY): tensor for name, tensor in tensors.items()}


def _renamed(name: str, network: ExpressionNetwork, before: str, after: str) -> str:
    return after + name.removeprefix(before) if isinstance(network, VGG) and name.startswith(before) else name


def load_body(network: ExpressionNetwork, tensors: Mapping[str, Tensor], *, imagenet: bool = True) -> list[str]:
    """Load a state dict, in torchvision's names or the network's own, into everything but the head.

    With `imagenet`, its first convolution takes images as torchvision prepares them. Returns the names of the body's
    tensors that the state dict lacks or has in another shape: empty is success, else nothing was loaded.
    """
    given = from_published(tensors, network)
    if imagenet:
        given = _for_our_range(given, network)
    own = network.state_dict()
    given = {name: _summed_to_grey(tensor, own.get(name)) for name, tensor in given.items()}
    heads = {id(parameter) for module in network.head_modules() for parameter in module.parameters()}
    in_head = {name for name, parameter in network.named_parameters() if id(parameter) in heads}
    wanted = [name for name in own if name not in in_head and not name.endswith("num_batches_tracked")]
    absent = [name for name in wanted if name not in given or given[name].shape != own[name].shape]
    if not absent:
        network.load_state_dict({**own, **{name: given[name] for name in wanted}})
    return absent


def _for_our_range(tensors: dict[str, Tensor], network: ExpressionNetwork) -> dict[str, Tensor]:
    """Let the first convolution normalise images of [-1, 1] as ImageNet's were: exact but for the pixels at the border.

    (x / 2 + 1 / 2 - mean) / deviation is linear in x: its factor goes into the kernel, its constant into the bias, or,
    where there is none, out of the mean that the norm behind takes away.
    """
    kernel, constant = (
        ("body.0.weight", "body.0.bias") if isinstance(network, VGG) else ("conv1.weight", "bn1.running_mean")
    )
    if kernel not in tensors or constant not in tensors or tensors[kernel].shape[1:2] != (3,):
        return tensors
    mean, deviation = (torch.tensor(values).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    weight = tensors[kernel].float()
    shift = (weight * (0.5 - mean) / deviation).sum((1, 2, 3))
    sign = 1 if isinstance(network, VGG) else -1
    return {**tensors, kernel: weight / (2 * deviation), constant: tensors[constant].float() + sign * shift}


def _summed_to_grey(tensor: Tensor, wanted: Tensor | None) -> Tensor:
    takes_colour = tensor.ndim == 4 and tensor.shape[1] == 3
    return tensor.sum(1, keepdim=True) if wanted is not None and takes_colour and wanted.shape[1] == 1 else tensor


def start_from(network: ExpressionNetwork, path: Path) -> str:
    """Load the body of torchvision's weights, or of an exported judge, into a network; return the file's SHA-256.

    Raises `WeightsError` where the file is missing, broken, holds more than tensors, or does not fit.
    """
    if not path.is_file():
        raise WeightsError(
            f"no file `{path}`", hint="give torchvision's weights (.pth, .safetensors), or a judge that was exported"
        )
    tensors = read_tensors(path) if path.suffix == ".safetensors" else read_pickled(path)
    if absent := load_body(network, tensors, imagenet=not _is_judge(path)):
        name = _renamed(absent[0], network, _BODY, _PUBLISHED_BODY)
        raise WeightsError(
            f"{path} does not fit: `{name}` is missing or of another shape",
            hint="it must be of the same architecture and width; torchvision's have width 64 and stem_stride 4",
        )
    broken = [name for name, tensor in network.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(f"{path} holds values that are not numbers (in {broken[0]})", hint="download it again")
    return file_sha256(path)


def edits_of(path: Path) -> dict[str, int]:
    """Return on how many edited faces a file was trained, for the run that starts from it; nothing where on none."""
    edited = edited_faces(_described(path))
    return {"edited": edited} if edited else {}


def _is_judge(path: Path) -> bool:
    """Say whether a file was written by `mien export`: then it takes images of [-1, 1] already."""
    return "classifier" in _described(path)


def _described(path: Path) -> dict[str, Any]:
    """Return the JSON beside a file; nothing where there is none."""
    try:
        found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
