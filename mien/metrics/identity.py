"""Is the person kept? Features that tell people apart, and how alike an edit stays to its own original.

The features are no face-recognition network. They are histograms of the directions of grey edges (Dalal & Triggs 2005,
"Histograms of oriented gradients for human detection") in two grids of cells on an aligned face, made indifferent to
light, to contrast and to mirroring, and a linear map that was learned from people photographed more than once: what
differs between two photos of one person, expression above all, shrinks, and what differs between people stays (Fisher
1936, "The use of multiple measurements in taxonomic problems"). No generator has part in it. What they can and cannot
tell is measured in docs/metrics.md; `benchmarks/identity_features.py` learns the map and measures it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from mien.errors import ConfigError, WeightsError
from mien.metrics.intervals import percentile_interval, resampled_sums
from mien.metrics.measurement import Measurement, measured

#: Where the map lies; the JSON beside it tells its origin and its hash.
WEIGHTS = Path(__file__).parent.parent / "weights" / "identity.safetensors"

#: Images smaller than this show too little of a face.
SMALLEST = 24
#: Side to which every image is brought: two sizes of one image shall give the same features.
_SIDE = 52
#: Part of the aligned crop that the cells cover: from brow to chin, without hair, neck and background.
_INNER = (0.14, 0.86)
#: Cells along each side, coarse for where things lie, fine for their form.
_GRIDS = (6, 12)
#: Pixels that some cell reaches into.
_FIRST, _LAST = 4, 48
#: Directions of an edge, from dark to light, all round.
_DIRECTIONS = 8
#: Share of an image's mean edges that is added to those around a cell: skin without edges stays faint, not noise.
_FAINT = 0.01
#: Mean slope, in the range -1 to 1 per pixel, below which an image shows nothing: an eighth of a grey level.
_FLAT = 1e-3

_CHUNK = 128
_LUMA_601 = np.array((0.299, 0.587, 0.114), np.float32)
#: Likenesses closer than this are equal: features are float32.
_TIE = 1e-6

MEASURES = ("identity-rank1", "identity-similarity", "identity-auc")


# ---------------------------------------------------------------------------------------------------------- features


def describe(images: np.ndarray) -> np.ndarray:
    """Return features of aligned faces, float (n, 1 or 3, h, w) in [-1, 1]: float32 (n, d), each of length one.

    The scalar product of two is how alike they are: about 0 for strangers, 1 for the same picture or its mirror image.
    A picture that is flat or holds NaN has no features: its row is zeros. The result is the same to the bit in whatever
    batches the images come. Raises `ConfigError` for other shapes, `WeightsError` where the map is missing or altered.
    """
    mean, basis = _projection()
    edges = edge_histograms(images)
    seen = np.asarray(edges.any(axis=1))
    # A stack of products, one for each image: in a single one, a row's rounding would depend on how many rows there are.
    features = ((edges - mean)[:, None, :] @ basis)[:, 0]
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.where(seen[:, None] & (length > 0), features / np.maximum(length, 1e-12), 0).astype(np.float32)


def edge_histograms(images: np.ndarray) -> np.ndarray:
    """Return the histograms that the learned map takes, float32 (n, 720); zeros for a picture that shows nothing."""
    images = _checked(images)
    pixels = _resampling(images.shape[-1])
    result = [np.zeros((0, sum(grid * grid // 2 * _DIRECTIONS for grid in _GRIDS)), np.float32)]
    for start in range(0, len(images), _CHUNK):
        part = np.asarray(images[start : start + _CHUNK], np.float32)
        broken = ~np.asarray(np.isfinite(part).all(axis=(1, 2, 3)))
        part = np.where(broken[:, None, None, None], 0, part)
        grey = part[:, 0] if part.shape[1] == 1 else np.einsum("nchw,c->nhw", part, _LUMA_601)
        result.append(_chunk_histograms(pixels @ grey @ pixels.T))
    return np.concatenate(result)


def _chunk_histograms(grey: np.ndarray) -> np.ndarray:
    """Return the histograms of grey images (n, side, side), the cells of each grid normalised by their neighbours."""
    across = (grey[:, _FIRST:_LAST, _FIRST + 1 : _LAST + 1] - grey[:, _FIRST:_LAST, _FIRST - 1 : _LAST - 1]) / 2
    down = (grey[:, _FIRST + 1 : _LAST + 1, _FIRST:_LAST] - grey[:, _FIRST - 1 : _LAST - 1, _FIRST:_LAST]) / 2
    n, side, _ = across.shape
    slopes = np.empty((n, side, _DIRECTIONS, side), np.float32)
    half = _DIRECTIONS // 2
    for direction in range(half):
        angle = 2 * np.pi * direction / _DIRECTIONS
        slope = across * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))
        np.maximum(slope, 0, out=slopes[:, :, direction])
        np.maximum(-slope, 0, out=slopes[:, :, direction + half])
    cells = _cells()
    rows = (slopes.reshape(n, side * _DIRECTIONS, side) @ cells.T).reshape(n, side, -1)
    pooled = (cells @ rows).reshape(n, len(cells), _DIRECTIONS, len(cells))
    flat = (np.abs(across) + np.abs(down)).mean(axis=(1, 2)) / 2 < _FLAT
    result, start = [], 0
    for grid in _GRIDS:
        block = pooled[:, start : start + grid, :, start : start + grid]
        result.append(_folded(np.sqrt(_normalised(block))).reshape(n, -1))
        start += grid
    return np.where(flat[:, None], 0, np.concatenate(result, axis=1)).astype(np.float32)


def _normalised(block: np.ndarray) -> np.ndarray:
    """Divide each cell's histogram, (n, row, direction, column), by all edges of the cells round it: local contrast."""
    energy = block.sum(axis=2)
    grid = energy.shape[1]
    framed = np.pad(energy, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = sum((framed[:, y : y + grid, x : x + grid] for y in range(3) for x in range(3)), np.zeros_like(energy))
    around = around + _FAINT * around.mean(axis=(1, 2), keepdims=True) + 1e-12
    return block / around[:, :, None, :]


def _folded(block: np.ndarray) -> np.ndarray:
    """Add a block to its mirror image and keep the left half: a head turned left is then like one turned right."""
    # Mirrored, the angle t of an edge is pi - t.
    turned = (_DIRECTIONS // 2 - np.arange(_DIRECTIONS)) % _DIRECTIONS
    return ((block + block[:, :, turned, ::-1]) / 2)[..., : block.shape[-1] // 2]


@cache
def _cells() -> np.ndarray:
    """Return how much each row (or column) of pixels belongs to each cell of the grids, float32 (cells, pixels)."""
    place = (np.arange(_FIRST, _LAST) + 0.5) / _SIDE
    weights = []
    for grid in _GRIDS:
        width = (_INNER[1] - _INNER[0]) / grid
        centres = _INNER[0] + (np.arange(grid) + 0.5) * width
        weights.append(np.maximum(0, 1 - np.abs(place - centres[:, None]) / width))
    return np.concatenate(weights).astype(np.float32)


@cache
def _resampling(size: int) -> np.ndarray:
    """Return the matrix, float32 (side, size), that brings a row of pixels to the side: linear, averaging downwards."""
    scale = size / _SIDE
    centres = (np.arange(_SIDE) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(size) - centres[:, None]) / max(1.0, scale))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    shape = images.shape
    if images.ndim != 4 or shape[1] not in (1, 3) or shape[2] != shape[3] or shape[2] < SMALLEST:
        raise ConfigError(
            f"images of the shape {shape} cannot be described",
            hint=f"give square aligned faces (n, 1 or 3, size, size) of at least {SMALLEST} pixels, in [-1, 1]",
        )
    if not np.issubdtype(images.dtype, np.floating):
        raise ConfigError(f"images of {images.dtype} cannot be described", hint="give floats in [-1, 1]")
    return images


@cache
def _projection() -> tuple[np.ndarray, np.ndarray]:
    """Return the learned map: the mean histogram (720,) and the basis (720, d), float32."""
    try:
        data = WEIGHTS.read_bytes()
        expected = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"cannot read `{WEIGHTS}` or the JSON beside it", hint="install mien again") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise WeightsError(f"`{WEIGHTS}` is not the file that was shipped", hint="install mien again")
    tensors = load(data)
    return tensors["mean"].astype(np.float32), tensors["basis"].astype(np.float32)


# ---------------------------------------------------------------------------------------------------------- measures


def identity_kept(
    originals: np.ndarray,
    edited: np.ndarray,
    faces: np.ndarray | Sequence[object] | None = None,
    *,
    expressions: Sequence[str] = (),
    seed: int = 0,
) -> list[Measurement]:
    """Measure whether edits still show who was edited, by features of originals (n, d) and of edits (n, ..., d).

    `identity-rank1` is the share of edits that, among all originals, are most like their own (chance: 1/n; a tie counts
    in parts). `identity-similarity` is the mean likeness to the own original, with that of strangers in its details.
    `identity-auc` is the share of originals of others that an edit is less like than its own, ties half. An edit
    without features, flat or NaN, is counted as lost by all three; where all are, and where there is only one person,
    the measures are undefined. `faces` (n,) says who each original shows: other photos of that person are then no
    strangers, and intervals draw persons. With names for the one axis of edits, each expression is measured as well.
    """
    originals, edits, people = _features(originals, edited, faces)
    if expressions and (np.ndim(edited) != 3 or edits.shape[1] != len(expressions)):
        raise ConfigError(
            f"{len(expressions)} expressions are named for edits of the shape {np.shape(edited)}",
            hint="give edits (faces, expressions, features), or no names",
        )
    shown, seen = _has_features(originals), _has_features(edits)
    details = {
        "originals": int(shown.sum()),
        "people": len(np.unique(people[shown])),
        "originals_without_features": int((~shown).sum()),
        "edits_without_features": int((~seen[shown]).sum()),
    }
    originals, edits, seen, people = originals[shown], edits[shown], seen[shown], people[shown]
    if details["people"] < 2:
        return _undefined("fewer than two people can be told apart in the originals", edits.shape[0], details)
    if not seen.any():
        return _undefined("every edit is flat or holds NaN: it shows nobody", seen.size, details)
    values = _likeness(originals, edits, seen, people)
    mean, high = _strangers(originals, people)
    details |= {"stranger_mean": mean, "stranger_99_percent": high}
    result = _means(values, people, details, None, seed)
    for index, name in enumerate(expressions):
        one = details | {"edits_without_features": int((~seen[:, index]).sum())}
        if seen[:, index].any():
            result += _means(values[:, index : index + 1], people, one, name, seed)
        else:
            result += _undefined("every edit is flat or holds NaN: it shows nobody", len(seen), one, name)
    return result


def _features(
    originals: np.ndarray, edited: np.ndarray, faces: np.ndarray | Sequence[object] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return originals (n, d), edits (n, k, d) and the number of each original's person (n,), checked."""
    originals, edited = np.asarray(originals, np.float32), np.asarray(edited, np.float32)
    if originals.ndim != 2 or edited.ndim < 2 or edited.shape[0] != len(originals):
        raise ConfigError(
            f"features of originals {originals.shape} and of edits {edited.shape} do not belong together",
            hint="give originals (faces, features) and edits (faces, ..., features), in the same order",
        )
    if edited.shape[-1] != originals.shape[1]:
        raise ConfigError(
            f"originals have {originals.shape[1]} features and edits {edited.shape[-1]}",
            hint="describe both with the same function",
        )
    if faces is not None and len(faces) != len(originals):
        raise ConfigError(f"{len(faces)} persons are named for {len(originals)} originals", hint="name one for each")
    people = np.arange(len(originals)) if faces is None else np.unique(np.asarray(faces), return_inverse=True)[1]
    count = int(np.prod(edited.shape[1:-1]))
    return originals, edited.reshape(len(originals), count, originals.shape[1]), people.reshape(-1)


def _has_features(features: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(features).all(axis=-1) & features.any(axis=-1))


def _likeness(originals: np.ndarray, edits: np.ndarray, seen: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return what each edit adds to each of `MEASURES`, float64 (n, k, 3); zeros where there are no features."""
    values = np.zeros((*seen.shape, len(MEASURES)))
    gallery = _unit(originals)
    face, which = np.nonzero(seen)
    for start, likeness in _blocks(_unit(edits[seen]), gallery):
        rows = slice(start, start + len(likeness))
        own = likeness[np.arange(len(likeness)), face[rows]][:, None]
        others = people[face[rows]][:, None] != people
        tied = (np.abs(likeness - own) <= _TIE) & others
        above = (likeness > own) & others & ~tied
        rank1 = np.where(above.any(axis=1), 0.0, 1.0 / (1 + tied.sum(axis=1)))
        auc = 1 - (above.sum(axis=1) + tied.sum(axis=1) / 2) / others.sum(axis=1)
        values[face[rows], which[rows]] = np.stack([rank1, own[:, 0], auc], axis=1)
    return values


def _strangers(originals: np.ndarray, people: np.ndarray) -> tuple[float, float]:
    """Return the mean likeness of originals of different people, and what one pair of them in a hundred exceeds."""
    edges = np.linspace(-1, 1, 2001)
    counts, total = np.zeros(len(edges) - 1, np.int64), 0.0
    gallery = _unit(originals)
    for start, likeness in _blocks(gallery, gallery):
        apart = likeness[people[start : start + len(likeness), None] != people].clip(-1, 1)
        counts += np.histogram(apart, edges)[0]
        total += float(apart.sum(dtype=np.float64))
    place = int(np.searchsorted(counts.cumsum(), 0.99 * counts.sum()))
    return round(total / int(counts.sum()), 6), round(float(edges[place + 1]), 3)


def _blocks(features: np.ndarray, gallery: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the scalar products of a block of features with all of the gallery, and where the block starts."""
    rows = max(1, 4_000_000 // len(gallery))
    for start in range(0, len(features), rows):
        yield start, features[start : start + rows] @ gallery.T


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=-1, keepdims=True)


def _means(
    values: np.ndarray, people: np.ndarray, details: Mapping[str, float], expression: str | None, seed: int
) -> list[Measurement]:
    """Return the means of values (n, k, 3) with intervals over persons."""
    number = np.unique(people, return_inverse=True)[1].reshape(-1)
    sums = np.zeros((number.max() + 1, len(MEASURES) + 1))
    np.add.at(sums, number, np.concatenate([values.sum(axis=1), np.full((len(values), 1), values.shape[1])], axis=1))
    drawn = resampled_sums(sums, seed=seed)
    count = values.shape[0] * values.shape[1]
    return [
        measured(
            name,
            float(values[..., index].mean()),
            percentile_interval(drawn[:, index] / drawn[:, -1]),
            n=count,
            better="higher",
            reason="no edit was measured",
            expression=expression,
            details=dict(details) | ({"chance": 1 / len(values)} if name == "identity-rank1" else {}),
        )
        for index, name in enumerate(MEASURES)
    ]


def _undefined(reason: str, n: int, details: Mapping[str, float], expression: str | None = None) -> list[Measurement]:
    return [Measurement(name, None, None, None, n, "higher", expression, reason, details) for name in MEASURES]
