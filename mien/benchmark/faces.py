"""Which faces a benchmark edits, and which it compares them with: chosen by the seed, from people held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.benchmark.contestants import Faces
from mien.benchmark.pool import Pool
from mien.benchmark.protocol import Protocol
from mien.errors import DataError
from mien.expressions import NEUTRAL, VOCABULARY
from mien.prepared import PreparedSet

#: Largest share of the faces of one kind that is edited: the others are what edits are compared with.
_EDITED_SHARE = 2 / 3
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Chosen:
    """Rows of the prepared set, and what is known of them; all int64."""

    expressions: tuple[str, ...]
    """Those that the split has and every judge sees, in the vocabulary's order."""
    rows: np.ndarray
    """Every held-out row with one of them."""
    labels: np.ndarray
    """Index into `expressions` of each of `rows`."""
    votes: np.ndarray
    """What people see in each of `rows`: float64 (n, k), rows that sum to 1."""
    edited: np.ndarray
    """Places in `rows` of those that are edited."""
    sweep: np.ndarray
    """Places of neutral ones of them, on which intensity rises; may be empty."""
    gamut: np.ndarray
    """Places of neutral ones of them, which walk the disc; may be empty."""
    others: np.ndarray
    """Places of those that are not edited: what edits are compared with."""


def choose_faces(prepared: PreparedSet, protocol: Protocol, judged: Sequence[tuple[str, ...]]) -> Chosen:
    """Choose faces by the seed; `judged` are the expressions of each judge.

    Raises `DataError` where the data has too few faces, or none that the judges know.
    """
    held_out = prepared.select(split=protocol.split, photos=True)
    if not len(held_out):
        splits = ", ".join(sorted(set(prepared.splits.tolist())))
        raise DataError(
            f"the prepared set `{prepared.path}` has no {protocol.split} images (it has: {splits})",
            hint="give a split that no model was trained on, for example `--set split=test`",
        )
    present = [name for index, name in enumerate(VOCABULARY) if (prepared.labels[held_out] == index).any()]
    expressions = tuple(name for name in present if all(name in names for names in judged))
    if len(expressions) < _FEWEST:
        raise DataError(
            f"the judges and the {protocol.split} images share {len(expressions)} expressions "
            f"(data: {', '.join(present) or 'none'}; judges: {'; '.join(', '.join(names) for names in judged)})",
            hint="take judges that were trained on the data's labels",
        )
    rows = prepared.select(split=protocol.split, expressions=expressions, photos=True)
    labels = np.array([expressions.index(VOCABULARY[label]) for label in prepared.labels[rows]])
    # By each face's own number, so that neither the judges' expressions nor other rows change which faces are edited.
    order = np.argsort([_number(prepared.keys[row], protocol.seed) for row in rows], kind="stable")
    neutral = expressions.index(NEUTRAL) if NEUTRAL in expressions else -1
    fitting = order if protocol.origin == "any" else order[labels[order] == neutral]
    if not len(fitting):
        raise DataError(
            f"the {protocol.split} images hold no neutral face, from which edits start",
            hint="`--set origin=any` edits faces of any expression; smoothness is undefined then",
        )
    count = min(protocol.faces, int(len(fitting) * _EDITED_SHARE))
    if count < _FEWEST:
        raise DataError(
            f"a benchmark needs more than {len(fitting)} {protocol.origin} faces in {protocol.split}",
            hint="prepare more held-out images; 500 faces and more make small intervals",
        )
    edited = fitting[:count]
    from_neutral = edited[labels[edited] == neutral]
    others = np.setdiff1d(np.arange(len(rows)), edited)
    return Chosen(
        expressions=expressions,
        rows=rows,
        labels=labels,
        votes=_votes(prepared, rows, labels, expressions),
        edited=edited,
        sweep=from_neutral[: protocol.sweep_faces],
        gamut=from_neutral[: protocol.gamut_faces],
        others=others,
    )


def _number(key: str, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode("utf-8", "surrogateescape"), digest_size=7).digest())


def _votes(prepared: PreparedSet, rows: np.ndarray, labels: np.ndarray, expressions: Sequence[str]) -> np.ndarray:
    columns = [VOCABULARY.index(name) for name in expressions]
    shares = prepared.shares[rows][:, columns].astype(np.float64)
    mass = shares.sum(1, keepdims=True)
    return np.where(mass > 0, shares / np.maximum(mass, 1e-9), np.eye(len(expressions))[labels])


def read_faces(prepared: PreparedSet, chosen: Chosen, places: np.ndarray) -> Faces:
    """Read faces by their places in `chosen.rows`."""
    rows = chosen.rows[places]
    images = prepared.images(rows).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    return Faces(tuple(prepared.keys[row] for row in rows), images)


def make_pool(prepared: PreparedSet, chosen: Chosen) -> Pool:
    """Return the photos that an oracle may answer with."""
    faces = read_faces(prepared, chosen, chosen.others)
    return Pool(faces.images, chosen.votes[chosen.others], chosen.expressions)


def matched(counts: Sequence[int], available: Sequence[int]) -> np.ndarray:
    """Return how many of each class to take so that classes are in the proportions of `counts`, and none runs out."""
    wanted = np.asarray(counts, np.float64)
    limits = [a / c for a, c in zip(available, wanted, strict=True) if c]
    share = min([1.0, *limits])
    return np.floor(wanted * share + 1e-9).astype(int)
