"""What every dataset reader yields: samples, and rows it had to reject.

A reader never decodes an image and never stops at a broken row. What it can say without decoding it says at once (a
label out of range, a face that the annotators call none: `Rejected`); what shows only in the pixels is said by
`Sample.read`, which raises `ImageError`. Whoever writes a prepared set records both with their reasons.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mien.expressions import VOCABULARY
from mien.images import Frame

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")

#: Stands in the key of every image that a model has edited (`mien.augmenting`), and in the names of files made of it.
EDITED = "mien-edited"

#: What people and publishers call the three splits, in lower case.
SPLIT_WORDS = {
    "train": TRAIN, "training": TRAIN,
    "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "publictest": VALIDATION, "dev": VALIDATION,
    "test": TEST, "testing": TEST, "privatetest": TEST,
}  # fmt: skip


#: Which face of an image a sample means: the one that the image is cut round already, or, of a scene, the largest, the
#: one that the detector is surest of, or the left or right one of two people (as seen in the image).
FACES = ("cut", "largest", "confident", "left", "right")


@dataclass(frozen=True)
class Sample:
    """One labelled image of a dataset, not yet decoded."""

    key: str
    """Name that is unique in its dataset and the same in every run, for example `train/fer0000123`."""
    read: Callable[[], np.ndarray]
    """Decodes the image: uint8, (height, width, 3), RGB; raises `ImageError` where the image is broken."""
    expression: str | None
    """Name of the vocabulary; None where the image carries no label."""
    split: str
    """`train`, `validation` or `test`."""
    source: str
    """Name of the dataset, so that a set made of several can be taken apart again."""
    shares: tuple[float, ...] | None = None
    """The annotators' votes as a distribution over the vocabulary; None where there are no votes."""
    intensity: float | None = None
    """How strong the expression is, 0 to 1, where that is known (drawn faces); otherwise None."""
    subject: str | None = None
    """Who is shown, where that is known: faces of one subject must not be on both sides of a split."""
    face: str = "cut"
    """Which face is meant, one of `FACES`."""
    frame: Frame | None = None
    """Where the picture ends in what `read` returns: None where it fills it, NaN where that is not known."""


@dataclass(frozen=True)
class Rejected:
    """A row of a dataset that cannot be used, and why."""

    key: str
    """As in `Sample`; where not even that could be read, the place: file and line."""
    reason: str
    """A clause without a full stop, for people: `label 9 is not one of 0 to 6`."""


Row = Sample | Rejected

#: A dataset reader: a plain function of where the data lies, and of its own options as keywords.
Reader = Callable[..., Iterator[Row]]


def split_of(text: str) -> str | None:
    """Return the split that a folder, file or column is named after, or None where it is named after none.

    Publishers differ in case and separators (`Public_Test`), number files (`train-00000-of-00002`) and put the
    dataset's name before (`fer2013-validation`).
    """
    words = re.findall("[a-z]+", text.lower())
    return next((SPLIT_WORDS[word] for word in ("".join(words), *words) if word in SPLIT_WORDS), None)


def shares_from_votes(votes: Sequence[float], order: Sequence[str | None]) -> tuple[float, ...] | None:
    """Turn counts of votes, in a dataset's own order, into a distribution over the vocabulary.

    Votes for what is no expression (None in `order`) are left out of the normalisation; None where nothing is left.
    """
    counts: dict[str, float] = dict.fromkeys(VOCABULARY, 0.0)
    for name, count in zip(order, votes, strict=True):
        if name is not None:
            counts[name] += count
    total = sum(counts.values())
    return tuple(count / total for count in counts.values()) if total > 0 else None


def thinned(rows: Iterable[Row], share: float) -> Iterator[Row]:
    """Yield a share of the rows (0 to 1), in their order: those whose keys' hashes are low, so the same in every run.

    A smaller share is a part of a larger one.
    """
    limit = int(share * 2**64)
    return (row for row in rows if _chance(row.key) < limit)


def _chance(key: str) -> int:
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


def edited_key(key: str, expression: str) -> str:
    """Return the key of an image that is edited to an expression."""
    return f"{EDITED}/{expression}/{key}"


def original_key(key: str) -> str:
    """Return the key of the image that an edited one was made from; of any other, its own."""
    before, found, after = key.partition(f"{EDITED}/")
    return before + after.partition("/")[2] if found else key
