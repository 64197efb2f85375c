"""Compare generators that were trained on the same data for the same steps: a warp against one that paints anew.

For each model: macro-F1 of its edits (the judge of expression_f1.py), change of the whole crop and of its border
(what should stay background), how often the person is recognised among all, parameters, time of one edit, and, on
photos with large faces, sharpness: the energy of the finest detail (a Laplacian's mean square over the face) after
the edit as a share of before, at 128, 512 and 1024 pixels a crop. A painted crop is put back in both ways: as the
picture it is, enlarged, which is what the peers do, and as a difference, which is what `Editor.paste` does.

    python benchmarks/generator_comparison.py --data DIR --judge judge.safetensors --photos DIR warp=RUN plain=RUN
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from expression_f1 import edit_all, f1_scores, judge_all, load_judge, validation_images
from PIL import Image
from record import record

from mien.editing import Editor, Face
from mien.editing.edits import make_edits
from mien.editing.many import list_photos
from mien.errors import MienError
from mien.expressions import BASIC
from mien.faces import crop_face
from mien.images import luma, read_photo
from mien.networks import count_parameters
from mien.prepared import PreparedSet
from mien.pretrained import Model, load_model
from mien.runs import file_sha256
from mien.spaces import Condition
from mien.warping import apply, fade

SIZES = (128, 512, 1024)
#: Share of the crop's side that counts as its border.
_BORDER = 0.1
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


def recognised(faces: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """Return for each edited face (n, 1, h, w) whether, of all originals, its own is the most like it.

    Likeness is the correlation of grey values. That tells people apart only together with pose, light and framing; but a
    generator that forgets who was put in cannot pass.
    """

    def standardised(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1)
        flat = flat - flat.mean(1, keepdims=True)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    return (standardised(edited) @ standardised(faces).T).argmax(1) == np.arange(len(faces))


def border(images: np.ndarray) -> np.ndarray:
    """Return the pixels of images (n, 1, h, w) along their border."""
    width = round(_BORDER * images.shape[-1])
    inside = np.zeros(images.shape[-2:], bool)
    inside[width:-width, width:-width] = True
    return images[..., ~inside]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL", help="run folder, file or shipped name")
    parser.add_argument("--data", type=Path, required=True, help="prepared set; its validation faces are edited")
    parser.add_argument("--judge", type=Path, required=True, help="judge's file, made by expression_f1.py")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos with large faces")
    parser.add_argument("--faces", type=int, default=300, help="validation faces that are edited")
    parser.add_argument("--intensity", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()

    prepared, judge = PreparedSet.open(given.data), load_judge(given.judge)
    images, labels = validation_images(prepared, prepared.size)
    faces = images[np.random.default_rng(given.seed).permutation(len(labels))[: given.faces]]
    for named in given.models:
        name, _, source = named.partition("=")
        model = load_model(source)
        facts = {
            "generator": name, "model_sha256": model.sha256, "data_hash": prepared.hash, "seed": given.seed,
            "steps": model.description.get("step"), "judge_sha256": file_sha256(given.judge),
            "intensity": given.intensity, "parameters": count_parameters(model.method.get_submodule("generator")),
        }  # fmt: skip
        measure(model, judge, faces, given.intensity, given.photos, facts, given.out)


def measure(model: Model, judge, faces, intensity: float, photos: Path, facts: dict, out: Path) -> None:
    """Measure one model, print a line for each number and record it."""

    def note(what: str, value: float, unit: str, n: int) -> None:
        record(out, f"generator-{what}", value, unit=unit, n=n, **facts)
        print(f"{facts['generator']}: {what} {value:.4g} {unit} (n = {n})")

    conditions = [Condition.named(name, intensity) for name in model.space.expressions]
    edited = edit_all(model, faces, conditions, "direct")
    asked = np.repeat([BASIC.index(name) for name in model.space.expressions], len(faces))
    seen = np.concatenate([judge_all(judge, pictures).argmax(1) for pictures in edited])
    note("f1", float(np.nanmean(f1_scores(asked, seen, len(BASIC)))), "", len(asked))
    change = np.stack([(pictures - faces).abs().numpy() * 127.5 for pictures in edited])
    note("change", float(change.mean()), "levels", len(asked))
    note("border-change", float(border(change.reshape(-1, *faces.shape[1:])).mean()), "levels", len(asked))
    known = [float(recognised(faces.numpy(), pictures.numpy()).mean()) for pictures in edited]
    note("person-recognised", statistics.mean(known), "", len(asked))
    times = []
    for index in range(25):
        start = time.perf_counter()
        make_edits(model, faces[index % len(faces)].numpy(), conditions[1:2], "direct")
        times.append(time.perf_counter() - start)
    note("edit-seconds", statistics.median(times[5:]), "s", 20)
    editor = Editor(model)
    large = large_faces(photos, editor)
    for way in ("difference", "picture"):
        kept = [sharpness(editor, pixels, face, conditions[1:], way == "picture") for pixels, face in large]
        for size, values in zip(SIZES, zip(*kept, strict=True), strict=True):
            note(f"detail-kept-{size}-as-{way}", statistics.mean(values), "", len(large))


if __name__ == "__main__":
    main()
