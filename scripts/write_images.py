"""Draw the pictures of docs/images that show edits of the demo portrait, with the weights that ship, and mark them.

python scripts/write_images.py
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.editing import Face
from mien.editing.figures import gamut_figure, sweep_figure
from mien.images import Photo
from mien.plots import figure_bytes, new_figure, styled

ROOT = Path(__file__).resolve().parent.parent
HALVES = (
    "upper=anger/lower=happy", "upper=sad", "lower=surprise",
    "upper=fear/lower=neutral@0", "upper=surprise/lower=happy", "upper=disgust/lower=surprise",
)  # fmt: skip
_QUALITY = 76


@styled
def halves_figure(editor: mien.Editor, photo: Photo, face: Face) -> np.ndarray:
    """Draw a face with another expression in each half, uint8 (h, w, 3)."""
    figure, axes = new_figure(7.2, 5.2, 2, 3)
    for place, wish in zip(axes.flat, HALVES, strict=True):
        renderings = editor.render(face, mien.Condition.parse(wish, 0.9))
        place.imshow(editor.preview(photo, renderings, 360)[0])
        place.set_axis_off()
        place.set_title(wish, fontsize=9, loc="center")
    return np.asarray(Image.open(io.BytesIO(figure_bytes(figure, "png"))).convert("RGB"))


def main() -> None:
    """Write the pictures."""
    editor = mien.load()
    photo = mien.read_photo(ROOT / "assets" / "astronaut.png")
    face = editor.find(photo)[0]
    for name, drawn in (
        ("sweep", sweep_figure(editor, photo, face)),
        ("gamut", gamut_figure(editor, photo, face)),
        ("halves", halves_figure(editor, photo, face)),
    ):
        out = ROOT / "docs" / "images" / f"astronaut-{name}.jpg"
        mien.write_photo(out, np.asarray(drawn), mark=editor.mark(f"{name} of expressions"), quality=_QUALITY)
        print(out)


if __name__ == "__main__":
    main()
