"""What the commands for classifiers take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Judge = Annotated[
    str,
    typer.Argument(
        metavar="PRESET", help="resnet18, resnet50, vgg16_bn, resnet18-small, vgg16_bn-small or resnet18-guide."
    ),
]
JudgeInit = Annotated[
    Path | None,
    typer.Option(
        "--init",
        metavar="FILE",
        help="Start from weights of the same architecture: torchvision's (.pth, .safetensors), or an exported judge.",
        show_default=False,
    ),
]
