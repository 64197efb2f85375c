"""What was collected before is read for the same models and judges, and for no others that look like them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coded_world import SIZE, CodedJudge, Painter, samples
from official_made import critic_tensors, generator_tensors
from untrained import write_run

from mien.benchmark.collecting import Collector
from mien.benchmark.contestants import Contestant, Identity, open_contestants
from mien.benchmark.faces import choose_faces, read_faces
from mien.benchmark.protocol import Protocol
from mien.classifiers import Judged
from mien.conditions import Condition
from mien.prepared import PreparedSet
from mien.pretrained import export

PROTOCOL = Protocol(faces=2, sweep_faces=1, gamut_faces=1, gamut_angles=3)


def quiet(*_: Any) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def world(make_prepared: Callable[..., PreparedSet]) -> PreparedSet:
    return make_prepared(samples(6), SIZE, 3)


def collector(
    world: PreparedSet, work: Path, referee: Contestant | None = None, judges: Sequence[Any] = (CodedJudge(),)
) -> Collector:
    chosen = choose_faces(world, PROTOCOL, [judge.expressions for judge in judges])
    return Collector(world, chosen, judges, referee, PROTOCOL, work)


def opened(specification: str) -> Contestant:
    (contestant,) = open_contestants([specification])
    return contestant


@pytest.fixture
def checkpoints(tmp_path: Path) -> dict[str, str]:
    """Return one generator of four labels by several specifications: two critics, none, other names, another size."""
    torch.manual_seed(3)
    for name, tensors in (
        ("9-G.ckpt", generator_tensors(4)), ("first.ckpt", critic_tensors(4)), ("second.ckpt", critic_tensors(4)),
    ):  # fmt: skip
        torch.save(tensors, tmp_path / name)
    generator = f"official-stargan:{tmp_path / '9-G.ckpt'}"
    return {
        "alone": f"{generator},size=32",
        "larger": f"{generator},size=48",
        "renamed": f"{generator},size=32,expressions=happy+anger+sad+surprise",
        "first": f"{generator},critic={tmp_path / 'first.ckpt'}",
        "second": f"{generator},critic={tmp_path / 'second.ckpt'}",
    }


def test_a_fingerprint_is_of_all_files_names_and_sizes(checkpoints: dict[str, str]) -> None:
    facts = {name: opened(text).facts for name, text in checkpoints.items()}

    assert len({(each.name, each.sha256) for each in facts.values()}) == 1
    assert len({each.fingerprint for each in facts.values()}) == len(checkpoints)
    assert opened(checkpoints["first"]).facts.fingerprint == facts["first"].fingerprint


def test_a_generator_whose_labels_have_other_names_is_asked_anew(
    checkpoints: dict[str, str], world: PreparedSet, tmp_path: Path
) -> None:
    """Anger and happy change places: what the one paints when asked for happy, the other paints when asked for anger."""
    found = [collector(world, tmp_path).edits(opened(checkpoints[name]), quiet) for name in ("alone", "renamed")]
    anger, happy = (collector(world, tmp_path).chosen.expressions.index(name) for name in ("anger", "happy"))

    usual, renamed = (arrays["identity"] for arrays in found)
    assert not np.allclose(usual[:, happy], usual[:, anger])
    assert np.allclose(usual[:, happy], renamed[:, anger]) and np.allclose(usual[:, anger], renamed[:, happy])


def test_each_critic_of_one_generator_gives_its_own_scores(
    checkpoints: dict[str, str], world: PreparedSet, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        model = opened(checkpoints[name])
        gathered = collector(world, tmp_path, referee=model)
        scores, edits = gathered.scores(model, quiet), gathered.edits(Painter(), quiet)
        faces = read_faces(world, gathered.chosen, np.arange(len(gathered.chosen.rows)))
        asked = read_faces(world, gathered.chosen, gathered.chosen.edited)
        neutral = Painter().edit(asked, [Condition.named("neutral", 0.0)], "direct")[:, 0]
        of_photos, of_edits = model.realness(faces.images), model.realness(neutral)

        assert scores is not None and of_photos is not None and of_edits is not None
        assert np.allclose(scores, of_photos, atol=1e-4)
        assert np.allclose(edits["realness-referee"][:, 0], of_edits, atol=1e-4)
    assert collector(world, tmp_path).scores(opened(checkpoints["alone"]), quiet) is None


def test_equal_weights_with_other_settings_are_measured_anew(world: PreparedSet, tmp_path: Path) -> None:
    """The hash is of the tensors; what the JSON says of them decides too, here whether an edit is lopsided."""
    file = export(write_run(tmp_path / "run"), tmp_path / "model.safetensors")

    def mirrored() -> tuple[float, str]:
        contestant = opened(str(file))
        arrays = collector(world, tmp_path / "work").edits(contestant, quiet)
        return float(arrays["mirror"].mean()), contestant.facts.sha256

    even, weights = mirrored()
    assert even == 0 and mirrored() == (even, weights)
    assert len(list((tmp_path / "work").iterdir())) == 1  # the second time it was read
    description = json.loads(file.with_suffix(".json").read_text())
    assert description["method_config"]["both_sides"] is True
    description["method_config"]["both_sides"] = False
    file.with_suffix(".json").write_text(json.dumps(description))

    lopsided, same = mirrored()
    assert same == weights and lopsided > 0.1


def test_who_is_another_by_its_fingerprint_shares_no_part(world: PreparedSet, tmp_path: Path) -> None:
    def parts(painter: Painter) -> int:
        gathered = collector(world, tmp_path, referee=Identity())
        for collect in (gathered.edits, gathered.sweep, gathered.gamut, gathered.scores):
            collect(painter, quiet)
        return len(list(tmp_path.iterdir()))

    first, second = Painter(), Painter()
    second.facts = replace(first.facts, fingerprint="another")
    assert [parts(painter) for painter in (first, first, second, second, first)] == [4, 4, 8, 8, 8]
    assert first.calls == second.calls == 4  # two for the edits: the faces, and the mirrored ones


def test_a_judge_with_equal_weights_and_another_stride_judges_anew(world: PreparedSet, tmp_path: Path) -> None:
    class Strided(CodedJudge):
        """Sees the faces turned upside down."""

        @property
        def config(self) -> Any:
            return "stride 4"

        def judge(self, images: np.ndarray, *, mirror: bool = True, batch_size: int = 128) -> Judged:
            return super().judge(images[:, :, ::-1])

    one, other = (collector(world, tmp_path, judges=[judge]).photos(quiet) for judge in (CodedJudge(), Strided()))
    assert not np.allclose(one["probabilities-0"], other["probabilities-0"])
