"""What is searched in a study of detectors: people's images, or scenes that the program draws, with known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mien.datasets import Sample, drawn, folder
from mien.errors import ConfigError, DataError

#: What stands for a path where the program is to draw the images.
DRAWN = "drawn"
#: Side of the drawn scenes, how many there are, and the sides of the portraits in them, in pixels.
_SCENE, _SCENES, _PORTRAITS = 320, 210, (48.0, 320.0)


@dataclass(frozen=True, eq=False)
class StudyImage:
    """An image to search, and what it shows where that is known."""

    read: Callable[[], np.ndarray]
    """Decodes it: uint8 (height, width, 3) RGB."""
    box: np.ndarray | None = None
    """The one face's box, float64 (4,), in pixels; None where the truth is not known."""
    landmarks: np.ndarray | None = None
    """Its five landmarks, float64 (5, 2)."""


def study_images(data: str, limit: int | None = None) -> list[StudyImage]:
    """Return the images of a folder (of any structure), a CSV or Parquet files, or `drawn` ones with known truth.

    `limit` takes so many of them, evenly spaced. Raises `DataError` where there are none.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit {limit}", hint="search at least one image")
    if data == DRAWN:
        faces = drawn.faces(limit or _SCENES)
        return [drawn_scene(index, face) for index, (_, _, _, face) in enumerate(faces)]
    path = Path(data)
    files = [file for file in path.rglob("*") if _is_image(file)] if path.is_dir() else []
    if files:
        images = [StudyImage(partial(folder.read_file, file)) for file in sorted(files)]
    else:
        images = [StudyImage(row.read) for row in folder.read(path) if isinstance(row, Sample)]
    if not images:
        raise DataError(f"no images at `{data}`", hint="give a folder of images, a CSV `path,expression`, or `drawn`")
    places = np.linspace(0, len(images) - 1, min(limit or len(images), len(images))).round().astype(int)
    return [images[place] for place in places]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in folder.IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def drawn_scene(index: int, face: drawn.DrawnFace) -> StudyImage:
    """Return a portrait of any size among shapes that are no faces, in bad light and noise; each index another."""
    random = np.random.default_rng((index, 0x5CE))
    side = round(float(np.exp(random.uniform(*np.log(_PORTRAITS)))))
    corner = random.integers(0, _SCENE - side + 1, 2)
    contrast, noise = float(random.uniform(0.25, 1.0)), float(random.uniform(0.0, 30.0))

    def read() -> np.ndarray:
        painter = np.random.default_rng((index, 0x5CF))
        scene = Image.new("RGB", (_SCENE, _SCENE), tuple(painter.integers(40, 216, 3).tolist()))
        pen = ImageDraw.Draw(scene)
        for _ in range(40):
            x, y, width, height = (int(v) for v in painter.integers(0, _SCENE, 4) // [1, 1, 4, 4])
            shape = pen.ellipse if painter.random() < 0.6 else pen.rectangle
            shape([x, y, x + width, y + height], fill=tuple(painter.integers(0, 256, 3).tolist()))
        scene.paste(Image.fromarray(drawn.draw(face, side, drawn.PORTRAIT)), tuple(corner.tolist()))
        levels = 128 + contrast * (np.asarray(scene, np.float32) - 128)
        return (levels + painter.normal(0, noise, levels.shape)).clip(0, 255).astype(np.uint8)

    return StudyImage(read, drawn.box(face, side) + np.tile(corner, 2), drawn.landmarks(face, side) + corner)
