"""Walk once round the disc of expressions and write the face's way as an animation, GIF or WebP.

The face is found once; all steps of the walk are rendered in one batch. The mark that AI edited the picture goes into a
WebP's XMP, where programs look for it; a GIF has only a comment to carry it.

    python examples/walk_round_the_disc.py portrait.jpg walk.webp
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from PIL import Image

import mien
from mien.provenance import EditMark, merge_mark


def main() -> None:
    """Write the animation that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("out", type=Path, help="a .gif or .webp file")
    parser.add_argument("--model", default=None, help="shipped name, run folder or .safetensors file")
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--intensity", type=float, default=0.9)
    parser.add_argument("--size", type=int, default=192, help="side of the animation in pixels")
    given = parser.parse_args()

    editor = mien.load(given.model)
    photo = mien.read_photo(given.photo)
    face = editor.find(photo)[0]
    angles = [2 * math.pi * step / given.steps for step in range(given.steps)]
    conditions = [mien.Condition.polar(angle, given.intensity) for angle in angles]
    crops = editor.preview(photo, editor.render(face, conditions), given.size)

    mark = EditMark(condition=f"round the disc @ {given.intensity:g}", model=editor.model.sha256)
    marked: dict[str, Any] = {"comment": mark.describe()}
    if given.out.suffix.lower() == ".webp":
        marked = {"xmp": merge_mark(None, mark), "quality": 90}
    first, *others = [Image.fromarray(crop) for crop in crops]
    first.save(given.out, save_all=True, append_images=others, duration=60, loop=0, **marked)
    print(f"{given.out}: {given.steps} steps of {given.size} x {given.size} pixels")


if __name__ == "__main__":
    main()
