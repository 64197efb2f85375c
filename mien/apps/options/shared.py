"""What commands of several kinds take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Photo = Annotated[Path, typer.Argument(metavar="PHOTO", help="JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF, BMP or PPM.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON, for programs.")]
Origin = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="START",
        help="`auto` first takes away what the model sees in the face and is not asked for: all for a neutral face, half "
        "for a whole expression; `neutral` always all that the face shows; `direct` edits it as it is; `keep` moves from "
        "where the face stands on the disc, by --intensity as a step.",
    ),
]
FaceDetector = Annotated[str, typer.Option("--detector", metavar="NAME", help="`mtcnn` or `retinaface`.")]
Expression = Annotated[
    str | None,
    typer.Option(
        "--expression",
        "-e",
        metavar="NAMES",
        help="neutral, happy, sad, surprise, fear, disgust, anger, or a blend: `happy:0.6,surprise:0.4`; or in words: "
        "`a bit fearful, mostly surprised`. `upper=sad/lower=happy@0.5`: each half of the face its own; one that is not "
        "named stays as it is.",
    ),
]
Intensity = Annotated[
    float,
    typer.Option(
        "--intensity",
        "-i",
        metavar="NUMBER",
        help="0 (neutral) to 1 (strongest), where --expression does not say it.",
    ),
]
Angle = Annotated[
    float | None,
    typer.Option(metavar="DEGREES", help="Instead of names: a direction of the disc, as `mien gamut` shows it."),
]
Faces = Annotated[
    str,
    typer.Option(
        "--face", "-f", metavar="WHICH", help="`all`, `largest`, or a number from 1, counted from the largest."
    ),
]
ByFace = Annotated[
    list[str] | None,
    typer.Option(
        "--for",
        metavar="FACE:WISH",
        help="What one face shall express, `NUMBER:NAMES@INTENSITY`; repeatable. The other faces stay as they are.",
    ),
]
OneFace = Annotated[
    str, typer.Option("--face", "-f", metavar="WHICH", help="`largest`, or a number from 1, counted from the largest.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        show_default="the one that ships",
        help="A shipped model's name, a run folder of `mien train`, a .safetensors or .onnx file, a folder of `mien pull`, "
        "`hf://user/name`, or a checkpoint of the official code: `official-ganmut:G.ckpt`, `official-stargan:G.ckpt`.",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        metavar="NUMBER",
        min=0.05,
        max=0.99,
        help="Confidence from which the detector calls something a face; lower finds more.",
    ),
]
Marked = Annotated[
    bool, typer.Option("--mark/--no-mark", help="Say in the picture's metadata that AI edited it (XMP, IPTC).")
]
PreparedOut = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the prepared set.")]
Data = Annotated[Path, typer.Option("--data", "-d", metavar="DIR", help="A prepared set of `mien prepare`.")]
RunOut = Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="The run folder.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the preset; repeatable."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the whole configuration and stop.")]
DetectorDevice = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where the detector runs: `cpu`, `cuda`, `cuda:1`, `mps`.")
]
Port = Annotated[int, typer.Option(metavar="NUMBER", min=0, max=65535, help="Of the page; 0 takes a free one.")]
Shown = Annotated[
    list[Path] | None,
    typer.Option(
        "--show",
        metavar="PHOTO",
        help="Show this photo's face in the report instead of the dataset's, whose licence may forbid it; repeatable.",
        show_default=False,
    ),
]
