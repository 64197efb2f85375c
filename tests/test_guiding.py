"""Frozen classifiers that teach a generator beside its critic."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mien.benchmark.numbers import is_guided
from mien.benchmark.outcome import ContestantFacts, JudgeFacts
from mien.classifiers import export_classifier, load_classifier, load_guide
from mien.classifiers.settings import configure
from mien.errors import ConfigError, RunError
from mien.expressions import BASIC
from mien.guiding import Guide
from mien.lineage import edited_faces, guides_of
from mien.methods import METHODS
from mien.methods.base import Batch, Method, guided
from mien.methods.ganmut import GANmutConfig
from mien.prepared import PreparedSet
from mien.pretrained import export, starting_point
from mien.runs import Run
from mien.training import TrainConfig, train

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """Knows two expressions: `happy` where an image is bright, `sad` where it is dark."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of happy and sad."""
        mean = images.mean((1, 2, 3))
        return torch.stack([mean, -mean], dim=1)


def by_brightness(**changes: Any) -> Guide:
    return dataclasses.replace(Guide("bright", "b" * 64, Brightness(), ("happy", "sad"), 8, 1), **changes)


def test_logits_come_in_the_methods_order_and_gradients_go_to_the_images() -> None:
    images = torch.full((2, 1, 16, 16), 0.25)
    images[1] = -0.5
    images.requires_grad_()
    logits = by_brightness().logits(("sad", "happy"), CPU)(images)
    assert torch.allclose(logits, torch.tensor([[-0.25, 0.25], [0.5, -0.5]]), atol=1e-6)
    logits[0, 1].backward()
    assert images.grad is not None
    assert images.grad[0].sum().item() == pytest.approx(1.0, abs=1e-5)  # of a mean, whatever the side
    assert not images.grad[1].any()


def test_images_in_colour_are_seen_as_the_guide_takes_them() -> None:
    red = torch.full((1, 3, 8, 8), -1.0)
    red[:, 0] = 1.0
    assert by_brightness().logits(("happy",), CPU)(red).item() == pytest.approx(2 * 0.299 - 1, abs=1e-6)
    grey = torch.full((1, 1, 8, 8), 0.5)
    assert by_brightness(image_channels=3).logits(("happy",), CPU)(grey).item() == pytest.approx(0.5, abs=1e-6)


def test_a_guide_that_does_not_know_an_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match="`bright` does not know fear") as caught:
        by_brightness().logits(("happy", "fear"), CPU)
    assert "--guide" in caught.value.hint


def test_the_term_is_the_weighted_mean_over_the_guides() -> None:
    config = GANmutConfig(lambda_guide=3.0)
    images = torch.zeros(1, 1, 4, 4)
    one, two = (lambda _, value=value: torch.full((1, 2), value) for value in (1.0, 3.0))
    terms = guided(config, [one, two], images, lambda logits: logits.sum())
    assert {name: value.item() for name, value in terms.items()} == {"guide": 3 * (2.0 + 6.0) / 2}
    assert guided(config, [], images, lambda logits: logits.sum()) == {}


def last_of(method: Method, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return list(method.updates(batch, 0))[-1][1]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_asks_its_guides_what_it_asks_its_critic(name: str) -> None:
    """Of a guide that says what the critic's head says, the loss is the critic's."""
    torch.manual_seed(0)
    settings = {"image_size": 16, "image_channels": 1, "generator_channels": 4, "generator_blocks": 1}
    settings |= {"critic_channels": 4, "critic_layers": 2, "critic_steps": 1, "cutout": 0.4, "lambda_guide": 2.0}
    kind = METHODS[name]
    method = kind(kind.Config(**settings, **({"lambda_prediction": 1.0} if name == "ganmut-gaussian" else {})))
    images = torch.rand(16, 1, 16, 16) * 2 - 1
    batch = Batch(images, torch.arange(16) % len(method.config.expressions))
    without = last_of(method, batch)
    assert "guide" not in without
    method.guides = [lambda seen: method.critic(seen).heads[0]]
    terms = last_of(method, batch)
    same = "prediction" if name == "ganmut-gaussian" else "cls"
    weight = method.config.lambda_prediction if name == "ganmut-gaussian" else method.config.lambda_cls
    assert terms["guide"].item() == pytest.approx(2.0 * terms[same].item() / weight, rel=1e-5)
    assert {key: terms[key].item() for key in without} == {key: value.item() for key, value in without.items()}
    assert not any("guide" in key for key in method.state_dict())


@pytest.fixture
def guide() -> Guide:
    """Return a judge that ships as a guide."""
    return load_guide("judge-resnet18")


def test_a_run_notes_its_guides_and_so_do_all_that_go_on_from_it(
    guide: Guide, prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    def go(out: str, *, steps: int = 2, **more: Any) -> Run:
        loop = dataclasses.replace(tiny_loop, steps=steps)
        return train("test", "ganmut", tiny_ganmut, loop, prepared.path, tmp_path / out, **more)

    plain = go("plain")
    assert guides_of(plain.configuration) == [] == guides_of(starting_point(plain.path).facts)
    run = go("guided", guides=[guide])
    assert all("generator/guide" in line for line in run.stats())
    assert guides_of(run.configuration) == [guide.facts]
    go("guided", guides=[dataclasses.replace(guide, name="moved")])  # resumes, wherever the guide lies by now
    with pytest.raises(ConfigError, match="given twice"):
        go("twice", guides=[guide, dataclasses.replace(guide, name="again")])
    with pytest.raises(RunError, match="another configuration"):
        go("guided")
    with pytest.raises(RunError, match="another configuration"):
        go("plain", guides=[guide])
    exported = export(run, tmp_path / "guided.safetensors")
    description = json.loads(exported.with_suffix(".json").read_text(encoding="utf-8"))
    assert guides_of(description) == [guide.facts]
    after = go("after", init=starting_point(exported))
    assert guides_of(after.configuration) == [guide.facts]
    last = export(go("last", init=starting_point(after.path)), tmp_path / "last.safetensors")
    assert guides_of(json.loads(last.with_suffix(".json").read_text(encoding="utf-8"))) == [guide.facts]


def test_a_run_from_before_guides_resumes(
    prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    def go() -> Run:
        return train("test", "ganmut", tiny_ganmut, tiny_loop, prepared.path, tmp_path / "run")

    run = go()
    file = run.path / "config.json"
    file.write_text(json.dumps({key: value for key, value in run.configuration.items() if key != "guides"}))
    assert go().step == run.step


def test_a_guide_without_weight_is_refused(
    guide: Guide, prepared: PreparedSet, tiny_ganmut: GANmutConfig, tiny_loop: TrainConfig, tmp_path: Path
) -> None:
    silent = dataclasses.replace(tiny_ganmut, lambda_guide=0.0)
    with pytest.raises(ConfigError, match=r"lambda_guide is 0\.0"):
        train("test", "ganmut", silent, tiny_loop, prepared.path, tmp_path / "run", guides=[guide])
    assert not (tmp_path / "run").exists()


def test_edits_come_to_please_a_guide(prepared: PreparedSet, tiny_loop: TrainConfig, tmp_path: Path) -> None:
    """A guide that calls bright faces happy makes a generator paint them bright, though the critic says nothing."""

    class Bright(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = images.new_zeros(len(images), len(BASIC))
            logits[:, BASIC.index("happy")] = 20 * images.mean((1, 2, 3))
            return logits

    from mien.training import edited_to, trained_method

    config = GANmutConfig(
        image_size=16, image_channels=1, generator_channels=8, generator_blocks=1, critic_channels=8, critic_layers=2,
        critic_steps=1, num_free_codes=2, axes="spread", targets="uniform", lambda_cls=0.0, lambda_rec=0.0,
        lambda_info_generator=0.0, lambda_rho=0.0, penalty="none", learning_rate=2e-3, lambda_guide=10.0,
        adversarial="non-saturating",
    )  # fmt: skip
    loop = dataclasses.replace(tiny_loop, steps=60, ema_decay=0.0)
    guide = Guide("bright", "b" * 64, Bright(), BASIC, 16, 1)
    run = train("test", "ganmut", config, loop, prepared.path, tmp_path / "run", guides=[guide])
    method, _ = trained_method(run)
    faces = torch.zeros(4, 1, 16, 16)
    happy, sad = (edited_to(method, faces, name, 1.0).mean().item() for name in ("happy", "sad"))
    assert happy > sad + 0.2


def test_a_guide_is_known_as_the_judge_that_was_exported_from_it(tmp_path: Path) -> None:
    config, recipe = configure("vgg16_bn-small", {"width": 4, "image_size": 32})
    torch.manual_seed(3)
    tensors = {f"network.{key}": tensor for key, tensor in config.build().state_dict().items()}
    sections = {"classifier": dataclasses.asdict(config), "recipe": dataclasses.asdict(recipe)}
    run = Run.open(tmp_path / "run", {"format": 1, "preset": "x", "data": {"hash": "0" * 64}, **sections})
    run.save_checkpoint(40, tensors)
    exported = export_classifier(run, tmp_path / "judge.safetensors")
    teacher, judge = load_guide(run.path), load_classifier(exported)
    assert load_classifier(run.path).sha256 != judge.sha256
    assert teacher.sha256 == load_guide(exported).sha256 == judge.fingerprint
    facts = ContestantFacts("taught", "model", "", BASIC, guides=(teacher.sha256,))
    assert is_guided(facts, JudgeFacts("judge", judge.sha256, "vgg16_bn", BASIC, judge.fingerprint))
    assert not is_guided(facts, JudgeFacts("other", judge.sha256, "vgg16_bn", BASIC, "0" * 64))


def test_damaged_descriptions_guide_nobody() -> None:
    broken = {
        "training": {"guides": [{"sha256": None}, "x", {"name": "y"}], "init": {"guides": 3}, "data": {"edited": None}}
    }
    assert guides_of(broken) == [] and edited_faces(broken) == 0
