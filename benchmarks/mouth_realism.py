"""Measure how well mouths after an edit can be told from mouths of photos, by a network that sees nothing else.

A small critic (`mien.critics.PatchCritic`) learns on half of the people to tell the square in which aligned faces have
their mouths, before edits and after them; the number is, on the other half, the chance that a photo's mouth scores above
an edited one (AUC: 0.5 where they cannot be told apart, 1 where all can), for each expression asked for. Neutral and
every other expression are asked of each face. Whole faces hide what happens here: a mouth is a twentieth of a crop.

    python benchmarks/mouth_realism.py --data SET [--data SET2] MODEL...
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from record import record
from torch import Tensor

from mien.conditions import Condition
from mien.critics import PatchCritic
from mien.edit_maps import Edit, apply_edit
from mien.images import fit_images
from mien.prepared import PreparedSet
from mien.pretrained import Model, load_model

_STEPS, _BATCH, _CHANNELS = 400, 64, 40
_AT_ONCE = 50


def edited(model: Model, faces: Tensor, intensity: float) -> Tensor:
    """Return the mouths of all faces with each expression, (expressions, n, 1, h/2, w/2)."""
    names, parts = model.space.expressions, []
    for name in names:
        code = model.space.code(Condition.named(name, intensity))
        for start in range(0, len(faces), _AT_ONCE):
            some = faces[start : start + _AT_ONCE]
            small = fit_images(some, model.image_size, model.image_channels).numpy()
            maps = model.render(small, np.tile(code, (len(some), 1)))
            parts.append(PatchCritic.at_mouth(apply_edit(some, Edit(*map(torch.from_numpy, maps)))))
    return torch.cat(parts).unflatten(0, (len(names), len(faces)))


def trained(photos: Tensor, edits: Tensor, seed: int) -> PatchCritic:
    """Return a critic that has learned to tell the two, (n, 1, h, w) and (expressions, n, 1, h, w)."""
    torch.manual_seed(seed)
    critic = PatchCritic(1, 2 * photos.shape[-1], (), _CHANNELS, 1, mouth_channels=_CHANNELS).mouth
    assert critic is not None
    optimizer = torch.optim.Adam(critic.parameters(), 6e-4, betas=(0.5, 0.99))
    for _ in range(_STEPS):
        faces, others = torch.randint(len(photos), (2, _BATCH // 2))
        fake = edits[torch.randint(len(edits), (_BATCH // 2,)), others]
        both = torch.cat([photos[faces], fake])
        both = torch.where(torch.rand(len(both), 1, 1, 1) < 0.5, both, both.flip(-1))
        scores = critic(both).realness.flatten(1).mean(1)
        loss = F.softplus(-scores[: _BATCH // 2]).mean() + F.softplus(scores[_BATCH // 2 :]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return critic.eval()


def scores(critic: PatchCritic, mouths: Tensor) -> np.ndarray:
    """Return how real the critic finds each mouth, (n,)."""
    with torch.inference_mode():
        return np.concatenate([critic(part).realness.flatten(1).mean(1).numpy() for part in mouths.split(200)])


def areas(photos: Tensor, edits: Tensor, seed: int) -> Iterator[np.ndarray]:
    """Yield for each half, judged by a critic that learned on the other, the area of each expression."""
    half = len(photos) // 2
    for mine, theirs in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
        critic = trained(photos[mine], edits[:, mine], seed)
        real = scores(critic, photos[theirs])
        yield np.array([(scores(critic, each)[None] < real[:, None]).mean() for each in edits[:, theirs]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="shipped names, run folders or files")
    parser.add_argument("--data", type=Path, action="append", required=True, help="prepared set; repeatable")
    parser.add_argument("--faces", type=int, default=1000, help="number of validation faces of each set, at most")
    parser.add_argument("--intensity", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    sets = [PreparedSet.open(path) for path in given.data]
    images = []
    for prepared in sets:
        rows = np.random.default_rng(given.seed).permutation(prepared.select("validation"))[: given.faces]
        pixels = torch.from_numpy(prepared.images(np.sort(rows))).permute(0, 3, 1, 2).float() / 127.5 - 1
        images.append(fit_images(pixels, prepared.size, 1))
    if len({prepared.size for prepared in sets}) > 1:
        parser.error("the sets must have one size")
    faces = torch.cat(images)[
        torch.randperm(sum(map(len, images)), generator=torch.Generator().manual_seed(given.seed))
    ]
    photos = PatchCritic.at_mouth(faces)
    for source in given.models:
        model = load_model(source)
        halves = list(areas(photos, edited(model, faces, given.intensity), given.seed))
        facts = {
            "model": model.name, "model_sha256": model.sha256, "intensity": given.intensity, "seed": given.seed,
            "data_hash": "+".join(prepared.hash for prepared in sets),
        }  # fmt: skip
        means = np.mean(halves, axis=0)
        for name, value in [*zip(model.space.expressions, means, strict=True), ("mean", means.mean())]:
            record(given.out, "mouth-realism-auc", float(value), n=len(faces), expression=name, **facts)
        told = ", ".join(f"{n} {v:.2f}" for n, v in zip(model.space.expressions, means, strict=True))
        apart = float(np.abs(halves[0] - halves[1]).max())
        print(f"{model.name}: {means.mean():.3f} ({told}; halves differ by {apart:.2f} at most)", flush=True)


if __name__ == "__main__":
    main()
