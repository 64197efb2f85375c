"""A run that starts from another run's networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from untrained import write_run

from mien.apps.cli import main
from mien.errors import RunError
from mien.methods import METHODS
from mien.methods.ganmut import GANmutConfig
from mien.prepared import PreparedSet
from mien.pretrained import export, starting_point
from mien.runs import Run, file_sha256
from mien.training import TrainConfig, train, trained_method


def fine_tune(
    out: Path, init: Path, prepared: PreparedSet, method: GANmutConfig, loop: TrainConfig, steps: int = 1
) -> Run:
    loop = dataclasses.replace(loop, steps=steps)
    return train("test", "ganmut", method, loop, prepared.path, out, init=starting_point(init))


def test_it_starts_from_the_averaged_generator_and_the_critic(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=6)
    slow = dataclasses.replace(tiny_ganmut, learning_rate=1e-9)
    tuned = fine_tune(tmp_path / "tuned", first.path, prepared, slow, tiny_loop)
    before, after = (trained_method(run)[0].state_dict() for run in (first, tuned))
    fresh = trained_method(start(tmp_path / "fresh", steps=1))[0].state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert not all(torch.allclose(fresh[name], after[name], atol=1e-4) for name in fresh)
    assert tuned.configuration["init"]["step"] == 6


def test_it_resumes_even_if_its_origin_went_on_meanwhile(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=6)
    tuned = fine_tune(tmp_path / "tuned", first.path, prepared, tiny_ganmut, tiny_loop, steps=3)
    expected = trained_method(tuned)[0].state_dict()
    first.save_checkpoint(7, first.latest_checkpoint()[1])  # type: ignore[index]
    again = fine_tune(tmp_path / "tuned", first.path, prepared, tiny_ganmut, tiny_loop, steps=3)
    assert again.configuration["init"]["step"] == 6
    assert all(torch.equal(tensor, expected[name]) for name, tensor in trained_method(again)[0].state_dict().items())


def test_other_networks_are_refused(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=1)
    wider = dataclasses.replace(tiny_ganmut, generator_channels=16)
    with pytest.raises(RunError, match="other networks"):
        fine_tune(tmp_path / "tuned", first.path, prepared, wider, tiny_loop)


def test_a_run_that_was_not_tuned_cannot_become_one(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=1)
    with pytest.raises(RunError, match="another configuration"):
        fine_tune(first.path, first.path, prepared, tiny_ganmut, tiny_loop)


def test_a_file_of_weights_is_a_starting_point_too(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=2)
    file = export(first, tmp_path / "first.safetensors")
    slow = dataclasses.replace(tiny_ganmut, learning_rate=1e-9)
    tuned = fine_tune(tmp_path / "tuned", file, prepared, slow, tiny_loop)
    before, after = (trained_method(run)[0].state_dict() for run in (first, tuned))
    assert all(torch.allclose(before[name], after[name], atol=2e-3) for name in before)  # half precision
    assert tuned.configuration["init"] == {"model": "first", "sha256": file_sha256(file)}


@pytest.mark.parametrize(("keeps", "told"), [("both_sides=yes", False), ("both_sides=no", True)])
def test_that_both_sides_would_no_longer_be_alike_is_told(
    keeps: str, told: bool, prepared: PreparedSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No tensor tells it, so that nothing else would."""
    origin = write_run(tmp_path / "origin")
    settings = dataclasses.asdict(METHODS["ganmut"].Config(**origin.configuration["method_config"]))
    asked = [f"{name}={','.join(map(str, v)) if isinstance(v, (list, tuple)) else v}" for name, v in settings.items()]
    sets = [part for setting in [*asked, keeps, "steps=1", "batch_size=8"] for part in ("--set", setting)]
    where = ["--data", str(prepared.path), "--out", str(tmp_path / "run"), "--init", str(origin.path)]
    with pytest.raises(SystemExit) as end:
        main(["train", "smoke", *where, *sets])
    assert end.value.code == 0
    assert ("`--set both_sides=yes` keeps that" in capsys.readouterr().err) is told
