"""Measure which half of a face carries an expression, to judges' eyes: `upper=sad`, `lower=sad`, `upper=sad/lower=happy`.

Neutral validation faces, edited directly at intensity 0.9. `halves-probability`: of the expression asked for, where the
whole face, its upper or its lower half alone has it. `halves-winner`: where the halves have two different ones, the share
of edits in which a judge gives the upper half's more than the lower half's; over all pairs with that upper expression
(`upper`), with that lower one (`lower`), and over all (neither).

    python benchmarks/halves.py --data DIR        # a prepared set with validation faces of nobody in training
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from neutral_faces import neutral_images, options
from record import record

from mien.classifiers import load_classifier
from mien.conditions import Condition
from mien.editing.edits import make_edits
from mien.expressions import NEUTRAL
from mien.prepared import PreparedSet
from mien.pretrained import load_model
from mien.shipped import shipped_judges
from mien.warping import apply

_INTENSITY = 0.9


def edited(model: object, images: np.ndarray, conditions: Sequence[Condition]) -> np.ndarray:
    """Return the images, float32 (n, c, h, w) in [-1, 1], after each of the conditions: (conditions, n, c, h, w)."""
    after = np.empty((len(conditions), *images.shape), np.float32)
    for index, image in enumerate(images):
        levels = (image.transpose(1, 2, 0) + 1) * 127.5
        for place, edit in enumerate(make_edits(model, image, conditions, "direct")):  # type: ignore[arg-type]
            after[place, index] = apply(levels, edit).transpose(2, 0, 1) / 127.5 - 1
    return after


def main() -> None:
    parser = options(__doc__)
    given = parser.parse_args()

    prepared, model = PreparedSet.open(given.data), load_model(given.model)
    if prepared.size != model.image_size:
        parser.error(f"the set must have images of {model.image_size} px")
    images = neutral_images(prepared, given.faces, given.seed)
    names = [name for name in model.space.expressions if name != NEUTRAL]
    pure = {name: Condition.named(name, _INTENSITY) for name in names}
    alone = {
        (part, name): condition if part == "whole" else Condition.of_halves(**{part: condition})
        for part in ("whole", "upper", "lower") for name, condition in pure.items()
    }  # fmt: skip
    pairs = {pair: Condition.of_halves(upper=pure[pair[0]], lower=pure[pair[1]])
             for pair in itertools.permutations(names, 2)}  # fmt: skip
    pictures = edited(model, images, [*alone.values(), *pairs.values()])
    facts = {"data_hash": prepared.hash, "model_sha256": model.sha256, "seed": given.seed}
    for judge in map(load_classifier, shipped_judges()):
        seen = np.stack([judge.judge(each).probabilities for each in pictures])  # conditions, faces, expressions
        column = {name: judge.expressions.index(name) for name in names}
        for (part, name), probabilities in zip(alone, seen[: len(alone)], strict=True):
            value = float(probabilities[:, column[name]].mean())
            what = {"part": part, "expression": name, "judge": judge.name}
            record(given.out, "halves-probability", value, n=len(images), **what, **facts)
            print(f"{judge.name}, {name}, {part}: {value:.2f}", flush=True)
        wins = {
            pair: (probabilities[:, column[pair[0]]] > probabilities[:, column[pair[1]]]).mean()
            for pair, probabilities in zip(pairs, seen[len(alone) :], strict=True)
        }
        for upper, lower in [(None, None), *((name, None) for name in names), *((None, name) for name in names)]:
            chosen = [wins[a, b] for a, b in wins if upper in (None, a) and lower in (None, b)]
            what = {"upper": upper, "lower": lower, "pairs": len(chosen), "judge": judge.name}
            record(given.out, "halves-winner", float(np.mean(chosen)), n=len(images), **what, **facts)
            print(f"{judge.name}, upper {upper or 'any'}, lower {lower or 'any'}: {np.mean(chosen):.2f}", flush=True)


if __name__ == "__main__":
    main()
