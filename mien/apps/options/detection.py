"""What the study of detectors takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyData = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A folder of images, a CSV `path,expression`, Parquet, or `drawn`: faces with known truth."
    ),
]
StudyDetectors = Annotated[
    list[str] | None,
    typer.Option(
        "--detector", metavar="NAME", show_default="mtcnn and retinaface", help="A detector to try; repeatable."
    ),
]
StudyThresholds = Annotated[
    str, typer.Option("--threshold", metavar="NUMBERS", help="Comma-separated: the confidences to try.")
]
StudyPaddings = Annotated[
    str | None,
    typer.Option(
        "--padding",
        metavar="NUMBERS",
        show_default="what suits the detector",
        help="Comma-separated: by which share of its side an image that is cut round a face is continued.",
    ),
]
StudyFace = Annotated[
    str | None,
    typer.Option(
        "--face",
        metavar="WHICH",
        show_default="largest for drawn, else cut",
        help="`cut`: the images are cut round a face already; `largest` or `confident`: they are scenes.",
    ),
]
StudyLimit = Annotated[
    int | None, typer.Option("--limit", metavar="COUNT", min=1, help="Search so many images, evenly spaced.")
]
StudyOut = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Folder for study.json, study.md, study.png."),
]
