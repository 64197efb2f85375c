"""An experiment's plan: datasets by detectors by sizes, then judges, generators and one report.

    OUT/sets/      prepared sets, for each detector one of each dataset and their combination
    OUT/judges/    judges, where none were given
    OUT/runs/      generators
    OUT/report/    the report on all of them

All generators are measured on the same faces: the held-out ones of the combination that the first detector found, freed
from pictures that training has too. So rows can be compared across datasets and detectors; a report whose reference
changed from row to row, as Surani's tables do, would compare the references as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.experiments.steps import Bench, Combine, Prepare, Source, Step, Train, TrainJudge
from mien.presets import configure, find_preset

#: How tables write the detectors' names.
DETECTOR_NAMES = {"mtcnn": "MTCNN", "retinaface": "RetinaFace"}
COMBINED = "Combined"


@dataclass(frozen=True)
class Plan:
    """An experiment: its steps in the order in which they are done."""

    name: str
    """For example `open, small`."""
    out: Path
    """The folder of everything that it makes."""
    steps: tuple[Step, ...]
    """Each needs only what steps before it made."""

    def number(self, step: Step) -> str:
        """Return `step 3 of 12`."""
        return f"step {self.steps.index(step) + 1} of {len(self.steps)}"


@dataclass(frozen=True)
class Matrix:
    """What is crossed with what; the sets it makes are named after it."""

    out: Path
    """The experiment's folder."""
    sources: tuple[Source, ...]
    """The datasets that are combined."""
    detectors: tuple[str, ...]
    """The first one's faces are those that are edited in the report."""
    sizes: tuple[int, ...]
    """Sides of the generators' images; sets are prepared at the largest."""
    device: str = "cpu"
    """Where detectors run, and the report is computed."""

    def prepared(self, name: str, detector: str) -> Path:
        """Return where the set of a dataset, or of `COMBINED`, lies."""
        return self.out / "sets" / f"{_slug(name)}-{detector}"

    def sets(self) -> list[Step]:
        """Return the steps that prepare every dataset with every detector, and combine them."""
        steps: list[Step] = []
        for detector in self.detectors:
            for source in self.sources:
                out = self.prepared(source.name, detector)
                steps.append(Prepare(source, out, detector, max(self.sizes), self.device))
            parents = tuple(self.prepared(source.name, detector) for source in self.sources)
            steps.append(Combine(COMBINED, parents, self.prepared(COMBINED, detector)))
        return steps

    def generators(self, preset: str, names: Sequence[str], settings: Sequence[str] = ()) -> list[Train]:
        """Return a training on each of the named sets, with every detector, at every size."""
        return [
            Train(
                f"{name} / {DETECTOR_NAMES.get(detector, detector)} / {size}",
                preset,
                self.prepared(name, detector),
                self.out / "runs" / f"{_slug(name)}-{detector}-{size}",
                (*_sized(preset, size), *settings),
            )
            for name in names
            for detector in self.detectors
            for size in self.sizes
        ]

    def judge(
        self, preset: str, name: str, data: Path, settings: Sequence[str] = (), init: Path | None = None
    ) -> TrainJudge:
        """Return the training of a judge."""
        return TrainJudge(preset, data, self.out / "judges" / name, tuple(settings), init)

    def report(
        self,
        models: Sequence[tuple[str, str]],
        judges: Sequence[str],
        settings: Sequence[str] = (),
        show: Sequence[Path] = (),
    ) -> Bench:
        """Return the step that measures models (title, source) on the held-out faces of the combination."""
        data = self.prepared(COMBINED, self.detectors[0])
        return Bench(tuple(models), data, tuple(judges), self.out / "report", tuple(settings), tuple(show), self.device)


def as_models(generators: Sequence[Train]) -> list[tuple[str, str]]:
    """Return trainings as the report takes them: title and source."""
    return [(step.name, str(step.out)) for step in generators]


def _sized(preset: str, size: int) -> list[str]:
    """Return the setting that gives a preset's generator another size, where it needs one."""
    return [] if configure(find_preset(preset), {})[0].image_size == size else [f"image_size={size}"]


def _slug(name: str) -> str:
    return "-".join(name.lower().split())
