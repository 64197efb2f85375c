"""What the commands for prepared sets take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PreparedSets = Annotated[list[Path], typer.Argument(metavar="DIR", help="Prepared sets of `mien prepare`.")]
PreparedFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A prepared set of `mien prepare`.")]
Balance = Annotated[
    str,
    typer.Option(
        metavar="BY",
        help="Leave out training images until groups are equal: by `sources` (the sets given), `expressions`, or `none`.",
    ),
]
Ratio = Annotated[
    float,
    typer.Option(metavar="NUMBER", min=1.0, help="With --balance: how many times the smallest group one may be."),
]
NewSize = Annotated[
    int | None,
    typer.Option(
        "--size", metavar="PIXELS", min=16, max=1024, show_default="as they are", help="Resize all images to this side."
    ),
]
ChoiceSeed = Annotated[int, typer.Option("--seed", metavar="NUMBER", help="With --balance: another choice of images.")]
WithoutLeaks = Annotated[
    bool,
    typer.Option("--without-leaks", help="Leave out pictures of validation and test that an earlier split has too."),
]
LeaveOutList = Annotated[
    str | None,
    typer.Option(
        "--leave-out",
        metavar="LIST",
        show_default=False,
        help="Leave out images: a file with a key in each line, or `fer2013-covered`, FER2013's faces behind hands.",
    ),
]
FilledUp = Annotated[
    list[str] | None,
    typer.Option(
        "--expression",
        "-e",
        metavar="NAME",
        show_default="all that set and model know; neutral only with --of any",
        help="Fill up this expression; repeatable.",
    ),
]
FilledTo = Annotated[
    int | None,
    typer.Option(
        "--count",
        metavar="NUMBER",
        min=1,
        show_default="as many as the most frequent has",
        help="Training images that each expression is to have.",
    ),
]
EditedIntensities = Annotated[
    str,
    typer.Option(
        "--intensity", "-i", metavar="FROM:TO", help="Each edit has its own intensity between these, 0.01 to 1."
    ),
]
EditedOrigin = Annotated[
    str,
    typer.Option(
        "--of",
        metavar="WHICH",
        help="Which training faces are edited: `neutral` ones, or `any` that look otherwise; then neutral is filled, too.",
    ),
]
EditsJudge = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        show_default=False,
        help="Take only edits in which this classifier sees what was asked: a run of `mien train-judge`, a .safetensors "
        "file or a shipped name, `judge-vgg16`.",
    ),
]
EditsSeed = Annotated[int, typer.Option("--seed", metavar="NUMBER", help="Another choice of faces and intensities.")]
ReportOut = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="REPORT", show_default=False, help="Folder for a report with pictures."),
]
Near = Annotated[
    bool,
    typer.Option(
        "--near/--no-near",
        help="Search for nearly the same and mirrored pictures too; takes long from 300,000 images on.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with code 1 where splits share pictures or subjects.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ImagesOut = Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="An empty or a new folder for the images.")]
Form = Annotated[str, typer.Option("--format", metavar="NAME", help="`folders` or `ganmut`.")]
