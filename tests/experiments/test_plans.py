"""The plans of both studies, against the lists that Surani's paper and the issue write down, checked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from mien.apps.cli import app
from mien.errors import ConfigError
from mien.experiments import Plan, open_study, seed1
from mien.experiments.steps import Bench, Combine, Prepare, Train, TrainJudge

OUT = Path("out")


def study(**changes: object) -> Plan:
    return seed1(Path("wild"), Path("affectnet"), OUT, **changes)  # pyright: ignore[reportArgumentType]


def small(**changes: object) -> Plan:
    return open_study(Path("fer"), Path("faces"), OUT, **changes)  # pyright: ignore[reportArgumentType]


def titles(plan: Plan, kind: type = object) -> list[str]:
    return [step.title for step in plan.steps if isinstance(step, kind)]


def test_seed1_trains_what_the_paper_trains() -> None:
    plan = study()
    assert titles(plan)[:6] == [
        "prepare Aff-Wild2, faces by mtcnn",
        "prepare AffectNet, faces by mtcnn",
        "combine aff-wild2-mtcnn and affectnet-mtcnn",
        "prepare Aff-Wild2, faces by retinaface",
        "prepare AffectNet, faces by retinaface",
        "combine aff-wild2-retinaface and affectnet-retinaface",
    ]
    assert titles(plan)[6:9] == ["prepare AffectNet", "train the judge vgg16_bn", "train the judge resnet50"]
    crossed = [
        f"train {data} / {detector} / {size}"
        for data in ("Aff-Wild2", "Combined", "AffectNet")
        for detector in ("MTCNN", "RetinaFace")
        for size in (64, 128)
    ]
    assert titles(plan, Train) == crossed and len(plan.steps) == 6 + 3 + 12 + 1


def test_seed1_with_the_official_checkpoint_trains_no_baseline() -> None:
    plan = study(official=Path("G.ckpt"), sizes=(128,))
    assert titles(plan, Train) == [
        "train Aff-Wild2 / MTCNN / 128", "train Aff-Wild2 / RetinaFace / 128",
        "train Combined / MTCNN / 128", "train Combined / RetinaFace / 128",
    ]  # fmt: skip
    assert plan.steps[-1].command[1:6] == (
        "Aff-Wild2 / MTCNN / 128=out/runs/aff-wild2-mtcnn-128",
        "Aff-Wild2 / RetinaFace / 128=out/runs/aff-wild2-retinaface-128",
        "Combined / MTCNN / 128=out/runs/combined-mtcnn-128",
        "Combined / RetinaFace / 128=out/runs/combined-retinaface-128",
        "GANmut=official-ganmut:G.ckpt",
    )


def test_the_commands_of_seed1_are_the_papers_recipe() -> None:
    steps = {step.title: " ".join(step.command) for step in study(settings=("steps=9",)).steps}
    assert steps["prepare Aff-Wild2, faces by retinaface"] == (
        "prepare affwild2 wild --out out/sets/aff-wild2-retinaface --size 128 --detector retinaface --option every=5"
    )
    assert steps["prepare AffectNet"] == (
        "prepare affectnet affectnet --out out/sets/affectnet-as-cut --size 128 --detector none --option contempt=no"
    )
    assert steps["train the judge resnet50"] == (
        "train-judge resnet50 --data out/sets/affectnet-as-cut --out out/judges/resnet50 "
        "--set balance=1 --set image_size=128"
    )
    # The preset is of 128 pixels: only the other size must be said.
    assert steps["train Combined / MTCNN / 128"] == (
        "train ganmut-affectnet --data out/sets/combined-mtcnn --out out/runs/combined-mtcnn-128 --set steps=9"
    )
    assert "--set image_size=64 --set steps=9" in steps["train Combined / MTCNN / 64"]


def test_judges_start_from_imagenet_where_it_can_be_had(tmp_path: Path) -> None:
    (tmp_path / "vgg16_bn-6c64b313.pth").touch()
    with pytest.raises(ConfigError, match="no weights of resnet50"):
        study(imagenet=tmp_path)
    (tmp_path / "resnet50.safetensors").touch()
    judges = [step for step in study(imagenet=tmp_path).steps if isinstance(step, TrainJudge)]
    assert [step.init and step.init.name for step in judges] == ["vgg16_bn-6c64b313.pth", "resnet50.safetensors"]
    assert all("unfreeze_after=5" in step.settings for step in judges)


def test_given_judges_are_not_trained() -> None:
    plan = study(judges=("a", "b"))
    assert not titles(plan, TrainJudge) and "prepare AffectNet" not in titles(plan)
    assert isinstance(plan.steps[-1], Bench) and plan.steps[-1].judges == ("a", "b")


@pytest.mark.parametrize(("scale", "size"), [("small", 52), ("full", 64)])
def test_open_crosses_three_sets_with_the_detectors(scale: str, size: int) -> None:
    plan = small(scale=scale)
    assert titles(plan, Train) == [
        f"train {data} / {detector} / {size}"
        for data in ("FER2013", "Faces-Wild", "Combined")
        for detector in ("MTCNN", "RetinaFace")
    ]
    assert titles(plan, TrainJudge) == ["train the judge resnet18", "train the judge vgg16_bn"]
    shares = [step.source.share for step in plan.steps if isinstance(step, Prepare)]
    assert shares == ([0.25, 1.0] * 2 if scale == "small" else [1.0] * 4)


def test_open_goes_without_a_detector_that_cannot_be_had() -> None:
    plan = small(detectors=("mtcnn",), judges=("j",))
    assert [step.title.split()[0] for step in plan.steps] == [
        "prepare",
        "prepare",
        "combine",
        *["train"] * 3,
        "measure",
    ]


@pytest.mark.parametrize("plan", [study(), study(official=Path("G.ckpt")), small(), small(scale="full")])
def test_each_step_needs_only_what_is_there_before_it(plan: Plan) -> None:
    made: list[Path] = []
    for step in plan.steps:
        needed = (
            list(step.parents) if isinstance(step, Combine)
            else [step.data] if isinstance(step, Train | TrainJudge)
            else [step.data, *map(Path, step.judges), *(Path(s) for _, s in step.models if ":" not in s)]
            if isinstance(step, Bench) else []
        )  # fmt: skip
        assert set(needed) <= set(made), step.title
        assert step.out not in made and step.out.is_relative_to(OUT)
        made.append(step.out)


@pytest.mark.parametrize("plan", [study(settings=("steps=9",), show=(Path("p.png"),)), study(device="cuda"), small()])
def test_every_command_is_one_that_the_command_line_takes(plan: Plan) -> None:
    commands = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    for step in plan.steps:
        name, *arguments = step.command
        assert commands[name].make_context(name, list(arguments)).params["out"] == step.out


def test_all_models_are_measured_on_the_same_faces() -> None:
    report = study().steps[-1]
    assert isinstance(report, Bench) and report.data == OUT / "sets" / "combined-mtcnn"
    combination = next(step for step in study().steps if step.out == report.data)
    assert "--without-leaks" in combination.command
