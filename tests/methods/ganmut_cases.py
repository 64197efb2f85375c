"""What the tests of GANmut share: small batches, critics that say what a case needs, a generator that takes notes."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from mien.critics import CriticOutput
from mien.edit_maps import Edit
from mien.methods import aims, base, generator
from mien.methods.base import Batch
from mien.methods.disc_codes import Draw
from mien.methods.ganmut import GANmut

#: What `unread_settings` finds for `warp_terms`.
WARP_TERMS = {
    "lambda_bend", "lambda_stretch", "lambda_fold", "lambda_conformal", "lambda_mask", "lambda_spots", "lambda_edges",
    "lambda_lopsided", "lambda_streaks", "lambda_eyes", "lambda_nose", "mouth_light", "mouth_shade", "shade_width",
}  # fmt: skip


def unread_settings(kind: type, module: ModuleType, *without: Callable[..., Any]) -> set[str]:
    """Return the settings that neither the method's module nor what all methods share reads; `without` does not count.

    To check a setting, or to refuse it, is not to use it. A name counts whole: `penalty_patches` is not `penalty`.
    """
    _, found, code = inspect.getsource(module).partition("# --- the conditional space")
    assert found
    code += inspect.getsource(base) + inspect.getsource(generator)
    checks: tuple[Callable[..., Any], ...] = (base.check_settings, generator.check_generator, generator.check_effect)
    if issubclass(kind, aims.AimSettings):
        code, checks = code + inspect.getsource(aims), (*checks, aims.check_aims)
    for function in (*checks, *without):
        assert inspect.getsource(function) in code
        code = code.replace(inspect.getsource(function), "")
    of_generator = inspect.getsource(generator.GeneratorSettings.build_generator)
    return {
        name
        for name in (field.name for field in dataclasses.fields(kind))
        if not re.search(rf"\bconfig\.{name}\b", code) and not re.search(rf"\bself\.{name}\b", of_generator)
    }


def batch_of(count: int = 8, labels: list[int] | None = None) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 1, 16, 16, generator=generator) * 2 - 1
    return Batch(images, torch.tensor(labels if labels is not None else [i % 7 for i in range(count)]))


def says(probabilities: list[list[float]], coordinates: list[list[float]] | None = None) -> CriticOutput:
    """Return what a critic would say: class probabilities over the first classes, the rest being impossible."""
    logits = torch.full((len(probabilities), 7), -1e4)
    for row, values in zip(logits, probabilities, strict=True):
        row[: len(values)] = torch.tensor(values).log()
    places = torch.tensor(coordinates) if coordinates else torch.zeros(len(probabilities), 2)
    return CriticOutput(torch.zeros(len(probabilities), 1, 2, 2), (logits, places))


def drawn(labels: list[int], radius: list[float], free: int) -> Draw:
    count = len(labels)
    direction = torch.tensor([[0.0, 1.0]]).expand(count, 2)
    counted = torch.tensor(max(1.0, sum(rho > 0.2 for rho in radius)))
    is_free = torch.arange(count) < free
    return Draw(
        torch.tensor(labels), torch.tensor(radius), torch.zeros(count, 2), is_free, direction, count - free, counted
    )


class FixedCritic(nn.Module):
    """Say the same of any images."""

    def __init__(self, output: CriticOutput) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: Tensor, mouth: bool = False) -> CriticOutput:
        count = len(images)
        return CriticOutput(self.output.realness[:count], tuple(head[:count] for head in self.output.heads))


class RecordingGenerator(nn.Module):
    """Change nothing, and keep the codes that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[Tensor] = []

    def forward(self, images: Tensor, codes: Tensor) -> Edit:
        self.codes.append(codes.detach())
        return Edit(torch.zeros(len(images), 2, *images.shape[-2:]), torch.zeros_like(images))


def changed(method: GANmut, **settings: Any) -> GANmut:
    """Return the method with some settings changed, and its networks kept."""
    method.config = method.aims.config = dataclasses.replace(method.config, **settings)
    return method


def with_stand_ins(
    method: GANmut, probabilities: list[list[float]], coordinates: list[list[float]] | None = None
) -> RecordingGenerator:
    """Give the method a critic that says always this and a generator that takes notes; return the generator."""
    generator = RecordingGenerator()
    setattr(method, "critic", FixedCritic(says(probabilities, coordinates)))  # noqa: B010  # of another type
    setattr(method, "generator", generator)  # noqa: B010
    return generator
