"""Surani's study (2024, arXiv:2406.11079): {Aff-Wild2, the same with AffectNet} x {RetinaFace, MTCNN}, and GANmut itself.

Where the paper is silent or wrong, docs/experiments.md says what is done instead: every fifth frame, the left or right
face where two people are labelled, one reference for all models, leaks left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mien.errors import ConfigError
from mien.experiments.plan import COMBINED, Matrix, Plan, as_models
from mien.experiments.steps import Prepare, Source, Step, TrainJudge

PRESET = "ganmut-affectnet"
#: Frames 1, 6, 11, ...: with AffectNet about 270,000 images, as the paper has.
_EVERY = 5
#: The paper's classifiers, on AffectNet as it is cut, classes balanced; dropout and dense layer are the presets'.
_JUDGES = ("vgg16_bn", "resnet50")
_JUDGE_SETTINGS = ("balance=1",)
#: Of ImageNet weights the head is learned first, then the last block too.
_UNFREEZE = "unfreeze_after=5"
_BASELINE = "GANmut"


def seed1(
    affwild2: Path,
    affectnet: Path,
    out: Path,
    *,
    official: Path | None = None,
    sizes: Sequence[int] = (64, 128),
    judges: Sequence[str] = (),
    imagenet: Path | None = None,
    settings: Sequence[str] = (),
    show: Sequence[Path] = (),
    device: str = "cpu",
) -> Plan:
    """Plan the study: 4 trainings for each size, judges unless some are given, and the report.

    The baseline is the checkpoint `official` of GANmut's authors, else a training on AffectNet alone. `imagenet` is a
    folder with torchvision's weights, from which the judges start. `settings` go to every generator's training.
    """
    wild = Source("Aff-Wild2", "affwild2", affwild2, {"every": _EVERY})
    cut = Source("AffectNet", "affectnet", affectnet, {"contempt": False})
    # MTCNN first: its landmarks are the exacter ones, and the first detector's faces are the report's.
    matrix = Matrix(out, (wild, cut), ("mtcnn", "retinaface"), tuple(sorted(set(sizes))), device)
    steps: list[Step] = [*matrix.sets()]
    if not judges:
        trained = _judges(matrix, cut, imagenet)
        steps += trained
        judges = [str(step.out) for step in trained if isinstance(step, TrainJudge)]
    names = [wild.name, COMBINED, *([] if official else [cut.name])]
    generators = matrix.generators(PRESET, names, settings)
    models = as_models(generators)
    if official:
        models.append((_BASELINE, f"official-ganmut:{official}"))
    return Plan("seed1", out, (*steps, *generators, matrix.report(models, judges, show=show)))


def _judges(matrix: Matrix, cut: Source, imagenet: Path | None) -> list[Step]:
    data = matrix.out / "sets" / "affectnet-as-cut"
    steps: list[Step] = [Prepare(cut, data, "none", max(matrix.sizes))]
    size = f"image_size={max(matrix.sizes)}"
    for name in _JUDGES:
        init = None if imagenet is None else _weights(imagenet, name)
        settings = (*_JUDGE_SETTINGS, size, *([_UNFREEZE] if init else []))
        steps.append(matrix.judge(name, name, data, settings, init))
    return steps


def _weights(folder: Path, name: str) -> Path:
    """Return torchvision's weights of an architecture."""
    found = [path for path in sorted(folder.glob(f"{name}*")) if path.suffix in (".pth", ".safetensors")]
    if not found:
        raise ConfigError(
            f"`{folder}` has no weights of {name}", hint=f"put torchvision's `{name}-....pth` there, or leave it out"
        )
    return found[0]
