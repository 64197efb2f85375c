"""Does a recogniser of expressions learn more from a set whose rare expressions `mien augment` has filled up?

Classifiers of one kind are trained for about the same number of steps (whole epochs) on: the photos as they come; the
photos, rare expressions drawn more often; the photos and edited faces; and both together. All are measured on the set's
validation photos; give a set whose validation photos the generator has not learned either. Recorded: accuracy, macro-F1,
and F1 of each expression.

    python benchmarks/augmentation.py --data DIR --work WORK --count 3000 --steps 2400 --seeds 2
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from record import record

from mien.augmenting import Wish, augment
from mien.classifiers import load_classifier, train_classifier
from mien.classifiers.report import measure_classifier
from mien.classifiers.settings import configure
from mien.loading import open_model
from mien.prepared import PreparedSet

#: What is compared: whether edits are among the images, and how rare expressions are drawn (the recipe's `balance`).
VARIANTS = {
    "photos": (False, 0.0),
    "photos, rare ones drawn more often": (False, 0.75),
    "photos and edits": (True, 0.0),
    "photos and edits, rare ones drawn more often": (True, 0.75),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared set with a validation split without leaks")
    parser.add_argument("--work", type=Path, required=True, help="where the augmented set and the runs go")
    parser.add_argument("--model", help="who edits; the model that ships where none is given")
    parser.add_argument("--count", type=int, required=True, help="training images that each expression shall have")
    parser.add_argument("--judge", help="take only edits in which this classifier sees what was asked")
    parser.add_argument("--preset", default="resnet18-small")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--edits-only", action="store_true", help="leave out the trainings on photos alone")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    photos, model = PreparedSet.open(given.data), open_model(given.model)
    judge = None if given.judge is None else load_classifier(given.judge)
    filled = augment(photos, given.work / "filled", model, Wish(count=given.count), judge=judge)
    for seed in range(given.seeds):
        for variant, (edits, balance) in VARIANTS.items():
            if given.edits_only and not edits:
                continue
            data = filled.prepared if edits else photos
            network, recipe = configure(given.preset, {"balance": balance, "seed": seed, "precision": given.precision})
            per_epoch = max(1, len(data.select("train", network.expressions)) // recipe.batch_size)
            recipe = dataclasses.replace(recipe, epochs=max(1, round(given.steps / per_epoch)))
            run = train_classifier(
                given.preset, network, recipe, data.path, given.work / f"{list(VARIANTS).index(variant)}-{seed}"
            )
            report = measure_classifier(load_classifier(run.path), photos)
            for score in report["scores"]:
                record(
                    given.out, f"recogniser-{score['measure']}", score["value"], n=score["n"], seed=seed,
                    low=score["low"], high=score["high"], trained_on=variant, expression=score["expression"],
                    edits=filled.edited if edits else {}, judge=given.judge, preset=given.preset,
                    steps=recipe.epochs * per_epoch, dataset=photos.manifest["dataset"], data_hash=photos.hash,
                    model_sha256=model.sha256,
                )  # fmt: skip
                if score["expression"] is None:
                    print(f"seed {seed}, {variant}: {score['measure']} {score['value']:.3f}", flush=True)


if __name__ == "__main__":
    main()
