"""Learn the features of mien/metrics/identity.py, and measure how well they tell people apart.

Three truths, each beside the correlation of grey values, which is what one gets without features:

- people of a prepared set with subjects, photographed more than once; pairs that are nearly the same photo are left
  out. Learning sees the training part, measuring the validation part, and nobody is in both.
- drawn people, each with seven expressions; nothing was learned from drawings.
- a prepared set's near duplicates: the same photo cut otherwise, against random pairs of its images.

The map is learned as follows: principal components of the histograms, whitened; then the directions in which photos
of one person differ least, scaled to equal spread within a person (linear discriminant analysis). Every person
weighs the same.

    python benchmarks/identity_features.py --people DIR [--duplicates DIR] [--learn mien/weights/identity.safetensors]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from record import commit, record
from safetensors.numpy import save

from mien.datasets.drawn import CROP, draw, faces
from mien.duplicates import NEAR, find_duplicates
from mien.metrics.identity import WEIGHTS, describe, edge_histograms
from mien.metrics.intervals import bootstrap
from mien.prepared import PreparedSet

#: Principal components that are whitened, and directions that are kept of them.
_COMPONENTS, _KEPT = 240, 100
#: Share of a round spread that is mixed into the spread within persons, which few pairs estimate badly.
_ROUND = 0.05
#: Photos of one person that are used: some people have hundreds.
_PHOTOS_LEARNED, _PHOTOS_MEASURED = 20, 8
#: Random pairs that near duplicates are compared with.
_PAIRS = 100_000

Describe = Callable[[np.ndarray], np.ndarray]


def floats(images: np.ndarray) -> np.ndarray:
    """Bring uint8 (n, h, w, channels) to float32 (n, channels, h, w) in [-1, 1]."""
    return np.moveaxis(images.astype(np.float32) / 127.5 - 1, -1, 1)


def grey_values(images: np.ndarray) -> np.ndarray:
    """Return what is compared without features: grey values without their mean, of length one."""
    flat = np.einsum("nchw->nhw", images).reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def learn(histograms: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and basis (d, kept) of the map that brings photos of one person together."""
    mean = histograms.mean(axis=0)
    centred = (histograms - mean).astype(np.float64)
    spread, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    whitening = axes[:, -_COMPONENTS:] / np.sqrt(spread[-_COMPONENTS:])
    white = centred @ whitening
    _, person, photos = np.unique(people, return_inverse=True, return_counts=True)
    middle = np.zeros((len(photos), _COMPONENTS))
    np.add.at(middle, person, white)
    several = photos[person] > 1
    apart = (white - middle[person] / photos[person, None])[several]
    count = photos[person][several, None]
    # n - 1 degrees of freedom in n photos, and every person with the weight of one.
    weighted = apart / np.sqrt(count - 1)
    within = weighted.T @ weighted / (photos > 1).sum()
    within = (1 - _ROUND) * within + _ROUND * np.eye(_COMPONENTS) * np.trace(within) / _COMPONENTS
    spread, axes = np.linalg.eigh(within)
    return mean, whitening @ (axes[:, :_KEPT] / np.sqrt(spread[:_KEPT]))


def write_map(out: Path, mean: np.ndarray, basis: np.ndarray, origin: dict[str, Any]) -> None:
    """Write the map and the JSON that tells its origin."""
    data = save({"mean": mean.astype(np.float32), "basis": (basis / np.abs(basis).max()).astype(np.float16)})
    origin = origin | {"sha256": hashlib.sha256(data).hexdigest()}
    texts = {out: data, out.with_suffix(".json"): (json.dumps(origin, indent=2) + "\n").encode()}
    for path, content in texts.items():
        unfinished = path.with_name(path.name + ".tmp")
        unfinished.write_bytes(content)
        os.replace(unfinished, path)


def people_of(prepared: PreparedSet, split: str, most: int, nobody: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of a split's images whose person is known, at most so many of each, and the persons."""
    seen: dict[str, int] = {}
    chosen: list[int] = []
    for index in prepared.select(split).tolist():
        name = prepared.subjects[index]
        if name and name not in nobody:
            seen[name] = seen.get(name, 0) + 1
            if seen[name] <= most:
                chosen.append(index)
    return np.array(chosen), np.array([prepared.subjects[index] for index in chosen])


def area_under_curve(same: np.ndarray, different: np.ndarray) -> float:
    """Return how often a pair of one person is more alike than a pair of two, ties half."""
    order = np.sort(different)
    below, upto = np.searchsorted(order, same, "left"), np.searchsorted(order, same, "right")
    return float((below + upto).mean() / (2 * len(order)))


def verify(
    name: str, features: np.ndarray, people: np.ndarray, expressions: np.ndarray, repeated: np.ndarray, note: Callable
) -> None:
    """Measure pairs of one person against pairs of two, and who is found again among all."""
    likeness = features @ features.T
    upper = np.triu(np.ones(likeness.shape, bool), 1) & ~repeated
    same, different = people[:, None] == people, people[:, None] != people
    strangers = likeness[upper & different]
    names, person = np.unique(people, return_inverse=True)
    for what, pairs in (
        ("auc", upper & same),
        ("auc-other-expression", upper & same & (expressions[:, None] != expressions)),
    ):
        first, second = np.nonzero(pairs)
        values, owner = likeness[first, second], person[first]
        wins = np.searchsorted(np.sort(strangers), values) / len(strangers)
        each = [np.bincount(owner, weights, len(names)) for weights in (wins, np.ones(len(wins)))]
        low, high = bootstrap(lambda drawn, each=each: float(each[0][drawn].sum() / each[1][drawn].sum()), len(names))
        note(f"{name}-{what}", area_under_curve(values, strangers), len(values), low=low, high=high)
        accepted = float((values > np.quantile(strangers, 0.99)).mean())
        note(f"{name}-{what.replace('auc', 'accepted-at-1%')}", accepted, len(values))
    note(f"{name}-same-person-likeness", float(likeness[upper & same].mean()), int((upper & same).sum()))
    note(f"{name}-stranger-likeness", float(strangers.mean()), len(strangers))
    gallery = np.unique(person, return_index=True)[1]
    probes = np.array([i for i in range(len(person)) if i not in set(gallery) and not repeated[i, gallery[person[i]]]])
    found = person[gallery][likeness[probes][:, gallery].argmax(axis=1)] == person[probes]
    note(f"{name}-rank1", float(found.mean()), len(probes), among=len(gallery))


def measure_people(prepared: PreparedSet, nobody: set[str], ways: dict[str, Describe], note: Callable) -> None:
    indices, people = people_of(prepared, "validation", _PHOTOS_MEASURED, nobody)
    images = floats(prepared.images(indices))
    flat = grey_values(images)
    repeated = flat @ flat.T >= NEAR
    for way, function in ways.items():
        verify(f"{way}-people", function(images), people, prepared.labels[indices], repeated, note)


def measure_drawn(ways: dict[str, Describe], note: Callable, count: int = 1400) -> None:
    drawn = list(faces(count, seed=5))
    images = floats(np.stack([draw(face, 52, CROP) for *_, face in drawn]))
    people, labels = np.array([row[0] for row in drawn]), np.array([row[1] for row in drawn])
    for way, function in ways.items():
        verify(f"{way}-drawn", function(images), people, labels, np.zeros((count, count), bool), note)


def measure_duplicates(prepared: PreparedSet, ways: dict[str, Describe], seed: int, note: Callable) -> None:
    pairs = [pair for pair in find_duplicates([prepared]) if pair.kind != "same"]
    indices = np.array([(pair.index, pair.earlier) for pair in pairs])
    random = np.random.default_rng(seed).integers(len(prepared), size=(_PAIRS, 2))
    random = random[random[:, 0] != random[:, 1]]
    for way, function in ways.items():
        features = np.concatenate([
            function(floats(prepared.images(np.arange(start, min(start + 1024, len(prepared))))))
            for start in range(0, len(prepared), 1024)
        ])  # fmt: skip
        same, different = ((features[a] * features[b]).sum(axis=1) for a, b in (indices.T, random.T))
        note(f"{way}-duplicates-auc", area_under_curve(same, different), len(same))


def measure_seconds(note: Callable, count: int = 10_000) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (count, 1, 52, 52)).astype(np.float32)
    describe(images[:10])
    start = time.perf_counter()
    describe(images)
    note("seconds-10000", time.perf_counter() - start, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=Path, required=True, help="prepared set whose subjects are known")
    parser.add_argument("--nobody", nargs="*", default=[], help="subjects that are no single person")
    parser.add_argument("--duplicates", type=Path, help="prepared set with near duplicates")
    parser.add_argument("--learn", type=Path, metavar="FILE", help=f"learn the map anew first; shipped: {WEIGHTS.name}")
    parser.add_argument("--origin", default="", help="with --learn: what the people are, for the map's JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    prepared, nobody = PreparedSet.open(given.people), set(given.nobody)
    if given.learn:
        indices, people = people_of(prepared, "train", _PHOTOS_LEARNED, nobody)
        mean, basis = learn(edge_histograms(floats(prepared.images(indices))), people)
        several = int((np.unique(people, return_counts=True)[1] > 1).sum())
        write_map(given.learn, mean, basis, {
            "what": "Map from histograms of edge directions to features that tell people apart (mien/metrics/identity.py)",
            "licence": "Apache-2.0",
            "learned_from": given.origin,
            "data_hash": prepared.hash, "photos": len(people), "people": len(np.unique(people)),
            "people_with_several_photos": several, "commit": commit(),
            "command": "python benchmarks/identity_features.py --people DIR --learn mien/weights/identity.safetensors",
        })  # fmt: skip
    facts = {"map_sha256": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}

    def note(what: str, value: float, n: int, **more: Any) -> None:
        record(given.out, f"identity-{what}", value, n=n, seed=given.seed, **(facts | more))
        print(f"{what}: {value:.4g} (n = {n}) {more or ''}", flush=True)

    ways: dict[str, Describe] = {"features": describe, "grey": grey_values}
    measure_seconds(note)
    measure_drawn(ways, note)
    for path, measure in (
        (given.people, partial(measure_people, nobody=nobody)),
        (given.duplicates, partial(measure_duplicates, seed=given.seed)),
    ):
        if path:
            prepared = PreparedSet.open(path)
            measure(prepared, ways=ways, note=partial(note, data_hash=prepared.hash))


if __name__ == "__main__":
    main()
