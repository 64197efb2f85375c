"""Balance a prepared set: rare expressions are filled up with neutral faces of its training part, edited to them.

What is written are class folders, real and synthetic images side by side, the validation part real only. Read them back
with `mien prepare folder OUT --out DIR --size PIXELS`, and train a classifier on them. Every synthetic picture carries
the mark that AI made it.

    python examples/balance_expressions.py data/fer2013 data/balanced --per-expression 2000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import mien
from mien.edit_maps import apply_edit
from mien.expressions import NEUTRAL, VOCABULARY
from mien.images import luma, resize, to_float, to_uint8
from mien.prepared import PreparedSet
from mien.pretrained import Model, load_model
from mien.provenance import EditMark


def edited(model: Model, faces: np.ndarray, conditions: list[mien.Condition]) -> np.ndarray:
    """Edit aligned faces, uint8 (n, size, size, 3), each to its own condition; none has to be found any more."""
    seen = np.stack([resize(face, (model.image_size, model.image_size)) for face in faces])
    if model.image_channels == 1:
        seen = np.repeat(luma(seen)[..., None], 3, axis=-1)
    space = model.method.space()
    codes = torch.from_numpy(np.stack([space.code(condition) for condition in conditions]))
    with torch.inference_mode():
        edit = model.method.render(to_float(seen)[:, : model.image_channels], codes)
        return to_uint8(apply_edit(to_float(faces), edit))


def main() -> None:
    """Write the class folders that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="prepared set")
    parser.add_argument("out", type=Path, help="folder for the class folders")
    parser.add_argument("--model", default=None, help="shipped name, run folder or .safetensors file")
    parser.add_argument("--per-expression", type=int, default=1000, help="training images that each should have")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    prepared, model = PreparedSet.open(given.data), load_model(given.model)
    random = np.random.default_rng(given.seed)

    def colour_images(rows: np.ndarray) -> np.ndarray:
        images = prepared.images(rows)
        return np.repeat(images, 3, axis=-1) if prepared.channels == 1 else images

    def write(split: str, expression: str, name: str, pixels: np.ndarray, mark: EditMark | None = None) -> None:
        folder = given.out / split / expression
        folder.mkdir(parents=True, exist_ok=True)
        mien.write_photo(folder / f"{name}.png", pixels, mark=mark)

    for row in np.flatnonzero(prepared.labels >= 0):
        expression = VOCABULARY[prepared.labels[row]]
        write(prepared.splits[row], expression, f"real-{row:06d}", colour_images(np.array([row]))[0])

    sources = prepared.select("train", [NEUTRAL])
    for expression in model.method.space().expressions:
        missing = given.per_expression - len(prepared.select("train", [expression]))
        if expression == NEUTRAL or missing <= 0:
            continue
        rows = random.choice(sources, missing, replace=missing > len(sources))
        conditions = [mien.Condition.named(expression, float(rho)) for rho in random.uniform(0.6, 1.0, missing)]
        for start in range(0, missing, 64):
            part = slice(start, start + 64)
            pictures = edited(model, colour_images(rows[part]), conditions[part])
            for index, (condition, picture) in enumerate(zip(conditions[part], pictures, strict=True), start):
                mark = EditMark(condition=str(condition), model=model.sha256)
                write("train", expression, f"synthetic-{index:06d}", picture, mark)
        print(f"{expression}: {missing} synthetic faces")


if __name__ == "__main__":
    main()
