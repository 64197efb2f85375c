"""What a benchmark found: numbers with their circumstances, the curves behind them, and pictures of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.protocol import Protocol
from mien.metrics.measurement import Measurement


@dataclass(frozen=True)
class ContestantFacts:
    """One of the models that were compared."""

    name: str
    """How the tables call it; unique within a benchmark."""
    kind: str
    """`model`, `official`, `folder`, or a baseline: `identity`, `untrained`, `oracle`."""
    sha256: str
    """Of its weights or pictures; empty for a baseline without any."""
    expressions: tuple[str, ...]
    """What it can be asked for."""
    parameters: int | None = None
    """Of the generator alone; None where there is none."""
    milliseconds: float | None = None
    """Shortest time of one edit of one face crop, at the model's own size, measured in this benchmark."""
    detector: str | None = None
    """Which face detector its training data was prepared with, where that is known."""
    training_data: str | None = None
    """Which dataset it was trained on, where that is known."""
    angles_degrees: Mapping[str, float] = field(default_factory=dict)
    """Learned direction of each expression, for models with a disc."""
    stats: Sequence[Mapping[str, float]] = ()
    """Lines of the run's stats.jsonl, where the model is a run."""
    samples: Sequence[Path] = ()
    """The run's sample pictures, oldest first."""
    fingerprint: str = ""
    """Hash of all that decides what it answers: every file, the space, the images' size and the settings, where `sha256` is
    of weights alone; empty where `sha256` says all."""
    guides: tuple[str, ...] = ()
    """Hashes of the classifiers that told its generator what edits look like (`mien train --guide`), from first to last."""


@dataclass(frozen=True)
class JudgeFacts:
    """One of the classifiers that judged."""

    name: str
    """How the tables call it."""
    sha256: str
    """Of its weights."""
    architecture: str
    """For example `resnet18`."""
    expressions: tuple[str, ...]
    """What it can see."""
    fingerprint: str = ""
    """Of its weights, by which it is known as a model's guide: `mien.classifiers.Classifier.fingerprint`."""


@dataclass(frozen=True)
class Line:
    """One number: whose, by which judge."""

    contestant: str
    """Name of the model; `real` for photos."""
    judge: str | None
    """Name of the judge; None for measures that need none."""
    measurement: Measurement
    """The number, or why there is none."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """All that a benchmark found; what the tables, figures and the report are made from."""

    protocol: Protocol
    """How it was done."""
    circumstances: Mapping[str, Any]
    """`data_hash`, `dataset`, `images` (held-out faces in all), `commit`, `device`, `machine`, `version`, `date`."""
    expressions: tuple[str, ...]
    """The expressions of the benchmark: those that the data has and every judge sees."""
    contestants: tuple[ContestantFacts, ...]
    """In the order in which they were given."""
    judges: tuple[JudgeFacts, ...]
    """In the order in which they were given."""
    lines: tuple[Line, ...]
    """Every number."""
    label_counts: Mapping[str, Mapping[str, int]]
    """Split -> expression -> images of the prepared set (seed 1's figure 8)."""
    curves: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """(contestant, judge) -> probability of the asked expression, float32 (faces, expressions but neutral, steps);
    NaN where a contestant cannot be asked."""
    gamuts: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """(contestant, judge) -> mean judged probabilities at each code of the walk, float32 (codes, expressions)."""
    gamut_codes: Mapping[str, np.ndarray] = field(default_factory=dict)
    """contestant -> (angle in radians, radius) of each code, float32 (codes, 2), for models with a disc."""
    fed_curves: Mapping[tuple[str, str], Sequence[Mapping[str, float]]] = field(default_factory=dict)
    """(contestant, judge) -> points `n`, `value` of FED over sample size, as `mien.metrics.frechet.fed_curve` has them."""
    originals: np.ndarray | None = None
    """Example faces, uint8 (examples, h, w, c)."""
    edited: Mapping[str, np.ndarray] = field(default_factory=dict)
    """contestant -> the same faces with each expression, uint8 (examples, expressions, h, w, c)."""
    swept: Mapping[str, np.ndarray] = field(default_factory=dict)
    """contestant -> the first example face, each expression but neutral (rows) at each step of intensity (columns),
    uint8 (expressions - 1, steps, h, w, c)."""
    walked: Mapping[str, np.ndarray] = field(default_factory=dict)
    """contestant -> the first example face at each code of the walk, uint8 (codes, h, w, c)."""
