"""Find pictures that occur more than once: the same pixels, nearly the same, or mirrored.

An image that lies both in training and in validation makes a score look better than it is, and datasets that were
gathered from the web are full of such images. Equal pixels are found by their hashes. What was cropped, compressed,
brightened or watermarked once more is found by its spectrum: the low frequencies of the cosine transform of its luma,
each weighted by its frequency, since a face's spectrum falls about so and else the light alone would decide, scaled to
length one. The scalar product of two such vectors is a correlation; from `NEAR` on, two faces are the same photograph.

Why not the usual 64-bit hash: aligned faces all have eyes and mouths in the same places, so their signs agree too
often. Why every pair is compared rather than looked up: a matrix product does it exactly, and 26,000 faces take seconds;
the time grows with the square of their number.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.datasets import SPLITS
from mien.images import luma
from mien.prepared import PreparedSet

#: Correlation from which two faces count as one photograph. Chosen by eye: see docs/datasets.md.
NEAR = 0.9

#: What a duplicate can be, the surest first.
KINDS = ("same", "near", "mirrored")

#: Frequencies per axis. More would tell a photograph from itself, cropped one pixel further; fewer, strangers not apart.
_FREQUENCIES = 16
#: Images decoded at once, and rows and columns of the table of correlations that are in memory at once.
_BATCH, _ROWS, _COLUMNS = 1024, 1024, 8192

#: Told how many images are done, of how many, and what was done with them: `read`, then `compared`.
Report = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Duplicate:
    """An image that shows what an earlier one shows; training comes before validation, and validation before test."""

    index: int
    """The later image."""
    earlier: int
    """The image that it repeats."""
    kind: str
    """One of `KINDS`."""
    correlation: float
    """How alike the two are: 1 for the same pixels, at least `NEAR` for the others."""


def find_duplicates(
    sets: Sequence[PreparedSet], splits: np.ndarray | None = None, *, near: bool = True, report: Report | None = None
) -> list[Duplicate]:
    """Return the images of one or several sets that repeat an earlier one, in ascending order of `index`.

    Indices count through the sets one after the other; `splits`, str (N,), says where each image belongs if not where
    its set says. An image is named at most twice: once for the most similar image of an earlier split, which is a leak
    (see `is_leak`), and once for the most similar one before it in its own split. Without `near`, only the same pixels
    count. Sets may differ in size and channels.
    """
    if splits is None:
        splits = np.concatenate([prepared.splits for prepared in sets])
    ranks = np.array([SPLITS.index(split) for split in splits.tolist()], np.int64)
    order = np.argsort(ranks, kind="stable")
    digests, spectra = _describe(sets, near, report)
    found = _same_pixels(digests, ranks, order)
    if near:
        starts = np.searchsorted(ranks[order], np.arange(len(SPLITS) + 1)).tolist()
        for start, end in itertools.pairwise(starts):
            for elsewhere, among in ((True, order[:start]), (False, order[start:end])):
                rows = np.array([i for i in order[start:end].tolist() if (i, elsewhere) not in found], np.int64)
                for done in range(0, len(rows), _ROWS):
                    similar = _most_similar(spectra, rows[done : done + _ROWS], among, only_before=not elsewhere)
                    found |= {(pair.index, elsewhere): pair for pair in similar}
                    if report:  # all that lies before has been compared; in one split later rows take longer
                        report(start + (0 if elsewhere else done), len(order), "compared")
        if report:
            report(len(order), len(order), "compared")
    return [found[key] for key in sorted(found, key=lambda key: (key[0], not key[1]))]


def is_leak(duplicate: Duplicate, splits: np.ndarray) -> bool:
    """Say whether the two images lie in different splits."""
    return bool(splits[duplicate.index] != splits[duplicate.earlier])


def _same_pixels(digests: list[bytes], ranks: np.ndarray, order: np.ndarray) -> dict[tuple[int, bool], Duplicate]:
    """Find equal digests: by index, and by whether the earlier image lies in another split."""
    found: dict[tuple[int, bool], Duplicate] = {}
    first: dict[bytes, int] = {}
    first_in_split: dict[tuple[int, bytes], int] = {}
    for index in order.tolist():
        rank, digest = int(ranks[index]), digests[index]
        earlier = first.setdefault(digest, index)
        if ranks[earlier] != rank:
            found[index, True] = Duplicate(index, earlier, "same", 1.0)
        earlier = first_in_split.setdefault((rank, digest), index)
        if earlier != index:
            found[index, False] = Duplicate(index, earlier, "same", 1.0)
    return found


def _most_similar(spectra: np.ndarray, rows: np.ndarray, among: np.ndarray, only_before: bool) -> list[Duplicate]:
    """Return, for each of `rows` that has one, the image of `among` that is most like it, or like its mirror image.

    Both ascend in the same order. With `only_before`, an image is compared with those of `among` that come before it.
    """
    place = np.empty(len(spectra), np.int64)  # in `among`, for those that lie in it
    place[among] = np.arange(len(among))
    columns = among[: place[rows[-1]]] if only_before else among
    best, partner = np.full(len(rows), -1.0, np.float32), np.zeros(len(rows), np.int64)
    mirrored = np.zeros(len(rows), bool)
    for left in range(0, len(columns), _COLUMNS):
        block = columns[left : left + _COLUMNS]
        for mirror in (False, True):
            side = spectra[rows] * _mirror_signs() if mirror else spectra[rows]
            likeness = side @ spectra[block].T
            if only_before:
                likeness[np.arange(left, left + len(block))[None] >= place[rows][:, None]] = -1
            column = likeness.argmax(axis=1)
            value = likeness[np.arange(len(rows)), column]
            better = value > best
            best[better], partner[better], mirrored[better] = value[better], block[column[better]], mirror
    return [
        Duplicate(
            index=int(rows[row]),
            earlier=int(partner[row]),
            kind="mirrored" if mirrored[row] else "near",
            correlation=min(1.0, float(best[row])),
        )
        for row in np.flatnonzero(best >= NEAR).tolist()
    ]


def _describe(sets: Sequence[PreparedSet], near: bool, report: Report | None) -> tuple[list[bytes], np.ndarray]:
    """Return every image's digest and spectrum, float32 (N, frequencies squared); no spectra where they are not wanted."""
    total = sum(map(len, sets))
    digests: list[bytes] = []
    spectra = np.zeros((total if near else 0, _FREQUENCIES**2), np.float32)
    for prepared in sets:
        for start in range(0, len(prepared), _BATCH):
            images = prepared.images(np.arange(start, min(start + _BATCH, len(prepared))))
            done = len(digests)
            if near:
                spectra[done : done + len(images)] = _spectra(images)
            digests += map(_digest, images)
            if report:
                report(len(digests), total, "read")
    return digests, spectra


def _digest(image: np.ndarray) -> bytes:
    """Hash the pixels; a grey picture gives the same in one channel and in three."""
    if image.shape[2] == 3 and (image == image[..., :1]).all():
        image = image[..., :1]
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()


def _spectra(images: np.ndarray) -> np.ndarray:
    """Return low frequencies of uint8 (N, size, size, channels), weighted, of length one: float32 (N, frequencies^2)."""
    grey = images[..., 0] if images.shape[-1] == 1 else luma(images)
    basis = _cosines(images.shape[1])
    spectra = (basis @ grey.astype(np.float32) @ basis.T) * _weights()
    spectra = spectra.reshape(len(images), -1)
    length = np.linalg.norm(spectra, axis=1, keepdims=True)
    return spectra / np.where(length > 1e-3, length, np.inf)  # a picture of one level is like none


def _cosines(size: int) -> np.ndarray:
    """Return the orthonormal cosine basis (DCT-II), float32 (frequencies, size); zeros beyond what `size` can hold."""
    number = np.arange(_FREQUENCIES)[:, None]
    basis = np.sqrt(2 / size) * np.cos(np.pi * number * (np.arange(size) + 0.5) / size)
    basis[0] /= np.sqrt(2)
    basis[size:] = 0
    return basis.astype(np.float32)


def _weights() -> np.ndarray:
    """Return each frequency's weight, its own length; nothing below 2, which is light, or in the corner beyond 16."""
    number = np.arange(_FREQUENCIES)
    frequency = np.hypot(number[:, None], number)
    return (frequency * ((frequency >= 2) & (frequency < _FREQUENCIES))).astype(np.float32)


def _mirror_signs() -> np.ndarray:
    """Return what the spectrum of the mirror image is multiplied with: cosines of odd number turn over."""
    across = np.where(np.arange(_FREQUENCIES) % 2, -1, 1)
    return np.tile(across, _FREQUENCIES).astype(np.float32)
