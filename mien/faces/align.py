"""Bring faces into one canonical crop, and points of the crop back into the photo.

Both are one similarity transform (rotation, one scale, shift), estimated from five landmarks. Photo coordinates are
continuous pixels as in `mien.faces.detection`; the crop is the unit square, x to the right and y down, so that one
alignment serves crops of every size. Needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mien.errors import FaceError
from mien.images import Frame

#: Where the canonical crop has left eye, right eye, nose, left and right corner of the mouth, in its unit square. It is
#: FER2013's own framing (the mean of MTCNN's landmarks over 477 frontal, upright faces, confidence above 0.99, among the
#: first 1500 of its validation images, symmetric about x = 0.5: eyes at y = 0.386, mouth at 0.783), seen from a little
#: further away: scaled by 0.88 about (0.5, 0.45). FER2013 cuts faces off at the chin; so the chin is inside, and what the
#: crop has more than FER2013's images lies in the rim where edits fade out.
FACE_TEMPLATE = np.array([[0.335, 0.394], [0.665, 0.394], [0.5, 0.581], [0.361, 0.743], [0.639, 0.743]])
FACE_TEMPLATE.setflags(write=False)

#: Correlation with the template below which five points are no face: a bad fit would mean a crop of any size. FER2013's
#: faces, in profile and with wide open mouths, all stay above 0.88.
_LEAST_LIKENESS = 0.7

_CUBIC = Image.Resampling.BICUBIC

#: Pixels that a cubic filter reaches beyond its centre, and one for rounding.
_REACH = 3

#: How much finer than the crop the grid is on which a photo is interpolated, at most, and its longest side. More of it
#: changed crops by less than half a level.
_FINEST, _FINE_SIDE = 3, 256


@dataclass(frozen=True, eq=False)
class Alignment:
    """A similarity transform from a photo's pixels to the unit square of the canonical crop."""

    matrix: np.ndarray
    """float64 (2, 3): crop point = matrix[:, :2] @ photo point + matrix[:, 2]."""

    @property
    def inverse(self) -> np.ndarray:
        """The transform back, float64 (2, 3): from the unit square to the photo's pixels."""
        back = np.linalg.inv(self.matrix[:, :2])
        return np.column_stack([back, -back @ self.matrix[:, 2]])

    @property
    def side(self) -> float:
        """Side of the crop's square in pixels of the photo."""
        return 1.0 / math.hypot(*self.matrix[:, 0])

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Map photo points (count, 2) into the unit square."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Map points (count, 2) of the unit square into the photo."""
        inverse = self.inverse
        return points @ inverse[:, :2].T + inverse[:, 2]

    def frame(self, width: int, height: int) -> Frame | None:
        """Return where a photo of this size ends in the crop, or None where the crop does not reach beyond it."""
        corners = self.corners() / [width, height]
        if corners.min() >= 0 and corners.max() <= 1:
            return None
        a, b, c, d, e, f = (float(value) for value in (self.inverse / [[width], [height]]).ravel())
        return a, b, c, d, e, f

    def corners(self) -> np.ndarray:
        """Return the crop's corners in the photo, float64 (4, 2), clockwise from its top left."""
        return self.to_photo(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))


def estimate_alignment(landmarks: np.ndarray, template: np.ndarray = FACE_TEMPLATE) -> Alignment:
    """Return the similarity that brings landmarks (5, 2) nearest to the template in the least-squares sense.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns", eq. 40-43; never a
    reflection. Raises `FaceError` where the landmarks fall into one point or are not numbers.
    """
    landmarks = np.asarray(landmarks, np.float64)
    mean, template_mean = landmarks.mean(axis=0), template.mean(axis=0)
    centred = landmarks - mean
    variance = (centred**2).sum() / len(landmarks)
    if not np.isfinite(variance) or variance < 1e-9:
        raise FaceError("the landmarks of the face fall into one point", hint="choose another face or another photo")
    u, singular, vt = np.linalg.svd((template - template_mean).T @ centred / len(landmarks))
    signs = np.array([1.0, 1.0 if np.linalg.det(u) * np.linalg.det(vt) > 0 else -1.0])
    rotation = u @ np.diag(signs) @ vt
    scale = (singular * signs).sum() / variance
    template_variance = ((template - template_mean) ** 2).sum() / len(template)
    if scale * math.sqrt(variance / template_variance) < _LEAST_LIKENESS:
        raise FaceError("the landmarks do not form a face", hint="choose another face or another photo")
    return Alignment(np.column_stack([scale * rotation, template_mean - scale * rotation @ mean]))


def crop_face(photo: np.ndarray, alignment: Alignment, size: int) -> np.ndarray:
    """Cut the canonical crop out of a photo, uint8 (height, width, 3), as uint8 (size, size, 3).

    Larger faces are averaged down without aliasing; beyond the photo's edge its last pixels are repeated. The same
    picture gives the same crop at any resolution, up to what its pixels cannot tell: a place between two pixels is
    interpolated on a finer grid than the crop's, which is averaged down only when the face is upright on it. Otherwise the
    blur of that interpolation would come and go with where the crop's grid happens to lie.
    """
    step = alignment.side / size  # pixels of the photo for one of the crop
    fine = max(1, min(math.ceil(step), _FINEST, _FINE_SIDE // size))  # pixels of the finer grid for one of the crop
    shrink = max(1.0, step / fine)
    margin = math.ceil(_REACH * shrink)
    corners = alignment.corners()
    x0, y0 = (int(v) for v in np.floor(corners.min(axis=0)) - margin)
    x1, y1 = (int(v) for v in np.ceil(corners.max(axis=0)) + margin)
    region = Image.fromarray(extend(photo, x0, y0, x1, y1))
    shrunk = (round((x1 - x0) / shrink), round((y1 - y0) / shrink))
    if shrunk != region.size:  # first to the finer grid's scale by an averaging filter, then rotated
        region = region.resize(shrunk, _CUBIC)
    to_region = alignment.inverse - [[0.0, 0.0, x0], [0.0, 0.0, y0]]
    to_region[:, :2] /= size * fine
    to_region *= np.array([[shrunk[0] / (x1 - x0)], [shrunk[1] / (y1 - y0)]])
    values = _resample(np.asarray(region, np.float32), to_region, (size * fine, size * fine))
    return np.rint(_averaged(values, size)).clip(0, 255).astype(np.uint8)


def _averaged(image: np.ndarray, side: int) -> np.ndarray:
    """Average a float32 image (height, width, channels) down to (side, side, channels)."""
    if image.shape[:2] == (side, side):
        return image
    channels = [Image.fromarray(each).resize((side, side), _CUBIC) for each in image.transpose(2, 0, 1).copy()]
    return np.stack([np.asarray(each) for each in channels], axis=-1)


def _resample(image: np.ndarray, to_image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sample float32 (height, width, 3) cubically where `to_image` (2, 3) maps the pixels of `size`, (width, height).

    Pillow, too, puts the centre of the first pixel at (0.5, 0.5). Its own 8-bit path truncates, half a level too dark
    on average; so each channel goes through as floats.
    """
    coefficients = tuple(float(value) for value in to_image.ravel())
    channels = [
        np.asarray(Image.fromarray(channel).transform(size, Image.Transform.AFFINE, coefficients, _CUBIC))
        for channel in np.ascontiguousarray(image.transpose(2, 0, 1))
    ]
    return np.stack(channels, axis=-1)


def extend(photo: np.ndarray, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """Return a rectangle of a photo, its edge pixels repeated where it reaches beyond.

    Repeated, not mirrored: a mirror gives a face that touches the edge a second pair of eyes.
    """
    height, width = photo.shape[:2]
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return np.ascontiguousarray(photo[y0:y1, x0:x1])
    rows = np.arange(y0, y1).clip(0, height - 1)
    columns = np.arange(x0, x1).clip(0, width - 1)
    return photo[rows[:, None], columns]
