"""What `mien prepare` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Dataset = Annotated[
    str, typer.Argument(metavar="DATASET", help="affectnet, affwild2, fer2013, rafdb, folder or drawn.")
]
Source = Annotated[
    Path | None,
    typer.Argument(
        metavar="SOURCE", show_default=False, help="Where the dataset lies; `drawn` has none: the program draws it."
    ),
]
Size = Annotated[int, typer.Option(metavar="PIXELS", min=16, max=1024, help="Side of the prepared images.")]
Detector = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="`mtcnn` or `retinaface` finds and aligns each face; `none` takes images as they are cut already.",
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
Share = Annotated[
    float,
    typer.Option(
        metavar="NUMBER",
        min=0.0001,
        max=1.0,
        help="Take this share of the rows, chosen by their keys: the same rows in every run. For trials.",
    ),
]
FaceThreshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="NUMBER",
        min=0.05,
        max=0.99,
        show_default="the detector's own",
        help="Confidence from which the detector calls something a face; lower finds more.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="COUNT",
        min=0,
        max=1024,
        show_default="one for each core",
        help="Processes that share the work; 1 or 0: none but this. The result is the same to the byte.",
    ),
]
Engine = Annotated[
    str, typer.Option(metavar="NAME", help="`local`: processes of this machine; `ray`: tasks on a Ray cluster.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        show_default="a Ray of this machine's own",
        help="With --engine ray: the cluster, for example `auto` on one of its machines. All must see DIR and SOURCE.",
    ),
]
