"""Judges learn; a killed training resumes to the bit; frozen is frozen; the loss is the one that is written down."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.batches import Batches
from mien.classifiers import ClassifierConfig, Recipe, load_classifier, train_classifier
from mien.classifiers.published import start_from
from mien.classifiers.report import measure_classifier
from mien.classifiers.training import JudgeProgress, change_light, cover, learning_rate_share, soft_targets
from mien.datasets import Sample
from mien.errors import ConfigError, DataError, RunError, WeightsError
from mien.expressions import BASIC
from mien.prepared import PreparedSet
from mien.runs import Run

#: Dropout in two places, and nothing that divides anything else: 70 images give 8 steps an epoch.
TINY = ClassifierConfig(
    "resnet18", image_size=32, image_channels=1, width=4, stem_stride=2, hidden=(6,), dropout=0.3
)  # fmt: skip
SHORT = Recipe(epochs=2, batch_size=8, warmup_steps=3, seed=5, log_every=4, checkpoint_every=5)


def stats(run: Run) -> list[dict[str, float]]:
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in run.stats()]


def tensors(run: Run) -> dict[str, Tensor]:
    latest = run.latest_checkpoint()
    assert latest is not None
    return latest[1]


# --- learning ----------------------------------------------------------------------------------------------------


def test_a_tiny_network_learns_drawn_faces(learned: Run, faces: PreparedSet) -> None:
    facts = measure_classifier(load_classifier(learned.path), faces)
    accuracy = next(score["value"] for score in facts["scores"] if score["measure"] == "judge-accuracy")
    assert facts["n"] == 42 and accuracy > 0.6  # chance is one in seven; persons of validation were never seen
    losses = [line["loss"] for line in learned.stats()]
    assert losses[-1] < 0.5 * losses[0]


# --- resuming ----------------------------------------------------------------------------------------------------


class KilledError(Exception):
    pass


def test_a_killed_training_resumes_to_the_bit(prepared: PreparedSet, tmp_path: Path) -> None:
    def killed(progress: JudgeProgress) -> None:
        if progress.step == 12:  # two steps after a checkpoint, and behind a line of losses
            raise KilledError

    unbroken = train_classifier("t", TINY, SHORT, prepared.path, tmp_path / "unbroken")
    with pytest.raises(KilledError):
        train_classifier("t", TINY, SHORT, prepared.path, tmp_path / "broken", report=killed)
    assert Run.read(tmp_path / "broken").latest_checkpoint()[0] == 10  # type: ignore[index]
    seen: list[int] = []
    resumed = train_classifier(
        "t", TINY, SHORT, prepared.path, tmp_path / "broken", report=lambda progress: seen.append(progress.step)
    )
    assert seen == [12, 15, 16]
    one, other = tensors(unbroken), tensors(resumed)
    assert one.keys() == other.keys() and [name for name in one if not torch.equal(one[name], other[name])] == []
    assert stats(unbroken) == stats(resumed) and [line["step"] for line in stats(resumed)] == [4, 5, 8, 10, 12, 15, 16]


def test_a_finished_run_is_left_alone(prepared: PreparedSet, tmp_path: Path) -> None:
    run = train_classifier("t", TINY, SHORT, prepared.path, tmp_path / "run")
    file = run.path / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("init") is None
    file.write_text(json.dumps(config))  # as runs were written that know no start
    before = {path: path.stat().st_mtime_ns for path in (run.path / "checkpoints").iterdir()}
    train_classifier("t", TINY, SHORT, prepared.path, run.path, report=lambda progress: pytest.fail("a step"))
    assert {path: path.stat().st_mtime_ns for path in (run.path / "checkpoints").iterdir()} == before


def test_a_run_resumes_though_it_is_older_than_a_setting(prepared: PreparedSet, tmp_path: Path) -> None:
    run = train_classifier("t", TINY, SHORT, prepared.path, tmp_path / "run")
    file = run.path / "config.json"
    config = json.loads(file.read_text())
    del config["classifier"]["pooled"], config["recipe"]["unfreeze_after"], config["recipe"]["balance"]
    file.write_text(json.dumps(config))
    train_classifier("t", TINY, SHORT, prepared.path, run.path, report=lambda progress: pytest.fail("a step"))
    with pytest.raises(RunError, match=r"balance: 0\.5 there, 1\.0 now"):  # it had the default then
        train_classifier("t", TINY, dataclasses.replace(SHORT, balance=1.0), prepared.path, run.path)


def test_a_second_training_is_kept_out(prepared: PreparedSet, tmp_path: Path) -> None:
    refused: list[int] = []

    def try_again(progress: JudgeProgress) -> None:
        if progress.step == 8:
            with pytest.raises(RunError, match="another process is training into"):
                train_classifier("t", TINY, SHORT, prepared.path, tmp_path / "run")
            refused.append(progress.step)

    run = train_classifier("t", TINY, SHORT, prepared.path, tmp_path / "run", report=try_again)
    assert refused == [8] and [line["step"] for line in stats(run)] == [4, 5, 8, 10, 12, 15, 16]
    assert not (run.path / "training.lock").exists()


def test_dropout_and_augmentation_follow_from_the_seed(prepared: PreparedSet, tmp_path: Path) -> None:
    recipe = dataclasses.replace(SHORT, epochs=1, log_every=1)
    same = [stats(train_classifier("t", TINY, recipe, prepared.path, tmp_path / name)) for name in "ab"]
    other = stats(train_classifier("t", TINY, dataclasses.replace(recipe, seed=6), prepared.path, tmp_path / "c"))
    assert same[0] == same[1] != other


# --- the loss ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def voted(make_prepared: Callable[..., PreparedSet]) -> PreparedSet:
    """Return 40 images of noise whose annotators disagreed."""
    random = np.random.default_rng(3)
    samples = []
    for index in range(40):
        votes = random.dirichlet(np.ones(7)).round(3)
        if index % 2:  # every other label is what most people voted
            votes = np.roll(votes, index % 7 - int(votes.argmax()))
        pixels = random.integers(0, 256, (16, 16, 1), np.uint8).repeat(3, 2)
        shares = (*(votes / votes.sum()).tolist(), 0.0)
        samples.append(Sample(f"{index:02}", lambda pixels=pixels: pixels, BASIC[index % 7], "train", "n", shares))
    return make_prepared(samples)


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_with_votes_or_labels(
    voted: PreparedSet, tmp_path: Path, soft: bool, smoothing: float
) -> None:
    config = dataclasses.replace(TINY, dropout=0.0)
    recipe = Recipe(
        epochs=1, batch_size=8, augmentation="none", log_every=1, soft_labels=soft, label_smoothing=smoothing, balance=0
    )
    run = train_classifier("t", config, recipe, voted.path, tmp_path / "run")
    torch.manual_seed(recipe.seed)
    network = config.build()  # in training mode, as it was at the first step
    batch = Batches(voted, BASIC, image_size=32, image_channels=1, batch_size=8, seed=0).draw(0)
    assert batch.shares is not None and batch.shares.max() < 1
    alone = torch.eye(7)[batch.labels]
    agreed = batch.shares.argmax(1) == batch.labels
    assert agreed.any() and not agreed.all()
    wanted = torch.stack([v if soft and a else o for v, a, o in zip(batch.shares, agreed, alone, strict=True)])
    wanted = wanted * (1 - smoothing) + smoothing / 7
    log = network(batch.images).detach().double().log_softmax(1)
    assert run.stats()[0]["loss"] == pytest.approx(float(-(wanted * log).sum(1).mean()), abs=1e-5)


def test_votes_are_learned_where_they_do_not_contradict_the_label() -> None:
    votes = torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    labels = torch.tensor([0, 1, 1, 2])
    expected = [[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]  # a draw is no contradiction
    assert torch.equal(soft_targets(votes, labels), torch.tensor(expected))


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "share"),
    [
        ("cosine", 0, 0, 1.0),
        ("cosine", 0, 50, 0.5),
        ("cosine", 0, 75, 0.5 - math.sqrt(0.5) / 2),
        ("cosine", 10, 4, 0.5 * (0.5 + 0.5 * math.cos(0.04 * math.pi))),
        ("steps", 0, 49, 1.0),
        ("steps", 0, 50, 0.1),
        ("steps", 0, 74, 0.1),
        ("steps", 0, 75, 0.01),
        ("constant", 4, 0, 0.25),
        ("constant", 4, 3, 1.0),
        ("constant", 4, 99, 1.0),
    ],
)
def test_the_learning_rate_goes_as_the_schedule_says(schedule: Any, warmup: int, step: int, share: float) -> None:
    recipe = Recipe(schedule=schedule, warmup_steps=warmup)
    assert learning_rate_share(recipe, step, 100) == pytest.approx(share)


# --- what is frozen ----------------------------------------------------------------------------------------------


def test_frozen_parts_keep_weights_and_statistics(prepared: PreparedSet, tmp_path: Path) -> None:
    torch.manual_seed(9)
    torch.save(TINY.build().state_dict(), tmp_path / "start.pth")
    start = TINY.build()
    start_from(start, tmp_path / "start.pth")
    states = [start.state_dict()]

    def keep(progress: JudgeProgress) -> None:
        if progress.step in (9, 17):  # the first step after an epoch of 8
            states.append(_network(Run.read(tmp_path / "run")))

    recipe = dataclasses.replace(SHORT, epochs=3, unfreeze_after=(1, 2), checkpoint_every=8, log_every=1)
    run = train_classifier("t", TINY, recipe, prepared.path, tmp_path / "run", tmp_path / "start.pth", keep)
    states.append(_network(run))
    body = {name for name in states[0] if not name.startswith(("fc.", "dense.", "layer4."))}
    block = {name for name in states[0] if name.startswith("layer4.")}
    moved = [
        {name for name in after if not torch.equal(before[name], after[name])}
        for before, after in itertools.pairwise(states)
    ]
    assert not moved[0] & (body | block) and {"fc.weight", "dense.0.weight"} <= moved[0]
    assert not moved[1] & body and block <= moved[1]  # norms' means, variances and counts too
    assert body <= moved[2]


def _network(run: Run) -> dict[str, Tensor]:
    return {
        name.removeprefix("network."): tensor for name, tensor in tensors(run).items() if name.startswith("network.")
    }


# --- augmentation ------------------------------------------------------------------------------------------------


def test_a_cover_is_a_grey_rectangle_of_at_most_half_the_side() -> None:
    torch.manual_seed(0)
    images = torch.full((200, 1, 32, 32), 0.7)
    result = cover(images, probability=1.0)
    covered = result[:, 0] == 0
    assert torch.equal(result[result != 0], images[result != 0])
    for one in covered:
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns[None])  # whole: rows times columns
        assert rows.sum() <= 17 and columns.sum() <= 17
    # A square that fits has a quarter to a half of the side; those at the border are cut.
    assert 6 <= covered.any(2).sum(1).float().median() <= 14
    assert torch.equal(cover(images, probability=0.0), images)
    assert 60 <= (cover(images) == 0).any(3).any(2).sum() <= 140


def test_light_changes_within_its_bounds() -> None:
    torch.manual_seed(0)
    images = torch.tensor([-0.2, 0.2]).reshape(1, 1, 1, 2).expand(500, 1, 1, 2)
    low, high = change_light(images)[:, 0, 0].unbind(1)
    contrast, brightness = (high - low) / 0.4, (high + low) / 2
    assert 0.7 <= contrast.min() < 0.75 and 1.25 < contrast.max() <= 1.3001
    assert -0.25 <= brightness.min() < -0.22 and 0.22 < brightness.max() <= 0.25
    assert change_light(torch.ones(50, 1, 2, 2)).max() == 1


# --- what cannot be trained --------------------------------------------------------------------------------------


def test_what_cannot_be_trained_is_refused_and_leaves_no_folder(prepared: PreparedSet, tmp_path: Path) -> None:
    def refused(kind: type[Exception], match: str, config: ClassifierConfig = TINY, **changes: Any) -> None:
        init = changes.pop("init", None)
        with pytest.raises(kind, match=match) as error:
            train_classifier("t", config, dataclasses.replace(SHORT, **changes), prepared.path, tmp_path / "run", init)
        assert error.value.hint  # type: ignore[attr-defined]
        assert not (tmp_path / "run").exists()

    refused(DataError, "a batch needs 80", batch_size=80)
    refused(DataError, "no training images of contempt", dataclasses.replace(TINY, expressions=("happy", "contempt")))
    refused(WeightsError, "no file", init=tmp_path / "none.pth")
    refused(ConfigError, "the body has learned nothing", unfreeze_after=(1,))


def test_another_recipe_and_another_start_do_not_resume(prepared: PreparedSet, tmp_path: Path) -> None:
    torch.save(TINY.build().state_dict(), tmp_path / "start.pth")
    run = tmp_path / "run"
    train_classifier("t", TINY, SHORT, prepared.path, run, tmp_path / "start.pth")
    with pytest.raises(RunError, match="init"):
        train_classifier("t", TINY, SHORT, prepared.path, run)
    with pytest.raises(RunError, match="epochs: 2 there, 3 now"):
        train_classifier("t", TINY, dataclasses.replace(SHORT, epochs=3), prepared.path, run, tmp_path / "start.pth")


def test_too_little_memory_is_an_error_for_people(
    prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.classifiers.training.change_light", lambda images: torch.empty(1 << 60))
    with pytest.raises(RunError, match="needs more memory than there is") as error:
        train_classifier("t", TINY, SHORT, prepared.path, tmp_path / "run")
    assert "lower batch_size" in error.value.hint


def test_a_diverged_training_stops_before_it_writes_a_checkpoint(prepared: PreparedSet, tmp_path: Path) -> None:
    recipe = dataclasses.replace(SHORT, learning_rate=1e20, warmup_steps=0)
    with pytest.raises(RunError, match="diverged before step 4") as error:
        train_classifier("t", TINY, recipe, prepared.path, tmp_path / "run")
    assert "lower learning_rate" in error.value.hint
    assert Run.read(tmp_path / "run").latest_checkpoint() is None
