"""What the commands for films, animations and the camera take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Film = Annotated[Path, typer.Argument(metavar="FILM", help="MP4, MOV, MKV, WebM, AVI, GIF and what else ffmpeg reads.")]
FilmOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        show_default=False,
        help="Where to write the film: .mp4, .mov, .mkv, .webm; without sound .gif or .webp.",
    ),
]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        metavar="KEYFRAME",
        help="What to show at a time, `SECONDS:NAMES@INTENSITY` or `SECONDS:DEGREES@INTENSITY`; repeatable, in order.",
    ),
]
FilmFaces = Annotated[
    str,
    typer.Option(
        "--face", "-f", metavar="WHICH", help="`all`, `largest`, or a number from 1, as --list numbers the faces."
    ),
]
FilmByFace = Annotated[
    list[str] | None,
    typer.Option(
        "--for",
        metavar="FACE:WISH",
        help="What one face shall express, `NUMBER:NAMES@INTENSITY`, or several keyframes for it, in order, "
        "`NUMBER@SECONDS:NAMES@INTENSITY`; DEGREES instead of NAMES; repeatable. The other faces stay as they are.",
    ),
]
FilmProfiles = Annotated[
    str,
    typer.Option(
        "--profiles",
        metavar="WHICH",
        help="`skip` lets the edit fade out while a face turns to profile, since edits smear there; or `edit`.",
    ),
]
Smallest = Annotated[
    float | None,
    typer.Option(
        metavar="PIXELS",
        min=12,
        show_default="a thirty-second of the longer side",
        help="Side of the smallest face that is searched for; smaller takes longer.",
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        "--crf",
        metavar="NUMBER",
        min=0,
        max=63,
        show_default="18; for .webm 30",
        help="Quality of the encoder: lower is better and larger.",
    ),
]
ListFaces = Annotated[bool, typer.Option("--list", help="Only list the faces: number, time, place and size of each.")]
AnimationOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it: .gif, .webp, .mp4, .mov, .mkv, .webm.")
]
WalkPath = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="`disc` goes once round the disc, `sweep` from neutral to --expression and back."
    ),
]
Seconds = Annotated[float, typer.Option(metavar="NUMBER", min=0.2, max=60, help="Until it begins again.")]
AnimationSize = Annotated[
    int, typer.Option("--size", metavar="PIXELS", min=32, max=2160, help="Longer side; a smaller photo stays as it is.")
]
Camera = Annotated[str, typer.Option(metavar="NUMBER", help="Number of the camera, or the system's name for it.")]
CameraFilm = Annotated[
    Path | None, typer.Option("--film", metavar="FILE", show_default=False, help="Play a film as if it were a camera.")
]
LiveFaces = Annotated[str, typer.Option("--face", "-f", metavar="WHICH", help="`all` or `largest`.")]
