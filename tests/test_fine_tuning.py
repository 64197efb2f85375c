"""A run that starts from another run's networks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from untrained import write_run

from mien.apps.cli import main
from mien.edit_maps import apply_edit
from mien.errors import ConfigError, RunError
from mien.files import file_sha256
from mien.methods import METHODS
from mien.methods.ganmut import GANmutConfig
from mien.prepared import PreparedSet
from mien.pretrained import export, load_model, starting_point
from mien.runs import Run, checkpoint_records
from mien.training import Progress, TrainConfig, train, trained_method


def fine_tune(
    out: Path, init: Path, prepared: PreparedSet, method: GANmutConfig, loop: TrainConfig, steps: int = 1
) -> Run:
    loop = dataclasses.replace(loop, steps=steps)
    return train("test", "ganmut", method, loop, prepared.path, out, init=starting_point(init))


def assert_learned(run: Run, expected: dict[str, torch.Tensor]) -> None:
    """A run's networks are these, to the bit."""
    assert all(torch.equal(tensor, expected[name]) for name, tensor in trained_method(run)[0].state_dict().items())


def rate_free(line: dict[str, float]) -> dict[str, float]:
    """Return a line of the log without how fast it was."""
    return {name: value for name, value in line.items() if name != "images_per_second"}


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
    assert_learned(again, expected)


def test_an_anchor_is_the_generator_that_it_goes_on_from_also_when_it_resumes(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    """With a great weight edits stay where they were, and what is resumed equals what was not broken off."""
    first = start(tmp_path / "first", steps=6)
    held = dataclasses.replace(tiny_ganmut, lambda_anchor=3.0)
    each = dataclasses.replace(tiny_loop, log_every=1, checkpoint_every=1)
    whole = fine_tune(tmp_path / "whole", first.path, prepared, held, each, steps=4)
    drifts = [line["generator/anchor"] for line in whole.stats() if "generator/anchor" in line]
    assert drifts[0] == pytest.approx(0.0, abs=1e-6) and drifts[-1] > 1e-4
    broken = fine_tune(tmp_path / "broken", first.path, prepared, held, each, steps=4)
    before = broken.stats()
    checkpoint_records(broken.path)[-1].unlink()
    again = fine_tune(tmp_path / "broken", first.path, prepared, held, each, steps=4)
    expected = trained_method(whole)[0].state_dict()
    assert_learned(again, expected)
    assert again.step == 4 and [rate_free(line) for line in again.stats()] == [rate_free(line) for line in before]

    def far(out: str, weight: float) -> float:
        config = dataclasses.replace(tiny_ganmut, lambda_anchor=weight, learning_rate=1e-3)
        run = fine_tune(tmp_path / out, first.path, prepared, config, tiny_loop, steps=60)
        after, before = (trained_method(each)[0] for each in (run, first))
        faces, codes = torch.rand(4, 1, config.image_size, config.image_size) * 2 - 1, torch.rand(4, 2) * 2 - 1
        with torch.no_grad():
            edited = [apply_edit(faces, method.render(faces, codes)) for method in (after, before)]
        return (edited[0] - edited[1]).abs().mean().item()

    assert far("near", 1e3) < far("free", 0.0) / 2


def test_an_anchored_run_needs_its_origin_only_to_begin(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=6)
    held = dataclasses.replace(tiny_ganmut, lambda_anchor=3.0)
    each = dataclasses.replace(tiny_loop, steps=4, checkpoint_every=1)
    with pytest.raises(ConfigError, match="lambda_anchor") as caught:
        train("test", "ganmut", held, each, prepared.path, tmp_path / "none")
    assert "--init" in str(caught.value.hint) and not (tmp_path / "none").exists()
    tuned = fine_tune(tmp_path / "tuned", first.path, prepared, held, each, steps=4)
    expected = trained_method(tuned)[0].state_dict()
    assert tuned.anchor().keys() == {name for name in expected if not name.startswith("critic.")}
    checkpoint_records(tuned.path)[-1].unlink()
    again = train("test", "ganmut", held, each, prepared.path, tuned.path)
    assert_learned(again, expected)
    # Its origin may have gone on, and is no longer what it was.
    first.save_checkpoint(7, start(tmp_path / "other", steps=7).latest_checkpoint()[1])  # type: ignore[index]
    checkpoint_records(tuned.path)[-1].unlink()
    again = fine_tune(tuned.path, first.path, prepared, held, each, steps=4)
    assert_learned(again, expected)
    kept = tuned.path / "anchor.safetensors"
    kept.write_bytes(kept.read_bytes()[:-4] + b"1234")
    for _ in range(2):  # damaged, then missing
        for init in (None, starting_point(first.path)):
            with pytest.raises(RunError, match=r"anchor\.safetensors.* missing or damaged") as missing:
                train("test", "ganmut", held, each, prepared.path, tuned.path, init=init)
            assert f"--init {tuned.path}" in str(missing.value.hint)
        kept.unlink(missing_ok=True)


def test_an_anchored_run_has_settings_that_leave_its_origin_as_it_was(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=6)
    side, held = tiny_ganmut.image_size, dataclasses.replace(tiny_ganmut, generator="warp", lambda_anchor=3.0)
    for changed, told in (
        ({"soft_light": 0.07}, "--set soft_light=0.0"),
        ({"both_sides": True}, "--set both_sides=False"),
        ({"image_size": 2 * side}, f"--set image_size={side}"),
        ({"max_light": 0.5}, f"--set max_light={held.max_light}"),
    ):
        with pytest.raises(ConfigError, match="lambda_anchor") as caught:
            fine_tune(tmp_path / "tuned", first.path, prepared, dataclasses.replace(held, **changed), tiny_loop)
        assert caught.value.hint == f"say {told}" and not (tmp_path / "tuned").exists()
    grown = dataclasses.replace(held, image_size=2 * side, enhancers=1, max_light=2.0)
    each = dataclasses.replace(tiny_loop, log_every=1)
    large = fine_tune(tmp_path / "large", first.path, prepared, grown, each, steps=held.critic_steps)
    assert large.stats()[-1]["generator/anchor"] == pytest.approx(0.0, abs=1e-3)


def test_it_goes_on_at_twice_the_side(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    """With an enhancer the networks that were trained on small faces go on with large ones where they stood."""
    warps = dataclasses.replace(tiny_ganmut, generator="warp")
    small = train("test", "ganmut", warps, tiny_loop, prepared.path, tmp_path / "small")
    twice = dataclasses.replace(warps, image_size=2 * warps.image_size, enhancers=1, learning_rate=1e-9)
    large = fine_tune(tmp_path / "large", small.path, prepared, twice, tiny_loop)
    before, after = (trained_method(run)[0] for run in (small, large))
    images = torch.rand(2, warps.image_channels, twice.image_size, twice.image_size) * 2 - 1
    halved = torch.nn.functional.avg_pool2d(images, 2)
    assert torch.allclose(after.read(images).probabilities, before.read(halved).probabilities, atol=1e-4)
    again = load_model(export(large, tmp_path / "large.safetensors"))
    assert again.image_size == 2 * warps.image_size
    side = warps.image_size
    for changed, told in (
        ({"enhancers": 2, "image_size": 4 * side}, f"--set image_size={2 * side} --set enhancers=1"),
        ({"generator_blocks": 3}, "say --set generator_blocks="),
        ({"image_channels": 4 - warps.image_channels}, "say --set image_channels="),
        ({"expressions": warps.expressions[:1] + warps.expressions[:0:-1]}, "say --set expressions=neutral,"),
    ):
        wrong = dataclasses.replace(twice, **changed)
        with pytest.raises(RunError, match="other networks") as caught:
            fine_tune(tmp_path / "wrong", small.path, prepared, wrong, tiny_loop)
        assert told in caught.value.hint
    same = dataclasses.replace(warps, enhancers=0, image_size=2 * side)  # the second time, as large as it is
    with pytest.raises(RunError, match="other networks") as caught:
        fine_tune(tmp_path / "wrong", large.path, prepared, same, tiny_loop)
    assert "say --set enhancers=1;" in caught.value.hint


@pytest.mark.parametrize("kind", ["residual", "warp"])
def test_it_goes_on_at_any_side(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path,
    kind: Literal["residual", "warp"],
) -> None:  # fmt: skip
    """Whatever has no side is what it was; the critic's heads are sampled anew, also where an enhancer comes in."""
    small = dataclasses.replace(tiny_ganmut, generator=kind)
    first = train("test", "ganmut", small, tiny_loop, prepared.path, tmp_path / "first")
    before = trained_method(first)[0].state_dict()
    side = 3 * small.image_size // 2
    larger = dataclasses.replace(small, image_size=side, learning_rate=1e-9)
    tuned = fine_tune(tmp_path / "tuned", first.path, prepared, larger, tiny_loop)
    after = trained_method(tuned)[0].state_dict()
    for name, tensor in before.items():
        if name.startswith("critic.heads."):
            assert after[name].shape[-1] == 3 * tensor.shape[-1] // 2
            assert torch.allclose(after[name].sum((-2, -1)), tensor.sum((-2, -1)), atol=1e-5)
        else:
            assert torch.allclose(after[name], tensor, atol=1e-6)
    if kind == "warp":
        more = dataclasses.replace(larger, image_size=2 * side, enhancers=1)
        grown = trained_method(fine_tune(tmp_path / "grown", first.path, prepared, more, tiny_loop))[0].state_dict()
        assert all(torch.allclose(grown[name], after[name], atol=1e-6) for name in after if "heads" in name)


def test_it_may_begin_to_wipe_and_to_have_mouths_judged_and_stop_the_latter(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    small = dataclasses.replace(tiny_ganmut, generator="warp", learning_rate=1e-9)
    first = train("test", "ganmut", small, tiny_loop, prepared.path, tmp_path / "first")
    more = dataclasses.replace(small, wipes=True, lambda_mouth=1.0)
    second = fine_tune(tmp_path / "second", first.path, prepared, more, tiny_loop)
    third = fine_tune(tmp_path / "third", second.path, prepared, more, tiny_loop)
    fourth = fine_tune(
        tmp_path / "fourth", third.path, prepared, dataclasses.replace(more, lambda_mouth=0.0), tiny_loop
    )
    before, *after = (trained_method(run)[0].state_dict() for run in (first, second, third, fourth))
    for state in after:
        assert all(torch.allclose(state[name], tensor, atol=1e-6) for name, tensor in before.items())
        assert "generator.to_wipe.weight" in state
    judged = [name for name in after[0] if name.startswith("critic.mouth.")]
    assert judged and all(torch.allclose(after[1][name], after[0][name], atol=1e-6) for name in judged)
    assert not any(name.startswith("critic.mouth.") for name in after[2])
    with pytest.raises(RunError, match="other networks") as caught:
        fine_tune(tmp_path / "fifth", second.path, prepared, dataclasses.replace(more, wipes=False), tiny_loop)
    assert "--set wipes=True" in caught.value.hint


def test_it_may_begin_to_add_more_light_while_it_grows_and_begins_to_wipe(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    small = dataclasses.replace(tiny_ganmut, generator="warp", learning_rate=1e-9)
    first = train("test", "ganmut", small, tiny_loop, prepared.path, tmp_path / "first")
    noted = json.loads((first.path / "config.json").read_text())
    del noted["method_config"]["max_light"]  # as a run of before has none
    (first.path / "config.json").write_text(json.dumps(noted))
    before = trained_method(first)[0].state_dict()
    residual = [name for name in before if ".to_residual." in name]
    assert len(residual) == 2 and any(before[name].abs().max() > 0 for name in residual)
    grows = {"image_size": 2 * small.image_size, "enhancers": 1, "wipes": True}
    for out, ratio, more in (
        ("more", 0.4, {"max_light": 2.0}),
        ("all", 0.4, {"max_light": 2.0, **grows}),
        ("same", 1.0, {}),
    ):
        tuned = fine_tune(tmp_path / out, first.path, prepared, dataclasses.replace(small, **more), tiny_loop)
        after = trained_method(tuned)[0].state_dict()
        assert all(torch.allclose(after[name], before[name] * ratio, atol=1e-6) for name in residual)
        assert torch.allclose(after["generator.to_mask.weight"], before["generator.to_mask.weight"], atol=1e-6)
    back = fine_tune(tmp_path / "back", tmp_path / "more", prepared, small, tiny_loop)
    assert all(torch.allclose(trained_method(back)[0].state_dict()[name], before[name], atol=1e-6) for name in residual)


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
    assert tuned.configuration["init"] == {"model": "first", "sha256": file_sha256(file), "data_hash": prepared.hash}


def test_a_run_says_which_weights_it_started_from_and_what_they_had_learned_from(
    start: Callable[..., Run], prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=2)
    assert first.configuration["init"] is None
    weights = file_sha256(first.path / "checkpoints" / "step-0000002.safetensors")
    tuned = fine_tune(tmp_path / "tuned", first.path, prepared, tiny_ganmut, tiny_loop)
    origin = tuned.configuration["init"]
    assert (origin["model"], origin["sha256"], origin["data_hash"]) == ("first", weights, prepared.hash)
    assert (origin["preset"], origin["step"], origin["train_config"]["steps"]) == ("test", 2, 2)
    exported = json.loads(export(tuned, tmp_path / "tuned.safetensors").with_suffix(".json").read_text())
    assert exported["training"]["init"] == origin
    alone = json.loads(export(first, tmp_path / "first.safetensors").with_suffix(".json").read_text())
    assert alone["training"]["init"] is None


# --- what was killed ---------------------------------------------------------------------------------------------


def stop_at(step: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.step >= step:
            raise KeyboardInterrupt

    return report


Starter = Callable[..., Run]


@pytest.fixture
def tune(prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig) -> Starter:
    """Return a function that fine-tunes for nine steps, with a line of losses after 4 and a checkpoint after 5."""

    def tune(out: Path, init: Path | None, until: int | None = None) -> Run:
        loop, stop = dataclasses.replace(tiny_loop, steps=9), (lambda _: None) if until is None else stop_at(until)
        origin = None if init is None else starting_point(init)
        return train("test", "ganmut", tiny_ganmut, loop, prepared.path, out, stop, origin)

    return tune


def test_a_run_killed_before_its_first_checkpoint_starts_only_from_where_it_did(
    start: Starter, tune: Starter, tmp_path: Path
) -> None:
    first, other = start(tmp_path / "first", steps=6), start(tmp_path / "other", steps=6, seed=8)
    expected = tune(tmp_path / "unbroken", first.path).latest_checkpoint()
    assert expected is not None
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "tuned", first.path, until=4)
    assert Run.read(tmp_path / "tuned").step == 0
    before = (tmp_path / "tuned" / "config.json").read_bytes()
    for init, named in ((None, "random networks"), (other.path, "`other` at step 6")):
        with pytest.raises(RunError, match=f"it starts from `first` at step 6 .*, now {named}") as error:
            tune(tmp_path / "tuned", init)
        assert "repeat the first command's --init" in error.value.hint
    assert (tmp_path / "tuned" / "config.json").read_bytes() == before
    resumed = tune(tmp_path / "tuned", first.path).latest_checkpoint()
    assert resumed is not None
    assert [name for name, tensor in expected[1].items() if not torch.equal(tensor, resumed[1][name])] == []


def test_a_run_killed_before_its_first_checkpoint_does_not_start_from_what_its_origin_became(
    start: Starter, tune: Starter, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=6)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "tuned", first.path, until=4)
    first.save_checkpoint(7, first.latest_checkpoint()[1])  # type: ignore[index]
    with pytest.raises(RunError, match=r"it starts from `first` at step 6 .*, now `first` at step 7"):
        tune(tmp_path / "tuned", first.path)


def test_a_run_of_random_networks_that_was_killed_early_is_not_fine_tuned(
    start: Starter, tune: Starter, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=6)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "fresh", None, until=4)
    with pytest.raises(RunError, match="it starts from random networks, now `first` at step 6"):
        tune(tmp_path / "fresh", first.path)
    assert tune(tmp_path / "fresh", None).step == 9


def test_a_run_with_a_checkpoint_resumes_without_its_origin(start: Starter, tune: Starter, tmp_path: Path) -> None:
    first = start(tmp_path / "first", steps=6)
    expected = trained_method(tune(tmp_path / "unbroken", first.path))[0].state_dict()
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "tuned", first.path, until=8)
    noted = Run.read(tmp_path / "tuned").configuration["init"]
    again = tune(tmp_path / "tuned", None)
    assert again.step == 9 and again.configuration["init"] == noted
    assert_learned(again, expected)


def test_a_run_of_an_older_version_that_noted_less_of_its_origin_starts_again(
    start: Starter, tune: Starter, tmp_path: Path
) -> None:
    first = start(tmp_path / "first", steps=6)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "tuned", first.path, until=4)
    config = tmp_path / "tuned" / "config.json"
    said = json.loads(config.read_text())
    for name in ("model", "sha256", "data_hash"):
        del said["init"][name]
    config.write_text(json.dumps(said))
    with pytest.raises(RunError, match="it starts from `test` at step 6, now random networks"):
        tune(tmp_path / "tuned", None)
    assert tune(tmp_path / "tuned", first.path).step == 9


@pytest.mark.parametrize(
    ("setting", "words", "told"),
    [
        ("both_sides=yes", "`--set both_sides=yes` keeps that", False),
        ("both_sides=no", "`--set both_sides=yes` keeps that", True),
        ("image_size=24", "was trained at 32 px, this run is at 24;", True),
        ("image_size=32", "was trained at", False),
        ("soft_light=0.0", "was trained with soft_light=0.05, this run has 0.0", True),
        ("max_light=0.5", "`--set max_light=0.8` keeps it", True),
        ("max_light=2", "may add more light", False),
        ("image_size=64 enhancers=1", "was trained at", False),
        ("image_size=48 enhancers=1", "was trained at 32 px, this run is at 48;", True),
    ],
)
def test_what_no_tensor_tells_of_the_networks_that_a_run_starts_from_is_told(
    setting: str, words: str, told: bool, prepared: PreparedSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = write_run(tmp_path / "origin")
    settings = dataclasses.asdict(METHODS["ganmut"].Config(**origin.configuration["method_config"]))
    asked = [f"{name}={','.join(map(str, v)) if isinstance(v, (list, tuple)) else v}" for name, v in settings.items()]
    sets = [part for setting in [*asked, *setting.split(), "steps=1", "batch_size=8"] for part in ("--set", setting)]
    where = ["--data", str(prepared.path), "--out", str(tmp_path / "run"), "--init", str(origin.path)]
    with pytest.raises(SystemExit) as end:
        main(["train", "smoke", *where, *sets])
    assert end.value.code == 0
    assert (words in capsys.readouterr().err) is told
