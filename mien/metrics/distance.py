"""How much an edit changes the face, and how much of what is none.

Mean absolute difference between an aligned crop and its edit, in grey levels of 0 to 255, inside and outside an ellipse
that the face fills in the canonical crop of `mien.faces.align`.
"""

from __future__ import annotations

import numpy as np

from mien.errors import ConfigError
from mien.metrics.intervals import percentile_interval, resampled_sums
from mien.metrics.measurement import Measurement, measured

#: The ellipse in the unit square of the canonical crop, (x, y). There the eyes are at (0.335, 0.394) and (0.665, 0.394),
#: the mouth at y = 0.743: 0.33 between the eyes, 0.35 down to the mouth. A face is about 2.2 times as wide as its pupils
#: are apart, and its chin two thirds as far below the mouth as the mouth is below the eyes: half width 0.36, chin at
#: 0.98. The top, 0.10, is the middle of the forehead, which frowns and raised brows still move.
FACE_CENTRE = (0.5, 0.54)
FACE_HALF_AXES = (0.36, 0.44)

#: From float pixels of -1 to 1 to grey levels.
_LEVELS = 127.5


def face_mask(
    size: int,
    centre: tuple[float, float] = FACE_CENTRE,
    half_axes: tuple[float, float] = FACE_HALF_AXES,
) -> np.ndarray:
    """Return which pixels of a canonical crop of this size are face: bool (size, size), by the pixels' centres.

    `centre` and `half_axes` are (x, y) in the crop's unit square.
    """
    place = (np.arange(size) + 0.5) / size
    x, y = ((place - c) / half for c, half in zip(centre, half_axes, strict=True))
    return y[:, None] ** 2 + x[None] ** 2 <= 1.0


def image_change(originals: np.ndarray, edited: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each edit's mean absolute change in grey levels inside and outside a mask: float64 (n,) and (n,).

    Images are float (n, c, height, width) in [-1, 1], the mask bool (height, width).
    """
    if originals.shape != edited.shape or originals.ndim != 4 or originals.shape[2:] != mask.shape:
        raise ConfigError(
            f"originals {originals.shape}, edits {edited.shape} and a mask {mask.shape} do not belong together",
            hint="give each edit its original, float (n, c, height, width), and a mask of their size",
        )
    if not mask.any() or mask.all():
        raise ConfigError("the mask has no inside or no outside", hint="use the mask of `face_mask(size)`")
    # Image by image, so that a number does not depend on what else is in the batch, and memory stays small.
    change = (
        np.array(
            [np.abs(e.astype(np.float64) - o).mean(axis=0) for o, e in zip(originals, edited, strict=True)]
        ).reshape(len(originals), *mask.shape)
        * _LEVELS
    )
    return change[:, mask].mean(axis=1), change[:, ~mask].mean(axis=1)


def change_measures(inside: np.ndarray, outside: np.ndarray, faces: np.ndarray, *, seed: int = 0) -> list[Measurement]:
    """Measure `background-change` and `face-change`: the mean of what `image_change` returned, in grey levels.

    `faces` (n,) tells whose edit each is. Both are lower for a copy of the input: they are read beside expression F1.
    """
    if not len(inside) == len(outside) == len(faces):
        raise ConfigError("changes and faces do not belong together", hint="give one face for every edit")
    return [
        _mean_levels("background-change", outside, faces, "nothing was edited", seed),
        _mean_levels("face-change", inside, faces, "nothing was edited", seed),
    ]


def mirror_error(
    inside: np.ndarray, faces: np.ndarray, *, reason: str = "nothing was edited", seed: int = 0
) -> Measurement:
    """Measure `mirror-error`: how far edits of mirrored faces are from the faces' edits, mirrored, in grey levels.

    `inside` (n,) is what `image_change` returned of the two, `faces` (n,) tells whose edit each is, `reason` why there is
    none. 0 for a model to which left and right are the same, and for a copy of the input.
    """
    return _mean_levels("mirror-error", inside, faces, reason, seed)


def _mean_levels(measure: str, values: np.ndarray, faces: np.ndarray, nothing: str, seed: int) -> Measurement:
    names, unit = np.unique(faces, return_inverse=True)
    values = np.asarray(values, np.float64)
    broken = int((~np.isfinite(values)).sum())
    reason = f"{broken} of {len(values)} edits hold values that are no numbers" if broken else nothing
    value, interval = None, (None, None)
    if len(values) and not broken:
        value = float(values.mean())
        sums = np.bincount(unit.reshape(-1), weights=values)
        parts = np.stack([sums, np.bincount(unit.reshape(-1))], axis=1)
        if len(parts) >= 2:
            resampled = resampled_sums(parts, seed=seed)
            interval = percentile_interval(resampled[:, 0] / resampled[:, 1])
    details = {"faces": len(names), "unit": "grey levels of 255"}
    return measured(measure, value, interval, n=len(values), better="lower", reason=reason, details=details)
