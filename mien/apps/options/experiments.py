"""What `mien experiment` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Experiment = Annotated[str, typer.Argument(metavar="NAME", help="`seed1` or `open`.")]
ExperimentOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of everything that it makes: sets, runs, the report.")
]
AffWild2 = Annotated[
    Path | None, typer.Option("--affwild2", metavar="DIR", help="seed1: where Aff-Wild2 lies.", show_default=False)
]
AffectNet = Annotated[
    Path | None, typer.Option("--affectnet", metavar="DIR", help="seed1: where AffectNet lies.", show_default=False)
]
OfficialGANmut = Annotated[
    Path | None,
    typer.Option(
        "--official-ganmut",
        metavar="FILE",
        help="seed1: the checkpoint G.ckpt of GANmut's authors, as the baseline.",
        show_default="a training on AffectNet",
    ),
]
ImageNet = Annotated[
    Path | None,
    typer.Option(
        "--imagenet",
        metavar="DIR",
        help="seed1: a folder with torchvision's weights of vgg16_bn and resnet50, from which the judges start.",
        show_default=False,
    ),
]
Sizes = Annotated[
    str | None,
    typer.Option("--sizes", metavar="PIXELS", help="seed1: comma-separated, sides of images.", show_default="64,128"),
]
FER2013 = Annotated[
    Path | None, typer.Option("--fer2013", metavar="PLACE", help="open: where FER2013 lies.", show_default=False)
]
FacesWild = Annotated[
    Path | None,
    typer.Option(
        "--faces-wild",
        metavar="PLACE",
        help="open: labelled faces in the wild, in any form that `mien prepare folder` takes.",
        show_default=False,
    ),
]
Scale = Annotated[
    str | None,
    typer.Option("--scale", metavar="NAME", help="open: `small` for a CPU, `full` for a GPU.", show_default="small"),
]
ExperimentJudges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="A run of `mien train-judge`, a .safetensors file or a shipped name; repeatable. Without one, seed1 trains "
        "two, and open takes those that ship.",
        show_default=False,
    ),
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of every generator's training; repeatable."),
]
ExperimentDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Where detectors run and the report is computed; trainings take a GPU where there is one.",
        show_default="cuda where there is one",
    ),
]
PlanOnly = Annotated[bool, typer.Option("--dry-run", help="Print every step with its expected time, and stop.")]
