"""The same study with sets that anybody can have: {FER2013, faces in the wild, both} x {MTCNN, RetinaFace}.

`small` shows on a CPU that everything works, and which way the numbers go; `full` trains the presets on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.experiments.plan import COMBINED, Matrix, Plan, as_models
from mien.experiments.steps import Source, Step

DETECTORS = ("mtcnn", "retinaface")


@dataclass(frozen=True)
class Scale:
    """How much is computed."""

    summary: str
    """What it is for."""
    share: float
    """Share of FER2013 that is taken; faces in the wild are taken whole, since some of their expressions are rare."""
    size: int
    """Side of the images in pixels."""
    preset: str
    """Row of `mien.presets`."""
    settings: tuple[str, ...]
    """What differs from the preset."""
    judge_settings: tuple[str, ...]
    """What differs from the judges' presets, where they are trained here."""
    bench: tuple[str, ...]
    """What differs from the benchmark's protocol."""


SCALES = {
    "small": Scale(
        "a CPU, within the hour",
        share=0.25,
        size=52,
        preset="ganmut-fer2013-cpu",
        settings=(
            "steps=1000", "batch_size=16", "generator_channels=24", "generator_blocks=2", "critic_channels=24",
            "ema_decay=0.99", "sample_every=250", "checkpoint_every=250",
        ),
        judge_settings=("epochs=3",),
        bench=("faces=150", "sweep_faces=24", "gamut_faces=8"),
    ),
    "full": Scale(
        "a GPU",
        share=1.0,
        size=64,
        preset="ganmut-fer2013",
        settings=(),
        judge_settings=(),
        bench=(),
    ),
}  # fmt: skip


def open_study(
    fer2013: Path,
    faces_wild: Path,
    out: Path,
    *,
    scale: str = "small",
    detectors: Sequence[str] = DETECTORS,
    judges: Sequence[str] = (),
    settings: Sequence[str] = (),
    show: Sequence[Path] = (),
    device: str = "cpu",
) -> Plan:
    """Plan the study: a training for each set and detector, judges unless some are given, and the report.

    `settings` go to every generator's training. The labels of FER2013 are FER+'s, as those of the judges that ship.
    """
    chosen = SCALES[scale]
    fer = Source("FER2013", "fer2013", fer2013, {"labels": "ferplus"}, chosen.share)
    wild = Source("Faces-Wild", "folder", faces_wild, {"name": "faces-wild"})
    matrix = Matrix(out, (fer, wild), tuple(detectors), (chosen.size,), device)
    steps: list[Step] = [*matrix.sets()]
    if not judges:
        data = matrix.prepared(fer.name, matrix.detectors[0])
        trained = [
            matrix.judge(f"{name}-small", name, data, chosen.judge_settings) for name in ("resnet18", "vgg16_bn")
        ]
        steps += trained
        judges = [str(step.out) for step in trained]
    generators = matrix.generators(chosen.preset, [fer.name, wild.name, COMBINED], (*chosen.settings, *settings))
    report = matrix.report(as_models(generators), judges, chosen.bench, show)
    return Plan(f"open, {scale}", out, (*steps, *generators, report))
