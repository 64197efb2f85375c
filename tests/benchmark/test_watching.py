"""Judging while training: F1 by hand, which faces are shown, and that learning is not touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.benchmark import watching
from mien.benchmark.watching import Watch, watch
from mien.datasets import Sample
from mien.errors import ConfigError, DataError
from mien.expressions import BASIC
from mien.methods import METHODS
from mien.methods.ganmut import GANmutConfig
from mien.prepared import PreparedSet
from mien.pretrained import export, load_model, training_seconds
from mien.stepping import TrainConfig
from mien.training import train


class Scripted:
    """A judge that answers with what it is told, edit after edit."""

    expressions = ("happy", "neutral", "contempt", *BASIC[2:])

    def __init__(self, answer: Callable[[int, int], str]) -> None:
        self._answer, self._calls = answer, 0
        self.images: list[np.ndarray] = []

    def to(self, device: str) -> Scripted:
        return self

    def judge(self, images: np.ndarray, *, mirror: bool) -> Any:
        self.images.append(images)
        seen = [self.expressions.index(self._answer(self._calls, i)) for i in range(len(images))]
        self._calls += 1
        return type("Judged", (), {"probabilities": np.eye(len(self.expressions))[seen]})


def held_out(make_prepared: Callable[..., PreparedSet], neutral: bool = True) -> PreparedSet:
    """Return a set with six validation faces of each expression, or of all but neutral."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(96):
        image = np.repeat(rng.integers(0, 256, (16, 16, 1), np.uint8), 3, axis=2)
        name = BASIC[i % 7] if neutral or i % 7 else "happy"
        rows.append(Sample(f"{i}", lambda image=image: image, name, "train" if i % 2 else "validation", "noise"))
    return make_prepared(rows)


def test_f1_by_hand(tiny_ganmut: GANmutConfig) -> None:
    """Four faces, three expressions. The first judge sees all as asked; the second takes every edit for happy.

    F1 of the second: happy is asked 4 of 12 times and seen 12 times: 2 * 4 / (4 + 12) = 0.5; the others 0.
    """
    names = ("neutral", "happy", "fear")
    right, other = Scripted(lambda call, i: names[call]), Scripted(lambda call, i: "happy")
    look = Watch((right, other), torch.zeros(4, 1, 16, 16), names, 0.9)  # type: ignore[arg-type]
    method = METHODS["ganmut"](dataclasses.replace(tiny_ganmut, expressions=BASIC))
    said = look(method)
    assert said == {
        "judged/f1": pytest.approx((1 + 0.5 / 3) / 2),
        "judged/neutral": 0.5, "judged/happy": 0.75, "judged/fear": 0.5,
    }  # fmt: skip
    assert [images.shape for images in right.images] == [(4, 1, 16, 16)] * 3
    nobody = Watch((Scripted(lambda call, i: "contempt"),), torch.zeros(4, 1, 16, 16), names, 0.9)  # type: ignore[arg-type]
    assert nobody(method)["judged/f1"] == 0


def test_neutral_faces_of_the_validation_split_are_shown(
    make_prepared: Callable[..., PreparedSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "load_judge", lambda name: Scripted(lambda call, i: "happy"))
    prepared = held_out(make_prepared)
    look = watch(prepared.path, ["a", "b"], BASIC)
    assert len(look.judges) == 2 and look.expressions == BASIC
    neutral = prepared.images(prepared.select("validation", ["neutral"])).astype(np.float32)[..., 0] / 127.5 - 1
    assert len(look.faces) == 4  # two thirds of the six: the benchmark's rule
    for face in look.faces:
        assert (np.abs(neutral - face.numpy()).max(axis=(1, 2)) < 1e-6).any()
    assert len(watch(held_out(make_prepared, neutral=False).path, ["a"], BASIC).faces) > 4  # of any expression then
    with pytest.raises(ConfigError, match="the judges know 1 of this run's expressions"):
        watch(prepared.path, ["a"], ("happy", "contemptuous"))
    with pytest.raises(DataError, match="no validation images") as caught:
        watch(
            make_prepared([Sample("x", lambda: np.zeros((16, 16, 3), np.uint8), "happy", "train", "x")]).path,
            ["a"],
            BASIC,
        )
    assert "without `--judge`" in caught.value.hint  # the benchmark's hint names a setting that training has not
    monkeypatch.setattr(watching, "load_judge", lambda name: Four())
    assert (
        len(watch(prepared.path, ["four"], BASIC).faces) > 4
    )  # who does not know neutral sees faces of any expression


class Four(Scripted):
    """A judge that does not know neutral."""

    expressions = ("happy", "sad", "surprise", "anger")

    def __init__(self) -> None:
        super().__init__(lambda call, i: "happy")


def test_a_watched_run_learns_the_same(
    make_prepared: Callable[..., PreparedSet], tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    data = held_out(make_prepared).path
    loop = dataclasses.replace(tiny_loop, steps=6, sample_every=4, checkpoint_every=5)
    arguments = ("test", "ganmut", tiny_ganmut, loop, data)

    def look(method: Any) -> dict[str, float]:
        torch.rand(3)  # what it draws is its own affair
        return {"judged/f1": 0.5, "judged/happy": 0.25}

    lines: list[Any] = []
    watched = train(*arguments, tmp_path / "watched", lines.append, watch=look)
    alone = train(*arguments, tmp_path / "alone")
    first, second = (run.latest_checkpoint() for run in (watched, alone))
    assert first is not None and second is not None
    assert all(torch.equal(first[1][name], second[1][name]) for name in second[1])
    said = [line for line in watched.stats() if "judged/f1" in line]
    assert [line["step"] for line in said] == [4, 6] and said[0]["judged/happy"] == 0.25
    without = [{k: v for k, v in line.items() if k != "images_per_second"} for line in alone.stats()]
    losses = [line for line in watched.stats() if "judged/f1" not in line]
    assert [{k: v for k, v in line.items() if k != "images_per_second"} for line in losses] == without
    assert lines[-1].losses["judged/f1"] == 0.5 and "judged/happy" not in lines[-1].losses
    model = load_model(export(watched, tmp_path / "watched.safetensors"))
    assert model.description["training"]["seconds"] >= 0
    assert training_seconds([{"step": 2, "images_per_second": 4.0}, {"step": 2, "judged/f1": 1.0}], 8) == 4
