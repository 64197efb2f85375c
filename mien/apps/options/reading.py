"""What the commands that read photos take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PhotosOrFilm = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", help="Photos, folders of photos, patterns such as `'*.jpg'`; or one film (.mp4, ...)."
    ),
]
ReadingOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        show_default=False,
        help="A table, with a line for each face of a photo or of a film's frame (.csv); or a picture of what was read: "
        "from one photo (.png, .jpg, .webp), or from a film over time (.png, .svg, .pdf).",
    ),
]
