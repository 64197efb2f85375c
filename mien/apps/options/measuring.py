"""What the commands that measure take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Contestants = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help="Run folders, shipped names, files, and baselines.", show_default=False),
]
Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="A run of `mien train-judge`, a .safetensors file or a shipped name; repeatable. "
        "Without one, the judges that ship.",
        show_default=False,
    ),
]
BenchOut = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="REPORT", help="The report's folder.", show_default=False)
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint",
        metavar="KIND:FILE",
        help="A checkpoint of the official code, `official-ganmut:G.ckpt` or `official-stargan:G.ckpt`; repeatable.",
        show_default=False,
    ),
]
Baselines = Annotated[
    bool,
    typer.Option(
        "--baselines",
        help="Measure the first model's untrained networks, the identity and an oracle of real photos too.",
    ),
]
ProtocolSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the protocol: faces=500, intensity=0.9, origin=any, seed=0 ..."
    ),
]
WithPictures = Annotated[
    bool, typer.Option("--pictures/--no-pictures", help="Show faces of the dataset in the report.")
]
RequestsOut = Annotated[
    Path | None,
    typer.Option(
        "--write-requests",
        metavar="DIR",
        help="Write the faces and what is asked of them, for another program to answer, and stop.",
        show_default=False,
    ),
]
BenchDevice = Annotated[str, typer.Option("--device", help="Where networks run: cpu or cuda.")]
