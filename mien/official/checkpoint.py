"""Tensors out of a checkpoint without running what it holds, and the official networks as mien's own.

Both projects save pickled state dicts, which `mien.pickled` reads.

The official generator is `mien.networks.ResidualGenerator` layer for layer (image planes first, then the code's), the
discriminator `PatchCritic` under other names. Two things differ. Their instance norms track running statistics, which
were never used in training; ours have none, and the file's are left out. And GANmut learned from images as OpenCV reads
them, blue first: reversing the planes of the first kernel and of the last makes of it the same network for RGB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mien.critics import PatchCritic
from mien.errors import WeightsError
from mien.networks import ResidualGenerator
from mien.pickled import read_pickled

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
#: Tensors that GANmut's generators hold beside their network: its conditional space.
SPACES = ("axes.", "mu.", "covariance_angles.", "covariance_axes.")

Network = TypeVar("Network", bound=nn.Module)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the float32 tensors of a pickled state dict by name, without running statistics; nothing in it is run.

    Raises `WeightsError` for a file that is missing, broken, not finite, or wants more than tensors.
    """
    # DataParallel writes `module.` before every name.
    return checked({str(name).removeprefix("module."): tensor for name, tensor in read_pickled(path).items()}, path)


def checked(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return tensors in float32 without running statistics; `WeightsError` where one is not finite."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(_STATISTICS)}
    for name, tensor in kept.items():
        if not tensor.is_floating_point():
            raise WeightsError(f"`{path}` holds `{name}` as {tensor.dtype}", hint="weights are floating-point numbers")
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"`{path}` holds values that are not numbers (in {name})",
                hint="take another checkpoint of the training",
            )
    return {name: tensor.detach().float() for name, tensor in kept.items()}


def build_generator(tensors: Mapping[str, Tensor], path: Path, *, blue_first: bool) -> ResidualGenerator:
    """Return the generator of a checkpoint, for RGB images; its sizes are read from the tensors' shapes.

    Raises `WeightsError` where the tensors are those of another network.
    """
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(SPACES)}
    if any(name.startswith(("from_rgb", "encode", "decode")) for name in own):
        raise WeightsError(
            f"`{path}` holds a generator after StarGAN v2 (`from_rgb`, `encode`, `decode`)",
            hint="the networks of the first version are read: `--architecture_v2` was not given for them",
        )
    num_blocks = sum(re.fullmatch(r"main\.\d+\.main\.0\.weight", name) is not None for name in own)
    first, last = _kernel(own, "main.0.weight", path), _kernel(own, f"main.{15 + num_blocks}.weight", path)
    channels = last.shape[0]
    if channels not in (1, 3):
        raise WeightsError(f"`{path}` paints images of {channels} planes", hint="grey and colour images are edited")
    code_size = first.shape[1] - channels
    if code_size < 1:
        raise WeightsError(f"`{path}` has a generator that takes no condition", hint="give a -G.ckpt of StarGAN's kind")
    with torch.device("meta"):  # no memory is taken before the shapes are known to be right
        network = ResidualGenerator(channels, code_size, first.shape[0], num_blocks)
    if blue_first and channels == 3:
        order = [2, 1, 0]
        own["main.0.weight"] = torch.cat([first[:, order], first[:, 3:]], dim=1)
        own[f"main.{15 + num_blocks}.weight"] = last[order]
    return _filled(network, own, path)


def build_critic(
    tensors: Mapping[str, Tensor], num_classes: int, channels: int, path: Path, *, places: bool, blue_first: bool
) -> PatchCritic:
    """Return the discriminator of a checkpoint, for RGB images, with a head of classes and, if asked, one of places.

    Linear GANmut has a head of its own for places; the Gaussian one puts two rows behind the classes.
    Raises `WeightsError` where the tensors are those of another network, or of another number of classes.
    """
    first, heads = _kernel(tensors, "main.0.weight", path), [_kernel(tensors, "conv2.weight", path)]
    if places and "conv3.weight" in tensors:
        heads.append(_kernel(tensors, "conv3.weight", path))
    elif places:
        heads = [heads[0][:-2], heads[0][-2:]]
    found, wanted = (len(heads[0]), first.shape[1]), (num_classes, channels)
    if found != wanted:
        raise WeightsError(
            f"`{path}` tells {found[0]} classes apart in images of {found[1]} planes, its generator {wanted[0]} in "
            f"{wanted[1]}",
            hint="give the discriminator of the same training, `,critic=200000-D.ckpt`, or none: `,critic=none`",
        )
    num_layers = sum(re.fullmatch(r"main\.\d+\.weight", name) is not None for name in tensors)
    image_size = heads[0].shape[-1] * 2**num_layers
    with torch.device("meta"):
        network = PatchCritic(channels, image_size, tuple(len(head) for head in heads), len(first), num_layers)
    own = {name: tensor for name, tensor in tensors.items() if name.startswith("main.")}
    if blue_first and channels == 3:
        own["main.0.weight"] = first[:, [2, 1, 0]]
    renamed = {"conv1": "realness", "conv2": "heads.0", "conv3": "heads.1"}
    for name, tensor in tensors.items():
        if not name.startswith("main."):
            before, _, after = name.partition(".")
            own[f"{renamed.get(before, before)}.{after}"] = tensor
    own |= {f"heads.{index}.weight": head for index, head in enumerate(heads)}
    return _filled(network, own, path)


def generator_shape(generator: ResidualGenerator) -> tuple[int, int]:
    """Return the planes of the images that a generator paints and the numbers of its code."""
    first, last = generator.main[0], generator.main[-2]
    assert isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d)
    return last.out_channels, first.in_channels - last.out_channels


def critic_size(critic: PatchCritic) -> int:
    """Return the side of the images that a critic takes, in pixels."""
    head = critic.heads[0]
    assert isinstance(head, nn.Conv2d)
    return head.kernel_size[0] * 2 ** sum(isinstance(layer, nn.Conv2d) for layer in critic.main)


def _kernel(tensors: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    """Return the weights of a convolution, (out, in, height, width)."""
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != 4 or tensor.numel() == 0:
        raise WeightsError(
            f"`{path}` is not the network that was named: it lacks the convolution `{name}`",
            hint="a -G.ckpt holds the generator, a -D.ckpt the discriminator",
        )
    return tensor


def _filled(network: Network, tensors: Mapping[str, Tensor], path: Path) -> Network:
    """Put tensors into a network without memory, after their names and shapes have been compared."""
    if wrong := next(_differences(network.state_dict(), tensors), None):
        raise WeightsError(
            f"`{path}` is not the official network: {wrong}", hint="its code may have been changed before training"
        )
    network.load_state_dict(dict(tensors), assign=True)
    return network.eval().requires_grad_(False)


def _differences(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    for name, tensor in wanted.items():
        if name not in found:
            yield f"`{name}` is missing"
        elif found[name].shape != tensor.shape:
            yield f"`{name}` has the shape {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
    yield from (f"`{name}` is not known" for name in found if name not in wanted)
