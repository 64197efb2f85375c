"""An official checkpoint as a model: what the editor asks for, plus realness, which the benchmark asks for."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.critics import CriticOutput, PatchCritic
from mien.errors import RunError, WeightsError
from mien.files import file_sha256, write_text
from mien.methods.disc_codes import into_disc
from mien.methods.ganmut_gaussian import into_square
from mien.networks import ResidualGenerator
from mien.official.checkpoint import (
    SPACES,
    build_critic,
    build_generator,
    checked,
    critic_size,
    generator_shape,
    read_checkpoint,
)
from mien.official.specification import Specification, name_expressions, parse_specification
from mien.runs import read_tensors, write_tensors
from mien.spaces import DiscSpace, GaussianPlane, LabelSpace, Space

FORMAT = 1
#: Both projects train on images of this side unless told otherwise.
_USUAL_SIZE = 128
#: What a checkpoint's owner has to know; the terms of the data that it was trained on come on top.
_LICENCES = {
    "official-ganmut": "GANmut's own: BSD-like, and the published weights may not be used commercially (its clause 3)",
    "official-stargan": "StarGAN's code: MIT; its licence does not name the weights",
}


@dataclass(frozen=True, eq=False)
class OfficialModel:
    """A generator of official code, and its discriminator where there is one; arrays go in and out, float32 RGB."""

    name: str
    """Kind and file, e.g. `official-ganmut-1800000-G`."""
    sha256: str
    """Of the generator's checkpoint, as it was published."""
    description: Mapping[str, Any]
    """Files and their hashes, licence, and what was assumed of them."""
    image_size: int
    """Side of the images that it was trained on, in pixels."""
    space: Space
    """A disc for GANmut, labels for StarGAN."""
    generator: ResidualGenerator
    """In evaluation mode, for RGB."""
    critic: PatchCritic | None
    """The discriminator, for RGB; GANmut published none."""
    device: str = "cpu"
    """Where the networks lie."""

    @property
    def image_channels(self) -> int:
        """3, or 1 for a checkpoint of code that was changed to grey images."""
        return generator_shape(self.generator)[0]

    @property
    def can_read(self) -> bool:
        """Whether there is a critic to read faces with."""
        return self.critic is not None

    def to(self, device: str) -> OfficialModel:
        """Move the networks to a device."""
        critic = None if self.critic is None else self.critic.to(device)
        return dataclasses.replace(self, generator=self.generator.to(device), critic=critic, device=device)

    def render(self, images: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return displacement (n, 2, h, w), which is 0, and delta (n, c, h, w): what was painted less what was there."""
        with torch.inference_mode():
            edit = self.generator(self._tensor(images), self._tensor(codes))
        return edit.displacement.cpu().numpy(), edit.delta.cpu().numpy()

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability of each expression (n, k) and the place in the space (n, s) of each image.

        Raises `WeightsError` where there is no critic.
        """
        output = self._judged(images)
        probabilities = output.heads[0].softmax(1)
        if isinstance(self.space, LabelSpace):
            return probabilities.cpu().numpy(), probabilities.cpu().numpy()
        within = into_disc if self.space.plane is None else into_square
        return probabilities.cpu().numpy(), within(output.heads[1]).cpu().numpy()

    def realness(self, images: np.ndarray) -> np.ndarray:
        """Return how real the critic finds each image, (n,): the mean over its patches, without unit or zero.

        Raises `WeightsError` where there is no critic.
        """
        return self._judged(images).realness.mean((1, 2, 3)).cpu().numpy()

    def _judged(self, images: np.ndarray) -> CriticOutput:
        if self.critic is None:
            raise WeightsError(
                f"{self.name} cannot read faces: it came without its discriminator",
                hint="put the -D.ckpt beside the -G.ckpt or add `,critic=FILE`; edits work without one",
            )
        with torch.inference_mode():
            return self.critic(self._tensor(images))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)


def load_official(specification: str, device: str = "cpu") -> OfficialModel:
    """Load `official-ganmut:FILE` or `official-stargan:FILE`; options follow: `,expressions=a+b,size=128,critic=FILE`.

    Raises `WeightsError` where a file is missing, altered, unsafe, or not what it is said to be.
    """
    asked = parse_specification(specification)
    if asked.generator.suffix == ".safetensors":
        asked, networks, files = _read_converted(asked)
    else:
        networks, files = _read_published(asked)
    return _assembled(asked, networks, files).to(device)


def convert(specification: str, out: Path) -> Path:
    """Write a model's tensors, as they were published, to `out` (.safetensors), and a JSON beside them; returns `out`.

    `official-ganmut:out.safetensors` then loads the same model, with its hash checked and nothing pickled.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out} does not end in .safetensors", hint="name the file NAME.safetensors")
    asked = parse_specification(specification)
    if asked.generator.suffix == ".safetensors":
        raise WeightsError(f"{asked.generator} is converted already", hint="copy it, and the JSON beside it")
    networks, files = _read_published(asked)
    model = _assembled(asked, networks, files)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(out, {f"{role}.{name}": t for role, tensors in networks.items() for name, t in tensors.items()})
    description = {"format": FORMAT, "name": model.name, **model.description, "sha256": file_sha256(out)}
    write_text(out.with_suffix(".json"), json.dumps(description, indent=2) + "\n")
    return out


#: Tensors of `generator` and, where there is one, `critic`, under the names that they were published with.
_Networks = dict[str, dict[str, Tensor]]
#: Name and SHA-256 of each network's file.
_Files = dict[str, dict[str, str]]


def _read_published(asked: Specification) -> tuple[_Networks, _Files]:
    paths = {"generator": asked.generator}
    if (critic := _critic_file(asked)) is not None:
        paths["critic"] = critic
    networks = {role: read_checkpoint(path) for role, path in paths.items()}
    return networks, {role: {"file": path.name, "sha256": file_sha256(path)} for role, path in paths.items()}


def _critic_file(asked: Specification) -> Path | None:
    """Return the discriminator's file; training writes 200000-D.ckpt beside 200000-G.ckpt."""
    if asked.critic != "beside":
        return None if asked.critic == "none" else asked.critic
    beside = asked.generator.with_name(re.sub(r"(^|[-_])G(?=\.\w+$)", r"\1D", asked.generator.name))
    return beside if beside != asked.generator and beside.is_file() else None


def _read_converted(asked: Specification) -> tuple[Specification, _Networks, _Files]:
    path, beside = asked.generator, asked.generator.with_suffix(".json")
    try:
        description = json.loads(beside.read_text(encoding="utf-8"))
        if (found := description["format"]) != FORMAT:
            raise WeightsError(f"{beside} has format {found}, this mien reads {FORMAT}", hint="update mien")
        wanted_hash, method, files = description["sha256"], description["method"], dict(description["files"])
        names, size = tuple(description["space"]["expressions"]), int(description["image_size"])
        _ = files["generator"]["sha256"], files["generator"]["file"]
        same = file_sha256(path) == wanted_hash
    except OSError as error:
        raise WeightsError(
            f"cannot read `{error.filename}`: {error.strerror}", hint="the JSON travels with the weights: copy both"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{beside} is broken: {error!r}", hint="convert the checkpoint again") from None
    if method != asked.kind:
        raise WeightsError(f"{path} is of {method}", hint=f"say `{method}:{path}`")
    if not same:
        raise WeightsError(f"{path} does not match its hash: it was altered or is damaged", hint="convert it again")
    if isinstance(asked.critic, Path):
        raise WeightsError(f"{path} takes no critic any more", hint="convert the checkpoint again, with its critic")
    networks: _Networks = {}
    try:
        tensors = read_tensors(path)
    except RunError as error:
        raise WeightsError(str(error), hint=error.hint) from None
    for name, tensor in checked(tensors, path).items():
        role, _, rest = name.partition(".")
        networks.setdefault(role, {})[rest] = tensor
    chosen = dataclasses.replace(asked, expressions=asked.expressions or names, image_size=asked.image_size or size)
    return chosen, networks, files


def _assembled(asked: Specification, networks: _Networks, files: _Files) -> OfficialModel:
    """Build the networks and the space of what was read, and describe where it comes from."""
    tensors, path, ganmut = networks["generator"], asked.generator, asked.kind == "official-ganmut"
    generator = build_generator(tensors, path, blue_first=ganmut)
    if ganmut:
        space, parametrization = _learned_space(tensors, asked)
    else:
        space, parametrization = _label_space(tensors, generator, asked), "labels"
    channels, code_size = generator_shape(generator)
    if code_size != space.size:
        raise WeightsError(f"`{path}` has a generator that takes no place on a plane", hint="download it again")
    critic = None
    if "critic" in networks:
        where, places = _critic_file(asked) or path, isinstance(space, DiscSpace)
        critic = build_critic(
            networks["critic"], len(space.expressions), channels, where, places=places, blue_first=ganmut
        )
        if asked.image_size not in (None, size := critic_size(critic)):
            raise WeightsError(
                f"`{where.name}` is for images of {size} px, not {asked.image_size}", hint="leave `size` away"
            )
    image_size = critic_size(critic) if critic is not None else asked.image_size or _USUAL_SIZE
    description = {
        "method": asked.kind,
        "parametrization": parametrization,
        "files": files,
        "licence": _LICENCES[asked.kind],
        "space": space.to_json(),
        "image_size": image_size,
        "colours": "blue first in the files, RGB as it is used here" if ganmut else "RGB",
    }
    name = f"{asked.kind}-{Path(files['generator']['file']).stem}"
    digest = files["generator"]["sha256"]
    return OfficialModel(name, digest, description, image_size, space, generator, critic)


def _label_space(tensors: Mapping[str, Tensor], generator: ResidualGenerator, asked: Specification) -> LabelSpace:
    if any(name.startswith(SPACES) for name in tensors):
        raise WeightsError(
            f"`{asked.generator}` is a checkpoint of GANmut", hint=f"say `official-ganmut:{asked.generator}`"
        )
    return LabelSpace(name_expressions(asked.kind, generator_shape(generator)[1], asked.expressions))


def _learned_space(tensors: Mapping[str, Tensor], asked: Specification) -> tuple[DiscSpace, str]:
    """Return GANmut's space: the disc of its axes, or the disc round neutral of its Gaussians."""
    path = asked.generator
    learned = {name: t.numpy() for name, t in tensors.items() if name.startswith(SPACES)}
    axes, mu = learned.get("axes.weight"), learned.get("mu.weight")
    if axes is None and mu is None:
        raise WeightsError(
            f"`{path}` holds no space of GANmut's (neither `axes` nor `mu`)", hint=f"say `official-stargan:{path}`?"
        )
    shape = (axes if axes is not None else mu).shape  # type: ignore[union-attr]
    if len(shape) != 2 or shape[1] != 2:
        raise WeightsError(f"`{path}` has a space of {shape[-1]} dimensions", hint="the plane models (2d) are read")
    if axes is not None:
        names = name_expressions(asked.kind, len(axes) + 1, asked.expressions)
        angles = np.arctan2(axes[:, 1], axes[:, 0]) % (2 * np.pi)
        return DiscSpace(names, tuple(float(angle) for angle in angles)), "linear"
    assert mu is not None
    names = name_expressions(asked.kind, len(mu), asked.expressions)
    turns, widths = learned.get("covariance_angles.weight"), learned.get("covariance_axes.weight")
    if turns is None or widths is None or turns.size != len(mu) or widths.shape != mu.shape:
        raise WeightsError(f"`{path}` lacks the covariances of its expressions", hint="download it again")
    return DiscSpace.on_plane(names, GaussianPlane.learned(mu, turns.ravel(), widths)), "gaussian"
