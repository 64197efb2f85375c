"""What the commands take: every argument and option with its name, its bounds and its help, as types for signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# --- photos ------------------------------------------------------------------------------------------------------

Photo = Annotated[Path, typer.Argument(metavar="PHOTO", help="JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP or PPM.")]
PictureOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the picture: .png, .jpg or .webp.")
]
Expression = Annotated[
    str | None,
    typer.Option(
        "--expression",
        "-e",
        metavar="NAMES",
        help="neutral, happy, sad, surprise, fear, disgust, anger, or a blend: `happy:0.6,surprise:0.4`.",
    ),
]
Intensity = Annotated[float, typer.Option("--intensity", "-i", metavar="NUMBER", help="0 (neutral) to 1 (strongest).")]
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
OneFace = Annotated[
    str, typer.Option("--face", "-f", metavar="WHICH", help="`largest`, or a number from 1, counted from the largest.")
]
Tile = Annotated[int, typer.Option(metavar="PIXELS", min=32, max=512, help="Side of one face in the picture.")]
Rings = Annotated[int, typer.Option(metavar="COUNT", min=1, max=6, help="Rings of faces round the centre.")]
Rows = Annotated[
    str | None,
    typer.Option(metavar="NAMES", show_default="all that the model knows", help="Comma-separated names: the rows."),
]
Columns = Annotated[str, typer.Option(metavar="NUMBERS", help="Comma-separated, each from 0 to 1: the columns.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        show_default="the one that ships",
        help="A shipped model's name, a run folder of `mien train`, or a .safetensors file.",
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

# --- data and training -------------------------------------------------------------------------------------------

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="fer2013, folder or drawn.")]
Source = Annotated[
    Path | None,
    typer.Argument(
        metavar="SOURCE", show_default=False, help="Where the dataset lies; `drawn` has none: the program draws it."
    ),
]
PreparedOut = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the prepared set.")]
Size = Annotated[int, typer.Option(metavar="PIXELS", min=16, max=1024, help="Side of the prepared images.")]
Detector = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="`mtcnn` finds and aligns each face; `none` takes images as they are cut already."
    ),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Option of the dataset's reader, e.g. `labels=ferplus` or `count=5000`; repeatable.",
    ),
]
Preset = Annotated[str, typer.Argument(metavar="PRESET", help="`mien presets` lists them.")]
Data = Annotated[Path, typer.Option("--data", "-d", metavar="DIR", help="A prepared set of `mien prepare`.")]
RunOut = Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="The run folder.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the preset; repeatable."),
]
Init = Annotated[
    Path | None,
    typer.Option(
        "--init", metavar="RUN", help="Start from the networks of this run folder: fine-tune it.", show_default=False
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the whole configuration and stop.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of `mien train`.")]
WeightsOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it: NAME.safetensors; a JSON goes beside.")
]
