"""What the commands that edit photos take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Photos = Annotated[
    list[str], typer.Argument(metavar="PHOTO...", help="Photos, folders of photos, or patterns such as `'*.jpg'`.")
]
StudioFiles = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE...", help="Photos and films to open at once; the page opens others.", show_default=False
    ),
]
PictureOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the picture: .png, .jpg or .webp.")
]
EditOut = Annotated[
    str,
    typer.Option(
        "--out", "-o", metavar="OUT", help="A picture (.png, .jpg or .webp); for several photos, a folder (`edited/`)."
    ),
]
Profiles = Annotated[
    str,
    typer.Option(
        metavar="WHICH", help="`skip` leaves faces in profile as they are, since edits smear there; or `edit`."
    ),
]
FigureOrigin = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="START",
        help="`auto` first takes away what the model sees in the face and a place does not ask for: all in the centre, "
        "half at the rim; `neutral` always all that the face shows; `direct` edits it as it is.",
    ),
]
Tile = Annotated[int, typer.Option(metavar="PIXELS", min=32, max=512, help="Side of one face in the picture.")]
Rings = Annotated[int, typer.Option(metavar="COUNT", min=1, max=6, help="Rings of faces round the centre.")]
Rows = Annotated[
    str | None,
    typer.Option(metavar="NAMES", show_default="all that the model knows", help="Comma-separated names: the rows."),
]
Columns = Annotated[str, typer.Option(metavar="NUMBERS", help="Comma-separated, each from 0 to 1: the columns.")]
PictureQuality = Annotated[
    int, typer.Option(metavar="NUMBER", min=1, max=100, help="How closely a JPEG or WebP keeps the pixels, 1 to 100.")
]
