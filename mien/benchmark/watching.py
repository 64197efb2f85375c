"""A judge looks on while a generator is trained: F1 of its edits of a few held-out faces, for the run's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.benchmark.faces import choose_faces, read_faces
from mien.benchmark.protocol import Protocol
from mien.classifiers import Classifier, load_judge
from mien.errors import ConfigError, DataError
from mien.expressions import NEUTRAL, VOCABULARY
from mien.images import fit_images
from mien.methods import Method
from mien.metrics.expression_f1 import f1_per_class
from mien.prepared import PreparedSet
from mien.training import edited_to

#: Faces that are edited to each expression: an interval of some 0.05 about macro-F1, in seconds on a CPU.
_FACES = 100

#: Not the benchmark's, so that most of its faces are others than those by which a run was watched.
_SEED = 1


@dataclass(frozen=True, eq=False)
class Watch:
    """Judges a method as it stands; made by `watch`, called by the loop (`mien.training.train`)."""

    judges: tuple[Classifier, ...]
    """Who judges."""
    faces: Tensor
    """Held-out faces, as they are prepared: float32 (n, c, h, w) in [-1, 1]."""
    expressions: tuple[str, ...]
    """What they are edited to, where the method knows it."""
    intensity: float
    """How strong."""

    @torch.no_grad()
    def __call__(self, method: Method) -> dict[str, float]:
        """Return `judged/f1`, the mean over expressions and judges, and `judged/NAME` of each expression."""
        config = method.config
        device = next(method.parameters()).device
        faces = fit_images(self.faces.to(device), config.image_size, config.image_channels)
        names = [name for name in self.expressions if name in method.space().expressions]
        asked, seen = [], [[] for _ in self.judges]
        for index, name in enumerate(names):
            edited = edited_to(method, faces, name, self.intensity).float().cpu().numpy()
            asked += [index] * len(faces)
            for judge, answers in zip(self.judges, seen, strict=True):
                best = judge.to(str(device)).judge(edited, mirror=False).probabilities.argmax(axis=1)
                answers += [_place(judge.expressions[answer], names) for answer in best]
        scores = [f1_per_class(np.array(asked), np.array(answers), len(names)) for answers in seen]
        of_each = np.mean(scores, axis=0)
        return {
            "judged/f1": float(of_each.mean()),
            **{f"judged/{name}": float(f1) for name, f1 in zip(names, of_each, strict=True)},
        }


def watch(data: Path, judges: Sequence[str | Path], expressions: Sequence[str]) -> Watch:
    """Return what judges a method of these expressions on faces of the validation split, neutral ones where there are.

    Raises `DataError` where the set has too few, and `ConfigError` where judges and method share no two expressions.
    """
    prepared = PreparedSet.open(data)
    loaded = tuple(load_judge(judge) for judge in judges)
    judged = [judge.expressions for judge in loaded]
    labels = prepared.labels[prepared.select(split="validation", photos=True)]
    neutral = (labels == VOCABULARY.index(NEUTRAL)).sum() > 2 and all(NEUTRAL in names for names in judged)
    protocol = Protocol(faces=_FACES, seed=_SEED, origin="neutral" if neutral else "any")
    try:
        chosen = choose_faces(prepared, protocol, judged)
    except DataError as error:  # its hints are about settings of the benchmark
        raise DataError(
            str(error), hint="train without `--judge`, or on a set with more faces for validation"
        ) from error
    known = tuple(name for name in expressions if all(name in judge.expressions for judge in loaded))
    if len(known) < 2:
        raise ConfigError(
            f"the judges know {len(known)} of this run's expressions ({', '.join(expressions)})",
            hint="take a judge that was trained on them, or leave `--judge` out",
        )
    faces = torch.from_numpy(read_faces(prepared, chosen, chosen.edited).images)
    return Watch(loaded, faces, known, protocol.intensity)


def _place(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else -1
