"""The pictures of a benchmark: some faces as every contestant edits them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.contestants import Contestant, Faces, can_express
from mien.benchmark.protocol import Protocol
from mien.benchmark.requests import named_conditions, rising_conditions, walk_conditions
from mien.conditions import Condition
from mien.errors import FaceError
from mien.spaces import DiscSpace

#: Side in pixels of faces that are taken from photos.
_SIDE = 160


def faces_of_photos(photos: Sequence[Path], device: str = "cpu", side: int = _SIDE) -> Faces:
    """Return the largest face of each photo, in the framing of prepared sets.

    Raises `FaceError` where a photo shows none.
    """
    from mien.faces import FaceAligner
    from mien.images import read_image

    aligner = FaceAligner("mtcnn", side, device)
    images = [read_image(path) for path in photos]
    crops = aligner(images, ["largest"] * len(images))
    for path, crop in zip(photos, crops, strict=True):
        if isinstance(crop, str):
            raise FaceError(f"{path} cannot be shown: {crop}", hint="give photos of a face that looks ahead")
    pixels = np.stack([crop.pixels for crop in crops if not isinstance(crop, str)]).astype(np.float32)
    return Faces(tuple(str(path) for path in photos), pixels.transpose(0, 3, 1, 2) / 127.5 - 1)


def draw_examples(
    contestants: Sequence[Contestant],
    faces: Faces,
    expressions: Sequence[str],
    protocol: Protocol,
    *,
    of_the_data: bool,
) -> dict[str, Any]:
    """Return `originals`, `edited`, `swept` and `walked` of an `Outcome`.

    Where the faces are not `of_the_data`, contestants that can only answer to its faces, the oracle and folders, are left
    out: what they would show is the data's.
    """
    # What a photo shows is not known to be neutral: it is edited as the editor would.
    start = protocol.start if of_the_data else "auto"
    drawn = [c for c in contestants if of_the_data or c.facts.kind not in ("oracle", "folder")]
    named = named_conditions(expressions, protocol)
    rising, shape = rising_conditions(expressions, protocol)
    first = faces[:1]
    edited = {c.facts.name: _edited(c, faces, named, start) for c in drawn}
    swept = {c.facts.name: _edited(c, first, rising, start)[0] for c in drawn}
    walked = {
        c.facts.name: _edited(c, first, walk_conditions(c, expressions, protocol)[0], start)[0]
        for c in drawn
        if isinstance(c.space, DiscSpace)
    }
    return {
        "originals": _levels(faces.images),
        "edited": edited,
        "swept": {name: images.reshape(*shape, *images.shape[1:]) for name, images in swept.items()},
        "walked": walked,
    }


def _edited(contestant: Contestant, faces: Faces, conditions: Sequence[Condition], start: str) -> np.ndarray:
    """Return uint8 (faces, conditions, h, w, c); grey where the contestant has no answer."""
    result = np.zeros((len(faces), len(conditions), *faces.images.shape[1:]), np.float32)
    able = [index for index, condition in enumerate(conditions) if can_express(contestant, condition)]
    if able:
        result[:, able] = contestant.edit(faces, [conditions[index] for index in able], start)
    return np.stack([_levels(part) for part in result])


def _levels(images: np.ndarray) -> np.ndarray:
    """Turn float (n, c, h, w) in [-1, 1] into uint8 (n, h, w, c); what is no number becomes grey."""
    finite = np.where(np.isfinite(images), images, 0.0)
    return ((finite + 1) * 127.5).round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
