"""What training, exporting and sharing models take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Preset = Annotated[str, typer.Argument(metavar="PRESET", help="`mien presets` lists them.")]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        metavar="MODEL",
        help="Fine-tune: start from the networks of a run folder, a shipped model or a .safetensors file.",
        show_default=False,
    ),
]
Devices = Annotated[
    int,
    typer.Option(
        metavar="COUNT",
        min=1,
        max=1024,
        help="GPUs of this machine that share each batch; without a GPU: processes. The result does not depend on it.",
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        min=0.0,
        show_default="no limit",
        help="Stop after this time with a checkpoint and exit code 75; the same command goes on.",
    ),
]
LoadingWorkers = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="COUNT",
        min=0,
        max=256,
        help="Processes per device that read ahead, where the set is too large to be kept in memory.",
    ),
]
LoggedRuns = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Run folders of `mien train` or `mien train-judge`.")
]
CurvesOut = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FILE", help=".png, .svg or .pdf; or .csv, with every number that was logged."),
]
Progress = Annotated[
    str,
    typer.Option("--over", metavar="UNIT", help="What is along x: `steps`, `images`, or `minutes` (without pauses)."),
]
Exported = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A run folder of `mien train`, a shipped model's name, or a .safetensors file."
    ),
]
InfoModel = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        show_default=False,
        help="What --model of the other commands takes; the one that ships where none is given.",
    ),
]
WeightsOut = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FILE", help="NAME.safetensors, beside which a JSON goes, or NAME.onnx, which is whole."
    ),
]
ExportTo = Annotated[
    str | None,
    typer.Option("--to", metavar="KIND", show_default="as --out ends", help="`safetensors` or `onnx`."),
]
Opset = Annotated[
    int | None, typer.Option(metavar="NUMBER", show_default="20", help="ONNX: the version of the operators, 18 to 23.")
]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="A new folder, or `hf://user/name` for a repository on the hub.")
]
ModelPlace = Annotated[
    str, typer.Argument(metavar="SOURCE", help="`hf://user/name`, `@revision` may follow; or a folder of `mien push`.")
]
ModelFolderOut = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The new folder.")]
WithOnnx = Annotated[bool, typer.Option("--onnx", help="Add model.onnx, for those who have no torch.")]
Public = Annotated[bool, typer.Option("--public", help="Let everybody see a repository that is made now.")]
WatchingJudges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="Log how this classifier judges edits of validation faces: a run of `mien train-judge`, a .safetensors file "
        "or a shipped name, `judge-vgg16`; repeatable.",
        show_default=False,
    ),
]
Guides = Annotated[
    list[str] | None,
    typer.Option(
        "--guide",
        metavar="CLASSIFIER",
        help="Let this classifier tell the generator, too, what its edits look like (weight: lambda_guide): a run of "
        "`mien train-judge` or a .safetensors file; repeatable. It can no longer judge the model.",
        show_default=False,
    ),
]
