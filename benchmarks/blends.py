"""Measure what judges see in blends of two expressions: at the blend's place on the disc, and as a mixture of edits.

Every pair of the model's expressions in equal shares, on neutral validation faces edited directly. Three ways: the place
that the sum of both directions has on the disc (`disc`), and the sum of both edits, each times 0.5 (`mean`) or times
0.71 (`mixed`, what the editor does: `mien.Condition.parts`). For neighbours on the disc and for pairs with a third
expression between them: how much of the judges' probability both names get together (`blend-named`), how much the one
that is seen less (`blend-both`), how much the expression that neither names and that is seen most (`blend-other`).
Pairs that lie opposite each other have no place on the disc and count in the other ways alone.

    python benchmarks/blends.py --data DIR        # a prepared set with validation faces of nobody in training
"""

from __future__ import annotations

import contextlib
import itertools
import math

import numpy as np
import torch
from neutral_faces import neutral_images, options
from record import record

from mien.classifiers import Classifier, load_classifier
from mien.conditions import Condition
from mien.edit_maps import Edit, apply_edit
from mien.errors import ConditionError
from mien.expressions import NEUTRAL
from mien.prepared import PreparedSet
from mien.pretrained import load_model
from mien.shipped import shipped_judges
from mien.spaces import DiscSpace

WAYS = ("disc", "mean", "mixed")
_INTENSITY = 0.9
Maps = tuple[np.ndarray, ...]


def seen(images: np.ndarray, maps: Maps, judge: Classifier, pair: tuple[str, str]) -> tuple[float, float, float]:
    """Return what a judge sees of both names, of the lesser one, and of the strongest that neither names, on average."""
    edited = apply_edit(torch.from_numpy(images), Edit(*(torch.from_numpy(each) for each in maps))).numpy()
    means = dict(zip(judge.expressions, judge.judge(edited).probabilities.mean(0).tolist(), strict=True))
    named = [means[name] for name in pair]
    return sum(named), min(named), max(value for name, value in means.items() if name not in (*pair, NEUTRAL))


def neighbours(space: DiscSpace, pair: tuple[str, str]) -> bool:
    """Say whether no third expression lies between two, on the shorter way round."""
    first, second = (space.angle(name) for name in pair)
    turn = (second - first + math.pi) % (2 * math.pi) - math.pi
    others = [space.angle(name) for name in space.expressions if name not in (*pair, NEUTRAL)]
    return not any(0 < (other - first) * np.sign(turn) % (2 * math.pi) < abs(turn) for other in others)


def main() -> None:
    parser = options(__doc__)
    given = parser.parse_args()

    prepared, model = PreparedSet.open(given.data), load_model(given.model)
    space = model.space
    if not isinstance(space, DiscSpace) or prepared.size != model.image_size:
        parser.error(f"the model must have a disc, and the set images of {model.image_size} px")
    images = neutral_images(prepared, given.faces, given.seed)

    def rendered(condition: Condition) -> Maps:
        return model.render(images, np.tile(space.code(condition), (len(images), 1)))

    names = [name for name in space.expressions if name != NEUTRAL]
    pure = {name: rendered(Condition.named(name, _INTENSITY)) for name in names}
    facts = {"data_hash": prepared.hash, "model_sha256": model.sha256, "seed": given.seed}
    for judge in map(load_classifier, shipped_judges()):
        found: dict[tuple[bool, str], list[tuple[float, float, float]]] = {}
        for pair in itertools.combinations(names, 2):
            maps = {way: tuple(share * (a + b) for a, b in zip(*(pure[name] for name in pair), strict=True))
                    for way, share in (("mean", 0.5), ("mixed", math.sqrt(0.5)))}  # fmt: skip
            with contextlib.suppress(ConditionError):  # they lie opposite each other
                maps["disc"] = rendered(Condition.blend(dict.fromkeys(pair, 1.0), _INTENSITY))
            for way, each in maps.items():
                found.setdefault((neighbours(space, pair), way), []).append(seen(images, each, judge, pair))
        for (near, way), values in sorted(found.items()):
            means = np.mean(values, axis=0).tolist()
            for name, value in zip(("blend-named", "blend-both", "blend-other"), means, strict=True):
                where = {"way": way, "neighbours": near, "pairs": len(values), "judge": judge.name}
                record(given.out, name, value, n=len(images), **where, **facts)
            told = ", ".join(f"{value:.3f}" for value in means)
            print(f"{judge.name}, {'neighbours' if near else 'apart'}, {way} ({len(values)} pairs): {told}", flush=True)


if __name__ == "__main__":
    main()
