"""How long the steps of a plan will take here: an estimate from what is counted and from this machine's speed.

Counted: rows of the datasets, steps and batches, faces and expressions, and the operations of one pass of a network.
Measured, a second or two each (`mien.experiments.speed`): how fast these networks run here, and how fast detectors find
faces. Taken from docs/: what else an image costs. A backward pass counts as two forward passes. Starting programs,
samples and checkpoints do not count: expect more rather than less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from mien.benchmark.protocol import Protocol
from mien.classifiers import load_classifier
from mien.classifiers.settings import ClassifierConfig
from mien.datasets import READERS, Rejected
from mien.errors import MienError
from mien.experiments import speed
from mien.experiments.plan import Plan
from mien.experiments.steps import Bench, Combine, Prepare, Source, Step, Train, TrainJudge, read_manifest
from mien.expressions import BASIC
from mien.presets import find_preset

#: Images a second that one thread brings to size, without a detector (docs/scaling.md, 128 pixels).
_RESIZED = 1685.0
#: How many times longer a frame of a film takes than a face that is cut out (docs/detectors.md).
_SCENE = {"mtcnn": 205 / 8.9, "retinaface": 777 / 13.0}
#: Images a second that `combine` reads, compares and writes (measured on 17,000 images of 52 pixels, one thread).
_COMBINED = 300.0
#: Seconds of one thread for each edit that is measured, beside the networks: features of the person, resizing, sums.
_MEASURING = 0.004

#: Images of a set: `cut` out or whole `scenes`, and how many of both are for `train`.
Counts = Mapping[str, float]


def training_device() -> str:
    """Return where networks are trained: on a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe_device() -> str:
    """Name it for people."""
    if training_device() == "cuda":
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"this CPU with {threads} thread{'' if threads == 1 else 's'}"


def estimate(plan: Plan) -> list[float | None]:
    """Return the seconds that each step will take; 0 for what is done, None where nothing can be said."""
    seconds = _Seconds(plan)
    return [0.0 if step.finished() else seconds.of(step) for step in plan.steps]


class _Seconds:
    """Estimates of one plan's steps."""

    def __init__(self, plan: Plan) -> None:
        steps = plan.steps
        self.judges = {str(step.out): step for step in steps if isinstance(step, TrainJudge)}
        self.generators = {str(step.out): step for step in steps if isinstance(step, Train)}
        unfinished = not all(step.finished() for step in steps if isinstance(step, Prepare | Combine | TrainJudge))
        self.images: dict[Path, Counts] = {}
        for step in steps if unfinished else ():  # counting reads through the datasets
            if isinstance(step, Prepare):
                self.images[step.out] = images_of(step.source, step.out)
            elif isinstance(step, Combine):
                parents = [self.images[path] for path in step.parents]
                self.images[step.out] = {key: sum(parent[key] for parent in parents) for key in parents[0]}

    def of(self, step: Step) -> float | None:
        """Return the seconds of a step."""
        kinds: dict[type, Callable[[Any], float | None]] = {
            Prepare: self._prepare, Combine: self._combine, Train: self._train, TrainJudge: self._judge,
            Bench: self._bench,
        }  # fmt: skip
        return kinds[type(step)](step)

    def _prepare(self, step: Prepare) -> float | None:
        images = self.images[step.out]
        if step.detector == "none":
            return (images["cut"] + images["scenes"]) / (_RESIZED * torch.get_num_threads())
        rate = speed.faces_per_second(step.detector, step.device)
        return (images["cut"] + _SCENE.get(step.detector, _SCENE["mtcnn"]) * images["scenes"]) / rate

    def _combine(self, step: Combine) -> float:
        images = self.images[step.out]
        return (images["cut"] + images["scenes"]) / _COMBINED

    def _train(self, step: Train) -> float:
        method, loop = step.configuration()
        half = loop.precision == "bf16-mixed"
        work = speed.networks(find_preset(step.preset).method, method, training_device(), half)
        generator, critic = passes(method)
        operations = generator * work.generator + critic * work.critic
        return loop.steps * loop.batch_size * operations / work.operations_per_second

    def _judge(self, step: TrainJudge) -> float:
        network, recipe = step.configuration()
        passed = 3 * recipe.epochs * self.images[step.data]["train"]
        return passed * speed.judging_seconds(network, training_device())

    def _bench(self, step: Bench) -> float:
        edits = edits_of(step.protocol())
        judges = [self._network_of(judge) for judge in step.judges]
        measuring = _MEASURING + sum(speed.judging_seconds(judge, step.device) for judge in judges if judge)
        sources = [source for _, source in step.models]
        rendering = [self._rendering(source, step.device) for source in (*sources, sources[0])]  # its untrained twin
        return edits * (sum(rendering) + (len(sources) + 3) * measuring)

    def _rendering(self, source: str, device: str) -> float:
        """Return the seconds of one edit; of a model that this plan does not train, those of one that it does."""
        step = self.generators.get(source) or next(iter(self.generators.values()))
        work = speed.networks(find_preset(step.preset).method, step.configuration()[0], device)
        return work.generator / work.operations_per_second

    def _network_of(self, judge: str) -> ClassifierConfig | None:
        if judge in self.judges:
            return self.judges[judge].configuration()[0]
        try:
            return load_classifier(judge).config
        except MienError:
            return None


def passes(method: Any) -> tuple[float, float]:
    """Return how many forward passes an image makes in a step of training, through generator and critic.

    A step edits once; every `critic_steps` steps the generator moves, which takes its backward pass (2) and a
    reconstruction (3) of a share of the batch. The critic sees photos and edits, forward and backward (6); its penalty is
    a pass, its gradient, and the backward passes of both (6); for the generator's move it is gone through once more, and
    back to its input (2), and it reads what is to be reconstructed (1).
    """
    moves, share = 1 / method.critic_steps, method.rec_share
    penalties = 1 / method.penalty_interval if method.penalty != "none" else 0.0
    return 1 + moves * (2 + 3 * share), 6 + 6 * penalties + moves * (2 + share)


def edits_of(protocol: Protocol) -> int:
    """Return how many edits a benchmark makes of a model with a disc."""
    walk = protocol.gamut_angles * len(protocol.gamut_radii) + 1
    rising = protocol.sweep_faces * (len(BASIC) - 1) * protocol.sweep_steps
    return protocol.faces * len(BASIC) + rising + protocol.gamut_faces * walk


def images_of(source: Source, out: Path) -> Counts:
    """Count a dataset's images, from the prepared set where that is finished."""
    manifest = read_manifest(out)
    if manifest is not None:
        return {"cut": manifest["count"], "scenes": 0, "train": sum(manifest["counts"]["train"].values())}
    counts = _count(source.dataset, source.path, tuple(source.options.items()))
    return {key: source.share * count for key, count in counts.items()}


@cache
def _count(dataset: str, path: Path, options: tuple[tuple[str, Any], ...]) -> dict[str, int]:
    counts = {"cut": 0, "scenes": 0, "train": 0}
    for row in READERS[dataset](path, **dict(options)):
        if not isinstance(row, Rejected):
            counts["cut" if row.face == "cut" else "scenes"] += 1
            counts["train"] += row.split == "train"
    return counts
