"""Measure whether edits are seen as what was asked for, by a judge that never met the generator.

The judge is a small convolutional network, trained here on the training split of a prepared set (annotators' votes as
labels, class-balanced batches, random affine augmentation) and kept in `--judge`. Then the validation split's neutral
faces are edited to every expression of a model, and the judge names them. Everything lands in results.jsonl with n, seed,
hashes, device and commit.

    python benchmarks/expression_f1.py --data DIR --judge judge.safetensors --model runs/ganmut --intensity 0.9
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from record import record
from torch import nn

from mien.batches import Augmentation, Batches
from mien.editing.edits import STARTS, make_edits
from mien.expressions import BASIC, VOCABULARY
from mien.losses import cross_entropy
from mien.prepared import PreparedSet
from mien.pretrained import Model, load_model
from mien.runs import file_sha256, read_tensors, write_tensors
from mien.spaces import Condition
from mien.warping import apply


class Judge(nn.Module):
    """A plain VGG-like classifier of grey faces for seven expressions."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 192)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for index, width in enumerate(widths):
            for part in range(2):
                stride = 2 if index == 0 and part == 0 else 1
                layers += [
                    nn.Conv2d(before, width, 3, stride, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                before = width
            layers.append(nn.MaxPool2d(2) if index < len(widths) - 1 else nn.AdaptiveAvgPool2d(1))
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3))
        self.classes = nn.Linear(before, len(BASIC))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits over `BASIC` of (n, 1, h, w) images in [-1, 1]."""
        return self.classes(self.features(images))


def train_judge(prepared: PreparedSet, path: Path, size: int, seconds: float, seed: int) -> Judge:
    """Train a judge for a given time and write it; the learning rate falls to zero over that time."""
    torch.manual_seed(seed)
    judge = Judge()
    batches = Batches(
        prepared, BASIC, image_size=size, image_channels=1, batch_size=64, seed=seed, balance=0.5,
        augmentation=Augmentation(probability=0.9, rotation_degrees=12, zoom=(0.95, 1.2)),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    start, step = time.perf_counter(), 0
    while (spent := (time.perf_counter() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * spent))
        batch = batches.draw(step)
        loss = cross_entropy(judge(batch.images), batch.labels if batch.shares is None else batch.shares)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(f"judge: {step} steps, {spent:.0%} of the time, loss {loss.item():.3f}", flush=True)
    write_tensors(path, judge.state_dict(), {"steps": str(step), "data": prepared.hash})
    return judge.eval()


def load_judge(path: Path) -> Judge:
    """Read a judge that `train_judge` wrote."""
    judge = Judge()
    judge.load_state_dict(read_tensors(path))
    return judge.eval()


@torch.inference_mode()
def judge_all(judge: Judge, images: torch.Tensor) -> np.ndarray:
    """Return the probabilities (n, 7) of the average over an image and its mirror image."""
    parts = [(judge(part).softmax(1) + judge(part.flip(3)).softmax(1)) / 2 for part in images.split(128)]
    return torch.cat(parts).numpy()


def f1_scores(truth: np.ndarray, seen: np.ndarray, classes: int) -> np.ndarray:
    """Return the F1 of each class; a class that was neither asked for nor seen is NaN."""
    scores = []
    for k in range(classes):
        hit = ((truth == k) & (seen == k)).sum()
        relevant = (truth == k).sum() + (seen == k).sum()
        scores.append(2 * hit / relevant if relevant else np.nan)
    return np.array(scores)


def validation_images(prepared: PreparedSet, size: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return all validation images (n, 1, size, size) and their labels as indices of `BASIC`."""
    rows = prepared.select(split="validation", expressions=BASIC)
    batches = Batches(prepared, BASIC, split="validation", image_size=size, image_channels=1, batch_size=1, seed=0)
    images = batches.fit(torch.from_numpy(prepared.images(rows)).permute(0, 3, 1, 2))
    return images, np.array([BASIC.index(VOCABULARY[label]) for label in prepared.labels[rows]])


def edit_all(model: Model, faces: torch.Tensor, conditions: Sequence[Condition], start: Any) -> list[torch.Tensor]:
    """Return faces (n, 1, h, w), edited to each of the conditions, as the editor would edit their crops."""
    small = F.interpolate(faces, size=(model.image_size,) * 2, mode="bicubic", antialias=True).clamp(-1, 1).numpy()
    edited = [torch.empty_like(faces) for _ in conditions]
    for index, image in enumerate(small):
        for pictures, maps in zip(edited, make_edits(model, image, conditions, start), strict=True):
            levels = apply((faces[index].permute(1, 2, 0).numpy() + 1) * 127.5, maps)
            pictures[index] = torch.from_numpy(levels / 127.5 - 1).permute(2, 0, 1)
    return edited


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared set")
    parser.add_argument("--judge", type=Path, required=True, help="judge's file; trained and written if missing")
    parser.add_argument("--judge-seconds", type=float, default=600)
    parser.add_argument("--model", default=None, help="shipped name, run folder or file; default: the shipped one")
    parser.add_argument("--judge-only", action="store_true", help="train and measure the judge, edit nothing")
    parser.add_argument("--intensity", type=float, default=0.9)
    parser.add_argument("--faces", type=int, default=300, help="validation faces that are edited")
    parser.add_argument("--from", dest="origin", default="neutral", help="expression of the faces: a name, or any")
    parser.add_argument("--start", default="auto", choices=STARTS, help="where edits start from, as `mien edit --from`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    return parser.parse_args()


def main() -> None:
    given = arguments()

    prepared = PreparedSet.open(given.data)
    size = prepared.size
    if not given.judge.exists():
        train_judge(prepared, given.judge, size, given.judge_seconds, given.seed)
    judge = load_judge(given.judge)
    images, labels = validation_images(prepared, size)
    seen = judge_all(judge, images).argmax(1)
    real = f1_scores(labels, seen, len(BASIC))
    common = {
        "dataset": "+".join(sorted(set(prepared.sources))),
        "made_as": prepared.manifest["dataset"],
        "judge_sha256": file_sha256(given.judge),
        "data_hash": prepared.hash,
        "seed": given.seed,
    }
    print(f"judge on real validation faces: accuracy {(seen == labels).mean():.3f}, macro-F1 {real.mean():.3f}")
    record(given.out, "judge-accuracy-real", float((seen == labels).mean()), n=len(labels), **common)
    record(
        given.out, "expression-f1-real", float(real.mean()), n=len(labels), per_class=real.round(3).tolist(), **common
    )
    if given.judge_only:
        return

    model = load_model(given.model)
    rows = np.arange(len(labels)) if given.origin == "any" else np.flatnonzero(labels == BASIC.index(given.origin))
    rows = np.random.default_rng(given.seed).permutation(rows)[: given.faces]
    faces = images[rows]
    space = model.space
    edited = edit_all(model, faces, [Condition.named(name, given.intensity) for name in space.expressions], given.start)
    asked, judged, changes = [], [], []
    for name, pictures in zip(space.expressions, edited, strict=True):
        asked.append(np.full(len(faces), BASIC.index(name)))
        judged.append(judge_all(judge, pictures).argmax(1))
        changes.append(float((pictures - faces).abs().mean()) * 127.5)
    scores = f1_scores(np.concatenate(asked), np.concatenate(judged), len(BASIC))
    kept = [BASIC.index(name) for name in space.expressions]
    facts = {
        **common,
        "model_sha256": model.sha256,
        "faces": given.origin,
        "intensity": given.intensity,
        "start": given.start,
        "n": len(rows) * len(space.expressions),
        "per_class": {name: round(float(scores[BASIC.index(name)]), 3) for name in space.expressions},
        "mean_change_levels": {n: round(c, 2) for n, c in zip(space.expressions, changes, strict=True)},
    }
    macro = float(scores[kept].mean())
    record(given.out, "expression-f1", macro, **facts)
    print(f"edits of {len(rows)} {given.origin} faces: macro-F1 {macro:.3f}")
    print(json.dumps({"f1": facts["per_class"], "grey levels changed": facts["mean_change_levels"]}, indent=1))


if __name__ == "__main__":
    main()
