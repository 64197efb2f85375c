"""Who can be compared: models of every kind, and baselines that show what a measure is worth.

    RUN, NAME, FILE.safetensors     a model as `mien edit --model` takes it; also official-ganmut:G.ckpt
    untrained:MODEL                 the same networks with random weights
    identity                        gives back the face that it got
    oracle                          gives back a photo of somebody who does look as was asked
    folder:DIR                      pictures of another program, with requests.csv (`mien.benchmark.folder`)
    TITLE=MODEL                     a model or folder of the above that tables call by a title of one's own

Every contestant gets faces and conditions and gives back faces; what it does in between is its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from mien.benchmark.outcome import ContestantFacts
from mien.benchmark.pool import Pool
from mien.conditions import Condition
from mien.edit_maps import Edit, apply_edit
from mien.editing.edits import make_edits
from mien.editing.model import ExpressionModel
from mien.errors import ConditionError, ConfigError, MienError
from mien.expressions import VOCABULARY
from mien.files import file_sha256
from mien.images import fit_images, luma_weights
from mien.lineage import guides_of
from mien.loading import open_model
from mien.networks import count_parameters
from mien.runs import Run
from mien.shipped import DEFAULT
from mien.spaces import Space


@dataclass(frozen=True)
class Faces:
    """Face crops of a prepared set."""

    keys: tuple[str, ...]
    """Their names in the prepared set, n of them."""
    images: np.ndarray
    """float32 (n, c, h, w) in [-1, 1]."""

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, part: slice) -> Faces:
        return Faces(self.keys[part], self.images[part])


class Contestant(Protocol):
    """What a benchmark asks of a model."""

    @property
    def facts(self) -> ContestantFacts:
        """Name, hash, size and origin."""
        ...

    @property
    def space(self) -> Space | None:
        """Its conditional space; None where there is none, and then any expression can be asked for."""
        ...

    def edit(self, faces: Faces, conditions: Sequence[Condition], start: str) -> np.ndarray:
        """Return every face under every condition: float32 (n, conditions, c, h, w), NaN where it has no answer.

        `start` is `direct` or `auto`, as in `mien.editing.edits`.
        """
        ...

    def realness(self, images: np.ndarray) -> np.ndarray | None:
        """Return its critic's score of each image, higher for more real, float64 (n,); None where none was trained."""
        ...


class ModelContestant:
    """Any model that the editor can use."""

    def __init__(self, model: ExpressionModel, name: str, kind: str = "model", source: Path | None = None) -> None:
        """Take a model by a name; `source` is the run or file that it was opened from, where it is one."""
        run = source if source is not None and (source / "config.json").exists() else None
        self._model = model
        self.space = model.space
        training = model.description.get("training", model.description)
        data = training.get("data", {}) if isinstance(training, dict) else {}
        stats, samples = _progress(run)
        self.facts = ContestantFacts(
            name=name,
            kind=kind,
            sha256=model.sha256,
            expressions=tuple(model.space.expressions),
            parameters=_parameters(model),
            milliseconds=_milliseconds(model),
            detector=data.get("detector"),
            training_data=data.get("dataset"),
            angles_degrees=_angles(model.space),
            guides=tuple(guide["sha256"] for guide in guides_of(model.description)),
            stats=stats,
            samples=samples,
            fingerprint=_fingerprint(model, source),
        )

    def edit(self, faces: Faces, conditions: Sequence[Condition], start: str) -> np.ndarray:
        """Render every face under every condition, at the faces' own size."""
        if start == "direct":
            return self._direct(faces, conditions)
        edited = [self._composed(image, conditions, start) for image in faces.images]
        return np.stack(edited) if edited else np.zeros((0, len(conditions), *faces.images.shape[1:]), np.float32)

    def _direct(self, faces: Faces, conditions: Sequence[Condition]) -> np.ndarray:
        model, count = self._model, len(conditions)
        large = torch.from_numpy(np.repeat(faces.images, count, axis=0))
        small = fit_images(torch.from_numpy(faces.images), model.image_size, model.image_channels)
        codes = np.stack([self.space.code(condition) for condition in conditions])
        maps = model.render(small.repeat_interleave(count, dim=0).numpy(), np.tile(codes, (len(faces), 1)))
        edited = _applied(large, maps)
        return edited.reshape(len(faces), count, *faces.images.shape[1:])

    def _composed(self, image: np.ndarray, conditions: Sequence[Condition], start: str) -> np.ndarray:
        model, count = self._model, len(conditions)
        small = fit_images(torch.from_numpy(image[None]), model.image_size, model.image_channels)[0].numpy()
        edits = make_edits(model, small, conditions, start)  # type: ignore[arg-type]
        large = torch.from_numpy(np.repeat(image[None], count, axis=0))
        return _applied(large, [np.stack(maps) for maps in zip(*edits, strict=True) if maps[0] is not None])

    def realness(self, images: np.ndarray) -> np.ndarray | None:
        """Score images with the model's critic."""
        score = getattr(self._model, "realness", None)
        if score is None or self.facts.kind == "untrained":
            return None
        fitted = fit_images(torch.from_numpy(images), self._model.image_size, self._model.image_channels)
        try:
            return np.asarray(score(fitted.numpy()), np.float64)
        except MienError:  # an official generator without its discriminator
            return None


def _applied(images: torch.Tensor, maps: Sequence[np.ndarray]) -> np.ndarray:
    """Apply edits to images of any size; light of one channel goes to all, of three to grey by its luma."""
    displacement, light, *wipe = (torch.from_numpy(each) for each in maps)
    if light.shape[1] == 3 and images.shape[1] == 1:
        light = (light * luma_weights()).sum(1, keepdim=True)
    light = light.expand(-1, images.shape[1], -1, -1)
    with torch.inference_mode():
        return apply_edit(images, Edit(displacement, light, *wipe)).numpy()


class Identity:
    """Gives back the face that it got: the best of all at keeping, and at nothing else."""

    space = None
    facts = ContestantFacts("identity", "identity", "", VOCABULARY)

    def edit(self, faces: Faces, conditions: Sequence[Condition], start: str) -> np.ndarray:
        """Repeat the faces."""
        return np.repeat(faces.images[:, None], len(conditions), axis=1)

    def realness(self, images: np.ndarray) -> np.ndarray | None:
        """Give no score."""
        return None


class Oracle:
    """Gives back real photos of other people, held out too, who look as was asked: the best of all at expressing."""

    space = None

    def __init__(self, pool: Pool, seed: int) -> None:
        self._pool, self._seed = pool, seed
        self.facts = ContestantFacts("oracle", "oracle", "", pool.expressions)

    def edit(self, faces: Faces, conditions: Sequence[Condition], start: str) -> np.ndarray:
        """Draw for every face and condition a photo whose votes are near to what was asked."""
        shown = self.shown(faces, conditions)
        result = np.full((*shown.shape, *faces.images.shape[1:]), np.nan, np.float32)
        result[shown >= 0] = self._pool.images[shown[shown >= 0]]
        return result

    def shown(self, faces: Faces, conditions: Sequence[Condition]) -> np.ndarray:
        """Return which photo of the pool each answer is: int64 (n, conditions), -1 where there is none.

        Photos that are handed out are photos to compare with, too: a measure that learns must know which.
        """
        result = np.full((len(faces), len(conditions)), -1)
        for row, key in enumerate(faces.keys):
            for column, condition in enumerate(conditions):
                if condition.angle_radians is None:
                    place = self._pool.choose(key, condition, self._seed)
                    result[row, column] = -1 if place is None else place
        return result

    def realness(self, images: np.ndarray) -> np.ndarray | None:
        """Give no score."""
        return None


def open_contestants(specifications: Sequence[str], device: str = "cpu") -> list[Contestant]:
    """Open what was named (see the top of this file), but `oracle`, which needs the data; names are made unique.

    Raises `MienError` for what cannot be opened.
    """
    opened: list[Contestant] = []
    taken: set[str] = set()
    for specification in specifications:
        title, text = split_title(specification)
        kind, colon, rest = text.partition(":")
        if text == "identity":
            opened.append(Identity())
        elif kind == "untrained" and colon:
            opened.append(ModelContestant(untrained(rest, device), _unique("untrained", taken), "untrained"))
        elif kind == "folder" and colon:
            from mien.benchmark.folder import Folder

            opened.append(Folder(Path(rest), _unique(title or Path(rest).resolve().name, taken)))
        else:
            model = open_model(text, device)
            official = "official" if kind.startswith("official-") and colon else "model"
            opened.append(ModelContestant(model, _unique(title or model.name, taken), official, Path(text)))
    return opened


def split_title(specification: str) -> tuple[str, str]:
    """Split `TITLE=MODEL`; the title is empty where there is none, or where a file has this very name.

    An equals sign after a colon belongs to the options of an official checkpoint.
    """
    title, equals, model = specification.partition("=")
    if not equals or not title.strip() or ":" in title or Path(specification).exists():
        return "", specification
    return title.strip(), model


def untrained(source: str, device: str = "cpu", seed: int = 0) -> Any:
    """Return a model with the same networks and space as another, and random weights.

    An ONNX file describes its networks; where it does not, those of the model that ships are taken, and that is said.
    """
    from mien.pretrained import Model, load_model

    model = open_model(source) if Path(source).suffix == ".onnx" else load_model(source)
    torch.manual_seed(seed)
    try:
        method = _new_method(model.description)
    except MienError as error:
        print(f"`{source}` has no untrained twin ({error}): that of `{DEFAULT}` takes part", file=sys.stderr)
        return untrained(DEFAULT, device, seed)
    digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in method.state_dict().values())).hexdigest()
    return Model(method, f"untrained:{model.name}", digest, model.description).to(device)


def _new_method(description: Mapping[str, Any]) -> Any:
    """Return the networks that a model's description tells of, as training begins with them.

    Raises `ConfigError` where it tells of none that this version knows.
    """
    from mien.methods import METHODS
    from mien.settings import config_from_mapping

    kind = METHODS.get(str(description.get("method")))
    if kind is None or "method_config" not in description:
        raise ConfigError("it does not say what its networks are", hint="export it again")
    return kind(config_from_mapping(kind.Config, description["method_config"])).eval().requires_grad_(False)


def _unique(name: str, taken: set[str]) -> str:
    name = "".join(letter for letter in name if letter.isprintable()) or "model"  # no sign that turns the text round
    base, number = name, 2
    while name in taken or name in ("real", "identity", "oracle"):
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def _fingerprint(model: ExpressionModel, source: Path | None) -> str:
    """Return a hash of all that decides what a model answers.

    `sha256` is of weights alone, of an official checkpoint's generator's. Equal weights edit otherwise where labels have
    other names, images another size, the method other settings; with another critic's file they score otherwise, and out of
    an ONNX file not at all.
    """
    description = model.description
    told = {
        "sha256": model.sha256,
        "files": description.get("files"),
        "opened": file_sha256(source) if source is not None and source.is_file() else None,
        "space": model.space.to_json(),
        "image": (model.image_size, model.image_channels),
        "method": (description.get("method"), description.get("method_config")),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _parameters(model: ExpressionModel) -> int | None:
    generator = getattr(getattr(model, "method", model), "generator", None)
    if generator is not None:
        return count_parameters(generator)
    known = model.description.get("parameters")
    return known.get("generator") if isinstance(known, dict) else None


def _milliseconds(model: ExpressionModel, times: int = 25) -> float:
    """Return the shortest time of one edit of one crop: what the machine does when nothing else asks for it."""
    image = np.zeros((1, model.image_channels, model.image_size, model.image_size), np.float32)
    code = model.space.code(Condition.named(model.space.expressions[-1], 0.9))[None]
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        model.render(image, code)
        spent.append(time.perf_counter() - start)
    return round(1000 * min(spent), 2)


def _angles(space: Space) -> dict[str, float]:
    if not hasattr(space, "angles_radians"):
        return {}
    return {
        name: round(float(np.degrees(angle)) % 360, 1)
        for name, angle in zip(space.expressions[1:], space.angles_radians, strict=True)  # type: ignore[union-attr]
    }


def _progress(run: Path | None) -> tuple[list[dict[str, float]], list[Path]]:
    if run is None:
        return [], []
    return Run.read(run).stats(), sorted((run / "samples").glob("*.png"))


def can_express(contestant: Contestant, condition: Condition) -> bool:
    """Say whether a contestant can be asked for a condition."""
    if contestant.space is None:
        if contestant.facts.kind == "folder" and (condition.angle_radians is not None or len(condition.shares) != 1):
            return False
        return set(name for name, _ in condition.shares) <= set(contestant.facts.expressions)
    try:
        contestant.space.code(condition)
    except ConditionError:
        return False
    return True
