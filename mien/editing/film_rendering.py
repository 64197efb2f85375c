"""One face in one frame of a film: where it is, how much of an edit its turning leaves, and the edit itself."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from mien.conditions import Condition
from mien.editing.edits import Seen, Start, check_start
from mien.editing.film_faces import FilmFace
from mien.editing.keyframes import Keyframes
from mien.editing.many import Profiles
from mien.editing.photo import PROFILE, Editor, Face, Rendering
from mien.errors import ConditionError
from mien.faces import Detection
from mien.spaces import DiscSpace, Space

#: Between `PROFILE` and this frontality (see `mien.editing.Face`) an edit fades out.
_TURNED = PROFILE + 0.2


def check_film_wishes(editor: Editor, paths: Iterable[Keyframes], start: Start) -> None:
    """Raise `ConditionError` for what a model cannot give faces over time from there, before the slow part."""
    check_start(editor.model, start)
    for path in paths:
        path.check(editor.space, as_steps=start == "keep")


def face_in_frame(editor: Editor, face: FilmFace, index: int, pixels: np.ndarray) -> Face:
    """Cut a film's face out of one of its frames; raises `FaceError` where the landmarks form no face there."""
    landmarks = face.landmarks[index - face.first]
    return editor.align(pixels, Detection(_box(landmarks), face.confidence, landmarks))


def frontal_share(face: Face, profiles: Profiles) -> float:
    """Return how much of an edit a face's turning leaves, 0 to 1."""
    if profiles == "edit":
        return 1.0
    share = min(1.0, max(0.0, (face.frontality - PROFILE) / (_TURNED - PROFILE)))
    return share * share * (3 - 2 * share)


def render_in_frame(
    editor: Editor, face: FilmFace, index: int, there: Face, condition: Condition, start: Start
) -> Rendering:
    """Render a film's face in one of its frames, where it is `there`, in full.

    What the face shows by itself is averaged over time. Whether it can be asked for, `check_film_wishes` says.
    """
    at = index - face.first
    begin: Start | Seen = start if start == "neutral" else "direct"
    if start == "auto":  # without a critic nothing was seen, and nothing is taken away
        begin = dict(zip(editor.space.expressions, face.expressed[at].tolist(), strict=False))
    if start == "keep":
        condition = condition.changed(lambda step: _moved(editor.space, face.standing[at], step))
    return editor.render(there, [condition], begin)[0]


def _moved(space: Space, standing: np.ndarray, step: Condition) -> Condition:
    """Return the place on the disc a step away from where a face stands; beyond the rim, on it."""
    assert isinstance(space, DiscSpace)
    x, y = standing + _step(space, step)
    return Condition.polar(math.atan2(y, x), min(1.0, math.hypot(x, y)))


def _step(space: DiscSpace, condition: Condition) -> np.ndarray:
    """Return a step on the disc; none where the names of a blend, on the way between two keyframes, cancel out."""
    try:
        return space.point(condition)
    except ConditionError:
        return np.zeros(2, np.float32)


def _box(landmarks: np.ndarray) -> tuple[float, float, float, float]:
    """Return a box round a face, from its landmarks."""
    (x0, y0), (x1, y1) = landmarks.min(axis=0), landmarks.max(axis=0)
    return (
        float(1.5 * x0 - 0.5 * x1),
        float(1.5 * y0 - 0.5 * y1),
        float(1.5 * x1 - 0.5 * x0),
        float(1.5 * y1 - 0.5 * y0),
    )
