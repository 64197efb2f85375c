"""How fast this machine is: networks and detectors, tried for a second or two each and then remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from mien.classifiers.settings import ClassifierConfig
from mien.datasets.drawn import read as draw_faces
from mien.faces import FaceAligner
from mien.faces.retinaface_weights import on_this_machine
from mien.methods import METHODS

#: RetinaFace against MTCNN on faces that are cut out, for where its weights are not here to be tried (docs/detectors.md).
_RETINAFACE = 777 / 205
#: Seconds that a trial takes at least, operations that its batch has at least, and images that it has at most.
_SECONDS, _OPERATIONS, _MOST = 0.5, 2e9, 32
_FACES, _FACE_SIDE = 32, 128


@dataclass(frozen=True)
class Work:
    """What the networks of a method cost."""

    generator: float
    """Floating-point operations of the generator's forward pass for one image."""
    critic: float
    """Those of the critic's."""
    operations_per_second: float
    """What the generator does here."""


@cache
def networks(method: str, config: Any, device: str, half: bool = False) -> Work:
    """Try a method's networks on a device, in bfloat16 where `half`."""
    network = METHODS[method](config).to(device).eval()
    codes = torch.zeros(1, network.space().size, device=device)
    image = torch.zeros(1, config.image_channels, config.image_size, config.image_size, device=device)
    generator = _operations(lambda: network.render(image, codes))
    count = _batch(generator)
    images, many = image.expand(count, -1, -1, -1).contiguous(), codes.expand(count, -1)
    with torch.autocast(device, torch.bfloat16) if half else nullcontext():
        seconds = _seconds(lambda: network.render(images, many), device)
    return Work(generator, _operations(lambda: network.critic(image)), count * generator / seconds)


@cache
def judging_seconds(config: ClassifierConfig, device: str) -> float:
    """Return the seconds of a judge's forward pass for one image."""
    network = config.build().to(device).eval()
    image = torch.zeros(1, config.image_channels, config.image_size, config.image_size, device=device)
    count = _batch(_operations(lambda: network(image)))
    images = image.expand(count, -1, -1, -1).contiguous()
    return _seconds(lambda: network(images), device) / count


@cache
def faces_per_second(detector: str, device: str) -> float:
    """Return how many faces that are cut out a detector finds and aligns in a second."""
    if detector == "retinaface" and not on_this_machine():
        return _RETINAFACE * faces_per_second("mtcnn", device)
    aligner = FaceAligner(detector, _FACE_SIDE, device)
    images = [row.read() for row in draw_faces(None, count=_FACES, size=_FACE_SIDE)]  # type: ignore[union-attr]
    return _FACES / _seconds(lambda: aligner(images, ["cut"] * _FACES), device)


def _operations(use: Callable[[], Any]) -> float:
    """Count the floating-point operations of what is done with a network."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        use()
    return float(counter.get_total_flops())


def _batch(operations: float) -> int:
    """Return how many images make a trial that is not over at once."""
    return int(np.clip(_OPERATIONS / max(operations, 1.0), 1, _MOST))


def _seconds(trial: Callable[[], Any], device: str) -> float:
    """Return the seconds of a trial: the mean over as many as fill the time, after one that warms up.

    On a CPU they are seconds of processor time, shared by the threads: what other programs take away does not count.
    """
    on_gpu = device.startswith("cuda")
    clock = time.perf_counter if on_gpu else time.process_time

    def run() -> None:
        with torch.no_grad():
            trial()
        if on_gpu:
            torch.cuda.synchronize()

    run()
    start, count = clock(), 0
    while count < 2 or clock() - start < _SECONDS:
        run()
        count += 1
    return (clock() - start) / count / (1 if on_gpu else torch.get_num_threads())
