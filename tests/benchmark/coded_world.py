"""A world in which the truth is known: pictures whose levels say who is shown and what is expressed.

A picture is one level for the expression and its intensity, and a checkered pattern for the person. The judge of this
world reads the level, so that what it must see of every edit can be worked out by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.benchmark.contestants import Faces
from mien.benchmark.outcome import ContestantFacts
from mien.classifiers import Judged
from mien.conditions import Condition
from mien.datasets import Sample
from mien.expressions import BASIC

SIZE = 32


def picture(person: int, shares: np.ndarray) -> np.ndarray:
    """Return uint8 (SIZE, SIZE, 3): rows 4 k .. 4 k + 3 hold the share of expression k, the rest the person."""
    random = np.random.default_rng(person)
    pixels = np.kron(random.integers(60, 200, (8, 8)), np.ones((4, 4)))
    for index, share in enumerate(shares):
        pixels[4 * index : 4 * index + 4, :8] = round(255 * float(share))
    return np.repeat(pixels[..., None], 3, axis=2).astype(np.uint8)


def votes(expression: str, intensity: float = 1.0) -> np.ndarray:
    """Return the shares of an expression, neutral for the rest."""
    shares = np.zeros(len(BASIC))
    shares[BASIC.index(expression)] += intensity
    shares[0] += 1 - intensity
    return shares


def samples(persons: int = 6, split: str = "validation", expressions: Sequence[str] = BASIC) -> list[Sample]:
    """Return every expression of every person."""
    rows = []
    for person in range(persons):
        for name in expressions:
            pixels = picture(person + (1000 if split == "train" else 0), votes(name))
            rows.append(Sample(f"{split}-{person}-{name}", lambda p=pixels: p, name, split, "world"))
    return rows


@dataclass(frozen=True)
class CodedJudge:
    """Reads the shares that a picture of this world holds."""

    name: str = "coded"
    sha256: str = "c0de"
    expressions: tuple[str, ...] = BASIC
    device: str = "cpu"

    @property
    def config(self) -> Any:
        return type("Config", (), {"architecture": "coded"})

    def to(self, device: str) -> CodedJudge:
        return self

    def judge(self, images: np.ndarray, *, mirror: bool = True, batch_size: int = 128) -> Judged:
        levels = (images.mean(1) + 1) / 2
        shares = np.stack([levels[:, 4 * i : 4 * i + 4, :8].mean((1, 2)) for i in range(len(BASIC))], axis=1)
        shares = np.stack([shares[:, BASIC.index(name)] for name in self.expressions], axis=1).astype(np.float32)
        return Judged(shares, shares)


class Painter:
    """Edits by the rules of this world, with a fault if one is asked for: `nan` or `constant`."""

    space = None

    def __init__(self, name: str = "painter", expressions: tuple[str, ...] = BASIC, fault: str = "") -> None:
        self.facts = ContestantFacts(name, "model", f"sha-{name}", expressions)
        self._fault = fault
        self.calls = 0

    def edit(self, faces: Faces, conditions: Sequence[Condition], start: str) -> np.ndarray:
        self.calls += 1
        result = np.repeat(faces.images[:, None], len(conditions), axis=1).copy()
        for column, condition in enumerate(conditions):
            shares = np.zeros(len(BASIC))
            for name, share in condition.shares:
                shares[BASIC.index(name)] += share * condition.intensity
            shares[0] += 1 - shares.sum()
            for index, share in enumerate(shares):
                result[:, column, :, 4 * index : 4 * index + 4, :8] = 2 * share - 1
        if self._fault == "nan":
            result[0] = np.nan
        return np.zeros_like(result) if self._fault == "constant" else result

    def realness(self, images: np.ndarray) -> np.ndarray | None:
        return None
