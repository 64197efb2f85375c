"""Fill up the rare expressions of a prepared set with edited faces, to train recognisers of expressions on.

What comes out holds every image of the set, unchanged, and more training images: faces of the training split that a model
has edited, until each expression has as many as wanted. Validation and test stay as they are: they say what the data is
like. An edited face keeps the subject, the source and the frame of the face that it was made from; its key begins with
`mien-edited`, by which everything else can tell (`PreparedSet.edited`): `mien combine` leaves it out where its person is
held out, nothing is measured on it, `mien unpack` marks the picture, and what has learned from it is no judge.

Which faces are edited, and how strongly, is decided by hashes of seed and key: the same in every run, and little changed by
images that come or go.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.classifiers import Classifier
from mien.conditions import Condition
from mien.datasets import Row, Sample
from mien.datasets.sample import TRAIN
from mien.editing.edits import make_edits
from mien.editing.model import ExpressionModel
from mien.errors import ConfigError, DataError
from mien.expressions import NEUTRAL, VOCABULARY, parse_expression
from mien.images import fit_images
from mien.prepared import PreparedSet, check_place, edited_key, prepare
from mien.warping import apply

#: Which faces may be edited: those labelled neutral, or all that do not show the expression already.
ORIGINS = ("neutral", "any")

_DATASET = "augmentation"
#: Faces that a judge looks at together.
_BATCH = 64
#: Intensities are noted with three digits.
_LEAST_INTENSITY = 0.01

#: Told how many images are done, of how many, and what was done: judged, written.
Report = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Wish:
    """What is wanted of an augmented set."""

    count: int | None = None
    """Training images that each expression is to have at least; None: as many as the most frequent one has."""
    expressions: tuple[str, ...] = ()
    """Expressions that are filled up; none named: all that the set has for training and the model can give, neutral only
    where faces of any expression are edited."""
    weakest: float = 0.6
    """Least intensity of an edit; each has its own, uniform from here to `strongest`."""
    strongest: float = 1.0
    """Largest intensity of an edit."""
    origin: str = "neutral"
    """Which faces are edited, one of `ORIGINS`; to become neutral, always those of other expressions."""
    seed: int = 0
    """Another choice of faces and intensities."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ConfigError(f"count is {self.count}", hint="give 1 or more images")
        if not _LEAST_INTENSITY <= self.weakest <= self.strongest <= 1:
            raise ConfigError(
                f"intensities from {self.weakest} to {self.strongest}",
                hint=f"give two numbers from {_LEAST_INTENSITY} to 1, in order",
            )
        if self.origin not in ORIGINS:
            raise ConfigError(f"unknown origin `{self.origin}`", hint=f"known: {', '.join(ORIGINS)}")
        object.__setattr__(self, "expressions", tuple(parse_expression(name) for name in self.expressions))


@dataclass(frozen=True)
class Augmented:
    """What `augment` has made."""

    prepared: PreparedSet
    """The set."""
    edited: dict[str, int]
    """Edited faces by expression."""
    missing: dict[str, int]
    """How many images an expression still lacks, since there were no more faces to edit; only where there are such."""
    refused: int
    """Edits in which the judge did not see what was asked, up to the last one that was taken."""


def augment(
    prepared: PreparedSet,
    out: Path | str,
    model: ExpressionModel,
    wish: Wish = Wish(),  # frozen
    *,
    judge: Classifier | None = None,
    report: Report | None = None,
) -> Augmented:
    """Write a prepared set with edited faces beside all of its own; resumes what was interrupted, as `prepare` does.

    With a `judge` only those edits are taken in which it sees what was asked for, and other faces stand in for the rest.
    The manifest's recipe names the set, the model and the judge by their hashes.

    Raises `DataError` for sets that leave nothing to edit or to fill up, and for a folder that holds something else; and
    `ConfigError` for expressions that set, model or judge do not know.
    """
    if Path(out).resolve() == prepared.path.resolve() or prepared.path.resolve() in Path(out).resolve().parents:
        raise DataError(f"`{out}` lies in the set `{prepared.path}`", hint="give another folder")
    names = _expressions(prepared, model, wish, judge)
    has = {name: len(prepared.select(TRAIN, [name])) for name in names}
    wanted = wish.count or max(len(prepared.select(TRAIN, [name])) for name in prepared.expressions)
    options: dict[str, Any] = {
        "parent": {"dataset": prepared.manifest["dataset"], "hash": prepared.hash, "count": len(prepared)},
        "model_sha256": model.sha256, "judge_sha256": None if judge is None else judge.sha256, "count": wanted,
        "expressions": names, "intensities": [wish.weakest, wish.strongest], "origin": wish.origin, "seed": wish.seed,
    }  # fmt: skip
    check_place(out, _DATASET, options)
    studio = _Studio(prepared, model)
    chosen: list[_Edit] = []
    missing: dict[str, int] = {}
    refused = 0
    for name in names:
        lacks = max(0, wanted - has[name])
        found, turned_down = _choose(studio, name, lacks, wish, judge, report)
        chosen, refused = chosen + found, refused + turned_down
        if lacks > len(found):
            missing[name] = lacks - len(found)
    if not chosen:
        raise _nothing(prepared, wish, wanted, names, missing, refused)
    edited = {name: sum(edit.expression == name for edit in chosen) for name in names}
    written = prepare(
        _Rows(studio, chosen),
        out,
        dataset=_DATASET,
        size=prepared.size,
        channels=1 if prepared.channels == 1 else 3,
        options={**options, "edited": {name: count for name, count in edited.items() if count}},
        source=f"{prepared.path}, with edits by {model.name}",
        detectors=prepared.detectors,
        report=(lambda done, total: report(done, total, "written")) if report else None,
    )
    return Augmented(written, edited, missing, refused)


@dataclass(frozen=True)
class _Edit:
    """A face of the set, and what it is edited to."""

    index: int
    """Where in the set."""
    expression: str
    """What it is to show."""
    intensity: float
    """How strongly."""


class _Studio:
    """Edits a set's faces."""

    def __init__(self, prepared: PreparedSet, model: ExpressionModel) -> None:
        self.prepared, self.model = prepared, model

    def edited(self, edit: _Edit) -> np.ndarray:
        """Return an edited face, uint8 RGB; from one that is not neutral, as `auto` does, a part is taken away first."""
        pixels = self.prepared.sample(edit.index).read()
        neutral = self.prepared.labels[edit.index] == VOCABULARY.index(NEUTRAL)
        levels = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
        seen = fit_images(levels, self.model.image_size, self.model.image_channels)[0].numpy()
        condition = Condition.named(edit.expression, edit.intensity)
        (maps,) = make_edits(self.model, seen, [condition], "direct" if neutral else "auto")
        return np.rint(apply(pixels.astype(np.float32), maps)).astype(np.uint8)

    def row(self, edit: _Edit) -> Sample:
        """Return the row of the augmented set that an edit becomes."""
        photo = self.prepared.sample(edit.index)
        return replace(
            photo,
            key=edited_key(photo.key, edit.expression),
            read=partial(self.edited, edit),
            expression=edit.expression,
            shares=None,
            intensity=edit.intensity,
        )


class _Rows:
    """The rows of the augmented set, each made only when it is asked for: first the set's own, then the edits."""

    def __init__(self, studio: _Studio, edits: Sequence[_Edit]) -> None:
        self._studio, self._edits = studio, edits

    def __len__(self) -> int:
        return len(self._studio.prepared) + len(self._edits)

    def __iter__(self) -> Iterator[Row]:
        yield from map(self._studio.prepared.sample, range(len(self._studio.prepared)))
        yield from map(self._studio.row, self._edits)


def _expressions(
    prepared: PreparedSet, model: ExpressionModel, wish: Wish, judge: Classifier | None
) -> tuple[str, ...]:
    """Return what is filled up, in the vocabulary's order, after checking that all can be."""
    trained = [name for name in prepared.expressions if len(prepared.select(TRAIN, [name]))]
    if not trained:
        raise DataError(f"`{prepared.path}` has no labelled images for training", hint="only those can be filled up")
    filled = [name for name in trained if name != NEUTRAL or wish.origin != NEUTRAL]
    names = wish.expressions or tuple(name for name in filled if name in model.space.expressions)
    if not names:
        raise ConfigError(
            f"`{model.name}` and the training images of `{prepared.path}` share no expression to fill up",
            hint="take another model, or name expressions with --expression",
        )
    for name in names:
        if name not in model.space.expressions:
            raise ConfigError(
                f"`{model.name}` cannot give {name}", hint=f"it knows {', '.join(model.space.expressions)}"
            )
    if judge is not None and (unknown := [name for name in names if name not in judge.expressions]):
        raise ConfigError(
            f"judge `{judge.name}` does not know {', '.join(unknown)}", hint="name others with --expression"
        )
    return tuple(name for name in VOCABULARY if name in names)


def _choose(
    studio: _Studio, name: str, lacks: int, wish: Wish, judge: Classifier | None, report: Report | None
) -> tuple[list[_Edit], int]:
    """Return the edits that fill up an expression, as far as there are faces, and how many the judge turned down."""
    edits = (_Edit(index, name, _intensity(wish, name, key)) for index, key in _candidates(studio.prepared, name, wish))
    if judge is None:
        return list(itertools.islice(edits, lacks)), 0
    taken: list[_Edit] = []
    refused = 0
    while len(taken) < lacks and (batch := list(itertools.islice(edits, _BATCH))):
        faces = np.stack([studio.edited(edit) for edit in batch]).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        seen = judge.judge(faces).probabilities.argmax(axis=1)
        for edit, best in zip(batch, seen, strict=True):
            if len(taken) == lacks:
                break
            if judge.expressions[best] == name:
                taken.append(edit)
            else:
                refused += 1
        if report:
            report(len(taken), lacks, f"judged {name}")
    return taken, refused


def _candidates(prepared: PreparedSet, name: str, wish: Wish) -> list[tuple[int, str]]:
    """Return index and key of all faces that may be edited to an expression, in the order in which they are taken."""
    photos = np.flatnonzero((prepared.splits == TRAIN) & (prepared.labels >= 0) & ~prepared.edited)
    photos = photos[prepared.labels[photos] != VOCABULARY.index(name)]
    if wish.origin == NEUTRAL and name != NEUTRAL:
        photos = photos[prepared.labels[photos] == VOCABULARY.index(NEUTRAL)]
    known = set(prepared.keys)  # a set that was filled up before has some of the edits already
    keys = [(index, prepared.keys[index]) for index in photos.tolist()]
    return sorted(
        (each for each in keys if edited_key(each[1], name) not in known),
        key=lambda each: _chance(wish.seed, name, each[1]),
    )


def _nothing(
    prepared: PreparedSet, wish: Wish, wanted: int, names: Sequence[str], missing: dict[str, int], refused: int
) -> DataError:
    """Return the error that says why there is not a single edit."""
    if not missing:
        return DataError(
            f"`{prepared.path}` has {wanted} training images or more of each of {', '.join(names)} already",
            hint="give a larger --count",
        )
    if refused:
        return DataError(
            "the judge saw in no edit what was asked", hint="take another judge or model, or none to judge"
        )
    if wish.origin == NEUTRAL and not len(prepared.select(TRAIN, [NEUTRAL])):
        return DataError(
            f"`{prepared.path}` has no neutral training faces to edit",
            hint="`--of any` edits faces of other expressions",
        )
    return DataError(
        f"`{prepared.path}` has no more training faces to edit to {', '.join(missing)}",
        hint="each is edited once to an expression; prepare more of them",
    )


def _chance(seed: int, name: str, key: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}/{key}".encode("utf-8", "surrogateescape")).digest()


def _intensity(wish: Wish, name: str, key: str) -> float:
    """Return how strongly a face is edited, by another hash than what decides the order; neutral has no intensity."""
    share = int.from_bytes(_chance(wish.seed, f"intensity of {name}", key)[:8], "big") / 2**64
    return 0.0 if name == NEUTRAL else round(wish.weakest + (wish.strongest - wish.weakest) * share, 3)
