"""Measure how sharp edits stay on photos with large faces: a warp against a generator that paints anew.

The number is the energy of the finest detail (a Laplacian's mean square over the face) after the edit as a share of
before, at 128, 512 and 1024 pixels a crop. A painted crop is put back in both ways: as the picture it is, enlarged, which
is what the peers do, and as a difference, which is what `Editor.paste` does. All else is measured by `mien bench`.

    python benchmarks/sharpness.py --photos DIR warp=RUN plain=RUN
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from PIL import Image
from record import record

from mien.conditions import Condition
from mien.editing import Editor, Face
from mien.editing.many import list_photos
from mien.errors import MienError
from mien.faces import crop_face
from mien.images import luma, read_photo
from mien.pretrained import Model, load_model
from mien.warping import apply, fade

SIZES = (128, 512, 1024)
#: Side of a crop, in pixels of the photo, from which a face counts as large.
_LARGE = 300


def detail(image: np.ndarray) -> float:
    """Return the mean square of the Laplacian of an image (h, w, 3), over its inner half: the face."""
    grey = luma(image.astype(np.float64))
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    quarter = len(laplacian) // 4
    return float(np.square(laplacian[quarter:-quarter, quarter:-quarter]).mean())


def sharpness(
    editor: Editor, pixels: np.ndarray, face: Face, conditions: list[Condition], painted: bool
) -> list[float]:
    """Return for each of `SIZES` the mean share of fine detail that edits leave."""
    shares: list[list[float]] = [[] for _ in SIZES]
    for rendering in editor.render(face, conditions, "direct"):
        small = apply(face.crop.astype(np.float32), rendering.edit)
        for size, values in zip(SIZES, shares, strict=True):
            before = crop_face(pixels, face.alignment, size)
            if painted:
                picture = Image.fromarray(np.rint(small).astype(np.uint8))
                after = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).astype(np.float32)
            else:
                after = apply(before.astype(np.float32), fade(rendering.edit, 0.05))
            values.append(detail(after) / detail(before))
    return [statistics.mean(values) for values in shares]


def large_faces(folder: Path, editor: Editor) -> list[tuple[np.ndarray, Face]]:
    """Return the largest face of each photo, with the photo, where its crop is large enough to have fine detail."""
    found = []
    for path, _ in list_photos([folder]):
        try:
            photo = read_photo(path)
            face = editor.find(photo)[0]
        except MienError:
            continue
        if face.alignment.side >= _LARGE:
            found.append((photo.pixels, face))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL", help="run folder, file or shipped name")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos with large faces")
    parser.add_argument("--intensity", type=float, default=0.9)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    for named in given.models:
        name, _, source = named.partition("=")
        measure(name, load_model(source), given.intensity, given.photos, given.out)


def measure(name: str, model: Model, intensity: float, photos: Path, out: Path) -> None:
    """Measure one model, print a line for each number and record it."""
    conditions = [Condition.named(expression, intensity) for expression in model.space.expressions[1:]]
    editor = Editor(model)
    large = large_faces(photos, editor)
    if not large:
        raise SystemExit(f"{photos} shows no face that is {_LARGE} px large or more")
    facts = {
        "generator": name, "model_sha256": model.sha256, "steps": model.description.get("step"), "intensity": intensity,
    }  # fmt: skip
    for way in ("difference", "picture"):
        kept = [sharpness(editor, pixels, face, conditions, way == "picture") for pixels, face in large]
        for size, values in zip(SIZES, zip(*kept, strict=True), strict=True):
            what, value = f"detail-kept-{size}-as-{way}", statistics.mean(values)
            record(out, f"generator-{what}", value, n=len(large), seed=0, **facts)
            print(f"{name}: {what} {value:.4g} (n = {len(large)})")


if __name__ == "__main__":
    main()
